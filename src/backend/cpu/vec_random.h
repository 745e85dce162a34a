/*
 * Philox4x32-10 over many counters at once, and what is made of its bits.
 * Test: tests/test_kernels_random.c
 */
#ifndef CUPEL_VEC_RANDOM_H
#define CUPEL_VEC_RANDOM_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum { RANDOM_LANES = 64 };

/* Counters of up to RANDOM_LANES blocks of four draws; step and key are shared. */
struct random_lanes {
    uint32_t row_low[RANDOM_LANES], row_high[RANDOM_LANES], block[RANDOM_LANES];
    uint32_t step, key[2];
};

struct vec_random_table {
    /* out[4 l + i]: draw i of lane l, for all lanes. */
    void (*uniform)(const struct random_lanes *lanes, float *out);
    void (*normal)(const struct random_lanes *lanes, float *out);
    /* out = u >= p ? x / keep : 0; out may be x. */
    void (*dropout)(const float *u, const float *x, float p, float keep, int64_t n, float *out);
};

CPU_VEC_DECLARE(struct vec_random_table, vec_random)

#endif
