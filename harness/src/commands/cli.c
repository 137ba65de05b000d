#include "commands/cli.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "config/paths.h"
#include "plan/shard.h"

const char *argp_program_version = "hzb 0.1";

enum {
    KEY_CONFIG = 256,
    KEY_BUILD,
    KEY_PLOTS,
    KEY_LOCK,
    KEY_ALLOCATOR,
    KEY_DRY_RUN,
    KEY_TEST,
    KEY_ROUNDS,
    KEY_SEED,
    KEY_MARKDOWN,
    KEY_SHARD,
    KEY_LANE,
    KEY_REFERENCE,
    KEY_METRIC,
    KEY_STRICT,
    KEY_POOL,
    KEY_JSON,
    KEY_SUMMARY,
    KEY_MATRIX,
    KEY_BISECT,
    KEY_LEAST,
    KEY_NEWEST,
    KEY_ANNOTATE,
    KEY_AGAIN,
    KEY_WAIT_QUIET,
    KEY_KEEP,
    KEY_DAYS,
    KEY_YES,
};

#define OPTIONS_CONFIG                                                                                                 \
    {"config", KEY_CONFIG, "DIR", 0, "Folder of allocators.yaml and workloads.yaml", 1},                               \
    {                                                                                                                  \
        "build", KEY_BUILD, "DIR", 0, "What {build} stands for in them (default: the folder of hzb)", 1                \
    }
#define OPTIONS_CELLS                                                                                                  \
    {"workloads", 'w', "REGEX", 0, "Only cells whose id or workload matches", 2},                                      \
        {"param", 'p', "KEY=VALUE", 0, "Only cells with this parameter; may be given more than once", 2},              \
        {"rounds", KEY_ROUNDS, "N", 0, "Rounds of every cell, instead of the matrix's", 3},                            \
    {                                                                                                                  \
        "seed", KEY_SEED, "N", 0, "Seed of the plan, instead of the matrix's", 3                                       \
    }
#define OPTIONS_SELECT                                                                                                 \
    {"allocators", 'a', "REGEX", 0, "Only these allocators", 2}, OPTIONS_CELLS,                                        \
        {"allocator", KEY_ALLOCATOR, "NAME=PATH", 0, "One more arm: this library", 3},                                 \
        {"shard", KEY_SHARD, "I/N", 0, "Only the I-th of N slices of the cells, for several machines", 3},             \
    {                                                                                                                  \
        "test", KEY_TEST, 0, 0, "One tiny round that verifies and keeps no figures", 3                                 \
    }
#define OPTION_LANE                                                                                                    \
    {                                                                                                                  \
        "lane", KEY_LANE, "LANE", 0, "measure (default), or diag: then count with perf, strace and callgrind", 3       \
    }
#define OPTION_LOCK                                                                                                    \
    {                                                                                                                  \
        "lock", KEY_LOCK, "FILE", 0, "The host's lock (default: /tmp/hzb.lock)", 4                                     \
    }
#define OPTION_WAIT_QUIET                                                                                              \
    {                                                                                                                  \
        "wait-quiet", KEY_WAIT_QUIET, "SECONDS", 0, "Begin when the machine is quiet, or after that time", 3           \
    }

static const struct argp_option plan_options[] = {OPTIONS_CONFIG, OPTIONS_SELECT, {0}};
static const struct argp_option run_options[] = {
    OPTIONS_CONFIG,
    OPTIONS_SELECT,
    OPTION_LANE,
    OPTION_LOCK,
    OPTION_WAIT_QUIET,
    {"dry-run", KEY_DRY_RUN, 0, 0, "Say how many processes and how long; touch nothing", 3},
    {"output", 'o', "DIR", 0, "Make the result folder in DIR (default: results)", 3},
    {0}};
