/*
 * relu: y = max(x, 0).
 *
 *   dx = dy where y is not 0, else 0 (and so 0 at x = 0)
 * y is never negative, so "y is not 0" is "x > 0"; dy is moved, not multiplied by 0 or 1.
 * NaN: propagates, forward (unlike a comparison that yields 0) and to the gradient.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node y = adjoint->outputs[0];
    return adjoint_unary(adjoint, cupel_select(y, g, scalar_like(g, 0.0)));
}

const cupel_op op_relu = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "relu",
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

cupel_node cupel_relu(cupel_node x) {
    return build_unary(&op_relu, x);
}
