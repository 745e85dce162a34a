/*
 * The trainer: two compiled steps (full batch, last smaller batch) and the scoring pass over one
 * parameter set and one workspace. All arithmetic of a step, its metrics too, is inside the
 * program; here batches are handed in and numbers are read out once an epoch.
 * Test: tests/test_trainer.c
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "cupel/loader.h"
#include "cupel/trainer.h"
#include "graph/context_internal.h"
#include "train/evaluator.h"
#include "train/weights.h"

/* One compiled step with its fixed inputs. */
struct step {
    cupel_program *program;
    cupel_bindings *bindings;
};

struct cupel_trainer {
    cupel_context *context;
    struct network network;
    char *recipe_text; /* as files keep it */
    int workers;
    cupel_parameters *parameters;
    cupel_workspace *workspace;
    cupel_plan *plan;       /* borrowed; may be NULL */
    cupel_plan *own_plan;   /* without one: what the programs have in common where they measure */
    struct step full, tail; /* tail is empty where the batch divides the images */
    struct evaluator evaluator;
    const cupel_dataset *train, *held_out;
    int64_t images, held_out_images, batches;
    uint64_t data_hash;
    cupel_loader *loader; /* made at the first step after a change of position */
    int64_t epoch, batch; /* the next to run; batch == batches: the epoch is over */
    uint64_t step;
    double best;         /* lowest so far; infinity at first */
    cupel_score *scores; /* of the held-out images */
    struct cupel_error error;
};

/* Passes a failure on with the sentence of the object it happened to. */
static cupel_status passed(cupel_trainer *trainer, cupel_status status, const char *sentence) {
    return status == CUPEL_STATUS_OK ? status : cupel_fail(&trainer->error, status, "%s", sentence);
}

/* --- making --- */

static cupel_plan *choices(const cupel_trainer *trainer) {
    return trainer->plan != NULL ? trainer->plan : trainer->own_plan;
}

static cupel_status compile_step(cupel_trainer *trainer, const char *name, int64_t batch,
                                 struct step *out) {
    struct cupel_error *const error = &trainer->error;
    CUPEL_TRY(network_compile_train(&out->program, trainer->parameters, trainer->context,
                                    &trainer->network, name, batch, false, choices(trainer),
                                    error));
    cupel_status status = cupel_bindings_create(&out->bindings, out->program);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_context_error(trainer->context));
    status = cupel_workspace_reserve(trainer->workspace, out->program);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_workspace_error(trainer->workspace));
    return CUPEL_STATUS_OK;
}

static cupel_status check_data(cupel_trainer *trainer, cupel_recipe *recipe) {
    struct cupel_error *const error = &trainer->error;
    const struct network *const network = &trainer->network;
    CUPEL_TRY(evaluator_check_size(network, trainer->train, error));
    if (trainer->held_out != NULL)
        CUPEL_TRY(evaluator_check_size(network, trainer->held_out, error));
    if (network->batch > trainer->images)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s: train.batch is %lld, and there are only %lld training images: lower "
                          "train.batch, or raise data.limit",
                          cupel_recipe_origin(recipe, "train.batch"), (long long)network->batch,
                          (long long)trainer->images);
    return CUPEL_STATUS_OK;
}

/* Identifies the training images and their order. */
static uint64_t hash_of_data(const cupel_dataset *images) {
    const int64_t count = cupel_dataset_get_info(images).count;
    uint64_t hash = hash_mix64((uint64_t)count);
    for (int64_t i = 0; i < count; i++)
        hash = hash_combine(hash, cupel_dataset_row_id(images, i));
    return hash;
}