static const struct argp_option resume_options[] = {
    OPTION_LANE,
    OPTION_LOCK,
    OPTION_WAIT_QUIET,
    {"again", KEY_AGAIN, 0, 0, "Measure blocks with disturbed or failed samples again", 3},
    {0}};
static const struct argp_option prune_options[] = {
    {"keep", KEY_KEEP, "N", 0, "Keep the newest N folders of each matrix", 3},
    {"days", KEY_DAYS, "D", 0, "Keep folders of the last D days", 3},
    {"yes", KEY_YES, 0, 0, "Remove; without it only say what would be", 3},
    {"output", 'o', "DIR", 0, "Folder of result folders (default: results)", 3},
    {0}};
static const struct argp_option list_options[] = {OPTIONS_CONFIG, {0}};
static const struct argp_option doctor_options[] = {
    OPTIONS_CONFIG,
    {"json", KEY_JSON, 0, 0, "For programs", 3},
    {"output", 'o', "DIR", 0, "Where earlier runs lie, which tell the machine's modes (default: results)", 3},
    {0}};
static const struct argp_option plot_options[] = {
    {"scripts", KEY_PLOTS, "DIR", 0, "Folder of the gnuplot scripts (default: plots beside hzb's folder)", 3}, {0}};
static const struct argp_option merge_options[] = {{"output", 'o', "DIR", 0, "The new folder", 3}, {0}};
static const struct argp_option history_options[] = {
    {"allocators", 'a', "REGEX", 0, "Only these allocators", 2},
    {"workloads", 'w', "REGEX", 0, "Only these cells", 2},
    {"metric", KEY_METRIC, "COLUMN", 0, "Only this column of runs.csv", 2},
    {"least", KEY_LEAST, "PCT", 0, "changes, trend: levels differ by so much at least (default: 2)", 2},
    {"newest", KEY_NEWEST, "N", 0, "changes: exit 10 for what began within the newest N runs (default: 30)", 2},
    {"reference", KEY_REFERENCE, "NAME", 0, "rebuild: the allocator that ratios are to (default: glibc)", 3},
    {"output", 'o', "DIR", 0, "Where the result folders and the history are (default: results)", 3},
    {"scripts", KEY_PLOTS, "DIR", 0, "Folder of the gnuplot scripts (default: plots beside hzb's folder)", 3},
    {0}};
static const struct argp_option hyperfine_options[] = {
    {"output", 'o', "DIR", 0, "The new folder (default: results/<UTC>_hyperfine)", 3},
    {"scripts", KEY_PLOTS, "DIR", 0, "Folder of the gnuplot scripts (default: plots beside hzb's folder)", 3},
    {0}};
static const struct argp_option export_options[] = {
    {"json", KEY_JSON, 0, 0, "As JSON, with every column", 3},
    {"summary", KEY_SUMMARY, 0, 0, "Median and spread of every column as CSV", 3},
    {"reference", KEY_REFERENCE, "NAME", 0, "With --summary: of the ratio to this allocator, round by round", 3},
    {0}};
static const struct argp_option table_options[] = {
    {"markdown", KEY_MARKDOWN, 0, 0, "For a README", 3},
    {"metric", KEY_METRIC, "COLUMN", 0, "Only the ranking of all allocators by this column", 3},
    {0}};

static const struct argp_option no_options[] = {{0}};
#define OPTION_OUTPUT                                                                                                  \
    {                                                                                                                  \
        "output", 'o', "DIR", 0, "Folder of result folders and baselines (default: results)", 3                        \
    }
static const struct argp_option baseline_options[] = {OPTIONS_CONFIG, OPTION_OUTPUT, {0}};
static const struct argp_option selftest_options[] = {
    OPTIONS_CONFIG,
    OPTION_OUTPUT,
    OPTION_LOCK,
    {"allocators", 'a', "REGEX", 0, "Only these candidates", 2},
    {"rounds", KEY_ROUNDS, "N", 0, "With --pool: runs drawn for each candidate (default: 40)", 3},
    {"pool", KEY_POOL, "RESULTS", 0, "Draw rounds from this record instead of measuring", 3},
    {0}};
