/*
 * Adam's step, for all kernels that take it: the update alone, and fused with its gradient's
 * product, which so have the same bits. Test: tests/test_kernels_update.c,
 * tests/test_kernels_product_update.c
 */
#ifndef CUPEL_VEC_ADAM_H
#define CUPEL_VEC_ADAM_H

#include "backend/cpu/vec_lanes.h"
#include "backend/cpu/vec_update.h"

/* Vectors, so that none waits for itself alone, and as many as there are registers for; half of
 * them where fewer are left. */
enum { ADAM_TOGETHER = CUPEL_VEC_ISA == 2 ? 6 : 2, ADAM_HALF = ADAM_TOGETHER / 2 };

#define ADAM_EACH VEC_UNROLLED for (int u = 0; u < n; u++)

#if CUPEL_VEC_ISA == 2

/* scale = 1 / (correction sqrt(v) + epsilon) within 2 ulp, 0 where v is infinite, by estimates of
 * 14 bits and a step of Newton's iteration for the root and for the reciprocal: a square root of
 * 16 floats alone takes 12 cycles, more than all the rest of the update. */
VEC_INLINE void adam_scale(const int n, const struct adam_numbers *s, const vector *v,
                           vector *scale) {
    const __m512i zero_of_zero = _mm512_set1_epi32(8 << 8);      /* +0 where the operand is 0 */
    const __m512i zero_of_infinity = _mm512_set1_epi32(8 << 20); /* and where it is infinite */
    const vector one = vec_set(1.0F), c = vec_set(s->correction), e = vec_set(s->epsilon);
    vector inverse[ADAM_TOGETHER], root[ADAM_TOGETHER], rest[ADAM_TOGETHER], x[ADAM_TOGETHER];
    ADAM_EACH inverse[u] = _mm512_rsqrt14_ps(v[u]);
    ADAM_EACH inverse[u] = _mm512_fixupimm_ps(inverse[u], v[u], zero_of_zero, 0);
    ADAM_EACH root[u] = vec_mul(v[u], inverse[u]);
    ADAM_EACH rest[u] = vec_fnma(root[u], inverse[u], one);
    ADAM_EACH rest[u] = vec_fma(rest[u], vec_set(0.5F * s->correction), c);
    ADAM_EACH x[u] = vec_fma(root[u], rest[u], e);
    ADAM_EACH scale[u] = _mm512_rcp14_ps(x[u]);
    ADAM_EACH rest[u] = vec_fnma(x[u], scale[u], one);
    ADAM_EACH scale[u] = vec_fma(scale[u], rest[u], scale[u]);
    ADAM_EACH scale[u] = _mm512_fixupimm_ps(scale[u], v[u], zero_of_infinity, 0);
}

#else

/* 1 / x of numbers that are not negative, within 2 ulp, by Newton's iteration from the exponent:
 * products, which vectors do eight times as fast as divisions, and which overlap with the square
 * root. Of numbers beyond 2^125 it is as if of that, 0 of infinity; a NaN stays one. */
VEC_INLINE vector adam_reciprocal(vector x) {
    const vector a = vec_at_most(x, vec_set(0x1p125F)), one = vec_set(1.0F);
    vector y = (vector)(INT32_C(0x7ef311c7) - (vector_bits)a);
    vector e = vec_fnma(a, y, one);      /* at most 0.122 */
    y = vec_fma(y, vec_fma(e, e, e), y); /* e^3 */
    e = vec_fnma(a, y, one);
    const vector_bits infinite = (vector_bits)(x == vec_set(INFINITY));
    return (vector)((vector_bits)vec_fma(y, vec_fma(e, e, e), y) & ~infinite);
}

VEC_INLINE void adam_scale(const int n, const struct adam_numbers *s, const vector *v,
                           vector *scale) {
    ADAM_EACH scale[u] =
        adam_reciprocal(vec_fma(vec_sqrt(v[u]), vec_set(s->correction), vec_set(s->epsilon)));
}

#endif

/* Replaces n vectors of the parameter p and its moments m and v; g is the gradient. Plain: without
 * weight decay, and a step size of 1. */
