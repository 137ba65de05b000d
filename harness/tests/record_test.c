#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/util.h"
#include "record/record.h"
#include "support.h"

static void test_fields_survive_quoting(void **state)
{
    (void)state;
    const char *const fields[] = {"plain", "a,b", "say \"hi\"", "two\nlines", " blank ", "", "1.5", "cr\rlf"};
    enum { COUNT = sizeof fields / sizeof *fields };
    FILE *out = fopen(test_path("quote.csv"), "w");
    csv_put_row(out, fields, COUNT);
    csv_put_row(out, fields, COUNT);
    fclose(out);
    CsvTable table;
    assert_true(csv_load(test_path("quote.csv"), &table));
    assert_int_equal(table.columns, COUNT);
    assert_int_equal(table.row_count, 1);
    for (unsigned i = 0; i < COUNT; i++)
        assert_string_equal(table.rows[0][i], fields[i]);
    char *text = file_text(test_path("quote.csv"));
    assert_int_equal(strncmp(text, "plain,\"a,b\",\"say \"\"hi\"\"\",", 24), 0);
    csv_free_table(&table);
}

static void expect_refused(const char *text, size_t length, const char *message)
{
    CsvTable table;
    test_write("bad.csv", text, length);
    capture_begin();
    bool ok = csv_load(test_path("bad.csv"), &table);
    char *said = capture_end();
    assert_false(ok);
    assert_null(table.header); // nothing to be freed
    assert_string_equal(said, xfmt("hzb: %s/bad.csv: %s\n", test_dir(), message));
}

static void test_what_is_not_whole_is_refused_with_its_row(void **state)
{
    (void)state;
    expect_refused("", 0, "is empty, expected a header line");
    expect_refused("a,\"b", 4, "row 1 is not a whole header line");
    expect_refused("a,b\n1,2\n3\n", 10, "row 3 is not a whole row of 2 fields");
    expect_refused("a,b\n1,2\n3,4", 11, "row 3 is not a whole row of 2 fields");
    expect_refused("a,b\n1,2\n\0,4\n", 12, "row 3 is not a whole row of 2 fields");
    expect_refused("a,b\n1,2\n\0\0\0", 11, "row 3 is not a whole row of 2 fields");
}

static RunRow row_of(unsigned seq)
{
    RunRow row = {0};
    row_set(&row, RUN_seq, "%u", seq);
    row_set(&row, RUN_allocator, "a%u", seq);
    row_set(&row, RUN_status, "ok");
    row_set(&row, RUN_invalid_reason, "with, comma \"quote\"\nand line");
    return row;
}

// Three samples with two counters each.
static void make_record(void)
{
    char *const names[] = {"x", "y"};
    const uint64_t values[] = {1, UINT64_MAX};
    assert_true(record_create(test_dir()));
    for (unsigned seq = 1; seq <= 3; seq++) {
        RunRow row = row_of(seq);
        assert_true(counters_append(test_dir(), seq, names, values, 2));
        assert_true(runs_append(test_dir(), &row));
        row_clear(&row);
    }
}

static unsigned lines_of(const char *name)
{
    unsigned lines = 0;
    for (const char *c = file_text(test_path(name)); *c; c++)
        lines += *c == '\n';
    return lines;
}

// A machine that crashed may leave zeros where a row was to be; anything after them is not a torn row.
static void test_zeros_at_the_end_are_cut(void **state)
{
    (void)state;
    static const char rows[] = "a,b\n1,2\n3,\0\0\0\0";
    test_write("zeros.csv", rows, sizeof rows - 1);
    assert_true(csv_repair(test_path("zeros.csv"), 2, NULL, NULL));
    assert_string_equal(file_text(test_path("zeros.csv")), "a,b\n1,2\n");
    static const char more[] = "a,b\n1,2\n\0\0,4\n5,6\n";
    test_write("zeros.csv", more, sizeof more - 1);
    capture_begin();
    bool ok = csv_repair(test_path("zeros.csv"), 2, NULL, NULL);
    char *said = capture_end();
    assert_false(ok);
    assert_string_equal(said, xfmt("hzb: %s: row 3 is not a whole row of 2 fields\n", test_path("zeros.csv")));
    size_t length;
    file_bytes(test_path("zeros.csv"), &length);
    assert_int_equal(length, sizeof more - 1);
}

// hzb can be killed after any byte of the row it is writing.
static void test_torn_row_is_dropped_at_every_byte(void **state)
{
    (void)state;
    make_record();
    char *whole = file_text(test_path("runs.csv")), *counters = file_text(test_path("counters.csv"));
    size_t length = strlen(whole);
    size_t third = (size_t)(strstr(whole, ",3,,,,,,a3") - whole);
    for (size_t cut = third; cut <= length; cut++) {
        test_write("runs.csv", whole, cut);
        test_write_text("counters.csv", counters);
        assert_true(record_repair(test_dir()));
        RunRows runs;
        assert_true(runs_load(test_dir(), &runs));
        unsigned expected = cut == length ? 3 : 2;
        assert_int_equal(runs.count, expected);
        for (unsigned i = 0; i < runs.count; i++) {
            assert_string_equal(runs.rows[i].field[RUN_allocator], xfmt("a%u", i + 1));
            assert_string_equal(runs.rows[i].field[RUN_invalid_reason], "with, comma \"quote\"\nand line");
        }
        assert_int_equal(lines_of("counters.csv"), 1 + 2 * expected);
        char *prefix = file_text(test_path("runs.csv"));
        assert_int_equal(strncmp(prefix, whole, strlen(prefix)), 0);
    }
}

