/*
 * Walking over a tensor in the order of its memory while operands of other shapes are broadcast to
 * it. The tensor's layout gives physical axes (a blocked tensor has five); each operand gets a
 * stride per axis, 0 where it is broadcast; axes that every operand walks alike are merged, so most
 * walks end with one or two axes. Test: tests/test_kernels_chain.c
 */
#ifndef CUPEL_WALK_H
#define CUPEL_WALK_H

#include "cupel/types.h"

enum { WALK_MAX_OPERANDS = 24, WALK_MAX_RANK = CUPEL_MAX_RANK + 1 };

struct walk {
    int rank; /* at least 1 */
    int64_t count;
    int64_t dims[WALK_MAX_RANK];
    int n;
    int64_t strides[WALK_MAX_OPERANDS][WALK_MAX_RANK]; /* in elements */
};

/* False when an operand does not broadcast to `over`, or lies in a layout that `over` cannot
 * walk. */
bool walk_make(struct walk *out, const cupel_desc *over, int n, const cupel_desc *operands);

/* The walk's dense operand: its strides are those of contiguous memory. */
bool walk_dense(const struct walk *walk, int operand);

/* The layout that counts: tensors without several pixels lie in memory the same way in all layouts.
 */
cupel_layout walk_layout(const cupel_desc *desc);

/* Position `linear` of the walk as an operand's offset. */
int64_t walk_offset(const struct walk *walk, int operand, int64_t linear);

#endif
