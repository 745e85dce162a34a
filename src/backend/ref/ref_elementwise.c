/*
 * Elementwise reference kernels: one function of a double per op, applied under broadcasting.
 * Output 0 may be input 0: each element is read before it is written, and never after.
 * Test: tests/test_op_elementwise.c
 */
#include <math.h>
#include <string.h>

#include "backend/ref/ref.h"
#include "backend/ref/ref_walk.h"
#include "cupel/ops.h"

/* --- one operand --- */

#define REF_UNARY(name, expression) \
    static cupel_status name(const struct ref_call *call) { \
        const int64_t count = cupel_shape_count(ref_out_shape(call, 0)); \
        const double *const src = ref_in(call, 0); \
        double *const dst = ref_out(call, 0); \
        for (int64_t i = 0; i < count; i++) { \
            const double x = src[i]; \
            dst[i] = (expression); \
        } \
        return CUPEL_STATUS_OK; \
    }

static double sigmoid_of(double x) {
    const double e = exp(-fabs(x)); /* never overflows */
    return x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

/* A NaN stays one: fmax would drop it. */
static double softplus_of(double x) {
    return (x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x)));
}

REF_UNARY(ref_neg, -x)
REF_UNARY(ref_abs, fabs(x))
REF_UNARY(ref_exp, exp(x))
REF_UNARY(ref_log, log(x))
REF_UNARY(ref_sqrt, sqrt(x))
REF_UNARY(ref_square, (x)*x)
REF_UNARY(ref_reciprocal, 1.0 / x)
REF_UNARY(ref_sign, x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x == 0.0 ? 0.0 : x)
REF_UNARY(ref_relu, x <= 0.0 ? 0.0 : x)
REF_UNARY(ref_sigmoid, sigmoid_of(x))
REF_UNARY(ref_tanh, tanh(x))
REF_UNARY(ref_softplus, softplus_of(x))

