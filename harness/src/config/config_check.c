#include "config/config_check.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "base/expression.h"
#include "base/util.h"
#include "config/columns.h"
#include "config/yamlfile.h"

enum { INHERITS_DEPTH_MAX = 8, ROUNDS_MAX = 10000, SAMPLE_MS_MAX = 60000 };

static bool check_name(const char *path, const char *what, const char *name)
{
    if (config_name_is_plain(name)) return true;
    yaml_error_at(path, name, "%s '%s': expected letters, digits, '_', '.', '-'", what, name);
    return false;
}

// `key=value` without blanks, as they are joined by blanks in plan.csv.
static bool check_pair(const char *path, const char *entry)
{
    const char *equals = strchr(entry, '=');
    bool ok = equals && equals > entry;
    for (const char *c = entry; ok && *c; c++)
        ok = !isspace((unsigned char)*c);
    if (!ok) yaml_error_at(path, entry, "'%s': expected key=value without blanks", entry);
    return ok;
}

static bool check_pairs(const char *path, char **entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!check_pair(path, entries[i])) return false;
    return true;
}

static bool pairs_have(char **entries, unsigned count, const char *key, size_t key_length)
{
    for (unsigned i = 0; i < count; i++)
        if (strncmp(entries[i], key, key_length) == 0 && entries[i][key_length] == '=') return true;
    return false;
}

static bool check_env(const char *path, const CfgAllocator *allocator)
{
    for (unsigned i = 0; i < allocator->env_count; i++) {
        const char *entry = allocator->env[i];
        if (!strchr(entry, '=') || entry[0] == '=') {
            yaml_error_at(path, entry, "env '%s' of allocator '%s': expected NAME=value", entry, allocator->name);
            return false;
        }
        if (pair_value(entry, "LD_PRELOAD") || strncmp(entry, "HZB_", 4) == 0) {
            yaml_error_at(path, entry, "env '%s' of allocator '%s': hzb sets this one itself", entry, allocator->name);
            return false;
        }
    }
    return true;
}

static bool check_inherits(const Config *config, const CfgAllocator *allocator)
{
    const CfgAllocator *at = allocator;
    for (int depth = 0; at->inherits; depth++) {
        const CfgAllocator *next = config_allocator(config, at->inherits);
        if (!next || depth == INHERITS_DEPTH_MAX) {
            yaml_error_at(config->allocators_path, at->inherits, "allocator '%s' inherits '%s': %s", at->name,
                          at->inherits, next ? "the chain is circular or too long" : "no allocator of that name");
            return false;
        }
        at = next;
    }
    return true;
}

