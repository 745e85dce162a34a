/*
 * Pass sweep: neighbouring small updates become one node, which a kernel runs as one pass over
 * memory and whose gradients the memory planner lays side by side: a bucket.
 *
 * An update is known by its row: every result may be written over an operand, and is assigned to
 * the variable that operand reads and used nowhere else. So nothing depends on an update but its
 * own assigns, on which nothing depends either, and updates may be merged without ever closing a
 * cycle. A sweep waits for its last gradient while the others stay in memory; therefore buckets are
 * small and a large gradient is consumed alone, as early as it can be.
 * Test: tests/test_pass_sweep.c
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_internal.h"
#include "op/op_sweep.h"

enum { BUCKET_BYTES = 256 * 1024, NO_BUCKET = -1 };
#define NO_NODE UINT32_MAX

struct bucket {
    const cupel_op *op;
    size_t bytes; /* of the parameters, each rounded up to the arena's alignment */
    int n;
    uint32_t members[SWEEP_MAX_PARTS]; /* in parameter order */
    uint32_t last;                     /* the member that comes last in the list */
};

struct sweep {
    struct compile *c;
    uint32_t *first, *uses; /* edges */
    uint32_t *reader;       /* per edge: a node that reads it, or NO_NODE */
    uint32_t *updates;      /* in parameter order */
    size_t n_updates;
    struct bucket *buckets;
    size_t n_buckets;
    int *bucket; /* per node: of an update that is merged, and of its assigns; or NO_BUCKET */
};

static cupel_status no_memory(const struct sweep *s) {
    return cupel_fail_memory(s->c->error, "merging updates", s->c->list.count);
}

/* --- which nodes are updates --- */

static uint32_t edge_index(const struct sweep *s, uint32_t node, uint32_t output) {
    return s->first[node] + output;
}

/* Whether output k is used by one node alone: its assign to the variable it may be written over. */
static bool assigned_in_place(const struct sweep *s, uint32_t id, uint32_t k) {
    const struct graph_node *node = compile_node(s->c, id);
    const uint32_t shared = node->op->in_place[k];
    const uint32_t uses = s->uses[edge_index(s, id, k)], reader = s->reader[edge_index(s, id, k)];
    if (shared == 0)
        return false;
    if (shared > node->n_inputs) /* of an operand that this node does without */
        return uses == 0;
    if (uses != 1 || reader == NO_NODE)
        return false;
    const struct graph_node *assign = compile_node(s->c, reader);
    const uint32_t variable = node->inputs[shared - 1].node;
    return assign->op == &op_assign && assign->inputs[0].node == variable &&
           assign->inputs[1].node == id && compile_node(s->c, variable)->op == &op_variable &&
           s->uses[edge_index(s, reader, 0)] == 0;
}

/* Beside what is written over, an update has a gradient of the parameter's shape, and scalars. */
static bool has_gradient(const struct sweep *s, const struct graph_node *node) {
    const int gradient = update_gradient(node->op, (int)node->n_inputs);
    if (gradient < 0 || !cupel_desc_equal(compile_desc(s->c, node->inputs[gradient]),
                                          compile_desc(s->c, node->inputs[0])))
        return false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        bool written = (int)i == gradient;
        for (uint32_t k = 0; k < node->n_outputs; k++)
            written = written || node->op->in_place[k] == i + 1;
        if (!written && compile_desc(s->c, node->inputs[i])->shape.rank != 0)
            return false;
    }
    return true;
}

static bool is_update(const struct sweep *s, uint32_t id) {
    const struct graph_node *node = compile_node(s->c, id);
    const uint32_t never = CUPEL_OP_ELEMENTWISE | CUPEL_OP_EFFECT | CUPEL_OP_RANDOM | CUPEL_OP_VIEW;
    if ((node->op->flags & never) || node->op->run != NULL || node->n_inputs == 0 ||
        !sweep_takes(node->op, (int)node->n_inputs, (int)node->n_outputs) ||
        node->op->in_place[0] != 1 || !has_gradient(s, node))
        return false;
    for (uint32_t k = 0; k < node->n_outputs; k++)
        if (!assigned_in_place(s, id, k))
            return false;
    return true;
}

static size_t parameter_index(const struct sweep *s, uint32_t update) {
    const struct graph_node *node = compile_node(s->c, update);
    return compile_node(s->c, node->inputs[0].node)->variable->index;
}

/* In the order of their parameters in the set, whatever order they were built in. */
static void find_updates(struct sweep *s) {
    for (uint32_t i = 0; i < s->c->list.count; i++) {
        if (!is_update(s, i))
            continue;
        size_t at = s->n_updates++;
        for (; at > 0 && parameter_index(s, s->updates[at - 1]) > parameter_index(s, i); at--)
            s->updates[at] = s->updates[at - 1];
        s->updates[at] = i;
    }
}

/* --- buckets --- */

static size_t bytes_of(const struct sweep *s, uint32_t update) {
    const size_t bytes = cupel_desc_bytes(&compile_node(s->c, update)->outputs[0]);
    return (bytes + CUPEL_ALIGNMENT - 1) / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT;
}

