/*
 * A device whose kernels want weights in forms of their own. See forms.h.
 */
#include "support/forms.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "support/check.h"
#include "support/host_backend.h"

enum { FORMS = 3, PADDING = 64 };

struct form_state {
    struct kernel_plan inner; /* of the reference kernel */
    int form;
    int operand;
    bool output;
    size_t bytes; /* of the plain weights */
};

static uint64_t n_packs, n_unpacks;

uint64_t forms_packs(void) {
    return n_packs;
}

uint64_t forms_unpacks(void) {
    return n_unpacks;
}

/* Where byte i of the plain form lies, and what is done to it. */
static size_t place(const struct form_state *state, size_t i) {
    switch (state->form) {
    case 0: return state->bytes - 1 - i;
    case 1: return i;
    default: return (i + 4) % state->bytes + PADDING;
    }
}

static uint8_t turned(const struct form_state *state, uint8_t byte) {
    return state->form == 1 ? (uint8_t)~byte : byte;
}

static void scramble(const struct form_state *state, const void *plain, void *form) {
    for (size_t i = 0; i < state->bytes; i++)
        ((uint8_t *)form)[place(state, i)] = turned(state, ((const uint8_t *)plain)[i]);
    n_packs++;
}

static void unscramble(const struct form_state *state, const void *form, void *plain) {
    for (size_t i = 0; i < state->bytes; i++)
        ((uint8_t *)plain)[i] = turned(state, ((const uint8_t *)form)[place(state, i)]);
}

static size_t rounded(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static void drop(struct kernel_plan *plan) {
    cupel_free(plan->state);
}

static cupel_status plan_form(struct kernel_plan *plan, const struct kernel_request *request,
                              struct cupel_error *error) {
    const cupel_op_view *const view = &request->view;
    struct form_state *const state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a form", sizeof *state);
    state->output = strcmp(view->op->name, "conv2d_backward_weights") == 0;
    state->operand = state->output ? 0 : 1;
    const cupel_desc *const weights =
        state->output ? &view->outputs[0] : &view->inputs[state->operand];
    state->bytes = cupel_desc_bytes(weights);
    state->form =
        (int)((hash_string(view->op->name) + (uint64_t)view->inputs[0].shape.dims[0]) % FORMS);
    state->inner.kernel = ref_kernels(NULL, view->op->name)[0];
    const cupel_status status = state->inner.kernel->plan(&state->inner, request, error);
    if (status != CUPEL_STATUS_OK) {
        cupel_free(state);
        return status;
    }
    plan->state = state;
    plan->scratch_bytes = rounded(state->bytes) + state->inner.scratch_bytes;
    plan->n_packs = 1;
    plan->packs[0] = (struct kernel_pack){.operand = state->operand,
                                          .output = state->output,
                                          .bytes = state->bytes + (state->form == 2 ? PADDING : 0)};
    return CUPEL_STATUS_OK;
}

static cupel_status run_form(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct form_state *const state = plan->state;
    const void *inputs[KERNEL_MAX_OPERANDS];
    void *outputs[KERNEL_MAX_OPERANDS];
    for (int i = 0; i < call->view->n_inputs; i++)
        inputs[i] = call->inputs[i];
    for (int k = 0; k < call->view->n_outputs; k++)
        outputs[k] = call->outputs[k];
    void *const plain = call->scratch;
    if (state->output) {
        outputs[state->operand] = plain;
    } else {
        unscramble(state, inputs[state->operand], plain);
        inputs[state->operand] = plain;
    }
    struct kernel_call inner = *call;
    inner.inputs = inputs;
    inner.outputs = outputs;
    inner.scratch = (char *)call->scratch + rounded(state->bytes);
    const cupel_status status = state->inner.kernel->run(&state->inner, &inner);
    if (status == CUPEL_STATUS_OK && state->output)
        scramble(state, plain, call->outputs[state->operand]);
    return status;
}

static cupel_status pack_form(const struct kernel_plan *plan, int index, const void *from,
                              void *to) {
    const struct form_state *const state = plan->state;
    CHECK_I64(index, 0);
    if (state->output) {
        unscramble(state, from, to);
        n_unpacks++;
    } else {
        scramble(state, from, to);
    }
    return CUPEL_STATUS_OK;
}

/* A batch of matrices (the weights' own rank) is left to the reference. */
static bool accept_form(const struct kernel_request *request, const char **why) {
    const cupel_op_view *const view = &request->view;
    const bool matmul = strcmp(view->op->name, "matmul") == 0;
    return KERNEL_REQUIRE(!matmul || view->inputs[1].shape.rank == 2, "no weights");
}

#define FORM_KERNEL(op_) \
    { \
        .op = op_, .name = "form", .revision = 1, .accept = accept_form, .plan = plan_form, \
        .run = run_form, .pack = pack_form, .drop = drop \
    }

static const struct kernel form_kernels[] = {
    FORM_KERNEL("conv2d"),
    FORM_KERNEL("conv2d_backward_data"),
    FORM_KERNEL("conv2d_backward_weights"),
    FORM_KERNEL("matmul"),
};

enum { N_FORM_KERNELS = sizeof form_kernels / sizeof form_kernels[0] };

static const struct kernel *const *kernels(struct backend *backend, const char *op) {
    static const struct kernel *lists[N_FORM_KERNELS][3];
    for (size_t i = 0; i < N_FORM_KERNELS; i++) {
        if (strcmp(form_kernels[i].op, op) != 0)
            continue;
        lists[i][0] = &form_kernels[i];
        lists[i][1] = ref_kernels(backend, op)[0];
        return lists[i];
    }
    return ref_kernels(backend, op);
}

struct backend *forms_try_create(void) {
    return host_backend_create("forms", kernels, 1);
}

struct backend *forms_create(void) {
    struct backend *const backend = forms_try_create();
    CHECK(backend != NULL);
    return backend;
}
