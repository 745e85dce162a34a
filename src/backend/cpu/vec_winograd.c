/*
 * The transforms behind vec_winograd.h. A vector holds one pixel's block of channels, so transforms
 * are sums of vectors: first down the columns, then along the rows. Values at a point and at its
 * negative share their sums and are made together. Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/vec_winograd.h"

#include <stddef.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_lanes.h"

#if CUPEL_VEC_ISA > 0

VEC_INLINE vector times(float factor, vector x) {
    return vec_mul(vec_set(factor), x);
}

/* x + factor y */
VEC_INLINE vector plus(vector x, float factor, vector y) {
    return vec_fma(vec_set(factor), y, x);
}

/* x - factor y */
VEC_INLINE vector minus(vector x, float factor, vector y) {
    return vec_fnma(vec_set(factor), y, x);
}

/* Points of interpolation: 0, a, -a, b, -b and infinity. These lose least (Barabasz et al. 2020
 * study the choice) and are exact in binary, as are their squares; 1 and 2 would save a few
 * products and lose two to four times as much. Short lines do with 0, a, -a and infinity. */
#define POINT_A 0.625F
#define POINT_B 1.5F
#define A2 (POINT_A * POINT_A)
#define B2 (POINT_B * POINT_B)
/* 1 / (the product of the distances to the other finite points); filters carry it. Pixels of short
 * lines carry what it is too much or too little for them: A2 - B2 at a and -a, -B2 at 0. */
#define SHARE_0 (1.0F / (A2 * B2))
#define SHARE_A (1.0F / (2 * A2 * (A2 - B2)))
#define SHARE_B (1.0F / (2 * B2 * (B2 - A2)))

enum { LONG = 6, SHORT = 4 }; /* points of a line */

/* Pairs of points whose values share sums. */
enum pair { PAIR_A, PAIR_B, PAIR_ENDS };
static const int first_of[] = {1, 3, 0}, second_of[] = {2, 4, 5};

VEC_INLINE bool has_pair(int points, enum pair pair) {
    return points == LONG || pair != PAIR_B;
}

/* Two of the values that the pixels of a line have at its points. */
VEC_INLINE void source_pair(const vector *d, int points, enum pair pair, vector *first,
                            vector *second) {
    if (pair == PAIR_ENDS && points == LONG) {
        *first = plus(minus(d[4], A2 + B2, d[2]), A2 * B2, d[0]);
        *second = plus(minus(d[5], A2 + B2, d[3]), A2 * B2, d[1]);
    } else if (pair == PAIR_ENDS) {
        *first = minus(times(A2 * B2, d[0]), B2, d[2]);
        *second = minus(d[3], A2, d[1]);
    } else if (points == LONG) {
        const float point = pair == PAIR_A ? POINT_A : POINT_B, other = pair == PAIR_A ? B2 : A2;
        const vector even = minus(d[4], other, d[2]), odd = minus(d[3], other, d[1]);
        *first = plus(even, point, odd);
        *second = minus(even, point, odd);
    } else {
        const vector even = times(A2 - B2, d[2]);
        *first = plus(even, (A2 - B2) * POINT_A, d[1]);
        *second = minus(even, (A2 - B2) * POINT_A, d[1]);
    }
}

/* The values of a gradient's pixels (two fewer than points) as taps of a filter, but for its
 * shares. */
VEC_INLINE void gradient_line(const vector *d, int points, vector *t) {
    if (points == LONG) {
        const vector even_a = plus(d[0], A2, d[2]), odd_a = plus(d[1], A2, d[3]);
        const vector even_b = plus(d[0], B2, d[2]), odd_b = plus(d[1], B2, d[3]);
        t[1] = plus(even_a, POINT_A, odd_a);
        t[2] = minus(even_a, POINT_A, odd_a);
        t[3] = plus(even_b, POINT_B, odd_b);
        t[4] = minus(even_b, POINT_B, odd_b);
    } else {
        t[1] = plus(d[0], POINT_A, d[1]);
        t[2] = minus(d[0], POINT_A, d[1]);
    }
    t[0] = d[0];
    t[5] = d[points - 3];
}

/* Sums and differences of the values at a and -a, b and -b. */
struct pairs {
    vector sum_a, difference_a, sum_b, difference_b;
};

