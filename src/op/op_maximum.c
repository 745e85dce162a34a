/*
 * maximum: y = the larger of a and b.
 *
 *   the larger operand gets dy; where both are equal each gets dy / 2
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: propagates, from either operand; no gradient flows to either then.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    return adjoint_extremum(adjoint, CUPEL_GREATER);
}

const cupel_op op_maximum = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "maximum",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_maximum(cupel_node a, cupel_node b) {
    return build_binary(&op_maximum, a, b);
}
