/*
 * max_pool2d: the largest value under each window; padding is minus infinity.
 *
 *   y[n,c,i,j] = max over p,q of x[n, c, s i + p - pad, s j + q - pad]
 *   dx = max_pool2d_backward(x, dy):
 *   the first maximum of each window (row by row) gets its gradient.
 * NaN: counts as the maximum, so it propagates to every window it lies in.
 * Test: tests/test_op_pool.c
 */
#include "op/op_builders.h"

struct attrs_pool pool_attrs(const cupel_pool_options *options) {
    struct attrs_pool attrs = {.kernel = {0}};
    if (options == NULL)
        return attrs;
    for (int i = 0; i < 2; i++) {
        attrs.kernel[i] = options->kernel[i];
        attrs.stride[i] = options->stride[i] == 0 ? options->kernel[i] : options->stride[i];
        attrs.padding[i] = options->padding[i];
    }
    return attrs;
}

double pool_flops(cupel_shape dst, const struct attrs_pool *attrs) {
    return (double)cupel_shape_count(dst) * (double)attrs->kernel[0] * (double)attrs->kernel[1];
}

cupel_status pool_check(const cupel_op_view *view, const struct attrs_pool *attrs, cupel_shape src,
                        int64_t dst_hw[2]) {
    for (int i = 0; i < 2; i++) {
        const int64_t kernel = attrs->kernel[i], stride = attrs->stride[i];
        const char *const side = i == 0 ? "height" : "width";
        if (kernel < 1 || kernel > WINDOW_LIMIT || stride < 1 || stride > WINDOW_LIMIT)
            return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                                 "a window of %s %lld with stride %lld: both start at 1", side,
                                 (long long)kernel, (long long)stride);
        /* As PyTorch: no window may lie in the padding alone. */
        if (attrs->padding[i] < 0 || attrs->padding[i] > kernel / 2)
            return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                                 "padding %lld along the %s must be within 0 .. %lld, half of the "
                                 "window's %lld",
                                 (long long)attrs->padding[i], side, (long long)(kernel / 2),
                                 (long long)kernel);
        dst_hw[i] = window_extent(src.dims[2 + i], kernel, stride, attrs->padding[i], 1);
        if (dst_hw[i] < 1) {
            char text[CUPEL_SHAPE_TEXT_SIZE];
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                                 "a window of %s %lld does not fit into images %s padded by %lld",
                                 side, (long long)kernel, cupel_shape_format(text, src),
                                 (long long)attrs->padding[i]);
        }
    }
    return CUPEL_STATUS_OK;
}

cupel_status infer_pool(const cupel_op_view *view) {
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_rank(view, 0, 4));
    const cupel_shape src = view->inputs[0].shape;
    int64_t hw[2];
    CUPEL_TRY(pool_check(view, view->attrs, src, hw));
    infer_output(view, 0, view->inputs[0].type,
                 CUPEL_SHAPE(src.dims[0], src.dims[1], hw[0], hw[1]));
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] =
            build_max_pool2d_backward(adjoint->inputs[0], adjoint->diff_outputs[0], adjoint->attrs);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return pool_flops(view->outputs[0].shape, view->attrs);
}

const cupel_op op_max_pool2d = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "max_pool2d",
    .attr_size = sizeof(struct attrs_pool),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 1,
    .image_outputs = 1,
    .infer = infer_pool,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_max_pool2d(cupel_node x, const cupel_pool_options *options) {
    const struct attrs_pool attrs = pool_attrs(options);
    return graph_add(x.graph, &op_max_pool2d, NULL, &attrs, 1, &x);
}
