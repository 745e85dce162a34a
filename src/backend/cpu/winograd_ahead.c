/*
 * The list behind winograd_ahead.h. Tiles are numbered row by row, so what a lot of them reads is,
 * in each block of each image, one run of whole lines. Test: tests/test_winograd_ahead.c
 */
#include "backend/cpu/winograd_ahead.h"

void winograd_ahead_begin(struct winograd_ahead *ahead, int64_t stretch, int64_t products) {
    ahead->stretch = stretch;
    ahead->products = products;
    ahead->n = ahead->taken = ahead->due = 0;
}

static void add_run(struct winograd_ahead *ahead, const float *pixels, int64_t floats) {
    for (int64_t i = 0; i < floats && ahead->n < WINOGRAD_AHEAD_MOST; i += ahead->stretch)
        ahead->at[ahead->n++] = pixels + i;
}

/* Of the tiles from the first on, those of its image. */
static int64_t tiles_of_image(const struct winograd_tile *tiles, int64_t n) {
    int64_t same = 1;
    while (same < n && tiles[same].image == tiles[0].image)
        same++;
    return same;
}

void winograd_ahead_add(struct winograd_ahead *ahead, const struct winograd_images *images,
                        const float *pixels, int64_t blocks, const struct winograd_part *part,
                        const struct winograd_tile *tiles, int64_t n, int64_t extra) {
    const int64_t block = images->block, line = images->w * block;
    if (2 * part->columns * part->wide < images->w)
        return; /* a strip of each row */
    for (int64_t b = 0; b < blocks; b++, pixels += images->h * line)
        for (int64_t t = 0, same; t < n; t += same) {
            same = tiles_of_image(tiles + t, n - t);
            const int64_t above = tiles[t].y > 0 ? tiles[t].y + extra : 0;
            const int64_t end = tiles[t + same - 1].y + part->high + extra;
            const int64_t below = end < images->h ? end : images->h;
            add_run(ahead, pixels + tiles[t].image * images->stride + above * line,
                    (below - above) * line);
        }
}

const float *winograd_ahead_next(struct winograd_ahead *ahead, const float *other) {
    ahead->due += ahead->n;
    if (ahead->taken == ahead->n || ahead->due < ahead->products)
        return other;
    ahead->due -= ahead->products;
    return ahead->at[ahead->taken++];
}
