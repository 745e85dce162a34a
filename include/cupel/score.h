/*
 * Scorer: how anomalous images are to a trained variational autoencoder. The score of an image is
 * its negated ELBO, reconstruction error + KL divergence in nats (An and Cho 2015); higher is more
 * anomalous. It depends on the weights and the image's pixels alone: the noise is keyed by the
 * pixels, and images always run in batches of one fixed size, so an image has the same bits alone,
 * first, last or among others.
 *
 *   1. cupel_scorer_create() from a weights file, which holds all that is needed
 *   2. cupel_scorer_run() on data sets, as often as you like
 *   3. cupel_scorer_destroy()
 */
#ifndef CUPEL_SCORE_H
#define CUPEL_SCORE_H

#include <cupel/context.h>
#include <cupel/dataset.h>
#include <cupel/metrics.h>
#include <cupel/program.h>
#include <cupel/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_scorer cupel_scorer;

/* Right when zeroed. */
typedef struct cupel_scorer_options {
    int threads;           /* 0: one for each processor */
    int64_t samples;       /* noise samples a score is the mean of; 0: as the recipe says */
    const char *plan_file; /* choices of kernels to repeat; NULL: estimate */
    bool replan;           /* where the plan does not fit here, say so in the log and estimate */
} cupel_scorer_options;

typedef struct cupel_scorer_info {
    int64_t channels, height, width; /* what the network sees */
    int64_t pad;                     /* margin that is added to images; 0: none */
    int64_t samples;
    int threads; /* of computation */
    bool has_threshold;
    double threshold;           /* scores above it are called anomalous */
    const char *threshold_rule; /* in words; "" without one */
    const char *split;          /* cupel_protocol_fingerprint() of what it was trained on; or "" */
    cupel_program_info program; /* what is run for each batch */
} cupel_scorer_info;

/* Reads weights (best.safetensors, last.safetensors). IO, BAD_DATA, SHAPE or NAME where weights and
 * the recipe in them do not fit, NOT_FINITE where a weight is NaN or infinite, MISMATCH for a plan
 * made on another processor, unless replan. The sentence of a failure is on the context. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_scorer_create(cupel_scorer **out, cupel_context *context,
                                                         const char *weights_path,
                                                         const cupel_scorer_options *options);
CUPEL_API cupel_status cupel_scorer_destroy(cupel_scorer *scorer);
CUPEL_API const char *cupel_scorer_error(const cupel_scorer *scorer);
CUPEL_API cupel_scorer_info cupel_scorer_get_info(const cupel_scorer *scorer);
/* The recipe the weights were trained with; borrowed. */
CUPEL_API cupel_recipe *cupel_scorer_recipe(cupel_scorer *scorer);

/* Scores every image: scores[count]. Images are padded as in training; images of another size are
 * refused (SHAPE). reconstructions may be NULL, else [count, channels, height, width] of the
 * network's size, in [0, 1]: what the decoder drew for the first noise sample. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_scorer_run(cupel_scorer *scorer,
                                                      const cupel_dataset *images,
                                                      cupel_score *scores, float *reconstructions);

#ifdef __cplusplus
}
#endif
#endif
