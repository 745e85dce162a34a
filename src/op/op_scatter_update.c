/*
 * scatter_update: a table with some rows replaced: out[index[i], :] = rows[i, :], every other row
 * as it was. On duplicates in the index the lowest i wins. Of any type; index is [N].
 *
 *   d table = dy with zeros in the replaced rows
 *   d rows[i] = dy[index[i]] where i won its row, else 0
 * NaN: moved.
 * Test: tests/test_op_index.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(infer_index(view, 1));
    CUPEL_TRY(infer_rank(view, 1, 1));
    const cupel_shape table = view->inputs[0].shape;
    const cupel_shape rows = view->inputs[2].shape;
    cupel_shape expected = table;
    expected.dims[0] = view->inputs[1].shape.dims[0];
    if (table.rank < 1 || !cupel_shape_equal(rows, expected)) {
        char table_text[CUPEL_SHAPE_TEXT_SIZE];
        char rows_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(
            view, CUPEL_STATUS_SHAPE, "rows %s by %lld indices do not fit into a table %s",
            cupel_shape_format(rows_text, rows), (long long)view->inputs[1].shape.dims[0],
            cupel_shape_format(table_text, table));
    }
    if (view->inputs[2].type != view->inputs[0].type)
        return cupel_op_fail(
            view, CUPEL_STATUS_TYPE, "the table is %s, but the rows are %s; cast one of them",
            cupel_type_name(view->inputs[0].type), cupel_type_name(view->inputs[2].type));
    return infer_same(view);
}

/* 1 where row i is the one that stays (no lower one has the same index), as [N, 1, ...]: each row
 * writes its own number into a table of numbers, and looks whether it is still there. */
static cupel_node winners(cupel_node index, int64_t extent, int rank) {
    cupel_graph *const graph = index.graph;
    const int64_t n = cupel_node_shape(index).dims[0];
    const cupel_node numbers = iota(graph, n);
    const cupel_node blank = cupel_full(graph, CUPEL_TYPE_I64, cupel_shape_make(1, &extent), 0.0);
    const cupel_node last = cupel_gather(cupel_scatter_update(blank, index, numbers), index);
    cupel_shape column = {.rank = rank, .dims = {n, 1, 1, 1, 1, 1}};
    return cupel_reshape(cupel_compare(CUPEL_EQUAL, last, numbers), column);
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node index = adjoint->inputs[1];
    const cupel_node rows = adjoint->inputs[2];
    if (adjoint->wanted[0]) {
        const cupel_node zeros = cupel_broadcast_to(scalar_like(g, 0.0), cupel_node_shape(rows));
        adjoint->diff_inputs[0] = cupel_scatter_update(g, index, zeros);
    }
    if (adjoint->wanted[2]) {
        const cupel_shape table = cupel_node_shape(g);
        adjoint->diff_inputs[2] = cupel_select(winners(index, table.dims[0], table.rank),
                                               cupel_gather(g, index), scalar_like(g, 0.0));
    }
    return CUPEL_STATUS_OK;
}

const cupel_op op_scatter_update = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "scatter_update",
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .in_place = {1},
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

cupel_node cupel_scatter_update(cupel_node table, cupel_node index, cupel_node rows) {
    const cupel_node inputs[] = {table, index, rows};
    return graph_add(table.graph, &op_scatter_update, NULL, NULL, 3, inputs);
}
