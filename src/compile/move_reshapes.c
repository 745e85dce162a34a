/*
 * Pass move_reshapes: a reshape between an image [N, C, H, W] and the matrix [N, C H W] is moved
 * past elementwise nodes, and past sums over the batch, so that it stands beside the product that
 * made it necessary (fuse_image.c takes it from there). Elementwise nodes then work on images, in
 * whatever layout these have, and become part of their region. Exact in value.
 *
 * A node's result becomes an image where an operand of its extents is a flattened image, where its
 * result becomes one, or where that holds for an elementwise neighbour. Only images that a blocked
 * layout can hold are of use, and only to a device whose products take images.
 * Test: tests/test_pass_images.c
 */
#include "compile/flat_images.h"
#include "compile/updates.h"
#include "op/op_image_matmul.h"
#include "op/op_internal.h"

struct move_reshapes {
    struct compile *c;
    struct rewrite rewrite;
    cupel_shape *image; /* per old node: what its result becomes; rank 0: it stays */
};

bool image_stands_for(const struct compile *c, cupel_shape image, cupel_shape matrix) {
    return c->backend->channel_block > 1 && image.rank == 4 && matrix.rank == 2 &&
           image.dims[0] == matrix.dims[0] && image.dims[1] % c->backend->channel_block == 0 &&
           image.dims[2] * image.dims[3] > 1 &&
           image.dims[1] * image.dims[2] * image.dims[3] == matrix.dims[1];
}

static cupel_shape shape_of(const struct compile *c, struct edge edge) {
    return compile_desc(c, edge)->shape;
}

static bool is_movable(const struct graph_node *node) {
    return (node->op->flags & CUPEL_OP_ELEMENTWISE) && node->op->run == NULL &&
           !(node->op->flags & (CUPEL_OP_RANDOM | CUPEL_OP_EFFECT)) && node->n_outputs == 1 &&
           node->outputs[0].shape.rank == 2;
}

/* Broadcast operands of an image: whatever has the rows' extent or less. */
static bool can_follow(const struct compile *c, const struct graph_node *node) {
    const cupel_shape out = node->outputs[0].shape;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const cupel_shape s = shape_of(c, node->inputs[i]);
        const int64_t last = s.rank > 0 ? s.dims[s.rank - 1] : 1;
        if (last != 1 && last != out.dims[1])
            return false;
    }
    return true;
}

/* --- which results become images --- */

static bool mark(struct move_reshapes *m, uint32_t id, cupel_shape image) {
    const struct graph_node *node = compile_node(m->c, id);
    if (m->image[id].rank != 0 || !is_movable(node) || !can_follow(m->c, node) ||
        !image_stands_for(m->c, image, node->outputs[0].shape))
        return false;
    m->image[id] = image;
    return true;
}

/* From a node to its neighbours; whether anything was marked. */
static bool spread(struct move_reshapes *m, uint32_t id) {
    const struct compile *c = m->c;
    const struct graph_node *node = compile_node(c, id);
    bool any = false;
    if (node->op == &op_reshape) /* an image to be */
        return mark(m, node->inputs[0].node, node->outputs[0].shape);
    for (uint32_t i = 0; is_movable(node) && i < node->n_inputs; i++) {
        const uint32_t from = node->inputs[i].node;
        const struct graph_node *source = compile_node(c, from);
        if (source->op == &op_reshape) /* a flattened image */
            any = mark(m, id, shape_of(c, source->inputs[0])) || any;
        if (m->image[from].rank != 0)
            any = mark(m, id, m->image[from]) || any;
        if (m->image[id].rank != 0)
            any = mark(m, from, m->image[id]) || any;
    }
    return any;
}

static void mark_all(struct move_reshapes *m) {
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < m->c->list.count; i++)
            any = spread(m, i) || any;
    }
}

/* --- rewriting --- */

