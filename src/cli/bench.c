/*
 * cupel bench step: times the very step that cupel train runs, loss guard, sampling, metrics and
 * update included, with a fresh batch from the loader each time. cupel bench score: times the
 * scores of 10,000 images. Test: tests/command_line.bats,
 * tests/test_bench_profile.c
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cupel/machine.h>
#include <cupel/number.h>
#include <cupel/score.h>
#include <cupel/trainer.h>

#include "commands.h"
#include "images.h"
#include "profile.h"
#include "target.h"

enum { WARM_UP = 3, BATCHES = 8, SCORED = 10000, STEPS = 20, PASSES = 3 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool scores(const struct arguments *arguments) {
    return strcmp(arguments->operands[0], "score") == 0;
}

/* The recipe of a benchmark: the named network with its own settings, then the options. */
static int bench_recipe(cupel_recipe **out, const struct arguments *arguments) {
    static const char *const conv[] = {"model.name=conv-vae", "model.image=32", "data.pad=2", NULL};
    static const char *const mlp[] = {"model.name=mlp-vae", "model.image=28", "model.latent=5",
                                      "loss.reconstruction=bernoulli", NULL};
    const char *const name = arguments->operands[1];
    const char *const *settings = strcmp(name, "conv-vae") == 0  ? conv
                                  : strcmp(name, "mlp-vae") == 0 ? mlp
                                                                 : NULL;
    const bool step = strcmp(arguments->operands[0], "step") == 0 && arguments->n_operands == 2;
    static const enum option step_only[] = {OPTION_PROFILE, OPTION_TRACE, OPTION_BATCH,
                                            OPTION_WORKERS, OPTION_PLAN};
    for (size_t i = 0; !step && i < sizeof step_only / sizeof *step_only; i++)
        if (arguments_has(arguments, step_only[i])) {
            complain("--%s is for cupel bench step: leave it out", option_name(step_only[i]));
            return EXIT_USAGE;
        }
    if ((!step && !scores(arguments)) || settings == NULL) {
        complain("usage: cupel bench step conv-vae|mlp-vae [options], or cupel bench score "
                 "conv-vae|mlp-vae [IDX FILE] [options]");
        return EXIT_USAGE;
    }
    const struct target trace = {"--trace", arguments->values[OPTION_TRACE]};
    if (!target_check(&trace))
        return EXIT_USAGE;
    int code = target_reach(&trace, true);
    if (code == EXIT_FINE)
        code = fail_with(cupel_recipe_create(out), NULL);
    for (; code == EXIT_FINE && *settings != NULL; settings++)
        code = fail_with(cupel_recipe_set(*out, *settings, name), cupel_recipe_error(*out));
    if (code == EXIT_FINE)
        code = apply_overrides(*out, arguments);
    if (code == EXIT_FINE) /* --steps says how long it takes, whatever the recipe says */
        code = fail_with(cupel_recipe_set(*out, "train.epochs=1000000", "bench"),
                         cupel_recipe_error(*out));
    return code;
}

/* `count` images of noise, without the margin: no two alike, and nothing can be cached. */
static cupel_status noise(cupel_dataset **out, int64_t count, int64_t channels, int64_t side) {
    *out = NULL;
    const size_t size = (size_t)(count * channels * side * side);
    uint8_t *const pixels = malloc(size);
    if (pixels == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        pixels[i] = (uint8_t)(state >> 56);
    }
    const cupel_status status =
        cupel_dataset_create(out, count, channels, side, side, pixels, NULL);
    free(pixels);
    return status;
}

/* What a network sees in training, so many batches of it. */
static cupel_status noise_for(cupel_dataset **out, cupel_recipe *recipe, int64_t batches) {
    int64_t batch = 0, channels = 0, image = 0;
    *out = NULL;
    if (cupel_recipe_get_int(recipe, "train.batch", &batch) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.channels", &channels) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.image", &image) != CUPEL_STATUS_OK)
        return CUPEL_STATUS_BUG;
    return noise(out, batches * batch, channels, image);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs the steps; times[steps] in seconds, sorted. profile may be NULL. */
static int time_steps(cupel_trainer *trainer, int64_t steps, double *times,
                      struct profile *profile) {
    double first = 0;
    for (int64_t i = -WARM_UP; i < steps; i++) {
        cupel_step_result step;
        cupel_epoch_result epoch;
        cupel_step_time *const nodes = profile != NULL && i >= 0 ? profile_next(profile) : NULL;
        const double began = now();
        first = i <= 0 ? began : first;
        int code = fail_with(cupel_trainer_step_timed(trainer, &step, nodes),
                             cupel_trainer_error(trainer));
        if (i >= 0)
            times[i] = now() - began;
        if (nodes != NULL)
            profile_add(profile, began - first);
        if (code == EXIT_FINE && step.epoch_over)
            code =
                fail_with(cupel_trainer_end_epoch(trainer, &epoch), cupel_trainer_error(trainer));
        if (code != EXIT_FINE)
            return code;
    }
    qsort(times, (size_t)steps, sizeof *times, by_value);
    return EXIT_FINE;
}

