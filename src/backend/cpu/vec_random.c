/*
 * The loops behind vec_random.h. The ten rounds (Salmon et al. 2011) are written out for one
 * counter; compilers run them over many. The definition is src/base/rng.h.
 * Test: tests/test_kernels_random.c
 */
#include "backend/cpu/vec_random.h"

#include "backend/cpu/vec.h"
#include "base/real_math.h"

#define ROUND(k0, k1) \
    do { \
        const uint64_t p = (uint64_t)UINT32_C(0xD2511F53) * c0; \
        const uint64_t q = (uint64_t)UINT32_C(0xCD9E8D57) * c2; \
        c0 = (uint32_t)(q >> 32) ^ c1 ^ (k0); \
        c1 = (uint32_t)q; \
        c2 = (uint32_t)(p >> 32) ^ c3 ^ (k1); \
        c3 = (uint32_t)p; \
    } while (0)

struct random_words {
    uint32_t word[4][RANDOM_LANES];
};

static void philox(const struct random_lanes *lanes, struct random_words *out) {
    uint32_t k0[10], k1[10];
    for (uint32_t r = 0; r < 10; r++) {
        k0[r] = lanes->key[0] + r * UINT32_C(0x9E3779B9);
        k1[r] = lanes->key[1] + r * UINT32_C(0xBB67AE85);
    }
    const uint32_t step = lanes->step;
    VEC_LOOP
    for (int l = 0; l < RANDOM_LANES; l++) {
        uint32_t c0 = lanes->row_low[l], c1 = lanes->row_high[l], c2 = step, c3 = lanes->block[l];
        ROUND(k0[0], k1[0]);
        ROUND(k0[1], k1[1]);
        ROUND(k0[2], k1[2]);
        ROUND(k0[3], k1[3]);
        ROUND(k0[4], k1[4]);
        ROUND(k0[5], k1[5]);
        ROUND(k0[6], k1[6]);
        ROUND(k0[7], k1[7]);
        ROUND(k0[8], k1[8]);
        ROUND(k0[9], k1[9]);
        out->word[0][l] = c0;
        out->word[1][l] = c1;
        out->word[2][l] = c2;
        out->word[3][l] = c3;
    }
}

/* The four draws of a lane stand together in the result. */
static void interleave(float values[4][RANDOM_LANES], float *out) {
    VEC_LOOP
    for (int l = 0; l < RANDOM_LANES; l++) {
        out[4 * l] = values[0][l];
        out[4 * l + 1] = values[1][l];
        out[4 * l + 2] = values[2][l];
        out[4 * l + 3] = values[3][l];
    }
}

static void uniform(const struct random_lanes *lanes, float *out) {
    struct random_words words;
    float values[4][RANDOM_LANES];
    philox(lanes, &words);
    for (int i = 0; i < 4; i++) {
        VEC_LOOP
        for (int l = 0; l < RANDOM_LANES; l++)
            values[i][l] = real_uniform(words.word[i][l]);
    }
    interleave(values, out);
}

static void normal(const struct random_lanes *lanes, float *out) {
    struct random_words words;
    float values[4][RANDOM_LANES];
    philox(lanes, &words);
    for (int pair = 0; pair < 4; pair += 2) {
        VEC_LOOP
        for (int l = 0; l < RANDOM_LANES; l++)
            real_normal_pair(real_uniform(words.word[pair][l]),
                             real_uniform(words.word[pair + 1][l]), &values[pair][l],
                             &values[pair + 1][l]);
    }
    interleave(values, out);
}

static void dropout(const float *u, const float *x, float p, float keep, int64_t n, float *out) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++) {
        const float scaled = x[i] / keep;
        out[i] = u[i] >= p ? scaled : 0.0F;
    }
}

const struct vec_random_table CUPEL_VEC(vec_random) = {
    .uniform = uniform,
    .normal = normal,
    .dropout = dropout,
};
