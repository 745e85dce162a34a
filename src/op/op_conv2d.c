/*
 * conv2d: cross-correlation of images with a bank of filters, as in PyTorch.
 *
 *   y[n,o,i,j] = bias[o] +
 *       sum over c,p,q of w[o,c,p,q] x[n, g C/G + c, s i + d p - pad, s j + d q - pad]
 *   with G groups, g = the group of o, stride s, dilation d, and zeros outside the image.
 *   dx = conv2d_backward_data(dy, w), dw and dbias = conv2d_backward_weights(x, dy):
 *   the three ops are each other's adjoints.
 * NaN: propagates to every window it lies in.
 * Test: tests/test_op_conv.c
 */
#include <string.h>

#include "op/op_builders.h"

struct attrs_conv conv_attrs(const cupel_conv_options *options) {
    struct attrs_conv attrs = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    if (options == NULL)
        return attrs;
    for (int i = 0; i < 2; i++) {
        attrs.padding[i] = options->padding[i];
        if (options->stride[i] != 0)
            attrs.stride[i] = options->stride[i];
        if (options->dilation[i] != 0)
            attrs.dilation[i] = options->dilation[i];
    }
    if (options->groups != 0)
        attrs.groups = options->groups;
    return attrs;
}

double conv_flops(cupel_shape dst, cupel_shape weights) {
    return 2.0 * (double)cupel_shape_count(dst) *
           (double)(weights.dims[1] * weights.dims[2] * weights.dims[3]);
}

static bool within(int64_t value, int64_t least) {
    return value >= least && value <= WINDOW_LIMIT;
}

cupel_status conv_check(const cupel_op_view *view, const struct attrs_conv *attrs, cupel_shape src,
                        cupel_shape weights, int64_t dst_hw[2]) {
    for (int i = 0; i < 2; i++)
        if (!within(attrs->stride[i], 1) || !within(attrs->dilation[i], 1) ||
            !within(attrs->padding[i], 0))
            return cupel_op_fail(
                view, CUPEL_STATUS_INVALID_ARGUMENT,
                "stride %lld, padding %lld and dilation %lld along the %s: strides "
                "and dilations start at 1, paddings at 0",
                (long long)attrs->stride[i], (long long)attrs->padding[i],
                (long long)attrs->dilation[i], i == 0 ? "height" : "width");
    char src_text[CUPEL_SHAPE_TEXT_SIZE], weights_text[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(src_text, src);
    cupel_shape_format(weights_text, weights);
    const int64_t groups = attrs->groups;
    if (!within(groups, 1) || weights.dims[0] % groups != 0)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "the %lld filters of weights %s do not divide into %lld groups",
                             (long long)weights.dims[0], weights_text, (long long)groups);
    if (src.dims[1] % groups != 0 || src.dims[1] / groups != weights.dims[1])
        return cupel_op_fail(
            view, CUPEL_STATUS_SHAPE,
            "images %s have %lld channels, but weights %s in %lld group%s take %lld", src_text,
            (long long)src.dims[1], weights_text, (long long)groups, groups == 1 ? "" : "s",
            (long long)(weights.dims[1] * groups));
    for (int i = 0; i < 2; i++) {
        dst_hw[i] = window_extent(src.dims[2 + i], weights.dims[2 + i], attrs->stride[i],
                                  attrs->padding[i], attrs->dilation[i]);
        if (dst_hw[i] < 1)
            return cupel_op_fail(
                view, CUPEL_STATUS_SHAPE,
                "a kernel of %s %lld (dilation %lld) does not fit into images %s padded by %lld",
                i == 0 ? "height" : "width", (long long)weights.dims[2 + i],
                (long long)attrs->dilation[i], src_text, (long long)attrs->padding[i]);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_conv *attrs = view->attrs;
    const int wanted = attrs->with_bias ? 3 : 2;
    if (view->n_inputs != wanted)
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d operands where its attributes want %d",
                             view->n_inputs, wanted);
    for (int i = 0; i < view->n_inputs; i++) {
        CUPEL_TRY(infer_real(view, i));
        CUPEL_TRY(infer_rank(view, i, i == 2 ? 1 : 4));
        if (view->inputs[i].type != view->inputs[0].type)
            return cupel_op_fail(view, CUPEL_STATUS_TYPE, "the images are %s, but the %s is %s",
                                 cupel_type_name(view->inputs[0].type),
                                 i == 1 ? "weights operand" : "bias",
                                 cupel_type_name(view->inputs[i].type));
    }
    const cupel_shape src = view->inputs[0].shape, weights = view->inputs[1].shape;
    int64_t hw[2];
    CUPEL_TRY(conv_check(view, attrs, src, weights, hw));
    if (attrs->with_bias && view->inputs[2].shape.dims[0] != weights.dims[0])
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "a bias of %lld values for %lld filters",
                             (long long)view->inputs[2].shape.dims[0], (long long)weights.dims[0]);
    infer_output(view, 0, view->inputs[0].type,
                 CUPEL_SHAPE(src.dims[0], weights.dims[0], hw[0], hw[1]));
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    struct attrs_conv attrs = *(const struct attrs_conv *)adjoint->attrs;
    const cupel_node x = adjoint->inputs[0], weights = adjoint->inputs[1];
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_shape src = cupel_node_shape(x), filters = cupel_node_shape(weights);
    const bool bias_wanted = attrs.with_bias && adjoint->wanted[2];
    if (adjoint->wanted[0]) {
        struct attrs_conv data = attrs;
        data.with_bias = 0;
        memcpy(data.src_hw, &src.dims[2], sizeof data.src_hw);
        adjoint->diff_inputs[0] = build_conv2d_backward_data(g, weights, &data);
    }
    if (adjoint->wanted[1]) {
        attrs.with_bias = bias_wanted;
        memcpy(attrs.kernel, &filters.dims[2], sizeof attrs.kernel);
        adjoint->diff_inputs[1] = build_conv2d_backward_weights(x, g, &attrs);
        if (bias_wanted)
            adjoint->diff_inputs[2] = cupel_node_output(adjoint->diff_inputs[1], 1);
    } else if (bias_wanted) {
        const uint32_t all_but_channels = CUPEL_AXIS(0) | CUPEL_AXIS(2) | CUPEL_AXIS(3);
        adjoint->diff_inputs[2] = cupel_reduce_sum(g, all_but_channels, false);
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return conv_flops(view->outputs[0].shape, view->inputs[1].shape);
}

const cupel_op op_conv2d = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "conv2d",
    .attr_size = sizeof(struct attrs_conv),
    .min_inputs = 2,
    .max_inputs = 3,
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

cupel_node cupel_conv2d(cupel_node x, cupel_node weights, cupel_node bias,
                        const cupel_conv_options *options) {
    struct attrs_conv attrs = conv_attrs(options);
    attrs.with_bias = !cupel_is_none(bias);
    const bool given = !cupel_is_none(x) && !cupel_is_none(weights); /* else operand i is missing */
    if (given && options != NULL &&
        (options->output_padding[0] != 0 || options->output_padding[1] != 0))
        return graph_fail(x.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "conv2d: output_padding [%lld, %lld] has a meaning in a transposed "
                          "convolution only; leave it 0",
                          (long long)options->output_padding[0],
                          (long long)options->output_padding[1]);
    const cupel_node inputs[] = {x, weights, bias};
    return graph_add(x.graph, &op_conv2d, NULL, &attrs, attrs.with_bias ? 3 : 2, inputs);
}
