/*
 * conv2d_backward_weights: the gradient of a convolution with respect to its filters and its bias.
 *
 *   dw[o,c,p,q] = sum over n,i,j of dy[n,o,i,j] x[n, g C/G + c, s i + d p - pad, s j + d q - pad]
 *   dbias[o]    = sum over n,i,j of dy[n,o,i,j]   (output 1; a scalar 0 without with_bias)
 *   It is linear in both operands. With G the gradient of dw and b that of dbias:
 *   d x = conv2d_backward_data(dy, G),  d dy = conv2d(x, G) + b.
 * NaN: propagates to every filter element whose window covers it.
 * Test: tests/test_op_conv.c
 */
#include "op/op_builders.h"

#include <string.h>

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_conv *attrs = view->attrs;
    for (int i = 0; i < 2; i++) {
        CUPEL_TRY(infer_real(view, i));
        CUPEL_TRY(infer_rank(view, i, 4));
    }
    const cupel_type type = view->inputs[0].type;
    if (type != view->inputs[1].type)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "the images are %s, but the gradient is %s",
                             cupel_type_name(type), cupel_type_name(view->inputs[1].type));
    const cupel_shape src = view->inputs[0].shape, dst = view->inputs[1].shape;
    if (attrs->groups < 1 || src.dims[1] % attrs->groups != 0)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "%lld channels do not divide into %lld groups", (long long)src.dims[1],
                             (long long)attrs->groups);
    const cupel_shape weights =
        CUPEL_SHAPE(dst.dims[1], src.dims[1] / attrs->groups, attrs->kernel[0], attrs->kernel[1]);
    if (!cupel_shape_valid(weights))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "a kernel of %lld x %lld",
                             (long long)attrs->kernel[0], (long long)attrs->kernel[1]);
    int64_t hw[2];
    CUPEL_TRY(conv_check(view, attrs, src, weights, hw));
    const cupel_shape wanted = CUPEL_SHAPE(src.dims[0], dst.dims[1], hw[0], hw[1]);
    if (!cupel_shape_equal(dst, wanted)) {
        char text[CUPEL_SHAPE_TEXT_SIZE], wanted_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "a gradient of shape %s where %s is wanted",
                             cupel_shape_format(text, dst),
                             cupel_shape_format(wanted_text, wanted));
    }
    infer_output(view, 0, type, weights);
    infer_output(view, 1, type, attrs->with_bias ? CUPEL_SHAPE(dst.dims[1]) : cupel_shape_scalar());
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    struct attrs_conv attrs = *(const struct attrs_conv *)adjoint->attrs;
    const cupel_node src = adjoint->inputs[0], diff_dst = adjoint->inputs[1];
    cupel_node g = adjoint->diff_outputs[0];
    const cupel_node bias = attrs.with_bias ? adjoint->diff_outputs[1] : cupel_none();
    if (cupel_is_none(g)) /* only the bias is followed: a product with zeros, which is rare */
        g = cupel_full(adjoint->graph, CUPEL_TYPE_REAL, cupel_node_shape(adjoint->outputs[0]), 0.0);
    const cupel_shape shape = cupel_node_shape(src);
    memset(attrs.kernel, 0, sizeof attrs.kernel);
    if (adjoint->wanted[0]) {
        struct attrs_conv data = attrs;
        data.with_bias = 0;
        memcpy(data.src_hw, &shape.dims[2], sizeof data.src_hw);
        adjoint->diff_inputs[0] = build_conv2d_backward_data(diff_dst, g, &data);
    }
    if (adjoint->wanted[1]) {
        attrs.with_bias = !cupel_is_none(bias);
        const cupel_node inputs[] = {src, g, bias};
        adjoint->diff_inputs[1] =
            graph_add(adjoint->graph, &op_conv2d, NULL, &attrs, attrs.with_bias ? 3 : 2, inputs);
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return conv_flops(view->inputs[1].shape, view->outputs[0].shape);
}

const cupel_op op_conv2d_backward_weights = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "conv2d_backward_weights",
    .attr_size = sizeof(struct attrs_conv),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 2,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 3,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node build_conv2d_backward_weights(cupel_node src, cupel_node diff_dst,
                                         const struct attrs_conv *attrs) {
    const cupel_node inputs[] = {src, diff_dst};
    return graph_add(src.graph, &op_conv2d_backward_weights, NULL, attrs, 2, inputs);
}
