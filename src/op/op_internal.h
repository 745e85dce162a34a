/*
 * What op files share: the list of built-in descriptors, and small helpers for shape rules and
 * adjoints. Each op file defines `const cupel_op op_<name>`, its builder, its attributes (shared with
 * its kernels through op_attrs.h) and its adjoint. Test: tests/test_op_*.c
 */
#ifndef CUPEL_OP_INTERNAL_H
#define CUPEL_OP_INTERNAL_H

#include "cupel/op.h"
#include "cupel/ops.h"
#include "graph/graph_internal.h"
#include "op/op_attrs.h"

/* op_list.inc has one line a built-in op: CUPEL_OP(name). */
#define CUPEL_OP(name) extern const cupel_op op_##name;
#include "op/op_list.inc"
#undef CUPEL_OP

/* All of them, NULL at the end. */
extern const cupel_op *const op_list[];
const cupel_op *op_find(const char *name);

/* --- shape rules --- */
/* Output 0 has the broadcast shape of all inputs and input 0's type; the inputs share one type. */
cupel_status infer_elementwise(const cupel_op_view *view);
/* Output 0 is like input 0. */
cupel_status infer_same(const cupel_op_view *view);
/* Fails unless input i is REAL-kind / I64 / of that rank. */
cupel_status infer_real(const cupel_op_view *view, int input);
cupel_status infer_index(const cupel_op_view *view, int input);
cupel_status infer_rank(const cupel_op_view *view, int input, int rank);
/* Sets output k. */
void infer_output(const cupel_op_view *view, int output, cupel_type type, cupel_shape shape);

/* --- adjoints --- */
/* Sums g over the axes along which `like` was broadcast, so that it has its shape. */
cupel_node adjoint_unbroadcast(cupel_node g, cupel_node like);
/* diff_inputs[0] = g * factor, for unary ops; convenience. */
cupel_status adjoint_unary(const cupel_adjoint *adjoint, cupel_node diff_src);

/* Builders for one and two operands of an op without attributes. */
cupel_node build_unary(const cupel_op *op, cupel_node x);
cupel_node build_binary(const cupel_op *op, cupel_node a, cupel_node b);

#endif
