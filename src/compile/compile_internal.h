/*
 * The compiler's state and its passes. A pass reads c->list and leaves a new list in which every
 * node still follows its operands; nodes are never edited in place. Each pass is a file of its own.
 * Tests: tests/test_pass_*.c
 */
#ifndef CUPEL_COMPILE_INTERNAL_H
#define CUPEL_COMPILE_INTERNAL_H

#include "backend/backend.h"
#include "base/arena.h"
#include "compile/measure.h"
#include "cupel/program.h"
#include "graph/context_internal.h"
#include "graph/graph_internal.h"

/* A named root: what a program gives back. */
struct root {
    const char *name;
    struct edge edge;
};

/* How much is done to find a node's kernel, where no plan says which. */
enum effort {
    EFFORT_FIRST = 0, /* the first that accepts */
    EFFORT_COMPETE,   /* where several accept, the fastest */
    EFFORT_TIMED      /* the fastest, and a lone one is timed too */
};

struct compile {
    cupel_context *context;
    cupel_parameters *parameters;
    struct backend *backend;
    const cupel_compile_options *options;
    const char *name; /* of the program */
    cupel_type real;  /* F32, F64 or BF16 */
    cupel_type wide;  /* at least f32: what masters, inputs, outputs and statistics have */
    bool reference;
    int threads;
    struct arena arena; /* everything the program keeps: attrs, names, steps */
    struct node_list list;
    struct root *roots;
    size_t n_roots;
    /* Parallel to list once kernels are chosen: NULL for leaves and views. Owned. */
    struct kernel_plan **plans;
    size_t n_plans;
    bool *prologue; /* parallel to list once packs are in place */
    /* Plans by measured time: what was measured so far (NULL: by estimate), and the clock, which
     * tests replace. */
    struct measured *measured;
    measure_function measure;
    void *measure_user;
    enum effort effort;
    double limit; /* seconds, beyond which a node's time does not matter; with EFFORT_TIMED */
    struct cupel_error *error;
};

/* --- reading --- */
static inline const struct graph_node *compile_node(const struct compile *c, uint32_t id) {
    return &c->list.nodes[id];
}
static inline const cupel_desc *compile_desc(const struct compile *c, struct edge edge) {
    return &c->list.nodes[edge.node].outputs[edge.output];
}
bool node_is_leaf(const struct graph_node *node);
/* Whether a run may end at this op: guards, and ops from outside, whose run may fail. Variables are
 * written after all of these, so that a run which ended has changed nothing. */
bool op_may_end_run(const cupel_op *op);
/* Number of consumers of each edge, roots included: counts[first[node] + output]. In the arena. */
cupel_status count_uses(struct compile *c, const uint32_t *first, uint32_t **out);
/* first[node] = index of its output 0 among all edges; first[count] = number of edges. */
cupel_status number_edges(struct compile *c, uint32_t **out);
/* The view of a node for infer, flops and kernels, in the arena. */
cupel_status node_view(struct compile *c, const struct graph_node *node, cupel_op_view *out);

/* 1 + the operand whose memory output k may take by the op's row, 0: none; nodes of several parts
 * ask those. */
uint32_t op_in_place(const cupel_op *op, const void *attrs, uint32_t n_inputs, uint32_t k);

/* Floating-point operations of one run of the op: its row's figure, or one per output element; and
 * the bytes of its operands and results. */
double op_view_flops(const cupel_op_view *view);
size_t op_view_bytes(const cupel_op_view *view);

/* --- rewriting --- */
struct rewrite {
    struct compile *compile;
    struct node_list old;
    uint32_t *first;  /* edges of the old list */
    struct edge *map; /* old edge to new edge */
    bool *mapped;
    bool lost; /* an edge was asked for that was not mapped */
};
cupel_status rewrite_begin(struct rewrite *rewrite, struct compile *c);
/* The new edge of an old one, which must have been mapped: else rewrite_end() fails. */
struct edge rewrite_edge(struct rewrite *rewrite, struct edge old);
void rewrite_map(struct rewrite *rewrite, struct edge old, struct edge new_edge);
/* Copies old node id with mapped operands, maps its outputs. *out (may be NULL): its new id. */
cupel_status rewrite_keep(struct rewrite *rewrite, uint32_t id, uint32_t *out);
/* Maps the roots; frees the old list. Called also after a failure (status is passed on). */
cupel_status rewrite_end(struct rewrite *rewrite, cupel_status status);
/* Appends a new node to the new list; infers its outputs. attrs are copied into the arena. */
cupel_status emit_node(struct compile *c, const cupel_op *op, const void *attrs, const char *name,
                       size_t n_inputs, const struct edge *inputs, uint32_t *out);

