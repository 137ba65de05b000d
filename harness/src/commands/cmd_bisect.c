// `hzb bisect GOOD BAD`: `git bisect run` over `hzb compare`, in a worktree of its own.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/git.h"
#include "commands/commands.h"
#include "commands/compared.h"
#include "config/config_load.h"
#include "config/revision.h"
#include "config/side.h"
#include "gate/verdict.h"
#include "gate/verdict_print.h"
#include "plan/plan.h"
#include "record/folders.h"

enum { GIT_SKIPPED_ALL = 2, CODE_INTERRUPTED = 130 };

typedef struct Bisection {
    Options options; // with paths that are good in any folder
    char *good, *bad;
    char *cell_id;
    char *tree; // the worktree
    char *log;  // what git and the comparisons print
} Bisection;

static bool find_commits(Bisection *b)
{
    char **words = b->options.sides.items, **commits[] = {&b->good, &b->bad};
    for (unsigned i = 0; i < 2; i++) {
        *commits[i] = side_revision(words[i]);
        if (*commits[i]) continue;
        hzb_error("'%s': expected a git revision of the repository that this folder is in", words[i]);
        return false;
    }
    if (strcmp(b->good, b->bad) == 0)
        hzb_error("'%s' and '%s' are the same commit", words[0], words[1]);
    else if (!git_is_ancestor(b->good, b->bad))
        hzb_error("'%s' is not an ancestor of '%s': no history leads from one to the other", words[0], words[1]);
    else
        return true;
    return false;
}

// One cell and one gate: only then is each commit either good or bad.
static bool find_question(Bisection *b)
{
    Config config;
    StrList cells;
    const Options *options = &b->options;
    if (!options->cell_regex || !options->metric) {
        hzb_error("expected -w CELL and --metric COLUMN");
        return false;
    }
    if (!config_load(&config, options->config_dir, options->target) || !plan_select(&config, options, &cells))
        return false;
    b->cell_id = cells.items[0];
    if (cells.count == 1) return true;
    hzb_error("-w '%s': expected one cell, not %u: %s, %s%s; -p KEY=VALUE picks among them", options->cell_regex,
              cells.count, cells.items[0], cells.items[1], cells.count > 2 ? ", ..." : "");
    return false;
}

static const char *absolute(const char *path)
{
    char *here = path && path[0] != '/' ? getcwd(NULL, 0) : NULL;
    return here ? xfmt("%s/%s", here, path) : path;
}

// Makes paths absolute, for the comparisons run in the worktree.
static bool find_places(Bisection *b)
{
    Options *options = &b->options;
    options->output = absolute(options_output(options));
    options->target = absolute(options->target);
    options->config_dir = absolute(options->config_dir);
    options->build_dir = absolute(options->build_dir);
    options->lock_path = absolute(options->lock_path);
    char *revs = revision_folder(options_build_dir(options));
    if (!revs || file_lock(xfmt("%s/bisect.lock", revs), "another hzb bisect") < 0) return false;
    b->tree = xfmt("%s/bisect", revs);
    b->log = xfmt("%s/bisect.log", revs);
    unlink(b->log);
    return true;
}

