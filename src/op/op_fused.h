/*
 * The internal op "fused": a chain of elementwise ops run as one pass over memory. The compiler's
 * fuse pass makes such nodes and splits them again where no kernel takes one; graphs built by users
 * never hold one, so it is not in op_list.inc. Test: tests/test_kernels_chain.c
 */
#ifndef CUPEL_OP_FUSED_H
#define CUPEL_OP_FUSED_H

#include "cupel/op.h"

enum {
    FUSED_MAX_PARTS = 24,
    FUSED_MAX_INPUTS = 16,
    FUSED_MAX_OUTPUTS = 8,
    FUSED_MAX_PART_INPUTS = 4,
    FUSED_ATTR_SIZE = 48
};

/* One elementwise op of the chain. inputs[i] >= 0 is an input of the fused node; below 0 it is
 * ~index of an earlier part, whose output 0 is meant. */
struct fused_part {
    const cupel_op *op;
    uint8_t attrs[FUSED_ATTR_SIZE]; /* the op's attributes, the rest zero */
    int32_t n_inputs;
    int32_t inputs[FUSED_MAX_PART_INPUTS];
    int32_t unused; /* zero: there is no padding */
};

struct attrs_fused {
    int64_t n_parts;
    int64_t n_outputs;
    int64_t outputs[FUSED_MAX_OUTPUTS]; /* part indices */
    struct fused_part parts[FUSED_MAX_PARTS];
};

extern const cupel_op op_fused;

/* The index in attrs of an input: fused_input(3), or of an earlier part: fused_earlier(1). */
static inline int32_t fused_input(int index) {
    return index;
}
static inline int32_t fused_earlier(int part) {
    return ~part;
}

/* Fills descs[0..n_parts) with the type and shape of each part's output; layouts are left to the
 * caller (infer rules do not set them). Fails with the part's own sentence. */
cupel_status fused_part_descs(const cupel_op_view *view, cupel_desc *descs);

#endif