static bool check_allocators(const Config *config)
{
    const char *path = config->allocators_path;
    for (unsigned i = 0; i < config->allocators->allocators_count; i++) {
        const CfgAllocator *allocator = &config->allocators->allocators[i];
        if (!check_name(path, "allocator", allocator->name)) return false;
        if (config_allocator(config, allocator->name) != allocator) {
            yaml_error_at(path, allocator->name, "allocator '%s' is there twice", allocator->name);
            return false;
        }
        if (allocator->build_defs && allocator->preload) {
            yaml_error_at(path, allocator->build_defs, "allocator '%s': expected build_defs or preload, not both",
                          allocator->name);
            return false;
        }
        if (!check_env(path, allocator) || !check_inherits(config, allocator)) return false;
    }
    return true;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

// Every {placeholder} must name a parameter.
static bool check_argv(const char *path, const CfgWorkload *workload)
{
    for (unsigned i = 0; i < workload->argv_count; i++) {
        for (const char *open = strchr(workload->argv[i], '{'); open; open = strchr(open + 1, '{')) {
            size_t length = strcspn(open + 1, "}");
            bool known =
                open[1 + length] == '}' && (is_word(open + 1, length, "seed") || is_word(open + 1, length, "inputs") ||
                                            pairs_have(workload->params, workload->params_count, open + 1, length) ||
                                            pairs_have(workload->fixed, workload->fixed_count, open + 1, length));
            if (known) continue;
            yaml_error_at(path, workload->argv[i], "argv '%s' of workload '%s': expected {seed} or {name} of a param",
                          workload->argv[i], workload->name);
            return false;
        }
    }
    return true;
}

static bool check_program(const char *path, const CfgWorkload *w)
{
    const bool is_server = w->ready || w->client;
    const bool has_keys = w->prepare || w->stdin_path || is_server || w->check || w->needs_count || w->optional;
    const char *fault = w->protocol == PROTOCOL_HZB1 && has_keys
                            ? "prepare, stdin, ready, client, check, needs and optional need 'protocol: none'"
                        : is_server && !(w->ready && w->client) ? "a server needs both ready and client"
                        : w->check && !is_server ? "check is about a server; of others stdout is compared"
                        : w->protocol == PROTOCOL_NONE && (w->instructions || w->allow_fallback)
                            ? "instructions and allow_fallback need a program that speaks HZB1"
                            : NULL;
    if (fault) yaml_error_at(path, w->name, "workload '%s': %s", w->name, fault);
    return !fault;
}

static bool check_metrics(const char *path, const CfgWorkload *workload)
{
    for (unsigned i = 0; i < workload->metrics_count; i++) {
        const char *name = workload->metrics[i].name, *fault = NULL;
        if (run_column(name) < 0)
            fault = "expected a column of runs.csv";
        else if (workload->instructions != (run_column(name) == RUN_instructions))
            fault = "expected instructions alone with 'instructions: true', and not without it";
        if (!fault) continue;
        yaml_error_at(path, name, "metric '%s' of workload '%s': %s", name, workload->name, fault);
        return false;
    }
    return true;
}

// Entries that set parameters must name those that exist and are not fixed.
static bool check_settings(const char *path, const char *who, const CfgWorkload *workload, char **entries,
                           unsigned count)
{
    if (!check_pairs(path, entries, count)) return false;
    for (unsigned i = 0; i < count; i++) {
        size_t length = strcspn(entries[i], "=");
        if (pairs_have(workload->params, workload->params_count, entries[i], length)) continue;
        bool fixed = pairs_have(workload->fixed, workload->fixed_count, entries[i], length);
        yaml_error_at(path, entries[i], "'%s' in %s: workload '%s' %s", entries[i], who, workload->name,
                      fixed ? "keeps that parameter fixed" : "has no such parameter");
        return false;
    }
    return true;
}

static bool check_workloads(const Config *config)
{
    const char *path = config->workloads_path;
    for (unsigned i = 0; i < config->workloads->workloads_count; i++) {
        const CfgWorkload *w = &config->workloads->workloads[i];
        if (!check_name(path, "workload", w->name)) return false;
        if (config_workload(config, w->name) != w) {
            yaml_error_at(path, w->name, "workload '%s' is there twice", w->name);
            return false;
        }
        if (!(w->timeout_s > 0 && w->timeout_s <= SECONDS_MAX)) {
            yaml_error_at(path, w->name, "timeout_s %g of workload '%s': expected more than 0, at most %g",
                          w->timeout_s, w->name, SECONDS_MAX);
            return false;
        }
        if (!check_pairs(path, w->params, w->params_count) || !check_pairs(path, w->fixed, w->fixed_count) ||
            !check_settings(path, "test_params", w, w->test_params, w->test_params_count) || !check_argv(path, w) ||
            !check_metrics(path, w) || !check_program(path, w))
            return false;
    }
    return true;
}

static bool check_arms(const Config *config)
{
    const CfgArms *arms = &config->matrix->arms;
    char *const *const lists[] = {arms->base, arms->cand, arms->refs, arms->aa};
    const unsigned counts[] = {arms->base_count, arms->cand_count, arms->refs_count, arms->aa_count};
    StrList seen = {0}, seen_aa = {0}; // an A/A arm is another one once more
    for (unsigned l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (unsigned i = 0; i < counts[l]; i++) {
            const char *name = lists[l][i];
            bool pinned = strncmp(name, BASELINE_PREFIX, strlen(BASELINE_PREFIX)) == 0;
            StrList *group = lists[l] == arms->aa ? &seen_aa : &seen;
            const char *fault = !pinned && !config_allocator(config, name)
                                    ? "no allocator of that name in allocators.yaml"
                                : list_has(group, name) ? "is there twice"
                                                        : NULL;
            if (fault) {
                yaml_error_at(config->matrix_path, name, "arm '%s': %s", name, fault);
                list_free(&seen);
                list_free(&seen_aa);
                return false;
            }
            list_add(group, name);
        }
    }
    bool any = seen.count + seen_aa.count > 0;
    list_free(&seen);
    list_free(&seen_aa);
    if (!any) yaml_error_at(config->matrix_path, "arms", "'arms' names no allocator");
    return any;
}

// Threads that wait for each other do so by the clock: their instructions are another number in every run.
static bool check_counted(const char *path, const CfgCell *cell, const CfgWorkload *workload)
{
    const StrList lists[] = {{workload->fixed, workload->fixed_count},
                             {cell->params, cell->params_count},
                             {workload->params, workload->params_count}};
    const char *threads = NULL;
    for (unsigned i = 0; i < 3 && !threads; i++)
        threads = pairs_find(&lists[i], "threads");
    if (!workload->instructions || !threads || strcmp(threads, "1") == 0) return true;
    yaml_error_at(path, cell->id, "cell '%s': threads=%s, expected 1 as workload '%s' counts instructions", cell->id,
                  threads, workload->name);
    return false;
}

static bool check_cell(const Config *config, const CfgCell *cell)
{
    const char *path = config->matrix_path;
    if (!check_name(path, "cell", cell->id)) return false;
    for (const CfgCell *other = config->matrix->cells; other < cell; other++) {
        if (strcmp(other->id, cell->id) != 0) continue;
        yaml_error_at(path, cell->id, "cell '%s' is there twice", cell->id);
        return false;
    }
    const CfgWorkload *workload = config_workload(config, cell->workload);
    if (!workload) {
        yaml_error_at(path, cell->workload, "workload '%s' of cell '%s': not in workloads.yaml", cell->workload,
                      cell->id);
        return false;
    }
    if (cell->rounds < 1 || cell->rounds > ROUNDS_MAX || !(cell->expect_s > 0 && cell->expect_s <= SECONDS_MAX)) {
        yaml_error_at(path, cell->id,
                      "cell '%s': rounds %u, expect_s %g: expected 1..%d rounds and a time above 0, at most %g",
                      cell->id, cell->rounds, cell->expect_s, ROUNDS_MAX, SECONDS_MAX);
        return false;
    }
    return check_settings(path, cell->id, workload, cell->params, cell->params_count) &&
           check_counted(path, cell, workload);
}

static bool some_cell_has(const Config *config, const char *metric)
{
    for (unsigned c = 0; c < config->matrix->cells_count; c++) {
        const CfgWorkload *workload = config_workload(config, config->matrix->cells[c].workload);
        for (unsigned m = 0; m < workload->metrics_count; m++)
            if (strcmp(workload->metrics[m].name, metric) == 0) return true;
    }
    return false;
}

static bool check_gate(const Config *config, const CfgGate *gate)
{
    const char *path = config->matrix_path, *fault = NULL;
    if (run_column(gate->metric) < 0) fault = "expected a column of runs.csv";
    for (const CfgGate *other = config->matrix->gates; !fault && other < gate; other++)
        if (strcmp(other->metric, gate->metric) == 0) fault = "is there twice";
    bool limited = gate->threshold_pct > 0 && gate->threshold_pct < 100;
    if (!fault && (gate->exact ? gate->threshold_pct != 0 : !limited))
        fault = "expected either threshold_pct above 0 and below 100, or exact: true";
    if (!fault && !gate->exact && !some_cell_has(config, gate->metric)) fault = "no cell's workload has this metric";
    if (fault) yaml_error_at(path, gate->metric, "gate '%s': %s", gate->metric, fault);
    return !fault;
}

static bool check_gates(const Config *config)
{
    const CfgMatrix *m = config->matrix;
    for (unsigned i = 0; i < m->gates_count; i++)
        if (!check_gate(config, &m->gates[i])) return false;
    unsigned most = 0;
    for (unsigned i = 0; i < m->cells_count; i++)
        if (m->cells[i].rounds > most) most = m->cells[i].rounds;
    const char *fault = m->gates_count > 0 && m->arms.base_count == 0 ? "a base among the arms"
                        : m->rounds_max > 0 && m->rounds_max < most   ? "rounds_max of at least the rounds of each cell"
                        : m->rounds_max > ROUNDS_MAX                  ? "rounds_max of 1..10000"
                        : !(m->budget_s >= 0 && m->budget_s <= SECONDS_MAX) ? "a budget_s of 0 or more, at most 1e+07"
                        : m->gates_count == 0 && (m->confirm || m->rounds_max > 0 || m->budget_s > 0)
                            ? "gates, which rounds_max, budget_s and confirm are about"
                            : NULL;
    if (fault) yaml_error_at(config->matrix_path, "gates", "expected %s", fault);
    return !fault;
}

// Any values will do that are not the same, so that a difference of two columns may be divided by.
static bool column_lookup(const void *context, const char *name, double *value)
{
    (void)context;
    *value = run_column(name) + 1.5;
    return run_column(name) >= 0;
}

static bool check_derived(const Config *config)
{
    const CfgMatrix *m = config->matrix;
    for (unsigned i = 0; i < m->derived_count; i++) {
        const CfgDerived *d = &m->derived[i];
        double value;
        const char *place, *fault = NULL;
        if (!check_name(config->matrix_path, "derived metric", d->name)) return false;
        const ExpressionEnd end = expression_value(d->expr, column_lookup, NULL, &value, &place);
        if (end == EXPRESSION_FAULTY) fault = "expected columns, numbers, + - * / and parentheses";
        if (end == EXPRESSION_UNKNOWN) fault = "expected columns of runs.csv";
        for (const CfgDerived *other = m->derived; other < d; other++)
            if (strcmp(other->name, d->name) == 0) fault = "is there twice";
        if (run_column(d->name) >= 0) fault = "is a column of runs.csv";
        if (!fault) continue;
        yaml_error_at(config->matrix_path, d->name, "derived metric '%s' (%s): %s", d->name, d->expr, fault);
        return false;
    }
    return true;
}

static bool is_figure(const CfgMatrix *matrix, const char *metric)
{
    for (unsigned i = 0; i < matrix->derived_count; i++)
        if (strcmp(matrix->derived[i].name, metric) == 0) return true;
    return run_column(metric) >= 0;
}

static bool is_arm(const CfgMatrix *matrix, const char *name)
{
    const StrList lists[] = {{matrix->arms.base, matrix->arms.base_count},
                             {matrix->arms.cand, matrix->arms.cand_count},
                             {matrix->arms.refs, matrix->arms.refs_count}};
    return list_has(&lists[0], name) || list_has(&lists[1], name) || list_has(&lists[2], name);
}

static bool check_ranking(const Config *config)
{
    const CfgMatrix *m = config->matrix;
    for (unsigned i = 0; i < m->ranking_count; i++) {
        if (some_cell_has(config, m->ranking[i])) continue;
        yaml_error_at(config->matrix_path, m->ranking[i], "ranking '%s': no cell's workload has this metric",
                      m->ranking[i]);
        return false;
    }
    return true;
}

static bool is_day(const char *text)
{
    struct tm day = {0}, real;
    const char *end = strlen(text) == strlen("YYYY-MM-DD") ? strptime(text, "%Y-%m-%d", &day) : NULL;
    if (!end || *end) return false;
    real = day; // timegm() makes the 31st of a short month the 1st of the next
    return timegm(&real) != -1 && real.tm_mday == day.tm_mday && real.tm_mon == day.tm_mon;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text)) return false;
    return true;
}

