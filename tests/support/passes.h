/*
 * Passes one by one, for tests that look at the node list between them:
 *
 *   struct passes p;
 *   passes_open(&p, "cpu", CUPEL_TYPE_F32);          a context, parameters, an empty graph
 *   const cupel_node y = cupel_relu(cupel_input(p.graph, ...));
 *   passes_output(&p, "y", y);
 *   passes_begin(&p);                                runs pass_validate
 *   CHECK_OK_TEXT(pass_prune(&p.c), p.error.text);   ...
 *   CHECK_I64(passes_count(&p, "relu"), 1);
 *   passes_close(&p);
 */
#ifndef CUPEL_TESTS_PASSES_H
#define CUPEL_TESTS_PASSES_H

#include "support/check.h"
#include "support/host_backend.h"

#include "compile/compile_internal.h"
#include "cupel/ops.h"

enum { PASSES_OUTPUTS = 8 };

struct passes {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_output outputs[PASSES_OUTPUTS];
    cupel_compile_options options;
    /* For plans by measured time: set before passes_begin(), all three. */
    struct measured *measured;
    measure_function measure;
    void *measure_user;
    struct cupel_error error;
    struct compile c;
    struct program_draft draft;
};

/* device: "cpu", "reference". */
void passes_open(struct passes *p, const char *device, cupel_type real);
/* The same on a device of the test's own. */
void passes_open_backend(struct passes *p, struct backend *backend, cupel_type real);
/* On host memory with kernels of the test's own, in blocks of 8 channels. */
void passes_open_kernels(struct passes *p, const char *name, host_backend_kernels kernels);
/* On reference kernels, without those for the compiler's own ops (fused, sweep, product_update). */
void passes_open_splitting(struct passes *p, cupel_type real);
void passes_output(struct passes *p, const char *name, cupel_node node);
/* Sets up the compiler's state and runs pass_validate, whose status it returns. */
cupel_status passes_try_begin(struct passes *p);
void passes_begin(struct passes *p);
/* Runs validate and all passes of a fast (or, with p->options.reference, a reference) compile up to
 * and with the one named: "prune", "precision", "simplify", "fold", "move_reshapes", "fuse_image",
 * "fuse", "fuse_conv", "fuse_update", "join_updates", "sweep", "choose", "pack", "roots", "order",
 * "memory", "steps". */
void passes_run(struct passes *p, const char *last);
void passes_close(struct passes *p);

/* How many nodes of that op the list has. */
int passes_count(const struct passes *p, const char *op);
/* The index-th node of that op in list order; fails the test when there are fewer. */
uint32_t passes_nth(const struct passes *p, const char *op, int index);
/* The op's name of the node that makes an output. */
const char *passes_root_op(const struct passes *p, size_t root);
/* Every node follows its operands, operands and roots exist. */
void passes_check_list(const struct passes *p);

#endif
