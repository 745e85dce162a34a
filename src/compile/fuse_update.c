/*
 * Pass fuse_update: an update and the matrix product that makes its gradient become one node, whose
 * kernel uses the gradient up as it is made, so that a large one never lies in memory. The product
 * must be of two plain matrices, or of an image, and read by the update alone. The sum of images
 * over the batch, a bias's gradient, is such a product too.
 *
 * Nothing but the update depends on that product, so it may wait until the update's place in the
 * list, and no cycle can close. The node keeps its two parts: the choice of kernels splits it where
 * that is faster. What no kernel of the device takes is left alone, so that sweep.c can merge those
 * updates with each other. Test: tests/test_pass_fuse_update.c
 */
#include <string.h>

#include "compile/flat_images.h"
#include "compile/updates.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"

struct fuse_update {
    struct compile *c;
    struct readers readers;
    uint32_t *product; /* per node: of an update that is fused, its product; or NO_NODE */
    bool *absorbed;    /* per node: a product that an update took, or reshapes between them */
};

/* Whether each result has rows like the parameter, or is a scalar of no meaning (SGD's buffer where
 * there is none). */
static bool works_in_rows(const struct graph_node *update) {
    for (uint32_t k = 0; k < update->n_outputs; k++)
        if (update->outputs[k].shape.rank != 0 &&
            !cupel_shape_equal(update->outputs[k].shape, update->outputs[0].shape))
            return false;
    return true;
}

/* A sum over the batch of images that may have the device's blocked layout. */
static bool sums_images(const struct compile *c, const struct graph_node *node) {
    const struct attrs_reduce *attrs = node->attrs;
    if (node->op != &op_reduce_sum || attrs->axes != 1)
        return false;
    const cupel_shape s = compile_desc(c, node->inputs[0])->shape;
    return s.rank == 4 &&
           image_stands_for(c, s, CUPEL_SHAPE(s.dims[0], s.dims[1] * s.dims[2] * s.dims[3]));
}

/* The op of such a product and its update together, or NULL. */
static const cupel_op *both_of(const struct graph_node *product) {
    return product->op == &op_matmul                                          ? &op_product_update
           : product->op == &op_image_matmul || product->op == &op_reduce_sum ? &op_image_update
                                                                              : NULL;
}

static void fill_attrs(struct attrs_product_update *attrs, const struct graph_node *product,
                       const struct graph_node *update) {
    *attrs = (struct attrs_product_update){.product_name = product->name,
                                           .update = update->op,
                                           .gradient =
                                               update_gradient(update->op, (int)update->n_inputs)};
    attrs->summed = product->op == &op_reduce_sum;
    if (product->op == &op_matmul)
        memcpy(&attrs->product, product->attrs, sizeof(attrs->product));
    else if (product->op == &op_image_matmul)
        memcpy(&attrs->image, product->attrs, sizeof(attrs->image));
    memcpy(attrs->update_attrs, update->attrs, update->op->attr_size);
}

/* Whether a kernel of the device takes both as one; of images, whose layouts are chosen later,
 * there only must be one. */
static bool has_kernel(const struct compile *c, const struct graph_node *product,
                       const struct graph_node *update) {
    const cupel_op *const both = both_of(product);
    struct attrs_product_update attrs;
    cupel_desc inputs[KERNEL_MAX_OPERANDS];
    int n = 0;
    if (both == NULL || product->n_inputs + update->n_inputs > KERNEL_MAX_OPERANDS)
        return false;
    if (both == &op_image_update)
        return device_has_kernel(c, both);
    fill_attrs(&attrs, product, update);
    for (uint32_t i = 0; i < product->n_inputs; i++)
        inputs[n++] = *compile_desc(c, product->inputs[i]);
    for (uint32_t i = 0; i < update->n_inputs; i++)
        if (i != (uint32_t)attrs.gradient)
            inputs[n++] = *compile_desc(c, update->inputs[i]);
    const struct kernel_request request = {.view = {.op = both,
                                                    .attrs = &attrs,
                                                    .name = update->name,
                                                    .n_inputs = n,
                                                    .inputs = inputs,
                                                    .n_outputs = (int)update->n_outputs,
                                                    .outputs = update->outputs},
                                           .threads = c->threads};
    const struct kernel *const *list = c->backend->kernels(c->backend, both->name);
    const char *why = NULL;
    for (; list && *list; list++)
        if ((*list)->accept == NULL || (*list)->accept(&request, &why))
            return true;
    return false;
}

static uint32_t gradient_of(const struct graph_node *update) {
    return update->inputs[update_gradient(update->op, (int)update->n_inputs)].node;
}