#define OPTION_STRICT                                                                                                  \
    {                                                                                                                  \
        "strict", KEY_STRICT, 0, 0, "Exit 11 if a cell is inconclusive", 3                                             \
    }
#define OPTIONS_COMPARE                                                                                                \
    OPTIONS_CONFIG, OPTIONS_CELLS, OPTION_OUTPUT, OPTION_LOCK,                                                         \
        {"matrix", KEY_MATRIX, "FILE", 0, "Whose cells and gates (default: harness/matrix/nightly.yaml)", 2},          \
    {                                                                                                                  \
        "metric", KEY_METRIC, "COLUMN", 0, "Only this gate", 2                                                         \
    }
static const struct argp_option compare_options[] = {
    OPTIONS_COMPARE,
    OPTION_STRICT,
    OPTION_WAIT_QUIET,
    {"dry-run", KEY_DRY_RUN, 0, 0, "Build; say how many processes and how long", 3},
    {"bisect", KEY_BISECT, 0, 0, "Exit as git bisect run wants it: 0 not worse, 1 worse, 125 no answer", 3},
    {"scripts", KEY_PLOTS, "DIR", 0, "Folder of the gnuplot scripts (default: plots beside hzb's folder)", 3},
    {0}};
static const struct argp_option bisect_options[] = {OPTIONS_COMPARE, {0}};
static const struct argp_option claims_options[] = {
    OPTION_STRICT, {"markdown", KEY_MARKDOWN, 0, 0, "For a README", 3}, {0}};
static const struct argp_option gate_options[] = {
    OPTION_STRICT,
    {"annotate", KEY_ANNOTATE, 0, 0, "GitHub's ::error:: and ::warning:: lines, on standard error", 3},
    {0}};

typedef struct Command {
    const char *name;
    const char *args_doc;
    const char *doc;
    const struct argp_option *options;
    HzbExit (*run)(const Options *options);
    bool target_needed, target_allowed;
    bool several; // targets
} Command;

