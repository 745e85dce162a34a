/*
 * logsumexp: y = ln of the sum of e^x over the axes, computed as m + ln sum e^(x - m),
 * m the largest element.
 *
 *   dx = dy e^(x - y)
 * NaN: propagates. All -inf gives -inf (and a NaN gradient: the function has none there), any +inf
 * gives +inf.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    const struct attrs_reduce *attrs = adjoint->attrs;
    const uint32_t axes = (uint32_t)attrs->axes;
    const cupel_node g = adjoint_keep_axes(adjoint->diff_outputs[0], x, axes);
    const cupel_node y = adjoint_keep_axes(adjoint->outputs[0], x, axes);
    return adjoint_unary(adjoint, cupel_mul(g, cupel_exp(cupel_sub(x, y))));
}

const cupel_op op_logsumexp = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "logsumexp",
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

cupel_node cupel_logsumexp(cupel_node x, uint32_t axes, bool keep) {
    return build_reduce(&op_logsumexp, x, axes, keep);
}
