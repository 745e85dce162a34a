/*
 * The loops behind vec_few.h. Sums over channels are kept in the lanes of as many vectors as a
 * vector has lanes, each of one result, and meet in a tree of shuffles that leaves the results side
 * by side. Test: tests/test_kernels_few.c
 */
#include "backend/cpu/vec_few.h"

#include "backend/cpu/vec_lanes.h"
#include "backend/cpu/vec_shuffle.h"

enum {
    BLOCK = CUPEL_VEC_ISA == 2 ? 16 : 8,
    PARTS = BLOCK / VEC_LANES, /* vectors of a pixel */
    SIDE = 3,
    PIXELS = 8,
    FEWER_PIXELS = 3, /* at the end of a row */
    AHEAD = 32        /* pixels that are fetched before their turn */
};

#define UNROLLED _Pragma("GCC unroll 18")

/* ---- from blocks to few channels ---- */

#define MEET(low, high, distance) \
    UNROLLED for (int i = 0; i < VEC_LANES; i += 2 * (distance)) sum[i] = \
        vec_add(low(sum[i], sum[i + (distance)]), high(sum[i], sum[i + (distance)]));
#if CUPEL_VEC_ISA == 2
#define MEET_ALL MEET(LOW1, HIGH1, 1) MEET(LOW2, HIGH2, 2) MEET(LOW4, HIGH4, 4) MEET(LOW8, HIGH8, 8)
#elif CUPEL_VEC_ISA == 1
#define MEET_ALL \
    MEET(HALF_LOW1, HALF_HIGH1, 1) MEET(HALF_LOW2, HALF_HIGH2, 2) MEET(HALF_LOW4, HALF_HIGH4, 4)
#else
#define MEET_ALL MEET(QUARTER_LOW1, QUARTER_HIGH1, 1) MEET(QUARTER_LOW2, QUARTER_HIGH2, 2)
#endif

/* As many results from x on as a vector has lanes. */
VEC_INLINE vector narrow_tile(const struct few_narrow *q, int64_t x) {
    const int64_t first = q->left + x;
    vector sum[VEC_LANES];
    UNROLLED for (int i = 0; i < VEC_LANES; i++) sum[i] = vec_zero();
    for (int64_t step = 0; step < q->blocks * SIDE * PARTS; step++) {
        const int64_t part = step % PARTS, ky = step / PARTS % SIDE, b = step / PARTS / SIDE;
        const int64_t y = q->y + ky;
        if (y < 0 || y >= q->height)
            continue;
        const float *const row =
            q->image + (b * q->height + y) * q->width * BLOCK + part * VEC_LANES;
        const float *const weights = q->weights + (b * SIDE + ky) * SIDE * BLOCK + part * VEC_LANES;
        vector w[SIDE];
        UNROLLED for (int kx = 0; kx < SIDE; kx++) w[kx] = vec_load(weights + kx * BLOCK);
        UNROLLED for (int j = 0; j < VEC_LANES + SIDE - 1; j++) {
            if (first + j < 0 || first + j >= q->width)
                continue;
            const vector pixel = vec_load(row + (first + j) * BLOCK);
            if (ky == SIDE - 1) /* the rows before are near */
                __builtin_prefetch(row + (first + j + 2 * q->width) * BLOCK);
            UNROLLED for (int kx = 0; kx < SIDE; kx++) if (j - kx >= 0 && j - kx < VEC_LANES)
                sum[j - kx] = vec_fma(pixel, w[kx], sum[j - kx]);
        }
    }
    MEET_ALL
    return vec_add(sum[0], vec_set(q->start));
}

static void narrow(const struct few_narrow *q) {
    int64_t x = 0;
    for (; x + VEC_LANES <= q->n; x += VEC_LANES)
        vec_store(q->out + x, narrow_tile(q, x));
    if (x < q->n)
        vec_store_if(vec_first((int)(q->n - x)), q->out + x, narrow_tile(q, x));
}

/* ---- from few channels to blocks ---- */

/* What becomes of pixels; `pixels` is a constant where this is called, bias and mask those of the
 * first one's vector. */
VEC_INLINE void finish_pixels(const int pixels, const struct conv_finish *finish, const float *bias,
                              const float *mask, vector sum[PIXELS]) {
    const vector slope = vec_set(finish->slope), otherwise = vec_set(finish->otherwise);
    if (bias != NULL) {
        const vector shift = vec_load(bias);
        UNROLLED for (int i = 0; i < pixels; i++) sum[i] = vec_add(sum[i], shift);
    }
    switch (finish->activation) {
    case CONV_NONE: break;
    case CONV_RELU: UNROLLED for (int i = 0; i < pixels; i++) sum[i] = vec_relu(sum[i]); break;
    case CONV_LEAKY_RELU:
        UNROLLED for (int i = 0; i < pixels; i++) sum[i] =
            vec_positive(sum[i], vec_mul(sum[i], slope));
        break;
    case CONV_SELECT:
        UNROLLED for (int i = 0; i < pixels; i++) {
            __builtin_prefetch(mask + (i + AHEAD) * BLOCK);
            sum[i] = vec_select(vec_load(mask + i * BLOCK), sum[i], otherwise);
        }
        break;
    }
}

