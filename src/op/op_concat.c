/*
 * concat: tensors one after the other along an axis; they agree in all other extents.
 *
 *   each dx = its part of dy (slice)
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

enum { CONCAT_MOST = 64 }; /* operands of one node; longer lists become a tree */

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_axis *attrs = view->attrs;
    CUPEL_TRY(infer_axis(view, 0, attrs->axis));
    CUPEL_TRY(infer_one_type(view, 0));
    cupel_shape shape = view->inputs[0].shape;
    shape.dims[attrs->axis] = 0;
    for (int i = 0; i < view->n_inputs; i++) {
        cupel_shape other = view->inputs[i].shape;
        const int64_t extent = other.rank == shape.rank ? other.dims[attrs->axis] : 0;
        if (other.rank == shape.rank)
            other.dims[attrs->axis] = shape.dims[attrs->axis];
        if (!cupel_shape_equal(other, shape)) {
            char first_text[CUPEL_SHAPE_TEXT_SIZE];
            char other_text[CUPEL_SHAPE_TEXT_SIZE];
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                                 "input %d is %s, but input 0 is %s; only axis %lld may differ", i,
                                 cupel_shape_format(other_text, view->inputs[i].shape),
                                 cupel_shape_format(first_text, view->inputs[0].shape),
                                 (long long)attrs->axis);
        }
        shape.dims[attrs->axis] += extent;
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_axis *attrs = adjoint->attrs;
    int64_t begin = 0;
    for (int i = 0; i < adjoint->n_inputs; i++) {
        const int64_t end = begin + cupel_node_shape(adjoint->inputs[i]).dims[attrs->axis];
        if (adjoint->wanted[i])
            adjoint->diff_inputs[i] =
                cupel_slice(adjoint->diff_outputs[0], (int)attrs->axis, begin, end);
        begin = end;
    }
    return CUPEL_STATUS_OK;
}

const cupel_op op_concat = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "concat",
    .attr_size = sizeof(struct attrs_axis),
    .min_inputs = 1,
    .max_inputs = CONCAT_MOST,
    .n_outputs = 1,
    .flags = 0,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

cupel_node cupel_concat(size_t n, const cupel_node *xs, int axis) {
    if (n == 0)
        return cupel_none();
    if (n > CONCAT_MOST) {
        const cupel_node halves[] = {cupel_concat(n / 2, xs, axis),
                                     cupel_concat(n - n / 2, xs + n / 2, axis)};
        return cupel_concat(2, halves, axis);
    }
    const struct attrs_axis attrs = {.axis = axis};
    return graph_add(xs[0].graph, &op_concat, NULL, &attrs, n, xs);
}
