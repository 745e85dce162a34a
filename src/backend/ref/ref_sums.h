/*
 * The two inner loops of the reference products. Both vectorise without changing the order in which
 * anything is summed. Test: tests/test_op_matmul.c, tests/test_op_conv.c
 */
#ifndef CUPEL_REF_SUMS_H
#define CUPEL_REF_SUMS_H

#include <stdint.h>

/* y += factor x. */
static inline void ref_add_scaled(double *restrict y, const double *restrict x, double factor,
                                  int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* Sum of x y in eight lanes, added as a tree: the order is fixed, and the lanes fill a vector. */
static inline double ref_dot(const double *restrict x, const double *restrict y, int64_t n) {
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int64_t lane = 0; lane < 8; lane++)
            lanes[lane] += x[i + lane] * y[i + lane];
    for (int64_t lane = 0; i < n; i++, lane++)
        lanes[lane] += x[i] * y[i];
    for (int width = 4; width > 0; width /= 2)
        for (int lane = 0; lane < width; lane++)
            lanes[lane] += lanes[lane + width];
    return lanes[0];
}

#endif
