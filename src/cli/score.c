/*
 * cupel score: a CSV of scores, a sheet of the images at both ends, and a gate for scripts.
 * Test: tests/score.bats
 */
#define _POSIX_C_SOURCE 200809L
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
#include "gate.h"
#include "images.h"
#include "sheet.h"
#include "target.h"

/* The CSV: stdout as it comes, or a file that is written when all is done. */
struct table {
    FILE *stream;
    const char *path; /* NULL: stdout */
    char *bytes;
    size_t size;
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

static int table_open(struct table *table, const struct target *target) {
    struct stat out;
    const char *const path = target->path;
    *table = (struct table){.stream = stdout};
    if (path == NULL || (fstat(STDOUT_FILENO, &out) == 0 && same_file(path, &out)))
        return EXIT_FINE;
    const int code = target_reach(target, false);
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
static void print_row(FILE *stream, const cupel_scorer_info *info, const char *name,
                      const char *label, const cupel_score *score) {
    const bool judged = info->has_threshold && isfinite(score->score);
    print_field(stream, name);
    fputc(',', stream);
    print_field(stream, label);
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

/* --- scoring --- */

struct scoring {
    cupel_scorer *scorer;
    cupel_scorer_info info;
    struct table table;
    struct gate gate;
    struct ends ends;
    struct target targets[2]; /* --out and --sheet */
    int64_t without;          /* images whose score is not finite */
};

static void take_scores(struct scoring *scoring, const struct images *images,
                        const cupel_score *scores) {
    enum { NAMED = 3 };
    const int64_t count = cupel_dataset_get_info(images->set).count;
    if (scoring->gate.images == 0)
        fputs("path,label,score,threshold,pred,reconstruction,kl\n", scoring->table.stream);
    for (int64_t i = 0; i < count; i++) {
        char name[4160], label[256];
        const bool finite = isfinite(scores[i].score);
        print_row(scoring->table.stream, &scoring->info, images_name(images, i, name, sizeof name),
                  images_label(images, i, label, sizeof label), &scores[i]);
        scoring->gate.anomalies += !finite || scores[i].score > scoring->info.threshold;
        if (!finite && scoring->without++ < NAMED)
            complain("%s has no finite score: the network's arithmetic overflows", name);
    }
    scoring->gate.images += count;
}

/* A full disk or a reader that has gone is no reason to go on. */
static int flush_table(const struct table *table) {
    if (table->stream == stdout)
        return console_flush();
    return fflush(table->stream) == 0 ? EXIT_FINE : fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
}

static int score_part(struct scoring *scoring, const struct images *images) {
    const int64_t count = cupel_dataset_get_info(images->set).count;
    cupel_score *const scores = calloc((size_t)count, sizeof *scores);
    int code = scores == NULL
                   ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                   : fail_with(cupel_scorer_run(scoring->scorer, images->set, scores, NULL),
                               cupel_scorer_error(scoring->scorer));
    if (code == EXIT_FINE)
        take_scores(scoring, images, scores);
    if (code == EXIT_FINE && scoring->targets[1].path != NULL)
        code = ends_add(&scoring->ends, images->set, scores);
    free(scores);
    return code;
}

static int score_images(struct scoring *scoring, const struct arguments *arguments) {
    const cupel_scorer_info *const info = &scoring->info;
    const struct image_form form = {.channels = info->channels,
                                    .height = info->height - 2 * info->pad,
                                    .width = info->width - 2 * info->pad,
                                    .weights = arguments->operands[0],
                                    .spared_by = scoring->targets,
                                    .n_spared_by = 2};
    struct image_source source;
    int code = image_source_open(&source, &form, arguments->operands + 1, arguments->n_operands - 1,
                                 arguments->values[OPTION_FILES0_FROM]);
    for (bool end = false; code == EXIT_FINE && !end;) {
        struct images images;
        code = image_source_next(&source, &images);
        end = images.set == NULL;
        if (code == EXIT_FINE && !end)
            code = score_part(scoring, &images);
        images_close(&images);
        if (code == EXIT_FINE)
            code = flush_table(&scoring->table);
    }
    image_source_close(&source);
    if (scoring->without > 3)
        complain("%lld images have no finite score", (long long)scoring->without);
    return code;
}

static int score_all(struct scoring *scoring, const struct arguments *arguments) {
    const struct target *const out = &scoring->targets[0], *const sheet = &scoring->targets[1];
    scoring->info = cupel_scorer_get_info(scoring->scorer);
    if (scoring->gate.closed && !scoring->info.has_threshold) {
        complain("--fail-if counts scores above the threshold, and %s has none: it was trained "
                 "without held-out images (data.held_out)",
                 arguments->operands[0]);
        return EXIT_DATA;
    }
    /* An hour of scoring is not to end at a folder that was never there. */
    int code = target_reach(sheet, false);
    if (code != EXIT_FINE)
        return code;
    code = table_open(&scoring->table, out);
    if (code == EXIT_FINE)
        code = score_images(scoring, arguments);
    code = table_close(&scoring->table, code);
    if (code == EXIT_FINE && sheet->path != NULL)
        code = ends_draw(&scoring->ends, scoring->scorer, sheet->path);
    ends_release(&scoring->ends);
    return code == EXIT_FINE ? gate_judge(&scoring->gate) : code;
}

/* The second would replace the first. */
static bool differ(const struct arguments *arguments) {
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

/* Before an hour of scoring: neither file may replace what is read, as far as the command line says
 * what that is; image_source_next() goes on with a list. */
static bool check_files(const struct arguments *arguments, const struct weights_paths *paths,
                        const struct target *targets) {
    bool fine = differ(arguments) && target_check(&targets[0]) && target_check(&targets[1]) &&
                targets_spare(targets, 2, paths->weights) &&
                targets_spare(targets, 2, arguments->values[OPTION_PLAN_FILE]) &&
                targets_spare(targets, 2, arguments->values[OPTION_FILES0_FROM]);
    for (size_t i = 1; i < arguments->n_operands && fine; i++)
        fine = targets_spare(targets, 2, arguments->operands[i]);
    return fine;
}

int command_score(const struct arguments *arguments) {
    int code;
    int64_t threads, samples, top;
    struct weights_paths paths;
    struct scoring scoring = {.targets = {{"--out", arguments->values[OPTION_OUT]},
                                          {"--sheet", arguments->values[OPTION_SHEET]}}};
    if (!arguments_whole(arguments, OPTION_THREADS, 0, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_SAMPLES, 1, 1000, 0, &samples) ||
        !arguments_whole(arguments, OPTION_TOP, 1, 1000, 20, &top) ||
        !gate_parse(&scoring.gate, arguments->values[OPTION_FAIL_IF]))
        return EXIT_USAGE;
    scoring.ends.most = (size_t)top;
    code = find_weights(&paths, arguments->operands[0], arguments);
    if (code != EXIT_FINE)
        return code;
    if (!check_files(arguments, &paths, scoring.targets))
        code = EXIT_USAGE;
    /* A plan that is asked for is followed or refused; the run's own may be of another machine. */
    const char *const plan = arguments->values[OPTION_PLAN_FILE];
    const cupel_scorer_options options = {.threads = (int)threads,
                                          .samples = samples,
                                          .plan_file = plan != NULL ? plan : paths.plan,
                                          .replan = plan == NULL};
    cupel_context *const context = code == EXIT_FINE ? make_context(&code) : NULL;
    if (context != NULL)
        code = fail_with(cupel_scorer_create(&scoring.scorer, context, paths.weights, &options),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = score_all(&scoring, arguments);
    (void)cupel_scorer_destroy(scoring.scorer);
    (void)cupel_context_destroy(context);
    release_weights_paths(&paths);
    return code;
}
