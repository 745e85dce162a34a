/*
 * Failing: every failure of the library passes through cupel_fail(), the one place for a
 * breakpoint. An object that can fail embeds a struct cupel_error; the first error of a call is the
 * one that is kept by convention (lower layers write it, upper layers pass the status on).
 * Test: tests/test_error.c
 */
#ifndef CUPEL_BASE_ERROR_H
#define CUPEL_BASE_ERROR_H

#include <stdarg.h>

#include "cupel/status.h"

enum { CUPEL_ERROR_TEXT_SIZE = 768 };

struct cupel_error {
    cupel_status status;
    char text[CUPEL_ERROR_TEXT_SIZE];
};

/* Records status and the formatted sentence in `error` (may be NULL) and returns status. */
cupel_status cupel_fail(struct cupel_error *error, cupel_status status, const char *format, ...)
    CUPEL_PRINTF(3, 4);
cupel_status cupel_vfail(struct cupel_error *error, cupel_status status, const char *format,
                         va_list args) CUPEL_PRINTF(3, 0);
/* "no memory for <what> (<size> bytes)" */
cupel_status cupel_fail_memory(struct cupel_error *error, const char *what, size_t size);
void cupel_error_clear(struct cupel_error *error);
/* Copies status and text; returns the status. */
cupel_status cupel_error_copy(struct cupel_error *to, const struct cupel_error *from);

/* Propagation: return the failing status at once, or go to `done` with `status` set. */
#define CUPEL_TRY(call) \
    do { \
        const cupel_status try_status_ = (call); \
        if (try_status_ != CUPEL_STATUS_OK) \
            return try_status_; \
    } while (0)

#define CUPEL_TRY_DONE(call) \
    do { \
        status = (call); \
        if (status != CUPEL_STATUS_OK) \
            goto done; \
    } while (0)

#endif
