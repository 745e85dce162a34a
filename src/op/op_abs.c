/*
 * abs: y = |x|.
 *
 *   dx = dy sign(x), which is 0 at x = 0
 * NaN: propagates.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node x = adjoint->inputs[0];
    return adjoint_unary(adjoint, cupel_mul(g, cupel_sign(x)));
}

const cupel_op op_abs = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "abs",
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

cupel_node cupel_abs(cupel_node x) {
    return build_unary(&op_abs, x);
}
