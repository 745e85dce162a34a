/*
 * Pass plan_memory: where every value lies. Inputs and outputs in bindings, parameters in their own
 * memory, constants and the prologue's results in the program, everything else in the arena, placed
 * by plan_offsets(). Views share their operand's bytes; an op may write over an operand that nobody
 * reads later; the producer of an assigned value writes into the variable where all reads come
 * before. In reference mode nothing is shared. Test: tests/test_planner.c, tests/test_assign.c
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

#define NO_BUFFER UINT32_MAX

struct memory {
    struct compile *c;
    struct program_draft *draft;
    uint32_t *first,
        *last;            /* per buffer: positions in the list of its first writer and last user */
    uint32_t *edge_first; /* number_edges */
    uint32_t *uses;       /* per edge */
    uint32_t *assign_of;  /* per edge: the variable buffer it is written into */
};

static cupel_status no_memory(struct memory *m) {
    return cupel_fail_memory(m->c->error, "planning memory", m->c->list.count);
}

static size_t aligned(size_t bytes) {
    return (bytes + CUPEL_ALIGNMENT - 1) / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT;
}

static uint32_t add_buffer(struct memory *m, enum memory_space space, size_t bytes, uint32_t slot,
                           uint32_t position) {
    const uint32_t id = m->draft->n_buffers++;
    m->draft->buffers[id] = (struct exec_buffer){.space = space, .bytes = bytes, .slot = slot};
    m->first[id] = m->last[id] = position;
    return id;
}

static uint32_t buffer_of(const struct memory *m, struct edge edge) {
    return m->draft->node_buffers[edge.node][edge.output];
}

static cupel_status prepare(struct memory *m) {
    struct compile *c = m->c;
    struct program_draft *draft = m->draft;
    struct arena *arena = &c->arena;
    CUPEL_TRY(number_edges(c, &m->edge_first));
    CUPEL_TRY(count_uses(c, m->edge_first, &m->uses));
    const size_t edges = m->edge_first[c->list.count];
    const size_t most = edges + c->list.count + c->n_roots + 1; /* plus scratch */
    draft->buffers = arena_alloc(arena, most, sizeof(*draft->buffers));
    draft->node_buffers = arena_alloc(arena, c->list.count + 1, sizeof(*draft->node_buffers));
    draft->scratch = arena_alloc(arena, c->list.count + 1, sizeof(*draft->scratch));
    draft->skipped = arena_alloc(arena, c->list.count + 1, sizeof(*draft->skipped));
    draft->bindings = arena_alloc(arena, c->list.count + c->n_roots + 1, sizeof(*draft->bindings));
    draft->variables = arena_alloc(arena, c->list.count + 1, sizeof(*draft->variables));
    draft->assigned = arena_alloc(arena, c->list.count + 1, sizeof(*draft->assigned));
    draft->in_prologue = arena_alloc(arena, c->list.count + 1, sizeof(*draft->in_prologue));
    m->first = arena_alloc(arena, most, sizeof(*m->first));
    m->last = arena_alloc(arena, most, sizeof(*m->last));
    m->assign_of = arena_alloc(arena, edges + 1, sizeof(*m->assign_of));
    if (!draft->buffers || !draft->node_buffers || !draft->scratch || !draft->skipped ||
        !draft->bindings || !draft->variables || !draft->assigned || !draft->in_prologue ||
        !m->first || !m->last || !m->assign_of)
        return no_memory(m);
    for (size_t i = 0; i < edges; i++)
        m->assign_of[i] = NO_BUFFER;
    for (size_t i = 0; i < c->list.count; i++) {
        const uint32_t n = c->list.nodes[i].n_outputs;
        draft->scratch[i] = NO_BUFFER;
        draft->node_buffers[i] = arena_alloc(arena, n, sizeof(uint32_t));
        if (!draft->node_buffers[i])
            return no_memory(m);
        for (uint32_t k = 0; k < n; k++)
            draft->node_buffers[i][k] = NO_BUFFER;
    }
    return CUPEL_STATUS_OK;
}

