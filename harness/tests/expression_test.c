#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/expression.h"

static bool lookup(const void *context, const char *name, double *value)
{
    (void)context;
    *value = strcmp(name, "six") == 0 ? 6 : strcmp(name, "two_1") == 0 ? 2 : 0;
    return strcmp(name, "none") != 0;
}

static ExpressionEnd end_of(const char *text, double *value, const char **place)
{
    return expression_value(text, lookup, NULL, value, place);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"six", 6},           {"six/two_1", 3},        {"six - two_1 - two_1", 2}, {"two_1 + six * two_1", 14},
                 {"(six + 2) / 4", 2}, {" ( ( 1.5 ) ) * 2", 3}, {"six / 2 / 3", 1},         {"12e1", 120}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value;
        const char *place;
        assert_int_equal(end_of(cases[i].text, &value, &place), EXPRESSION_OK);
        assert_true(value == cases[i].value);
        assert_null(place);
    }
}

static void test_unknown_is_not_faulty(void **state)
{
    (void)state;
    static const char *const texts[] = {"none", "six * none", "six / (two_1 - 2)", "1 / 0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double value;
        const char *place;
        assert_int_equal(end_of(texts[i], &value, &place), EXPRESSION_UNKNOWN);
    }
}

static void test_faults_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest;
    } cases[] = {{"", ""},      {"six six", "six"}, {"(six", ""},       {"six /", ""},
                 {"six)", ")"}, {"-six", "-six"},   {"six % 2", "% 2"}, {"a ^ b", "^ b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value;
        const char *place;
        assert_int_equal(end_of(cases[i].text, &value, &place), EXPRESSION_FAULTY);
        assert_string_equal(place, cases[i].rest);
    }
    char deep[200];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    double value;
    const char *place;
    assert_int_equal(end_of(deep, &value, &place), EXPRESSION_FAULTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_unknown_is_not_faulty),
        cmocka_unit_test(test_faults_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
