/*
 * Pooling of one plane whose pixels are short vectors of channels. Test: tests/test_kernels_pool.c
 */
#ifndef CUPEL_VEC_POOL_H
#define CUPEL_VEC_POOL_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum { POOL_LANES = 16 };

struct pool_plane {
    int64_t src_h, src_w, dst_h, dst_w;
    int64_t kernel[2], stride[2], padding[2];
    int64_t pixel; /* floats from one pixel to the next, on both sides */
    int lanes;     /* channels taken at once, at most POOL_LANES */
};

struct vec_pool_table {
    void (*max)(const struct pool_plane *plane, const float *src, float *dst);
    void (*average)(const struct pool_plane *plane, const float *src, float *dst);
    /* diff_src is written whole. */
    void (*max_backward)(const struct pool_plane *plane, const float *src, const float *diff_dst,
                         float *diff_src);
    void (*average_backward)(const struct pool_plane *plane, const float *diff_dst,
                             float *diff_src);
};

CPU_VEC_DECLARE(struct vec_pool_table, vec_pool)

#endif
