/*
 * cupel eval: the run's score on a split of its protocol, kind by kind of anomaly, in one table
 * with plain baselines fitted on the same training images; or over draws of a representative set.
 * Test: tests/eval.bats
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cupel/baselines.h>
#include <cupel/job.h>
#include <cupel/number.h>

#include "commands.h"
#include "eval.h"

/* --- scores --- */

static cupel_recipe *recipe_of(struct evaluation *evaluation) {
    return cupel_scorer_recipe(evaluation->scorer);
}

static int add_scored(struct evaluation *evaluation, const char *name, struct scored **out) {
    struct scored *const more =
        realloc(evaluation->scored, (evaluation->n_scored + 1) * sizeof *more);
    if (more == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    evaluation->scored = more;
    *out = &more[evaluation->n_scored];
    **out = (struct scored){.threshold = NAN};
    snprintf((*out)->name, sizeof(*out)->name, "%s", name);
    (*out)->scores = calloc((size_t)evaluation->count, sizeof *(*out)->scores);
    if ((*out)->scores == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    evaluation->n_scored++;
    return EXIT_FINE;
}

/* Sets the threshold as training does for the network: a quantile of held-out normal scores. */
static int set_threshold(struct evaluation *evaluation, struct scored *scored,
                         const double *held_out, int64_t count) {
    double quantile = 0;
    cupel_metric threshold;
    char number[CUPEL_NUMBER_TEXT_SIZE];
    cupel_status status =
        cupel_recipe_get_float(recipe_of(evaluation), "score.threshold_quantile", &quantile);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_quantile(&threshold, held_out, count, quantile);
    if (status != CUPEL_STATUS_OK)
        return fail_with(status, NULL);
    scored->threshold = isfinite(threshold.value) ? threshold.value : NAN;
    snprintf(scored->rule, sizeof scored->rule, "quantile %s of %lld held-out normal images",
             cupel_number_format(number, quantile), (long long)count);
    return EXIT_FINE;
}

/* The negated ELBO of every image; `out` has room for all. */
static int run_scorer(cupel_scorer *scorer, const cupel_dataset *images, double *out) {
    const int64_t count = cupel_dataset_get_info(images).count;
    cupel_score *const scores = calloc((size_t)count, sizeof *scores);
    if (scores == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    const int code =
        fail_with(cupel_scorer_run(scorer, images, scores, NULL), cupel_scorer_error(scorer));
    for (int64_t i = 0; i < count; i++)
        out[i] = scores[i].score;
    free(scores);
    return code;
}

static int score_network(struct evaluation *evaluation) {
    const cupel_scorer_info info = cupel_scorer_get_info(evaluation->scorer);
    struct scored *scored;
    const int code = add_scored(evaluation, "negated ELBO", &scored);
    if (code != EXIT_FINE)
        return code;
    if (info.has_threshold) {
        scored->threshold = info.threshold;
        snprintf(scored->rule, sizeof scored->rule, "%s", info.threshold_rule);
        for (char *c = scored->rule; *c != '\0'; c++) /* the file's words, printed within quotes */
            if (*c < ' ' || *c == '"' || *c == '\\' || *c == 127)
                *c = '?';
    }
    return run_scorer(evaluation->scorer, evaluation->split.images, scored->scores);
}

/* The same with more noise samples, whose threshold is found anew. */
static int score_samples(struct evaluation *evaluation) {
    cupel_scorer *const scorer = evaluation->sampler;
    char name[48];
    struct scored *scored;
    cupel_protocol_split labelled;
    snprintf(name, sizeof name, "mean of %lld", (long long)cupel_scorer_get_info(scorer).samples);
    int code = add_scored(evaluation, name, &scored);
    if (code == EXIT_FINE)
        code = run_scorer(scorer, evaluation->split.images, scored->scores);
    if (code != EXIT_FINE || cupel_protocol_held_out(evaluation->protocol) == NULL)
        return code;
    code = fail_with(cupel_protocol_get_split(evaluation->protocol, "labelled", &labelled),
                     cupel_protocol_error(evaluation->protocol));
    if (code != EXIT_FINE)
        return code;
    const int64_t count = cupel_dataset_get_info(labelled.images).count;
    double *const held_out = calloc((size_t)count, sizeof *held_out);
    code = held_out == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                            : run_scorer(scorer, labelled.images, held_out);
    if (code == EXIT_FINE)
        code = set_threshold(evaluation, scored, held_out, count);
    free(held_out);
    return code;
}

static int score_with(struct evaluation *evaluation, cupel_baseline *baseline) {
    const cupel_dataset *const held_out = cupel_protocol_held_out(evaluation->protocol);
    const int64_t count = held_out == NULL ? 0 : cupel_dataset_get_info(held_out).count;
    struct scored *scored;
    int code = add_scored(evaluation, cupel_baseline_name(baseline), &scored);
    if (code == EXIT_FINE)
        code = fail_with(
            cupel_baseline_score(baseline, evaluation->padded, scored->scores, evaluation->threads),
            cupel_baseline_error(baseline));
    if (code != EXIT_FINE || count == 0)
        return code;
    double *const normal = calloc((size_t)count, sizeof *normal);
    if (normal == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    code = fail_with(cupel_baseline_score(baseline, held_out, normal, evaluation->threads),
                     cupel_baseline_error(baseline));
    if (code == EXIT_FINE)
        code = set_threshold(evaluation, scored, normal, count);
    free(normal);
    return code;
}

static int score_baseline(struct evaluation *evaluation, cupel_baseline_kind kind, int64_t k) {
    cupel_baseline *baseline;
    const cupel_status status = cupel_baseline_create(
        &baseline, kind, k, cupel_protocol_train(evaluation->protocol), evaluation->threads);
    int code = EXIT_FINE;
    if (status == CUPEL_STATUS_OK)
        code = score_with(evaluation, baseline);
    else if (status == CUPEL_STATUS_INVALID_ARGUMENT || status == CUPEL_STATUS_UNSUPPORTED)
        tell("a baseline is left out: %s", cupel_baseline_error(baseline)); /* too few images */
    else
        code = fail_with(status, baseline == NULL ? NULL : cupel_baseline_error(baseline));
    cupel_baseline_destroy(baseline);
    return code;
}

static int score_all(struct evaluation *evaluation) {
    int64_t neighbours = 5;
    const int64_t *components;
    size_t n = 0;
    if (cupel_recipe_get_int(recipe_of(evaluation), "eval.neighbours", &neighbours) !=
            CUPEL_STATUS_OK ||
        cupel_recipe_get_ints(recipe_of(evaluation), "eval.components", &components, &n) !=
            CUPEL_STATUS_OK ||
        cupel_recipe_get_float(recipe_of(evaluation), "eval.prevalence", &evaluation->prevalence) !=
            CUPEL_STATUS_OK)
        return fail_with(CUPEL_STATUS_BUG, cupel_recipe_error(recipe_of(evaluation)));
    int code = score_network(evaluation);
    if (code == EXIT_FINE && evaluation->sampler != NULL)
        code = score_samples(evaluation);
    if (code == EXIT_FINE)
        code = score_baseline(evaluation, CUPEL_BASELINE_NEIGHBOURS, neighbours);
    for (size_t i = 0; i < n && code == EXIT_FINE; i++)
        code = score_baseline(evaluation, CUPEL_BASELINE_PCA, components[i]);
    if (code == EXIT_FINE)
        code = score_baseline(evaluation, CUPEL_BASELINE_MEAN, 1);
    return code;
}

/* --- the command --- */

/* Whether the folder of data can be opened at all; `recorded`: it is the run that names it. */
static int check_data(const char *folder, bool recorded) {
    DIR *const listing = opendir(folder);
    if (listing != NULL) {
        closedir(listing);
        return EXIT_FINE;
    }
    if (errno != ENOENT || !recorded)
        return complain_errno("open the folder", folder);
    complain("%s, where the run's data was, is not there: give its present folder with --data",
             folder);
    return EXIT_IO;
}

/* Finds the data: --data, or where the run was trained. */
static int open_protocol(struct evaluation *evaluation, const struct arguments *arguments) {
    const char *const run = arguments->operands[0];
    const char *folder = arguments->values[OPTION_DATA];
    char recorded[4096];
    struct stat info;
    if (folder == NULL && stat(run, &info) == 0 && S_ISDIR(info.st_mode) &&
        cupel_job_data(run, recorded, sizeof recorded))
        folder = recorded;
    int code = folder == NULL ? EXIT_FINE : check_data(folder, folder == recorded);
    if (code != EXIT_FINE)
        return code;
    const cupel_status status =
        cupel_protocol_create(&evaluation->protocol, recipe_of(evaluation), folder, NULL);
    code = fail_with(
        status, evaluation->protocol == NULL ? NULL : cupel_protocol_error(evaluation->protocol));
    if (code != EXIT_FINE)
        return code;
    return fail_with(
        cupel_protocol_get_split(evaluation->protocol, evaluation->split_name, &evaluation->split),
        cupel_protocol_error(evaluation->protocol));
}

/* Why the images may be others than those that were held back in training; "" when they are not.
 * A run has its split.json too, which somebody may have put there from another one. */
static int compare_images(struct evaluation *evaluation, const struct arguments *arguments,
                          const char *weights, char why[1024], const char **advice) {
    cupel_protocol *const protocol = evaluation->protocol;
    const char *const trained = cupel_scorer_get_info(evaluation->scorer).split;
    char here[CUPEL_FINGERPRINT_SIZE], path[4160];
    struct stat info;
    why[0] = '\0';
    *advice = "give the data that the run was trained on with --data";
    const int code =
        fail_with(cupel_protocol_fingerprint(protocol, here), cupel_protocol_error(protocol));
    if (code != EXIT_FINE)
        return code;
    snprintf(path, sizeof path, "%s/split.json", arguments->operands[0]);
    const bool own = stat(path, &info) == 0;
    const cupel_status status = own ? cupel_protocol_match(protocol, path) : CUPEL_STATUS_OK;
    if (status != CUPEL_STATUS_OK && status != CUPEL_STATUS_MISMATCH)
        return fail_with(status, cupel_protocol_error(protocol));
    if (trained[0] != '\0' && strcmp(trained, here) != 0)
        snprintf(why, 1024, "%s: the images in %s are divided otherwise, or are others", weights,
                 cupel_protocol_folder(protocol));
    else if (status == CUPEL_STATUS_MISMATCH)
        snprintf(why, 1024, "%s", cupel_protocol_error(protocol));
    else if (trained[0] == '\0' && !own) {
        snprintf(why, 1024, "%s does not say which images it was trained on", weights);
        *advice = "name the folder of the run, or weights that a newer cupel train wrote";
    }
    return EXIT_FINE;
}

/* Held-out images that were trained on are none. Test images of other data are a fair question, but
 * the answer is not the run's. */
static int check_images(struct evaluation *evaluation, const struct arguments *arguments,
                        const char *weights) {
    char why[1024];
    const char *advice;
    const int code = compare_images(evaluation, arguments, weights, why, &advice);
    if (code != EXIT_FINE || why[0] == '\0')
        return code;
    if (strcmp(evaluation->split_name, "test") == 0) {
        complain("warning: %s. The test images may be among those it was trained on, and the "
                 "baselines are fitted on others than it was",
                 why);
        return EXIT_FINE;
    }
    complain("%s, so %s images may have been trained on: %s, or judge by --split test", why,
             evaluation->split_name, advice);
    return EXIT_DEVICE;
}

static int evaluate(struct evaluation *evaluation, const struct arguments *arguments,
                    const char *weights) {
    const cupel_scorer_info info = cupel_scorer_get_info(evaluation->scorer);
    int code = open_protocol(evaluation, arguments);
    if (code == EXIT_FINE)
        code = check_images(evaluation, arguments, weights);
    if (code != EXIT_FINE)
        return code;
    evaluation->threads = info.threads;
    evaluation->count = cupel_dataset_get_info(evaluation->split.images).count;
    /* as the baselines saw the training images */
    const cupel_status status =
        cupel_dataset_pad(&evaluation->padded, evaluation->split.images, info.pad);
    code = fail_with(status,
                     evaluation->padded == NULL ? NULL : cupel_dataset_error(evaluation->padded));
    if (code == EXIT_FINE)
        code = score_all(evaluation);
    if (code != EXIT_FINE)
        return code;
    const bool json = arguments_has(arguments, OPTION_JSON);
    return evaluation->draws > 0 ? report_draws(evaluation, json) : report_kinds(evaluation, json);
}

static int make_scorers(struct evaluation *evaluation, cupel_context *context, const char *weights,
                        cupel_scorer_options options, int64_t samples) {
    const int code = fail_with(cupel_scorer_create(&evaluation->scorer, context, weights, &options),
                               cupel_context_error(context));
    options.samples = samples;
    if (code != EXIT_FINE || samples == 0 ||
        samples == cupel_scorer_get_info(evaluation->scorer).samples)
        return code;
    return fail_with(cupel_scorer_create(&evaluation->sampler, context, weights, &options),
                     cupel_context_error(context));
}

static void release(struct evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->n_scored; i++)
        free(evaluation->scored[i].scores);
    free(evaluation->scored);
    cupel_dataset_destroy(evaluation->padded);
    cupel_protocol_destroy(evaluation->protocol);
    (void)cupel_scorer_destroy(evaluation->sampler);
    (void)cupel_scorer_destroy(evaluation->scorer);
}

static bool check_split(const char *name) {
    for (size_t i = 0; cupel_protocol_split_name(i) != NULL; i++)
        if (strcmp(cupel_protocol_split_name(i), name) == 0)
            return true;
    complain("--split %s: give test, representative-1, representative-2 or labelled", name);
    return false;
}

int command_eval(const struct arguments *arguments) {
    int code;
    int64_t threads, samples;
    const char *const split = arguments->values[OPTION_SPLIT];
    struct weights_paths paths;
    struct evaluation evaluation = {.split_name = split == NULL ? "test" : split};
    if (!arguments_whole(arguments, OPTION_THREADS, 0, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_SAMPLES, 1, 1000, 0, &samples) ||
        !arguments_whole(arguments, OPTION_DRAWS, 1, 10000, 0, &evaluation.draws) ||
        !check_split(evaluation.split_name))
        return EXIT_USAGE;
    if (evaluation.draws > 0 && strcmp(evaluation.split_name, "test") != 0) {
        complain("--draws takes its images from the test split: leave out --split %s", split);
        return EXIT_USAGE;
    }
    code = find_weights(&paths, arguments->operands[0], arguments);
    if (code != EXIT_FINE)
        return code;
    const cupel_scorer_options options = {
        .threads = (int)threads, .plan_file = paths.plan, .replan = true};
    cupel_context *const context = make_context(&code);
    if (context != NULL)
        code = make_scorers(&evaluation, context, paths.weights, options, samples);
    if (code == EXIT_FINE)
        code = evaluate(&evaluation, arguments, paths.weights);
    release(&evaluation);
    (void)cupel_context_destroy(context);
    release_weights_paths(&paths);
    return code;
}
