/*
 * The Bernoulli loss and its gradient by the logits as one kernel: a chain of
 *   x = product + bias (or an operand), softplus(x) - x t, and scale sigmoid(x) + target_scale t
 * which the fuse pass makes of cupel_bernoulli_cross_entropy() and its adjoint. Part by part, the
 * exponential is computed twice and every value goes through the cache; here once, in registers.
 * Chains of any other form are left to chain.c. Rows are shared out over threads.
 * Test: tests/test_kernels_bernoulli.c
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/vec_bernoulli.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

enum { FEW_ELEMENTS = 8192, NONE = -1 };

/* The inputs of the node that mean something, and the outputs. */
struct form {
    int product, target, bias, scale, target_scale; /* bias: or NONE */
    int error, gradient;
};

struct bernoulli_state {
    const struct vec_bernoulli_table *table;
    struct form form;
    int64_t rows, columns;
    int64_t scale_step, target_scale_step; /* elements from row to row, 0 or 1 */
};

/* ---- the form ---- */

static const struct fused_part *part_at(const struct attrs_fused *chain, int32_t operand) {
    return operand < 0 ? &chain->parts[~operand] : NULL;
}

static bool is_op(const struct fused_part *part, const cupel_op *op) {
    return part != NULL && part->op == op;
}

/* Whether the part is a product with `one`; *other is its other factor, which is an input. */
static bool is_product(const struct fused_part *part, int32_t one, int *other) {
    if (!is_op(part, &op_mul))
        return false;
    for (int i = 0; i < 2; i++)
        if (part->inputs[i] == one && part->inputs[1 - i] >= 0) {
            *other = part->inputs[1 - i];
            return true;
        }
    return false;
}

/* softplus(x) - x target */
static bool is_error(const struct attrs_fused *chain, const struct fused_part *part, int32_t *x,
                     struct form *form) {
    if (!is_op(part, &op_sub) || !is_op(part_at(chain, part->inputs[0]), &op_softplus))
        return false;
    *x = part_at(chain, part->inputs[0])->inputs[0];
    return is_product(part_at(chain, part->inputs[1]), *x, &form->target);
}

/* scale sigmoid(x) + target_scale target, in either order */
static bool is_gradient(const struct attrs_fused *chain, const struct fused_part *part, int32_t x,
                        struct form *form) {
    if (!is_op(part, &op_add))
        return false;
    for (int i = 0; i < 2; i++) {
        const struct fused_part *const slope = part_at(chain, part->inputs[i]);
        for (int j = 0; j < 2 && is_op(slope, &op_mul); j++) {
            const struct fused_part *const sigmoid = part_at(chain, slope->inputs[j]);
            if (is_op(sigmoid, &op_sigmoid) && sigmoid->inputs[0] == x &&
                is_product(slope, slope->inputs[j], &form->scale) &&
                is_product(part_at(chain, part->inputs[1 - i]), form->target, &form->target_scale))
                return true;
        }
    }
    return false;
}

/* x is an input, or the sum of two. */
static bool is_logits(const struct attrs_fused *chain, int32_t x, struct form *form) {
    const struct fused_part *const sum = part_at(chain, x);
    form->product = sum == NULL ? x : sum->inputs[0];
    form->bias = sum == NULL ? NONE : sum->inputs[1];
    return sum == NULL || (is_op(sum, &op_add) && form->product >= 0 && form->bias >= 0);
}

static bool find_form(const struct attrs_fused *chain, struct form *form) {
    int32_t x = 0;
    if (chain->n_outputs != 2)
        return false;
    form->error = is_op(&chain->parts[chain->outputs[0]], &op_sub) ? 0 : 1;
    form->gradient = 1 - form->error;
    return is_error(chain, &chain->parts[chain->outputs[form->error]], &x, form) &&
           is_gradient(chain, &chain->parts[chain->outputs[form->gradient]], x, form) &&
           is_logits(chain, x, form) && chain->n_parts == (form->bias == NONE ? 7 : 8);
}

/* ---- accepting and planning ---- */