/* pixels and summed are constants where this is called; part: which vector of each. Their sum, a
 * tree, where it is wanted. */
VEC_INLINE vector wide_tile(const int pixels, const bool summed, const struct few_wide *q,
                            int64_t x, int part) {
    const int64_t at = x * BLOCK + part * VEC_LANES;
    const struct conv_finish *const finish = q->finish;
    vector sum[PIXELS];
    UNROLLED for (int i = 0; i < pixels; i++) sum[i] = vec_zero();
    for (int64_t c = 0; c < q->channels; c++)
        for (int ky = 0; ky < SIDE; ky++) {
            const float *const row = q->planes + c * q->plane + ky * q->width + x;
            UNROLLED for (int kx = 0; kx < SIDE; kx++) {
                const vector w = vec_load(q->weights + c * q->next + (ky * SIDE + kx) * BLOCK +
                                          part * VEC_LANES);
                UNROLLED for (int i = 0; i < pixels; i++) sum[i] =
                    vec_fma(vec_set(row[kx + i]), w, sum[i]);
            }
        }
    finish_pixels(pixels, finish, finish->bias == NULL ? NULL : finish->bias + part * VEC_LANES,
                  finish->activation == CONV_SELECT ? finish->mask + at : NULL, sum);
    UNROLLED for (int i = 0; i < pixels; i++) vec_stream(q->out + at + i * BLOCK, sum[i]);
    UNROLLED for (int apart = 1; summed && apart < pixels; apart *= 2) {
        UNROLLED for (int i = 0; i + apart < pixels; i += 2 * apart) sum[i] =
            vec_add(sum[i], sum[i + apart]);
    }
    return sum[0];
}

VEC_INLINE void wide_row(const bool summed, const struct few_wide *q, int part) {
    vector total = vec_zero();
    int64_t x = 0;
    for (; x + PIXELS <= q->n; x += PIXELS)
        total = vec_add(total, wide_tile(PIXELS, summed, q, x, part));
    for (; x + FEWER_PIXELS <= q->n; x += FEWER_PIXELS)
        total = vec_add(total, wide_tile(FEWER_PIXELS, summed, q, x, part));
    for (; x < q->n; x++)
        total = vec_add(total, wide_tile(1, summed, q, x, part));
    if (summed) {
        float *const sum = q->sum + part * VEC_LANES;
        vec_store(sum, vec_add(vec_load(sum), total));
    }
}

/* With sums and without: code of its own each. */
static void wide(const struct few_wide *q) {
    for (int part = 0; part < PARTS; part++)
        if (q->sum == NULL)
            wide_row(false, q, part);
        else
            wide_row(true, q, part);
}

static void drain(void) {
    vec_drain();
}

/* ---- gradients of filters ---- */

VEC_INLINE void gradient_part(int64_t height, int64_t width, const float *image, const float *plane,
                              int64_t plane_width, float *sums, float *sum) {
    vector tap[FEW_TAPS], all = vec_zero();
    UNROLLED for (int t = 0; t < FEW_TAPS; t++) tap[t] = vec_load(sums + t * BLOCK);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const vector pixel = vec_load(image);
            __builtin_prefetch(image + AHEAD * BLOCK);
            image += BLOCK;
            all = vec_add(all, pixel);
            UNROLLED for (int t = 0; t < FEW_TAPS; t++) {
                const float *const at = plane + (y + t / SIDE) * plane_width + x + t % SIDE;
                tap[t] = vec_fma(vec_set(*at), pixel, tap[t]);
            }
        }
    UNROLLED for (int t = 0; t < FEW_TAPS; t++) vec_store(sums + t * BLOCK, tap[t]);
    if (sum != NULL)
        vec_store(sum, vec_add(vec_load(sum), all));
}

static void gradient(int64_t height, int64_t width, const float *image, const float *plane,
                     int64_t plane_width, float *sums, float *sum) {
    for (int lane = 0; lane < BLOCK; lane += VEC_LANES)
        gradient_part(height, width, image + lane, plane, plane_width, sums + lane,
                      sum == NULL ? NULL : sum + lane);
}

const struct vec_few_table CUPEL_VEC(vec_few) = {
    .block = BLOCK,
    .narrow = narrow,
    .wide = wide,
    .drain = drain,
    .gradient = gradient,
};