static cupel_status ref_leaky_relu(const struct ref_call *call) {
    const struct attrs_leaky_relu *attrs = call->view->attrs;
    const int64_t count = cupel_shape_count(ref_out_shape(call, 0));
    for (int64_t i = 0; i < count; i++) {
        const double x = ref_in(call, 0)[i];
        ref_out(call, 0)[i] = x > 0.0 ? x : attrs->slope * x;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status ref_clamp(const struct ref_call *call) {
    const struct attrs_clamp *attrs = call->view->attrs;
    const int64_t count = cupel_shape_count(ref_out_shape(call, 0));
    for (int64_t i = 0; i < count; i++) {
        const double x = ref_in(call, 0)[i];
        ref_out(call, 0)[i] = x < attrs->low ? attrs->low : x > attrs->high ? attrs->high : x;
    }
    return CUPEL_STATUS_OK;
}

/* --- two and three operands --- */

static struct ref_walk walk_broadcast(const struct ref_call *call) {
    struct ref_walk walk = ref_walk_over(ref_out_shape(call, 0));
    for (int i = 0; i < call->view->n_inputs; i++)
        ref_walk_operand(&walk, ref_in_shape(call, i));
    return walk;
}

#define REF_BINARY(name, expression) \
    static cupel_status name(const struct ref_call *call) { \
        struct ref_walk walk = walk_broadcast(call); \
        double *dst = ref_out(call, 0); \
        for (; walk.left > 0; ref_walk_next(&walk)) { \
            const double a = ref_in(call, 0)[walk.at[0]]; \
            const double b = ref_in(call, 1)[walk.at[1]]; \
            *dst++ = (expression); \
        } \
        return CUPEL_STATUS_OK; \
    }

static double pow_of(double a, double b) {
    if (a != a || b != b)
        return a + b; /* pow() makes 1 of 1^NaN and NaN^0 */
    return a < 0.0 ? (double)NAN : pow(fabs(a), b);
}

REF_BINARY(ref_add, a + b)
REF_BINARY(ref_sub, a - b)
REF_BINARY(ref_mul, (a)*b)
REF_BINARY(ref_div, a / b)
REF_BINARY(ref_maximum, a > b || a != a ? a : b)
REF_BINARY(ref_minimum, a < b || a != a ? a : b)
REF_BINARY(ref_pow, pow_of(a, b))

/* -1, 0, 1, or 2 for a pair that has no order. */
#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b) ? 1 : (a) == (b) ? 0 : 2)

static int order_of(cupel_type type, const void *a, int64_t at_a, const void *b, int64_t at_b) {
    switch (type) {
    case CUPEL_TYPE_I32: return ORDER(((const int32_t *)a)[at_a], ((const int32_t *)b)[at_b]);
    case CUPEL_TYPE_I64: return ORDER(((const int64_t *)a)[at_a], ((const int64_t *)b)[at_b]);
    case CUPEL_TYPE_U8: return ORDER(((const uint8_t *)a)[at_a], ((const uint8_t *)b)[at_b]);
    case CUPEL_TYPE_U64: return ORDER(((const uint64_t *)a)[at_a], ((const uint64_t *)b)[at_b]);
    default: return ORDER(((const double *)a)[at_a], ((const double *)b)[at_b]);
    }
}

static bool holds(int64_t comparison, int order) {
    switch (comparison) {
    case CUPEL_EQUAL: return order == 0;
    case CUPEL_NOT_EQUAL: return order != 0;
    case CUPEL_LESS: return order == -1;
    case CUPEL_LESS_EQUAL: return order == -1 || order == 0;
    case CUPEL_GREATER: return order == 1;
    default: return order == 1 || order == 0;
    }
}

static cupel_status ref_compare(const struct ref_call *call) {
    const struct attrs_compare *attrs = call->view->attrs;
    const cupel_type type = call->view->inputs[0].type;
    struct ref_walk walk = walk_broadcast(call);
    double *dst = ref_out(call, 0);
    for (; walk.left > 0; ref_walk_next(&walk)) {
        const int order = order_of(type, call->inputs[0], walk.at[0], call->inputs[1], walk.at[1]);
        *dst++ = holds(attrs->comparison, order) ? 1.0 : 0.0;
    }
    return CUPEL_STATUS_OK;
}

/* Elements are moved as bytes: of a double where the type is real, else of the type. */
static cupel_status ref_select(const struct ref_call *call) {
    const cupel_type type = call->view->outputs[0].type;
    const size_t size = cupel_type_is_real(type) ? sizeof(double) : cupel_type_size(type);
    struct ref_walk walk = walk_broadcast(call);
    char *dst = call->outputs[0];
    for (; walk.left > 0; ref_walk_next(&walk), dst += size) {
        const int side = ref_in(call, 0)[walk.at[0]] != 0.0 ? 1 : 2;
        const char *const from = call->inputs[side];
        memmove(dst, from + (size_t)walk.at[side] * size, size);
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_elementwise_rows[] = {
    {"neg", ref_neg, false},
    {"abs", ref_abs, false},
    {"exp", ref_exp, false},
    {"log", ref_log, false},
    {"sqrt", ref_sqrt, false},
    {"square", ref_square, false},
    {"reciprocal", ref_reciprocal, false},
    {"sign", ref_sign, false},
    {"relu", ref_relu, false},
    {"leaky_relu", ref_leaky_relu, false},
    {"sigmoid", ref_sigmoid, false},
    {"tanh", ref_tanh, false},
    {"softplus", ref_softplus, false},
    {"clamp", ref_clamp, false},
    {"add", ref_add, false},
    {"sub", ref_sub, false},
    {"mul", ref_mul, false},
    {"div", ref_div, false},
    {"maximum", ref_maximum, false},
    {"minimum", ref_minimum, false},
    {"pow", ref_pow, false},
    {"compare", ref_compare, false},
    {"select", ref_select, false},
    {NULL, NULL, false},
};
