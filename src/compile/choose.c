/*
 * Pass choose: a kernel and a layout for every node. Each region of convolutions is given one
 * layout: the device's channel block, or, by measured time, the one in which all its nodes with
 * their best kernels and the reorders around them take the least time. Other ops follow an operand
 * that has a layout already; changes of layout become reorder nodes. A node of several parts that
 * no kernel takes, or that its parts outrun, is split. Test: tests/test_pass_choose.c,
 * tests/test_measure.c
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "compile/choose_internal.h"
#include "compile/plan_internal.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

/* Puts the plan of the node that was appended last beside it. */
static cupel_status set_plan(struct choose *s, struct kernel_plan *plan, int32_t payer) {
    struct compile *c = s->c;
    if (!cupel_grow(&c->plans, &s->plans_capacity, c->list.count, sizeof(*c->plans)) ||
        !cupel_grow(&s->owner, &s->owner_capacity, c->list.count, sizeof(*s->owner))) {
        drop_kernel_plan(plan);
        return cupel_fail_memory(c->error, "the kernels' plans", c->list.count);
    }
    while (c->n_plans < c->list.count) {
        s->owner[c->n_plans] = -1;
        c->plans[c->n_plans++] = NULL;
    }
    c->plans[c->list.count - 1] = plan;
    s->owner[c->list.count - 1] = payer;
    return CUPEL_STATUS_OK;
}

/* --- going back --- */

struct mark choose_mark(const struct choose *s) {
    return (struct mark){.nodes = s->c->list.count, .made = s->n_made};
}

double choose_cost(const struct choose *s, struct mark mark) {
    double sum = 0;
    for (size_t i = mark.nodes; i < s->c->n_plans; i++)
        sum += s->c->plans[i] != NULL ? s->c->plans[i]->cost : 0;
    return sum;
}

void choose_rewind(struct choose *s, struct mark mark) {
    struct compile *c = s->c;
    while (c->n_plans > mark.nodes)
        drop_kernel_plan(c->plans[--c->n_plans]);
    c->list.count = mark.nodes;
    s->n_made = mark.made;
}

/* --- layouts --- */

static cupel_status convert(struct choose *s, struct edge from, cupel_layout layout,
                            struct edge *out) {
    struct compile *c = s->c;
    *out = from;
    if (compile_desc(c, from)->layout == layout)
        return CUPEL_STATUS_OK;
    for (size_t i = 0; i < s->n_made; i++)
        if (s->made[i].from.node == from.node && s->made[i].from.output == from.output &&
            s->made[i].layout == layout) {
            *out = s->made[i].to;
            return CUPEL_STATUS_OK;
        }
    const struct attrs_reorder attrs = {.layout = layout};
    uint32_t id;
    CUPEL_TRY(emit_node(c, &op_reorder, &attrs, compile_node(c, from.node)->name, 1, &from, &id));
    struct kernel_plan *plan = NULL;
    CUPEL_TRY(choose_kernel(c, compile_node(c, id), true, &plan));
    if (!plan) /* the reference does, on every device that has layouts */
        return cupel_fail(c->error, CUPEL_STATUS_BUG, "%s: no kernel changes its layout",
                          compile_node(c, id)->name);
    /* An image's region pays where it leaves, others' where it enters theirs. */
    const int32_t payer = s->owner[from.node] >= 0 ? s->owner[from.node] : s->current;
    CUPEL_TRY(set_plan(s, plan, payer));
    *out = (struct edge){id, 0};
    if (!cupel_grow(&s->made, &s->made_capacity, s->n_made + 1, sizeof(*s->made)))
        return cupel_fail_memory(c->error, "reorders", s->n_made);
    s->made[s->n_made++] = (struct made){from, *out, layout};
    return CUPEL_STATUS_OK;
}

/* Sets `layouts` (inputs then outputs) to `wanted` wherever an operand can have it; false when the
 * node has no use for it: only convolutions change the layout of what is plain, and products make
 * images in any. */
static bool wish(const struct choose *s, const struct graph_node *node, cupel_layout wanted,
                 cupel_layout *layouts) {
    const struct compile *c = s->c;
    bool any = false, there_already = false;
    for (uint32_t i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const bool input = i < node->n_inputs;
        const cupel_desc *desc =
            input ? compile_desc(c, node->inputs[i]) : &node->outputs[i - node->n_inputs];
        layouts[i] = CUPEL_LAYOUT_PLAIN;
        if (!is_image(c, node, i) || !takes_layout(desc, wanted))
            continue;
        layouts[i] = wanted;
        any = true;
        there_already = there_already || (input && desc->layout == wanted);
    }
    return any && (is_convolution(node) || makes_image(node) || there_already);
}

