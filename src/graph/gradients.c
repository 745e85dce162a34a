/*
 * Differentiation: walks back from the loss once and lets each op add the nodes of its adjoint to
 * the same graph. Contributions to one value are summed in the order of the nodes that made them,
 * so the sum does not depend on how the walk goes. Test: tests/test_gradients.c
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/graph_internal.h"
#include "op/op_internal.h"

/* One summand of the adjoint of an edge; lists grow at the front while consumers are visited
 * backwards, so they end in node order. */
struct contribution {
    cupel_node node;
    struct contribution *next;
};

struct sweep {
    cupel_graph *graph;
    struct arena arena;
    uint32_t count;                /* nodes there were before the sweep */
    bool *needed;                  /* per node: a wrt lies at or before it */
    uint32_t *first;               /* per node: index of its output 0 among all edges */
    struct contribution **adjoint; /* per edge */
    size_t n_wrt;
    const cupel_node *wrt;
    cupel_node *out;
};

static bool is_wrt(const struct sweep *sweep, uint32_t node, uint32_t output) {
    for (size_t i = 0; i < sweep->n_wrt; i++)
        if (sweep->wrt[i].id == node && sweep->wrt[i].output == output)
            return true;
    return false;
}

static bool edge_needed(const struct sweep *sweep, struct edge edge) {
    const struct graph_node *node = graph_node_at(sweep->graph, edge.node);
    if (!cupel_type_is_real(node->outputs[edge.output].type))
        return false;
    return sweep->needed[edge.node] || is_wrt(sweep, edge.node, edge.output);
}

/* Which nodes lie on a path from some wrt. */
static void mark_needed(struct sweep *sweep) {
    for (uint32_t id = 0; id < sweep->count; id++) {
        const struct graph_node *node = graph_node_at(sweep->graph, id);
        if (node->op->flags & CUPEL_OP_NO_GRADIENT)
            continue;
        for (uint32_t i = 0; i < node->n_inputs && !sweep->needed[id]; i++)
            sweep->needed[id] = edge_needed(sweep, node->inputs[i]);
    }
}

static cupel_status add_contribution(struct sweep *sweep, struct edge edge, cupel_node node) {
    struct contribution *item = arena_alloc(&sweep->arena, 1, sizeof(*item));
    if (!item)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    struct contribution **list = &sweep->adjoint[sweep->first[edge.node] + edge.output];
    item->node = node;
    item->next = *list;
    *list = item;
    return CUPEL_STATUS_OK;
}

static cupel_node summed(const struct contribution *list) {
    cupel_node sum = list->node;
    for (list = list->next; list; list = list->next)
        sum = cupel_add(sum, list->node);
    return sum;
}

static cupel_status check_contribution(cupel_graph *graph, const struct graph_node *node,
                                       uint32_t input, cupel_node diff) {
    if (cupel_is_poisoned(diff))
        return graph->error.status;
    const struct edge edge = node->inputs[input];
    const cupel_shape want = graph_node_at(graph, edge.node)->outputs[edge.output].shape;
    if (diff.graph == graph && cupel_shape_equal(cupel_node_shape(diff), want))
        return CUPEL_STATUS_OK;
    char a[CUPEL_SHAPE_TEXT_SIZE], b[CUPEL_SHAPE_TEXT_SIZE];
    graph_fail(graph, CUPEL_STATUS_BUG, "the adjoint of %s gives %s for operand %u of shape %s",
               node->op->name, cupel_shape_format(a, cupel_node_shape(diff)), input,
               cupel_shape_format(b, want));
    return graph->error.status;
}

/* An adjoint reads the operands and results that its op's row declares, and no others: what it
 * reads is kept in memory until then. */
