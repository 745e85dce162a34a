/*
 * Pass simplify: rewrites that are exact in value. Equal nodes are merged (never random ones, never
 * effects); identities vanish; a broadcast feeding an elementwise op is left to that op, and an op
 * of one operand is done before that is broadcast. Test: tests/test_pass_simplify.c
 */
#include <string.h>

#include "base/hash.h"
#include "compile/compile_internal.h"
#include "op/op_attrs.h"
#include "op/op_internal.h"

struct simplify {
    struct rewrite rewrite;
    uint32_t *slots; /* hash table of new node id + 1, for merging */
    size_t n_slots;  /* a power of two */
};

static uint64_t node_hash(const struct graph_node *node) {
    uint64_t hash = hash_string(node->op->name);
    if (node->op->attr_size)
        hash = hash_combine(hash, hash_bytes(node->attrs, node->op->attr_size));
    for (uint32_t i = 0; i < node->n_inputs; i++)
        hash = hash_combine(hash, ((uint64_t)node->inputs[i].node << 8) | node->inputs[i].output);
    if (node->data_size)
        hash = hash_combine(hash, hash_bytes(node->data, node->data_size));
    return hash;
}

static bool nodes_equal(const struct graph_node *a, const struct graph_node *b) {
    if (a->op != b->op || a->n_inputs != b->n_inputs || a->data_size != b->data_size ||
        a->data_real != b->data_real)
        return false;
    if (a->op->attr_size && memcmp(a->attrs, b->attrs, a->op->attr_size) != 0)
        return false;
    for (uint32_t i = 0; i < a->n_inputs; i++)
        if (a->inputs[i].node != b->inputs[i].node || a->inputs[i].output != b->inputs[i].output)
            return false;
    for (uint32_t k = 0; k < a->n_outputs; k++)
        if (!cupel_desc_equal(&a->outputs[k], &b->outputs[k]))
            return false;
    return a->data_size == 0 || memcmp(a->data, b->data, a->data_size) == 0;
}

static bool may_merge(const struct graph_node *node) {
    return node->op != &op_input && node->op != &op_variable &&
           !(node->op->flags & (CUPEL_OP_RANDOM | CUPEL_OP_EFFECT));
}

/* The last new node, or an earlier equal one in whose favour it is removed. */
static uint32_t merge_last(struct simplify *s) {
    struct compile *c = s->rewrite.compile;
    const uint32_t id = (uint32_t)(c->list.count - 1);
    const struct graph_node *node = &c->list.nodes[id];
    if (!may_merge(node))
        return id;
    size_t slot = (size_t)node_hash(node) & (s->n_slots - 1);
    for (; s->slots[slot]; slot = (slot + 1) & (s->n_slots - 1)) {
        const uint32_t other = s->slots[slot] - 1;
        if (nodes_equal(&c->list.nodes[other], node)) {
            c->list.count--;
            return other;
        }
    }
    s->slots[slot] = id + 1;
    return id;
}

static bool is_uniform(const struct compile *c, struct edge edge, double value) {
    const struct graph_node *node = compile_node(c, edge.node);
    if (node->op != &op_constant || !node->data_real || node->data_size != sizeof(double))
        return false;
    double stored;
    memcpy(&stored, node->data, sizeof(stored));
    return stored == value;
}

static bool same_desc(const struct compile *c, struct edge edge, const cupel_desc *desc) {
    return cupel_desc_equal(compile_desc(c, edge), desc);
}

static bool keeps_order(const struct graph_node *node) {
    const struct attrs_transpose *attrs = node->attrs;
    for (int i = 0; i < node->outputs[0].shape.rank; i++)
        if (attrs->permutation[i] != i)
            return false;
    return true;
}

/* The operand that equals the node's output 0 exactly, if there is one. */
static bool identity_of(const struct compile *c, const struct graph_node *node,
                        const struct edge *inputs, struct edge *out) {
    const cupel_desc *desc = &node->outputs[0];
    *out = node->n_inputs ? inputs[0] : (struct edge){0, 0};
    if (node->op == &op_stop_gradient)
        return true;
    if (node->op == &op_reshape || node->op == &op_broadcast_to || node->op == &op_cast)
        return same_desc(c, inputs[0], desc);
    if (node->op == &op_transpose)
        return same_desc(c, inputs[0], desc) && keeps_order(node);
    if (node->op == &op_mul && is_uniform(c, inputs[0], 1) && same_desc(c, inputs[1], desc)) {
        *out = inputs[1];
        return true;
    }
    if (node->op == &op_mul || node->op == &op_div)
        return is_uniform(c, inputs[1], 1) && same_desc(c, inputs[0], desc);
    return false;
}

/* Operands of an elementwise op that are broadcasts, read at their source where the result's shape
 * does not need them. */
