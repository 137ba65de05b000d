// `hzb selftest-gate`: runs each candidate of the selftest matrix alone against the base and looks at the exit code of
// the gate. A name that ends in "same" is the base once more and must end clean, every other has a fault planted.
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/subprocess.h"
#include "commands/commands.h"
#include "config/config_load.h"
#include "sweep/pool.h"

static bool ends_clean(const char *name)
{
    size_t length = strlen(name), suffix = strlen("same");
    return length >= suffix && strcmp(name + length - suffix, "same") == 0;
}

static int run_self(StrList *argv, char **said)
{
    const char **words = xcalloc(argv->count + 1, sizeof *words);
    for (unsigned i = 0; i < argv->count; i++)
        words[i] = argv->items[i];
    int code = command_output(words, STDERR_SHOWN, said);
    free(words);
    return code;
}

static const char self[] = "/proc/self/exe"; // the child is this program until it becomes it again

// A child each: a run holds the host's lock until its process ends.
static int measure_and_decide(const Options *options, const char *matrix, const char *base, const char *cand)
{
    char *dir, *said;
    StrList run = {0}, gate = {0};
    list_add(&run, self);
    list_add(&run, "run");
    list_add(&run, matrix);
    list_add_option(&run, "-a", xfmt("^(%s|%s)$", base, cand));
    list_add_option(&run, "-o", options_output(options));
    list_add_option(&run, "--config", options->config_dir);
    list_add_option(&run, "--build", options->build_dir);
    list_add_option(&run, "--lock", options->lock_path);
    int code = run_self(&run, &dir);
    if (code != HZB_OK && code != HZB_BAD_SAMPLES) return code;
    list_add(&gate, self);
    list_add(&gate, "gate");
    list_add(&gate, dir);
    code = run_self(&gate, &said);
    printf("%s\n%s\n", dir, said);
    return code;
}

static bool is_wanted(const Options *options, const char *name)
{
    regex_t regex;
    if (!options->allocator_regex) return true;
    char *whole = whole_match(options->allocator_regex);
    bool compiled = regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) == 0;
    free(whole);
    if (!compiled) return false;
    bool wanted = regexec(&regex, name, 0, NULL, 0) == 0;
    regfree(&regex);
    return wanted;
}

HzbExit command_selftest(const Options *options)
{
    Config config;
    const char *matrix = options->target ? options->target : xfmt("%s/../harness/matrix/selftest.yaml", program_dir());
    if (!config_load(&config, options->config_dir, matrix)) return HZB_USAGE;
    const CfgArms *arms = &config.matrix->arms;
    unsigned wrong = 0, asked = 0;
    if (arms->base_count != 1) {
        hzb_error("%s: expected one base", matrix);
        return HZB_USAGE;
    }
    for (unsigned i = 0; i < arms->cand_count; i++) {
        const char *cand = arms->cand[i];
        if (!is_wanted(options, cand)) continue;
        asked++;
        if (options->pool_dir) {
            if (!pool_replay(&config, options, cand, ends_clean(cand))) return HZB_IO;
            continue;
        }
        int expected = ends_clean(cand) ? HZB_OK : HZB_REGRESSION;
        int code = measure_and_decide(options, matrix, arms->base[0], cand);
        printf("%s: the gate exits %d, expected %d%s\n\n", cand, code, expected, code == expected ? "" : "   WRONG");
        fflush(stdout);
        wrong += code != expected;
    }
    if (asked == 0) hzb_error("-a '%s': matches no candidate of %s", options->allocator_regex, matrix);
    return asked == 0 ? HZB_USAGE : wrong == 0 ? HZB_OK : HZB_REGRESSION;
}
