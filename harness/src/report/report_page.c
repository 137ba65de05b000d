#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "report/report_page.h"

// Colours come in pairs, light and dark. A figure is drawn on white. In the dark its brightness is inverted and its
// hues are kept, so that an allocator keeps its colour. Tables and figures wider than the page scroll by themselves.
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--dim:#5c636b;--line:#d8dce1;--card:#f6f7f9;--bad:#b3261e;"
    "--warn:#8a5a00;--good:#1a7f37;--band:#dfe4ea}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e8ea;--dim:#9aa3ac;--line:#343a40;--card:#1d2125;"
    "--bad:#ff8a80;--warn:#f0b849;--good:#6fdc8c;--band:#343c45}figure svg{filter:invert(.92) hue-rotate(180deg)}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:1rem/1.45 system-ui,'DejaVu Sans',sans-serif}"
    "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}"
    "h3{font-size:1rem;margin:1.5rem 0 .2rem}p{margin:.4rem 0}a{color:inherit}"
    ".dim,small,figcaption{color:var(--dim)}.dim{overflow-wrap:anywhere}code{font:.875em/1.4 ui-monospace,'DejaVu Sans "
    "Mono',monospace;overflow-wrap:anywhere}"
    ".overall{padding:.7rem 1rem;margin:.8rem 0;border-left:.4rem solid var(--dim);background:var(--card)}"
    ".overall b{text-transform:uppercase;letter-spacing:.03em}"
    ".overall.regression,.overall.failed{border-color:var(--bad)}.overall.inconclusive{border-color:var(--warn)}"
    ".overall.clean{border-color:var(--good)}"
    "nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.5rem 0}"
    "summary{cursor:pointer;padding:.4rem 0}.wide{overflow-x:auto;margin:.5rem "
    "0}table{border-collapse:separate;border-spacing:0;font-size:.875rem;"
    "font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;"
    "vertical-align:top}"
    "td,th{line-height:1.25rem}td small,th "
    "small{line-height:1rem}th{color:var(--dim);font-weight:600}.l{text-align:left}td.wrap{white-space:normal;min-"
    "width:14rem}"
    "td:first-child,th:first-child{text-align:left;position:sticky;left:0;background:var(--bg)}"
    "td small,th "
    "small{display:block}.v-regression,.v-failed{color:var(--bad);font-weight:600}.v-inconclusive{color:var(--warn);"
    "font-weight:600}.v-improved{color:var(--good);font-weight:600}"
    ".ci{width:9rem;height:1.2rem;display:block}.ci rect{fill:var(--band)}.ci line{stroke:currentColor;stroke-width:2}"
    ".ci line.one{stroke:var(--dim);stroke-width:1}.ci circle{fill:currentColor}"
    "figure{margin:1rem 0;overflow-x:auto}figure svg{display:block;width:100%;min-width:40rem;height:auto}"
    "@media(max-width:40rem){body{padding:.7rem}th,td{padding:.25rem .4rem}}";

static void head(const Report *report, FILE *out)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
          out);
    html_fmt(out, "%s: %s", report->results.experiment.matrix, report_overall(report));
    fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
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
    fprintf(out, "<div class=\"overall %s\"><b>%s</b><br>", report_overall(report), report_overall(report));
    html_text(out, sentence);
    fputs("</div>\n<nav>", out);
    static const char *const sections[] = {"verdicts", "plots", "cells", "failures", "invalid", "environment"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        fprintf(out, "<a href=\"#%s\">%s</a> ", sections[i], sections[i]);
    fputs("</nav>\n</header>\n<main>\n", out);
    free(sentence);
}

static void figure(const Report *report, const char *name, unsigned number, FILE *out)
{
    char *path = xfmt("%s/plots/%s.svg", report->results.dir, name);
    html_svg_figure(out, path, number, name);
    free(path);
}

void report_plots(const Report *report, FILE *out)
{
    static const char *const of_cells[] = {"rss_curve", "pareto"};
    unsigned number = 0;
    fputs("<h2 id=\"plots\">Plots</h2>\n", out);
    figure(report, "forest", ++number, out);
    figure(report, "throughput", ++number, out);
    figure(report, "scaling", ++number, out);
    for (unsigned c = 0; c < report->results.cells.count; c++) {
        for (size_t i = 0; i < 2; i++) {
            char *name = xfmt("%s_%s", of_cells[i], report->results.cells.items[c]);
            figure(report, name, ++number, out);
            free(name);
        }
    }
}

void report_page(const Report *report, FILE *out)
{
    head(report, out);
    header(report, out);
    report_verdicts(report, out);
    report_plots(report, out);
    report_cells(report, out);
    report_diag(report, out);
    report_failures(report, out);
    report_invalid(report, out);
    report_environment(report, out);
    fputs("</main>\n</body>\n</html>\n", out);
}
