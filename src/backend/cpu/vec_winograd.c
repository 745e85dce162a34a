/*
 * The loops behind vec_winograd.h. A vector holds one pixel's 16 channels, so transforms are sums
 * of vectors; products keep 28 (gradients: 16) sums in registers and broadcast the other factor.
 * Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/vec_winograd.h"

#include <stddef.h>

#include "backend/cpu/vec.h"

#if CUPEL_VEC_ISA == 2
#include <immintrin.h>

#define FULLY_UNROLLED _Pragma("GCC unroll 16")

typedef __m512 vector;

static inline vector times(float factor, vector x) {
    return _mm512_mul_ps(_mm512_set1_ps(factor), x);
}

/* x + factor y */
static inline vector plus(vector x, float factor, vector y) {
    return _mm512_fmadd_ps(_mm512_set1_ps(factor), y, x);
}

static inline vector add(vector x, vector y) {
    return _mm512_add_ps(x, y);
}

static inline vector sub(vector x, vector y) {
    return _mm512_sub_ps(x, y);
}

/* Points of interpolation: 0, a, -a, b, -b and infinity. These lose least (Barabasz et al. 2020
 * study the choice) and are exact in binary, as are their squares; 1 and 2 would save a few
 * products and lose two to four times as much. */
#define POINT_A 0.625F
#define POINT_B 1.5F
#define A2 (POINT_A * POINT_A)
#define B2 (POINT_B * POINT_B)
/* 1 / (the product of the distances to the other finite points) */
#define SHARE_0 (1.0F / (A2 * B2))
#define SHARE_A (1.0F / (2 * A2 * (A2 - B2)))
#define SHARE_B (1.0F / (2 * B2 * (B2 - A2)))

/* Six pixels in a line to six values. */
static inline void source_line(const vector d[6], vector t[6]) {
    const vector even_a = plus(d[4], -B2, d[2]), odd_a = times(POINT_A, plus(d[3], -B2, d[1]));
    const vector even_b = plus(d[4], -A2, d[2]), odd_b = times(POINT_B, plus(d[3], -A2, d[1]));
    t[0] = plus(plus(d[4], -(A2 + B2), d[2]), A2 * B2, d[0]);
    t[1] = add(even_a, odd_a);
    t[2] = sub(even_a, odd_a);
    t[3] = add(even_b, odd_b);
    t[4] = sub(even_b, odd_b);
    t[5] = plus(plus(d[5], -(A2 + B2), d[3]), A2 * B2, d[1]);
}

/* Four pixels of a gradient in a line to six values: as a filter of four taps. */
static inline void gradient_line(const vector d[4], vector t[6]) {
    const vector even_a = times(SHARE_A, plus(d[0], A2, d[2]));
    const vector odd_a = times(SHARE_A * POINT_A, plus(d[1], A2, d[3]));
    const vector even_b = times(SHARE_B, plus(d[0], B2, d[2]));
    const vector odd_b = times(SHARE_B * POINT_B, plus(d[1], B2, d[3]));
    t[0] = times(SHARE_0, d[0]);
    t[1] = add(even_a, odd_a);
    t[2] = sub(even_a, odd_a);
    t[3] = add(even_b, odd_b);
    t[4] = sub(even_b, odd_b);
    t[5] = d[3];
}

/* Sums and differences of the values at a and -a, b and -b. */
struct pairs {
    vector sum_a, difference_a, sum_b, difference_b;
};

static inline struct pairs pairs_of(const vector m[6]) {
    return (struct pairs){add(m[1], m[2]), sub(m[1], m[2]), add(m[3], m[4]), sub(m[3], m[4])};
}

/* Six values to four pixels in a line. */
static inline void result_line(const vector m[6], vector y[4]) {
    const struct pairs p = pairs_of(m);
    y[0] = add(add(m[0], p.sum_a), p.sum_b);
    y[1] = plus(times(POINT_A, p.difference_a), POINT_B, p.difference_b);
    y[2] = plus(times(A2, p.sum_a), B2, p.sum_b);
    y[3] = plus(plus(m[5], A2 * POINT_A, p.difference_a), B2 * POINT_B, p.difference_b);
}

