/*
 * Pass fuse: elementwise nodes that share a shape and touch each other become one "fused" node,
 * which runs as one pass over memory and keeps its parts, so that the choice of kernels can split
 * it again.
 *
 * Nodes are visited in order and each tries to join the groups of its operands. A group may grow
 * only if no path leaves it and comes back, seen on the graph in which every group is one vertex;
 * then an order exists in which each group runs as a whole. Test: tests/test_pass_fuse.c
 */
#include <string.h>

#include "compile/compile_internal.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

enum { NO_GROUP = -1 };

struct fuse {
    struct compile *c;
    size_t count;
    int *group;       /* per node: its group or NO_GROUP */
    int *next_member; /* per node: the next node of its group or -1, ascending */
    int *first_member, *last_member, *size; /* per group */
    int n_groups;
    uint32_t *stamp; /* per node: visited by the search of that number */
    uint32_t search;
    uint32_t *stack;
};

static bool fusible(const struct fuse *f, const struct graph_node *node) {
    if (!(node->op->flags & CUPEL_OP_ELEMENTWISE) ||
        (node->op->flags & (CUPEL_OP_RANDOM | CUPEL_OP_EFFECT)) || node->n_outputs != 1 ||
        node->n_inputs > FUSED_MAX_PART_INPUTS || node->op->attr_size > FUSED_ATTR_SIZE ||
        node->op->run != NULL || node->outputs[0].type != CUPEL_TYPE_F32)
        return false;
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (compile_desc(f->c, node->inputs[i])->type != CUPEL_TYPE_F32)
            return false;
    return true;
}

/* Whether the union of the groups a and b would contain a path that leaves and re-enters it. */
static bool makes_cycle(struct fuse *f, int a, int b) {
    size_t depth = 0;
    f->search++;
    for (int side = 0; side < 2; side++)
        for (int m = f->first_member[side ? b : a]; m >= 0; m = f->next_member[m]) {
            const struct graph_node *node = compile_node(f->c, (uint32_t)m);
            for (uint32_t i = 0; i < node->n_inputs; i++) {
                const uint32_t source = node->inputs[i].node;
                if (f->group[source] != a && f->group[source] != b &&
                    f->stamp[source] != f->search) {
                    f->stamp[source] = f->search;
                    f->stack[depth++] = source;
                }
            }
        }
    while (depth > 0) {
        const uint32_t id = f->stack[--depth];
        /* All members of a vertex's group run where it runs. */
        const int group = f->group[id];
        for (int m = group >= 0 ? f->first_member[group] : (int)id; m >= 0;
             m = group >= 0 ? f->next_member[m] : -1) {
            f->stamp[m] = f->search;
            const struct graph_node *node = compile_node(f->c, (uint32_t)m);
            for (uint32_t i = 0; i < node->n_inputs; i++) {
                const uint32_t source = node->inputs[i].node;
                if (f->group[source] >= 0 && (f->group[source] == a || f->group[source] == b))
                    return true;
                if (f->stamp[source] != f->search) {
                    f->stamp[source] = f->search;
                    f->stack[depth++] = source;
                }
            }
        }
    }
    return false;
}

/* Outside operands of the union, each once. */
static int outside_inputs(const struct fuse *f, int a, int b, struct edge *out, int max) {
    int n = 0;
    for (int side = 0; side < 2; side++)
        for (int m = f->first_member[side ? b : a]; m >= 0; m = f->next_member[m]) {
            const struct graph_node *node = compile_node(f->c, (uint32_t)m);
            for (uint32_t i = 0; i < node->n_inputs; i++) {
                const struct edge edge = node->inputs[i];
                if (f->group[edge.node] == a || f->group[edge.node] == b)
                    continue;
                int j = 0;
                while (j < n && (out[j].node != edge.node || out[j].output != edge.output))
                    j++;
                if (j == n && n == max)
                    return max + 1;
                if (j == n)
                    out[n++] = edge;
            }
        }
    return n;
}

/* Merges the later group b into a, members kept ascending. */
static void merge(struct fuse *f, int a, int b) {
    int x = f->first_member[a], y = f->first_member[b];
    int head = -1, tail = -1;
    while (x >= 0 || y >= 0) {
        const bool from_x = y < 0 || (x >= 0 && x < y);
        const int m = from_x ? x : y;
        if (from_x)
            x = f->next_member[x];
        else
            y = f->next_member[y];
        if (tail >= 0)
            f->next_member[tail] = m;
        else
            head = m;
        tail = m;
        f->group[m] = a;
    }
    f->next_member[tail] = -1;
    f->first_member[a] = head;
    f->last_member[a] = tail;
    f->size[a] += f->size[b];
    f->size[b] = 0;
    f->first_member[b] = f->last_member[b] = -1;
}