static cupel_status build(cupel_trainer *trainer, cupel_recipe *recipe) {
    struct cupel_error *const error = &trainer->error;
    cupel_context *const context = trainer->context;
    const struct network *const network = &trainer->network;
    int64_t workers = 1;
    CUPEL_TRY(network_from_recipe(&trainer->network, recipe, error));
    CUPEL_TRY(weights_recipe_text(recipe, &trainer->recipe_text, error));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "workers", &workers));
    trainer->workers = (int)workers;
    CUPEL_TRY(check_data(trainer, recipe));
    trainer->data_hash = hash_of_data(trainer->train);
    trainer->batches = (trainer->images + network->batch - 1) / network->batch;
    cupel_status status =
        cupel_parameters_create(&trainer->parameters, context, CUPEL_TYPE_F32, network->seed);
    if (status == CUPEL_STATUS_OK)
        status = cupel_workspace_create(&trainer->workspace, context);
    if (status == CUPEL_STATUS_OK && trainer->plan == NULL && network->method == CUPEL_PLAN_MEASURE)
        status = cupel_plan_create(&trainer->own_plan, context, network->threads);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_context_error(context));
    CUPEL_TRY(compile_step(trainer, "train", network->batch, &trainer->full));
    if (trainer->images % network->batch != 0)
        CUPEL_TRY(
            compile_step(trainer, "train-last", trainer->images % network->batch, &trainer->tail));
    CUPEL_TRY(evaluator_init(&trainer->evaluator, trainer->parameters, context, network,
                             trainer->workspace, choices(trainer), error));
    trainer->scores = cupel_alloc((size_t)trainer->held_out_images + 1, sizeof *trainer->scores);
    return trainer->scores != NULL ? CUPEL_STATUS_OK
                                   : cupel_fail_memory(error, "held-out scores", 0);
}

cupel_status cupel_trainer_create(cupel_trainer **out, cupel_context *context, cupel_recipe *recipe,
                                  const cupel_dataset *train, const cupel_dataset *held_out,
                                  cupel_plan *plan) {
    *out = NULL;
    cupel_trainer *const trainer = cupel_alloc(1, sizeof *trainer);
    if (trainer == NULL)
        return cupel_fail_memory(&context->error, "a trainer", sizeof *trainer);
    trainer->context = context;
    trainer->train = train;
    trainer->held_out = held_out;
    trainer->plan = plan;
    trainer->images = cupel_dataset_get_info(train).count;
    trainer->held_out_images = held_out == NULL ? 0 : cupel_dataset_get_info(held_out).count;
    trainer->best = INFINITY;
    const cupel_status status = build(trainer, recipe);
    if (status == CUPEL_STATUS_OK) {
        *out = trainer;
        return status;
    }
    const struct cupel_error error = trainer->error;
    (void)cupel_trainer_destroy(trainer);
    return cupel_fail(&context->error, status, "%s",
                      error.text[0] == '\0' ? cupel_status_text(status) : error.text);
}

static void release_step(struct step *step) {
    (void)cupel_bindings_destroy(step->bindings);
    (void)cupel_program_destroy(step->program);
    *step = (struct step){0};
}

cupel_status cupel_trainer_destroy(cupel_trainer *trainer) {
    if (trainer == NULL)
        return CUPEL_STATUS_OK;
    cupel_loader_destroy(trainer->loader);
    evaluator_release(&trainer->evaluator);
    release_step(&trainer->full);
    release_step(&trainer->tail);
    (void)cupel_workspace_destroy(trainer->workspace);
    (void)cupel_parameters_destroy(trainer->parameters);
    cupel_plan_destroy(trainer->own_plan);
    cupel_free(trainer->recipe_text);
    cupel_free(trainer->scores);
    cupel_free(trainer);
    return CUPEL_STATUS_OK;
}

const char *cupel_trainer_error(const cupel_trainer *trainer) {
    return trainer->error.text;
}

/* --- one step --- */

static cupel_status start_loader(cupel_trainer *trainer) {
    const cupel_loader_options options = {.batch = trainer->network.batch,
                                          .workers = trainer->workers,
                                          .seed = trainer->network.seed,
                                          .shuffle = true,
                                          .first_epoch = trainer->epoch,
                                          .first_batch = trainer->batch,
                                          .last_epoch = trainer->network.epochs};
    cupel_loader_destroy(trainer->loader);
    const cupel_status status = cupel_loader_create(&trainer->loader, trainer->train, &options);
    if (status == CUPEL_STATUS_OK)
        return status;
    (void)cupel_fail(&trainer->error, status, "%s",
                     trainer->loader == NULL ? cupel_status_text(status)
                                             : cupel_loader_error(trainer->loader));
    cupel_loader_destroy(trainer->loader);
    trainer->loader = NULL;
    return status;
}

/* Step k of W warm-up steps, k from 1, has k / W of the learning rate. */
static double learning_rate_at(const struct network *network, uint64_t step) {
    const uint64_t warmup = (uint64_t)network->warmup_steps;
    return step < warmup ? network->learning_rate * (double)(step + 1) / (double)warmup
                         : network->learning_rate;
}