/* Three taps in a line to six values. */
static inline void filter_line(const vector g[3], vector t[6]) {
    const vector even_a = times(SHARE_A, plus(g[0], A2, g[2]));
    const vector odd_a = times(SHARE_A * POINT_A, g[1]);
    const vector even_b = times(SHARE_B, plus(g[0], B2, g[2]));
    const vector odd_b = times(SHARE_B * POINT_B, g[1]);
    t[0] = times(SHARE_0, g[0]);
    t[1] = add(even_a, odd_a);
    t[2] = sub(even_a, odd_a);
    t[3] = add(even_b, odd_b);
    t[4] = sub(even_b, odd_b);
    t[5] = g[2];
}

/* Six values to the gradients of three taps in a line. */
static inline void weights_line(const vector m[6], vector y[3]) {
    const struct pairs p = pairs_of(m);
    y[0] = add(add(m[0], p.sum_a), p.sum_b);
    y[1] = plus(times(POINT_A, p.difference_a), POINT_B, p.difference_b);
    y[2] = plus(plus(m[5], A2, p.sum_a), B2, p.sum_b);
}

static void filter(const float *weights, int64_t lane_stride, bool flipped, float *out,
                   int64_t stride) {
    vector columns[3][6];
    for (int j = 0; j < 3; j++) {
        vector g[3];
        for (int i = 0; i < 3; i++) {
            float taps[WINOGRAD_BLOCK];
            const int tap = flipped ? 8 - (i * 3 + j) : i * 3 + j;
            for (int lane = 0; lane < WINOGRAD_BLOCK; lane++)
                taps[lane] = weights[lane * lane_stride + tap];
            g[i] = _mm512_loadu_ps(taps);
        }
        filter_line(g, columns[j]);
    }
    for (int i = 0; i < 6; i++) {
        vector g[3], t[6];
        for (int j = 0; j < 3; j++)
            g[j] = columns[j][i];
        filter_line(g, t);
        for (int j = 0; j < 6; j++)
            _mm512_storeu_ps(out + (i * 6 + j) * stride, t[j]);
    }
}

/* Lots 4, 2 and 1 apart are added first. */
static inline vector sum_of_cuts(const float *d, int64_t cuts, int64_t cut_stride) {
    vector sum[8];
    for (int64_t c = 0; c < cuts; c++)
        sum[c] = _mm512_loadu_ps(d + c * cut_stride);
    for (int64_t half = cuts / 2; half > 0; half /= 2)
        for (int64_t c = 0; c < half; c++)
            sum[c] = add(sum[c], sum[c + half]);
    return sum[0];
}

static void weights(const float *d, int64_t stride, int64_t cuts, int64_t cut_stride, float *out) {
    vector columns[6][3];
    for (int j = 0; j < 6; j++) {
        vector m[6];
        for (int i = 0; i < 6; i++)
            m[i] = sum_of_cuts(d + (i * 6 + j) * stride, cuts, cut_stride);
        weights_line(m, columns[j]);
    }
    for (int i = 0; i < 3; i++) {
        vector m[6], y[3];
        for (int j = 0; j < 6; j++)
            m[j] = columns[j][i];
        weights_line(m, y);
        for (int j = 0; j < 3; j++)
            _mm512_storeu_ps(out + (i * 3 + j) * WINOGRAD_BLOCK, y[j]);
    }
}

/* Pixels of a tile: its lines (of zeros outside the image) and which of its columns are inside. */
struct window {
    const float *lines[6];
    __mmask16 inside[6];
    bool whole;
};

static const float zeros[6 * WINOGRAD_BLOCK];

static inline struct window window_at(const struct winograd_image *image, const float *pixels,
                                      int64_t y, int64_t x, int side) {
    struct window window = {.whole =
                                y >= 0 && x >= 0 && y + side <= image->h && x + side <= image->w};
    for (int i = 0; i < side; i++) {
        const bool line = y + i >= 0 && y + i < image->h, column = x + i >= 0 && x + i < image->w;
        window.lines[i] = line ? pixels + ((y + i) * image->w + x) * WINOGRAD_BLOCK : zeros;
        window.inside[i] = column ? 0xFFFF : 0;
    }
    return window;
}

