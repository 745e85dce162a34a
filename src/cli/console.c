/*
 * The console: stderr for people, stdout for data. Test: tests/command_line.bats
 */
#define _POSIX_C_SOURCE 200809L
#include "console.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cupel/file.h>

static bool quiet;
static bool bar_shown;

void console_set_quiet(bool on) {
    quiet = on;
}

bool console_is_terminal(void) {
    const char *const kind = getenv("TERM");
    return isatty(STDERR_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
}

static bool has_colour(void) {
    const char *const without = getenv("NO_COLOR");
    return console_is_terminal() && (without == NULL || without[0] == '\0');
}

void console_clear_bar(void) {
    if (bar_shown)
        fputs("\r\033[K", stderr);
    bar_shown = false;
}

void complain(const char *format, ...) {
    va_list arguments;
    console_clear_bar();
    fputs(has_colour() ? "\033[1;31mcupel:\033[0m " : "cupel: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void tell(const char *format, ...) {
    va_list arguments;
    if (quiet)
        return;
    console_clear_bar();
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void console_bar(double share, const char *text) {
    enum { WIDTH = 24 };
    char bar[WIDTH + 1];
    if (quiet || !console_is_terminal())
        return;
    const int filled = share <= 0 ? 0 : share >= 1 ? (int)WIDTH : (int)(share * WIDTH);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
    bar[WIDTH] = '\0';
    fprintf(stderr, has_colour() ? "\r\033[K\033[32m[%s]\033[0m %s" : "\r\033[K[%s] %s", bar, text);
    fflush(stderr);
    bar_shown = true;
}

int complain_errno(const char *verb, const char *path) {
    const int number = errno;
    complain("cannot %s %s: %s%s", verb, path, strerror(number), cupel_file_advice(number));
    return EXIT_IO;
}

int console_flush(void) {
    static bool told;
    static int number; /* of the first failure that is seen */
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_FINE;
    number = number == 0 ? errno : number;
    if (!told)
        complain("cannot write to stdout: %s%s",
                 number == 0 ? "an earlier write failed" : strerror(number),
                 number == ENOSPC ? "; free space, or send it elsewhere" : "; send it elsewhere");
    told = true;
    return EXIT_IO;
}

int fail_with(cupel_status status, const char *sentence) {
    if (status == CUPEL_STATUS_OK)
        return EXIT_FINE;
    complain("%s", sentence == NULL || sentence[0] == '\0' ? cupel_status_text(status) : sentence);
    switch (status) {
    case CUPEL_STATUS_INVALID_ARGUMENT: return EXIT_USAGE;
    case CUPEL_STATUS_BAD_DATA:
    case CUPEL_STATUS_SHAPE:
    case CUPEL_STATUS_TYPE:
    case CUPEL_STATUS_NAME:
    case CUPEL_STATUS_UNSUPPORTED: return EXIT_DATA;
    case CUPEL_STATUS_IO: return EXIT_IO;
    case CUPEL_STATUS_MISMATCH: return EXIT_DEVICE;
    case CUPEL_STATUS_NOT_FINITE: return EXIT_DIVERGED;
    default: return EXIT_OTHER;
    }
}

void console_log(void *user, const char *level, const char *line) {
    (void)user;
    if (strcmp(level, "warning") == 0)
        complain("warning: %s", line); /* --quiet is about progress */
    else if (strcmp(level, "info") != 0)
        tell("%s: %s", level, line);
}

cupel_context *make_context(int *code) {
    const char *const device = getenv("CUPEL_DEVICE");
    const cupel_context_options options = {.device = device, .log = console_log};
    cupel_context *context = NULL;
    const cupel_status status = cupel_context_create(&context, &options);
    *code = EXIT_FINE;
    if (status == CUPEL_STATUS_UNSUPPORTED) {
        complain("CUPEL_DEVICE=%s: there is no such device; \"cpu\" and \"reference\" are known",
                 device == NULL ? "" : device);
        *code = EXIT_DEVICE;
    } else if (status != CUPEL_STATUS_OK) {
        *code = fail_with(status, NULL);
    }
    return context;
}

char *format_time(char buffer[32], double seconds) {
    const long total = !(seconds > 0) ? 0 : seconds > 1e7 ? 9999999 : lround(seconds);
    if (total >= 3600)
        snprintf(buffer, 32, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
    else
        snprintf(buffer, 32, "%ld:%02ld", total / 60, total % 60);
    return buffer;
}

char *format_count(char buffer[32], double count) {
    const long long whole = llround(count);
    if (whole >= 1000000)
        snprintf(buffer, 32, "%lld,%03lld,%03lld", whole / 1000000, whole / 1000 % 1000,
                 whole % 1000);
    else if (whole >= 1000)
        snprintf(buffer, 32, "%lld,%03lld", whole / 1000, whole % 1000);
    else
        snprintf(buffer, 32, "%lld", whole);
    return buffer;
}
