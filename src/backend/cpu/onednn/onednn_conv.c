/*
 * Convolution by oneDNN: forward, backward data and backward weights, direct and Winograd.
 * Activations come in the layouts the program chose. Weights are plain in the program; where the
 * primitive wants a form of its own, that form is declared as a pack, so that it is made once and
 * not at each run. Kernels that are only the library's reference code are declined.
 * Test: tests/test_kernels_conv.c
 */
#include <string.h>

#include "backend/cpu/onednn/onednn.h"
#include "backend/cpu/onednn/onednn_api.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

struct conv_state {
    struct onednn_primitive primitive;
    struct onednn_primitive reorder; /* plain weights to the private form, or back */
    bool with_reorder;
    bool zero_bias;          /* output 1 is a scalar 0 where no gradient of a bias is wanted */
    char implementation[64]; /* "jit:avx512_core" */
};

/* Which operand is which. src and dst are those of the forward convolution; weights of the plain
 * form. */
struct roles {
    enum onednn_direction direction;
    const cupel_desc *src, *weights, *dst, *bias;
    int weights_operand;
};

static struct roles find_roles(const cupel_op_view *view) {
    const struct attrs_conv *attrs = view->attrs;
    if (strcmp(view->op->name, "conv2d") == 0)
        return (struct roles){.direction = ONEDNN_FORWARD,
                              .src = &view->inputs[0],
                              .weights = &view->inputs[1],
                              .bias = view->n_inputs > 2 ? &view->inputs[2] : NULL,
                              .dst = &view->outputs[0],
                              .weights_operand = 1};
    if (strcmp(view->op->name, "conv2d_backward_data") == 0)
        return (struct roles){.direction = ONEDNN_BACKWARD_DATA,
                              .src = &view->outputs[0],
                              .weights = &view->inputs[1],
                              .dst = &view->inputs[0],
                              .weights_operand = 1};
    return (struct roles){.direction = ONEDNN_BACKWARD_WEIGHTS,
                          .src = &view->inputs[0],
                          .weights = &view->outputs[0],
                          .bias = attrs->with_bias != 0 ? &view->outputs[1] : NULL,
                          .dst = &view->inputs[1],
                          .weights_operand = 0};
}

static bool accept_conv(const struct kernel_request *request, const char **why) {
    const struct roles r = find_roles(&request->view);
    return KERNEL_REQUIRE(r.src->type == CUPEL_TYPE_F32 && r.dst->type == CUPEL_TYPE_F32 &&
                              r.weights->type == CUPEL_TYPE_F32,
                          "operands are not all f32") &&
           KERNEL_REQUIRE(r.weights->layout == CUPEL_LAYOUT_PLAIN, "weights are not plain") &&
           KERNEL_REQUIRE(r.bias == NULL || r.bias->type == CUPEL_TYPE_F32, "bias is not f32") &&
           KERNEL_REQUIRE(r.src->layout != CUPEL_LAYOUT_PACKED &&
                              r.dst->layout != CUPEL_LAYOUT_PACKED,
                          "activations are packed") &&
           KERNEL_REQUIRE(onednn_engine() != NULL, "oneDNN has no engine here");
}

/* Winograd's own conditions are the library's; these keep it from answering with something else. */
static bool accept_winograd(const struct kernel_request *request, const char **why) {
    const struct attrs_conv *attrs = request->view.attrs;
    const struct roles r = find_roles(&request->view);
    return accept_conv(request, why) &&
           KERNEL_REQUIRE(r.weights->shape.dims[2] == 3 && r.weights->shape.dims[3] == 3,
                          "the kernel is not 3x3") &&
           KERNEL_REQUIRE(attrs->stride[0] == 1 && attrs->stride[1] == 1, "stride is not 1") &&
           KERNEL_REQUIRE(attrs->dilation[0] == 1 && attrs->dilation[1] == 1,
                          "dilation is not 1") &&
           KERNEL_REQUIRE(attrs->groups == 1, "grouped");
}

static void drop_conv(struct kernel_plan *plan) {
    struct conv_state *state = plan->state;
    if (state == NULL)
        return;
    onednn_primitive_drop(&state->primitive);
    onednn_primitive_drop(&state->reorder);
    cupel_free(state);
    plan->state = NULL;
}

