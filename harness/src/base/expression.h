// Expressions over named numbers: + - * / and parentheses, as in "(peak_rss_kib - post_rss_kib) / live_peak_kib".
#ifndef HZB_EXPRESSION_H
#define HZB_EXPRESSION_H

#include <stdbool.h>

// False: there is no such name, or its value is unknown.
typedef bool (*ExpressionLookup)(const void *context, const char *name, double *value);

typedef enum ExpressionEnd { EXPRESSION_OK, EXPRESSION_UNKNOWN, EXPRESSION_FAULTY } ExpressionEnd;

// EXPRESSION_UNKNOWN: a name without a value, or a result that is no finite number. EXPRESSION_FAULTY: it is not
// written as an expression is; `fault` then points to the place.
ExpressionEnd expression_value(const char *text, ExpressionLookup lookup, const void *context, double *value,
                               const char **fault);

#endif
