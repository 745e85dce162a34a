/*
 * Pass fuse_conv: a convolution and the elementwise node or chain that alone reads its result
 * become one node, whose kernel finishes pixels before they go to memory: a pass over memory less.
 * A sum of the chain's result per channel, as the bias of a transposed convolution has for its
 * gradient, becomes the node's second result: another one less.
 *
 * Nothing but the chain depends on the convolution, so it may wait until the chain's place in the
 * list, and no cycle can close; the sum depends on nothing but the chain. The node keeps its parts:
 * the choice of kernels splits it where no kernel takes it, or where the parts are faster. On a
 * device without such kernels this pass does nothing. Test: tests/test_pass_fuse_conv.c
 */
#include <string.h>

#include "compile/updates.h"
#include "op/op_fused_conv.h"
#include "op/op_internal.h"

struct fuse_conv {
    struct compile *c;
    struct readers readers;
    uint32_t *operand; /* per node: of a chain that is fused, which operand the convolution is */
    uint32_t *sum;     /* per node: of a chain that is fused, the sum that it takes, or NO_NODE */
    bool *absorbed;    /* per node: a convolution or a sum that a chain took */
};

static bool is_chain(const struct graph_node *node) {
    const bool alone = (node->op->flags & CUPEL_OP_ELEMENTWISE) &&
                       !(node->op->flags & (CUPEL_OP_RANDOM | CUPEL_OP_EFFECT)) &&
                       node->op->run == NULL && node->n_inputs <= FUSED_MAX_PART_INPUTS &&
                       node->op->attr_size <= FUSED_ATTR_SIZE;
    return (node->op == &op_fused || alone) && node->n_outputs == 1 &&
           node->outputs[0].type == CUPEL_TYPE_F32;
}

static bool is_conv(const struct graph_node *node) {
    return (node->op == &op_conv2d || node->op == &op_conv2d_backward_data) &&
           node->outputs[0].type == CUPEL_TYPE_F32;
}

/* The operand that a chain may take for a convolution, or NO_NODE. */
static uint32_t operand_of(const struct fuse_conv *f, uint32_t id) {
    const struct compile *c = f->c;
    const struct graph_node *chain = compile_node(c, id);
    for (uint32_t i = 0; is_chain(chain) && i < chain->n_inputs; i++) {
        const struct edge edge = chain->inputs[i];
        const struct graph_node *conv = compile_node(c, edge.node);
        if (is_conv(conv) && f->readers.uses[readers_edge(&f->readers, edge.node, 0)] == 1 &&
            cupel_shape_equal(conv->outputs[0].shape, chain->outputs[0].shape))
            return i;
    }
    return NO_NODE;
}

/* Whether a node sums an image over all axes but the channels'. */
static bool is_channel_sum(const struct compile *c, const struct graph_node *node) {
    const struct attrs_reduce *attrs = node->attrs;
    return node->op == &op_reduce_sum && compile_desc(c, node->inputs[0])->shape.rank == 4 &&
           attrs->axes == (CUPEL_AXIS(0) | CUPEL_AXIS(2) | CUPEL_AXIS(3));
}

/* Where operand i of a chain stands once operand `conv` is the first. */
static int32_t moved(int32_t i, uint32_t conv) {
    return i < 0 || i > (int32_t)conv ? i : i == (int32_t)conv ? 0 : i + 1;
}

static void describe_chain(const struct graph_node *node, uint32_t conv, struct attrs_fused *out) {
    if (node->op == &op_fused) {
        memcpy(out, node->attrs, sizeof *out);
    } else {
        *out = (struct attrs_fused){.n_parts = 1, .n_outputs = 1};
        out->parts[0].op = node->op;
        out->parts[0].n_inputs = (int32_t)node->n_inputs;
        if (node->op->attr_size > 0)
            memcpy(out->parts[0].attrs, node->attrs, node->op->attr_size);
        for (uint32_t i = 0; i < node->n_inputs; i++)
            out->parts[0].inputs[i] = fused_input((int)i);
    }
    for (int64_t p = 0; p < out->n_parts; p++)
        for (int32_t i = 0; i < out->parts[p].n_inputs; i++)
            out->parts[p].inputs[i] = moved(out->parts[p].inputs[i], conv);
}

