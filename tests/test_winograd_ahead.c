/*
 * What Winograd's products ask of memory (src/backend/cpu/winograd_ahead.h): lots in their order
 * ask once for every row of pixels that they read, each product for its share.
 */
#include "support/check.h"

#include <stdlib.h>

#include "backend/cpu/winograd_ahead.h"

enum {
    H = 14,
    W = 14,
    BLOCK = 16,
    ROW = W * BLOCK,
    BLOCKS = 3,
    IMAGES = 5,
    FLOATS = IMAGES * BLOCKS * H * ROW
};

static const struct winograd_images images = {
    .h = H, .w = W, .stride = (int64_t)BLOCKS * H * ROW, .block = BLOCK};
static const struct winograd_part part = {
    .high = 4, .wide = 4, .rows = 3, .columns = 3, .tiles = (int64_t)IMAGES * 9};

/* How often each float is asked for, by lots of so many tiles. */
static void count(const float *pixels, int64_t lot, int64_t padding, int64_t extra, int *asked) {
    const struct winograd_pixels all = {&images, pixels, BLOCKS, padding, extra};
    for (int64_t first = 0; first < part.tiles; first += lot) {
        struct winograd_ahead ahead;
        const int64_t n = part.tiles - first < lot ? part.tiles - first : lot;
        winograd_ahead_begin(&ahead, ROW, 1);
        winograd_ahead_add(&ahead, &all, &part, first, n);
        assert_true(ahead.n < WINOGRAD_AHEAD_MOST);
        for (int64_t i = 0; i < ahead.n; i++) {
            assert_in_range(ahead.at[i] - pixels, 0, FLOATS - ROW);
            for (int64_t f = 0; f < ROW; f++)
                asked[ahead.at[i] - pixels + f]++;
        }
    }
}

static void test_every_row_that_is_read(void **state) {
    (void)state;
    float *pixels = calloc(FLOATS, sizeof *pixels);
    int *asked = calloc(FLOATS, sizeof *asked);
    assert_true(pixels != NULL && asked != NULL);
    for (int64_t lot = 1; lot <= 12; lot++)
        for (int64_t padding = 0; padding <= 2; padding++)
            for (int64_t extra = 0; extra <= 2; extra += 2) {
                const int64_t rows = 12 + extra - padding; /* of an image, that tiles read */
                memset(asked, 0, FLOATS * sizeof *asked);
                count(pixels, lot, padding, extra, asked);
                for (int64_t i = 0; i < FLOATS; i++) {
                    const int64_t row = i / ROW % H;
                    check_context("lots of %d, padding %d, extra %d: float %d, row %d", (int)lot,
                                  (int)padding, (int)extra, (int)i, (int)row);
                    assert_int_equal(asked[i], row < rows);
                }
            }
    free(asked);
    free(pixels);
}

static void test_strips_are_left_out(void **state) {
    (void)state;
    static float pixels[FLOATS];
    const struct winograd_part edge = {
        .high = 4, .wide = 2, .x = 12, .rows = 3, .columns = 1, .tiles = (int64_t)IMAGES * 3};
    const struct winograd_pixels all = {&images, pixels, BLOCKS, 0, 2};
    struct winograd_ahead ahead;
    winograd_ahead_begin(&ahead, WINOGRAD_LINE, 1);
    winograd_ahead_add(&ahead, &all, &edge, 0, edge.tiles);
    assert_int_equal(ahead.n, 0);
}

static void test_products_share_evenly(void **state) {
    (void)state;
    static float pixels[1];
    struct winograd_ahead ahead;
    for (int64_t products = 1; products < 40; products++)
        for (int64_t n = 0; n < 50; n++) {
            int64_t next = 0;
            check_context("%d stretches, %d products", (int)n, (int)products);
            winograd_ahead_begin(&ahead, WINOGRAD_LINE, products);
            for (ahead.n = 0; ahead.n < n; ahead.n++)
                ahead.at[ahead.n] = pixels + ahead.n;
            for (int64_t i = 0; i < products; i++) {
                const float *at = winograd_ahead_next(&ahead, NULL);
                if (at != NULL)
                    assert_ptr_equal(at, pixels + next++);
                if (n <= products) /* as many as are due, no more and no fewer */
                    assert_int_equal(next, (i + 1) * n / products);
            }
            assert_int_equal(next, n < products ? n : products);
        }
}

static void test_what_is_beyond_is_left_out(void **state) {
    (void)state;
    static float pixels[FLOATS];
    const struct winograd_pixels all = {&images, pixels, BLOCKS, 0, 2};
    struct winograd_ahead ahead;
    winograd_ahead_begin(&ahead, WINOGRAD_LINE, 1);
    winograd_ahead_add(&ahead, &all, &part, 0, part.tiles);
    assert_int_equal(ahead.n, WINOGRAD_AHEAD_MOST);
    /* row 8 of the last block of the first image begins with entry 2 * 14 * 14 + 8 * 14 = 504 */
    assert_ptr_equal(ahead.at[504], pixels + (2 * H + 8) * ROW);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_that_is_read),
        cmocka_unit_test(test_strips_are_left_out),
        cmocka_unit_test(test_products_share_evenly),
        cmocka_unit_test(test_what_is_beyond_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
