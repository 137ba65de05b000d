// report.md: a comment for a pull request, its tables in blocks that GitHub colours as a diff.
#ifndef HZB_REPORT_MARKDOWN_H
#define HZB_REPORT_MARKDOWN_H

#include <stdio.h>

#include "report/report.h"

// Below 100 lines whatever the matrix.
void report_markdown(const Report *report, FILE *out);

#endif
