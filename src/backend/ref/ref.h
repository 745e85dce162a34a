/*
 * Reference kernels: the plain truth every other kernel is held against. They take plain layouts of
 * every type, compute in double, and round once at the end; integers and moved elements keep their
 * exact values. One thread, no blocking, no cleverness.
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
