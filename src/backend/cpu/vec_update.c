/*
 * The loops behind vec_update.h. Each element is read before it is written, so that outputs may lie
 * on inputs. Test: tests/test_kernels_update.c
 */
#include "backend/cpu/vec_update.h"

#include <math.h>

#include "backend/cpu/vec.h"
#include "base/real_math.h"

/* 1 / x of a number that is not negative, within 2 ulp, by Newton's iteration from the exponent:
 * products, which vectors do eight times as fast as divisions, and which overlap with the square
 * root. Of numbers beyond 2^125 it is as if of that; a NaN stays one. */
static inline float reciprocal(float x) {
    const float most = 0x1p125F;
    const float a = x > most ? most : x;
    float y = real_from_bits(UINT32_C(0x7ef311c7) - real_bits(a));
    float e = REAL_FMA(-a, y, 1.0F);       /* at most 0.122 */
    y = REAL_FMA(y, REAL_FMA(e, e, e), y); /* e^3 */
    e = REAL_FMA(-a, y, 1.0F);
    return REAL_FMA(y, REAL_FMA(e, e, e), y);
}

static void adam(int64_t n, const struct adam_numbers *numbers, const float *p, const float *g,
                 const float *m, const float *v, float *p_out, float *m_out, float *v_out) {
    const struct adam_numbers s = *numbers;
    VEC_LOOP
    for (int64_t i = 0; i < n; i++) {
        const float gradient = g[i] + s.weight_decay * p[i];
        const float mean = m[i] + s.one_minus_beta1 * (gradient - m[i]);
        const float square = s.beta2 * v[i] + s.one_minus_beta2 * (gradient * gradient);
        const float value = p[i] * s.shrink;
        p_out[i] =
            value - s.step_size * (mean * reciprocal(sqrtf(square) * s.correction + s.epsilon));
        m_out[i] = mean;
        v_out[i] = square;
    }
}

static void sgd(int64_t n, const struct sgd_numbers *numbers, const float *p, const float *g,
                float *p_out) {
    const struct sgd_numbers s = *numbers;
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        p_out[i] = p[i] - s.learning_rate * (g[i] + s.weight_decay * p[i]);
}

static void sgd_momentum(int64_t n, const struct sgd_numbers *numbers, const float *p,
                         const float *g, const float *b, float *p_out, float *b_out) {
    const struct sgd_numbers s = *numbers;
    VEC_LOOP
    for (int64_t i = 0; i < n; i++) {
        const float gradient = g[i] + s.weight_decay * p[i];
        const float buffer = s.momentum * b[i] + gradient;
        const float step = s.nesterov ? gradient + s.momentum * buffer : buffer;
        p_out[i] = p[i] - s.learning_rate * step;
        b_out[i] = buffer;
    }
}

const struct vec_update_table CUPEL_VEC(vec_update) = {
    .adam = adam,
    .sgd = sgd,
    .sgd_momentum = sgd_momentum,
};