static inline __attribute__((always_inline)) vector pixel(const struct window *window, bool whole,
                                                          int i, int j) {
    const float *at = window->lines[i] + j * WINOGRAD_BLOCK;
    return whole ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(window->inside[j], at);
}

/* Transforms two lines of six values each and stores them. */
static inline __attribute__((always_inline)) void store_lines(const vector a[6], const vector b[6],
                                                              float *to_a, float *to_b,
                                                              int64_t stride) {
    vector t[6];
    source_line(a, t);
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++)
        _mm512_storeu_ps(to_a + j * stride, t[j]);
    source_line(b, t);
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++)
        _mm512_storeu_ps(to_b + j * stride, t[j]);
}

/* Lines that share sums are made together, so that nothing but results leaves the registers. */
static inline __attribute__((always_inline)) void source_of(const struct window *w, bool whole,
                                                            float *out, int64_t stride) {
    vector a[6], b[6];
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++) {
        const vector even = plus(pixel(w, whole, 4, j), -B2, pixel(w, whole, 2, j));
        const vector odd = times(POINT_A, plus(pixel(w, whole, 3, j), -B2, pixel(w, whole, 1, j)));
        a[j] = add(even, odd);
        b[j] = sub(even, odd);
    }
    store_lines(a, b, out + 6 * stride, out + 12 * stride, stride);
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++) {
        const vector even = plus(pixel(w, whole, 4, j), -A2, pixel(w, whole, 2, j));
        const vector odd = times(POINT_B, plus(pixel(w, whole, 3, j), -A2, pixel(w, whole, 1, j)));
        a[j] = add(even, odd);
        b[j] = sub(even, odd);
    }
    store_lines(a, b, out + 18 * stride, out + 24 * stride, stride);
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++) {
        a[j] = plus(plus(pixel(w, whole, 4, j), -(A2 + B2), pixel(w, whole, 2, j)), A2 * B2,
                    pixel(w, whole, 0, j));
        b[j] = plus(plus(pixel(w, whole, 5, j), -(A2 + B2), pixel(w, whole, 3, j)), A2 * B2,
                    pixel(w, whole, 1, j));
    }
    store_lines(a, b, out, out + 30 * stride, stride);
}

static void source(const struct winograd_image *image, const float *pixels, int64_t y, int64_t x,
                   float *out, int64_t stride) {
    const struct window window = window_at(image, pixels, y, x, 6);
    if (window.whole)
        source_of(&window, true, out, stride);
    else
        source_of(&window, false, out, stride);
}

static inline __attribute__((always_inline)) void gradient_of(const struct window *w, bool whole,
                                                              float *out, int64_t stride,
                                                              float *sum) {
    vector columns[4][6];
    vector total = _mm512_setzero_ps();
    FULLY_UNROLLED
    for (int j = 0; j < 4; j++) {
        vector d[4];
        FULLY_UNROLLED
        for (int i = 0; i < 4; i++)
            d[i] = pixel(w, whole, i, j);
        total = add(total, add(add(d[0], d[1]), add(d[2], d[3])));
        gradient_line(d, columns[j]);
    }
    if (sum != NULL)
        _mm512_storeu_ps(sum, add(_mm512_loadu_ps(sum), total));
    FULLY_UNROLLED
    for (int i = 0; i < 6; i++) {
        vector d[4], t[6];
        FULLY_UNROLLED
        for (int j = 0; j < 4; j++)
            d[j] = columns[j][i];
        gradient_line(d, t);
        FULLY_UNROLLED
        for (int j = 0; j < 6; j++)
            _mm512_storeu_ps(out + (i * 6 + j) * stride, t[j]);
    }
}

static void gradient(const struct winograd_image *image, const float *pixels, int64_t y, int64_t x,
                     float *out, int64_t stride, float *sum) {
    const struct window window = window_at(image, pixels, y, x, 4);
    if (window.whole)
        gradient_of(&window, true, out, stride, sum);
    else
        gradient_of(&window, false, out, stride, sum);
}

