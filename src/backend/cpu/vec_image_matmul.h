/*
 * The loops of products with a flattened image, as image_matmul.h has them: an image's pixel is one
 * vector (its channels of a block), weights lie in panels [pixel][row][channel] in the cache, and
 * blocks of sums stay in registers. Test: tests/test_kernels_image_matmul.c
 */
#ifndef CUPEL_VEC_IMAGE_MATMUL_H
#define CUPEL_VEC_IMAGE_MATMUL_H

#include <stdint.h>

#include "backend/cpu/cpu.h"
#include "op/op_image_matmul.h"

/* out(r, p) = finish(start(p) + the sum over k, in order, of a(r, k) b(p, k)) for r < rows,
 * p < pixels, where a is a number and everything else a vector of one pixel's channels. Each is
 * found by its strides, in floats. */
struct image_products {
    int64_t rows, pixels, depth;
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    int64_t b_pixel, b_step;
    const float *start; /* [pixel], vectors; NULL: 0 */
    const float *mask;  /* as out; for IMAGE_SELECT */
    float *out;
    int64_t out_row, out_pixel;
    enum image_finish finish;
};

struct vec_image_matmul_table {
    int block; /* floats of a vector: the channels of a block */
    /* The same sums, either row by row over all pixels (rows lie far apart), or pixel by pixel over
     * all rows (pixels are read from far apart). */
    void (*by_rows)(const struct image_products *products);
    void (*by_pixels)(const struct image_products *products);
    /* sums[n][o] (vectors) += over pixels, in order, x[n * x_stride + p](a vector) times
     * panels[p][o] for n < images, o < outs. */
    void (*dot)(int64_t images, int64_t outs, int64_t pixels, const float *x, int64_t x_stride,
                const float *panels, float *sums);
    /* sum[p] (vectors) = the sum over n, in order, of x[n * x_stride + p] for n < images. */
    void (*add_images)(int64_t images, int64_t pixels, const float *x, int64_t x_stride,
                       float *sum);
};

CPU_VEC_DECLARE(struct vec_image_matmul_table, vec_image_matmul)

#endif
