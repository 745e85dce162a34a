/*
 * The loops behind vec_few.h. Sums over channels are kept in the lanes of as many vectors as a
 * vector has lanes, each of one result, and meet in a tree of shuffles that leaves the results side
 * by side. Test: tests/test_kernels_few.c
 */
#include "backend/cpu/vec_few.h"

#include <string.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_shuffle.h"

#if CUPEL_VEC_ISA == 2
#include <immintrin.h>
#define LANES 16
#define MULTIPLY_ADD(a, b, c) ((vector)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define STREAM(to, x) _mm512_stream_ps(to, (__m512)(x))
typedef vector16 vector;
#elif CUPEL_VEC_ISA == 1
#include <immintrin.h>
#define LANES 8
#define MULTIPLY_ADD(a, b, c) ((vector)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define STREAM(to, x) _mm256_stream_ps(to, (__m256)(x))
typedef vector8 vector;
#else
#define LANES 8
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define STREAM(to, x) store(to, &(x))
typedef vector8 vector;
#endif

enum { SIDE = 3, PIXELS = 8, AHEAD = 32 };

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 18")

INLINE void load(vector *x, const float *from) {
    memcpy(x, from, sizeof *x);
}

INLINE void store(float *to, const vector *x) {
    memcpy(to, x, sizeof *x);
}

#if LANES == 16
#define MEET(low, high, distance) \
    UNROLLED for (int i = 0; i < LANES; i += 2 * (distance)) sum[i] = \
        low(sum[i], sum[i + (distance)]) + high(sum[i], sum[i + (distance)]);
#define MEET_ALL MEET(LOW1, HIGH1, 1) MEET(LOW2, HIGH2, 2) MEET(LOW4, HIGH4, 4) MEET(LOW8, HIGH8, 8)
#else
#define MEET(low, high, distance) \
    UNROLLED for (int i = 0; i < LANES; i += 2 * (distance)) sum[i] = \
        low(sum[i], sum[i + (distance)]) + high(sum[i], sum[i + (distance)]);
#define MEET_ALL \
    MEET(HALF_LOW1, HALF_HIGH1, 1) MEET(HALF_LOW2, HALF_HIGH2, 2) MEET(HALF_LOW4, HALF_HIGH4, 4)
#endif

/* LANES results from x on. */
INLINE void narrow_tile(const struct few_narrow *q, int64_t x, vector *out) {
    vector sum[LANES];
    UNROLLED for (int i = 0; i < LANES; i++) sum[i] = (vector){0};
    for (int64_t b = 0; b < q->blocks; b++)
        for (int ky = 0; ky < SIDE; ky++) {
            const int64_t y = q->y + ky, first = q->left + x;
            if (y < 0 || y >= q->height)
                continue;
            const float *const row = q->image + (b * q->height + y) * q->width * LANES;
            vector w[SIDE];
            UNROLLED for (int kx = 0; kx < SIDE; kx++)
                load(&w[kx], q->weights + ((b * SIDE + ky) * SIDE + kx) * LANES);
            UNROLLED for (int j = 0; j < LANES + SIDE - 1; j++) {
                if (first + j < 0 || first + j >= q->width)
                    continue;
                vector pixel;
                load(&pixel, row + (first + j) * LANES);
                UNROLLED for (int kx = 0; kx < SIDE; kx++) if (j - kx >= 0 && j - kx < LANES)
                    sum[j - kx] = MULTIPLY_ADD(pixel, w[kx], sum[j - kx]);
            }
        }
    MEET_ALL
    *out = sum[0];
}

static void narrow(const struct few_narrow *q) {
    for (int64_t x = 0; x < q->n; x += LANES) {
        const int64_t n = q->n - x < LANES ? q->n - x : LANES;
        vector tile;
        narrow_tile(q, x, &tile);
        for (int i = 0; i < LANES; i++)
            tile[i] += q->start;
        memcpy(q->out + x, &tile, (size_t)n * sizeof(float));
    }
}

/* pixels is a constant where this is called. */
INLINE void wide_tile(const int pixels, const struct few_wide *q, int64_t x) {
    vector sum[PIXELS], first = {0};
    if (q->start != NULL)
        load(&first, q->start);
    UNROLLED for (int i = 0; i < pixels; i++) sum[i] = first;
    for (int64_t c = 0; c < q->channels; c++)
        for (int ky = 0; ky < SIDE; ky++) {
            const float *const row = q->planes + c * q->plane + ky * q->width + x;
            UNROLLED for (int kx = 0; kx < SIDE; kx++) {
                vector w;
                load(&w, q->weights + c * q->next + (ky * SIDE + kx) * LANES);
                UNROLLED for (int i = 0; i < pixels; i++) {
                    const vector factor = row[kx + i] - (vector){0};
                    sum[i] = MULTIPLY_ADD(factor, w, sum[i]);
                }
            }
        }
    UNROLLED for (int i = 0; i < pixels; i++) STREAM(q->out + (x + i) * LANES, sum[i]);
}

static void wide(const struct few_wide *q) {
    int64_t x = 0;
    for (; x + PIXELS <= q->n; x += PIXELS)
        wide_tile(PIXELS, q, x);
    for (; x < q->n; x++)
        wide_tile(1, q, x);
}

static void drain(void) {
#if CUPEL_VEC_ISA > 0
    _mm_sfence();
#endif
}

static void gradient(int64_t height, int64_t width, const float *image, const float *plane,
                     int64_t plane_width, float *sums, float *sum) {
    vector tap[FEW_TAPS], all = {0};
    UNROLLED for (int t = 0; t < FEW_TAPS; t++) load(&tap[t], sums + t * LANES);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            vector pixel;
            load(&pixel, image);
            __builtin_prefetch(image + AHEAD * LANES);
            image += LANES;
            all += pixel;
            UNROLLED for (int t = 0; t < FEW_TAPS; t++) {
                const float *const at = plane + (y + t / SIDE) * plane_width + x + t % SIDE;
                const vector factor = *at - (vector){0};
                tap[t] = MULTIPLY_ADD(factor, pixel, tap[t]);
            }
        }
    UNROLLED for (int t = 0; t < FEW_TAPS; t++) store(sums + t * LANES, &tap[t]);
    if (sum == NULL)
        return;
    vector before;
    load(&before, sum);
    before += all;
    store(sum, &before);
}

const struct vec_few_table CUPEL_VEC(vec_few) = {
    .block = LANES,
    .narrow = narrow,
    .wide = wide,
    .drain = drain,
    .gradient = gradient,
};
