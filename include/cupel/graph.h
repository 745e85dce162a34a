/*
 * Graph: what is to be computed, written down once. Builders (ops.h, layers.h, ...) return a
 * cupel_node by value. A wrong shape returns a poisoned node, the graph keeps the first error with
 * its numbers and the caller's line, and every builder given a poisoned node returns one: model
 * code has no checks between its lines and one check at the end.
 *
 *   1. cupel_graph_create()
 *   2. inputs, parameters, ops, layers; cupel_graph_add_gradients(); optimisers; cupel_assign()
 *   3. cupel_graph_check(): the first error, if any
 *   4. cupel_program_compile() (program.h); after it the graph may be destroyed
 *   5. cupel_graph_destroy()
 */
#ifndef CUPEL_GRAPH_H
#define CUPEL_GRAPH_H

#include <cupel/parameters.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_graph cupel_graph;
struct cupel_op;

/* One output of one node. A value: copy it freely; it is valid as long as its graph. */
typedef struct cupel_node {
    cupel_graph *graph; /* NULL: no node ("none"), where a node is optional */
    uint32_t id;        /* CUPEL_NODE_POISON: the graph holds an error */
    uint32_t output;
} cupel_node;

#define CUPEL_NODE_POISON UINT32_MAX

/* No node: an optional operand that is left out. A builder that is given it for a needed operand
 * fails on the graph of its other operands; where none of them has a graph, there is nothing to
 * fail and the result is none too, which cupel_program_compile() refuses as an output. */
CUPEL_API cupel_node cupel_none(void);
CUPEL_API bool cupel_is_none(cupel_node node);
CUPEL_API bool cupel_is_poisoned(cupel_node node);

/* parameters may be NULL for a graph without variables. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_graph_create(cupel_graph **out, cupel_context *context,
                                                        cupel_parameters *parameters);
CUPEL_API cupel_status cupel_graph_destroy(cupel_graph *graph);
/* The status of the first error made while building, OK if none. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_graph_check(const cupel_graph *graph);
CUPEL_API const char *cupel_graph_error(const cupel_graph *graph);
CUPEL_API cupel_context *cupel_graph_context(const cupel_graph *graph);
CUPEL_API cupel_parameters *cupel_graph_parameters(const cupel_graph *graph);

/* Names made between enter and leave get "scope." in front. Scopes nest. */
CUPEL_API void cupel_graph_enter(cupel_graph *graph, const char *scope);
CUPEL_API void cupel_graph_leave(cupel_graph *graph);

/* The descriptor of a node's output (type REAL until compiled); NULL for a poisoned node. */
CUPEL_API const cupel_desc *cupel_node_desc(cupel_node node);
CUPEL_API cupel_shape cupel_node_shape(cupel_node node);
/* Another output of the same node. */
CUPEL_API cupel_node cupel_node_output(cupel_node node, uint32_t output);
CUPEL_API const char *cupel_node_name(cupel_node node);
/* Gives a node a (scoped) name for messages, prints and cupel_graph_find(); returns the node.
 * A duplicate name is an error, as is one with a #, which only automatic names have. */
CUPEL_API cupel_node cupel_named(cupel_node node, const char *name);
/* The node of that full name; poisons (NAME) when there is none. */
CUPEL_API cupel_node cupel_graph_find(cupel_graph *graph, const char *name);

/* A fixed input of the program, written through bindings before each run under its name, which has
 * no spaces and is that of no parameter in the graph. Indices (I64) carry
 * the bound they are checked against when written: cupel_input_index(). REAL inputs are bound as
 * f32 (f64 in an f64 program). */
CUPEL_API cupel_node cupel_input(cupel_graph *graph, const char *name, cupel_type type,
                                 cupel_shape shape);
/* I64 indices in [0, bound). */
CUPEL_API cupel_node cupel_input_index(cupel_graph *graph, const char *name, cupel_shape shape,
                                       int64_t bound);

/* A REAL scalar constant. Values that change between runs are inputs, never constants. */
CUPEL_API cupel_node cupel_scalar(cupel_graph *graph, double value);
/* Every element the same. type may be REAL. */
CUPEL_API cupel_node cupel_full(cupel_graph *graph, cupel_type type, cupel_shape shape,
                                double value);
/* Plain data, copied; type must be concrete except that REAL takes doubles. */
CUPEL_API cupel_node cupel_constant(cupel_graph *graph, cupel_type type, cupel_shape shape,
                                    const void *data);

/* A trainable variable, declared by get-or-create under the scoped name; the node reads its value
 * as it was before the run. Asking again (here or in another graph) gives the same variable;
 * another shape, type or kind (trainable, state, training state) poisons. After the seal an unknown
 * name poisons. */
CUPEL_API cupel_node cupel_parameter(cupel_graph *graph, const char *name, cupel_shape shape,
                                     cupel_init init);
/* A variable that is not trained: running statistics (model state). type may be REAL. */
CUPEL_API cupel_node cupel_state(cupel_graph *graph, const char *name, cupel_type type,
                                 cupel_shape shape, cupel_init init);
/* A variable of the training process (moments, tables, counters): not part of the model's
 * weights. */
