/*
 * Counter-based randomness: Philox4x32-10 (Salmon et al. 2011, Random123). A draw is a pure
 * function of (seed, stream, step, row, element), so it depends on no order, thread, neighbour or
 * device.
 *
 *   key     = hash_combine(seed, stream) as two u32 (low word first)
 *   counter = { low(row), high(row), step, element / 4 }; the block gives elements 4i .. 4i+3
 *   uniform = ((u32 >> 9) + 0.5) * 2^-23, an odd multiple of 2^-24 inside (0, 1), exact in float
 *   normal  = Box-Muller on the pairs (u0,u1), (u2,u3) of one block:
 *             sqrt(-2 log u0) * cos(2 pi u1), sqrt(-2 log u0) * sin(2 pi u1)
 * Test: tests/test_rng.c (known answers of Random123, moments, Kolmogorov-Smirnov)
 */
#ifndef CUPEL_BASE_RNG_H
#define CUPEL_BASE_RNG_H

#include <stdint.h>

struct rng_key {
    uint32_t word[2];
};
struct rng_block {
    uint32_t word[4];
};

struct rng_key rng_key_make(uint64_t seed, uint64_t stream);
struct rng_block rng_block_at(struct rng_key key, uint64_t row, uint32_t step, uint32_t block);

/* The four draws of a block, computed in double from the 23-bit uniforms. */
void rng_uniform4(struct rng_block block, double out[4]);
void rng_normal4(struct rng_block block, double out[4]);

/* Host-side helpers for data order and augmentation. */
uint64_t rng_u64(struct rng_key key, uint64_t row, uint32_t step, uint32_t index);
/* Uniform in [0, bound) without modulo bias (Lemire, redraws from further counters); bound > 0. */
uint64_t rng_below(struct rng_key key, uint64_t row, uint32_t step, uint64_t bound);
/* Fisher-Yates permutation of 0..n-1, a function of (key, step) alone. */
void rng_permutation(struct rng_key key, uint32_t step, uint64_t n, uint64_t *out);

#endif
