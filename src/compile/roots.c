/*
 * Pass roots: every output has memory of its own, so one that is an input, a constant, a variable,
 * a result of the prologue, or the same value as another output is copied.
 * Test: tests/test_pass_pack.c
 */
#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_internal.h"

/* Through views to where the bytes are made. */
static struct edge origin(const struct compile *c, struct edge edge) {
    while (!c->reference && (compile_node(c, edge.node)->op->flags & CUPEL_OP_VIEW))
        edge = compile_node(c, edge.node)->inputs[0];
    return edge;
}

static bool needs_copy(const struct compile *c, size_t root) {
    const struct edge edge = origin(c, c->roots[root].edge);
    if (node_is_leaf(compile_node(c, edge.node)) || c->prologue[edge.node] ||
        (compile_node(c, edge.node)->op->flags & CUPEL_OP_EFFECT))
        return true;
    for (size_t i = 0; i < root; i++) {
        const struct edge other = origin(c, c->roots[i].edge);
        if (other.node == edge.node && other.output == edge.output)
            return true;
    }
    return false;
}

static cupel_status copy(struct compile *c, size_t root) {
    /* To its own shape: of the ops that move bytes of any type, one that is no view. */
    const cupel_shape shape = compile_desc(c, c->roots[root].edge)->shape;
    struct attrs_shape attrs = {.rank = shape.rank};
    for (int i = 0; i < shape.rank; i++)
        attrs.dims[i] = shape.dims[i];
    uint32_t id;
    CUPEL_TRY(
        emit_node(c, &op_broadcast_to, &attrs, c->roots[root].name, 1, &c->roots[root].edge, &id));
    struct kernel_plan *plan = NULL;
    CUPEL_TRY(choose_kernel(c, compile_node(c, id), true, &plan));
    if (!plan)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "no kernel copies output '%s'",
                          c->roots[root].name);
    c->plans[id] = plan;
    c->n_plans = id + 1;
    CUPEL_TRY(record_kernel(c, compile_node(c, id), plan));
    c->roots[root].edge = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

cupel_status pass_roots(struct compile *c) {
    const size_t most = c->list.count + c->n_roots + 1;
    bool *prologue = arena_alloc(&c->arena, most, sizeof(*prologue));
    size_t capacity = c->n_plans;
    if (!prologue || !cupel_grow(&c->plans, &capacity, most, sizeof(*c->plans)))
        return cupel_fail_memory(c->error, "outputs", most);
    for (size_t i = 0; i < c->list.count; i++)
        prologue[i] = c->prologue[i];
    c->prologue = prologue;
    for (size_t i = 0; i < c->n_roots; i++)
        if (needs_copy(c, i))
            CUPEL_TRY(copy(c, i));
    return CUPEL_STATUS_OK;
}
