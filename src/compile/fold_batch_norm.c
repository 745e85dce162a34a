/*
 * Pass fold_batch_norm: convolution followed by batch norm at inference becomes one convolution
 * with scaled weights and a shifted bias. The scaling reads variables alone, so it joins the
 * prologue and reruns only when a variable moved. Not exact in value (it rounds elsewhere),
 * therefore never in reference mode. Test: tests/test_pass_fold_batch_norm.c
 */
#include "compile/compile_internal.h"
#include "op/op_attrs.h"
#include "op/op_internal.h"

/* [C] as [C, 1, 1, 1], to scale the weights of each output channel. */
static cupel_status per_output(struct compile *c, struct edge vector, const char *name,
                               struct edge *out) {
    const struct attrs_shape attrs = {.rank = 4,
                                      .dims = {compile_desc(c, vector)->shape.dims[0], 1, 1, 1}};
    uint32_t id;
    CUPEL_TRY(emit_node(c, &op_reshape, &attrs, name, 1, &vector, &id));
    *out = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

static cupel_status binary(struct compile *c, const cupel_op *op, struct edge a, struct edge b,
                           const char *name, struct edge *out) {
    uint32_t id;
    CUPEL_TRY(emit_node(c, op, NULL, name, 2, (const struct edge[]){a, b}, &id));
    *out = (struct edge){id, 0};
    return CUPEL_STATUS_OK;
}

static cupel_status constant_scalar(struct compile *c, double value, cupel_type type,
                                    struct edge *out) {
    struct graph_node *node = node_list_append(&c->list);
    double *data = arena_copy(&c->arena, &value, sizeof(value));
    cupel_desc *outputs = arena_alloc(&c->arena, 1, sizeof(*outputs));
    if (!node || !data || !outputs)
        return cupel_fail_memory(c->error, "a constant", sizeof(value));
    outputs[0] = cupel_desc_plain(type, cupel_shape_scalar());
    *node = (struct graph_node){.op = &op_constant,
                                .attrs = "",
                                .n_outputs = 1,
                                .outputs = outputs,
                                .name = "epsilon",
                                .data = data,
                                .data_size = sizeof(value),
                                .data_real = true};
    *out = (struct edge){(uint32_t)(c->list.count - 1), 0};
    return CUPEL_STATUS_OK;
}

/* conv and norm are old nodes; the operands of both are mapped already. */
static cupel_status fold(struct rewrite *rewrite, uint32_t conv_id, uint32_t norm_id) {
    struct compile *c = rewrite->compile;
    const struct graph_node *conv = &rewrite->old.nodes[conv_id];
    const struct graph_node *norm = &rewrite->old.nodes[norm_id];
    const char *name = norm->name;
    const struct edge gamma = rewrite_edge(rewrite, norm->inputs[1]);
    const struct edge beta = rewrite_edge(rewrite, norm->inputs[2]);
    const struct edge mean = rewrite_edge(rewrite, norm->inputs[3]);
    const struct edge variance = rewrite_edge(rewrite, norm->inputs[4]);
    const struct attrs_batch_norm *norm_attrs = norm->attrs;
    const cupel_type type = norm->outputs[0].type;

    /* scale = gamma / sqrt(variance + epsilon); shift = beta + (bias - mean) * scale */
    struct edge epsilon = {0}, deviation = {0}, scale = {0}, shift = {0}, weights = {0};
    uint32_t id = 0;
    CUPEL_TRY(constant_scalar(c, norm_attrs->epsilon, type, &epsilon));
    CUPEL_TRY(binary(c, &op_add, variance, epsilon, name, &deviation));
    CUPEL_TRY(emit_node(c, &op_sqrt, NULL, name, 1, &deviation, &id));
    deviation = (struct edge){id, 0};
    CUPEL_TRY(binary(c, &op_div, gamma, deviation, name, &scale));
    struct attrs_conv attrs = *(const struct attrs_conv *)conv->attrs;
    if (attrs.with_bias) {
        struct edge centred;
        CUPEL_TRY(binary(c, &op_sub, rewrite_edge(rewrite, conv->inputs[2]), mean, name, &centred));
        CUPEL_TRY(binary(c, &op_mul, centred, scale, name, &shift));
        CUPEL_TRY(binary(c, &op_add, beta, shift, name, &shift));
    } else {
        CUPEL_TRY(binary(c, &op_mul, mean, scale, name, &shift));
        CUPEL_TRY(binary(c, &op_sub, beta, shift, name, &shift));
    }
    CUPEL_TRY(per_output(c, scale, name, &scale));
    CUPEL_TRY(binary(c, &op_mul, rewrite_edge(rewrite, conv->inputs[1]), scale, name, &weights));
    attrs.with_bias = 1;
    const struct edge operands[] = {rewrite_edge(rewrite, conv->inputs[0]), weights, shift};
    CUPEL_TRY(emit_node(c, &op_conv2d, &attrs, name, 3, operands, &id));
    rewrite_map(rewrite, (struct edge){norm_id, 0}, (struct edge){id, 0});
    return CUPEL_STATUS_OK;
}

static bool only_variables(const struct compile *c, const struct graph_node *node, uint32_t from) {
    for (uint32_t i = from; i < node->n_inputs; i++)
        if (compile_node(c, node->inputs[i].node)->op != &op_variable)
            return false;
    return true;
}

/* Per node: the batch norm that its convolution folds into, or UINT32_MAX. */
static cupel_status find_pairs(struct compile *c, uint32_t **out) {
    uint32_t *first, *uses;
    CUPEL_TRY(number_edges(c, &first));
    CUPEL_TRY(count_uses(c, first, &uses));
    uint32_t *pairs = arena_alloc(&c->arena, c->list.count + 1, sizeof(*pairs));
    if (!pairs)
        return cupel_fail_memory(c->error, "folding batch norm", c->list.count);
    for (uint32_t i = 0; i < c->list.count; i++)
        pairs[i] = UINT32_MAX;
    for (uint32_t i = 0; i < c->list.count; i++) {
        const struct graph_node *norm = compile_node(c, i);
        if (norm->op != &op_batch_norm_inference || norm->outputs[0].shape.rank != 4)
            continue;
        const uint32_t conv_id = norm->inputs[0].node;
        const struct graph_node *conv = compile_node(c, conv_id);
        if (conv->op == &op_conv2d && uses[first[conv_id]] == 1 && only_variables(c, conv, 1) &&
            only_variables(c, norm, 1))
            pairs[conv_id] = i;
    }
    *out = pairs;
    return CUPEL_STATUS_OK;
}

cupel_status pass_fold_batch_norm(struct compile *c) {
    uint32_t *pairs = NULL;
    CUPEL_TRY(find_pairs(c, &pairs));
    struct rewrite rewrite;
    cupel_status status = CUPEL_STATUS_OK;
    CUPEL_TRY(rewrite_begin(&rewrite, c));
    for (uint32_t i = 0; i < rewrite.old.count && status == CUPEL_STATUS_OK; i++) {
        const struct graph_node *node = &rewrite.old.nodes[i];
        if (pairs[i] != UINT32_MAX)
            continue; /* emitted where its batch norm stands */
        const bool norm = node->op == &op_batch_norm_inference;
        if (norm && pairs[node->inputs[0].node] == i)
            status = fold(&rewrite, node->inputs[0].node, i);
        else
            status = rewrite_keep(&rewrite, i, NULL);
    }
    return rewrite_end(&rewrite, status);
}