VEC_INLINE void adam_vectors(const int n, const struct adam_numbers *s, const bool plain,
                             const vector *g, vector *p, vector *m, vector *v) {
    vector scale[ADAM_TOGETHER], gradient[ADAM_TOGETHER];
    ADAM_EACH gradient[u] = plain ? g[u] : vec_fma(vec_set(s->weight_decay), p[u], g[u]);
    ADAM_EACH v[u] = vec_fma(vec_mul(vec_set(s->one_minus_beta2), gradient[u]), gradient[u],
                             vec_mul(vec_set(s->beta2), v[u]));
    adam_scale(n, s, v, scale);
    ADAM_EACH m[u] = vec_fma(vec_set(s->one_minus_beta1), vec_sub(gradient[u], m[u]), m[u]);
    ADAM_EACH p[u] = plain ? vec_fnma(m[u], scale[u], p[u])
                           : vec_fnma(vec_set(s->step_size), vec_mul(m[u], scale[u]),
                                      vec_mul(p[u], vec_set(s->shrink)));
}

/* n vectors side by side. */
VEC_INLINE void adam_whole(const int n, const bool plain, const struct adam_numbers *numbers,
                           const float *p, const float *g, const float *m, const float *v,
                           float *p_out, float *m_out, float *v_out) {
    vector value[ADAM_TOGETHER], gradient[ADAM_TOGETHER];
    vector mean[ADAM_TOGETHER], square[ADAM_TOGETHER];
    ADAM_EACH value[u] = vec_load(p + u * VEC_LANES);
    ADAM_EACH gradient[u] = vec_load(g + u * VEC_LANES);
    ADAM_EACH mean[u] = vec_load(m + u * VEC_LANES);
    ADAM_EACH square[u] = vec_load(v + u * VEC_LANES);
    adam_vectors(n, numbers, plain, gradient, value, mean, square);
    ADAM_EACH vec_store(p_out + u * VEC_LANES, value[u]);
    ADAM_EACH vec_store(m_out + u * VEC_LANES, mean[u]);
    ADAM_EACH vec_store(v_out + u * VEC_LANES, square[u]);
}

/* `plain` is a constant where this is called. */
VEC_INLINE void adam_loop(const bool plain, int64_t n, const struct adam_numbers *numbers,
                          const float *p, const float *g, const float *m, const float *v,
                          float *p_out, float *m_out, float *v_out) {
    int64_t i = 0;
    for (; i + ADAM_TOGETHER * VEC_LANES <= n; i += ADAM_TOGETHER * VEC_LANES)
        adam_whole(ADAM_TOGETHER, plain, numbers, p + i, g + i, m + i, v + i, p_out + i, m_out + i,
                   v_out + i);
    for (; i + ADAM_HALF * VEC_LANES <= n; i += ADAM_HALF * VEC_LANES)
        adam_whole(ADAM_HALF, plain, numbers, p + i, g + i, m + i, v + i, p_out + i, m_out + i,
                   v_out + i);
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        adam_whole(1, plain, numbers, p + i, g + i, m + i, v + i, p_out + i, m_out + i, v_out + i);
    if (i == n)
        return;
    const vector_mask rest = vec_first((int)(n - i));
    const vector gradient = vec_load_if(rest, g + i);
    vector value = vec_load_if(rest, p + i), mean = vec_load_if(rest, m + i),
           square = vec_load_if(rest, v + i);
    adam_vectors(1, numbers, plain, &gradient, &value, &mean, &square);
    vec_store_if(rest, p_out + i, value);
    vec_store_if(rest, m_out + i, mean);
    vec_store_if(rest, v_out + i, square);
}

/* n elements; outputs may be the inputs of the same meaning. Without weight decay the step size
 * goes into the numbers of the divisor, unless these might overflow or epsilon vanish. */
VEC_INLINE void adam_run(int64_t n, const struct adam_numbers *numbers, const float *p,
                         const float *g, const float *m, const float *v, float *p_out, float *m_out,
                         float *v_out) {
    struct adam_numbers s = *numbers;
    if (s.weight_decay != 0.0F || s.shrink != 1.0F || !(s.step_size > 0x1p-40F) ||
        !(s.epsilon / s.step_size >= 0x1p-126F)) {
        adam_loop(false, n, &s, p, g, m, v, p_out, m_out, v_out);
        return;
    }
    s.correction /= s.step_size;
    s.epsilon /= s.step_size;
    adam_loop(true, n, &s, p, g, m, v, p_out, m_out, v_out);
}

#endif
