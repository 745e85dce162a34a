/*
 * Pass swaps: a variable that takes the value of another one which is assigned too (two that swap,
 * say) gets a copy of it, made before either is written; without the copy each assign would have to
 * come before the other. Test: tests/test_leaf_ops.c
 */
#include "compile/compile_internal.h"
#include "op/op_attrs.h"
#include "op/op_internal.h"

/* The variable whose bytes the edge is, through views; NULL if it is computed. */
static const struct cupel_variable *variable_of(const struct node_list *list, struct edge edge) {
    const struct graph_node *node = &list->nodes[edge.node];
    while (node->op->flags & CUPEL_OP_VIEW)
        node = &list->nodes[node->inputs[0].node];
    return node->op == &op_variable ? node->variable : NULL;
}

static bool is_assigned(const struct node_list *list, const struct cupel_variable *variable) {
    for (size_t i = 0; i < list->count; i++)
        if (list->nodes[i].op == &op_assign &&
            variable_of(list, list->nodes[i].inputs[0]) == variable)
            return true;
    return false;
}

static bool needs_copy(const struct node_list *list, const struct graph_node *node) {
    if (node->op != &op_assign)
        return false;
    const struct cupel_variable *from = variable_of(list, node->inputs[1]);
    return from != NULL && from != variable_of(list, node->inputs[0]) && is_assigned(list, from);
}

/* Keeps assign `id` with a copy as its value. */
static cupel_status keep_with_copy(struct rewrite *rewrite, uint32_t id) {
    struct compile *c = rewrite->compile;
    const struct edge old = rewrite->old.nodes[id].inputs[1];
    const struct edge value = rewrite_edge(rewrite, old);
    const cupel_shape shape = compile_desc(c, value)->shape;
    struct attrs_shape attrs = {.rank = shape.rank};
    for (int i = 0; i < shape.rank; i++)
        attrs.dims[i] = shape.dims[i];
    uint32_t copy;
    CUPEL_TRY(
        emit_node(c, &op_broadcast_to, &attrs, rewrite->old.nodes[id].name, 1, &value, &copy));
    rewrite_map(rewrite, old, (struct edge){copy, 0});
    const cupel_status status = rewrite_keep(rewrite, id, NULL);
    rewrite_map(rewrite, old, value);
    return status;
}

cupel_status pass_swaps(struct compile *c) {
    struct rewrite rewrite;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    cupel_status status = CUPEL_STATUS_OK;
    for (uint32_t i = 0; i < rewrite.old.count && status == CUPEL_STATUS_OK; i++)
        status = needs_copy(&rewrite.old, &rewrite.old.nodes[i]) ? keep_with_copy(&rewrite, i)
                                                                 : rewrite_keep(&rewrite, i, NULL);
    return rewrite_end(&rewrite, status);
}
