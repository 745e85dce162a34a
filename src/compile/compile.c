/*
 * Compiling: runs the passes and packs what they leave into a program. Reference mode is a second
 * compile of the same graph without fusion, blocked layouts or reuse of memory.
 * Test: tests/test_program.c
 */
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "compile/plan_internal.h"
#include "compile/program_internal.h"
#include "op/op_internal.h"

static cupel_status run_passes(struct compile *c, cupel_graph *graph, struct program_draft *draft) {
    CUPEL_TRY(pass_validate(c, graph));
    CUPEL_TRY(pass_prune(c));
    CUPEL_TRY(pass_precision(c));
    if (!c->reference) {
        CUPEL_TRY(pass_simplify(c));
        CUPEL_TRY(pass_fold_batch_norm(c));
        CUPEL_TRY(pass_prune(c));
        CUPEL_TRY(pass_move_reshapes(c));
        CUPEL_TRY(pass_fuse_image(c));
        CUPEL_TRY(pass_join_images(c));
        CUPEL_TRY(pass_fuse(c));
        CUPEL_TRY(pass_fuse_conv(c));
        CUPEL_TRY(pass_fuse_update(c));
        CUPEL_TRY(pass_join_updates(c));
        CUPEL_TRY(pass_sweep(c));
    }
    CUPEL_TRY(pass_swaps(c));
    CUPEL_TRY(pass_choose(c));
    CUPEL_TRY(pass_pack(c));
    CUPEL_TRY(pass_roots(c));
    CUPEL_TRY(pass_order(c));
    CUPEL_TRY(pass_plan_memory(c, draft));
    return pass_steps(c, draft);
}

/* --- constants --- */

static void round_real(cupel_type type, const double *from, bool uniform, int64_t count, void *to) {
    for (int64_t i = 0; i < count; i++) {
        const double value = from[uniform ? 0 : i];
        if (type == CUPEL_TYPE_F64) {
            ((double *)to)[i] = value;
        } else if (type == CUPEL_TYPE_F32) {
            ((float *)to)[i] = (float)value;
        } else { /* bf16, rounded to nearest even */
            const float f = (float)value;
            uint32_t bits;
            memcpy(&bits, &f, sizeof(bits));
            bits += 0x7fffu + ((bits >> 16) & 1);
            ((uint16_t *)to)[i] = (uint16_t)(bits >> 16);
        }
    }
}

static cupel_status write_constant(struct cupel_program *program, uint32_t id) {
    struct backend *backend = program->context->backend;
    const struct graph_node *node = &program->list.nodes[id];
    const cupel_desc *desc = &node->outputs[0];
    const int64_t count = cupel_shape_count(desc->shape);
    const size_t element = node->data_real ? sizeof(double) : cupel_type_size(desc->type);
    const bool uniform = node->data_size == element;
    const size_t bytes = cupel_desc_bytes(desc);
    char *host = cupel_alloc_aligned(bytes);
    if (!host)
        return cupel_fail_memory(&program->error, "a constant", bytes);
    if (node->data_real)
        round_real(desc->type, node->data, uniform, count, host);
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(host + (size_t)i * element,
                   (const char *)node->data + (uniform ? 0 : (size_t)i * element), element);
    const struct exec_buffer *buffer = &program->draft.buffers[program->draft.node_buffers[id][0]];
    backend->write(backend, (char *)program->memory + buffer->offset, host, bytes);
    cupel_free(host);
    return CUPEL_STATUS_OK;
}

/* --- what the program keeps and tells --- */

/* Whether a reference kernel does what deserves a fast one. An op from outside brings its own. */
static bool is_slow(const struct exec_step *step) {
    return (step->plan.kernel->flags & KERNEL_REFERENCE) && step->view.op->run == NULL &&
           op_view_flops(&step->view) > 1e6;
}

static size_t memory_bytes(const struct program_draft *draft) {
    size_t bytes = draft->arena_bytes + draft->program_bytes;
    for (uint32_t i = 0; i < draft->n_buffers; i++)
        if (draft->buffers[i].space == SPACE_BINDING || draft->buffers[i].space == SPACE_VARIABLE)
            bytes += draft->buffers[i].bytes;
    return bytes;
}

