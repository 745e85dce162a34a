/*
 * Nodes of several parts (a fused chain, a convolution with its chain and its sum, a sweep, an
 * update with its product) fall into their parts where no kernel takes the whole, or where the
 * parts are faster.
 * Tests: tests/test_pass_choose.c, tests/test_pass_images.c
 */
#include <string.h>

#include "compile/choose_internal.h"
#include "compile/plan_internal.h"
#include "op/op_fused_conv.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"
#include "op/op_sweep.h"

/* The parts of a fused node, each on its own. */
static cupel_status split_fused(struct choose *s, const struct graph_node *fused, uint32_t old_id) {
    struct compile *c = s->c;
    const struct attrs_fused *attrs = fused->attrs;
    struct edge made[FUSED_MAX_PARTS];
    cupel_desc *descs = arena_alloc(&c->arena, FUSED_MAX_PARTS, sizeof(*descs));
    cupel_op_view view;
    CUPEL_TRY(node_view(c, fused, &view));
    if (!descs)
        return cupel_fail_memory(c->error, "splitting a fused node", sizeof(cupel_desc));
    CUPEL_TRY(fused_part_descs(&view, descs));
    for (int64_t p = 0; p < attrs->n_parts; p++) {
        const struct fused_part *part = &attrs->parts[p];
        struct edge inputs[FUSED_MAX_PART_INPUTS];
        for (int i = 0; i < part->n_inputs; i++)
            inputs[i] =
                part->inputs[i] >= 0 ? fused->inputs[part->inputs[i]] : made[~part->inputs[i]];
        descs[p].layout = CUPEL_LAYOUT_PLAIN;
        const struct graph_node node = {.op = part->op,
                                        .attrs = part->attrs,
                                        .n_inputs = (uint32_t)part->n_inputs,
                                        .n_outputs = 1,
                                        .inputs = inputs,
                                        .outputs = &descs[p],
                                        .name = fused->name};
        bool done;
        uint32_t id = 0;
        CUPEL_TRY(choose_node(s, &node, &done, &id));
        if (!done)
            return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                              fused->name, part->op->name);
        made[p] = (struct edge){id, 0};
    }
    for (int64_t k = 0; k < attrs->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, (uint32_t)k}, made[attrs->outputs[k]]);
    return CUPEL_STATUS_OK;
}

/* The convolution, then its chain, which may fall into parts itself. */
static cupel_status split_conv_and_chain(struct choose *s, const struct graph_node *both,
                                         uint32_t old_id) {
    struct compile *c = s->c;
    const struct attrs_fused_conv *attrs = both->attrs;
    const uint32_t n_conv = (uint32_t)attrs->n_conv_inputs, n = both->n_inputs - n_conv + 1;
    cupel_op_view whole, view;
    CUPEL_TRY(node_view(c, both, &whole));
    cupel_desc *result = arena_alloc(&c->arena, 1, sizeof(*result));
    if (!result)
        return cupel_fail_memory(c->error, "splitting a convolution", sizeof(*result));
    CUPEL_TRY(fused_conv_conv(&whole, result, &view));
    result->layout = CUPEL_LAYOUT_PLAIN;
    const struct graph_node conv = {.op = attrs->conv,
                                    .attrs = &attrs->attrs,
                                    .n_inputs = n_conv,
                                    .n_outputs = 1,
                                    .inputs = both->inputs,
                                    .outputs = result,
                                    .name = attrs->conv_name};
    bool done;
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, &conv, &done, &id));
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s", conv.name,
                          conv.op->name);
    struct edge inputs[FUSED_MAX_INPUTS] = {{id, 0}};
    memcpy(inputs + 1, both->inputs + n_conv, (n - 1) * sizeof(*inputs));
    const struct graph_node chain = {.op = &op_fused,
                                     .attrs = &attrs->chain,
                                     .n_inputs = n,
                                     .n_outputs = 1,
                                     .inputs = inputs,
                                     .outputs = both->outputs,
                                     .name = both->name};
    if (attrs->chain.n_parts == 1 || split_is_recorded(s, &chain))
        return split_fused(s, &chain, old_id);
    CUPEL_TRY(choose_node(s, &chain, &done, &id));
    if (!done)
        return split_fused(s, &chain, old_id);
    rewrite_map(&s->rewrite, (struct edge){old_id, 0}, (struct edge){id, 0});
    return CUPEL_STATUS_OK;
}

