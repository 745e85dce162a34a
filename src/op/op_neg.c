/*
 * neg: y = -x.
 *
 *   dx = -dy
 * NaN: propagates. The sign of zero changes.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    return adjoint_unary(adjoint, cupel_neg(adjoint->diff_outputs[0]));
}

const cupel_op op_neg = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "neg",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_neg(cupel_node x) {
    return build_unary(&op_neg, x);
}