static void fill_info(struct cupel_program *program) {
    const struct program_draft *draft = &program->draft;
    cupel_program_info *info = &program->info;
    uint64_t hash = hash_combine(hash_string(program->name), (uint64_t)program->threads);
    *info = (cupel_program_info){.planned_bytes = draft->arena_bytes,
                                 .live_bytes = draft->live_bytes,
                                 .naive_bytes = draft->naive_bytes,
                                 .packed_bytes = draft->packed_bytes,
                                 .memory_bytes = memory_bytes(draft),
                                 .steps = draft->n_steps};
    for (uint32_t t = 0; t < draft->n_steps; t++) {
        const struct exec_step *step = &draft->steps[t];
        const struct kernel *kernel = step->plan.kernel;
        const double flops = op_view_flops(&step->view);
        info->flops += flops;
        info->reorders += step->view.op == &op_reorder;
        if (is_slow(step))
            info->reference_steps_over_1mflop++;
        program->fixed_threads = program->fixed_threads ||
                                 (step->plan.threads > 1 && (kernel->flags & KERNEL_FIXED_THREADS));
        if (step->plan.threads > program->most_threads)
            program->most_threads = step->plan.threads;
        hash = hash_combine(hash, hash_string(step->name));
        hash = hash_combine(hash, hash_string(kernel->name));
        hash = hash_combine(hash, kernel->revision);
        for (int k = 0; k < step->view.n_outputs; k++)
            hash = hash_combine(hash, (uint64_t)step->view.outputs[k].layout);
    }
    program->hash = hash;
}

static void warn_of_reference_kernels(const struct cupel_program *program) {
    if (program->reference || strcmp(program->context->backend->name, "reference") == 0)
        return;
    for (uint32_t t = 0; t < program->draft.n_steps; t++) {
        const struct exec_step *step = &program->draft.steps[t];
        if (is_slow(step))
            log_line(&program->context->log, "warning",
                     "program %s: %s (%s) runs on the slow reference kernel (%.0f MFLOP)",
                     program->name, step->name, step->view.op->name,
                     op_view_flops(&step->view) / 1e6);
    }
}

/* The largest output of a step, for visitors. */
static size_t largest_output(const struct program_draft *draft) {
    size_t most = 1;
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (int k = 0; k < draft->steps[t].view.n_outputs; k++) {
            const size_t bytes = cupel_desc_bytes(&draft->steps[t].view.outputs[k]);
            most = bytes > most ? bytes : most;
        }
    return most;
}

static cupel_status take_memory(struct cupel_program *program) {
    struct backend *backend = program->context->backend;
    const struct program_draft *draft = &program->draft;
    program->addresses = cupel_alloc(draft->n_buffers + 1, sizeof(*program->addresses));
    program->seen = cupel_alloc(draft->n_variables + 1, sizeof(*program->seen));
    if (!program->addresses || !program->seen)
        return cupel_fail_memory(&program->error, "the program", draft->n_buffers);
    if (draft->program_bytes) {
        program->memory = backend->allocate(backend, draft->program_bytes);
        if (!program->memory)
            return cupel_fail_memory(&program->error, "constants and packed weights",
                                     draft->program_bytes);
    }
    if (program->reference) {
        program->visit_buffer = cupel_alloc_aligned(largest_output(draft));
        if (!program->visit_buffer)
            return cupel_fail_memory(&program->error, "visited values", largest_output(draft));
    }
    for (uint32_t i = 0; i < program->list.count; i++)
        if (program->list.nodes[i].op == &op_constant)
            CUPEL_TRY(write_constant(program, i));
    return CUPEL_STATUS_OK;
}

static void release(struct cupel_program *program) {
    struct backend *backend = program->context->backend;
    for (size_t i = 0; i < program->n_plans; i++)
        drop_kernel_plan(program->plans[i]);
    cupel_free(program->plans);
    if (program->memory)
        backend->release(backend, program->memory, program->draft.program_bytes);
    cupel_free(program->list.nodes);
    cupel_free(program->addresses);
    cupel_free(program->seen);
    cupel_free(program->visit_buffer);
    arena_release(&program->arena);
    cupel_free(program);
}