static bool reads_what_it_declares(const cupel_graph *graph, uint32_t id, uint32_t first) {
    const struct graph_node *const node = graph_node_at(graph, id);
    const bool src = node->op->flags & CUPEL_OP_ADJOINT_SRC;
    const bool dst = node->op->flags & CUPEL_OP_ADJOINT_DST;
    for (uint32_t added = first; added < graph->list.count; added++) {
        const struct graph_node *const reader = graph_node_at(graph, added);
        for (uint32_t i = 0; i < reader->n_inputs; i++) {
            if (reader->inputs[i].node == id && !dst)
                return false;
            for (uint32_t k = 0; k < node->n_inputs && !src; k++)
                if (reader->inputs[i].node == node->inputs[k].node &&
                    reader->inputs[i].output == node->inputs[k].output)
                    return false;
        }
    }
    return true;
}

/* Calls the op's adjoint for node id, whose outputs' adjoints are diff_outputs. */
static cupel_status visit(struct sweep *sweep, uint32_t id, const cupel_node *diff_outputs) {
    cupel_graph *graph = sweep->graph;
    const struct graph_node node = *graph_node_at(graph, id); /* the list may move */
    const size_t n = node.n_inputs;
    if (!node.op->adjoint) {
        graph_fail(graph, CUPEL_STATUS_UNSUPPORTED,
                   "op %s (node '%s') has no gradient, and the loss depends on a wanted value "
                   "through it: put cupel_stop_gradient() before it or drop that wrt",
                   node.op->name, node.name);
        return graph->error.status;
    }
    bool *wanted = arena_alloc(&sweep->arena, n, sizeof(*wanted));
    cupel_node *inputs = arena_alloc(&sweep->arena, n, sizeof(*inputs));
    cupel_node *diffs = arena_alloc(&sweep->arena, n, sizeof(*diffs));
    cupel_node outputs[CUPEL_OP_MAX_OUTPUTS];
    if (!wanted || !inputs || !diffs)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        inputs[i] = (cupel_node){graph, node.inputs[i].node, node.inputs[i].output};
        wanted[i] = edge_needed(sweep, node.inputs[i]);
    }
    for (uint32_t k = 0; k < node.n_outputs; k++)
        outputs[k] = (cupel_node){graph, id, k};
    const cupel_adjoint adjoint = {.graph = graph,
                                   .attrs = node.attrs,
                                   .n_inputs = (int)n,
                                   .inputs = inputs,
                                   .n_outputs = (int)node.n_outputs,
                                   .outputs = outputs,
                                   .diff_outputs = diff_outputs,
                                   .wanted = wanted,
                                   .diff_inputs = diffs};
    const uint32_t first = (uint32_t)graph->list.count;
    const cupel_status status = node.op->adjoint(&adjoint);
    if (graph->error.status != CUPEL_STATUS_OK)
        return graph->error.status;
    if (status != CUPEL_STATUS_OK) {
        graph_fail(graph, status, "the adjoint of %s (node '%s') failed: %s", node.op->name,
                   node.name, cupel_status_text(status));
        return status;
    }
    if (!reads_what_it_declares(graph, id, first)) {
        graph_fail(graph, CUPEL_STATUS_BUG,
                   "the adjoint of %s reads an operand or a result that its flags do not declare "
                   "(CUPEL_OP_ADJOINT_SRC, CUPEL_OP_ADJOINT_DST)",
                   node.op->name);
        return graph->error.status;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!wanted[i] || cupel_is_none(diffs[i]))
            continue;
        CUPEL_TRY(check_contribution(graph, &node, i, diffs[i]));
        CUPEL_TRY(add_contribution(sweep, node.inputs[i], diffs[i]));
    }
    return CUPEL_STATUS_OK;
}

