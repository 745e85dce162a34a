/*
 * Protocol: which images a recipe trains on, holds back, and is judged on. All of it is a function
 * of the recipe (data.*, seed) and the data set.
 *
 *   1. cupel_protocol_create()
 *   2. cupel_protocol_train(), _held_out(), _test()
 *   3. cupel_protocol_destroy(), after what uses the data sets
 *
 * Training images: those of the training split whose class is in data.normal_classes (all classes
 * when it is empty), less data.held_out of them drawn by the seed; data.limit keeps the first so
 * many of the rest. Test images: the normal and the anomalous classes of the test split.
 */
#ifndef CUPEL_PROTOCOL_H
#define CUPEL_PROTOCOL_H

#include <cupel/dataset.h>
#include <cupel/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_protocol cupel_protocol;

/* Looks for the folder data.set: below `folder` (or `folder` itself holds the images); without a
 * folder (NULL) below $CUPEL_DATA, below `beside` (NULL: nowhere), and in the user's cache
 * ($XDG_CACHE_HOME/cupel, ~/.cache/cupel). IO names the places; BAD_DATA. On failure *out only
 * carries the sentence, or is NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_create(cupel_protocol **out,
                                                           cupel_recipe *recipe, const char *folder,
                                                           const char *beside);
CUPEL_API void cupel_protocol_destroy(cupel_protocol *protocol);
CUPEL_API const char *cupel_protocol_error(const cupel_protocol *protocol);
/* Where the data set was found. */
CUPEL_API const char *cupel_protocol_folder(const cupel_protocol *protocol);

/* Padded as the recipe says; borrowed. held_out is NULL when data.held_out is 0. */
CUPEL_API const cupel_dataset *cupel_protocol_train(const cupel_protocol *protocol);
CUPEL_API const cupel_dataset *cupel_protocol_held_out(const cupel_protocol *protocol);
/* Read at the first call. Not padded, as cupel_scorer_run() takes images. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_test(cupel_protocol *protocol,
                                                         const cupel_dataset **out);
/* Whether a label is one of the anomalous classes. */
CUPEL_API bool cupel_protocol_is_anomaly(const cupel_protocol *protocol, int64_t label);

#ifdef __cplusplus
}
#endif
#endif
