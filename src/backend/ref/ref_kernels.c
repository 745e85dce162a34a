/*
 * The reference kernels as the dispatcher sees them: one constant struct kernel per built-in op,
 * made from op_list.inc, and one that runs ops from outside. The wrapper turns real operands into
 * doubles before a reference function runs and rounds its results once afterwards, so that a
 * reference function is written once and for doubles alone. Test: tests/test_op_*.c,
 * tests/test_dispatch.c
 */
#include <string.h>

#include "backend/ref/ref.h"

static const struct ref_row *const tables[] = {
    ref_elementwise_rows, ref_reduce_rows, ref_shape_rows,  ref_index_rows,
    ref_matmul_rows,      ref_conv_rows,   ref_pool_rows,   ref_norm_rows,
    ref_random_rows,      ref_loss_rows,   ref_update_rows, ref_effect_rows,
};

static const struct ref_row *find_row(const char *op) {
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct ref_row *row = tables[t]; row->op != NULL; row++)
            if (strcmp(row->op, op) == 0)
                return row;
    return NULL;
}

/* --- conversion --- */

bool ref_converted(const cupel_desc *desc) {
    return desc->type == CUPEL_TYPE_F32 || desc->type == CUPEL_TYPE_BF16;
}

size_t ref_doubles_bytes(const cupel_desc *desc) {
    return ref_aligned((size_t)cupel_shape_count(desc->shape) * sizeof(double));
}

static double double_of_bf16(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return (double)value;
}

/* To nearest, ties to even; a NaN stays one. */
static uint16_t bf16_of_double(double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (narrow != narrow)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void ref_to_doubles(double *to, const void *from, const cupel_desc *desc) {
    const int64_t count = cupel_shape_count(desc->shape);
    if (desc->type == CUPEL_TYPE_F32)
        for (int64_t i = 0; i < count; i++)
            to[i] = (double)((const float *)from)[i];
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = double_of_bf16(((const uint16_t *)from)[i]);
}

void ref_from_doubles(void *to, const double *from, const cupel_desc *desc) {
    const int64_t count = cupel_shape_count(desc->shape);
    if (desc->type == CUPEL_TYPE_F32)
        for (int64_t i = 0; i < count; i++)
            ((float *)to)[i] = (float)from[i];
    else
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)to)[i] = bf16_of_double(from[i]);
}

/* --- the kernel --- */

