/*
 * For vector sources that name their registers: one register's type and the few operations on it,
 * in each instruction set; some only where there is more than the baseline. Sums and differences
 * round as written. Test: tests/test_kernels_winograd.c, tests/test_kernels_update.c
 */
#ifndef CUPEL_VEC_LANES_H
#define CUPEL_VEC_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if CUPEL_VEC_ISA > 0
#include <immintrin.h>
#endif

#define VEC_UNROLLED _Pragma("GCC unroll 16")
#define VEC_INLINE static inline __attribute__((always_inline))

#if CUPEL_VEC_ISA == 2

enum { VEC_LANES = 16 };
typedef __m512 vector;
typedef __mmask16 vector_mask;
typedef int32_t vector_bits __attribute__((vector_size(64)));

VEC_INLINE vector vec_zero(void) {
    return _mm512_setzero_ps();
}
VEC_INLINE vector vec_set(float x) {
    return _mm512_set1_ps(x);
}
VEC_INLINE vector vec_load(const float *from) {
    return _mm512_loadu_ps(from);
}
/* Nothing is read where the mask is empty. */
VEC_INLINE vector vec_load_if(vector_mask mask, const float *from) {
    return _mm512_maskz_loadu_ps(mask, from);
}
VEC_INLINE vector_mask vec_mask(bool set) {
    return set ? 0xFFFF : 0;
}
VEC_INLINE void vec_store(float *to, vector x) {
    _mm512_storeu_ps(to, x);
}
/* Past the caches, where there is more than the baseline; to is aligned. After vec_drain() other
 * threads see what was written. */
VEC_INLINE void vec_stream(float *to, vector x) {
    _mm512_stream_ps(to, x);
}
VEC_INLINE void vec_drain(void) {
    _mm_sfence();
}
VEC_INLINE vector vec_add(vector x, vector y) {
    return _mm512_add_ps(x, y);
}
VEC_INLINE vector vec_sub(vector x, vector y) {
    return _mm512_sub_ps(x, y);
}
VEC_INLINE vector vec_mul(vector x, vector y) {
    return _mm512_mul_ps(x, y);
}
/* x y + z and z - x y, rounded once */
VEC_INLINE vector vec_fma(vector x, vector y, vector z) {
    return _mm512_fmadd_ps(x, y, z);
}
/* x y + z of one x for all lanes, broadcast by the instruction itself: one less to decode. */
VEC_INLINE vector vec_fma_at(const float *x, vector y, vector z) {
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(z) : "v"(y), "m"(*x));
    return z;
}
VEC_INLINE vector vec_fnma(vector x, vector y, vector z) {
    return _mm512_fnmadd_ps(x, y, z);
}
VEC_INLINE vector vec_sqrt(vector x) {
    return _mm512_sqrt_ps(x);
}
/* The smaller; a NaN x stays. */
VEC_INLINE vector vec_at_most(vector x, vector most) {
    return _mm512_min_ps(most, x);
}
/* The larger; a NaN x stays. */
VEC_INLINE vector vec_at_least(vector x, vector least) {
    return _mm512_max_ps(least, x);
}
/* 1 / x of numbers between 2^-100 and 2^100, within 1 ulp. */
VEC_INLINE vector vec_inverse(vector x) {
    const vector y = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, y, vec_set(1.0F)), y, y);
}
/* x 2^whole; t is whole + 1.5 * 2^23. */
VEC_INLINE vector vec_scale(vector x, vector t, vector whole) {
    (void)t;
    return _mm512_scalef_ps(x, whole);
}
/* x < 0 ? a : b */
VEC_INLINE vector vec_negative(vector x, vector a, vector b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, vec_zero(), _CMP_LT_OQ), a);
}
/* The mask of the first `count` lanes. */
VEC_INLINE vector_mask vec_first(int count) {
    return (vector_mask)((1U << count) - 1U);
}
VEC_INLINE void vec_store_if(vector_mask mask, float *to, vector x) {
    _mm512_mask_storeu_ps(to, mask, x);
}
/* x < 0 ? 0 : x, x > 0 ? x : y, and condition != 0 ? x : y */
VEC_INLINE vector vec_relu(vector x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, vec_zero(), _CMP_NLT_UQ), x);
}
VEC_INLINE vector vec_positive(vector x, vector y) {
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, vec_zero(), _CMP_GT_OQ), x);
}
VEC_INLINE vector vec_select(vector condition, vector x, vector y) {
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(condition, vec_zero(), _CMP_NEQ_UQ), x);
}

#elif CUPEL_VEC_ISA == 1

enum { VEC_LANES = 8 };
typedef __m256 vector;
typedef __m256i vector_mask;
typedef int32_t vector_bits __attribute__((vector_size(32)));