/* --- the passes, in order --- */
cupel_status pass_validate(struct compile *c, cupel_graph *graph); /* checks and copies the graph */
cupel_status pass_prune(struct compile *c);
cupel_status pass_precision(struct compile *c);
cupel_status pass_simplify(struct compile *c);
cupel_status pass_fold_batch_norm(struct compile *c);
cupel_status pass_move_reshapes(struct compile *c); /* of flattened images, to their products */
cupel_status pass_fuse_image(struct compile *c);    /* products of flattened images */
cupel_status pass_join_images(struct compile *c);   /* two products of one image */
cupel_status pass_fuse(struct compile *c);
cupel_status pass_fuse_conv(struct compile *c);    /* a convolution, its chain, its sum */
cupel_status pass_fuse_update(struct compile *c);  /* an update with its gradient's product */
cupel_status pass_join_updates(struct compile *c); /* updates by one image */
cupel_status pass_sweep(struct compile *c);        /* neighbouring updates as one node */
cupel_status pass_swaps(struct compile *c);        /* variables assigned from one another */
cupel_status pass_choose(struct compile *c);       /* kernels and layouts */
cupel_status pass_pack(struct compile *c);
cupel_status pass_order(struct compile *c);
cupel_status pass_roots(struct compile *c); /* outputs that need memory of their own */
/* The last two: assign memory to values, and write down the steps. */
struct program_draft;
cupel_status pass_plan_memory(struct compile *c, struct program_draft *draft);
cupel_status pass_steps(struct compile *c, struct program_draft *draft);

/* --- choices of kernels --- */
/* The kernel that the plan has for the node, or else one of those that accept it, by c->effort;
 * NULL in *out if none does. reference_too: whether the reference kernel counts, which never
 * competes. The plan's cost is its measured time, where it was measured. */
cupel_status choose_kernel(struct compile *c, const struct graph_node *node, bool reference_too,
                           struct kernel_plan **out);
/* Records the choices that were made for a node that is kept. */
cupel_status record_kernel(struct compile *c, const struct graph_node *node,
                           const struct kernel_plan *plan);
void drop_kernel_plan(struct kernel_plan *plan);

/* What the last passes leave: the device's view and what the program needs beside it. All of it
 * lies in the compile arena. */
struct binding_slot {
    const char *name;
    cupel_desc desc;
    bool input;
    int64_t index_bound;
};

struct program_draft {
    struct exec_program exec;
    struct exec_step *steps;
    uint32_t n_steps;
    uint32_t *step_node; /* step to node of the list */
    struct exec_buffer *buffers;
    uint32_t n_buffers;
    uint32_t **node_buffers; /* node to buffer of each output */
    uint32_t *scratch;       /* node to buffer or UINT32_MAX */
    bool *skipped;           /* nodes that became no step: leaves, views, assigns in place */
    size_t arena_bytes;
    size_t live_bytes;
    size_t naive_bytes;
    bool buckets;                  /* gradients of each sweep lie side by side */
    size_t program_bytes;          /* constants and the prologue's results */
    size_t packed_bytes;           /* of them packed weights */
    struct binding_slot *bindings; /* inputs, then outputs */
    size_t n_bindings;
    struct cupel_variable **variables; /* slots of SPACE_VARIABLE */
    bool *assigned;                    /* per slot */
    bool *in_prologue;                 /* per slot: read by the prologue */
    size_t n_variables;
};

/* --- the planner, a pure function --- */
struct interval {
    size_t bytes;
    uint32_t first, last; /* steps, both included */
};
/* Offsets (multiples of 64) such that intervals which overlap in time do not overlap in memory. */
cupel_status plan_offsets(size_t n, const struct interval *intervals, size_t *offsets,
                          size_t *total, size_t *live_peak);

/* --- buckets of gradients --- */
/* Where the gradients of sweeps lie: buffer b is `within` bytes behind the start of buffer
 * leader[b] (itself where it is in no bucket), whose bytes and life span are then the bucket's.
 * bytes, first and last are per buffer and become the leader's; those of followers mean nothing. */
void join_buckets(const struct compile *c, const struct program_draft *draft, uint32_t *leader,
                  size_t *within, struct interval *intervals);

/* Internal ops, never in a user's graph. */
extern const cupel_op op_reorder; /* layout change of an image */
extern const cupel_op op_pack;    /* plain to or from a kernel's private form */
struct attrs_reorder {
    int64_t layout; /* wanted */
};
struct attrs_pack {
    const struct kernel_plan *plan;
    int64_t index;        /* in plan->packs */
    int64_t packed_bytes; /* of the output; 0 when unpacking to the plain desc below */
    cupel_desc plain;
};

#endif