static cupel_status reshaped(struct compile *c, struct edge from, cupel_shape shape,
                             const char *name, struct edge *out) {
    const struct graph_node *source = compile_node(c, from.node);
    *out = from;
    if (cupel_shape_equal(shape_of(c, from), shape))
        return CUPEL_STATUS_OK;
    if (source->op == &op_reshape && cupel_shape_equal(shape_of(c, source->inputs[0]), shape)) {
        *out = source->inputs[0];
        return CUPEL_STATUS_OK;
    }
    const struct attrs_shape attrs = attrs_of_shape(shape);
    uint32_t id;
    CUPEL_TRY(emit_node(c, &op_reshape, &attrs, name, 1, &from, &id));
    *out = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

/* An operand beside an image: [N, J] as the image, [J] as one image, [N, 1] as one pixel each. */
static cupel_shape beside(cupel_shape s, cupel_shape image) {
    const int64_t rows = s.rank == 2 ? s.dims[0] : 1;
    if (s.rank == 0 || (rows == 1 && s.dims[s.rank - 1] == 1))
        return s;
    return s.dims[s.rank - 1] == 1 ? CUPEL_SHAPE(rows, 1, 1, 1)
                                   : CUPEL_SHAPE(rows, image.dims[1], image.dims[2], image.dims[3]);
}

/* The node on images, and its result as the matrix that others still want. */
static cupel_status emit_on_images(struct move_reshapes *m, uint32_t old_id) {
    struct compile *c = m->c;
    const struct graph_node *old = &m->rewrite.old.nodes[old_id];
    struct edge *inputs = arena_alloc(&c->arena, old->n_inputs + 1, sizeof *inputs);
    if (inputs == NULL)
        return cupel_fail_memory(c->error, "moving reshapes", old->n_inputs);
    for (uint32_t i = 0; i < old->n_inputs; i++) {
        const struct edge from = rewrite_edge(&m->rewrite, old->inputs[i]);
        CUPEL_TRY(
            reshaped(c, from, beside(shape_of(c, from), m->image[old_id]), old->name, &inputs[i]));
    }
    uint32_t id;
    struct edge matrix;
    CUPEL_TRY(emit_node(c, old->op, old->attrs, old->name, old->n_inputs, inputs, &id));
    CUPEL_TRY(reshaped(c, (struct edge){id, 0}, old->outputs[0].shape, old->name, &matrix));
    rewrite_map(&m->rewrite, (struct edge){old_id, 0}, matrix);
    return CUPEL_STATUS_OK;
}

/* The image that a sum over the batch would read flattened; rank 0: none. */
static cupel_shape summed_image(struct move_reshapes *m, const struct graph_node *old) {
    const struct attrs_reduce *attrs = old->attrs;
    const cupel_shape none = cupel_shape_scalar();
    if (old->op != &op_reduce_sum || attrs->axes != 1)
        return none;
    const struct edge from = rewrite_edge(&m->rewrite, old->inputs[0]);
    const struct graph_node *source = compile_node(m->c, from.node);
    if (source->op != &op_reshape)
        return none;
    const cupel_shape image = shape_of(m->c, source->inputs[0]);
    return image_stands_for(m->c, image, shape_of(m->c, from)) ? image : none;
}

static cupel_status emit_sum(struct move_reshapes *m, uint32_t old_id) {
    struct compile *c = m->c;
    const struct graph_node *old = &m->rewrite.old.nodes[old_id];
    const struct edge from = rewrite_edge(&m->rewrite, old->inputs[0]);
    const struct edge image = compile_node(c, from.node)->inputs[0];
    uint32_t id;
    struct edge sum;
    CUPEL_TRY(emit_node(c, old->op, old->attrs, old->name, 1, &image, &id));
    CUPEL_TRY(reshaped(c, (struct edge){id, 0}, old->outputs[0].shape, old->name, &sum));
    rewrite_map(&m->rewrite, (struct edge){old_id, 0}, sum);
    return CUPEL_STATUS_OK;
}

static cupel_status visit(struct move_reshapes *m, uint32_t old_id) {
    struct compile *c = m->c;
    const struct graph_node *old = &m->rewrite.old.nodes[old_id];
    if (m->image[old_id].rank != 0)
        return emit_on_images(m, old_id);
    if (summed_image(m, old).rank != 0)
        return emit_sum(m, old_id);
    if (old->op == &op_reshape) { /* one that undoes another is none */
        struct edge same;
        CUPEL_TRY(reshaped(c, rewrite_edge(&m->rewrite, old->inputs[0]), old->outputs[0].shape,
                           old->name, &same));
        rewrite_map(&m->rewrite, (struct edge){old_id, 0}, same);
        return CUPEL_STATUS_OK;
    }
    return rewrite_keep(&m->rewrite, old_id, NULL);
}

cupel_status pass_move_reshapes(struct compile *c) {
    struct move_reshapes m = {.c = c};
    if (!device_has_kernel(c, &op_image_matmul))
        return CUPEL_STATUS_OK;
    m.image = arena_alloc(&c->arena, c->list.count + 1, sizeof *m.image);
    if (m.image == NULL)
        return cupel_fail_memory(c->error, "moving reshapes", c->list.count);
    mark_all(&m);
    CUPEL_TRY(rewrite_begin(&m.rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < m.rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = visit(&m, i);
    CUPEL_TRY(rewrite_end(&m.rewrite, status));
    return pass_prune(c);
}
