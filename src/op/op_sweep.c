/*
 * The internal op "sweep": every part is inferred by its own rule, so a sweep has exactly the
 * shapes and types of its updates run apart. There is no gradient: updates come after gradients
 * were added. NaN: as the parts. Test: tests/test_pass_sweep.c
 */
#include "op/op_sweep.h"

#include <string.h>

bool sweep_takes(const cupel_op *op, int n_inputs, int n_outputs) {
    return op->attr_size <= SWEEP_ATTR_SIZE && n_inputs <= SWEEP_MAX_PART_INPUTS &&
           n_outputs >= 1 && n_outputs <= SWEEP_MAX_PART_OUTPUTS;
}

bool sweep_append(struct attrs_sweep *attrs, const char *name, const void *part_attrs, int n_inputs,
                  int n_outputs) {
    if (attrs->n_parts == SWEEP_MAX_PARTS || !sweep_takes(attrs->op, n_inputs, n_outputs))
        return false;
    struct sweep_part *part = &attrs->parts[attrs->n_parts];
    *part = (struct sweep_part){.name = name, .n_inputs = n_inputs, .n_outputs = n_outputs};
    memcpy(part->attrs, part_attrs, attrs->op->attr_size);
    if (attrs->n_parts > 0) {
        const struct sweep_part *before = part - 1;
        part->first_input = before->first_input + before->n_inputs;
        part->first_output = before->first_output + before->n_outputs;
    }
    attrs->n_parts++;
    return true;
}

int sweep_in_place(const struct attrs_sweep *attrs, int k) {
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const struct sweep_part *part = &attrs->parts[p];
        const int own = k - part->first_output;
        if (own < 0 || own >= part->n_outputs)
            continue;
        const int shared = attrs->op->in_place[own];
        return shared > 0 && shared <= part->n_inputs ? part->first_input + shared : 0;
    }
    return 0;
}

int update_gradient(const cupel_op *op, int n_inputs) {
    for (int i = 0; i < n_inputs; i++) {
        bool written = false;
        for (int k = 0; k < op->n_outputs && k < CUPEL_OP_MAX_OUTPUTS; k++)
            written = written || op->in_place[k] == i + 1;
        if (!written)
            return i;
    }
    return -1;
}

cupel_op_view sweep_part_view(const cupel_op_view *view, int part) {
    const struct attrs_sweep *attrs = view->attrs;
    const struct sweep_part *at = &attrs->parts[part];
    return (cupel_op_view){.op = attrs->op,
                           .attrs = at->attrs,
                           .name = at->name,
                           .n_inputs = at->n_inputs,
                           .inputs = view->inputs + at->first_input,
                           .n_outputs = at->n_outputs,
                           .outputs = view->outputs + at->first_output,
                           .sink = view->sink};
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_sweep *attrs = view->attrs;
    const bool sound =
        attrs->op != NULL && attrs->n_parts >= 1 && attrs->n_parts <= SWEEP_MAX_PARTS;
    const struct sweep_part *last = sound ? &attrs->parts[attrs->n_parts - 1] : NULL;
    if (!sound || last->first_input + last->n_inputs != view->n_inputs ||
        last->first_output + last->n_outputs != view->n_outputs)
        return cupel_op_fail(view, CUPEL_STATUS_BUG,
                             "%lld parts do not add up to %d and %d operands",
                             (long long)attrs->n_parts, view->n_inputs, view->n_outputs);
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const cupel_op_view part = sweep_part_view(view, p);
        const cupel_status status = attrs->op->infer(&part);
        if (status != CUPEL_STATUS_OK)
            return status;
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    const struct attrs_sweep *attrs = view->attrs;
    double sum = 0;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const cupel_op_view part = sweep_part_view(view, p);
        sum += attrs->op->flops ? attrs->op->flops(&part)
                                : (double)cupel_shape_count(part.outputs[0].shape);
    }
    return sum;
}

/* n_inputs and n_outputs differ from node to node; the descriptor has the most. in_place is what
 * sweep_in_place() says. */
const cupel_op op_sweep = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sweep",
    .attr_size = sizeof(struct attrs_sweep),
    .min_inputs = 1,
    .max_inputs = SWEEP_MAX_INPUTS,
    .n_outputs = SWEEP_MAX_OUTPUTS,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .flops = flops,
};
