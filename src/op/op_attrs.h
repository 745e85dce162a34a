/*
 * Attributes of the built-in ops, seen by op files and by kernels. Zero the whole struct before
 * filling it: attributes are compared as bytes. Every member is 8 bytes wide, so there is no
 * padding.
 */
#ifndef CUPEL_OP_ATTRS_H
#define CUPEL_OP_ATTRS_H

#include <stdint.h>

#include "cupel/types.h"

struct attrs_leaky_relu {
    double slope;
};
struct attrs_clamp {
    double low, high;
};
struct attrs_cast {
    int64_t type; /* cupel_type */
};
struct attrs_compare {
    int64_t comparison; /* cupel_comparison */
};
struct attrs_reduce {
    int64_t axes; /* bit mask, no bit at or above the rank */
    int64_t keep; /* 0 or 1 */
};
struct attrs_axis {
    int64_t axis; /* softmax, log_softmax, argmax, concat */
};
struct attrs_shape {
    int64_t rank;
    int64_t dims[CUPEL_MAX_RANK]; /* reshape, broadcast_to */
};
struct attrs_transpose {
    int64_t permutation[CUPEL_MAX_RANK];
};
struct attrs_slice {
    int64_t axis, begin, end;
};
struct attrs_pad {
    int64_t axis, before, after;
};
struct attrs_extent {
    int64_t extent; /* scatter_add */
};
struct attrs_segment_max {
    int64_t segments;
    double empty;
};
struct attrs_matmul {
    int64_t transpose_a, transpose_b;
};
/* conv2d, conv2d_backward_data, conv2d_backward_weights: the geometry of the forward convolution,
 * zeros already replaced by ones. */
struct attrs_conv {
    int64_t stride[2], padding[2], dilation[2];
    int64_t groups;
    int64_t with_bias; /* conv2d: a third input; backward_weights: a second output */
    int64_t src_hw[2]; /* backward_data: extents of diff_src */
    int64_t kernel[2]; /* backward_weights: extents of the kernel */
};
struct attrs_pool {
    int64_t kernel[2], stride[2], padding[2];
    int64_t src_hw[2]; /* avg_pool2d_backward */
};
struct attrs_batch_norm {
    double epsilon;
};
struct attrs_random {
    uint64_t stream; /* hash_string of the node's scoped name */
    int64_t rank;    /* shape of the samples */
    int64_t dims[CUPEL_MAX_RANK];
    double p; /* dropout: probability of 0 */
};
struct attrs_sgd {
    double momentum, weight_decay;
    int64_t nesterov;
};
struct attrs_adam {
    double beta1, beta2, epsilon, weight_decay;
    int64_t decoupled; /* AdamW */
};

#endif
