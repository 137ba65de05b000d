#include "plan/plan.h"

#include <assert.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/util.h"

enum { ENV_PAD_MAX_BYTES = 4096 };

static const char *const plan_columns[] = {"seq",       "round", "slot", "cell_id",       "workload",  "params",
                                           "allocator", "role",  "seed", "env_pad_bytes", "timeout_s", "expect_s"};
enum { PLAN_COLUMN_COUNT = sizeof plan_columns / sizeof *plan_columns };

// A cell that passed the filters, with all its parameters.
typedef struct PlannedCell {
    const CfgCell *cell;
    const CfgWorkload *workload;
    char *params;
    CellRounds rounds;
    unsigned index; // in the matrix, so that filters do not change the order of the arms
} PlannedCell;

unsigned plan_arm_of_slot(unsigned round, unsigned cell, unsigned slot, unsigned n)
{
    assert(slot < n);
    unsigned forward = (slot + round / 2 + cell) % n;
    return round % 2 == 0 ? forward : (n - 1 - slot + round / 2 + cell) % n;
}

// Depends on the cell's name and not on its place, so that filters and new cells change no seeds.
static uint64_t block_seed(uint64_t matrix_seed, const char *cell_id, unsigned round)
{
    uint64_t hash = mix64(matrix_seed);
    for (const char *c = cell_id; *c; c++)
        hash = mix64(hash ^ (unsigned char)*c);
    return mix64(hash + round) >> 16;
}

// A test makes a cell smaller, never larger.
static void set_for_test(StrList *pairs, const char *entry)
{
    double cell_value, test_value;
    char *key = xfmt("%.*s", (int)strcspn(entry, "="), entry);
    const char *now = pairs_find(pairs, key);
    bool is_smaller = now && parse_double(now, &cell_value) && parse_double(pair_value(entry, key), &test_value) &&
                      cell_value < test_value;
    if (!is_smaller) pairs_set(pairs, entry);
    free(key);
}

static char *cell_params(const CfgWorkload *workload, const CfgCell *cell, bool test)
{
    StrList pairs = {0};
    for (unsigned i = 0; i < workload->params_count; i++)
        pairs_set(&pairs, workload->params[i]);
    for (unsigned i = 0; i < cell->params_count; i++)
        pairs_set(&pairs, cell->params[i]);
    for (unsigned i = 0; test && i < workload->test_params_count; i++)
        set_for_test(&pairs, workload->test_params[i]);
    for (unsigned i = 0; i < workload->fixed_count; i++)
        pairs_set(&pairs, workload->fixed[i]);
    char *text = xstrdup("");
    for (unsigned i = 0; i < pairs.count; i++)
        text = xfmt("%s%s%s", text, i ? " " : "", pairs.items[i]);
    return text;
}

static bool params_pass(const char *params, const StrList *filters)
{
    StrList pairs = list_split(params, ' ');
    for (unsigned i = 0; i < filters->count; i++)
        if (!list_has(&pairs, filters->items[i])) return false;
    return true;
}

// The machine may spoil two of five rounds before a figure is not worth having.
enum { LEAST_FIFTHS = 3 };

static CellRounds cell_rounds(const CfgMatrix *matrix, const CfgCell *cell, const Options *options)
{
    unsigned min = options->test ? 1 : options->rounds ? options->rounds : cell->rounds;
    bool fixed = options->test || options->rounds || matrix->rounds_max < min;
    assert(min >= 1 && (fixed || min <= matrix->rounds_max));
    unsigned least = cell->least && cell->least < min ? cell->least : (min * LEAST_FIFTHS + 4) / 5;
    return (CellRounds){cell->id, min, fixed ? min : matrix->rounds_max, least};
}

static char *cell_ids(const CfgMatrix *matrix)
{
    char *text = xstrdup("");
    for (unsigned i = 0; i < matrix->cells_count; i++)
        text = xfmt("%s%s%s", text, i ? ", " : "", matrix->cells[i].id);
    return text;
}

static bool select_cells(const Config *config, const Options *options, PlannedCell **cells, unsigned *count)
{
    regex_t regex;
    const char *pattern = options->cell_regex ? options->cell_regex : "";
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        hzb_error("-w '%s': not a regular expression", pattern);
        return false;
    }
    *cells = xcalloc(config->matrix->cells_count, sizeof **cells);
    *count = 0;
    for (unsigned i = 0; i < config->matrix->cells_count; i++) {
        const CfgCell *cell = &config->matrix->cells[i];
        const CfgWorkload *workload = config_workload(config, cell->workload);
        char *params = cell_params(workload, cell, options->test);
        bool named = regexec(&regex, cell->id, 0, NULL, 0) == 0 || regexec(&regex, cell->workload, 0, NULL, 0) == 0;
        if (!named || !params_pass(params, &options->param_filters)) continue;
        CellRounds rounds = cell_rounds(config->matrix, cell, options);
        (*cells)[(*count)++] = (PlannedCell){cell, workload, params, rounds, i};
    }
    regfree(&regex);
    if (*count == 0) {
        char *ids = cell_ids(config->matrix);
        hzb_error("the filters -w, -p leave no cell of the matrix, which has: %s", ids);
        free(ids);
    }
    return *count > 0;
}

