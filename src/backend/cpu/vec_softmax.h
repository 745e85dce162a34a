/*
 * Exponentials of a row and their sum. Test: tests/test_kernels_softmax.c
 */
#ifndef CUPEL_VEC_SOFTMAX_H
#define CUPEL_VEC_SOFTMAX_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

struct vec_softmax_table {
    float (*largest)(const float *x, int64_t n);
    /* The sum of e^(x - m); the exponentials go to out unless it is NULL. */
    double (*sum_exp)(const float *x, float m, int64_t n, float *out);
    void (*scale)(float *x, float factor, int64_t n);
    /* out = (x - m) - shift */
    void (*shift)(const float *x, float m, float shift, int64_t n, float *out);
    float (*log)(float x);
};

CPU_VEC_DECLARE(struct vec_softmax_table, vec_softmax)

#endif