VEC_INLINE struct pairs pairs_of(const vector *m, int points) {
    struct pairs p = {.sum_a = vec_add(m[1], m[2]), .difference_a = vec_sub(m[1], m[2])};
    p.sum_b = points == LONG ? vec_add(m[3], m[4]) : vec_zero();
    p.difference_b = points == LONG ? vec_sub(m[3], m[4]) : vec_zero();
    return p;
}

/* Values of a line to its pixels 0 and 2 (even) or 1 and 3; short lines have 0 and 1 alone. */
VEC_INLINE void result_pair(const vector *m, int points, bool even, vector *first, vector *second) {
    const struct pairs p = pairs_of(m, points);
    if (points == SHORT) {
        *first = even ? vec_add(m[0], p.sum_a) : plus(m[5], POINT_A, p.difference_a);
        *second = *first;
    } else if (even) {
        *first = vec_add(vec_add(m[0], p.sum_a), p.sum_b);
        *second = plus(times(A2, p.sum_a), B2, p.sum_b);
    } else {
        *first = plus(times(POINT_A, p.difference_a), POINT_B, p.difference_b);
        *second = plus(plus(m[5], A2 * POINT_A, p.difference_a), B2 * POINT_B, p.difference_b);
    }
}

/* Three taps in a line to their values. */
VEC_INLINE void filter_line(const vector *g, vector *t) {
    const vector even_a = times(SHARE_A, plus(g[0], A2, g[2]));
    const vector odd_a = times(SHARE_A * POINT_A, g[1]);
    const vector even_b = times(SHARE_B, plus(g[0], B2, g[2]));
    const vector odd_b = times(SHARE_B * POINT_B, g[1]);
    t[0] = times(SHARE_0, g[0]);
    t[1] = vec_add(even_a, odd_a);
    t[2] = vec_sub(even_a, odd_a);
    t[3] = vec_add(even_b, odd_b);
    t[4] = vec_sub(even_b, odd_b);
    t[5] = g[2];
}

/* Values to the gradients of three taps in a line; the shares that gradient_line() left out. */
VEC_INLINE void weights_line(const vector *m, int points, vector *y) {
    const struct pairs p = pairs_of(m, points);
    y[0] = plus(times(SHARE_0, m[0]), SHARE_A, p.sum_a);
    y[1] = times(SHARE_A * POINT_A, p.difference_a);
    y[2] = plus(m[5], SHARE_A * A2, p.sum_a);
    if (points == LONG) {
        y[0] = plus(y[0], SHARE_B, p.sum_b);
        y[1] = plus(y[1], SHARE_B * POINT_B, p.difference_b);
        y[2] = plus(y[2], SHARE_B * B2, p.sum_b);
    }
}

/* ---- filters ---- */

/* The points that a line has, as indices of the six. */
VEC_INLINE int point_of(int index, int points) {
    return points == LONG || index < 3 ? index : 5;
}

static void filter(const float *weights, int64_t lane_stride, bool flipped, bool small, float *out,
                   int64_t stride) {
    const int points = small ? SHORT : LONG;
    vector columns[3][6];
    for (int i = 0; i < points * points; i++)
        vec_fetch(out + i * stride); /* they come while the taps are gathered */
    for (int j = 0; j < 3; j++) {
        vector g[3];
        for (int i = 0; i < 3; i++) {
            float taps[VEC_LANES];
            const int tap = flipped ? 8 - (i * 3 + j) : i * 3 + j;
            for (int lane = 0; lane < VEC_LANES; lane++)
                taps[lane] = weights[lane * lane_stride + tap];
            g[i] = vec_load(taps);
        }
        filter_line(g, columns[j]);
    }
    for (int i = 0; i < points; i++) {
        vector g[3], t[6];
        for (int j = 0; j < 3; j++)
            g[j] = columns[j][point_of(i, points)];
        filter_line(g, t);
        for (int j = 0; j < points; j++)
            vec_store(out + (i * points + j) * stride, t[point_of(j, points)]);
    }
}

/* Lots 4, 2 and 1 apart are added first. */
static vector sum_of_cuts(const float *d, int64_t cuts, int64_t cut_stride) {
    vector sum[8];
    sum[0] = vec_load(d);
    for (int64_t c = 1; c < cuts; c++)
        sum[c] = vec_load(d + c * cut_stride);
    for (int64_t half = cuts / 2; half > 0; half /= 2)
        for (int64_t c = 0; c < half; c++)
            sum[c] = vec_add(sum[c], sum[c + half]);
    return sum[0];
}

