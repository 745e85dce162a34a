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

/* An empty list for so many products. */
void winograd_ahead_begin(struct winograd_ahead *ahead, int64_t stretch, int64_t products);
/* Adds the rows of pixels that n tiles of a part read in each of so many blocks, `extra` more than
 * they have; those that tiles above read before are left out, and tiles at the edges of rows, which
 * others read just before. A stretch may end beyond its image. */
void winograd_ahead_add(struct winograd_ahead *ahead, const struct winograd_images *images,
                        const float *pixels, int64_t blocks, const struct winograd_part *part,
                        const struct winograd_tile *tiles, int64_t n, int64_t extra);
/* What the next product asks for, spread evenly; `other` where it has nothing to ask for. */
const float *winograd_ahead_next(struct winograd_ahead *ahead, const float *other);

#endif
