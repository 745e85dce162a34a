/*
 * Pass order: the order in which steps run. The prologue first; then as built, with guards, updates
 * and assigns as early as they can run and packs as late as possible (just before their reader). A
 * variable is written after all guards and, where that is possible, after everything that reads it,
 * so that the update can be done in place. Ties are broken by node id.
 * Test: tests/test_pass_order.c
 */
#include "compile/compile_internal.h"
#include "op/op_internal.h"

/* "after" edges beyond the operands: node must run after source. */
struct constraint {
    uint32_t node, source;
    struct constraint *next; /* of the same node */
};

struct order {
    struct compile *c;
    size_t count;
    struct constraint **extra; /* per node */
    uint32_t *stamp;
    uint32_t search;
    uint32_t *stack;
    bool *early; /* guards, assigns, and what makes an assigned value */
};

static cupel_status constrain(struct order *o, uint32_t node, uint32_t source) {
    struct constraint *item = arena_alloc(&o->c->arena, 1, sizeof(*item));
    if (!item)
        return cupel_fail_memory(o->c->error, "ordering", o->count);
    *item = (struct constraint){node, source, o->extra[node]};
    o->extra[node] = item;
    return CUPEL_STATUS_OK;
}

/* Whether `node` must run after `target` (or is it). */
static bool depends(struct order *o, uint32_t node, uint32_t target) {
    size_t depth = 0;
    o->search++;
    o->stack[depth++] = node;
    o->stamp[node] = o->search;
    while (depth > 0) {
        const uint32_t id = o->stack[--depth];
        if (id == target)
            return true;
        const struct graph_node *at = compile_node(o->c, id);
        for (uint32_t i = 0; i < at->n_inputs; i++)
            if (o->stamp[at->inputs[i].node] != o->search) {
                o->stamp[at->inputs[i].node] = o->search;
                o->stack[depth++] = at->inputs[i].node;
            }
        for (const struct constraint *e = o->extra[id]; e; e = e->next)
            if (o->stamp[e->source] != o->search) {
                o->stamp[e->source] = o->search;
                o->stack[depth++] = e->source;
            }
    }
    return false;
}

/* The nodes that read a variable's memory: its readers, and those of its views. */
static cupel_status after_readers(struct order *o, uint32_t writer, uint32_t assign,
                                  uint32_t variable, bool must) {
    struct compile *c = o->c;
    for (uint32_t i = 0; i < o->count; i++) {
        const struct graph_node *node = compile_node(c, i);
        if (i == writer || i == assign)
            continue;
        for (uint32_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j].node != variable)
                continue;
            if ((node->op->flags & CUPEL_OP_VIEW) && !c->reference)
                CUPEL_TRY(after_readers(o, writer, assign, i, must));
            else if (!depends(o, i, writer))
                CUPEL_TRY(constrain(o, writer, i));
            else if (must)
                return cupel_fail(c->error, CUPEL_STATUS_BUG,
                                  "'%s' would be read after it is assigned", node->name);
            break;
        }
    }
    return CUPEL_STATUS_OK;
}

static cupel_status add_constraints(struct order *o) {
    struct compile *c = o->c;
    for (uint32_t i = 0; i < o->count; i++) {
        const struct graph_node *node = compile_node(c, i);
        o->early[i] = node->op->flags & CUPEL_OP_EFFECT;
        if (node->op != &op_assign)
            continue;
        const uint32_t producer = node->inputs[1].node;
        const bool moves = !node_is_leaf(compile_node(c, producer)) && !c->prologue[producer];
        for (uint32_t g = 0; g < o->count; g++) {
            if (!op_may_end_run(compile_node(c, g)->op))
                continue;
            CUPEL_TRY(constrain(o, i, g));
            if (moves && !depends(o, g, producer))
                CUPEL_TRY(constrain(o, producer, g));
        }
        CUPEL_TRY(after_readers(o, i, i, node->inputs[0].node, true));
        if (moves) {
            o->early[producer] = true;
            CUPEL_TRY(after_readers(o, producer, i, node->inputs[0].node, false));
        }
    }
    return CUPEL_STATUS_OK;
}

/* 0 runs first: prologue, then early nodes, then the rest; packs that are not in the prologue
 * wait. In reference mode assigns come last, so that a run stopped at some value has changed
 * nothing. */
static int class_of(const struct order *o, uint32_t id) {
    const struct graph_node *node = compile_node(o->c, id);
    if (node_is_leaf(node) || o->c->prologue[id])
        return 0;
    if (o->c->reference && node->op == &op_assign)
        return 4;
    if (o->early[id])
        return 1;
    return node->op == &op_pack && ((const struct attrs_pack *)node->attrs)->packed_bytes ? 3 : 2;
}

static bool is_ready(const struct order *o, const bool *done, uint32_t id) {
    const struct graph_node *node = compile_node(o->c, id);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (!done[node->inputs[i].node])
            return false;
    for (const struct constraint *e = o->extra[id]; e; e = e->next)
        if (!done[e->source])
            return false;
    return true;
}

/* The nodes that may come next. */
struct ready_set {
    uint32_t *ids; /* a binary heap by (class, id) */
    size_t count;
};

