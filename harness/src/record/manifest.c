#include "record/manifest.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/callgrind.h"
#include "base/files.h"
#include "base/host.h"
#include "base/subprocess.h"
#include "base/util.h"

enum { SCHEMA_VERSION = 1 };

// A change of any of these makes figures before and after it incomparable.
static const char *const host_keys[] = {"hostname", "machine_id", "kernel", "arch", "libc", "cpu_model", "cpus", "thp"};

static json_t *texts_to_json(char *const *items, unsigned count)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(array, json_string(items[i]));
    return array;
}

static json_t *arms_to_json(const Experiment *experiment)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < experiment->arm_count; i++) {
        const Arm *arm = &experiment->arms[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s, s:s?, s:b, s:o}", "name", arm->name, "role",
                                        arm->role, "preload", arm->preload, "sha256", arm->sha256, "stats_file_env",
                                        arm->stats_file_env, "build", arm->build, "same_as", arm->same_as, "missing",
                                        arm->missing, "env", texts_to_json(arm->env.items, arm->env.count)));
    }
    return array;
}

static json_t *metrics_to_json(const Workload *workload)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < workload->metrics_count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s}", "name", workload->metrics[i].name, "direction",
                                               workload->metrics[i].direction == DIRECTION_UP ? "up" : "down"));
    return array;
}

static json_t *program_to_json(const Program *program)
{
    return json_pack("{s:s?, s:s, s:s?, s:s?, s:s?, s:s?}", "prepare", program->prepare, "inputs", program->inputs,
                     "stdin", program->stdin_path, "ready", program->ready, "client", program->client, "check",
                     program->check);
}

static json_t *workloads_to_json(const Experiment *experiment)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < experiment->workload_count; i++) {
        const Workload *w = &experiment->workloads[i];
        json_t *object =
            json_pack("{s:s, s:s, s:s, s:b, s:b, s:s?, s:o, s:o}", "name", w->name, "bin", w->bin, "sha256", w->sha256,
                      "missing", w->missing, "allow_fallback", w->allow_fallback, "counter", w->counter, "argv",
                      texts_to_json(w->argv.items, w->argv.count), "metrics", metrics_to_json(w));
        if (w->program) json_object_set_new(object, "program", program_to_json(w->program));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *config_to_json(const Config *config)
{
    const char *paths[] = {config->allocators_path, config->workloads_path, config->matrix_path};
    json_t *array = json_array();
    for (unsigned i = 0; i < 3; i++) {
        char *text = file_text(paths[i]);
        json_array_append_new(
            array, json_pack("{s:s, s:s?, s:s?}", "path", paths[i], "sha256", sha256_of_file(paths[i]), "text", text));
        free(text);
    }
    return array;
}

static json_t *limits_to_json(const Limits *limits)
{
    return json_pack("{s:i, s:f, s:f, s:f, s:b}", "sample_ms", (int)limits->sample_ms, "mem_guard_pct",
                     limits->mem_guard_pct, "steal_max_pct", limits->steal_max_pct, "fallback_max_pct",
                     limits->fallback_max_pct, "probe", limits->probe);
}

static json_t *rule_to_json(const Rule *rule)
{
    json_t *gates = json_array(), *known = json_array(), *cells = json_array();
    for (unsigned i = 0; i < rule->gates_count; i++)
        json_array_append_new(gates, json_pack("{s:s, s:f, s:b}", "metric", rule->gates[i].metric, "threshold_pct",
                                               rule->gates[i].threshold_pct, "exact", rule->gates[i].exact));
    for (unsigned i = 0; i < rule->known_count; i++)
        json_array_append_new(known, json_pack("{s:s, s:s, s:s?, s:s, s:s}", "cell_id", rule->known[i].cell, "metric",
                                               rule->known[i].metric, "cand", rule->known[i].arm, "until",
                                               rule->known[i].until, "why", rule->known[i].why));
    for (unsigned i = 0; i < rule->cells_count; i++)
        json_array_append_new(cells, json_pack("{s:s, s:i, s:i, s:i}", "cell_id", rule->cells[i].cell_id, "rounds_min",
                                               (int)rule->cells[i].min, "rounds_first", (int)rule->cells[i].first,
                                               "rounds_least", (int)rule->cells[i].least));
    return json_pack("{s:o, s:o, s:o, s:f, s:b}", "gates", gates, "known", known, "cells", cells, "budget_s",
                     rule->budget_s, "confirm", rule->confirm);
}

static json_t *derived_to_json(const Experiment *experiment)
{
    json_t *array = json_array();
    for (const CfgDerived *d = experiment->derived; d < experiment->derived + experiment->derived_count; d++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "name", d->name, "expr", d->expr, "direction",
                                               d->direction == DIRECTION_UP ? "up" : "down"));
    return array;
}