static void try_join(struct fuse *f, uint32_t id) {
    const struct graph_node *node = compile_node(f->c, id);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const uint32_t source = node->inputs[i].node;
        const int mine = f->group[id], other = f->group[source];
        if (other == NO_GROUP || other == mine ||
            f->size[mine] + f->size[other] > FUSED_MAX_PARTS ||
            !cupel_shape_equal(compile_node(f->c, source)->outputs[0].shape,
                               node->outputs[0].shape))
            continue;
        struct edge inputs[FUSED_MAX_INPUTS];
        if (outside_inputs(f, other, mine, inputs, FUSED_MAX_INPUTS) > FUSED_MAX_INPUTS ||
            makes_cycle(f, other, mine))
            continue;
        merge(f, other, mine);
    }
}

static cupel_status group_nodes(struct fuse *f) {
    struct arena *arena = &f->c->arena;
    const size_t n = f->count + 1;
    f->group = arena_alloc(arena, n, sizeof(int));
    f->next_member = arena_alloc(arena, n, sizeof(int));
    f->first_member = arena_alloc(arena, n, sizeof(int));
    f->last_member = arena_alloc(arena, n, sizeof(int));
    f->size = arena_alloc(arena, n, sizeof(int));
    f->stamp = arena_alloc(arena, n, sizeof(uint32_t));
    f->stack = arena_alloc(arena, n, sizeof(uint32_t));
    if (!f->group || !f->next_member || !f->first_member || !f->last_member || !f->size ||
        !f->stamp || !f->stack)
        return cupel_fail_memory(f->c->error, "fusing", n);
    for (size_t i = 0; i < f->count; i++) {
        f->group[i] = NO_GROUP;
        f->next_member[i] = -1;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        if (!fusible(f, compile_node(f->c, i)))
            continue;
        const int group = f->n_groups++;
        f->group[i] = group;
        f->first_member[group] = f->last_member[group] = (int)i;
        f->size[group] = 1;
        try_join(f, i);
    }
    return CUPEL_STATUS_OK;
}

/* Fills the attributes and inputs of the fused node of a group; false where it exceeds a limit. */
static bool describe(const struct fuse *f, int group, const uint32_t *first, const bool *outside,
                     struct attrs_fused *attrs, struct edge *inputs, int *n_inputs,
                     uint32_t *members) {
    *n_inputs = outside_inputs(f, group, group, inputs, FUSED_MAX_INPUTS);
    if (*n_inputs > FUSED_MAX_INPUTS)
        return false;
    int n = 0;
    for (int m = f->first_member[group]; m >= 0; m = f->next_member[m], n++) {
        const struct graph_node *node = compile_node(f->c, (uint32_t)m);
        struct fused_part *part = &attrs->parts[n];
        members[n] = (uint32_t)m;
        part->op = node->op;
        memcpy(part->attrs, node->attrs, node->op->attr_size);
        part->n_inputs = (int32_t)node->n_inputs;
        for (uint32_t i = 0; i < node->n_inputs; i++) {
            const struct edge edge = node->inputs[i];
            for (int j = 0; j < n; j++)
                if (members[j] == edge.node)
                    part->inputs[i] = fused_earlier(j);
            if (f->group[edge.node] != group)
                for (int j = 0; j < *n_inputs; j++)
                    if (inputs[j].node == edge.node && inputs[j].output == edge.output)
                        part->inputs[i] = fused_input(j);
        }
        if (outside[first[m]]) {
            if (attrs->n_outputs == FUSED_MAX_OUTPUTS)
                return false;
            attrs->outputs[attrs->n_outputs++] = n;
        }
    }
    attrs->n_parts = n;
    return true;
}

/* Edges that are read outside their own group, roots included. */
static cupel_status find_outside(const struct fuse *f, const uint32_t *first, bool **out) {
    struct compile *c = f->c;
    bool *outside = arena_alloc(&c->arena, first[f->count] + 1, sizeof(*outside));
    if (!outside)
        return cupel_fail_memory(c->error, "fusing", f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct graph_node *node = compile_node(c, i);
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            const struct edge edge = node->inputs[j];
            if (f->group[i] == NO_GROUP || f->group[edge.node] != f->group[i])
                outside[first[edge.node] + edge.output] = true;
        }
    }
    for (size_t i = 0; i < c->n_roots; i++)
        outside[first[c->roots[i].edge.node] + c->roots[i].edge.output] = true;
    *out = outside;
    return CUPEL_STATUS_OK;
}

/* Emits the group as one node and maps the outputs. Limits that are exceeded leave the parts
 * apart. */
