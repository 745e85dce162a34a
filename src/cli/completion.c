/*
 * Completion for bash, fish and zsh: each script is one walk over the tables of options, commands
 * and recipe keys, in that shell's words. Test: tests/manual.bats
 */
#include <string.h>

#include <cupel/download.h>
#include <cupel/recipe.h>

#include "console.h"
#include "manual.h"
#include "options.h"

/* Between spaces, with `end` behind each. */
static void print_keys(FILE *stream, const char *end) {
    for (size_t i = 0; i < cupel_recipe_key_count(); i++)
        fprintf(stream, "%s%s%s", i == 0 ? "" : " ", cupel_recipe_key_at(i)->key, end);
}

static void print_sets(FILE *stream) {
    for (size_t i = 0; cupel_download_name(i) != NULL; i++)
        fprintf(stream, "%s%s", i == 0 ? "" : " ", cupel_download_name(i));
}

/* Within single quotes; `escape` also gets a backslash: the shell's own special letters there. */
static void print_quoted(FILE *stream, const char *text, const char *escape) {
    for (; *text != '\0'; text++) {
        if (strchr(escape, *text) != NULL)
            fputc('\\', stream);
        if (*text == '\'')
            fputs("'\\''", stream);
        else
            fputc(*text, stream);
    }
}

static bool takes_file(enum option option) {
    const char *const argument = option_argument(option);
    return argument != NULL &&
           (strstr(argument, "FILE") != NULL || strstr(argument, "DIR") != NULL ||
            strstr(argument, "PATH") != NULL || strstr(argument, "RUN") != NULL);
}

/* --- bash --- */

static void bash_options(FILE *stream, enum command command) {
    fprintf(stream, "    %s) words=\"", command_name(command));
    for (int option = 0, first = 1; option < OPTION_COUNT; option++)
        if (option_belongs((enum option)option, command)) {
            fprintf(stream, "%s--%s", first ? "" : " ", option_name((enum option)option));
            first = 0;
        }
    fputs("\" ;;\n", stream);
}

/* Words that an operand chooses among. */
static void bash_operands(FILE *stream) {
    char words[80];
    fputs("    case \"$COMP_CWORD ${COMP_WORDS[*]:1:COMP_CWORD-1}\" in\n", stream);
    for (int command = 0; command < COMMAND_COUNT; command++)
        for (int place = 0; place < 2; place++)
            if (command_words((enum command)command, place, words)[0] != '\0')
                fprintf(stream, "    \"%d %s\"%s) words=\"%s\" ;;\n", place + 2,
                        command_name((enum command)command), place == 0 ? "" : "*", words);
    fputs("    \"3 data get\") words=\"", stream);
    print_sets(stream);
    fputs("\" ;;\n    esac\n", stream);
}

static void print_bash(FILE *stream) {
    fputs(
        "# Completion of cupel for bash.\n"
        "_cupel() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
        "    COMPREPLY=()\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$COMP_CWORD\" -eq 2 ] && [ \"$before\" = help ] "
        "&&\n        [[ $word != -* ]]; }; then\n"
        "        COMPREPLY=($(compgen -W \"",
        stream);
    for (int command = 0; command < COMMAND_COUNT; command++)
        fprintf(stream, "%s%s", command == 0 ? "" : " ", command_name((enum command)command));
    fputs("\" -- \"$word\"))\n        return\n    fi\n    case $before in\n", stream);
    for (int option = 0; option < OPTION_COUNT; option++)
        if (option_choices((enum option)option) != NULL)
            fprintf(stream,
                    "    --%s)\n        COMPREPLY=($(compgen -W \"%s\" -- \"$word\"))\n"
                    "        return\n        ;;\n",
                    option_name((enum option)option), option_choices((enum option)option));
    fprintf(stream,
            "    --%s)\n        compopt -o nospace 2>/dev/null\n"
            "        COMPREPLY=($(compgen -W \"",
            option_name(OPTION_SET));
    print_keys(stream, "=");
    fputs("\" -- \"$word\"))\n        return\n        ;;\n    esac\n", stream);
    bash_operands(stream);
    fputs("    [[ $word != -* ]] || case ${COMP_WORDS[1]} in\n", stream);
    for (int command = 0; command < COMMAND_COUNT; command++)
        bash_options(stream, (enum command)command);
    /* without an answer of ours, bash offers files */
    fputs("    esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
          "}\n"
          "complete -o default -F _cupel cupel\n",
          stream);
}

/* --- fish --- */