static json_t *claims_to_json(const Experiment *experiment)
{
    json_t *array = json_array();
    for (const CfgClaim *c = experiment->claims; c < experiment->claims + experiment->claims_count; c++) {
        json_t *claim = json_pack("{s:s, s:s, s:s, s:s?}", "cell_id", c->cell, "allocator", c->arm, "metric", c->metric,
                                  "vs", c->vs);
        if (c->at_least) json_object_set_new(claim, "at_least", json_real(*c->at_least));
        if (c->at_most) json_object_set_new(claim, "at_most", json_real(*c->at_most));
        json_array_append_new(array, claim);
    }
    return array;
}

static json_t *modes_to_json(const Modes *modes)
{
    json_t *array = json_array();
    for (unsigned m = 0; m < modes->count; m++) {
        const Mode *mode = &modes->items[m];
        json_array_append_new(array, json_pack("{s:f, s:f, s:f, s:i}", "pp_median_ns", mode->median, "pp_lo_ns",
                                               mode->lo, "pp_hi_ns", mode->hi, "probes", (int)mode->n));
    }
    return array;
}

bool manifest_write(const char *dir, const Experiment *experiment, const Config *config, const GitState *git)
{
    assert(experiment->run_id && experiment->arm_count > 0);
    char created[32];
    time_t now = time(NULL);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:s, s:o, s:{s:s, s:b}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
                  SCHEMA_VERSION, "run_id", experiment->run_id, "matrix", experiment->matrix, "created_utc", created,
                  "command_line", texts_to_json(experiment->command_line.items, experiment->command_line.count), "git",
                  "sha", git->sha, "dirty", git->dirty, "host", host_facts(), "limits",
                  limits_to_json(&experiment->limits), "rule", rule_to_json(&experiment->rule), "allocators",
                  arms_to_json(experiment), "workloads", workloads_to_json(experiment), "known_libraries",
                  texts_to_json(experiment->known_libs.items, experiment->known_libs.count), "config",
                  config_to_json(config), "modes", modes_to_json(&experiment->modes_before), "ranking",
                  texts_to_json(experiment->ranking.items, experiment->ranking.count));
    if (root) json_object_set_new(root, "derived", derived_to_json(experiment));
    if (root) json_object_set_new(root, "claims", claims_to_json(experiment));
    char *path = xfmt("%s/manifest.json", dir);
    bool ok = root && json_dump_file(root, path, JSON_INDENT(2) | JSON_DIGITS) == 0;
    if (!ok) hzb_error("%s: cannot be written", path);
    json_decref(root);
    free(path);
    return ok;
}

static char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? xstrdup(text) : NULL;
}

static StrList texts_of(const json_t *object, const char *key)
{
    StrList list = {0};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(object, key), i, item)
    {
        if (json_is_string(item)) list_add(&list, json_string_value(item));
    }
    return list;
}

static bool arm_from_json(const json_t *object, Arm *arm)
{
    *arm = (Arm){.name = text_of(object, "name"),
                 .role = text_of(object, "role"),
                 .preload = text_of(object, "preload"),
                 .sha256 = text_of(object, "sha256"),
                 .stats_file_env = text_of(object, "stats_file_env"),
                 .build = text_of(object, "build"),
                 .same_as = text_of(object, "same_as"),
                 .missing = json_is_true(json_object_get(object, "missing")),
                 .env = texts_of(object, "env")};
    return arm->name && arm->role;
}