/* Starts with "ref": the library's slow loops, where our own reference is as good and exact. */
static bool is_reference(const char *implementation) {
    return strncmp(implementation, "ref", 3) == 0;
}

static cupel_status describe(struct onednn_conv *conv, const struct roles *r,
                             const struct attrs_conv *attrs, bool winograd,
                             struct cupel_error *error) {
    *conv = (struct onednn_conv){
        .direction = r->direction, .winograd = winograd, .with_bias = r->bias != NULL};
    for (int axis = 0; axis < 2; axis++) {
        conv->stride[axis] = attrs->stride[axis];
        conv->padding[axis] = attrs->padding[axis];
        conv->dilation[axis] = attrs->dilation[axis] - 1;
    }
    const bool described =
        onednn_desc_tensor(&conv->src, r->src) && onednn_desc_tensor(&conv->dst, r->dst) &&
        onednn_desc_weights(&conv->weights, r->weights->shape, attrs->groups, true) &&
        (r->bias == NULL || onednn_desc_tensor(&conv->bias, r->bias));
    return described ? CUPEL_STATUS_OK
                     : cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                                  "a layout or shape that oneDNN cannot describe");
}

static cupel_status make_primitive(struct conv_state *state, const struct onednn_conv *conv,
                                   const struct onednn_desc *weights, dnnl_primitive_desc_t desc,
                                   int threads, struct cupel_error *error) {
    struct onednn_primitive *p = &state->primitive;
    CUPEL_TRY(onednn_primitive_make(p, desc, threads, error));
    switch (conv->direction) {
    case ONEDNN_FORWARD:
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_SRC, &conv->src, ONEDNN_INPUT, 0, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_WEIGHTS, weights, ONEDNN_INPUT, 1, error));
        if (conv->with_bias)
            CUPEL_TRY(onednn_bind(p, DNNL_ARG_BIAS, &conv->bias, ONEDNN_INPUT, 2, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_DST, &conv->dst, ONEDNN_OUTPUT, 0, error));
        break;
    case ONEDNN_BACKWARD_DATA:
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_DIFF_DST, &conv->dst, ONEDNN_INPUT, 0, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_WEIGHTS, weights, ONEDNN_INPUT, 1, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_DIFF_SRC, &conv->src, ONEDNN_OUTPUT, 0, error));
        break;
    case ONEDNN_BACKWARD_WEIGHTS:
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_SRC, &conv->src, ONEDNN_INPUT, 0, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_DIFF_DST, &conv->dst, ONEDNN_INPUT, 1, error));
        CUPEL_TRY(onednn_bind(p, DNNL_ARG_DIFF_WEIGHTS, weights, ONEDNN_OUTPUT, 0, error));
        if (conv->with_bias)
            CUPEL_TRY(onednn_bind(p, DNNL_ARG_DIFF_BIAS, &conv->bias, ONEDNN_OUTPUT, 1, error));
        break;
    }
    return onednn_bind_scratch(p, desc, error);
}

/* plain to private for an input, private to plain for the gradient of the weights */
static cupel_status make_reorder(struct conv_state *state, const struct onednn_desc *plain,
                                 const struct onednn_desc *private_form, bool back, int threads,
                                 struct cupel_error *error) {
    const struct onednn_desc *from = back ? private_form : plain;
    const struct onednn_desc *to = back ? plain : private_form;
    dnnl_primitive_desc_t desc = NULL;
    cupel_status status = onednn_fail(error, onednn_reorder_create(&desc, from, to), "reorder");
    if (status == CUPEL_STATUS_OK)
        status = onednn_primitive_make(&state->reorder, desc, threads, error);
    if (status == CUPEL_STATUS_OK)
        status = onednn_bind(&state->reorder, DNNL_ARG_FROM, from, ONEDNN_INPUT, 0, error);
    if (status == CUPEL_STATUS_OK)
        status = onednn_bind(&state->reorder, DNNL_ARG_TO, to, ONEDNN_OUTPUT, 0, error);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    state->with_reorder = true;
    return status;
}

