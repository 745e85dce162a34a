/*
 * The products of Winograd's convolution behind vec_winograd.h: sums of as many tiles as registers
 * hold (14 by two vectors with AVX-512, 6 by two with AVX2; gradients: 4 channels by four or 8 by
 * two, with AVX2 4 by two), one factor broadcast, the other read in vectors.
 * Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/vec_winograd.h"

#include <stddef.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_lanes.h"

#if CUPEL_VEC_ISA > 0

enum {
    TILES = CUPEL_VEC_ISA == 2 ? 14 : 6,
    ROWS = CUPEL_VEC_ISA == 2 ? 8 : 4,
    WIDEST = CUPEL_VEC_ISA == 2 ? 4 : 2,
};

VEC_INLINE void product_of(const float *v, const float *u, int64_t blocks, int width, float *m) {
    vector sum[TILES][2];
    VEC_UNROLLED
    for (int t = 0; t < TILES; t++)
        for (int i = 0; i < width; i++)
            sum[t][i] = vec_zero();
    for (int64_t b = 0; b < blocks; b++) {
        VEC_UNROLLED
        for (int k = 0; k < VEC_LANES; k++) {
            vector row[2];
            for (int i = 0; i < width; i++)
                row[i] = vec_load(u + (k * width + i) * VEC_LANES);
            VEC_UNROLLED
            for (int t = 0; t < TILES; t++) {
                const vector x = vec_set(v[t * VEC_LANES + k]);
                for (int i = 0; i < width; i++)
                    sum[t][i] = vec_fma(x, row[i], sum[t][i]);
            }
        }
        v += TILES * VEC_LANES;
        u += VEC_LANES * VEC_LANES * width;
    }
    VEC_UNROLLED
    for (int t = 0; t < TILES; t++)
        for (int i = 0; i < width; i++)
            vec_store(m + (t * width + i) * VEC_LANES, sum[t][i]);
}

static void product(const float *v, const float *u, int64_t blocks, int width, float *m) {
    if (width == 2)
        product_of(v, u, blocks, 2, m);
    else
        product_of(v, u, blocks, 1, m);
}

/* The sums of these tiles first, then what was there: so nothing waits for it. */
VEC_INLINE void accumulate_of(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                              int64_t n, int rows, int width, float *d, int64_t d_stride) {
    vector sum[ROWS][WIDEST];
    VEC_UNROLLED
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < width; i++)
            sum[r][i] = vec_zero();
    _Pragma("GCC unroll 4") for (int64_t k = 0; k < n; k++) {
        vector row[WIDEST];
        VEC_UNROLLED
        for (int i = 0; i < width; i++)
            row[i] = vec_load(z + i * VEC_LANES);
        VEC_UNROLLED
        for (int r = 0; r < rows; r++) {
            const vector x = vec_set(v[r]);
            for (int i = 0; i < width; i++)
                sum[r][i] = vec_fma(x, row[i], sum[r][i]);
        }
        v += v_stride;
        z += z_stride;
    }
    VEC_UNROLLED
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < width; i++) {
            float *to = d + r * d_stride + i * VEC_LANES;
            vec_store(to, vec_add(vec_load(to), sum[r][i]));
        }
}

static void accumulate(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                       int64_t n, int width, float *d, int64_t d_stride) {
    if (width == 1)
        accumulate_of(v, v_stride, z, z_stride, n, ROWS, 1, d, d_stride);
    else if (width == 2)
        accumulate_of(v, v_stride, z, z_stride, n, ROWS, 2, d, d_stride);
    else
        for (int r = 0; r < ROWS; r += ROWS / 2)
            accumulate_of(v + r, v_stride, z, z_stride, n, ROWS / 2, WIDEST, d + r * d_stride,
                          d_stride);
}

const struct vec_winograd_product_table CUPEL_VEC(vec_winograd_product) = {
    .tiles = TILES,
    .rows = ROWS,
    .widest = WIDEST,
    .product = product,
    .accumulate = accumulate,
};

#else

const struct vec_winograd_product_table CUPEL_VEC(vec_winograd_product) = {.product = NULL};

#endif
