/*
 * The loops behind vec_pool.h. Windows are clipped to the image; each loop over channels has a
 * fixed length where the channels are a block. A NaN is larger than all numbers, the first of
 * equals wins. Test: tests/test_kernels_pool.c
 */
#include "backend/cpu/vec_pool.h"

#include "backend/cpu/vec.h"

/* The part of a window that lies in the image. */
struct window {
    int64_t top, bottom, left, right;
};

static int64_t clipped(int64_t value, int64_t most) {
    return value < 0 ? 0 : value > most ? most : value;
}

static struct window window_at(const struct pool_plane *p, int64_t i, int64_t j) {
    const int64_t top = i * p->stride[0] - p->padding[0];
    const int64_t left = j * p->stride[1] - p->padding[1];
    return (struct window){.top = clipped(top, p->src_h),
                           .bottom = clipped(top + p->kernel[0], p->src_h),
                           .left = clipped(left, p->src_w),
                           .right = clipped(left + p->kernel[1], p->src_w)};
}

/* Each function once for blocks of 16, of 8, of one channel, and for the rest. */
#define EACH_WIDTH(call) \
    switch (p->lanes) { \
    case 16: call(16); break; \
    case 8: call(8); break; \
    case 1: call(1); break; \
    default: call(p->lanes); break; \
    }

static inline void max_plane(const struct pool_plane *p, const float *src, float *dst,
                             const int lanes) {
    for (int64_t i = 0; i < p->dst_h; i++)
        for (int64_t j = 0; j < p->dst_w; j++) {
            const struct window w = window_at(p, i, j);
            float best[POOL_LANES];
            const float *first = src + (w.top * p->src_w + w.left) * p->pixel;
            for (int k = 0; k < lanes; k++)
                best[k] = first[k];
            for (int64_t y = w.top; y < w.bottom; y++)
                for (int64_t x = w.left; x < w.right; x++) {
                    const float *at = src + (y * p->src_w + x) * p->pixel;
                    for (int k = 0; k < lanes; k++)
                        best[k] = at[k] > best[k] || at[k] != at[k] ? at[k] : best[k];
                }
            float *out = dst + (i * p->dst_w + j) * p->pixel;
            for (int k = 0; k < lanes; k++)
                out[k] = best[k];
        }
}

static inline void clear_plane(const struct pool_plane *p, float *diff_src, const int lanes) {
    for (int64_t at = 0; at < p->src_h * p->src_w; at++)
        for (int k = 0; k < lanes; k++)
            diff_src[at * p->pixel + k] = 0.0F;
}

static inline void max_back_plane(const struct pool_plane *p, const float *src,
                                  const float *diff_dst, float *diff_src, const int lanes) {
    clear_plane(p, diff_src, lanes);
    for (int64_t i = 0; i < p->dst_h; i++)
        for (int64_t j = 0; j < p->dst_w; j++) {
            const struct window w = window_at(p, i, j);
            float best[POOL_LANES];
            int32_t where[POOL_LANES], number = 0;
            const float *first = src + (w.top * p->src_w + w.left) * p->pixel;
            for (int k = 0; k < lanes; k++) {
                best[k] = first[k];
                where[k] = 0;
            }
            for (int64_t y = w.top; y < w.bottom; y++)
                for (int64_t x = w.left; x < w.right; x++, number++) {
                    const float *at = src + (y * p->src_w + x) * p->pixel;
                    for (int k = 0; k < lanes; k++) {
                        const int larger =
                            at[k] > best[k] || (at[k] != at[k] && best[k] == best[k]);
                        best[k] = larger ? at[k] : best[k];
                        where[k] = larger ? number : where[k];
                    }
                }
            const float *g = diff_dst + (i * p->dst_w + j) * p->pixel;
            number = 0;
            for (int64_t y = w.top; y < w.bottom; y++)
                for (int64_t x = w.left; x < w.right; x++, number++) {
                    float *at = diff_src + (y * p->src_w + x) * p->pixel;
                    for (int k = 0; k < lanes; k++)
                        at[k] = where[k] == number ? at[k] + g[k] : at[k];
                }
        }
}

static inline void average_plane(const struct pool_plane *p, const float *src, float *dst,
                                 const int lanes) {
    const float area = (float)(p->kernel[0] * p->kernel[1]);
    for (int64_t i = 0; i < p->dst_h; i++)
        for (int64_t j = 0; j < p->dst_w; j++) {
            const struct window w = window_at(p, i, j);
            float sum[POOL_LANES] = {0};
            for (int64_t y = w.top; y < w.bottom; y++)
                for (int64_t x = w.left; x < w.right; x++)
                    for (int k = 0; k < lanes; k++)
                        sum[k] += src[(y * p->src_w + x) * p->pixel + k];
            float *out = dst + (i * p->dst_w + j) * p->pixel;
            for (int k = 0; k < lanes; k++)
                out[k] = sum[k] / area;
        }
}

static inline void average_back_plane(const struct pool_plane *p, const float *diff_dst,
                                      float *diff_src, const int lanes) {
    const float area = (float)(p->kernel[0] * p->kernel[1]);
    clear_plane(p, diff_src, lanes);
    for (int64_t i = 0; i < p->dst_h; i++)
        for (int64_t j = 0; j < p->dst_w; j++) {
            const struct window w = window_at(p, i, j);
            float share[POOL_LANES];
            for (int k = 0; k < lanes; k++)
                share[k] = diff_dst[(i * p->dst_w + j) * p->pixel + k] / area;
            for (int64_t y = w.top; y < w.bottom; y++)
                for (int64_t x = w.left; x < w.right; x++)
                    for (int k = 0; k < lanes; k++)
                        diff_src[(y * p->src_w + x) * p->pixel + k] += share[k];
        }
}

static void max(const struct pool_plane *p, const float *src, float *dst) {
#define CALL(lanes) max_plane(p, src, dst, lanes)
    EACH_WIDTH(CALL)
#undef CALL
}

static void average(const struct pool_plane *p, const float *src, float *dst) {
#define CALL(lanes) average_plane(p, src, dst, lanes)
    EACH_WIDTH(CALL)
#undef CALL
}

static void max_backward(const struct pool_plane *p, const float *src, const float *diff_dst,
                         float *diff_src) {
#define CALL(lanes) max_back_plane(p, src, diff_dst, diff_src, lanes)
    EACH_WIDTH(CALL)
#undef CALL
}

static void average_backward(const struct pool_plane *p, const float *diff_dst, float *diff_src) {
#define CALL(lanes) average_back_plane(p, diff_dst, diff_src, lanes)
    EACH_WIDTH(CALL)
#undef CALL
}

const struct vec_pool_table CUPEL_VEC(vec_pool) = {
    .max = max,
    .average = average,
    .max_backward = max_backward,
    .average_backward = average_backward,
};