/* The updates of a sweep, each on its own. */
static cupel_status split_sweep(struct choose *s, const struct graph_node *sweep, uint32_t old_id) {
    const struct attrs_sweep *attrs = sweep->attrs;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct sweep_part *part = &attrs->parts[p];
        const struct graph_node node = {.op = attrs->op,
                                        .attrs = part->attrs,
                                        .n_inputs = (uint32_t)part->n_inputs,
                                        .n_outputs = (uint32_t)part->n_outputs,
                                        .inputs = sweep->inputs + part->first_input,
                                        .outputs = sweep->outputs + part->first_output,
                                        .name = part->name};
        bool done;
        uint32_t id = 0;
        CUPEL_TRY(choose_node(s, &node, &done, &id));
        if (!done)
            return cupel_fail(s->c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                              part->name, attrs->op->name);
        for (int k = 0; k < part->n_outputs; k++)
            rewrite_map(&s->rewrite, (struct edge){old_id, (uint32_t)(part->first_output + k)},
                        (struct edge){id, (uint32_t)k});
    }
    return CUPEL_STATUS_OK;
}

/* One part, of one result; a device has kernels for all parts. */
static cupel_status take_part(struct choose *s, const struct graph_node *node, struct edge *out) {
    bool done;
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, node, &done, &id));
    if (!done)
        return cupel_fail(s->c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                          node->name, node->op->name);
    *out = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

/* Convolution, chain and, where the node has one, the sum of that. */
static cupel_status split_fused_conv(struct choose *s, const struct graph_node *whole,
                                     uint32_t old_id) {
    CUPEL_TRY(split_conv_and_chain(s, whole, old_id));
    if (whole->n_outputs == 1)
        return CUPEL_STATUS_OK;
    const struct attrs_fused_conv *attrs = whole->attrs;
    struct edge image = rewrite_edge(&s->rewrite, (struct edge){old_id, 0}), out;
    const struct graph_node sum = {.op = &op_reduce_sum,
                                   .attrs = &attrs->sum,
                                   .n_inputs = 1,
                                   .n_outputs = 1,
                                   .inputs = &image,
                                   .outputs = &whole->outputs[1],
                                   .name = attrs->sum_name};
    CUPEL_TRY(take_part(s, &sum, &out));
    rewrite_map(&s->rewrite, (struct edge){old_id, 1}, out);
    return CUPEL_STATUS_OK;
}

/* An elementwise part of the shape of its first operand. */
static cupel_status take_elementwise(struct choose *s, const cupel_op *op, const char *name,
                                     uint32_t n_inputs, struct edge *inputs, struct edge *out) {
    cupel_desc *desc = arena_copy(&s->c->arena, compile_desc(s->c, inputs[0]), sizeof *desc);
    if (!desc)
        return cupel_fail_memory(s->c->error, "splitting a product", sizeof *desc);
    desc->layout = CUPEL_LAYOUT_PLAIN;
    const struct graph_node node = {.op = op,
                                    .attrs = "",
                                    .n_inputs = n_inputs,
                                    .n_outputs = 1,
                                    .inputs = inputs,
                                    .outputs = desc,
                                    .name = name};
    return take_part(s, &node, out);
}

/* One matrix product of an image_matmul, the image flattened. */
static cupel_status take_product(struct choose *s, const struct graph_node *whole, int index,
                                 struct edge *out) {
    struct compile *c = s->c;
    cupel_op_view view, product;
    cupel_desc operands[2];
    cupel_desc *result = arena_alloc(&c->arena, 1, sizeof *result);
    struct attrs_matmul *attrs = arena_alloc(&c->arena, 1, sizeof *attrs);
    if (!result || !attrs)
        return cupel_fail_memory(c->error, "splitting a product", sizeof *result);
    CUPEL_TRY(node_view(c, whole, &view));
    CUPEL_TRY(image_matmul_product(&view, index, operands, result, attrs, &product));
    struct edge inputs[2];
    for (int i = 0; i < 2; i++) {
        inputs[i] = whole->inputs[image_matmul_operand(whole->attrs, index, i)];
        if (compile_desc(c, inputs[i])->shape.rank == 4)
            CUPEL_TRY(choose_reshape(s, inputs[i], operands[i].shape, whole->name, &inputs[i]));
    }
    const struct graph_node node = {.op = product.op,
                                    .attrs = attrs,
                                    .n_inputs = 2,
                                    .n_outputs = 1,
                                    .inputs = inputs,
                                    .outputs = result,
                                    .name = whole->name};
    return take_part(s, &node, out);
}

