/*
 * argmax: index (I64) of the first largest element along an axis, which is removed. An index has no
 * derivative: gradients stop here.
 *
 * NaN: counts as the largest; the first one wins.
 * Test: tests/test_op_reduce.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_axis *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_axis(view, 0, attrs->axis));
    const cupel_shape from = view->inputs[0].shape;
    cupel_shape shape = {.rank = 0};
    for (int axis = 0; axis < from.rank; axis++)
        if (axis != attrs->axis)
            shape.dims[shape.rank++] = from.dims[axis];
    infer_output(view, 0, CUPEL_TYPE_I64, shape);
    return CUPEL_STATUS_OK;
}

const cupel_op op_argmax = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "argmax",
    .attr_size = sizeof(struct attrs_axis),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_COMPARES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .flops = flops_per_input,
};

cupel_node cupel_argmax(cupel_node x, int axis) {
    const struct attrs_axis attrs = {.axis = axis};
    return graph_add(x.graph, &op_argmax, NULL, &attrs, 1, &x);
}