static cupel_status walk_back(struct sweep *sweep, cupel_node loss) {
    for (uint32_t id = loss.id + 1; id-- > 0;) {
        const uint32_t n_outputs = graph_node_at(sweep->graph, id)->n_outputs;
        cupel_node diff_outputs[CUPEL_OP_MAX_OUTPUTS] = {{0}};
        bool reached = false;
        for (uint32_t k = 0; k < n_outputs; k++) {
            const struct contribution *list = sweep->adjoint[sweep->first[id] + k];
            if (!list)
                continue;
            reached = true;
            diff_outputs[k] = summed(list);
            for (size_t i = 0; i < sweep->n_wrt; i++)
                if (sweep->wrt[i].id == id && sweep->wrt[i].output == k)
                    sweep->out[i] = diff_outputs[k];
        }
        if (reached && sweep->needed[id])
            CUPEL_TRY(visit(sweep, id, diff_outputs));
    }
    return CUPEL_STATUS_OK;
}

/* --- why a wrt is left without a gradient --- */

static const struct contribution *contributions_to(const struct sweep *sweep, struct edge edge) {
    return sweep->adjoint[sweep->first[edge.node] + edge.output];
}

/* Whether a gradient that comes to the outputs of node id ends there: the op has none, it yields
 * no real value, or its adjoint added nothing to any operand in `taken`. */
static bool ends_gradient(const struct sweep *sweep, uint32_t id, const bool *taken) {
    const struct graph_node *node = graph_node_at(sweep->graph, id);
    bool real = false, arrived = false, added = false;
    for (uint32_t k = 0; k < node->n_outputs; k++) {
        real = real || cupel_type_is_real(node->outputs[k].type);
        arrived = arrived || contributions_to(sweep, (struct edge){id, k});
    }
    for (uint32_t i = 0; i < node->n_inputs; i++)
        added = added || (taken[i] && contributions_to(sweep, node->inputs[i]));
    return (node->op->flags & CUPEL_OP_NO_GRADIENT) || !real || (arrived && !added);
}

/* The ops at which gradients end on all ways from the loss to the wrt: the first of them, or NULL
 * where there is no way at all, and how many there are. */
static cupel_status find_ends(struct sweep *sweep, cupel_node loss, cupel_node wrt,
                              const struct graph_node **first, size_t *n) {
    bool *behind = arena_alloc(&sweep->arena, sweep->count + 1, sizeof(*behind)); /* the loss */
    bool *passed = arena_alloc(&sweep->arena, sweep->count + 1, sizeof(*passed));
    *first = NULL;
    *n = 0;
    if (!behind || !passed)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    behind[loss.id] = true;
    for (uint32_t id = loss.id + 1; id-- > 0;)
        for (uint32_t i = 0; behind[id] && i < graph_node_at(sweep->graph, id)->n_inputs; i++)
            behind[graph_node_at(sweep->graph, id)->inputs[i].node] = true;
    for (uint32_t id = wrt.id + 1; id <= loss.id; id++) {
        const struct graph_node *node = graph_node_at(sweep->graph, id);
        bool *taken = arena_alloc(&sweep->arena, node->n_inputs + 1, sizeof(*taken));
        bool any = false;
        if (!taken)
            return CUPEL_STATUS_OUT_OF_MEMORY;
        for (uint32_t i = 0; behind[id] && i < node->n_inputs; i++) {
            const struct edge edge = node->inputs[i];
            taken[i] = passed[edge.node] || (edge.node == wrt.id && edge.output == wrt.output);
            any = any || taken[i];
        }
        if (any && ends_gradient(sweep, id, taken)) {
            *first = *n == 0 ? node : *first;
            ++*n;
        } else {
            passed[id] = any;
        }
    }
    return CUPEL_STATUS_OK;
}