/* Inputs and variables have fixed places. */
static void place_leaves(struct memory *m) {
    struct compile *c = m->c;
    struct program_draft *draft = m->draft;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        const size_t bytes = cupel_desc_bytes(&node->outputs[0]);
        if (node->op == &op_input) {
            const uint32_t slot = (uint32_t)draft->n_bindings++;
            draft->bindings[slot] = (struct binding_slot){.name = node->name,
                                                          .desc = node->outputs[0],
                                                          .input = true,
                                                          .index_bound = node->index_bound};
            draft->node_buffers[i][0] = add_buffer(m, SPACE_BINDING, bytes, slot, 0);
        } else if (node->op == &op_variable) {
            const uint32_t slot = (uint32_t)draft->n_variables++;
            draft->variables[slot] = node->variable;
            draft->node_buffers[i][0] = add_buffer(m, SPACE_VARIABLE, bytes, slot, 0);
        } else if (node->op == &op_constant) {
            const uint32_t id = add_buffer(m, SPACE_PROGRAM, bytes, 0, 0);
            draft->buffers[id].offset = draft->program_bytes;
            draft->program_bytes += aligned(bytes);
            draft->node_buffers[i][0] = id;
        }
        draft->skipped[i] =
            node_is_leaf(node) || ((node->op->flags & CUPEL_OP_VIEW) && !c->reference);
    }
}

/* Whether output k of the node may share memory with its operand i: the op's row says so, or the op
 * is one of ours that works element by element. */
static bool may_share(const struct memory *m, const struct graph_node *node, uint32_t k,
                      uint32_t i) {
    const struct compile *c = m->c;
    const cupel_desc *out = &node->outputs[k];
    const bool elementwise = (node->op->flags & CUPEL_OP_ELEMENTWISE) && !node->op->run;
    if (!cupel_desc_equal(out, compile_desc(c, node->inputs[i])))
        return false;
    if (op_in_place(node->op, node->attrs, node->n_inputs, k) != i + 1 &&
        !(elementwise && node->n_outputs == 1))
        return false;
    /* Another operand in the same memory would be read after it was written over, but where it is
     * read at the very place that is written. */
    for (uint32_t j = 0; j < node->n_inputs; j++)
        if (j != i && buffer_of(m, node->inputs[j]) == buffer_of(m, node->inputs[i]) &&
            !(elementwise && cupel_desc_equal(out, compile_desc(c, node->inputs[j]))))
            return false;
    return true;
}

/* Whether all reads of the variable's memory, views included, come before position `writer`. */
static bool reads_end_before(const struct memory *m, uint32_t variable, uint32_t writer,
                             uint32_t assign) {
    const struct compile *c = m->c;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        if (i == writer || i == assign)
            continue;
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j].node != variable)
                continue;
            if (m->draft->skipped[i] ? !reads_end_before(m, i, writer, assign) : i > writer)
                return false;
        }
    }
    return true;
}

static bool guards_end_before(const struct compile *c, uint32_t writer) {
    for (uint32_t i = writer; i < c->list.count; i++)
        if (op_may_end_run(compile_node(c, i)->op))
            return false;
    return true;
}

/* Whether the producer of an assigned value may write into the variable. */
static bool assigns_in_place(const struct memory *m, uint32_t assign) {
    const struct compile *c = m->c;
    const struct graph_node *node = compile_node(c, assign);
    const uint32_t variable = node->inputs[0].node;
    const struct edge value = node->inputs[1];
    const struct graph_node *producer = compile_node(c, value.node);
    if (c->reference || m->draft->skipped[value.node] || c->prologue[value.node] ||
        (producer->op->flags & CUPEL_OP_EFFECT) ||
        m->uses[m->edge_first[value.node] + value.output] != 1 ||
        !guards_end_before(c, value.node) || !reads_end_before(m, variable, value.node, assign))
        return false;
    for (uint32_t i = 0; i < producer->n_inputs; i++) {
        uint32_t source = producer->inputs[i].node;
        if (source == variable && !may_share(m, producer, value.output, i))
            return false;
        while (m->draft->skipped[source] && !node_is_leaf(compile_node(c, source))) {
            source = compile_node(c, source)->inputs[0].node;
            if (source == variable)
                return false; /* read through a view */
        }
    }
    return true;
}

