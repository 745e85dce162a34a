/*
 * One loop, compiled for several instruction sets and chosen at run time. Four rows by four share
 * their loads: sixteen multiply-adds for eight of them, all sums in registers where there are 32.
 * Products of pairs fit 32 bits for 32,768 terms, so sums are widened once a segment.
 * Test: tests/test_baselines.c
 */
#include "data/pixel_dot.h"

enum { SEGMENT = 32768 }; /* 255 * 255 * 32768 < 2^31 */

#define ADD_PRODUCTS(i) \
    do { \
        s##i##0 += a##i[k] * b0[k]; \
        s##i##1 += a##i[k] * b1[k]; \
        s##i##2 += a##i[k] * b2[k]; \
        s##i##3 += a##i[k] * b3[k]; \
    } while (0)

#define ADD_SUMS(i) \
    do { \
        out[4 * i + 0] += s##i##0; \
        out[4 * i + 1] += s##i##1; \
        out[4 * i + 2] += s##i##2; \
        out[4 * i + 3] += s##i##3; \
    } while (0)

/* Adds the products of one segment. */
static inline __attribute__((always_inline)) void add4x4(const int16_t *a, const int16_t *b,
                                                         int64_t stride, int length, int64_t *out) {
    const int16_t *const a0 = a, *const a1 = a + stride, *const a2 = a1 + stride,
                         *const a3 = a2 + stride;
    const int16_t *const b0 = b, *const b1 = b + stride, *const b2 = b1 + stride,
                         *const b3 = b2 + stride;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
    for (int k = 0; k < length; k++) {
        ADD_PRODUCTS(0);
        ADD_PRODUCTS(1);
        ADD_PRODUCTS(2);
        ADD_PRODUCTS(3);
    }
    ADD_SUMS(0);
    ADD_SUMS(1);
    ADD_SUMS(2);
    ADD_SUMS(3);
}

/* The same with half the sums, for instruction sets of 16 registers. */
static inline __attribute__((always_inline)) void add2x4(const int16_t *a, const int16_t *b,
                                                         int64_t stride, int length, int64_t *out) {
    const int16_t *const a0 = a, *const a1 = a + stride;
    const int16_t *const b0 = b, *const b1 = b + stride, *const b2 = b1 + stride,
                         *const b3 = b2 + stride;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    for (int k = 0; k < length; k++) {
        ADD_PRODUCTS(0);
        ADD_PRODUCTS(1);
    }
    ADD_SUMS(0);
    ADD_SUMS(1);
}

static inline __attribute__((always_inline)) void dot4x4(const int16_t *a, const int16_t *b,
                                                         int64_t stride, int64_t count,
                                                         int64_t out[16], int rows) {
    for (int i = 0; i < 16; i++)
        out[i] = 0;
    for (int64_t begin = 0; begin < count; begin += SEGMENT) {
        const int length = (int)(count - begin < SEGMENT ? count - begin : SEGMENT);
        if (rows == 4) {
            add4x4(a + begin, b + begin, stride, length, out);
        } else {
            add2x4(a + begin, b + begin, stride, length, out);
            add2x4(a + begin + 2 * stride, b + begin, stride, length, out + 8);
        }
    }
}

static void dot4x4_baseline(const int16_t *a, const int16_t *b, int64_t stride, int64_t count,
                            int64_t out[16]) {
    dot4x4(a, b, stride, count, out, 2);
}

#if defined(__x86_64__)

#if defined(__clang__)
#define TARGET_AVX512 __attribute__((target("avx512bw,avx512vl,avx512vnni")))
#else
#define TARGET_AVX512 \
    __attribute__((target("avx512bw,avx512vl,avx512vnni,prefer-vector-width=512")))
#endif

__attribute__((target("avx2"))) static void dot4x4_avx2(const int16_t *a, const int16_t *b,
                                                        int64_t stride, int64_t count,
                                                        int64_t out[16]) {
    dot4x4(a, b, stride, count, out, 2);
}

TARGET_AVX512 static void dot4x4_avx512(const int16_t *a, const int16_t *b, int64_t stride,
                                        int64_t count, int64_t out[16]) {
    dot4x4(a, b, stride, count, out, 4);
}
#endif

pixel_dot4x4 pixel_dot4x4_select(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return dot4x4_avx512;
    if (__builtin_cpu_supports("avx2"))
        return dot4x4_avx2;
#endif
    return dot4x4_baseline;
}
