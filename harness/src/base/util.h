// Small things every part needs: messages, memory that never fails, lists, numbers.
#ifndef HZB_UTIL_H
#define HZB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What hzb exits with.
typedef enum HzbExit {
    HZB_OK = 0,
    HZB_REGRESSION = 10,
    HZB_INCONCLUSIVE = 11,
    HZB_BAD_SAMPLES = 12,
    HZB_ENV_CHANGED = 13,
    HZB_USAGE = 64,
    HZB_INTERNAL = 70,
    HZB_IO = 74,
} HzbExit;

typedef struct StrList {
    char **items;
    unsigned count;
} StrList;

void hzb_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hzb_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

// hzb lives as long as one command: these exit 70 on exhaustion, and configuration is never freed.
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
char *xfmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

void list_add(StrList *list, const char *item);
// An option of a command line with its value; nothing without one.
void list_add_option(StrList *list, const char *option, const char *value);
void list_free(StrList *list);
bool list_has(const StrList *list, const char *item);
// `text` cut at every `separator`; empty pieces are dropped.
StrList list_split(const char *text, char separator);

// The regular expression that matches what `pattern` matches as a whole.
char *whole_match(const char *pattern);

// Start of the value if `entry` is `key=value` with this key, else NULL.
const char *pair_value(const char *entry, const char *key);
// Value of `key` in a list of `key=value`, or NULL; the last one wins.
const char *pairs_find(const StrList *pairs, const char *key);
void pairs_set(StrList *pairs, const char *entry);

bool parse_u64(const char *text, uint64_t *value);
bool parse_i64(const char *text, int64_t *value);
bool parse_double(const char *text, double *value);

// For jansson: 0.1 and not 0.10000000000000001.
#define JSON_DIGITS JSON_REAL_PRECISION(15)

uint64_t monotonic_ns(void);
// splitmix64 step: the one source of derived seeds.
uint64_t mix64(uint64_t value);

#endif
