#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "report/headline.h"
#include "report/page_frame.h"
#include "report/report_page.h"

static void put_headlines(const Report *report, FILE *out)
{
    StrList list = headlines(report);
    if (list.count > 0) fputs("\n<ul class=\"headlines\">\n", out);
    for (unsigned i = 0; i < list.count; i++) {
        fputs("<li>", out);
        html_text(out, list.items[i]);
        fputs("</li>\n", out);
    }
    if (list.count > 0) fputs("</ul>\n", out);
    list_free(&list);
}

static void header(const Report *report, FILE *out)
{
    const Results *results = &report->results;
    char *sentence = report_sentence(report);
    const bool dirty = json_is_true(json_object_get(json_object_get(report->manifest, "git"), "dirty"));
    fputs("<header>\n<h1>", out);
    html_text(out, results->experiment.matrix);
    fputs("</h1>\n<p class=\"dim\">", out);
    html_fmt(out, "%s, commit %s%s, on %s, %s", report_fact(report, "created_utc", NULL),
             report_fact(report, "git", "sha"), dirty ? " with changes" : "", report_fact(report, "host", "hostname"),
             report_fact(report, "host", "cpu_model"));
    fputs("</p>\n", out);
    fprintf(out, "<div class=\"overall %s\"><b>%s</b>", report_overall(report), report_overall(report));
    put_headlines(report, out);
    fputs("<p>", out);
    html_text(out, sentence);
    fputs("</p></div>\n<nav>", out);
    static const char *const sections[] = {"verdicts", "plots", "cells", "failures", "invalid", "environment"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        fprintf(out, "<a href=\"#%s\">%s</a> ", sections[i], sections[i]);
    fputs("</nav>\n</header>\n<main>\n", out);
    free(sentence);
}

static void figure(const Report *report, const char *name, unsigned number, FILE *out)
{
    char *path = xfmt("%s/plots/%s.narrow.svg", report->results.dir, name);
    html_svg_figure(out, path, number, name);
    free(path);
}

void report_plots(const Report *report, FILE *out)
{
    static const char *const of_cells[] = {"rss_curve", "pareto", "latency", "modes"};
    unsigned number = 0;
    fputs("<h2 id=\"plots\">Plots</h2>\n<div class=\"figures\">\n", out);
    for (unsigned i = 0; i < report->results.experiment.ranking.count; i++) {
        char *name = xfmt("ranking_%s", report->results.experiment.ranking.items[i]);
        figure(report, name, ++number, out);
        free(name);
    }
    figure(report, "forest", ++number, out);
    figure(report, "throughput", ++number, out);
    figure(report, "scaling", ++number, out);
    for (unsigned c = 0; c < report->results.cells.count; c++) {
        for (size_t i = 0; i < sizeof of_cells / sizeof *of_cells; i++) {
            char *name = xfmt("%s_%s", of_cells[i], report->results.cells.items[c]);
            figure(report, name, ++number, out);
            free(name);
        }
    }
    fputs("</div>\n", out);
}

void report_page(const Report *report, FILE *out)
{
    char *title = xfmt("%s: %s", report->results.experiment.matrix, report_overall(report));
    page_begin(out, title);
    header(report, out);
    report_rankings(report, out);
    report_claims(report, out);
    report_verdicts(report, out);
    report_plots(report, out);
    report_cells(report, out);
    report_diag(report, out);
    report_failures(report, out);
    report_invalid(report, out);
    report_environment(report, out);
    fputs("</main>\n", out);
    page_end(out);
    free(title);
}
