/*
 * sub: y = a - b.
 *
 *   da = dy, db = -dy
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: propagates.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = adjoint_unbroadcast(g, a);
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] = adjoint_unbroadcast(cupel_neg(g), b);
    return CUPEL_STATUS_OK;
}

const cupel_op op_sub = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sub",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_sub(cupel_node a, cupel_node b) {
    return build_binary(&op_sub, a, b);
}