static double peak_rss_mib(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024.0 : 0.0;
}

static void print_row(bool json, const char *key, double value, int decimals, bool last) {
    char text[CUPEL_NUMBER_TEXT_SIZE];
    cupel_number_format_fixed(text, value, decimals);
    if (json)
        printf("\"%s\": %s%s", key, text, last ? "}\n" : ", ");
    else
        printf("%-14s %s\n", key, text);
}

/* times are sorted; images: of one of them. */
static void print_times(bool json, const double *times, int64_t n, int64_t images, int threads) {
    const double median = n % 2 == 1 ? times[n / 2] : 0.5 * (times[n / 2 - 1] + times[n / 2]);
    if (json)
        printf("{");
    print_row(json, "median_ms", 1e3 * median, 3, false);
    print_row(json, "min_ms", 1e3 * times[0], 3, false);
    print_row(json, "images_per_s", (double)images / median, 1, false);
    print_row(json, "threads", threads, 0, false);
}

static void report(bool json, const double *times, int64_t steps, const cupel_trainer_info *info,
                   const cupel_plan *plan) {
    const cupel_program_info *const program = &info->step_program;
    print_times(json, times, steps, info->images / BATCHES, info->threads);
    print_row(json, "flop_per_step", program->flops, 0, false);
    print_row(json, "peak_rss_mib", peak_rss_mib(), 1, false);
    print_row(json, "planned_bytes", (double)program->planned_bytes, 0, false);
    print_row(json, "naive_bytes", (double)program->naive_bytes, 0, false);
    /* as the state of a run has it, whose images are whole batches too */
    printf(json ? "\"plan_hash\": \"%016llx\"" : "plan_hash      %016llx\n",
           (unsigned long long)cupel_plan_hash(plan));
}

/* The figures, then the profile where it is wanted. */
static int print_all(const struct arguments *arguments, const double *times, int64_t steps,
                     const cupel_trainer_info *info, const cupel_plan *plan,
                     struct profile *profile) {
    const bool json = arguments_has(arguments, OPTION_JSON);
    int code = EXIT_FINE;
    report(json, times, steps, info, plan);
    if (arguments_has(arguments, OPTION_PROFILE)) {
        if (json)
            printf(", ");
        code = profile_print(profile, info->threads, json);
    }
    if (json)
        printf("}\n");
    if (code == EXIT_FINE && arguments_has(arguments, OPTION_TRACE))
        code = profile_trace(profile, arguments->values[OPTION_TRACE]);
    return code;
}

static int refuse_reference_kernels(const cupel_program_info *program) {
    if (program->reference_steps_over_1mflop == 0)
        return EXIT_FINE;
    complain("%zu steps of more than 1 MFLOP run on slow reference kernels (cupel inspect names "
             "them): this is no measurement of speed",
             program->reference_steps_over_1mflop);
    return EXIT_OTHER;
}

static int bench_step(cupel_context *context, cupel_recipe *recipe,
                      const struct arguments *arguments, int64_t steps) {
    cupel_dataset *images = NULL;
    cupel_trainer *trainer = NULL;
    cupel_plan *plan = NULL;
    int64_t threads = 0;
    double *const times = calloc((size_t)steps, sizeof *times);
    int code = times == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                             : fail_with(noise_for(&images, recipe, BATCHES), NULL);
    if (code == EXIT_FINE)
        code = fail_with(cupel_recipe_get_int(recipe, "threads", &threads),
                         cupel_recipe_error(recipe));
    if (code == EXIT_FINE)
        code = fail_with(cupel_plan_create(&plan, context,
                                           threads > 0 ? (int)threads : cupel_machine_processors()),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_create(&trainer, context, recipe, images, NULL, plan),
                         cupel_context_error(context));
    const bool profiled =
        arguments_has(arguments, OPTION_PROFILE) || arguments_has(arguments, OPTION_TRACE);
    struct profile profile = {0};
    if (code == EXIT_FINE && profiled)
        code = profile_init(&profile, trainer, (size_t)steps);
    if (code == EXIT_FINE)
        code = time_steps(trainer, steps, times, profiled ? &profile : NULL);
    if (code == EXIT_FINE) {
        const cupel_trainer_info info = cupel_trainer_get_info(trainer);
        code = print_all(arguments, times, steps, &info, plan, &profile);
        if (code == EXIT_FINE)
            code = refuse_reference_kernels(&info.step_program);
    }
    profile_release(&profile);
    (void)cupel_trainer_destroy(trainer);
    cupel_plan_destroy(plan);
    cupel_dataset_destroy(images);
    free(times);
    return code;
}

/* A scorer is made from a file. The network's weights are as they are drawn: arithmetic takes its
 * time whatever they are. */
