/*
 * Sums and extrema of rows, and of columns over many rows. Floats are added in lanes over runs
 * short enough to lose little, and the runs in double: the order is fixed by the shape alone.
 * Test: tests/test_kernels_reduce.c
 */
#ifndef CUPEL_VEC_REDUCE_H
#define CUPEL_VEC_REDUCE_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum { REDUCE_COLUMNS = 1024 }; /* the most that the column functions take at once */

struct vec_reduce_table {
    double (*row_sum)(const float *in, int64_t n);
    float (*row_max)(const float *in, int64_t n);
    float (*row_min)(const float *in, int64_t n);
    /* acc[j] = acc[j] + (or the larger, the smaller of acc[j] and) in[r * stride + j], r < rows. */
    void (*columns_sum)(double *acc, const float *in, int64_t stride, int64_t rows, int64_t n);
    void (*columns_max)(double *acc, const float *in, int64_t stride, int64_t rows, int64_t n);
    void (*columns_min)(double *acc, const float *in, int64_t stride, int64_t rows, int64_t n);
};

CPU_VEC_DECLARE(struct vec_reduce_table, vec_reduce)

#endif
