/*
 * The graph's inside: nodes in an arena, in an order in which every node comes after its operands.
 * The same node list is what the compiler's passes read and write. Test: tests/test_graph.c
 */
#ifndef CUPEL_GRAPH_INTERNAL_H
#define CUPEL_GRAPH_INTERNAL_H

#include "base/arena.h"
#include "base/error.h"
#include "cupel/graph.h"
#include "cupel/op.h"

struct cupel_variable;

/* One operand: an output of an earlier node. */
struct edge {
    uint32_t node;
    uint32_t output;
};

struct graph_node {
    const cupel_op *op;
    const void *attrs; /* op->attr_size bytes */
    uint32_t n_inputs;
    uint32_t n_outputs;
    struct edge *inputs;
    cupel_desc *outputs;
    const char *name; /* scoped; given or made from op and id; unique */
    bool named;       /* given by the user */
    const char *file; /* the builder call's line */
    int line;
    struct cupel_variable *variable; /* of variable and assign nodes */
    const void *data; /* of constants: one element (uniform) or all, as doubles for REAL */
    size_t data_size;
    bool data_real;      /* data are doubles, to be rounded to the program's type */
    int64_t index_bound; /* of I64 values: all are in [0, bound); 0: unknown */
};

struct node_list {
    struct graph_node *nodes;
    size_t count;
    size_t capacity;
};

/* How many nodes of an op have an automatic name in a scope. */
struct unnamed_count {
    uint64_t key; /* of scope and op */
    uint32_t count;
};

struct cupel_graph {
    cupel_context *context;
    cupel_parameters *parameters;
    struct arena arena;
    struct node_list list;
    struct cupel_error error;
    char *scope; /* "encoder.block1." or NULL for none */
    size_t scope_length;
    size_t scope_capacity;
    size_t *scope_starts; /* where each entered scope begins: its name may hold dots */
    size_t scope_depth;
    size_t scope_starts_capacity;
    uint32_t *named; /* ids of the nodes the user named */
    size_t n_named;
    size_t named_capacity;
    struct unnamed_count *unnamed; /* of each op in each scope */
    size_t n_unnamed;
    size_t unnamed_capacity;
};

/* The builder behind every public one: checks operands, copies attrs, infers, appends. Name NULL
 * for an automatic one. Optional operands that are none must be left out by the caller. */
cupel_node graph_add(cupel_graph *graph, const cupel_op *op, const char *name, const void *attrs,
                     size_t n_inputs, const cupel_node *inputs);
/* Appends an empty node at the end of the list; NULL when memory is refused. */
struct graph_node *node_list_append(struct node_list *list);
struct graph_node *graph_node_at(const cupel_graph *graph, uint32_t id);
/* A node of no operands with one output of that descriptor. */
cupel_node graph_add_leaf(cupel_graph *graph, const cupel_op *op, const char *name,
                          cupel_desc desc);
cupel_node graph_poisoned(cupel_graph *graph);
/* Whether a node has that full name; *out is the node. */
bool graph_has(const cupel_graph *graph, const char *name, cupel_node *out);
/* Records the first error with the caller's line; without a graph, nothing: returns none. */
cupel_node graph_fail(cupel_graph *graph, cupel_status status, const char *format, ...)
    CUPEL_PRINTF(3, 4);
/* "scope.name" in the graph's arena, NULL when memory is refused (already recorded). */
const char *graph_scoped(cupel_graph *graph, const char *name);

#endif
