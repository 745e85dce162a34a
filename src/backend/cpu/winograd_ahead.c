/*
 * The list behind winograd_ahead.h. Tiles are numbered row by row, so what a lot of them reads is,
 * in each block of each image, one run of whole rows. Test: tests/test_winograd_ahead.c
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

/* Tiles [first, first + n) of one image. */
static void add_tiles(struct winograd_ahead *ahead, const struct winograd_pixels *pixels,
                      const struct winograd_part *part, int64_t image, int64_t first, int64_t n) {
    const struct winograd_images *images = pixels->images;
    const int64_t row = images->w * images->block;
    const int64_t top = part->y + first / part->columns * part->high - pixels->margin;
    const int64_t last = part->y + (first + n - 1) / part->columns * part->high - pixels->margin;
    const int64_t end = last + part->high + pixels->extra;
    const int64_t below = end < images->h ? end : images->h;
    /* Those above read the rows that both share, those further left whole rows. */
    const int64_t above = first % part->columns != 0 ? top + part->high + pixels->extra
                          : top > 0                  ? top + pixels->extra
                                                     : 0;
    const float *from = pixels->first + image * images->stride + above * row;
    for (int64_t b = 0; b < pixels->blocks; b++, from += images->h * row)
        add_run(ahead, from, (below - above) * row);
}

void winograd_ahead_add(struct winograd_ahead *ahead, const struct winograd_pixels *pixels,
                        const struct winograd_part *part, int64_t first, int64_t n) {
    const int64_t per_image = part->rows * part->columns, end = first + n;
    if (2 * part->columns * part->wide < pixels->images->w)
        return; /* a strip of each row */
    for (int64_t taken; first < end; first += taken) {
        const int64_t within = first % per_image, left = per_image - within;
        taken = end - first < left ? end - first : left;
        add_tiles(ahead, pixels, part, first / per_image, within, taken);
    }
}

const float *winograd_ahead_next(struct winograd_ahead *ahead, const float *other) {
    ahead->due += ahead->n;
    if (ahead->taken == ahead->n || ahead->due < ahead->products)
        return other;
    ahead->due -= ahead->products;
    return ahead->at[ahead->taken++];
}
