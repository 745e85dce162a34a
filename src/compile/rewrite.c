/*
 * Rewriting: the tools every pass uses to make a new node list from the old one.
 * Test: tests/test_pass_simplify.c and the other passes' tests.
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"
#include "op/op_sweep.h"

bool node_is_leaf(const struct graph_node *node) {
    return node->op == &op_input || node->op == &op_constant || node->op == &op_variable;
}

bool op_may_end_run(const cupel_op *op) {
    return op == &op_guard || op->run != NULL;
}

static cupel_status no_memory(struct compile *c) {
    return cupel_fail_memory(c->error, "compiling the graph", c->list.count);
}

cupel_status number_edges(struct compile *c, uint32_t **out) {
    uint32_t *first = arena_alloc(&c->arena, c->list.count + 1, sizeof(*first));
    if (!first)
        return no_memory(c);
    for (size_t i = 0; i < c->list.count; i++)
        first[i + 1] = first[i] + c->list.nodes[i].n_outputs;
    *out = first;
    return CUPEL_STATUS_OK;
}

cupel_status count_uses(struct compile *c, const uint32_t *first, uint32_t **out) {
    uint32_t *counts = arena_alloc(&c->arena, first[c->list.count] + 1, sizeof(*counts));
    if (!counts)
        return no_memory(c);
    for (size_t i = 0; i < c->list.count; i++)
        for (uint32_t j = 0; j < c->list.nodes[i].n_inputs; j++) {
            const struct edge edge = c->list.nodes[i].inputs[j];
            counts[first[edge.node] + edge.output]++;
        }
    for (size_t i = 0; i < c->n_roots; i++)
        counts[first[c->roots[i].edge.node] + c->roots[i].edge.output]++;
    *out = counts;
    return CUPEL_STATUS_OK;
}

cupel_status node_view(struct compile *c, const struct graph_node *node, cupel_op_view *out) {
    cupel_desc *inputs = arena_alloc(&c->arena, node->n_inputs + 1, sizeof(*inputs));
    if (!inputs)
        return no_memory(c);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        inputs[i] = *compile_desc(c, node->inputs[i]);
    *out = (cupel_op_view){.op = node->op,
                           .attrs = node->attrs,
                           .name = node->name,
                           .n_inputs = (int)node->n_inputs,
                           .inputs = inputs,
                           .n_outputs = (int)node->n_outputs,
                           .outputs = node->outputs,
                           .sink = c->error};
    return CUPEL_STATUS_OK;
}

double op_view_flops(const cupel_op_view *view) {
    if (view->op->flops)
        return view->op->flops(view);
    double count = 0;
    for (int k = 0; k < view->n_outputs; k++)
        count += (double)cupel_shape_count(view->outputs[k].shape);
    return count;
}

size_t op_view_bytes(const cupel_op_view *view) {
    size_t bytes = 0;
    for (int i = 0; i < view->n_inputs; i++)
        bytes += cupel_desc_bytes(&view->inputs[i]);
    for (int k = 0; k < view->n_outputs; k++)
        bytes += cupel_desc_bytes(&view->outputs[k]);
    return bytes;
}

uint32_t op_in_place(const cupel_op *op, const void *attrs, uint32_t n_inputs, uint32_t k) {
    if (op == &op_sweep)
        return (uint32_t)sweep_in_place(attrs, (int)k);
    if (op == &op_image_sweep)
        return (uint32_t)image_sweep_in_place(attrs, (int)k);
    if (is_product_update(op))
        return (uint32_t)product_update_in_place(attrs, (int)n_inputs, (int)k);
    return op->in_place[k];
}

cupel_status rewrite_begin(struct rewrite *rewrite, struct compile *c) {
    *rewrite = (struct rewrite){.compile = c};
    CUPEL_TRY(number_edges(c, &rewrite->first));
    const size_t edges = rewrite->first[c->list.count];
    rewrite->map = arena_alloc(&c->arena, edges + 1, sizeof(*rewrite->map));
    rewrite->mapped = arena_alloc(&c->arena, edges + 1, sizeof(*rewrite->mapped));
    if (!rewrite->map || !rewrite->mapped)
        return no_memory(c);
    rewrite->old = c->list;
    c->list = (struct node_list){0};
    return CUPEL_STATUS_OK;
}

struct edge rewrite_edge(struct rewrite *rewrite, struct edge old) {
    const uint32_t edge = rewrite->first[old.node] + old.output;
    rewrite->lost = rewrite->lost || !rewrite->mapped[edge];
    return rewrite->map[edge];
}

void rewrite_map(struct rewrite *rewrite, struct edge old, struct edge new_edge) {
    rewrite->map[rewrite->first[old.node] + old.output] = new_edge;
    rewrite->mapped[rewrite->first[old.node] + old.output] = true;
}

cupel_status rewrite_keep(struct rewrite *rewrite, uint32_t id, uint32_t *out) {
    struct compile *c = rewrite->compile;
    const struct graph_node *old = &rewrite->old.nodes[id];
    struct edge *inputs = arena_alloc(&c->arena, old->n_inputs + 1, sizeof(*inputs));
    cupel_desc *outputs = arena_copy(&c->arena, old->outputs, old->n_outputs * sizeof(*outputs));
    struct graph_node *node = inputs && outputs ? node_list_append(&c->list) : NULL;
    if (!node)
        return no_memory(c);
    *node = *old;
    node->inputs = inputs;
    node->outputs = outputs;
    const uint32_t new_id = (uint32_t)(c->list.count - 1);
    for (uint32_t i = 0; i < old->n_inputs; i++)
        inputs[i] = rewrite_edge(rewrite, old->inputs[i]);
    for (uint32_t k = 0; k < old->n_outputs; k++)
        rewrite_map(rewrite, (struct edge){id, k}, (struct edge){new_id, k});
    if (out)
        *out = new_id;
    return CUPEL_STATUS_OK;
}

cupel_status rewrite_end(struct rewrite *rewrite, cupel_status status) {
    struct compile *c = rewrite->compile;
    if (status == CUPEL_STATUS_OK)
        for (size_t i = 0; i < c->n_roots; i++) {
            const struct edge old = c->roots[i].edge;
            if (!rewrite->mapped[rewrite->first[old.node] + old.output])
                status = cupel_fail(c->error, CUPEL_STATUS_BUG, "output '%s' was lost in a pass",
                                    c->roots[i].name);
            c->roots[i].edge = rewrite_edge(rewrite, old);
        }
    if (status == CUPEL_STATUS_OK && rewrite->lost)
        status = cupel_fail(c->error, CUPEL_STATUS_BUG, "a value that is read was lost in a pass");
    cupel_free(rewrite->old.nodes);
    rewrite->old = (struct node_list){0};
    return status;
}

cupel_status emit_node(struct compile *c, const cupel_op *op, const void *attrs, const char *name,
                       size_t n_inputs, const struct edge *inputs, uint32_t *out) {
    struct graph_node made = {.op = op,
                              .n_inputs = (uint32_t)n_inputs,
                              .n_outputs = (uint32_t)op->n_outputs,
                              .name = name};
    made.inputs = arena_alloc(&c->arena, n_inputs + 1, sizeof(*made.inputs));
    made.outputs = arena_alloc(&c->arena, (size_t)op->n_outputs, sizeof(*made.outputs));
    made.attrs = op->attr_size ? arena_copy(&c->arena, attrs, op->attr_size) : "";
    if (!made.inputs || !made.outputs || !made.attrs)
        return no_memory(c);
    memcpy(made.inputs, inputs, n_inputs * sizeof(*inputs));
    cupel_op_view view;
    CUPEL_TRY(node_view(c, &made, &view));
    CUPEL_TRY(op->infer(&view));
    struct graph_node *node = node_list_append(&c->list);
    if (!node)
        return no_memory(c);
    *node = made;
    *out = (uint32_t)(c->list.count - 1);
    return CUPEL_STATUS_OK;
}
