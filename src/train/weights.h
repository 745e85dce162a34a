/*
 * What a weights file says about itself: the metadata beside the tensors, written by training and
 * read by everything that uses a trained model. Test: tests/test_score.c
 */
#ifndef CUPEL_TRAIN_WEIGHTS_H
#define CUPEL_TRAIN_WEIGHTS_H

#include "base/error.h"
#include "cupel/dataset.h"
#include "cupel/recipe.h"
#include "cupel/tensor.h"
#include "train/network.h"

/* What "cupel.format" says in the metadata of weights and states. */
extern const char weights_format[];
/* The metadata that says which images were trained on: cupel_protocol_fingerprint(). */
#define WEIGHTS_SPLIT "cupel.split"

/* The recipe as files keep it: the keys that do not change results (name, threads, workers, plan,
 * checkpoints) have their initial values, so that files are the same whatever these were. The
 * caller frees *out (cupel_free). */
cupel_status weights_recipe_text(cupel_recipe *recipe, char **out, struct cupel_error *error);

struct weights_facts {
    int64_t epoch; /* epochs done */
    bool has_threshold;
    double threshold;
    double quantile;
    int64_t held_out; /* images the threshold is from */
};

/* recipe_text: of weights_recipe_text(); classes come from the training images. */
cupel_status weights_describe(cupel_tensors *weights, const char *recipe_text,
                              const struct network *network, const cupel_dataset *train,
                              const struct weights_facts *facts, struct cupel_error *error);

/* The recipe inside a weights or state file; `path` for messages. BAD_DATA when there is none. */
cupel_status weights_read_recipe(cupel_recipe **out, const cupel_tensors *tensors, const char *path,
                                 struct cupel_error *error);
/* BAD_DATA, with both, where the preprocessing in the metadata is not what the recipe there asks
 * for. A file without any has its recipe's. */
cupel_status weights_check_preprocessing(const cupel_tensors *weights, const char *path,
                                         const struct network *network, struct cupel_error *error);
/* false in *has where the file has no threshold. */
cupel_status weights_read_threshold(const cupel_tensors *weights, const char *path, bool *has,
                                    double *threshold, struct cupel_error *error);

#endif
