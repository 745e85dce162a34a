/*
 * Pass steps: the nodes that do something become steps, with the buffers they touch, the steps they
 * must follow (whoever shares memory with them and came before, and the guards before writes to
 * variables), and the buffers whose life ends with them. Test: tests/test_device_untouchable.c
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_internal.h"

struct touch {
    uint32_t step;
    bool writes;
};

struct steps {
    struct compile *c;
    struct program_draft *draft;
    struct touch **touches; /* per buffer */
    uint32_t *n_touches;
    uint32_t **after; /* per step, growing */
    size_t *after_capacity;
};

static cupel_status no_memory(struct steps *s) {
    return cupel_fail_memory(s->c->error, "the steps of the program", s->draft->n_steps);
}

static cupel_status describe_step(struct steps *s, uint32_t node_id, struct exec_step *step) {
    struct compile *c = s->c;
    const struct program_draft *draft = s->draft;
    const struct graph_node *node = compile_node(c, node_id);
    const uint32_t n = node->n_inputs + node->n_outputs;
    uint32_t *buffers = arena_alloc(&c->arena, n + 2, sizeof(*buffers));
    if (!buffers)
        return no_memory(s);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        buffers[i] = draft->node_buffers[node->inputs[i].node][node->inputs[i].output];
    for (uint32_t k = 0; k < node->n_outputs; k++)
        buffers[node->n_inputs + k] = draft->node_buffers[node_id][k];
    *step = (struct exec_step){.name = node->name,
                               .pack_of = -1,
                               .n_buffers = n,
                               .buffers = buffers,
                               .scratch = draft->scratch[node_id],
                               .prologue = c->prologue[node_id]};
    if (step->scratch != UINT32_MAX)
        buffers[step->n_buffers++] = step->scratch;
    CUPEL_TRY(node_view(c, node, &step->view));
    step->view.sink = NULL;
    if (node->op == &op_pack) {
        const struct attrs_pack *attrs = node->attrs;
        step->pack_of = (int)attrs->index;
        step->pack_plan = attrs->plan;
        step->plan = *attrs->plan;
    } else if (c->plans[node_id]) {
        step->plan = *c->plans[node_id];
    } else {
        return cupel_fail(c->error, CUPEL_STATUS_BUG, "%s (%s) has no kernel", node->name,
                          node->op->name);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status collect(struct steps *s) {
    struct compile *c = s->c;
    struct program_draft *draft = s->draft;
    draft->steps = arena_alloc(&c->arena, c->list.count + 1, sizeof(*draft->steps));
    draft->step_node = arena_alloc(&c->arena, c->list.count + 1, sizeof(*draft->step_node));
    if (!draft->steps || !draft->step_node)
        return no_memory(s);
    for (uint32_t i = 0; i < c->list.count; i++) {
        if (draft->skipped[i])
            continue;
        CUPEL_TRY(describe_step(s, i, &draft->steps[draft->n_steps]));
        draft->step_node[draft->n_steps++] = i;
    }
    return CUPEL_STATUS_OK;
}

static bool writes(const struct exec_step *step, uint32_t index) {
    return index >= (uint32_t)step->view.n_inputs;
}

static cupel_status collect_touches(struct steps *s) {
    struct program_draft *draft = s->draft;
    struct arena *arena = &s->c->arena;
    const size_t n = draft->n_buffers + 1;
    s->touches = arena_alloc(arena, n, sizeof(*s->touches));
    s->n_touches = arena_alloc(arena, n, sizeof(*s->n_touches));
    if (!s->touches || !s->n_touches)
        return no_memory(s);
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (uint32_t i = 0; i < draft->steps[t].n_buffers; i++)
            s->n_touches[draft->steps[t].buffers[i]]++;
    for (uint32_t b = 0; b < draft->n_buffers; b++) {
        s->touches[b] = arena_alloc(arena, s->n_touches[b] + 1, sizeof(struct touch));
        if (!s->touches[b])
            return no_memory(s);
        s->n_touches[b] = 0;
    }
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (uint32_t i = 0; i < draft->steps[t].n_buffers; i++) {
            const uint32_t b = draft->steps[t].buffers[i];
            s->touches[b][s->n_touches[b]++] = (struct touch){t, writes(&draft->steps[t], i)};
        }
    return CUPEL_STATUS_OK;
}

static cupel_status add_after(struct steps *s, uint32_t step, uint32_t earlier) {
    struct exec_step *at = &s->draft->steps[step];
    for (uint32_t i = 0; i < at->n_after; i++)
        if (s->after[step][i] == earlier)
            return CUPEL_STATUS_OK;
    if (at->n_after == s->after_capacity[step]) {
        const size_t capacity = at->n_after ? 2 * at->n_after : 4;
        uint32_t *grown = arena_alloc(&s->c->arena, capacity, sizeof(*grown));
        if (!grown)
            return no_memory(s);
        if (at->n_after)
            memcpy(grown, s->after[step], at->n_after * sizeof(*grown));
        s->after[step] = grown;
        s->after_capacity[step] = capacity;
    }
    s->after[step][at->n_after++] = earlier;
    at->after = s->after[step];
    return CUPEL_STATUS_OK;
}

static bool share_memory(const struct exec_buffer *a, const struct exec_buffer *b) {
    if (a->space != b->space)
        return false;
    if (a->space == SPACE_BINDING || a->space == SPACE_VARIABLE)
        return a->slot == b->slot;
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* Orders every two steps that touch common memory, one of them writing. */
static cupel_status order_pair(struct steps *s, uint32_t a, uint32_t b) {
    for (uint32_t i = 0; i < s->n_touches[a]; i++)
        for (uint32_t j = 0; j < s->n_touches[b]; j++) {
            const struct touch x = s->touches[a][i], y = s->touches[b][j];
            if (x.step == y.step || !(x.writes || y.writes))
                continue;
            if (x.step > y.step)
                CUPEL_TRY(add_after(s, x.step, y.step));
            else
                CUPEL_TRY(add_after(s, y.step, x.step));
        }
    return CUPEL_STATUS_OK;
}

static cupel_status order_guards(struct steps *s) {
    const struct program_draft *draft = s->draft;
    for (uint32_t g = 0; g < draft->n_steps; g++) {
        if (!op_may_end_run(draft->steps[g].view.op))
            continue;
        for (uint32_t t = g + 1; t < draft->n_steps; t++)
            for (uint32_t i = 0; i < draft->steps[t].n_buffers; i++)
                if (writes(&draft->steps[t], i) &&
                    draft->buffers[draft->steps[t].buffers[i]].space == SPACE_VARIABLE)
                    CUPEL_TRY(add_after(s, t, g));
    }
    return CUPEL_STATUS_OK;
}

/* Which arena buffers are touched last by each step, in the planned order. */
static cupel_status find_ends(struct steps *s) {
    struct program_draft *draft = s->draft;
    for (uint32_t b = 0; b < draft->n_buffers; b++)
        if (draft->buffers[b].space == SPACE_ARENA && s->n_touches[b])
            draft->steps[s->touches[b][s->n_touches[b] - 1].step].n_ends++;
    for (uint32_t t = 0; t < draft->n_steps; t++) {
        uint32_t *ends = arena_alloc(&s->c->arena, draft->steps[t].n_ends + 1, sizeof(*ends));
        if (!ends)
            return no_memory(s);
        draft->steps[t].ends = ends;
        draft->steps[t].n_ends = 0;
    }
    for (uint32_t b = 0; b < draft->n_buffers; b++) {
        if (draft->buffers[b].space != SPACE_ARENA || !s->n_touches[b])
            continue;
        struct exec_step *step = &draft->steps[s->touches[b][s->n_touches[b] - 1].step];
        ((uint32_t *)step->ends)[step->n_ends++] = b;
    }
    return CUPEL_STATUS_OK;
}

static void find_prologue_variables(struct steps *s) {
    const struct program_draft *draft = s->draft;
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (uint32_t i = 0; draft->steps[t].prologue && i < draft->steps[t].n_buffers; i++) {
            const struct exec_buffer *buffer = &draft->buffers[draft->steps[t].buffers[i]];
            if (buffer->space == SPACE_VARIABLE)
                draft->in_prologue[buffer->slot] = true;
        }
}

cupel_status pass_steps(struct compile *c, struct program_draft *draft) {
    struct steps s = {.c = c, .draft = draft};
    CUPEL_TRY(collect(&s));
    CUPEL_TRY(collect_touches(&s));
    s.after = arena_alloc(&c->arena, draft->n_steps + 1, sizeof(*s.after));
    s.after_capacity = arena_alloc(&c->arena, draft->n_steps + 1, sizeof(*s.after_capacity));
    if (!s.after || !s.after_capacity)
        return no_memory(&s);
    for (uint32_t a = 0; a < draft->n_buffers; a++)
        for (uint32_t b = a; b < draft->n_buffers; b++)
            if (s.n_touches[a] && s.n_touches[b] &&
                (a == b || share_memory(&draft->buffers[a], &draft->buffers[b])))
                CUPEL_TRY(order_pair(&s, a, b));
    CUPEL_TRY(order_guards(&s));
    CUPEL_TRY(find_ends(&s));
    find_prologue_variables(&s);
    draft->exec = (struct exec_program){.name = c->name,
                                        .n_steps = draft->n_steps,
                                        .steps = draft->steps,
                                        .n_buffers = draft->n_buffers,
                                        .buffers = draft->buffers};
    return CUPEL_STATUS_OK;
}
