/*
 * Pass join_updates: updates whose gradients are sums over the images of one batch become one node,
 * whose kernel reads the images once. Each is an image_update, which fuse_update.c made.
 *
 * Nothing but its own assigns depends on an update (updates.h), so the joined node may wait until
 * the last one's place in the list, and no cycle can close. The node keeps its parts: the choice of
 * kernels splits it where that is faster. Test: tests/test_pass_images.c
 */
#include "compile/flat_images.h"
#include "compile/updates.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"

struct join_updates {
    struct compile *c;
    struct readers readers;
    uint32_t *first; /* per node: of a joined update, and of its assigns, the first one; NO_NODE */
    uint32_t *last;  /* per node: of a first update, the last one */
};

static struct edge image_of(const struct graph_node *update) {
    return update->inputs[image_update_image(update->attrs)];
}

static int64_t rows_of(const struct join_updates *j, const struct graph_node *update) {
    const struct attrs_product_update *attrs = update->attrs;
    if (attrs->summed)
        return 1;
    return compile_desc(j->c, update->inputs[1 - image_update_image(attrs)])->shape.dims[1];
}

static bool may_join(const struct join_updates *j, uint32_t first, uint32_t other) {
    const struct graph_node *a = compile_node(j->c, first), *b = compile_node(j->c, other);
    return b->op == &op_image_update && j->first[other] == NO_NODE &&
           image_of(a).node == image_of(b).node && image_of(a).output == image_of(b).output;
}

static void join(struct join_updates *j, uint32_t first, uint32_t member) {
    j->first[member] = first;
    j->last[first] = member;
    for (uint32_t k = 0; k < compile_node(j->c, member)->n_outputs; k++) {
        const uint32_t edge = readers_edge(&j->readers, member, k);
        if (j->readers.uses[edge] > 0)
            j->first[j->readers.reader[edge]] = first;
    }
}

/* Of each image the updates in list order, as many as fit. */
static void find_updates(struct join_updates *j) {
    for (uint32_t i = 0; i < j->c->list.count; i++) {
        const struct graph_node *node = compile_node(j->c, i);
        if (node->op != &op_image_update || j->first[i] != NO_NODE)
            continue;
        int64_t rows = rows_of(j, node);
        int parts = 1;
        for (uint32_t k = i + 1; k < j->c->list.count && parts < IMAGE_SWEEP_MAX_PARTS; k++) {
            const int64_t more = may_join(j, i, k) ? rows_of(j, compile_node(j->c, k)) : 0;
            if (more == 0 || rows + more > IMAGE_MOST_OUTS)
                continue;
            if (parts == 1)
                join(j, i, i);
            join(j, i, k);
            rows += more;
            parts++;
        }
    }
}

static cupel_status no_memory(const struct join_updates *j) {
    return cupel_fail_memory(j->c->error, "joining updates", j->c->list.count);
}

static cupel_status add_part(const struct join_updates *j, struct rewrite *rewrite, uint32_t id,
                             struct graph_node *made, struct attrs_image_sweep *attrs) {
    const struct graph_node *part = &rewrite->old.nodes[id];
    const uint32_t made_id = (uint32_t)(j->c->list.count - 1);
    if (!image_sweep_append(attrs, part->name, part->attrs, (int)part->n_inputs,
                            (int)part->n_outputs))
        return cupel_fail(j->c->error, CUPEL_STATUS_BUG, "%s (%s) does not fit beside others",
                          part->name, part->op->name);
    const struct image_sweep_part *at = &attrs->parts[attrs->n_parts - 1];
    for (uint32_t i = 0; i < part->n_inputs; i++)
        made->inputs[image_sweep_operand(at, (int)i)] = rewrite_edge(rewrite, part->inputs[i]);
    for (uint32_t k = 0; k < part->n_outputs; k++) {
        rewrite_map(rewrite, (struct edge){id, k}, (struct edge){made_id, made->n_outputs});
        made->outputs[made->n_outputs++] = part->outputs[k];
    }
    made->n_inputs = (uint32_t)(at->first_input + at->n_inputs - 1);
    return CUPEL_STATUS_OK;
}

static bool is_member(const struct join_updates *j, const struct node_list *old, uint32_t id,
                      uint32_t first) {
    return j->first[id] == first && old->nodes[id].op == &op_image_update;
}

/* The joined node, then the assigns of all parts. */
static cupel_status emit_joined(const struct join_updates *j, struct rewrite *rewrite,
                                uint32_t first) {
    struct compile *c = j->c;
    const uint32_t last = j->last[first];
    struct attrs_image_sweep *attrs = arena_alloc(&c->arena, 1, sizeof(*attrs));
    struct edge *inputs = arena_alloc(&c->arena, IMAGE_SWEEP_MAX_INPUTS, sizeof(*inputs));
    cupel_desc *outputs = arena_alloc(&c->arena, IMAGE_SWEEP_MAX_OUTPUTS, sizeof(*outputs));
    struct graph_node *made = attrs && inputs && outputs ? node_list_append(&c->list) : NULL;
    if (!made)
        return no_memory(j);
    *made = (struct graph_node){.op = &op_image_sweep,
                                .attrs = attrs,
                                .inputs = inputs,
                                .outputs = outputs,
                                .name = rewrite->old.nodes[last].name};
    for (uint32_t m = first; m <= last; m++)
        if (is_member(j, &rewrite->old, m, first))
            CUPEL_TRY(add_part(j, rewrite, m, made, attrs));
    for (uint32_t m = first; m <= last; m++)
        for (uint32_t k = 0;
             is_member(j, &rewrite->old, m, first) && k < rewrite->old.nodes[m].n_outputs; k++) {
            const uint32_t edge = readers_edge(&j->readers, m, k);
            if (j->readers.uses[edge] > 0)
                CUPEL_TRY(rewrite_keep(rewrite, j->readers.reader[edge], NULL));
        }
    return CUPEL_STATUS_OK;
}

static cupel_status emit_all(const struct join_updates *j, struct rewrite *rewrite) {
    for (uint32_t i = 0; i < rewrite->old.count; i++) {
        const uint32_t first = j->first[i];
        if (first == NO_NODE)
            CUPEL_TRY(rewrite_keep(rewrite, i, NULL));
        else if (j->last[first] == i)
            CUPEL_TRY(emit_joined(j, rewrite, first));
    }
    return CUPEL_STATUS_OK;
}

cupel_status pass_join_updates(struct compile *c) {
    if (!device_has_kernel(c, &op_image_sweep))
        return CUPEL_STATUS_OK;
    struct join_updates j = {.c = c};
    CUPEL_TRY(readers_find(&j.readers, c));
    j.first = arena_alloc(&c->arena, c->list.count + 1, sizeof(*j.first));
    j.last = arena_alloc(&c->arena, c->list.count + 1, sizeof(*j.last));
    if (!j.first || !j.last)
        return no_memory(&j);
    for (uint32_t i = 0; i < c->list.count; i++)
        j.first[i] = j.last[i] = NO_NODE;
    find_updates(&j);
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    return rewrite_end(&rewrite, emit_all(&j, &rewrite));
}