/* Appends the node with these layouts (NULL: all plain); *done stays false where no kernel takes
 * it. */
static cupel_status place(struct choose *s, const struct graph_node *node,
                          const cupel_layout *layouts, bool reference_too, bool *done,
                          uint32_t *id) {
    struct compile *c = s->c;
    struct graph_node trial = *node;
    struct graph_node source = *node;
    /* A trial sees its operands as they will be after their reorders. */
    cupel_desc *inputs = arena_alloc(&c->arena, node->n_inputs + 1, sizeof(*inputs));
    trial.inputs = arena_alloc(&c->arena, node->n_inputs + 1, sizeof(*trial.inputs));
    trial.outputs = arena_copy(&c->arena, node->outputs, node->n_outputs * sizeof(*node->outputs));
    if (!inputs || !trial.inputs || !trial.outputs)
        return cupel_fail_memory(c->error, "choosing kernels", node->n_inputs);
    for (uint32_t k = 0; k < node->n_outputs; k++)
        trial.outputs[k].layout = layouts ? layouts[node->n_inputs + k] : CUPEL_LAYOUT_PLAIN;

    /* Ask first, reorder only for a node that is taken: a scratch list stands in for the
     * operands. */
    const size_t mark = c->list.count;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        inputs[i] = *compile_desc(c, source.inputs[i]);
        inputs[i].layout = layouts ? layouts[i] : CUPEL_LAYOUT_PLAIN;
    }
    struct graph_node *stand_in = node_list_append(&c->list);
    if (!stand_in)
        return cupel_fail_memory(c->error, "choosing kernels", mark);
    *stand_in = (struct graph_node){
        .op = &op_fused, .outputs = inputs, .n_outputs = node->n_inputs, .name = node->name};
    for (uint32_t i = 0; i < node->n_inputs; i++)
        trial.inputs[i] = (struct edge){(uint32_t)mark, i};
    struct kernel_plan *plan = NULL;
    const cupel_status status = choose_kernel(c, &trial, reference_too, &plan);
    c->list.count = mark;
    *done = false;
    if (status != CUPEL_STATUS_OK || !plan)
        return status;

    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const cupel_status converted =
            convert(s, source.inputs[i], inputs[i].layout, &trial.inputs[i]);
        if (converted != CUPEL_STATUS_OK) {
            drop_kernel_plan(plan);
            return converted;
        }
    }
    struct graph_node *made = node_list_append(&c->list);
    if (!made) {
        drop_kernel_plan(plan);
        return cupel_fail_memory(c->error, "choosing kernels", mark);
    }
    *made = trial;
    *id = (uint32_t)(c->list.count - 1);
    *done = true;
    return set_plan(s, plan, s->current);
}

/* Whether the plan has a kernel for the node with these layouts (NULL: all plain). */
static bool is_recorded(const struct choose *s, const struct graph_node *node,
                        const cupel_layout *layouts) {
    const struct compile *c = s->c;
    cupel_desc descs[KERNEL_MAX_OPERANDS];
    for (uint32_t i = 0; i < node->n_inputs + node->n_outputs; i++) {
        descs[i] = i < node->n_inputs ? *compile_desc(c, node->inputs[i])
                                      : node->outputs[i - node->n_inputs];
        descs[i].layout = layouts ? layouts[i] : CUPEL_LAYOUT_PLAIN;
    }
    const cupel_op_view view = {.n_inputs = (int)node->n_inputs,
                                .inputs = descs,
                                .n_outputs = (int)node->n_outputs,
                                .outputs = descs + node->n_inputs};
    return plan_lookup(c->options->plan, plan_key(c->name, node, &view)) != NULL;
}

/* The layout of the first operand that is an image and not plain. */
static cupel_layout followed(const struct choose *s, const struct graph_node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (is_image(s->c, node, i) &&
            compile_desc(s->c, node->inputs[i])->layout != CUPEL_LAYOUT_PLAIN)
            return compile_desc(s->c, node->inputs[i])->layout;
    return CUPEL_LAYOUT_PLAIN;
}

