/*
 * A 16x16 (8x8) tile is transposed in registers in four (three) rounds: round r exchanges the r-th
 * bit of the row number with the r-th bit of the column number. What is left over at the edges goes
 * element by element. Test: tests/test_kernels_reorder.c
 */
#include "backend/cpu/vec_reorder.h"

#include <string.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_shuffle.h"

#define ROUND16(distance) \
    for (int i = 0; i < 16; i++) { \
        if ((i & (distance)) == 0) { \
            const vector16 a = row[i], b = row[i + (distance)]; \
            row[i] = LOW##distance(a, b); \
            row[i + (distance)] = HIGH##distance(a, b); \
        } \
    }

#define ROUND8(distance) \
    for (int i = 0; i < 8; i++) { \
        if ((i & (distance)) == 0) { \
            const vector8 a = row[i], b = row[i + (distance)]; \
            row[i] = HALF_LOW##distance(a, b); \
            row[i + (distance)] = HALF_HIGH##distance(a, b); \
        } \
    }

#if CUPEL_VEC_ISA == 2
static void tile16(const float *in, int64_t in_stride, float *out, int64_t out_stride) {
    vector16 row[16];
    for (int i = 0; i < 16; i++)
        memcpy(&row[i], in + i * in_stride, sizeof row[i]);
    ROUND16(1)
    ROUND16(2)
    ROUND16(4)
    ROUND16(8)
    for (int i = 0; i < 16; i++)
        memcpy(out + i * out_stride, &row[i], sizeof row[i]);
}
#endif

static void tile8(const float *in, int64_t in_stride, float *out, int64_t out_stride) {
    vector8 row[8];
    for (int i = 0; i < 8; i++)
        memcpy(&row[i], in + i * in_stride, sizeof row[i]);
    ROUND8(1)
    ROUND8(2)
    ROUND8(4)
    for (int i = 0; i < 8; i++)
        memcpy(out + i * out_stride, &row[i], sizeof row[i]);
}

static void transpose(const float *in, int64_t in_stride, int64_t rows, int64_t columns, float *out,
                      int64_t out_stride) {
    int64_t i = 0;
#if CUPEL_VEC_ISA == 2
    for (; i + 16 <= rows; i += 16) {
        const float *from = in + i * in_stride;
        int64_t j = 0;
        for (; j + 16 <= columns; j += 16)
            tile16(from + j, in_stride, out + j * out_stride + i, out_stride);
        for (; j < columns; j++)
            for (int64_t k = 0; k < 16; k++)
                out[j * out_stride + i + k] = from[k * in_stride + j];
    }
#endif
    for (; i + 8 <= rows; i += 8) {
        const float *from = in + i * in_stride;
        int64_t j = 0;
        for (; j + 8 <= columns; j += 8)
            tile8(from + j, in_stride, out + j * out_stride + i, out_stride);
        for (; j < columns; j++)
            for (int64_t k = 0; k < 8; k++)
                out[j * out_stride + i + k] = from[k * in_stride + j];
    }
    for (; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[j * out_stride + i] = in[i * in_stride + j];
}

static void copy_rows(const float *in, int64_t in_stride, int64_t n, int64_t times, float *out,
                      int64_t out_stride) {
    if (n == 8 || n == 16) {
        const size_t bytes = n == 8 ? 8 * sizeof(float) : 16 * sizeof(float);
        for (int64_t j = 0; j < times; j++)
            memcpy(out + j * out_stride, in + j * in_stride, bytes);
        return;
    }
    for (int64_t j = 0; j < times; j++)
        memcpy(out + j * out_stride, in + j * in_stride, (size_t)n * sizeof(float));
}

const struct vec_reorder_table CUPEL_VEC(vec_reorder) = {
    .transpose = transpose,
    .copy_rows = copy_rows,
};
