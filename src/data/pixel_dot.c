/*
 * One loop, compiled for several instruction sets and chosen at run time. Products of pairs fit 32
 * bits for 32,768 terms, so sums are widened once a segment. Test: tests/test_baselines.c
 */
#include "data/pixel_dot.h"

enum { SEGMENT = 32768 }; /* 255 * 255 * 32768 < 2^31 */

static inline __attribute__((always_inline)) void dot4(const int16_t *a, const int16_t *b,
                                                       int64_t stride, int64_t count,
                                                       int64_t out[4]) {
    int64_t sums[4] = {0};
    for (int64_t begin = 0; begin < count; begin += SEGMENT) {
        const int length = (int)(count - begin < SEGMENT ? count - begin : SEGMENT);
        const int16_t *const x = a + begin, *const y0 = b + begin, *const y1 = y0 + stride,
                             *const y2 = y1 + stride, *const y3 = y2 + stride;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int k = 0; k < length; k++) {
            s0 += x[k] * y0[k];
            s1 += x[k] * y1[k];
            s2 += x[k] * y2[k];
            s3 += x[k] * y3[k];
        }
        sums[0] += s0;
        sums[1] += s1;
        sums[2] += s2;
        sums[3] += s3;
    }
    for (int i = 0; i < 4; i++)
        out[i] = sums[i];
}

static void dot4_baseline(const int16_t *a, const int16_t *b, int64_t stride, int64_t count,
                          int64_t out[4]) {
    dot4(a, b, stride, count, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void dot4_avx2(const int16_t *a, const int16_t *b,
                                                      int64_t stride, int64_t count,
                                                      int64_t out[4]) {
    dot4(a, b, stride, count, out);
}
#endif

pixel_dot4 pixel_dot4_select(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        return dot4_avx2;
#endif
    return dot4_baseline;
}
