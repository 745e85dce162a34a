/*
 * The Bernoulli cross-entropy of a row of logits, and its gradient, in one pass.
 * Test: tests/test_kernels_bernoulli.c
 */
#ifndef CUPEL_VEC_BERNOULLI_H
#define CUPEL_VEC_BERNOULLI_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

/* Of logits x = product + bias and targets t: error = softplus(x) - x t,
 * gradient = scale sigmoid(x) + target_scale t. Results may lie on the product or the targets. */
struct bernoulli_row {
    int64_t n;
    const float *product, *target;
    const float *bias; /* or NULL */
    float scale, target_scale;
    float *error, *gradient;
};

struct vec_bernoulli_table {
    void (*row)(const struct bernoulli_row *row);
};

CPU_VEC_DECLARE(struct vec_bernoulli_table, vec_bernoulli)

#endif
