/*
 * log_softmax: y = x - m - ln sum e^(x - m) along an axis, m the largest element.
 *
 *   dx = dy - e^y sum(dy), the sum along the axis
 * NaN: propagates to the whole row. A row of -inf alone is NaN, as in PyTorch.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_axis *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_axis(view, 0, attrs->axis));
    return infer_same(view);
}

static double flops(const cupel_op_view *view) {
    return 5.0 * flops_per_input(view); /* maximum, difference, exponential, sum, quotient */
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_axis *attrs = adjoint->attrs;
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node y = adjoint->outputs[0];
    const cupel_node sum = cupel_reduce_sum(g, CUPEL_AXIS(attrs->axis), true);
    return adjoint_unary(adjoint, cupel_sub(g, cupel_mul(cupel_exp(y), sum)));
}

const cupel_op op_log_softmax = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "log_softmax",
    .attr_size = sizeof(struct attrs_axis),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_log_softmax(cupel_node x, int axis) {
    const struct attrs_axis attrs = {.axis = axis};
    return graph_add(x.graph, &op_log_softmax, NULL, &attrs, 1, &x);
}