/* Of what decides its layout: what the plan has for it or for one like it, or else its region's. */
static cupel_layout region_layout(const struct choose *s, const struct graph_node *node) {
    const cupel_plan *const plan = s->c->options->plan;
    cupel_layout layouts[KERNEL_MAX_OPERANDS];
    for (cupel_layout l = CUPEL_LAYOUT_NHWC; plan != NULL && l < CUPEL_LAYOUT_PACKED; l++)
        if (wish(s, node, l, layouts) && is_recorded(s, node, layouts))
            return l;
    const struct plan_choice *const like = plan == NULL ? NULL : plan_like(plan, node);
    return like != NULL      ? like->layout
           : s->current >= 0 ? s->layouts[s->current]
                             : device_layout(s->c);
}

static cupel_layout wanted_layout(const struct choose *s, const struct graph_node *node) {
    return is_convolution(node) || makes_image(node) ? region_layout(s, node) : followed(s, node);
}

bool choose_is_recorded(const struct choose *s, const struct graph_node *node) {
    cupel_layout layouts[KERNEL_MAX_OPERANDS];
    if (s->c->options->plan == NULL || node->n_inputs + node->n_outputs > KERNEL_MAX_OPERANDS)
        return false;
    return is_recorded(s, node, NULL) ||
           (wish(s, node, wanted_layout(s, node), layouts) && is_recorded(s, node, layouts));
}

cupel_status choose_node(struct choose *s, const struct graph_node *node, bool *done,
                         uint32_t *id) {
    cupel_layout layouts[KERNEL_MAX_OPERANDS];
    *done = false;
    if (node->n_inputs + node->n_outputs > KERNEL_MAX_OPERANDS)
        return cupel_fail(s->c->error, CUPEL_STATUS_UNSUPPORTED,
                          "%s (%s) has %u operands and %u results, the most is %d together",
                          node->name, node->op->name, node->n_inputs, node->n_outputs,
                          (int)KERNEL_MAX_OPERANDS);
    bool other = !s->c->reference && wish(s, node, wanted_layout(s, node), layouts);
    if (other && s->c->options->plan) /* a plan that chose a plain kernel is kept to */
        other = is_recorded(s, node, layouts) || !is_recorded(s, node, NULL);
    if (other)
        CUPEL_TRY(place(s, node, layouts, false, done, id));
    if (!*done)
        CUPEL_TRY(place(s, node, NULL, true, done, id));
    return CUPEL_STATUS_OK;
}

/* --- visiting --- */

/* Views have no kernel: they are their operand's bytes (reference mode copies them). */
static bool has_no_kernel(const struct choose *s, const struct graph_node *node) {
    return node_is_leaf(node) || ((node->op->flags & CUPEL_OP_VIEW) && !s->c->reference);
}

cupel_status choose_reshape(struct choose *s, struct edge from, cupel_shape shape, const char *name,
                            struct edge *out) {
    const struct attrs_shape attrs = attrs_of_shape(shape);
    uint32_t id;
    CUPEL_TRY(convert(s, from, CUPEL_LAYOUT_PLAIN, &from));
    CUPEL_TRY(emit_node(s->c, &op_reshape, &attrs, name, 1, &from, &id));
    *out = (struct edge){id, 0};
    return set_plan(s, NULL, -1);
}

static cupel_status keep(struct choose *s, uint32_t old_id) {
    struct compile *c = s->c;
    const struct graph_node *old = &s->rewrite.old.nodes[old_id];
    const bool view = !node_is_leaf(old);
    uint32_t id;
    struct edge source = {0, 0};
    if (view)
        CUPEL_TRY(
            convert(s, rewrite_edge(&s->rewrite, old->inputs[0]), CUPEL_LAYOUT_PLAIN, &source));
    CUPEL_TRY(rewrite_keep(&s->rewrite, old_id, &id));
    if (view)
        c->list.nodes[id].inputs[0] = source;
    return set_plan(s, NULL, -1);
}

/* The whole node; *done stays false where no kernel takes it. */
static cupel_status take_whole(struct choose *s, const struct graph_node *node, uint32_t old_id,
                               bool *done) {
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, node, done, &id));
    for (uint32_t k = 0; *done && k < node->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, k}, (struct edge){id, k});
    return CUPEL_STATUS_OK;
}