static Program *program_from_json(const json_t *object)
{
    if (!object) return NULL;
    Program *program = xcalloc(1, sizeof *program);
    *program = (Program){.prepare = text_of(object, "prepare"),
                         .inputs = text_of(object, "inputs"),
                         .stdin_path = text_of(object, "stdin"),
                         .ready = text_of(object, "ready"),
                         .client = text_of(object, "client"),
                         .check = text_of(object, "check")};
    return program;
}

static bool workload_from_json(const json_t *object, Workload *workload)
{
    json_t *metrics = json_object_get(object, "metrics"), *metric;
    size_t i;
    *workload = (Workload){.name = text_of(object, "name"),
                           .bin = text_of(object, "bin"),
                           .sha256 = text_of(object, "sha256"),
                           .program = program_from_json(json_object_get(object, "program")),
                           .missing = json_is_true(json_object_get(object, "missing")),
                           .argv = texts_of(object, "argv"),
                           .allow_fallback = json_is_true(json_object_get(object, "allow_fallback")),
                           .counter = text_of(object, "counter"),
                           .metrics = xcalloc(json_array_size(metrics), sizeof(CfgMetric)),
                           .metrics_count = (unsigned)json_array_size(metrics)};
    json_array_foreach(metrics, i, metric)
    {
        char *direction = text_of(metric, "direction");
        workload->metrics[i] = (CfgMetric){text_of(metric, "name"),
                                           direction && strcmp(direction, "up") == 0 ? DIRECTION_UP : DIRECTION_DOWN};
        if (!workload->metrics[i].name) return false;
    }
    return workload->name && workload->bin && workload->sha256;
}

static bool lists_from_json(const json_t *root, Experiment *experiment)
{
    json_t *arms = json_object_get(root, "allocators"), *workloads = json_object_get(root, "workloads"), *item;
    size_t i;
    bool ok = true;
    experiment->arms = xcalloc(json_array_size(arms), sizeof(Arm));
    experiment->workloads = xcalloc(json_array_size(workloads), sizeof(Workload));
    json_array_foreach(arms, i, item)
    {
        ok = arm_from_json(item, &experiment->arms[experiment->arm_count++]) && ok;
    }
    json_array_foreach(workloads, i, item)
    {
        ok = workload_from_json(item, &experiment->workloads[experiment->workload_count++]) && ok;
    }
    return ok;
}

static bool known_from_json(const json_t *object, Rule *rule)
{
    json_t *known = json_object_get(object, "known"), *item; // an older hzb knew of nothing
    size_t i;
    rule->known = xcalloc(json_array_size(known), sizeof(CfgKnown));
    json_array_foreach(known, i, item)
    {
        CfgKnown *entry = &rule->known[rule->known_count++];
        *entry = (CfgKnown){text_of(item, "cell_id"), text_of(item, "metric"), text_of(item, "cand"),
                            text_of(item, "until"), text_of(item, "why")};
        if (!entry->cell || !entry->metric || !entry->until || !entry->why) return false;
    }
    return true;
}

static double *number_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    if (!json_is_number(number)) return NULL;
    double *value = xcalloc(1, sizeof *value);
    *value = json_number_value(number);
    return value;
}

// An older hzb had neither.
static bool statements_from_json(const json_t *root, Experiment *experiment)
{
    json_t *derived = json_object_get(root, "derived"), *claims = json_object_get(root, "claims"), *item;
    size_t i;
    bool ok = true;
    experiment->ranking = texts_of(root, "ranking");
    experiment->derived = xcalloc(json_array_size(derived), sizeof *experiment->derived);
    experiment->claims = xcalloc(json_array_size(claims), sizeof *experiment->claims);
    json_array_foreach(derived, i, item)
    {
        CfgDerived *d = &experiment->derived[experiment->derived_count++];
        char *direction = text_of(item, "direction");
        *d = (CfgDerived){text_of(item, "name"), text_of(item, "expr"),
                          direction && strcmp(direction, "up") == 0 ? DIRECTION_UP : DIRECTION_DOWN};
        ok = ok && d->name && d->expr;
        free(direction);
    }
    json_array_foreach(claims, i, item)
    {
        CfgClaim *c = &experiment->claims[experiment->claims_count++];
        *c = (CfgClaim){text_of(item, "cell_id"), text_of(item, "allocator"),  text_of(item, "metric"),
                        text_of(item, "vs"),      number_of(item, "at_least"), number_of(item, "at_most")};
        ok = ok && c->cell && c->arm && c->metric && (c->at_least || c->at_most);
    }
    return ok;
}

