/*
 * reduce_min: y = the smallest element of x along the axes.
 *
 *   dx = dy / k at each of the k elements equal to y, else 0
 * NaN: propagates; no gradient flows then.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

const cupel_op op_reduce_min = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reduce_min",
    .attr_size = sizeof(struct attrs_reduce),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer_reduce,
    .adjoint = adjoint_reduce_extremum,
    .flops = flops_per_input,
};

cupel_node cupel_reduce_min(cupel_node x, uint32_t axes, bool keep) {
    return build_reduce(&op_reduce_min, x, axes, keep);
}
