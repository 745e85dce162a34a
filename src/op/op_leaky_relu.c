/*
 * leaky_relu: y = x for x > 0, else slope x.
 *
 *   dx = dy where y > 0, else slope dy
 * The slope is not negative, so y has the sign of x and the adjoint needs y alone.
 * NaN: propagates. Maas, Hannun and Ng 2013.
 * Test: tests/test_op_elementwise.c
 */
#include <math.h>

#include "base/number.h"
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_leaky_relu *attrs = view->attrs;
    if (!(attrs->slope >= 0.0) || isinf(attrs->slope)) {
        char text[NUMBER_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                             "the slope is %s; it must be finite and not negative",
                             number_format_f64(text, attrs->slope));
    }
    return infer_elementwise(view);
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_leaky_relu *attrs = adjoint->attrs;
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node y = adjoint->outputs[0];
    const cupel_node positive = cupel_compare(CUPEL_GREATER, y, scalar_like(y, 0.0));
    return adjoint_unary(adjoint, cupel_select(positive, g, cupel_scale(g, attrs->slope)));
}

const cupel_op op_leaky_relu = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "leaky_relu",
    .attr_size = sizeof(struct attrs_leaky_relu),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer,
    .adjoint = adjoint,
};

cupel_node cupel_leaky_relu(cupel_node x, double slope) {
    const struct attrs_leaky_relu attrs = {.slope = slope};
    return graph_add(x.graph, &op_leaky_relu, NULL, &attrs, 1, &x);
}