VEC_INLINE void weights_of(const float *d, int64_t stride, int64_t cuts, int64_t cut_stride,
                           int points, float *out) {
    vector columns[6][3];
    for (int j = 0; j < points; j++) {
        vector m[6];
        for (int i = 0; i < points; i++)
            m[point_of(i, points)] = sum_of_cuts(d + (i * points + j) * stride, cuts, cut_stride);
        weights_line(m, points, columns[point_of(j, points)]);
    }
    for (int i = 0; i < 3; i++) {
        vector m[6], y[3];
        for (int j = 0; j < points; j++)
            m[point_of(j, points)] = columns[point_of(j, points)][i];
        weights_line(m, points, y);
        for (int j = 0; j < 3; j++)
            vec_store(out + (i * 3 + j) * VEC_LANES, y[j]);
    }
}

static void weights(const float *d, int64_t stride, int64_t cuts, int64_t cut_stride, bool small,
                    float *out) {
    if (small)
        weights_of(d, stride, cuts, cut_stride, SHORT, out);
    else
        weights_of(d, stride, cuts, cut_stride, LONG, out);
}

/* ---- tiles ---- */

/* Pixels that are read: their lines (of zeros outside the image), and which columns are inside. */
struct window {
    const float *lines[LONG];
    vector_mask inside[LONG];
    bool whole;
};

static const float zeros[LONG * VEC_LANES];

VEC_INLINE struct window window_at(const struct winograd_images *images, const float *pixels,
                                   const struct winograd_tile *tile, int rows, int columns) {
    const int64_t y = tile->y, x = tile->x;
    struct window window = {.whole = y >= 0 && x >= 0 && y + rows <= images->h &&
                                     x + columns <= images->w};
    const int64_t line = images->w * VEC_LANES;
    const float *first = pixels + tile->image * images->stride + y * line + x * VEC_LANES;
    if (window.whole) {
        VEC_UNROLLED
        for (int i = 0; i < rows; i++)
            window.lines[i] = first + i * line;
        return window;
    }
    for (int i = 0; i < rows; i++)
        window.lines[i] = y + i >= 0 && y + i < images->h ? first + i * line : zeros;
    for (int j = 0; j < columns; j++)
        window.inside[j] = vec_mask(x + j >= 0 && x + j < images->w);
    return window;
}

VEC_INLINE vector pixel(const struct window *window, bool whole, int i, int j) {
    const float *at = window->lines[i] + j * VEC_LANES;
    return whole ? vec_load(at) : vec_load_if(window->inside[j], at);
}

VEC_INLINE void store_source_line(const vector *d, int points, float *out, int64_t stride) {
    VEC_UNROLLED
    for (int p = PAIR_A; p <= PAIR_ENDS; p++)
        if (has_pair(points, (enum pair)p)) {
            vector first, second;
            source_pair(d, points, (enum pair)p, &first, &second);
            vec_store(out + first_of[p] * stride, first);
            vec_store(out + second_of[p] * stride, second);
        }
}

/* Pair after pair of rows, so that nothing but values leaves the registers. */
VEC_INLINE void source_of(const struct window *w, bool whole, int rows, int columns, float *out,
                          int64_t stride) {
    VEC_UNROLLED
    for (int p = PAIR_A; p <= PAIR_ENDS; p++)
        if (has_pair(rows, (enum pair)p)) {
            vector first[LONG], second[LONG];
            VEC_UNROLLED
            for (int j = 0; j < columns; j++) {
                vector d[LONG];
                VEC_UNROLLED
                for (int i = 0; i < rows; i++)
                    d[i] = pixel(w, whole, i, j);
                source_pair(d, rows, (enum pair)p, &first[j], &second[j]);
            }
            store_source_line(first, columns, out + first_of[p] * 6 * stride, stride);
            store_source_line(second, columns, out + second_of[p] * 6 * stride, stride);
        }
}

