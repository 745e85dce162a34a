/*
 * One kernel on one node, apart from any program: operands are made from a seed, laid out as the
 * case says, surrounded by guard zones, packed where the kernel wants a private form; the results
 * come back plain. case_check() holds a kernel against the reference kernel of its op.
 *
 *   struct kernel_case c = {.op = &op_add};
 *   case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 5));  ...
 *   case_infer(&c);                  outputs are plain; case_layout(&c, k, layout) for another
 *   case_fill(&c, seed);             or write c.values[i] oneself
 *   CHECK(case_check(&c, kernel, 2, 1e-6, 0));
 *   case_release(&c);
 */
#ifndef CUPEL_TEST_KERNEL_CASE_H
#define CUPEL_TEST_KERNEL_CASE_H

#include "support/check.h"

#include "backend/backend.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

enum { CASE_MAX_OPERANDS = 48, CASE_MAX_OUTPUTS = 24 };

struct kernel_case {
    const cupel_op *op;
    const void *attrs;
    int n_inputs;
    cupel_desc inputs[CASE_MAX_OPERANDS];
    void *values[CASE_MAX_OPERANDS]; /* plain, of the input's type */
    int n_outputs;
    cupel_desc outputs[CASE_MAX_OUTPUTS];
    void *results[CASE_MAX_OUTPUTS]; /* plain, of the last run */
    int share[CASE_MAX_OUTPUTS];     /* 1 + i: output k is run in the memory of input i */
    const char *why;                 /* of a kernel that declined */
    struct cupel_error error;        /* of a plan that failed */
    char detail[80];                 /* what a library calls its code */
};

int case_input(struct kernel_case *c, cupel_type type, cupel_layout layout, cupel_shape shape);
/* Output shapes by the op's own rule; keeps layouts given before. */
void case_infer(struct kernel_case *c);
void case_layout(struct kernel_case *c, int output, cupel_layout layout);
/* Seeded values in [-2, 2) (reals) for all inputs. */
void case_fill(struct kernel_case *c, uint64_t seed);
float *case_f32(struct kernel_case *c, int input);
void case_release(struct kernel_case *c);

/* The kernel of that name (a prefix of it) in the cpu's list; fails the test when there is none. */
const struct kernel *case_kernel(const char *op, const char *name);

/* False when the kernel declines (why, error say so). Fails the test when guard zones were written,
 * inputs changed, or the run failed. Results are then in c->results. */
bool case_run(struct kernel_case *c, const struct kernel *kernel, int threads);
/* The same node by reference kernels (a fused node part by part); results in out[k], by
 * cupel_alloc. */
void case_reference(const struct kernel_case *c, void **out);
/* Runs and compares: |x - reference| <= relative * (|reference| + scale) where scale is the largest
 * magnitude of that output times `mixed`; NaN and infinities must agree. False when declined. */
bool case_check(struct kernel_case *c, const struct kernel *kernel, int threads, double relative,
                double mixed);
/* The results have the same bits with 1, 2 and 3 threads. */
void case_check_threads(struct kernel_case *c, const struct kernel *kernel);

/* A plain tensor of 4-byte elements into a layout, or back. */
void case_lay_out(const cupel_desc *desc, const void *plain, void *out);
void case_plain(const cupel_desc *desc, const void *laid_out, void *plain);

#endif
