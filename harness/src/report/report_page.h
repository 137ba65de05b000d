// report.html: one page, its sections in their order.
#ifndef HZB_REPORT_PAGE_H
#define HZB_REPORT_PAGE_H

#include <stdio.h>

#include "report/report.h"

void report_page(const Report *report, FILE *out);

void report_verdicts(const Report *report, FILE *out);
// Nothing without claims.
void report_claims(const Report *report, FILE *out);
// Nothing without rankings.
void report_rankings(const Report *report, FILE *out);
void report_plots(const Report *report, FILE *out);
void report_cells(const Report *report, FILE *out);
// Nothing without a diag.csv.
void report_diag(const Report *report, FILE *out);
void report_failures(const Report *report, FILE *out);
void report_invalid(const Report *report, FILE *out);
void report_environment(const Report *report, FILE *out);

#endif
