/*
 * Pass choose: a kernel and a layout for every node. Image operands take the device's channel block
 * where a fast kernel accepts it and, for other ops than convolutions, where they are blocked
 * already; changes of layout become reorder nodes. A fused node, a sweep or an update with its
 * product that no kernel takes is split into its parts. Test: tests/test_pass_choose.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "compile/compile_internal.h"
#include "compile/plan_internal.h"
#include "op/op_fused.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"
#include "op/op_sweep.h"

void drop_kernel_plan(struct kernel_plan *plan) {
    if (!plan)
        return;
    if (plan->kernel && plan->kernel->drop)
        plan->kernel->drop(plan);
    cupel_free(plan);
}

/* --- kernels --- */

static void trace(struct compile *c, const struct graph_node *node, const struct kernel *kernel,
                  const char *text) {
    if (log_traces("dispatch"))
        log_line(&c->context->log, "trace", "dispatch: %s %s (%s): %s: %s", c->name, node->name,
                 node->op->name, kernel->name, text);
}

/* Prepares one kernel; OK with *out NULL when it declines. */
static cupel_status try_kernel(struct compile *c, const struct graph_node *node,
                               const struct kernel_request *request, const struct kernel *kernel,
                               struct kernel_plan **out) {
    *out = NULL;
    const char *why = "declined";
    if (kernel->accept && !kernel->accept(request, &why)) {
        trace(c, node, kernel, why);
        return CUPEL_STATUS_OK;
    }
    struct kernel_plan *plan = cupel_alloc(1, sizeof(*plan));
    if (!plan)
        return cupel_fail_memory(c->error, "a kernel's plan", sizeof(*plan));
    plan->kernel = kernel;
    plan->threads = request->threads;
    struct cupel_error error = {0};
    const cupel_status status =
        kernel->plan ? kernel->plan(plan, request, &error) : CUPEL_STATUS_OK;
    if (status == CUPEL_STATUS_OK) {
        trace(c, node, kernel, "taken");
        *out = plan;
        return CUPEL_STATUS_OK;
    }
    cupel_free(plan);
    trace(c, node, kernel, error.text[0] ? error.text : cupel_status_text(status));
    if (status == CUPEL_STATUS_UNSUPPORTED)
        return CUPEL_STATUS_OK;
    return cupel_fail(c->error, status, "%s (%s): kernel %s: %s", node->name, node->op->name,
                      kernel->name, error.text[0] ? error.text : cupel_status_text(status));
}

/* A second thread is woken only for steps that are worth it: handing out work and waiting for its
 * end takes tens of microseconds where idle threads sleep. */
static int threads_for(const cupel_op_view *view, int most) {
    enum { FLOPS_WORTH = 8000000, BYTES_WORTH = 4 << 20 };
    if (view->op->run) /* who knows what an op from outside costs */
        return most;
    return op_view_flops(view) < FLOPS_WORTH && op_view_bytes(view) < BYTES_WORTH ? 1 : most;
}

cupel_status choose_kernel(struct compile *c, const struct graph_node *node, bool reference_too,
                           struct kernel_plan **out) {
    *out = NULL;
    const struct kernel *const *list = NULL;
    if (node->op->run) { /* from outside: the wrapper of the reference list */
        list = ref_kernels(c->backend, node->op->name);
    } else {
        list = c->reference ? ref_kernels(c->backend, node->op->name)
                            : c->backend->kernels(c->backend, node->op->name);
    }
    struct kernel_request request = {.threads = c->threads};
    CUPEL_TRY(node_view(c, node, &request.view));
    request.threads = threads_for(&request.view, c->threads);
    uint64_t key = 0;
    const char *recorded = NULL;
    if (c->options->plan && !c->reference) {
        key = plan_key(c->name, node, &request.view);
        recorded = plan_lookup(c->options->plan, key);
    }
    for (; list && *list && !*out; list++) {
        const struct kernel *kernel = *list;
        if ((kernel->flags & KERNEL_REFERENCE) && !reference_too)
            continue;
        if (recorded && strcmp(recorded, kernel->name) != 0)
            continue;
        CUPEL_TRY(try_kernel(c, node, &request, kernel, out));
    }
    if (!*out || !c->options->plan || c->reference || recorded)
        return CUPEL_STATUS_OK;
    const cupel_status status = plan_record(c->options->plan, key, c->name, node->name,
                                            node->op->name, (*out)->kernel, c->error);
    if (status != CUPEL_STATUS_OK) {
        drop_kernel_plan(*out);
        *out = NULL;
    }
    return status;
}

