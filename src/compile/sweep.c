/*
 * Pass sweep: neighbouring small updates become one node, which a kernel runs as one pass over
 * memory and whose gradients the memory planner lays side by side: a bucket.
 *
 * Nothing depends on an update but its own assigns (updates.h), so updates may be merged without
 * ever closing a cycle. A sweep waits for its last gradient while the others stay in memory;
 * therefore buckets are small and a large gradient is consumed alone, as early as it can be.
 * Test: tests/test_pass_sweep.c
 */
#include "base/memory.h"
#include "compile/updates.h"
#include "op/op_internal.h"
#include "op/op_sweep.h"

enum { BUCKET_BYTES = 256 * 1024, NO_BUCKET = -1 };

struct bucket {
    const cupel_op *op;
    size_t bytes; /* of the parameters, each rounded up to the arena's alignment */
    int n;
    uint32_t members[SWEEP_MAX_PARTS]; /* in parameter order */
    uint32_t last;                     /* the member that comes last in the list */
};

struct sweep {
    struct compile *c;
    struct readers readers;
    uint32_t *updates; /* in parameter order */
    size_t n_updates;
    struct bucket *buckets;
    size_t n_buckets;
    int *bucket; /* per node: of an update that is merged, and of its assigns; or NO_BUCKET */
};

static cupel_status no_memory(const struct sweep *s) {
    return cupel_fail_memory(s->c->error, "merging updates", s->c->list.count);
}

static size_t parameter_index(const struct sweep *s, uint32_t update) {
    const struct graph_node *node = compile_node(s->c, update);
    return compile_node(s->c, node->inputs[0].node)->variable->index;
}

/* In the order of their parameters in the set, whatever order they were built in. */
static void find_updates(struct sweep *s) {
    for (uint32_t i = 0; i < s->c->list.count; i++) {
        if (!node_is_update(&s->readers, i))
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
            for (uint32_t k = 0; k < compile_node(s->c, id)->n_outputs; k++) {
                const uint32_t edge = readers_edge(&s->readers, id, k);
                if (s->readers.uses[edge] > 0)
                    s->bucket[s->readers.reader[edge]] = (int)b;
            }
        }
}

static cupel_status prepare(struct sweep *s) {
    struct compile *c = s->c;
    CUPEL_TRY(readers_find(&s->readers, c));
    s->updates = arena_alloc(&c->arena, c->list.count + 1, sizeof(*s->updates));
    s->bucket = arena_alloc(&c->arena, c->list.count + 1, sizeof(*s->bucket));
    if (!s->updates || !s->bucket)
        return no_memory(s);
    for (uint32_t i = 0; i < c->list.count; i++)
        s->bucket[i] = NO_BUCKET;
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
        for (uint32_t k = 0; k < old->nodes[bucket->members[m]].n_outputs; k++) {
            const uint32_t edge = readers_edge(&s->readers, bucket->members[m], k);
            if (s->readers.uses[edge] > 0)
                CUPEL_TRY(rewrite_keep(rewrite, s->readers.reader[edge], NULL));
        }
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

cupel_status pass_sweep(struct compile *c) {
    if (!device_has_kernel(c, &op_sweep))
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
