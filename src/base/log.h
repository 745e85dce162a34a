/*
 * The log: lines handed to a function the user gave to the context; nothing is printed here.
 * Traces (CUPEL_TRACE=dispatch,plan) pass through it too. Test: tests/test_error.c
 */
#ifndef CUPEL_BASE_LOG_H
#define CUPEL_BASE_LOG_H

#include <stdbool.h>

#include "cupel/status.h"

struct cupel_log {
    void (*write)(void *user, const char *level, const char *line); /* NULL: silent */
    void *user;
};

/* level: "info", "warning", "trace". Lines over 1,000 bytes are cut. */
void log_line(const struct cupel_log *log, const char *level, const char *format, ...)
    CUPEL_PRINTF(3, 4);
/* Whether CUPEL_TRACE names the topic, e.g. "dispatch". */
bool log_traces(const char *topic);

#endif