static cupel_status write_inputs(cupel_trainer *trainer, cupel_bindings *bindings,
                                 const cupel_batch *batch) {
    const size_t rows = (size_t)batch->count;
    const size_t bytes = (size_t)cupel_shape_count(batch->shape) * sizeof *batch->images;
    cupel_status status;
    /* the batch lasts until the next one is asked for, which is after the run */
    CUPEL_TRY_DONE(cupel_bindings_lend(bindings, "images", batch->images, bytes));
    CUPEL_TRY_DONE(
        cupel_bindings_write(bindings, "rows", batch->positions, rows * sizeof *batch->positions));
    CUPEL_TRY_DONE(cupel_bindings_write_u64(bindings, "seed", trainer->network.seed));
    CUPEL_TRY_DONE(cupel_bindings_write_u64(bindings, "step", trainer->step));
    CUPEL_TRY_DONE(cupel_bindings_write_scalar(bindings, "learning_rate",
                                               learning_rate_at(&trainer->network, trainer->step)));
    CUPEL_TRY_DONE(cupel_bindings_write_scalar(bindings, "kl_weight", trainer->network.kl_weight));
done:
    return status == CUPEL_STATUS_OK
               ? status
               : cupel_fail(&trainer->error, status, "%s", cupel_bindings_error(bindings));
}

/* What lies before the guard says whether the loss is finite; what lies beyond it writes. */
static cupel_status stop_at_guard(void *user, const char *node, const char *op, uint32_t output,
                                  const cupel_desc *desc, const void *values) {
    (void)user, (void)node, (void)output, (void)desc, (void)values;
    return strcmp(op, "guard") == 0 ? CUPEL_STATUS_INTERRUPTED : CUPEL_STATUS_OK;
}

/* Runs the failed step again on reference kernels, node by node, until a value is not finite. What
 * it finds goes to `found`; a failure of the search itself leaves it empty. */
static void name_the_node(cupel_trainer *trainer, const cupel_batch *batch,
                          struct cupel_error *found) {
    struct cupel_error ignored = {0};
    struct step step = {0};
    cupel_workspace *workspace = NULL;
    const cupel_run_options options = {.stop_at_non_finite = true, .visitor = stop_at_guard};
    cupel_status status = network_compile_train(&step.program, trainer->parameters,
                                                trainer->context, &trainer->network, "train-replay",
                                                batch->count, true, NULL, &ignored);
    if (status == CUPEL_STATUS_OK)
        status = cupel_bindings_create(&step.bindings, step.program);
    if (status == CUPEL_STATUS_OK)
        status = cupel_workspace_create(&workspace, trainer->context);
    if (status == CUPEL_STATUS_OK)
        status = cupel_workspace_reserve(workspace, step.program);
    if (status == CUPEL_STATUS_OK)
        status = write_inputs(trainer, step.bindings, batch);
    if (status == CUPEL_STATUS_OK) {
        status = cupel_program_run(step.program, step.bindings, workspace, &options);
        if (status == CUPEL_STATUS_NOT_FINITE)
            (void)cupel_fail(found, status, "%s", cupel_program_error(step.program));
        else if (status == CUPEL_STATUS_INTERRUPTED)
            (void)cupel_fail(found, status,
                             "the reference kernels stay finite on the same batch: a "
                             "value overflowed in a fast kernel");
    }
    release_step(&step);
    (void)cupel_workspace_destroy(workspace);
}

static cupel_status diverged(cupel_trainer *trainer, const cupel_batch *batch) {
    struct cupel_error found = {0};
    name_the_node(trainer, batch, &found);
    return cupel_fail(&trainer->error, CUPEL_STATUS_NOT_FINITE,
                      "the loss is not finite at step %" PRIu64
                      " (epoch %lld, batch %lld)%s%s; the step "
                      "changed nothing. Lower train.learning_rate, or look at the images",
                      trainer->step + 1, (long long)trainer->epoch + 1,
                      (long long)trainer->batch + 1, found.text[0] == '\0' ? "" : ": ", found.text);
}

static cupel_status run_batch(cupel_trainer *trainer, const cupel_batch *batch, double *loss,
                              cupel_step_time *times) {
    const bool full = batch->count == trainer->network.batch;
    const struct step *const step = full ? &trainer->full : &trainer->tail;
    const cupel_run_options options = {.times = full ? times : NULL};
    CUPEL_TRY(write_inputs(trainer, step->bindings, batch));
    const cupel_status status =
        cupel_program_run(step->program, step->bindings, trainer->workspace, &options);
    if (status == CUPEL_STATUS_NOT_FINITE)
        return diverged(trainer, batch);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(&trainer->error, status, "%s", cupel_program_error(step->program));
    return passed(trainer, cupel_bindings_read_scalar(step->bindings, "loss", loss),
                  cupel_bindings_error(step->bindings));
}