/* The whole and the parts are timed one after the other; what is slower is taken back. */
static cupel_status take_faster(struct choose *s, const struct graph_node *node, uint32_t old_id) {
    /* The whole needs less memory, so parts have to be worth it. */
    static const double gain = 20e-6;
    struct compile *c = s->c;
    const struct mark mark = choose_mark(s);
    const enum effort before = c->effort;
    bool done;
    c->effort = EFFORT_TIMED;
    cupel_status status = take_whole(s, node, old_id, &done);
    const double whole = done ? choose_cost(s, mark) : INFINITY;
    if (status == CUPEL_STATUS_OK) {
        choose_rewind(s, mark);
        status = split_node(s, node, old_id);
    }
    if (status == CUPEL_STATUS_OK &&
        choose_cost(s, mark) > fmin(MEASURED_MARGIN * whole, whole - gain)) {
        choose_rewind(s, mark);
        status = take_whole(s, node, old_id, &done);
    }
    c->effort = before;
    return status;
}

static cupel_status visit(struct choose *s, uint32_t old_id) {
    struct compile *c = s->c;
    const struct graph_node *old = &s->rewrite.old.nodes[old_id];
    s->current = s->region != NULL ? s->region[old_id] : -1;
    if (has_no_kernel(s, old))
        return keep(s, old_id);
    struct graph_node node = *old;
    node.inputs = arena_alloc(&c->arena, old->n_inputs + 1, sizeof(*node.inputs));
    if (!node.inputs)
        return cupel_fail_memory(c->error, "choosing kernels", old->n_inputs);
    for (uint32_t i = 0; i < old->n_inputs; i++)
        node.inputs[i] = rewrite_edge(&s->rewrite, old->inputs[i]);
    if (split_exists(&node) && split_is_recorded(s, &node))
        return split_node(s, &node, old_id);
    if (split_exists(&node) && c->effort != EFFORT_FIRST && !choose_is_recorded(s, &node))
        return take_faster(s, &node, old_id);
    bool done;
    CUPEL_TRY(take_whole(s, &node, old_id, &done));
    if (!done && split_exists(&node))
        return split_node(s, &node, old_id);
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED,
                          "%s: device %s has no kernel for op %s%s", old->name, c->backend->name,
                          old->op->name,
                          c->options->plan ? " that the plan's recorded choice allows" : "");
    return CUPEL_STATUS_OK;
}

/* --- the layouts of regions, by measured time --- */

/* For how many seconds a node of the old list can still be of interest to a region that has not
 * lost yet; 0: it need not be timed. */
static double seconds_left(struct choose *s, uint32_t old_id, const double *cost,
                           const double *best) {
    const struct graph_node *node = &s->rewrite.old.nodes[old_id];
    const int32_t own = s->region[old_id];
    double most = own >= 0 ? best[own] - cost[own] : 0;
    for (uint32_t i = 0; own < 0 && i < node->n_inputs; i++) { /* a region may pay for a reorder */
        const int32_t owner = s->owner[rewrite_edge(&s->rewrite, node->inputs[i]).node];
        if (owner >= 0 && best[owner] - cost[owner] > most)
            most = best[owner] - cost[owner];
    }
    return most > 0 ? most : 0;
}

static void add_costs(const struct choose *s, size_t from, double *cost) {
    for (size_t i = from; i < s->c->n_plans; i++)
        if (s->owner[i] >= 0 && s->c->plans[i] != NULL)
            cost[s->owner[i]] += s->c->plans[i]->cost;
}

static cupel_status try_nodes(struct choose *s, double *cost, const double *best) {
    struct compile *c = s->c;
    cupel_status status = CUPEL_STATUS_OK;
    size_t from = 0;
    for (uint32_t i = 0; i < s->rewrite.old.count && status == CUPEL_STATUS_OK; i++) {
        c->limit = seconds_left(s, i, cost, best);
        c->effort = c->limit > 0 ? EFFORT_TIMED : EFFORT_FIRST;
        status = visit(s, i);
        add_costs(s, from, cost);
        from = c->n_plans;
    }
    c->effort = EFFORT_TIMED;
    c->limit = INFINITY;
    s->current = -1;
    for (size_t i = 0; i < c->n_roots && status == CUPEL_STATUS_OK; i++) {
        struct edge plain;
        status =
            convert(s, rewrite_edge(&s->rewrite, c->roots[i].edge), CUPEL_LAYOUT_PLAIN, &plain);
    }
    add_costs(s, from, cost);
    return status;
}

/* Chooses for the whole list as if every region had one layout, adds up what each region would
 * take, and leaves the list as it was. */
