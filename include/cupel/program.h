/*
 * Program: a graph compiled for one device; run many times. It no longer needs its graph, allocates
 * nothing when run, and several programs share one parameter set.
 *
 *   1. cupel_program_compile()
 *   2. cupel_workspace_create() once, cupel_workspace_reserve() for each program
 *   3. cupel_bindings_create(), cupel_bindings_write() or _lend() the inputs
 *   4. cupel_program_run()
 *   5. cupel_bindings_read() the outputs
 *   6. destroy bindings, workspace, program in this order
 *
 * Two runs at once on one workspace, one program or one bindings object are refused (BUG). The
 * status says it alone: no sentence is left on an object that another thread's run may be writing
 * to.
 */
#ifndef CUPEL_PROGRAM_H
#define CUPEL_PROGRAM_H

#include <stdio.h>

#include <cupel/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_program cupel_program;
typedef struct cupel_workspace cupel_workspace;
typedef struct cupel_bindings cupel_bindings;
typedef struct cupel_plan cupel_plan;

typedef struct cupel_output {
    const char *name;
    cupel_node node;
} cupel_output;

typedef enum cupel_plan_method {
    CUPEL_PLAN_ESTIMATE = 0, /* the first kernel of each list that accepts */
    /* Kernels compete by measured time on this machine, regions of convolutions are tried in every
     * layout, and fused nodes are compared with their parts. Compiling takes seconds, and its
     * outcome is not the same twice: keep it in a plan. */
    CUPEL_PLAN_MEASURE = 1
} cupel_plan_method;

/* Right when zeroed, but for the outputs. */
typedef struct cupel_compile_options {
    const char *name;            /* of the program, in plans, logs and messages; NULL: "program" */
    const cupel_output *outputs; /* roots, beside the graph's assigns and guards */
    size_t n_outputs;
    cupel_type real; /* what REAL becomes: F32 (also when 0 = REAL), F64 or BF16 */
    bool reference;  /* second compile for checks: no fusion, plain layouts, own buffer for every
                           value, fp64-accumulating kernels; node names join it to the fast one */
    /* A program with a library kernel that is planned for a number of threads runs with exactly
     * that number. */
    int threads;              /* the most a run may use; 0: 1 */
    cupel_plan_method method; /* for what the plan does not have */
    /* Choices of kernels: read, and extended by what was chosen; or NULL. A node that it does not
     * have takes the kernel and layout of one with the same name and op, where there is one. */
    cupel_plan *plan;
    /* No convolutions by transformed tiles (Winograd): exact to the rounding of a plain sum, a NaN
     * reaches no result that does not read it, and two to three times as slow where they would be
     * taken. Goes before the plan. */
    bool no_winograd;
} cupel_compile_options;

/* The sentence of a failure is on the graph (cupel_graph_error) as well as on the context. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_program_compile(cupel_program **out, cupel_graph *graph,
                                                           const cupel_compile_options *options);
/* BUG while bindings made for it are alive. */
CUPEL_API cupel_status cupel_program_destroy(cupel_program *program);
CUPEL_API const char *cupel_program_error(const cupel_program *program);

/* Called after each step of a reference program with a host copy of each of its outputs, in a
 * thread that flushes denormal numbers to zero. Returning anything but OK stops the run with it. */
typedef cupel_status (*cupel_visitor)(void *user, const char *node, const char *op, uint32_t output,
                                      const cupel_desc *desc, const void *values);

/* When a step of a run began and ended, in seconds since the run began; both 0: it did not run. */
typedef struct cupel_step_time {
    double begin, end;
} cupel_step_time;

/* Right when zeroed. */
typedef struct cupel_run_options {
    int threads;           /* 0: what the program was compiled for */
    cupel_visitor visitor; /* reference programs only */
    void *visitor_user;
    bool stop_at_non_finite; /* reference programs only: NOT_FINITE at the first, naming the node */
    /* As many as the program has steps, filled in; NULL: nothing is timed. Not with a visitor. */
    cupel_step_time *times;
} cupel_run_options;

