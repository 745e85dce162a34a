/*
 * Builders of the ops that users do not write themselves: the backward halves of convolution,
 * pooling and batch norm, and the optimisers' updates; and the one formula of sliding windows. Each
 * is defined in its op's file. Test: tests/test_op_conv.c, test_op_pool.c, test_op_norm.c,
 * test_op_update.c
 */
#ifndef CUPEL_OP_BUILDERS_H
#define CUPEL_OP_BUILDERS_H

#include "op/op_internal.h"

/* How many positions a window takes along an axis: floor((src + 2 padding - span) / stride) + 1
 * where span = dilation (kernel - 1) + 1; 0 when it does not fit once. */
static inline int64_t window_extent(int64_t src, int64_t kernel, int64_t stride, int64_t padding,
                                    int64_t dilation) {
    const int64_t room = src + 2 * padding - (dilation * (kernel - 1) + 1);
    return room < 0 ? 0 : room / stride + 1;
}

/* Window attributes stay below this, so that no product of two of them overflows. */
#define WINDOW_LIMIT ((int64_t)1 << 30)

/* Checks attributes and shapes of a forward convolution src * weights and gives the extents of its
 * result; the three convolution ops share it. */
cupel_status conv_check(const cupel_op_view *view, const struct attrs_conv *attrs, cupel_shape src,
                        cupel_shape weights, int64_t dst_hw[2]);
/* 2 N O OH OW C/groups KH KW: what each of the three convolution ops costs. */
double conv_flops(cupel_shape dst, cupel_shape weights);
/* Options with their zeros replaced by ones; NULL is all zeros. */
struct attrs_conv conv_attrs(const cupel_conv_options *options);

/* (diff_dst, weights) to diff_src, whose extents are attrs->src_hw. */
cupel_node build_conv2d_backward_data(cupel_node diff_dst, cupel_node weights,
                                      const struct attrs_conv *attrs);
/* (src, diff_dst) to diff_weights, whose extents are attrs->kernel; output 1 is diff_bias when
 * attrs->with_bias, else a scalar 0. */
cupel_node build_conv2d_backward_weights(cupel_node src, cupel_node diff_dst,
                                         const struct attrs_conv *attrs);

/* Checks the attributes of a pooling over src and gives the extents of its result. */
cupel_status pool_check(const cupel_op_view *view, const struct attrs_pool *attrs, cupel_shape src,
                        int64_t dst_hw[2]);
/* The shape rule of both forward poolings. */
cupel_status infer_pool(const cupel_op_view *view);
/* One operation per element of a window: the cost of each pooling op. */
double pool_flops(cupel_shape dst, const struct attrs_pool *attrs);
struct attrs_pool pool_attrs(const cupel_pool_options *options);
cupel_node build_max_pool2d_backward(cupel_node src, cupel_node diff_dst,
                                     const struct attrs_pool *attrs);
cupel_node build_avg_pool2d_backward(cupel_node diff_dst, const struct attrs_pool *attrs);

/* Checks src, which has its channels on axis 1, epsilon, and the inputs behind src, which hold a
 * value a channel and are called by these names. */
cupel_status batch_norm_check(const cupel_op_view *view, const char *const names[]);
/* (src, gamma, mean, biased variance, diff_dst) to diff_src, diff_gamma, diff_beta. */
cupel_node build_batch_norm_backward(cupel_node src, cupel_node gamma, cupel_node mean,
                                     cupel_node variance, cupel_node diff_dst, double epsilon);

/* Outputs: parameter, buffer (a scalar 0 when attrs->momentum is 0 and buffer is none). */
cupel_node build_sgd_update(cupel_node parameter, cupel_node gradient, cupel_node learning_rate,
                            cupel_node buffer, const struct attrs_sgd *attrs);
/* Outputs: parameter, exp_avg, exp_avg_sq. step (F64 scalar) counts from 1. */
cupel_node build_adam_update(cupel_node parameter, cupel_node gradient, cupel_node exp_avg,
                             cupel_node exp_avg_sq, cupel_node learning_rate, cupel_node step,
                             const struct attrs_adam *attrs);

/* Appends a random op: the name is required, its scoped form is hashed into attrs->stream. */
cupel_node random_add(cupel_rng rng, const cupel_op *op, const char *name,
                      struct attrs_random *attrs, cupel_node x);
/* Checks (seed, step, rows) and that samples of `shape` have one row per id. */
cupel_status random_check(const cupel_op_view *view, cupel_shape shape);

#endif
