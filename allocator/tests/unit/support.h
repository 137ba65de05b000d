// Shared by the white-box tests of hz3, which are linked with the allocator's own objects and call its inner functions.
//
// Model tests link the debug lane: hz3 serves the test program itself. Race tests link a build of their own ("race",
// "tsan") with two differences: malloc and its family have other names, so that nobody but the test uses the arena, and
// every atomic operation may first give the CPU away (yield_atomics.h), so that windows of a few instructions are met.
#ifndef HZ3_UNIT_SUPPORT_H
#define HZ3_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../patience.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

// Starts the program again with these "NAME=value" entries (NULL at the end) unless they are set: the allocator reads
// its knobs before main.
void unit_need_env(char **argv, const char *const *env);

// Ends the program by SIGALRM when it has not ended by itself in that time, as ../patience.h counts it: a lock that
// never wakes is a failure and not a hang.
void unit_watchdog(unsigned seconds);

uint64_t unit_random(uint64_t *state);
// 0..n-1
uint32_t unit_random_below(uint64_t *state, uint32_t n);

// Runs body(arg) in a child that must end by abort(), with `message` in what it wrote to stderr.
void unit_expect_abort(void (*body)(void *), void *arg, const char *message);

// For validators: makes a field wrong, expects that `is_valid` turns false, and that it is true again with the old
// value.
#define UNIT_EXPECT_SEEN(field, wrong, is_valid)                                                                       \
    do {                                                                                                               \
        assert_true(is_valid);                                                                                         \
        __typeof__((void)0, (field)) unit_was = (field);                                                               \
        (field) = (__typeof__(unit_was))(wrong);                                                                       \
        bool unit_is_valid = (is_valid);                                                                               \
        (field) = unit_was;                                                                                            \
        if (unit_is_valid) {                                                                                           \
            fail_msg("%s = %s passes as valid", #field, #wrong);                                                       \
        }                                                                                                              \
        assert_true(is_valid);                                                                                         \
    } while (0)

// Starts n threads at one moment, joins them, and fails the test when one of them called unit_fail.
typedef void UnitWorker(uint32_t index, void *arg);
void unit_run_threads(uint32_t n, UnitWorker *worker, void *arg);

// For workers: keeps the first message and ends the thread. cmocka's own asserts belong to the main thread.
_Noreturn void unit_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool unit_has_failed(void);
#define UNIT_REQUIRE(condition, ...) ((condition) ? (void)0 : unit_fail(__VA_ARGS__))

#endif