/* Neighbours of one op fill a bucket until the next does not fit. */
static void fill_buckets(struct sweep *s) {
    for (size_t i = 0; i < s->n_updates; i++) {
        const uint32_t id = s->updates[i];
        const cupel_op *op = compile_node(s->c, id)->op;
        const size_t bytes = bytes_of(s, id);
        struct bucket *open = s->n_buckets > 0 ? &s->buckets[s->n_buckets - 1] : NULL;
        if (open == NULL || open->op != op || open->n == SWEEP_MAX_PARTS ||
            open->bytes + bytes > BUCKET_BYTES) {
            open = &s->buckets[s->n_buckets++];
            *open = (struct bucket){.op = op};
        }
        open->members[open->n++] = id;
        open->bytes += bytes;
        open->last = id > open->last ? id : open->last;
    }
    for (size_t b = 0; b < s->n_buckets; b++)
        for (int i = 0; s->buckets[b].n > 1 && i < s->buckets[b].n; i++) {
            const uint32_t id = s->buckets[b].members[i];
            s->bucket[id] = (int)b;
            for (uint32_t k = 0; k < compile_node(s->c, id)->n_outputs; k++)
                if (s->uses[edge_index(s, id, k)] > 0)
                    s->bucket[s->reader[edge_index(s, id, k)]] = (int)b;
        }
}

static cupel_status prepare(struct sweep *s) {
    struct compile *c = s->c;
    struct arena *arena = &c->arena;
    CUPEL_TRY(number_edges(c, &s->first));
    CUPEL_TRY(count_uses(c, s->first, &s->uses));
    s->reader = arena_alloc(arena, s->first[c->list.count] + 1, sizeof(*s->reader));
    s->updates = arena_alloc(arena, c->list.count + 1, sizeof(*s->updates));
    s->bucket = arena_alloc(arena, c->list.count + 1, sizeof(*s->bucket));
    if (!s->reader || !s->updates || !s->bucket)
        return no_memory(s);
    for (uint32_t e = 0; e < s->first[c->list.count]; e++)
        s->reader[e] = NO_NODE;
    for (uint32_t i = 0; i < c->list.count; i++) {
        s->bucket[i] = NO_BUCKET;
        const struct graph_node *node = compile_node(c, i);
        for (uint32_t j = 0; j < node->n_inputs; j++)
            s->reader[edge_index(s, node->inputs[j].node, node->inputs[j].output)] = i;
    }
    return CUPEL_STATUS_OK;
}

/* --- the new list --- */

/* Emits the sweep of a bucket where its last update was, then the assigns of all of them. */
static cupel_status emit_bucket(struct sweep *s, struct rewrite *rewrite,
                                const struct bucket *bucket) {
    struct compile *c = s->c;
    const struct node_list *old = &rewrite->old;
    struct attrs_sweep *attrs = arena_alloc(&c->arena, 1, sizeof(*attrs));
    struct edge *inputs = arena_alloc(&c->arena, SWEEP_MAX_INPUTS, sizeof(*inputs));
    cupel_desc *outputs = arena_alloc(&c->arena, SWEEP_MAX_OUTPUTS, sizeof(*outputs));
    struct graph_node *made = attrs && inputs && outputs ? node_list_append(&c->list) : NULL;
    if (!made)
        return no_memory(s);
    *made = (struct graph_node){.op = &op_sweep,
                                .attrs = attrs,
                                .inputs = inputs,
                                .outputs = outputs,
                                .name = old->nodes[bucket->last].name};
    const uint32_t id = (uint32_t)(c->list.count - 1);
    attrs->op = bucket->op;
    for (int m = 0; m < bucket->n; m++) {
        const struct graph_node *part = &old->nodes[bucket->members[m]];
        if (!sweep_append(attrs, part->name, part->attrs, (int)part->n_inputs,
                          (int)part->n_outputs))
            return cupel_fail(c->error, CUPEL_STATUS_BUG, "%s (%s) does not fit into a sweep",
                              part->name, part->op->name);
        for (uint32_t i = 0; i < part->n_inputs; i++)
            inputs[made->n_inputs++] = rewrite_edge(rewrite, part->inputs[i]);
        for (uint32_t k = 0; k < part->n_outputs; k++) {
            rewrite_map(rewrite, (struct edge){bucket->members[m], k},
                        (struct edge){id, made->n_outputs});
            outputs[made->n_outputs++] = part->outputs[k];
        }
    }
    for (int m = 0; m < bucket->n; m++)
        for (uint32_t k = 0; k < old->nodes[bucket->members[m]].n_outputs; k++)
            if (s->uses[edge_index(s, bucket->members[m], k)] > 0)
                CUPEL_TRY(
                    rewrite_keep(rewrite, s->reader[edge_index(s, bucket->members[m], k)], NULL));
    return CUPEL_STATUS_OK;
}

static cupel_status emit_all(struct sweep *s, struct rewrite *rewrite) {
    for (uint32_t i = 0; i < rewrite->old.count; i++) {
        const struct bucket *bucket = s->bucket[i] >= 0 ? &s->buckets[s->bucket[i]] : NULL;
        if (bucket == NULL)
            CUPEL_TRY(rewrite_keep(rewrite, i, NULL));
        else if (bucket->last == i)
            CUPEL_TRY(emit_bucket(s, rewrite, bucket));
    }
    return CUPEL_STATUS_OK;
}

static bool device_sweeps(const struct compile *c) {
    const struct kernel *const *list = c->backend->kernels(c->backend, op_sweep.name);
    for (; list && *list; list++)
        if (strcmp((*list)->op, op_sweep.name) == 0)
            return true;
    return false;
}

cupel_status pass_sweep(struct compile *c) {
    if (!device_sweeps(c))
        return CUPEL_STATUS_OK;
    struct sweep s = {.c = c};
    CUPEL_TRY(prepare(&s));
    find_updates(&s);
    if (s.n_updates < 2)
        return CUPEL_STATUS_OK;
    s.buckets = arena_alloc(&c->arena, s.n_updates, sizeof(*s.buckets));
    if (!s.buckets)
        return no_memory(&s);
    fill_buckets(&s);
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    return rewrite_end(&rewrite, emit_all(&s, &rewrite));
}
