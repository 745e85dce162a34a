/*
 * The internal ops of the compiler: reorder (the same image in another layout) and pack (a tensor
 * to or from a kernel's private form). Graphs of users never hold them.
 * Test: tests/test_pass_choose.c
 */
#include "compile/compile_internal.h"

static cupel_status reorder_infer(const cupel_op_view *view) {
    const struct attrs_reorder *attrs = view->attrs;
    view->outputs[0] = view->inputs[0];
    view->outputs[0].layout = (cupel_layout)attrs->layout;
    return CUPEL_STATUS_OK;
}

static double no_flops(const cupel_op_view *view) {
    (void)view;
    return 0;
}

const cupel_op op_reorder = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "reorder",
    .attr_size = sizeof(struct attrs_reorder),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = reorder_infer,
    .flops = no_flops,
};

static cupel_status pack_infer(const cupel_op_view *view) {
    const struct attrs_pack *attrs = view->attrs;
    view->outputs[0] = attrs->plain;
    if (attrs->packed_bytes) {
        view->outputs[0].layout = CUPEL_LAYOUT_PACKED;
        view->outputs[0].packed_bytes = (size_t)attrs->packed_bytes;
    }
    return CUPEL_STATUS_OK;
}

const cupel_op op_pack = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "pack",
    .attr_size = sizeof(struct attrs_pack),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_KEEP,
    .infer = pack_infer,
    .flops = no_flops,
};
