/*
 * Host devices: memory, and the execution of a compiled list of steps one after the other. The
 * "cpu" and the "reference" device differ in their kernel lists alone. Nothing is allocated while
 * steps run. Test: tests/test_dispatch.c
 */
#include "backend/backend.h"

#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

void *backend_host_allocate(struct backend *backend, size_t bytes) {
    (void)backend;
    void *const memory = cupel_alloc_walked(bytes == 0 ? 1 : bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void backend_host_release(struct backend *backend, void *memory, size_t bytes) {
    (void)backend;
    (void)bytes;
    cupel_free(memory);
}

void backend_host_write(struct backend *backend, void *to, const void *from_host, size_t bytes) {
    (void)backend;
    if (bytes > 0)
        memcpy(to, from_host, bytes);
}

void backend_host_read(struct backend *backend, void *to_host, const void *from, size_t bytes) {
    (void)backend;
    if (bytes > 0)
        memcpy(to_host, from, bytes);
}

/* A kernel has no sentence of its own: the node, the kernel and the status say what happened. */
static cupel_status step_failed(struct exec_frame *frame, const struct exec_step *step,
                                const struct kernel *kernel, cupel_status status) {
    return cupel_fail(frame->error, status, "%s: %s (op %s, kernel %s)",
                      step->name == NULL ? "step" : step->name, cupel_status_text(status),
                      step->view.op == NULL ? "?" : step->view.op->name,
                      kernel == NULL ? "none" : kernel->name);
}

/* buffers: 0 where it comes from, 1 where it goes to. */
static cupel_status run_pack(struct exec_frame *frame, const struct exec_step *step) {
    const struct kernel_plan *plan = step->pack_plan;
    const struct kernel *kernel = plan == NULL ? NULL : plan->kernel;
    const bool sound = kernel != NULL && kernel->pack != NULL && step->n_buffers >= 2 &&
                       step->pack_of < plan->n_packs;
    if (!sound)
        return step_failed(frame, step, kernel, CUPEL_STATUS_BUG);
    const cupel_status status =
        kernel->pack(plan, step->pack_of, frame->addresses[step->buffers[0]],
                     frame->addresses[step->buffers[1]]);
    return status == CUPEL_STATUS_OK ? status : step_failed(frame, step, kernel, status);
}

/* What the kernel was planned for: exactly, where it must be, or at most. */
static int step_threads(const struct exec_frame *frame, const struct exec_step *step) {
    const bool fixed = (step->plan.kernel->flags & KERNEL_FIXED_THREADS) != 0;
    return fixed || step->plan.threads < frame->threads ? step->plan.threads : frame->threads;
}

cupel_status backend_run_step(struct exec_frame *frame, uint32_t index) {
    const struct exec_step *step = &frame->program->steps[index];
    if (step->pack_of >= 0)
        return run_pack(frame, step);

    const struct kernel *kernel = step->plan.kernel;
    const uint32_t n_inputs = (uint32_t)step->view.n_inputs;
    const uint32_t n_outputs = (uint32_t)step->view.n_outputs;
    const bool sound = kernel != NULL && n_inputs + n_outputs <= KERNEL_MAX_OPERANDS &&
                       n_inputs + n_outputs <= step->n_buffers;
    if (!sound)
        return step_failed(frame, step, kernel, CUPEL_STATUS_BUG);

    const void *inputs[KERNEL_MAX_OPERANDS];
    void *outputs[KERNEL_MAX_OPERANDS];
    for (uint32_t i = 0; i < n_inputs; i++)
        inputs[i] = frame->addresses[step->buffers[i]];
    for (uint32_t i = 0; i < n_outputs; i++)
        outputs[i] = frame->addresses[step->buffers[n_inputs + i]];
    const struct kernel_call call = {
        .view = &step->view,
        .inputs = inputs,
        .outputs = outputs,
        .scratch = step->scratch == UINT32_MAX ? NULL : frame->addresses[step->scratch],
        .threads = step_threads(frame, step),
    };
    const cupel_status status = kernel->run(&step->plan, &call);
    return status == CUPEL_STATUS_OK ? status : step_failed(frame, step, kernel, status);
}

/* The most threads that a step has on a library's pool. */
static int library_threads(const struct exec_program *program) {
    int most = 1;
    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct kernel_plan *plan = &program->steps[i].plan;
        const bool library = plan->kernel != NULL && (plan->kernel->flags & KERNEL_FIXED_THREADS);
        if (library && plan->threads > most)
            most = plan->threads;
    }
    return most;
}

cupel_status backend_execute_in_order(struct backend *backend, struct exec_frame *frame) {
    (void)backend;
    const int pool = library_threads(frame->program);
    cupel_status status = CUPEL_STATUS_OK;
    frame->failed_step = UINT32_MAX;
    parallel_pool_fp_begin(pool);
    parallel_wake(frame->threads);
    for (uint32_t i = 0; i < frame->program->n_steps && status == CUPEL_STATUS_OK; i++) {
        if (frame->program->steps[i].prologue && !frame->run_prologue)
            continue;
        status = backend_run_step(frame, i);
        if (status == CUPEL_STATUS_OK && frame->after_step != NULL)
            status = frame->after_step(frame->after_step_user, i);
        if (status != CUPEL_STATUS_OK)
            frame->failed_step = i;
    }
    parallel_pool_fp_end(pool);
    return status;
}

static void host_destroy(struct backend *backend) {
    cupel_free(backend);
}

cupel_status backend_create(struct backend **out, const char *name) {
    *out = NULL;
    const bool cpu = name != NULL && strcmp(name, "cpu") == 0;
    const bool reference = name != NULL && strcmp(name, "reference") == 0;
    if (!cpu && !reference)
        return CUPEL_STATUS_UNSUPPORTED;
    struct backend *backend = cupel_alloc(1, sizeof *backend);
    if (backend == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    *backend = (struct backend){
        .name = cpu ? "cpu" : "reference",
        .allocate = backend_host_allocate,
        .release = backend_host_release,
        .write = backend_host_write,
        .read = backend_host_read,
        .reads_host = true,
        .kernels = cpu ? cpu_kernels : ref_device_kernels,
        .channel_block = cpu ? cpu_channel_block() : 1,
        .execute = backend_execute_in_order,
        .destroy = host_destroy,
        .check_environment = cpu ? cpu_check_environment : NULL,
        .instruction_set = cpu ? cpu_instruction_set() : NULL,
        .kernel_library = cpu ? cpu_kernel_library() : NULL,
    };
    *out = backend;
    return CUPEL_STATUS_OK;
}
