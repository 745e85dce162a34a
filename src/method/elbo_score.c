/*
 * Anomaly scores by the evidence lower bound (An and Cho 2015): -ELBO(x) = E[-log p(x|z)] +
 * KL(q(z|x) || p(z)), the expectation by noise samples that are a function of the image. Everything
 * comes out of the weights file; the program is the one training evaluates with.
 * Test: tests/test_score.c
 */
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cupel/plan.h"
#include "cupel/score.h"
#include "graph/context_internal.h"
#include "train/evaluator.h"
#include "train/weights.h"

struct cupel_scorer {
    cupel_context *context;
    struct network network;
    cupel_recipe *recipe;
    cupel_parameters *parameters;
    cupel_workspace *workspace;
    cupel_plan *plan;
    struct evaluator evaluator;
    bool has_threshold;
    double threshold;
    char *rule;
    char *split;
    struct cupel_error error;
};

/* With `replan` a plan made elsewhere is no reason not to score: the kernels are then estimated, as
 * without one. */
static cupel_status read_plan(cupel_scorer *scorer, const char *path, bool replan) {
    uint8_t *text;
    size_t size;
    CUPEL_TRY(file_read(path, 0, &text, &size, &scorer->error));
    cupel_status status = cupel_plan_parse(scorer->plan, (const char *)text, size, false);
    if (status == CUPEL_STATUS_MISMATCH && replan) {
        /* another number of threads is nobody's mistake */
        const bool threads = strncmp(cupel_plan_error(scorer->plan), "threads:", 8) == 0;
        log_line(&scorer->context->log, threads ? "info" : "warning",
                 "%s does not fit here, so kernels are chosen anew: %s", path,
                 cupel_plan_error(scorer->plan));
        status = cupel_plan_parse(scorer->plan, (const char *)text, size, true);
    }
    cupel_free(text);
    return status == CUPEL_STATUS_OK
               ? status
               : cupel_fail(&scorer->error, status, "%s: %s", path, cupel_plan_error(scorer->plan));
}

static cupel_status read_metadata(cupel_scorer *scorer, const cupel_tensors *weights,
                                  const char *path, const cupel_scorer_options *options) {
    struct cupel_error *const error = &scorer->error;
    CUPEL_TRY(weights_read_recipe(&scorer->recipe, weights, path, error));
    CUPEL_TRY(network_from_recipe(&scorer->network, scorer->recipe, error));
    CUPEL_TRY(
        weights_read_threshold(weights, path, &scorer->has_threshold, &scorer->threshold, error));
    const char *const rule = cupel_tensors_metadata(weights, "cupel.threshold_rule");
    scorer->rule = cupel_strdup(rule == NULL || !scorer->has_threshold ? "" : rule);
    const char *const split = cupel_tensors_metadata(weights, WEIGHTS_SPLIT);
    scorer->split = cupel_strdup(split == NULL ? "" : split);
    if (scorer->rule == NULL || scorer->split == NULL)
        return cupel_fail_memory(error, "a text", 0);
    if (options->threads > 0)
        scorer->network.threads = options->threads;
    if (options->samples > 0)
        scorer->network.samples = options->samples;
    scorer->network.method = CUPEL_PLAN_ESTIMATE;
    return CUPEL_STATUS_OK;
}

static cupel_status build(cupel_scorer *scorer, const cupel_tensors *weights, const char *path,
                          const cupel_scorer_options *options) {
    struct cupel_error *const error = &scorer->error;
    cupel_context *const context = scorer->context;
    CUPEL_TRY(read_metadata(scorer, weights, path, options));
    cupel_status status = network_check_tensors(&scorer->network, context, weights, false, error);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s: %s", path, error->text);
    CUPEL_TRY(weights_check_preprocessing(weights, path, &scorer->network, error));
    status =
        cupel_parameters_create(&scorer->parameters, context, CUPEL_TYPE_F32, scorer->network.seed);
    if (status == CUPEL_STATUS_OK)
        status = cupel_workspace_create(&scorer->workspace, context);
    if (status == CUPEL_STATUS_OK)
        status = cupel_plan_create(&scorer->plan, context, scorer->network.threads);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_context_error(context));
    scorer->parameters->undrawn = true; /* every one is imported below, or scoring fails */
    if (options->plan_file != NULL)
        CUPEL_TRY(read_plan(scorer, options->plan_file, options->replan));
    CUPEL_TRY(evaluator_init(&scorer->evaluator, scorer->parameters, context, &scorer->network,
                             scorer->workspace, scorer->plan, error));
    status = cupel_parameters_import(scorer->parameters, weights, "", true);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_check_finite(scorer->parameters);
    if (status == CUPEL_STATUS_OK)
        return status;
    return cupel_fail(error, status, "%s: %s", path, cupel_parameters_error(scorer->parameters));
}

