/*
 * The inside of program, workspace and bindings. Test: tests/test_program.c
 */
#ifndef CUPEL_PROGRAM_INTERNAL_H
#define CUPEL_PROGRAM_INTERNAL_H

#include <stdatomic.h>

#include "compile/compile_internal.h"

struct cupel_program {
    cupel_context *context;
    cupel_parameters *parameters;
    struct arena arena; /* of the compile: attrs, names, steps, buffers */
    struct program_draft draft;
    struct node_list list;
    struct kernel_plan **plans;
    size_t n_plans;
    const char *name;
    bool reference;
    int threads;
    int most_threads;   /* of any step */
    bool fixed_threads; /* some kernel runs with its planned threads only */
    void *memory;       /* SPACE_PROGRAM */
    void **addresses;   /* per buffer, filled at each run */
    uint64_t *seen;     /* per variable: version at the prologue's last run */
    bool prologue_valid;
    void *visit_buffer; /* reference programs: host copy for visitors */
    cupel_program_info info;
    uint64_t hash;
    atomic_bool running;
    atomic_int children; /* bindings */
    struct cupel_error error;
};

struct cupel_workspace {
    cupel_context *context;
    void *memory;
    size_t bytes;
    atomic_bool running;
    struct cupel_error error;
};

struct cupel_bindings {
    cupel_program *program;
    void **memory;     /* per slot */
    const void **lent; /* per slot: the caller's memory in its place, or NULL */
    atomic_bool running;
    struct cupel_error error;
};

#endif