/* The sum, if there is one, as the second result of a node that was just made. */
static void add_sum(const struct fuse_conv *f, struct rewrite *rewrite, uint32_t id,
                    struct attrs_fused_conv *attrs) {
    const uint32_t made_id = (uint32_t)(f->c->list.count - 1);
    struct graph_node *made = &f->c->list.nodes[made_id];
    if (f->sum[id] == NO_NODE)
        return;
    const struct graph_node *sum = &rewrite->old.nodes[f->sum[id]];
    attrs->sum_name = sum->name;
    memcpy(&attrs->sum, sum->attrs, sizeof attrs->sum);
    made->outputs[made->n_outputs++] = sum->outputs[0];
    rewrite_map(rewrite, (struct edge){f->sum[id], 0}, (struct edge){made_id, 1});
}

/* The node of all parts in the chain's place. */
static cupel_status emit_whole(const struct fuse_conv *f, struct rewrite *rewrite, uint32_t id) {
    struct compile *c = f->c;
    const struct graph_node *chain = &rewrite->old.nodes[id];
    const struct graph_node *conv = &rewrite->old.nodes[chain->inputs[f->operand[id]].node];
    struct attrs_fused_conv *attrs = arena_alloc(&c->arena, 1, sizeof *attrs);
    struct edge *inputs = arena_alloc(&c->arena, conv->n_inputs + chain->n_inputs, sizeof *inputs);
    cupel_desc *outputs = arena_alloc(&c->arena, 2, sizeof *outputs);
    struct graph_node *made = attrs && inputs && outputs ? node_list_append(&c->list) : NULL;
    if (!made)
        return cupel_fail_memory(c->error, "fusing convolutions", sizeof *attrs);
    const uint32_t made_id = (uint32_t)(c->list.count - 1);
    *attrs = (struct attrs_fused_conv){
        .conv_name = conv->name, .conv = conv->op, .n_conv_inputs = conv->n_inputs};
    memcpy(&attrs->attrs, conv->attrs, sizeof attrs->attrs);
    describe_chain(chain, f->operand[id], &attrs->chain);
    outputs[0] = chain->outputs[0];
    *made = (struct graph_node){.op = &op_fused_conv,
                                .attrs = attrs,
                                .inputs = inputs,
                                .outputs = outputs,
                                .n_outputs = 1,
                                .name = chain->name};
    for (uint32_t i = 0; i < conv->n_inputs; i++)
        inputs[made->n_inputs++] = rewrite_edge(rewrite, conv->inputs[i]);
    for (uint32_t i = 0; i < chain->n_inputs; i++)
        if (i != f->operand[id])
            inputs[made->n_inputs++] = rewrite_edge(rewrite, chain->inputs[i]);
    rewrite_map(rewrite, (struct edge){id, 0}, (struct edge){made_id, 0});
    add_sum(f, rewrite, id, attrs);
    return CUPEL_STATUS_OK;
}

static cupel_status emit_all(const struct fuse_conv *f, struct rewrite *rewrite) {
    for (uint32_t i = 0; i < rewrite->old.count; i++) {
        if (f->operand[i] != NO_NODE)
            CUPEL_TRY(emit_whole(f, rewrite, i));
        else if (!f->absorbed[i])
            CUPEL_TRY(rewrite_keep(rewrite, i, NULL));
    }
    return CUPEL_STATUS_OK;
}

cupel_status pass_fuse_conv(struct compile *c) {
    if (!device_has_kernel(c, &op_fused_conv))
        return CUPEL_STATUS_OK;
    struct fuse_conv f = {.c = c};
    CUPEL_TRY(readers_find(&f.readers, c));
    f.operand = arena_alloc(&c->arena, c->list.count + 1, sizeof *f.operand);
    f.sum = arena_alloc(&c->arena, c->list.count + 1, sizeof *f.sum);
    f.absorbed = arena_alloc(&c->arena, c->list.count + 1, sizeof *f.absorbed);
    if (!f.operand || !f.sum || !f.absorbed)
        return cupel_fail_memory(c->error, "fusing convolutions", c->list.count);
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        f.sum[i] = NO_NODE;
        f.operand[i] = operand_of(&f, i);
        if (f.operand[i] != NO_NODE)
            f.absorbed[node->inputs[f.operand[i]].node] = true;
        if (is_channel_sum(c, node)) {
            const uint32_t chain = node->inputs[0].node;
            f.absorbed[i] = f.operand[chain] != NO_NODE && f.sum[chain] == NO_NODE;
            if (f.absorbed[i])
                f.sum[chain] = i;
        }
    }
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    return rewrite_end(&rewrite, emit_all(&f, &rewrite));
}
