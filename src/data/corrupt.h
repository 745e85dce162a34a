/*
 * Corruptions: images damaged in ways that have a name and a strength, chosen by the recipe's keys
 * corruption.*. Test: tests/test_corrupt.c
 */
#ifndef CUPEL_DATA_CORRUPT_H
#define CUPEL_DATA_CORRUPT_H

#include "cupel/dataset.h"
#include "data/recipe_internal.h"

enum { CORRUPTIONS = 5 };

/* Those with a strength above 0, in the order of the schema. */
struct corruptions {
    size_t count;
    size_t which[CORRUPTIONS];
    double strength[CORRUPTIONS];
};

void corruptions_of(struct corruptions *out, const cupel_recipe *recipe);
/* "noise", ...: of the i-th of them. */
const char *corruption_name(const struct corruptions *list, size_t i);

/* A copy of the data set whose image i is damaged by corruption i modulo their number. What is
 * random is a function of the seed, the corruption and the image's pixels. On failure as every
 * function of dataset.h that makes a data set; INVALID_ARGUMENT without corruptions. */
cupel_status dataset_corrupt(cupel_dataset **out, const cupel_dataset *dataset,
                             const struct corruptions *list, uint64_t seed);

#endif
