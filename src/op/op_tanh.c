/*
 * tanh: y = (e^x - e^-x) / (e^x + e^-x).
 *
 *   dx = dy (1 - y^2)
 * NaN: propagates.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node y = adjoint->outputs[0];
    const cupel_node slope = cupel_sub(scalar_like(y, 1.0), cupel_square(y));
    return adjoint_unary(adjoint, cupel_mul(g, slope));
}

const cupel_op op_tanh = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "tanh",
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

cupel_node cupel_tanh(cupel_node x) {
    return build_unary(&op_tanh, x);
}
