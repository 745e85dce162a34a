/*
 * Reference kernels of the compiler's own ops "fused" and "sweep": the parts one after the other,
 * each by its own reference kernel and rounded to its type, so that the bits are those of the parts
 * run apart. What a part leaves for another lies in the step's scratch, and the results of a chain
 * are copied out when all parts have run: an output may lie on an operand. The device "reference"
 * has these kernels, the cpu splits instead. Test: tests/test_drill_later.c,
 * tests/test_pass_fuse_update.c
 */
#include <string.h>

#include "backend/ref/ref.h"
#include "op/op_fused.h"
#include "op/op_sweep.h"

/* --- a chain --- */

struct chain {
    const struct attrs_fused *attrs;
    cupel_desc descs[FUSED_MAX_PARTS]; /* of the parts' results */
};

static cupel_status read_chain(struct chain *chain, const cupel_op_view *view) {
    chain->attrs = view->attrs;
    const cupel_status status = fused_part_descs(view, chain->descs);
    for (int p = 0; status == CUPEL_STATUS_OK && p < (int)chain->attrs->n_parts; p++)
        chain->descs[p].layout = CUPEL_LAYOUT_PLAIN;
    return status;
}

/* What part p alone would see. operands: room for FUSED_MAX_PART_INPUTS. */
static cupel_op_view part_view(struct chain *chain, const cupel_op_view *view, int p,
                               cupel_desc *operands) {
    const struct fused_part *part = &chain->attrs->parts[p];
    for (int i = 0; i < part->n_inputs; i++)
        operands[i] =
            part->inputs[i] >= 0 ? view->inputs[part->inputs[i]] : chain->descs[~part->inputs[i]];
    return (cupel_op_view){.op = part->op,
                           .attrs = part->attrs,
                           .name = view->name,
                           .n_inputs = part->n_inputs,
                           .inputs = operands,
                           .n_outputs = 1,
                           .outputs = &chain->descs[p],
                           .sink = view->sink};
}

static cupel_status plan_fused(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct chain chain;
    if (read_chain(&chain, view) != CUPEL_STATUS_OK)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "the parts do not fit together");
    size_t between = 0, most = 0;
    for (int p = 0; p < (int)chain.attrs->n_parts; p++) {
        cupel_desc operands[FUSED_MAX_PART_INPUTS];
        const cupel_op_view part = part_view(&chain, view, p, operands);
        if (!ref_has(part.op))
            return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "op %s has no reference kernel",
                              part.op->name);
        const size_t own = ref_op_scratch(&part);
        most = own > most ? own : most;
        between += ref_aligned(cupel_desc_bytes(&chain.descs[p]));
    }
    plan->scratch_bytes = between + most;
    return CUPEL_STATUS_OK;
}

static cupel_status run_fused(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    struct chain chain;
    CUPEL_TRY(read_chain(&chain, call->view));
    const int n = (int)chain.attrs->n_parts;
    char *results[FUSED_MAX_PARTS];
    char *scratch = call->scratch;
    for (int p = 0; p < n; p++) {
        results[p] = scratch;
        scratch += ref_aligned(cupel_desc_bytes(&chain.descs[p]));
    }
    for (int p = 0; p < n; p++) {
        const struct fused_part *part = &chain.attrs->parts[p];
        cupel_desc operands[FUSED_MAX_PART_INPUTS];
        const cupel_op_view view = part_view(&chain, call->view, p, operands);
        const void *inputs[FUSED_MAX_PART_INPUTS];
        for (int i = 0; i < part->n_inputs; i++)
            inputs[i] =
                part->inputs[i] >= 0 ? call->inputs[part->inputs[i]] : results[~part->inputs[i]];
        void *const output = results[p];
        CUPEL_TRY(ref_op_run(&view, inputs, &output, scratch));
    }
    for (int k = 0; k < call->view->n_outputs; k++) {
        const int64_t part = chain.attrs->outputs[k];
        memcpy(call->outputs[k], results[part], cupel_desc_bytes(&chain.descs[part]));
    }
    return CUPEL_STATUS_OK;
}

/* --- a sweep --- */

static cupel_status plan_sweep(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    const struct attrs_sweep *attrs = request->view.attrs;
    if (!ref_has(attrs->op))
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "op %s has no reference kernel",
                          attrs->op->name);
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const cupel_op_view part = sweep_part_view(&request->view, p);
        const size_t own = ref_op_scratch(&part);
        plan->scratch_bytes = own > plan->scratch_bytes ? own : plan->scratch_bytes;
    }
    return CUPEL_STATUS_OK;
}

/* A result lies on an operand of its own part alone (the planner shares no memory that another
 * operand of the sweep reads), so the parts may be written as they come. */
static cupel_status run_sweep(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    const struct attrs_sweep *attrs = call->view->attrs;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const cupel_op_view part = sweep_part_view(call->view, p);
        CUPEL_TRY(ref_op_run(&part, call->inputs + attrs->parts[p].first_input,
                             call->outputs + attrs->parts[p].first_output, call->scratch));
    }
    return CUPEL_STATUS_OK;
}

const struct kernel ref_fused_kernel = {.op = "fused",
                                        .name = "ref:fused",
                                        .revision = 1,
                                        .flags = KERNEL_REFERENCE,
                                        .accept = ref_accept,
                                        .plan = plan_fused,
                                        .run = run_fused};

const struct kernel ref_sweep_kernel = {.op = "sweep",
                                        .name = "ref:sweep",
                                        .revision = 1,
                                        .flags = KERNEL_REFERENCE,
                                        .accept = ref_accept,
                                        .plan = plan_sweep,
                                        .run = run_sweep};
