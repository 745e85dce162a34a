/*
 * Sums, means and extrema over any set of axes in any layout. The walk over the input gives axes
 * that are kept and axes that are reduced; the innermost axis decides: rows are reduced to numbers,
 * or columns are gathered over rows. Work is shared out over results; where there are few of
 * many elements, the reduced positions are cut into at most 8 pieces whose results meet in a fixed
 * tree, so the bits do not depend on the number of threads. Test: tests/test_kernels_reduce.c
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/vec_reduce.h"
#include "backend/cpu/walk.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum {
    PIECE = 16384, /* floats of a long row taken at once */
    MANY = 16,     /* results (or column blocks) that give threads enough to do */
    MOST_CUTS = 8, /* pieces that meet in the tree */
    FEW_ELEMENTS = 16384,
    CUT_ELEMENTS = 65536 /* fewer are not cut: the tree would take longer than the sums */
};

enum kind { KIND_SUM, KIND_MEAN, KIND_MAX, KIND_MIN };

/* A set of axes counted through in order. */
struct axes {
    int n;
    int64_t dims[WALK_MAX_RANK], in[WALK_MAX_RANK], out[WALK_MAX_RANK];
    int64_t count;
};

struct reduce_state {
    const struct vec_reduce_table *table;
    enum kind kind;
    bool columns;              /* the innermost axis is kept */
    struct axes kept, reduced; /* without the innermost axis */
    int64_t inner;             /* extent of the innermost axis */
    int64_t out_stride;        /* of the innermost axis, where it is kept */
    int64_t pieces, blocks;    /* of a row; of columns */
    int64_t cuts, positions;   /* pieces of the reduction, and what is cut */
    int64_t results;           /* in all */
    double scale;
    int64_t elements;
};

/* ---- accepting and planning ---- */

/* The output as the input's shape with ones: in the input's layout when it keeps four axes. */
static bool kept_desc(const cupel_op_view *view, cupel_desc *out) {
    const struct attrs_reduce *attrs = view->attrs;
    const cupel_desc *in = &view->inputs[0];
    *out = view->outputs[0];
    out->shape = in->shape;
    for (int axis = 0; axis < in->shape.rank; axis++)
        if (attrs->axes >> axis & 1)
            out->shape.dims[axis] = 1;
    return cupel_shape_count(out->shape) == cupel_shape_count(view->outputs[0].shape);
}

static bool walkable(const cupel_op_view *view) {
    cupel_desc out;
    struct walk walk;
    return kept_desc(view, &out) && walk_make(&walk, &view->inputs[0], 1, &out);
}

static bool accept_reduce(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(view->inputs[0].type == CUPEL_TYPE_F32 &&
                              view->outputs[0].type == CUPEL_TYPE_F32,
                          "operands are not f32") &&
           KERNEL_REQUIRE(view->outputs[0].shape.rank == 4 ||
                              view->outputs[0].layout == CUPEL_LAYOUT_PLAIN,
                          "the result has no channels but a layout") &&
           KERNEL_REQUIRE(walkable(view), "the result's layout does not follow the input's");
}

static void add_axis(struct axes *axes, int64_t dim, int64_t in, int64_t out) {
    axes->dims[axes->n] = dim;
    axes->in[axes->n] = in;
    axes->out[axes->n] = out;
    axes->n++;
    axes->count *= dim;
}

static enum kind kind_of(const char *op) {
    return strcmp(op, "reduce_sum") == 0    ? KIND_SUM
           : strcmp(op, "reduce_mean") == 0 ? KIND_MEAN
           : strcmp(op, "reduce_max") == 0  ? KIND_MAX
                                            : KIND_MIN;
}

/* The largest power of two that is at most both. */
static int64_t cuts_of(int64_t positions) {
    int64_t cuts = 1;
    while (cuts * 2 <= positions && cuts * 2 <= MOST_CUTS)
        cuts *= 2;
    return cuts;
}

