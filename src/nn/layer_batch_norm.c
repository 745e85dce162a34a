/*
 * Batch norm as a layer: gamma, beta, and running statistics that training assigns and inference
 * reads. Training and inference are two graphs over one parameter set, not a mode flag inside one.
 * Test: tests/test_layers.c
 */
#include "nn/layer_internal.h"

/* (1 - momentum) old + momentum batch, assigned after the run. */
static void track(cupel_node running, cupel_node batch, double momentum) {
    cupel_assign(running,
                 cupel_add(cupel_scale(running, 1.0 - momentum), cupel_scale(batch, momentum)));
}

cupel_node cupel_layer_batch_norm(cupel_node x, const char *name, bool training, double momentum,
                                  double epsilon) {
    if (!layer_takes(x, "batch_norm", name, 2, CUPEL_MAX_RANK, 1))
        return cupel_is_none(x) ? x : graph_poisoned(x.graph);
    cupel_graph *const graph = x.graph;
    if (!(momentum >= 0.0 && momentum <= 1.0))
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "batch_norm layer '%s': momentum must be within 0 .. 1", name);
    const cupel_shape src = cupel_node_shape(x), channels = CUPEL_SHAPE(src.dims[1]);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS}, ones = {.kind = CUPEL_INIT_ONES};
    cupel_graph_enter(graph, name);
    const cupel_node gamma = cupel_parameter(graph, "weight", channels, ones);
    const cupel_node beta = cupel_parameter(graph, "bias", channels, zeros);
    const cupel_node mean = cupel_state(graph, "running_mean", CUPEL_TYPE_REAL, channels, zeros);
    const cupel_node variance = cupel_state(graph, "running_var", CUPEL_TYPE_REAL, channels, ones);
    cupel_graph_leave(graph);
    if (!training)
        return cupel_batch_norm_inference(x, gamma, beta, mean, variance, epsilon);
    const cupel_node y = cupel_batch_norm_train(x, gamma, beta, epsilon);
    if (cupel_is_poisoned(y))
        return y;
    const double count = (double)cupel_shape_count(src) / (double)src.dims[1];
    track(mean, cupel_node_output(y, 1), momentum);
    track(variance, cupel_scale(cupel_node_output(y, 2), count / (count - 1.0)), momentum);
    return y;
}
