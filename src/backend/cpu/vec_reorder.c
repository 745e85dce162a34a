/*
 * A 16x16 (8x8) tile is transposed in registers in four (three) rounds: round r exchanges the r-th
 * bit of the row number with the r-th bit of the column number. What is left over at the edges goes
 * element by element. Test: tests/test_kernels_reorder.c
 */
#include "backend/cpu/vec_reorder.h"

#include <string.h>

#include "backend/cpu/vec.h"

typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));
typedef int32_t index8 __attribute__((vector_size(32)));
typedef int32_t index16 __attribute__((vector_size(64)));

#if defined(__clang__)
#define SHUFFLE8(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE16(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE8(a, b, ...) __builtin_shuffle(a, b, (index8){__VA_ARGS__})
#define SHUFFLE16(a, b, ...) __builtin_shuffle(a, b, (index16){__VA_ARGS__})
#endif

/* The low and the high half of the exchange between rows `distance` apart. */
#define ROUND16(distance) \
    for (int i = 0; i < 16; i++) { \
        if ((i & (distance)) == 0) { \
            const vector16 a = row[i], b = row[i + (distance)]; \
            row[i] = LOW##distance(a, b); \
            row[i + (distance)] = HIGH##distance(a, b); \
        } \
    }

#define LOW1(a, b) SHUFFLE16(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH1(a, b) SHUFFLE16(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define LOW2(a, b) SHUFFLE16(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(a, b) SHUFFLE16(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW4(a, b) SHUFFLE16(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH4(a, b) SHUFFLE16(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW8(a, b) SHUFFLE16(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH8(a, b) SHUFFLE16(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)

#define HALF_LOW1(a, b) SHUFFLE8(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HALF_HIGH1(a, b) SHUFFLE8(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define HALF_LOW2(a, b) SHUFFLE8(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HALF_HIGH2(a, b) SHUFFLE8(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALF_LOW4(a, b) SHUFFLE8(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALF_HIGH4(a, b) SHUFFLE8(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
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
