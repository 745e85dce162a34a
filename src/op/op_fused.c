/*
 * The internal op "fused": parts are inferred one after the other by their own rules, so a chain
 * has exactly the shapes and types of its parts run apart. NaN rules and gradients are those of the
 * parts; fusing happens after gradients were added. Test: tests/test_kernels_chain.c
 */
#include "op/op_fused.h"

static bool part_operands(const cupel_op_view *view, const struct fused_part *part, int index,
                          const cupel_desc *earlier, cupel_desc *out) {
    if (part->op == NULL || part->n_inputs < 0 || part->n_inputs > FUSED_MAX_PART_INPUTS)
        return false;
    for (int i = 0; i < part->n_inputs; i++) {
        const int32_t from = part->inputs[i];
        if (from >= 0 ? from >= view->n_inputs : ~from >= index)
            return false;
        out[i] = from >= 0 ? view->inputs[from] : earlier[~from];
        out[i].layout = CUPEL_LAYOUT_PLAIN;
    }
    return true;
}

cupel_status fused_part_descs(const cupel_op_view *view, cupel_desc *descs) {
    const struct attrs_fused *attrs = view->attrs;
    if (attrs->n_parts < 1 || attrs->n_parts > FUSED_MAX_PARTS)
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%lld parts, the most is %d",
                             (long long)attrs->n_parts, (int)FUSED_MAX_PARTS);
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct fused_part *part = &attrs->parts[p];
        cupel_desc operands[FUSED_MAX_PART_INPUTS] = {0};
        if (!part_operands(view, part, p, descs, operands))
            return cupel_op_fail(view, CUPEL_STATUS_BUG, "part %d has no op or a wrong operand", p);
        if ((part->op->flags & CUPEL_OP_ELEMENTWISE) == 0 || part->op->n_outputs != 1 ||
            part->op->attr_size > FUSED_ATTR_SIZE)
            return cupel_op_fail(view, CUPEL_STATUS_BUG, "part %d, %s, is not elementwise", p,
                                 part->op->name);
        const cupel_op_view inner = {
            .op = part->op,
            .attrs = part->attrs,
            .name = view->name,
            .n_inputs = part->n_inputs,
            .inputs = operands,
            .n_outputs = 1,
            .outputs = &descs[p],
            .sink = view->sink,
        };
        descs[p] = (cupel_desc){0};
        const cupel_status status = part->op->infer(&inner);
        if (status != CUPEL_STATUS_OK)
            return status;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status fused_infer(const cupel_op_view *view) {
    const struct attrs_fused *attrs = view->attrs;
    cupel_desc descs[FUSED_MAX_PARTS];
    const cupel_status status = fused_part_descs(view, descs);
    if (status != CUPEL_STATUS_OK)
        return status;
    if (attrs->n_outputs < 1 || attrs->n_outputs > FUSED_MAX_OUTPUTS ||
        attrs->n_outputs != view->n_outputs || view->n_inputs > FUSED_MAX_INPUTS)
        return cupel_op_fail(view, CUPEL_STATUS_BUG, "%d inputs and %lld outputs", view->n_inputs,
                             (long long)attrs->n_outputs);
    for (int k = 0; k < view->n_outputs; k++) {
        const int64_t part = attrs->outputs[k];
        if (part < 0 || part >= attrs->n_parts)
            return cupel_op_fail(view, CUPEL_STATUS_BUG, "output %d is part %lld of %lld", k,
                                 (long long)part, (long long)attrs->n_parts);
        const cupel_layout layout = view->outputs[k].layout;
        view->outputs[k] = descs[part];
        view->outputs[k].layout = layout;
    }
    return CUPEL_STATUS_OK;
}

/* The sum over the parts, each by its own rule (one operation an element where it has none). */
static double fused_flops(const cupel_op_view *view) {
    const struct attrs_fused *attrs = view->attrs;
    cupel_desc descs[FUSED_MAX_PARTS];
    if (fused_part_descs(view, descs) != CUPEL_STATUS_OK)
        return 0;
    double sum = 0;
    for (int p = 0; p < (int)attrs->n_parts; p++)
        sum += (double)cupel_shape_count(descs[p].shape);
    return sum;
}

/* n_outputs differs from node to node; the descriptor has the most. in_place cannot name which
 * input dies, but any output may share memory with any full input of equal desc: kernels must allow
 * it. */
const cupel_op op_fused = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "fused",
    .attr_size = sizeof(struct attrs_fused),
    .min_inputs = 0,
    .max_inputs = FUSED_MAX_INPUTS,
    .n_outputs = FUSED_MAX_OUTPUTS,
    .flags = CUPEL_OP_ELEMENTWISE,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = fused_infer,
    .flops = fused_flops,
};
