/*
 * softmax, log_softmax, logsumexp and cross_entropy along the last axis: rows over threads, each
 * row read while it is in the cache. Test: tests/test_kernels_softmax.c
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/vec_softmax.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { FEW_ELEMENTS = 4096 };

enum kind { KIND_SOFTMAX, KIND_LOG_SOFTMAX, KIND_LOGSUMEXP, KIND_CROSS_ENTROPY };

struct softmax_state {
    const struct vec_softmax_table *table;
    enum kind kind;
    int64_t rows, n;
};

static enum kind kind_of(const char *op) {
    return strcmp(op, "softmax") == 0       ? KIND_SOFTMAX
           : strcmp(op, "log_softmax") == 0 ? KIND_LOG_SOFTMAX
           : strcmp(op, "logsumexp") == 0   ? KIND_LOGSUMEXP
                                            : KIND_CROSS_ENTROPY;
}

/* Elements of a row: the last axis, or for logsumexp the trailing axes that are reduced. 0: no
 * rows. */
static int64_t row_length(const cupel_op_view *view) {
    const cupel_shape shape = view->inputs[0].shape;
    if (shape.rank == 0)
        return 0;
    const int64_t last = shape.dims[shape.rank - 1];
    switch (kind_of(view->op->name)) {
    case KIND_SOFTMAX:
    case KIND_LOG_SOFTMAX: {
        const struct attrs_axis *attrs = view->attrs;
        return attrs->axis == shape.rank - 1 ? last : 0;
    }
    case KIND_CROSS_ENTROPY: return last;
    default: break;
    }
    const struct attrs_reduce *attrs = view->attrs;
    int64_t n = 1, axes = 0;
    for (int axis = shape.rank - 1; axis >= 0 && (attrs->axes >> axis & 1); axis--) {
        n *= shape.dims[axis];
        axes |= INT64_C(1) << axis;
    }
    return axes == attrs->axes && axes != 0 ? n : 0;
}

static bool accept_softmax(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(view->inputs[0].type == CUPEL_TYPE_F32 &&
                              view->outputs[0].type == CUPEL_TYPE_F32,
                          "operands are not f32") &&
           KERNEL_REQUIRE(view->inputs[0].layout == CUPEL_LAYOUT_PLAIN &&
                              view->outputs[0].layout == CUPEL_LAYOUT_PLAIN,
                          "operands are not plain") &&
           KERNEL_REQUIRE(row_length(view) > 0, "not along the last axis");
}

static cupel_status plan_softmax(struct kernel_plan *plan, const struct kernel_request *request,
                                 struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct softmax_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a softmax's plan", sizeof *state);
    state->table = cpu_vec_softmax();
    state->kind = kind_of(view->op->name);
    state->n = row_length(view);
    state->rows = cupel_shape_count(view->inputs[0].shape) / state->n;
    plan->state = state;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_softmax(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct softmax_run {
    const struct softmax_state *state;
    const float *in;
    const int64_t *labels;
    float *out;
};

/* log of the sum of e^x: an infinite maximum is the answer itself. */
static float log_sum(const struct vec_softmax_table *table, const float *x, float m, int64_t n) {
    return isinf(m) ? m : m + table->log((float)table->sum_exp(x, m, n, NULL));
}

static void run_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct softmax_run *run = context;
    const struct softmax_state *s = run->state;
    for (int64_t row = begin; row < end; row++) {
        const float *x = run->in + row * s->n;
        const float m = s->table->largest(x, s->n);
        switch (s->kind) {
        case KIND_SOFTMAX: {
            float *out = run->out + row * s->n;
            const double sum = s->table->sum_exp(x, m, s->n, out);
            s->table->scale(out, (float)(1.0 / sum), s->n);
            break;
        }
        case KIND_LOG_SOFTMAX: {
            const double sum = s->table->sum_exp(x, m, s->n, NULL);
            s->table->shift(x, m, s->table->log((float)sum), s->n, run->out + row * s->n);
            break;
        }
        case KIND_LOGSUMEXP: run->out[row] = log_sum(s->table, x, m, s->n); break;
        case KIND_CROSS_ENTROPY:
            if (isinf(m)) {
                run->out[row] = m - x[run->labels[row]];
            } else {
                const float sum = (float)s->table->sum_exp(x, m, s->n, NULL);
                run->out[row] = s->table->log(sum) - (x[run->labels[row]] - m);
            }
            break;
        }
    }
}

static cupel_status run_softmax(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct softmax_state *s = plan->state;
    struct softmax_run run = {
        .state = s,
        .in = call->inputs[0],
        .labels = s->kind == KIND_CROSS_ENTROPY ? call->inputs[1] : NULL,
        .out = call->outputs[0],
    };
    parallel_for(s->rows * s->n < FEW_ELEMENTS ? 1 : call->threads, s->rows, 4, run_rows, &run);
    return CUPEL_STATUS_OK;
}

#define SOFTMAX_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:softmax", .revision = 1, .accept = accept_softmax, \
        .plan = plan_softmax, .run = run_softmax, .drop = drop_softmax \
    }

const struct kernel softmax_kernels[] = {
    SOFTMAX_KERNEL("softmax"),
    SOFTMAX_KERNEL("log_softmax"),
    SOFTMAX_KERNEL("logsumexp"),
    SOFTMAX_KERNEL("cross_entropy"),
    {.op = NULL},
};
