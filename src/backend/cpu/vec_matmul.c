/*
 * The loops behind vec_matmul.h: a block of rows times one or two vectors is summed in registers,
 * each element over k in order, whatever is computed beside it. The number of rows is a constant in
 * each copy of the loop, so that all sums have registers of their own. Rows that are read along k
 * are as many streams, too many for the processor to foresee: they are fetched two cache lines
 * ahead, one row after each step of k.
 * Test: tests/test_kernels_matmul.c
 */
#include "backend/cpu/vec_matmul.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/vec.h"

#if CUPEL_VEC_ISA == 2
#include <immintrin.h>
#define LANES 16
#define ROWS 14 /* 28 sums, 2 vectors, 1 factor: 31 of 32 registers */
typedef __m512 vector;
#define LOAD(from) _mm512_loadu_ps(from)
#define STORE(to, x) _mm512_storeu_ps(to, x)
#define SPREAD(x) _mm512_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif CUPEL_VEC_ISA == 1
#include <immintrin.h>
#define LANES 8
#define ROWS 6 /* 12 sums, 2 vectors, 1 factor: 15 of 16 registers */
typedef __m256 vector;
#define LOAD(from) _mm256_loadu_ps(from)
#define STORE(to, x) _mm256_storeu_ps(to, x)
#define SPREAD(x) _mm256_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#else
#define LANES 4
#define ROWS 6
typedef float vector __attribute__((vector_size(16)));
static inline vector load(const float *from) {
    vector x;
    memcpy(&x, from, sizeof x);
    return x;
}
#define LOAD(from) load(from)
#define STORE(to, x) memcpy(to, &(x), sizeof(x))
#define SPREAD(x) ((vector){(x), (x), (x), (x)})
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { LINE_FLOATS = 16, AHEAD = 2 * LINE_FLOATS };

#define UNROLLED _Pragma("GCC unroll 16")

/* What row k mod LINE_FLOATS needs AHEAD steps later, in this block or the next. */
static inline __attribute__((always_inline)) void fetch_ahead(const int rows, int64_t k,
                                                              int64_t depth,
                                                              const struct matmul_rows *x) {
    const int64_t r = k % LINE_FLOATS, later = k + AHEAD;
    if (r < rows)
        __builtin_prefetch(
            x->from + (later < depth ? r * x->row + later : (rows + r) * x->row + later - depth));
}

/* rows, vectors and which stride is 1 are constants where this is called. */
static inline __attribute__((always_inline)) void sum_block(const int rows, const int vectors,
                                                            const bool adjacent, int64_t depth,
                                                            const struct matmul_rows *x,
                                                            const float *panel, int64_t panel_step,
                                                            float *dst, int64_t dst_stride) {
    const int64_t row = adjacent ? 1 : x->row, step = adjacent ? x->step : 1;
    const float *from = x->from;
    vector sum[ROWS][2];
    UNROLLED for (int r = 0; r < rows; r++) {
        sum[r][0] = SPREAD(0.0F);
        sum[r][1] = SPREAD(0.0F);
    }
    for (int64_t k = 0; k < depth; k++) {
        const vector b0 = LOAD(panel), b1 = LOAD(panel + (vectors - 1) * LANES);
        UNROLLED for (int r = 0; r < rows; r++) {
            const vector a = SPREAD(from[r * row]);
            sum[r][0] = MULTIPLY_ADD(a, b0, sum[r][0]);
            if (vectors == 2)
                sum[r][1] = MULTIPLY_ADD(a, b1, sum[r][1]);
        }
        if (!adjacent)
            fetch_ahead(rows, k, depth, x);
        panel += panel_step;
        from += step;
    }
    UNROLLED for (int r = 0; r < rows; r++) {
        STORE(dst + r * dst_stride, sum[r][0]);
        if (vectors == 2)
            STORE(dst + r * dst_stride + LANES, sum[r][1]);
    }
}

#define CASE(n) \
    case n: \
        if (width == 2 * LANES && x->row == 1) \
            sum_block(n, 2, true, depth, x, panel, panel_step, dst, dst_stride); \
        else if (width == 2 * LANES) \
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
#if ROWS > 6
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
    .width = 2 * LANES, .rows = ROWS, .block = block};
