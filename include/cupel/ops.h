/*
 * Operations: one builder each. Formulas, gradients and rules stand in the op's file in src/op/.
 * Elementwise operands broadcast (aligned at the last axis, extents equal or 1). Axes count from 0,
 * outermost first; sets of axes are bit masks. REAL operands unless said otherwise. Every builder
 * returns a poisoned node on an error, which the graph keeps. Nothing but none in gives none out:
 * no graph is known then that could keep an error.
 */
#ifndef CUPEL_OPS_H
#define CUPEL_OPS_H

#include <cupel/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- elementwise, one operand --- */
CUPEL_API cupel_node cupel_neg(cupel_node x);
CUPEL_API cupel_node cupel_abs(cupel_node x);
CUPEL_API cupel_node cupel_exp(cupel_node x);
CUPEL_API cupel_node cupel_log(cupel_node x);
CUPEL_API cupel_node cupel_sqrt(cupel_node x);
CUPEL_API cupel_node cupel_square(cupel_node x);
CUPEL_API cupel_node cupel_reciprocal(cupel_node x);
/* -1, 0 or 1; gradient 0. */
CUPEL_API cupel_node cupel_sign(cupel_node x);
CUPEL_API cupel_node cupel_relu(cupel_node x);
CUPEL_API cupel_node cupel_leaky_relu(cupel_node x, double slope);
CUPEL_API cupel_node cupel_sigmoid(cupel_node x);
CUPEL_API cupel_node cupel_tanh(cupel_node x);
/* log(1 + exp(x)), without overflow. */
CUPEL_API cupel_node cupel_softplus(cupel_node x);
/* min(max(x, low), high); the gradient passes inside [low, high]. */
CUPEL_API cupel_node cupel_clamp(cupel_node x, double low, double high);
/* To another type (f32 to u8 truncates and saturates; REAL allowed on either side). */
CUPEL_API cupel_node cupel_cast(cupel_node x, cupel_type type);
/* x, through which no gradient flows. */
CUPEL_API cupel_node cupel_stop_gradient(cupel_node x);

/* --- elementwise, two or three operands --- */
CUPEL_API cupel_node cupel_add(cupel_node a, cupel_node b);
CUPEL_API cupel_node cupel_sub(cupel_node a, cupel_node b);
CUPEL_API cupel_node cupel_mul(cupel_node a, cupel_node b);
CUPEL_API cupel_node cupel_div(cupel_node a, cupel_node b);
CUPEL_API cupel_node cupel_maximum(cupel_node a, cupel_node b);
CUPEL_API cupel_node cupel_minimum(cupel_node a, cupel_node b);
/* a^b for a >= 0. */
CUPEL_API cupel_node cupel_pow(cupel_node a, cupel_node b);
/* x * factor and x + term with fixed numbers. */
CUPEL_API cupel_node cupel_scale(cupel_node x, double factor);
CUPEL_API cupel_node cupel_offset(cupel_node x, double term);

typedef enum cupel_comparison {
    CUPEL_EQUAL = 0,
    CUPEL_NOT_EQUAL = 1,
    CUPEL_LESS = 2,
    CUPEL_LESS_EQUAL = 3,
    CUPEL_GREATER = 4,
    CUPEL_GREATER_EQUAL = 5
} cupel_comparison;

/* 1 where it holds, 0 elsewhere, as REAL; the operands share one type, which may be integer. */
CUPEL_API cupel_node cupel_compare(cupel_comparison comparison, cupel_node a, cupel_node b);
/* a where condition is not 0, else b; elements are moved, so a NaN on the other side is not
 * seen. */
CUPEL_API cupel_node cupel_select(cupel_node condition, cupel_node a, cupel_node b);

/* --- reductions --- */
#define CUPEL_AXIS(axis) (1u << (axis))
#define CUPEL_ALL_AXES UINT32_MAX

/* keep: the reduced axes stay with extent 1. */
CUPEL_API cupel_node cupel_reduce_sum(cupel_node x, uint32_t axes, bool keep);
CUPEL_API cupel_node cupel_reduce_mean(cupel_node x, uint32_t axes, bool keep);
/* The gradient is shared equally among equal maxima (as torch.amax). */
CUPEL_API cupel_node cupel_reduce_max(cupel_node x, uint32_t axes, bool keep);
CUPEL_API cupel_node cupel_reduce_min(cupel_node x, uint32_t axes, bool keep);
CUPEL_API cupel_node cupel_logsumexp(cupel_node x, uint32_t axes, bool keep);
/* Index (I64) of the first maximum along the axis, which is removed. A NaN counts as the
 * maximum. */
CUPEL_API cupel_node cupel_argmax(cupel_node x, int axis);
CUPEL_API cupel_node cupel_softmax(cupel_node x, int axis);
CUPEL_API cupel_node cupel_log_softmax(cupel_node x, int axis);

/* --- shape (any type) --- */
/* One extent may be -1: what is left. */
CUPEL_API cupel_node cupel_reshape(cupel_node x, cupel_shape shape);
/* Output axis i is input axis permutation[i]; permutation has rank entries. */
CUPEL_API cupel_node cupel_transpose(cupel_node x, const int *permutation);
/* [begin, end) along one axis. */
CUPEL_API cupel_node cupel_slice(cupel_node x, int axis, int64_t begin, int64_t end);
/* n of 0 gives none. */
CUPEL_API cupel_node cupel_concat(size_t n, const cupel_node *xs, int axis);
CUPEL_API cupel_node cupel_broadcast_to(cupel_node x, cupel_shape shape);
/* Zeros before and after along one axis. */
CUPEL_API cupel_node cupel_pad(cupel_node x, int axis, int64_t before, int64_t after);

