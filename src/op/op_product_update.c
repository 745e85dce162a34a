/*
 * The internal ops "product_update" and "image_update": both parts are inferred by their own rules,
 * so a node has exactly the shapes and types of its parts run apart. There is no gradient: updates
 * come after gradients were added. NaN: as the parts. Tests: tests/test_pass_fuse_update.c,
 * tests/test_pass_images.c
 */
#include "op/op_product_update.h"

#include "op/op_internal.h"

enum { PRODUCT_INPUTS = 2 };

static int product_inputs(const struct attrs_product_update *attrs) {
    return attrs->summed ? 1 : PRODUCT_INPUTS;
}

bool is_product_update(const cupel_op *op) {
    return op == &op_product_update || op == &op_image_update;
}

int product_update_operand(const struct attrs_product_update *attrs, int i) {
    return product_inputs(attrs) + (i < attrs->gradient ? i : i - 1);
}

int product_update_in_place(const struct attrs_product_update *attrs, int n_inputs, int k) {
    if (k < 0 || k >= attrs->update->n_outputs || k >= CUPEL_OP_MAX_OUTPUTS)
        return 0;
    const int shared = attrs->update->in_place[k]; /* 1 + an operand of the update */
    if (shared == 0 || shared - 1 == attrs->gradient)
        return 0;
    const int operand = product_update_operand(attrs, shared - 1);
    return operand < n_inputs ? operand + 1 : 0;
}

cupel_status product_update_product(const cupel_op_view *view, cupel_desc *gradient,
                                    cupel_op_view *product) {
    static const struct attrs_reduce over_batch = {.axes = 1, .keep = 1};
    const struct attrs_product_update *attrs = view->attrs;
    *gradient = (cupel_desc){0};
    const bool image = view->op == &op_image_update;
    *product = (cupel_op_view){.op = attrs->summed ? &op_reduce_sum
                                     : image       ? &op_image_matmul
                                                   : &op_matmul,
                               .attrs = attrs->summed ? (const void *)&over_batch
                                        : image       ? (const void *)&attrs->image
                                                      : &attrs->product,
                               .name = attrs->product_name,
                               .n_inputs = product_inputs(attrs),
                               .inputs = view->inputs,
                               .n_outputs = 1,
                               .outputs = gradient,
                               .sink = view->sink};
    return product->op->infer(product);
}

cupel_op_view product_update_update(const cupel_op_view *view, const cupel_desc *gradient,
                                    cupel_desc *operands) {
    const struct attrs_product_update *attrs = view->attrs;
    const int n = view->n_inputs - product_inputs(attrs) + 1;
    for (int i = 0; i < n; i++)
        operands[i] =
            i == (int)attrs->gradient ? *gradient : view->inputs[product_update_operand(attrs, i)];
    if (attrs->summed)
        operands[attrs->gradient].shape = view->inputs[product_update_operand(attrs, 0)].shape;
    return (cupel_op_view){.op = attrs->update,
                           .attrs = attrs->update_attrs,
                           .name = view->name,
                           .n_inputs = n,
                           .inputs = operands,
                           .n_outputs = view->n_outputs,
                           .outputs = view->outputs,
                           .sink = view->sink};
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_product_update *attrs = view->attrs;
    const int n = view->n_inputs - product_inputs(attrs) + 1; /* operands of the update */
    if (attrs->update == NULL || n < 2 || attrs->gradient < 1 || attrs->gradient >= n ||
        !sweep_takes(attrs->update, n, view->n_outputs))
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d operands and %d results, gradient %lld",
                             view->n_inputs, view->n_outputs, (long long)attrs->gradient);
    cupel_desc gradient, operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view product;
    CUPEL_TRY(product_update_product(view, &gradient, &product));
    const cupel_op_view update = product_update_update(view, &gradient, operands);
    if (attrs->summed && cupel_shape_count(gradient.shape) != cupel_shape_count(operands[0].shape))
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "a gradient of %lld elements, not %lld",
                             (long long)cupel_shape_count(gradient.shape),
                             (long long)cupel_shape_count(operands[0].shape));
    return attrs->update->infer(&update);
}

static double flops(const cupel_op_view *view) {
    const struct attrs_product_update *attrs = view->attrs;
    cupel_desc gradient, operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view product;
    if (product_update_product(view, &gradient, &product) != CUPEL_STATUS_OK)
        return 0;
    const cupel_op_view update = product_update_update(view, &gradient, operands);
    return product.op->flops(&product) + (attrs->update->flops
                                              ? attrs->update->flops(&update)
                                              : (double)cupel_shape_count(gradient.shape));
}

/* n_inputs and n_outputs differ from node to node; the descriptor has the most. in_place is what
 * product_update_in_place() says. */
const cupel_op op_product_update = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "product_update",
    .attr_size = sizeof(struct attrs_product_update),
    .min_inputs = PRODUCT_INPUTS + 1,
    .max_inputs = PRODUCT_INPUTS + SWEEP_MAX_PART_INPUTS - 1,
    .n_outputs = SWEEP_MAX_PART_OUTPUTS,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .flops = flops,
};

const cupel_op op_image_update = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "image_update",
    .attr_size = sizeof(struct attrs_product_update),
    .min_inputs = 2, /* of a sum */
    .max_inputs = PRODUCT_INPUTS + SWEEP_MAX_PART_INPUTS - 1,
    .n_outputs = SWEEP_MAX_PART_OUTPUTS,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 3, /* the product's, one of which is an image, or its sum's */
    .infer = infer,
    .flops = flops,
};