cupel_status cupel_trainer_step_timed(cupel_trainer *trainer, cupel_step_result *out,
                                      cupel_step_time *times) {
    struct cupel_error *const error = &trainer->error;
    if (times != NULL)
        memset(times, 0,
               cupel_program_get_info(trainer->full.program).steps * sizeof(cupel_step_time));
    if (trainer->batch == trainer->batches)
        return cupel_fail(error, CUPEL_STATUS_BUG,
                          "the epoch is over: call cupel_trainer_end_epoch()");
    if (trainer->epoch >= trainer->network.epochs)
        return cupel_fail(error, CUPEL_STATUS_BUG, "all %lld epochs are done",
                          (long long)trainer->network.epochs);
    if (trainer->loader == NULL)
        CUPEL_TRY(start_loader(trainer));
    const cupel_batch *batch;
    const cupel_status status = cupel_loader_next(trainer->loader, &batch);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_loader_error(trainer->loader));
    if (batch == NULL || batch->epoch != trainer->epoch || batch->index != trainer->batch)
        return cupel_fail(error, CUPEL_STATUS_BUG, "the loader is at another batch");
    double loss = 0;
    CUPEL_TRY(run_batch(trainer, batch, &loss, times));
    *out = (cupel_step_result){.epoch = trainer->epoch,
                               .batch = trainer->batch,
                               .batches = trainer->batches,
                               .images = batch->count,
                               .step = ++trainer->step,
                               .loss = loss,
                               .epoch_over = ++trainer->batch == trainer->batches};
    return CUPEL_STATUS_OK;
}

cupel_status cupel_trainer_step(cupel_trainer *trainer, cupel_step_result *out) {
    return cupel_trainer_step_timed(trainer, out, NULL);
}

const cupel_program *cupel_trainer_program(const cupel_trainer *trainer) {
    return trainer->full.program;
}

/* --- the end of an epoch --- */

/* Reads a sum and sets it to 0. */
static cupel_status take_sum(cupel_trainer *trainer, const char *name, double *mean) {
    const double zero = 0;
    double sum = 0;
    cupel_status status = cupel_parameters_read(trainer->parameters, name, &sum, sizeof sum);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_write(trainer->parameters, name, &zero, sizeof zero);
    *mean = sum / (double)trainer->images;
    return status == CUPEL_STATUS_OK ? status
                                     : cupel_fail(&trainer->error, status, "%s",
                                                  cupel_parameters_error(trainer->parameters));
}

static int by_score(const void *a, const void *b) {
    const double x = ((const cupel_score *)a)->score, y = ((const cupel_score *)b)->score;
    return (x > y) - (x < y);
}

/* Linear between the two nearest ranks; sorts the scores. */
static double quantile(cupel_score *scores, int64_t count, double q) {
    qsort(scores, (size_t)count, sizeof *scores, by_score);
    const double rank = q * (double)(count - 1);
    const int64_t below = (int64_t)rank;
    const int64_t above = below + 1 < count ? below + 1 : below;
    const double share = rank - (double)below;
    return scores[below].score + share * (scores[above].score - scores[below].score);
}

