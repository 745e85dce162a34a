/*
 * Elementary functions in float, each written once for a scalar and without a branch, so that gcc
 * and clang turn a loop that calls one into vector code (they need -fno-math-errno for the square
 * root). Only through base/real_math.h. Test: tests/test_real_math.c
 *
 * Bounds on the errors, in units in the last place of the true result, with and without fused
 * multiply-add. They were measured over a third of all floats (sine and cosine: all multiples of
 * 2^-24; normals: 800 million), and the test holds them:
 *
 *   real_expf 0.8   real_logf 0.95   real_log1pf 1.0   real_sincosf_2pi 0.85 (|u| >= 2^-100)
 *   real_sigmoidf 1.7   real_softplusf 2.05   real_tanhf 1.5   real_rsqrtf 1.5
 *   real_normal_pair 1.5, against rng_normal4 of base/rng.h
 */
#ifndef CUPEL_BASE_REAL_MATH_INLINE_H
#define CUPEL_BASE_REAL_MATH_INLINE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* a * b + c, rounded once where the instruction exists. */
#if !defined(REAL_HAS_FMA)
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define REAL_HAS_FMA 1
#else
#define REAL_HAS_FMA 0
#endif
#endif
#if REAL_HAS_FMA
#define REAL_FMA(a, b, c) fmaf(a, b, c)
#else
#define REAL_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline uint32_t real_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float real_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float real_abs(float x) {
    return real_from_bits(real_bits(x) & UINT32_C(0x7fffffff));
}

/* The first 12 bits; a product of two such numbers is exact. */
static inline float real_head(float x) {
    return real_from_bits(real_bits(x) & UINT32_C(0xfffff000));
}

/* (a + a_low) * (b + b_low) with little more than the one rounding at the end. */
static inline float real_product(float a, float a_low, float b, float b_low) {
    const float a_head = real_head(a);
    const float b_head = real_head(b);
    const float rest = REAL_FMA(a_head, (b - b_head) + b_low, ((a - a_head) + a_low) * b);
    return REAL_FMA(a_head, b_head, rest); /* the product itself is exact */
}

/* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
#define REAL_ROUNDER 0x1.8p23F
/* ln 2 in two parts; products of the first with integers below 2^9 are exact. */
#define REAL_LN2_HIGH 0x1.62e4p-1F
#define REAL_LN2_LOW 0x1.7f7d1cp-20F

/* exp(x) = 2^n exp(r), |r| <= ln(2) / 2; 2^n is applied in two halves, so that results near the
 * ends of the range overflow or become denormal only where they should. */
static inline float real_expf(float x) {
    float c = x > 90.0F ? 90.0F : x; /* a NaN passes */
    c = c < -110.0F ? -110.0F : c;
    const float t = REAL_FMA(c, 0x1.715476p+0F, REAL_ROUNDER);
    const float nf = t - REAL_ROUNDER;
    const int32_t n = (int32_t)(real_bits(t) - real_bits(REAL_ROUNDER));
    const float r_high = REAL_FMA(-nf, REAL_LN2_HIGH, c); /* exact */
    const float r = REAL_FMA(-nf, REAL_LN2_LOW, r_high);
    const float r_low = REAL_FMA(-nf, REAL_LN2_LOW, r_high - r);
    float q = REAL_FMA(0x1.6afdaap-10F, r, 0x1.12448ep-7F);
    q = REAL_FMA(q, r, 0x1.555826p-5F);
    q = REAL_FMA(q, r, 0x1.555482p-3F);
    q = REAL_FMA(q, r, 0x1.fffffcp-2F);
    /* 1 + r + r^2 q; the sum of the first two is kept exactly */
    const float head = 1.0F + r;
    const float p = head + REAL_FMA(r * r, q, (r - (head - 1.0F)) + r_low);
    const uint32_t half = (uint32_t)(n >> 1);
    const uint32_t rest = (uint32_t)n - half;
    return p * real_from_bits((half + 127U) << 23) * real_from_bits((rest + 127U) << 23);
}

