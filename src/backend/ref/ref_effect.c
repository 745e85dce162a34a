/*
 * Reference kernels of what is not arithmetic: casts, copies into variables, the guard.
 * Test: tests/test_op_elementwise.c, tests/test_program.c
 */
#include <math.h>
#include <string.h>

#include "backend/ref/ref.h"

static cupel_status copy(const struct ref_call *call, int input) {
    const size_t bytes = cupel_desc_bytes(&call->view->inputs[input]);
    if (call->outputs[0] != call->inputs[input])
        memmove(call->outputs[0], call->inputs[input], bytes);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_stop_gradient(const struct ref_call *call) {
    return copy(call, 0);
}

/* Input 0 is the variable's old value, which is not needed. */
static cupel_status ref_assign(const struct ref_call *call) {
    return copy(call, 1);
}

/* Its output, which only visitors see, is 1 where the run goes on. */
static cupel_status ref_guard(const struct ref_call *call) {
    const bool finite = isfinite(ref_in(call, 0)[0]);
    *(uint8_t *)call->outputs[0] = finite;
    return finite ? CUPEL_STATUS_OK : CUPEL_STATUS_NOT_FINITE;
}

/* --- cast --- */

/* An integer of any type as sign and magnitude: u64 and i64 have no common type. */
struct whole {
    bool negative;
    uint64_t magnitude;
};

static struct whole whole_of(int64_t value) {
    return value < 0 ? (struct whole){true, (uint64_t)(-(value + 1)) + 1}
                     : (struct whole){false, (uint64_t)value};
}

/* Truncated towards 0, at most 2^64 - 1 in magnitude; a NaN is 0. */
static struct whole whole_of_real(double value) {
    const double size = trunc(fabs(value));
    if (value != value)
        return (struct whole){false, 0};
    return (struct whole){value < 0.0, size >= 0x1p64 ? UINT64_MAX : (uint64_t)size};
}

static struct whole load_whole(cupel_type type, const void *from, int64_t i) {
    switch (type) {
    case CUPEL_TYPE_I32: return whole_of(((const int32_t *)from)[i]);
    case CUPEL_TYPE_I64: return whole_of(((const int64_t *)from)[i]);
    case CUPEL_TYPE_U8: return whole_of(((const uint8_t *)from)[i]);
    case CUPEL_TYPE_U64: return (struct whole){false, ((const uint64_t *)from)[i]};
    default: return whole_of_real(((const double *)from)[i]);
    }
}

/* Into [-most - 1, most]. */
static int64_t saturated(struct whole value, uint64_t most) {
    if (!value.negative)
        return (int64_t)(value.magnitude > most ? most : value.magnitude);
    return value.magnitude > most ? -(int64_t)most - 1 : -(int64_t)value.magnitude;
}

static uint64_t saturated_unsigned(struct whole value, uint64_t most) {
    if (value.negative)
        return 0;
    return value.magnitude > most ? most : value.magnitude;
}

static void store_whole(cupel_type type, void *to, int64_t i, struct whole value) {
    switch (type) {
    case CUPEL_TYPE_I32: ((int32_t *)to)[i] = (int32_t)saturated(value, INT32_MAX); break;
    case CUPEL_TYPE_I64: ((int64_t *)to)[i] = saturated(value, INT64_MAX); break;
    case CUPEL_TYPE_U8: ((uint8_t *)to)[i] = (uint8_t)saturated_unsigned(value, UINT8_MAX); break;
    case CUPEL_TYPE_U64: ((uint64_t *)to)[i] = saturated_unsigned(value, UINT64_MAX); break;
    default:
        ((double *)to)[i] = value.negative ? -(double)value.magnitude : (double)value.magnitude;
        break;
    }
}

static cupel_status ref_cast(const struct ref_call *call) {
    const cupel_type from = call->view->inputs[0].type;
    const cupel_type to = call->view->outputs[0].type;
    const int64_t count = cupel_shape_count(ref_in_shape(call, 0));
    const bool both_real = cupel_type_is_real(from) && cupel_type_is_real(to);
    for (int64_t i = 0; i < count; i++) {
        if (both_real) /* the wrapper rounds */
            ref_out(call, 0)[i] = ref_in(call, 0)[i];
        else
            store_whole(to, call->outputs[0], i, load_whole(from, call->inputs[0], i));
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_effect_rows[] = {
    {"cast", ref_cast, false},    {"stop_gradient", ref_stop_gradient, true},
    {"assign", ref_assign, true}, {"guard", ref_guard, false},
    {NULL, NULL, false},
};