VEC_INLINE void source_in(const struct winograd_images *images, int rows, int columns,
                          const float *pixels, const struct winograd_tile *tiles, int64_t n,
                          float *out, int64_t stride, int64_t tile_stride) {
    for (int64_t t = 0; t < n; t++) {
        const struct window window = window_at(images, pixels, &tiles[t], rows, columns);
        if (window.whole)
            source_of(&window, true, rows, columns, out + t * tile_stride, stride);
        else
            source_of(&window, false, rows, columns, out + t * tile_stride, stride);
    }
}

/* Each form has its own unrolled code. */
#define FOR_FORM(form, call) \
    switch (form) { \
    case WINOGRAD_4X4: call(LONG, LONG); break; \
    case WINOGRAD_4X2: call(LONG, SHORT); break; \
    case WINOGRAD_2X4: call(SHORT, LONG); break; \
    case WINOGRAD_2X2: call(SHORT, SHORT); break; \
    case WINOGRAD_FORMS: break; \
    }

static void source(const struct winograd_images *images, enum winograd_form form,
                   const float *pixels, const struct winograd_tile *tiles, int64_t n, float *out,
                   int64_t stride, int64_t tile_stride){
#define CALL(rows, columns) \
    source_in(images, rows, columns, pixels, tiles, n, out, stride, tile_stride)
    FOR_FORM(form, CALL)
#undef CALL
}

VEC_INLINE void gradient_of(const struct window *w, bool whole, int rows, int columns, float *out,
                            int64_t stride, float *sum) {
    vector values[4][6];
    vector total = vec_zero();
    VEC_UNROLLED
    for (int j = 0; j < columns - 2; j++) {
        vector d[4];
        VEC_UNROLLED
        for (int i = 0; i < rows - 2; i++)
            d[i] = pixel(w, whole, i, j);
        total = vec_add(total, vec_add(d[0], d[1]));
        if (rows == LONG)
            total = vec_add(total, vec_add(d[2], d[3]));
        gradient_line(d, rows, values[j]);
    }
    if (sum != NULL)
        vec_store(sum, vec_add(vec_load(sum), total));
    VEC_UNROLLED
    for (int i = 0; i < rows; i++) {
        const int row = point_of(i, rows);
        vector d[4], t[6];
        VEC_UNROLLED
        for (int j = 0; j < columns - 2; j++)
            d[j] = values[j][row];
        gradient_line(d, columns, t);
        VEC_UNROLLED
        for (int j = 0; j < columns; j++)
            vec_store(out + (row * 6 + point_of(j, columns)) * stride, t[point_of(j, columns)]);
    }
}

VEC_INLINE void gradient_in(const struct winograd_images *images, int rows, int columns,
                            const float *pixels, const struct winograd_tile *tiles, int64_t n,
                            float *out, int64_t stride, int64_t tile_stride, float *sum) {
    for (int64_t t = 0; t < n; t++) {
        const struct window window = window_at(images, pixels, &tiles[t], rows - 2, columns - 2);
        if (window.whole)
            gradient_of(&window, true, rows, columns, out + t * tile_stride, stride, sum);
        else
            gradient_of(&window, false, rows, columns, out + t * tile_stride, stride, sum);
    }
}

static void gradient(const struct winograd_images *images, enum winograd_form form,
                     const float *pixels, const struct winograd_tile *tiles, int64_t n, float *out,
                     int64_t stride, int64_t tile_stride, float *sum){
#define CALL(rows, columns) \
    gradient_in(images, rows, columns, pixels, tiles, n, out, stride, tile_stride, sum)
    FOR_FORM(form, CALL)
#undef CALL
}

VEC_INLINE vector
    finished(const struct conv_finish *finish, vector bias, vector x, int64_t offset) {
    x = vec_add(x, bias);
    switch (finish->activation) {
    case CONV_NONE: break;
    case CONV_RELU: return vec_relu(x);
    case CONV_LEAKY_RELU: return vec_positive(x, times(finish->slope, x));
    case CONV_SELECT:
        return vec_select(vec_load(finish->mask + offset), x, vec_set(finish->otherwise));
    }
    return x;
}

