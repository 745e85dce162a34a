/*
 * Which nodes are updates. See updates.h. Test: tests/test_pass_sweep.c,
 * tests/test_pass_fuse_update.c
 */
#include "compile/updates.h"

#include <string.h>

#include "op/op_internal.h"
#include "op/op_sweep.h"

cupel_status readers_find(struct readers *r, struct compile *c) {
    r->c = c;
    CUPEL_TRY(number_edges(c, &r->first));
    CUPEL_TRY(count_uses(c, r->first, &r->uses));
    const uint32_t edges = r->first[c->list.count];
    r->reader = arena_alloc(&c->arena, edges + 1, sizeof(*r->reader));
    if (!r->reader)
        return cupel_fail_memory(c->error, "looking for updates", edges);
    for (uint32_t e = 0; e < edges; e++)
        r->reader[e] = NO_NODE;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        for (uint32_t j = 0; j < node->n_inputs; j++)
            r->reader[readers_edge(r, node->inputs[j].node, node->inputs[j].output)] = i;
    }
    return CUPEL_STATUS_OK;
}

bool device_has_kernel(const struct compile *c, const cupel_op *op) {
    const struct kernel *const *list = c->backend->kernels(c->backend, op->name);
    for (; list && *list; list++)
        if (strcmp((*list)->op, op->name) == 0)
            return true;
    return false;
}

/* Whether output k is used by one node alone: its assign to the variable it may be written over. */
static bool assigned_in_place(const struct readers *r, uint32_t id, uint32_t k) {
    const struct graph_node *node = compile_node(r->c, id);
    const uint32_t shared = node->op->in_place[k];
    const uint32_t uses = r->uses[readers_edge(r, id, k)],
                   reader = r->reader[readers_edge(r, id, k)];
    if (shared == 0)
        return false;
    if (shared > node->n_inputs) /* of an operand that this node does without */
        return uses == 0;
    if (uses != 1 || reader == NO_NODE)
        return false;
    const struct graph_node *assign = compile_node(r->c, reader);
    const uint32_t variable = node->inputs[shared - 1].node;
    return assign->op == &op_assign && assign->inputs[0].node == variable &&
           assign->inputs[1].node == id && compile_node(r->c, variable)->op == &op_variable &&
           r->uses[readers_edge(r, reader, 0)] == 0;
}

/* Beside what is written over, an update has a gradient of the parameter's shape, and scalars. */
static bool has_gradient(const struct readers *r, const struct graph_node *node) {
    const int gradient = update_gradient(node->op, (int)node->n_inputs);
    if (gradient < 0 || !cupel_desc_equal(compile_desc(r->c, node->inputs[gradient]),
                                          compile_desc(r->c, node->inputs[0])))
        return false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        bool written = (int)i == gradient;
        for (uint32_t k = 0; k < node->n_outputs; k++)
            written = written || node->op->in_place[k] == i + 1;
        if (!written && compile_desc(r->c, node->inputs[i])->shape.rank != 0)
            return false;
    }
    return true;
}

bool node_is_update(const struct readers *r, uint32_t id) {
    const struct graph_node *node = compile_node(r->c, id);
    const uint32_t never = CUPEL_OP_ELEMENTWISE | CUPEL_OP_EFFECT | CUPEL_OP_RANDOM | CUPEL_OP_VIEW;
    if ((node->op->flags & never) || node->op->run != NULL || node->n_inputs == 0 ||
        !sweep_takes(node->op, (int)node->n_inputs, (int)node->n_outputs) ||
        node->op->in_place[0] != 1 || !has_gradient(r, node))
        return false;
    for (uint32_t k = 0; k < node->n_outputs; k++)
        if (!assigned_in_place(r, id, k))
            return false;
    return true;
}
