#include "config/experiment.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/callgrind.h"
#include "base/subprocess.h"
#include "config/arm_find.h"
#include "config/paths.h"
#include "config/side.h"

enum { SAMPLE_MS_DEFAULT = 10, MEM_GUARD_PCT_DEFAULT = 75, STEAL_MAX_PCT_DEFAULT = 2 };
static const double fallback_max_pct = 0.1;

char *workload_path(const Config *config, const Options *options, const CfgWorkload *workload)
{
    const bool is_name = workload->protocol == PROTOCOL_NONE && !strchr(workload->bin, '/');
    char *found = is_name ? program_in_path(workload->bin) : NULL;
    if (is_name) return found ? found : xstrdup(workload->bin);
    return config_path(config->workloads_path, options, workload->bin);
}

static char *copy_of(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static Program *program_of(const Options *options, const CfgWorkload *from)
{
    if (from->protocol != PROTOCOL_NONE) return NULL;
    Program *program = xcalloc(1, sizeof *program);
    *program = (Program){.prepare = copy_of(from->prepare),
                         .inputs = xfmt("%s/inputs/%s", options_build_dir(options), from->name),
                         .stdin_path = copy_of(from->stdin_path),
                         .ready = copy_of(from->ready),
                         .client = copy_of(from->client),
                         .check = copy_of(from->check)};
    return program;
}

static bool add_arm(Experiment *experiment, Arm *arm, const char *role, const regex_t *wanted)
{
    if (wanted && regexec(wanted, arm->name, 0, NULL, 0) != 0) return true;
    assert(arm->name && *role);
    arm->role = xstrdup(role);
    if (arm->preload && arm->preload[strcspn(arm->preload, " \t:")]) {
        hzb_error("allocator '%s': '%s': LD_PRELOAD takes no path with a blank or a colon; put it elsewhere", arm->name,
                  arm->preload);
        return false;
    }
    if (arm->preload && !arm->missing) {
        bool stamped = file_id(arm->preload, &arm->id);
        arm->sha256 = sha256_of_file(arm->preload);
        if (!stamped || !arm->sha256) {
            hzb_error("allocator '%s': cannot read '%s'", arm->name, arm->preload);
            return false;
        }
    }
    arm->build = arm_build(arm);
    if (arm->missing) hzb_note("allocator '%s' is not installed; it is optional and will be skipped", arm->name);
    experiment->arms = xrealloc(experiment->arms, experiment->arm_count + 1, sizeof *experiment->arms);
    experiment->arms[experiment->arm_count++] = *arm;
    return true;
}

// The two sides of a comparison replace the arms of the matrix.
static bool add_sides(const Config *config, const Options *options, Experiment *experiment)
{
    static const char *const roles[] = {"base", "cand"};
    for (unsigned i = 0; i < options->sides.count; i++) // before anything is built
        if (!side_is_clear(config, options->sides.items[i])) return false;
    for (unsigned i = 0; i < options->sides.count; i++) {
        Arm arm;
        if (!side_find(config, options, options->sides.items[i], &arm) || !add_arm(experiment, &arm, roles[i], NULL))
            return false;
    }
    return true;
}

static bool add_arms(const Config *config, const Options *options, Experiment *experiment, const regex_t *wanted)
{
    const CfgArms *arms = &config->matrix->arms;
    if (options->sides.count > 0) return add_sides(config, options, experiment);
    const struct {
        char **names;
        unsigned count;
        const char *role;
    } lists[] = {{arms->base, arms->base_count, "base"},
                 {arms->cand, arms->cand_count, "cand"},
                 {arms->refs, arms->refs_count, "ref"},
                 {arms->aa, arms->aa_count, "aa"}};
    for (unsigned l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (unsigned i = 0; i < lists[l].count; i++) {
            Arm arm;
            if (wanted && regexec(wanted, lists[l].names[i], 0, NULL, 0) != 0) continue;
            if (!arm_find(config, options, lists[l].names[i], &arm)) return false;
            if (lists[l].names == arms->aa) arm.name = xfmt("aa:%s", arm.name);
            if (!add_arm(experiment, &arm, lists[l].role, NULL)) return false; // an A/A arm goes with its base
        }
    }
    return true;
}

// A/A arms are the same on purpose and do run. So does a candidate that is the same as one of several bases, for the
// others' sake.
static void find_identical(Experiment *experiment)
{
    for (unsigned c = 0; c < experiment->arm_count; c++) {
        Arm *cand = &experiment->arms[c];
        const Arm *first = NULL;
        bool all = strcmp(cand->role, "cand") == 0 && !cand->missing;
        for (unsigned b = 0; b < experiment->arm_count; b++) {
            const Arm *base = &experiment->arms[b];
            if (strcmp(base->role, "base") != 0) continue;
            if (!first) first = base;
            all = all && !base->missing && arms_are_same(cand, base);
        }
        if (!all || !first) continue;
        cand->same_as = xstrdup(first->name);
        hzb_note("allocator '%s' is '%s' (same library and environment): not run", cand->name, first->name);
    }
}

// --allocator name=/path/lib.so
static bool add_extra_arms(const Options *options, Experiment *experiment, const regex_t *wanted)
{
    for (unsigned i = 0; i < options->extra_arms.count; i++) {
        const char *entry = options->extra_arms.items[i], *equals = strchr(entry, '=');
        if (!equals || equals == entry || !equals[1]) {
            hzb_error("--allocator '%s': expected name=/path/lib.so", entry);
            return false;
        }
        Arm arm = {.name = xfmt("%.*s", (int)(equals - entry), entry)};
        if (!config_name_is_plain(arm.name)) {
            hzb_error("--allocator '%s': expected a name of letters, digits, '_', '.', '-'", arm.name);
            return false;
        }
        arm.preload = readable_path(equals + 1);
        if (!arm.preload) {
            hzb_error("--allocator '%s': no readable library '%s'", arm.name, equals + 1);
            return false;
        }
        if (!file_begins_with(arm.preload, "\177ELF")) {
            hzb_error("--allocator '%s': '%s' is no ELF file, expected a shared library", arm.name, arm.preload);
            return false;
        }
        if (experiment_arm(experiment, arm.name)) {
            hzb_error("--allocator '%s': the matrix has an allocator of that name", arm.name);
            return false;
        }
        if (!add_arm(experiment, &arm, "cand", wanted)) return false;
    }
    return true;
}

// The first program that is not there, NULL if all are.
static const char *missing_program(const CfgWorkload *from, const char *path, const Workload *workload)
{
    if (!workload->sha256) return path;
    for (unsigned i = 0; i < from->needs_count; i++)
        if (!program_is_there(from->needs[i])) return from->needs[i];
    return NULL;
}

static bool add_workloads(const Config *config, const Options *options, Experiment *experiment)
{
    for (unsigned i = 0; i < config->matrix->cells_count; i++) {
        const CfgWorkload *from = config_workload(config, config->matrix->cells[i].workload);
        if (experiment_workload(experiment, from->name)) continue;
        char *path = workload_path(config, options, from), *real = readable_path(path);
        Workload workload = {.name = xstrdup(from->name),
                             .bin = from->protocol == PROTOCOL_NONE ? path : real,
                             .program = program_of(options, from),
                             .argv = {from->argv, from->argv_count},
                             .allow_fallback = from->allow_fallback,
                             .metrics = from->metrics,
                             .metrics_count = from->metrics_count};
        bool ok = real && access(real, X_OK) == 0 && file_id(real, &workload.id);
        workload.sha256 = ok ? sha256_of_file(real) : NULL;
        const char *missing = missing_program(from, path, &workload);
        if (missing && !from->optional) {
            hzb_error("workload '%s': no program '%s'; build it with make, or see --build", from->name, missing);
            return false;
        }
        if (missing) {
            hzb_note("workload '%s': no program '%s'; it is optional and will be skipped", from->name, missing);
            workload.missing = true;
            if (!workload.sha256) workload.sha256 = xstrdup("");
        }
        if (from->instructions && !(workload.counter = callgrind_version())) workload.counter = xstrdup("");
        experiment->workloads =
            xrealloc(experiment->workloads, experiment->workload_count + 1, sizeof *experiment->workloads);
        experiment->workloads[experiment->workload_count++] = workload;
    }
    return true;
}

static void collect_known_libs(const Config *config, const Options *options, Experiment *experiment)
{
    for (unsigned i = 0; i < config->allocators->allocators_count; i++) {
        const char *preload = config->allocators->allocators[i].preload;
        char *path = preload ? library_find(config, options, preload) : NULL;
        if (path && !list_has(&experiment->known_libs, path)) list_add(&experiment->known_libs, path);
    }
    for (unsigned i = 0; i < experiment->arm_count; i++) {
        const char *path = experiment->arms[i].missing ? NULL : experiment->arms[i].preload;
        if (path && !list_has(&experiment->known_libs, path)) list_add(&experiment->known_libs, path);
    }
}

static Limits limits_of(const CfgMatrix *matrix)
{
    return (Limits){
        .sample_ms = matrix->sample_ms ? matrix->sample_ms : SAMPLE_MS_DEFAULT,
        .mem_guard_pct = matrix->mem_guard_pct > 0 ? matrix->mem_guard_pct : MEM_GUARD_PCT_DEFAULT,
        .steal_max_pct = matrix->steal_max_pct > 0 ? matrix->steal_max_pct : STEAL_MAX_PCT_DEFAULT,
        .fallback_max_pct = fallback_max_pct,
        .probe = !matrix->probe || *matrix->probe,
    };
}

// What a matrix says about its own arms.
static void take_statements(const CfgMatrix *matrix, Experiment *experiment)
{
    for (unsigned i = 0; i < matrix->ranking_count; i++)
        list_add(&experiment->ranking, matrix->ranking[i]);
    experiment->derived = matrix->derived;
    experiment->derived_count = matrix->derived_count;
    experiment->claims = matrix->claims;
    experiment->claims_count = matrix->claims_count;
}

bool experiment_make(const Config *config, const Options *options, Experiment *experiment)
{
    assert(config->matrix);
    regex_t regex, *wanted = NULL;
    *experiment = (Experiment){.matrix = xstrdup(options->sides.count > 0 ? "compare" : config->matrix->name),
                               .limits = limits_of(config->matrix),
                               .command_line = options->command_line};
    if (options->allocator_regex) {
        char *whole = whole_match(options->allocator_regex);
        bool compiled = regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) == 0;
        free(whole);
        if (!compiled) {
            hzb_error("-a '%s': not a regular expression", options->allocator_regex);
            return false;
        }
        wanted = &regex;
    }
    bool ok = add_arms(config, options, experiment, wanted) && add_extra_arms(options, experiment, wanted) &&
              add_workloads(config, options, experiment);
    if (wanted) regfree(wanted);
    if (!ok) return false;
    if (experiment->arm_count == 0) hzb_error("-a '%s': matches no arm of the matrix", options->allocator_regex);
    collect_known_libs(config, options, experiment);
    if (options->sides.count == 0) take_statements(config->matrix, experiment);
    find_identical(experiment);
    return experiment->arm_count > 0;
}

const Arm *experiment_arm(const Experiment *experiment, const char *name)
{
    for (unsigned i = 0; i < experiment->arm_count; i++)
        if (strcmp(experiment->arms[i].name, name) == 0) return &experiment->arms[i];
    return NULL;
}

const CellRounds *experiment_rounds(const Experiment *experiment, const char *cell_id)
{
    for (unsigned i = 0; i < experiment->rule.cells_count; i++)
        if (strcmp(experiment->rule.cells[i].cell_id, cell_id) == 0) return &experiment->rule.cells[i];
    return NULL;
}

const Workload *experiment_workload(const Experiment *experiment, const char *name)
{
    for (unsigned i = 0; i < experiment->workload_count; i++)
        if (strcmp(experiment->workloads[i].name, name) == 0) return &experiment->workloads[i];
    return NULL;
}
