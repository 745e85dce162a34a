/*
 * cupel data: getting published data sets, looking at what is there, and making synthetic ones.
 * Test: tests/data.bats, tests/test_data_get.bats
 */
#include <string.h>

#include <cupel/check.h>
#include <cupel/download.h>
#include <cupel/synth.h>

#include "commands.h"
#include "target.h"

/* --- get --- */

static bool show_progress(void *user, const char *file, uint64_t got, uint64_t total) {
    char text[96];
    (void)user;
    snprintf(text, sizeof text, "%.40s %.1f of %.1f MB", file, (double)got / 1e6,
             (double)total / 1e6);
    console_bar(total == 0 ? 0 : (double)got / (double)total, text);
    return true;
}

static int get(const struct arguments *arguments) {
    const cupel_download_options options = {
        .from = arguments->values[OPTION_FROM],
        .to = arguments->values[OPTION_TO],
        .progress = arguments_has(arguments, OPTION_QUIET) ? NULL : show_progress,
    };
    const char *const set = arguments->operands[1];
    if (!target_check_data_folder(options.to))
        return EXIT_USAGE;
    cupel_download *download;
    const cupel_status status = cupel_download_fetch(&download, set, &options);
    console_clear_bar();
    int code = fail_with(status, download == NULL ? NULL : cupel_download_error(download));
    if (status == CUPEL_STATUS_INVALID_ARGUMENT)
        code = EXIT_USAGE;
    if (code == EXIT_FINE) {
        const int fetched = cupel_download_fetched(download);
        if (fetched == 0)
            tell("%s is there already, every file as published", set);
        else
            tell("%s: %d %s fetched, every file as published", set, fetched,
                 fetched == 1 ? "file" : "files");
        printf("%s\n", cupel_download_folder(download));
    }
    cupel_download_destroy(download);
    return code;
}

/* --- check --- */

static void print_line(void *user, bool damage, const char *line) {
    (void)user;
    printf("%s%s\n", damage ? "damaged: " : "", line);
}

static int check(const struct arguments *arguments) {
    char sentence[CUPEL_CHECK_SENTENCE_SIZE];
    const cupel_status status = cupel_check(arguments->operands[1], print_line, NULL, sentence);
    return fail_with(status, sentence);
}

/* --- synth --- */

static int synth(const struct arguments *arguments) {
    char sentence[CUPEL_SYNTH_SENTENCE_SIZE];
    const char *const folder = arguments->operands[1];
    int64_t seed, images, side;
    if (!arguments_whole(arguments, OPTION_SEED, 0, INT64_MAX, 0, &seed) ||
        !arguments_whole(arguments, OPTION_IMAGES, 20, 100000, 0, &images) ||
        !arguments_whole(arguments, OPTION_SIDE, 16, 128, 0, &side))
        return EXIT_USAGE;
    const cupel_synth_options options = {.seed = (uint64_t)seed,
                                         .images = images,
                                         .side = side,
                                         .pictures = arguments_has(arguments, OPTION_PNG)};
    if (!target_check_data_folder(folder))
        return EXIT_USAGE;
    const cupel_status status = cupel_synth_make(folder, &options, sentence);
    if (status != CUPEL_STATUS_OK)
        return fail_with(status, sentence);
    tell("classes 0 to 3 are whole shapes, 4 to 7 have a defect; the masks lie beside the images");
    printf("%s\n", folder);
    return EXIT_FINE;
}

/* --- the command --- */

int command_data(const struct arguments *arguments) {
    static const struct {
        const char *verb;
        int (*run)(const struct arguments *);
        enum option own[4]; /* its options, beside the general ones */
        size_t n_own;
    } verbs[] = {
        {"get", get, {OPTION_FROM, OPTION_TO}, 2},
        {.verb = "check", .run = check},
        {"synth", synth, {OPTION_SEED, OPTION_IMAGES, OPTION_SIDE, OPTION_PNG}, 4},
    };
    enum { VERBS = sizeof verbs / sizeof verbs[0] };
    console_set_quiet(arguments_has(arguments, OPTION_QUIET));
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(arguments->operands[0], verbs[i].verb) != 0)
            continue;
        for (int option = 0; option < OPTION_COUNT; option++) {
            bool known = option == OPTION_QUIET;
            for (size_t j = 0; j < verbs[i].n_own; j++)
                known = known || (int)verbs[i].own[j] == option;
            if (!known && arguments_has(arguments, (enum option)option)) {
                complain("cupel data %s has no option --%s; see cupel help data", verbs[i].verb,
                         option_name((enum option)option));
                return EXIT_USAGE;
            }
        }
        return verbs[i].run(arguments);
    }
    complain("cupel data %s: it is cupel data get SET, check PATH or synth DIR",
             arguments->operands[0]);
    return EXIT_USAGE;
}