static void skip_broadcasts(const struct compile *c, const struct graph_node *node,
                            struct edge *inputs) {
    if (!(node->op->flags & CUPEL_OP_ELEMENTWISE) || node->op->run)
        return; /* an op from outside sees what it was built with */
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct graph_node *source = compile_node(c, inputs[i].node);
        if (source->op != &op_broadcast_to)
            continue;
        cupel_shape shape = cupel_shape_scalar();
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            const struct edge edge = j == i ? source->inputs[0] : inputs[j];
            if (!cupel_shape_broadcast(shape, compile_desc(c, edge)->shape, &shape))
                return;
        }
        if (cupel_shape_equal(shape, node->outputs[0].shape))
            inputs[i] = source->inputs[0];
    }
}

static bool is_of_broadcast(const struct compile *c, const struct graph_node *node,
                            const struct edge *inputs) {
    const uint32_t never = CUPEL_OP_RANDOM | CUPEL_OP_EFFECT;
    return node->n_inputs == 1 && node->n_outputs == 1 && !node->op->run &&
           (node->op->flags & CUPEL_OP_ELEMENTWISE) && !(node->op->flags & never) &&
           compile_node(c, inputs[0].node)->op == &op_broadcast_to;
}

/* The last new node, an op of a broadcast, becomes the op of what is broadcast; its result is
 * broadcast after it. */
static cupel_status broadcast_after(struct simplify *s, uint32_t *last) {
    struct compile *c = s->rewrite.compile;
    const struct edge broadcast = c->list.nodes[*last].inputs[0];
    struct graph_node wide = *compile_node(c, broadcast.node);
    struct graph_node *const narrow = &c->list.nodes[*last];
    wide.outputs = arena_copy(&c->arena, narrow->outputs, sizeof(*wide.outputs));
    wide.inputs = arena_alloc(&c->arena, 1, sizeof(*wide.inputs));
    narrow->inputs[0] = compile_node(c, broadcast.node)->inputs[0];
    narrow->outputs[0].shape = compile_desc(c, narrow->inputs[0])->shape;
    const uint32_t source = merge_last(s);
    struct graph_node *const made = wide.outputs && wide.inputs ? node_list_append(&c->list) : NULL;
    if (!made)
        return cupel_fail_memory(c->error, "simplifying the graph", sizeof(*made));
    *made = wide;
    made->inputs[0] = (struct edge){source, 0};
    *last = (uint32_t)(c->list.count - 1);
    return CUPEL_STATUS_OK;
}

static cupel_status visit(struct simplify *s, uint32_t id) {
    struct rewrite *rewrite = &s->rewrite;
    struct compile *c = rewrite->compile;
    const struct graph_node *old = &rewrite->old.nodes[id];
    struct edge *inputs = arena_alloc(&c->arena, old->n_inputs + 1, sizeof(*inputs));
    if (!inputs)
        return cupel_fail_memory(c->error, "simplifying the graph", old->n_inputs);
    for (uint32_t i = 0; i < old->n_inputs; i++)
        inputs[i] = rewrite_edge(rewrite, old->inputs[i]);
    struct edge same;
    if (!(old->op->flags & CUPEL_OP_EFFECT) && identity_of(c, old, inputs, &same)) {
        rewrite_map(rewrite, (struct edge){id, 0}, same);
        return CUPEL_STATUS_OK;
    }
    /* A reshape of a reshape reads the first one's source. */
    if (old->op == &op_reshape && compile_node(c, inputs[0].node)->op == &op_reshape)
        inputs[0] = compile_node(c, inputs[0].node)->inputs[0];
    skip_broadcasts(c, old, inputs);
    uint32_t new_id;
    CUPEL_TRY(rewrite_keep(rewrite, id, &new_id));
    memcpy(c->list.nodes[new_id].inputs, inputs, old->n_inputs * sizeof(*inputs));
    if (is_of_broadcast(c, old, inputs))
        CUPEL_TRY(broadcast_after(s, &new_id));
    const uint32_t merged = merge_last(s);
    for (uint32_t k = 0; k < old->n_outputs; k++)
        rewrite_map(rewrite, (struct edge){id, k}, (struct edge){merged, k});
    return CUPEL_STATUS_OK;
}

cupel_status pass_simplify(struct compile *c) {
    struct simplify s = {.n_slots = 64};
    while (s.n_slots < 2 * c->list.count)
        s.n_slots *= 2;
    s.slots = arena_alloc(&c->arena, s.n_slots, sizeof(*s.slots));
    if (!s.slots)
        return cupel_fail_memory(c->error, "simplifying the graph", s.n_slots);
    CUPEL_TRY(rewrite_begin(&s.rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < s.rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = visit(&s, i);
    CUPEL_TRY(rewrite_end(&s.rewrite, status));
    return pass_prune(c);
}
