// Messages on stderr and the three assert tiers. Nothing here allocates.
//   hz3_assert       debug builds: our own invariants
//   hz3_assert_slow  HZ3_DEBUG=2, the debug lane: walks whole structures
//   hz3_require      always: cheap checks that catch the caller's bug; one message each, then abort
#ifndef HZ3_LOG_H
#define HZ3_LOG_H

#include "base/hz3_types.h"

// One line, at most 512 bytes; printf's conversions.
void hz3_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

// "hz3: <function>(<pointer>): <what is wrong>", then abort().
_Noreturn HZ3_COLD void hz3_die(const char *function, const void *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

_Noreturn HZ3_COLD void hz3_assert_fail(const char *expression, const char *file, int line);

#define hz3_assert(e) (HZ3_DEBUG && !(e) ? hz3_assert_fail(#e, __FILE__, __LINE__) : (void)0)
#define hz3_assert_slow(e) (HZ3_DEBUG > 1 ? hz3_assert(e) : (void)0)
#define hz3_require(e, function, pointer, ...) (HZ3_UNLIKELY(!(e)) ? hz3_die(function, pointer, __VA_ARGS__) : (void)0)

#endif