/* options may be NULL. NOT_FINITE: a guard stopped the run and no variable changed. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_program_run(cupel_program *program,
                                                       cupel_bindings *bindings,
                                                       cupel_workspace *workspace,
                                                       const cupel_run_options *options);

typedef struct cupel_program_info {
    size_t planned_bytes;               /* of the arena */
    size_t live_bytes;                  /* the largest sum of live bytes over the compiled order */
    size_t naive_bytes;                 /* if every value had its own buffer */
    size_t packed_bytes;                /* weights in the kernels' own forms, kept by the program */
    size_t memory_bytes;                /* all that a run has: arena, variables, inputs, ... */
    double flops;                       /* floating-point operations of one run */
    size_t steps;                       /* kernels run */
    size_t reorders;                    /* of them changes of layout */
    size_t reference_steps_over_1mflop; /* reference kernels with more than 1 MFLOP */
} cupel_program_info;

CUPEL_API cupel_program_info cupel_program_get_info(const cupel_program *program);

/* One of a program's steps; the texts are borrowed from it. */
typedef struct cupel_step_info {
    const char *node, *op, *kernel;
    double flops;  /* floating-point operations, counted as the op's formula has them */
    size_t bytes;  /* of operands and results, each once */
    int threads;   /* the most it uses */
    bool prologue; /* runs only when a variable that it reads was written */
} cupel_step_info;

/* index: in the order of running, below info.steps; beyond that all is zero. */
CUPEL_API cupel_step_info cupel_program_get_step(const cupel_program *program, size_t index);
/* Order, kernels, layouts, reorders, memory map, FLOPs and bytes per node; its "program hash" is
 * cupel_program_hash(). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_program_print(const cupel_program *program,
                                                         FILE *stream);
/* Fingerprint of order, kernels and layouts: equal programs, equal hash. cupel_plan_hash() is
 * another thing: of the choices alone, as plan.json has them. */
CUPEL_API uint64_t cupel_program_hash(const cupel_program *program);

/* --- workspace: scratch memory for runs, shared by programs that run one after the other --- */
CUPEL_API CUPEL_CHECKED cupel_status cupel_workspace_create(cupel_workspace **out,
                                                            cupel_context *context);
CUPEL_API cupel_status cupel_workspace_destroy(cupel_workspace *workspace);
/* Grows it to what the program needs; a run never does. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_workspace_reserve(cupel_workspace *workspace,
                                                             const cupel_program *program);
CUPEL_API const char *cupel_workspace_error(const cupel_workspace *workspace);

/* --- bindings: the fixed inputs and outputs of a program --- */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_create(cupel_bindings **out,
                                                           cupel_program *program);
CUPEL_API cupel_status cupel_bindings_destroy(cupel_bindings *bindings);
CUPEL_API const char *cupel_bindings_error(const cupel_bindings *bindings);
/* Whole values; bytes must be exact. NAME for an unknown input, INVALID_ARGUMENT for an index out
 * of its bound (value and place are named). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_write(cupel_bindings *bindings,
                                                          const char *input, const void *values,
                                                          size_t bytes);
/* The same without a copy, where the device reads the host's memory and the values begin at a
 * multiple of 64 bytes; elsewhere they are copied. They must stay where they are, unchanged, for
 * all runs until the input is written or lent again. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_lend(cupel_bindings *bindings,
                                                         const char *input, const void *values,
                                                         size_t bytes);
/* An input of one element of any type from a double: INVALID_ARGUMENT where its type does not have
 * that value, SHAPE for an input of more elements. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_write_scalar(cupel_bindings *bindings,
                                                                 const char *input, double value);
/* The same for an input of an integer type; TYPE for a real one. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_write_u64(cupel_bindings *bindings,
                                                              const char *input, uint64_t value);
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_read(cupel_bindings *bindings,
                                                         const char *output, void *values,
                                                         size_t bytes);
/* Reads an output of one element of any type as a double; SHAPE for an output of more. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_bindings_read_scalar(cupel_bindings *bindings,
                                                                const char *output, double *value);
/* Descriptor of an input or output (types resolved); NULL when there is none. */
CUPEL_API const cupel_desc *cupel_bindings_desc(const cupel_bindings *bindings, const char *name);

#ifdef __cplusplus
}
#endif
#endif
