/*
 * Pass precision: REAL becomes the program's type, by the precision column of the op rows; casts
 * are inserted where an operand has another type than its op computes in. Masters, constants,
 * inputs, outputs, statistics, reductions, losses and updates never go below f32; neither does
 * elementwise arithmetic among them (running statistics, sums of losses): an elementwise op is as
 * low as its lowest operand. Values that the user typed concretely (F64 counters, I64 labels) are
 * left alone. Test: tests/test_pass_precision.c
 */
#include "compile/compile_internal.h"
#include "op/op_attrs.h"
#include "op/op_internal.h"

static cupel_status cast_to(struct compile *c, struct edge *edge, cupel_type type,
                            const char *name) {
    if (compile_desc(c, *edge)->type == type)
        return CUPEL_STATUS_OK;
    const struct attrs_cast attrs = {.type = type};
    uint32_t id;
    CUPEL_TRY(emit_node(c, &op_cast, &attrs, name, 1, edge, &id));
    *edge = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

static cupel_status leaf(struct rewrite *rewrite, uint32_t id) {
    struct compile *c = rewrite->compile;
    uint32_t new_id;
    CUPEL_TRY(rewrite_keep(rewrite, id, &new_id));
    cupel_desc *desc = &c->list.nodes[new_id].outputs[0];
    if (desc->type == CUPEL_TYPE_REAL)
        desc->type = c->wide;
    return CUPEL_STATUS_OK;
}

/* The type a node computes in, its operands having the types they have now. */
static cupel_type target_of(const struct rewrite *rewrite, const struct graph_node *old,
                            const struct edge *operands) {
    const struct compile *c = rewrite->compile;
    const bool elementwise = old->op->flags & CUPEL_OP_ELEMENTWISE;
    if (old->op->precision == CUPEL_PRECISION_WIDE)
        return c->wide;
    if (old->op->precision == CUPEL_PRECISION_FOLLOW && !elementwise)
        return c->real;
    for (uint32_t i = 0; i < old->n_inputs; i++) {
        const struct edge from = old->inputs[i];
        if (rewrite->old.nodes[from.node].outputs[from.output].type != CUPEL_TYPE_REAL)
            continue;
        if (compile_desc(c, operands[i])->type == c->real)
            return c->real;
        if (old->op->precision == CUPEL_PRECISION_KEEP)
            break; /* only the first counts */
    }
    return c->wide;
}

static cupel_status inner(struct rewrite *rewrite, uint32_t id) {
    struct compile *c = rewrite->compile;
    const struct graph_node *old = &rewrite->old.nodes[id];
    struct edge *uncast = arena_alloc(&c->arena, old->n_inputs + 1, sizeof(*uncast));
    if (!uncast)
        return cupel_fail_memory(c->error, "compiling the graph", old->n_inputs);
    for (uint32_t i = 0; i < old->n_inputs; i++)
        uncast[i] = rewrite_edge(rewrite, old->inputs[i]);
    const cupel_type target = target_of(rewrite, old, uncast);
    for (uint32_t i = 0; i < old->n_inputs; i++) {
        const struct edge from = old->inputs[i];
        if (rewrite->old.nodes[from.node].outputs[from.output].type != CUPEL_TYPE_REAL)
            continue;
        struct edge edge = uncast[i];
        CUPEL_TRY(cast_to(c, &edge, target, old->name));
        rewrite_map(rewrite, from, edge); /* for the copy below; put back after it */
    }
    uint32_t new_id;
    CUPEL_TRY(rewrite_keep(rewrite, id, &new_id));
    for (uint32_t i = 0; i < old->n_inputs; i++)
        rewrite_map(rewrite, old->inputs[i], uncast[i]);
    struct graph_node *node = &c->list.nodes[new_id];
    for (uint32_t k = 0; k < node->n_outputs; k++)
        if (node->outputs[k].type == CUPEL_TYPE_REAL)
            node->outputs[k].type = target;
    return CUPEL_STATUS_OK;
}

cupel_status pass_precision(struct compile *c) {
    if (c->parameters && c->wide != c->parameters->real)
        return cupel_fail(c->error, CUPEL_STATUS_TYPE,
                          "a program of type %s needs parameters of type %s; these are %s",
                          cupel_type_name(c->real), cupel_type_name(c->wide),
                          cupel_type_name(c->parameters->real));
    struct rewrite rewrite;
    cupel_status status = CUPEL_STATUS_OK;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    for (uint32_t i = 0; i < rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = node_is_leaf(&rewrite.old.nodes[i]) ? leaf(&rewrite, i) : inner(&rewrite, i);
    CUPEL_TRY(rewrite_end(&rewrite, status));
    for (size_t i = 0; i < c->n_roots; i++)
        if (compile_desc(c, c->roots[i].edge)->type == CUPEL_TYPE_BF16)
            CUPEL_TRY(cast_to(c, &c->roots[i].edge, c->wide, c->roots[i].name));
    return CUPEL_STATUS_OK;
}
