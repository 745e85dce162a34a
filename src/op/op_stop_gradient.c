/*
 * stop_gradient: y = x, through which no gradient flows. Of any type. Once gradients have been
 * added the node has done its work: the simplify pass drops it, and where one is left it copies
 * (the compiler uses it for outputs that need memory of their own).
 *
 * NaN: moved.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

const cupel_op op_stop_gradient = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "stop_gradient",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer_same,
    .flops = flops_none,
};

cupel_node cupel_stop_gradient(cupel_node x) {
    return build_unary(&op_stop_gradient, x);
}
