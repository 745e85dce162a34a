/*
 * Elementary functions in float (src/base/real_math.h) against the C library's double: the largest
 * error over floats spread evenly over all bit patterns (CUPEL_EXHAUSTIVE=1: over all of them), the
 * special values, flush-to-zero, and the same bits in vector loops as alone.
 * test_real_math_fma.c compiles this file once more for processors with fused multiply-add.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <float.h>
#include <stdlib.h>

#include "base/parallel.h"
#include "base/rng.h"

#if defined(TEST_WITH_FMA)
#define REAL_HAS_FMA 1
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#endif
#include "base/real_math.h"

static uint64_t stride(void) {
    return getenv("CUPEL_EXHAUSTIVE") != NULL ? 1 : 1009;
}

/* |got - true| in units in the last place of the true value. */
static double ulps(float got, double truth) {
    if (isnan(truth))
        return isnan(got) ? 0.0 : (double)INFINITY;
    if (isinf(truth) || isinf(got) || isnan(got))
        return (float)truth == got ? 0.0 : (double)INFINITY;
    int exponent = 0;
    frexp(truth, &exponent);
    const int unit = exponent - 24 < -149 ? -149 : exponent - 24;
    return fabs((double)got - truth) / ldexp(1.0, unit);
}

struct worst {
    double ulps;
    float at;
};

static void note(struct worst *worst, float at, float got, double truth) {
    const double here = ulps(got, truth);
    if (here > worst->ulps)
        *worst = (struct worst){here, at};
}

static double true_sigmoid(double x) {
    return x < 0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x));
}

static double true_softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double true_rsqrt(double x) {
    return 1.0 / sqrt(x);
}

/* sin and cos of 2 pi u with the turn reduced first, so that their zeros are exact. */
static void true_sincos(double u, double *sine, double *cosine) {
    const double quarter = rint(4.0 * u);
    const double angle = 2.0 * acos(-1.0) * (u - 0.25 * quarter);
    const double s = sin(angle);
    const double c = cos(angle);
    const int turn = (int)fmod(quarter, 4.0);
    *sine = turn == 0 ? s : turn == 1 ? c : turn == 2 ? -s : -c;
    *cosine = turn == 0 ? c : turn == 1 ? -s : turn == 2 ? -c : s;
}

/* The functions of one argument, in a loop that the compiler may vectorise, and alone. */
#define UNARY(name) \
    static void loop_##name(float *y, const float *x, size_t n) { \
        for (size_t i = 0; i < n; i++) \
            y[i] = real_##name##f(x[i]); \
    } \
    static float __attribute__((noinline)) alone_##name(float x) { \
        return real_##name##f(x); \
    }
UNARY(exp)
UNARY(log)
UNARY(log1p)
UNARY(sigmoid)
UNARY(softplus)
UNARY(tanh)
UNARY(rsqrt)

static const struct unary {
    const char *name;
    void (*loop)(float *y, const float *x, size_t n);
    float (*alone)(float x);
    double (*truth)(double x);
    double bound; /* ulp, as documented in real_math_inline.h */
} unaries[] = {
    {"exp", loop_exp, alone_exp, exp, 0.80},
    {"log", loop_log, alone_log, log, 0.95},
    {"log1p", loop_log1p, alone_log1p, log1p, 1.00},
    {"sigmoid", loop_sigmoid, alone_sigmoid, true_sigmoid, 1.70},
    {"softplus", loop_softplus, alone_softplus, true_softplus, 2.05},
    {"tanh", loop_tanh, alone_tanh, tanh, 1.50},
    {"rsqrt", loop_rsqrt, alone_rsqrt, true_rsqrt, 1.50},
};
enum { UNARIES = sizeof unaries / sizeof unaries[0] };

static void test_errors_stay_in_bounds(void **state) {
    (void)state;
    for (int f = 0; f < UNARIES; f++) {
        struct worst worst = {0};
        enum { BLOCK = 1024 };
        float x[BLOCK];
        float y[BLOCK];
        uint64_t next = 0;
        while (next <= UINT32_MAX) {
            for (int i = 0; i < BLOCK; i++, next += stride())
                x[i] = real_from_bits((uint32_t)(next <= UINT32_MAX ? next : 0));
            unaries[f].loop(y, x, BLOCK);
            for (int i = 0; i < BLOCK; i++)
                note(&worst, x[i], y[i], unaries[f].truth((double)x[i]));
        }
        check_context("%s(%a)", unaries[f].name, (double)worst.at);
        print_message("    %-8s %.4f ulp at %a\n", unaries[f].name, worst.ulps, (double)worst.at);
        CHECK(worst.ulps <= unaries[f].bound);
    }
}