/* --- layouts --- */

struct choose {
    struct rewrite rewrite;
    struct compile *c;
    size_t plans_capacity;
    /* Reorders made: from edge and layout to edge. */
    struct made {
        struct edge from, to;
        cupel_layout layout;
    } * made;
    size_t n_made;
    size_t made_capacity;
};

/* Puts the plan of the node that was appended last beside it. */
static cupel_status set_plan(struct choose *s, struct kernel_plan *plan) {
    struct compile *c = s->c;
    if (!cupel_grow(&c->plans, &s->plans_capacity, c->list.count, sizeof(*c->plans))) {
        drop_kernel_plan(plan);
        return cupel_fail_memory(c->error, "the kernels' plans", c->list.count);
    }
    while (c->n_plans < c->list.count)
        c->plans[c->n_plans++] = NULL;
    c->plans[c->list.count - 1] = plan;
    return CUPEL_STATUS_OK;
}

static cupel_layout blocked_layout(int block) {
    return block == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
}

static bool blockable(const cupel_desc *desc, int block) {
    return block > 1 && desc->type == CUPEL_TYPE_F32 && desc->shape.rank == 4 &&
           desc->shape.dims[1] % block == 0;
}

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
    if (!plan)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel changes its layout",
                          compile_node(c, id)->name);
    CUPEL_TRY(set_plan(s, plan));
    *out = (struct edge){id, 0};
    if (!cupel_grow(&s->made, &s->made_capacity, s->n_made + 1, sizeof(*s->made)))
        return cupel_fail_memory(c->error, "reorders", s->n_made);
    s->made[s->n_made++] = (struct made){from, *out, layout};
    return CUPEL_STATUS_OK;
}

static bool is_image(const struct graph_node *node, const cupel_desc *desc, uint32_t mask,
                     uint32_t index) {
    if (node->op->flags & CUPEL_OP_ELEMENTWISE)
        return cupel_shape_equal(desc->shape, node->outputs[0].shape);
    return index < 32 && (mask >> index & 1);
}

/* Sets `layouts` (inputs then outputs) to the blocked wish; false when the node has no such
 * wish. */
