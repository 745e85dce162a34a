/*
 * For vector sources that hold the channels of one pixel in one register: its type and the few
 * operations on it, for AVX2 and AVX-512. Sums and differences round as written.
 * Test: tests/test_kernels_winograd.c
 */
#ifndef CUPEL_VEC_LANES_H
#define CUPEL_VEC_LANES_H

#include <stdbool.h>

#if CUPEL_VEC_ISA > 0
#include <immintrin.h>

#define VEC_UNROLLED _Pragma("GCC unroll 16")
#define VEC_INLINE static inline __attribute__((always_inline))

#if CUPEL_VEC_ISA == 2

enum { VEC_LANES = 16 };
typedef __m512 vector;
typedef __mmask16 vector_mask;

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
/* Past the caches; to is aligned. */
VEC_INLINE void vec_stream(float *to, vector x) {
    _mm512_stream_ps(to, x);
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
VEC_INLINE vector vec_fnma(vector x, vector y, vector z) {
    return _mm512_fnmadd_ps(x, y, z);
}

#else

enum { VEC_LANES = 8 };
typedef __m256 vector;
typedef __m256i vector_mask;

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

#endif
#endif
#endif
