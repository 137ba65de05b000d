/* `hzb report`: a result folder as one page and as a comment for a pull request. */
#ifndef HZB_REPORT_H
#define HZB_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "gate/findings.h"
#include "record/results.h"

typedef struct {
    Results results;
    Findings findings;
    RunRows rejected;
    json_t *manifest;
} Report;

/* What the whole comes to, in a word that is also a CSS class: clean, regression, inconclusive, failed or unjudged. */
const char *report_overall(const Report *report);
/* The same in a sentence. */
char *report_sentence(const Report *report);
/* A text below a path of keys in the manifest ("host", "kernel", NULL), or "?". */
const char *report_fact(const Report *report, const char *key, const char *inner_key);

/* The sections of the page, in their order. */
void report_verdicts(const Report *report, FILE *out);
void report_plots(const Report *report, FILE *out);
void report_cells(const Report *report, FILE *out);
/* Nothing without a diag.csv. */
void report_diag(const Report *report, FILE *out);
void report_failures(const Report *report, FILE *out);
void report_invalid(const Report *report, FILE *out);
void report_environment(const Report *report, FILE *out);

void report_page(const Report *report, FILE *out);
/* Below 100 lines whatever the matrix. */
void report_markdown(const Report *report, FILE *out);

#endif