static bool wish(const struct choose *s, const struct graph_node *node, cupel_layout *layouts) {
    const struct compile *c = s->c;
    const int block = c->backend->channel_block;
    bool any = false, blocked_already = false;
    for (uint32_t i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const bool input = i < node->n_inputs;
        const cupel_desc *desc =
            input ? compile_desc(c, node->inputs[i]) : &node->outputs[i - node->n_inputs];
        const uint32_t mask = input ? node->op->image_inputs : node->op->image_outputs;
        layouts[i] = CUPEL_LAYOUT_PLAIN;
        if (!is_image(node, desc, mask, input ? i : i - node->n_inputs) || !blockable(desc, block))
            continue;
        layouts[i] = blocked_layout(block);
        any = true;
        blocked_already = blocked_already || (input && desc->layout == layouts[i]);
    }
    const bool convolution = node->op == &op_conv2d || node->op == &op_conv2d_backward_data ||
                             node->op == &op_conv2d_backward_weights;
    return any && (convolution || blocked_already);
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
    return set_plan(s, plan);
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

static cupel_status choose_node(struct choose *s, const struct graph_node *node, bool *done,
                                uint32_t *id) {
    cupel_layout layouts[KERNEL_MAX_OPERANDS];
    *done = false;
    if (node->n_inputs + node->n_outputs > KERNEL_MAX_OPERANDS)
        return cupel_fail(s->c->error, CUPEL_STATUS_UNSUPPORTED,
                          "%s (%s) has %u operands and %u results, the most is %d together",
                          node->name, node->op->name, node->n_inputs, node->n_outputs,
                          (int)KERNEL_MAX_OPERANDS);
    bool blocked = !s->c->reference && wish(s, node, layouts);
    if (blocked && s->c->options->plan) /* a plan that chose a plain kernel is kept to */
        blocked = is_recorded(s, node, layouts) || !is_recorded(s, node, NULL);
    if (blocked)
        CUPEL_TRY(place(s, node, layouts, false, done, id));
    if (!*done)
        CUPEL_TRY(place(s, node, NULL, true, done, id));
    return CUPEL_STATUS_OK;
}

/* The parts of a fused node, each on its own. */
static cupel_status split(struct choose *s, const struct graph_node *fused, uint32_t old_id) {
    struct compile *c = s->c;
    const struct attrs_fused *attrs = fused->attrs;
    struct edge made[FUSED_MAX_PARTS];
    cupel_desc *descs = arena_alloc(&c->arena, FUSED_MAX_PARTS, sizeof(*descs));
    cupel_op_view view;
    CUPEL_TRY(node_view(c, fused, &view));
    if (!descs)
        return cupel_fail_memory(c->error, "splitting a fused node", sizeof(cupel_desc));
    CUPEL_TRY(fused_part_descs(&view, descs));
    for (int64_t p = 0; p < attrs->n_parts; p++) {
        const struct fused_part *part = &attrs->parts[p];
        struct edge inputs[FUSED_MAX_PART_INPUTS];
        for (int i = 0; i < part->n_inputs; i++)
            inputs[i] =
                part->inputs[i] >= 0 ? fused->inputs[part->inputs[i]] : made[~part->inputs[i]];
        descs[p].layout = CUPEL_LAYOUT_PLAIN;
        const struct graph_node node = {.op = part->op,
                                        .attrs = part->attrs,
                                        .n_inputs = (uint32_t)part->n_inputs,
                                        .n_outputs = 1,
                                        .inputs = inputs,
                                        .outputs = &descs[p],
                                        .name = fused->name};
        bool done;
        uint32_t id = 0;
        CUPEL_TRY(choose_node(s, &node, &done, &id));
        if (!done)
            return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                              fused->name, part->op->name);
        made[p] = (struct edge){id, 0};
    }
    for (int64_t k = 0; k < attrs->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, (uint32_t)k}, made[attrs->outputs[k]]);
    return CUPEL_STATUS_OK;
}

/* The updates of a sweep, each on its own. */
static cupel_status split_sweep(struct choose *s, const struct graph_node *sweep, uint32_t old_id) {
    const struct attrs_sweep *attrs = sweep->attrs;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct sweep_part *part = &attrs->parts[p];
        const struct graph_node node = {.op = attrs->op,
                                        .attrs = part->attrs,
                                        .n_inputs = (uint32_t)part->n_inputs,
                                        .n_outputs = (uint32_t)part->n_outputs,
                                        .inputs = sweep->inputs + part->first_input,
                                        .outputs = sweep->outputs + part->first_output,
                                        .name = part->name};
        bool done;
        uint32_t id = 0;
        CUPEL_TRY(choose_node(s, &node, &done, &id));
        if (!done)
            return cupel_fail(s->c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                              part->name, attrs->op->name);
        for (int k = 0; k < part->n_outputs; k++)
            rewrite_map(&s->rewrite, (struct edge){old_id, (uint32_t)(part->first_output + k)},
                        (struct edge){id, (uint32_t)k});
    }
    return CUPEL_STATUS_OK;
}

