/*
 * The elementwise operations of a chain, each a loop over a short run of floats that lies in the L1
 * cache. Included by vec_chain.c (once per instruction set) and chain.c.
 * Test: tests/test_kernels_chain.c
 */
#ifndef CUPEL_VEC_CHAIN_H
#define CUPEL_VEC_CHAIN_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

/* X(symbol, op name or NULL where several codes serve one op) */
#define CHAIN_CODE_MAP(X) \
    X(NEG, "neg") \
    X(ABS, "abs") \
    X(EXP, "exp") \
    X(LOG, "log") \
    X(SQRT, "sqrt") \
    X(SQUARE, "square") \
    X(RECIPROCAL, "reciprocal") \
    X(SIGN, "sign") \
    X(RELU, "relu") \
    X(LEAKY_RELU, "leaky_relu") \
    X(SIGMOID, "sigmoid") \
    X(TANH, "tanh") \
    X(SOFTPLUS, "softplus") \
    X(CLAMP, "clamp") \
    X(ADD, "add") \
    X(SUB, "sub") \
    X(MUL, "mul") \
    X(DIV, "div") \
    X(MAXIMUM, "maximum") \
    X(MINIMUM, "minimum") \
    X(POW, "pow") \
    X(SELECT, "select") \
    X(EQUAL, NULL) \
    X(NOT_EQUAL, NULL) \
    X(LESS, NULL) \
    X(LESS_EQUAL, NULL) \
    X(GREATER, NULL) \
    X(GREATER_EQUAL, NULL)

enum chain_code {
#define CHAIN_ENUM(symbol, name) CHAIN_##symbol,
    CHAIN_CODE_MAP(CHAIN_ENUM)
#undef CHAIN_ENUM
        CHAIN_CODES
};

/* out may be one of the operands exactly, or lie apart from them. */
typedef void (*chain_function)(float *out, const float *a, const float *b, const float *c,
                               int64_t n, const float *attrs);

struct vec_chain_table {
    chain_function functions[CHAIN_CODES];
    /* out[i] = a[i * stride], for operands that are not contiguous. */
    void (*gather)(float *out, const float *a, int64_t stride, int64_t n);
    void (*fill)(float *out, float value, int64_t n);
    /* out is `times` copies of a[0..n). */
    void (*repeat)(float *out, const float *a, int64_t n, int64_t times);
};

CPU_VEC_DECLARE(struct vec_chain_table, vec_chain)

#endif
