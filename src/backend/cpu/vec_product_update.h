/*
 * A gradient's product and Adam's update of the same elements. Test:
 * tests/test_kernels_product_update.c
 */
#ifndef CUPEL_VEC_PRODUCT_UPDATE_H
#define CUPEL_VEC_PRODUCT_UPDATE_H

#include <stdint.h>

#include "backend/cpu/vec_update.h"

/* gradient(r, c) = sum over k of a[k m + r] b[k n + c]; all others are [m, n], and results may lie
 * on the operands of the same meaning. */
struct product_update_work {
    int64_t m, n, depth;
    const float *a, *b;
    const float *parameter, *mean, *square;
    float *parameter_out, *mean_out, *square_out;
    struct adam_numbers numbers;
};

struct vec_product_update_table {
    /* Rows [first, last) of everything. */
    void (*run)(const struct product_update_work *work, int64_t first, int64_t last);
};

CPU_VEC_DECLARE(struct vec_product_update_table, vec_product_update)

#endif
