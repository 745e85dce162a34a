/*
 * The interface between the compiler above and the devices below: kernels, memory, and the
 * execution of a compiled list of steps. Nothing above this line reads through a device pointer.
 *
 * A kernel is {op, name, accept, plan, run, drop}. accept() is one boolean expression, a condition
 * a line, each with its reason. Kernels of an op stand in a list from the most special to the
 * reference, which takes everything in plain layouts; dispatch happens once, when a program is
 * compiled. Test: tests/test_dispatch.c, tests/test_device_*.c
 */
#ifndef CUPEL_BACKEND_H
#define CUPEL_BACKEND_H

#include "base/error.h"
#include "cupel/op.h"

enum { KERNEL_MAX_OPERANDS = 80, KERNEL_MAX_PACKS = 4 };

/* What a kernel is asked to take: the node with resolved types and layouts. */
struct kernel_request {
    cupel_op_view view;
    int threads; /* the most a run will use */
};

/* One operand that the kernel wants in (or makes in) a private form. */
struct kernel_pack {
    int operand; /* index of the input (pack) or output (unpack) */
    bool output;
    size_t bytes; /* of the private form */
};

struct kernel;
struct cupel_log;

/* A kernel made ready for one node. Immutable once the program is compiled. */
struct kernel_plan {
    const struct kernel *kernel;
    void *state;          /* the kernel's own, freed by drop */
    size_t scratch_bytes; /* 64-byte aligned scratch wanted at each run */
    int threads;          /* planned for */
    double cost;          /* estimated seconds; 0: unknown */
    int n_packs;
    struct kernel_pack packs[KERNEL_MAX_PACKS];
    const char *detail; /* for prints and traces: a library's own name of the code; or NULL */
};

struct kernel_call {
    const cupel_op_view *view;
    const void *const *inputs; /* an operand with a pack: its private form */
    void *const *outputs;
    void *scratch;
    int threads;
};

enum kernel_flag {
    KERNEL_REFERENCE = 1u << 0,
    /* A library's: runs on its own pool, always with the threads it was planned for. */
    KERNEL_FIXED_THREADS = 1u << 1,
    KERNEL_VARIABLE_BITS = 1u << 2, /* bits may change with the number of threads */
    /* A convolution by transformed tiles. It loses a few times what a direct one loses, and a NaN
     * or an infinity that a tile reads reaches all its results, as NaN. */
    KERNEL_WINOGRAD = 1u << 3
};

struct kernel {
    const char *op;    /* op->name */
    const char *name;  /* "onednn:direct", "vec:chain", "ref" */
    uint32_t revision; /* grows when its bits change */
    uint32_t flags;
    /* NULL: always. Says why not through *why (a constant sentence). */
    bool (*accept)(const struct kernel_request *request, const char **why);
    /* NULL: nothing to prepare. UNSUPPORTED declines after all. */
    cupel_status (*plan)(struct kernel_plan *plan, const struct kernel_request *request,
                         struct cupel_error *error);
    cupel_status (*run)(const struct kernel_plan *plan, const struct kernel_call *call);
    /* Plain to private form of packs[index], or back for an output. */
    cupel_status (*pack)(const struct kernel_plan *plan, int index, const void *from, void *to);
    void (*drop)(struct kernel_plan *plan);
};

/* Evaluates conditions in order; the first that fails gives its reason:
 *     return KERNEL_REQUIRE(x->layout == CUPEL_LAYOUT_PLAIN, "src is not plain") && ... */
#define KERNEL_REQUIRE(condition, reason) ((condition) || (*why = (reason), false))

/* Where a buffer of a program lies. */
enum memory_space {
    SPACE_ARENA = 0,    /* workspace, offset planned */
    SPACE_BINDING = 1,  /* inputs and outputs */
    SPACE_VARIABLE = 2, /* parameters */
    SPACE_PROGRAM = 3   /* constants and packed forms */
};