/* log(1 + f) - f + k REAL_LN2_LOW, |f| <= 1/3. */
static inline float real_log_tail(float k, float f) {
    float q = REAL_FMA(-0x1.08057ap-3F, f, 0x1.1e667cp-3F);
    q = REAL_FMA(q, f, -0x1.f3113ep-4F);
    q = REAL_FMA(q, f, 0x1.1ed72cp-3F);
    q = REAL_FMA(q, f, -0x1.559ddp-3F);
    q = REAL_FMA(q, f, 0x1.99d034p-3F);
    q = REAL_FMA(q, f, -0x1.fffefp-3F);
    q = REAL_FMA(q, f, 0x1.555506p-2F);
    q = REAL_FMA(q, f, -0.5F);
    return REAL_FMA(k, REAL_LN2_LOW, f * f * q);
}

/* k ln 2 + f + tail. */
static inline float real_log_sum(float k, float f, float tail) {
    const float whole = k * REAL_LN2_HIGH; /* exact, and larger than f or 0: so is the sum below */
    const float head = whole + f;
    return head + ((f - (head - whole)) + tail);
}

/* x = 2^k m with m in [2/3, 4/3); x normal and positive, or the result is meaningless. */
#define REAL_TWO_THIRDS UINT32_C(0x3f2aaaab)
static inline int32_t real_log_exponent(float x) {
    return (int32_t)(real_bits(x) - REAL_TWO_THIRDS) >> 23;
}

static inline float real_log_mantissa(float x) {
    return real_from_bits(((real_bits(x) - REAL_TWO_THIRDS) & UINT32_C(0x7fffff)) +
                          REAL_TWO_THIRDS);
}

/* log(x) of a normal positive number. */
static inline float real_log_normal(float x) {
    const float k = (float)real_log_exponent(x);
    const float f = real_log_mantissa(x) - 1.0F;
    return real_log_sum(k, f, real_log_tail(k, f));
}

/* Denormal arguments count as 0 where denormals-are-zero is set. */
static inline float real_logf(float x) {
    const float scaled = x < 0x1p-126F ? x * 0x1p23F : x;
    const float shift = x < 0x1p-126F ? -23.0F : 0.0F;
    const float k = (float)real_log_exponent(scaled) + shift;
    const float f = real_log_mantissa(scaled) - 1.0F;
    float y = real_log_sum(k, f, real_log_tail(k, f));
    y = x > 0.0F ? y : NAN;
    y = x == 0.0F ? -INFINITY : y;
    return x == INFINITY ? x : y;
}

/* log(1 + x): what the rounding of 1 + x loses is carried along. */
static inline float real_log1pf(float x) {
    const float u = 1.0F + x;
    const float back = u - 1.0F;
    const float lost = (1.0F - (u - back)) + (x - back);
    const int32_t k = real_log_exponent(u);
    const int32_t scale = k < 60 ? k : 60; /* beyond, what was lost is nothing */
    const float more = lost * real_from_bits((uint32_t)(127 - scale) << 23);
    const float mantissa = real_log_mantissa(u) - 1.0F;
    const float f = mantissa + more;
    const float f_low = (mantissa - f) + more; /* log(1 + f + f_low) ~ log(1 + f) + (1 - f) f_low */
    float y = real_log_sum((float)k, f, real_log_tail((float)k, f) + REAL_FMA(-f, f_low, f_low));
    y = x > -1.0F ? y : NAN;
    y = x == -1.0F ? -INFINITY : y;
    y = real_abs(x) < 0x1p-25F ? x : y; /* keeps -0, and denormals */
    return x == INFINITY ? x : y;
}

/* exp(x) of x <= 0 in half the operations: no result overflows, and 2^n is applied as 2^(n + 64)
 * and 2^-64, of which only the second rounds. 0.95 ulp. */
