/*
 * oneDNN's deconvolution primitives behind the interface of kernels; see deconvolution.h. Weights
 * are packed beforehand and scratch memory is the caller's, as for every other contender. They
 * reach the library through the header that wraps it.
 */
#include "deconvolution.h"

#include <string.h>

#include "backend/cpu/onednn/onednn_api.h"
#include "base/memory.h"
#include "op/op_attrs.h"

struct deconvolution {
    struct onednn_primitive primitive, reorder;
};

/* Operands of the transposed convolution: src is the mirrored convolution's dst. */
struct operands {
    enum onednn_direction direction;
    const cupel_desc *src, *weights, *dst;
    struct onednn_desc src_desc, dst_desc, plain, chosen; /* the last two: weights */
};

static bool find_operands(struct operands *o, const cupel_op_view *view) {
    if (strcmp(view->op->name, "conv2d_backward_data") == 0)
        *o = (struct operands){ONEDNN_FORWARD, .src = &view->inputs[0], .weights = &view->inputs[1],
                               .dst = &view->outputs[0]};
    else if (strcmp(view->op->name, "conv2d") == 0)
        *o = (struct operands){ONEDNN_BACKWARD_DATA, .src = &view->outputs[0],
                               .weights = &view->inputs[1], .dst = &view->inputs[0]};
    else
        *o = (struct operands){ONEDNN_BACKWARD_WEIGHTS, .src = &view->inputs[1],
                               .weights = &view->outputs[0], .dst = &view->inputs[0]};
    /* the convolution's [O, I, 3, 3] are the transposed one's [I, O, 3, 3] */
    const int64_t *dims = o->weights->shape.dims;
    const int64_t shape[] = {dims[1], dims[0], 3, 3}, strides[] = {9, dims[1] * 9, 3, 1};
    return onednn_desc_tensor(&o->src_desc, o->src) && onednn_desc_tensor(&o->dst_desc, o->dst) &&
           onednn_desc_strided(&o->plain, 4, shape, strides);
}

static dnnl_status_t create(dnnl_primitive_desc_t *out, const struct operands *o,
                            const struct attrs_conv *attrs, dnnl_alg_kind_t algorithm) {
    const int64_t *dims = o->plain.md.dims;
    const dnnl_dims_t shape = {dims[0], dims[1], dims[2], dims[3]}, ones = {1, 1};
    const dnnl_dims_t padding = {attrs->padding[0], attrs->padding[1]};
    const dnnl_memory_desc_t *src = &o->src_desc.md, *dst = &o->dst_desc.md;
    dnnl_memory_desc_t weights;
    dnnl_deconvolution_desc_t desc;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status =
        dnnl_memory_desc_init_by_tag(&weights, 4, shape, dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success && o->direction == ONEDNN_FORWARD)
        status = dnnl_deconvolution_forward_desc_init(&desc, dnnl_forward_training, algorithm, src,
                                                      &weights, NULL, dst, ones, padding, padding);
    else if (status == dnnl_success && o->direction == ONEDNN_BACKWARD_DATA)
        status = dnnl_deconvolution_backward_data_desc_init(&desc, algorithm, src, &weights, dst,
                                                            ones, padding, padding);
    else if (status == dnnl_success)
        status = dnnl_deconvolution_backward_weights_desc_init(&desc, algorithm, src, &weights,
                                                               NULL, dst, ones, padding, padding);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(out, &desc, attr, onednn_engine(), NULL);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    return status;
}

