/*
 * Moves of elements of any type in plain order: transpose, slice, concat, pad, broadcast_to. Each
 * is a copy of a box with a stride per axis on either side; axes that run on in both are merged, so
 * that most moves are a few long copies. Two exchanged axes of 4-byte elements go through
 * transposes of tiles. Test: tests/test_kernels_move.c
 */
#include <string.h>

#include "backend/cpu/vec_reorder.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { MOST_BOXES = 32, TILE_COLUMNS = 64, FEW_BYTES = 1 << 16 };

/* Strides and offsets in elements. */
struct box {
    int input;
    int rank;
    int64_t dims[CUPEL_MAX_RANK], in[CUPEL_MAX_RANK], out[CUPEL_MAX_RANK];
    int64_t in_offset, out_offset;
    int tile_axis; /* the axis contiguous in the input, where it is not the last; -1: none */
    int64_t units; /* rows, or tiles */
};

struct move_state {
    const struct vec_reorder_table *table;
    int64_t size; /* of an element */
    int64_t out_bytes;
    bool zero_first;
    int n_boxes;
    struct box boxes[];
};

/* ---- planning ---- */

static void plain_strides(cupel_shape shape, int64_t *strides) {
    int64_t stride = 1;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        strides[axis] = stride;
        stride *= shape.dims[axis];
    }
}

static void drop_axis(struct box *box, int axis) {
    for (int i = axis; i + 1 < box->rank; i++) {
        box->dims[i] = box->dims[i + 1];
        box->in[i] = box->in[i + 1];
        box->out[i] = box->out[i + 1];
    }
    box->rank--;
}

static void finish_box(struct box *box, int64_t size) {
    for (int axis = box->rank - 1; axis >= 0; axis--)
        if (box->dims[axis] == 1)
            drop_axis(box, axis);
    for (int axis = box->rank - 2; axis >= 0; axis--) {
        const int64_t in = box->in[axis + 1] * box->dims[axis + 1];
        const int64_t out = box->out[axis + 1] * box->dims[axis + 1];
        if (box->in[axis] != in || box->out[axis] != out)
            continue;
        box->dims[axis + 1] *= box->dims[axis];
        drop_axis(box, axis);
    }
    if (box->rank == 0) {
        box->rank = 1;
        box->dims[0] = box->in[0] = box->out[0] = 1;
    }
    const int last = box->rank - 1;
    box->tile_axis = -1;
    for (int axis = 0; axis < last; axis++)
        if (size == 4 && box->in[axis] == 1 && box->in[last] != 1 && box->out[last] == 1)
            box->tile_axis = axis;
    box->units = 1;
    for (int axis = 0; axis < last; axis++)
        box->units *= axis != box->tile_axis ? box->dims[axis]
                                             : (box->dims[axis] + TILE_COLUMNS - 1) / TILE_COLUMNS;
}

/* The box of the whole input i, to be placed at an offset along an axis. */
static struct box whole_input(const cupel_op_view *view, int i, int64_t axis, int64_t offset) {
    struct box box = {.input = i, .rank = view->inputs[i].shape.rank};
    memcpy(box.dims, view->inputs[i].shape.dims, sizeof box.dims);
    plain_strides(view->inputs[i].shape, box.in);
    plain_strides(view->outputs[0].shape, box.out);
    box.out_offset = box.rank > 0 ? offset * box.out[axis] : 0;
    return box;
}

/* The box of the whole output, read from input 0. */
static struct box whole_output(const cupel_op_view *view) {
    struct box box = {.rank = view->outputs[0].shape.rank};
    memcpy(box.dims, view->outputs[0].shape.dims, sizeof box.dims);
    plain_strides(view->outputs[0].shape, box.out);
    const cupel_shape in = view->inputs[0].shape;
    int64_t strides[CUPEL_MAX_RANK] = {0};
    plain_strides(in, strides);
    if (strcmp(view->op->name, "transpose") == 0) {
        const struct attrs_transpose *attrs = view->attrs;
        for (int axis = 0; axis < box.rank; axis++)
            box.in[axis] = strides[attrs->permutation[axis]];
    } else if (strcmp(view->op->name, "slice") == 0) {
        const struct attrs_slice *attrs = view->attrs;
        memcpy(box.in, strides, sizeof strides);
        box.in_offset = attrs->begin * strides[attrs->axis];
    } else { /* broadcast_to: aligned at the last axis */
        const int missing = box.rank - in.rank;
        for (int axis = missing; axis < box.rank; axis++)
            box.in[axis] = in.dims[axis - missing] == 1 ? 0 : strides[axis - missing];
    }
    return box;
}

static bool accept_move(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    bool plain = view->outputs[0].layout == CUPEL_LAYOUT_PLAIN, same = true;
    for (int i = 0; i < view->n_inputs; i++) {
        plain = plain && view->inputs[i].layout == CUPEL_LAYOUT_PLAIN;
        same = same && view->inputs[i].type == view->outputs[0].type;
    }
    return KERNEL_REQUIRE(plain, "operands are not plain") &&
           KERNEL_REQUIRE(same, "operands differ in type") &&
           KERNEL_REQUIRE(view->n_inputs >= 1 && view->n_inputs <= MOST_BOXES, "too many operands");
}

