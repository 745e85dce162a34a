/*
 * Scoring whole data sets. A batch that is not full is filled with black rows whose results are
 * dropped; every image is keyed by its content, so its neighbours and its place do not matter.
 * Test: tests/test_score.c
 */
#include "train/evaluator.h"

#include <string.h>

#include "base/memory.h"

cupel_status evaluator_check_size(const struct network *network, const cupel_dataset *images,
                                  struct cupel_error *error) {
    const cupel_dataset_info info = cupel_dataset_get_info(images);
    if (info.channels == network->channels && info.height == network->image &&
        info.width == network->image)
        return CUPEL_STATUS_OK;
    return cupel_fail(
        error, CUPEL_STATUS_SHAPE,
        "the images have %lld channels and %lld x %lld pixels, and the network sees %lld "
        "and %lld x %lld: set model.image, model.channels and data.pad of the recipe "
        "to fit, or give other images",
        (long long)info.channels, (long long)info.height, (long long)info.width,
        (long long)network->channels, (long long)network->image, (long long)network->image);
}

static cupel_status prepare(struct evaluator *evaluator, struct cupel_error *error) {
    const size_t bytes = SCORE_BATCH * evaluator->values * sizeof(float);
    cupel_status status = cupel_bindings_create(&evaluator->bindings, evaluator->program);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "no memory for the scoring program's inputs");
    status = cupel_workspace_reserve(evaluator->workspace, evaluator->program);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_workspace_error(evaluator->workspace));
    evaluator->images = cupel_alloc_aligned(bytes);
    evaluator->drawn = cupel_alloc_aligned(bytes);
    if (evaluator->images == NULL || evaluator->drawn == NULL)
        return cupel_fail_memory(error, "a batch of images", bytes);
    return CUPEL_STATUS_OK;
}

cupel_status evaluator_init(struct evaluator *evaluator, cupel_parameters *parameters,
                            cupel_context *context, const struct network *network,
                            cupel_workspace *workspace, cupel_plan *plan,
                            struct cupel_error *error) {
    *evaluator = (struct evaluator){.network = *network, .workspace = workspace};
    evaluator->values = (size_t)(network->channels * network->image * network->image);
    cupel_status status = network_compile_score(&evaluator->program, parameters, context, network,
                                                "score", SCORE_BATCH, false, plan, error);
    if (status == CUPEL_STATUS_OK)
        status = prepare(evaluator, error);
    if (status != CUPEL_STATUS_OK)
        evaluator_release(evaluator);
    return status;
}

void evaluator_release(struct evaluator *evaluator) {
    (void)cupel_bindings_destroy(evaluator->bindings);
    (void)cupel_program_destroy(evaluator->program);
    cupel_free(evaluator->images);
    cupel_free(evaluator->drawn);
    *evaluator = (struct evaluator){0};
}

/* Fills the inputs with images [first, first + count) and black rows behind them. */
static cupel_status write_batch(struct evaluator *evaluator, const cupel_dataset *images,
                                int64_t first, int64_t count) {
    uint64_t rows[SCORE_BATCH] = {0};
    const size_t values = evaluator->values;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *const pixels = cupel_dataset_pixels(images, first + i);
        float *const to = evaluator->images + (size_t)i * values;
        for (size_t v = 0; v < values; v++)
            to[v] = (float)pixels[v] / 255.0f; /* as the loader does */
        rows[i] = cupel_dataset_row_id(images, first + i);
    }
    memset(evaluator->images + (size_t)count * values, 0,
           (SCORE_BATCH - (size_t)count) * values * sizeof(float));
    cupel_bindings *const bindings = evaluator->bindings;
    CUPEL_TRY(cupel_bindings_write(bindings, "images", evaluator->images,
                                   SCORE_BATCH * values * sizeof(float)));
    CUPEL_TRY(cupel_bindings_write_u64(bindings, "seed", evaluator->network.seed));
    return cupel_bindings_write(bindings, "rows", rows, sizeof rows);
}

/* Runs one noise sample and adds its two terms to the scores. */
static cupel_status run_sample(struct evaluator *evaluator, uint64_t sample, int64_t count,
                               cupel_score *scores, struct cupel_error *error) {
    float errors[SCORE_BATCH], kl[SCORE_BATCH];
    cupel_bindings *const bindings = evaluator->bindings;
    CUPEL_TRY(cupel_bindings_write_u64(bindings, "step", sample));
    const cupel_status status =
        cupel_program_run(evaluator->program, bindings, evaluator->workspace, NULL);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_program_error(evaluator->program));
    CUPEL_TRY(cupel_bindings_read(bindings, "error", errors, sizeof errors));
    CUPEL_TRY(cupel_bindings_read(bindings, "kl", kl, sizeof kl));
    for (int64_t i = 0; i < count; i++) {
        scores[i].reconstruction += (double)errors[i];
        scores[i].kl += (double)kl[i];
    }
    return CUPEL_STATUS_OK;
}

static cupel_status read_drawn(struct evaluator *evaluator, int64_t count, float *to) {
    const size_t values = evaluator->values;
    CUPEL_TRY(cupel_bindings_read(evaluator->bindings, "reconstruction", evaluator->drawn,
                                  SCORE_BATCH * values * sizeof(float)));
    memcpy(to, evaluator->drawn, (size_t)count * values * sizeof(float));
    return CUPEL_STATUS_OK;
}

static cupel_status run_batch(struct evaluator *evaluator, const cupel_dataset *images,
                              int64_t first, int64_t count, cupel_score *scores,
                              float *reconstructions, struct cupel_error *error) {
    const int64_t samples = evaluator->network.samples;
    CUPEL_TRY(write_batch(evaluator, images, first, count));
    memset(scores, 0, (size_t)count * sizeof *scores);
    for (int64_t sample = 0; sample < samples; sample++) {
        CUPEL_TRY(run_sample(evaluator, (uint64_t)sample, count, scores, error));
        if (sample == 0 && reconstructions != NULL)
            CUPEL_TRY(read_drawn(evaluator, count, reconstructions));
    }
    for (int64_t i = 0; i < count; i++) {
        scores[i].reconstruction /= (double)samples;
        scores[i].kl /= (double)samples;
        scores[i].score = scores[i].reconstruction + scores[i].kl;
    }
    return CUPEL_STATUS_OK;
}

cupel_status evaluator_run(struct evaluator *evaluator, const cupel_dataset *images,
                           cupel_score *scores, float *reconstructions, struct cupel_error *error) {
    CUPEL_TRY(evaluator_check_size(&evaluator->network, images, error));
    const int64_t total = cupel_dataset_get_info(images).count;
    for (int64_t first = 0; first < total; first += SCORE_BATCH) {
        const int64_t left = total - first, count = left < SCORE_BATCH ? left : SCORE_BATCH;
        float *const drawn =
            reconstructions == NULL ? NULL : reconstructions + (size_t)first * evaluator->values;
        const cupel_status status =
            run_batch(evaluator, images, first, count, scores + first, drawn, error);
        if (status != CUPEL_STATUS_OK && error->status != status)
            return cupel_fail(error, status, "%s", cupel_bindings_error(evaluator->bindings));
        CUPEL_TRY(status);
    }
    return CUPEL_STATUS_OK;
}