static cupel_status plan_reduce(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct walk walk;
    cupel_desc out;
    if (!kept_desc(view, &out) || !walk_make(&walk, &view->inputs[0], 1, &out))
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "a layout that cannot be walked");
    struct reduce_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a reduction's plan", sizeof *state);
    state->table = cpu_vec_reduce();
    state->kind = kind_of(view->op->name);
    state->kept.count = state->reduced.count = 1;
    state->elements = walk.count;
    state->results = cupel_shape_count(out.shape);
    const int last = walk.rank - 1;
    /* A stride of 0 over one element says nothing: a tensor of one element is a row of one. */
    state->columns = walk.strides[0][last] != 0 && walk.dims[last] > 1;
    state->inner = walk.dims[last];
    state->out_stride = walk.strides[0][last];
    int64_t stride = walk.dims[last];
    for (int axis = last - 1; axis >= 0; axis--) {
        add_axis(walk.strides[0][axis] != 0 ? &state->kept : &state->reduced, walk.dims[axis],
                 stride, walk.strides[0][axis]);
        stride *= walk.dims[axis];
    }
    state->pieces = state->columns ? 1 : (state->inner + PIECE - 1) / PIECE;
    state->blocks = state->columns ? (state->inner + REDUCE_COLUMNS - 1) / REDUCE_COLUMNS : 1;
    state->positions = state->reduced.count * state->pieces;
    state->cuts = state->kept.count * state->blocks < MANY && walk.count >= CUT_ELEMENTS
                      ? cuts_of(state->positions)
                      : 1;
    state->scale = state->kind == KIND_MEAN ? (double)state->results / (double)walk.count : 1.0;
    plan->state = state;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes = (size_t)state->cuts * (size_t)state->results * sizeof(double);
    return CUPEL_STATUS_OK;
}