// Rounds of a count repeat the same process, for nothing but the machine may differ between them. The second set has
// another seed.
static unsigned seed_round(const PlannedCell *planned, unsigned round)
{
    return planned->workload->instructions ? round - round % planned->rounds.first : round;
}

static void add_block(Plan *plan, const PlannedCell *planned, const Experiment *experiment, uint64_t matrix_seed,
                      unsigned round)
{
    uint64_t seed = block_seed(matrix_seed, planned->cell->id, seed_round(planned, round));
    unsigned n = experiment->arm_count;
    assert(n > 0 && round < planned->rounds.first * 2); // two sets at most
    plan->rows = xrealloc(plan->rows, plan->count + n, sizeof *plan->rows);
    for (unsigned slot = 0; slot < n; slot++) {
        const Arm *arm = &experiment->arms[plan_arm_of_slot(round, planned->index, slot, n)];
        plan->rows[plan->count] = (PlanRow){.seq = plan->count + 1,
                                            .round = round + 1,
                                            .slot = slot + 1,
                                            .cell_id = planned->cell->id,
                                            .workload = planned->workload->name,
                                            .params = planned->params,
                                            .allocator = arm->name,
                                            .role = arm->role,
                                            .seed = seed,
                                            .env_pad_bytes = (unsigned)(mix64(seed) % ENV_PAD_MAX_BYTES),
                                            .timeout_s = planned->workload->timeout_s,
                                            .expect_s = planned->cell->expect_s};
        plan->count++;
    }
}

static char *gates_text(const CfgMatrix *matrix)
{
    char *text = xstrdup("");
    for (unsigned i = 0; i < matrix->gates_count; i++)
        text = xfmt("%s%s%s", text, i ? ", " : "", matrix->gates[i].metric);
    return text;
}

static bool some_cell_has(const PlannedCell *cells, unsigned count, const char *metric)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned m = 0; m < cells[i].workload->metrics_count; m++)
            if (strcmp(cells[i].workload->metrics[m].name, metric) == 0) return true;
    return false;
}

// With --metric that gate alone, which must be able to decide something.
static bool select_gate(const CfgMatrix *matrix, const PlannedCell *cells, unsigned count, const char *metric,
                        Rule *rule)
{
    for (unsigned i = 0; metric && i < matrix->gates_count; i++) {
        if (strcmp(matrix->gates[i].metric, metric) != 0) continue;
        rule->gates = &matrix->gates[i];
        rule->gates_count = 1;
        if (rule->gates->exact || some_cell_has(cells, count, metric)) return true;
        hzb_error("--metric '%s': no cell that is left has it", metric);
        return false;
    }
    char *gates = gates_text(matrix);
    if (metric) hzb_error("--metric '%s': expected a gate of the matrix: %s", metric, gates);
    free(gates);
    return !metric;
}

// A comparison of other arms than the matrix's knows nothing beforehand.
static Rule make_rule(const CfgMatrix *matrix, const PlannedCell *cells, unsigned count, const Options *options)
{
    Rule rule = {.gates = matrix->gates,
                 .gates_count = matrix->gates_count,
                 .known = matrix->known,
                 .known_count = options->sides.count > 0 ? 0 : matrix->known_count,
                 .cells = xcalloc(count, sizeof *rule.cells),
                 .cells_count = count,
                 .budget_s = matrix->budget_s,
                 .confirm = matrix->confirm && !options->test && !options->rounds};
    for (unsigned i = 0; i < count; i++)
        rule.cells[i] = cells[i].rounds;
    return rule;
}

bool plan_select(const Config *config, const Options *options, StrList *cells)
{
    PlannedCell *selected = NULL;
    unsigned count;
    Rule rule;
    *cells = (StrList){0};
    bool ok = select_cells(config, options, &selected, &count) &&
              select_gate(config->matrix, selected, count, options->metric, &rule);
    for (unsigned i = 0; ok && i < count; i++)
        list_add(cells, selected[i].cell->id);
    free(selected);
    return ok;
}

bool plan_make(const Config *config, const Options *options, Experiment *experiment, Plan *plan)
{
    PlannedCell *cells;
    unsigned count, most = 0;
    *plan = (Plan){0};
    if (!select_cells(config, options, &cells, &count)) return false;
    for (unsigned i = 0; i < count; i++)
        if (cells[i].rounds.first > most) most = cells[i].rounds.first;
    uint64_t seed = options->seed_given ? options->seed : config->matrix->seed;
    experiment->rule = make_rule(config->matrix, cells, count, options);
    if (!select_gate(config->matrix, cells, count, options->metric, &experiment->rule)) return false;
    for (unsigned set = 0; set <= experiment->rule.confirm; set++)
        for (unsigned round = 0; round < most; round++)
            for (unsigned i = 0; i < count; i++)
                if (round < cells[i].rounds.first)
                    add_block(plan, &cells[i], experiment, seed, set * cells[i].rounds.first + round);
    assert(plan->count > 0);
    free(cells);
    return true;
}

