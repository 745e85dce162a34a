/*
 * max_pool2d_backward: sends each window's gradient to the first maximum of that window. The maxima
 * are found again from the images, so that no index tensor is kept between the passes.
 *
 *   dx[n,c,h,w] = sum of dy[n,c,i,j] over the windows (i,j) whose first maximum is at (h,w)
 *   No adjoint: second-order gradients are not offered.
 * NaN: in dy propagates to the maximum's place; in x it is the maximum (the first NaN).
 * Test: tests/test_op_pool.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    for (int i = 0; i < 2; i++) {
        CUPEL_TRY(infer_real(view, i));
        CUPEL_TRY(infer_rank(view, i, 4));
    }
    const cupel_shape src = view->inputs[0].shape, dst = view->inputs[1].shape;
    int64_t hw[2];
    CUPEL_TRY(pool_check(view, view->attrs, src, hw));
    const cupel_shape wanted = CUPEL_SHAPE(src.dims[0], src.dims[1], hw[0], hw[1]);
    if (!cupel_shape_equal(dst, wanted)) {
        char text[CUPEL_SHAPE_TEXT_SIZE], wanted_text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "a gradient of shape %s where %s is wanted",
                             cupel_shape_format(text, dst),
                             cupel_shape_format(wanted_text, wanted));
    }
    infer_output(view, 0, view->inputs[1].type, src);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return pool_flops(view->inputs[1].shape, view->attrs);
}

const cupel_op op_max_pool2d_backward = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "max_pool2d_backward",
    .attr_size = sizeof(struct attrs_pool),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = 3,
    .image_outputs = 1,
    .infer = infer,
    .flops = flops,
};

cupel_node build_max_pool2d_backward(cupel_node src, cupel_node diff_dst,
                                     const struct attrs_pool *attrs) {
    const cupel_node inputs[] = {src, diff_dst};
    return graph_add(src.graph, &op_max_pool2d_backward, NULL, attrs, 2, inputs);
}
