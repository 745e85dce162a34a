/*
 * Pass validate: refuses what cannot be compiled, with the user's names, and copies the graph so
 * that the program no longer needs it. Test: tests/test_pass_validate.c
 */
#include <string.h>

#include "compile/compile_internal.h"
#include "op/op_internal.h"

static cupel_status check_outputs(struct compile *c, const cupel_graph *graph) {
    const cupel_compile_options *options = c->options;
    for (size_t i = 0; i < options->n_outputs; i++) {
        const cupel_output *output = &options->outputs[i];
        if (!output->name || !output->name[0])
            return cupel_fail(c->error, CUPEL_STATUS_NAME, "output %zu has no name", i);
        if (cupel_is_none(output->node))
            return cupel_fail(c->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "output '%s' is no node (none): its builder was given none for "
                              "every operand, so that no graph could keep the error",
                              output->name);
        if (output->node.graph != graph || output->node.id >= graph->list.count ||
            output->node.output >= graph_node_at(graph, output->node.id)->n_outputs)
            return cupel_fail(c->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "output '%s' is no node of this graph", output->name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(options->outputs[j].name, output->name) == 0)
                return cupel_fail(c->error, CUPEL_STATUS_NAME, "two outputs are named '%s'",
                                  output->name);
        for (size_t j = 0; j < graph->list.count; j++)
            if (graph->list.nodes[j].op == &op_input &&
                strcmp(graph->list.nodes[j].name, output->name) == 0)
                return cupel_fail(c->error, CUPEL_STATUS_NAME,
                                  "'%s' names an input and an output: rename the output",
                                  output->name);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status copy_node(struct compile *c, const struct graph_node *from) {
    struct arena *arena = &c->arena;
    struct graph_node *to = node_list_append(&c->list);
    if (!to)
        return cupel_fail_memory(c->error, "compiling the graph", c->list.count);
    *to = *from;
    to->inputs = arena_copy(arena, from->inputs, (from->n_inputs + 1) * sizeof(*from->inputs));
    to->outputs = arena_copy(arena, from->outputs, from->n_outputs * sizeof(*from->outputs));
    to->name = arena_strdup(arena, from->name);
    to->attrs = from->op->attr_size ? arena_copy(arena, from->attrs, from->op->attr_size) : "";
    to->data = from->data_size ? arena_copy(arena, from->data, from->data_size) : NULL;
    to->file = NULL; /* string literals of the user's program; not needed any more */
    if (!to->inputs || !to->outputs || !to->name || !to->attrs || (from->data_size && !to->data))
        return cupel_fail_memory(c->error, "compiling the graph", from->data_size);
    return CUPEL_STATUS_OK;
}

cupel_status pass_validate(struct compile *c, cupel_graph *graph) {
    if (graph->error.status != CUPEL_STATUS_OK)
        return cupel_error_copy(c->error, &graph->error);
    CUPEL_TRY(check_outputs(c, graph));
    bool effects = false;
    for (size_t i = 0; i < graph->list.count; i++) {
        effects = effects || (graph->list.nodes[i].op->flags & CUPEL_OP_EFFECT);
        CUPEL_TRY(copy_node(c, &graph->list.nodes[i]));
    }
    c->n_roots = c->options->n_outputs;
    if (c->n_roots == 0 && !effects)
        return cupel_fail(c->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "there is nothing to compute: no outputs, assigns or guards");
    c->roots = arena_alloc(&c->arena, c->n_roots + 1, sizeof(*c->roots));
    if (!c->roots)
        return cupel_fail_memory(c->error, "outputs", c->n_roots);
    for (size_t i = 0; i < c->n_roots; i++) {
        const cupel_output *output = &c->options->outputs[i];
        c->roots[i].name = arena_strdup(&c->arena, output->name);
        c->roots[i].edge = (struct edge){output->node.id, output->node.output};
        if (!c->roots[i].name)
            return cupel_fail_memory(c->error, "outputs", c->n_roots);
    }
    return CUPEL_STATUS_OK;
}