static const CfgCell *cell_of(const CfgMatrix *matrix, const char *id)
{
    for (unsigned i = 0; i < matrix->cells_count; i++)
        if (strcmp(matrix->cells[i].id, id) == 0) return &matrix->cells[i];
    return NULL;
}

static bool is_cand(const CfgMatrix *matrix, const char *name)
{
    const StrList cands = {matrix->arms.cand, matrix->arms.cand_count};
    return list_has(&cands, name);
}

static bool is_gated(const CfgMatrix *matrix, const char *metric)
{
    for (unsigned i = 0; i < matrix->gates_count; i++)
        if (strcmp(matrix->gates[i].metric, metric) == 0) return true;
    return false;
}

static bool same_known(const CfgKnown *a, const CfgKnown *b)
{
    bool same_arm = !a->arm || !b->arm || strcmp(a->arm, b->arm) == 0;
    return same_arm && strcmp(a->cell, b->cell) == 0 && strcmp(a->metric, b->metric) == 0;
}

static bool check_known(const Config *config, const CfgKnown *known)
{
    const CfgMatrix *m = config->matrix;
    const char *what = known->cell, *fault = NULL;
    if (!cell_of(m, known->cell))
        fault = "no cell of that id";
    else if (!is_gated(m, what = known->metric))
        fault = "no gate of that metric";
    else if (known->arm && !is_cand(m, what = known->arm))
        fault = "no candidate of that name";
    else if (!is_day(what = known->until))
        fault = "expected a day, YYYY-MM-DD";
    else if (!is_one_line(what = known->why))
        fault = "expected one line";
    for (const CfgKnown *other = m->known; !fault && other < known; other++)
        if (same_known(other, known)) what = known->cell, fault = "this metric is there twice";
    if (fault) yaml_error_at(config->matrix_path, what, "known '%s': %s", what, fault);
    return !fault;
}

