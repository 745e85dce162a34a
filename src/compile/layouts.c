/*
 * Layouts of images, and the regions in which one is chosen. Regions are found by joining sets
 * (union and find) along the edges that carry images. Test: tests/test_pass_choose.c
 */
#include "compile/layouts.h"

#include "op/op_fused_conv.h"
#include "op/op_image_matmul.h"
#include "op/op_internal.h"

bool is_convolution(const struct graph_node *node) {
    return node->op == &op_conv2d || node->op == &op_conv2d_backward_data ||
           node->op == &op_conv2d_backward_weights || node->op == &op_fused_conv;
}

bool makes_image(const struct graph_node *node) {
    const struct attrs_image_matmul *attrs = node->attrs;
    return node->op == &op_image_matmul && attrs->role == IMAGE_RESULT;
}

static const cupel_desc *operand(const struct compile *c, const struct graph_node *node,
                                 uint32_t i) {
    return i < node->n_inputs ? compile_desc(c, node->inputs[i])
                              : &node->outputs[i - node->n_inputs];
}

bool is_image(const struct compile *c, const struct graph_node *node, uint32_t i) {
    if (node->op->flags & CUPEL_OP_ELEMENTWISE)
        return cupel_shape_equal(operand(c, node, i)->shape, node->outputs[0].shape);
    if (node->op == &op_fused_conv && i < node->n_inputs) {
        const struct attrs_fused_conv *attrs = node->attrs;
        if (i >= attrs->n_conv_inputs)
            return cupel_shape_equal(operand(c, node, i)->shape, node->outputs[0].shape);
    }
    const uint32_t mask = i < node->n_inputs ? node->op->image_inputs : node->op->image_outputs;
    const uint32_t index = i < node->n_inputs ? i : i - node->n_inputs;
    return index < 32 && (mask >> index & 1);
}

bool takes_layout(const cupel_desc *desc, cupel_layout layout) {
    if (desc->type != CUPEL_TYPE_F32 || desc->shape.rank != 4)
        return false;
    switch (layout) {
    case CUPEL_LAYOUT_NHWC: return desc->shape.dims[1] > 1;
    case CUPEL_LAYOUT_NCHW8C: return desc->shape.dims[1] % 8 == 0;
    case CUPEL_LAYOUT_NCHW16C: return desc->shape.dims[1] % 16 == 0;
    case CUPEL_LAYOUT_PLAIN:
    case CUPEL_LAYOUT_PACKED: break;
    }
    return false;
}

cupel_layout device_layout(const struct compile *c) {
    return c->backend->channel_block == 16  ? CUPEL_LAYOUT_NCHW16C
           : c->backend->channel_block == 8 ? CUPEL_LAYOUT_NCHW8C
                                            : CUPEL_LAYOUT_PLAIN;
}

/* --- regions --- */

static bool is_member(const struct graph_node *node) {
    if (node_is_leaf(node) || (node->op->flags & CUPEL_OP_VIEW) || node->op->run != NULL)
        return false;
    return (node->op->flags & CUPEL_OP_ELEMENTWISE) || node->op->image_inputs != 0 ||
           node->op->image_outputs != 0;
}

static uint32_t find(uint32_t *parent, uint32_t i) {
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

/* The smaller number becomes the set's. */
static void join(uint32_t *parent, uint32_t a, uint32_t b) {
    a = find(parent, a);
    b = find(parent, b);
    parent[a > b ? a : b] = a < b ? a : b;
}

cupel_status find_regions(struct compile *c, int32_t **region, uint32_t *count) {
    const uint32_t n = (uint32_t)c->list.count;
    uint32_t *const parent = arena_alloc(&c->arena, n + 1, sizeof *parent);
    int32_t *const number = arena_alloc(&c->arena, n + 1, sizeof *number);
    *region = arena_alloc(&c->arena, n + 1, sizeof **region);
    *count = 0;
    if (parent == NULL || number == NULL || *region == NULL)
        return cupel_fail_memory(c->error, "choosing layouts", n);
    for (uint32_t i = 0; i < n; i++) {
        const struct graph_node *const node = compile_node(c, i);
        parent[i] = i;
        number[i] = -1;
        for (uint32_t j = 0; is_member(node) && j < node->n_inputs; j++)
            if (is_image(c, node, j) && compile_desc(c, node->inputs[j])->shape.rank == 4 &&
                is_member(compile_node(c, node->inputs[j].node)))
                join(parent, i, node->inputs[j].node);
    }
    for (uint32_t i = 0; i < n; i++)
        if (is_convolution(compile_node(c, i)) && number[find(parent, i)] < 0)
            number[find(parent, i)] = (int32_t)(*count)++;
    for (uint32_t i = 0; i < n; i++)
        (*region)[i] = is_member(compile_node(c, i)) ? number[find(parent, i)] : -1;
    return CUPEL_STATUS_OK;
}
