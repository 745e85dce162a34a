/*
 * reduce_mean: y = the sum of x over the axes, divided by the number of elements summed.
 *
 *   dx = dy / n, repeated along the axes
 * NaN: propagates.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    const struct attrs_reduce *attrs = adjoint->attrs;
    const cupel_node g = adjoint_keep_axes(adjoint->diff_outputs[0], x, (uint32_t)attrs->axes);
    const cupel_shape from = cupel_node_shape(x), to = cupel_node_shape(g);
    const double n = (double)cupel_shape_count(from) / (double)cupel_shape_count(to);
    return adjoint_unary(adjoint, cupel_broadcast_to(cupel_scale(g, 1.0 / n), from));
}

const cupel_op op_reduce_mean = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reduce_mean",
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

cupel_node cupel_reduce_mean(cupel_node x, uint32_t axes, bool keep) {
    return build_reduce(&op_reduce_mean, x, axes, keep);
}
