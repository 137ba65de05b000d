#include "base/git.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/util.h"

enum { GIT_WORDS_MAX = 16 };

GitState git_state(void)
{
    const char *dir = program_dir();
    const char *head[] = {"git", "-C", dir, "rev-parse", "--short=10", "HEAD", NULL};
    const char *status[] = {"git", "-C", dir, "status", "--porcelain", "--untracked-files=no", NULL};
    char *sha, *changes;
    if (command_output(head, STDERR_DROPPED, &sha) != 0 || !*sha) return (GitState){xstrdup("nogit"), false};
    bool dirty = command_output(status, STDERR_DROPPED, &changes) != 0 || *changes;
    return (GitState){sha, dirty};
}

// A hook or an alias of git sets these for its children. Then git would not look at the folder that it is called in.
static void forget_callers_repository(void)
{
    static const char *const names[] = {"GIT_DIR",        "GIT_WORK_TREE",        "GIT_INDEX_FILE",
                                        "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

int git_output(StderrUse stderr_use, char **said, ...)
{
    // Hooks of the repository are about its owner's work, not about these worktrees.
    const char *argv[GIT_WORDS_MAX + 4] = {"git", "-c", "core.hooksPath=/dev/null"};
    va_list words;
    unsigned argc = 3;
    va_start(words, said);
    for (const char *word; argc < GIT_WORDS_MAX + 3 && (word = va_arg(words, const char *));)
        argv[argc++] = word;
    va_end(words);
    forget_callers_repository();
    return command_output(argv, stderr_use, said);
}

char *git_commit(const char *revision)
{
    char *commit = NULL, *peeled = xfmt("%s^{commit}", revision);
    bool named = revision[0] != '-' && *revision &&
                 git_output(STDERR_DROPPED, &commit, "rev-parse", "--verify", "--quiet", peeled, NULL) == 0;
    free(peeled);
    return named ? commit : NULL;
}

bool git_is_ancestor(const char *older, const char *younger)
{
    char *said;
    return git_output(STDERR_SHOWN, &said, "merge-base", "--is-ancestor", older, younger, NULL) == 0;
}

bool git_worktree_add(const char *path, const char *commit)
{
    char *said = NULL;
    git_worktree_remove(path); // of one that was killed
    bool ok = git_output(STDERR_JOINED, &said, "worktree", "add", "--force", "--detach", path, commit, NULL) == 0;
    if (!ok) hzb_error("git worktree add %s %.10s: %s", path, commit, said ? said : "git cannot be run");
    free(said);
    return ok;
}

void git_worktree_remove(const char *path)
{
    char *said;
    git_output(STDERR_DROPPED, &said, "worktree", "remove", "--force", path, NULL);
    free(said);
    folder_remove(path);
}
