/*
 * The internal op "image_matmul": shapes are those of its parts run apart (reshape, matmul, add or
 * concat, relu or select). There is no gradient: passes make it after gradients were added. NaN: as
 * the parts, so a NaN in a mask is not 0. Test: tests/test_pass_images.c
 */
#include "op/op_image_matmul.h"

#include "op/op_internal.h"

int image_matmul_bias(const struct attrs_image_matmul *attrs) {
    return attrs->with_bias ? 2 * (int)attrs->products : -1;
}

int image_matmul_mask(const struct attrs_image_matmul *attrs) {
    return attrs->finish == IMAGE_SELECT ? 2 * (int)attrs->products + (attrs->with_bias != 0) : -1;
}

int image_matmul_operand(const struct attrs_image_matmul *attrs, int index, int i) {
    return attrs->role == IMAGE_RESULT ? 2 * index + i : i == 0 ? 0 : i + index;
}

/* [N, C, H, W] as [N, C H W]; of any other rank as it is. */
static cupel_desc flat(cupel_desc desc) {
    const cupel_shape s = desc.shape;
    if (s.rank == 4)
        desc.shape = CUPEL_SHAPE(s.dims[0], s.dims[1] * s.dims[2] * s.dims[3]);
    desc.layout = CUPEL_LAYOUT_PLAIN;
    return desc;
}

cupel_status image_matmul_product(const cupel_op_view *view, int index, cupel_desc *operands,
                                  cupel_desc *result, struct attrs_matmul *matmul,
                                  cupel_op_view *product) {
    const struct attrs_image_matmul *attrs = view->attrs;
    *matmul =
        (struct attrs_matmul){.transpose_a = attrs->transpose_a, .transpose_b = attrs->transpose_b};
    *result = (cupel_desc){0};
    for (int i = 0; i < 2; i++)
        operands[i] = flat(view->inputs[image_matmul_operand(attrs, index, i)]);
    *product = (cupel_op_view){.op = &op_matmul,
                               .attrs = matmul,
                               .name = view->name,
                               .n_inputs = 2,
                               .inputs = operands,
                               .n_outputs = 1,
                               .outputs = result,
                               .sink = view->sink};
    return op_matmul.infer(product);
}

static cupel_status bad_operands(const cupel_op_view *view) {
    return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d operands that do not fit each other",
                         view->n_inputs);
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_image_matmul *attrs = view->attrs;
    const int bias = image_matmul_bias(attrs), mask = image_matmul_mask(attrs);
    const int64_t *const image = attrs->image;
    if (attrs->products < 1 || attrs->products > 2 ||
        (attrs->products > 1 && (attrs->role == IMAGE_B || attrs->transpose_a)) ||
        view->n_inputs != image_matmul_operand(attrs, (int)attrs->products - 1, 1) + 1 +
                              (bias >= 0) + 2 * (mask >= 0))
        return bad_operands(view);
    cupel_desc operands[2], result, first = {0};
    struct attrs_matmul matmul;
    cupel_op_view product;
    for (int i = 0; i < (int)attrs->products; i++) {
        CUPEL_TRY(image_matmul_product(view, i, operands, &result, &matmul, &product));
        first = i == 0 ? result : first;
        if (!cupel_desc_equal(&result, &first))
            return bad_operands(view);
    }
    if (attrs->role == IMAGE_RESULT) {
        const int64_t n = first.shape.dims[0], columns = first.shape.dims[1];
        if (image[0] * image[1] * image[2] != columns ||
            (bias >= 0 && cupel_shape_count(view->inputs[bias].shape) != columns))
            return bad_operands(view);
        first.shape = CUPEL_SHAPE(n, image[0], image[1], image[2]);
        if (mask >= 0 && !cupel_shape_equal(view->inputs[mask].shape, first.shape))
            return bad_operands(view);
    } else if (attrs->products > 1) {
        first.shape.dims[1] *= attrs->products;
    }
    infer_output(view, 0, first.type, first.shape);
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    const struct attrs_image_matmul *attrs = view->attrs;
    cupel_desc operands[2], result;
    struct attrs_matmul matmul;
    cupel_op_view product;
    double sum = 0;
    for (int i = 0; i < (int)attrs->products; i++)
        if (image_matmul_product(view, i, operands, &result, &matmul, &product) == CUPEL_STATUS_OK)
            sum += op_matmul.flops(&product);
    return sum;
}

const cupel_op op_image_matmul = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "image_matmul",
    .attr_size = sizeof(struct attrs_image_matmul),
    .min_inputs = 2,
    .max_inputs = 7,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .image_inputs = ~0U, /* those of four axes */
    .image_outputs = 1,
    .infer = infer,
    .flops = flops,
};
