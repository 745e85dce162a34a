/*
 * conv2d_backward_data: the gradient of a convolution with respect to its images, which is also the
 * transposed convolution (the builder cupel_conv_transpose2d is here).
 *
 *   dx = A_w^T dy where conv2d(x, w) = A_w x;  inputs dy [N,O,OH,OW], w [O,C/G,KH,KW],
 *   output dx [N,C,H,W] with H, W from the attributes (several extents give the same OH, OW under a
 *   stride).
 *   Adjoints, from <g, A_w^T dy> = <A_w g, dy>:
 *   d dy = conv2d(g, w),  dw = conv2d_backward_weights(g, dy).
 * NaN: propagates to every position its window covers.
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
    if (view->inputs[0].type != view->inputs[1].type)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "the images are %s, but the weights are %s",
                             cupel_type_name(view->inputs[0].type),
                             cupel_type_name(view->inputs[1].type));
    const cupel_shape dst = view->inputs[0].shape, weights = view->inputs[1].shape;
    char text[CUPEL_SHAPE_TEXT_SIZE], weights_text[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(text, dst);
    cupel_shape_format(weights_text, weights);
    if (dst.dims[1] != weights.dims[0])
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "images %s have %lld channels, but weights %s take %lld", text,
                             (long long)dst.dims[1], weights_text, (long long)weights.dims[0]);
    if (attrs->groups < 1 || attrs->groups > WINDOW_LIMIT)
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT, "%lld groups",
                             (long long)attrs->groups);
    const cupel_shape src = CUPEL_SHAPE(dst.dims[0], weights.dims[1] * attrs->groups,
                                        attrs->src_hw[0], attrs->src_hw[1]);
    if (!cupel_shape_valid(src))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "images %s and weights %s would give a result of %lld x %lld pixels",
                             text, weights_text, (long long)src.dims[2], (long long)src.dims[3]);
    int64_t hw[2];
    CUPEL_TRY(conv_check(view, attrs, src, weights, hw));
    if (hw[0] != dst.dims[2] || hw[1] != dst.dims[3])
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "a result of %lld x %lld pixels belongs to %lld x %lld, not to images "
                             "%s",
                             (long long)src.dims[2], (long long)src.dims[3], (long long)hw[0],
                             (long long)hw[1], text);
    infer_output(view, 0, view->inputs[0].type, src);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    struct attrs_conv attrs = *(const struct attrs_conv *)adjoint->attrs;
    const cupel_node diff_dst = adjoint->inputs[0], weights = adjoint->inputs[1];
    const cupel_node g = adjoint->diff_outputs[0];
    memset(attrs.src_hw, 0, sizeof attrs.src_hw);
    if (adjoint->wanted[0]) {
        const cupel_node inputs[] = {g, weights};
        adjoint->diff_inputs[0] = graph_add(adjoint->graph, &op_conv2d, NULL, &attrs, 2, inputs);
    }
    if (adjoint->wanted[1]) {
        const cupel_shape filters = cupel_node_shape(weights);
        memcpy(attrs.kernel, &filters.dims[2], sizeof attrs.kernel);
        adjoint->diff_inputs[1] = build_conv2d_backward_weights(g, diff_dst, &attrs);
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return conv_flops(view->inputs[0].shape, view->inputs[1].shape);
}

const cupel_op op_conv2d_backward_data = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "conv2d_backward_data",
    .attr_size = sizeof(struct attrs_conv),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 1,
    .image_outputs = 1,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node build_conv2d_backward_data(cupel_node diff_dst, cupel_node weights,
                                      const struct attrs_conv *attrs) {
    const cupel_node inputs[] = {diff_dst, weights};
    return graph_add(diff_dst.graph, &op_conv2d_backward_data, NULL, attrs, 2, inputs);
}

/* x plays the gradient of a forward convolution whose images are the result; the bias is added to
 * it as a broadcast [1, O, 1, 1]. */
cupel_node cupel_conv_transpose2d(cupel_node x, cupel_node weights, cupel_node bias,
                                  const cupel_conv_options *options) {
    if (cupel_is_none(x) || cupel_is_none(weights) || cupel_is_poisoned(x) ||
        cupel_is_poisoned(weights) || cupel_is_poisoned(bias)) {
        const struct attrs_conv attrs = conv_attrs(NULL);
        const cupel_node inputs[] = {x, weights};
        return graph_add(x.graph != NULL ? x.graph : bias.graph, &op_conv2d_backward_data, NULL,
                         &attrs, 2, inputs);
    }
    const cupel_shape src = cupel_node_shape(x), filters = cupel_node_shape(weights);
    struct attrs_conv attrs = conv_attrs(options);
    if (src.rank == 4 && filters.rank == 4) /* the shape rule reports other ranks */
        for (int i = 0; i < 2; i++) {
            const int64_t more = options == NULL ? 0 : options->output_padding[i];
            const int64_t stride = attrs.stride[i], dilation = attrs.dilation[i];
            const int64_t limit = stride > dilation ? stride : dilation;
            if (stride < 1 || stride > WINDOW_LIMIT || dilation < 1 || dilation > WINDOW_LIMIT ||
                attrs.padding[i] < 0 || attrs.padding[i] > WINDOW_LIMIT)
                return graph_fail(x.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                                  "conv_transpose2d: stride %lld, padding %lld, dilation %lld",
                                  (long long)stride, (long long)attrs.padding[i],
                                  (long long)dilation);
            if (more < 0 || more >= limit)
                return graph_fail(x.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                                  "conv_transpose2d: output_padding %lld along the %s must be "
                                  "within 0 .. %lld (stride %lld, dilation %lld)",
                                  (long long)more, i == 0 ? "height" : "width",
                                  (long long)limit - 1, (long long)stride, (long long)dilation);
            /* What passes the stride, under a dilation, is made by rows of zeros after x. */
            if (more >= stride)
                x = cupel_pad(x, 2 + i, 0, more / stride);
            attrs.src_hw[i] = (src.dims[2 + i] - 1) * stride - 2 * attrs.padding[i] +
                              dilation * (filters.dims[2 + i] - 1) + more + 1;
        }
    cupel_node y = build_conv2d_backward_data(x, weights, &attrs);
    if (cupel_is_none(bias) || cupel_is_poisoned(y))
        return y;
    const cupel_shape values = cupel_node_shape(bias);
    const int64_t channels = cupel_node_shape(y).dims[1];
    if (values.rank != 1 || values.dims[0] != channels) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return graph_fail(x.graph, CUPEL_STATUS_SHAPE,
                          "conv_transpose2d: a bias of shape %s for %lld filters",
                          cupel_shape_format(text, values), (long long)channels);
    }
    return cupel_add(y, cupel_reshape(bias, CUPEL_SHAPE(1, channels, 1, 1)));
}
