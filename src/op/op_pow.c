/*
 * pow: y = a^b for a >= 0; 0^0 = 1.
 *
 *   da = dy b a^(b - 1), which is 0 where b = 0
 *   db = dy y ln a, taken as 0 where a = 0
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: propagates (also 1^NaN and NaN^0, which the C library makes 1); a negative a gives NaN.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    const cupel_node y = adjoint->outputs[0];
    if (adjoint->wanted[0]) {
        const cupel_node lower = cupel_pow(a, cupel_sub(b, scalar_like(b, 1.0)));
        const cupel_node diff = cupel_mul(g, cupel_mul(b, lower));
        adjoint->diff_inputs[0] =
            adjoint_unbroadcast(cupel_select(b, diff, scalar_like(g, 0.0)), a);
    }
    if (adjoint->wanted[1]) {
        const cupel_node diff = cupel_mul(g, cupel_mul(y, cupel_log(a)));
        adjoint->diff_inputs[1] =
            adjoint_unbroadcast(cupel_select(a, diff, scalar_like(g, 0.0)), b);
    }
    return CUPEL_STATUS_OK;
}

const cupel_op op_pow = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "pow",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_pow(cupel_node a, cupel_node b) {
    return build_binary(&op_pow, a, b);
}
