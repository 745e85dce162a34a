/*
 * Pass fuse_image: a matrix product beside a reshape of an image becomes one "image_matmul" node,
 * which takes, or makes, the image in its own layout. Where the product makes the image, another
 * one added to it, a bias, and a ReLU or its gradient join it, so that the image is written once.
 * The node keeps what it takes to split it again. Products of many columns are left alone.
 *
 * Patterns are matched from their last node backwards, later ones first, so each is taken as long
 * as it is. All nodes but the last are read by their successor alone, so the node may stand in the
 * last one's place. Test: tests/test_pass_images.c
 */
#include <string.h>

#include "compile/flat_images.h"
#include "compile/updates.h"
#include "op/op_image_matmul.h"
#include "op/op_internal.h"

enum { MOST_INPUTS = 7, MOST_PARTS = 8 };

struct fuse_image {
    struct compile *c;
    struct readers readers;
    struct match **match; /* per node: what ends there, or NULL */
    bool *absorbed;       /* per node: it is inside another's match */
};

struct match {
    struct attrs_image_matmul attrs;
    struct edge inputs[MOST_INPUTS];
    uint32_t n_inputs;
    uint32_t parts[MOST_PARTS]; /* all nodes but the last */
    uint32_t n_parts;
};

static const cupel_shape *shape_of(const struct fuse_image *f, struct edge edge) {
    return &compile_desc(f->c, edge)->shape;
}

static bool takes_matrix(const struct fuse_image *f, struct edge edge) {
    const cupel_desc *desc = compile_desc(f->c, edge);
    return desc->type == CUPEL_TYPE_F32 && desc->shape.rank == 2;
}

/* The edge is used here alone, so its node may be absorbed. */
static bool take(const struct fuse_image *f, struct match *m, struct edge edge) {
    if (f->readers.uses[readers_edge(&f->readers, edge.node, edge.output)] != 1 ||
        m->n_parts == MOST_PARTS || f->absorbed[edge.node])
        return false;
    m->parts[m->n_parts++] = edge.node;
    return true;
}

/* --- products that make images: each reads an edge, and adds what it finds to the match --- */

static bool match_product(const struct fuse_image *f, struct match *m, uint32_t id) {
    const struct graph_node *reshape = compile_node(f->c, id);
    if (reshape->op != &op_reshape)
        return false;
    const struct edge from = reshape->inputs[0];
    const struct graph_node *product = compile_node(f->c, from.node);
    const cupel_shape image = reshape->outputs[0].shape;
    if (product->op != &op_matmul || !takes_matrix(f, from) ||
        !image_stands_for(f->c, image, *shape_of(f, from)) ||
        !takes_matrix(f, product->inputs[0]) || !takes_matrix(f, product->inputs[1]))
        return false;
    const struct attrs_matmul *attrs = product->attrs;
    const bool first = m->attrs.products == 0;
    if (attrs->transpose_a || shape_of(f, product->inputs[0])->dims[1] > IMAGE_MOST_OUTS ||
        (!first &&
         (shape_of(f, product->inputs[0])->dims[0] != shape_of(f, m->inputs[0])->dims[0] ||
          attrs->transpose_b != m->attrs.transpose_b ||
          !cupel_shape_equal(*shape_of(f, product->inputs[1]), *shape_of(f, m->inputs[1])))) ||
        !take(f, m, from))
        return false;
    m->attrs.transpose_b = attrs->transpose_b;
    m->attrs.products++;
    for (int i = 0; i < 3; i++)
        m->attrs.image[i] = image.dims[i + 1];
    m->inputs[m->n_inputs++] = product->inputs[0];
    m->inputs[m->n_inputs++] = product->inputs[1];
    return true;
}

static bool match_sum(const struct fuse_image *f, struct match *m, uint32_t id) {
    const struct match before = *m;
    if (match_product(f, m, id))
        return true;
    const struct graph_node *add = compile_node(f->c, id);
    if (add->op == &op_add && match_product(f, m, add->inputs[0].node) &&
        take(f, m, add->inputs[0]) && match_product(f, m, add->inputs[1].node) &&
        take(f, m, add->inputs[1]))
        return true;
    *m = before;
    return false;
}

/* A bias of every element of an image, as a reshape made it one; a product that makes one image is
 * none, it is or becomes a match of its own. */
static bool is_bias(const struct fuse_image *f, const struct match *m, struct edge edge) {
    const cupel_shape *s = shape_of(f, edge);
    const int64_t *image = m->attrs.image;
    const struct graph_node *reshape = compile_node(f->c, edge.node);
    return compile_desc(f->c, edge)->type == CUPEL_TYPE_F32 && s->rank == 4 && s->dims[0] == 1 &&
           s->dims[1] == image[0] && s->dims[2] == image[1] && s->dims[3] == image[2] &&
           reshape->op == &op_reshape && !f->absorbed[reshape->inputs[0].node] &&
           compile_node(f->c, reshape->inputs[0].node)->op != &op_matmul;
}

static bool match_biased(const struct fuse_image *f, struct match *m, uint32_t id) {
    const struct match before = *m;
    if (match_sum(f, m, id))
        return true;
    const struct graph_node *add = compile_node(f->c, id);
    if (add->op == &op_add && match_sum(f, m, add->inputs[0].node) && take(f, m, add->inputs[0]) &&
        is_bias(f, m, add->inputs[1])) {
        m->attrs.with_bias = 1;
        m->inputs[m->n_inputs++] = compile_node(f->c, add->inputs[1].node)->inputs[0];
        return true;
    }
    *m = before;
    return false;
}

