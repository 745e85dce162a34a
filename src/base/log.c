/*
 * The log: formats a line and hands it to the user's function. Test: tests/test_error.c
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 1001 };

void log_line(const struct cupel_log *log, const char *level, const char *format, ...) {
    if (log == NULL || log->write == NULL)
        return;
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length >= 0)
        log->write(log->user, level, line);
}

bool log_traces(const char *topic) {
    const char *list = getenv("CUPEL_TRACE");
    const size_t length = strlen(topic);
    while (list != NULL && length > 0) {
        const size_t item = strcspn(list, ",");
        if (item == length && memcmp(list, topic, length) == 0)
            return true;
        list = list[item] == ',' ? list + item + 1 : NULL;
    }
    return false;
}
