/*
 * What op files share: the list of built-in descriptors, and small helpers for shape rules and
 * adjoints. Each op file defines `const cupel_op op_<name>`, its builder, its attributes (shared
 * with its kernels through op_attrs.h) and its adjoint. Test: tests/test_op_*.c
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
/* The broadcast shape of inputs first.. (which share one type, any) to the last. */
cupel_status infer_broadcast(const cupel_op_view *view, int first, cupel_shape *shape);
/* Fails unless inputs first.. to the last share one type. */
cupel_status infer_one_type(const cupel_op_view *view, int first);
/* Fails unless input i has that axis. */
cupel_status infer_axis(const cupel_op_view *view, int input, int64_t axis);
/* The rule of all reductions by attrs_reduce. */
cupel_status infer_reduce(const cupel_op_view *view);

/* --- costs --- */
/* 0: elements are moved. */
double flops_none(const cupel_op_view *view);
/* One per element of input 0. */
double flops_per_input(const cupel_op_view *view);

/* --- adjoints --- */
/* Sums g over the axes along which `like` was broadcast, so that it has its shape. */
cupel_node adjoint_unbroadcast(cupel_node g, cupel_node like);
/* diff_inputs[0] = g * factor, for unary ops; convenience. */
cupel_status adjoint_unary(const cupel_adjoint *adjoint, cupel_node diff_src);
/* maximum (CUPEL_GREATER) and minimum (CUPEL_LESS): all to the one that wins, half each on a
 * tie. */
cupel_status adjoint_extremum(const cupel_adjoint *adjoint, cupel_comparison beats);
/* reduce_max and reduce_min: shared equally among the elements that equal the result. */
cupel_status adjoint_reduce_extremum(const cupel_adjoint *adjoint);
/* A reduction's result (or its gradient) with the reduced axes of src back, at extent 1. */
cupel_node adjoint_keep_axes(cupel_node reduced, cupel_node src, uint32_t axes);
/* A scalar constant of the type of `like`, which may be poisoned. */
cupel_node scalar_like(cupel_node like, double value);
/* 0, 1, ..., n - 1 as I64 [n]. */
cupel_node iota(cupel_graph *graph, int64_t n);

/* Builders for one and two operands of an op without attributes. */
cupel_node build_unary(const cupel_op *op, cupel_node x);
cupel_node build_binary(const cupel_op *op, cupel_node a, cupel_node b);
/* By attrs_reduce; CUPEL_ALL_AXES is cut to the axes that are there. */
cupel_node build_reduce(const cupel_op *op, cupel_node x, uint32_t axes, bool keep);
struct attrs_shape attrs_of_shape(cupel_shape shape);
cupel_shape attrs_to_shape(const struct attrs_shape *attrs);

/* --- indices (op_indices.c) --- */
/* The bound of a node's I64 values, found when it is appended: they are in [0, bound); 0: unknown.
 * And that of the values of a constant. */
int64_t index_bound_of(const cupel_graph *graph, const struct graph_node *node);
int64_t index_bound_of_values(const int64_t *values, size_t n);
/* Fails the graph and returns false unless all values of index are known to be below extent. */
bool index_within(cupel_node index, int64_t extent, const char *op);
/* The same for the index operand of an op that has one; its shape rule has accepted the
 * operands. */
bool indices_fit(const cupel_op *op, const void *attrs, const cupel_node *inputs);

#endif
