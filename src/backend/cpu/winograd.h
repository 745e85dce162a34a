/*
 * What the two files of Winograd's convolution share: when it is taken, and the numbering of tiles.
 * Test: tests/test_kernels_winograd.c
 */
#ifndef CUPEL_WINOGRAD_H
#define CUPEL_WINOGRAD_H

#include "backend/cpu/vec_winograd.h"
#include "op/op_attrs.h"

struct winograd_shape {
    const struct vec_winograd_table *table;
    int64_t images, from_blocks, to_blocks;
    struct winograd_image from, to; /* what 6x6 pixels are read from; what 4x4 pixels belong to */
    int64_t padding[2];
    int64_t rows, columns, tiles; /* of 4x4 pixels */
};

/* The first pixel of a tile in `to`. */
struct winograd_tile {
    int64_t image, y, x;
};

/* from and to: images in blocks of 16 channels. weights: of the forward convolution. */
bool winograd_accept(const cupel_op_view *view, const cupel_desc *from, const cupel_desc *to,
                     const cupel_desc *weights, const char **why);
struct winograd_shape winograd_shape_of(const cupel_desc *from, const cupel_desc *to,
                                        const int64_t padding[2]);
struct winograd_tile winograd_tile_at(const struct winograd_shape *shape, int64_t tile);

/* Asks for pixels of later tiles while the processor multiplies: a few rows at each call. */
struct winograd_ahead {
    const struct winograd_image *image;
    const float *pixels;
    int64_t blocks, first_block, n_blocks; /* of an image; those that are wanted */
    int64_t margin[2];                     /* from the tile's first pixel up and left */
    int side;                              /* pixels: 6 or 4 */
    int64_t tile, end;                     /* tiles that are left */
    int64_t block;
    int row;
    bool started;
    struct winograd_tile at; /* of `tile` */
};

void winograd_look_ahead(const struct winograd_shape *shape, struct winograd_ahead *ahead,
                         int64_t rows);

#endif
