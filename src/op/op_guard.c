/*
 * guard: the loss guard. The run stops with NOT_FINITE when the scalar is NaN or infinite; every
 * write to a variable is ordered after all guards, so a stopped run has changed nothing. A root,
 * never pruned. NaN rule: stops. Test: tests/test_assign.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    if (!cupel_type_is_real(view->inputs[0].type))
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "the guarded value is %s, not real",
                             cupel_type_name(view->inputs[0].type));
    if (cupel_shape_count(view->inputs[0].shape) != 1) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "the guarded value has shape %s, it must be a scalar",
                             cupel_shape_format(text, view->inputs[0].shape));
    }
    view->outputs[0] = cupel_desc_plain(CUPEL_TYPE_U8, cupel_shape_scalar());
    return CUPEL_STATUS_OK;
}

const cupel_op op_guard = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "guard",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_EFFECT | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_STOPS,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
};

void cupel_guard(cupel_node scalar) {
    const cupel_node node = graph_add(scalar.graph, &op_guard, NULL, NULL, 1, &scalar);
    if (cupel_is_none(node) || cupel_is_poisoned(node))
        return;
    /* A run that stops tells this name, so it says what was guarded. */
    const char *name =
        arena_printf(&scalar.graph->arena, "guard#%u of '%s'", node.id, cupel_node_name(scalar));
    if (!name) {
        graph_fail(scalar.graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for a name");
        return;
    }
    graph_node_at(scalar.graph, node.id)->name = name;
}
