/*
 * reduce_max: y = the largest element of x along the axes.
 *
 *   dx = dy / k at each of the k elements equal to y, else 0
 * NaN: propagates; no gradient flows then.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    const struct attrs_reduce *attrs = adjoint->attrs;
    const uint32_t axes = (uint32_t)attrs->axes;
    const cupel_node g = adjoint_keep_axes(adjoint->diff_outputs[0], x, axes);
    const cupel_node y = adjoint_keep_axes(adjoint->outputs[0], x, axes);
    const cupel_node equal = cupel_compare(CUPEL_EQUAL, x, y);
    /* At least 1, so that a NaN does not make a division by 0 where nothing is equal. */
    const cupel_node k = cupel_maximum(cupel_reduce_sum(equal, axes, true), scalar_like(y, 1.0));
    return adjoint_unary(adjoint, cupel_select(equal, cupel_div(g, k), scalar_like(g, 0.0)));
}

const cupel_op op_reduce_max = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reduce_max",
    .attr_size = sizeof(struct attrs_reduce),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer_reduce,
    .adjoint = adjoint,
    .flops = flops_per_input,
};

cupel_node cupel_reduce_max(cupel_node x, uint32_t axes, bool keep) {
    return build_reduce(&op_reduce_max, x, axes, keep);
}