static void fish_option(FILE *stream, enum command command, enum option option) {
    char help[160];
    fprintf(stream, "complete -c cupel -n '__fish_seen_subcommand_from %s' -l %s",
            command_name(command), option_name(option));
    if (option == OPTION_SET) {
        fputs(" -x -a '", stream);
        print_keys(stream, "=");
        fputc('\'', stream);
    } else if (option_choices(option) != NULL) {
        fprintf(stream, " -x -a '%s'", option_choices(option));
    } else if (option_argument(option) != NULL) {
        fputs(" -r", stream);
    }
    fputs(" -d '", stream);
    print_quoted(stream, option_help(option, command, help), "\\");
    fputs("'\n", stream);
}

static void print_fish(FILE *stream) {
    fputs("# Completion of cupel for fish.\n", stream);
    for (int command = 0; command < COMMAND_COUNT; command++) {
        const char *const name = command_name((enum command)command);
        char words[80];
        fprintf(stream, "complete -c cupel -n __fish_use_subcommand -f -a %s -d '", name);
        print_quoted(stream, command_help((enum command)command), "\\");
        fputs("'\n", stream);
        for (int place = 0; place < 2; place++)
            if (command_words((enum command)command, place, words)[0] != '\0')
                fprintf(stream, "complete -c cupel -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                        name, words);
        for (int option = 0; option < OPTION_COUNT; option++)
            if (option_belongs((enum option)option, (enum command)command))
                fish_option(stream, (enum command)command, (enum option)option);
    }
    fputs("complete -c cupel -n '__fish_seen_subcommand_from get' -f -a '", stream);
    print_sets(stream);
    fputs("'\n", stream);
}

/* --- zsh --- */

/* '--top[images at each end]:N: ' as _arguments takes them */
static void zsh_option(FILE *stream, enum command command, enum option option) {
    char help[160];
    fprintf(stream, " \\\n            '%s--%s[", option == OPTION_SET ? "*" : "",
            option_name(option));
    print_quoted(stream, option_help(option, command, help), "[]\\");
    fputc(']', stream);
    if (option_argument(option) != NULL)
        fprintf(stream, ":%s:%s%s%s", option_argument(option),
                option_choices(option) == NULL ? "" : "(",
                option_choices(option) != NULL ? option_choices(option)
                : option == OPTION_SET         ? "_cupel_keys"
                : takes_file(option)           ? "_files"
                                               : " ",
                option_choices(option) == NULL ? "" : ")");
    fputc('\'', stream);
}

static void zsh_command(FILE *stream, enum command command) {
    char words[80];
    fprintf(stream, "    %s)\n        _arguments", command_name(command));
    for (int option = 0; option < OPTION_COUNT; option++)
        if (option_belongs((enum option)option, command))
            zsh_option(stream, command, (enum option)option);
    for (int place = 0; place < 2; place++)
        if (command_words(command, place, words)[0] != '\0')
            fprintf(stream, " \\\n            '%d:what:(%s)'", place + 1, words);
    if (command == COMMAND_DATA)
        fputs(" \\\n            '2:what:_cupel_data'", stream);
    fprintf(stream, " \\\n            '*:%s'\n        ;;\n",
            command == COMMAND_HELP ? "command:_cupel_commands" : "file:_files");
}

static void print_zsh(FILE *stream) {
    fputs("#compdef cupel\n# Completion of cupel for zsh.\n_cupel_commands() {\n"
          "    local -a commands=(",
          stream);
    for (int command = 0; command < COMMAND_COUNT; command++) {
        fprintf(stream, "\n        '%s:", command_name((enum command)command));
        print_quoted(stream, command_help((enum command)command), "\\");
        fputc('\'', stream);
    }
    fputs(")\n    _describe command commands\n}\n_cupel_keys() {\n    compadd -S '' -- ", stream);
    print_keys(stream, "=");
    fputs("\n}\n_cupel_data() {\n    if [[ $words[2] == get ]]; then\n        compadd -- ", stream);
    print_sets(stream);
    fputs("\n    else\n        _files\n    fi\n}\n"
          "_cupel() {\n"
          "    if ((CURRENT == 2)); then\n        _cupel_commands\n        return\n    fi\n"
          "    shift words\n    ((CURRENT--))\n    case $words[1] in\n",
          stream);
    for (int command = 0; command < COMMAND_COUNT; command++)
        zsh_command(stream, (enum command)command);
    fputs("    esac\n}\n_cupel \"$@\"\n", stream);
}

int print_completion(FILE *stream, const char *shell) {
    static const struct {
        const char *name;
        void (*print)(FILE *);
    } shells[] = {{"bash", print_bash}, {"fish", print_fish}, {"zsh", print_zsh}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print(stream);
            return EXIT_FINE;
        }
    complain("--completion %s: give bash, fish or zsh", shell);
    return EXIT_USAGE;
}