static bool all_plain_f32(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        if (view->inputs[i].type != CUPEL_TYPE_F32 || view->inputs[i].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    for (int k = 0; k < view->n_outputs; k++)
        if (view->outputs[k].type != CUPEL_TYPE_F32 ||
            view->outputs[k].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    return true;
}

/* A number a row, or one for all. */
static bool is_row_scale(const cupel_desc *desc, cupel_shape matrix) {
    const cupel_shape s = desc->shape;
    return cupel_shape_count(s) == 1 ||
           (s.rank == 2 && s.dims[0] == matrix.dims[0] && s.dims[1] == 1);
}

static bool is_bias(const cupel_desc *desc, cupel_shape matrix) {
    const cupel_shape s = desc->shape;
    return s.rank > 0 && s.dims[s.rank - 1] == matrix.dims[1] &&
           cupel_shape_count(s) == matrix.dims[1];
}

static bool shapes_fit(const cupel_op_view *view, const struct form *form) {
    const cupel_shape matrix = view->outputs[0].shape;
    return matrix.rank == 2 && cupel_shape_equal(view->inputs[form->product].shape, matrix) &&
           cupel_shape_equal(view->inputs[form->target].shape, matrix) &&
           cupel_shape_equal(view->outputs[1].shape, matrix) &&
           (form->bias == NONE || is_bias(&view->inputs[form->bias], matrix)) &&
           is_row_scale(&view->inputs[form->scale], matrix) &&
           is_row_scale(&view->inputs[form->target_scale], matrix);
}

static bool accept_bernoulli(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    struct form form;
    return KERNEL_REQUIRE(find_form(view->attrs, &form),
                          "the chain is not the Bernoulli loss with its gradient") &&
           KERNEL_REQUIRE(all_plain_f32(view), "operands are not all f32 and plain") &&
           KERNEL_REQUIRE(shapes_fit(view, &form),
                          "operands are no matrices, their bias and factors of rows");
}

static cupel_status plan_bernoulli(struct kernel_plan *plan, const struct kernel_request *request,
                                   struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct bernoulli_state *const state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a loss's plan", sizeof *state);
    (void)find_form(view->attrs, &state->form); /* was accepted */
    state->table = cpu_vec_bernoulli();
    state->rows = view->outputs[0].shape.dims[0];
    state->columns = view->outputs[0].shape.dims[1];
    state->scale_step = cupel_shape_count(view->inputs[state->form.scale].shape) > 1;
    state->target_scale_step = cupel_shape_count(view->inputs[state->form.target_scale].shape) > 1;
    plan->state = state;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_bernoulli(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

struct bernoulli_run {
    const struct bernoulli_state *state;
    const struct kernel_call *call;
};

static void run_rows(void *context, int64_t begin, int64_t end, int thread) {
    const struct bernoulli_run *run = context;
    const struct bernoulli_state *state = run->state;
    const struct form *form = &state->form;
    const float *const *in = (const float *const *)run->call->inputs;
    float *const *out = (float *const *)run->call->outputs;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        const int64_t at = r * state->columns;
        state->table->row(&(struct bernoulli_row){
            .n = state->columns,
            .product = in[form->product] + at,
            .target = in[form->target] + at,
            .bias = form->bias == NONE ? NULL : in[form->bias],
            .scale = in[form->scale][r * state->scale_step],
            .target_scale = in[form->target_scale][r * state->target_scale_step],
            .error = out[form->error] + at,
            .gradient = out[form->gradient] + at});
    }
}

static cupel_status run_bernoulli(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct bernoulli_state *state = plan->state;
    struct bernoulli_run run = {.state = state, .call = call};
    const int most = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_for(state->rows * state->columns < FEW_ELEMENTS ? 1 : most, state->rows, 1, run_rows,
                 &run);
    return CUPEL_STATUS_OK;
}

const struct kernel bernoulli_kernels[] = {
    {.op = "fused",
     .name = "vec:bernoulli",
     .revision = 1,
     .accept = accept_bernoulli,
     .plan = plan_bernoulli,
     .run = run_bernoulli,
     .drop = drop_bernoulli},
    {.op = NULL},
};
