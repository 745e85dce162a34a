/*
 * clamp: y = min(max(x, low), high), low <= high; either may be infinite.
 *
 *   dx = dy where low <= x <= high, else 0
 * which is where y = x: one comparison instead of two.
 * NaN: propagates; no gradient flows to a NaN.
 * Test: tests/test_op_elementwise.c
 */
#include "base/number.h"
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_clamp *attrs = view->attrs;
    if (!(attrs->low <= attrs->high)) {
        char low[NUMBER_TEXT_SIZE];
        char high[NUMBER_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                             "low is %s and high %s; low must not be above high",
                             number_format_f64(low, attrs->low),
                             number_format_f64(high, attrs->high));
    }
    return infer_elementwise(view);
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node x = adjoint->inputs[0];
    const cupel_node y = adjoint->outputs[0];
    const cupel_node inside = cupel_compare(CUPEL_EQUAL, x, y);
    return adjoint_unary(adjoint, cupel_select(inside, g, scalar_like(g, 0.0)));
}

const cupel_op op_clamp = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "clamp",
    .attr_size = sizeof(struct attrs_clamp),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer,
    .adjoint = adjoint,
};

cupel_node cupel_clamp(cupel_node x, double low, double high) {
    const struct attrs_clamp attrs = {.low = low, .high = high};
    return graph_add(x.graph, &op_clamp, NULL, &attrs, 1, &x);
}