void plan_write(const Plan *plan, FILE *out)
{
    csv_put_row(out, plan_columns, PLAN_COLUMN_COUNT);
    for (unsigned i = 0; i < plan->count; i++) {
        const PlanRow *row = &plan->rows[i];
        assert(i == 0 || row->seq > plan->rows[i - 1].seq); // the order in which processes run
        fprintf(out, "%u,%u,%u,", row->seq, row->round, row->slot);
        const char *const texts[] = {row->cell_id, row->workload, row->params, row->allocator, row->role};
        for (unsigned t = 0; t < 5; t++) {
            csv_put(out, texts[t]);
            fputc(',', out);
        }
        fprintf(out, "%" PRIu64 ",%u,%g,%g\n", row->seed, row->env_pad_bytes, row->timeout_s, row->expect_s);
    }
}

static bool parse_unsigned(const char *text, unsigned *value)
{
    uint64_t wide;
    bool ok = parse_u64(text, &wide) && wide <= UINT32_MAX;
    if (ok) *value = (unsigned)wide;
    return ok;
}

static bool parse_seconds(const char *text, double *value)
{
    return parse_double(text, value) && *value > 0 && *value <= SECONDS_MAX;
}

static bool parse_row(char **field, PlanRow *row)
{
    *row = (PlanRow){.cell_id = xstrdup(field[3]),
                     .workload = xstrdup(field[4]),
                     .params = xstrdup(field[5]),
                     .allocator = xstrdup(field[6]),
                     .role = xstrdup(field[7])};
    return parse_unsigned(field[0], &row->seq) && parse_unsigned(field[1], &row->round) &&
           parse_unsigned(field[2], &row->slot) && parse_u64(field[8], &row->seed) &&
           parse_unsigned(field[9], &row->env_pad_bytes) && parse_seconds(field[10], &row->timeout_s) &&
           parse_seconds(field[11], &row->expect_s);
}

static bool load(const char *path, Plan *plan)
{
    CsvTable table;
    unsigned last_seq = 0;
    if (!csv_load(path, &table)) return false;
    bool ok = table.columns == PLAN_COLUMN_COUNT;
    for (unsigned c = 0; ok && c < PLAN_COLUMN_COUNT; c++)
        ok = csv_column(&table, plan_columns[c]) == (int)c;
    plan->rows = xcalloc(table.row_count, sizeof *plan->rows);
    for (; ok && plan->count < table.row_count; plan->count++) {
        PlanRow *row = &plan->rows[plan->count];
        ok = parse_row(table.rows[plan->count], row) && row->seq > last_seq;
        last_seq = row->seq;
    }
    if (!ok) hzb_error("%s: row %u is not a row of a plan of this hzb", path, plan->count + 1);
    csv_free_table(&table);
    return ok;
}

bool plan_load(const char *dir, Plan *plan)
{
    char *path = xfmt("%s/plan.csv", dir);
    *plan = (Plan){0};
    bool ok = load(path, plan);
    free(path);
    return ok;
}

bool plan_load_whole(const char *dir, Plan *whole)
{
    char *path = xfmt("%s/" PLAN_WHOLE_FILE, dir);
    *whole = (Plan){0};
    bool ok = access(path, F_OK) != 0 || load(path, whole);
    free(path);
    return ok;
}

void plan_free(Plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const PlanRow *row = &plan->rows[i];
        char *const texts[] = {row->cell_id, row->workload, row->params, row->allocator, row->role};
        for (unsigned t = 0; t < 5; t++)
            free(texts[t]);
    }
    free(plan->rows);
    *plan = (Plan){0};
}

bool plan_same_block(const PlanRow *a, const PlanRow *b)
{
    return a->round == b->round && strcmp(a->cell_id, b->cell_id) == 0;
}

StrList plan_cells(const Plan *plan)
{
    StrList cells = {0};
    for (unsigned i = 0; i < plan->count; i++)
        if (!list_has(&cells, plan->rows[i].cell_id)) list_add(&cells, plan->rows[i].cell_id);
    return cells;
}

double plan_expect_s(const Plan *plan)
{
    double sum = 0;
    for (unsigned i = 0; i < plan->count; i++)
        sum += plan->rows[i].expect_s;
    return sum;
}

char *duration_text(double seconds)
{
    assert(seconds >= 0);
    unsigned whole = seconds < 1e9 ? (unsigned)(seconds + 0.5) : (unsigned)1e9;
    if (whole < 60) return xfmt("%u s", whole);
    if (whole < 3600) return xfmt("%u min %02u s", whole / 60, whole % 60);
    return xfmt("%u h %02u min", whole / 3600, whole / 60 % 60);
}
