/*
 * Op descriptors: everything the engine knows about an operation, in one constant. Built-in ops are
 * such constants too (src/op/, listed in op_list.inc); cupel_context_register_op() adds others from
 * outside, which run on plain host layouts and are opaque to fusion.
 *
 *   1. define a `static const cupel_op` with infer, adjoint (or NULL) and run
 *   2. cupel_context_register_op() (context.h)
 *   3. cupel_apply() it in graphs (graph.h)
 */
#ifndef CUPEL_OP_H
#define CUPEL_OP_H

#include <cupel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_OP_VERSION = 1, CUPEL_OP_MAX_OUTPUTS = 8 };

/* The operands of one node: what infer, flops, and kernels see. */
typedef struct cupel_op_view {
    const struct cupel_op *op;
    const void *attrs;
    const char *name; /* of the node */
    int n_inputs;
    const cupel_desc *inputs;
    int n_outputs;
    cupel_desc *outputs; /* infer fills type and shape */
    void *sink;          /* where cupel_op_fail() writes */
} cupel_op_view;

/* Records the sentence and returns status; the op's and the node's names are put before it. */
CUPEL_API cupel_status cupel_op_fail(const cupel_op_view *view, cupel_status status,
                                     const char *format, ...) CUPEL_PRINTF(3, 4);

/* What an adjoint gets: nodes, so it stands in graph.h. */
typedef struct cupel_adjoint cupel_adjoint;

/* One execution on plain host memory. */
typedef struct cupel_op_call {
    const void *attrs;
    int n_inputs;
    const cupel_desc *input_descs; /* types resolved: F32, F64, ... */
    const void *const *inputs;
    int n_outputs;
    const cupel_desc *output_descs;
    void *const *outputs; /* never overlap the inputs, unless the row's in_place says so */
    int threads;
} cupel_op_call;

typedef enum cupel_op_flag {
    /* Each output element depends on the operands at its index, under broadcasting; may be fused
     * into a chain. */
    CUPEL_OP_ELEMENTWISE = 1u << 0,
    CUPEL_OP_RANDOM = 1u << 1,      /* never merged with another node */
    CUPEL_OP_EFFECT = 1u << 2,      /* assign, guard: roots, never merged or pruned */
    CUPEL_OP_NO_GRADIENT = 1u << 3, /* gradients stop here by design (stop_gradient, compare) */
    /* The adjoint reads the inputs; the outputs. One that reads what is not declared is a BUG. */
    CUPEL_OP_ADJOINT_SRC = 1u << 4,
    CUPEL_OP_ADJOINT_DST = 1u << 5,
    /* Output 0 is input 0's bytes with another shape (reshape); built-in ops only: never run. */
    CUPEL_OP_VIEW = 1u << 6
} cupel_op_flag;

/* What becomes of a NaN in an input. */
typedef enum cupel_nan_rule {
    CUPEL_NAN_PROPAGATES = 0, /* every output element it takes part in is NaN */
    CUPEL_NAN_COMPARES = 1,   /* comparisons with NaN are false (not-equal: true) */
    CUPEL_NAN_MOVES = 2,      /* elements are copied, never computed with */
    CUPEL_NAN_STOPS = 3       /* the run ends with NOT_FINITE (guard) */
} cupel_nan_rule;

/* The types an op computes in when the program's real type is low (bf16). */
typedef enum cupel_precision {
    CUPEL_PRECISION_WIDE = 0,   /* at least f32: statistics, reductions, losses, updates, samples */
    CUPEL_PRECISION_FOLLOW = 1, /* the program's real type in and out */
    CUPEL_PRECISION_KEEP = 2    /* whatever type its first operand has (moves, shapes) */
} cupel_precision;

typedef struct cupel_op {
    size_t size;      /* sizeof(cupel_op) */
    uint32_t version; /* CUPEL_OP_VERSION */
    const char *name; /* "leaky_relu" */
    size_t attr_size; /* bytes of attributes, compared as bytes: zero the padding */
    int min_inputs;
    int max_inputs; /* -1: any number */
    int n_outputs;
    uint32_t flags; /* cupel_op_flag */
    cupel_nan_rule nan_rule;
    cupel_precision precision;
    /* in_place[k] = 1 + i: output k may share memory with input i (equal descs); 0: never */
    uint8_t in_place[CUPEL_OP_MAX_OUTPUTS];
    /* Bit masks of the operands that are images (N C H W) and may come in a blocked layout where a
     * kernel takes it. Elementwise ops need none: their full-shape operands share one layout. */
    uint32_t image_inputs;
    uint32_t image_outputs;
    /* Checks the operands and fills type and shape of every output. */
    cupel_status (*infer)(const cupel_op_view *view);
    /* NULL: no gradient; asking for one is an error that says so by name. */
    cupel_status (*adjoint)(const cupel_adjoint *adjoint);
    /* Floating-point operations of one run; NULL: one per output element. */
    double (*flops)(const cupel_op_view *view);
    /* For ops from outside: runs on plain host memory. NULL in built-in ops, which have kernels. */
    cupel_status (*run)(const cupel_op_call *call);
} cupel_op;

#ifdef __cplusplus
}
#endif
#endif
