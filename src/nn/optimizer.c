/*
 * Optimisers: one update node and its assigns for each parameter. Moments and the count of updates
 * are training state beside the parameters, so a checkpoint of the set is a checkpoint of the
 * optimiser. Test: tests/test_op_update.c
 */
#include <string.h>

#include "cupel/layers.h"
#include "op/op_builders.h"

cupel_optimizer cupel_optimizer_defaults(cupel_optimizer_kind kind) {
    cupel_optimizer optimizer = {.kind = kind};
    if (kind == CUPEL_ADAM || kind == CUPEL_ADAMW) {
        optimizer.beta1 = 0.9;
        optimizer.beta2 = 0.999;
        optimizer.epsilon = 1e-8;
        optimizer.weight_decay = kind == CUPEL_ADAMW ? 0.01 : 0.0;
    }
    return optimizer;
}

/* Says what is wrong with the numbers, NULL if nothing. */
static const char *complaint(const cupel_optimizer *optimizer) {
    if (!(optimizer->weight_decay >= 0.0))
        return "weight_decay must not be negative";
    switch (optimizer->kind) {
    case CUPEL_SGD:
        if (!(optimizer->momentum >= 0.0))
            return "momentum must not be negative";
        return optimizer->nesterov && optimizer->momentum == 0.0
                   ? "nesterov needs a momentum above 0"
                   : NULL;
    case CUPEL_ADAM:
    case CUPEL_ADAMW:
        if (!(optimizer->beta1 >= 0.0 && optimizer->beta1 < 1.0) ||
            !(optimizer->beta2 >= 0.0 && optimizer->beta2 < 1.0))
            return "beta1 and beta2 must be within 0 <= beta < 1 (begin with "
                   "cupel_optimizer_defaults())";
        return optimizer->epsilon >= 0.0 ? NULL : "epsilon must not be negative";
    }
    return "its kind is unknown";
}

/* What the updates of one call share. */
struct updates {
    cupel_graph *graph;
    const char *name;
    const cupel_optimizer *optimizer;
    cupel_node learning_rate;
    cupel_node step; /* of this update, from 1 */
};

/* The training state "<name>.<moment>.<parameter>", zeros at first. */
static cupel_node moment(const struct updates *updates, const char *moment, cupel_node parameter) {
    const char *const name = arena_printf(&updates->graph->arena, "%s.%s.%s", updates->name, moment,
                                          cupel_node_name(parameter));
    if (name == NULL)
        return graph_fail(updates->graph, CUPEL_STATUS_OUT_OF_MEMORY,
                          "no memory for the name of a moment");
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    return cupel_training_state(updates->graph, name, CUPEL_TYPE_REAL, cupel_node_shape(parameter),
                                zeros);
}

static void update_sgd(const struct updates *updates, cupel_node parameter, cupel_node gradient) {
    const struct attrs_sgd attrs = {.momentum = updates->optimizer->momentum,
                                    .weight_decay = updates->optimizer->weight_decay,
                                    .nesterov = updates->optimizer->nesterov};
    const bool buffered = attrs.momentum != 0.0;
    const cupel_node buffer =
        buffered ? moment(updates, "momentum_buffer", parameter) : cupel_none();
    const cupel_node updated =
        build_sgd_update(parameter, gradient, updates->learning_rate, buffer, &attrs);
    cupel_assign(parameter, updated);
    if (buffered)
        cupel_assign(buffer, cupel_node_output(updated, 1));
}

static void update_adam(const struct updates *updates, cupel_node parameter, cupel_node gradient) {
    const cupel_optimizer *const optimizer = updates->optimizer;
    const struct attrs_adam attrs = {.beta1 = optimizer->beta1,
                                     .beta2 = optimizer->beta2,
                                     .epsilon = optimizer->epsilon,
                                     .weight_decay = optimizer->weight_decay,
                                     .decoupled = optimizer->kind == CUPEL_ADAMW};
    const cupel_node average = moment(updates, "exp_avg", parameter);
    const cupel_node squares = moment(updates, "exp_avg_sq", parameter);
    const cupel_node updated = build_adam_update(parameter, gradient, average, squares,
                                                 updates->learning_rate, updates->step, &attrs);
    cupel_assign(parameter, updated);
    cupel_assign(average, cupel_node_output(updated, 1));
    cupel_assign(squares, cupel_node_output(updated, 2));
}

void cupel_optimizer_apply(cupel_graph *graph, const char *name, const cupel_optimizer *optimizer,
                           cupel_node learning_rate, size_t n, const cupel_node *parameters,
                           const cupel_node *gradients) {
    const char *const wrong = complaint(optimizer);
    if (wrong != NULL) {
        (void)graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "optimizer '%s': %s", name, wrong);
        return;
    }
    const char *const step_name = arena_printf(&graph->arena, "%s.step", name);
    if (step_name == NULL) {
        (void)graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for the name of a counter");
        return;
    }
    const cupel_shape scalar = cupel_shape_scalar();
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node count = cupel_training_state(graph, step_name, CUPEL_TYPE_F64, scalar, zeros);
    const struct updates updates = {
        .graph = graph,
        .name = name,
        .optimizer = optimizer,
        .learning_rate = learning_rate,
        .step = cupel_add(count, cupel_full(graph, CUPEL_TYPE_F64, scalar, 1.0))};
    for (size_t i = 0; i < n && cupel_graph_check(graph) == CUPEL_STATUS_OK; i++)
        if (optimizer->kind == CUPEL_SGD)
            update_sgd(&updates, parameters[i], gradients[i]);
        else
            update_adam(&updates, parameters[i], gradients[i]);
    cupel_assign(count, updates.step);
}

void cupel_optimizer_minimize(cupel_graph *graph, const char *name,
                              const cupel_optimizer *optimizer, cupel_node learning_rate,
                              cupel_node loss, const char *prefix) {
    if (cupel_graph_check(graph) != CUPEL_STATUS_OK)
        return;
    const size_t n = cupel_graph_trainable(graph, prefix, 0, NULL);
    if (n == 0) {
        (void)graph_fail(graph, CUPEL_STATUS_NAME,
                         "optimizer '%s': the graph reads no trainable variable whose name begins "
                         "with '%s'",
                         name, prefix);
        return;
    }
    cupel_node *const nodes = arena_alloc(&graph->arena, n, 2 * sizeof *nodes);
    if (nodes == NULL) {
        (void)graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for %zu gradients", n);
        return;
    }
    (void)cupel_graph_trainable(graph, prefix, n, nodes);
    cupel_guard(loss);
    if (cupel_graph_add_gradients(graph, loss, n, nodes, nodes + n) == CUPEL_STATUS_OK)
        cupel_optimizer_apply(graph, name, optimizer, learning_rate, n, nodes, nodes + n);
}