// Records from before there were rules have none, which decides nothing.
static bool rule_from_json(const json_t *object, Rule *rule)
{
    json_t *gates = json_object_get(object, "gates"), *cells = json_object_get(object, "cells"), *item;
    size_t i;
    bool ok = true;
    *rule = (Rule){.gates = xcalloc(json_array_size(gates), sizeof(CfgGate)),
                   .cells = xcalloc(json_array_size(cells), sizeof(CellRounds)),
                   .budget_s = json_number_value(json_object_get(object, "budget_s")),
                   .confirm = json_is_true(json_object_get(object, "confirm"))};
    json_array_foreach(gates, i, item)
    {
        CfgGate *gate = &rule->gates[rule->gates_count++];
        *gate = (CfgGate){text_of(item, "metric"), json_number_value(json_object_get(item, "threshold_pct")),
                          json_is_true(json_object_get(item, "exact"))};
        ok = ok && gate->metric;
    }
    json_array_foreach(cells, i, item)
    {
        CellRounds *cell = &rule->cells[rule->cells_count++];
        *cell =
            (CellRounds){text_of(item, "cell_id"), (unsigned)json_integer_value(json_object_get(item, "rounds_min")),
                         (unsigned)json_integer_value(json_object_get(item, "rounds_first")),
                         (unsigned)json_integer_value(json_object_get(item, "rounds_least"))};
        ok = ok && cell->cell_id;
    }
    return ok && known_from_json(object, rule);
}

json_t *manifest_json(const char *dir)
{
    json_error_t error;
    char *path = xfmt("%s/manifest.json", dir);
    json_t *root = json_load_file(path, 0, &error);
    if (!root && error.line > 0) hzb_error("%s:%d:%d: %s", path, error.line, error.column, error.text);
    if (!root && error.line <= 0) hzb_error("%s: %s", dir, error.text);
    free(path);
    return root;
}

Modes manifest_modes(const json_t *root)
{
    const json_t *array = json_object_get(root, "modes"), *item;
    Modes modes = {xcalloc(json_array_size(array), sizeof *modes.items), 0};
    size_t i;
    json_array_foreach(array, i, item)
    {
        Mode mode;
        int probes;
        if (json_unpack((json_t *)item, "{s:F, s:F, s:F, s:i}", "pp_median_ns", &mode.median, "pp_lo_ns", &mode.lo,
                        "pp_hi_ns", &mode.hi, "probes", &probes) != 0)
            continue;
        mode.n = (unsigned)probes;
        modes.items[modes.count++] = mode;
    }
    return modes;
}

// Takes the value.
static bool replace_key(const char *dir, const char *key, json_t *value)
{
    json_t *root = manifest_json(dir);
    char *path = xfmt("%s/manifest.json", dir), *fresh = xfmt("%s.new", path);
    bool ok = root && json_object_set(root, key, value) == 0 &&
              json_dump_file(root, fresh, JSON_INDENT(2) | JSON_DIGITS) == 0 && rename(fresh, path) == 0;
    if (root && !ok) hzb_error("%s: cannot be written", path);
    json_decref(value);
    json_decref(root);
    free(path);
    free(fresh);
    return ok;
}

bool manifest_set_modes(const char *dir, const Modes *modes)
{
    return replace_key(dir, "modes", modes_to_json(modes));
}

ProbesMade manifest_probes(const json_t *root)
{
    const json_t *probes = json_object_get(root, "probes");
    return (ProbesMade){(unsigned)json_integer_value(json_object_get(probes, "made")),
                        (unsigned)json_integer_value(json_object_get(probes, "left_out")),
                        json_number_value(json_object_get(probes, "spent_s")),
                        json_number_value(json_object_get(probes, "of_s"))};
}

