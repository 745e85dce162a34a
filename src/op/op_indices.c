/*
 * Bounds of indices: every I64 value of a graph is known to lie in [0, bound), or not known to, so
 * that an op that reads rows by index is refused when the graph is built and no kernel has to look.
 * The bound is found when a node is appended: inputs are checked when they are written, constants
 * by value, argmax by its extent; moves take the largest bound of what they move. Nothing else has
 * one. Test: tests/test_op_index.c
 */
#include "op/op_internal.h"

/* Whether operand i of a moving op goes to the output, rather than saying from or to where. */
static bool is_moved(const struct graph_node *node, uint32_t i) {
    const bool by_index = node->op == &op_gather || node->op == &op_scatter_update;
    const bool condition = node->op == &op_select && i == 0;
    return !(by_index && i == 1) && !condition;
}

/* Zeros that padding adds are within every bound. */
static bool moves_indices(const struct graph_node *node) {
    return node->op->nan_rule == CUPEL_NAN_MOVES && node->op->run == NULL && node->n_inputs > 0 &&
           node->outputs[0].type == CUPEL_TYPE_I64;
}

/* The operand with the widest bound, unknown (0) being wider than all. */
static const struct graph_node *widest(const cupel_graph *graph, const struct graph_node *node) {
    const struct graph_node *found = NULL;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        if (!is_moved(node, i))
            continue;
        const struct graph_node *from = graph_node_at(graph, node->inputs[i].node);
        if (found == NULL || (found->index_bound != 0 &&
                              (from->index_bound == 0 || from->index_bound > found->index_bound)))
            found = from;
    }
    return found;
}

int64_t index_bound_of(const cupel_graph *graph, const struct graph_node *node) {
    if (node->op == &op_argmax) {
        const struct attrs_axis *attrs = node->attrs;
        const struct edge from = node->inputs[0];
        return graph_node_at(graph, from.node)->outputs[from.output].shape.dims[attrs->axis];
    }
    return moves_indices(node) ? widest(graph, node)->index_bound : 0;
}

int64_t index_bound_of_values(const int64_t *values, size_t n) {
    int64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i] < 0)
            return 0;
        largest = values[i] > largest ? values[i] : largest;
    }
    return largest == INT64_MAX ? largest : largest + 1; /* no axis is as long as that */
}

bool index_within(cupel_node index, int64_t extent, const char *op) {
    const struct graph_node *node = graph_node_at(index.graph, index.id);
    if (node->index_bound > 0 && node->index_bound <= extent)
        return true;
    while (moves_indices(node)) /* to where the values come from */
        node = widest(index.graph, node);
    if (node->index_bound != 0)
        (void)graph_fail(index.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s: the index \"%s\" may be up to %lld, but there are %lld rows", op,
                         node->name, (long long)(node->index_bound - 1), (long long)extent);
    else if (node->op == &op_input)
        (void)graph_fail(index.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s: the index \"%s\" is an input without a bound; declare it with "
                         "cupel_input_index(..., %lld)",
                         op, node->name, (long long)extent);
    else if (node->op == &op_constant)
        (void)graph_fail(index.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s: the constant index \"%s\" holds a negative number; rows count from 0",
                         op, node->name);
    else
        (void)graph_fail(index.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s: nothing bounds the values of the index \"%s\" (%s), of which there "
                         "may be %lld; take indices from cupel_input_index(), which is checked "
                         "when it is written, from a constant or from cupel_argmax()",
                         op, node->name, node->op->name, (long long)extent);
    return false;
}

bool indices_fit(const cupel_op *op, const void *attrs, const cupel_node *inputs) {
    if (op == &op_gather || op == &op_scatter_update)
        return index_within(inputs[1], cupel_node_shape(inputs[0]).dims[0], op->name);
    if (op == &op_scatter_add)
        return index_within(inputs[0], ((const struct attrs_extent *)attrs)->extent, op->name);
    if (op == &op_segment_max)
        return index_within(inputs[1], ((const struct attrs_segment_max *)attrs)->segments,
                            op->name);
    if (op == &op_cross_entropy)
        return index_within(inputs[1], cupel_node_shape(inputs[0]).dims[1], op->name);
    return true;
}
