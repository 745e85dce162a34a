/*
 * select: y = a where condition is not 0, else b. a and b share one type, which may be any; the
 * condition is real. Elements are moved: an infinity or a NaN on the side that is not taken is not
 * seen.
 *
 *   da = dy where condition is not 0, else 0;  db the other way round;  none to the condition
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: moved; as a condition it is not 0.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(infer_real(view, 0));
    cupel_shape values;
    CUPEL_TRY(infer_broadcast(view, 1, &values));
    cupel_shape shape;
    if (!cupel_shape_broadcast(view->inputs[0].shape, values, &shape)) {
        char condition_text[CUPEL_SHAPE_TEXT_SIZE];
        char values_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "the condition is %s and the values are %s; aligned at the last axis, "
                             "extents must be equal or 1",
                             cupel_shape_format(condition_text, view->inputs[0].shape),
                             cupel_shape_format(values_text, values));
    }
    infer_output(view, 0, view->inputs[1].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node condition = adjoint->inputs[0];
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node zero = scalar_like(g, 0.0);
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] =
            adjoint_unbroadcast(cupel_select(condition, g, zero), adjoint->inputs[1]);
    if (adjoint->wanted[2])
        adjoint->diff_inputs[2] =
            adjoint_unbroadcast(cupel_select(condition, zero, g), adjoint->inputs[2]);
    return CUPEL_STATUS_OK;
}

const cupel_op op_select = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "select",
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {2},
    .infer = infer,
    .adjoint = adjoint,
};

cupel_node cupel_select(cupel_node condition, cupel_node a, cupel_node b) {
    const cupel_node inputs[] = {condition, a, b};
    return graph_add(condition.graph, &op_select, NULL, NULL, 3, inputs);
}