static cupel_status plan_move(struct kernel_plan *plan, const struct kernel_request *request,
                              struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const char *op = view->op->name;
    const size_t bytes = sizeof(struct move_state) + (size_t)view->n_inputs * sizeof(struct box);
    struct move_state *state = cupel_alloc(1, bytes);
    if (state == NULL)
        return cupel_fail_memory(error, "a move's plan", bytes);
    state->table = cpu_vec_reorder();
    state->size = (int64_t)cupel_type_size(view->outputs[0].type);
    state->out_bytes = (int64_t)cupel_desc_bytes(&view->outputs[0]);
    if (strcmp(op, "concat") == 0) {
        const struct attrs_axis *attrs = view->attrs;
        int64_t offset = 0;
        for (int i = 0; i < view->n_inputs; i++) {
            state->boxes[state->n_boxes++] = whole_input(view, i, attrs->axis, offset);
            offset += view->inputs[i].shape.dims[attrs->axis];
        }
    } else if (strcmp(op, "pad") == 0) {
        const struct attrs_pad *attrs = view->attrs;
        state->zero_first = true;
        state->boxes[state->n_boxes++] = whole_input(view, 0, attrs->axis, attrs->before);
    } else {
        state->boxes[state->n_boxes++] = whole_output(view);
    }
    for (int b = 0; b < state->n_boxes; b++)
        finish_box(&state->boxes[b], state->size);
    plan->state = state;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_move(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

struct move_run {
    const struct move_state *state;
    const struct box *box;
    const char *in;
    char *out;
};

static void copy_strided(const char *in, int64_t stride, int64_t n, int64_t size, char *out,
                         int64_t out_stride) {
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * out_stride * size, in + i * stride * size, (size_t)size);
}

/* n copies of one element, doubling what is there already. */
static void copy_one(const char *in, int64_t n, int64_t size, char *out) {
    memcpy(out, in, (size_t)size);
    for (int64_t done = 1; done < n; done *= 2) {
        const int64_t more = n - done < done ? n - done : done;
        memcpy(out + done * size, out, (size_t)(more * size));
    }
}

static void run_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct move_run *run = context;
    const struct box *box = run->box;
    const int64_t size = run->state->size;
    const int last = box->rank - 1;
    const int64_t n = box->dims[last];
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t left = unit, in = box->in_offset, out = box->out_offset;
        for (int axis = last - 1; axis >= 0; axis--) {
            in += left % box->dims[axis] * box->in[axis];
            out += left % box->dims[axis] * box->out[axis];
            left /= box->dims[axis];
        }
        if (box->in[last] == 1 && box->out[last] == 1)
            memcpy(run->out + out * size, run->in + in * size, (size_t)(n * size));
        else if (box->in[last] == 0 && box->out[last] == 1)
            copy_one(run->in + in * size, n, size, run->out + out * size);
        else
            copy_strided(run->in + in * size, box->in[last], n, size, run->out + out * size,
                         box->out[last]);
    }
}

static void run_tiles(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct move_run *run = context;
    const struct box *box = run->box;
    const int last = box->rank - 1;
    const int64_t columns = box->dims[box->tile_axis];
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t left = unit, in = box->in_offset, out = box->out_offset, first = 0;
        for (int axis = last - 1; axis >= 0; axis--) {
            const bool tiled = axis == box->tile_axis;
            const int64_t extent =
                tiled ? (columns + TILE_COLUMNS - 1) / TILE_COLUMNS : box->dims[axis];
            const int64_t index = left % extent * (tiled ? TILE_COLUMNS : 1);
            first = tiled ? index : first;
            in += index * box->in[axis];
            out += index * box->out[axis];
            left /= extent;
        }
        const int64_t n = columns - first < TILE_COLUMNS ? columns - first : TILE_COLUMNS;
        run->state->table->transpose((const float *)(const void *)run->in + in, box->in[last],
                                     box->dims[last], n, (float *)(void *)run->out + out,
                                     box->out[box->tile_axis]);
    }
}

static void run_zeros(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct move_run *run = context;
    memset(run->out + begin, 0, (size_t)(end - begin));
}

static cupel_status run_move(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct move_state *state = plan->state;
    const int threads = state->out_bytes < FEW_BYTES ? 1 : call->threads;
    struct move_run run = {.state = state, .out = call->outputs[0]};
    if (state->zero_first)
        parallel_for(threads, state->out_bytes, 4096, run_zeros, &run);
    for (int b = 0; b < state->n_boxes; b++) {
        run.box = &state->boxes[b];
        run.in = call->inputs[run.box->input];
        parallel_for(threads, run.box->units, 1, run.box->tile_axis >= 0 ? run_tiles : run_rows,
                     &run);
    }
    return CUPEL_STATUS_OK;
}

#define MOVE_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:move", .revision = 1, .accept = accept_move, \
        .plan = plan_move, .run = run_move, .drop = drop_move \
    }

const struct kernel move_kernels[] = {
    MOVE_KERNEL("transpose"), MOVE_KERNEL("slice"),        MOVE_KERNEL("concat"),
    MOVE_KERNEL("pad"),       MOVE_KERNEL("broadcast_to"), {.op = NULL},
};
