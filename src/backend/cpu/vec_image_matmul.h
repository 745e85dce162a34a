/*
 * The loops of products with a flattened image, as image_matmul.h has them: the matrix lies in
 * panels in the cache, blocks of sums stay in registers, and images are walked in long runs of
 * pixels, few at a time. Where results are images, or their gradients, a pixel's channels are the
 * lanes of vectors; where they are a small matrix, its columns are.
 * Test: tests/test_kernels_image_matmul.c
 */
#ifndef CUPEL_VEC_IMAGE_MATMUL_H
#define CUPEL_VEC_IMAGE_MATMUL_H

#include <stdint.h>

#include "backend/cpu/cpu.h"
#include "op/op_image_matmul.h"

/* out(r, p) = finish(start(p) + the sum over k, in order, of a(r, k) b(p, k)) for r < rows,
 * p < pixels, where a is a number and everything else the channels of one pixel's block. Each is
 * found by its strides, in floats. */
struct image_products {
    int64_t rows, pixels, depth;
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    int64_t b_pixel, b_step;
    const float *start; /* [pixel]; NULL: 0 */
    const float *mask;  /* as out; for IMAGE_SELECT */
    float *out;
    int64_t out_row, out_pixel;
    enum image_finish finish;
    bool stream; /* to_image: writes past the caches; drain() makes that visible to other threads */
};

/* sums[n][o] += the sum over pixels and their channels, in runs of pixels by the shape alone, of
 * x(n, p, c) panels(p, c, o) for n < images, o < width, a number of whole vectors. */
struct image_dots {
    int64_t images, pixels, width;
    const float *x; /* pixels side by side */
    int64_t x_image;
    const float *panels; /* of each channel, rows of `width`, one a pixel */
    int64_t panel_channel;
    float *sums; /* [image][width] */
};

struct vec_image_matmul_table {
    int block; /* channels of a block: an image's pixel */
    int lanes; /* of a vector */
    /* The same sums: where the outs are an image, whose rows lie far apart, and where b is, whose
     * steps do. */
    void (*to_image)(const struct image_products *products);
    void (*of_images)(const struct image_products *products);
    void (*drain)(void);
    void (*dot)(const struct image_dots *dots);
    /* sum[p] = the sum over n, in order, of x[n * x_stride + p] for n < images. */
    void (*add_images)(int64_t images, int64_t pixels, const float *x, int64_t x_stride,
                       float *sum);
};

CPU_VEC_DECLARE(struct vec_image_matmul_table, vec_image_matmul)

#endif