static inline float real_exp_falling(float x) {
    const float c = x < -110.0F ? -110.0F : x; /* a NaN passes */
    const float t = REAL_FMA(c, 0x1.715476p+0F, REAL_ROUNDER);
    const float nf = t - REAL_ROUNDER;
    const float r = REAL_FMA(-nf, REAL_LN2_LOW, REAL_FMA(-nf, REAL_LN2_HIGH, c));
    float q = REAL_FMA(0x1.6afdaap-10F, r, 0x1.12448ep-7F);
    q = REAL_FMA(q, r, 0x1.555826p-5F);
    q = REAL_FMA(q, r, 0x1.555482p-3F);
    q = REAL_FMA(q, r, 0x1.fffffcp-2F);
    const float p = 1.0F + REAL_FMA(r * r, q, r);
    const uint32_t n = real_bits(t) << 23; /* the rounder's bits fall off */
    return p * real_from_bits(n + (UINT32_C(191) << 23)) * 0x1p-64F;
}

/* 1 / (1 + exp(-x)). With e = exp(-|x|) and w = e / (1 + e) it is e - e w below 0, 1 - w above:
 * the rounding of the division weighs less than in e / (1 + e). */
static inline float real_sigmoidf(float x) {
    const float e = real_exp_falling(-real_abs(x));
    const float w = e / (1.0F + e);
    const float top = x < 0.0F ? e : 1.0F;
    return REAL_FMA(-top, w, top);
}

/* log(1 + e) of 0 <= e <= 1, or a NaN: a polynomial, without taking e apart. */
static inline float real_log1p_unit(float e) {
    float q = REAL_FMA(0x1.0fb398p-9F, e, -0x1.beabeap-7F);
    q = REAL_FMA(q, e, 0x1.57e8a4p-5F);
    q = REAL_FMA(q, e, -0x1.544516p-4F);
    q = REAL_FMA(q, e, 0x1.fea6fap-4F);
    q = REAL_FMA(q, e, -0x1.4a541cp-3F);
    q = REAL_FMA(q, e, 0x1.978274p-3F);
    q = REAL_FMA(q, e, -0x1.ffc41ep-3F);
    q = REAL_FMA(q, e, 0x1.5553a6p-2F);
    q = REAL_FMA(q, e, -0x1.fffff8p-2F);
    return REAL_FMA(q * e, e, e);
}

/* log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)). Without real_log1pf's care it takes half the
 * operations and errs by 0.3 ulp more, just above 0, where both terms count. */
static inline float real_softplusf(float x) {
    return (x > 0.0F ? x : 0.0F) + real_log1p_unit(real_exp_falling(-real_abs(x)));
}

/* A polynomial in x^2 up to 0.5625; beyond, 1 - 2 / (exp(2|x|) + 1). */
static inline float real_tanhf(float x) {
    const float a = real_abs(x);
    const float s = a * a;
    float q = REAL_FMA(-0x1.9454f2p-8F, s, 0x1.5811f6p-6F);
    q = REAL_FMA(q, s, -0x1.b905c4p-5F);
    q = REAL_FMA(q, s, 0x1.110c5ep-3F);
    q = REAL_FMA(q, s, -0x1.555548p-2F);
    const float small = REAL_FMA(a * s, q, a);
    const float large = 1.0F - 2.0F / (real_expf(2.0F * a) + 1.0F);
    const float y = a < 0.5625F ? small : large;
    return real_from_bits(real_bits(y) | (real_bits(x) & UINT32_C(0x80000000)));
}

/* sin and cos of 2 pi u, |u| < 2^20, each as a float and what it lacks. The turn is reduced to an
 * eighth exactly; both series begin with a product of 12 bits by 12 bits, which is exact. */