/* One line of results, `width` pixels of it. */
static inline __attribute__((always_inline)) void store_result(const vector m[6], vector bias,
                                                               int64_t width, float *to) {
    vector line[4];
    result_line(m, line);
    if (width == 4 && (uintptr_t)to % sizeof(vector) == 0) {
        FULLY_UNROLLED
        for (int j = 0; j < 4; j++)
            _mm512_stream_ps(to + j * WINOGRAD_BLOCK, add(line[j], bias));
    } else {
        FULLY_UNROLLED
        for (int j = 0; j < 4; j++)
            if (j < width)
                _mm512_storeu_ps(to + j * WINOGRAD_BLOCK, add(line[j], bias));
    }
}

static void result(const struct winograd_image *image, const float *in, int64_t stride,
                   const float *bias, int64_t y, int64_t x, float *pixels) {
    const vector more = bias == NULL ? _mm512_setzero_ps() : _mm512_loadu_ps(bias);
    const int64_t rows = image->h - y < 4 ? image->h - y : 4;
    const int64_t width = image->w - x < 4 ? image->w - x : 4;
    const int64_t line = image->w * WINOGRAD_BLOCK;
    float *to = pixels + (y * image->w + x) * WINOGRAD_BLOCK;
    vector a[6], b[6];
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++) { /* lines 0 and 2 take sums, 1 and 3 differences */
        const float *m = in + j * stride;
        const vector sum_a = add(_mm512_loadu_ps(m + 6 * stride), _mm512_loadu_ps(m + 12 * stride));
        const vector sum_b =
            add(_mm512_loadu_ps(m + 18 * stride), _mm512_loadu_ps(m + 24 * stride));
        a[j] = add(add(_mm512_loadu_ps(m), sum_a), sum_b);
        b[j] = plus(times(A2, sum_a), B2, sum_b);
    }
    store_result(a, more, width, to);
    if (rows > 2)
        store_result(b, more, width, to + 2 * line);
    if (rows < 2)
        return;
    FULLY_UNROLLED
    for (int j = 0; j < 6; j++) {
        const float *m = in + j * stride;
        const vector difference_a =
            sub(_mm512_loadu_ps(m + 6 * stride), _mm512_loadu_ps(m + 12 * stride));
        const vector difference_b =
            sub(_mm512_loadu_ps(m + 18 * stride), _mm512_loadu_ps(m + 24 * stride));
        a[j] = plus(times(POINT_A, difference_a), POINT_B, difference_b);
        b[j] = plus(plus(_mm512_loadu_ps(m + 30 * stride), A2 * POINT_A, difference_a),
                    B2 * POINT_B, difference_b);
    }
    store_result(a, more, width, to + line);
    if (rows > 3)
        store_result(b, more, width, to + 3 * line);
}

static void drain(void) {
    _mm_sfence();
}

static void product2(const float *v, const float *u, int64_t blocks, float *m) {
    vector sum[WINOGRAD_GROUP][2];
    FULLY_UNROLLED
    for (int t = 0; t < WINOGRAD_GROUP; t++)
        sum[t][0] = sum[t][1] = _mm512_setzero_ps();
    for (int64_t b = 0; b < blocks; b++) {
        FULLY_UNROLLED
        for (int k = 0; k < WINOGRAD_BLOCK; k++) {
            const vector u0 = _mm512_loadu_ps(u + k * 32), u1 = _mm512_loadu_ps(u + k * 32 + 16);
            FULLY_UNROLLED
            for (int t = 0; t < WINOGRAD_GROUP; t++) {
                const vector x = _mm512_set1_ps(v[t * WINOGRAD_BLOCK + k]);
                sum[t][0] = _mm512_fmadd_ps(x, u0, sum[t][0]);
                sum[t][1] = _mm512_fmadd_ps(x, u1, sum[t][1]);
            }
        }
        v += WINOGRAD_GROUP * WINOGRAD_BLOCK;
        u += WINOGRAD_BLOCK * 32;
    }
    FULLY_UNROLLED
    for (int t = 0; t < WINOGRAD_GROUP; t++) {
        _mm512_storeu_ps(m + t * 32, sum[t][0]);
        _mm512_storeu_ps(m + t * 32 + 16, sum[t][1]);
    }
}

