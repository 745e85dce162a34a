/*
 * transpose: the axes in another order; output axis i is input axis permutation[i].
 *
 *   dx = dy with the inverse permutation
 * NaN: moved.
 * Test: tests/test_op_shape.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_transpose *attrs = view->attrs;
    const cupel_shape from = view->inputs[0].shape;
    cupel_shape shape = {.rank = from.rank};
    uint32_t seen = 0;
    for (int i = 0; i < from.rank; i++) {
        const int64_t axis = attrs->permutation[i];
        char text[CUPEL_SHAPE_TEXT_SIZE];
        if (axis < 0 || axis >= from.rank || (seen & CUPEL_AXIS(axis)) != 0)
            return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                                 "entry %d of the permutation is %lld; each axis of %s (0 to %d) "
                                 "must occur once",
                                 i, (long long)axis, cupel_shape_format(text, from), from.rank - 1);
        seen |= CUPEL_AXIS(axis);
        shape.dims[i] = from.dims[axis];
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_transpose *attrs = adjoint->attrs;
    const int rank = cupel_node_shape(adjoint->inputs[0]).rank;
    int inverse[CUPEL_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++)
        inverse[attrs->permutation[i]] = i;
    return adjoint_unary(adjoint, cupel_transpose(adjoint->diff_outputs[0], inverse));
}

const cupel_op op_transpose = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "transpose",
    .attr_size = sizeof(struct attrs_transpose),
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

cupel_node cupel_transpose(cupel_node x, const int *permutation) {
    const cupel_desc *desc = cupel_node_desc(x);
    struct attrs_transpose attrs = {{0}};
    for (int i = 0; desc != NULL && i < desc->shape.rank; i++)
        attrs.permutation[i] = permutation[i];
    return graph_add(x.graph, &op_transpose, NULL, &attrs, 1, &x);
}
