/*
 * The loops behind vec_image_matmul.h. A block of rows times pixels is summed in registers, each
 * element in the order of k whatever is computed beside it; the numbers of rows and pixels are
 * constants in each copy of the loop, so that all sums have registers of their own.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/vec_image_matmul.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/vec.h"

#if CUPEL_VEC_ISA == 2
#include <immintrin.h>
#define LANES 16
#define ROWS 8   /* with 3 pixels: 24 sums, 3 vectors, 1 factor: 28 of 32 registers */
#define PIXELS 3 /* 11 loads for 24 products */
#define OUTS 4   /* dot: 4 images by 4 outs, 16 sums, 8 loads for 16 products */
#define MULTIPLY_ADD(a, b, c) ((vector)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#elif CUPEL_VEC_ISA == 1
#include <immintrin.h>
#define LANES 8
#define ROWS 4 /* with 3 pixels: 12 sums, 3 vectors, 1 factor: 16 of 16 registers */
#define PIXELS 3
#define OUTS 3 /* dot: 9 sums, 6 loads */
#define MULTIPLY_ADD(a, b, c) ((vector)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#else
#define LANES 8 /* two registers of 4: the channel block of narrow processors is 8 too */
#define ROWS 4
#define PIXELS 1
#define OUTS 2
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t bits __attribute__((vector_size(4 * LANES)));

enum { AHEAD = 9 }; /* pixels that are fetched before their turn */

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8")

/* Values go through pointers: where vectors of this width are no registers, none is passed. */
INLINE void load(vector *x, const float *from) {
    memcpy(x, from, sizeof *x);
}

INLINE void store(float *to, const vector *x) {
    memcpy(to, x, sizeof *x);
}

/* A NaN is neither negative nor 0. */
INLINE void finish_sum(vector *sum, enum image_finish finish, const float *mask) {
    if (finish == IMAGE_RELU) {
        *sum = (vector)((bits)*sum & ~(*sum < (vector){0}));
    } else if (finish == IMAGE_SELECT) {
        vector m;
        load(&m, mask);
        *sum = (vector)((bits)*sum & (m != (vector){0}));
    }
}

/* rows and pixels are constants where this is called; the block begins at row r, pixel p. From
 * `turn` on (-1: never) vectors are fetched that are read later, each by one of the blocks that
 * share the pixels. */
INLINE void block(const int rows, const int pixels, const struct image_products *q, int64_t r,
                  int64_t p, int64_t turn) {
    const int64_t turns = (q->rows + ROWS - 1) / ROWS;
    const float *a = q->a + r * q->a_row, *b = q->b + p * q->b_pixel;
    vector sum[ROWS][PIXELS];
    UNROLLED for (int v = 0; v < pixels; v++) {
        vector first = {0};
        if (q->start != NULL)
            load(&first, q->start + (p + v) * LANES);
        UNROLLED for (int i = 0; i < rows; i++) sum[i][v] = first;
    }
    for (int64_t k = 0; k < q->depth; k++) {
        vector x[PIXELS];
        UNROLLED for (int v = 0; v < pixels; v++) load(&x[v], b + v * q->b_pixel);
        UNROLLED for (int i = 0; i < rows; i++) {
            const vector factor = a[i * q->a_row] - (vector){0};
            UNROLLED for (int v = 0; v < pixels; v++) sum[i][v] =
                MULTIPLY_ADD(factor, x[v], sum[i][v]);
        }
        if (k == turn) {
            UNROLLED for (int v = 0; v < pixels; v++)
                __builtin_prefetch(b + (AHEAD + v) * q->b_pixel, 0, 2);
            turn += turns;
        }
        a += q->a_step;
        b += q->b_step;
    }
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int v = 0; v < pixels; v++) {
            const int64_t at = (r + i) * q->out_row + (p + v) * q->out_pixel;
            finish_sum(&sum[i][v], q->finish, q->mask == NULL ? NULL : q->mask + at);
            store(q->out + at, &sum[i][v]);
        }
    }
}

#define BLOCK_CASE(n) \
    case n: block(n, pixels, q, r, p, turn); break;

INLINE void block_of_rows(const int64_t rows, const int pixels, const struct image_products *q,
                          int64_t r, int64_t p, int64_t turn) {
    switch (rows) {
        BLOCK_CASE(1)
        BLOCK_CASE(2)
        BLOCK_CASE(3)
        BLOCK_CASE(4)
#if ROWS > 4
        BLOCK_CASE(5)
        BLOCK_CASE(6)
        BLOCK_CASE(7)
        BLOCK_CASE(8)
#endif
    default: break;
    }
}

