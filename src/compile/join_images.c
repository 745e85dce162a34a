/*
 * Pass join_images: two products of the same image (the heads of a variational encoder, say) become
 * one, whose columns are the first one's and then the second one's, so that the image is read once.
 * Readers get their slices, which are small. The node keeps what it takes to split it again.
 *
 * The joined node stands where the first one was; the second one's matrix is made before that, or
 * is a leaf, which then moves there, so no cycle can close. Test: tests/test_pass_images.c
 */
#include <string.h>

#include "compile/flat_images.h"
#include "op/op_image_matmul.h"
#include "op/op_internal.h"

static const uint32_t NO_NODE = UINT32_MAX;

struct join_images {
    struct compile *c;
    uint32_t *second; /* per node: the product that joins it, or NO_NODE */
    bool *absorbed;   /* per node: one that joins another, or a leaf that was moved */
};

static int64_t columns_of(const struct graph_node *product) {
    return product->outputs[0].shape.dims[1];
}

/* A product whose rows are images, and that is still alone. */
static bool is_candidate(const struct join_images *j, uint32_t id) {
    const struct graph_node *node = compile_node(j->c, id);
    const struct attrs_image_matmul *attrs = node->attrs;
    return node->op == &op_image_matmul && attrs->role == IMAGE_A && !attrs->transpose_a &&
           attrs->products == 1 && !j->absorbed[id];
}

static bool may_join(const struct join_images *j, uint32_t first, uint32_t second) {
    const struct graph_node *a = compile_node(j->c, first), *b = compile_node(j->c, second);
    return is_candidate(j, second) && memcmp(a->attrs, b->attrs, a->op->attr_size) == 0 &&
           a->inputs[0].node == b->inputs[0].node && a->inputs[0].output == b->inputs[0].output &&
           (b->inputs[1].node < first || node_is_leaf(compile_node(j->c, b->inputs[1].node))) &&
           cupel_desc_equal(&a->outputs[0], &b->outputs[0]) &&
           columns_of(a) + columns_of(b) <= IMAGE_MOST_OUTS;
}

static cupel_status find_pairs(struct join_images *j) {
    struct compile *c = j->c;
    j->second = arena_alloc(&c->arena, c->list.count + 1, sizeof *j->second);
    j->absorbed = arena_alloc(&c->arena, c->list.count + 1, sizeof *j->absorbed);
    if (j->second == NULL || j->absorbed == NULL)
        return cupel_fail_memory(c->error, "joining products of images", c->list.count);
    for (uint32_t i = 0; i < c->list.count; i++) {
        j->second[i] = NO_NODE;
        for (uint32_t k = i + 1; is_candidate(j, i) && k < c->list.count; k++)
            if (may_join(j, i, k)) {
                j->second[i] = k;
                j->absorbed[k] = true;
                break;
            }
    }
    return CUPEL_STATUS_OK;
}

/* Columns [begin, end) of the joined product in place of an old node. */
static cupel_status emit_slice(struct rewrite *rewrite, uint32_t joined, uint32_t old_id,
                               int64_t begin) {
    const struct graph_node *old = &rewrite->old.nodes[old_id];
    const struct attrs_slice attrs = {.axis = 1, .begin = begin, .end = begin + columns_of(old)};
    const struct edge from = {joined, 0};
    uint32_t id;
    CUPEL_TRY(emit_node(rewrite->compile, &op_slice, &attrs, old->name, 1, &from, &id));
    rewrite_map(rewrite, (struct edge){old_id, 0}, (struct edge){id, 0});
    return CUPEL_STATUS_OK;
}

static cupel_status emit_pair(struct join_images *j, struct rewrite *rewrite, uint32_t first) {
    const uint32_t second = j->second[first];
    const struct graph_node *a = &rewrite->old.nodes[first], *b = &rewrite->old.nodes[second];
    const uint32_t matrix = b->inputs[1].node;
    if (matrix > first && !j->absorbed[matrix]) {
        CUPEL_TRY(rewrite_keep(rewrite, matrix, NULL));
        j->absorbed[matrix] = true;
    }
    struct attrs_image_matmul attrs;
    memcpy(&attrs, a->attrs, sizeof attrs);
    attrs.products = 2;
    const struct edge inputs[] = {rewrite_edge(rewrite, a->inputs[0]),
                                  rewrite_edge(rewrite, a->inputs[1]),
                                  rewrite_edge(rewrite, b->inputs[1])};
    uint32_t joined;
    CUPEL_TRY(emit_node(rewrite->compile, &op_image_matmul, &attrs, a->name, 3, inputs, &joined));
    const int64_t columns = columns_of(a);
    CUPEL_TRY(emit_slice(rewrite, joined, first, 0));
    return emit_slice(rewrite, joined, second, columns);
}

cupel_status pass_join_images(struct compile *c) {
    struct join_images j = {.c = c};
    CUPEL_TRY(find_pairs(&j));
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < rewrite.old.count && status == CUPEL_STATUS_OK; i++) {
        if (j.second[i] != NO_NODE)
            status = emit_pair(&j, &rewrite, i);
        else if (!j.absorbed[i])
            status = rewrite_keep(&rewrite, i, NULL);
    }
    return rewrite_end(&rewrite, status);
}