static void add_comparison(const Bisection *b, const char *candidate, StrList *argv)
{
    const Options *options = &b->options;
    const char *words[] = {program_path(), "compare", xfmt(REVISION_PREFIX "%s", b->good), candidate, "--bisect"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        list_add(argv, words[i]);
    list_add_option(argv, "--matrix", options->target);
    list_add_option(argv, "-w", options->cell_regex);
    for (unsigned i = 0; i < options->param_filters.count; i++)
        list_add_option(argv, "-p", options->param_filters.items[i]);
    list_add_option(argv, "--metric", options->metric);
    list_add_option(argv, "--rounds", options->rounds ? xfmt("%u", options->rounds) : NULL);
    list_add_option(argv, "--seed", options->seed_given ? xfmt("%ju", (uintmax_t)options->seed) : NULL);
    list_add_option(argv, "-o", options->output);
    list_add_option(argv, "--config", options->config_dir);
    list_add_option(argv, "--build", options->build_dir);
    list_add_option(argv, "--lock", options->lock_path);
}

static int watch(const Bisection *b, const StrList *words)
{
    const char **argv = xcalloc(words->count + 1, sizeof *argv);
    for (unsigned i = 0; i < words->count; i++)
        argv[i] = words->items[i];
    int code = command_watched(argv, b->log);
    free(argv);
    return code == 128 + SIGTERM ? CODE_INTERRUPTED : code;
}

// What the newest comparison of a commit found, or NULL.
static char *found_in(const Bisection *b, const char *commit, char **dir)
{
    StrList folders;
    Findings findings;
    char *base = side_revision_name(b->good), *cand = side_revision_name(commit);
    if (!folders_list(b->options.output, &folders)) return NULL;
    for (unsigned i = folders.count; i-- > 0;) {
        if (!folder_has(folders.items[i], VERDICT_FILE) || !verdict_read(folders.items[i], &findings)) continue;
        for (unsigned f = 0; f < findings.count; f++) {
            const Finding *finding = &findings.items[f];
            if (strcmp(finding->base, base) != 0 || strcmp(finding->cand, cand) != 0 ||
                strcmp(finding->cell_id, b->cell_id) != 0 || strcmp(finding->metric, b->options.metric) != 0)
                continue;
            *dir = folders.items[i];
            return verdict_line(finding);
        }
    }
    return NULL;
}

static HzbExit broken(const Bisection *b, const char *what, int code)
{
    hzb_error("%s ended with %d; what it said is in %s", what, code, b->log);
    return HZB_IO;
}

// If the ends did not differ, each answer in between would be chance.
static HzbExit compare_the_ends(const Bisection *b)
{
    StrList words = {0};
    char *dir;
    add_comparison(b, xfmt(REVISION_PREFIX "%s", b->bad), &words);
    int code = watch(b, &words);
    if (code == BISECT_BAD) return HZB_OK;
    if (code == CODE_INTERRUPTED) return (HzbExit)code;
    if (code != BISECT_GOOD && code != BISECT_SKIP) return broken(b, "hzb compare", code);
    const char *line = found_in(b, b->bad, &dir);
    hzb_error("%.10s is not confirmed worse than %.10s: %s", b->bad, b->good, line ? line : "identical");
    return HZB_INCONCLUSIVE;
}

static HzbExit print_first_bad(const Bisection *b, const char *bad)
{
    char *commit, *dir = "", *line = found_in(b, bad, &dir);
    if (git_output(STDERR_SHOWN, &commit, "show", "-s", "--date=short", "--format=%h  %ad  %an%n    %s", "--abbrev=10",
                   bad, NULL) != 0 ||
        !line)
        return HZB_IO;
    printf("The first commit that is worse than %.10s:\n%s\n%s\n%s\n", b->good, commit, line, dir);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}

static HzbExit print_candidates(const Bisection *b)
{
    char *commits;
    if (git_output(STDERR_SHOWN, &commits, "-C", b->tree, "log", "--format=%h  %s", "--abbrev=10", "refs/bisect/bad",
                   "--not", "--glob=refs/bisect/good-*", NULL) != 0)
        return HZB_IO;
    printf("The first commit that is worse than %.10s is one of these. Some gave no answer:\n%s\n", b->good, commits);
    return fflush(stdout) == 0 ? HZB_INCONCLUSIVE : HZB_IO;
}

static HzbExit search(const Bisection *b)
{
    static const char *const git[] = {"git", "-c", "core.hooksPath=/dev/null", "-C"};
    StrList words = {0};
    char *said;
    if (git_output(STDERR_SHOWN, &said, "-C", b->tree, "bisect", "start", b->bad, b->good, NULL) != 0) return HZB_IO;
    for (size_t i = 0; i < sizeof git / sizeof *git; i++)
        list_add(&words, git[i]);
    list_add(&words, b->tree);
    list_add(&words, "bisect");
    list_add(&words, "run");
    add_comparison(b, REVISION_PREFIX "HEAD", &words);
    int code = watch(b, &words);
    if (code == CODE_INTERRUPTED) return (HzbExit)code;
    if (code == GIT_SKIPPED_ALL) return print_candidates(b);
    if (code != 0) return broken(b, "git bisect run", code);
    if (git_output(STDERR_SHOWN, &said, "-C", b->tree, "rev-parse", "refs/bisect/bad", NULL) != 0) return HZB_IO;
    return print_first_bad(b, said);
}

static HzbExit search_in_worktree(const Bisection *b)
{
    if (!git_worktree_add(b->tree, b->bad)) return HZB_IO;
    HzbExit result = search(b);
    git_worktree_remove(b->tree);
    return result;
}

HzbExit command_bisect(const Options *given)
{
    Bisection bisection = {0};
    sigset_t held, before;
    if (!compared_options(given, &bisection.options) || !find_commits(&bisection) || !find_question(&bisection))
        return HZB_USAGE;
    if (!find_places(&bisection)) return HZB_IO;
    // A signal must not end hzb before it has removed the worktree. command_watched() still reacts to it.
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &before);
    HzbExit result = compare_the_ends(&bisection);
    if (result == HZB_OK) result = search_in_worktree(&bisection);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}
