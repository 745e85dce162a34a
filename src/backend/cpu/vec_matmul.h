/*
 * The block of a small matrix product that stays in registers. Test: tests/test_kernels_matmul.c
 */
#ifndef CUPEL_VEC_MATMUL_H
#define CUPEL_VEC_MATMUL_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

/* The side of a product whose elements are broadcast: x(r, k) = from[r * row + k * step], and one
 * of the two strides is 1. */
struct matmul_rows {
    const float *from;
    int64_t row, step;
};

struct vec_matmul_table {
    int width; /* floats of a whole panel: two vectors */
    int rows;  /* the most rows of a block */
    /* dst[r * dst_stride + v] = sum over k, in order, of x(r, k) panel[k * panel_step + v], for
     * r < rows and v < width, which is this table's, or half of it. */
    void (*block)(int rows, int width, int64_t depth, const struct matmul_rows *x,
                  const float *panel, int64_t panel_step, float *dst, int64_t dst_stride);
};

CPU_VEC_DECLARE(struct vec_matmul_table, vec_matmul)

#endif