static cupel_status bind(struct onednn_primitive *p, const struct operands *o,
                         struct cupel_error *error) {
    static const int arguments[][3] = {
        [ONEDNN_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        [ONEDNN_BACKWARD_DATA] = {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC},
        [ONEDNN_BACKWARD_WEIGHTS] = {DNNL_ARG_DIFF_DST, DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS}};
    /* in the order of the op's operands: two inputs, one output */
    const struct onednn_desc *descs[][3] = {
        [ONEDNN_FORWARD] = {&o->src_desc, &o->chosen, &o->dst_desc},
        [ONEDNN_BACKWARD_DATA] = {&o->dst_desc, &o->chosen, &o->src_desc},
        [ONEDNN_BACKWARD_WEIGHTS] = {&o->dst_desc, &o->src_desc, &o->chosen}};
    const int *a = arguments[o->direction];
    const struct onednn_desc **d = descs[o->direction];
    CUPEL_TRY(onednn_bind(p, a[0], d[0], ONEDNN_INPUT, 0, error));
    CUPEL_TRY(onednn_bind(p, a[1], d[1], ONEDNN_INPUT, 1, error));
    return onednn_bind(p, a[2], d[2], ONEDNN_OUTPUT, 0, error);
}

static cupel_status make_reorder(struct onednn_primitive *p, const struct operands *o, int threads,
                                 struct cupel_error *error) {
    const bool back = o->direction == ONEDNN_BACKWARD_WEIGHTS;
    const struct onednn_desc *from = back ? &o->chosen : &o->plain;
    const struct onednn_desc *to = back ? &o->plain : &o->chosen;
    dnnl_primitive_desc_t desc = NULL;
    CUPEL_TRY(onednn_fail(error, onednn_reorder_create(&desc, from, to), "reorder"));
    cupel_status status = onednn_primitive_make(p, desc, threads, error);
    if (status == CUPEL_STATUS_OK)
        status = onednn_bind(p, DNNL_ARG_FROM, from, ONEDNN_INPUT, 0, error);
    if (status == CUPEL_STATUS_OK)
        status = onednn_bind(p, DNNL_ARG_TO, to, ONEDNN_OUTPUT, 0, error);
    dnnl_primitive_desc_destroy(desc);
    return status;
}

static cupel_status prepare(struct kernel_plan *plan, const struct kernel_request *request,
                            dnnl_primitive_desc_t desc, struct operands *o,
                            struct cupel_error *error) {
    struct deconvolution *state = plan->state;
    onednn_chosen_weights(desc, o->direction, &o->chosen);
    CUPEL_TRY(onednn_primitive_make(&state->primitive, desc, request->threads, error));
    CUPEL_TRY(bind(&state->primitive, o, error));
    CUPEL_TRY(onednn_bind_scratch(&state->primitive, desc, error));
    plan->scratch_bytes = state->primitive.scratch_bytes;
    if (onednn_desc_equal(&o->plain, &o->chosen))
        return CUPEL_STATUS_OK;
    const bool back = o->direction == ONEDNN_BACKWARD_WEIGHTS;
    plan->n_packs = 1;
    plan->packs[0] = (struct kernel_pack){
        .operand = back ? 0 : 1, .output = back, .bytes = onednn_desc_bytes(&o->chosen)};
    return make_reorder(&state->reorder, o, request->threads, error);
}

static void drop_deconvolution(struct kernel_plan *plan) {
    struct deconvolution *state = plan->state;
    onednn_primitive_drop(&state->primitive);
    onednn_primitive_drop(&state->reorder);
    cupel_free(state);
    plan->state = NULL;
}

static cupel_status plan_deconvolution(struct kernel_plan *plan,
                                       const struct kernel_request *request,
                                       dnnl_alg_kind_t algorithm, struct cupel_error *error) {
    struct operands o;
    dnnl_primitive_desc_t desc = NULL;
    plan->state = cupel_alloc(1, sizeof(struct deconvolution));
    if (plan->state == NULL)
        return cupel_fail_memory(error, "a plan", sizeof(struct deconvolution));
    cupel_status status = CUPEL_STATUS_UNSUPPORTED;
    if (find_operands(&o, &request->view))
        status =
            onednn_fail(error, create(&desc, &o, request->view.attrs, algorithm), "deconvolution");
    if (status == CUPEL_STATUS_OK)
        status = prepare(plan, request, desc, &o, error);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    if (status != CUPEL_STATUS_OK)
        drop_deconvolution(plan);
    return status;
}

static cupel_status plan_direct(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    return plan_deconvolution(plan, request, dnnl_deconvolution_direct, error);
}

static cupel_status plan_winograd(struct kernel_plan *plan, const struct kernel_request *request,
                                  struct cupel_error *error) {
    return plan_deconvolution(plan, request, dnnl_deconvolution_winograd, error);
}

static cupel_status run_deconvolution(const struct kernel_plan *plan,
                                      const struct kernel_call *call) {
    const struct deconvolution *state = plan->state;
    return onednn_primitive_run(&state->primitive, call->inputs, call->outputs, call->scratch);
}

static cupel_status pack_deconvolution(const struct kernel_plan *plan, int index, const void *from,
                                       void *to) {
    const struct deconvolution *state = plan->state;
    (void)index;
    return onednn_primitive_run(&state->reorder, &from, &to, NULL);
}

#define DECONVOLUTION_KERNEL(op_name, algorithm) \
    { \
        .op = op_name, .name = "onednn:deconv-" #algorithm, .plan = plan_##algorithm, \
        .run = run_deconvolution, .pack = pack_deconvolution, .drop = drop_deconvolution \
    }

const struct kernel deconvolution_kernels[] = {
    DECONVOLUTION_KERNEL("conv2d_backward_data", direct),
    DECONVOLUTION_KERNEL("conv2d_backward_data", winograd),
    DECONVOLUTION_KERNEL("conv2d", direct),
    DECONVOLUTION_KERNEL("conv2d", winograd),
    DECONVOLUTION_KERNEL("conv2d_backward_weights", direct),
    DECONVOLUTION_KERNEL("conv2d_backward_weights", winograd),
    {.op = NULL},
};
