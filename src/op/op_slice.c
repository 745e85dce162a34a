/*
 * slice: [begin, end) along one axis.
 *
 *   dx = dy with zeros where nothing was taken (pad)
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_slice *attrs = view->attrs;
    CUPEL_TRY(infer_axis(view, 0, attrs->axis));
    cupel_shape shape = view->inputs[0].shape;
    const int64_t extent = shape.dims[attrs->axis];
    if (attrs->begin < 0 || attrs->begin >= attrs->end || attrs->end > extent) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "[%lld, %lld) is not inside axis %lld of %s, which has %lld elements",
                             (long long)attrs->begin, (long long)attrs->end, (long long)attrs->axis,
                             cupel_shape_format(text, shape), (long long)extent);
    }
    shape.dims[attrs->axis] = attrs->end - attrs->begin;
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_slice *attrs = adjoint->attrs;
    const int64_t extent = cupel_node_shape(adjoint->inputs[0]).dims[attrs->axis];
    return adjoint_unary(adjoint, cupel_pad(adjoint->diff_outputs[0], (int)attrs->axis,
                                            attrs->begin, extent - attrs->end));
}

const cupel_op op_slice = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "slice",
    .attr_size = sizeof(struct attrs_slice),
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

cupel_node cupel_slice(cupel_node x, int axis, int64_t begin, int64_t end) {
    const struct attrs_slice attrs = {.axis = axis, .begin = begin, .end = end};
    return graph_add(x.graph, &op_slice, NULL, &attrs, 1, &x);
}
