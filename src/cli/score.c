/*
 * cupel score: a CSV of scores, and a sheet of the images at both ends. Test: tests/score.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cupel/number.h>
#include <cupel/score.h>

#include "commands.h"
#include "images.h"
#include "sheet.h"

/* The CSV: stdout, or a file that appears whole. */
struct table {
    FILE *stream;
    const char *path; /* NULL: stdout */
    char *temporary;
};

static int table_fail(const struct table *table, const char *verb) {
    complain("cannot %s %s: %s", verb, table->path == NULL ? "stdout" : table->path,
             strerror(errno));
    return EXIT_IO;
}

static int table_open(struct table *table, const char *path) {
    *table = (struct table){.stream = stdout, .path = path};
    if (path == NULL)
        return EXIT_FINE;
    const size_t size = strlen(path) + 32;
    table->temporary = malloc(size);
    if (table->temporary == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    snprintf(table->temporary, size, "%s.tmp-%ld", path, (long)getpid());
    table->stream = fopen(table->temporary, "w");
    return table->stream != NULL ? EXIT_FINE : table_fail(table, "create");
}

static int table_close(struct table *table, int code) {
    if (table->path == NULL)
        return code;
    if (table->stream != NULL) {
        bool fine = fflush(table->stream) == 0 && !ferror(table->stream) &&
                    fsync(fileno(table->stream)) == 0;
        fine = fclose(table->stream) == 0 && fine;
        if (code == EXIT_FINE && (!fine || rename(table->temporary, table->path) != 0))
            code = table_fail(table, "write");
        if (code != EXIT_FINE)
            unlink(table->temporary);
    }
    free(table->temporary);
    return code;
}

/* RFC 4180: quoted where a comma, a quote or a line end is inside. */
static void print_field(FILE *stream, const char *text) {
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void print_row(FILE *stream, const cupel_scorer_info *info, const char *name, int64_t label,
                      const cupel_score *score) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    print_field(stream, name);
    fputc(',', stream);
    if (label != CUPEL_NO_LABEL)
        fprintf(stream, "%lld", (long long)label);
    fprintf(stream, ",%s,", cupel_number_format(number, score->score));
    if (info->has_threshold)
        fputs(cupel_number_format(number, info->threshold), stream);
    fprintf(stream, ",%s,", !info->has_threshold ? "" : score->score > info->threshold ? "1" : "0");
    fputs(cupel_number_format(number, score->reconstruction), stream);
    fprintf(stream, ",%s\n", cupel_number_format(number, score->kl));
}

static int score_path(cupel_scorer *scorer, const char *path, FILE *stream, struct ends *ends) {
    const cupel_scorer_info info = cupel_scorer_get_info(scorer);
    struct images images;
    int code = images_open(&images, path, info.channels);
    if (code != EXIT_FINE)
        return code;
    const int64_t count = cupel_dataset_get_info(images.set).count;
    cupel_score *const scores = calloc((size_t)count, sizeof *scores);
    code = scores == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                          : fail_with(cupel_scorer_run(scorer, images.set, scores, NULL),
                                      cupel_scorer_error(scorer));
    for (int64_t i = 0; i < count && code == EXIT_FINE; i++) {
        char name[4160];
        print_row(stream, &info, images_name(&images, i, name, sizeof name),
                  cupel_dataset_label(images.set, i), &scores[i]);
    }
    if (code == EXIT_FINE && ends != NULL)
        code = ends_add(ends, images.set, scores);
    free(scores);
    images_close(&images);
    return code;
}

static int score_all(cupel_scorer *scorer, const struct arguments *arguments, int64_t top) {
    const char *const sheet = arguments->values[OPTION_SHEET];
    struct table table;
    struct ends ends = {.most = (size_t)top};
    int code = table_open(&table, arguments->values[OPTION_OUT]);
    if (code == EXIT_FINE)
        fputs("path,label,score,threshold,pred,reconstruction,kl\n", table.stream);
    for (size_t i = 1; i < arguments->n_operands && code == EXIT_FINE; i++)
        code =
            score_path(scorer, arguments->operands[i], table.stream, sheet == NULL ? NULL : &ends);
    code = table_close(&table, code);
    if (code == EXIT_FINE && sheet != NULL)
        code = ends_draw(&ends, scorer, sheet);
    ends_release(&ends);
    return code;
}

int command_score(const struct arguments *arguments) {
    int code;
    int64_t threads, samples, top;
    struct weights_paths paths;
    if (!arguments_whole(arguments, OPTION_THREADS, 1, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_SAMPLES, 1, 1000, 0, &samples) ||
        !arguments_whole(arguments, OPTION_TOP, 1, 1000, 20, &top))
        return EXIT_USAGE;
    code = find_weights(&paths, arguments->operands[0], arguments);
    if (code != EXIT_FINE)
        return code;
    const char *const plan = arguments->values[OPTION_PLAN_FILE];
    const cupel_scorer_options options = {
        .threads = (int)threads, .samples = samples, .plan_file = plan != NULL ? plan : paths.plan};
    cupel_context *const context = make_context(&code);
    cupel_scorer *scorer = NULL;
    if (context != NULL)
        code = fail_with(cupel_scorer_create(&scorer, context, paths.weights, &options),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = score_all(scorer, arguments, top);
    (void)cupel_scorer_destroy(scorer);
    (void)cupel_context_destroy(context);
    release_weights_paths(&paths);
    return code;
}
