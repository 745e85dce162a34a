/*
 * Evaluator: the scoring program over a parameter set, run on whole data sets in batches of one
 * fixed size. Training's held-out images, `cupel score` and `cupel eval` all go through it, so that
 * a score never changes between training and deployment. Test: tests/test_score.c
 */
#ifndef CUPEL_TRAIN_EVALUATOR_H
#define CUPEL_TRAIN_EVALUATOR_H

#include "cupel/dataset.h"
#include "cupel/metrics.h"
#include "train/network.h"

struct evaluator {
    struct network network;
    cupel_program *program;
    cupel_bindings *bindings;
    cupel_workspace *workspace; /* borrowed */
    float *images;              /* [SCORE_BATCH, C, H, W] */
    float *drawn;               /* as images: reconstructions */
    size_t values;              /* of one image */
};

/* Compiles and reserves. A failed evaluator needs no release. */
cupel_status evaluator_init(struct evaluator *evaluator, cupel_parameters *parameters,
                            cupel_context *context, const struct network *network,
                            cupel_workspace *workspace, cupel_plan *plan,
                            struct cupel_error *error);
/* Harmless on a zeroed one. */
void evaluator_release(struct evaluator *evaluator);
/* Images of the network's size; reconstructions may be NULL. */
cupel_status evaluator_run(struct evaluator *evaluator, const cupel_dataset *images,
                           cupel_score *scores, float *reconstructions, struct cupel_error *error);
/* SHAPE unless the images have the size the network sees. */
cupel_status evaluator_check_size(const struct network *network, const cupel_dataset *images,
                                  struct cupel_error *error);

#endif
