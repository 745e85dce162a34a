/*
 * Transposes of small tiles of floats, for changes of layout. Test: tests/test_kernels_reorder.c
 */
#ifndef CUPEL_VEC_REORDER_H
#define CUPEL_VEC_REORDER_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

struct vec_reorder_table {
    /* out[j * out_stride + i] = in[i * in_stride + j] for i < rows, j < columns. */
    void (*transpose)(const float *in, int64_t in_stride, int64_t rows, int64_t columns, float *out,
                      int64_t out_stride);
    /* out[j * out_stride + i] = in[j * in_stride + i] for i < n, j < times. */
    void (*copy_rows)(const float *in, int64_t in_stride, int64_t n, int64_t times, float *out,
                      int64_t out_stride);
};

CPU_VEC_DECLARE(struct vec_reorder_table, vec_reorder)

#endif
