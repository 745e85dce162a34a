/*
 * cupel score: a CSV of scores, and a sheet of the images at both ends. Test: tests/score.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cupel/file.h>
#include <cupel/number.h>
#include <cupel/score.h>

#include "commands.h"
#include "images.h"
#include "sheet.h"

/* The CSV: stdout as it comes, or a file that is written when all is done. */
struct table {
    FILE *stream;
    const char *path; /* NULL: stdout */
    char *bytes;
    size_t size;
    bool begun;
};

/* Whether both are there and are one file. */
static bool same_file(const char *path, const struct stat *other) {
    struct stat info;
    return stat(path, &info) == 0 && info.st_dev == other->st_dev && info.st_ino == other->st_ino;
}

/* A file of its own, which is replaced when all is done; devices and pipes are written straight. */
static bool is_replaced(const char *path) {
    struct stat info;
    return stat(path, &info) != 0 || S_ISREG(info.st_mode);
}

/* An hour of scoring is not to end at a folder that was never there. */
static int check_folder(const char *path) {
    const char *const slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    char folder[4096];
    if (!is_replaced(path) || length >= sizeof folder)
        return EXIT_FINE;
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    if (access(length == 0 ? "." : folder, W_OK | X_OK) == 0)
        return EXIT_FINE;
    complain("cannot write %s: %s", path, strerror(errno));
    return EXIT_IO;
}

static int table_open(struct table *table, const char *path) {
    struct stat out;
    *table = (struct table){.stream = stdout};
    if (path == NULL || (fstat(STDOUT_FILENO, &out) == 0 && same_file(path, &out)))
        return EXIT_FINE;
    const int code = check_folder(path);
    if (code != EXIT_FINE)
        return code;
    table->path = path;
    table->stream = open_memstream(&table->bytes, &table->size);
    return table->stream != NULL ? EXIT_FINE : fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
}

/* Signals wait until no temporary file is left; a pipe without a reader may be interrupted. */
static int write_file(const char *path, const char *bytes, size_t size) {
    char sentence[CUPEL_FILE_SENTENCE_SIZE];
    sigset_t signals, before;
    sigemptyset(&signals);
    if (is_replaced(path)) {
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGHUP);
    }
    sigprocmask(SIG_BLOCK, &signals, &before);
    const cupel_status status = cupel_file_write(path, bytes, size, sentence);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fail_with(status, sentence);
}

static int table_close(struct table *table, int code) {
    if (table->path == NULL || table->stream == NULL)
        return code;
    if (fclose(table->stream) != 0 && code == EXIT_FINE)
        code = fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    if (code == EXIT_FINE)
        code = write_file(table->path, table->bytes, table->size);
    free(table->bytes);
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

static void print_number(FILE *stream, double value) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    if (isfinite(value))
        fputs(cupel_number_format(number, value), stream);
}

/* Numbers that are not finite are empty cells: such a score is above and below nothing. */
static void print_row(FILE *stream, const cupel_scorer_info *info, const char *name, int64_t label,
                      const cupel_score *score) {
    const bool judged = info->has_threshold && isfinite(score->score);
    print_field(stream, name);
    fputc(',', stream);
    if (label != CUPEL_NO_LABEL)
        fprintf(stream, "%lld", (long long)label);
    fputc(',', stream);
    print_number(stream, score->score);
    fputc(',', stream);
    if (info->has_threshold)
        print_number(stream, info->threshold);
    fprintf(stream, ",%s,", !judged ? "" : score->score > info->threshold ? "1" : "0");
    print_number(stream, score->reconstruction);
    fputc(',', stream);
    print_number(stream, score->kl);
    fputc('\n', stream);
}

static void print_rows(struct table *table, const cupel_scorer_info *info,
                       const struct images *images, const cupel_score *scores) {
    enum { NAMED = 3 };
    const int64_t count = cupel_dataset_get_info(images->set).count;
    int64_t without = 0;
    if (!table->begun)
        fputs("path,label,score,threshold,pred,reconstruction,kl\n", table->stream);
    table->begun = true;
    for (int64_t i = 0; i < count; i++) {
        char name[4160];
        print_row(table->stream, info, images_name(images, i, name, sizeof name),
                  cupel_dataset_label(images->set, i), &scores[i]);
        if (!isfinite(scores[i].score) && without++ < NAMED)
            complain("%s has no finite score: the network's arithmetic overflows", name);
    }
    if (without > NAMED)
        complain("%lld images have no finite score", (long long)without);
}

/* The network's size is that of the images and a margin. */
static int check_size(const struct images *images, const char *weights,
                      const cupel_scorer_info *info) {
    const cupel_dataset_info have = cupel_dataset_get_info(images->set);
    const int64_t height = info->height - 2 * info->pad, width = info->width - 2 * info->pad;
    char name[4160];
    if (have.height == height && have.width == width && have.channels == info->channels)
        return EXIT_FINE;
    complain("%s is %lld x %lld pixels in %lld channels, and %s scores images of %lld x %lld in "
             "%lld: give images of that size",
             images_name(images, 0, name, sizeof name), (long long)have.width,
             (long long)have.height, (long long)have.channels, weights, (long long)width,
             (long long)height, (long long)info->channels);
    return EXIT_DATA;
}

static int score_path(cupel_scorer *scorer, const char *weights, const char *path,
                      struct table *table, struct ends *ends) {
    const cupel_scorer_info info = cupel_scorer_get_info(scorer);
    struct images images;
    int code = images_open(&images, path, info.channels);
    if (code != EXIT_FINE)
        return code;
    code = check_size(&images, weights, &info);
    cupel_score *const scores =
        calloc((size_t)cupel_dataset_get_info(images.set).count, sizeof *scores);
    if (code == EXIT_FINE)
        code = scores == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                              : fail_with(cupel_scorer_run(scorer, images.set, scores, NULL),
                                          cupel_scorer_error(scorer));
    if (code == EXIT_FINE)
        print_rows(table, &info, &images, scores);
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
    for (size_t i = 1; i < arguments->n_operands && code == EXIT_FINE; i++)
        code = score_path(scorer, arguments->operands[0], arguments->operands[i], &table,
                          sheet == NULL ? NULL : &ends);
    code = table_close(&table, code);
    if (code == EXIT_FINE && sheet != NULL)
        code = ends_draw(&ends, scorer, sheet);
    ends_release(&ends);
    return code;
}

/* The second would replace the first. */
static bool check_files(const struct arguments *arguments) {
    const char *const out = arguments->values[OPTION_OUT];
    const char *const sheet = arguments->values[OPTION_SHEET];
    struct stat info;
    if (out == NULL || sheet == NULL)
        return true;
    if (strcmp(out, sheet) != 0 &&
        !(stat(out, &info) == 0 && S_ISREG(info.st_mode) && same_file(sheet, &info)))
        return true;
    complain("--out and --sheet are one file, %s: give two", out);
    return false;
}

int command_score(const struct arguments *arguments) {
    int code;
    int64_t threads, samples, top;
    struct weights_paths paths;
    if (!arguments_whole(arguments, OPTION_THREADS, 0, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_SAMPLES, 1, 1000, 0, &samples) ||
        !arguments_whole(arguments, OPTION_TOP, 1, 1000, 20, &top) || !check_files(arguments))
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
