/*
 * The loops behind vec_machine.h. 16 chains of multiply-adds hide a latency of 4 cycles on two
 * units, with registers to spare; without vectors of their own (baseline) compilers decide.
 * Test: tests/test_machine.c
 */
#include "backend/cpu/vec_machine.h"

#include "backend/cpu/vec.h"

#if CUPEL_VEC_ISA > 0
#include <immintrin.h>
#endif

#if CUPEL_VEC_ISA == 2
typedef __m512 vector;
enum { LANES = 16, CHAINS = 16 };
static inline vector spread(float x) {
    return _mm512_set1_ps(x);
}
static inline vector multiply_add_one(vector x, vector y, vector z) {
    return _mm512_fmadd_ps(x, y, z);
}
static inline float first(vector x) {
    return _mm512_cvtss_f32(x);
}
#elif CUPEL_VEC_ISA == 1
typedef __m256 vector;
enum { LANES = 8, CHAINS = 12 };
static inline vector spread(float x) {
    return _mm256_set1_ps(x);
}
static inline vector multiply_add_one(vector x, vector y, vector z) {
    return _mm256_fmadd_ps(x, y, z);
}
static inline float first(vector x) {
    return _mm256_cvtss_f32(x);
}
#else
typedef struct {
    float lane[4];
} vector;
enum { LANES = 4, CHAINS = 8 };
static inline vector spread(float x) {
    return (vector){{x, x, x, x}};
}
static inline vector multiply_add_one(vector x, vector y, vector z) {
    for (int i = 0; i < LANES; i++)
        z.lane[i] += x.lane[i] * y.lane[i];
    return z;
}
static inline float first(vector x) {
    return x.lane[0];
}
#endif

static double multiply_add(int64_t rounds, float *sum) {
    const vector x = spread(0.999F), y = spread(1e-3F);
    vector chain[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        chain[i] = spread((float)i);
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            chain[i] = multiply_add_one(chain[i], x, y);
    }
    *sum = 0;
    for (int i = 0; i < CHAINS; i++)
        *sum += first(chain[i]);
    return 2.0 * LANES * CHAINS * (double)rounds;
}

static void triad(float *a, const float *b, const float *c, float s, int64_t n) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

const struct vec_machine_table CUPEL_VEC(vec_machine) = {
    .multiply_add = multiply_add,
    .triad = triad,
};
