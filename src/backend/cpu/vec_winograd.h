/*
 * The parts of Winograd's convolution F(4x4, 3x3) for channels in blocks of 16 (Lavin and Gray
 * 2016): transforms of single tiles and the products between them. AVX-512 alone; elsewhere the
 * functions are NULL. Test: tests/test_kernels_winograd.c
 */
#ifndef CUPEL_VEC_WINOGRAD_H
#define CUPEL_VEC_WINOGRAD_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum {
    WINOGRAD_BLOCK = 16,  /* channels in a block */
    WINOGRAD_GROUP = 14,  /* tiles that a product takes at once */
    WINOGRAD_PLANES = 36, /* 6 x 6 */
    WINOGRAD_ROWS = 8     /* channels of the images that a gradient's product takes at once */
};

/* One block of channels of one image: [h][w][16]. */
struct winograd_image {
    int64_t h, w;
};

struct vec_winograd_table {
    /* 16 filters of 3x3, lane_stride apart, to out[plane * stride + lane]; flipped: turned by 180
     * degrees. */
    void (*filter)(const float *weights, int64_t lane_stride, bool flipped, float *out,
                   int64_t stride);
    /* The 6x6 pixels from (y, x) on, zeros outside the image, to out[plane * stride + channel]. */
    void (*source)(const struct winograd_image *image, const float *pixels, int64_t y, int64_t x,
                   float *out, int64_t stride);
    /* The 4x4 pixels from (y, x) on, zeros outside; sum (may be NULL) += their sum per channel. */
    void (*gradient)(const struct winograd_image *image, const float *pixels, int64_t y, int64_t x,
                     float *out, int64_t stride, float *sum);
    /* 36 values per channel to 4x4 pixels plus bias (may be NULL), cut at the image's edge. */
    void (*result)(const struct winograd_image *image, const float *in, int64_t stride,
                   const float *bias, int64_t y, int64_t x, float *pixels);
    /* result() writes past the caches; this makes its pixels visible to other threads. */
    void (*drain)(void);
    /* m[14][16 * width] = v [blocks][14][16] times u [16 * blocks][16 * width], width 1 or 2. */
    void (*product)(const float *v, const float *u, int64_t blocks, int width, float *m);
    /* d[i * d_stride + o] += sum over k of v[k * v_stride + i] z[k * z_stride + o],
     * i < 8, o < 16 * width. */
    void (*accumulate)(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                       int64_t tiles, int width, float *d, int64_t d_stride);
    /* The sum of `cuts` (a power of two, at most 8) lots of 36 values to 9 gradients:
     * out[9][16]. */
    void (*weights)(const float *d, int64_t stride, int64_t cuts, int64_t cut_stride, float *out);
};

CPU_VEC_DECLARE(struct vec_winograd_table, vec_winograd)

#endif
