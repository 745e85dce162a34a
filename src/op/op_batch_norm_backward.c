/*
 * batch_norm_backward: the gradients of batch_norm_train, whose statistics depend on the batch.
 *
 *   inputs x, gamma, mean, var (biased, of the batch), dy
 *   r = 1/sqrt(var + epsilon),  xhat = (x - mean) r
 *   dbeta = sum dy,  dgamma = sum dy xhat,
 *   dx = gamma r (dy - dbeta / M - xhat dgamma / M)      (sums over the M elements of a channel)
 *   No adjoint: second-order gradients are not offered.
 * NaN: propagates to its whole channel.
 * Test: tests/test_op_norm.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    for (int i = 0; i < 5; i++)
        CUPEL_TRY(infer_real(view, i));
    const cupel_shape src = view->inputs[0].shape, dst = view->inputs[4].shape;
    char text[CUPEL_SHAPE_TEXT_SIZE], other[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(text, src);
    if (src.rank < 2 || !cupel_shape_equal(src, dst))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "src %s with a gradient of shape %s", text,
                             cupel_shape_format(other, dst));
    for (int i = 1; i < 4; i++)
        if (view->inputs[i].shape.rank != 1 || view->inputs[i].shape.dims[0] != src.dims[1])
            return cupel_op_fail(
                view, CUPEL_STATUS_SHAPE, "operand %d has shape %s, but src %s has %lld channels",
                i, cupel_shape_format(other, view->inputs[i].shape), text, (long long)src.dims[1]);
    infer_output(view, 0, view->inputs[0].type, src);
    infer_output(view, 1, view->inputs[1].type, view->inputs[1].shape);
    infer_output(view, 2, view->inputs[1].type, view->inputs[1].shape);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 10.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_batch_norm_backward = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "batch_norm_backward",
    .attr_size = sizeof(struct attrs_batch_norm),
    .min_inputs = 5,
    .max_inputs = 5,
    .n_outputs = 3,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 17,
    .image_outputs = 1,
    .infer = infer,
    .flops = flops,
};

cupel_node build_batch_norm_backward(cupel_node src, cupel_node gamma, cupel_node mean,
                                     cupel_node variance, cupel_node diff_dst, double epsilon) {
    const struct attrs_batch_norm attrs = {.epsilon = epsilon};
    const cupel_node inputs[] = {src, gamma, mean, variance, diff_dst};
    return graph_add(src.graph, &op_batch_norm_backward, NULL, &attrs, 5, inputs);
}