static bool is_zero(const struct fuse_image *f, struct edge edge) {
    const struct graph_node *node = compile_node(f->c, edge.node);
    double value = 1;
    if (node->op == &op_constant && node->data_real && node->data_size == sizeof value)
        memcpy(&value, node->data, sizeof value);
    return value == 0 && cupel_shape_count(node->outputs[0].shape) == 1;
}

static bool match_image(const struct fuse_image *f, struct match *m, uint32_t id) {
    const struct graph_node *node = compile_node(f->c, id);
    m->attrs.role = IMAGE_RESULT;
    if (match_biased(f, m, id))
        return true;
    if (node->op == &op_relu && match_biased(f, m, node->inputs[0].node) &&
        take(f, m, node->inputs[0])) {
        m->attrs.finish = IMAGE_RELU;
        return true;
    }
    *m = (struct match){.attrs = {.role = IMAGE_RESULT}};
    if (node->op != &op_select || !match_biased(f, m, node->inputs[1].node) ||
        !take(f, m, node->inputs[1]) || !is_zero(f, node->inputs[2]) ||
        compile_desc(f->c, node->inputs[0])->type != CUPEL_TYPE_F32 ||
        !cupel_shape_equal(*shape_of(f, node->inputs[0]), node->outputs[0].shape))
        return false;
    m->attrs.finish = IMAGE_SELECT;
    m->inputs[m->n_inputs++] = node->inputs[0];
    m->inputs[m->n_inputs++] = node->inputs[2];
    return true;
}

/* --- products of images --- */

/* The image that an operand flattens. */
static bool flattens(const struct fuse_image *f, struct edge matrix, struct edge *image) {
    const struct graph_node *node = compile_node(f->c, matrix.node);
    if (node->op != &op_reshape || !takes_matrix(f, matrix) ||
        !image_stands_for(f->c, *shape_of(f, node->inputs[0]), node->outputs[0].shape))
        return false;
    *image = node->inputs[0];
    return true;
}

static bool match_operand(const struct fuse_image *f, struct match *m, uint32_t id) {
    const struct graph_node *node = compile_node(f->c, id);
    const struct attrs_matmul *attrs = node->attrs;
    if (node->op != &op_matmul)
        return false;
    for (int role = IMAGE_A; role <= IMAGE_B; role++) {
        const struct edge other = node->inputs[1 - role];
        const bool gradient = attrs->transpose_a && !attrs->transpose_b;
        if (!flattens(f, node->inputs[role], &m->inputs[role]) || !takes_matrix(f, other) ||
            !(gradient || (role == IMAGE_A && !attrs->transpose_a)))
            continue;
        const cupel_shape *s = shape_of(f, other);
        if (s->dims[gradient || !attrs->transpose_b ? 1 : 0] > IMAGE_MOST_OUTS)
            continue;
        m->inputs[1 - role] = other;
        m->n_inputs = 2;
        m->attrs = (struct attrs_image_matmul){.role = role,
                                               .transpose_a = attrs->transpose_a,
                                               .transpose_b = attrs->transpose_b,
                                               .products = 1};
        return true;
    }
    return false;
}

/* --- the pass --- */

static cupel_status find_matches(struct fuse_image *f) {
    struct compile *c = f->c;
    f->match = arena_alloc(&c->arena, c->list.count + 1, sizeof(*f->match));
    f->absorbed = arena_alloc(&c->arena, c->list.count + 1, sizeof(*f->absorbed));
    if (f->match == NULL || f->absorbed == NULL)
        return cupel_fail_memory(c->error, "fusing products of images", c->list.count);
    for (uint32_t i = (uint32_t)c->list.count; i-- > 0;) {
        struct match m = {.n_parts = 0};
        if (f->absorbed[i] || (!match_operand(f, &m, i) && !match_image(f, &m, i)))
            continue;
        f->match[i] = arena_copy(&c->arena, &m, sizeof m);
        if (f->match[i] == NULL)
            return cupel_fail_memory(c->error, "fusing products of images", sizeof m);
        for (uint32_t p = 0; p < m.n_parts; p++)
            f->absorbed[m.parts[p]] = true;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status emit_match(struct rewrite *rewrite, const struct match *m, uint32_t id) {
    struct compile *c = rewrite->compile;
    struct edge inputs[MOST_INPUTS];
    for (uint32_t i = 0; i < m->n_inputs; i++)
        inputs[i] = rewrite_edge(rewrite, m->inputs[i]);
    uint32_t made;
    CUPEL_TRY(emit_node(c, &op_image_matmul, &m->attrs, rewrite->old.nodes[id].name, m->n_inputs,
                        inputs, &made));
    rewrite_map(rewrite, (struct edge){id, 0}, (struct edge){made, 0});
    return CUPEL_STATUS_OK;
}

cupel_status pass_fuse_image(struct compile *c) {
    if (!device_has_kernel(c, &op_image_matmul))
        return CUPEL_STATUS_OK;
    struct fuse_image f = {.c = c};
    CUPEL_TRY(readers_find(&f.readers, c));
    CUPEL_TRY(find_matches(&f));
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < rewrite.old.count && status == CUPEL_STATUS_OK; i++) {
        if (f.match[i] != NULL)
            status = emit_match(&rewrite, f.match[i], i);
        else if (!f.absorbed[i])
            status = rewrite_keep(&rewrite, i, NULL);
    }
    CUPEL_TRY(rewrite_end(&rewrite, status));
    return pass_prune(c);
}
