/*
 * The products of Winograd's convolution behind vec_winograd.h: sums of as many tiles (gradients:
 * channels) as registers hold, 6 by four vectors with AVX-512, by two with AVX2; one factor is
 * broadcast, the other read in vectors. A processor may share its core with another, which takes
 * half of the instructions that can be decoded: so they are kept few for each multiply-add.
 * Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/vec_winograd.h"

#include <stddef.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_lanes.h"

#if CUPEL_VEC_ISA > 0

enum {
    TILES = CUPEL_VEC_ISA == 2 ? 14 : 6,
    WIDE_TILES = 6,
    WIDEST = CUPEL_VEC_ISA == 2 ? 4 : 2,
    ROWS = 4, /* of gradients: channels are a multiple */
    MOST_ROWS = 8,
    LINE = 16, /* floats that memory hands over */
    FETCHES = CUPEL_VEC_ISA == 2 ? 12 : 1,
    WIDE_FETCHES = CUPEL_VEC_ISA == 2 ? 8 : 1
};

/* One of a block's fetches in every few of its channels. */
VEC_INLINE void fetch_within(const float *ahead, int k, int fetches) {
    const int before = k * fetches / VEC_LANES;
    if ((k + 1) * fetches / VEC_LANES > before)
        vec_fetch(ahead + before * LINE);
}

/* Of how many tiles the instructions themselves broadcast the factor, each time anew: three of four
 * where two vectors share it, of four vectors every third tile. */
VEC_INLINE bool broadcast_within(int tile, int width) {
    return width < 4 ? tile % 4 != 0 : tile % 3 == 2;
}

/* sum += x row */
VEC_INLINE void multiply_row(const float *x, const vector *row, int width, bool within,
                             vector *sum) {
    const vector all = within ? vec_zero() : vec_set(*x);
    VEC_UNROLLED
    for (int i = 0; i < width; i++)
        sum[i] = within ? vec_fma_at(x, row[i], sum[i]) : vec_fma(all, row[i], sum[i]);
}

VEC_INLINE void product_of(const float *v, int64_t v_stride, const float *u, int64_t blocks,
                           int tiles, int width, float *m, int64_t m_stride, const float *ahead) {
    const int fetches = tiles == WIDE_TILES ? WIDE_FETCHES : FETCHES;
    vector sum[TILES][WIDEST];
    VEC_UNROLLED
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < width; i++)
            sum[t][i] = vec_zero();
    for (int64_t b = 0; b < blocks; b++) {
        VEC_UNROLLED
        for (int k = 0; k < VEC_LANES; k++) {
            vector row[WIDEST];
            fetch_within(ahead, k, fetches);
            VEC_UNROLLED
            for (int i = 0; i < width; i++)
                row[i] = vec_load(u + (k * width + i) * VEC_LANES);
            VEC_UNROLLED
            for (int t = 0; t < tiles; t++)
                multiply_row(v + t * VEC_LANES + k, row, width, broadcast_within(t, width), sum[t]);
        }
        v += v_stride;
        u += VEC_LANES * VEC_LANES * width;
        ahead += fetches * LINE;
    }
    VEC_UNROLLED
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < width; i++)
            vec_store(m + i * m_stride + t * VEC_LANES, sum[t][i]);
}

static void product(const float *v, int64_t v_stride, const float *u, int64_t blocks, int tiles,
                    int width, float *m, int64_t m_stride, const float *ahead) {
    if (width == WIDEST && tiles == WIDE_TILES)
        product_of(v, v_stride, u, blocks, WIDE_TILES, WIDEST, m, m_stride, ahead);
    else if (width == 2 && tiles == WIDE_TILES)
        product_of(v, v_stride, u, blocks, WIDE_TILES, 2, m, m_stride, ahead);
    else if (tiles == WIDE_TILES)
        product_of(v, v_stride, u, blocks, WIDE_TILES, 1, m, m_stride, ahead);
    else if (width == 2)
        product_of(v, v_stride, u, blocks, TILES, 2, m, m_stride, ahead);
    else
        product_of(v, v_stride, u, blocks, TILES, 1, m, m_stride, ahead);
}

/* The sums of these tiles first, then what was there: so nothing waits for it. */
VEC_INLINE void accumulate_of(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                              int64_t n, int rows, int width, float *d, int64_t d_stride,
                              const float *ahead) {
    vector sum[MOST_ROWS][WIDEST];
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
        for (int r = 0; r < rows; r++)
            multiply_row(v + r, row, width, broadcast_within(r, width), sum[r]);
        if (k % 2 != 0)
            vec_fetch(ahead + k / 2 * LINE);
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

/* Six rows at once; four where six do not divide what is left. */
static void accumulate_wide(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                            int64_t n, int rows, float *d, int64_t d_stride, const float *ahead) {
    for (int r = 0, taken; r < rows; r += taken, ahead += n / 2 * LINE) {
        taken = rows - r == ROWS || rows - r == 2 * ROWS ? ROWS : WIDE_TILES;
        if (taken == ROWS)
            accumulate_of(v + r, v_stride, z, z_stride, n, ROWS, WIDEST, d + r * d_stride, d_stride,
                          ahead);
        else
            accumulate_of(v + r, v_stride, z, z_stride, n, WIDE_TILES, WIDEST, d + r * d_stride,
                          d_stride, ahead);
    }
}

static void accumulate(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                       int64_t n, int rows, int width, float *d, int64_t d_stride,
                       const float *ahead) {
    if (width == WIDEST)
        accumulate_wide(v, v_stride, z, z_stride, n, rows, d, d_stride, ahead);
    else if (width == 2)
        for (int r = 0; r < rows; r += MOST_ROWS, ahead += n / 2 * LINE)
            accumulate_of(v + r, v_stride, z, z_stride, n, MOST_ROWS, 2, d + r * d_stride, d_stride,
                          ahead);
    else
        for (int r = 0; r < rows; r += MOST_ROWS, ahead += n / 2 * LINE)
            accumulate_of(v + r, v_stride, z, z_stride, n, MOST_ROWS, 1, d + r * d_stride, d_stride,
                          ahead);
}

const struct vec_winograd_product_table CUPEL_VEC(vec_winograd_product) = {
    .tiles = TILES,
    .wide_tiles = WIDE_TILES,
    .widest = WIDEST,
    .fetches = FETCHES,
    .wide_fetches = WIDE_FETCHES,
    .rows = MOST_ROWS,
    .wide_rows = WIDE_TILES,
    .product = product,
    .accumulate = accumulate,
};

#else

const struct vec_winograd_product_table CUPEL_VEC(vec_winograd_product) = {.product = NULL};

#endif