/* Bias and mask as matrices, the elementwise part, and what comes of it as an image. */
static cupel_status finish_image(struct choose *s, const struct graph_node *whole,
                                 struct edge matrix, struct edge *out) {
    struct compile *c = s->c;
    const struct attrs_image_matmul *attrs = whole->attrs;
    const int bias = image_matmul_bias(attrs), mask = image_matmul_mask(attrs);
    const cupel_shape shape = compile_desc(c, matrix)->shape;
    struct edge inputs[3] = {matrix};
    if (bias >= 0) {
        CUPEL_TRY(choose_reshape(s, whole->inputs[bias], CUPEL_SHAPE(1, shape.dims[1]), whole->name,
                                 &inputs[1]));
        CUPEL_TRY(take_elementwise(s, &op_add, whole->name, 2, inputs, &matrix));
    }
    inputs[0] = matrix;
    if (attrs->finish == IMAGE_RELU)
        CUPEL_TRY(take_elementwise(s, &op_relu, whole->name, 1, inputs, &matrix));
    if (mask >= 0) {
        CUPEL_TRY(choose_reshape(s, whole->inputs[mask], shape, whole->name, &inputs[0]));
        inputs[1] = matrix;
        inputs[2] = whole->inputs[mask + 1];
        CUPEL_TRY(take_elementwise(s, &op_select, whole->name, 3, inputs, &matrix));
    }
    return choose_reshape(s, matrix, whole->outputs[0].shape, whole->name, out);
}

/* Two products of an image side by side. */
static cupel_status take_columns(struct choose *s, const struct graph_node *whole,
                                 struct edge *inputs, struct edge *out) {
    struct attrs_axis *const attrs = arena_alloc(&s->c->arena, 1, sizeof *attrs);
    if (attrs == NULL)
        return cupel_fail_memory(s->c->error, "splitting a product", sizeof *attrs);
    attrs->axis = 1;
    const struct graph_node node = {.op = &op_concat,
                                    .attrs = attrs,
                                    .n_inputs = 2,
                                    .n_outputs = 1,
                                    .inputs = inputs,
                                    .outputs = whole->outputs,
                                    .name = whole->name};
    return take_part(s, &node, out);
}

/* Reshapes, matrix products, and what is done to them. */
static cupel_status take_image_parts(struct choose *s, const struct graph_node *whole,
                                     struct edge *out) {
    const struct attrs_image_matmul *attrs = whole->attrs;
    CUPEL_TRY(take_product(s, whole, 0, out));
    if (attrs->products > 1) {
        struct edge inputs[2] = {*out};
        CUPEL_TRY(take_product(s, whole, 1, &inputs[1]));
        CUPEL_TRY(attrs->role == IMAGE_RESULT
                      ? take_elementwise(s, &op_add, whole->name, 2, inputs, out)
                      : take_columns(s, whole, inputs, out));
    }
    return attrs->role == IMAGE_RESULT ? finish_image(s, whole, *out, out) : CUPEL_STATUS_OK;
}

static cupel_status split_image_matmul(struct choose *s, const struct graph_node *whole,
                                       uint32_t old_id) {
    struct edge out;
    CUPEL_TRY(take_image_parts(s, whole, &out));
    rewrite_map(&s->rewrite, (struct edge){old_id, 0}, out);
    return CUPEL_STATUS_OK;
}

/* The product, then the update, whose first result is one of the old node's. */
static cupel_status split_product_update(struct choose *s, const struct graph_node *both,
                                         uint32_t old_id, uint32_t first_output) {
    struct compile *c = s->c;
    const struct attrs_product_update *attrs = both->attrs;
    cupel_op_view whole, view;
    CUPEL_TRY(node_view(c, both, &whole));
    cupel_desc *gradient = arena_alloc(&c->arena, 1, sizeof(*gradient));
    if (!gradient)
        return cupel_fail_memory(c->error, "splitting an update", sizeof(*gradient));
    CUPEL_TRY(product_update_product(&whole, gradient, &view));
    struct edge inputs[SWEEP_MAX_PART_INPUTS];
    const struct graph_node product = {.op = view.op,
                                       .attrs = view.attrs,
                                       .n_inputs = (uint32_t)view.n_inputs,
                                       .n_outputs = 1,
                                       .inputs = both->inputs,
                                       .outputs = gradient,
                                       .name = attrs->product_name};
    const uint32_t n_inputs = both->n_inputs - product.n_inputs + 1;
    const struct graph_node update = {.op = attrs->update,
                                      .attrs = attrs->update_attrs,
                                      .n_inputs = n_inputs,
                                      .n_outputs = both->n_outputs,
                                      .inputs = inputs,
                                      .outputs = both->outputs,
                                      .name = both->name};
    bool done;
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, &product, &done, &id));
    struct edge made = {id, 0};
    if (!done && product.op == &op_image_matmul)
        CUPEL_TRY(take_image_parts(s, &product, &made));
    else if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                          product.name, product.op->name);
    if (attrs->summed)
        CUPEL_TRY(choose_reshape(s, made, both->outputs[0].shape, product.name, &made));
    for (uint32_t i = 0; i < n_inputs; i++)
        inputs[i] = i == (uint32_t)attrs->gradient
                        ? made
                        : both->inputs[product_update_operand(attrs, (int)i)];
    CUPEL_TRY(choose_node(s, &update, &done, &id));
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                          update.name, update.op->name);
    for (uint32_t k = 0; k < both->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, first_output + k}, (struct edge){id, k});
    return CUPEL_STATUS_OK;
}

