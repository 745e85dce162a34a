/*
 * reshape: the same elements in the same order, with other extents. One extent may be -1 in the
 * builder: what is left. The output is the input's bytes.
 *
 *   dx = dy reshaped back
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_shape *attrs = view->attrs;
    const cupel_shape shape = attrs_to_shape(attrs);
    const cupel_shape from = view->inputs[0].shape;
    if (!cupel_shape_valid(shape) || cupel_shape_count(shape) != cupel_shape_count(from)) {
        char from_text[CUPEL_SHAPE_TEXT_SIZE];
        char to_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(
            view, CUPEL_STATUS_SHAPE, "%s has %lld elements, which is not what %s holds",
            cupel_shape_format(from_text, from), (long long)cupel_shape_count(from),
            cupel_shape_format(to_text, shape));
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    return adjoint_unary(adjoint, cupel_reshape(adjoint->diff_outputs[0], cupel_node_shape(x)));
}

const cupel_op op_reshape = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reshape",
    .attr_size = sizeof(struct attrs_shape),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_VIEW,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

/* -1 replaced by what is left; left as it is (for infer to refuse) when nothing fits. */
static cupel_shape without_minus_one(cupel_shape from, cupel_shape shape) {
    int64_t rest = cupel_shape_count(from);
    int unknown = -1;
    for (int axis = 0; axis < shape.rank && axis < CUPEL_MAX_RANK; axis++) {
        if (shape.dims[axis] == -1 && unknown < 0)
            unknown = axis;
        else if (shape.dims[axis] < 1 || rest % shape.dims[axis] != 0)
            return shape;
        else
            rest /= shape.dims[axis];
    }
    if (unknown >= 0)
        shape.dims[unknown] = rest;
    return shape;
}

cupel_node cupel_reshape(cupel_node x, cupel_shape shape) {
    const cupel_desc *desc = cupel_node_desc(x);
    if (desc != NULL)
        shape = without_minus_one(desc->shape, shape);
    const struct attrs_shape attrs = attrs_of_shape(shape);
    return graph_add(x.graph, &op_reshape, NULL, &attrs, 1, &x);
}
