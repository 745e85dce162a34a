/*
 * sgd_update: one step of stochastic gradient descent for one parameter (torch.optim.SGD).
 *
 *   inputs p, gradient, learning rate (scalar), and the buffer b when momentum is not 0
 *   g = gradient + weight_decay p
 *   b' = momentum b + g   (PyTorch's first step, b' = g, is this with b = 0)
 *   g  = nesterov ? g + momentum b' : b'          (g itself without momentum)
 *   p' = p - learning_rate g;  outputs p', b' (a scalar 0 without momentum)
 * NaN: propagates.
 * Test: tests/test_op_update.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_sgd *attrs = view->attrs;
    const bool buffered = attrs->momentum != 0.0;
    if (view->n_inputs != (buffered ? 4 : 3))
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d operands with%s momentum", view->n_inputs,
                             buffered ? "" : "out");
    char text[CUPEL_SHAPE_TEXT_SIZE], other[CUPEL_SHAPE_TEXT_SIZE];
    const cupel_desc *const parameter = &view->inputs[0];
    for (int i = 0; i < view->n_inputs; i++) {
        CUPEL_TRY(infer_real(view, i));
        const cupel_shape wanted = i == 2 ? cupel_shape_scalar() : parameter->shape;
        if (!cupel_shape_equal(view->inputs[i].shape, wanted))
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "%s has shape %s where %s is wanted",
                                 i == 1   ? "the gradient"
                                 : i == 2 ? "the learning rate"
                                          : "the buffer",
                                 cupel_shape_format(text, view->inputs[i].shape),
                                 cupel_shape_format(other, wanted));
    }
    infer_output(view, 0, parameter->type, parameter->shape);
    infer_output(view, 1, parameter->type, buffered ? parameter->shape : cupel_shape_scalar());
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 6.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_sgd_update = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sgd_update",
    .attr_size = sizeof(struct attrs_sgd),
    .min_inputs = 3,
    .max_inputs = 4,
    .n_outputs = 2,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .in_place = {1, 4},
    .infer = infer,
    .flops = flops,
};

cupel_node build_sgd_update(cupel_node parameter, cupel_node gradient, cupel_node learning_rate,
                            cupel_node buffer, const struct attrs_sgd *attrs) {
    const cupel_node inputs[] = {parameter, gradient, learning_rate, buffer};
    return graph_add(parameter.graph, &op_sgd_update, NULL, attrs, cupel_is_none(buffer) ? 3 : 4,
                     inputs);
}
