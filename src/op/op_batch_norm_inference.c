/*
 * batch_norm_inference: each channel (axis 1) is centred and scaled by given statistics.
 *
 *   r = 1/sqrt(var + epsilon),  y = gamma (x - mean) r + beta
 *   dx = dy gamma r,  dgamma = sum dy (x - mean) r,  dbeta = sum dy,  dmean = - gamma r sum dy,
 *   dvar = - gamma r^3 / 2 sum dy (x - mean)         (sums over the elements of a channel)
 * NaN: propagates; from a statistic to its whole channel.
 * Test: tests/test_op_norm.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(batch_norm_check(view, (const char *const[]){"gamma", "beta", "mean", "variance"}));
    infer_output(view, 0, view->inputs[0].type, view->inputs[0].shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_batch_norm *attrs = adjoint->attrs;
    const cupel_node x = adjoint->inputs[0], g = adjoint->diff_outputs[0];
    const cupel_shape src = cupel_node_shape(x);
    /* Channel vectors as [C, 1, ..], so that they broadcast against x. */
    cupel_shape along = {.rank = src.rank - 1, .dims = {src.dims[1]}};
    for (int i = 1; i < along.rank; i++)
        along.dims[i] = 1;
    const uint32_t others = ((1u << src.rank) - 1u) & ~CUPEL_AXIS(1);
    const cupel_node r =
        cupel_reciprocal(cupel_sqrt(cupel_offset(adjoint->inputs[4], attrs->epsilon)));
    const cupel_node gamma_r = cupel_mul(adjoint->inputs[1], r);
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = cupel_mul(g, cupel_reshape(gamma_r, along));
    if (adjoint->wanted[1] || adjoint->wanted[4]) {
        const cupel_node centred = cupel_sub(x, cupel_reshape(adjoint->inputs[3], along));
        const cupel_node sum = cupel_reduce_sum(cupel_mul(g, centred), others, false);
        if (adjoint->wanted[1])
            adjoint->diff_inputs[1] = cupel_mul(sum, r);
        if (adjoint->wanted[4])
            adjoint->diff_inputs[4] =
                cupel_scale(cupel_mul(sum, cupel_mul(gamma_r, cupel_square(r))), -0.5);
    }
    if (adjoint->wanted[2] || adjoint->wanted[3]) {
        const cupel_node sum = cupel_reduce_sum(g, others, false);
        if (adjoint->wanted[2])
            adjoint->diff_inputs[2] = sum;
        if (adjoint->wanted[3])
            adjoint->diff_inputs[3] = cupel_neg(cupel_mul(gamma_r, sum));
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 4.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_batch_norm_inference = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "batch_norm_inference",
    .attr_size = sizeof(struct attrs_batch_norm),
    .min_inputs = 5,
    .max_inputs = 5,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 1,
    .image_outputs = 1,
    .in_place = {1},
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_batch_norm_inference(cupel_node x, cupel_node gamma, cupel_node beta,
                                      cupel_node mean, cupel_node variance, double epsilon) {
    const struct attrs_batch_norm attrs = {.epsilon = epsilon};
    const cupel_node inputs[] = {x, gamma, beta, mean, variance};
    return graph_add(x.graph, &op_batch_norm_inference, NULL, &attrs, 5, inputs);
}
