// A result folder as it is reported, and what both reports say alike.
#ifndef HZB_REPORT_H
#define HZB_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/finding.h"
#include "record/results.h"

typedef struct Report {
    Results results;
    Findings findings;
    RunRows rejected;
    json_t *manifest;
} Report;

// Everything that a result folder has to show. Says what cannot be read and returns false.
bool report_load(const char *dir, Report *report);

// What the whole comes to, in a word that is also a CSS class: clean, regression, inconclusive, failed or unjudged.
const char *report_overall(const Report *report);
// The same in a sentence.
char *report_sentence(const Report *report);
// What probing the machine cost, in a sentence; empty if it was not probed.
char *report_probes(const Report *report);
// A text below a path of keys in the manifest ("host", "kernel", NULL), or "?".
const char *report_fact(const Report *report, const char *key, const char *inner_key);

#endif
