/*
 * Printing a program: what runs in which order, with which kernel and layout, where it lies, and
 * what it costs. Test: tests/test_program.c
 */
#include <inttypes.h>

#include "base/number.h"
#include "compile/program_internal.h"
#include "op/op_internal.h"

static const char *space_name(enum memory_space space) {
    switch (space) {
    case SPACE_ARENA: return "arena";
    case SPACE_BINDING: return "binding";
    case SPACE_VARIABLE: return "variable";
    case SPACE_PROGRAM: return "program";
    }
    return "?";
}

static void print_header(const cupel_program *program, FILE *stream) {
    const cupel_program_info *info = &program->info;
    char gflop[NUMBER_TEXT_SIZE];
    fprintf(stream, "program %s: %zu steps, %zu of them reorders, %s GFLOP a run, %d threads%s\n",
            program->name, info->steps, info->reorders,
            number_format_fixed(gflop, info->flops / 1e9, 3), program->threads,
            program->reference ? ", reference" : "");
    fprintf(stream,
            "memory: arena %zu bytes (largest sum of live bytes %zu, without reuse %zu), packed "
            "weights %zu\n",
            info->planned_bytes, info->live_bytes, info->naive_bytes, info->packed_bytes);
    fprintf(stream, "program hash %016" PRIx64 " of order, kernels and layouts\n\n", program->hash);
}

static void print_step(const cupel_program *program, uint32_t t, FILE *stream) {
    const struct exec_step *step = &program->draft.steps[t];
    const cupel_op_view *view = &step->view;
    char mflop[NUMBER_TEXT_SIZE], mbytes[NUMBER_TEXT_SIZE], shape[CUPEL_SHAPE_TEXT_SIZE];
    const struct kernel *kernel = step->pack_plan ? step->pack_plan->kernel : step->plan.kernel;
    fprintf(stream, "%5u%c %-34s %-26s %-18s %10s MFLOP %9s MB ", t, step->prologue ? 'p' : ' ',
            step->name, view->op->name, kernel->name,
            number_format_fixed(mflop, op_view_flops(view) / 1e6, 3),
            number_format_fixed(mbytes, (double)op_view_bytes(view) / 1e6, 3));
    for (int k = 0; k < view->n_outputs; k++) {
        const cupel_desc *desc = &view->outputs[k];
        const uint32_t id = step->buffers[view->n_inputs + k];
        const struct exec_buffer *buffer = &program->draft.buffers[id];
        fprintf(stream, "%s%s %s %s b%u %s+%zu", k ? "; " : "", cupel_type_name(desc->type),
                cupel_shape_format(shape, desc->shape), cupel_layout_name(desc->layout), id,
                space_name(buffer->space), buffer->offset);
    }
    fprintf(stream, "\n");
}

/* What a thread reaches on images beyond the caches, as measured on one of our machines; plans by
 * measured time have the time itself. */
static const double reorder_bytes_per_s = 12e9;

/* The changes of layout that are left, and what they cost. */
static void print_reorders(const cupel_program *program, FILE *stream) {
    size_t bytes = 0;
    double seconds = 0;
    char text[NUMBER_TEXT_SIZE], ms[NUMBER_TEXT_SIZE];
    fprintf(stream, "\nchanges of layout%s\n", program->info.reorders == 0 ? ": none" : "");
    for (uint32_t t = 0; t < program->draft.n_steps; t++) {
        const struct exec_step *step = &program->draft.steps[t];
        const cupel_op_view *view = &step->view;
        if (view->op != &op_reorder)
            continue;
        const bool measured = step->plan.cost > 0;
        const size_t moved = op_view_bytes(view);
        const double own =
            measured ? step->plan.cost : (double)moved / (reorder_bytes_per_s * step->plan.threads);
        fprintf(stream, "%s: %s to %s, %s MB, %s ms %s\n", step->name,
                cupel_layout_name(view->inputs[0].layout),
                cupel_layout_name(view->outputs[0].layout),
                number_format_fixed(text, (double)moved / 1e6, 3),
                number_format_fixed(ms, own * 1e3, 3), measured ? "measured" : "estimated");
        bytes += moved;
        seconds += own;
    }
    if (program->info.reorders > 1)
        fprintf(stream, "together %s MB, %s ms\n",
                number_format_fixed(text, (double)bytes / 1e6, 3),
                number_format_fixed(ms, seconds * 1e3, 3));
}

static void print_memory(const cupel_program *program, FILE *stream) {
    const struct program_draft *draft = &program->draft;
    fprintf(stream, "\narena map (buffer: bytes at offset)\n");
    for (uint32_t i = 0; i < draft->n_buffers; i++)
        if (draft->buffers[i].space == SPACE_ARENA)
            fprintf(stream, "b%u: %zu at %zu\n", i, draft->buffers[i].bytes,
                    draft->buffers[i].offset);
    fprintf(stream, "\ninputs and outputs\n");
    for (size_t i = 0; i < draft->n_bindings; i++) {
        char shape[CUPEL_SHAPE_TEXT_SIZE];
        const struct binding_slot *slot = &draft->bindings[i];
        fprintf(stream, "%s %s: %s %s\n", slot->input ? "in " : "out", slot->name,
                cupel_type_name(slot->desc.type), cupel_shape_format(shape, slot->desc.shape));
    }
}

cupel_status cupel_program_print(const cupel_program *program, FILE *stream) {
    print_header(program, stream);
    for (uint32_t t = 0; t < program->draft.n_steps; t++)
        print_step(program, t, stream);
    print_reorders(program, stream);
    print_memory(program, stream);
    return ferror(stream) ? CUPEL_STATUS_IO : CUPEL_STATUS_OK;
}
