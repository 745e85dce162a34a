/*
 * cupel bench step: times the very step that cupel train runs, loss guard, sampling, metrics and
 * update included, with a fresh batch from the loader each time. Test: tests/command_line.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cupel/number.h>
#include <cupel/trainer.h>

#include "commands.h"

enum { WARM_UP = 3, BATCHES = 8 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The recipe of a benchmark: the named network with its own settings, then the options. */
static int bench_recipe(cupel_recipe **out, const struct arguments *arguments) {
    static const char *const conv[] = {"model.name=conv-vae", "model.image=32", NULL};
    static const char *const mlp[] = {"model.name=mlp-vae", "model.image=28", "model.latent=5",
                                      "loss.reconstruction=bernoulli", NULL};
    const char *const name = arguments->operands[1];
    const char *const *settings = strcmp(name, "conv-vae") == 0  ? conv
                                  : strcmp(name, "mlp-vae") == 0 ? mlp
                                                                 : NULL;
    if (strcmp(arguments->operands[0], "step") != 0 || settings == NULL) {
        complain("usage: cupel bench step conv-vae|mlp-vae [options]");
        return EXIT_USAGE;
    }
    int code = fail_with(cupel_recipe_create(out), NULL);
    for (; code == EXIT_FINE && *settings != NULL; settings++)
        code = fail_with(cupel_recipe_set(*out, *settings, name), cupel_recipe_error(*out));
    if (code == EXIT_FINE)
        code = apply_overrides(*out, arguments);
    if (code == EXIT_FINE) /* --steps says how long it takes, whatever the recipe says */
        code = fail_with(cupel_recipe_set(*out, "train.epochs=1000000", "bench"),
                         cupel_recipe_error(*out));
    return code;
}

/* Images of noise: no two alike, and nothing can be cached. */
static cupel_status noise(cupel_dataset **out, cupel_recipe *recipe) {
    int64_t batch = 0, channels = 0, image = 0;
    *out = NULL;
    if (cupel_recipe_get_int(recipe, "train.batch", &batch) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.channels", &channels) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.image", &image) != CUPEL_STATUS_OK)
        return CUPEL_STATUS_BUG;
    const size_t size = (size_t)(BATCHES * batch * channels * image * image);
    uint8_t *const pixels = malloc(size);
    if (pixels == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        pixels[i] = (uint8_t)(state >> 56);
    }
    const cupel_status status =
        cupel_dataset_create(out, BATCHES * batch, channels, image, image, pixels, NULL);
    free(pixels);
    return status;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs the steps; times[steps] in seconds, sorted. */
static int time_steps(cupel_trainer *trainer, int64_t steps, double *times) {
    for (int64_t i = -WARM_UP; i < steps; i++) {
        cupel_step_result step;
        cupel_epoch_result epoch;
        const double began = now();
        int code = fail_with(cupel_trainer_step(trainer, &step), cupel_trainer_error(trainer));
        if (i >= 0)
            times[i] = now() - began;
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

static void report(bool json, const double *times, int64_t steps, int64_t batch,
                   const cupel_program_info *info) {
    const double median =
        steps % 2 == 1 ? times[steps / 2] : 0.5 * (times[steps / 2 - 1] + times[steps / 2]);
    if (json)
        printf("{");
    print_row(json, "median_ms", 1e3 * median, 3, false);
    print_row(json, "min_ms", 1e3 * times[0], 3, false);
    print_row(json, "images_per_s", (double)batch / median, 1, false);
    print_row(json, "flop_per_step", info->flops, 0, false);
    print_row(json, "peak_rss_mib", peak_rss_mib(), 1, false);
    print_row(json, "planned_bytes", (double)info->planned_bytes, 0, false);
    print_row(json, "naive_bytes", (double)info->naive_bytes, 0, true);
}

static int bench_step(cupel_context *context, cupel_recipe *recipe,
                      const struct arguments *arguments, int64_t steps) {
    cupel_dataset *images = NULL;
    cupel_trainer *trainer = NULL;
    double *const times = calloc((size_t)steps, sizeof *times);
    int code = times == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                             : fail_with(noise(&images, recipe), NULL);
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_create(&trainer, context, recipe, images, NULL, NULL),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = time_steps(trainer, steps, times);
    if (code == EXIT_FINE) {
        const cupel_trainer_info info = cupel_trainer_get_info(trainer);
        report(arguments_has(arguments, OPTION_JSON), times, steps, info.images / BATCHES,
               &info.step_program);
        if (info.step_program.reference_steps_over_1mflop > 0) {
            complain("%zu steps of more than 1 MFLOP run on slow reference kernels (cupel inspect "
                     "names them): this is no measurement of speed",
                     info.step_program.reference_steps_over_1mflop);
            code = EXIT_OTHER;
        }
    }
    (void)cupel_trainer_destroy(trainer);
    cupel_dataset_destroy(images);
    free(times);
    return code;
}

int command_bench(const struct arguments *arguments) {
    int code;
    int64_t steps;
    cupel_recipe *recipe = NULL;
    if (!arguments_whole(arguments, OPTION_STEPS, 1, 1000000, 20, &steps))
        return EXIT_USAGE;
    cupel_context *const context = make_context(&code);
    if (context == NULL)
        return code;
    code = bench_recipe(&recipe, arguments);
    if (code == EXIT_FINE)
        code = bench_step(context, recipe, arguments, steps);
    cupel_recipe_destroy(recipe);
    (void)cupel_context_destroy(context);
    return code;
}
