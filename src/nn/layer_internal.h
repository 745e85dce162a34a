/*
 * What the layers share: their variables' initial values. Test: tests/test_layers.c
 */
#ifndef CUPEL_LAYER_INTERNAL_H
#define CUPEL_LAYER_INTERNAL_H

#include "cupel/layers.h"
#include "graph/graph_internal.h"

/* Declares "<name>.weight" in the current scope. */
cupel_node layer_weight(cupel_graph *graph, const char *name, cupel_shape shape,
                        const cupel_layer_options *options);
/* Declares "<name>.bias" of `out` values; none where the options say so. */
cupel_node layer_bias(cupel_graph *graph, const char *name, int64_t out, int64_t fan_in,
                      const cupel_layer_options *options);
/* Whether a layer can be built on x: a node of at least min_rank axes, and out >= 1. Fails the
 * graph with the layer's kind and name otherwise. */
bool layer_takes(cupel_node x, const char *kind, const char *name, int min_rank, int max_rank,
                 int64_t out);

#endif
