/*
 * Seeded random expression graphs: a few real inputs and variables, then nodes picked at random
 * from arithmetic, moves, reductions, products and batch norm, all of rank 2 and of moderate size
 * in value. One seed gives one graph, on every machine.
 *
 *   struct random_graph r;
 *   random_graph_build(&r, graph, (struct random_graph_options){.seed = 7, .nodes = 40});
 *   ... r.loss, r.outputs[0 .. r.n_outputs) ...
 *   random_graph_write(&r, bindings, 3);            values of all inputs, from a seed
 */
#ifndef CUPEL_TESTS_RANDOM_GRAPH_H
#define CUPEL_TESTS_RANDOM_GRAPH_H

#include <cupel/ops.h>
#include <cupel/program.h>

enum { RANDOM_GRAPH_NODES = 400, RANDOM_GRAPH_INPUTS = 6, RANDOM_GRAPH_OUTPUTS = 6 };

struct random_graph_options {
    uint64_t seed;
    int nodes;       /* picked; composites add a few */
    bool smooth;     /* no kinks, so that finite differences hold */
    bool variables;  /* reads parameters (the graph needs a set) */
    bool assigns;    /* assigns them too: other nodes, or one another */
    bool randomness; /* samples and dropout; makes the inputs seed, step and rows */
    int64_t scale;   /* extents are 1 to 6 times this; 0: 1 */
};

struct random_graph {
    int count;
    cupel_node nodes[RANDOM_GRAPH_NODES];
    int n_inputs;
    cupel_node inputs[RANDOM_GRAPH_INPUTS]; /* "x0", "x1", ... */
    int n_variables;
    cupel_node variables[RANDOM_GRAPH_INPUTS]; /* "v0", "v1", ... */
    cupel_node loss;                           /* reads every node that nothing else reads */
    int n_outputs;
    cupel_output outputs[RANDOM_GRAPH_OUTPUTS]; /* "y0", ...: leaves, views and twins among them */
    uint64_t state;
};

void random_graph_build(struct random_graph *r, cupel_graph *graph,
                        struct random_graph_options options);
/* Writes those inputs that the program kept. */
void random_graph_write(const struct random_graph *r, cupel_bindings *bindings, uint64_t seed);

/* Numbers for tests: a stream from *state; below n; uniform in [low, high). */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t n);
double random_between(uint64_t *state, double low, double high);

#endif
