/*
 * gather: rows of a table by index: out[i..., :] = table[index[i...], :]. The table is of any type;
 * its first axis is indexed, the shape of the index takes its place.
 *
 *   d table = scatter_add of dy's rows: an index that occurs twice gets both
 * The index must be known to lie within the table's rows when the graph is built (op_indices.c):
 * kernels do not look.
 * NaN: moved.
 * Test: tests/test_op_index.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(infer_index(view, 1));
    const cupel_shape table = view->inputs[0].shape;
    const cupel_shape index = view->inputs[1].shape;
    if (table.rank < 1 || index.rank + table.rank - 1 > CUPEL_MAX_RANK) {
        char table_text[CUPEL_SHAPE_TEXT_SIZE];
        char index_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "rows of a table %s by an index %s: the table needs an axis, and the "
                             "result at most %d",
                             cupel_shape_format(table_text, table),
                             cupel_shape_format(index_text, index), (int)CUPEL_MAX_RANK);
    }
    cupel_shape shape = index;
    for (int axis = 1; axis < table.rank; axis++)
        shape.dims[shape.rank++] = table.dims[axis];
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    if (!adjoint->wanted[0])
        return CUPEL_STATUS_OK;
    const cupel_node index = adjoint->inputs[1];
    const cupel_shape table = cupel_node_shape(adjoint->inputs[0]);
    const int64_t n = cupel_shape_count(cupel_node_shape(index));
    cupel_shape rows = table;
    rows.dims[0] = n;
    const cupel_node flat_index = cupel_reshape(index, cupel_shape_make(1, &n));
    const cupel_node flat_rows = cupel_reshape(adjoint->diff_outputs[0], rows);
    return adjoint_unary(adjoint, cupel_scatter_add(flat_index, flat_rows, table.dims[0]));
}

const cupel_op op_gather = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "gather",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

cupel_node cupel_gather(cupel_node table, cupel_node index) {
    return build_binary(&op_gather, table, index);
}
