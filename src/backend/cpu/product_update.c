/*
 * Gradients that are used up as they are made: the product of a small dense layer's gradient fused
 * with Adam's update of its weights. Threads take rows of the weights, always the same, so that
 * weights and moments stay in their caches from step to step. Each gradient is summed over k in
 * order, so its bits depend on neither the threads nor the fusion. Test:
 * tests/test_kernels_product_update.c
 */
#include <string.h>

#include "backend/cpu/update.h"
#include "backend/cpu/vec_product_update.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"

enum { MOST_DEPTH = 2048, MOST_OPERATIONS = 1 << 22, FEW_OPERATIONS = 1 << 17 };

/* Operands: the product's two, parameter, both moments, learning rate and step. */
enum { A, B, PARAMETER, MEAN, SQUARE, RATE, STEP, OPERANDS };

static bool all_plain(const cupel_op_view *view) {
    for (int i = A; i <= SQUARE; i++)
        if (view->inputs[i].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    for (int k = 0; k < view->n_outputs; k++)
        if (view->outputs[k].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    return true;
}

static bool all_f32(const cupel_op_view *view) {
    for (int i = A; i <= RATE; i++)
        if (view->inputs[i].type != CUPEL_TYPE_F32)
            return false;
    return view->inputs[STEP].type == CUPEL_TYPE_F64;
}

static bool accept_product_update(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const struct attrs_product_update *attrs = view->attrs;
    if (!(KERNEL_REQUIRE(attrs->update == &op_adam_update && view->n_inputs == OPERANDS &&
                             attrs->gradient == 1,
                         "the update is not Adam's") &&
          KERNEL_REQUIRE(view->inputs[A].shape.rank == 2 && view->inputs[B].shape.rank == 2,
                         "the product is batched")))
        return false;
    const int64_t depth = view->inputs[A].shape.dims[0];
    const int64_t count = cupel_shape_count(view->outputs[0].shape);
    return KERNEL_REQUIRE(attrs->product.transpose_a != 0 && attrs->product.transpose_b == 0,
                          "sums do not run over the first axis of both matrices") &&
           KERNEL_REQUIRE(all_f32(view), "operands are not all f32, or the step not f64") &&
           KERNEL_REQUIRE(all_plain(view), "operands are not all plain") &&
           KERNEL_REQUIRE(count > 0 && depth > 0, "there is nothing to sum") &&
           KERNEL_REQUIRE(depth <= MOST_DEPTH, "sums too long for one accumulator") &&
           KERNEL_REQUIRE(count <= MOST_OPERATIONS / depth, "too large a product: blocking pays");
}

struct product_update_state {
    const struct vec_product_update_table *table;
    struct attrs_adam adam;
    int64_t m, n, depth;
};

static cupel_status plan_product_update(struct kernel_plan *plan,
                                        const struct kernel_request *request,
                                        struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_product_update *attrs = view->attrs;
    struct product_update_state *const state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "an update's plan", sizeof *state);
    state->table = cpu_vec_product_update();
    memcpy(&state->adam, attrs->update_attrs, sizeof state->adam);
    state->depth = view->inputs[A].shape.dims[0];
    state->m = view->inputs[A].shape.dims[1];
    state->n = view->inputs[B].shape.dims[1];
    plan->state = state;
    return CUPEL_STATUS_OK;
}

static void drop_product_update(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct product_update_run {
    const struct vec_product_update_table *table;
    struct product_update_work work;
};

static void run_rows(void *context, int64_t begin, int64_t end, int thread) {
    const struct product_update_run *run = context;
    (void)thread;
    run->table->run(&run->work, begin, end);
}

static cupel_status run_product_update(const struct kernel_plan *plan,
                                       const struct kernel_call *call) {
    const struct product_update_state *const state = plan->state;
    const float rate = *(const float *)call->inputs[RATE];
    const double step = *(const double *)call->inputs[STEP];
    const struct product_update_run run = {
        .table = state->table,
        .work = {.m = state->m,
                 .n = state->n,
                 .depth = state->depth,
                 .a = call->inputs[A],
                 .b = call->inputs[B],
                 .parameter = call->inputs[PARAMETER],
                 .mean = call->inputs[MEAN],
                 .square = call->inputs[SQUARE],
                 .parameter_out = call->outputs[0],
                 .mean_out = call->outputs[1],
                 .square_out = call->outputs[2],
                 .numbers = update_adam_numbers(&state->adam, (double)rate, step)}};
    const bool few = state->m * state->n * state->depth < FEW_OPERATIONS;
    const int most = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_for(few ? 1 : most, state->m, 1, run_rows, (void *)&run);
    return CUPEL_STATUS_OK;
}

const struct kernel product_update_kernels[] = {
    {.op = "product_update",
     .name = "vec:product-update",
     .revision = 4,
     .accept = accept_product_update,
     .plan = plan_product_update,
     .run = run_product_update,
     .drop = drop_product_update},
    {.op = NULL},
};