static cupel_status score_held_out(cupel_trainer *trainer, cupel_epoch_result *out) {
    const int64_t count = trainer->held_out_images;
    out->threshold = NAN;
    if (count == 0)
        return CUPEL_STATUS_OK;
    CUPEL_TRY(evaluator_run(&trainer->evaluator, trainer->held_out, trainer->scores, NULL,
                            &trainer->error));
    for (int64_t i = 0; i < count; i++) {
        out->held_out.reconstruction += trainer->scores[i].reconstruction;
        out->held_out.kl += trainer->scores[i].kl;
    }
    out->held_out.reconstruction /= (double)count;
    out->held_out.kl /= (double)count;
    out->held_out.elbo = out->held_out.reconstruction + out->held_out.kl;
    out->has_held_out = true;
    if (!isfinite(out->held_out.elbo))
        return cupel_fail(
            &trainer->error, CUPEL_STATUS_NOT_FINITE,
            "the held-out ELBO is not finite after epoch %lld: the training diverged; "
            "lower train.learning_rate",
            (long long)trainer->epoch + 1);
    out->threshold = quantile(trainer->scores, count, trainer->network.quantile);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_trainer_end_epoch(cupel_trainer *trainer, cupel_epoch_result *out) {
    if (trainer->batch != trainer->batches)
        return cupel_fail(&trainer->error, CUPEL_STATUS_BUG,
                          "batch %lld of %lld is next: the epoch is not over",
                          (long long)trainer->batch + 1, (long long)trainer->batches);
    *out = (cupel_epoch_result){.epoch = trainer->epoch, .step = trainer->step};
    CUPEL_TRY(take_sum(trainer, SUM_LOSS, &out->loss));
    CUPEL_TRY(take_sum(trainer, SUM_ERROR, &out->train.reconstruction));
    CUPEL_TRY(take_sum(trainer, SUM_KL, &out->train.kl));
    out->train.elbo = out->train.reconstruction + out->train.kl;
    CUPEL_TRY(score_held_out(trainer, out));
    const double judged = out->has_held_out ? out->held_out.elbo : out->loss;
    out->best = judged < trainer->best;
    trainer->best = out->best ? judged : trainer->best;
    trainer->epoch++;
    trainer->batch = 0;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_trainer_judge(cupel_trainer *trainer, cupel_epoch_result *out) {
    *out = (cupel_epoch_result){.epoch = trainer->epoch - 1, .step = trainer->step};
    CUPEL_TRY(score_held_out(trainer, out));
    out->best = out->has_held_out && out->held_out.elbo <= trainer->best;
    return CUPEL_STATUS_OK;
}

/* --- looking --- */

cupel_trainer_info cupel_trainer_get_info(const cupel_trainer *trainer) {
    cupel_trainer_info info = {.images = trainer->images,
                               .held_out = trainer->held_out_images,
                               .batches = trainer->batches,
                               .epochs = trainer->network.epochs,
                               .epoch = trainer->epoch,
                               .batch = trainer->batch,
                               .step = trainer->step,
                               .threads = trainer->network.threads,
                               .step_program = cupel_program_get_info(trainer->full.program)};
    for (size_t i = 0; i < cupel_parameters_count(trainer->parameters); i++) {
        const cupel_parameter_info variable = cupel_parameters_info(trainer->parameters, i);
        if (variable.trainable)
            info.parameters += (size_t)cupel_shape_count(variable.shape);
    }
    return info;
}

cupel_status cupel_trainer_print(const cupel_trainer *trainer, FILE *stream) {
    return cupel_program_print(trainer->full.program, stream);
}

/* --- state and weights --- */

static cupel_status set_whole(cupel_tensors *tensors, const char *key, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return cupel_tensors_set_metadata(tensors, key, text);
}

static cupel_status set_hash(cupel_tensors *tensors, const char *key, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return cupel_tensors_set_metadata(tensors, key, text);
}

static cupel_status describe_state(cupel_trainer *trainer, cupel_tensors *state) {
    char number[NUMBER_TEXT_SIZE];
    CUPEL_TRY(cupel_tensors_set_metadata(state, "cupel.format", weights_format));
    CUPEL_TRY(cupel_tensors_set_metadata(state, "cupel.recipe", trainer->recipe_text));
    CUPEL_TRY(set_whole(state, "cupel.epoch", (uint64_t)trainer->epoch));
    CUPEL_TRY(set_whole(state, "cupel.batch", (uint64_t)trainer->batch));
    CUPEL_TRY(set_whole(state, "cupel.step", trainer->step));
    CUPEL_TRY(set_hash(state, "cupel.data", trainer->data_hash));
    if (trainer->plan != NULL)
        CUPEL_TRY(set_hash(state, "cupel.plan", cupel_plan_hash(trainer->plan)));
    if (trainer->plan != NULL && cupel_plan_depends_on_threads(trainer->plan))
        CUPEL_TRY(set_whole(state, "cupel.threads", (uint64_t)trainer->network.threads));
    if (isfinite(trainer->best))
        CUPEL_TRY(cupel_tensors_set_metadata(state, "cupel.best",
                                             number_format_f64(number, trainer->best)));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_trainer_export(cupel_trainer *trainer, cupel_tensors *state) {
    cupel_status status = cupel_parameters_check_finite(trainer->parameters);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_export(trainer->parameters, state, "", false);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(&trainer->error, status, "%s",
                          cupel_parameters_error(trainer->parameters));
    status = describe_state(trainer, state);
    return status == CUPEL_STATUS_OK
               ? status
               : cupel_fail(&trainer->error, status, "%s", cupel_tensors_error(state));
}

cupel_status cupel_trainer_export_weights(cupel_trainer *trainer, cupel_tensors *weights,
                                          const cupel_epoch_result *epoch) {
    cupel_status status = cupel_parameters_check_finite(trainer->parameters);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_export(trainer->parameters, weights, "", true);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(&trainer->error, status, "%s",
                          cupel_parameters_error(trainer->parameters));
    struct weights_facts facts = {.epoch = trainer->epoch,
                                  .quantile = trainer->network.quantile,
                                  .held_out = trainer->held_out_images};
    facts.has_threshold = epoch != NULL && epoch->has_held_out;
    facts.threshold = facts.has_threshold ? epoch->threshold : 0.0;
    return weights_describe(weights, trainer->recipe_text, &trainer->network, trainer->train,
                            &facts, &trainer->error);
}

static cupel_status get_whole(cupel_trainer *trainer, const cupel_tensors *state, const char *key,
                              uint64_t *out) {
    const char *const text = cupel_tensors_metadata(state, key);
    if (text != NULL && number_parse_u64(text, out))
        return CUPEL_STATUS_OK;
    return cupel_fail(&trainer->error, CUPEL_STATUS_BAD_DATA,
                      "the state's metadata has no whole number \"%s\": it is no state that cupel "
                      "train wrote",
                      key);
}

/* A missing one is fine: states may have been exported without a plan. */
static cupel_status match_hash(cupel_trainer *trainer, const cupel_tensors *state, const char *key,
                               uint64_t here, const char *advice) {
    char text[32];
    const char *const there = cupel_tensors_metadata(state, key);
    snprintf(text, sizeof text, "%016" PRIx64, here);
    if (there == NULL || strcmp(there, text) == 0)
        return CUPEL_STATUS_OK;
    return cupel_fail(&trainer->error, CUPEL_STATUS_MISMATCH,
                      "%s is %.32s in the state and %s here: %s", key, there, text, advice);
}

cupel_status cupel_trainer_import(cupel_trainer *trainer, const cupel_tensors *state) {
    uint64_t epoch = 0, batch = 0, step = 0;
    CUPEL_TRY(get_whole(trainer, state, "cupel.epoch", &epoch));
    CUPEL_TRY(get_whole(trainer, state, "cupel.batch", &batch));
    CUPEL_TRY(get_whole(trainer, state, "cupel.step", &step));
    if (batch > (uint64_t)trainer->batches || epoch > INT32_MAX)
        return cupel_fail(&trainer->error, CUPEL_STATUS_BAD_DATA,
                          "the state is at batch %" PRIu64 " of an epoch, which has %lld here",
                          batch, (long long)trainer->batches);
    if (step != epoch * (uint64_t)trainer->batches + batch)
        return cupel_fail(&trainer->error, CUPEL_STATUS_BAD_DATA,
                          "the state is at step %" PRIu64 ", which is not batch %" PRIu64
                          " of epoch %" PRIu64 ": it is damaged",
                          step, batch, epoch);
    CUPEL_TRY(match_hash(trainer, state, "cupel.data", trainer->data_hash,
                         "these are other training images, or another order; give the folder the "
                         "run was trained on"));
    if (trainer->plan != NULL)
        CUPEL_TRY(match_hash(
            trainer, state, "cupel.plan", cupel_plan_hash(trainer->plan),
            "other kernels or threads were chosen, so the bits would differ: go on with the "
            "run's plan.json and --threads, or accept that with --replan"));
    const cupel_status status = cupel_parameters_import(trainer->parameters, state, "", false);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(&trainer->error, status, "%s",
                          cupel_parameters_error(trainer->parameters));
    const char *const best = cupel_tensors_metadata(state, "cupel.best");
    trainer->best = INFINITY;
    if (best != NULL && !number_parse_f64(best, &trainer->best))
        return cupel_fail(&trainer->error, CUPEL_STATUS_BAD_DATA,
                          "the state's metadata: cupel.best is no number");
    trainer->epoch = (int64_t)epoch;
    trainer->batch = (int64_t)batch;
    trainer->step = step;
    cupel_loader_destroy(trainer->loader);
    trainer->loader = NULL;
    return CUPEL_STATUS_OK;
}
