#include "report/ranking.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/metric.h"

static const CfgMetric *metric_in(const Results *results, const char *cell_id, RunColumn column)
{
    return metric_of(experiment_workload(&results->experiment, results_cell(results, cell_id)->workload), column);
}

static StrList arms_with_figures(const Results *results, RunColumn column)
{
    StrList arms = {0};
    for (unsigned a = 0; a < results->experiment.arm_count; a++) {
        const char *name = results->experiment.arms[a].name;
        for (unsigned c = 0; c < results->cells.count && !list_has(&arms, name); c++)
            if (metric_in(results, results->cells.items[c], column) &&
                results_spread(&results->runs, results->cells.items[c], name, column).n)
                list_add(&arms, name);
    }
    return arms;
}

static double median_of(const Results *results, const char *cell_id, const char *arm, RunColumn column)
{
    Spread spread = results_spread(&results->runs, cell_id, arm, column);
    return spread.n && spread.median > 0 ? spread.median : NAN;
}

// The arm with the best median; -1 if none has one.
static int best_arm(const Results *results, const char *cell_id, const StrList *arms, RunColumn column, bool up)
{
    int best = -1;
    double least = INFINITY;
    for (unsigned a = 0; a < arms->count; a++) {
        double median = median_of(results, cell_id, arms->items[a], column);
        double cost = up ? 1 / median : median;
        if (cost < least) least = cost, best = (int)a;
    }
    return best;
}

static void add_cell(const Results *results, const char *cell_id, bool up, Ranking *ranking)
{
    int best = best_arm(results, cell_id, &ranking->arms, ranking->column, up);
    if (best < 0) return;
    const unsigned first = ranking->cells.count * ranking->arms.count;
    const char *best_name = ranking->arms.items[best];
    const double best_median = median_of(results, cell_id, best_name, ranking->column);
    for (unsigned a = 0; a < ranking->arms.count; a++) {
        const char *arm = ranking->arms.items[a];
        double ratio = median_of(results, cell_id, arm, ranking->column) / best_median;
        Spread paired = results_paired_ratio(&results->runs, cell_id, arm, best_name, ranking->column);
        ranking->ratios[first + a] = up ? 1 / ratio : ratio;
        ranking->low[first + a] = paired.n == 0 ? NAN : up ? 1 / paired.max : paired.min;
        ranking->high[first + a] = paired.n == 0 ? NAN : up ? 1 / paired.min : paired.max;
    }
    list_add(&ranking->cells, cell_id);
}

static bool is_whole(const Ranking *ranking, unsigned cell)
{
    for (unsigned a = 0; a < ranking->arms.count; a++)
        if (isnan(ranking->ratios[cell * ranking->arms.count + a])) return false;
    return true;
}

static void add_means(Ranking *ranking)
{
    const unsigned arms = ranking->arms.count;
    for (unsigned c = 0; c < ranking->cells.count; c++)
        ranking->whole += is_whole(ranking, c);
    for (unsigned a = 0; a < arms; a++) {
        double sum = 0;
        for (unsigned c = 0; c < ranking->cells.count; c++)
            if (is_whole(ranking, c)) sum += log(ranking->ratios[c * arms + a]);
        ranking->means[a] = ranking->whole ? exp(sum / ranking->whole) : NAN;
    }
}

Ranking ranking_make(const Results *results, RunColumn column)
{
    Ranking ranking = {.column = column, .arms = arms_with_figures(results, column)};
    const size_t most = (size_t)results->cells.count * ranking.arms.count;
    ranking.ratios = xcalloc(most, sizeof *ranking.ratios);
    ranking.low = xcalloc(most, sizeof *ranking.low);
    ranking.high = xcalloc(most, sizeof *ranking.high);
    ranking.means = xcalloc(ranking.arms.count, sizeof *ranking.means);
    for (unsigned c = 0; c < results->cells.count; c++) {
        const CfgMetric *metric = metric_in(results, results->cells.items[c], column);
        if (metric) add_cell(results, results->cells.items[c], metric->direction == DIRECTION_UP, &ranking);
    }
    add_means(&ranking);
    return ranking;
}

