/*
 * Reference moves: elements of any type are copied as bytes, so every bit of them survives.
 * Test: tests/test_op_shape.c
 */
#include <string.h>

#include "backend/ref/ref.h"
#include "backend/ref/ref_walk.h"

static size_t element_size(const struct ref_call *call) {
    return cupel_type_size(call->view->inputs[0].type);
}

static cupel_status ref_reshape(const struct ref_call *call) {
    if (call->outputs[0] != call->inputs[0])
        memmove(call->outputs[0], call->inputs[0], cupel_desc_bytes(&call->view->inputs[0]));
    return CUPEL_STATUS_OK;
}

/* dst in row-major order from the places the walk gives. */
static void copy_walk(const struct ref_call *call, struct ref_walk walk) {
    const size_t size = element_size(call);
    char *dst = call->outputs[0];
    const char *const src = call->inputs[0];
    for (; walk.left > 0; ref_walk_next(&walk), dst += size)
        memcpy(dst, src + (size_t)walk.at[0] * size, size);
}

static cupel_status ref_transpose(const struct ref_call *call) {
    const struct attrs_transpose *attrs = call->view->attrs;
    int64_t strides[CUPEL_MAX_RANK];
    ref_strides(ref_in_shape(call, 0), strides);
    struct ref_walk walk = ref_walk_over(ref_out_shape(call, 0));
    walk.n_operands = 1;
    for (int axis = 0; axis < walk.shape.rank; axis++)
        walk.strides[0][axis] = strides[attrs->permutation[axis]];
    copy_walk(call, walk);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_broadcast_to(const struct ref_call *call) {
    struct ref_walk walk = ref_walk_over(ref_out_shape(call, 0));
    ref_walk_operand(&walk, ref_in_shape(call, 0));
    copy_walk(call, walk);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_slice(const struct ref_call *call) {
    const struct attrs_slice *attrs = call->view->attrs;
    const struct ref_lines lines = ref_lines_along(ref_in_shape(call, 0), attrs->axis);
    const size_t row = (size_t)lines.inner * element_size(call);
    const size_t taken = (size_t)(attrs->end - attrs->begin) * row;
    const char *src = (const char *)call->inputs[0] + (size_t)attrs->begin * row;
    char *dst = call->outputs[0];
    for (int64_t o = 0; o < lines.outer; o++)
        memcpy(dst + (size_t)o * taken, src + (size_t)(o * lines.extent) * row, taken);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_pad(const struct ref_call *call) {
    const struct attrs_pad *attrs = call->view->attrs;
    const struct ref_lines lines = ref_lines_along(ref_in_shape(call, 0), attrs->axis);
    const size_t row = (size_t)lines.inner * element_size(call);
    const size_t before = (size_t)attrs->before * row;
    const size_t middle = (size_t)lines.extent * row;
    const size_t after = (size_t)attrs->after * row;
    const char *src = call->inputs[0];
    char *dst = call->outputs[0];
    for (int64_t o = 0; o < lines.outer; o++) {
        memset(dst, 0, before); /* zero bytes are the zero of every type */
        memcpy(dst + before, src, middle);
        memset(dst + before + middle, 0, after);
        dst += before + middle + after;
        src += middle;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status ref_concat(const struct ref_call *call) {
    const struct attrs_axis *attrs = call->view->attrs;
    const struct ref_lines lines = ref_lines_along(ref_out_shape(call, 0), attrs->axis);
    const size_t row = (size_t)lines.inner * element_size(call);
    char *dst = call->outputs[0];
    for (int64_t o = 0; o < lines.outer; o++) {
        for (int i = 0; i < call->view->n_inputs; i++) {
            const size_t part = (size_t)ref_in_shape(call, i).dims[attrs->axis] * row;
            memcpy(dst, (const char *)call->inputs[i] + (size_t)o * part, part);
            dst += part;
        }
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_shape_rows[] = {
    {"reshape", ref_reshape, true},
    {"transpose", ref_transpose, true},
    {"slice", ref_slice, true},
    {"concat", ref_concat, true},
    {"broadcast_to", ref_broadcast_to, true},
    {"pad", ref_pad, true},
    {NULL, NULL, false},
};