static bool all_plain(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        if (view->inputs[i].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    for (int k = 0; k < view->n_outputs; k++)
        if (view->outputs[k].layout != CUPEL_LAYOUT_PLAIN)
            return false;
    return true;
}

bool ref_accept(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(all_plain(view), "an operand is not plain") &&
           KERNEL_REQUIRE(view->n_inputs + view->n_outputs <= KERNEL_MAX_OPERANDS,
                          "there are more operands than a kernel call holds");
}

static size_t scratch_of(const struct ref_row *row, const cupel_op_view *view) {
    size_t bytes = 0;
    for (int i = 0; i < view->n_inputs && !row->raw; i++)
        if (ref_converted(&view->inputs[i]))
            bytes += ref_doubles_bytes(&view->inputs[i]);
    for (int k = 0; k < view->n_outputs && !row->raw; k++)
        if (ref_converted(&view->outputs[k]))
            bytes += ref_doubles_bytes(&view->outputs[k]);
    return bytes;
}

static cupel_status run_row(const struct ref_row *row, const cupel_op_view *view,
                            const void *const *from, void *const *to, char *scratch) {
    if (row->raw) {
        const struct ref_call raw = {.view = view, .inputs = from, .outputs = to};
        return row->run(&raw);
    }
    const void *inputs[KERNEL_MAX_OPERANDS];
    void *outputs[KERNEL_MAX_OPERANDS];
    for (int i = 0; i < view->n_inputs; i++) {
        inputs[i] = from[i];
        if (!ref_converted(&view->inputs[i]))
            continue;
        ref_to_doubles((double *)scratch, from[i], &view->inputs[i]);
        inputs[i] = scratch;
        scratch += ref_doubles_bytes(&view->inputs[i]);
    }
    for (int k = 0; k < view->n_outputs; k++) {
        outputs[k] = to[k];
        if (!ref_converted(&view->outputs[k]))
            continue;
        outputs[k] = scratch;
        scratch += ref_doubles_bytes(&view->outputs[k]);
    }
    const struct ref_call doubles = {.view = view, .inputs = inputs, .outputs = outputs};
    const cupel_status status = row->run(&doubles);
    if (status != CUPEL_STATUS_OK)
        return status;
    for (int k = 0; k < view->n_outputs; k++)
        if (ref_converted(&view->outputs[k]))
            ref_from_doubles(to[k], outputs[k], &view->outputs[k]);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_plan(struct kernel_plan *plan, const struct kernel_request *request,
                             struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct ref_row *row = find_row(view->op->name);
    if (row == NULL)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "op %s has no reference kernel",
                          view->op->name);
    plan->state = (void *)(uintptr_t)row; /* constant; never written through */
    plan->scratch_bytes = scratch_of(row, view);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_run(const struct kernel_plan *plan, const struct kernel_call *call) {
    return run_row(plan->state, call->view, call->inputs, call->outputs, call->scratch);
}

/* --- one op, for kernels made of several --- */

bool ref_has(const cupel_op *op) {
    return op->run == NULL && find_row(op->name) != NULL;
}

size_t ref_op_scratch(const cupel_op_view *view) {
    return scratch_of(find_row(view->op->name), view);
}

cupel_status ref_op_run(const cupel_op_view *view, const void *const *inputs, void *const *outputs,
                        void *scratch) {
    return run_row(find_row(view->op->name), view, inputs, outputs, scratch);
}

/* --- ops from outside --- */

static bool outside_accept(const struct kernel_request *request, const char **why) {
    return KERNEL_REQUIRE(request->view.op->run != NULL, "the op has no run function") &&
           ref_accept(request, why);
}

static cupel_status outside_run(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    const cupel_op_view *view = call->view;
    const cupel_op_call outside = {
        .attrs = view->attrs,
        .n_inputs = view->n_inputs,
        .input_descs = view->inputs,
        .inputs = call->inputs,
        .n_outputs = view->n_outputs,
        .output_descs = view->outputs,
        .outputs = call->outputs,
        .threads = call->threads,
    };
    return view->op->run(&outside);
}

/* --- the lists --- */

enum {
#define CUPEL_OP(name) INDEX_##name,
#include "op/op_list.inc"
#undef CUPEL_OP
};

static const struct kernel built_in[] = {
#define CUPEL_OP(name_) \
    {.op = #name_, \
     .name = "ref", \
     .revision = 1, \
     .flags = KERNEL_REFERENCE, \
     .accept = ref_accept, \
     .plan = ref_plan, \
     .run = ref_run},
#include "op/op_list.inc"
#undef CUPEL_OP
};

static const struct kernel *const lists[][2] = {
#define CUPEL_OP(name) {&built_in[INDEX_##name], NULL},
#include "op/op_list.inc"
#undef CUPEL_OP
};

static const struct kernel outside = {
    .op = "", /* any that is not built in */
    .name = "outside",
    .revision = 1,
    .flags = KERNEL_REFERENCE,
    .accept = outside_accept,
    .run = outside_run,
};

static const struct kernel *const outside_list[] = {&outside, NULL};
static const struct kernel *const no_kernels[] = {NULL};
/* The compiler's own op that every device needs as soon as it has layouts. */
static const struct kernel *const reorder_list[] = {&ref_reorder_kernel, NULL};

const struct kernel *const *ref_kernels(struct backend *backend, const char *op) {
    (void)backend;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(built_in[i].op, op) == 0)
            return find_row(op) == NULL ? no_kernels : lists[i];
    return strcmp(op, "reorder") == 0 ? reorder_list : outside_list;
}

/* The compiler's other ops, which the device "reference" runs fused and every other splits. */
static const struct kernel *const fused_list[] = {&ref_fused_kernel, NULL};
static const struct kernel *const sweep_list[] = {&ref_sweep_kernel, NULL};
static const struct kernel *const product_update_list[] = {&ref_product_update_kernel, NULL};

const struct kernel *const *ref_device_kernels(struct backend *backend, const char *op) {
    static const struct kernel *const *const own[] = {fused_list, sweep_list, product_update_list};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i][0]->op, op) == 0)
            return own[i];
    return ref_kernels(backend, op);
}
