#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/html.h"
#include "record/metric.h"
#include "report/report_page.h"

// The interval pictures: all on one scale, worse to the left.
enum { CI_WIDTH = 140, CI_HEIGHT = 16, CI_MIDDLE = CI_HEIGHT / 2, CI_DOT = 4 };
static const double ci_span_max = 0.5;

// Half of what the pictures show, as a share.
static double ci_span(const Findings *findings)
{
    double span = 0.01;
    for (unsigned i = 0; i < findings->count; i++) {
        const Finding *item = &findings->items[i];
        const double reach[] = {fabs(item->ci_lo - 1), fabs(item->ci_hi - 1), fabs(item->ratio - 1),
                                1.5 * item->threshold};
        for (unsigned k = 0; k < 4; k++)
            if (reach[k] > span) span = reach[k];
    }
    return fmin(span, ci_span_max) * 1.05;
}

static double ci_x(double gain, double span)
{
    assert(span > 0);
    return CI_WIDTH / 2.0 + (CI_WIDTH / 2.0 - CI_DOT) * fmax(-1, fmin(1, gain / span));
}

static void ci_picture(const Finding *finding, double span, FILE *out)
{
    if (isnan(finding->ratio)) return;
    fprintf(out, "<svg class=\"ci\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">", CI_WIDTH, CI_HEIGHT);
    if (finding->threshold > 0)
        fprintf(out, "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%d\"/>", ci_x(-finding->threshold, span),
                ci_x(finding->threshold, span) - ci_x(-finding->threshold, span), CI_HEIGHT);
    fprintf(out, "<line class=\"one\" x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"%d\"/>", CI_WIDTH / 2, CI_WIDTH / 2, CI_HEIGHT);
    if (!isnan(finding->ci_lo) && !isnan(finding->ci_hi))
        fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
                ci_x(finding_gain(finding, finding->ci_lo), span), ci_x(finding_gain(finding, finding->ci_hi), span),
                CI_MIDDLE, CI_MIDDLE);
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%d\" r=\"%d\"/></svg>", ci_x(finding_gain(finding, finding->ratio), span),
            CI_MIDDLE, CI_DOT);
}

static void number_cell(const char *format, double value, FILE *out)
{
    fputs("<td>", out);
    if (!isnan(value)) fprintf(out, format, value);
    fputs("</td>", out);
}

static void median_cell(const Finding *finding, double median, FILE *out)
{
    char *text = isnan(median) ? xstrdup("-") : metric_text(finding->metric, median);
    fprintf(out, "<td>%s %s</td>", text, isnan(median) ? "" : metric_unit(finding->metric));
    free(text);
}

static void change_cell(const Finding *finding, FILE *out)
{
    char *change = finding_change_text(finding);
    fputs("<td>", out);
    html_text(out, change);
    free(change);
    if (!isnan(finding->ci_lo) && !isnan(finding->ci_hi))
        fprintf(out, "<small>%+.1f .. %+.1f</small>", (finding->ci_lo - 1) * 100, (finding->ci_hi - 1) * 100);
    fputs("</td>", out);
}

static void p_cell(const Finding *finding, FILE *out)
{
    fputs("<td>", out);
    if (!isnan(finding->p)) fprintf(out, "%.3g", finding->p);
    if (!isnan(finding->p_holm)) fprintf(out, "<small>%.3g</small>", finding->p_holm);
    fputs("</td>", out);
}

static void known_text(const CfgKnown *known, FILE *out)
{
    fputs("<small>", out);
    html_fmt(out, "known until %s: %s", known->until, known->why);
    fputs("</small>", out);
}

static void expired_list(const Findings *findings, FILE *out)
{
    for (unsigned i = 0; i < findings->expired_count; i++) {
        const CfgKnown *known = &findings->expired[i];
        fputs("<p>", out);
        html_fmt(out, "No longer known since %s: %s in %s. %s", known->until, known->metric, known->cell, known->why);
        fputs("</p>\n", out);
    }
}

static void row(const Finding *finding, double span, FILE *out)
{
    static const char *const confirmed[] = {"", "not confirmed", "confirmed"};
    char *metric = metric_label(finding->metric);
    fputs("<tr><td>", out);
    html_text(out, finding->cell_id);
    fputs("<small>", out);
    html_fmt(out, "%s of %s", metric, finding->cand);
    fputs("</small><small>", out);
    html_fmt(out, "against %s", finding->base);
    fputs("</small></td>", out);
    change_cell(finding, out);
    fprintf(out, "<td class=\"l\"><span class=\"v-%s\">%s</span><small>%s</small>", verdict_names[finding->verdict],
            verdict_names[finding->verdict],
            finding->verdict == VERDICT_REGRESSION ? confirmed[finding->confirmation] : "");
    if (finding->known) known_text(finding->known, out);
    fputs("</td>", out);
    fprintf(out, "<td class=\"v-%s\">", verdict_names[finding->verdict]);
    ci_picture(finding, span, out);
    fputs("</td>", out);
    median_cell(finding, finding->base_median, out);
    median_cell(finding, finding->cand_median, out);
    number_cell("%.2f %%", finding->threshold * 100, out);
    number_cell("%.0f", finding->n, out);
    p_cell(finding, out);
    fprintf(out, "<td class=\"l\">%s</td></tr>\n", finding->direction == DIRECTION_UP ? "more" : "less");
    free(metric);
}

// Findings from one verdict to another; they are sorted by it.
static void table(const Findings *findings, Verdict from, Verdict to, double span, FILE *out)
{
    assert(from <= to && to < VERDICT_COUNT);
    fputs("<div class=\"wide\"><table><thead><tr><th>cell</th><th>change</th><th class=\"l\">verdict</th>"
          "<th class=\"l\">worse, better</th><th>base</th><th>candidate</th><th>threshold</th><th>n</th>"
          "<th>p<small>Holm</small></th><th class=\"l\">better is</th></tr></thead>\n<tbody>\n",
          out);
    for (unsigned i = 0; i < findings->count; i++)
        if (findings->items[i].verdict >= from && findings->items[i].verdict <= to) row(&findings->items[i], span, out);
    fputs("</tbody></table></div>\n", out);
}

void report_verdicts(const Report *report, FILE *out)
{
    const Findings *findings = &report->findings;
    const unsigned quiet = findings_of(findings, VERDICT_UNCHANGED) + findings_of(findings, VERDICT_IDENTICAL) +
                           findings_of(findings, VERDICT_UNGATED);
    fputs("<h2 id=\"verdicts\">Verdicts</h2>\n", out);
    if (findings->count == 0) {
        fputs("<p>None: no comparison was judged. The medians are below.</p>\n", out);
        return;
    }
    double span = ci_span(findings);
    fprintf(
        out,
        "<p class=\"dim\">Change of the candidate's median against the base's, with the 95 %% interval below it. The "
        "picture has worse on the left and better on the right, from %.0f to +%.0f %%; its band is the threshold, "
        "its dot the change.</p>\n",
        -span * 100, span * 100);
    expired_list(findings, out);
    if (quiet < findings->count) table(findings, VERDICT_REGRESSION, VERDICT_IMPROVED, span, out);
    if (quiet == 0) return;
    fprintf(out, "<details%s><summary>%u unchanged, identical or not gated</summary>\n",
            quiet == findings->count ? " open" : "", quiet);
    table(findings, VERDICT_UNCHANGED, VERDICT_UNGATED, span, out);
    fputs("</details>\n", out);
}