static void any_block(const struct image_products *q, int64_t r, int64_t p, int64_t turn) {
    const int64_t rows = q->rows - r < ROWS ? q->rows - r : ROWS;
    if (q->pixels - p >= PIXELS)
        block_of_rows(rows, PIXELS, q, r, p, turn);
    else if (q->pixels - p == 1)
        block_of_rows(rows, 1, q, r, p, turn);
#if PIXELS > 2
    else
        block_of_rows(rows, 2, q, r, p, turn);
#endif
}

static void by_rows(const struct image_products *q) {
    for (int64_t r = 0; r < q->rows; r += ROWS)
        for (int64_t p = 0; p < q->pixels; p += PIXELS)
            any_block(q, r, p, -1);
}

static void by_pixels(const struct image_products *q) {
    for (int64_t p = 0; p < q->pixels; p += PIXELS)
        for (int64_t r = 0; r < q->rows; r += ROWS)
            any_block(q, r, p, p + AHEAD + PIXELS <= q->pixels ? r / ROWS : -1);
}

/* ---- sums over pixels ---- */

/* images and outs are constants where this is called. */
INLINE void dot_block(const int images, const int outs, int64_t pixels, const float *x,
                      int64_t x_stride, const float *panel, int64_t panel_step, float *sums,
                      int64_t sums_stride, const float *ahead) {
    vector sum[OUTS][OUTS];
    UNROLLED for (int i = 0; i < images; i++) {
        UNROLLED for (int o = 0; o < outs; o++)
            load(&sum[i][o], sums + i * sums_stride + o * LANES);
    }
    for (int64_t p = 0; p < pixels; p++) {
        vector w[OUTS];
        UNROLLED for (int o = 0; o < outs; o++) load(&w[o], panel + o * LANES);
        UNROLLED for (int i = 0; i < images; i++) {
            vector pixel;
            load(&pixel, x + i * x_stride);
            UNROLLED for (int o = 0; o < outs; o++) sum[i][o] =
                MULTIPLY_ADD(pixel, w[o], sum[i][o]);
        }
        if (ahead != NULL)
            __builtin_prefetch(ahead + p * LANES, 0, 2);
        panel += panel_step;
        x += LANES;
    }
    UNROLLED for (int i = 0; i < images; i++) {
        UNROLLED for (int o = 0; o < outs; o++)
            store(sums + i * sums_stride + o * LANES, &sum[i][o]);
    }
}

#define DOT_OUTS(n, m) \
    case m: \
        dot_block(n, m, pixels, at, x_stride, panel, outs *LANES, to, outs *LANES, ahead); \
        break;
#if OUTS > 3
#define DOT_ALL(n) DOT_OUTS(n, 1) DOT_OUTS(n, 2) DOT_OUTS(n, 3) DOT_OUTS(n, 4)
#elif OUTS > 2
#define DOT_ALL(n) DOT_OUTS(n, 1) DOT_OUTS(n, 2) DOT_OUTS(n, 3)
#else
#define DOT_ALL(n) DOT_OUTS(n, 1) DOT_OUTS(n, 2)
#endif
#define DOT_CASE(n) \
    case n: \
        switch (m) { \
            DOT_ALL(n) \
        default: break; \
        } \
        break;

static void dot(int64_t images, int64_t outs, int64_t pixels, const float *x, int64_t x_stride,
                const float *panels, float *sums) {
    for (int64_t i = 0; i < images; i += OUTS)
        for (int64_t o = 0; o < outs; o += OUTS) {
            const int64_t n = images - i < OUTS ? images - i : OUTS;
            const int64_t m = outs - o < OUTS ? outs - o : OUTS;
            const float *at = x + i * x_stride, *panel = panels + o * LANES;
            float *to = sums + (i * outs + o) * LANES;
            const int64_t next = i + OUTS + o / OUTS; /* an image for each block of outs */
            const float *const ahead =
                o / OUTS < OUTS && next < images ? x + next * x_stride : NULL;
            switch (n) {
                DOT_CASE(1)
                DOT_CASE(2)
#if OUTS > 2
                DOT_CASE(3)
#endif
#if OUTS > 3
                DOT_CASE(4)
#endif
            default: break;
            }
        }
}

static void add_images(int64_t images, int64_t pixels, const float *x, int64_t x_stride,
                       float *sum) {
    for (int64_t n = 0; n < images; n++) {
        const float *const from = x + n * x_stride;
        for (int64_t p = 0; p < pixels; p++) {
            vector a = {0}, b;
            if (n > 0)
                load(&a, sum + p * LANES);
            load(&b, from + p * LANES);
            if (n + 1 < images)
                __builtin_prefetch(from + x_stride + p * LANES, 0, 2);
            a += b;
            store(sum + p * LANES, &a);
        }
    }
}

const struct vec_image_matmul_table CUPEL_VEC(vec_image_matmul) = {
    .block = LANES,
    .by_rows = by_rows,
    .by_pixels = by_pixels,
    .dot = dot,
    .add_images = add_images,
};
