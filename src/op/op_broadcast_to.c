/*
 * broadcast_to: x repeated along axes of extent 1 and along new leading axes, up to the given
 * shape.
 *
 *   dx = the sum of dy over the axes along which x was repeated
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_shape *attrs = view->attrs;
    const cupel_shape shape = attrs_to_shape(attrs);
    const cupel_shape from = view->inputs[0].shape;
    cupel_shape both;
    if (!cupel_shape_broadcast(from, shape, &both) || !cupel_shape_equal(both, shape)) {
        char from_text[CUPEL_SHAPE_TEXT_SIZE];
        char to_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "%s cannot be repeated to %s; aligned at the last axis, each extent "
                             "must be equal or 1",
                             cupel_shape_format(from_text, from),
                             cupel_shape_format(to_text, shape));
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    return adjoint_unary(adjoint, adjoint_unbroadcast(adjoint->diff_outputs[0], x));
}

const cupel_op op_broadcast_to = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "broadcast_to",
    .attr_size = sizeof(struct attrs_shape),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = 0,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

cupel_node cupel_broadcast_to(cupel_node x, cupel_shape shape) {
    const struct attrs_shape attrs = attrs_of_shape(shape);
    return graph_add(x.graph, &op_broadcast_to, NULL, &attrs, 1, &x);
}
