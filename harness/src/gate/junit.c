#include "gate/junit.h"

#include <stdlib.h>

#include "base/files.h"
#include "base/html.h"
#include "gate/verdict_print.h"

typedef struct Counts {
    unsigned tests, failures, errors, skipped;
} Counts;

// What the test case of a comparison holds, or NULL if it passed.
static const char *element_of(const Finding *f)
{
    if (finding_is_red(f)) return f->verdict == VERDICT_FAILED ? "error" : "failure";
    return f->verdict == VERDICT_INCONCLUSIVE || f->verdict == VERDICT_REGRESSION ? "skipped" : NULL;
}

static Counts count_cases(const Comparisons *comparisons)
{
    Counts counts = {0};
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Finding *f = &comparisons->items[i].found;
        if (!compare_is_gated(&comparisons->items[i])) continue;
        bool red = finding_is_red(f);
        counts.tests++;
        counts.errors += red && f->verdict == VERDICT_FAILED;
        counts.failures += red && f->verdict != VERDICT_FAILED;
        counts.skipped += !red && element_of(f) != NULL;
    }
    return counts;
}

static void put_case(const Finding *f, const char *matrix, FILE *out)
{
    const char *element = element_of(f);
    fputs("    <testcase classname=\"", out);
    html_fmt(out, "%s.%s", matrix, f->cell_id);
    fputs("\" name=\"", out);
    html_fmt(out, "%s of %s against %s", f->metric, f->cand, f->base);
    if (!element) {
        fputs("\"/>\n", out);
        return;
    }
    char *line = verdict_line(f);
    fprintf(out, "\"><%s type=\"%s\" message=\"", element, verdict_names[f->verdict]);
    html_text(out, line);
    fputs("\"/></testcase>\n", out);
    free(line);
}

// For a gate that is red although no comparison is: samples of a base failed, or the record is not whole.
static void put_record(const char *matrix, const Findings *findings, FILE *out)
{
    fputs("    <testcase classname=\"", out);
    html_text(out, matrix);
    fputs("\" name=\"the record\"><error type=\"verdict\" message=\"", out);
    html_fmt(out, "verdict: %s", overall_names[findings->overall]);
    for (unsigned i = 0; i < findings->failure_count; i++) {
        const Failure *failure = &findings->failures[i];
        html_fmt(out, "; %s, %s: %.0f %s (%s)", failure->cell_id, failure->allocator, failure->count, failure->status,
                 failure->reason);
    }
    fputs("\"/></testcase>\n", out);
}

static void put_suite(const Results *results, const Comparisons *comparisons, const Findings *findings, bool red,
                      FILE *out)
{
    const char *matrix = results->experiment.matrix;
    const Counts counts = count_cases(comparisons);
    const unsigned more = red && counts.failures + counts.errors == 0;
    fputs("  <testsuite name=\"", out);
    html_text(out, matrix);
    fprintf(out, "\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n", counts.tests + more,
            counts.failures, counts.errors + more, counts.skipped);
    fputs("    <properties><property name=\"run_id\" value=\"", out);
    html_text(out, results->experiment.run_id);
    fputs("\"/></properties>\n", out);
    for (unsigned i = 0; i < comparisons->count; i++)
        if (compare_is_gated(&comparisons->items[i])) put_case(&comparisons->items[i].found, matrix, out);
    if (more) put_record(matrix, findings, out);
    fputs("  </testsuite>\n", out);
}

bool junit_write(const char *dir, const Results *results, const Comparisons *comparisons, const Findings *findings,
                 HzbExit exit_code)
{
    char *path = xfmt("%s/" JUNIT_FILE, dir);
    FILE *out = file_create(path);
    if (out) {
        fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
        put_suite(results, comparisons, findings, exit_code != HZB_OK, out);
        fputs("</testsuites>\n", out);
    }
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}
