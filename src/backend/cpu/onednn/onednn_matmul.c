/*
 * Matrix products by oneDNN. Operands are plain; a transposed operand is the same memory with its
 * last two strides exchanged, leading axes of extent 1 broadcast. Leading axes of a are folded into
 * its rows where b has none, so that one large product replaces many small ones.
 * Test: tests/test_kernels_matmul.c
 */
#include <string.h>

#include "backend/cpu/onednn/onednn.h"
#include "backend/cpu/onednn/onednn_api.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

struct matmul_state {
    struct onednn_primitive primitive;
    char implementation[64];
};

static bool accept_matmul(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const cupel_desc *a = &view->inputs[0], *b = &view->inputs[1], *c = &view->outputs[0];
    return KERNEL_REQUIRE(a->type == CUPEL_TYPE_F32 && b->type == CUPEL_TYPE_F32 &&
                              c->type == CUPEL_TYPE_F32,
                          "operands are not all f32") &&
           KERNEL_REQUIRE(a->layout == CUPEL_LAYOUT_PLAIN && b->layout == CUPEL_LAYOUT_PLAIN &&
                              c->layout == CUPEL_LAYOUT_PLAIN,
                          "operands are not all plain") &&
           KERNEL_REQUIRE(onednn_engine() != NULL, "oneDNN has no engine here");
}

static void drop_matmul(struct kernel_plan *plan) {
    struct matmul_state *state = plan->state;
    if (state == NULL)
        return;
    onednn_primitive_drop(&state->primitive);
    cupel_free(state);
    plan->state = NULL;
}

/* Rank `rank`, ones in front; the last two axes exchanged where transposed. */
static bool describe(struct onednn_desc *out, cupel_shape shape, int rank, bool transposed) {
    int64_t dims[CUPEL_MAX_RANK], strides[CUPEL_MAX_RANK];
    int64_t stride = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        const int from = axis - (rank - shape.rank);
        dims[axis] = from >= 0 ? shape.dims[from] : 1;
        strides[axis] = stride;
        stride *= dims[axis];
    }
    if (transposed) {
        const int64_t rows = dims[rank - 2], row_stride = strides[rank - 2];
        dims[rank - 2] = dims[rank - 1];
        strides[rank - 2] = strides[rank - 1];
        dims[rank - 1] = rows;
        strides[rank - 1] = row_stride;
    }
    return onednn_desc_strided(out, rank, dims, strides);
}

/* [.., M, K] as [rows, K] */
static cupel_shape folded(cupel_shape shape) {
    const int64_t last = shape.dims[shape.rank - 1];
    return cupel_shape_make(2, (const int64_t[]){cupel_shape_count(shape) / last, last});
}

static cupel_status prepare(struct kernel_plan *plan, const struct kernel_request *request,
                            dnnl_primitive_desc_t *desc, struct cupel_error *error) {
    struct matmul_state *state = plan->state;
    const cupel_op_view *view = &request->view;
    const struct attrs_matmul *attrs = view->attrs;
    cupel_shape a = view->inputs[0].shape, b = view->inputs[1].shape, c = view->outputs[0].shape;
    const bool fold = b.rank == 2 && attrs->transpose_a == 0 && c.rank > 2;
    if (fold) {
        a = folded(a);
        c = folded(c);
    }
    struct onednn_desc a_desc, b_desc, c_desc;
    if (!describe(&a_desc, a, c.rank, attrs->transpose_a != 0) ||
        !describe(&b_desc, b, c.rank, attrs->transpose_b != 0) ||
        !describe(&c_desc, c, c.rank, false))
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "a shape oneDNN cannot describe");
    CUPEL_TRY(onednn_fail(error, onednn_matmul_create(desc, &a_desc, &b_desc, &c_desc),
                          "matrix product"));
    const char *implementation = onednn_implementation(*desc);
    if (strncmp(implementation, "ref", 3) == 0)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "oneDNN has only reference code (%s) for these operands", implementation);
    const size_t length = strlen(implementation);
    memcpy(state->implementation, implementation,
           length < sizeof state->implementation ? length : sizeof state->implementation - 1);

    struct onednn_primitive *p = &state->primitive;
    CUPEL_TRY(onednn_primitive_make(p, *desc, request->threads, error));
    CUPEL_TRY(onednn_bind(p, DNNL_ARG_SRC, &a_desc, ONEDNN_INPUT, 0, error));
    CUPEL_TRY(onednn_bind(p, DNNL_ARG_WEIGHTS, &b_desc, ONEDNN_INPUT, 1, error));
    CUPEL_TRY(onednn_bind(p, DNNL_ARG_DST, &c_desc, ONEDNN_OUTPUT, 0, error));
    CUPEL_TRY(onednn_bind_scratch(p, *desc, error));
    plan->scratch_bytes = p->scratch_bytes;
    plan->detail = state->implementation;
    return CUPEL_STATUS_OK;
}

static cupel_status plan_matmul(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    plan->state = cupel_alloc(1, sizeof(struct matmul_state));
    if (plan->state == NULL)
        return cupel_fail_memory(error, "a matrix product's plan", sizeof(struct matmul_state));
    dnnl_primitive_desc_t desc = NULL;
    const int before = parallel_library_threads(request->threads);
    const cupel_status status = prepare(plan, request, &desc, error);
    parallel_library_threads(before);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    plan->threads = request->threads;
    if (status != CUPEL_STATUS_OK)
        drop_matmul(plan);
    return status;
}

static cupel_status run_matmul(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct matmul_state *state = plan->state;
    return onednn_primitive_run(&state->primitive, call->inputs, call->outputs, call->scratch);
}

const struct kernel onednn_matmul_kernels[] = {
    {.op = "matmul",
     .name = "onednn:matmul",
     .revision = 1,
     .flags = KERNEL_FIXED_THREADS | KERNEL_VARIABLE_BITS,
     .accept = accept_matmul,
     .plan = plan_matmul,
     .run = run_matmul,
     .drop = drop_matmul},
    {.op = NULL},
};
