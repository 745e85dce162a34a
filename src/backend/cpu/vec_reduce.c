/*
 * The loops behind vec_reduce.h. 64 lanes always, whatever the width of the vectors; columns fewer
 * than that are gathered into lanes by taking several rows at once where rows touch each other.
 * Test: tests/test_kernels_reduce.c
 */
#include "backend/cpu/vec_reduce.h"

#include <math.h>

#include "backend/cpu/vec.h"

enum { LANES = 64, RUN = 4096, RUN_ROWS = 64 };

/* Lanes 2^k apart are added first: a fixed tree. The numbers of lanes are constants, so that all
 * stay in registers. */
static double fold_sum(const float *lanes) {
    double half[LANES / 2], quarter[LANES / 4], eighth[LANES / 8];
    for (int i = 0; i < LANES / 2; i++)
        half[i] = (double)lanes[i] + (double)lanes[i + LANES / 2];
    for (int i = 0; i < LANES / 4; i++)
        quarter[i] = half[i] + half[i + LANES / 4];
    for (int i = 0; i < LANES / 8; i++)
        eighth[i] = quarter[i] + quarter[i + LANES / 8];
    for (int i = 0; i < 4; i++)
        eighth[i] += eighth[i + 4];
    return (eighth[0] + eighth[2]) + (eighth[1] + eighth[3]);
}

/* Adds `steps` times LANES floats to the lanes, four at a time first: a quarter of the
 * roundings. */
static void add_steps(float *restrict lanes, const float *restrict in, int64_t steps) {
    for (; steps >= 4; steps -= 4, in += 4 * LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += (in[k] + in[LANES + k]) + (in[2 * LANES + k] + in[3 * LANES + k]);
    for (; steps > 0; steps--, in += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += in[k];
}

/* What is left of a row beyond whole steps is added to the first lanes of its last run. */
static double row_sum(const float *in, int64_t n) {
    double total = 0;
    while (n >= LANES) {
        const int64_t run = (n < RUN ? n : RUN) / LANES * LANES;
        float lanes[LANES] = {0};
        add_steps(lanes, in, run / LANES);
        in += run;
        n -= run;
        if (n < LANES) {
            for (int64_t i = 0; i < n; i++)
                lanes[i] += in[i];
            n = 0;
        }
        total += fold_sum(lanes);
    }
    for (int64_t i = 0; i < n; i++)
        total += (double)in[i];
    return total;
}

/* A NaN wins, and stays. */
#define LARGER(x, m) ((x) > (m) || (x) != (x) ? (x) : (m))
#define SMALLER(x, m) ((x) < (m) || (x) != (x) ? (x) : (m))

#define ROW_EXTREMUM(name, first, CHOOSE) \
    static float name(const float *in, int64_t n) { \
        float best = (first); \
        int64_t i = 0; \
        if (n >= LANES) { \
            float lanes[LANES]; \
            for (int k = 0; k < LANES; k++) \
                lanes[k] = in[k]; \
            for (i = LANES; i + LANES <= n; i += LANES) \
                for (int k = 0; k < LANES; k++) \
                    lanes[k] = CHOOSE(in[i + k], lanes[k]); \
            for (int k = 0; k < LANES; k++) \
                best = CHOOSE(lanes[k], best); \
        } \
        for (; i < n; i++) \
            best = CHOOSE(in[i], best); \
        return best; \
    }
ROW_EXTREMUM(row_max, -INFINITY, LARGER)
ROW_EXTREMUM(row_min, INFINITY, SMALLER)

/* Rows of n floats that touch each other, n a divisor of the lanes: several rows in one step. */
static void narrow_sum(double *acc, const float *in, int64_t rows, int64_t n) {
    const int64_t together = LANES / n;
    int64_t r = 0;
    while (rows - r >= together) {
        int64_t steps = (rows - r) / together;
        steps = steps < RUN_ROWS ? steps : RUN_ROWS;
        float lanes[LANES] = {0};
        add_steps(lanes, in + r * n, steps);
        for (int64_t k = 0; k < LANES; k++)
            acc[k % n] += (double)lanes[k];
        r += steps * together;
    }
    for (; r < rows; r++)
        for (int64_t j = 0; j < n; j++)
            acc[j] += (double)in[r * n + j];
}

/* n is a constant where most columns are summed, so that loops over them have no rest. */
static inline __attribute__((always_inline)) void wide_sum(double *acc, const float *in,
                                                           int64_t stride, int64_t rows,
                                                           const int64_t n) {
    for (int64_t r = 0; r < rows; r += RUN_ROWS) {
        const int64_t end = rows - r < RUN_ROWS ? rows : r + RUN_ROWS;
        float run[REDUCE_COLUMNS];
        for (int64_t j = 0; j < n; j++)
            run[j] = in[r * stride + j];
        int64_t i = r + 1;
        for (; i + 4 <= end; i += 4) {
            const float *a = in + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
            for (int64_t j = 0; j < n; j++)
                run[j] += (a[j] + b[j]) + (c[j] + d[j]);
        }
        for (; i < end; i++)
            for (int64_t j = 0; j < n; j++)
                run[j] += in[i * stride + j];
        for (int64_t j = 0; j < n; j++)
            acc[j] += (double)run[j];
    }
}

static void columns_sum(double *acc, const float *in, int64_t stride, int64_t rows, int64_t n) {
    if (stride == n && n < LANES && LANES % n == 0)
        narrow_sum(acc, in, rows, n);
    else if (n == REDUCE_COLUMNS)
        wide_sum(acc, in, stride, rows, REDUCE_COLUMNS);
    else
        wide_sum(acc, in, stride, rows, n);
}

#define COLUMNS_EXTREMUM(name, CHOOSE) \
    static void name(double *acc, const float *in, int64_t stride, int64_t rows, int64_t n) { \
        float run[REDUCE_COLUMNS]; \
        for (int64_t j = 0; j < n; j++) \
            run[j] = (float)acc[j]; \
        for (int64_t r = 0; r < rows; r++) { \
            const float *row = in + r * stride; \
            for (int64_t j = 0; j < n; j++) \
                run[j] = CHOOSE(row[j], run[j]); \
        } \
        for (int64_t j = 0; j < n; j++) \
            acc[j] = (double)run[j]; \
    }
COLUMNS_EXTREMUM(columns_max, LARGER)
COLUMNS_EXTREMUM(columns_min, SMALLER)

const struct vec_reduce_table CUPEL_VEC(vec_reduce) = {
    .row_sum = row_sum,
    .row_max = row_max,
    .row_min = row_min,
    .columns_sum = columns_sum,
    .columns_max = columns_max,
    .columns_min = columns_min,
};
