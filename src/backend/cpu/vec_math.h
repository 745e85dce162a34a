/*
 * For vector sources that name their registers: elementary functions of several vectors at once,
 * step by step, because the chain of one vector's operations fills the processor's window with
 * waiting. Their polynomials and bounds are those of base/real_math_inline.h; n, at most
 * VEC_TOGETHER, is a constant where they are called. Test: tests/test_kernels_bernoulli.c
 */
#ifndef CUPEL_VEC_MATH_H
#define CUPEL_VEC_MATH_H

#include "backend/cpu/vec_lanes.h"

/* What waits does so in the processor's window and on the stack: registers hold two or three. */
enum { VEC_TOGETHER = 7 };

#define VEC_EACH VEC_UNROLLED for (int u = 0; u < n; u++)

/* exp(x) of x <= 0; a NaN stays. Only the last step may round, or flush, a tiny result. */
VEC_INLINE void vec_exp_falling(const int n, const vector *x, vector *out) {
    const vector rounder = vec_set(0x1.8p23F); /* what is added to it is an integer afterwards */
    vector t[VEC_TOGETHER], whole[VEC_TOGETHER], r[VEC_TOGETHER], q[VEC_TOGETHER];
    VEC_EACH r[u] = vec_at_least(x[u], vec_set(-110.0F));
    VEC_EACH t[u] = vec_fma(r[u], vec_set(0x1.715476p+0F), rounder);
    VEC_EACH whole[u] = vec_sub(t[u], rounder);
    VEC_EACH r[u] = vec_fnma(whole[u], vec_set(0x1.62e4p-1F), r[u]);
    VEC_EACH r[u] = vec_fnma(whole[u], vec_set(0x1.7f7d1cp-20F), r[u]);
    VEC_EACH q[u] = vec_fma(vec_set(0x1.6afdaap-10F), r[u], vec_set(0x1.12448ep-7F));
    VEC_EACH q[u] = vec_fma(q[u], r[u], vec_set(0x1.555826p-5F));
    VEC_EACH q[u] = vec_fma(q[u], r[u], vec_set(0x1.555482p-3F));
    VEC_EACH q[u] = vec_fma(q[u], r[u], vec_set(0x1.fffffcp-2F));
    VEC_EACH q[u] = vec_fma(vec_mul(r[u], r[u]), q[u], r[u]);
    VEC_EACH q[u] = vec_add(vec_set(1.0F), q[u]);
    VEC_EACH out[u] = vec_scale(q[u], t[u], whole[u]);
}

/* log(1 + x) of 0 <= x <= 1, or a NaN. */
VEC_INLINE void vec_log1p_unit(const int n, const vector *x, vector *out) {
    static const float next[] = {-0x1.beabeap-7F, 0x1.57e8a4p-5F,  -0x1.544516p-4F,
                                 0x1.fea6fap-4F,  -0x1.4a541cp-3F, 0x1.978274p-3F,
                                 -0x1.ffc41ep-3F, 0x1.5553a6p-2F,  -0x1.fffff8p-2F};
    vector q[VEC_TOGETHER];
    VEC_EACH q[u] = vec_set(0x1.0fb398p-9F);
    VEC_UNROLLED for (int i = 0; i < (int)(sizeof next / sizeof *next); i++) VEC_EACH q[u] =
        vec_fma(q[u], x[u], vec_set(next[i]));
    VEC_EACH out[u] = vec_fma(vec_mul(q[u], x[u]), x[u], x[u]);
}

#endif
