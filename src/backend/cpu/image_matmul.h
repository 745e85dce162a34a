/*
 * What the kernels of products with a flattened image share: the cutting of an image into chunks (a
 * block of channels, some pixels), and the matrix on the image's side in the order in which a chunk
 * lies. Test: tests/test_kernels_image_matmul.c
 */
#ifndef CUPEL_IMAGE_MATMUL_H
#define CUPEL_IMAGE_MATMUL_H

#include "backend/cpu/vec_image_matmul.h"
#include "backend/cpu/vec_reorder.h"
#include "op/op_attrs.h"

/* An image and a matrix of as many rows or columns as it has elements. */
struct image_chunks {
    const struct vec_image_matmul_table *table;
    const struct vec_reorder_table *move;
    int64_t images, channels, pixels;
    int64_t outs;   /* the other extent of the matrix */
    bool outs_last; /* the matrix is [C H W, outs], not [outs, C H W] */
    int64_t piece;  /* pixels of a chunk, the last of a block may have fewer */
    int64_t pieces; /* of a block */
    int64_t chunks;
};

struct image_chunk {
    int64_t channel, pixel, pixels;
    int64_t at; /* where it begins in an image, in floats */
};

/* Where the operand of the request that is an image is not in blocks of a vector, or the rest does
 * not suit: false, and why. */
bool image_chunks_accept(const cupel_op_view *view, const cupel_desc *image, const char **why);
/* outs_total: rows of a panel, which decide how many pixels a chunk has. */
struct image_chunks image_chunks_make(const cupel_desc *image, int64_t outs, bool outs_last,
                                      int64_t outs_total);
struct image_chunk image_chunk_at(const struct image_chunks *c, int64_t index);
/* The most floats of a chunk's panels of so many rows. */
int64_t image_panel_floats(const struct image_chunks *c, int64_t rows);
/* Panels hold of each pixel `rows` rows of a block's channels: pixel by pixel where the matrix is
 * brought in order, or made, in tiles [channel][out], else row by row. Distances in floats. */
int64_t image_panel_pixel(const struct image_chunks *c, int64_t rows);
int64_t image_panel_row(const struct image_chunks *c, const struct image_chunk *chunk);
/* The part of the matrix that belongs to a chunk: `outs` of the `rows` that panels have. */
void image_gather(const struct image_chunks *c, const struct image_chunk *chunk,
                  const float *matrix, int64_t rows, float *panels);

/* One gradient of a matrix: which operand is the image and which the other, z [N, outs]. */
struct image_gradient {
    struct image_chunks chunks;
    int image, other;
};
bool image_gradient_accept(const cupel_op_view *product, const char **why);
struct image_gradient image_gradient_of(const cupel_op_view *product);
/* The gradient of a chunk as panels of `outs` rows; other: [N, outs]. */
void image_gradient_panels(const struct image_chunks *c, const struct image_chunk *chunk,
                           const float *image, const float *other, float *panels);

#endif
