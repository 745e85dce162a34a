/*
 * pad: zeros before and after along one axis.
 *
 *   dx = the middle of dy (slice)
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_pad *attrs = view->attrs;
    CUPEL_TRY(infer_axis(view, 0, attrs->axis));
    const int64_t limit = INT64_C(1) << 60;
    cupel_shape shape = view->inputs[0].shape;
    const bool sane =
        attrs->before >= 0 && attrs->after >= 0 && attrs->before < limit && attrs->after < limit;
    if (sane)
        shape.dims[attrs->axis] += attrs->before + attrs->after;
    if (!sane || !cupel_shape_valid(shape)) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "%lld before and %lld after axis %lld of %s; neither may be negative "
                             "nor the result too large",
                             (long long)attrs->before, (long long)attrs->after,
                             (long long)attrs->axis,
                             cupel_shape_format(text, view->inputs[0].shape));
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_pad *attrs = adjoint->attrs;
    const int64_t extent = cupel_node_shape(adjoint->inputs[0]).dims[attrs->axis];
    return adjoint_unary(adjoint, cupel_slice(adjoint->diff_outputs[0], (int)attrs->axis,
                                              attrs->before, attrs->before + extent));
}

const cupel_op op_pad = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "pad",
    .attr_size = sizeof(struct attrs_pad),
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

cupel_node cupel_pad(cupel_node x, int axis, int64_t before, int64_t after) {
    const struct attrs_pad attrs = {.axis = axis, .before = before, .after = after};
    return graph_add(x.graph, &op_pad, NULL, &attrs, 1, &x);
}
