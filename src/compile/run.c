/*
 * Running a program: fills in addresses, asks the device to execute, and counts the versions of
 * what was assigned. Nothing is allocated here. Workspaces are scratch memory that programs share.
 * Test: tests/test_program.c
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "compile/program_internal.h"
#include "op/op_internal.h"

cupel_status cupel_workspace_create(cupel_workspace **out, cupel_context *context) {
    *out = NULL;
    cupel_workspace *workspace = cupel_alloc(1, sizeof(*workspace));
    if (!workspace)
        return cupel_fail_memory(&context->error, "a workspace", sizeof(*workspace));
    workspace->context = context;
    atomic_fetch_add(&context->children, 1);
    *out = workspace;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_workspace_destroy(cupel_workspace *workspace) {
    if (!workspace)
        return CUPEL_STATUS_OK;
    if (atomic_load(&workspace->running))
        return cupel_fail(&workspace->error, CUPEL_STATUS_BUG, "a run uses this workspace");
    struct backend *backend = workspace->context->backend;
    if (workspace->memory)
        backend->release(backend, workspace->memory, workspace->bytes);
    atomic_fetch_sub(&workspace->context->children, 1);
    cupel_free(workspace);
    return CUPEL_STATUS_OK;
}

const char *cupel_workspace_error(const cupel_workspace *workspace) {
    return workspace->error.text;
}

cupel_status cupel_workspace_reserve(cupel_workspace *workspace, const cupel_program *program) {
    const size_t bytes = program->draft.arena_bytes;
    struct backend *backend = workspace->context->backend;
    if (program->context != workspace->context)
        return cupel_fail(&workspace->error, CUPEL_STATUS_BUG,
                          "program %s belongs to another context", program->name);
    if (atomic_load(&workspace->running))
        return cupel_fail(&workspace->error, CUPEL_STATUS_BUG, "a run uses this workspace");
    if (bytes <= workspace->bytes)
        return CUPEL_STATUS_OK;
    /* Scratch has no contents to keep: give the old back first. */
    if (workspace->memory)
        backend->release(backend, workspace->memory, workspace->bytes);
    workspace->bytes = 0;
    workspace->memory = backend->allocate(backend, bytes);
    if (!workspace->memory)
        return cupel_fail_memory(&workspace->error, "the workspace", bytes);
    workspace->bytes = bytes;
    return CUPEL_STATUS_OK;
}

/* Kernels do not write to inputs, so what was lent stays as it is. */
static void *slot_memory(const cupel_bindings *bindings, uint32_t slot) {
    const void *const lent = bindings->lent[slot];
    return lent != NULL ? (void *)(uintptr_t)lent : bindings->memory[slot];
}

static void fill_addresses(cupel_program *program, const cupel_bindings *bindings,
                           const cupel_workspace *workspace) {
    const struct program_draft *draft = &program->draft;
    for (uint32_t i = 0; i < draft->n_buffers; i++) {
        const struct exec_buffer *buffer = &draft->buffers[i];
        switch (buffer->space) {
        case SPACE_ARENA: program->addresses[i] = (char *)workspace->memory + buffer->offset; break;
        case SPACE_BINDING: program->addresses[i] = slot_memory(bindings, buffer->slot); break;
        case SPACE_VARIABLE: program->addresses[i] = draft->variables[buffer->slot]->memory; break;
        case SPACE_PROGRAM: program->addresses[i] = (char *)program->memory + buffer->offset; break;
        }
    }
}

static bool prologue_is_stale(const cupel_program *program) {
    const struct program_draft *draft = &program->draft;
    if (!program->prologue_valid)
        return true;
    for (size_t i = 0; i < draft->n_variables; i++)
        if (draft->in_prologue[i] && program->seen[i] != draft->variables[i]->version)
            return true;
    return false;
}

/* --- reference mode: looking at every value --- */

struct visit {
    cupel_program *program;
    const cupel_run_options *options;
};

static int64_t first_non_finite(const cupel_desc *desc, const void *values) {
    const int64_t count = cupel_shape_count(desc->shape);
    for (int64_t i = 0; i < count; i++) {
        double value = 0;
        if (desc->type == CUPEL_TYPE_F32) {
            value = (double)((const float *)values)[i];
        } else if (desc->type == CUPEL_TYPE_F64) {
            value = ((const double *)values)[i];
        } else if (desc->type == CUPEL_TYPE_BF16) {
            if ((((const uint16_t *)values)[i] & 0x7f80u) == 0x7f80u)
                return i;
        } else {
            return -1;
        }
        if (!isfinite(value))
            return i;
    }
    return -1;
}

static cupel_status visit_step(void *user, uint32_t index) {
    const struct visit *visit = user;
    cupel_program *program = visit->program;
    struct backend *backend = program->context->backend;
    const struct exec_step *step = &program->draft.steps[index];
    const struct graph_node *node = &program->list.nodes[program->draft.step_node[index]];
    for (uint32_t k = 0; k < node->n_outputs; k++) {
        const cupel_desc *desc = &node->outputs[k];
        const uint32_t buffer = step->buffers[node->n_inputs + k];
        backend->read(backend, program->visit_buffer, program->addresses[buffer],
                      cupel_desc_bytes(desc));
        if (visit->options->stop_at_non_finite) {
            const int64_t bad = first_non_finite(desc, program->visit_buffer);
            if (bad >= 0)
                return cupel_fail(&program->error, CUPEL_STATUS_NOT_FINITE,
                                  "node '%s' (%s) is the first that is not finite, at element "
                                  "%lld of its output %u",
                                  node->name, node->op->name, (long long)bad, k);
        }
        if (!visit->options->visitor)
            continue;
        const cupel_status status =
            visit->options->visitor(visit->options->visitor_user, node->name, node->op->name, k,
                                    desc, program->visit_buffer);
        if (status != CUPEL_STATUS_OK)
            return cupel_fail(&program->error, status, "the visitor stopped the run at node '%s'",
                              node->name);
    }
    return CUPEL_STATUS_OK;
}

