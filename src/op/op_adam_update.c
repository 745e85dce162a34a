/*
 * adam_update: one step of Adam or AdamW for one parameter (torch.optim's formulas; Kingma and Ba
 * 2015, Loshchilov and Hutter 2019).
 *
 *   inputs p, gradient g, m, v, learning rate (scalar), step t (F64 scalar, 1 at the first update)
 *   decoupled: p = p (1 - learning_rate weight_decay);  else: g = g + weight_decay p
 *   m' = m + (1 - beta1) (g - m),  v' = beta2 v + (1 - beta2) g^2
 *   p' = p - learning_rate / (1 - beta1^t)  m' / (sqrt(v') / sqrt(1 - beta2^t) + epsilon)
 *   outputs p', m', v'. The bias corrections are computed from t in double.
 * NaN: propagates.
 * Test: tests/test_op_update.c
 */
#include "op/op_builders.h"

static const char *const operand_names[] = {"the parameter", "the gradient",      "exp_avg",
                                            "exp_avg_sq",    "the learning rate", "step"};

static cupel_status infer(const cupel_op_view *view) {
    char text[CUPEL_SHAPE_TEXT_SIZE], other[CUPEL_SHAPE_TEXT_SIZE];
    const cupel_desc *const parameter = &view->inputs[0];
    for (int i = 0; i < 6; i++) {
        CUPEL_TRY(infer_real(view, i));
        const cupel_shape wanted = i >= 4 ? cupel_shape_scalar() : parameter->shape;
        if (!cupel_shape_equal(view->inputs[i].shape, wanted))
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "%s has shape %s where %s is wanted",
                                 operand_names[i], cupel_shape_format(text, view->inputs[i].shape),
                                 cupel_shape_format(other, wanted));
    }
    if (view->inputs[5].type != CUPEL_TYPE_F64)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "step must be f64, but it is %s",
                             cupel_type_name(view->inputs[5].type));
    infer_output(view, 0, parameter->type, parameter->shape);
    infer_output(view, 1, view->inputs[2].type, parameter->shape);
    infer_output(view, 2, view->inputs[3].type, parameter->shape);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 14.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_adam_update = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "adam_update",
    .attr_size = sizeof(struct attrs_adam),
    .min_inputs = 6,
    .max_inputs = 6,
    .n_outputs = 3,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .in_place = {1, 3, 4},
    .infer = infer,
    .flops = flops,
};

cupel_node build_adam_update(cupel_node parameter, cupel_node gradient, cupel_node exp_avg,
                             cupel_node exp_avg_sq, cupel_node learning_rate, cupel_node step,
                             const struct attrs_adam *attrs) {
    const cupel_node inputs[] = {parameter, gradient, exp_avg, exp_avg_sq, learning_rate, step};
    return graph_add(parameter.graph, &op_adam_update, NULL, attrs, 6, inputs);
}
