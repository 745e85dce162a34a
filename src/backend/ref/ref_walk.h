/*
 * Walking over the elements of a shape in row-major order while keeping, for up to a few operands,
 * the place of the matching element: with stride 0 along axes where an operand is broadcast, with
 * permuted strides for a transpose. Test: tests/test_op_*.c
 */
#ifndef CUPEL_REF_WALK_H
#define CUPEL_REF_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "cupel/types.h"

enum { REF_WALK_OPERANDS = 3 };

struct ref_walk {
    cupel_shape shape;
    int64_t left; /* elements from here to the end, this one included; 0: past the end */
    int64_t index[CUPEL_MAX_RANK];
    int n_operands;
    int64_t strides[REF_WALK_OPERANDS][CUPEL_MAX_RANK];
    int64_t at[REF_WALK_OPERANDS]; /* element of each operand */
};

static inline struct ref_walk ref_walk_over(cupel_shape shape) {
    return (struct ref_walk){.shape = shape, .left = cupel_shape_count(shape)};
}

/* Row-major strides in elements. */
static inline void ref_strides(cupel_shape shape, int64_t strides[CUPEL_MAX_RANK]) {
    int64_t stride = 1;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        strides[axis] = stride;
        stride *= shape.dims[axis];
    }
}

/* Adds an operand of that shape, broadcast to the shape walked over. */
static inline void ref_walk_operand(struct ref_walk *walk, cupel_shape shape) {
    int64_t own[CUPEL_MAX_RANK];
    ref_strides(shape, own);
    const int lead = walk->shape.rank - shape.rank;
    int64_t *const strides = walk->strides[walk->n_operands++];
    for (int axis = 0; axis < walk->shape.rank; axis++)
        strides[axis] = axis < lead || shape.dims[axis - lead] == 1 ? 0 : own[axis - lead];
}

/* To the next element, the last axis fastest. */
static inline void ref_walk_next(struct ref_walk *walk) {
    walk->left--;
    for (int axis = walk->shape.rank - 1; axis >= 0; axis--) {
        for (int k = 0; k < walk->n_operands; k++)
            walk->at[k] += walk->strides[k][axis];
        if (++walk->index[axis] < walk->shape.dims[axis])
            return;
        for (int k = 0; k < walk->n_operands; k++)
            walk->at[k] -= walk->strides[k][axis] * walk->shape.dims[axis];
        walk->index[axis] = 0;
    }
}

/* An axis among the others: rows of `extent` elements `inner` apart, outer * inner of them. */
struct ref_lines {
    int64_t outer, extent, inner;
};

static inline struct ref_lines ref_lines_along(cupel_shape shape, int64_t axis) {
    struct ref_lines lines = {1, shape.dims[axis], 1};
    for (int i = 0; i < shape.rank; i++) {
        if (i < axis)
            lines.outer *= shape.dims[i];
        else if (i > axis)
            lines.inner *= shape.dims[i];
    }
    return lines;
}

#endif
