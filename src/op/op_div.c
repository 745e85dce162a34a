/*
 * div: y = a / b.
 *
 *   da = dy / b, db = -dy y / b
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: propagates; x / 0 is infinite, 0 / 0 is NaN.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    const cupel_node y = adjoint->outputs[0];
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = adjoint_unbroadcast(cupel_div(g, b), a);
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] = adjoint_unbroadcast(cupel_neg(cupel_div(cupel_mul(g, y), b)), b);
    return CUPEL_STATUS_OK;
}

const cupel_op op_div = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "div",
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

cupel_node cupel_div(cupel_node a, cupel_node b) {
    return build_binary(&op_div, a, b);
}
