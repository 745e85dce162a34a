/*
 * Status codes: every cupel function that does work returns one.
 *
 * The code says which kind of failure it was; the sentence with the numbers (what, where, why, what
 * to do) is read from the object it happened to: cupel_context_error(), cupel_graph_error(), ...
 */
#ifndef CUPEL_STATUS_H
#define CUPEL_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CUPEL_API __attribute__((visibility("default")))
#define CUPEL_CHECKED __attribute__((warn_unused_result))
#define CUPEL_PRINTF(format_index, first_argument) \
    __attribute__((format(printf, format_index, first_argument)))
#else
#define CUPEL_API
#define CUPEL_CHECKED
#define CUPEL_PRINTF(format_index, first_argument)
#endif

/* X(symbol, value, sentence) */
#define CUPEL_STATUS_MAP(X) \
    X(OK, 0, "success") \
    X(INVALID_ARGUMENT, 1, "an argument is out of its range") \
    X(SHAPE, 2, "shapes do not fit") \
    X(TYPE, 3, "types do not fit") \
    X(NAME, 4, "a name is unknown or taken") \
    X(OUT_OF_MEMORY, 5, "memory was refused") \
    X(IO, 6, "input or output failed") \
    X(BAD_DATA, 7, "data is malformed") \
    X(UNSUPPORTED, 8, "not supported here") \
    X(NOT_FINITE, 9, "a value is not finite") \
    X(MISMATCH, 10, "does not match what was recorded") \
    X(INTERRUPTED, 11, "stopped on request") \
    X(BUSY, 12, "in use by someone else") \
    X(BUG, 13, "a rule of the interface was broken")

typedef enum cupel_status {
#define CUPEL_STATUS_ENUM(symbol, value, sentence) CUPEL_STATUS_##symbol = value,
    CUPEL_STATUS_MAP(CUPEL_STATUS_ENUM)
#undef CUPEL_STATUS_ENUM
} cupel_status;

/* The symbol of a status without its prefix ("OUT_OF_MEMORY"); "UNKNOWN" for other numbers. */
CUPEL_API const char *cupel_status_name(cupel_status status);

/* One general sentence about a status, never NULL. */
CUPEL_API const char *cupel_status_text(cupel_status status);

#ifdef __cplusplus
}
#endif
#endif
