/*
 * stop_gradient: y = x, through which no gradient flows. Of any type; the same bytes, not a copy.
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
    .flags = CUPEL_OP_NO_GRADIENT | CUPEL_OP_VIEW,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .in_place = {1},
    .infer = infer_same,
    .flops = flops_none,
};

cupel_node cupel_stop_gradient(cupel_node x) {
    return build_unary(&op_stop_gradient, x);
}