static const Command commands[] = {
    {"plan", "MATRIX", "Print the plan of a matrix as CSV.", plan_options, command_plan, true, true, false},
    {"run", "MATRIX", "Plan a matrix and measure it into a new result folder.", run_options, command_run, true, true,
     false},
    {"resume", "[RESULTS]", "Go on with a plan that was interrupted (default: results/latest).", resume_options,
     command_resume, false, true, false},
    {"prune", "", "Remove old result folders.", prune_options, command_prune, false, false, false},
    {"list", "[MATRIX]", "List allocators, workloads and the cells of a matrix.", list_options, command_list, false,
     true, false},
    {"doctor", "", "Say what about this machine makes figures doubtful.", doctor_options, command_doctor, false, false,
     false},
    {"table", "[RESULTS]", "Print medians per allocator and cell (default: results/latest).", table_options,
     command_table, false, true, false},
    {"plot", "[RESULTS]", "Draw the figures of a result folder (default: results/latest).", plot_options, command_plot,
     false, true, false},
    {"claims", "[RESULTS]", "See which of the matrix's claims the record bears out (default: results/latest).",
     claims_options, command_claims, false, true, false},
    {"stats", "[RESULTS]", "Compare candidates with bases into stats.csv (default: results/latest).", no_options,
     command_stats, false, true, false},
    {"gate", "[RESULTS]",
     "Decide what got worse: stats.csv, verdict.json, junit.xml, exit code (default: results/latest).", gate_options,
     command_gate, false, true, false},
    {"compare", "A B", "Measure B against A and judge it: revisions, allocators, baseline:NAME or libraries.",
     compare_options, command_compare, true, true, true},
    {"bisect", "GOOD BAD", "Find the commit that made a cell's metric worse, with git bisect.", bisect_options,
     command_bisect, true, true, true},
    {"baseline", "[WORD...]",
     "set NAME ALLOCATOR, advance NAME ALLOCATOR [RESULTS], list, rm NAME: keep a library to compare with.",
     baseline_options, command_baseline, false, true, true},
    {"selftest-gate", "[MATRIX]", "See whether the gate finds planted faults, and nothing else.", selftest_options,
     command_selftest, false, true, false},
    {"report", "[RESULTS]", "Write report.html and report.md (default: results/latest).", plot_options, command_report,
     false, true, false},
    {"merge", "-o NEW RESULTS...", "Put the shards of one plan together.", merge_options, command_merge, true, true,
     true},
    {"history", "[list|trend|changes|rebuild|add RESULTS]", "Show what became of figures from run to run.",
     history_options, command_history, false, true, true},
    {"import-hyperfine", "FILE...", "Join and draw what hyperfine measured (see make hyperfine).", hyperfine_options,
     command_import_hyperfine, true, true, true},
    {"export", "[RESULTS]", "Print the samples for benchstat, or as JSON (default: results/latest).", export_options,
     command_export, false, true, false},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

typedef struct Parse {
    const Command *command;
    Options options;
} Parse;

static unsigned count_of(const char *option, const char *text, struct argp_state *state)
{
    uint64_t value;
    if (!parse_u64(text, &value) || value < 1 || value > 10000)
        argp_error(state, "%s '%s': expected a whole number from 1 to 10000", option, text);
    return (unsigned)value;
}

static double percentage_of(const char *option, const char *text, struct argp_state *state)
{
    double value;
    if (!parse_double(text, &value) || !(value > 0 && value < 100))
        argp_error(state, "%s '%s': expected a number above 0 and below 100", option, text);
    return value;
}

// Without `several` a command takes one target at most.
static void set_target(Parse *parse, char *text, struct argp_state *state)
{
    if ((parse->options.target && !parse->command->several) || !parse->command->target_allowed)
        argp_error(state, "unexpected argument '%s'", text);
    if (!parse->options.target) parse->options.target = text;
    list_add(&parse->options.targets, text);
}

// Options that are kept as they are.
static bool parse_plain(int key, char *text, Options *options)
{
    const struct {
        int key;
        const char **text;
        bool *flag;
    } plain[] = {{KEY_CONFIG, &options->config_dir, NULL},
                 {KEY_BUILD, &options->build_dir, NULL},
                 {KEY_PLOTS, &options->plots_dir, NULL},
                 {KEY_LOCK, &options->lock_path, NULL},
                 {KEY_POOL, &options->pool_dir, NULL},
                 {KEY_METRIC, &options->metric, NULL},
                 {KEY_REFERENCE, &options->reference, NULL},
                 {'o', &options->output, NULL},
                 {KEY_MATRIX, &options->matrix, NULL},
                 {KEY_BISECT, NULL, &options->bisect},
                 {'a', &options->allocator_regex, NULL},
                 {'w', &options->cell_regex, NULL},
                 {KEY_DRY_RUN, NULL, &options->dry_run},
                 {KEY_TEST, NULL, &options->test},
                 {KEY_MARKDOWN, NULL, &options->markdown},
                 {KEY_JSON, NULL, &options->json},
                 {KEY_STRICT, NULL, &options->strict},
                 {KEY_SUMMARY, NULL, &options->summary},
                 {KEY_ANNOTATE, NULL, &options->annotate},
                 {KEY_AGAIN, NULL, &options->again},
                 {KEY_YES, NULL, &options->yes}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (plain[i].key != key) continue;
        if (plain[i].text)
            *plain[i].text = text;
        else
            *plain[i].flag = true;
        return true;
    }
    return false;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    Parse *parse = state->input;
    Options *options = &parse->options;
    if (parse_plain(key, text, options)) return 0;
    switch (key) {
    case 'p':
        if (!strchr(text, '=')) argp_error(state, "-p '%s': expected key=value", text);
        list_add(&options->param_filters, text);
        return 0;
    case KEY_ALLOCATOR:
        list_add(&options->extra_arms, text);
        return 0;
    case KEY_ROUNDS:
        options->rounds = count_of("--rounds", text, state);
        return 0;
    case KEY_NEWEST:
        options->newest = count_of("--newest", text, state);
        return 0;
    case KEY_KEEP:
        options->keep = count_of("--keep", text, state);
        return 0;
    case KEY_DAYS:
        options->days = count_of("--days", text, state);
        return 0;
    case KEY_WAIT_QUIET:
        options->wait_quiet_s = count_of("--wait-quiet", text, state);
        return 0;
    case KEY_LEAST:
        options->least_pct = percentage_of("--least", text, state);
        return 0;
    case KEY_SHARD:
        if (!shard_parse(text, &options->shard)) argp_error(state, "--shard '%s': expected I/N, 1/3 to 3/3", text);
        return 0;
    case KEY_LANE:
        options->lane = strcmp(text, "diag") == 0 ? LANE_DIAG : LANE_MEASURE;
        if (options->lane == LANE_MEASURE && strcmp(text, "measure") != 0)
            argp_error(state, "--lane '%s': expected measure or diag", text);
        return 0;
    case KEY_SEED:
        options->seed_given = parse_u64(text, &options->seed);
        if (!options->seed_given) argp_error(state, "--seed '%s': expected a whole number from 0", text);
        return 0;
    case ARGP_KEY_ARG:
        set_target(parse, text, state);
        return 0;
    case ARGP_KEY_END:
        if (parse->command->target_needed && !options->target)
            argp_error(state, "expected %s",
                       parse->command->several ? parse->command->args_doc
                                               : "the name or the path of a matrix, e.g. quick");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_command(const Command *command, int argc, char **argv, const StrList *command_line)
{
    Parse parse = {.command = command, .options = {.command_line = *command_line}};
    const struct argp argp = {command->options, parse_option, command->args_doc, command->doc, NULL, NULL, NULL};
    argv[0] = xfmt("hzb %s", command->name);
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
    Options *options = &parse.options;
    const bool is_matrix = strstr(command->args_doc, "MATRIX") != NULL;
    if (is_matrix && options->target) options->target = matrix_path(options, options->target);
    if (options->matrix) options->matrix = matrix_path(options, options->matrix);
    return (int)command->run(&parse.options);
}

static void print_usage(FILE *out)
{
    fputs("Usage: hzb COMMAND [OPTION...] [ARGUMENT]\n"
          "Measures memory allocators: speed, memory and what they give back.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %s %s\n        %s\n", commands[i].name, commands[i].args_doc, commands[i].doc);
    fputs("\n`hzb COMMAND --help` lists a command's options.\n"
          "Exit codes: 0 clean, 10 regression, 11 inconclusive (gate --strict), 12 bad samples, 13 environment "
          "changed, 64 usage, 70 internal, 74 input/output, 130 interrupted.\n",
          out);
}

static const Command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

int cli_main(int argc, char **argv)
{
    StrList command_line = {0};
    for (int i = 0; i < argc; i++)
        list_add(&command_line, argv[i]);
    const char *name = argc < 2 ? "--help" : argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? HZB_USAGE : HZB_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts(argp_program_version);
        return HZB_OK;
    }
    const Command *command = find_command(name);
    if (!command) {
        hzb_error("no command '%s'; see hzb --help", name);
        return HZB_USAGE;
    }
    if (getenv("LD_PRELOAD") && command->run != command_doctor) {
        hzb_error("LD_PRELOAD is set for hzb itself; name the library in allocators.yaml or with --allocator");
        return HZB_USAGE;
    }
    return run_command(command, argc - 1, argv + 1, &command_line);
}
