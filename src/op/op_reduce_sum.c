/*
 * reduce_sum: y = the sum of x over the axes.
 *
 *   dx = dy, repeated along the axes
 * NaN: propagates.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    const struct attrs_reduce *attrs = adjoint->attrs;
    const cupel_node g = adjoint_keep_axes(adjoint->diff_outputs[0], x, (uint32_t)attrs->axes);
    return adjoint_unary(adjoint, cupel_broadcast_to(g, cupel_node_shape(x)));
}

const cupel_op op_reduce_sum = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reduce_sum",
    .attr_size = sizeof(struct attrs_reduce),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = 0,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 1,
    .infer = infer_reduce,
    .adjoint = adjoint,
    .flops = flops_per_input,
};

cupel_node cupel_reduce_sum(cupel_node x, uint32_t axes, bool keep) {
    return build_reduce(&op_reduce_sum, x, axes, keep);
}
