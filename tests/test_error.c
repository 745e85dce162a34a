/* Statuses, the error object, the log and its traces (src/base/status.c, error.c, log.c). */
#define _GNU_SOURCE
#include "support/check.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"

static void test_status_names(void **state) {
    (void)state;
    CHECK_STRING(cupel_status_name(CUPEL_STATUS_OK), "OK");
    CHECK_STRING(cupel_status_name(CUPEL_STATUS_OUT_OF_MEMORY), "OUT_OF_MEMORY");
    CHECK_STRING(cupel_status_name(CUPEL_STATUS_BUG), "BUG");
    CHECK_STRING(cupel_status_name((cupel_status)99), "UNKNOWN");
    CHECK_I64(CUPEL_STATUS_OK, 0);
    CHECK_I64(CUPEL_STATUS_BUG, 13);
    for (int i = 0; i <= CUPEL_STATUS_BUG + 1; i++) {
        check_context("status %d", i);
        CHECK(cupel_status_text((cupel_status)i) != NULL);
        CHECK(strlen(cupel_status_text((cupel_status)i)) > 3);
    }
}

static void test_fail_records(void **state) {
    (void)state;
    struct cupel_error error = {0};
    CHECK_STATUS(cupel_fail(&error, CUPEL_STATUS_SHAPE, "%d rows, not %d", 3, 4),
                 CUPEL_STATUS_SHAPE);
    CHECK_I64(error.status, CUPEL_STATUS_SHAPE);
    CHECK_STRING(error.text, "3 rows, not 4");
    CHECK_STATUS(cupel_fail(NULL, CUPEL_STATUS_IO, "nobody listens to %s", "this"),
                 CUPEL_STATUS_IO);
    CHECK_STATUS(cupel_fail_memory(&error, "weights", 4096), CUPEL_STATUS_OUT_OF_MEMORY);
    CHECK_STRING(error.text, "no memory for weights (4096 bytes)");
    cupel_error_clear(&error);
    CHECK_I64(error.status, CUPEL_STATUS_OK);
    CHECK_STRING(error.text, "");
    cupel_error_clear(NULL);
}

static void test_failing_with_success_is_a_bug(void **state) {
    (void)state;
    struct cupel_error error = {0};
    CHECK_STATUS(cupel_fail(&error, CUPEL_STATUS_OK, "x"), CUPEL_STATUS_BUG);
    CHECK_I64(error.status, CUPEL_STATUS_BUG);
}

static void test_fail_may_quote_itself(void **state) {
    (void)state;
    struct cupel_error error = {0};
    (void)!cupel_fail(&error, CUPEL_STATUS_IO, "disk full");
    (void)!cupel_fail(&error, CUPEL_STATUS_IO, "epoch 3: %s", error.text);
    CHECK_STRING(error.text, "epoch 3: disk full");
}

static void test_long_text_is_cut_between_characters(void **state) {
    (void)state;
    struct cupel_error error = {0};
    for (int lead = 0; lead < 4; lead++) {
        char text[2048];
        check_context("lead %d", lead);
        memset(text, 'a', (size_t)lead);
        size_t length = (size_t)lead;
        while (length + 3 < sizeof text) { /* the euro sign, three bytes */
            memcpy(text + length, "\xE2\x82\xAC", 3);
            length += 3;
        }
        text[length] = '\0';
        CHECK_STATUS(cupel_fail(&error, CUPEL_STATUS_IO, "%s", text), CUPEL_STATUS_IO);
        const size_t kept = strlen(error.text);
        CHECK(kept < CUPEL_ERROR_TEXT_SIZE && kept > CUPEL_ERROR_TEXT_SIZE - 8);
        CHECK_STRING(error.text + kept - 3, "...");
        CHECK_U64((kept - 3 - (size_t)lead) % 3, 0);
    }
    char exact[CUPEL_ERROR_TEXT_SIZE];
    memset(exact, 'x', sizeof exact - 1);
    exact[sizeof exact - 1] = '\0';
    CHECK_STATUS(cupel_fail(&error, CUPEL_STATUS_IO, "%s", exact), CUPEL_STATUS_IO);
    CHECK_STRING(error.text, exact);
}

