/*
 * The loops behind vec_update.h. Each element is read before it is written, so that outputs may lie
 * on inputs. Test: tests/test_kernels_update.c
 */
#include "backend/cpu/vec_update.h"

#include "backend/cpu/vec.h"
#include "backend/cpu/vec_adam.h"

enum { PIECE = 64, AHEAD = 512, LINE = 16 }; /* floats: fetched at a time, before their turn */

static void fetch(const float *from) {
    for (int i = 0; i < PIECE; i += LINE)
        __builtin_prefetch(from + AHEAD + i);
}

static void adam(int64_t n, const struct adam_numbers *numbers, const float *p, const float *g,
                 const float *m, const float *v, float *p_out, float *m_out, float *v_out) {
    for (int64_t i = 0; i < n; i += PIECE) {
        fetch(p + i);
        fetch(m + i);
        fetch(v + i);
        adam_run(n - i < PIECE ? n - i : PIECE, numbers, p + i, g + i, m + i, v + i, p_out + i,
                 m_out + i, v_out + i);
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
