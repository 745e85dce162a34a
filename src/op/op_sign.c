/*
 * sign: y = -1, 0 or 1.
 *
 * Its derivative is 0 wherever there is one: gradients stop here.
 * NaN: propagates.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

const cupel_op op_sign = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sign",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
};

cupel_node cupel_sign(cupel_node x) {
    return build_unary(&op_sign, x);
}
