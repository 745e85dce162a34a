/*
 * Counter-based randomness on Random123's Philox4x32-10; the header gives the exact map from
 * (seed, stream, step, row, element) to bits. The normals here are the definition, in double; the
 * float kernels of base/real_math.h stay close to them. Test: tests/test_rng.c
 */
#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>

#include "base/hash.h"

struct rng_key rng_key_make(uint64_t seed, uint64_t stream) {
    const uint64_t key = hash_combine(seed, stream);
    return (struct rng_key){{(uint32_t)key, (uint32_t)(key >> 32)}};
}

struct rng_block rng_block_at(struct rng_key key, uint64_t row, uint32_t step, uint32_t block) {
    const philox4x32_ctr_t counter = {{(uint32_t)row, (uint32_t)(row >> 32), step, block}};
    const philox4x32_key_t philox_key = {{key.word[0], key.word[1]}};
    const philox4x32_ctr_t bits = philox4x32_R(10, counter, philox_key);
    return (struct rng_block){{bits.v[0], bits.v[1], bits.v[2], bits.v[3]}};
}

void rng_uniform4(struct rng_block block, double out[4]) {
    for (int i = 0; i < 4; i++)
        out[i] = ((double)(block.word[i] >> 9) + 0.5) * 0x1p-23;
}

void rng_normal4(struct rng_block block, double out[4]) {
    const double two_pi = 6.283185307179586476925;
    double u[4];
    rng_uniform4(block, u);
    for (int i = 0; i < 4; i += 2) {
        const double radius = sqrt(-2.0 * log(u[i]));
        out[i] = radius * cos(two_pi * u[i + 1]);
        out[i + 1] = radius * sin(two_pi * u[i + 1]);
    }
}

uint64_t rng_u64(struct rng_key key, uint64_t row, uint32_t step, uint32_t index) {
    const struct rng_block block = rng_block_at(key, row, step, index / 2);
    const uint32_t half = index % 2 * 2;
    return (uint64_t)block.word[half + 1] << 32 | block.word[half];
}

uint64_t rng_below(struct rng_key key, uint64_t row, uint32_t step, uint64_t bound) {
    __extension__ typedef unsigned __int128 u128;
    if (bound == 0) /* against the contract: give a value rather than divide by zero */
        return 0;
    /* Lemire 2019: the high half of draw * bound, redrawn while the low half falls in the part
     * of the range that would make some results likelier by one. */
    const uint64_t threshold = (UINT64_MAX - bound + 1) % bound;
    uint32_t index = 0;
    u128 scaled;
    do {
        scaled = (u128)rng_u64(key, row, step, index++) * bound;
    } while ((uint64_t)scaled < threshold);
    return (uint64_t)(scaled >> 64);
}

void rng_permutation(struct rng_key key, uint32_t step, uint64_t n, uint64_t *out) {
    for (uint64_t i = 0; i < n; i++)
        out[i] = i;
    for (uint64_t i = n; i > 1; i--) {
        const uint64_t j = rng_below(key, i, step, i);
        const uint64_t last = out[i - 1];
        out[i - 1] = out[j];
        out[j] = last;
    }
}