static bool is_read_once(const struct fuse_update *f, uint32_t id) {
    return f->readers.uses[readers_edge(&f->readers, id, 0)] == 1;
}

/* The product that an update may take, or NO_NODE. A sum of images may be reshaped. */
static uint32_t product_of(const struct fuse_update *f, uint32_t update_id) {
    const struct compile *c = f->c;
    const struct graph_node *update = compile_node(c, update_id);
    if (!node_is_update(&f->readers, update_id) || !works_in_rows(update))
        return NO_NODE;
    uint32_t id = gradient_of(update);
    bool alone = is_read_once(f, id), reshaped = false;
    for (; compile_node(c, id)->op == &op_reshape; reshaped = true) {
        id = compile_node(c, id)->inputs[0].node;
        alone = alone && is_read_once(f, id);
    }
    const struct graph_node *product = compile_node(c, id);
    const bool wanted = product->op == &op_reduce_sum
                            ? sums_images(c, product)
                            : !reshaped && product->outputs[0].shape.rank == 2;
    return alone && wanted && has_kernel(c, product, update) ? id : NO_NODE;
}

static cupel_status no_memory(const struct fuse_update *f) {
    return cupel_fail_memory(f->c->error, "fusing updates", f->c->list.count);
}

/* The node of both in the update's place. */
static cupel_status emit_both(const struct fuse_update *f, struct rewrite *rewrite, uint32_t id) {
    struct compile *c = f->c;
    const struct graph_node *update = &rewrite->old.nodes[id];
    const struct graph_node *product = &rewrite->old.nodes[f->product[id]];
    struct attrs_product_update *attrs = arena_alloc(&c->arena, 1, sizeof(*attrs));
    struct edge *inputs =
        arena_alloc(&c->arena, product->n_inputs + update->n_inputs, sizeof(*inputs));
    cupel_desc *outputs =
        arena_copy(&c->arena, update->outputs, update->n_outputs * sizeof(*outputs));
    struct graph_node *made = attrs && inputs && outputs ? node_list_append(&c->list) : NULL;
    if (!made)
        return no_memory(f);
    const uint32_t made_id = (uint32_t)(c->list.count - 1);
    fill_attrs(attrs, product, update);
    *made = (struct graph_node){.op = both_of(product),
                                .attrs = attrs,
                                .inputs = inputs,
                                .outputs = outputs,
                                .n_outputs = update->n_outputs,
                                .name = update->name};
    for (uint32_t i = 0; i < product->n_inputs; i++)
        inputs[made->n_inputs++] = rewrite_edge(rewrite, product->inputs[i]);
    for (uint32_t i = 0; i < update->n_inputs; i++)
        if (i != (uint32_t)attrs->gradient)
            inputs[made->n_inputs++] = rewrite_edge(rewrite, update->inputs[i]);
    for (uint32_t k = 0; k < update->n_outputs; k++)
        rewrite_map(rewrite, (struct edge){id, k}, (struct edge){made_id, k});
    return CUPEL_STATUS_OK;
}

static cupel_status emit_all(const struct fuse_update *f, struct rewrite *rewrite) {
    for (uint32_t i = 0; i < rewrite->old.count; i++) {
        if (f->product[i] != NO_NODE)
            CUPEL_TRY(emit_both(f, rewrite, i));
        else if (!f->absorbed[i])
            CUPEL_TRY(rewrite_keep(rewrite, i, NULL));
    }
    return CUPEL_STATUS_OK;
}

cupel_status pass_fuse_update(struct compile *c) {
    if (!device_has_kernel(c, &op_product_update) && !device_has_kernel(c, &op_image_update))
        return CUPEL_STATUS_OK;
    struct fuse_update f = {.c = c};
    CUPEL_TRY(readers_find(&f.readers, c));
    f.product = arena_alloc(&c->arena, c->list.count + 1, sizeof(*f.product));
    f.absorbed = arena_alloc(&c->arena, c->list.count + 1, sizeof(*f.absorbed));
    if (!f.product || !f.absorbed)
        return no_memory(&f);
    for (uint32_t i = 0; i < c->list.count; i++) {
        f.product[i] = product_of(&f, i);
        if (f.product[i] == NO_NODE)
            continue;
        f.absorbed[f.product[i]] = true;
        for (uint32_t id = gradient_of(compile_node(c, i)); id != f.product[i];
             id = compile_node(c, id)->inputs[0].node)
            f.absorbed[id] = true;
    }
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    return rewrite_end(&rewrite, emit_all(&f, &rewrite));
}
