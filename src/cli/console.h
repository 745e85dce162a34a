/*
 * Talking to the user: complaints, progress, and numbers, all on stderr.
 * Test: tests/command_line.bats
 */
#ifndef CUPEL_CLI_CONSOLE_H
#define CUPEL_CLI_CONSOLE_H

#include <stdbool.h>

#include <cupel/context.h>

enum exit_code {
    EXIT_FINE = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_DATA = 3,
    EXIT_IO = 4,
    EXIT_DEVICE = 5,
    EXIT_DIVERGED = 6,
    EXIT_GATE = 7
};

/* "cupel: ..." on stderr, after clearing a progress bar. */
void complain(const char *format, ...) CUPEL_PRINTF(1, 2);
/* A line on stderr that is no complaint; silent after console_set_quiet(). */
void tell(const char *format, ...) CUPEL_PRINTF(1, 2);
void console_set_quiet(bool quiet);
/* Whether stderr is a terminal that takes colours and a bar. */
bool console_is_terminal(void);
/* Draws `text` over the last bar, with `share` (0 to 1) of it filled; only on a terminal. */
void console_bar(double share, const char *text);
void console_clear_bar(void);

/* "cannot read PATH: why; what to do", from errno. Returns EXIT_IO. */
int complain_errno(const char *verb, const char *path);
/* Writes out what stdout holds. EXIT_IO, with one sentence however often it is asked for, when that
 * or an earlier write failed. */
int console_flush(void);
/* The exit code of a status; the sentence is printed with it. */
int fail_with(cupel_status status, const char *sentence);
/* The context's log: warnings are told, the rest only with CUPEL_TRACE. */
void console_log(void *user, const char *level, const char *line);
/* A context whose log is the console; NULL: complained, *code is the exit code. */
cupel_context *make_context(int *code);

/* "1:05", "2:03:10" */
char *format_time(char buffer[32], double seconds);
/* "12,345" */
char *format_count(char buffer[32], double count);

#endif