static int fresh_scorer(cupel_scorer **out, cupel_context *context, cupel_recipe *recipe) {
    int64_t threads = 0; /* which is none of a network's, so its file does without */
    cupel_dataset *images = NULL;
    cupel_trainer *trainer = NULL;
    cupel_tensors *weights = NULL;
    char path[] = "/tmp/cupel-bench-XXXXXX";
    const int file = mkstemp(path);
    int code = file >= 0 ? EXIT_FINE : complain_errno("make a file in", "/tmp");
    if (code == EXIT_FINE)
        code = fail_with(cupel_recipe_get_int(recipe, "threads", &threads),
                         cupel_recipe_error(recipe));
    if (code == EXIT_FINE) /* the training step's memory is not the score's */
        code = fail_with(cupel_recipe_set(recipe, "train.batch=1", "bench"),
                         cupel_recipe_error(recipe));
    if (code == EXIT_FINE)
        code = fail_with(noise_for(&images, recipe, 1), NULL);
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_create(&trainer, context, recipe, images, NULL, NULL),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = fail_with(cupel_tensors_create(&weights), NULL);
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_export_weights(trainer, weights, NULL),
                         cupel_trainer_error(trainer));
    if (code == EXIT_FINE)
        code = fail_with(cupel_tensors_write(weights, path), cupel_tensors_error(weights));
    const cupel_scorer_options options = {.threads = (int)threads};
    if (code == EXIT_FINE)
        code = fail_with(cupel_scorer_create(out, context, path, &options),
                         cupel_context_error(context));
    cupel_tensors_destroy(weights);
    (void)cupel_trainer_destroy(trainer);
    cupel_dataset_destroy(images);
    if (file >= 0) {
        close(file);
        unlink(path);
    }
    return code;
}

/* The first pass is not timed. */
static int time_passes(cupel_scorer *scorer, const cupel_dataset *images, int64_t passes,
                       double *times) {
    const int64_t count = cupel_dataset_get_info(images).count;
    cupel_score *const scores = calloc((size_t)count, sizeof *scores);
    int code = scores == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL) : EXIT_FINE;
    for (int64_t i = -1; i < passes && code == EXIT_FINE; i++) {
        const double began = now();
        code =
            fail_with(cupel_scorer_run(scorer, images, scores, NULL), cupel_scorer_error(scorer));
        if (i >= 0)
            times[i] = now() - began;
    }
    qsort(times, (size_t)passes, sizeof *times, by_value);
    free(scores);
    return code;
}

static int bench_score(cupel_context *context, cupel_recipe *recipe,
                       const struct arguments *arguments, int64_t passes) {
    const bool json = arguments_has(arguments, OPTION_JSON);
    cupel_scorer *scorer = NULL;
    struct image_source source = {0};
    struct images file = {0};
    cupel_dataset *made = NULL;
    double *const times = calloc((size_t)passes, sizeof *times);
    int code = times == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                             : fresh_scorer(&scorer, context, recipe);
    if (code == EXIT_FINE) {
        const cupel_scorer_info info = cupel_scorer_get_info(scorer);
        const int64_t side = info.height - 2 * info.pad;
        const struct image_form form = {.channels = info.channels,
                                        .height = side,
                                        .width = side,
                                        .weights = arguments->operands[1]};
        if (arguments->n_operands == 2)
            code = fail_with(noise(&made, SCORED, info.channels, side), NULL);
        else
            code = image_source_open(&source, &form, arguments->operands + 2, 1, NULL);
        if (code == EXIT_FINE && made == NULL)
            code = image_source_next(&source, &file);
    }
    const cupel_dataset *const images = made != NULL ? made : file.set;
    if (code == EXIT_FINE)
        code = time_passes(scorer, images, passes, times);
    if (code == EXIT_FINE) {
        const cupel_scorer_info info = cupel_scorer_get_info(scorer);
        print_times(json, times, passes, cupel_dataset_get_info(images).count, info.threads);
        print_row(json, "peak_rss_mib", peak_rss_mib(), 1, true);
        code = refuse_reference_kernels(&info.program);
    }
    images_close(&file);
    image_source_close(&source);
    cupel_dataset_destroy(made);
    (void)cupel_scorer_destroy(scorer);
    free(times);
    return code;
}

int command_bench(const struct arguments *arguments) {
    int code;
    int64_t steps;
    cupel_recipe *recipe = NULL;
    if (!arguments_whole(arguments, OPTION_STEPS, 1, 1000000, scores(arguments) ? PASSES : STEPS,
                         &steps))
        return EXIT_USAGE;
    cupel_context *const context = make_context(&code);
    if (context == NULL)
        return code;
    code = bench_recipe(&recipe, arguments);
    if (code == EXIT_FINE)
        code = (scores(arguments) ? bench_score : bench_step)(context, recipe, arguments, steps);
    cupel_recipe_destroy(recipe);
    (void)cupel_context_destroy(context);
    return code;
}