static void plan_assigns(struct memory *m) {
    const struct compile *c = m->c;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        if (node->op != &op_assign)
            continue;
        const uint32_t target = buffer_of(m, node->inputs[0]);
        m->draft->node_buffers[i][0] = target;
        m->draft->assigned[m->draft->buffers[target].slot] = true;
        if (!assigns_in_place(m, i))
            continue;
        m->draft->skipped[i] = true;
        m->assign_of[m->edge_first[node->inputs[1].node] + node->inputs[1].output] = target;
    }
}

/* The position at which the bytes of an edge are read last, through views. */
static uint32_t last_use(const struct memory *m, struct edge edge, uint32_t position) {
    const struct compile *c = m->c;
    for (size_t i = 0; i < c->n_roots; i++)
        if (c->roots[i].edge.node == edge.node && c->roots[i].edge.output == edge.output)
            return (uint32_t)c->list.count; /* an output is read after the run */
    for (uint32_t i = edge.node + 1; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j].node != edge.node || node->inputs[j].output != edge.output)
                continue;
            const uint32_t used = m->draft->skipped[i] && node->op != &op_assign
                                      ? last_use(m, (struct edge){i, 0}, position)
                                      : i;
            position = used > position ? used : position;
        }
    }
    return position;
}

static void place_output(struct memory *m, uint32_t id, uint32_t k) {
    struct compile *c = m->c;
    const struct graph_node *node = compile_node(c, id);
    const size_t bytes = cupel_desc_bytes(&node->outputs[k]);
    uint32_t *buffer = &m->draft->node_buffers[id][k];
    const uint32_t assigned = m->assign_of[m->edge_first[id] + k];
    const uint32_t last = last_use(m, (struct edge){id, k}, id);
    m->draft->naive_bytes += aligned(bytes);
    if (assigned != NO_BUFFER) {
        *buffer = assigned;
        return;
    }
    if (c->prologue[id]) {
        *buffer = add_buffer(m, SPACE_PROGRAM, bytes, 0, id);
        m->draft->buffers[*buffer].offset = m->draft->program_bytes;
        m->draft->program_bytes += aligned(bytes);
        if (node->op == &op_pack)
            m->draft->packed_bytes += aligned(bytes);
        return;
    }
    for (uint32_t i = 0; i < node->n_inputs && *buffer == NO_BUFFER && !c->reference; i++) {
        const uint32_t from = buffer_of(m, node->inputs[i]);
        bool taken = false; /* by an earlier output of this node */
        for (uint32_t j = 0; j < k; j++)
            taken = taken || m->draft->node_buffers[id][j] == from;
        if (!taken && m->draft->buffers[from].space == SPACE_ARENA && m->last[from] == id &&
            may_share(m, node, k, i))
            *buffer = from;
    }
    if (*buffer == NO_BUFFER)
        *buffer = add_buffer(m, SPACE_ARENA, bytes, 0, id);
    m->last[*buffer] = last > m->last[*buffer] ? last : m->last[*buffer];
}

static void place_values(struct memory *m) {
    struct compile *c = m->c;
    struct program_draft *draft = m->draft;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        if (node_is_leaf(node) || node->op == &op_assign)
            continue;
        if (draft->skipped[i]) {
            draft->node_buffers[i][0] = buffer_of(m, node->inputs[0]);
            continue;
        }
        for (uint32_t k = 0; k < node->n_outputs; k++)
            place_output(m, i, k);
        const struct kernel_plan *plan = c->plans[i];
        if (plan && plan->scratch_bytes) {
            draft->scratch[i] = add_buffer(m, SPACE_ARENA, plan->scratch_bytes, 0, i);
            draft->naive_bytes += aligned(plan->scratch_bytes);
        }
    }
}

/* The arena buffer under each output becomes the binding's memory. */
static cupel_status bind_roots(struct memory *m) {
    struct compile *c = m->c;
    struct program_draft *draft = m->draft;
    for (size_t i = 0; i < c->n_roots; i++) {
        const uint32_t id = buffer_of(m, c->roots[i].edge);
        const uint32_t slot = (uint32_t)draft->n_bindings++;
        draft->bindings[slot] = (struct binding_slot){.name = c->roots[i].name,
                                                      .desc = *compile_desc(c, c->roots[i].edge)};
        if (draft->buffers[id].space != SPACE_ARENA)
            return cupel_fail(c->error, CUPEL_STATUS_BUG, "output '%s' has no memory of its own",
                              c->roots[i].name);
        draft->buffers[id].space = SPACE_BINDING;
        draft->buffers[id].slot = slot;
    }
    return CUPEL_STATUS_OK;
}