CUPEL_API cupel_node cupel_training_state(cupel_graph *graph, const char *name, cupel_type type,
                                          cupel_shape shape, cupel_init init);
/* A variable that exists, by its full name. */
CUPEL_API cupel_node cupel_variable(cupel_graph *graph, const char *name);

/* The variable takes the value when the run has succeeded past all guards; reads in this run see
 * the old one. One assign per variable per graph. Assigns are roots: they run without being asked
 * for. Without any node (none, none) nothing happens. */
CUPEL_API void cupel_assign(cupel_node variable, cupel_node value);
/* The run stops with NOT_FINITE, having changed nothing, when this scalar is NaN or infinite. None
 * guards nothing. */
CUPEL_API void cupel_guard(cupel_node scalar);

/* Adds adjoint nodes to the graph: out[i] = d loss / d wrt[i], for a scalar loss and any nodes.
 * Callable repeatedly. A wrt that the loss does not reach, or only through ops without a gradient,
 * is an error by name (INVALID_ARGUMENT; the op is named too). Status is that of the graph. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_graph_add_gradients(cupel_graph *graph, cupel_node loss,
                                                               size_t n, const cupel_node *wrt,
                                                               cupel_node *out);
/* All trainable variables read in this graph whose full name starts with prefix ("" for all), in
 * declaration order: at most max of them go to out; returns how many there are. */
CUPEL_API size_t cupel_graph_trainable(cupel_graph *graph, const char *prefix, size_t max,
                                       cupel_node *out);

/* What the adjoint of an op (op.h) gets: it builds nodes for diff_inputs[i] where wanted[i]. */
typedef struct cupel_adjoint {
    cupel_graph *graph;
    const void *attrs;
    int n_inputs;
    const cupel_node *inputs;
    int n_outputs;
    const cupel_node *outputs;
    const cupel_node *diff_outputs; /* none where the loss does not depend on that output */
    const bool *wanted;             /* per input */
    /* All none at entry. Each that is set has its input's shape; one that is wanted and left none
     * adds nothing, as a gradient of zero does (a wrt to which nothing is added is refused). An
     * operand that should have a gradient, but has none, fails instead. */
    cupel_node *diff_inputs;
} cupel_adjoint;

/* Appends an op by descriptor: the way for operations from outside; built-in ones have builders.
 * attrs: op->attr_size bytes, copied. The node returned is output 0. */
CUPEL_API cupel_node cupel_apply(cupel_graph *graph, const struct cupel_op *op, const void *attrs,
                                 size_t n_inputs, const cupel_node *inputs);
/* Records an error found by a builder outside the library and returns a poisoned node. */
CUPEL_API cupel_node cupel_graph_poison(cupel_graph *graph, cupel_status status, const char *format,
                                        ...) CUPEL_PRINTF(3, 4);

/* Remembers the caller's line for the next builder call of this thread (used by the macros). */
CUPEL_API void cupel_here(const char *file, int line);

#ifndef CUPEL_LIBRARY
/* Each builder is a function and a macro of the same name that adds the caller's file and line. */
#define cupel_input(...) (cupel_here(__FILE__, __LINE__), (cupel_input)(__VA_ARGS__))
#define cupel_input_index(...) (cupel_here(__FILE__, __LINE__), (cupel_input_index)(__VA_ARGS__))
#define cupel_scalar(...) (cupel_here(__FILE__, __LINE__), (cupel_scalar)(__VA_ARGS__))
#define cupel_full(...) (cupel_here(__FILE__, __LINE__), (cupel_full)(__VA_ARGS__))
#define cupel_constant(...) (cupel_here(__FILE__, __LINE__), (cupel_constant)(__VA_ARGS__))
#define cupel_parameter(...) (cupel_here(__FILE__, __LINE__), (cupel_parameter)(__VA_ARGS__))
#define cupel_state(...) (cupel_here(__FILE__, __LINE__), (cupel_state)(__VA_ARGS__))
#define cupel_training_state(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_training_state)(__VA_ARGS__))
#define cupel_variable(...) (cupel_here(__FILE__, __LINE__), (cupel_variable)(__VA_ARGS__))
#define cupel_named(...) (cupel_here(__FILE__, __LINE__), (cupel_named)(__VA_ARGS__))
#define cupel_node_output(...) (cupel_here(__FILE__, __LINE__), (cupel_node_output)(__VA_ARGS__))
#define cupel_graph_find(...) (cupel_here(__FILE__, __LINE__), (cupel_graph_find)(__VA_ARGS__))
#define cupel_graph_enter(...) (cupel_here(__FILE__, __LINE__), (cupel_graph_enter)(__VA_ARGS__))
#define cupel_graph_leave(...) (cupel_here(__FILE__, __LINE__), (cupel_graph_leave)(__VA_ARGS__))
#define cupel_assign(...) (cupel_here(__FILE__, __LINE__), (cupel_assign)(__VA_ARGS__))
#define cupel_guard(...) (cupel_here(__FILE__, __LINE__), (cupel_guard)(__VA_ARGS__))
#define cupel_apply(...) (cupel_here(__FILE__, __LINE__), (cupel_apply)(__VA_ARGS__))
#define cupel_graph_add_gradients(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_graph_add_gradients)(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
