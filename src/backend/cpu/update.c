/*
 * Optimiser updates over threads. The numbers that change from step to step (bias corrections,
 * learning rate) are computed once in double. Test: tests/test_kernels_update.c
 */
#include <math.h>

#include "backend/cpu/vec_update.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { GRAIN = 1024, FEW_ELEMENTS = 16384 };

/* Operands lie in memory in the same order, whichever it is; scalars are told apart by their
 * index. */
static bool alike(const cupel_op_view *view, int first_scalar, int last_scalar) {
    for (int i = 0; i < view->n_inputs; i++)
        if ((i < first_scalar || i > last_scalar) &&
            !cupel_desc_equal(&view->inputs[i], &view->inputs[0]))
            return false;
    return view->inputs[0].layout != CUPEL_LAYOUT_PACKED;
}

static bool accept_adam(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    bool same = true;
    for (int k = 0; k < view->n_outputs; k++)
        same = same && cupel_desc_equal(&view->outputs[k], &view->inputs[0]);
    return KERNEL_REQUIRE(view->inputs[0].type == CUPEL_TYPE_F32, "the parameter is not f32") &&
           KERNEL_REQUIRE(view->inputs[4].type == CUPEL_TYPE_F32 &&
                              view->inputs[5].type == CUPEL_TYPE_F64,
                          "the learning rate is not f32, or the step not f64") &&
           KERNEL_REQUIRE(alike(view, 4, 5) && same, "operands differ in type or layout");
}

static bool accept_sgd(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(view->inputs[0].type == CUPEL_TYPE_F32, "the parameter is not f32") &&
           KERNEL_REQUIRE(view->inputs[2].type == CUPEL_TYPE_F32, "the learning rate is not f32") &&
           KERNEL_REQUIRE(alike(view, 2, 2) &&
                              cupel_desc_equal(&view->outputs[0], &view->inputs[0]),
                          "operands differ in type or layout");
}

struct update_run {
    const struct vec_update_table *table;
    const void *const *inputs;
    void *const *outputs;
    struct adam_numbers adam;
    struct sgd_numbers sgd;
    bool buffered;
};

static void adam_piece(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct update_run *run = context;
    const float *const *in = (const float *const *)run->inputs;
    float *const *out = (float *const *)run->outputs;
    run->table->adam(end - begin, &run->adam, in[0] + begin, in[1] + begin, in[2] + begin,
                     in[3] + begin, out[0] + begin, out[1] + begin, out[2] + begin);
}

static void sgd_piece(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct update_run *run = context;
    const float *const *in = (const float *const *)run->inputs;
    float *const *out = (float *const *)run->outputs;
    if (run->buffered)
        run->table->sgd_momentum(end - begin, &run->sgd, in[0] + begin, in[1] + begin,
                                 in[3] + begin, out[0] + begin, out[1] + begin);
    else
        run->table->sgd(end - begin, &run->sgd, in[0] + begin, in[1] + begin, out[0] + begin);
}

static cupel_status plan_update(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    struct update_run *state = cupel_alloc(1, sizeof *state); /* of it, the table alone is kept */
    if (state == NULL)
        return cupel_fail_memory(error, "an update's plan", sizeof *state);
    state->table = cpu_vec_update();
    plan->state = state;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_update(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

static cupel_status run_pieces(const struct kernel_call *call, struct update_run *run,
                               parallel_body body) {
    const int64_t count = cupel_shape_count(call->view->inputs[0].shape);
    run->inputs = call->inputs;
    run->outputs = call->outputs;
    parallel_for(count < FEW_ELEMENTS ? 1 : call->threads, count, GRAIN, body, run);
    return CUPEL_STATUS_OK;
}

static cupel_status run_adam(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct update_run run = *(const struct update_run *)plan->state;
    const struct attrs_adam *attrs = call->view->attrs;
    const double learning_rate = (double)*(const float *)call->inputs[4];
    const double step = *(const double *)call->inputs[5];
    run.adam = (struct adam_numbers){
        .step_size = (float)(learning_rate / (1.0 - pow(attrs->beta1, step))),
        .correction = (float)(1.0 / sqrt(1.0 - pow(attrs->beta2, step))),
        .one_minus_beta1 = (float)(1.0 - attrs->beta1),
        .beta2 = (float)attrs->beta2,
        .one_minus_beta2 = (float)(1.0 - attrs->beta2),
        .epsilon = (float)attrs->epsilon,
        .weight_decay = attrs->decoupled ? 0.0F : (float)attrs->weight_decay,
        .shrink = attrs->decoupled ? (float)(1.0 - learning_rate * attrs->weight_decay) : 1.0F,
    };
    return run_pieces(call, &run, adam_piece);
}

static cupel_status run_sgd(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct update_run run = *(const struct update_run *)plan->state;
    const struct attrs_sgd *attrs = call->view->attrs;
    run.buffered = attrs->momentum != 0.0;
    run.sgd = (struct sgd_numbers){
        .learning_rate = *(const float *)call->inputs[2],
        .momentum = (float)attrs->momentum,
        .weight_decay = (float)attrs->weight_decay,
        .nesterov = attrs->nesterov != 0,
    };
    if (!run.buffered)
        *(float *)call->outputs[1] = 0.0F;
    return run_pieces(call, &run, sgd_piece);
}

const struct kernel update_kernels[] = {
    {.op = "adam_update",
     .name = "vec:adam",
     .revision = 1,
     .accept = accept_adam,
     .plan = plan_update,
     .run = run_adam,
     .drop = drop_update},
    {.op = "sgd_update",
     .name = "vec:sgd",
     .revision = 1,
     .accept = accept_sgd,
     .plan = plan_update,
     .run = run_sgd,
     .drop = drop_update},
    {.op = NULL},
};