static cupel_status prepare(struct kernel_plan *plan, const struct kernel_request *request,
                            bool winograd, dnnl_primitive_desc_t *desc, struct cupel_error *error) {
    struct conv_state *state = plan->state;
    const struct attrs_conv *attrs = request->view.attrs;
    const struct roles r = find_roles(&request->view);
    struct onednn_conv conv;
    CUPEL_TRY(describe(&conv, &r, attrs, winograd, error));
    CUPEL_TRY(onednn_fail(error, onednn_conv_create(desc, &conv), "convolution"));
    const char *implementation = onednn_implementation(*desc);
    if (is_reference(implementation))
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "oneDNN has only reference code (%s) for these operands", implementation);
    const size_t length = strlen(implementation);
    memcpy(state->implementation, implementation,
           length < sizeof state->implementation ? length : sizeof state->implementation - 1);

    struct onednn_desc plain, chosen;
    if (!onednn_desc_weights(&plain, r.weights->shape, attrs->groups, false))
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "weights oneDNN cannot describe");
    onednn_chosen_weights(*desc, r.direction, &chosen);
    CUPEL_TRY(make_primitive(state, &conv, &chosen, *desc, request->threads, error));
    if (!onednn_desc_equal(&plain, &chosen)) {
        const bool back = r.direction == ONEDNN_BACKWARD_WEIGHTS;
        CUPEL_TRY(make_reorder(state, &plain, &chosen, back, request->threads, error));
        plan->n_packs = 1;
        plan->packs[0] = (struct kernel_pack){
            .operand = r.weights_operand, .output = back, .bytes = onednn_desc_bytes(&chosen)};
    }
    state->zero_bias = r.direction == ONEDNN_BACKWARD_WEIGHTS && r.bias == NULL;
    plan->scratch_bytes = state->primitive.scratch_bytes;
    plan->detail = state->implementation;
    return CUPEL_STATUS_OK;
}

static cupel_status plan_either(struct kernel_plan *plan, const struct kernel_request *request,
                                bool winograd, struct cupel_error *error) {
    plan->state = cupel_alloc(1, sizeof(struct conv_state));
    if (plan->state == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof(struct conv_state));
    dnnl_primitive_desc_t desc = NULL;
    const int before = parallel_library_threads(request->threads);
    const cupel_status status = prepare(plan, request, winograd, &desc, error);
    parallel_library_threads(before);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    plan->threads = request->threads;
    if (status != CUPEL_STATUS_OK) {
        plan->n_packs = 0;
        drop_conv(plan);
    }
    return status;
}

static cupel_status plan_direct(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    return plan_either(plan, request, false, error);
}

static cupel_status plan_winograd(struct kernel_plan *plan, const struct kernel_request *request,
                                  struct cupel_error *error) {
    return plan_either(plan, request, true, error);
}

static cupel_status run_conv(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct conv_state *state = plan->state;
    if (state->zero_bias)
        *(float *)call->outputs[1] = 0.0F;
    return onednn_primitive_run(&state->primitive, call->inputs, call->outputs, call->scratch);
}

static cupel_status pack_weights(const struct kernel_plan *plan, int index, const void *from,
                                 void *to) {
    const struct conv_state *state = plan->state;
    if (index != 0 || !state->with_reorder)
        return CUPEL_STATUS_BUG;
    return onednn_primitive_run(&state->reorder, &from, &to, NULL);
}

#define CONV_KERNEL(op_name, kernel_name, accept_function, plan_function, more_flags) \
    { \
        .op = op_name, .name = kernel_name, .revision = 1, \
        .flags = KERNEL_FIXED_THREADS | (more_flags), .accept = accept_function, \
        .plan = plan_function, .run = run_conv, .pack = pack_weights, .drop = drop_conv \
    }

const struct kernel onednn_conv_kernels[] = {
    CONV_KERNEL("conv2d", "onednn:conv", accept_conv, plan_direct, 0),
    CONV_KERNEL("conv2d", "onednn:winograd", accept_winograd, plan_winograd, KERNEL_WINOGRAD),
    CONV_KERNEL("conv2d_backward_data", "onednn:conv", accept_conv, plan_direct, 0),
    CONV_KERNEL("conv2d_backward_data", "onednn:winograd", accept_winograd, plan_winograd,
                KERNEL_WINOGRAD),
    CONV_KERNEL("conv2d_backward_weights", "onednn:conv", accept_conv, plan_direct,
                KERNEL_VARIABLE_BITS),
    CONV_KERNEL("conv2d_backward_weights", "onednn:winograd", accept_winograd, plan_winograd,
                KERNEL_VARIABLE_BITS | KERNEL_WINOGRAD),
    {.op = NULL},
};
