#include "report/curves.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static double number_at(const CsvTable *table, unsigned row, unsigned column)
{
    double value;
    return parse_double(table->rows[row][column], &value) ? value : 0;
}

static bool begins_phase(const CsvTable *table, unsigned row)
{
    return row == 0 || strcmp(table->rows[row][CURVE_PHASE], table->rows[row - 1][CURVE_PHASE]) != 0;
}

// --- one axis ---

static unsigned phase_count(const CsvTable *table)
{
    unsigned count = 0;
    for (unsigned r = 0; r < table->row_count; r++)
        count += begins_phase(table, r);
    return count;
}

// Row with which phase k begins; behind the last phase, the last row.
static unsigned phase_row(const CsvTable *table, unsigned k)
{
    for (unsigned r = 0; r < table->row_count; r++)
        if (begins_phase(table, r) && k-- == 0) return r;
    return table->row_count - 1;
}

static bool same_phases(const CsvTable *a, const CsvTable *b)
{
    unsigned count = phase_count(a);
    if (count == 0 || count != phase_count(b)) return false;
    for (unsigned k = 0; k < count; k++)
        if (strcmp(a->rows[phase_row(a, k)][CURVE_PHASE], b->rows[phase_row(b, k)][CURVE_PHASE]) != 0) return false;
    return true;
}

// The mean over the curves of when phase k begins.
static double common_start(const CsvTable *const *tables, unsigned count, unsigned k)
{
    double sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += number_at(tables[i], phase_row(tables[i], k), CURVE_T_MS);
    return sum / count;
}

static void stretch(const CsvTable *const *tables, unsigned count, unsigned k, const CsvTable *own, double *aligned)
{
    unsigned first = phase_row(own, k), end = phase_row(own, k + 1);
    double from = number_at(own, first, CURVE_T_MS), to = number_at(own, end, CURVE_T_MS);
    double common_from = common_start(tables, count, k), common_to = common_start(tables, count, k + 1);
    for (unsigned r = first; r <= end; r++)
        aligned[r] =
            to > from ? common_from + (number_at(own, r, CURVE_T_MS) - from) / (to - from) * (common_to - common_from)
                      : common_from;
}

double **curves_align(const CsvTable *const *tables, unsigned count)
{
    double **aligned = xcalloc(count, sizeof *aligned);
    bool same = true;
    for (unsigned i = 1; i < count; i++)
        same = same && same_phases(tables[0], tables[i]);
    for (unsigned i = 0; i < count; i++) {
        aligned[i] = xcalloc(tables[i]->row_count + 1, sizeof **aligned);
        for (unsigned r = 0; r < tables[i]->row_count; r++)
            aligned[i][r] = number_at(tables[i], r, CURVE_T_MS);
        for (unsigned k = 0; same && count > 1 && k < phase_count(tables[i]); k++)
            stretch(tables, count, k, tables[i], aligned[i]);
    }
    return aligned;
}

double curve_aligned_ms(const CsvTable *table, const double *aligned_ms, double t_ms)
{
    if (table->row_count == 0) return t_ms;
    unsigned next = 0;
    while (next < table->row_count && number_at(table, next, CURVE_T_MS) < t_ms)
        next++;
    if (next == 0) return aligned_ms[0];
    if (next == table->row_count) return aligned_ms[next - 1];
    const double from = number_at(table, next - 1, CURVE_T_MS), to = number_at(table, next, CURVE_T_MS);
    return aligned_ms[next - 1] + (t_ms - from) / (to - from) * (aligned_ms[next] - aligned_ms[next - 1]);
}

// --- fewer points ---

static void keep_extremes(const CsvTable *table, unsigned first, unsigned end, bool *keep)
{
    unsigned highest = first, lowest = first;
    for (unsigned r = first; r < end; r++) {
        if (number_at(table, r, CURVE_RSS_KIB) > number_at(table, highest, CURVE_RSS_KIB)) highest = r;
        if (number_at(table, r, CURVE_RSS_KIB) < number_at(table, lowest, CURVE_RSS_KIB)) lowest = r;
        keep[r] = keep[r] || begins_phase(table, r);
    }
    keep[highest] = keep[lowest] = true;
}

bool *curve_thin(const CsvTable *table)
{
    bool *keep = xcalloc(table->row_count + 1, sizeof *keep);
    unsigned step = 2 * table->row_count / CURVE_POINTS + 1; // two rows are kept of each
    for (unsigned first = 0; first < table->row_count; first += step)
        keep_extremes(table, first, first + step < table->row_count ? first + step : table->row_count, keep);
    if (table->row_count > 0) keep[0] = keep[table->row_count - 1] = true;
    return keep;
}
