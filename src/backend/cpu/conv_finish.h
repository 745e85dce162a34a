/*
 * What a node makes of the results of our own convolutions, Winograd's and those of few channels: a
 * bias of its own, or the chain of a fused node as far as registers can finish it: a bias per
 * channel, then ReLU, leaky ReLU or the gradient of one (a select by an image); and the sum per
 * channel of what came of it, if that is the node's second result. Loops add up what they still
 * have in registers, over runs of pixels that the shape fixes; the sums of runs meet here.
 * Tests: tests/test_kernels_winograd.c, tests/test_kernels_conv_sums.c, tests/test_pass_fuse_conv.c
 */
#ifndef CUPEL_CONV_FINISH_H
#define CUPEL_CONV_FINISH_H

#include "backend/cpu/vec_conv_finish.h"
#include "cupel/op.h"
#include "op/op_attrs.h"

/* Operands of the node; -1: none. */
struct conv_finish_plan {
    enum conv_activation activation;
    int bias, mask, otherwise;
    float slope;
    bool sums; /* the node has a second result */
};

/* False: the chain is more than that. */
bool conv_finish_plan(const cupel_op_view *view, struct conv_finish_plan *out);
/* For the block of channels that begins with `channel`, whose first pixel lies `offset` floats from
 * the start of the result. */
struct conv_finish conv_finish_of(const struct conv_finish_plan *plan, const void *const *inputs,
                                  int64_t channel, int64_t offset);
/* The second result from the sums of runs of pixels, [run][channel]. */
void conv_finish_sums(const float *runs, int64_t n, int64_t channels, float *out);
/* Attributes of the convolution, and whether it is a backward one. */
const struct attrs_conv *conv_finish_attrs(const cupel_op_view *view, bool *backward);

#endif
