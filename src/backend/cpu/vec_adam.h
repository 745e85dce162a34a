/*
 * Adam's step, for all kernels that take it: the update alone, and fused with its gradient's
 * product, which so have the same bits. Test: tests/test_kernels_update.c,
 * tests/test_kernels_product_update.c
 */
#ifndef CUPEL_VEC_ADAM_H
#define CUPEL_VEC_ADAM_H

#include "backend/cpu/vec_lanes.h"
#include "backend/cpu/vec_update.h"

/* 1 / x of numbers that are not negative, within 2 ulp, by Newton's iteration from the exponent:
 * products, which vectors do eight times as fast as divisions, and which overlap with the square
 * root. Of numbers beyond 2^125 it is as if of that; a NaN stays one. */
VEC_INLINE vector adam_reciprocal(vector x) {
    const vector a = vec_at_most(x, vec_set(0x1p125F)), one = vec_set(1.0F);
    vector y = (vector)(INT32_C(0x7ef311c7) - (vector_bits)a);
    vector e = vec_fnma(a, y, one);      /* at most 0.122 */
    y = vec_fma(y, vec_fma(e, e, e), y); /* e^3 */
    e = vec_fnma(a, y, one);
    return vec_fma(y, vec_fma(e, e, e), y);
}

/* Replaces the parameter p and its moments m and v; g is the gradient. */
VEC_INLINE void adam_vector(const struct adam_numbers *s, const bool decays, vector g, vector *p,
                            vector *m, vector *v) {
    const vector gradient = decays ? vec_fma(vec_set(s->weight_decay), *p, g) : g;
    const vector value = decays ? vec_mul(*p, vec_set(s->shrink)) : *p;
    *m = vec_fma(vec_set(s->one_minus_beta1), vec_sub(gradient, *m), *m);
    *v = vec_fma(vec_mul(vec_set(s->one_minus_beta2), gradient), gradient,
                 vec_mul(vec_set(s->beta2), *v));
    const vector divisor = vec_fma(vec_sqrt(*v), vec_set(s->correction), vec_set(s->epsilon));
    *p = vec_fnma(vec_set(s->step_size), vec_mul(*m, adam_reciprocal(divisor)), value);
}

/* `decays` is a constant where this is called. */
VEC_INLINE void adam_loop(const bool decays, int64_t n, const struct adam_numbers *numbers,
                          const float *p, const float *g, const float *m, const float *v,
                          float *p_out, float *m_out, float *v_out) {
    int64_t i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        vector value = vec_load(p + i), mean = vec_load(m + i), square = vec_load(v + i);
        adam_vector(numbers, decays, vec_load(g + i), &value, &mean, &square);
        vec_store(p_out + i, value);
        vec_store(m_out + i, mean);
        vec_store(v_out + i, square);
    }
    if (i == n)
        return;
    const vector_mask rest = vec_first((int)(n - i));
    vector value = vec_load_if(rest, p + i), mean = vec_load_if(rest, m + i),
           square = vec_load_if(rest, v + i);
    adam_vector(numbers, decays, vec_load_if(rest, g + i), &value, &mean, &square);
    vec_store_if(rest, p_out + i, value);
    vec_store_if(rest, m_out + i, mean);
    vec_store_if(rest, v_out + i, square);
}

/* n elements; outputs may be the inputs of the same meaning. */
VEC_INLINE void adam_run(int64_t n, const struct adam_numbers *numbers, const float *p,
                         const float *g, const float *m, const float *v, float *p_out, float *m_out,
                         float *v_out) {
    if (numbers->weight_decay == 0.0F && numbers->shrink == 1.0F)
        adam_loop(false, n, numbers, p, g, m, v, p_out, m_out, v_out);
    else
        adam_loop(true, n, numbers, p, g, m, v, p_out, m_out, v_out);
}

#endif
