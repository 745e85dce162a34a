/*
 * avg_pool2d: the mean under each window; the padding counts as zeros (PyTorch's default).
 *
 *   y[n,c,i,j] = 1/(KH KW) sum over p,q of x[n, c, s i + p - pad, s j + q - pad]
 *   dx = avg_pool2d_backward(dy)
 * NaN: propagates to every window it lies in.
 * Test: tests/test_op_pool.c
 */
#include "op/op_builders.h"

#include <string.h>

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    struct attrs_pool attrs = *(const struct attrs_pool *)adjoint->attrs;
    const cupel_shape src = cupel_node_shape(adjoint->inputs[0]);
    memcpy(attrs.src_hw, &src.dims[2], sizeof attrs.src_hw);
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = build_avg_pool2d_backward(adjoint->diff_outputs[0], &attrs);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return pool_flops(view->outputs[0].shape, view->attrs);
}

const cupel_op op_avg_pool2d = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "avg_pool2d",
    .attr_size = sizeof(struct attrs_pool),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 1,
    .image_outputs = 1,
    .infer = infer_pool,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_avg_pool2d(cupel_node x, const cupel_pool_options *options) {
    const struct attrs_pool attrs = pool_attrs(options);
    return graph_add(x.graph, &op_avg_pool2d, NULL, &attrs, 1, &x);
}
