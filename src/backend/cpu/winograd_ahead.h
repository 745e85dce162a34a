/*
 * What Winograd's products ask of memory while they compute: a list of stretches of images that
 * will be read soon, and the next of them for each product. Transforms wait for every line that
 * comes from beyond the L2 cache, products wait for none. Test: tests/test_winograd_ahead.c
 */
#ifndef CUPEL_WINOGRAD_AHEAD_H
#define CUPEL_WINOGRAD_AHEAD_H

#include "backend/cpu/winograd.h"

enum {
    WINOGRAD_LINE = 16,       /* floats that memory hands over at once */
    WINOGRAD_AHEAD_MOST = 512 /* stretches; what is beyond is left out */
};

struct winograd_ahead {
    int64_t stretch;  /* floats that one product asks for */
    int64_t products; /* that will ask */
    int64_t n, taken, due;
    const float *at[WINOGRAD_AHEAD_MOST];
};

/* Blocks of images, and how tiles read them. */
struct winograd_pixels {
    const struct winograd_images *images;
    const float *first;
    int64_t blocks;
    int64_t margin, extra; /* rows above the tile; rows that it reads more than it has */
};

/* An empty list for so many products. */
void winograd_ahead_begin(struct winograd_ahead *ahead, int64_t stretch, int64_t products);
/* Adds the rows that tiles [first, first + n) of a part read; those that tiles before them read are
 * left out, and tiles at the edges of rows, which others read just before. A stretch may end beyond
 * its image. */
void winograd_ahead_add(struct winograd_ahead *ahead, const struct winograd_pixels *pixels,
                        const struct winograd_part *part, int64_t first, int64_t n);
/* What the next product asks for, spread evenly; `other` where it has nothing to ask for. */
const float *winograd_ahead_next(struct winograd_ahead *ahead, const float *other);

#endif