static void test_repaired_record_goes_on(void **state)
{
    (void)state;
    make_record();
    char *whole = file_text(test_path("runs.csv"));
    test_write("runs.csv", whole, strlen(whole) - 5);
    assert_true(record_repair(test_dir()));
    RunRow row = row_of(3);
    assert_true(runs_append(test_dir(), &row));
    assert_string_equal(file_text(test_path("runs.csv")), whole);
}

static void test_torn_counters_are_dropped(void **state)
{
    (void)state;
    make_record();
    char *counters = file_text(test_path("counters.csv"));
    test_write_text("counters.csv", xfmt("%s4,x,1\n4,y", counters));
    assert_true(record_repair(test_dir()));
    assert_string_equal(file_text(test_path("counters.csv")), counters);
}

static void test_damage_in_the_middle_is_not_cut(void **state)
{
    (void)state;
    make_record();
    char *whole = file_text(test_path("runs.csv"));
    char *damaged = xfmt("%.*sx,y\n%s", (int)(strchr(whole, '\n') - whole + 1), whole, strchr(whole, '\n') + 1);
    test_write_text("runs.csv", damaged);
    capture_begin();
    bool ok = record_repair(test_dir());
    char *said = capture_end();
    assert_false(ok);
    assert_string_equal(
        said, xfmt("hzb: %s/runs.csv: row 2 is not a whole row of %d fields\n", test_dir(), RUN_COLUMN_COUNT));
    assert_string_equal(file_text(test_path("runs.csv")), damaged);
    test_write_text("runs.csv", whole);
    char *counters = xfmt("%s9,9\n", file_text(test_path("counters.csv")));
    test_write_text("counters.csv", counters);
    capture_begin();
    ok = record_repair(test_dir());
    capture_end();
    assert_false(ok);
    assert_string_equal(file_text(test_path("counters.csv")), counters);
}

static void test_unknown_is_empty_and_not_zero(void **state)
{
    (void)state;
    RunRows runs;
    double value;
    make_record();
    assert_true(runs_load(test_dir(), &runs));
    assert_string_equal(runs.rows[0].field[RUN_ops], "");
    assert_false(row_number(&runs.rows[0], RUN_ops, &value));
    assert_true(row_number(&runs.rows[0], RUN_seq, &value));
    assert_true(value == 1);
}

// Files of an hzb that had fewer columns, and that was killed amid a row.
static void test_a_record_of_an_older_hzb_is_taken_over(void **state)
{
    (void)state;
    static const char old[] = "seq,round,cell_id,allocator,status,ops\n1,1,c,a,ok,7\n2,1,c";
    RunRows runs;
    assert_true(record_create(test_dir()));
    test_write("runs.csv", old, sizeof old - 1);
    assert_true(record_repair(test_dir()));
    assert_true(runs_load(test_dir(), &runs));
    assert_int_equal(runs.count, 1);
    assert_string_equal(runs.rows[0].field[RUN_ops], "7");
    assert_string_equal(runs.rows[0].field[RUN_probe_pp_ns], "");
    assert_true(runs_append(test_dir(), &runs.rows[0]));
    assert_true(runs_load(test_dir(), &runs));
    assert_int_equal(runs.count, 2);
    assert_string_equal(runs.rows[1].field[RUN_ops], "7");
}

static void expect_columns_refused(const char *header, const char *message)
{
    RunRows runs;
    test_write("runs.csv", header, strlen(header));
    capture_begin();
    bool ok = runs_load(test_dir(), &runs);
    char *said = capture_end();
    assert_false(ok);
    assert_string_equal(said, xfmt("hzb: %s/runs.csv: %s\n", test_dir(), message));
}

static void test_columns_that_would_be_lost_are_refused(void **state)
{
    (void)state;
    expect_columns_refused("seq,round,cell_id,allocator,status,cleverness\n",
                           "column 'cleverness' is not known to this hzb; a newer one made the file");
    expect_columns_refused("seq,cell_id,allocator,status\n", "column 'round' is missing, expected it in every record");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_survive_quoting),
        cmocka_unit_test(test_what_is_not_whole_is_refused_with_its_row),
        cmocka_unit_test(test_zeros_at_the_end_are_cut),
        cmocka_unit_test(test_torn_row_is_dropped_at_every_byte),
        cmocka_unit_test(test_repaired_record_goes_on),
        cmocka_unit_test(test_torn_counters_are_dropped),
        cmocka_unit_test(test_damage_in_the_middle_is_not_cut),
        cmocka_unit_test(test_unknown_is_empty_and_not_zero),
        cmocka_unit_test(test_a_record_of_an_older_hzb_is_taken_over),
        cmocka_unit_test(test_columns_that_would_be_lost_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