static void test_loops_give_the_same_bits(void **state) {
    (void)state;
    enum { COUNT = 1003 };
    float x[COUNT];
    float y[COUNT];
    const struct rng_key key = rng_key_make(1, 2);
    for (int f = 0; f < UNARIES; f++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint64_t bits = rng_u64(key, i, 0, (uint32_t)f);
            /* half of them anywhere, half of moderate size */
            x[i] = i % 2 ? real_from_bits((uint32_t)bits) : ((float)(int32_t)bits) * 0x1p-27F;
        }
        unaries[f].loop(y, x, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const float alone = unaries[f].alone(x[i]);
            check_context("%s(%a) = %a in a loop, %a alone", unaries[f].name, (double)x[i],
                          (double)y[i], (double)alone);
            CHECK(real_bits(y[i]) == real_bits(alone) || (isnan(y[i]) && isnan(alone)));
        }
    }
}

static void check_bits(const char *what, float got, float expected) {
    check_context("%s", what);
    CHECK_F64(got, expected);
    CHECK_I64(signbit(got) != 0, signbit(expected) != 0);
}

static void test_special_values(void **state) {
    (void)state;
    for (int f = 0; f < UNARIES; f++) {
        check_context("%s(nan)", unaries[f].name);
        CHECK(isnan(unaries[f].alone(NAN)));
        CHECK(isnan(unaries[f].alone(-NAN)));
        CHECK(isnan(unaries[f].alone(real_from_bits(0x7f800001)))); /* a signalling one */
    }
    check_bits("exp(inf)", alone_exp(INFINITY), INFINITY);
    check_bits("exp(-inf)", alone_exp(-INFINITY), 0.0F);
    check_bits("exp(0)", alone_exp(0.0F), 1.0F);
    check_bits("exp(-0)", alone_exp(-0.0F), 1.0F);
    check_bits("exp(89)", alone_exp(89.0F), INFINITY);
    check_bits("exp(-104)", alone_exp(-104.0F), 0.0F);
    check_bits("exp(-103)", alone_exp(-103.0F), 0x1p-149F);
    check_bits("exp(FLT_MAX)", alone_exp(FLT_MAX), INFINITY);
    check_bits("exp(-FLT_MAX)", alone_exp(-FLT_MAX), 0.0F);
    check_bits("log(0)", alone_log(0.0F), -INFINITY);
    check_bits("log(-0)", alone_log(-0.0F), -INFINITY);
    check_bits("log(1)", alone_log(1.0F), 0.0F);
    check_bits("log(inf)", alone_log(INFINITY), INFINITY);
    CHECK(isnan(alone_log(-1.0F)) && isnan(alone_log(-INFINITY)) && isnan(alone_log(-0x1p-149F)));
    check_bits("log1p(-1)", alone_log1p(-1.0F), -INFINITY);
    check_bits("log1p(0)", alone_log1p(0.0F), 0.0F);
    check_bits("log1p(-0)", alone_log1p(-0.0F), -0.0F);
    check_bits("log1p(inf)", alone_log1p(INFINITY), INFINITY);
    check_bits("log1p(2^-149)", alone_log1p(0x1p-149F), 0x1p-149F);
    CHECK(isnan(alone_log1p(-1.5F)) && isnan(alone_log1p(-INFINITY)));
    check_bits("sigmoid(0)", alone_sigmoid(0.0F), 0.5F);
    check_bits("sigmoid(inf)", alone_sigmoid(INFINITY), 1.0F);
    check_bits("sigmoid(-inf)", alone_sigmoid(-INFINITY), 0.0F);
    check_bits("softplus(inf)", alone_softplus(INFINITY), INFINITY);
    check_bits("softplus(-inf)", alone_softplus(-INFINITY), 0.0F);
    check_bits("softplus(1000)", alone_softplus(1000.0F), 1000.0F);
    check_bits("tanh(0)", alone_tanh(0.0F), 0.0F);
    check_bits("tanh(-0)", alone_tanh(-0.0F), -0.0F);
    check_bits("tanh(inf)", alone_tanh(INFINITY), 1.0F);
    check_bits("tanh(-inf)", alone_tanh(-INFINITY), -1.0F);
    check_bits("tanh(-20)", alone_tanh(-20.0F), -1.0F);
    check_bits("rsqrt(0)", alone_rsqrt(0.0F), INFINITY);
    check_bits("rsqrt(4)", alone_rsqrt(4.0F), 0.5F);
    check_bits("rsqrt(inf)", alone_rsqrt(INFINITY), 0.0F);
    CHECK(isnan(alone_rsqrt(-1.0F)));
}

static bool is_denormal(double x) {
    return x != 0.0 && fabs(x) < (double)FLT_MIN;
}

/* As during a run: what would be denormal is 0, everything else as precise as ever. */
static void test_flush_to_zero(void **state) {
    (void)state;
#if defined(__SSE2__)
    for (int f = 0; f < UNARIES; f++) {
        for (uint64_t i = 0; i <= UINT32_MAX; i += 99991) {
            const float x = real_from_bits((uint32_t)i);
            const unsigned saved = parallel_fp_begin();
            const float y = unaries[f].alone(x);
            parallel_fp_end(saved);
            const bool lost = (x != 0.0F && real_abs(x) < FLT_MIN);
            const double truth = unaries[f].truth(lost ? copysign(0.0, (double)x) : (double)x);
            check_context("%s(%a) = %a", unaries[f].name, (double)x, (double)y);
            CHECK(!is_denormal((double)y) || y == x); /* log1p hands tiny arguments through */
            if (fabs(truth) > 1.0000005 * (double)FLT_MIN)
                CHECK(ulps(y, truth) <= unaries[f].bound);
            else if (!isnan(truth))
                CHECK(real_abs(y) <= FLT_MIN * 1.000001F);
        }
    }
#endif
}

