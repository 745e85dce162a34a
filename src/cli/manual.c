/*
 * The manual page in man(7). Test: tests/manual.bats
 */
#include "manual.h"

#include <cupel/recipe.h>
#include <cupel/version.h>

#include "options.h"

/* --- the manual page --- */

/* Text as roff shows it: hyphens that can be copied, no accidental requests. */
static void roff(FILE *stream, const char *text) {
    if (text[0] == '.' || text[0] == '\'')
        fputs("\\&", stream);
    for (; *text != '\0'; text++) {
        if (*text == '-')
            fputs("\\-", stream);
        else if (*text == '\\')
            fputs("\\e", stream);
        else
            fputc(*text, stream);
    }
}

static void manual_option(FILE *stream, enum option option, enum command command) {
    char help[160];
    fputs(".TP\n\\fB\\-\\-", stream);
    roff(stream, option_name(option));
    fputs("\\fR", stream);
    if (option_argument(option) != NULL)
        fprintf(stream, " \\fI%s\\fR", option_argument(option));
    fputc('\n', stream);
    roff(stream, option_help(option, command, help));
    if (option_key(option) != NULL && command != COMMAND_DATA) /* which has no recipe */
        fprintf(stream, "; recipe: \\fB%s\\fR", option_key(option));
    fputc('\n', stream);
}

static void manual_command(FILE *stream, enum command command) {
    fprintf(stream, ".SS cupel %s ", command_name(command));
    roff(stream, command_operands(command));
    fputc('\n', stream);
    roff(stream, command_help(command));
    fputc('\n', stream);
    for (int option = 0; option < OPTION_COUNT; option++)
        if (option_belongs((enum option)option, command))
            manual_option(stream, (enum option)option, command);
}

static void manual_keys(FILE *stream) {
    fputs(".SH RECIPE KEYS\nA recipe is a YAML file; \\fB\\-\\-set\\fR \\fIKEY=VALUE\\fR overrides "
          "any key.\n",
          stream);
    for (size_t i = 0; i < cupel_recipe_key_count(); i++) {
        const cupel_recipe_key *const key = cupel_recipe_key_at(i);
        fprintf(stream, ".TP\n\\fB%s\\fR (", key->key);
        roff(stream, key->initial[0] == '\0' ? "empty" : key->initial);
        fputs(")\n", stream);
        roff(stream, key->help);
        if (key->choices != NULL) {
            fputs(": ", stream);
            roff(stream, key->choices);
        }
        fputc('\n', stream);
    }
}

void print_manual(FILE *stream) {
    fprintf(stream,
            ".TH CUPEL 1 \"\" \"cupel %s\" \"User Commands\"\n"
            ".SH NAME\ncupel \\- train image models and find out what they are really made of\n"
            ".SH SYNOPSIS\n\\fBcupel\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n"
            ".SH DESCRIPTION\nData go to standard output, everything else to standard error. Every "
            "file is written whole or not at all.\n"
            ".SH COMMANDS\n",
            cupel_version());
    for (int command = 0; command < COMMAND_COUNT; command++)
        manual_command(stream, (enum command)command);
    manual_keys(stream);
    fputs(
        ".SH EXIT STATUS\n"
        ".TP\n0\nfine\n.TP\n1\nfailure\n.TP\n2\nusage\n.TP\n3\nbad data\n"
        ".TP\n4\ninput or output, a full disk\n.TP\n5\ndevice or plan, or other data than a run "
        "was trained on\n.TP\n6\na value is not "
        "finite\n.TP\n7\nthe rule of \\-\\-fail\\-if applies\n"
        ".TP\n130, 143, 129\nstopped by SIGINT, SIGTERM or SIGHUP; train saves first and says how "
        "to resume\n"
        ".SH ENVIRONMENT\n"
        ".TP\n\\fBCUPEL_DATA\\fR\nthe folder of the data sets, without \\-\\-data\n"
        ".TP\n\\fBNO_COLOR\\fR\nno colours on standard error\n"
        ".TP\n\\fBCUPEL_TRACE\\fR=dispatch\nsays which kernels were chosen, and why others were "
        "not\n"
        ".TP\n\\fBCUPEL_DISABLE\\fR=\\fINAME\\fR[,\\fINAME\\fR...]\nremoves the kernels whose "
        "names begin so, as \\fBonednn\\fR or \\fBvec:winograd\\fR; reference kernels stay\n"
        ".TP\n\\fBCUPEL_ISA\\fR=baseline|avx2|avx512\nvector instructions no wider than these\n"
        ".TP\n\\fBCUPEL_DEVICE\\fR=cpu|reference\nwhere programs run; on \\fBreference\\fR all "
        "arithmetic is in double, and slow\n",
        stream);
}
