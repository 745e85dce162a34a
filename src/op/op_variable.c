/*
 * variable: the value a parameter or state had before the run. One node a variable and graph, so
 * that gradients with respect to it meet in one place. Test: tests/test_parameters.c
 */
#include <string.h>

#include "graph/context_internal.h"
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    return cupel_op_fail(view, CUPEL_STATUS_BUG, "variables are read by cupel_parameter()");
}

const cupel_op op_variable = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "variable",
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
};

static cupel_node read_variable(cupel_graph *graph, struct cupel_variable *variable) {
    for (uint32_t id = 0; id < graph->list.count; id++)
        if (graph->list.nodes[id].op == &op_variable && graph->list.nodes[id].variable == variable)
            return (cupel_node){.graph = graph, .id = id};
    cupel_node other;
    if (graph_has(graph, variable->name, &other))
        return graph_fail(graph, CUPEL_STATUS_NAME,
                          "'%s' names a parameter and a node (%s): rename the node", variable->name,
                          graph_node_at(graph, other.id)->op->name);
    const cupel_type type = variable->real ? CUPEL_TYPE_REAL : variable->type;
    const cupel_node node =
        graph_add_leaf(graph, &op_variable, NULL, cupel_desc_plain(type, variable->shape));
    if (!cupel_is_poisoned(node)) {
        struct graph_node *inner = graph_node_at(graph, node.id);
        inner->variable = variable;
        inner->name = arena_strdup(&graph->arena, variable->name);
        if (!inner->name)
            return graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for a name");
    }
    return node;
}

static cupel_node declare(cupel_graph *graph, const char *name, cupel_type type, cupel_shape shape,
                          cupel_init init, enum variable_kind kind) {
    if (graph->error.status != CUPEL_STATUS_OK)
        return graph_poisoned(graph);
    if (!graph->parameters)
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "parameter '%s' in a graph that was created without parameters", name);
    const char *full = graph_scoped(graph, name);
    if (!full)
        return graph_poisoned(graph);
    struct cupel_variable *variable = NULL;
    const cupel_status status =
        parameters_declare(graph->parameters, full, type, shape, init, kind, &variable);
    if (status != CUPEL_STATUS_OK)
        return graph_fail(graph, status, "%s", graph->parameters->error.text);
    return read_variable(graph, variable);
}

cupel_node cupel_parameter(cupel_graph *graph, const char *name, cupel_shape shape,
                           cupel_init init) {
    return declare(graph, name, CUPEL_TYPE_REAL, shape, init, VARIABLE_TRAINABLE);
}

cupel_node cupel_state(cupel_graph *graph, const char *name, cupel_type type, cupel_shape shape,
                       cupel_init init) {
    return declare(graph, name, type, shape, init, VARIABLE_MODEL_STATE);
}

cupel_node cupel_training_state(cupel_graph *graph, const char *name, cupel_type type,
                                cupel_shape shape, cupel_init init) {
    return declare(graph, name, type, shape, init, VARIABLE_TRAINING_STATE);
}

cupel_node cupel_variable(cupel_graph *graph, const char *name) {
    if (graph->error.status != CUPEL_STATUS_OK)
        return graph_poisoned(graph);
    struct cupel_variable *variable =
        graph->parameters ? parameters_lookup(graph->parameters, name) : NULL;
    if (!variable)
        return graph_fail(graph, CUPEL_STATUS_NAME, "there is no parameter '%s'", name);
    return read_variable(graph, variable);
}

size_t cupel_graph_trainable(cupel_graph *graph, const char *prefix, size_t max, cupel_node *out) {
    size_t n = 0;
    if (!graph->parameters)
        return 0;
    const size_t length = strlen(prefix);
    for (size_t i = 0; i < graph->parameters->count; i++) {
        struct cupel_variable *variable = graph->parameters->list[i];
        if (variable->kind != VARIABLE_TRAINABLE || strncmp(variable->name, prefix, length) != 0)
            continue;
        for (uint32_t id = 0; id < graph->list.count; id++) {
            const struct graph_node *node = &graph->list.nodes[id];
            if (node->op != &op_variable || node->variable != variable)
                continue;
            if (n < max)
                out[n] = (cupel_node){.graph = graph, .id = id};
            n++;
            break;
        }
    }
    return n;
}
