/*
 * Physical axes and strides; see walk.h. Merging goes from the innermost axis outwards: two axes
 * become one where, for every operand, a step of the outer is as long as a full pass over the
 * inner. Test: tests/test_kernels_chain.c
 */
#include "backend/cpu/walk.h"

static int64_t block_of(cupel_layout layout) {
    return layout == CUPEL_LAYOUT_NCHW16C ? 16 : layout == CUPEL_LAYOUT_NCHW8C ? 8 : 1;
}

cupel_layout walk_layout(const cupel_desc *desc) {
    if (desc->layout == CUPEL_LAYOUT_PACKED || desc->shape.rank != 4)
        return desc->layout;
    const int64_t pixels = desc->shape.dims[2] * desc->shape.dims[3];
    if (desc->layout == CUPEL_LAYOUT_NHWC)
        return pixels == 1 || desc->shape.dims[1] == 1 ? CUPEL_LAYOUT_PLAIN : desc->layout;
    return pixels == 1 ? CUPEL_LAYOUT_PLAIN : desc->layout;
}

/* Physical axes of `over`: at most one more than its rank. */
static int physical_dims(const cupel_desc *over, cupel_layout layout, int64_t *dims) {
    const int64_t *d = over->shape.dims;
    const int64_t block = block_of(layout);
    if (layout == CUPEL_LAYOUT_NHWC) {
        const int64_t order[4] = {d[0], d[2], d[3], d[1]};
        for (int i = 0; i < 4; i++)
            dims[i] = order[i];
        return 4;
    }
    if (block > 1) {
        const int64_t order[5] = {d[0], d[1] / block, d[2], d[3], block};
        for (int i = 0; i < 5; i++)
            dims[i] = order[i];
        return 5;
    }
    for (int i = 0; i < over->shape.rank; i++)
        dims[i] = d[i];
    return over->shape.rank;
}

/* Strides of an operand along the logical axes of `over`; *block_stride: from one channel block to
 * the next. */
static bool logical_strides(const cupel_desc *operand, cupel_layout layout, const cupel_shape *over,
                            int64_t block, int64_t *strides, int64_t *block_stride) {
    int64_t dims[CUPEL_MAX_RANK];
    const int missing = over->rank - operand->shape.rank;
    if (missing < 0)
        return false;
    for (int i = 0; i < over->rank; i++) {
        dims[i] = i < missing ? 1 : operand->shape.dims[i - missing];
        if (dims[i] != 1 && dims[i] != over->dims[i])
            return false;
    }
    *block_stride = 0;
    if (layout == CUPEL_LAYOUT_PLAIN) {
        int64_t stride = 1;
        for (int i = over->rank - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= dims[i];
        }
        *block_stride = over->rank == 4 ? strides[1] * block : 0;
    } else if (layout == CUPEL_LAYOUT_NHWC) {
        strides[1] = 1;
        strides[3] = dims[1];
        strides[2] = dims[1] * dims[3];
        strides[0] = dims[1] * dims[3] * dims[2];
    } else {
        if (block_of(layout) != block || dims[1] % block != 0)
            return false;
        strides[1] = 1;
        strides[3] = block;
        strides[2] = block * dims[3];
        *block_stride = block * dims[3] * dims[2];
        strides[0] = dims[1] * dims[3] * dims[2];
    }
    for (int i = 0; i < over->rank; i++)
        if (dims[i] == 1)
            strides[i] = 0;
    if (over->rank == 4 && dims[1] == 1)
        *block_stride = 0;
    return true;
}

static bool operand_strides(const cupel_desc *operand, const cupel_desc *over, cupel_layout layout,
                            int64_t *out) {
    const cupel_layout own = walk_layout(operand);
    if (own == CUPEL_LAYOUT_PACKED || (own != CUPEL_LAYOUT_PLAIN && own != layout))
        return false;
    int64_t strides[CUPEL_MAX_RANK], block_stride;
    const int64_t block = block_of(layout);
    if (!logical_strides(operand, own, &over->shape, block, strides, &block_stride))
        return false;
    if (layout == CUPEL_LAYOUT_NHWC) {
        const int order[4] = {0, 2, 3, 1};
        for (int i = 0; i < 4; i++)
            out[i] = strides[order[i]];
    } else if (block > 1) {
        const int64_t order[5] = {strides[0], block_stride, strides[2], strides[3], strides[1]};
        for (int i = 0; i < 5; i++)
            out[i] = order[i];
    } else {
        for (int i = 0; i < over->shape.rank; i++)
            out[i] = strides[i];
    }
    return true;
}

static void drop_axis(struct walk *walk, int axis) {
    for (int i = axis; i + 1 < walk->rank; i++) {
        walk->dims[i] = walk->dims[i + 1];
        for (int k = 0; k < walk->n; k++)
            walk->strides[k][i] = walk->strides[k][i + 1];
    }
    walk->rank--;
}

static bool mergeable(const struct walk *walk, int axis) {
    for (int k = 0; k < walk->n; k++)
        if (walk->strides[k][axis] != walk->strides[k][axis + 1] * walk->dims[axis + 1])
            return false;
    return true;
}

static void merge(struct walk *walk) {
    for (int axis = walk->rank - 1; axis >= 0; axis--)
        if (walk->dims[axis] == 1 && walk->rank > 1)
            drop_axis(walk, axis);
    for (int axis = walk->rank - 2; axis >= 0; axis--) {
        if (!mergeable(walk, axis))
            continue;
        walk->dims[axis + 1] *= walk->dims[axis];
        drop_axis(walk, axis);
    }
}

bool walk_make(struct walk *out, const cupel_desc *over, int n, const cupel_desc *operands) {
    const cupel_layout layout = walk_layout(over);
    if (n > WALK_MAX_OPERANDS || layout == CUPEL_LAYOUT_PACKED)
        return false;
    *out = (struct walk){.n = n, .count = cupel_shape_count(over->shape)};
    out->rank = physical_dims(over, layout, out->dims);
    for (int k = 0; k < n; k++)
        if (!operand_strides(&operands[k], over, layout, out->strides[k]))
            return false;
    if (out->rank == 0) {
        out->rank = 1;
        out->dims[0] = 1;
    }
    merge(out);
    return true;
}

bool walk_dense(const struct walk *walk, int operand) {
    int64_t stride = 1;
    for (int axis = walk->rank - 1; axis >= 0; axis--) {
        if (walk->strides[operand][axis] != stride && walk->dims[axis] != 1)
            return false;
        stride *= walk->dims[axis];
    }
    return true;
}

int64_t walk_offset(const struct walk *walk, int operand, int64_t linear) {
    int64_t offset = 0;
    for (int axis = walk->rank - 1; axis >= 0; axis--) {
        offset += linear % walk->dims[axis] * walk->strides[operand][axis];
        linear /= walk->dims[axis];
    }
    return offset;
}
