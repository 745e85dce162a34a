/*
 * input: a value written through bindings before each run. No operands, no gradient of its own (the
 * gradient with respect to an input is that of its node). Index inputs carry the bound that writing
 * checks them against, so no kernel has to. Test: tests/test_graph.c
 */
#include "op/op_internal.h"

#include <string.h>

static cupel_status infer(const cupel_op_view *view) {
    return cupel_op_fail(view, CUPEL_STATUS_BUG, "inputs are made by cupel_input()");
}

const cupel_op op_input = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "input",
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
};

/* Inputs are written by name, so each has one that no parameter of the graph has. */
static cupel_node input(cupel_graph *graph, const char *name, cupel_desc desc) {
    if (!name || !name[0] || strchr(name, ' '))
        return graph_fail(graph, CUPEL_STATUS_NAME,
                          "'%s' is not the name of an input: it needs one, without spaces",
                          name ? name : "");
    const char *full = graph_scoped(graph, name);
    if (!full)
        return graph_poisoned(graph);
    for (uint32_t id = 0; id < graph->list.count; id++)
        if (graph->list.nodes[id].op == &op_variable &&
            strcmp(graph->list.nodes[id].name, full) == 0)
            return graph_fail(graph, CUPEL_STATUS_NAME,
                              "'%s' names a parameter and an input: rename the input", full);
    return graph_add_leaf(graph, &op_input, name, desc);
}

cupel_node cupel_input(cupel_graph *graph, const char *name, cupel_type type, cupel_shape shape) {
    return input(graph, name, cupel_desc_plain(type, shape));
}

cupel_node cupel_input_index(cupel_graph *graph, const char *name, cupel_shape shape,
                             int64_t bound) {
    if (bound < 1)
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "input %s: the bound of its indices is %lld, it must be at least 1",
                          name ? name : "", (long long)bound);
    const cupel_node node = input(graph, name, cupel_desc_plain(CUPEL_TYPE_I64, shape));
    if (!cupel_is_poisoned(node))
        graph_node_at(graph, node.id)->index_bound = bound;
    return node;
}