static void test_sine_and_cosine(void **state) {
    (void)state;
    struct worst sine_worst = {0};
    struct worst tiny_worst = {0};
    struct worst cosine_worst = {0};
    for (uint64_t i = 0; i < 3 * (UINT64_C(1) << 22); i++) {
        /* multiples of 2^-24 (every fourth, and all at the ends), then tiny arguments */
        const uint64_t part = i >> 22;
        const float u = part == 0   ? (float)(i * 4 % (UINT64_C(1) << 24)) * 0x1p-24F
                        : part == 1 ? 1.0F - (float)((i & 0x3fffff) + 1) * 0x1p-24F
                                    : real_from_bits((uint32_t)(i & 0x3fffff) * 253U);
        if (!(u < 1.0F))
            continue;
        float sine = 0;
        float cosine = 0;
        double true_sine = 0;
        double true_cosine = 0;
        real_sincosf_2pi(u, &sine, &cosine);
        true_sincos((double)u, &true_sine, &true_cosine);
        /* Below, the low part of the sum is denormal and rounds once more. */
        note(u < 0x1p-100F ? &tiny_worst : &sine_worst, u, sine, true_sine);
        note(&cosine_worst, u, cosine, true_cosine);
    }
    print_message("    sine     %.4f ulp at %a\n    cosine   %.4f ulp at %a\n", sine_worst.ulps,
                  (double)sine_worst.at, cosine_worst.ulps, (double)cosine_worst.at);
    CHECK(sine_worst.ulps <= 0.85);
    CHECK(tiny_worst.ulps <= 1.0);
    CHECK(cosine_worst.ulps <= 0.85);

    static const float exact[][3] = {
        {0.0F, 0.0F, 1.0F}, {0.25F, 1.0F, 0.0F}, {0.5F, 0.0F, -1.0F}, {0.75F, -1.0F, 0.0F}};
    for (int i = 0; i < 4; i++) {
        float sine = 7;
        float cosine = 7;
        real_sincosf_2pi(exact[i][0], &sine, &cosine);
        check_context("u = %g", (double)exact[i][0]);
        CHECK_F64(sine, exact[i][1]);
        CHECK_F64(cosine, exact[i][2]);
    }
    float sine = 0;
    float cosine = 0;
    real_sincosf_2pi(NAN, &sine, &cosine);
    CHECK(isnan(sine) && isnan(cosine));
}

static void test_uniform(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(3, 4);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct rng_block block = rng_block_at(key, 0, 0, i);
        double u[4];
        rng_uniform4(block, u);
        for (int k = 0; k < 4; k++)
            CHECK_F64(real_uniform(block.word[k]), u[k]);
    }
    CHECK_F64(real_uniform(0), 0x1p-24);
    CHECK_F64(real_uniform(UINT32_MAX), 1.0 - 0x1p-24);
}

/* The float normals stay close to the double ones that define them (2 ulp are promised). */
static void test_normal_pairs(void **state) {
    (void)state;
    struct worst worst = {0};
    const struct rng_key key = rng_key_make(5, 6);
    for (uint32_t i = 0; i < 1000000; i++) {
        struct rng_block block = rng_block_at(key, 0, 0, i);
        if (i % 16 == 0)
            block.word[0] = UINT32_MAX - (i / 16 << 9); /* small radii */
        if (i % 16 == 1)
            block.word[0] = i / 16 << 9; /* large radii */
        if (i % 16 == 2)
            block.word[1] = (i / 16 << 9) + (i % 64 / 16 << 30); /* near the axes */
        double z[4];
        rng_normal4(block, z);
        for (int k = 0; k < 4; k += 2) {
            float a = 0;
            float b = 0;
            const float u0 = real_uniform(block.word[k]);
            const float u1 = real_uniform(block.word[k + 1]);
            real_normal_pair(u0, u1, &a, &b);
            note(&worst, u1, a, z[k]);
            note(&worst, u1, b, z[k + 1]);
        }
    }
    print_message("    normal   %.4f ulp at u1 = %a\n", worst.ulps, (double)worst.at);
    CHECK(worst.ulps <= 1.5);
}

#if defined(TEST_WITH_FMA)
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif

static int run_all(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_stay_in_bounds),
        cmocka_unit_test(test_loops_give_the_same_bits),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_flush_to_zero),
        cmocka_unit_test(test_sine_and_cosine),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal_pairs),
    };
    return CHECK_MAIN(tests);
}

int main(int argc, char **argv) {
#if defined(TEST_WITH_FMA)
    if (!__builtin_cpu_supports("fma") || !__builtin_cpu_supports("avx2")) {
        printf("this processor has no fused multiply-add: nothing to test\n");
        return 0;
    }
#endif
    return run_all(argc, argv);
}
