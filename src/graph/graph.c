/*
 * Graph building: nodes are appended in an order in which every node follows its operands; the
 * first error is kept and everything after it is poisoned. Test: tests/test_graph.c
 */
#include "graph/graph_internal.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "graph/context_internal.h"
#include "op/op_internal.h"

/* The line of the user's builder call, set by the macros of the public headers. */
static _Thread_local struct {
    const char *file;
    int line;
} here;

void cupel_here(const char *file, int line) {
    here.file = file;
    here.line = line;
}

cupel_node cupel_none(void) {
    return (cupel_node){0};
}

bool cupel_is_none(cupel_node node) {
    return node.graph == NULL;
}

bool cupel_is_poisoned(cupel_node node) {
    return node.graph != NULL && node.id == CUPEL_NODE_POISON;
}

cupel_status cupel_graph_create(cupel_graph **out, cupel_context *context,
                                cupel_parameters *parameters) {
    *out = NULL;
    cupel_graph *graph = cupel_alloc(1, sizeof(*graph));
    if (!graph)
        return cupel_fail_memory(&context->error, "graph", sizeof(*graph));
    graph->context = context;
    graph->parameters = parameters;
    atomic_fetch_add(&context->children, 1);
    if (parameters)
        atomic_fetch_add(&parameters->children, 1);
    *out = graph;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_graph_destroy(cupel_graph *graph) {
    if (!graph)
        return CUPEL_STATUS_OK;
    atomic_fetch_sub(&graph->context->children, 1);
    if (graph->parameters)
        atomic_fetch_sub(&graph->parameters->children, 1);
    arena_release(&graph->arena);
    cupel_free(graph->list.nodes);
    cupel_free(graph->scope);
    cupel_free(graph->scope_starts);
    cupel_free(graph->named);
    cupel_free(graph->unnamed);
    cupel_free(graph);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_graph_check(const cupel_graph *graph) {
    return graph->error.status;
}

const char *cupel_graph_error(const cupel_graph *graph) {
    return graph->error.text;
}

cupel_context *cupel_graph_context(const cupel_graph *graph) {
    return graph->context;
}

cupel_parameters *cupel_graph_parameters(const cupel_graph *graph) {
    return graph->parameters;
}

/* --- errors --- */

cupel_node graph_poisoned(cupel_graph *graph) {
    return (cupel_node){.graph = graph, .id = CUPEL_NODE_POISON};
}

CUPEL_PRINTF(3, 0)
static void graph_vfail(cupel_graph *graph, cupel_status status, const char *format, va_list args) {
    if (!graph || graph->error.status != CUPEL_STATUS_OK)
        return; /* the first error is the one that counts */
    struct cupel_error sentence;
    cupel_vfail(&sentence, status, format, args);
    if (here.file)
        cupel_fail(&graph->error, status, "%s:%d: %s", here.file, here.line, sentence.text);
    else
        cupel_fail(&graph->error, status, "%s", sentence.text);
}

cupel_node graph_fail(cupel_graph *graph, cupel_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    graph_vfail(graph, status, format, args);
    va_end(args);
    return graph_poisoned(graph);
}

cupel_node cupel_graph_poison(cupel_graph *graph, cupel_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    graph_vfail(graph, status, format, args);
    va_end(args);
    return graph_poisoned(graph);
}

cupel_status cupel_op_fail(const cupel_op_view *view, cupel_status status, const char *format,
                           ...) {
    struct cupel_error sentence;
    va_list args;
    va_start(args, format);
    cupel_vfail(&sentence, status, format, args);
    va_end(args);
    return cupel_fail(view->sink, status, "%s%s%s: %s", view->op->name, view->name ? " " : "",
                      view->name ? view->name : "", sentence.text);
}

/* --- scopes and names --- */

void cupel_graph_enter(cupel_graph *graph, const char *scope) {
    const size_t length = strlen(scope);
    if (length == 0 || scope[strcspn(scope, " #")] != '\0' || !utf8_valid(scope)) {
        graph_fail(graph, CUPEL_STATUS_NAME, "'%s' is not a scope name", scope);
        return;
    }
    if (!cupel_grow(&graph->scope, &graph->scope_capacity, graph->scope_length + length + 2, 1) ||
        !cupel_grow(&graph->scope_starts, &graph->scope_starts_capacity, graph->scope_depth + 1,
                    sizeof(*graph->scope_starts))) {
        graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for scope '%s'", scope);
        return;
    }
    graph->scope_starts[graph->scope_depth++] = graph->scope_length;
    memcpy(graph->scope + graph->scope_length, scope, length);
    graph->scope_length += length;
    graph->scope[graph->scope_length++] = '.';
    graph->scope[graph->scope_length] = 0;
}

void cupel_graph_leave(cupel_graph *graph) {
    if (graph->scope_depth == 0) {
        /* An enter that failed has left the graph in error already. */
        graph_fail(graph, CUPEL_STATUS_BUG, "cupel_graph_leave without a scope");
        return;
    }
    graph->scope_length = graph->scope_starts[--graph->scope_depth];
    graph->scope[graph->scope_length] = 0;
}

const char *graph_scoped(cupel_graph *graph, const char *name) {
    const char *full =
        arena_printf(&graph->arena, "%s%s", graph->scope_length ? graph->scope : "", name);
    if (!full)
        graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for the name '%s'", name);
    return full;
}

static uint32_t find_named(const cupel_graph *graph, const char *full) {
    for (size_t i = 0; i < graph->n_named; i++)
        if (strcmp(graph->list.nodes[graph->named[i]].name, full) == 0)
            return graph->named[i];
    return CUPEL_NODE_POISON;
}

/* Gives node `id` its full name, which lives in the arena. */
static bool set_name(cupel_graph *graph, uint32_t id, const char *full) {
    if (!utf8_valid(full)) {
        graph_fail(graph, CUPEL_STATUS_NAME, "a name is not UTF-8, so no plan could hold it");
        return false;
    }
    if (strchr(full, '#')) {
        graph_fail(graph, CUPEL_STATUS_NAME,
                   "'%s' holds a #, which only names that nobody gave have", full);
        return false;
    }
    if (find_named(graph, full) != CUPEL_NODE_POISON) {
        graph_fail(graph, CUPEL_STATUS_NAME, "two nodes are named '%s'", full);
        return false;
    }
    if (!cupel_grow(&graph->named, &graph->named_capacity, graph->n_named + 1,
                    sizeof(*graph->named))) {
        graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for the name '%s'", full);
        return false;
    }
    graph->named[graph->n_named++] = id;
    graph->list.nodes[id].name = full;
    graph->list.nodes[id].named = true;
    return true;
}

cupel_node cupel_named(cupel_node node, const char *name) {
    if (cupel_is_none(node) || cupel_is_poisoned(node))
        return node;
    const char *full = graph_scoped(node.graph, name);
    if (!full)
        return graph_poisoned(node.graph);
    struct graph_node *inner = graph_node_at(node.graph, node.id);
    if (inner->named && strcmp(inner->name, full) != 0)
        return graph_fail(node.graph, CUPEL_STATUS_NAME,
                          "node '%s' cannot be named '%s': it has a name", inner->name, full);
    if (inner->named)
        return node;
    return set_name(node.graph, node.id, full) ? node : graph_poisoned(node.graph);
}

cupel_node cupel_graph_find(cupel_graph *graph, const char *name) {
    const uint32_t id = find_named(graph, name);
    if (id == CUPEL_NODE_POISON)
        return graph_fail(graph, CUPEL_STATUS_NAME, "the graph has no node named '%s'", name);
    return (cupel_node){.graph = graph, .id = id};
}

bool graph_has(const cupel_graph *graph, const char *name, cupel_node *out) {
    const uint32_t id = find_named(graph, name);
    *out = (cupel_node){.graph = (cupel_graph *)graph, .id = id};
    return id != CUPEL_NODE_POISON;
}

/* --- nodes --- */

struct graph_node *graph_node_at(const cupel_graph *graph, uint32_t id) {
    return &graph->list.nodes[id];
}

struct graph_node *node_list_append(struct node_list *list) {
    if (list->count >= CUPEL_NODE_POISON - 1 ||
        !cupel_grow(&list->nodes, &list->capacity, list->count + 1, sizeof(*list->nodes)))
        return NULL;
    struct graph_node *node = &list->nodes[list->count++];
    *node = (struct graph_node){0};
    return node;
}

const cupel_desc *cupel_node_desc(cupel_node node) {
    if (cupel_is_none(node) || cupel_is_poisoned(node))
        return NULL;
    return &graph_node_at(node.graph, node.id)->outputs[node.output];
}

cupel_shape cupel_node_shape(cupel_node node) {
    const cupel_desc *desc = cupel_node_desc(node);
    return desc ? desc->shape : cupel_shape_scalar();
}

cupel_node cupel_node_output(cupel_node node, uint32_t output) {
    if (cupel_is_none(node) || cupel_is_poisoned(node))
        return node;
    const struct graph_node *inner = graph_node_at(node.graph, node.id);
    if (output >= inner->n_outputs)
        return graph_fail(node.graph, CUPEL_STATUS_INVALID_ARGUMENT, "node '%s' has no output %u",
                          inner->name, output);
    node.output = output;
    return node;
}

const char *cupel_node_name(cupel_node node) {
    if (cupel_is_none(node))
        return "(none)";
    return cupel_is_poisoned(node) ? "(poisoned)" : graph_node_at(node.graph, node.id)->name;
}

/* "encoder.conv2d#2": the second of its op in its scope that was not named. What else the graph
 * holds does not matter, so the same network has the same names in every graph. NULL: no memory. */
static const char *automatic_name(cupel_graph *graph, const cupel_op *op) {
    const char *const scope = graph->scope_length ? graph->scope : "";
    const uint64_t key = hash_combine(hash_string(scope), hash_string(op->name));
    size_t i = 0;
    while (i < graph->n_unnamed && graph->unnamed[i].key != key)
        i++;
    if (!cupel_grow(&graph->unnamed, &graph->unnamed_capacity, i + 1, sizeof(*graph->unnamed)))
        return NULL;
    if (i == graph->n_unnamed)
        graph->unnamed[graph->n_unnamed++] = (struct unnamed_count){.key = key};
    return arena_printf(&graph->arena, "%s%s#%u", scope, op->name, ++graph->unnamed[i].count);
}

/* An empty node with room for its operands and its automatic name; NULL after recording the error.
 */
static struct graph_node *append(cupel_graph *graph, const cupel_op *op, const char *name,
                                 size_t n_inputs) {
    struct arena *arena = &graph->arena;
    const uint32_t id = (uint32_t)graph->list.count;
    const char *full = name ? graph_scoped(graph, name) : automatic_name(graph, op);
    struct edge *inputs = arena_alloc(arena, n_inputs + 1, sizeof(*inputs));
    cupel_desc *outputs = arena_alloc(arena, (size_t)op->n_outputs, sizeof(*outputs));
    struct graph_node *node = full && inputs && outputs ? node_list_append(&graph->list) : NULL;
    if (!node) {
        graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for a %s node", op->name);
        return NULL;
    }
    *node = (struct graph_node){.op = op,
                                .n_inputs = (uint32_t)n_inputs,
                                .n_outputs = (uint32_t)op->n_outputs,
                                .inputs = inputs,
                                .outputs = outputs,
                                .name = full,
                                .file = here.file,
                                .line = here.line};
    if (name && !set_name(graph, id, full)) {
        graph->list.count--;
        return NULL;
    }
    return node;
}

static bool type_known(cupel_type type) {
    return type == CUPEL_TYPE_REAL || cupel_type_size(type) > 0;
}

cupel_node graph_add_leaf(cupel_graph *graph, const cupel_op *op, const char *name,
                          cupel_desc desc) {
    if (graph->error.status != CUPEL_STATUS_OK)
        return graph_poisoned(graph);
    if (!type_known(desc.type))
        return graph_fail(graph, CUPEL_STATUS_TYPE, "%s %s: there is no type %d", op->name,
                          name ? name : "", (int)desc.type);
    if (!cupel_shape_valid(desc.shape)) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return graph_fail(graph, CUPEL_STATUS_SHAPE, "%s %s: impossible shape %s", op->name,
                          name ? name : "", cupel_shape_format(text, desc.shape));
    }
    struct graph_node *node = append(graph, op, name, 0);
    if (!node)
        return graph_poisoned(graph);
    node->outputs[0] = desc;
    return (cupel_node){.graph = graph, .id = (uint32_t)(graph->list.count - 1)};
}

static bool check_operands(cupel_graph *graph, const cupel_op *op, size_t n,
                           const cupel_node *inputs) {
    if (n < (size_t)op->min_inputs || (op->max_inputs >= 0 && n > (size_t)op->max_inputs)) {
        graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "%s takes %d to %d operands, not %zu",
                   op->name, op->min_inputs, op->max_inputs, n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (cupel_is_none(inputs[i])) {
            graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "%s: operand %zu is missing", op->name,
                       i);
            return false;
        }
        if (inputs[i].graph != graph) {
            graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                       "%s: operand %zu belongs to another graph", op->name, i);
            return false;
        }
        if (cupel_is_poisoned(inputs[i]))
            return false;
        if (inputs[i].id >= graph->list.count ||
            inputs[i].output >= graph_node_at(graph, inputs[i].id)->n_outputs) {
            graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "%s: operand %zu is no node", op->name,
                       i);
            return false;
        }
    }
    return true;
}

