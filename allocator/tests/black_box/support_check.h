// Checks that a case goes on after: each has a call, what is asked of it, and the expected and the seen figure. Failed
// ones are printed. What is checked twice with the same words counts once.
#ifndef HZ3_TESTS_SUPPORT_CHECK_H
#define HZ3_TESTS_SUPPORT_CHECK_H

#include "support.h"

typedef struct Call {
    char text[120]; // "calloc(3, 100)"
} Call;

Call call_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_equal(const Call *call, const char *what, size_t expected, size_t got);
void check_at_least(const Call *call, const char *what, size_t least, size_t got);

// At the end of a case: tells the parent how many checks failed.
void checks_note(void);

typedef struct CheckSum {
    unsigned long made, failed;
    unsigned ended_early; // cases whose child died or hung; the checks it made are lost
} CheckSum;
// Adds what a case's child said.
void checks_add(const ChildResult *result, CheckSum *sum);

#endif