bool manifest_add_probes(const char *dir, ProbesMade more)
{
    json_t *root = manifest_json(dir);
    const ProbesMade before = manifest_probes(root);
    json_decref(root);
    if (!root) return false;
    return replace_key(dir, "probes",
                       json_pack("{s:i, s:i, s:f, s:f}", "made", (int)(before.made + more.made), "left_out",
                                 (int)(before.left_out + more.left_out), "spent_s", before.spent_s + more.spent_s,
                                 "of_s", before.of_s + more.of_s));
}

bool manifest_load(const char *dir, Experiment *experiment)
{
    *experiment = (Experiment){0};
    json_t *root = manifest_json(dir);
    if (!root) return false;
    int schema = 0, sample_ms = 0, probe = 0;
    Limits *limits = &experiment->limits;
    bool ok = json_unpack(root, "{s:i, s:{s:i, s:F, s:F, s:F, s?b}}", "schema", &schema, "limits", "sample_ms",
                          &sample_ms, "mem_guard_pct", &limits->mem_guard_pct, "steal_max_pct", &limits->steal_max_pct,
                          "fallback_max_pct", &limits->fallback_max_pct, "probe", &probe) == 0;
    ok = ok && schema == SCHEMA_VERSION && sample_ms > 0 && lists_from_json(root, experiment) &&
         rule_from_json(json_object_get(root, "rule"), &experiment->rule) && statements_from_json(root, experiment);
    limits->sample_ms = (unsigned)sample_ms;
    limits->probe = probe != 0; // an older hzb did not
    experiment->run_id = text_of(root, "run_id");
    experiment->matrix = text_of(root, "matrix");
    experiment->created_utc = text_of(root, "created_utc");
    experiment->known_libs = texts_of(root, "known_libraries");
    experiment->modes_before = manifest_modes(root);
    if (!ok || !experiment->run_id || !experiment->matrix) {
        hzb_error("%s/manifest.json: expected a manifest of schema %d", dir, SCHEMA_VERSION);
        ok = false;
    }
    json_decref(root);
    return ok;
}

static bool file_still_true(const char *what, const char *name, const char *path, const char *sha256, FileId *id)
{
    char *now = file_id(path, id) ? sha256_of_file(path) : NULL;
    if (now && strcmp(now, sha256) == 0) return true;
    hzb_error("%s '%s' (%s): sha256 was %.12s, is %.12s", what, name, path, sha256, now ? now : "unreadable");
    return false;
}

static bool counter_still_true(const Workload *workload)
{
    if (!workload->counter || !*workload->counter) return true;
    char *now = callgrind_version();
    bool same = now && strcmp(now, workload->counter) == 0;
    if (!same)
        hzb_error("workload '%s': %s counted, here is %s", workload->name, workload->counter, now ? now : "none");
    free(now);
    return same;
}

static bool host_still_true(const char *dir)
{
    json_t *root = manifest_json(dir), *facts = host_facts();
    bool same = root != NULL;
    for (size_t i = 0; root && i < sizeof host_keys / sizeof *host_keys; i++) {
        json_t *was = json_object_get(json_object_get(root, "host"), host_keys[i]);
        json_t *is = json_object_get(facts, host_keys[i]);
        if (was && json_equal(was, is)) continue;
        char *was_text = was ? json_dumps(was, JSON_ENCODE_ANY) : NULL, *is_text = json_dumps(is, JSON_ENCODE_ANY);
        hzb_error("host: %s was %s, is %s", host_keys[i], was_text ? was_text : "unknown", is_text);
        free(was_text);
        free(is_text);
        same = false;
    }
    json_decref(root);
    json_decref(facts);
    return same;
}

bool manifest_still_true(const char *dir, const Experiment *experiment)
{
    bool same = host_still_true(dir);
    for (unsigned i = 0; i < experiment->arm_count; i++) {
        Arm *arm = &experiment->arms[i];
        if (arm->preload && !arm->missing)
            same = file_still_true("library", arm->name, arm->preload, arm->sha256, &arm->id) && same;
    }
    for (unsigned i = 0; i < experiment->workload_count; i++) {
        Workload *w = &experiment->workloads[i];
        if (w->missing) continue;
        same = file_still_true("program", w->name, w->bin, w->sha256, &w->id) && counter_still_true(w) && same;
    }
    return same;
}
