/*
 * Reading a fused node's chain; see conv_finish.h. The chain is followed from the convolution's
 * result, part after part. Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/conv_finish.h"

#include <string.h>

#include "backend/cpu/vec_reduce.h"
#include "op/op_fused_conv.h"
#include "op/op_internal.h"

const struct attrs_conv *conv_finish_attrs(const cupel_op_view *view, bool *backward) {
    const bool fused = view->op == &op_fused_conv;
    const struct attrs_fused_conv *both = view->attrs;
    const cupel_op *op = fused ? both->conv : view->op;
    *backward = strcmp(op->name, op_conv2d_backward_data.name) == 0;
    return fused ? &both->attrs : view->attrs;
}

/* One value a channel of the result, in order. */
static bool is_per_channel(const cupel_op_view *view, int operand) {
    const cupel_desc *desc = &view->inputs[operand];
    const int64_t channels = view->outputs[0].shape.dims[1];
    const int rank = desc->shape.rank;
    return rank >= 3 && desc->type == CUPEL_TYPE_F32 && desc->layout == CUPEL_LAYOUT_PLAIN &&
           desc->shape.dims[rank - 3] == channels && cupel_shape_count(desc->shape) == channels;
}

static bool is_like_result(const cupel_op_view *view, int operand) {
    return cupel_desc_equal(&view->inputs[operand], &view->outputs[0]);
}

static bool is_scalar(const cupel_op_view *view, int operand) {
    return view->inputs[operand].type == CUPEL_TYPE_F32 &&
           cupel_shape_count(view->inputs[operand].shape) == 1;
}

/* The node's operand that an operand of a part is, or -1: `at`, the value that is followed, or
 * another part's. */
static int outside(const struct attrs_fused_conv *both, int32_t operand, int32_t at) {
    return operand < 1 || operand == at ? -1 : (int)both->n_conv_inputs + operand - 1;
}

static bool take_part(const cupel_op_view *view, const struct fused_part *part, int32_t at,
                      struct conv_finish_plan *out) {
    const struct attrs_fused_conv *both = view->attrs;
    if (out->activation != CONV_NONE)
        return false;
    if (part->op == &op_add && out->bias < 0) {
        const bool first = part->inputs[0] == at;
        out->bias = outside(both, part->inputs[first ? 1 : 0], at);
        return part->inputs[first ? 0 : 1] == at && out->bias >= 0 &&
               is_per_channel(view, out->bias);
    }
    if (part->op == &op_relu && part->inputs[0] == at) {
        out->activation = CONV_RELU;
        return true;
    }
    if (part->op == &op_leaky_relu && part->inputs[0] == at) {
        struct attrs_leaky_relu attrs;
        memcpy(&attrs, part->attrs, sizeof attrs);
        out->activation = CONV_LEAKY_RELU;
        out->slope = (float)attrs.slope;
        return true;
    }
    if (part->op == &op_select && part->inputs[1] == at) {
        out->activation = CONV_SELECT;
        out->mask = outside(both, part->inputs[0], at);
        out->otherwise = outside(both, part->inputs[2], at);
        return out->mask >= 0 && out->otherwise >= 0 && is_like_result(view, out->mask) &&
               is_scalar(view, out->otherwise);
    }
    return false;
}

bool conv_finish_plan(const cupel_op_view *view, struct conv_finish_plan *out) {
    *out = (struct conv_finish_plan){.bias = -1, .mask = -1, .otherwise = -1};
    if (view->op != &op_fused_conv) {
        out->bias = view->n_inputs > 2 ? 2 : -1;
        return true;
    }
    const struct attrs_fused_conv *both = view->attrs;
    out->sums = both->sum_name != NULL;
    out->bias = both->n_conv_inputs > 2 ? 2 : -1;
    int32_t at = fused_input(0);
    for (int p = 0; p < (int)both->chain.n_parts; p++) {
        if (!take_part(view, &both->chain.parts[p], at, out))
            return false;
        at = fused_earlier(p);
    }
    return both->chain.n_outputs == 1 && fused_earlier((int)both->chain.outputs[0]) == at;
}

struct conv_finish conv_finish_of(const struct conv_finish_plan *plan, const void *const *inputs,
                                  int64_t channel, int64_t offset) {
    struct conv_finish finish = {.activation = plan->activation, .slope = plan->slope};
    if (plan->bias >= 0)
        finish.bias = (const float *)inputs[plan->bias] + channel;
    if (plan->mask >= 0)
        finish.mask = (const float *)inputs[plan->mask] + offset;
    if (plan->otherwise >= 0)
        finish.otherwise = *(const float *)inputs[plan->otherwise];
    return finish;
}

void conv_finish_sums(const float *runs, int64_t n, int64_t channels, float *out) {
    for (int64_t first = 0; first < channels; first += REDUCE_COLUMNS) {
        const int64_t left = channels - first,
                      columns = left < REDUCE_COLUMNS ? left : REDUCE_COLUMNS;
        double sums[REDUCE_COLUMNS] = {0};
        cpu_vec_reduce()->columns_sum(sums, runs + first, channels, n, columns);
        for (int64_t c = 0; c < columns; c++)
            out[first + c] = (float)sums[c];
    }
}