/* --- timing every step --- */

struct watch {
    cupel_step_time *times;
    double began, last; /* the run; the step before */
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static cupel_status time_step(void *user, uint32_t step) {
    struct watch *const watch = user;
    const double end = now() - watch->began;
    watch->times[step] = (cupel_step_time){.begin = watch->last, .end = end};
    watch->last = end;
    return CUPEL_STATUS_OK;
}

/* --- the run --- */

static cupel_status check_run(cupel_program *program, const cupel_bindings *bindings,
                              const cupel_workspace *workspace, const cupel_run_options *options) {
    struct cupel_error *error = &program->error;
    if (bindings->program != program)
        return cupel_fail(error, CUPEL_STATUS_BUG, "the bindings belong to program %s, not %s",
                          bindings->program->name, program->name);
    if (workspace->context != program->context || workspace->bytes < program->draft.arena_bytes)
        return cupel_fail(error, CUPEL_STATUS_BUG,
                          "the workspace has %zu bytes and program %s needs %zu: call "
                          "cupel_workspace_reserve() for it",
                          workspace->bytes, program->name, program->draft.arena_bytes);
    if (options->threads > program->threads || options->threads < 0 ||
        (program->fixed_threads && options->threads > 0 && options->threads != program->threads))
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "program %s was compiled for %d threads%s and cannot run with %d",
                          program->name, program->threads,
                          program->fixed_threads ? " exactly (a library kernel is planned for them)"
                                                 : " at most",
                          options->threads);
    if ((options->visitor || options->stop_at_non_finite) && !program->reference)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "program %s is no reference program, so it cannot be visited: compile it "
                          "with .reference = true",
                          program->name);
    if (options->times && (options->visitor || options->stop_at_non_finite))
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "program %s is either visited or timed, not both in one run",
                          program->name);
    return CUPEL_STATUS_OK;
}

static cupel_status execute(cupel_program *program, const cupel_run_options *options) {
    struct backend *backend = program->context->backend;
    struct visit visit = {program, options};
    struct watch watch = {0};
    const bool stale = prologue_is_stale(program);
    const int threads = options->threads ? options->threads : program->threads;
    struct exec_frame frame = {.program = &program->draft.exec,
                               .addresses = program->addresses,
                               .threads = threads < program->most_threads ? threads
                                                                          : program->most_threads,
                               .run_prologue = stale,
                               .failed_step = UINT32_MAX,
                               .error = &program->error};
    if (options->visitor || options->stop_at_non_finite) {
        frame.after_step = visit_step;
        frame.after_step_user = &visit;
    }
    if (options->times) {
        memset(options->times, 0, program->draft.n_steps * sizeof(*options->times));
        watch = (struct watch){.times = options->times, .began = now()};
        frame.after_step = time_step;
        frame.after_step_user = &watch;
    }
    if (stale) {
        program->prologue_valid = false;
        for (size_t i = 0; i < program->draft.n_variables; i++)
            program->seen[i] = program->draft.variables[i]->version;
    }
    const cupel_status status = backend->execute(backend, &frame);
    program->prologue_valid = program->prologue_valid || status == CUPEL_STATUS_OK;
    /* Where a run may end nothing is written yet; who knows what another failure leaves. */
    const struct exec_step *failed = frame.failed_step < program->draft.n_steps
                                         ? &program->draft.steps[frame.failed_step]
                                         : NULL;
    if (status == CUPEL_STATUS_OK || !failed || !op_may_end_run(failed->view.op))
        for (size_t i = 0; i < program->draft.n_variables; i++)
            if (program->draft.assigned[i])
                program->draft.variables[i]->version++;
    return status;
}

cupel_status cupel_program_run(cupel_program *program, cupel_bindings *bindings,
                               cupel_workspace *workspace, const cupel_run_options *options) {
    static const cupel_run_options defaults = {0};
    bool held[3] = {false, false, false};
    cupel_status status = CUPEL_STATUS_OK;
    held[0] = !atomic_exchange(&program->running, true);
    held[1] = !atomic_exchange(&bindings->running, true);
    held[2] = !atomic_exchange(&workspace->running, true);
    if (!held[0] || !held[1] || !held[2]) {
        status = CUPEL_STATUS_BUG; /* the text belongs to the run that holds them */
    } else {
        status = check_run(program, bindings, workspace, options ? options : &defaults);
        if (status == CUPEL_STATUS_OK) {
            fill_addresses(program, bindings, workspace);
            status = execute(program, options ? options : &defaults);
        }
    }
    if (held[0])
        atomic_store(&program->running, false);
    if (held[1])
        atomic_store(&bindings->running, false);
    if (held[2])
        atomic_store(&workspace->running, false);
    return status;
}
