/*
 * sqrt: y = x^(1/2).
 *
 *   dx = dy / (2 y), which is infinite at x = 0
 * NaN: propagates; the root of a negative number is NaN.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node y = adjoint->outputs[0];
    return adjoint_unary(adjoint, cupel_div(g, cupel_scale(y, 2.0)));
}

const cupel_op op_sqrt = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sqrt",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_sqrt(cupel_node x) {
    return build_unary(&op_sqrt, x);
}
