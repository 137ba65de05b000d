#include "base/util.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void say(const char *prefix, const char *format, va_list args)
{
    flockfile(stderr);
    fputs(prefix, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void hzb_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("hzb: ", format, args);
    va_end(args);
}

void hzb_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

static void *or_exit(void *memory)
{
    if (memory) return memory;
    hzb_error("out of memory");
    exit(HZB_INTERNAL);
}

void *xcalloc(size_t count, size_t size)
{
    return or_exit(calloc(count ? count : 1, size));
}

void *xrealloc(void *old, size_t count, size_t size)
{
    return or_exit(reallocarray(old, count ? count : 1, size));
}

char *xstrdup(const char *text)
{
    return or_exit(strdup(text));
}

char *xfmt(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_exit(length < 0 ? NULL : text);
}

void list_add(StrList *list, const char *item)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = xstrdup(item);
}

void list_add_option(StrList *list, const char *option, const char *value)
{
    if (!value) return;
    list_add(list, option);
    list_add(list, value);
}

void list_free(StrList *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (StrList){0};
}

bool list_has(const StrList *list, const char *item)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0) return true;
    return false;
}

StrList list_split(const char *text, char separator)
{
    assert(separator != 0);
    StrList list = {0};
    const char any[2] = {separator, 0};
    char *copy = xstrdup(text), *rest = NULL;
    for (char *item = strtok_r(copy, any, &rest); item; item = strtok_r(NULL, any, &rest))
        list_add(&list, item);
    free(copy);
    return list;
}

char *whole_match(const char *pattern)
{
    return xfmt("^(%s)$", pattern);
}

const char *pair_value(const char *entry, const char *key)
{
    size_t length = strlen(key);
    return strncmp(entry, key, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

const char *pairs_find(const StrList *pairs, const char *key)
{
    for (unsigned i = pairs->count; i > 0; i--) {
        const char *value = pair_value(pairs->items[i - 1], key);
        if (value) return value;
    }
    return NULL;
}

void pairs_set(StrList *pairs, const char *entry)
{
    size_t key_length = strcspn(entry, "=");
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strncmp(pairs->items[i], entry, key_length) != 0 || pairs->items[i][key_length] != '=') continue;
        free(pairs->items[i]);
        pairs->items[i] = xstrdup(entry);
        return;
    }
    list_add(pairs, entry);
}

bool parse_u64(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && *text >= '0' && *text <= '9';
}

bool parse_i64(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == 0;
}

bool parse_double(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && end != text && *end == 0 && *value == *value;
}

uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mix64(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}