static cupel_status read_and_build(cupel_scorer *scorer, const char *path,
                                   const cupel_scorer_options *options) {
    cupel_tensors *weights = NULL;
    cupel_status status = cupel_tensors_read(&weights, path);
    if (status == CUPEL_STATUS_OK)
        status = build(scorer, weights, path, options);
    else
        (void)cupel_fail(&scorer->error, status, "%s",
                         weights == NULL ? cupel_status_text(status)
                                         : cupel_tensors_error(weights));
    cupel_tensors_destroy(weights);
    return status;
}

cupel_status cupel_scorer_create(cupel_scorer **out, cupel_context *context,
                                 const char *weights_path, const cupel_scorer_options *options) {
    static const cupel_scorer_options none = {0};
    *out = NULL;
    cupel_scorer *const scorer = cupel_alloc(1, sizeof *scorer);
    if (scorer == NULL)
        return cupel_fail_memory(&context->error, "a scorer", sizeof *scorer);
    scorer->context = context;
    const cupel_status status =
        read_and_build(scorer, weights_path, options == NULL ? &none : options);
    if (status == CUPEL_STATUS_OK) {
        *out = scorer;
        return status;
    }
    const struct cupel_error error = scorer->error;
    (void)cupel_scorer_destroy(scorer);
    return cupel_fail(&context->error, status, "%s",
                      error.text[0] == '\0' ? cupel_status_text(status) : error.text);
}

cupel_status cupel_scorer_destroy(cupel_scorer *scorer) {
    if (scorer == NULL)
        return CUPEL_STATUS_OK;
    evaluator_release(&scorer->evaluator);
    cupel_plan_destroy(scorer->plan);
    (void)cupel_workspace_destroy(scorer->workspace);
    (void)cupel_parameters_destroy(scorer->parameters);
    cupel_recipe_destroy(scorer->recipe);
    cupel_free(scorer->rule);
    cupel_free(scorer->split);
    cupel_free(scorer);
    return CUPEL_STATUS_OK;
}

const char *cupel_scorer_error(const cupel_scorer *scorer) {
    return scorer->error.text;
}

cupel_scorer_info cupel_scorer_get_info(const cupel_scorer *scorer) {
    const struct network *const network = &scorer->network;
    return (cupel_scorer_info){.channels = network->channels,
                               .height = network->image,
                               .width = network->image,
                               .pad = network->pad,
                               .samples = network->samples,
                               .threads = network->threads,
                               .has_threshold = scorer->has_threshold,
                               .threshold = scorer->threshold,
                               .threshold_rule = scorer->rule,
                               .split = scorer->split,
                               .program = cupel_program_get_info(scorer->evaluator.program)};
}

cupel_recipe *cupel_scorer_recipe(cupel_scorer *scorer) {
    return scorer->recipe;
}

cupel_status cupel_scorer_run(cupel_scorer *scorer, const cupel_dataset *images,
                              cupel_score *scores, float *reconstructions) {
    if (scorer->network.pad == 0)
        return evaluator_run(&scorer->evaluator, images, scores, reconstructions, &scorer->error);
    cupel_dataset *padded = NULL;
    cupel_status status = cupel_dataset_pad(&padded, images, scorer->network.pad);
    if (status == CUPEL_STATUS_OK)
        status = evaluator_run(&scorer->evaluator, padded, scores, reconstructions, &scorer->error);
    else
        (void)cupel_fail(&scorer->error, status, "%s",
                         padded == NULL ? cupel_status_text(status) : cupel_dataset_error(padded));
    cupel_dataset_destroy(padded);
    return status;
}
