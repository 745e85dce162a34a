/*
 * Assertions on top of cmocka that print both values and the command that repeats the failure.
 *
 *   static void test_sum(void **state) { (void)state; CHECK_I64(sum(2, 3), 5); }
 *   int main(int argc, char **argv) {
 *       const struct CMUnitTest tests[] = {cmocka_unit_test(test_sum)};
 *       return CHECK_MAIN(tests);
 *   }
 *
 * A test that loops over seeds or shapes calls check_context("seed %d", seed) first: the text is
 * printed with the failure. The program takes the name of a single test (a * matches anything).
 */
#ifndef CUPEL_TESTS_CHECK_H
#define CUPEL_TESTS_CHECK_H

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct check_state {
    const char *program;
    const char *test;
    char context[256];
};

/* One for all files of a test program: helpers in support/ fail with the test's context too. */
__attribute__((weak)) struct check_state check_shared_state = {.program = "?", .test = "?"};

static inline struct check_state *check_state(void) {
    return &check_shared_state;
}

/* What the loop is at; printed by the next failure. */
static inline void __attribute__((format(printf, 1, 2))) check_context(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(check_state()->context, sizeof check_state()->context, format, args);
    va_end(args);
}

static inline int check_setup(void **state) {
    check_state()->test = *state;
    check_state()->context[0] = '\0';
    return 0;
}

static inline int check_run(int argc, char **argv, const struct CMUnitTest *tests, size_t count) {
    enum { MOST_TESTS = 256 };
    static struct CMUnitTest named[MOST_TESTS];
    if (count > MOST_TESTS) {
        fprintf(stderr, "%s: more than %d tests in one program\n", argv[0], MOST_TESTS);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        named[i] = tests[i];
        if (named[i].setup_func == NULL && named[i].initial_state == NULL) {
            named[i].setup_func = check_setup;
            named[i].initial_state = (void *)(uintptr_t)tests[i].name;
        }
    }
    check_state()->program = argv[0];
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests(argv[0], named, count, NULL, NULL);
}

#define CHECK_MAIN(tests) check_run(argc, argv, tests, sizeof(tests) / sizeof(tests)[0])

static inline void __attribute__((format(printf, 3, 4)))
check_failed(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct check_state *state = check_state();
    if (state->context[0] != '\0')
        print_error("at: %s\n", state->context);
    print_error("%s\nreproduce: %s %s\n", text, state->program, state->test);
    _fail(file, line);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            check_failed(__FILE__, __LINE__, "not true: %s", #condition); \
    } while (0)

#define CHECK_I64(actual, expected) \
    do { \
        const int64_t actual_ = (actual), expected_ = (expected); \
        if (actual_ != expected_) \
            check_failed(__FILE__, __LINE__, "%s = %" PRId64 ", expected %" PRId64, #actual, \
                         actual_, expected_); \
    } while (0)

#define CHECK_U64(actual, expected) \
    do { \
        const uint64_t actual_ = (actual), expected_ = (expected); \
        if (actual_ != expected_) \
            check_failed(__FILE__, __LINE__, \
                         "%s = %" PRIu64 " (0x%" PRIx64 "), expected %" PRIu64 " (0x%" PRIx64 ")", \
                         #actual, actual_, actual_, expected_, expected_); \
    } while (0)

/* Same value, or both NaN; 0 and -0 are the same. */
#define CHECK_F64(actual, expected) CHECK_NEAR(actual, expected, 0.0)

/* |actual - expected| <= tolerance; NaN and infinities must be equal. */
#define CHECK_NEAR(actual, expected, tolerance) \
    do { \
        const double actual_ = (double)(actual), expected_ = (double)(expected); \
        const double tolerance_ = (tolerance); \
        const bool same_ = actual_ == expected_ || (actual_ != actual_ && expected_ != expected_); \
        if (!same_ && !(fabs(actual_ - expected_) <= tolerance_)) \
            check_failed(__FILE__, __LINE__, \
                         "%s = %.17g, expected %.17g within %.3g (off by %.3g)", #actual, actual_, \
                         expected_, tolerance_, actual_ - expected_); \
    } while (0)

#define CHECK_STRING(actual, expected) \
    do { \
        const char *const actual_ = (actual), *const expected_ = (expected); \
        if (actual_ == NULL || strcmp(actual_, expected_) != 0) \
            check_failed(__FILE__, __LINE__, "%s = \"%s\", expected \"%s\"", #actual, \
                         actual_ == NULL ? "(null)" : actual_, expected_); \
    } while (0)

/* The text contains the part. */
#define CHECK_CONTAINS(actual, part) \
    do { \
        const char *const actual_ = (actual), *const part_ = (part); \
        if (actual_ == NULL || strstr(actual_, part_) == NULL) \
            check_failed(__FILE__, __LINE__, "%s = \"%s\" lacks \"%s\"", #actual, \
                         actual_ == NULL ? "(null)" : actual_, part_); \
    } while (0)

/* Statuses; need cupel/status.h. `text` is the sentence of the object, or "". */
#define CHECK_STATUS_TEXT(call, expected, text) \
    do { \
        const cupel_status actual_ = (call), expected_ = (expected); \
        if (actual_ != expected_) \
            check_failed(__FILE__, __LINE__, "%s = %s, expected %s: %s", #call, \
                         cupel_status_name(actual_), cupel_status_name(expected_), (text)); \
    } while (0)
#define CHECK_STATUS(call, expected) CHECK_STATUS_TEXT(call, expected, "")
#define CHECK_OK(call) CHECK_STATUS_TEXT(call, CUPEL_STATUS_OK, "")
#define CHECK_OK_TEXT(call, text) CHECK_STATUS_TEXT(call, CUPEL_STATUS_OK, text)

#endif
