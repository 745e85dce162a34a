/*
 * The internal op "sweep": the updates of several neighbouring parameters as one node, which a
 * kernel runs as one pass over memory and which becomes one bucket of gradients. It keeps its
 * parts. The compiler's sweep pass makes such nodes and splits them again where no kernel takes
 * one; graphs built by users never hold one, so it is not in op_list.inc.
 * Test: tests/test_pass_sweep.c
 */
#ifndef CUPEL_OP_SWEEP_H
#define CUPEL_OP_SWEEP_H

#include "cupel/op.h"

enum {
    SWEEP_MAX_PARTS = 8,
    SWEEP_MAX_PART_INPUTS = 6,
    SWEEP_MAX_PART_OUTPUTS = 3,
    SWEEP_MAX_INPUTS = SWEEP_MAX_PARTS * SWEEP_MAX_PART_INPUTS,
    SWEEP_MAX_OUTPUTS = SWEEP_MAX_PARTS * SWEEP_MAX_PART_OUTPUTS, /* > CUPEL_OP_MAX_OUTPUTS */
    SWEEP_ATTR_SIZE = 48
};

/* One update. Its operands are inputs [first_input, first_input + n_inputs) of the sweep, its
 * results likewise. */
struct sweep_part {
    const char *name;               /* of the update's node */
    uint8_t attrs[SWEEP_ATTR_SIZE]; /* the update's attributes, the rest zero */
    int32_t n_inputs, n_outputs;
    int32_t first_input, first_output;
};

struct attrs_sweep {
    const cupel_op *op; /* of every part */
    int64_t n_parts;
    struct sweep_part parts[SWEEP_MAX_PARTS];
};

extern const cupel_op op_sweep;

/* Whether an op with that many operands and attributes may be a part. */
bool sweep_takes(const cupel_op *op, int n_inputs, int n_outputs);
/* Appends a part; false when the sweep is full. attrs are the update's own. */
bool sweep_append(struct attrs_sweep *attrs, const char *name, const void *part_attrs, int n_inputs,
                  int n_outputs);
/* As a row's in_place: 1 + the input of the sweep whose memory output k may share, 0: none. */
int sweep_in_place(const struct attrs_sweep *attrs, int k);
/* The operand of an update that is its gradient: the first that no result is written over. */
int update_gradient(const cupel_op *op, int n_inputs);
/* What the part's own op would see. */
cupel_op_view sweep_part_view(const cupel_op_view *view, int part);

#endif
