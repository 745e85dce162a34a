/*
 * From a recipe to graphs: the settings of the network as plain values, and the two graphs that
 * everything runs on, one training step and one scoring pass, for a given batch.
 * Test: tests/test_trainer.c
 */
#ifndef CUPEL_TRAIN_NETWORK_H
#define CUPEL_TRAIN_NETWORK_H

#include "base/error.h"
#include "cupel/models.h"
#include "cupel/program.h"
#include "cupel/recipe.h"

/* Rows of a scoring batch: always the same, so that an image's score has the same bits alone and
 * among others; as small as keeps a lone image cheap. */
enum { SCORE_BATCH = 16 };

struct network {
    cupel_vae_options vae;
    int64_t image, channels, pad; /* what the network sees, and the margin that is added */
    double kl_weight, learning_rate;
    cupel_optimizer optimizer;
    uint64_t seed;
    int threads;
    cupel_type real;
    cupel_plan_method method;
    bool no_winograd;
    int64_t batch, epochs, warmup_steps;
    int64_t samples; /* of noise, a score is the mean of */
    double quantile; /* of the held-out scores, the threshold */
};

/* Reads and checks. UNSUPPORTED for what the recipe allows and this version cannot do. */
cupel_status network_from_recipe(struct network *out, cupel_recipe *recipe,
                                 struct cupel_error *error);

/* Appends one training step: loss, gradients, update, and the sums over the epoch, which are
 * training state named below. Inputs: images, seed, step, rows, learning_rate, kl_weight. Returns
 * the loss. */
cupel_node network_train_graph(cupel_graph *graph, const struct network *network, int64_t batch);
#define SUM_LOSS "metrics.loss"
#define SUM_ERROR "metrics.reconstruction"
#define SUM_KL "metrics.kl"

/* Appends one scoring pass. Inputs: images, seed, step, rows. The nodes to ask for are error, kl
 * and reconstruction. */
cupel_vae network_score_graph(cupel_graph *graph, const struct network *network, int64_t batch);

/* Whether a file has the tensors of this network, of a scoring pass or, with `training`, of a whole
 * state. Only graphs are built, so a recipe that asks for a network of another size is found before
 * that network takes memory. NAME, SHAPE. */
cupel_status network_check_tensors(const struct network *network, cupel_context *context,
                                   const cupel_tensors *tensors, bool training,
                                   struct cupel_error *error);

/* Builds and compiles; plan may be NULL. With with_reconstruction the scoring program also returns
 * the images it drew. Errors go to `error`. */
cupel_status network_compile_train(cupel_program **out, cupel_parameters *parameters,
                                   cupel_context *context, const struct network *network,
                                   const char *name, int64_t batch, bool reference,
                                   cupel_plan *plan, struct cupel_error *error);
cupel_status network_compile_score(cupel_program **out, cupel_parameters *parameters,
                                   cupel_context *context, const struct network *network,
                                   const char *name, int64_t batch, bool reference,
                                   cupel_plan *plan, struct cupel_error *error);

#endif
