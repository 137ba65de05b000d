#include "support_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_SLOTS ((size_t)1 << 16)

static uint64_t seen[SEEN_SLOTS]; // hashes of the checks made; 0: empty
static unsigned long failed;

Call call_of(const char *format, ...)
{
    Call call;
    va_list args;
    va_start(args, format);
    vsnprintf(call.text, sizeof call.text, format, args);
    va_end(args);
    return call;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (hash ^ '\n') * 0x100000001b3u;
}

static void count_once(const Call *call, const char *what)
{
    uint64_t hash = hash_text(hash_text(0xcbf29ce484222325u, call->text), what) | 1;
    size_t at = (hash >> 20) % SEEN_SLOTS;
    while (seen[at] != 0 && seen[at] != hash)
        at = (at + 1) % SEEN_SLOTS;
    EXPECT(expect_count < SEEN_SLOTS / 2, "room for the hashes of the checks"); // counts itself
    expect_count -= seen[at] == hash ? 1 : 0;
    seen[at] = hash;
}

static void judge(bool passed, const Call *call, const char *what, const char *relation, size_t expected, size_t got)
{
    count_once(call, what);
    if (passed) return;
    failed++;
    char line[320];
    int n = snprintf(line, sizeof line, "%s: %s: expected %s%zu, got %zu\n", call->text, what, relation, expected, got);
    fwrite(line, 1, (size_t)n, stderr);
}

void check_equal(const Call *call, const char *what, size_t expected, size_t got)
{
    judge(got == expected, call, what, "", expected, got);
}

void check_at_least(const Call *call, const char *what, size_t least, size_t got)
{
    judge(got >= least, call, what, "at least ", least, got);
}

void checks_note(void)
{
    child_note("failed=%lu", failed);
}

static unsigned long noted(const ChildResult *result, const char *name)
{
    const char *at = strstr(result->note, name);
    return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

void checks_add(const ChildResult *result, CheckSum *sum)
{
    sum->made += noted(result, "checks=");
    sum->failed += noted(result, "failed=");
    sum->ended_early += result->timed_out || result->status != 0;
}