/* A step as the device sees it. */
struct exec_step {
    const char *name; /* of the node */
    cupel_op_view view;
    struct kernel_plan plan;
    int pack_of; /* -1, or index into the pack list of pack_plan: run plan.kernel->pack */
    const struct kernel_plan *pack_plan;
    uint32_t n_buffers;      /* inputs, then outputs, then scratch (may be absent) */
    const uint32_t *buffers; /* indices into exec_program.buffers */
    uint32_t scratch;        /* buffer index or UINT32_MAX */
    bool prologue;           /* reruns only when a variable's version moved */
    uint32_t n_after;        /* steps that must have run before this one */
    const uint32_t *after;
    uint32_t n_ends; /* buffers whose planned life ends after this step */
    const uint32_t *ends;
};

struct exec_buffer {
    enum memory_space space;
    size_t offset; /* in the arena or in the program's constant block */
    size_t bytes;
    uint32_t slot; /* binding or variable index */
};

struct exec_program {
    const char *name;
    uint32_t n_steps;
    const struct exec_step *steps;
    uint32_t n_buffers;
    const struct exec_buffer *buffers;
};

/* One run. addresses[i] is the device address of buffers[i]. */
struct exec_frame {
    const struct exec_program *program;
    void *const *addresses;
    int threads;
    bool run_prologue;
    /* After each step, in reference mode; NULL otherwise. */
    cupel_status (*after_step)(void *user, uint32_t step);
    void *after_step_user;
    uint32_t failed_step; /* set by execute: the step that returned the failure */
    struct cupel_error *error;
};

struct backend {
    const char *name;
    /* Memory of the device, 64-byte aligned, zeroed; NULL when refused. */
    void *(*allocate)(struct backend *backend, size_t bytes);
    void (*release)(struct backend *backend, void *memory, size_t bytes);
    void (*write)(struct backend *backend, void *to, const void *from_host, size_t bytes);
    void (*read)(struct backend *backend, void *to_host, const void *from, size_t bytes);
    bool reads_host; /* kernels can read the host's memory, where it is aligned as the device's */
    /* All kernels for an op, most special first, NULL at the end. */
    const struct kernel *const *(*kernels)(struct backend *backend, const char *op);
    /* Preferred channel block (16, 8) or 1 when this device has no blocked kernels. */
    int channel_block;
    /* Runs the steps; by default in order (backend_execute_in_order). */
    cupel_status (*execute)(struct backend *backend, struct exec_frame *frame);
    void (*destroy)(struct backend *backend);
    void *user;
    /* Tells what the user asked of this device in vain; NULL: nothing can be asked. */
    void (*check_environment)(const struct cupel_log *log);
    /* What the bits of its kernels depend on, recorded in plans; NULL: nothing. */
    const char *instruction_set; /* "avx512" */
    const char *kernel_library;  /* "oneDNN 2.6.3" */
};

/* "cpu" and "reference"; NULL with status for others. Tests make their own and give it to
 * context_create_with_backend() (context_internal.h). */
cupel_status backend_create(struct backend **out, const char *name);
/* The building blocks of host devices. */
void *backend_host_allocate(struct backend *backend, size_t bytes);
void backend_host_release(struct backend *backend, void *memory, size_t bytes);
void backend_host_write(struct backend *backend, void *to, const void *from_host, size_t bytes);
void backend_host_read(struct backend *backend, void *to_host, const void *from, size_t bytes);
cupel_status backend_execute_in_order(struct backend *backend, struct exec_frame *frame);
/* Runs one step on the calling thread. */
cupel_status backend_run_step(struct exec_frame *frame, uint32_t step);

/* The reference kernels of an op (one), the cpu backend's (own and library kernels, reference
 * last). */
const struct kernel *const *ref_kernels(struct backend *backend, const char *op);
/* The device "reference": these, and kernels for the compiler's own ops (fused, sweep, ...). */
const struct kernel *const *ref_device_kernels(struct backend *backend, const char *op);
const struct kernel *const *cpu_kernels(struct backend *backend, const char *op);
/* The channel block that suits this processor's vectors: 16, 8, or 1. */
int cpu_channel_block(void);
/* Warns of names in CUPEL_DISABLE and CUPEL_ISA that match nothing. */
void cpu_check_environment(const struct cupel_log *log);
/* "avx512", and "oneDNN 2.6.3". */
const char *cpu_instruction_set(void);
const char *cpu_kernel_library(void);

#endif
