/*
 * Pass prune: keeps what the outputs, assigns and guards need, drops the rest.
 * Test: tests/test_pass_prune.c
 */
#include "compile/compile_internal.h"

cupel_status pass_prune(struct compile *c) {
    const size_t count = c->list.count;
    bool *needed = arena_alloc(&c->arena, count + 1, sizeof(*needed));
    if (!needed)
        return cupel_fail_memory(c->error, "pruning the graph", count);
    for (size_t i = 0; i < c->n_roots; i++)
        needed[c->roots[i].edge.node] = true;
    for (size_t i = count; i-- > 0;) {
        const struct graph_node *node = &c->list.nodes[i];
        needed[i] = needed[i] || (node->op->flags & CUPEL_OP_EFFECT);
        for (uint32_t j = 0; needed[i] && j < node->n_inputs; j++)
            needed[node->inputs[j].node] = true;
    }
    struct rewrite rewrite;
    cupel_status status;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < count && status == CUPEL_STATUS_OK; i++)
        if (needed[i])
            status = rewrite_keep(&rewrite, i, NULL);
    return rewrite_end(&rewrite, status);
}
