/*
 * The internal op "fused_conv": its parts are inferred by their own rules, so the node has exactly
 * the shapes and types of its parts run apart. There is no gradient: fusing happens after gradients
 * were added. NaN: as the parts. Test: tests/test_pass_fuse_conv.c
 */
#include "op/op_fused_conv.h"

#include "op/op_internal.h"

cupel_status fused_conv_conv(const cupel_op_view *view, cupel_desc *result, cupel_op_view *conv) {
    const struct attrs_fused_conv *attrs = view->attrs;
    *result = (cupel_desc){.layout = view->outputs[0].layout};
    *conv = (cupel_op_view){.op = attrs->conv,
                            .attrs = &attrs->attrs,
                            .name = attrs->conv_name,
                            .n_inputs = (int)attrs->n_conv_inputs,
                            .inputs = view->inputs,
                            .n_outputs = 1,
                            .outputs = result,
                            .sink = view->sink};
    CUPEL_TRY(attrs->conv->infer(conv));
    result->layout = view->outputs[0].layout;
    return CUPEL_STATUS_OK;
}

cupel_op_view fused_conv_chain(const cupel_op_view *view, const cupel_desc *result,
                               cupel_desc *operands) {
    const struct attrs_fused_conv *attrs = view->attrs;
    const int conv = (int)attrs->n_conv_inputs, n = view->n_inputs - conv + 1;
    operands[0] = *result;
    for (int i = 1; i < n; i++)
        operands[i] = view->inputs[conv + i - 1];
    return (cupel_op_view){.op = &op_fused,
                           .attrs = &attrs->chain,
                           .name = view->name,
                           .n_inputs = n,
                           .inputs = operands,
                           .n_outputs = 1,
                           .outputs = view->outputs,
                           .sink = view->sink};
}

cupel_op_view fused_conv_sum(const cupel_op_view *view) {
    const struct attrs_fused_conv *attrs = view->attrs;
    return (cupel_op_view){.op = &op_reduce_sum,
                           .attrs = &attrs->sum,
                           .name = attrs->sum_name,
                           .n_inputs = 1,
                           .inputs = &view->outputs[0],
                           .n_outputs = 1,
                           .outputs = &view->outputs[1],
                           .sink = view->sink};
}

static bool whole(const cupel_op_view *view) {
    const struct attrs_fused_conv *attrs = view->attrs;
    return attrs->conv != NULL && attrs->conv->n_outputs == 1 && attrs->n_conv_inputs >= 1 &&
           attrs->n_conv_inputs <= view->n_inputs &&
           view->n_inputs - attrs->n_conv_inputs < FUSED_MAX_INPUTS &&
           view->n_outputs == (attrs->sum_name != NULL ? 2 : 1);
}

static cupel_status infer(const cupel_op_view *view) {
    if (!whole(view))
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d operands and %d results of its parts",
                             view->n_inputs, view->n_outputs);
    cupel_desc result, operands[FUSED_MAX_INPUTS];
    cupel_op_view conv;
    CUPEL_TRY(fused_conv_conv(view, &result, &conv));
    const cupel_op_view chain = fused_conv_chain(view, &result, operands);
    CUPEL_TRY(op_fused.infer(&chain));
    if (view->n_outputs == 1)
        return CUPEL_STATUS_OK;
    const cupel_op_view sum = fused_conv_sum(view);
    return op_reduce_sum.infer(&sum);
}

static double flops(const cupel_op_view *view) {
    cupel_desc result, operands[FUSED_MAX_INPUTS];
    cupel_op_view conv;
    if (!whole(view) || fused_conv_conv(view, &result, &conv) != CUPEL_STATUS_OK)
        return 0;
    const cupel_op_view chain = fused_conv_chain(view, &result, operands);
    double total = conv.op->flops(&conv) + op_fused.flops(&chain);
    if (view->n_outputs > 1) {
        const cupel_op_view sum = fused_conv_sum(view);
        total += op_reduce_sum.flops(&sum);
    }
    return total;
}

const cupel_op op_fused_conv = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "fused_conv",
    .attr_size = sizeof(struct attrs_fused_conv),
    .min_inputs = 2,
    .max_inputs = 3 + FUSED_MAX_INPUTS - 1,
    .n_outputs = 2,    /* at most */
    .image_inputs = 1, /* and of the chain's those that are shaped like the result */
    .image_outputs = 1,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = infer,
    .flops = flops,
};
