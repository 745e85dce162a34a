/*
 * scatter_add: out[index[i], :] += rows[i, :], from zeros of `extent` rows, summed in the order of
 * i. index is [N], rows [N, ...].
 *
 *   d rows[i] = dy[index[i]]
 * NaN: propagates to the row it is added to.
 * Test: tests/test_op_index.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_extent *attrs = view->attrs;
    CUPEL_TRY(infer_index(view, 0));
    CUPEL_TRY(infer_rank(view, 0, 1));
    CUPEL_TRY(infer_real(view, 1));
    const int64_t n = view->inputs[0].shape.dims[0];
    cupel_shape shape = view->inputs[1].shape;
    if (shape.rank < 1 || shape.dims[0] != n) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "there are %lld indices, but the rows are %s", (long long)n,
                             cupel_shape_format(text, shape));
    }
    shape.dims[0] = attrs->extent;
    if (!cupel_shape_valid(shape))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "%lld rows are asked for; it must be at least 1 and not too many",
                             (long long)attrs->extent);
    infer_output(view, 0, view->inputs[1].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] = cupel_gather(adjoint->diff_outputs[0], adjoint->inputs[0]);
    return CUPEL_STATUS_OK;
}

static double flops_rows(const cupel_op_view *view) {
    return (double)cupel_shape_count(view->inputs[1].shape);
}

const cupel_op op_scatter_add = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "scatter_add",
    .attr_size = sizeof(struct attrs_extent),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_rows,
};

cupel_node cupel_scatter_add(cupel_node index, cupel_node rows, int64_t extent) {
    const struct attrs_extent attrs = {.extent = extent};
    const cupel_node inputs[] = {index, rows};
    return graph_add(index.graph, &op_scatter_add, NULL, &attrs, 2, inputs);
}