VEC_INLINE vector vec_zero(void) {
    return _mm256_setzero_ps();
}
VEC_INLINE vector vec_set(float x) {
    return _mm256_set1_ps(x);
}
VEC_INLINE vector vec_load(const float *from) {
    return _mm256_loadu_ps(from);
}
VEC_INLINE vector vec_load_if(vector_mask mask, const float *from) {
    return _mm256_maskload_ps(from, mask);
}
VEC_INLINE vector_mask vec_mask(bool set) {
    return _mm256_set1_epi32(set ? -1 : 0);
}
VEC_INLINE void vec_store(float *to, vector x) {
    _mm256_storeu_ps(to, x);
}
VEC_INLINE void vec_stream(float *to, vector x) {
    _mm256_stream_ps(to, x);
}
VEC_INLINE void vec_drain(void) {
    _mm_sfence();
}
VEC_INLINE vector vec_add(vector x, vector y) {
    return _mm256_add_ps(x, y);
}
VEC_INLINE vector vec_sub(vector x, vector y) {
    return _mm256_sub_ps(x, y);
}
VEC_INLINE vector vec_mul(vector x, vector y) {
    return _mm256_mul_ps(x, y);
}
VEC_INLINE vector vec_fma(vector x, vector y, vector z) {
    return _mm256_fmadd_ps(x, y, z);
}
VEC_INLINE vector vec_fnma(vector x, vector y, vector z) {
    return _mm256_fnmadd_ps(x, y, z);
}
VEC_INLINE vector vec_sqrt(vector x) {
    return _mm256_sqrt_ps(x);
}
VEC_INLINE vector vec_at_most(vector x, vector most) {
    return _mm256_min_ps(most, x);
}
VEC_INLINE vector vec_at_least(vector x, vector least) {
    return _mm256_max_ps(least, x);
}
VEC_INLINE vector vec_inverse(vector x) {
    return _mm256_div_ps(vec_set(1.0F), x);
}
VEC_INLINE vector vec_negative(vector x, vector a, vector b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, vec_zero(), _CMP_LT_OQ));
}
VEC_INLINE vector_mask vec_first(int count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes);
}
VEC_INLINE void vec_store_if(vector_mask mask, float *to, vector x) {
    _mm256_maskstore_ps(to, mask, x);
}
VEC_INLINE vector vec_relu(vector x) {
    return _mm256_and_ps(_mm256_cmp_ps(x, vec_zero(), _CMP_NLT_UQ), x);
}
VEC_INLINE vector vec_positive(vector x, vector y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, vec_zero(), _CMP_GT_OQ));
}
VEC_INLINE vector vec_select(vector condition, vector x, vector y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(condition, vec_zero(), _CMP_NEQ_UQ));
}

#else

enum { VEC_LANES = 4 };
typedef float vector __attribute__((vector_size(16)));
typedef int vector_mask; /* so many lanes, the first */
typedef int32_t vector_bits __attribute__((vector_size(16)));

VEC_INLINE vector vec_zero(void) {
    return (vector){0};
}
VEC_INLINE vector vec_set(float x) {
    return (vector){x, x, x, x};
}
VEC_INLINE vector vec_load_if(vector_mask mask, const float *from) {
    vector x = {0};
    memcpy(&x, from, (size_t)mask * sizeof(float));
    return x;
}
VEC_INLINE vector vec_load(const float *from) {
    return vec_load_if(VEC_LANES, from);
}
VEC_INLINE void vec_store_if(vector_mask mask, float *to, vector x) {
    memcpy(to, &x, (size_t)mask * sizeof(float));
}
VEC_INLINE void vec_store(float *to, vector x) {
    vec_store_if(VEC_LANES, to, x);
}
VEC_INLINE void vec_stream(float *to, vector x) {
    vec_store(to, x);
}
VEC_INLINE void vec_drain(void) {
}
VEC_INLINE vector vec_add(vector x, vector y) {
    return x + y;
}
VEC_INLINE vector vec_sub(vector x, vector y) {
    return x - y;
}
VEC_INLINE vector vec_mul(vector x, vector y) {
    return x * y;
}
/* Without the instruction: rounded twice. */
VEC_INLINE vector vec_fma(vector x, vector y, vector z) {
    return x * y + z;
}
VEC_INLINE vector vec_fnma(vector x, vector y, vector z) {
    return z - x * y;
}
VEC_INLINE vector vec_sqrt(vector x) {
    return (vector){sqrtf(x[0]), sqrtf(x[1]), sqrtf(x[2]), sqrtf(x[3])};
}
VEC_INLINE vector vec_at_most(vector x, vector most) {
    const vector_bits larger = x > most;
    return (vector)(((vector_bits)most & larger) | ((vector_bits)x & ~larger));
}
VEC_INLINE vector vec_at_least(vector x, vector least) {
    const vector_bits smaller = x < least;
    return (vector)(((vector_bits)least & smaller) | ((vector_bits)x & ~smaller));
}
VEC_INLINE vector vec_inverse(vector x) {
    return vec_set(1.0F) / x;
}
VEC_INLINE vector vec_negative(vector x, vector a, vector b) {
    const vector_bits below = x < vec_set(0.0F);
    return (vector)(((vector_bits)a & below) | ((vector_bits)b & ~below));
}
VEC_INLINE vector_mask vec_first(int count) {
    return count;
}
VEC_INLINE vector vec_relu(vector x) {
    return (vector)((vector_bits)x & ~(x < vec_zero()));
}
VEC_INLINE vector vec_positive(vector x, vector y) {
    const vector_bits set = x > vec_zero();
    return (vector)(((vector_bits)x & set) | ((vector_bits)y & ~set));
}
VEC_INLINE vector vec_select(vector condition, vector x, vector y) {
    const vector_bits set = condition != vec_zero();
    return (vector)(((vector_bits)x & set) | ((vector_bits)y & ~set));
}

#endif

/* Asks for the line of memory at an address, which may be any, as far as the L2 cache. */
VEC_INLINE void vec_fetch(const float *at) {
    __builtin_prefetch(at, 0, 2);
}
VEC_INLINE vector vec_minus_abs(vector x) {
    return (vector)((vector_bits)x | INT32_MIN);
}

#if CUPEL_VEC_ISA < 2
VEC_INLINE vector vec_fma_at(const float *x, vector y, vector z) {
    return vec_fma(vec_set(*x), y, z);
}
/* 2^whole is applied as 2^(whole + 64) and 2^-64, of which only the second rounds. */
VEC_INLINE vector vec_scale(vector x, vector t, vector whole) {
    (void)whole;
    const vector_bits power = ((vector_bits)t << 23) + (INT32_C(191) << 23);
    return vec_mul(vec_mul(x, (vector)power), vec_set(0x1p-64F));
}
#endif

#endif