static bool before(const struct order *o, uint32_t a, uint32_t b) {
    const int x = class_of(o, a), y = class_of(o, b);
    return x != y ? x < y : a < b;
}

static void heap_push(const struct order *o, struct ready_set *set, uint32_t id) {
    size_t i = set->count++;
    set->ids[i] = id;
    for (; i > 0 && before(o, set->ids[i], set->ids[(i - 1) / 2]); i = (i - 1) / 2) {
        const uint32_t swap = set->ids[i];
        set->ids[i] = set->ids[(i - 1) / 2];
        set->ids[(i - 1) / 2] = swap;
    }
}

static uint32_t heap_pop(const struct order *o, struct ready_set *set) {
    const uint32_t top = set->ids[0];
    set->ids[0] = set->ids[--set->count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < set->count; child++)
            if (before(o, set->ids[child], set->ids[least]))
                least = child;
        if (least == i)
            return top;
        const uint32_t swap = set->ids[i];
        set->ids[i] = set->ids[least];
        set->ids[least] = swap;
        i = least;
    }
}

/* Dependants of each node, for operands and constraints alike: they make the scan linear in the
 * edges. */
struct link {
    uint32_t dependant;
    struct link *next;
};

static cupel_status link_up(struct order *o, struct link ***out) {
    struct arena *arena = &o->c->arena;
    struct link **links = arena_alloc(arena, o->count + 1, sizeof(*links));
    if (!links)
        return cupel_fail_memory(o->c->error, "ordering", o->count);
    for (uint32_t id = 0; id < o->count; id++) {
        const struct graph_node *node = compile_node(o->c, id);
        const struct constraint *extra = o->extra[id];
        for (uint32_t i = 0; i < node->n_inputs || extra;) {
            const bool operand = i < node->n_inputs;
            const uint32_t source = operand ? node->inputs[i++].node : extra->source;
            if (!operand)
                extra = extra->next;
            struct link *item = arena_alloc(arena, 1, sizeof(*item));
            if (!item)
                return cupel_fail_memory(o->c->error, "ordering", o->count);
            *item = (struct link){id, links[source]};
            links[source] = item;
        }
    }
    *out = links;
    return CUPEL_STATUS_OK;
}

static cupel_status emit_in_order(struct order *o) {
    struct compile *c = o->c;
    struct arena *arena = &c->arena;
    struct link **links = NULL;
    CUPEL_TRY(link_up(o, &links));
    bool *done = arena_alloc(arena, o->count + 1, sizeof(*done));
    bool *queued = arena_alloc(arena, o->count + 1, sizeof(*queued));
    bool *prologue = arena_alloc(arena, o->count + 1, sizeof(*prologue));
    struct ready_set set = {.ids = arena_alloc(arena, o->count + 1, sizeof(uint32_t))};
    struct kernel_plan **plans = arena_alloc(arena, o->count + 1, sizeof(*plans));
    if (!done || !queued || !prologue || !set.ids || !plans)
        return cupel_fail_memory(c->error, "ordering", o->count);
    for (uint32_t i = 0; i < o->count; i++)
        if (is_ready(o, done, i)) {
            heap_push(o, &set, i);
            queued[i] = true;
        }
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    const struct node_list list = rewrite.old;
    cupel_status status = CUPEL_STATUS_OK;
    size_t emitted = 0;
    while (set.count > 0 && status == CUPEL_STATUS_OK) {
        /* The comparisons read the list by id, so it stays in place until all are emitted. */
        c->list = list;
        const uint32_t id = heap_pop(o, &set);
        done[id] = true;
        plans[emitted] = c->plans[id];
        prologue[emitted] = c->prologue[id];
        o->stack[emitted++] = id;
        for (const struct link *link = links[id]; link; link = link->next)
            if (!queued[link->dependant] && is_ready(o, done, link->dependant)) {
                heap_push(o, &set, link->dependant);
                queued[link->dependant] = true;
            }
    }
    c->list = (struct node_list){0};
    if (emitted != o->count)
        status = cupel_fail(c->error, CUPEL_STATUS_BUG, "the steps of the program form a cycle");
    for (size_t i = 0; i < emitted && status == CUPEL_STATUS_OK; i++)
        status = rewrite_keep(&rewrite, o->stack[i], NULL);
    status = rewrite_end(&rewrite, status);
    for (size_t i = 0; status == CUPEL_STATUS_OK && i < emitted; i++)
        c->plans[i] = plans[i];
    c->prologue = prologue;
    return status;
}

cupel_status pass_order(struct compile *c) {
    struct order o = {.c = c, .count = c->list.count};
    struct arena *arena = &c->arena;
    o.extra = arena_alloc(arena, o.count + 1, sizeof(*o.extra));
    o.stamp = arena_alloc(arena, o.count + 1, sizeof(*o.stamp));
    o.stack = arena_alloc(arena, o.count + 1, sizeof(*o.stack));
    o.early = arena_alloc(arena, o.count + 1, sizeof(*o.early));
    if (!o.extra || !o.stamp || !o.stack || !o.early)
        return cupel_fail_memory(c->error, "ordering", o.count);
    CUPEL_TRY(add_constraints(&o));
    return emit_in_order(&o);
}
