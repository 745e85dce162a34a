/*
 * square: y = x^2.
 *
 *   dx = 2 x dy
 * NaN: propagates.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node x = adjoint->inputs[0];
    return adjoint_unary(adjoint, cupel_mul(g, cupel_scale(x, 2.0)));
}

const cupel_op op_square = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "square",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_square(cupel_node x) {
    return build_unary(&op_square, x);
}
