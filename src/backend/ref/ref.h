/*
 * Reference kernels: the plain truth every other kernel is held against. They take plain layouts
 * (but for the change of layout itself) of every type, compute in double, and round once at the
 * end; integers and moved elements keep their exact values. One thread, no blocking, no cleverness.
 *
 * A row is `{ "relu", ref_relu }`; ref_kernels() wraps it as a struct kernel. Operands of real
 * types arrive as double arrays (converted into scratch by the wrapper where they are not f64),
 * results are written as doubles and converted back; operands of other types arrive as they are.
 * Test: tests/test_op_*.c hold them against closed forms and PyTorch.
 */
#ifndef CUPEL_REF_H
#define CUPEL_REF_H

#include "backend/backend.h"
#include "op/op_attrs.h"

/* Operands of one reference run. real inputs and outputs are double arrays. */
struct ref_call {
    const cupel_op_view *view; /* shapes; types as in the program */
    const void *const *inputs;
    void *const *outputs;
};

typedef cupel_status (*ref_function)(const struct ref_call *call);

struct ref_row {
    const char *op;
    ref_function run;
    bool raw; /* moves of any type: operands arrive untouched, as bytes */
};

/* Each ref_*.c exports one table, ended by a NULL op; ref_kernels.c lists the tables. */
extern const struct ref_row ref_elementwise_rows[];
extern const struct ref_row ref_reduce_rows[];
extern const struct ref_row ref_shape_rows[];
extern const struct ref_row ref_index_rows[];
extern const struct ref_row ref_matmul_rows[];
extern const struct ref_row ref_conv_rows[];
extern const struct ref_row ref_pool_rows[];
extern const struct ref_row ref_norm_rows[];
extern const struct ref_row ref_random_rows[];
extern const struct ref_row ref_loss_rows[];
extern const struct ref_row ref_update_rows[];
extern const struct ref_row ref_effect_rows[]; /* assign, guard, stop_gradient, casts */

extern const struct kernel ref_reorder_kernel;

/* --- for kernels made of reference kernels (ref_fused.c, ref_product_update.c) --- */
extern const struct kernel ref_fused_kernel, ref_sweep_kernel, ref_product_update_kernel;

/* Whether a built-in op has a reference function. */
bool ref_has(const cupel_op *op);
/* One op as its kernel runs it: scratch it wants, and the run. */
size_t ref_op_scratch(const cupel_op_view *view);
cupel_status ref_op_run(const cupel_op_view *view, const void *const *inputs, void *const *outputs,
                        void *scratch);
/* Everything lies in plain layouts. */
bool ref_accept(const struct kernel_request *request, const char **why);
/* Scratch is handed out in multiples of 64 bytes. */
static inline size_t ref_aligned(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}
/* Whether values of that type are turned into doubles for a reference function, the bytes of those,
 * and the conversions; back, each value is rounded once. */
bool ref_converted(const cupel_desc *desc);
size_t ref_doubles_bytes(const cupel_desc *desc);
void ref_to_doubles(double *to, const void *from, const cupel_desc *desc);
void ref_from_doubles(void *to, const double *from, const cupel_desc *desc);
/* Rows [from, to) of the product [M,N] = a' b', at c; bits as in the whole. */
void ref_product_rows(const double *a, const double *b, double *c, int64_t m, int64_t n, int64_t k,
                      bool ta, bool tb, int64_t from, int64_t to);

static inline const double *ref_in(const struct ref_call *call, int input) {
    return (const double *)call->inputs[input];
}
static inline const int64_t *ref_in_index(const struct ref_call *call, int input) {
    return (const int64_t *)call->inputs[input];
}
static inline double *ref_out(const struct ref_call *call, int output) {
    return (double *)call->outputs[output];
}
static inline cupel_shape ref_in_shape(const struct ref_call *call, int input) {
    return call->view->inputs[input].shape;
}
static inline cupel_shape ref_out_shape(const struct ref_call *call, int output) {
    return call->view->outputs[output].shape;
}

#endif
