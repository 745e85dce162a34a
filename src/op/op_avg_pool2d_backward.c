/*
 * avg_pool2d_backward: spreads each window's gradient evenly over the window.
 *
 *   dx[n,c,h,w] = 1/(KH KW) sum of dy[n,c,i,j] over the windows (i,j) that cover (h,w)
 *   It is linear in dy, and avg_pool2d is its adjoint.
 * NaN: propagates to every position of the window.
 * Test: tests/test_op_pool.c
 */
#include "op/op_builders.h"

#include <string.h>

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_pool *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_rank(view, 0, 4));
    const cupel_shape dst = view->inputs[0].shape;
    const cupel_shape src =
        CUPEL_SHAPE(dst.dims[0], dst.dims[1], attrs->src_hw[0], attrs->src_hw[1]);
    char text[CUPEL_SHAPE_TEXT_SIZE];
    if (!cupel_shape_valid(src))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "images of %lld x %lld pixels",
                             (long long)src.dims[2], (long long)src.dims[3]);
    int64_t hw[2];
    CUPEL_TRY(pool_check(view, attrs, src, hw));
    if (hw[0] != dst.dims[2] || hw[1] != dst.dims[3])
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "a gradient of shape %s where the windows are %lld x %lld",
                             cupel_shape_format(text, dst), (long long)hw[0], (long long)hw[1]);
    infer_output(view, 0, view->inputs[0].type, src);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    struct attrs_pool attrs = *(const struct attrs_pool *)adjoint->attrs;
    memset(attrs.src_hw, 0, sizeof attrs.src_hw);
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] =
            graph_add(adjoint->graph, &op_avg_pool2d, NULL, &attrs, 1, &adjoint->diff_outputs[0]);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return pool_flops(view->inputs[0].shape, view->attrs);
}

const cupel_op op_avg_pool2d_backward = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "avg_pool2d_backward",
    .attr_size = sizeof(struct attrs_pool),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 1,
    .image_outputs = 1,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node build_avg_pool2d_backward(cupel_node diff_dst, const struct attrs_pool *attrs) {
    return graph_add(diff_dst.graph, &op_avg_pool2d_backward, NULL, attrs, 1, &diff_dst);
}
