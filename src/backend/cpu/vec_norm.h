/*
 * Passes over tiles whose columns belong to channels: `rows` rows of `w` floats (at most
 * NORM_LANES), `stride` apart, with one number per column. Test: tests/test_kernels_norm.c
 */
#ifndef CUPEL_VEC_NORM_H
#define CUPEL_VEC_NORM_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum { NORM_LANES = 64 };

struct norm_tile {
    int64_t stride, rows;
    int w;
};

struct vec_norm_table {
    /* sum += x - around, squares += (x - around)^2, per column. */
    void (*moments)(const struct norm_tile *tile, const float *x, const float *around, double *sum,
                    double *squares);
    /* sum += dy, products += dy (x - mean), per column. */
    void (*products)(const struct norm_tile *tile, const float *x, const float *dy,
                     const float *mean, double *sum, double *products);
    /* y = (x - mean) scale + shift */
    void (*normalise)(const struct norm_tile *tile, const float *x, const float *mean,
                      const float *scale, const float *shift, float *y);
    /* dx = dy a + (x - mean) b + c */
    void (*gradient)(const struct norm_tile *tile, const float *x, const float *dy,
                     const float *mean, const float *a, const float *b, const float *c, float *dx);
};

CPU_VEC_DECLARE(struct vec_norm_table, vec_norm)

#endif
