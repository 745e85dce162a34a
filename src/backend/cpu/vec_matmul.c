/*
 * The loops behind vec_matmul.h: a block of rows times one or two vectors is summed in registers,
 * each element over k in order, whatever is computed beside it. The number of rows is a constant in
 * each copy of the loop, so that all sums have registers of their own. Rows that are read along k
 * are as many streams, too many for the processor to foresee: they are fetched two cache lines
 * ahead, some rows before each few steps of k.
 * Test: tests/test_kernels_matmul.c
 */
#include "backend/cpu/vec_matmul.h"

#include "backend/cpu/vec_lanes.h"

#if CUPEL_VEC_ISA == 2
enum { ROWS = 14 }; /* 28 sums, 2 vectors, 1 factor: 31 of 32 registers */
#else
enum { ROWS = 6 }; /* 12 sums, 2 vectors, 1 factor: 15 of 16 registers */
#endif

enum {
    TOGETHER = 4, /* steps of k in one turn of the loop */
    LINE_FLOATS = 16,
    AHEAD = 2 * LINE_FLOATS
};

/* What TOGETHER rows, from k mod LINE_FLOATS on, need AHEAD steps later, in this block or the next.
 */
VEC_INLINE void fetch_ahead(const int rows, int64_t k, int64_t depth, const struct matmul_rows *x) {
    const int64_t first = k % LINE_FLOATS, later = k - first + AHEAD;
    const float *const from =
        x->from + first * x->row + (later < depth ? later : rows * x->row + later - depth);
    VEC_UNROLLED for (int i = 0; i < TOGETHER; i++) if (first + i < rows)
        __builtin_prefetch(from + i * x->row);
}

/* One step of k: x(r, k) = from[r * row]. */
VEC_INLINE void add_step(const int rows, const int vectors, const float *from, int64_t row,
                         const float *panel, vector sum[ROWS][2]) {
    const vector b0 = vec_load(panel), b1 = vec_load(panel + (vectors - 1) * VEC_LANES);
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        const vector a = vec_set(from[r * row]);
        sum[r][0] = vec_fma(a, b0, sum[r][0]);
        if (vectors == 2)
            sum[r][1] = vec_fma(a, b1, sum[r][1]);
    }
}

/* rows, vectors and which stride is 1 are constants where this is called. */
VEC_INLINE void sum_block(const int rows, const int vectors, const bool adjacent, int64_t depth,
                          const struct matmul_rows *x, const float *panel, int64_t panel_step,
                          float *dst, int64_t dst_stride) {
    const int64_t row = adjacent ? 1 : x->row, step = adjacent ? x->step : 1;
    const float *from = x->from;
    int64_t k = 0;
    vector sum[ROWS][2];
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        sum[r][0] = vec_set(0.0F);
        sum[r][1] = vec_set(0.0F);
    }
    for (; k + TOGETHER <= depth; k += TOGETHER) {
        if (!adjacent)
            fetch_ahead(rows, k, depth, x);
        VEC_UNROLLED for (int i = 0; i < TOGETHER; i++) {
            add_step(rows, vectors, from, row, panel, sum);
            panel += panel_step;
            from += step;
        }
    }
    for (; k < depth; k++) {
        add_step(rows, vectors, from, row, panel, sum);
        panel += panel_step;
        from += step;
    }
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        vec_store(dst + r * dst_stride, sum[r][0]);
        if (vectors == 2)
            vec_store(dst + r * dst_stride + VEC_LANES, sum[r][1]);
    }
}

#define CASE(n) \
    case n: \
        if (width == 2 * VEC_LANES && x->row == 1) \
            sum_block(n, 2, true, depth, x, panel, panel_step, dst, dst_stride); \
        else if (width == 2 * VEC_LANES) \
            sum_block(n, 2, false, depth, x, panel, panel_step, dst, dst_stride); \
        else if (x->row == 1) \
            sum_block(n, 1, true, depth, x, panel, panel_step, dst, dst_stride); \
        else \
            sum_block(n, 1, false, depth, x, panel, panel_step, dst, dst_stride); \
        break;

static void block(int rows, int width, int64_t depth, const struct matmul_rows *x,
                  const float *panel, int64_t panel_step, float *dst, int64_t dst_stride) {
    switch (rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#if CUPEL_VEC_ISA == 2
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
    default: break;
    }
}

const struct vec_matmul_table CUPEL_VEC(vec_matmul) = {
    .width = 2 * VEC_LANES, .rows = ROWS, .block = block};