void ranking_free(Ranking *ranking)
{
    list_free(&ranking->arms);
    list_free(&ranking->cells);
    free(ranking->ratios);
    free(ranking->low);
    free(ranking->high);
    free(ranking->means);
    *ranking = (Ranking){0};
}

unsigned ranking_rank(const Ranking *ranking, unsigned arm)
{
    unsigned rank = 1;
    for (unsigned a = 0; a < ranking->arms.count; a++)
        rank += ranking->means[a] < ranking->means[arm];
    return rank;
}

unsigned ranking_place(const Ranking *ranking, unsigned arm)
{
    unsigned place = 1;
    for (unsigned a = 0; a < ranking->arms.count; a++) {
        const double mine = ranking->means[arm], other = ranking->means[a];
        const bool is_before =
            isnan(other) ? isnan(mine) && a < arm : isnan(mine) || other < mine || (other == mine && a < arm);
        place += a != arm && is_before;
    }
    return place;
}

// A rate is told as the time that it stands for: twice the rate is half the time.
static char *quantity(const Ranking *ranking)
{
    return ranking->column == RUN_ops_per_s ? xstrdup("time") : metric_label(run_column_names[ranking->column]);
}

char *ranking_title(const Ranking *ranking)
{
    char *what = quantity(ranking);
    char *title = xfmt("%s relative to the best allocator of each cell (1.00)", what);
    title[0] = (char)toupper((unsigned char)title[0]);
    free(what);
    return title;
}

char *ranking_sentence(const Ranking *ranking, const char *arm)
{
    for (unsigned a = 0; a < ranking->arms.count; a++) {
        if (strcmp(ranking->arms.items[a], arm) != 0 || isnan(ranking->means[a])) continue;
        const unsigned rank = ranking_rank(ranking, a);
        char *what = quantity(ranking);
        char *sentence =
            xfmt("%s is %u%s of %u in %s: in the geometric mean %.2f times the best allocator of each cell", arm, rank,
                 rank == 1   ? "st"
                 : rank == 2 ? "nd"
                 : rank == 3 ? "rd"
                             : "th",
                 ranking->arms.count, what, ranking->means[a]);
        free(what);
        return sentence;
    }
    return NULL;
}

static char *ratio_text(double ratio, bool markdown)
{
    if (isnan(ratio)) return xstrdup("-");
    return xfmt(markdown && ratio < 1.005 ? "**%.2f**" : "%.2f", ratio);
}

TextTable ranking_table(const Ranking *ranking, bool markdown)
{
    TextTable table = {.left = 1};
    const unsigned arms = ranking->arms.count;
    if (arms == 0) return table;
    StrList *row = text_table_row(&table);
    list_add(row, "cell");
    for (unsigned a = 0; a < arms; a++)
        list_add(row, ranking->arms.items[a]);
    for (unsigned c = 0; c < ranking->cells.count; c++) {
        row = text_table_row(&table);
        list_add(row, ranking->cells.items[c]);
        for (unsigned a = 0; a < arms; a++)
            text_table_add(row, ratio_text(ranking->ratios[c * arms + a], markdown));
    }
    row = text_table_row(&table);
    text_table_add(row, ranking->whole == ranking->cells.count
                            ? xstrdup("geometric mean")
                            : xfmt("geometric mean of the %u that all have", ranking->whole));
    for (unsigned a = 0; a < arms; a++)
        text_table_add(row, ratio_text(ranking->means[a], false));
    row = text_table_row(&table);
    list_add(row, "rank");
    for (unsigned a = 0; a < arms; a++)
        text_table_add(row, isnan(ranking->means[a]) ? xstrdup("-") : xfmt("%u", ranking_rank(ranking, a)));
    return table;
}