static void test_copy(void **state) {
    (void)state;
    struct cupel_error from = {0};
    struct cupel_error to = {0};
    (void)!cupel_fail(&from, CUPEL_STATUS_NAME, "no such layer");
    CHECK_STATUS(cupel_error_copy(&to, &from), CUPEL_STATUS_NAME);
    CHECK_I64(to.status, CUPEL_STATUS_NAME);
    CHECK_STRING(to.text, "no such layer");
    CHECK_STATUS(cupel_error_copy(NULL, &from), CUPEL_STATUS_NAME);
    CHECK_STATUS(cupel_error_copy(&from, &from), CUPEL_STATUS_NAME);
    CHECK_STRING(from.text, "no such layer");
}

static cupel_status counted(cupel_status status, int *calls) {
    ++*calls;
    return status;
}

static cupel_status try_two(cupel_status first, cupel_status second, int *calls) {
    CUPEL_TRY(counted(first, calls));
    CUPEL_TRY(counted(second, calls));
    return CUPEL_STATUS_OK;
}

static cupel_status try_done(cupel_status first, int *calls, bool *cleaned) {
    cupel_status status = CUPEL_STATUS_OK;
    CUPEL_TRY_DONE(counted(first, calls));
    CUPEL_TRY_DONE(counted(CUPEL_STATUS_OK, calls));
done:
    *cleaned = true;
    return status;
}

static void test_propagation(void **state) {
    (void)state;
    int calls = 0;
    CHECK_OK(try_two(CUPEL_STATUS_OK, CUPEL_STATUS_OK, &calls));
    CHECK_I64(calls, 2);
    CHECK_STATUS(try_two(CUPEL_STATUS_IO, CUPEL_STATUS_OK, &calls), CUPEL_STATUS_IO);
    CHECK_I64(calls, 3);
    bool cleaned = false;
    CHECK_STATUS(try_done(CUPEL_STATUS_TYPE, &calls, &cleaned), CUPEL_STATUS_TYPE);
    CHECK_I64(calls, 4);
    CHECK(cleaned);
    cleaned = false;
    CHECK_OK(try_done(CUPEL_STATUS_OK, &calls, &cleaned));
    CHECK(cleaned);
}

struct heard {
    int lines;
    char level[16];
    char line[2048];
};

static void hear(void *user, const char *level, const char *line) {
    struct heard *heard = user;
    heard->lines++;
    snprintf(heard->level, sizeof heard->level, "%s", level);
    snprintf(heard->line, sizeof heard->line, "%s", line);
}

static void test_log_lines(void **state) {
    (void)state;
    struct heard heard = {0};
    const struct cupel_log log = {.write = hear, .user = &heard};
    log_line(&log, "warning", "%d images of %s", 7, "cats");
    CHECK_I64(heard.lines, 1);
    CHECK_STRING(heard.level, "warning");
    CHECK_STRING(heard.line, "7 images of cats");

    char text[1501];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_line(&log, "info", "%s", text);
    CHECK_U64(strlen(heard.line), 1000);

    log_line(NULL, "info", "unheard");
    log_line(&(struct cupel_log){0}, "info", "unheard");
    CHECK_I64(heard.lines, 2);
}

static void test_traces(void **state) {
    (void)state;
    unsetenv("CUPEL_TRACE");
    CHECK(!log_traces("plan"));
    setenv("CUPEL_TRACE", "dispatch,plan", 1);
    CHECK(log_traces("plan"));
    CHECK(log_traces("dispatch"));
    CHECK(!log_traces("pla"));
    CHECK(!log_traces("planner"));
    CHECK(!log_traces("dispatch,plan"));
    CHECK(!log_traces(""));
    setenv("CUPEL_TRACE", "", 1);
    CHECK(!log_traces("plan"));
    setenv("CUPEL_TRACE", ",,plan,", 1);
    CHECK(log_traces("plan"));
    CHECK(!log_traces(""));
    unsetenv("CUPEL_TRACE");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_fail_records),
        cmocka_unit_test(test_failing_with_success_is_a_bug),
        cmocka_unit_test(test_fail_may_quote_itself),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_propagation),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_traces),
    };
    return CHECK_MAIN(tests);
}