static bool check_claims(const Config *config)
{
    const CfgMatrix *m = config->matrix;
    for (unsigned i = 0; i < m->claims_count; i++) {
        const CfgClaim *claim = &m->claims[i];
        const char *what = claim->cell, *fault = NULL;
        if (!cell_of(m, claim->cell))
            fault = "no cell of that id";
        else if (!is_arm(m, what = claim->arm))
            fault = "no arm of that name";
        else if (!is_figure(m, what = claim->metric))
            fault = "expected a column of runs.csv or a derived metric";
        else if (claim->vs && strcmp(claim->vs, "best_ref") != 0 && !is_arm(m, what = claim->vs))
            fault = "expected best_ref or an arm";
        else if (!claim->at_least && !claim->at_most)
            what = claim->cell, fault = "expected at_least or at_most";
        if (!fault) continue;
        yaml_error_at(config->matrix_path, what, "claim '%s': %s", what, fault);
        return false;
    }
    return true;
}

static bool check_matrix(const Config *config)
{
    const CfgMatrix *m = config->matrix;
    if (!check_name(config->matrix_path, "matrix", m->name) || !check_arms(config)) return false;
    if (!(m->mem_guard_pct >= 0 && m->mem_guard_pct <= 100) || !(m->steal_max_pct >= 0 && m->steal_max_pct <= 100)) {
        bool guard = !(m->mem_guard_pct >= 0 && m->mem_guard_pct <= 100);
        yaml_error_at(config->matrix_path, guard ? "mem_guard_pct" : "steal_max_pct", "%s %g: expected 0..100",
                      guard ? "mem_guard_pct" : "steal_max_pct", guard ? m->mem_guard_pct : m->steal_max_pct);
        return false;
    }
    if (m->sample_ms > SAMPLE_MS_MAX) {
        yaml_error_at(config->matrix_path, "sample_ms", "sample_ms %u: expected 1..%d", m->sample_ms, SAMPLE_MS_MAX);
        return false;
    }
    for (unsigned i = 0; i < m->cells_count; i++)
        if (!check_cell(config, &m->cells[i])) return false;
    if (!check_gates(config) || !check_ranking(config) || !check_derived(config) || !check_claims(config)) return false;
    for (unsigned i = 0; i < m->known_count; i++)
        if (!check_known(config, &m->known[i])) return false;
    return true;
}

bool config_check(const Config *config)
{
    return check_allocators(config) && check_workloads(config) && (!config->matrix || check_matrix(config));
}