/* Working arrays of place_arena, per buffer. */
struct placing {
    struct interval *intervals;
    uint32_t *leader; /* of the bucket it lies in, or itself */
    uint32_t *place;  /* of leaders: index among the intervals that are planned */
    size_t *within;   /* offset in the bucket */
    size_t *offsets;
};

/* Plans the arena with gradients of a sweep side by side, or each buffer on its own. The largest
 * sum of live bytes is that of the buffers on their own in both cases. */
static cupel_status plan_arena(struct memory *m, struct placing *p, bool buckets) {
    struct program_draft *draft = m->draft;
    for (uint32_t i = 0; i < draft->n_buffers; i++) {
        p->intervals[i] = (struct interval){draft->buffers[i].bytes, m->first[i], m->last[i]};
        p->leader[i] = i;
        p->within[i] = 0;
    }
    if (buckets)
        join_buckets(m->c, draft, p->leader, p->within, p->intervals);
    size_t n = 0; /* only the arena's leaders, from here on */
    for (uint32_t i = 0; i < draft->n_buffers; i++) {
        if (draft->buffers[i].space != SPACE_ARENA || p->leader[i] != i)
            continue;
        p->place[i] = (uint32_t)n;
        p->intervals[n++] = p->intervals[i];
    }
    size_t live = 0;
    draft->buckets = buckets;
    draft->arena_bytes = 0;
    if (m->c->reference) { /* a place for everything */
        for (size_t i = 0; i < n; i++) {
            p->offsets[i] = draft->arena_bytes;
            draft->arena_bytes += aligned(p->intervals[i].bytes);
        }
        live = draft->arena_bytes;
    } else if (plan_offsets(n, p->intervals, p->offsets, &draft->arena_bytes, &live) !=
               CUPEL_STATUS_OK) {
        return no_memory(m);
    }
    if (!buckets)
        draft->live_bytes = live;
    return CUPEL_STATUS_OK;
}

/* Most that the arena may exceed the live bytes by for the sake of buckets: one part in twenty. */
static bool too_large(const struct program_draft *draft) {
    return draft->arena_bytes - draft->live_bytes > draft->live_bytes / 20;
}

static cupel_status place_arena(struct memory *m) {
    struct program_draft *draft = m->draft;
    struct arena *arena = &m->c->arena;
    const size_t n = draft->n_buffers + 1;
    struct placing p = {.intervals = arena_alloc(arena, n, sizeof(*p.intervals)),
                        .leader = arena_alloc(arena, n, sizeof(*p.leader)),
                        .place = arena_alloc(arena, n, sizeof(*p.place)),
                        .within = arena_alloc(arena, n, sizeof(*p.within)),
                        .offsets = arena_alloc(arena, n, sizeof(*p.offsets))};
    if (!p.intervals || !p.leader || !p.place || !p.within || !p.offsets)
        return no_memory(m);
    CUPEL_TRY(plan_arena(m, &p, false));
    if (!m->c->reference) {
        CUPEL_TRY(plan_arena(m, &p, true));
        if (too_large(draft))
            CUPEL_TRY(plan_arena(m, &p, false));
    }
    for (uint32_t i = 0; i < draft->n_buffers; i++)
        if (draft->buffers[i].space == SPACE_ARENA)
            draft->buffers[i].offset = p.offsets[p.place[p.leader[i]]] + p.within[i];
    return CUPEL_STATUS_OK;
}

cupel_status pass_plan_memory(struct compile *c, struct program_draft *draft) {
    struct memory m = {.c = c, .draft = draft};
    CUPEL_TRY(prepare(&m));
    place_leaves(&m);
    plan_assigns(&m);
    place_values(&m);
    CUPEL_TRY(bind_roots(&m));
    return place_arena(&m);
}
