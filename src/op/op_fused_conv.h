/*
 * The internal op "fused_conv": a convolution (forward or backward data) and the elementwise chain
 * that alone reads its result, as one node, so that a kernel may finish pixels while it has them in
 * registers: bias, activation, gradient of an activation. So it may sum them per channel. The node
 * keeps its parts. The compiler's fuse_conv pass makes such nodes and splits them again where no
 * kernel takes one; graphs built by users never hold one, so it is not in op_list.inc.
 * Test: tests/test_pass_fuse_conv.c
 */
#ifndef CUPEL_OP_FUSED_CONV_H
#define CUPEL_OP_FUSED_CONV_H

#include "op/op_attrs.h"
#include "op/op_fused.h"

/* The operands are the convolution's, then the chain's but its first, which is the convolution's
 * result. The results are the chain's and, if it is wanted, the sum of that over all axes but the
 * channels'. */
struct attrs_fused_conv {
    const char *conv_name; /* of the convolution's node, as the node has the chain's */
    const char *sum_name;  /* of the sum's node; NULL: there is one result */
    const cupel_op *conv;
    struct attrs_conv attrs;
    int64_t n_conv_inputs;
    struct attrs_reduce sum;
    struct attrs_fused chain;
};

extern const cupel_op op_fused_conv;

/* What the convolution alone would see; *result becomes its result, in the node's layout. */
cupel_status fused_conv_conv(const cupel_op_view *view, cupel_desc *result, cupel_op_view *conv);
/* What the chain alone would see. operands: room for FUSED_MAX_INPUTS. */
cupel_op_view fused_conv_chain(const cupel_op_view *view, const cupel_desc *result,
                               cupel_desc *operands);
/* What the sum alone would see; there are two results. */
cupel_op_view fused_conv_sum(const cupel_op_view *view);

#endif
