/*
 * The parts of Winograd's convolutions F(4x4, 3x3) and F(2x2, 3x3) for channels in blocks of one
 * vector (Lavin and Gray 2016): transforms of single tiles, and the products between them. AVX2
 * and AVX-512; elsewhere the functions are NULL. Test: tests/test_kernels_winograd.c
 *
 * A tile has 4 or 2 pixels in either direction and is computed from its values at 6 or 4 points.
 * The 4 are among the 6, so tiles of all forms share transformed filters: a tile of 4x4 has 36
 * planes of values, one of 2 rows the planes of rows 0, 1, 2 and 5 of them.
 */
#ifndef CUPEL_VEC_WINOGRAD_H
#define CUPEL_VEC_WINOGRAD_H

#include <stdint.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/vec_conv_finish.h"

enum {
    WINOGRAD_MOST_BLOCK = 16, /* channels in a block, at most */
    WINOGRAD_PLANES = 36      /* 6 x 6 */
};

/* Pixels of a tile, high by wide. */
enum winograd_form { WINOGRAD_4X4, WINOGRAD_4X2, WINOGRAD_2X4, WINOGRAD_2X2, WINOGRAD_FORMS };

/* One block of channels of all images: [h][w][block] each, `stride` floats apart. */
struct winograd_images {
    int64_t h, w, stride;
    int block;
};

/* Where a tile's pixels begin; outside the image there are zeros. */
struct winograd_tile {
    int64_t image, y, x;
};

struct vec_winograd_table {
    int block; /* channels: those of a vector */
    /* A block of filters of 3x3, lane_stride apart, to out[plane * stride + lane]; flipped: turned
     * by 180 degrees; small: only the 16 planes of tiles of 2x2, side by side. */
    void (*filter)(const float *weights, int64_t lane_stride, bool flipped, bool small, float *out,
                   int64_t stride);
    /* The pixels of n tiles, two more than they have either way, to
     * out[plane * stride + tile * tile_stride + channel]. */
    void (*source)(const struct winograd_images *images, enum winograd_form form,
                   const float *pixels, const struct winograd_tile *tiles, int64_t n, float *out,
                   int64_t stride, int64_t tile_stride);
    /* The same of gradients, as many pixels as a tile has; sum (may be NULL) += their sum per
     * channel. */
    void (*gradient)(const struct winograd_images *images, enum winograd_form form,
                     const float *pixels, const struct winograd_tile *tiles, int64_t n, float *out,
                     int64_t stride, int64_t tile_stride, float *sum);
    /* The values of n tiles, laid out alike, to their pixels, finished and cut at the images'
     * edges. sum (may be NULL): their sum per channel. */
    void (*result)(const struct winograd_images *images, enum winograd_form form, const float *in,
                   int64_t stride, int64_t tile_stride, const struct conv_finish *finish,
                   const struct winograd_tile *tiles, int64_t n, float *pixels, float *sum);
    /* Makes pixels that were written past the caches visible to other threads. */
    void (*drain)(void);
    /* The sum of `cuts` (a power of two, at most 8) lots of 36 values (small: 16) to 9 gradients:
     * out[9][block]. */
    void (*weights)(const float *d, int64_t stride, int64_t cuts, int64_t cut_stride, bool small,
                    float *out);
};

CPU_VEC_DECLARE(struct vec_winograd_table, vec_winograd)

struct vec_winograd_product_table {
    int tiles;      /* that product() takes at once, of results of one or two blocks */
    int wide_tiles; /* of results of up to `widest` blocks */
    int widest;
    /* Lines of 64 bytes that product() asks for with each block, when it takes so many tiles. */
    int fetches, wide_fetches;
    /* m [width][tiles][block] = v [blocks][tiles][block] times u [block * blocks][block * width],
     * blocks v_stride and m_stride apart; width is 1, 2 or widest. m may be v. Meanwhile lines of
     * memory come from `ahead` on, at any address, into the L2 cache. */
    void (*product)(const float *v, int64_t v_stride, const float *u, int64_t blocks, int tiles,
                    int width, float *m, int64_t m_stride, const float *ahead);
    int rows, wide_rows; /* that accumulate() takes at once, wide_rows of `widest` blocks */
    /* d[i * d_stride + o] += sum over k of v[k * v_stride + i] z[k * z_stride + o],
     * i < rows (whole blocks), o < block * width; width is 1, 2 or widest. Meanwhile n / 2 lines
     * for all rows that are taken at once come from `ahead` on, as above. */
    void (*accumulate)(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                       int64_t n, int rows, int width, float *d, int64_t d_stride,
                       const float *ahead);
};

CPU_VEC_DECLARE(struct vec_winograd_product_table, vec_winograd_product)

#endif
