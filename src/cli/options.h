/*
 * The options of all commands: one table makes the parser, --help, and the mapping to recipe keys.
 * Test: tests/command_line.bats
 */
#ifndef CUPEL_CLI_OPTIONS_H
#define CUPEL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum command {
    COMMAND_TRAIN = 0,
    COMMAND_SCORE,
    COMMAND_EVAL,
    COMMAND_INSPECT,
    COMMAND_BENCH,
    COMMAND_DATA,
    COMMAND_HELP,
    COMMAND_COUNT
};

enum option {
    OPTION_DATA = 0,
    OPTION_OUT,
    OPTION_SEED,
    OPTION_THREADS,
    OPTION_WORKERS,
    OPTION_EPOCHS,
    OPTION_BATCH,
    OPTION_LR,
    OPTION_PLAN,
    OPTION_PLAN_FILE,
    OPTION_SET,
    OPTION_FORCE,
    OPTION_RESUME,
    OPTION_REPLAN,
    OPTION_DRY_RUN,
    OPTION_WEIGHTS,
    OPTION_SPLIT,
    OPTION_DRAWS,
    OPTION_SAMPLES,
    OPTION_TOP,
    OPTION_SHEET,
    OPTION_FILES0_FROM,
    OPTION_FAIL_IF,
    OPTION_STEPS,
    OPTION_PROFILE,
    OPTION_TRACE,
    OPTION_PRECISION,
    OPTION_FROM,
    OPTION_TO,
    OPTION_IMAGES,
    OPTION_SIDE,
    OPTION_PNG,
    OPTION_MAN,
    OPTION_COMPLETION,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_COUNT
};

enum { MOST_SETS = 64, MOST_OPERANDS = 4096 };

/* What a command line says. Strings are borrowed from argv. */
struct arguments {
    enum command command;
    const char *values[OPTION_COUNT]; /* NULL: not given; flags: "" */
    const char *sets[MOST_SETS];      /* --set, each in its turn */
    size_t n_sets;
    const char **operands;
    size_t n_operands;
};

/* Parses argv behind the command. false: the complaint has been printed. The operands are allocated
 * (free()). */
bool arguments_parse(struct arguments *arguments, enum command command, int argc, char **argv);
static inline bool arguments_has(const struct arguments *arguments, enum option option) {
    return arguments->values[option] != NULL;
}
/* A whole number within a range, `initial` when it was not given; false: complained. */
bool arguments_whole(const struct arguments *arguments, enum option option, int64_t least,
                     int64_t most, int64_t initial, int64_t *out);

const char *option_name(enum option option);
/* The recipe key that the option sets; NULL: none. */
const char *option_key(enum option option);

bool option_belongs(enum option option, enum command command);
/* "FILE"; NULL: a flag. */
const char *option_argument(enum option option);
/* The words between which the option chooses, "best last"; NULL: any. */
const char *option_choices(enum option option);
/* What it does in that command; returns buffer. */
char *option_help(enum option option, enum command command, char buffer[160]);

/* The command of that name; with a near miss the hint. COMMAND_COUNT: none. */
enum command command_find(const char *name, const char **hint);
const char *command_name(enum command command);
const char *command_operands(enum command command);
/* The words that its operand `place` (from 0) chooses among, "get check synth", as its operands are
 * written; returns buffer, "" where it is a name. */
char *command_words(enum command command, int place, char buffer[80]);
const char *command_help(enum command command);
void print_help(FILE *stream, enum command command); /* COMMAND_COUNT: of the program */

#endif
