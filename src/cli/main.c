/*
 * The program cupel: finds the command and runs it. It never calls setlocale(), so numbers look the
 * same everywhere. Test: tests/command_line.bats
 */
#define _XOPEN_SOURCE 700 /* SIGXFSZ */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cupel/version.h>

#include "commands.h"
#include "manual.h"

/* By its path, since what is started as /proc/self/exe is "exe" to ps, pgrep and killall. Returns
 * where there is no /proc. */
static void start_again(char **argv) {
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length > 0 && (size_t)length < sizeof path) {
        path[length] = '\0';
        (void)execv(path, argv);
    }
    (void)execv("/proc/self/exe", argv); /* the file was moved since */
}

/* Compute threads that spin while they wait for each other are a few per cent faster on an idle
 * machine and ten times slower on a busy one, because they use up the time of the thread they wait
 * for. The OpenMP runtime reads its policy when it is loaded, so the program starts itself again
 * with the policy set, unless the user has chosen one. */
static void wait_politely(char **argv) {
    if (getenv("OMP_WAIT_POLICY") == NULL && getenv("GOMP_SPINCOUNT") == NULL &&
        setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
        start_again(argv); /* where it returns, go on as it is */
}

static int run(const struct arguments *arguments) {
    switch (arguments->command) {
    case COMMAND_TRAIN: return command_train(arguments);
    case COMMAND_SCORE: return command_score(arguments);
    case COMMAND_EVAL: return command_eval(arguments);
    case COMMAND_INSPECT: return command_inspect(arguments);
    case COMMAND_DATA: return command_data(arguments);
    case COMMAND_BENCH: return command_bench(arguments);
    case COMMAND_HELP:
    case COMMAND_COUNT: break;
    }
    return EXIT_OTHER;
}

static int unknown_command(const char *name) {
    static const char *const version[] = {"version", "-V", "-v", "-version"};
    const char *hint;
    (void)command_find(name, &hint);
    for (size_t i = 0; i < sizeof version / sizeof version[0]; i++)
        if (strcmp(name, version[i]) == 0)
            hint = "--version";
    if (hint != NULL)
        complain("there is no command \"%s\"; did you mean cupel %s?", name, hint);
    else
        complain("there is no command \"%s\"; cupel help lists them", name);
    return EXIT_USAGE;
}

static int help(const struct arguments *arguments) {
    const char *hint;
    enum command command = COMMAND_COUNT;
    if (arguments_has(arguments, OPTION_MAN)) {
        print_manual(stdout);
        return EXIT_FINE;
    }
    if (arguments_has(arguments, OPTION_COMPLETION))
        return print_completion(stdout, arguments->values[OPTION_COMPLETION]);
    if (arguments->n_operands == 1) {
        command = command_find(arguments->operands[0], &hint);
        if (command == COMMAND_COUNT)
            return unknown_command(arguments->operands[0]);
    }
    print_help(stdout, command);
    return EXIT_FINE;
}

/* A full disk or a closed pipe behind stdout is found out here at the latest. */
static int flushed(int code) {
    const int flush = console_flush();
    return code == EXIT_FINE ? flush : code;
}

int main(int argc, char **argv) {
    const char *hint;
    wait_politely(argv);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failed write like any other */
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(argc < 2 ? stderr : stdout, COMMAND_COUNT);
        return argc < 2 ? EXIT_USAGE : flushed(EXIT_FINE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("cupel %s\n", cupel_version());
        return flushed(EXIT_FINE);
    }
    const enum command command = command_find(argv[1], &hint);
    if (command == COMMAND_COUNT)
        return unknown_command(argv[1]);
    struct arguments arguments;
    int code = EXIT_USAGE;
    if (arguments_parse(&arguments, command, argc - 2, argv + 2)) {
        console_set_quiet(arguments_has(&arguments, OPTION_QUIET));
        if (arguments_has(&arguments, OPTION_HELP))
            print_help(stdout, command);
        code = arguments_has(&arguments, OPTION_HELP) ? EXIT_FINE
               : command == COMMAND_HELP              ? help(&arguments)
                                                      : run(&arguments);
    }
    free(arguments.operands);
    return flushed(code);
}
