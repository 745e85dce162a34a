/*
 * What the files of Winograd's convolution share: when it is taken, and the tiles of an image.
 * Test: tests/test_kernels_winograd.c
 */
#ifndef CUPEL_WINOGRAD_H
#define CUPEL_WINOGRAD_H

#include "backend/cpu/vec_winograd.h"
#include "op/op_attrs.h"

/* The tiles of one form: a rectangle of each image. */
struct winograd_part {
    enum winograd_form form;
    int64_t high, wide;    /* pixels of a tile */
    int64_t y, x;          /* the first tile's first pixel */
    int64_t rows, columns; /* tiles of an image */
    int64_t tiles;         /* of all images */
    int n_planes;
    uint8_t planes[WINOGRAD_PLANES]; /* those it has, of the 36 */
};

/* An image is covered by tiles of 4x4; where one or two pixels are left at an edge, by tiles of two
 * rows or columns. Small: by tiles of 2x2 alone, whose filters are packed without gaps. */
struct winograd_shape {
    const struct vec_winograd_table *table;
    const struct vec_winograd_product_table *products;
    bool small;
    int block; /* channels */
    int64_t images, from_blocks, to_blocks;
    struct winograd_images from, to; /* what pixels are read from; what tiles cover */
    int64_t padding[2];
    int n_parts, n_planes;
    struct winograd_part parts[WINOGRAD_FORMS];
};

/* from and to: images in blocks of channels. weights: of the forward convolution. */
bool winograd_accept(const cupel_op_view *view, bool small, const cupel_desc *from,
                     const cupel_desc *to, const cupel_desc *weights, const char **why);
struct winograd_shape winograd_shape_of(bool small, const cupel_desc *from, const cupel_desc *to,
                                        const int64_t padding[2]);
/* Tiles [first, first + n) of a part, moved up and left by a margin. */
void winograd_tiles(const struct winograd_part *part, const int64_t margin[2], int64_t first,
                    int64_t n, struct winograd_tile *out);
/* Where the filters of a part's plane lie: its number among those that are packed. */
int winograd_slot(const struct winograd_shape *shape, const struct winograd_part *part, int index);

#endif