static inline void real_sincos_parts(float u, float *sine, float *sine_low, float *cosine,
                                     float *cosine_low) {
    const float t = REAL_FMA(u, 4.0F, REAL_ROUNDER);
    const uint32_t quarter = real_bits(t);
    const float r = REAL_FMA(t - REAL_ROUNDER, -0.25F, u);
    const float s = r * r;
    const float r_high = real_head(r);
    const float r_low = r - r_high;
    float p = REAL_FMA(-0x1.2da156p+6F, s, 0x1.465eeap+6F);
    p = REAL_FMA(p, s, -0x1.4abbbap+5F);
    p = REAL_FMA(p, s, -0x1.2aeef4p-16F); /* 2 pi - 0x1.922p+2 */
    const float head = r_high * 0x1.922p+2F;
    const float tail = REAL_FMA(r, p, r_low * 0x1.922p+2F);
    const float sin_r = head + tail;
    const float sin_low = tail - (sin_r - head);

    float q = REAL_FMA(0x1.d4f7eep+5F, s, -0x1.55b2b6p+6F);
    q = REAL_FMA(q, s, 0x1.03c1bp+6F);
    q = REAL_FMA(q, s, 0x1.868p-9F); /* -2 pi^2 (as fitted) is -0x1.3bep+4 and this */
    const float square = r_high * r_high;
    const float square_high = real_head(square);
    const float square_low = REAL_FMA(r + r_high, r_low, square - square_high);
    const float bend = square_high * -0x1.3bep+4F;
    const float rest = REAL_FMA(q, s, square_low * -0x1.3bep+4F);
    const float flat = 1.0F + bend;
    const float flat_rest = (bend - (flat - 1.0F)) + rest;
    const float cos_r = flat + flat_rest;
    const float cos_low = flat_rest - (cos_r - flat);

    const uint32_t sine_sign = (quarter & 2U) << 30;
    const uint32_t cosine_sign = ((quarter + 1U) & 2U) << 30;
    const float a = quarter & 1U ? cos_r : sin_r;
    const float a_low = quarter & 1U ? cos_low : sin_low;
    const float b = quarter & 1U ? sin_r : cos_r;
    const float b_low = quarter & 1U ? sin_low : cos_low;
    *sine = real_from_bits(real_bits(a) ^ sine_sign);
    *sine_low = real_from_bits(real_bits(a_low) ^ sine_sign);
    *cosine = real_from_bits(real_bits(b) ^ cosine_sign);
    *cosine_low = real_from_bits(real_bits(b_low) ^ cosine_sign);
}

static inline void real_sincosf_2pi(float u, float *sine, float *cosine) {
    float sine_low;
    float cosine_low;
    real_sincos_parts(u, sine, &sine_low, cosine, &cosine_low);
}

/* Two roundings; estimates by instructions differ from processor to processor. */
static inline float real_rsqrtf(float x) {
    return 1.0F / sqrtf(x);
}

/* The uniform of base/rng.h from 32 random bits, exact. */
static inline float real_uniform(uint32_t bits) {
    return ((float)(int32_t)(bits >> 9) + 0.5F) * 0x1p-23F;
}

/* Two normals from two such uniforms (Box-Muller), as rng_normal4 in base/rng.h does in double. */
static inline void real_normal_pair(float u0, float u1, float *a, float *b) {
    float sine;
    float sine_low;
    float cosine;
    float cosine_low;
    real_sincos_parts(u1, &sine, &sine_low, &cosine, &cosine_low);
    const float square = -2.0F * real_log_normal(u0);
    const float radius = sqrtf(square);
    /* what the square root lacks: the rest of the square over twice the root */
    const float head = real_head(radius);
    const float rest = REAL_FMA(-(radius + head), radius - head, square - head * head);
    const float radius_low = rest * (0.5F / radius);
    *a = real_product(radius, radius_low, cosine, cosine_low);
    *b = real_product(radius, radius_low, sine, sine_low);
}

#endif
