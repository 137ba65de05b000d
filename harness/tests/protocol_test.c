// What comes from outside: the workload's lines and the allocator's counter file.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "process/livepage.h"
#include "process/protocol.h"
#include "support.h"

#define FINAL "HZB1 ops=10 work_ns=20 checksum=00000000000000ff alloc_failed=1 live_peak=4096 live_at_fail=2048"

static void test_phase_mark(void **state)
{
    (void)state;
    ProtoMessage message = proto_parse("HZB1 phase=idle cycle=2 t_ns=123");
    assert_int_equal(message.kind, PROTO_PHASE);
    assert_string_equal(message.phase, "idle");
}

static void test_final_line(void **state)
{
    (void)state;
    ProtoMessage message = proto_parse(FINAL);
    assert_int_equal(message.kind, PROTO_FINAL);
    assert_true(message.final.ops == 10 && message.final.work_ns == 20 && message.final.alloc_failed == 1);
    assert_true(message.final.live_peak_bytes == 4096 && message.final.live_at_fail_bytes == 2048);
    assert_string_equal(message.final.checksum, "00000000000000ff");
    assert_false(message.final.has_fallback);
    message = proto_parse(FINAL " fallback_pct=0.2500 actual_remote_pct=49.7500 future=x");
    assert_int_equal(message.kind, PROTO_FINAL);
    assert_true(message.final.has_fallback && message.final.fallback_pct == 0.25);
    assert_true(message.final.has_remote && message.final.actual_remote_pct == 49.75);
}

static void test_other_lines_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "hello",
        "HZB1",
        "HZB2 phase=idle t_ns=1",
        "HZB1 phase=idle",
        "HZB1 phase= t_ns=1",
        "HZB1 phase=a_name_that_is_longer_than_any_phase_has t_ns=1",
        "HZB1 ops=10 work_ns=20",
        "HZB1 ops=-1 work_ns=20 checksum=00000000000000ff alloc_failed=1 live_peak=1 live_at_fail=0",
        "HZB1 ops=10 work_ns=20 checksum=ff alloc_failed=1 live_peak=1 live_at_fail=0",
        FINAL " fallback_pct=x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(proto_parse(bad[i]).kind, PROTO_BAD);
}

typedef struct File {
    char magic[8];
    uint32_t version, n_counters, n_stripes, stripe_bytes, names_off, data_off;
    char rest[32];
    char names[2][32];
    uint64_t stripes[2][8];
} File;

static File good_file(void)
{
    File file = {.magic = {'H', 'Z', '3', 'S', 'T', 'A', 'T', '1'},
                 .version = 1,
                 .n_counters = 2,
                 .n_stripes = 2,
                 .stripe_bytes = 64,
                 .names_off = 64,
                 .data_off = 128,
                 .names = {"reclaim_calls", "reclaim_pages"},
                 .stripes = {{1, UINT64_MAX}, {2, 3}}};
    return file;
}

static bool opens(const File *file, size_t length)
{
    CounterFile counters = {0};
    test_write("stats", (const char *)file, length);
    bool ok = counter_file_open(&counters, test_path("stats"));
    counter_file_close(&counters);
    return ok;
}

static void test_counter_file(void **state)
{
    (void)state;
    File file = good_file();
    CounterFile counters = {0};
    assert_false(counter_file_open(&counters, test_path("none")));
    test_write("stats", (const char *)&file, sizeof file);
    assert_true(counter_file_open(&counters, test_path("stats")));
    assert_int_equal(counters.counter_count, 2);
    assert_string_equal(counters.names[1], "reclaim_pages");
    assert_true(counter_file_value(&counters, 0) == 3);
    assert_true(counter_file_value(&counters, 1) == 2); // modulo 2^64
    counter_file_close(&counters);
}

static void test_counter_file_that_lies_is_not_believed(void **state)
{
    (void)state;
    File file = good_file();
    assert_true(opens(&file, sizeof file));
    assert_false(opens(&file, sizeof file - 8));
    assert_false(opens(&file, 16));
    file.magic[0] = 0; // still being filled
    assert_false(opens(&file, sizeof file));
    file = good_file();
    file.n_counters = 9; // more than a stripe holds
    assert_false(opens(&file, sizeof file));
    file = good_file();
    file.data_off = UINT32_MAX - 7;
    assert_false(opens(&file, sizeof file));
    file = good_file();
    file.version = 2;
    assert_false(opens(&file, sizeof file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phase_mark),
        cmocka_unit_test(test_final_line),
        cmocka_unit_test(test_other_lines_are_refused),
        cmocka_unit_test(test_counter_file),
        cmocka_unit_test(test_counter_file_that_lies_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
