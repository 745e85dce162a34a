/*
 * assign: variable := value, visible after the run; a root that is never pruned. Operands
 * (variable, value), output 0 is the variable's own memory. The compiler lets the value's producer
 * write there directly where all reads come before. One assign per variable per graph. No gradient.
 * Test: tests/test_assign.c
 */
#include "graph/context_internal.h"
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    if (view->inputs[0].type != view->inputs[1].type)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "the variable is %s, the value %s",
                             cupel_type_name(view->inputs[0].type),
                             cupel_type_name(view->inputs[1].type));
    if (!cupel_shape_equal(view->inputs[0].shape, view->inputs[1].shape)) {
        char a[CUPEL_SHAPE_TEXT_SIZE], b[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "the variable is %s, the value %s",
                             cupel_shape_format(a, view->inputs[0].shape),
                             cupel_shape_format(b, view->inputs[1].shape));
    }
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    (void)view;
    return 0;
}

const cupel_op op_assign = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "assign",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_EFFECT | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_WIDE,
    .in_place = {1},
    .infer = infer,
    .flops = flops,
};

void cupel_assign(cupel_node variable, cupel_node value) {
    cupel_graph *graph = variable.graph ? variable.graph : value.graph;
    if (!graph)
        return;
    if (cupel_is_none(variable) || cupel_is_none(value)) {
        graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "assign: an operand is missing");
        return;
    }
    if (cupel_is_poisoned(variable) || cupel_is_poisoned(value))
        return;
    struct cupel_variable *target = graph_node_at(graph, variable.id)->variable;
    if (graph_node_at(graph, variable.id)->op != &op_variable) {
        graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "assign: '%s' is not a variable",
                   cupel_node_name(variable));
        return;
    }
    for (size_t i = 0; i < graph->list.count; i++)
        if (graph->list.nodes[i].op == &op_assign && graph->list.nodes[i].variable == target) {
            graph_fail(graph, CUPEL_STATUS_NAME, "assign: '%s' is assigned twice in this graph",
                       target->name);
            return;
        }
    const cupel_node node =
        graph_add(graph, &op_assign, NULL, NULL, 2, (const cupel_node[]){variable, value});
    if (!cupel_is_poisoned(node))
        graph_node_at(graph, node.id)->variable = target;
}
