/*
 * The loops behind vec_softmax.h. Exponentials are made in short runs and added in 16 lanes.
 * Test: tests/test_kernels_softmax.c
 */
#include "backend/cpu/vec_softmax.h"

#include "backend/cpu/vec.h"
#include "base/real_math.h"

enum { LANES = 16, RUN = 512 };

static float largest(const float *x, int64_t n) {
    float best = x[0];
    for (int64_t i = 1; i < n; i++)
        best = x[i] > best || x[i] != x[i] ? x[i] : best;
    return best;
}

static double sum_exp(const float *x, float m, int64_t n, float *out) {
    double total = 0;
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t run = n - at < RUN ? n - at : RUN;
        float kept[RUN], lanes[LANES] = {0};
        float *e = out != NULL ? out + at : kept;
        VEC_LOOP
        for (int64_t i = 0; i < run; i++)
            e[i] = real_expf(x[at + i] - m);
        int64_t i = 0;
        for (; i + LANES <= run; i += LANES)
            for (int k = 0; k < LANES; k++)
                lanes[k] += e[i + k];
        double rest = 0;
        for (; i < run; i++)
            rest += (double)e[i];
        for (int k = 0; k < LANES; k++)
            rest += (double)lanes[k];
        total += rest;
    }
    return total;
}

static void scale(float *x, float factor, int64_t n) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void shift(const float *x, float m, float by, int64_t n, float *out) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        out[i] = (x[i] - m) - by;
}

static float log_one(float x) {
    return real_logf(x);
}

const struct vec_softmax_table CUPEL_VEC(vec_softmax) = {
    .largest = largest,
    .sum_exp = sum_exp,
    .scale = scale,
    .shift = shift,
    .log = log_one,
};