static void drop_reduce(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

struct reduce_run {
    const struct reduce_state *state;
    const float *in;
    float *out;
    double *partial; /* [cut][result]; used when there are several cuts */
};

/* Of n axes, listed from the innermost outwards. The outermost needs no division, which takes as
 * long as the sum of a short row. */
static int64_t offset_of(int n, const int64_t *dims, const int64_t *strides, int64_t index) {
    int64_t offset = 0;
    for (int i = 0; i + 1 < n; i++) {
        offset += index % dims[i] * strides[i];
        index /= dims[i];
    }
    return n > 0 ? offset + index * strides[n - 1] : offset;
}

static int64_t in_offset(const struct axes *axes, int64_t index) {
    return offset_of(axes->n, axes->dims, axes->in, index);
}

static int64_t out_offset(const struct axes *axes, int64_t index) {
    return offset_of(axes->n, axes->dims, axes->out, index);
}

/* index / n, where n is 1 more often than not; *rest: what is left. */
static int64_t divide(int64_t index, int64_t n, int64_t *rest) {
    *rest = n == 1 ? 0 : index % n;
    return n == 1 ? index : index / n;
}

static double start_of(enum kind kind) {
    return kind == KIND_MAX ? -(double)INFINITY : kind == KIND_MIN ? (double)INFINITY : 0.0;
}

static double combine(enum kind kind, double a, double b) {
    if (kind == KIND_MAX)
        return a != a || a > b ? a : b;
    if (kind == KIND_MIN)
        return a != a || a < b ? a : b;
    return a + b;
}

/* One number from reduced positions [begin, end) of rows. */
static double reduce_rows(const struct reduce_state *s, const float *in, int64_t begin,
                          int64_t end) {
    double total = start_of(s->kind);
    for (int64_t p = begin; p < end; p++) {
        int64_t piece;
        const int64_t index = divide(p, s->pieces, &piece), first = piece * PIECE;
        const int64_t n = s->inner - first < PIECE ? s->inner - first : PIECE;
        const float *row = in + in_offset(&s->reduced, index) + first;
        const double value = s->kind == KIND_MAX   ? (double)s->table->row_max(row, n)
                             : s->kind == KIND_MIN ? (double)s->table->row_min(row, n)
                                                   : s->table->row_sum(row, n);
        total = combine(s->kind, total, value);
    }
    return total;
}

/* A block of columns over reduced positions [begin, end); the innermost reduced axis is a run of
 * rows. */
static void reduce_columns(const struct reduce_state *s, const float *in, int64_t begin,
                           int64_t end, int64_t n, double *acc) {
    const struct axes *r = &s->reduced;
    const int64_t rows_in_run = r->n > 0 ? r->dims[0] : 1;
    const int64_t stride = r->n > 0 ? r->in[0] : 0;
    for (int64_t j = 0; j < n; j++)
        acc[j] = start_of(s->kind);
    for (int64_t p = begin; p < end;) {
        const int64_t left = rows_in_run - p % rows_in_run;
        const int64_t rows = end - p < left ? end - p : left;
        const float *from = in + in_offset(r, p);
        if (s->kind == KIND_MAX)
            s->table->columns_max(acc, from, stride, rows, n);
        else if (s->kind == KIND_MIN)
            s->table->columns_min(acc, from, stride, rows, n);
        else
            s->table->columns_sum(acc, from, stride, rows, n);
        p += rows;
    }
}

/* A unit is one result (or block of columns) and one cut. */
static void run_units(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct reduce_run *run = context;
    const struct reduce_state *s = run->state;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t cut, block, rest;
        const int64_t group = divide(divide(unit, s->cuts, &cut), s->blocks, &block);
        const int64_t from = divide(s->positions * cut, s->cuts, &rest);
        const int64_t to = divide(s->positions * (cut + 1), s->cuts, &rest);
        const float *in = run->in + in_offset(&s->kept, group);
        int64_t at = out_offset(&s->kept, group);
        double acc[REDUCE_COLUMNS];
        int64_t n = 1;
        if (s->columns) {
            const int64_t first = block * REDUCE_COLUMNS;
            n = s->inner - first < REDUCE_COLUMNS ? s->inner - first : REDUCE_COLUMNS;
            at += first * s->out_stride;
            reduce_columns(s, in + first, from, to, n, acc);
        } else {
            acc[0] = reduce_rows(s, in, from, to);
        }
        const int64_t step = s->columns ? s->out_stride : 0;
        if (s->cuts == 1)
            for (int64_t j = 0; j < n; j++)
                run->out[at + j * step] = (float)(acc[j] * s->scale);
        else
            for (int64_t j = 0; j < n; j++)
                run->partial[cut * s->results + at + j * step] = acc[j];
    }
}

static cupel_status run_reduce(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct reduce_state *s = plan->state;
    struct reduce_run run = {
        .state = s, .in = call->inputs[0], .out = call->outputs[0], .partial = call->scratch};
    const int threads = s->elements < FEW_ELEMENTS ? 1 : call->threads;
    parallel_for(threads, s->kept.count * s->blocks * s->cuts, 1, run_units, &run);
    if (s->cuts == 1)
        return CUPEL_STATUS_OK;
    for (int64_t half = s->cuts / 2; half > 0; half /= 2)
        for (int64_t cut = 0; cut < half; cut++)
            for (int64_t i = 0; i < s->results; i++) {
                double *a = &run.partial[cut * s->results + i];
                *a = combine(s->kind, *a, run.partial[(cut + half) * s->results + i]);
            }
    for (int64_t i = 0; i < s->results; i++)
        run.out[i] = (float)(run.partial[i] * s->scale);
    return CUPEL_STATUS_OK;
}

#define REDUCE_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:reduce", .revision = 3, .accept = accept_reduce, \
        .plan = plan_reduce, .run = run_reduce, .drop = drop_reduce \
    }

const struct kernel reduce_kernels[] = {
    REDUCE_KERNEL("reduce_sum"),
    REDUCE_KERNEL("reduce_mean"),
    REDUCE_KERNEL("reduce_max"),
    REDUCE_KERNEL("reduce_min"),
    {.op = NULL},
};
