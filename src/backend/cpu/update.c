/*
 * Optimiser updates over threads, one parameter or a sweep of several. The numbers that change from
 * step to step (bias corrections, learning rate) are computed once in double.
 * Test: tests/test_kernels_update.c
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/update.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"
#include "op/op_sweep.h"

enum { GRAIN = 1024, FEW_UNITS = 16 };

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

bool update_accept(const struct kernel_request *request, const char **why) {
    return strcmp(request->view.op->name, "adam_update") == 0 ? accept_adam(request, why)
                                                              : accept_sgd(request, why);
}

static bool accept_sweep(const struct kernel_request *request, const char **why) {
    const struct attrs_sweep *sweep = request->view.attrs;
    const char *name = sweep->op->name;
    if (!KERNEL_REQUIRE(strcmp(name, "adam_update") == 0 || strcmp(name, "sgd_update") == 0,
                        "updates of another kind"))
        return false;
    for (int p = 0; p < (int)sweep->n_parts; p++) {
        const struct kernel_request part = {.view = sweep_part_view(&request->view, p),
                                            .threads = request->threads};
        if (!update_accept(&part, why))
            return false;
    }
    return true;
}

struct update_run {
    const struct vec_update_table *table;
    int n;
    struct update_part {
        struct update update;
        int64_t first_unit;
    } parts[SWEEP_MAX_PARTS];
};

void update_range(const struct vec_update_table *table, const struct update *u,
                  const float *gradient, int64_t at, int64_t n) {
    const float *const *in = (const float *const *)u->inputs;
    float *const *out = (float *const *)u->outputs;
    if (u->adam)
        table->adam(n, &u->adam_numbers, in[0] + at, gradient, in[2] + at, in[3] + at, out[0] + at,
                    out[1] + at, out[2] + at);
    else if (u->buffered)
        table->sgd_momentum(n, &u->sgd_numbers, in[0] + at, gradient, in[3] + at, out[0] + at,
                            out[1] + at);
    else
        table->sgd(n, &u->sgd_numbers, in[0] + at, gradient, out[0] + at);
}

/* Units of GRAIN elements, numbered through all parameters. */
static void run_units(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct update_run *run = context;
    for (int i = 0; i < run->n; i++) {
        const struct update *u = &run->parts[i].update;
        const int64_t units = (u->count + GRAIN - 1) / GRAIN, first = run->parts[i].first_unit;
        const int64_t from = begin > first ? begin - first : 0;
        const int64_t to = end - first < units ? end - first : units;
        if (from >= to)
            continue;
        const int64_t at = from * GRAIN;
        update_range(run->table, u, (const float *)u->inputs[1] + at, at,
                     (to * GRAIN < u->count ? to * GRAIN : u->count) - at);
    }
}

struct adam_numbers update_adam_numbers(const struct attrs_adam *attrs, double learning_rate,
                                        double step) {
    return (struct adam_numbers){
        .step_size = (float)(learning_rate / (1.0 - pow(attrs->beta1, step))),
        .correction = (float)(1.0 / sqrt(1.0 - pow(attrs->beta2, step))),
        .one_minus_beta1 = (float)(1.0 - attrs->beta1),
        .beta2 = (float)attrs->beta2,
        .one_minus_beta2 = (float)(1.0 - attrs->beta2),
        /* not so small that it counts as 0, and 0 / 0 as no number */
        .epsilon = (float)(attrs->epsilon > 0 ? fmax(attrs->epsilon, 0x1p-126) : attrs->epsilon),
        .weight_decay = attrs->decoupled ? 0.0F : (float)attrs->weight_decay,
        .shrink = attrs->decoupled ? (float)(1.0 - learning_rate * attrs->weight_decay) : 1.0F,
    };
}

static struct update adam_of(const struct attrs_adam *attrs, const void *const *inputs) {
    return (struct update){.adam = true,
                           .adam_numbers =
                               update_adam_numbers(attrs, (double)*(const float *)inputs[4],
                                                   *(const double *)inputs[5])};
}

static struct update sgd_of(const struct attrs_sgd *attrs, const void *const *inputs,
                            void *const *outputs) {
    const bool buffered = attrs->momentum != 0.0;
    if (!buffered)
        *(float *)outputs[1] = 0.0F;
    const struct sgd_numbers numbers = {
        .learning_rate = *(const float *)inputs[2],
        .momentum = (float)attrs->momentum,
        .weight_decay = (float)attrs->weight_decay,
        .nesterov = attrs->nesterov != 0,
    };
    return (struct update){.buffered = buffered, .sgd_numbers = numbers};
}

struct update update_of(const cupel_op_view *view, const void *const *inputs,
                        void *const *outputs) {
    struct update u = strcmp(view->op->name, "adam_update") == 0
                          ? adam_of(view->attrs, inputs)
                          : sgd_of(view->attrs, inputs, outputs);
    u.inputs = inputs;
    u.outputs = outputs;
    u.count = cupel_shape_count(view->inputs[0].shape);
    return u;
}

static void add_update(struct update_run *run, const cupel_op_view *view, const void *const *inputs,
                       void *const *outputs, int64_t *units) {
    struct update_part *const part = &run->parts[run->n++];
    part->update = update_of(view, inputs, outputs);
    part->first_unit = *units;
    *units += (part->update.count + GRAIN - 1) / GRAIN;
}

/* The state is nothing but the copy of the loops that suits the processor. */
static cupel_status plan_update(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    const struct vec_update_table **state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "an update's plan", sizeof *state);
    *state = cpu_vec_update();
    plan->state = state;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_update(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

static cupel_status run_updates(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct update_run run;
    run.table = *(const struct vec_update_table *const *)plan->state;
    run.n = 0;
    int64_t units = 0;
    if (call->view->op != &op_sweep) {
        add_update(&run, call->view, call->inputs, call->outputs, &units);
    } else {
        const struct attrs_sweep *sweep = call->view->attrs;
        for (int p = 0; p < (int)sweep->n_parts; p++) {
            const cupel_op_view view = sweep_part_view(call->view, p);
            add_update(&run, &view, call->inputs + sweep->parts[p].first_input,
                       call->outputs + sweep->parts[p].first_output, &units);
        }
    }
    parallel_for(units < FEW_UNITS ? 1 : call->threads, units, 1, run_units, &run);
    return CUPEL_STATUS_OK;
}

#define UPDATE_KERNEL(op_name, kernel_name, kernel_revision, accept_function) \
    { \
        .op = op_name, .name = kernel_name, .revision = kernel_revision, \
        .accept = accept_function, .plan = plan_update, .run = run_updates, .drop = drop_update \
    }

const struct kernel update_kernels[] = {
    UPDATE_KERNEL("adam_update", "vec:adam", 5, accept_adam),
    UPDATE_KERNEL("sgd_update", "vec:sgd", 1, accept_sgd),
    UPDATE_KERNEL("sweep", "vec:sweep", 5, accept_sweep),
    {.op = NULL},
};
