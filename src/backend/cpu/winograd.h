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

#endif