static cupel_status check_options(const cupel_compile_options *options, struct cupel_error *error) {
    if (options->real != CUPEL_TYPE_REAL && !cupel_type_is_real(options->real))
        return cupel_fail(error, CUPEL_STATUS_TYPE,
                          "a program computes in f32, f64 or bf16, not %s",
                          cupel_type_name(options->real));
    if (options->name != NULL && !utf8_valid(options->name))
        return cupel_fail(error, CUPEL_STATUS_NAME,
                          "a program's name is not UTF-8, so no plan could hold it");
    if (options->threads < 0)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT, "%d threads", options->threads);
    if (options->method != CUPEL_PLAN_ESTIMATE && options->method != CUPEL_PLAN_MEASURE)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT, "%d is no method of planning",
                          (int)options->method);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_program_compile(cupel_program **out, cupel_graph *graph,
                                   const cupel_compile_options *options) {
    *out = NULL;
    cupel_context *context = graph->context;
    struct cupel_program *program = NULL;
    struct cupel_error error = {0};
    struct compile c = {.context = context,
                        .parameters = graph->parameters,
                        .backend = context->backend,
                        .options = options,
                        .reference = options->reference,
                        .threads = options->threads > 0 ? options->threads : 1,
                        .error = &error};
    struct measured own = {0}; /* times, where no plan keeps them */
    struct measure_room room = {.backend = context->backend, .threads = c.threads};
    cupel_status status;
    if (options->method == CUPEL_PLAN_MEASURE) {
        c.measured = options->plan != NULL ? &options->plan->measured : &own;
        c.measure = measure_on_device;
        c.measure_user = &room;
    }
    c.real = options->real == CUPEL_TYPE_REAL ? CUPEL_TYPE_F32 : options->real;
    c.wide = c.real == CUPEL_TYPE_BF16 ? CUPEL_TYPE_F32 : c.real;
    CUPEL_TRY_DONE(check_options(options, &error));
    program = cupel_alloc(1, sizeof(*program));
    c.name = arena_strdup(&c.arena, options->name ? options->name : "program");
    if (!program || !c.name) {
        status = cupel_fail_memory(&error, "the program", sizeof(*program));
        goto done;
    }
    status = run_passes(&c, graph, &program->draft);
    measured_release(&own);
    measure_room_release(&room);
    /* Now that nothing is wrong with the graph: a refused one leaves the parameters open. */
    if (status == CUPEL_STATUS_OK && graph->parameters) {
        status = cupel_parameters_seal(graph->parameters);
        if (status != CUPEL_STATUS_OK)
            cupel_error_copy(&error, &graph->parameters->error);
    }
    program->context = context;
    program->parameters = graph->parameters;
    program->list = c.list;
    program->plans = c.plans;
    program->n_plans = c.n_plans;
    program->name = c.name;
    program->reference = c.reference;
    program->threads = c.threads;
    c.list = (struct node_list){0};
    c.plans = NULL;
    c.n_plans = 0;
    program->arena = c.arena;
    c.arena = (struct arena){0};
    if (status == CUPEL_STATUS_OK) {
        status = take_memory(program);
        if (status != CUPEL_STATUS_OK)
            cupel_error_copy(&error, &program->error);
    }
    if (status != CUPEL_STATUS_OK) {
        release(program);
        program = NULL;
        goto done;
    }
    fill_info(program);
    warn_of_reference_kernels(program);
    atomic_fetch_add(&context->children, 1);
    if (program->parameters)
        atomic_fetch_add(&program->parameters->children, 1);
    *out = program;
    program = NULL;
done:
    arena_release(&c.arena);
    cupel_free(program);
    if (status != CUPEL_STATUS_OK) {
        cupel_fail(&context->error, status, "%s", error.text);
        if (graph->error.status == CUPEL_STATUS_OK)
            memcpy(graph->error.text, context->error.text, sizeof(graph->error.text));
    }
    return status;
}

cupel_status cupel_program_destroy(cupel_program *program) {
    if (!program)
        return CUPEL_STATUS_OK;
    const int children = atomic_load(&program->children);
    if (children > 0 || atomic_load(&program->running))
        return cupel_fail(&program->error, CUPEL_STATUS_BUG,
                          "program %s is still in use by %d bindings or a run: destroy or finish "
                          "those first",
                          program->name, children);
    atomic_fetch_sub(&program->context->children, 1);
    if (program->parameters)
        atomic_fetch_sub(&program->parameters->children, 1);
    release(program);
    return CUPEL_STATUS_OK;
}

const char *cupel_program_error(const cupel_program *program) {
    return program->error.text;
}

cupel_program_info cupel_program_get_info(const cupel_program *program) {
    return program->info;
}

cupel_step_info cupel_program_get_step(const cupel_program *program, size_t index) {
    if (index >= program->draft.n_steps)
        return (cupel_step_info){0};
    const struct exec_step *const step = &program->draft.steps[index];
    const struct kernel *const kernel =
        step->pack_plan ? step->pack_plan->kernel : step->plan.kernel;
    return (cupel_step_info){.node = step->name,
                             .op = step->view.op->name,
                             .kernel = kernel->name,
                             .flops = op_view_flops(&step->view),
                             .bytes = op_view_bytes(&step->view),
                             .threads = step->plan.threads,
                             .prologue = step->prologue};
}

uint64_t cupel_program_hash(const cupel_program *program) {
    return program->hash;
}