/* The updates of one image, each on its own. */
static cupel_status split_image_sweep(struct choose *s, const struct graph_node *sweep,
                                      uint32_t old_id) {
    const struct attrs_image_sweep *attrs = sweep->attrs;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct image_sweep_part *part = &attrs->parts[p];
        struct edge inputs[IMAGE_SWEEP_MAX_PART_INPUTS];
        for (int i = 0; i < part->n_inputs; i++)
            inputs[i] = sweep->inputs[image_sweep_operand(part, i)];
        const uint32_t first_output = (uint32_t)part->first_output;
        const struct graph_node node = {.op = &op_image_update,
                                        .attrs = &part->both,
                                        .n_inputs = (uint32_t)part->n_inputs,
                                        .n_outputs = (uint32_t)part->n_outputs,
                                        .inputs = inputs,
                                        .outputs = sweep->outputs + first_output,
                                        .name = part->name};
        bool done = false;
        uint32_t id = 0;
        if (!split_is_recorded(s, &node))
            CUPEL_TRY(choose_node(s, &node, &done, &id));
        if (!done)
            CUPEL_TRY(split_product_update(s, &node, old_id, first_output));
        for (uint32_t k = 0; done && k < node.n_outputs; k++)
            rewrite_map(&s->rewrite, (struct edge){old_id, first_output + k}, (struct edge){id, k});
    }
    return CUPEL_STATUS_OK;
}

bool split_exists(const struct graph_node *node) {
    return node->op == &op_fused || node->op == &op_fused_conv || node->op == &op_sweep ||
           node->op == &op_image_matmul || node->op == &op_image_sweep ||
           is_product_update(node->op);
}

cupel_status split_node(struct choose *s, const struct graph_node *node, uint32_t old_id) {
    return node->op == &op_fused          ? split_fused(s, node, old_id)
           : node->op == &op_fused_conv   ? split_fused_conv(s, node, old_id)
           : node->op == &op_sweep        ? split_sweep(s, node, old_id)
           : node->op == &op_image_matmul ? split_image_matmul(s, node, old_id)
           : node->op == &op_image_sweep  ? split_image_sweep(s, node, old_id)
                                          : split_product_update(s, node, old_id, 0);
}

/* Enough of the first part to find it in a plan. */
static struct graph_node first_part(const struct graph_node *node) {
    if (node->op == &op_fused) {
        const struct attrs_fused *attrs = node->attrs;
        return (struct graph_node){.op = attrs->parts[0].op, .name = node->name};
    }
    if (node->op == &op_fused_conv) {
        const struct attrs_fused_conv *attrs = node->attrs;
        return (struct graph_node){.op = attrs->conv, .name = attrs->conv_name};
    }
    if (node->op == &op_sweep) {
        const struct attrs_sweep *attrs = node->attrs;
        return (struct graph_node){.op = attrs->op, .name = attrs->parts[0].name};
    }
    if (node->op == &op_image_matmul)
        return (struct graph_node){.op = &op_matmul, .name = node->name};
    if (node->op == &op_image_sweep) {
        const struct attrs_image_sweep *attrs = node->attrs;
        return (struct graph_node){
            .op = &op_image_update, .attrs = &attrs->parts[0].both, .name = attrs->parts[0].name};
    }
    const struct attrs_product_update *attrs = node->attrs;
    return (struct graph_node){.op = attrs->update, .name = node->name};
}

bool split_is_recorded(const struct choose *s, const struct graph_node *node) {
    const cupel_plan *const plan = s->c->reference ? NULL : s->c->options->plan;
    if (plan == NULL || choose_is_recorded(s, node))
        return false;
    const struct graph_node part = first_part(node);
    return plan_like(plan, node) == NULL &&
           (plan_like(plan, &part) != NULL ||
            (node->op == &op_image_sweep && split_is_recorded(s, &part)));
}
