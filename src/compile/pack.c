/*
 * Pass pack: operands that a kernel wants in a private form get a pack node before it, results in a
 * private form an unpack node after it. Then the prologue is marked: what depends on variables and
 * constants alone and whose variables this program does not assign, and packs that read a variable
 * directly. It reruns only when a variable's version moved. Test: tests/test_pass_pack.c
 */
#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_internal.h"

static cupel_status emit_pack(struct compile *c, struct edge from, const struct kernel_plan *plan,
                              int index, const cupel_desc *plain, const char *name, uint32_t *id) {
    const struct attrs_pack attrs = {
        .plan = plan,
        .index = index,
        .packed_bytes = plan->packs[index].output ? 0 : (int64_t)plan->packs[index].bytes,
        .plain = *plain};
    return emit_node(c, &op_pack, &attrs, name, 1, &from, id);
}

/* The kernel plans move along: plans of the new list. */
struct pack {
    struct rewrite rewrite;
    struct kernel_plan **old_plans;
    size_t capacity;
};

static cupel_status follow(struct pack *p, struct kernel_plan *plan) {
    struct compile *c = p->rewrite.compile;
    if (!cupel_grow(&c->plans, &p->capacity, c->list.count, sizeof(*c->plans)))
        return cupel_fail_memory(c->error, "the kernels' plans", c->list.count);
    while (c->n_plans < c->list.count)
        c->plans[c->n_plans++] = NULL;
    c->plans[c->list.count - 1] = plan;
    return CUPEL_STATUS_OK;
}

static cupel_status visit(struct pack *p, uint32_t old_id) {
    struct compile *c = p->rewrite.compile;
    const struct graph_node *old = &p->rewrite.old.nodes[old_id];
    struct kernel_plan *plan = p->old_plans[old_id];
    struct edge packed[KERNEL_MAX_PACKS];
    for (int i = 0; plan && i < plan->n_packs; i++) {
        if (plan->packs[i].output)
            continue;
        const struct edge from = rewrite_edge(&p->rewrite, old->inputs[plan->packs[i].operand]);
        const cupel_desc plain = *compile_desc(c, from);
        uint32_t id;
        CUPEL_TRY(emit_pack(c, from, plan, i, &plain, old->name, &id));
        CUPEL_TRY(follow(p, NULL));
        packed[i] = (struct edge){id, 0};
    }
    uint32_t id;
    CUPEL_TRY(rewrite_keep(&p->rewrite, old_id, &id));
    p->old_plans[old_id] = NULL;
    const cupel_status status = follow(p, plan);
    if (status != CUPEL_STATUS_OK) {
        drop_kernel_plan(plan);
        return status;
    }
    for (int i = 0; plan && i < plan->n_packs; i++) {
        const struct kernel_pack *pack = &plan->packs[i];
        if (!pack->output) {
            c->list.nodes[id].inputs[pack->operand] = packed[i];
            continue;
        }
        cupel_desc *out = &c->list.nodes[id].outputs[pack->operand];
        const cupel_desc plain = *out;
        out->layout = CUPEL_LAYOUT_PACKED;
        out->packed_bytes = pack->bytes;
        const struct edge from = {id, (uint32_t)pack->operand};
        uint32_t unpacked;
        CUPEL_TRY(emit_pack(c, from, plan, i, &plain, old->name, &unpacked));
        CUPEL_TRY(follow(p, NULL));
        rewrite_map(&p->rewrite, (struct edge){old_id, (uint32_t)pack->operand},
                    (struct edge){unpacked, 0});
    }
    return CUPEL_STATUS_OK;
}

static bool assigned_here(const struct compile *c, const struct cupel_variable *variable) {
    for (size_t i = 0; i < c->list.count; i++)
        if (c->list.nodes[i].op == &op_assign && c->list.nodes[i].variable == variable)
            return true;
    return false;
}

static cupel_status mark_prologue(struct compile *c) {
    enum { OPEN, CONSTANT, FIXED, MOVING }; /* FIXED: depends on variables that stay during runs */
    char *kind = arena_alloc(&c->arena, c->list.count + 1, 1);
    c->prologue = arena_alloc(&c->arena, c->list.count + 1, sizeof(*c->prologue));
    if (!kind || !c->prologue)
        return cupel_fail_memory(c->error, "the prologue", c->list.count);
    for (size_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = &c->list.nodes[i];
        if (node->op == &op_variable) {
            kind[i] = assigned_here(c, node->variable) ? MOVING : FIXED;
            continue;
        }
        if (node->op == &op_constant) {
            kind[i] = CONSTANT;
            continue;
        }
        kind[i] = OPEN;
        if (node->op == &op_input || (node->op->flags & CUPEL_OP_EFFECT))
            continue;
        bool fixed = node->n_inputs > 0;
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            const char from = kind[node->inputs[j].node];
            fixed = fixed && (from == CONSTANT || from == FIXED);
        }
        if (fixed)
            kind[i] = FIXED;
        const bool pack_of_variable = node->op == &op_pack && kind[node->inputs[0].node] != OPEN &&
                                      c->list.nodes[node->inputs[0].node].op == &op_variable;
        c->prologue[i] = fixed || pack_of_variable;
    }
    return CUPEL_STATUS_OK;
}

cupel_status pass_pack(struct compile *c) {
    struct pack p = {.old_plans = c->plans};
    const size_t n_old = c->n_plans;
    CUPEL_TRY(rewrite_begin(&p.rewrite, c));
    c->plans = NULL;
    c->n_plans = 0;
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < p.rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = visit(&p, i);
    for (size_t i = 0; i < n_old; i++)
        drop_kernel_plan(p.old_plans[i]);
    cupel_free(p.old_plans);
    status = rewrite_end(&p.rewrite, status);
    if (status == CUPEL_STATUS_OK && !c->reference)
        status = mark_prologue(c);
    else if (status == CUPEL_STATUS_OK) {
        c->prologue = arena_alloc(&c->arena, c->list.count + 1, sizeof(*c->prologue));
        if (!c->prologue)
            status = cupel_fail_memory(c->error, "the prologue", c->list.count);
    }
    return status;
}