/* --- indices (I64) ---
 * They must be known to be within the rows when the graph is built: from cupel_input_index(), which
 * is checked when it is written, constants, cupel_argmax(), and moves of those (shapes, concat,
 * select, gather). Others, such as casts and states, are refused. */
/* out[i..., :] = table[index[i...], :]. Gradient: scatter_add. */
CUPEL_API cupel_node cupel_gather(cupel_node table, cupel_node index);
/* table with rows [index[i]] replaced by rows[i]; on duplicates the lowest i wins. index is [N]. */
CUPEL_API cupel_node cupel_scatter_update(cupel_node table, cupel_node index, cupel_node rows);
/* out[index[i], :] += rows[i, :] from zeros of `extent` rows, in order of i. */
CUPEL_API cupel_node cupel_scatter_add(cupel_node index, cupel_node rows, int64_t extent);
/* out[k] = max of values[i] with segments[i] == k, `empty` where there is none; [N] to
 * [n_segments]. */
CUPEL_API cupel_node cupel_segment_max(cupel_node values, cupel_node segments, int64_t n_segments,
                                       double empty);
/* [N] labels to [N, classes] of 0 and 1. */
CUPEL_API cupel_node cupel_one_hot(cupel_node labels, int64_t classes);

/* --- products --- */
/* [.., M, K] x [.., K, N] = [.., M, N], leading axes broadcast; transpose swaps the last two axes
 * of that operand first. */
CUPEL_API cupel_node cupel_matmul(cupel_node a, cupel_node b, bool transpose_a, bool transpose_b);

/* Right when zeroed: a 0 in stride, dilation or groups means 1. */
typedef struct cupel_conv_options {
    int64_t stride[2], padding[2], dilation[2]; /* height, width */
    int64_t output_padding[2]; /* transposed convolution only; below its stride or its dilation */
    int64_t groups;
} cupel_conv_options;

/* x [N,C,H,W], weights [O, C/groups, KH, KW], bias [O] or none; cross-correlation as in PyTorch. */
CUPEL_API cupel_node cupel_conv2d(cupel_node x, cupel_node weights, cupel_node bias,
                                  const cupel_conv_options *options);
/* x [N,C,H,W], weights [C, O/groups, KH, KW], bias [O] or none; PyTorch's ConvTranspose2d. */
CUPEL_API cupel_node cupel_conv_transpose2d(cupel_node x, cupel_node weights, cupel_node bias,
                                            const cupel_conv_options *options);

/* Right when zeroed but for the kernel; stride 0 means the kernel's extent. */
typedef struct cupel_pool_options {
    int64_t kernel[2], stride[2], padding[2];
} cupel_pool_options;

/* The first maximum gets the gradient; a NaN counts as the maximum. Padding is minus infinity. */
CUPEL_API cupel_node cupel_max_pool2d(cupel_node x, const cupel_pool_options *options);
/* Padding counts as zeros in the mean (PyTorch's default). */
CUPEL_API cupel_node cupel_avg_pool2d(cupel_node x, const cupel_pool_options *options);

/* --- normalisation: channels are axis 1 of [N,C] or [N,C,H,W] --- */
/* Outputs: 0 y = (x - mean) / sqrt(var + epsilon) * gamma + beta, 1 mean [C], 2 biased variance
 * [C]. Outputs 1 and 2 are for running statistics: they have no gradient, and one through them is
 * refused. Ioffe and Szegedy 2015. */
CUPEL_API cupel_node cupel_batch_norm_train(cupel_node x, cupel_node gamma, cupel_node beta,
                                            double epsilon);
CUPEL_API cupel_node cupel_batch_norm_inference(cupel_node x, cupel_node gamma, cupel_node beta,
                                                cupel_node mean, cupel_node variance,
                                                double epsilon);

/* --- loss --- */
/* [N, K] logits and [N] I64 labels to [N] losses: -log softmax(x)[label]. */
CUPEL_API cupel_node cupel_cross_entropy(cupel_node logits, cupel_node labels);

/* --- randomness: a draw is a function of (seed, the node's scoped name, step, row, element) --- */
typedef struct cupel_rng {
    cupel_node seed; /* U64 scalar */
    cupel_node step; /* U64 scalar (its low 32 bits count) */
    cupel_node rows; /* U64 [N]: one id per row of axis 0 */
} cupel_rng;

/* The three as inputs named "seed", "step" and "rows" (found again when they are there). */
CUPEL_API cupel_rng cupel_rng_inputs(cupel_graph *graph, int64_t rows);
/* The name is required, scoped, and unique in the graph: it is the stream. shape.dims[0] == N. */
CUPEL_API cupel_node cupel_sample_normal(cupel_rng rng, const char *name, cupel_shape shape);
/* Uniform in (0, 1). */
CUPEL_API cupel_node cupel_sample_uniform(cupel_rng rng, const char *name, cupel_shape shape);
/* x / (1 - p) with probability 1 - p, else 0; the backward pass draws the mask again;
 * 0 <= p < 1. */
CUPEL_API cupel_node cupel_dropout(cupel_rng rng, const char *name, cupel_node x, double p);

#ifndef CUPEL_LIBRARY
#include <cupel/ops_here.h>
#endif

#ifdef __cplusplus
}
#endif
#endif