static cupel_status emit_group(struct fuse *f, struct rewrite *rewrite, const struct node_list *old,
                               struct attrs_fused *attrs, const struct edge *old_inputs,
                               int n_inputs, const uint32_t *members) {
    struct edge inputs[FUSED_MAX_INPUTS];
    for (int i = 0; i < n_inputs; i++)
        inputs[i] = rewrite_edge(rewrite, old_inputs[i]);
    const char *name = old->nodes[members[attrs->n_parts - 1]].name;
    struct compile *c = f->c;
    struct graph_node node = {.op = &op_fused,
                              .n_inputs = (uint32_t)n_inputs,
                              .n_outputs = (uint32_t)attrs->n_outputs,
                              .name = name};
    node.inputs = arena_copy(&c->arena, inputs, (size_t)n_inputs * sizeof(*inputs));
    node.outputs = arena_alloc(&c->arena, (size_t)attrs->n_outputs, sizeof(*node.outputs));
    node.attrs = arena_copy(&c->arena, attrs, sizeof(*attrs));
    struct graph_node *made =
        node.inputs && node.outputs && node.attrs ? node_list_append(&c->list) : NULL;
    if (!made)
        return cupel_fail_memory(c->error, "fusing", sizeof(*attrs));
    *made = node;
    const uint32_t id = (uint32_t)(c->list.count - 1);
    for (int64_t k = 0; k < attrs->n_outputs; k++) {
        const uint32_t member = members[attrs->outputs[k]];
        made->outputs[k] = old->nodes[member].outputs[0];
        rewrite_map(rewrite, (struct edge){member, 0}, (struct edge){id, (uint32_t)k});
    }
    return CUPEL_STATUS_OK;
}

/* A vertex (node or whole group) is ready when all operands from outside have been emitted. */
static bool ready(const struct fuse *f, const struct node_list *old, const bool *emitted,
                  uint32_t id) {
    const int group = f->group[id];
    for (int m = group >= 0 ? f->first_member[group] : (int)id; m >= 0;
         m = group >= 0 ? f->next_member[m] : -1) {
        const struct graph_node *node = &old->nodes[m];
        for (uint32_t i = 0; i < node->n_inputs; i++) {
            const uint32_t source = node->inputs[i].node;
            if (!emitted[source] && (group < 0 || f->group[source] != group))
                return false;
        }
    }
    return true;
}

struct described {
    struct attrs_fused attrs;
    struct edge inputs[FUSED_MAX_INPUTS];
    int n_inputs;
    uint32_t members[FUSED_MAX_PARTS];
};

static cupel_status emit_vertex(struct fuse *f, struct rewrite *rewrite, struct described *groups,
                                bool *emitted, uint32_t id) {
    const int group = f->group[id];
    if (group < 0 || f->size[group] < 2 || groups[group].attrs.n_parts == 0) {
        for (int m = group >= 0 ? f->first_member[group] : (int)id; m >= 0;
             m = group >= 0 ? f->next_member[m] : -1) {
            CUPEL_TRY(rewrite_keep(rewrite, (uint32_t)m, NULL));
            emitted[m] = true;
        }
        return CUPEL_STATUS_OK;
    }
    struct described *d = &groups[group];
    CUPEL_TRY(emit_group(f, rewrite, &rewrite->old, &d->attrs, d->inputs, d->n_inputs, d->members));
    for (int m = f->first_member[group]; m >= 0; m = f->next_member[m])
        emitted[m] = true;
    return CUPEL_STATUS_OK;
}

/* Emits vertices in the order of their first ready member: as built, as far as groups allow. */
static cupel_status emit_all(struct fuse *f, struct rewrite *rewrite, struct described *groups) {
    bool *emitted = arena_alloc(&f->c->arena, f->count + 1, sizeof(*emitted));
    if (!emitted)
        return cupel_fail_memory(f->c->error, "fusing", f->count);
    size_t from = 0;
    while (from < f->count) {
        if (emitted[from]) {
            from++;
            continue;
        }
        uint32_t id = (uint32_t)from;
        while (id < f->count && (emitted[id] || !ready(f, &rewrite->old, emitted, id)))
            id++;
        if (id == f->count)
            return cupel_fail(f->c->error, CUPEL_STATUS_BUG, "fusing made a cycle");
        CUPEL_TRY(emit_vertex(f, rewrite, groups, emitted, id));
    }
    return CUPEL_STATUS_OK;
}

cupel_status pass_fuse(struct compile *c) {
    if (!c->backend->kernels(c->backend, op_fused.name))
        return CUPEL_STATUS_OK;
    struct fuse f = {.c = c, .count = c->list.count};
    CUPEL_TRY(group_nodes(&f));
    uint32_t *first = NULL;
    bool *outside = NULL;
    CUPEL_TRY(number_edges(c, &first));
    CUPEL_TRY(find_outside(&f, first, &outside));
    struct described *groups = arena_alloc(&c->arena, (size_t)f.n_groups + 1, sizeof(*groups));
    if (!groups)
        return cupel_fail_memory(c->error, "fusing", (size_t)f.n_groups);
    for (int g = 0; g < f.n_groups; g++) {
        if (f.size[g] < 2)
            continue;
        struct described *d = &groups[g];
        if (!describe(&f, g, first, outside, &d->attrs, d->inputs, &d->n_inputs, d->members))
            d->attrs = (struct attrs_fused){0};
    }
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    return rewrite_end(&rewrite, emit_all(&f, &rewrite, groups));
}