static cupel_status try_layout(struct compile *c, const int32_t *region, cupel_layout *layouts,
                               double *cost, const double *best) {
    struct choose s = {.c = c, .region = region, .layouts = layouts};
    const struct arena kept = c->arena;
    c->arena = (struct arena){0};
    cupel_status status = rewrite_begin(&s.rewrite, c);
    if (status == CUPEL_STATUS_OK) {
        status = try_nodes(&s, cost, best);
        choose_rewind(&s, (struct mark){0, 0});
        cupel_free(c->plans);
        c->plans = NULL;
        cupel_free(c->list.nodes);
        c->list = s.rewrite.old;
    }
    cupel_free(s.made);
    cupel_free(s.owner);
    arena_release(&c->arena);
    c->arena = kept;
    return status;
}

/* Regions of which the plan has a convolution, or one like it, follow the plan. */
static void find_planned(struct choose *s, bool *planned) {
    const struct compile *c = s->c;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *node = compile_node(c, i);
        if (is_convolution(node) && c->options->plan != NULL &&
            plan_like(c->options->plan, node) != NULL)
            planned[s->region[i]] = true;
    }
}

static cupel_status choose_layouts(struct choose *s) {
    static const double margin = 0.98; /* sums of many times: another layout has to be worth it */
    struct compile *c = s->c;
    uint32_t n;
    int32_t *region;
    CUPEL_TRY(find_regions(c, &region, &n));
    cupel_layout *const trial = arena_alloc(&c->arena, n + 1, sizeof *trial);
    double *const cost = arena_alloc(&c->arena, n + 1, sizeof *cost);
    double *const best = arena_alloc(&c->arena, n + 1, sizeof *best);
    bool *const planned = arena_alloc(&c->arena, n + 1, sizeof *planned);
    s->region = region;
    s->layouts = arena_alloc(&c->arena, n + 1, sizeof *s->layouts);
    if (!trial || !cost || !best || !planned || !s->layouts)
        return cupel_fail_memory(c->error, "choosing layouts", n);
    find_planned(s, planned);
    uint32_t open = 0;
    for (uint32_t r = 0; r < n; r++) {
        s->layouts[r] = device_layout(c);
        best[r] = planned[r] ? 0 : INFINITY;
        open += !planned[r];
    }
    for (int k = 0; open > 0 && k < LAYOUTS; k++) { /* the device's first: most others give up */
        const cupel_layout layout = (cupel_layout)(((int)device_layout(c) + LAYOUTS - k) % LAYOUTS);
        for (uint32_t r = 0; r < n; r++) {
            trial[r] = layout;
            cost[r] = 0;
        }
        CUPEL_TRY(try_layout(c, region, trial, cost, best));
        for (uint32_t r = 0; r < n; r++)
            if (cost[r] < margin * best[r]) {
                best[r] = cost[r];
                s->layouts[r] = layout;
            }
    }
    return CUPEL_STATUS_OK;
}

/* --- the pass --- */

static cupel_status plain_roots(struct choose *s) {
    s->current = -1;
    for (size_t i = 0; i < s->c->n_roots; i++)
        CUPEL_TRY(convert(s, s->c->roots[i].edge, CUPEL_LAYOUT_PLAIN, &s->c->roots[i].edge));
    return CUPEL_STATUS_OK;
}

static cupel_status record(const struct choose *s) {
    for (uint32_t i = 0; i < s->c->list.count; i++)
        if (i < s->c->n_plans && s->c->plans[i] != NULL)
            CUPEL_TRY(record_kernel(s->c, compile_node(s->c, i), s->c->plans[i]));
    return CUPEL_STATUS_OK;
}

cupel_status pass_choose(struct compile *c) {
    struct choose s = {.c = c};
    const bool by_time = c->measured != NULL && !c->reference;
    if (by_time)
        CUPEL_TRY(choose_layouts(&s));
    c->effort = by_time ? EFFORT_COMPETE : EFFORT_FIRST;
    c->limit = INFINITY;
    CUPEL_TRY(rewrite_begin(&s.rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < s.rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = visit(&s, i);
    status = rewrite_end(&s.rewrite, status);
    if (status == CUPEL_STATUS_OK)
        status = plain_roots(&s);
    if (status == CUPEL_STATUS_OK)
        status = record(&s);
    cupel_free(s.made);
    cupel_free(s.owner);
    return status;
}