static cupel_status fail_unreached(struct sweep *sweep, cupel_node loss, cupel_node wrt) {
    const struct graph_node *end;
    size_t n;
    CUPEL_TRY(find_ends(sweep, loss, wrt, &end, &n));
    const char *const from = cupel_node_name(loss), *const to = cupel_node_name(wrt);
    char others[64] = "";
    if (n > 1)
        snprintf(others, sizeof(others), " and %zu more op%s", n - 1, n > 2 ? "s" : "");
    if (n == 0)
        graph_fail(sweep->graph, CUPEL_STATUS_INVALID_ARGUMENT,
                   "gradients: the loss '%s' does not depend on '%s'", from, to);
    else
        graph_fail(sweep->graph, CUPEL_STATUS_INVALID_ARGUMENT,
                   "gradients: the loss '%s' reaches '%s' only through %s (node '%s')%s, which "
                   "%s no gradient: drop that wrt, or compute the loss another way",
                   from, to, end->op->name, end->name, others, n > 1 ? "have" : "has");
    return sweep->graph->error.status;
}

static cupel_status prepare(struct sweep *sweep) {
    const size_t count = sweep->count;
    uint32_t edges = 0;
    sweep->needed = arena_alloc(&sweep->arena, count + 1, sizeof(*sweep->needed));
    sweep->first = arena_alloc(&sweep->arena, count + 1, sizeof(*sweep->first));
    if (!sweep->needed || !sweep->first)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    for (uint32_t id = 0; id < count; id++) {
        sweep->first[id] = edges;
        edges += graph_node_at(sweep->graph, id)->n_outputs;
    }
    sweep->adjoint = arena_alloc(&sweep->arena, edges + 1, sizeof(struct contribution *));
    return sweep->adjoint ? CUPEL_STATUS_OK : CUPEL_STATUS_OUT_OF_MEMORY;
}

static bool arguments_fit(cupel_graph *graph, cupel_node loss, size_t n, const cupel_node *wrt) {
    if (loss.graph == graph && cupel_is_poisoned(loss))
        return false; /* the graph holds the error */
    if (loss.graph != graph || !cupel_type_is_real(cupel_node_desc(loss)->type) ||
        cupel_shape_count(cupel_node_shape(loss)) != 1) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        graph_fail(graph, CUPEL_STATUS_SHAPE,
                   "gradients: the loss '%s' has shape %s; it must be a real scalar of this graph",
                   cupel_node_name(loss), cupel_shape_format(text, cupel_node_shape(loss)));
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (wrt[i].graph == graph && cupel_is_poisoned(wrt[i]))
            return false;
        if (wrt[i].graph != graph || !cupel_type_is_real(cupel_node_desc(wrt[i])->type)) {
            graph_fail(graph, CUPEL_STATUS_TYPE,
                       "gradients: wrt %zu ('%s') is no real value of "
                       "this graph",
                       i, cupel_node_name(wrt[i]));
            return false;
        }
    }
    return true;
}

cupel_status cupel_graph_add_gradients(cupel_graph *graph, cupel_node loss, size_t n,
                                       const cupel_node *wrt, cupel_node *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = graph_poisoned(graph);
    if (graph->error.status != CUPEL_STATUS_OK || !arguments_fit(graph, loss, n, wrt))
        return graph->error.status;
    struct sweep sweep = {
        .graph = graph, .count = (uint32_t)graph->list.count, .n_wrt = n, .wrt = wrt, .out = out};
    cupel_status status;
    CUPEL_TRY_DONE(prepare(&sweep));
    mark_needed(&sweep);
    const cupel_node seed =
        cupel_full(graph, cupel_node_desc(loss)->type, cupel_node_shape(loss), 1);
    CUPEL_TRY_DONE(add_contribution(&sweep, (struct edge){loss.id, loss.output}, seed));
    CUPEL_TRY_DONE(walk_back(&sweep, loss));
    for (size_t i = 0; i < n; i++)
        if (cupel_is_poisoned(out[i]))
            CUPEL_TRY_DONE(fail_unreached(&sweep, loss, wrt[i]));
done:
    if (status == CUPEL_STATUS_OUT_OF_MEMORY)
        graph_fail(graph, status, "no memory to differentiate a graph of %u nodes", sweep.count);
    arena_release(&sweep.arena);
    return graph->error.status;
}
