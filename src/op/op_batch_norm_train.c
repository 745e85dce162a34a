/*
 * batch_norm_train: each channel (axis 1) is centred and scaled by the statistics of the batch.
 *
 *   M = elements per channel, mean = 1/M sum x, var = 1/M sum (x - mean)^2 (biased)
 *   xhat = (x - mean) / sqrt(var + epsilon),  y = gamma xhat + beta;  outputs y, mean [C], var [C]
 *   dx, dgamma, dbeta = batch_norm_backward(x, gamma, mean, var, dy).
 * Outputs 1 and 2 are for running statistics: a gradient through them is refused by name. Ioffe and
 * Szegedy 2015.
 * NaN: propagates to its whole channel.
 * Test: tests/test_op_norm.c
 */
#include "op/op_builders.h"

cupel_status batch_norm_check(const cupel_op_view *view, const char *const names[]) {
    const struct attrs_batch_norm *attrs = view->attrs;
    const cupel_desc *const src = &view->inputs[0];
    char text[CUPEL_SHAPE_TEXT_SIZE], other[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(text, src->shape);
    for (int i = 0; i < view->n_inputs; i++)
        CUPEL_TRY(infer_real(view, i));
    if (src->shape.rank < 2)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "src %s must have its channels on axis 1: [N, C], [N, C, L] or "
                             "[N, C, H, W]",
                             text);
    if (!(attrs->epsilon >= 0.0))
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT, "epsilon must not be negative");
    const int64_t channels = src->shape.dims[1];
    for (int i = 1; i < view->n_inputs; i++) {
        const cupel_desc *const desc = &view->inputs[i];
        if (desc->shape.rank != 1 || desc->shape.dims[0] != channels)
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                                 "%s has shape %s, but src %s has %lld channels", names[i - 1],
                                 cupel_shape_format(other, desc->shape), text, (long long)channels);
        if (desc->type != src->type)
            return cupel_op_fail(view, CUPEL_STATUS_TYPE, "src is %s, but %s is %s",
                                 cupel_type_name(src->type), names[i - 1],
                                 cupel_type_name(desc->type));
    }
    return CUPEL_STATUS_OK;
}

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(batch_norm_check(view, (const char *const[]){"gamma", "beta"}));
    const cupel_shape src = view->inputs[0].shape;
    const int64_t channels = src.dims[1];
    char text[CUPEL_SHAPE_TEXT_SIZE];
    if (cupel_shape_count(src) == channels)
        return cupel_op_fail(
            view, CUPEL_STATUS_SHAPE,
            "src %s has one value per channel, which has no variance; train with a "
            "batch of at least 2",
            cupel_shape_format(text, src));
    infer_output(view, 0, view->inputs[0].type, src);
    infer_output(view, 1, view->inputs[0].type, CUPEL_SHAPE(channels));
    infer_output(view, 2, view->inputs[0].type, CUPEL_SHAPE(channels));
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_batch_norm *attrs = adjoint->attrs;
    for (int i = 1; i < 3; i++)
        if (!cupel_is_none(adjoint->diff_outputs[i])) {
            (void)graph_fail(adjoint->graph, CUPEL_STATUS_UNSUPPORTED,
                             "%s (batch_norm_train): no gradient is offered through its %s; it is "
                             "for running statistics, put cupel_stop_gradient() on it",
                             cupel_node_name(adjoint->outputs[0]), i == 1 ? "mean" : "variance");
            return CUPEL_STATUS_UNSUPPORTED;
        }
    const cupel_node back =
        build_batch_norm_backward(adjoint->inputs[0], adjoint->inputs[1], adjoint->outputs[1],
                                  adjoint->outputs[2], adjoint->diff_outputs[0], attrs->epsilon);
    for (uint32_t i = 0; i < 3; i++)
        if (adjoint->wanted[i])
            adjoint->diff_inputs[i] = cupel_node_output(back, i);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 7.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_batch_norm_train = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "batch_norm_train",
    .attr_size = sizeof(struct attrs_batch_norm),
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 3,
    .flags = CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 1,
    .image_outputs = 1,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_batch_norm_train(cupel_node x, cupel_node gamma, cupel_node beta, double epsilon) {
    const struct attrs_batch_norm attrs = {.epsilon = epsilon};
    const cupel_node inputs[] = {x, gamma, beta};
    return graph_add(x.graph, &op_batch_norm_train, NULL, &attrs, 3, inputs);
}
