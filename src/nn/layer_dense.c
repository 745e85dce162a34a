/*
 * Dense layer: y = x W^T + b on the last axis; and what all layers share. A layer named "fc" owns
 * "fc.weight" and "fc.bias" in the current scope. Test: tests/test_layers.c
 */
#include "nn/layer_internal.h"

bool layer_takes(cupel_node x, const char *kind, const char *name, int min_rank, int max_rank,
                 int64_t out) {
    if (cupel_is_none(x) || cupel_is_poisoned(x))
        return false;
    const cupel_shape shape = cupel_node_shape(x);
    char text[CUPEL_SHAPE_TEXT_SIZE];
    if (shape.rank < min_rank || shape.rank > max_rank) {
        (void)graph_fail(x.graph, CUPEL_STATUS_SHAPE,
                         "%s layer '%s': its input %s must have %d to %d axes", kind, name,
                         cupel_shape_format(text, shape), min_rank, max_rank);
        return false;
    }
    if (out < 1) {
        (void)graph_fail(x.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s layer '%s': %lld outputs; there must be at least 1", kind, name,
                         (long long)out);
        return false;
    }
    return true;
}

cupel_node layer_weight(cupel_graph *graph, const char *name, cupel_shape shape,
                        const cupel_layer_options *options) {
    const cupel_init plain = {.kind = CUPEL_INIT_TORCH};
    cupel_graph_enter(graph, name);
    const cupel_node weight = cupel_parameter(
        graph, "weight", shape,
        options != NULL && options->weight_init != NULL ? *options->weight_init : plain);
    cupel_graph_leave(graph);
    return weight;
}

cupel_node layer_bias(cupel_graph *graph, const char *name, int64_t out, int64_t fan_in,
                      const cupel_layer_options *options) {
    if (options != NULL && options->no_bias)
        return cupel_none();
    const cupel_init plain = {.kind = CUPEL_INIT_TORCH, .fan_in = fan_in};
    cupel_graph_enter(graph, name);
    const cupel_node bias = cupel_parameter(
        graph, "bias", CUPEL_SHAPE(out),
        options != NULL && options->bias_init != NULL ? *options->bias_init : plain);
    cupel_graph_leave(graph);
    return bias;
}

/* More than two axes are one matrix for the product, so that the weights' gradient is one product
 * too. */
cupel_node cupel_layer_dense(cupel_node x, const char *name, int64_t out,
                             const cupel_layer_options *options) {
    if (!layer_takes(x, "dense", name, 1, CUPEL_MAX_RANK, out))
        return cupel_is_none(x) ? x : graph_poisoned(x.graph);
    cupel_shape shape = cupel_node_shape(x);
    const int64_t in = shape.dims[shape.rank - 1];
    const cupel_node weight = layer_weight(x.graph, name, CUPEL_SHAPE(out, in), options);
    const cupel_node bias = layer_bias(x.graph, name, out, in, options);
    const cupel_node rows = shape.rank == 2 ? x : cupel_reshape(x, CUPEL_SHAPE(-1, in));
    cupel_node y = cupel_matmul(rows, weight, false, true);
    if (!cupel_is_none(bias))
        y = cupel_add(y, bias);
    shape.dims[shape.rank - 1] = out;
    return shape.rank == 2 ? y : cupel_reshape(y, shape);
}
