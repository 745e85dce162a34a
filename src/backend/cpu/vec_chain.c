/*
 * The loops behind vec_chain.h: one line an operation, vectorised by the compiler. NaN rules are
 * those of the ops: comparisons are written so that a NaN falls through to the result.
 * Test: tests/test_kernels_chain.c
 */
#include "backend/cpu/vec_chain.h"

#include <string.h>

#include "backend/cpu/vec.h"
#include "base/real_math.h"

#define UNARY(name, expression) \
    static void name(float *out, const float *a, const float *b, const float *c, int64_t n, \
                     const float *attrs) { \
        (void)b; \
        (void)c; \
        (void)attrs; \
        VEC_LOOP \
        for (int64_t i = 0; i < n; i++) { \
            const float x = a[i]; \
            out[i] = (expression); \
        } \
    }

#define UNARY_WITH_TWO(name, expression) \
    static void name(float *out, const float *a, const float *b, const float *c, int64_t n, \
                     const float *attrs) { \
        const float p = attrs[0], q = attrs[1]; \
        (void)q; \
        (void)b; \
        (void)c; \
        VEC_LOOP \
        for (int64_t i = 0; i < n; i++) { \
            const float x = a[i]; \
            out[i] = (expression); \
        } \
    }

#define BINARY(name, expression) \
    static void name(float *out, const float *a, const float *b, const float *c, int64_t n, \
                     const float *attrs) { \
        (void)c; \
        (void)attrs; \
        VEC_LOOP \
        for (int64_t i = 0; i < n; i++) { \
            const float x = a[i], y = b[i]; \
            out[i] = (expression); \
        } \
    }

/* In double, element by element: powers are rare, and exp(b log a) in float would lose digits. */
static inline float power(float a, float b) {
    if (a != a || b != b || a < 0.0F)
        return NAN;
    return (float)pow((double)a, (double)b);
}

UNARY(run_neg, -x)
UNARY(run_abs, real_abs(x))
UNARY(run_exp, real_expf(x))
UNARY(run_log, real_logf(x))
UNARY(run_sqrt, sqrtf(x))
UNARY(run_square, x *x)
UNARY(run_reciprocal, 1.0F / x)
UNARY(run_sign, x > 0.0F ? 1.0F : (x < 0.0F ? -1.0F : x))
UNARY(run_relu, x < 0.0F ? 0.0F : x)
UNARY(run_sigmoid, real_sigmoidf(x))
UNARY(run_tanh, real_tanhf(x))
UNARY(run_softplus, real_softplusf(x))
UNARY_WITH_TWO(run_leaky_relu, x > 0.0F ? x : p * x)
UNARY_WITH_TWO(run_clamp, x < p ? p : (x > q ? q : x))
BINARY(run_add, x + y)
BINARY(run_sub, x - y)
BINARY(run_mul, x *y)
BINARY(run_div, x / y)
BINARY(run_maximum, x != x ? x : (x > y ? x : y))
BINARY(run_minimum, x != x ? x : (x < y ? x : y))
BINARY(run_pow, power(x, y))
BINARY(run_equal, x == y ? 1.0F : 0.0F)
BINARY(run_not_equal, x != y ? 1.0F : 0.0F)
BINARY(run_less, x < y ? 1.0F : 0.0F)
BINARY(run_less_equal, x <= y ? 1.0F : 0.0F)
BINARY(run_greater, x > y ? 1.0F : 0.0F)
BINARY(run_greater_equal, x >= y ? 1.0F : 0.0F)

/* Elements are moved as bits: nothing is computed with the side that is not taken. */
static void run_select(float *out, const float *a, const float *b, const float *c, int64_t n,
                       const float *attrs) {
    (void)attrs;
    VEC_LOOP
    for (int64_t i = 0; i < n; i++) {
        const float condition = a[i], x = b[i], y = c[i];
        out[i] = condition != 0.0F ? x : y;
    }
}

static void gather(float *out, const float *a, int64_t stride, int64_t n) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i * stride];
}

static void fill(float *out, float value, int64_t n) {
    VEC_LOOP
    for (int64_t i = 0; i < n; i++)
        out[i] = value;
}

static void repeat(float *out, const float *a, int64_t n, int64_t times) {
    if (n == 16) {
        float block[16];
        memcpy(block, a, sizeof block);
        for (int64_t t = 0; t < times; t++)
            for (int i = 0; i < 16; i++)
                out[t * 16 + i] = block[i];
        return;
    }
    for (int64_t t = 0; t < times; t++)
        memcpy(out + t * n, a, (size_t)n * sizeof(float));
}

const struct vec_chain_table CUPEL_VEC(vec_chain) = {
    .functions =
        {
            [CHAIN_NEG] = run_neg,
            [CHAIN_ABS] = run_abs,
            [CHAIN_EXP] = run_exp,
            [CHAIN_LOG] = run_log,
            [CHAIN_SQRT] = run_sqrt,
            [CHAIN_SQUARE] = run_square,
            [CHAIN_RECIPROCAL] = run_reciprocal,
            [CHAIN_SIGN] = run_sign,
            [CHAIN_RELU] = run_relu,
            [CHAIN_LEAKY_RELU] = run_leaky_relu,
            [CHAIN_SIGMOID] = run_sigmoid,
            [CHAIN_TANH] = run_tanh,
            [CHAIN_SOFTPLUS] = run_softplus,
            [CHAIN_CLAMP] = run_clamp,
            [CHAIN_ADD] = run_add,
            [CHAIN_SUB] = run_sub,
            [CHAIN_MUL] = run_mul,
            [CHAIN_DIV] = run_div,
            [CHAIN_MAXIMUM] = run_maximum,
            [CHAIN_MINIMUM] = run_minimum,
            [CHAIN_POW] = run_pow,
            [CHAIN_SELECT] = run_select,
            [CHAIN_EQUAL] = run_equal,
            [CHAIN_NOT_EQUAL] = run_not_equal,
            [CHAIN_LESS] = run_less,
            [CHAIN_LESS_EQUAL] = run_less_equal,
            [CHAIN_GREATER] = run_greater,
            [CHAIN_GREATER_EQUAL] = run_greater_equal,
        },
    .gather = gather,
    .fill = fill,
    .repeat = repeat,
};
