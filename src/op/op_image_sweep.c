/*
 * The internal op "image_sweep": every part is inferred as the image_update that it is, so a sweep
 * has exactly the shapes and types of its parts run apart. There is no gradient: updates come after
 * gradients were added. NaN: as the parts. Test: tests/test_pass_images.c
 */
#include "op/op_image_sweep.h"

#include "op/op_internal.h"

int image_update_image(const struct attrs_product_update *attrs) {
    return attrs->summed ? 0 : (int)attrs->image.role;
}

bool image_sweep_append(struct attrs_image_sweep *attrs, const char *name,
                        const struct attrs_product_update *both, int n_inputs, int n_outputs) {
    if (attrs->n_parts == IMAGE_SWEEP_MAX_PARTS || n_inputs < 2 ||
        n_inputs > IMAGE_SWEEP_MAX_PART_INPUTS || n_outputs < 1 ||
        n_outputs > SWEEP_MAX_PART_OUTPUTS)
        return false;
    struct image_sweep_part *part = &attrs->parts[attrs->n_parts];
    *part = (struct image_sweep_part){.both = *both,
                                      .name = name,
                                      .n_inputs = n_inputs,
                                      .n_outputs = n_outputs,
                                      .first_input = 1};
    if (attrs->n_parts > 0) {
        const struct image_sweep_part *before = part - 1;
        part->first_input = before->first_input + before->n_inputs - 1;
        part->first_output = before->first_output + before->n_outputs;
    }
    attrs->n_parts++;
    return true;
}

int image_sweep_operand(const struct image_sweep_part *part, int i) {
    const int image = image_update_image(&part->both);
    return i == image ? 0 : part->first_input + (i < image ? i : i - 1);
}

int image_sweep_in_place(const struct attrs_image_sweep *attrs, int k) {
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct image_sweep_part *part = &attrs->parts[p];
        const int own = k - part->first_output;
        if (own < 0 || own >= part->n_outputs)
            continue;
        const int shared = product_update_in_place(&part->both, part->n_inputs, own);
        return shared > 0 ? 1 + image_sweep_operand(part, shared - 1) : 0;
    }
    return 0;
}

cupel_op_view image_sweep_part_view(const cupel_op_view *view, int part, cupel_desc *inputs) {
    const struct attrs_image_sweep *attrs = view->attrs;
    const struct image_sweep_part *at = &attrs->parts[part];
    for (int i = 0; i < at->n_inputs; i++)
        inputs[i] = view->inputs[image_sweep_operand(at, i)];
    return (cupel_op_view){.op = &op_image_update,
                           .attrs = &at->both,
                           .name = at->name,
                           .n_inputs = at->n_inputs,
                           .inputs = inputs,
                           .n_outputs = at->n_outputs,
                           .outputs = view->outputs + at->first_output,
                           .sink = view->sink};
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_image_sweep *attrs = view->attrs;
    const bool sound = attrs->n_parts >= 1 && attrs->n_parts <= IMAGE_SWEEP_MAX_PARTS;
    const struct image_sweep_part *last = sound ? &attrs->parts[attrs->n_parts - 1] : NULL;
    if (!sound || last->first_input + last->n_inputs - 1 != view->n_inputs ||
        last->first_output + last->n_outputs != view->n_outputs)
        return cupel_op_fail(view, CUPEL_STATUS_BUG,
                             "%lld parts do not add up to %d and %d operands",
                             (long long)attrs->n_parts, view->n_inputs, view->n_outputs);
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        cupel_desc inputs[IMAGE_SWEEP_MAX_PART_INPUTS];
        const cupel_op_view part = image_sweep_part_view(view, p, inputs);
        CUPEL_TRY(part.op->infer(&part));
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    const struct attrs_image_sweep *attrs = view->attrs;
    double sum = 0;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        cupel_desc inputs[IMAGE_SWEEP_MAX_PART_INPUTS];
        const cupel_op_view part = image_sweep_part_view(view, p, inputs);
        sum += part.op->flops(&part);
    }
    return sum;
}

/* n_inputs and n_outputs differ from node to node; the descriptor has the most. in_place is what
 * image_sweep_in_place() says. */
const cupel_op op_image_sweep = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "image_sweep",
    .attr_size = sizeof(struct attrs_image_sweep),
    .min_inputs = 2,
    .max_inputs = IMAGE_SWEEP_MAX_INPUTS,
    .n_outputs = IMAGE_SWEEP_MAX_OUTPUTS,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .image_inputs = 1,
    .infer = infer,
    .flops = flops,
};