/* One line of a tile's pixels, `width` of them; sum (NULL: none) += what was stored. */
VEC_INLINE void store_result(const vector *m, int points, const struct conv_finish *finish,
                             vector bias, int64_t width, float *pixels, int64_t offset,
                             vector *sum) {
    vector line[4];
    float *to = pixels + offset;
    result_pair(m, points, true, &line[0], &line[2]);
    result_pair(m, points, false, &line[1], &line[3]);
    if (finish->past_caches && width == points - 2 && (uintptr_t)to % sizeof(vector) == 0) {
        VEC_UNROLLED
        for (int j = 0; j < points - 2; j++) {
            line[j] = finished(finish, bias, line[j], offset + j * VEC_LANES);
            vec_stream(to + j * VEC_LANES, line[j]);
        }
    } else {
        VEC_UNROLLED
        for (int j = 0; j < points - 2; j++) {
            line[j] =
                j < width ? finished(finish, bias, line[j], offset + j * VEC_LANES) : vec_zero();
            if (j < width)
                vec_store(to + j * VEC_LANES, line[j]);
        }
    }
    if (sum != NULL) {
        const vector two = vec_add(line[0], line[1]);
        *sum = vec_add(*sum, points == LONG ? vec_add(two, vec_add(line[2], line[3])) : two);
    }
}

VEC_INLINE void result_of(int rows, int columns, const float *in, int64_t stride,
                          const struct conv_finish *finish, vector bias, int64_t height,
                          int64_t width, float *pixels, int64_t offset, int64_t line, vector *sum) {
    VEC_UNROLLED
    for (int odd = 0; odd < 2; odd++) {
        vector first[6], second[6];
        if (odd >= height)
            return;
        VEC_UNROLLED
        for (int j = 0; j < columns; j++) {
            const int column = point_of(j, columns);
            vector m[6];
            VEC_UNROLLED
            for (int i = 0; i < rows; i++)
                m[point_of(i, rows)] = vec_load(in + (point_of(i, rows) * 6 + column) * stride);
            result_pair(m, rows, odd == 0, &first[column], &second[column]);
        }
        store_result(first, columns, finish, bias, width, pixels, offset + odd * line, sum);
        if (rows == LONG && odd + 2 < height)
            store_result(second, columns, finish, bias, width, pixels, offset + (odd + 2) * line,
                         sum);
    }
}

VEC_INLINE void result_in(const struct winograd_images *images, int rows, int columns,
                          const float *in, int64_t stride, int64_t tile_stride,
                          const struct conv_finish *finish, const struct winograd_tile *tiles,
                          int64_t n, float *pixels, float *sum) {
    vector total = vec_zero();
    const vector bias = finish->bias == NULL ? vec_zero() : vec_load(finish->bias);
    const int64_t line = images->w * VEC_LANES;
    for (int64_t t = 0; t < n; t++) {
        const struct winograd_tile tile = tiles[t];
        vector own = vec_zero();
        const int64_t width = images->w - tile.x < columns - 2 ? images->w - tile.x : columns - 2;
        result_of(rows, columns, in + t * tile_stride, stride, finish, bias, images->h - tile.y,
                  width, pixels, tile.image * images->stride + tile.y * line + tile.x * VEC_LANES,
                  line, sum == NULL ? NULL : &own);
        total = vec_add(total, own);
    }
    if (sum != NULL)
        vec_store(sum, total);
}

/* With sums and without: code of its own each. */
static void result(const struct winograd_images *images, enum winograd_form form, const float *in,
                   int64_t stride, int64_t tile_stride, const struct conv_finish *finish,
                   const struct winograd_tile *tiles, int64_t n, float *pixels, float *sum) {
#define CALL(rows, columns) \
    result_in(images, rows, columns, in, stride, tile_stride, finish, tiles, n, pixels, NULL)
#define CALL_SUM(rows, columns) \
    result_in(images, rows, columns, in, stride, tile_stride, finish, tiles, n, pixels, sum)
    if (sum == NULL)
        FOR_FORM(form, CALL)
    else
        FOR_FORM(form, CALL_SUM)
#undef CALL
#undef CALL_SUM
}

static void drain(void) {
    _mm_sfence();
}

const struct vec_winograd_table CUPEL_VEC(vec_winograd) = {
    .block = VEC_LANES,
    .filter = filter,
    .source = source,
    .gradient = gradient,
    .result = result,
    .drain = drain,
    .weights = weights,
};

#else

const struct vec_winograd_table CUPEL_VEC(vec_winograd) = {.source = NULL};

#endif