static void product1(const float *v, const float *u, int64_t blocks, float *m) {
    vector sum[WINOGRAD_GROUP];
    FULLY_UNROLLED
    for (int t = 0; t < WINOGRAD_GROUP; t++)
        sum[t] = _mm512_setzero_ps();
    for (int64_t b = 0; b < blocks; b++) {
        for (int k = 0; k < WINOGRAD_BLOCK; k++) {
            const vector u0 = _mm512_loadu_ps(u + k * 16);
            FULLY_UNROLLED
            for (int t = 0; t < WINOGRAD_GROUP; t++)
                sum[t] = _mm512_fmadd_ps(_mm512_set1_ps(v[t * WINOGRAD_BLOCK + k]), u0, sum[t]);
        }
        v += WINOGRAD_GROUP * WINOGRAD_BLOCK;
        u += WINOGRAD_BLOCK * 16;
    }
    FULLY_UNROLLED
    for (int t = 0; t < WINOGRAD_GROUP; t++)
        _mm512_storeu_ps(m + t * 16, sum[t]);
}

static void product(const float *v, const float *u, int64_t blocks, int width, float *m) {
    if (width == 2)
        product2(v, u, blocks, m);
    else
        product1(v, u, blocks, m);
}

static void accumulate2(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                        int64_t tiles, float *d, int64_t d_stride) {
    vector sum[WINOGRAD_ROWS][2];
    FULLY_UNROLLED
    for (int i = 0; i < WINOGRAD_ROWS; i++) {
        sum[i][0] = _mm512_loadu_ps(d + i * d_stride);
        sum[i][1] = _mm512_loadu_ps(d + i * d_stride + 16);
    }
    _Pragma("GCC unroll 4") for (int64_t k = 0; k < tiles; k++) {
        const vector z0 = _mm512_loadu_ps(z), z1 = _mm512_loadu_ps(z + 16);
        FULLY_UNROLLED
        for (int i = 0; i < WINOGRAD_ROWS; i++) {
            const vector x = _mm512_set1_ps(v[i]);
            sum[i][0] = _mm512_fmadd_ps(x, z0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(x, z1, sum[i][1]);
        }
        v += v_stride;
        z += z_stride;
    }
    FULLY_UNROLLED
    for (int i = 0; i < WINOGRAD_ROWS; i++) {
        _mm512_storeu_ps(d + i * d_stride, sum[i][0]);
        _mm512_storeu_ps(d + i * d_stride + 16, sum[i][1]);
    }
}

static void accumulate1(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                        int64_t tiles, float *d, int64_t d_stride) {
    vector sum[WINOGRAD_ROWS];
    FULLY_UNROLLED
    for (int i = 0; i < WINOGRAD_ROWS; i++)
        sum[i] = _mm512_loadu_ps(d + i * d_stride);
    for (int64_t k = 0; k < tiles; k++) {
        const vector z0 = _mm512_loadu_ps(z);
        FULLY_UNROLLED
        for (int i = 0; i < WINOGRAD_ROWS; i++)
            sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(v[i]), z0, sum[i]);
        v += v_stride;
        z += z_stride;
    }
    FULLY_UNROLLED
    for (int i = 0; i < WINOGRAD_ROWS; i++)
        _mm512_storeu_ps(d + i * d_stride, sum[i]);
}

static void accumulate(const float *v, int64_t v_stride, const float *z, int64_t z_stride,
                       int64_t tiles, int width, float *d, int64_t d_stride) {
    if (width == 2)
        accumulate2(v, v_stride, z, z_stride, tiles, d, d_stride);
    else
        accumulate1(v, v_stride, z, z_stride, tiles, d, d_stride);
}

const struct vec_winograd_table CUPEL_VEC(vec_winograd) = {
    .filter = filter,
    .weights = weights,
    .source = source,
    .gradient = gradient,
    .result = result,
    .product = product,
    .accumulate = accumulate,
    .drain = drain,
};

#else

const struct vec_winograd_table CUPEL_VEC(vec_winograd) = {.source = NULL};

#endif
