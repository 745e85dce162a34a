/*
 * The loops behind vec_norm.h. Tiles of full width have a loop of fixed length, which compilers
 * keep in registers. Sums run in float over 64 rows at most, then in double.
 * Test: tests/test_kernels_norm.c
 */
#include "backend/cpu/vec_norm.h"

#include "backend/cpu/vec.h"

enum { RUN_ROWS = 64 };

/* The body twice: for the full width, and for any. */
#define FOR_COLUMNS(w, body) \
    if ((w) == NORM_LANES) { \
        VEC_LOOP \
        for (int k = 0; k < NORM_LANES; k++) { \
            body \
        } \
    } else { \
        VEC_LOOP \
        for (int k = 0; k < (w); k++) { \
            body \
        } \
    }

static void moments(const struct norm_tile *tile, const float *x, const float *around, double *sum,
                    double *squares) {
    const int w = tile->w;
    for (int64_t first = 0; first < tile->rows; first += RUN_ROWS) {
        const int64_t end = tile->rows - first < RUN_ROWS ? tile->rows : first + RUN_ROWS;
        float s[NORM_LANES] = {0}, q[NORM_LANES] = {0};
        for (int64_t r = first; r < end; r++) {
            const float *row = x + r * tile->stride;
            FOR_COLUMNS(w, const float d = row[k] - around[k]; s[k] += d; q[k] += d * d;)
        }
        FOR_COLUMNS(w, sum[k] += (double)s[k]; squares[k] += (double)q[k];)
    }
}

static void products(const struct norm_tile *tile, const float *x, const float *dy,
                     const float *mean, double *sum, double *product) {
    const int w = tile->w;
    for (int64_t first = 0; first < tile->rows; first += RUN_ROWS) {
        const int64_t end = tile->rows - first < RUN_ROWS ? tile->rows : first + RUN_ROWS;
        float s[NORM_LANES] = {0}, q[NORM_LANES] = {0};
        for (int64_t r = first; r < end; r++) {
            const float *row = x + r * tile->stride, *g = dy + r * tile->stride;
            FOR_COLUMNS(w, s[k] += g[k]; q[k] += g[k] * (row[k] - mean[k]);)
        }
        FOR_COLUMNS(w, sum[k] += (double)s[k]; product[k] += (double)q[k];)
    }
}

static void normalise(const struct norm_tile *tile, const float *x, const float *mean,
                      const float *scale, const float *shift, float *y) {
    const int w = tile->w;
    for (int64_t r = 0; r < tile->rows; r++) {
        const float *row = x + r * tile->stride;
        float *out = y + r * tile->stride;
        FOR_COLUMNS(w, out[k] = (row[k] - mean[k]) * scale[k] + shift[k];)
    }
}

static void gradient(const struct norm_tile *tile, const float *x, const float *dy,
                     const float *mean, const float *a, const float *b, const float *c, float *dx) {
    const int w = tile->w;
    for (int64_t r = 0; r < tile->rows; r++) {
        const float *row = x + r * tile->stride, *g = dy + r * tile->stride;
        float *out = dx + r * tile->stride;
        FOR_COLUMNS(w, out[k] = (g[k] * a[k] + (row[k] - mean[k]) * b[k]) + c[k];)
    }
}

const struct vec_norm_table CUPEL_VEC(vec_norm) = {
    .moments = moments,
    .products = products,
    .normalise = normalise,
    .gradient = gradient,
};