enum { FEW_INPUTS = 16, NOT_INFERRED = -1 };

cupel_node graph_add(cupel_graph *graph, const cupel_op *op, const char *name, const void *attrs,
                     size_t n_inputs, const cupel_node *inputs) {
    if (!graph) {
        for (size_t i = 0; i < n_inputs && !graph; i++)
            graph = inputs[i].graph;
        if (!graph)
            return cupel_none();
    }
    if (graph->error.status != CUPEL_STATUS_OK || !check_operands(graph, op, n_inputs, inputs))
        return graph_poisoned(graph);

    cupel_desc few[FEW_INPUTS];
    cupel_desc *descs = few;
    if (n_inputs > FEW_INPUTS)
        descs = arena_alloc(&graph->arena, n_inputs, sizeof(*descs));
    const void *copied =
        op->attr_size ? arena_copy(&graph->arena, attrs, op->attr_size) : (const void *)"";
    if (!descs || !copied)
        return graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for a %s node", op->name);
    for (size_t i = 0; i < n_inputs; i++)
        descs[i] = *cupel_node_desc(inputs[i]);

    cupel_desc outputs[CUPEL_OP_MAX_OUTPUTS] = {0};
    for (int i = 0; i < op->n_outputs; i++)
        outputs[i].shape.rank = NOT_INFERRED;
    struct cupel_error error = {0};
    const cupel_op_view view = {.op = op,
                                .attrs = copied,
                                .name = name,
                                .n_inputs = (int)n_inputs,
                                .inputs = descs,
                                .n_outputs = op->n_outputs,
                                .outputs = outputs,
                                .sink = &error};
    const cupel_status status = op->infer(&view);
    if (status != CUPEL_STATUS_OK)
        return graph_fail(graph, status, "%s%s", error.text[0] ? "" : op->name,
                          error.text[0] ? error.text : ": its shape rule refuses these operands");
    for (int i = 0; i < op->n_outputs; i++)
        if (outputs[i].shape.rank == NOT_INFERRED || !type_known(outputs[i].type)) {
            return graph_fail(graph, CUPEL_STATUS_BUG,
                              "%s: its shape rule leaves output %d without "
                              "a type and a shape",
                              op->name, i);
        } else if (!cupel_shape_valid(outputs[i].shape)) {
            char text[CUPEL_SHAPE_TEXT_SIZE];
            return graph_fail(graph, CUPEL_STATUS_SHAPE, "%s: output %d would have shape %s",
                              op->name, i, cupel_shape_format(text, outputs[i].shape));
        }

    if (!indices_fit(op, copied, inputs))
        return graph_poisoned(graph);

    struct graph_node *node = append(graph, op, name, n_inputs);
    if (!node)
        return graph_poisoned(graph);
    node->attrs = copied;
    for (size_t i = 0; i < n_inputs; i++)
        node->inputs[i] = (struct edge){.node = inputs[i].id, .output = inputs[i].output};
    memcpy(node->outputs, outputs, (size_t)op->n_outputs * sizeof(*outputs));
    node->index_bound = index_bound_of(graph, node);
    return (cupel_node){.graph = graph, .id = (uint32_t)(graph->list.count - 1)};
}

cupel_node cupel_apply(cupel_graph *graph, const cupel_op *op, const void *attrs, size_t n_inputs,
                       const cupel_node *inputs) {
    if (!op || op->size != sizeof(cupel_op) || op->version != CUPEL_OP_VERSION || !op->name ||
        !op->infer || op->n_outputs < 1 || op->n_outputs > CUPEL_OP_MAX_OUTPUTS)
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "cupel_apply: op '%s' is no descriptor of this version of the library "
                          "(size, version, name, infer, 1 to %d outputs)",
                          op && op->size == sizeof(cupel_op) && op->name ? op->name : "?",
                          (int)CUPEL_OP_MAX_OUTPUTS);
    if (op->attr_size && !attrs)
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "cupel_apply: op %s needs %zu bytes of attributes", op->name,
                          op->attr_size);
    if (graph && cupel_context_find_op(graph->context, op->name) != op)
        return graph_fail(graph, CUPEL_STATUS_NAME,
                          "cupel_apply: op '%s' is neither built in nor registered: call "
                          "cupel_context_register_op() first",
                          op->name);
    return graph_add(graph, op, NULL, attrs, n_inputs, inputs);
}
