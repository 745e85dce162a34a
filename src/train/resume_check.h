/*
 * What may change when a run is resumed: see resume_check.c. Test: tests/train.bats
 */
#ifndef CUPEL_TRAIN_RESUME_CHECK_H
#define CUPEL_TRAIN_RESUME_CHECK_H

#include "base/error.h"
#include "cupel/recipe.h"
#include "cupel/tensor.h"

/* Compares the recipe to go on with (`wanted`) with the one that the state was made by (`done`).
 * MISMATCH, naming key and values, when they differ where the bits depend on it; INVALID_ARGUMENT
 * when more epochs are done than wanted. */
cupel_status resume_check(const cupel_recipe *wanted, const cupel_recipe *done,
                          const cupel_tensors *state, struct cupel_error *error);

#endif
