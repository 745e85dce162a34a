/*
 * Optimiser updates: one pass over a parameter, its gradient and its moments.
 * Test: tests/test_kernels_update.c
 */
#ifndef CUPEL_VEC_UPDATE_H
#define CUPEL_VEC_UPDATE_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

/* Numbers of one run, computed in double from the attributes, the learning rate and the step. */
struct adam_numbers {
    float step_size;  /* learning_rate / (1 - beta1^t) */
    float correction; /* 1 / sqrt(1 - beta2^t) */
    float one_minus_beta1, beta2, one_minus_beta2, epsilon;
    float weight_decay; /* added to the gradient; 0 when decoupled */
    float shrink;       /* 1 - learning_rate weight_decay when decoupled, else 1 */
};

struct sgd_numbers {
    float learning_rate, momentum, weight_decay;
    int nesterov;
};

struct vec_update_table {
    /* Outputs may be the inputs of the same meaning. */
    void (*adam)(int64_t n, const struct adam_numbers *numbers, const float *p, const float *g,
                 const float *m, const float *v, float *p_out, float *m_out, float *v_out);
    void (*sgd)(int64_t n, const struct sgd_numbers *numbers, const float *p, const float *g,
                float *p_out);
    void (*sgd_momentum)(int64_t n, const struct sgd_numbers *numbers, const float *p,
                         const float *g, const float *b, float *p_out, float *b_out);
};

CPU_VEC_DECLARE(struct vec_update_table, vec_update)

#endif