/* The product, then the update. */
static cupel_status split_product_update(struct choose *s, const struct graph_node *both,
                                         uint32_t old_id) {
    struct compile *c = s->c;
    const struct attrs_product_update *attrs = both->attrs;
    cupel_op_view whole, view;
    CUPEL_TRY(node_view(c, both, &whole));
    cupel_desc *gradient = arena_alloc(&c->arena, 1, sizeof(*gradient));
    if (!gradient)
        return cupel_fail_memory(c->error, "splitting an update", sizeof(*gradient));
    CUPEL_TRY(product_update_product(&whole, gradient, &view));
    struct edge inputs[SWEEP_MAX_PART_INPUTS];
    const struct graph_node product = {.op = view.op,
                                       .attrs = view.attrs,
                                       .n_inputs = (uint32_t)view.n_inputs,
                                       .n_outputs = 1,
                                       .inputs = both->inputs,
                                       .outputs = gradient,
                                       .name = attrs->product_name};
    const uint32_t n_inputs = both->n_inputs - product.n_inputs + 1;
    const struct graph_node update = {.op = attrs->update,
                                      .attrs = attrs->update_attrs,
                                      .n_inputs = n_inputs,
                                      .n_outputs = both->n_outputs,
                                      .inputs = inputs,
                                      .outputs = both->outputs,
                                      .name = both->name};
    bool done;
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, &product, &done, &id));
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                          product.name, product.op->name);
    for (uint32_t i = 0; i < n_inputs; i++)
        inputs[i] = i == (uint32_t)attrs->gradient
                        ? (struct edge){id, 0}
                        : both->inputs[product_update_operand(attrs, (int)i)];
    CUPEL_TRY(choose_node(s, &update, &done, &id));
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED, "%s: no kernel for op %s",
                          update.name, update.op->name);
    for (uint32_t k = 0; k < both->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, k}, (struct edge){id, k});
    return CUPEL_STATUS_OK;
}

static cupel_status visit(struct choose *s, uint32_t old_id) {
    struct compile *c = s->c;
    const struct graph_node *old = &s->rewrite.old.nodes[old_id];
    /* Views have no kernel: they are their operand's bytes (reference mode copies them). */
    const bool view = (old->op->flags & CUPEL_OP_VIEW) && !c->reference;
    if (node_is_leaf(old) || view) {
        uint32_t id;
        struct edge source = {0, 0};
        if (view)
            CUPEL_TRY(
                convert(s, rewrite_edge(&s->rewrite, old->inputs[0]), CUPEL_LAYOUT_PLAIN, &source));
        CUPEL_TRY(rewrite_keep(&s->rewrite, old_id, &id));
        if (view)
            c->list.nodes[id].inputs[0] = source;
        return set_plan(s, NULL);
    }
    struct graph_node node = *old;
    node.inputs = arena_alloc(&c->arena, old->n_inputs + 1, sizeof(*node.inputs));
    if (!node.inputs)
        return cupel_fail_memory(c->error, "choosing kernels", old->n_inputs);
    for (uint32_t i = 0; i < old->n_inputs; i++)
        node.inputs[i] = rewrite_edge(&s->rewrite, old->inputs[i]);
    bool done;
    uint32_t id = 0;
    CUPEL_TRY(choose_node(s, &node, &done, &id));
    if (!done && old->op == &op_fused)
        return split(s, &node, old_id);
    if (!done && old->op == &op_sweep)
        return split_sweep(s, &node, old_id);
    if (!done && old->op == &op_product_update)
        return split_product_update(s, &node, old_id);
    if (!done)
        return cupel_fail(c->error, CUPEL_STATUS_UNSUPPORTED,
                          "%s: device %s has no kernel for op %s%s", old->name, c->backend->name,
                          old->op->name,
                          c->options->plan ? " that the plan's recorded choice allows" : "");
    for (uint32_t k = 0; k < old->n_outputs; k++)
        rewrite_map(&s->rewrite, (struct edge){old_id, k}, (struct edge){id, k});
    return CUPEL_STATUS_OK;
}

static cupel_status plain_roots(struct choose *s) {
    for (size_t i = 0; i < s->c->n_roots; i++)
        CUPEL_TRY(convert(s, s->c->roots[i].edge, CUPEL_LAYOUT_PLAIN, &s->c->roots[i].edge));
    return CUPEL_STATUS_OK;
}

cupel_status pass_choose(struct compile *c) {
    struct choose s = {.c = c};
    CUPEL_TRY(rewrite_begin(&s.rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < s.rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = visit(&s, i);
    status = rewrite_end(&s.rewrite, status);
    if (status == CUPEL_STATUS_OK)
        status = plain_roots(&s);
    cupel_free(s.made);
    return status;
}
