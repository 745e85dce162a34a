/*
 * Measuring one kernel as the device runs it: a small program that packs, runs and unpacks again
 * and again. A short first round warms up, the shortest of the following counts. Rounds of small
 * operands have memory of their own each: in a step too, operands have left the near caches. Packs
 * count because weights move with every training step.
 * Test: tests/test_measure.c
 */
#define _POSIX_C_SOURCE 200809L
#include "compile/measure.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_sweep.h"

/* --- the table --- */

static uint64_t hash_descs(uint64_t hash, int n, const cupel_desc *descs) {
    hash = hash_combine(hash, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        hash = hash_combine(hash, (uint64_t)descs[i].type << 8 | (uint64_t)descs[i].layout);
        hash = hash_combine(hash, (uint64_t)descs[i].shape.rank);
        for (int d = 0; d < descs[i].shape.rank; d++)
            hash = hash_combine(hash, (uint64_t)descs[i].shape.dims[d]);
    }
    return hash;
}

/* Of the bytes; a sweep's hold names, which do not matter. */
static uint64_t hash_attrs(const cupel_op_view *view) {
    if (view->op != &op_sweep)
        return hash_bytes(view->attrs, view->op->attr_size);
    const struct attrs_sweep *attrs = view->attrs;
    uint64_t hash = hash_string(attrs->op->name);
    for (int p = 0; p < (int)attrs->n_parts; p++)
        hash = hash_combine(hash, hash_bytes(attrs->parts[p].attrs, SWEEP_ATTR_SIZE));
    return hash;
}

uint64_t measured_key(const struct kernel *kernel, const struct kernel_request *request) {
    const cupel_op_view *const view = &request->view;
    uint64_t hash = hash_combine(hash_string(kernel->name), hash_string(view->op->name));
    hash = hash_combine(hash, (uint64_t)request->threads);
    hash = hash_descs(hash, view->n_inputs, view->inputs);
    hash = hash_descs(hash, view->n_outputs, view->outputs);
    return hash_combine(hash, hash_attrs(view));
}

bool measured_find(const struct measured *measured, uint64_t key, double *seconds) {
    for (size_t i = 0; i < measured->count; i++)
        if (measured->rows[i].key == key) {
            *seconds = measured->rows[i].seconds;
            return true;
        }
    return false;
}

bool measured_add(struct measured *measured, uint64_t key, double seconds) {
    if (!cupel_grow(&measured->rows, &measured->capacity, measured->count + 1,
                    sizeof *measured->rows))
        return false;
    measured->rows[measured->count++] = (struct measured_row){key, seconds};
    return true;
}

void measured_release(struct measured *measured) {
    cupel_free(measured->rows);
    *measured = (struct measured){0};
}

/* --- measuring --- */

enum {
    ROUNDS = 7,                   /* the first one may warm up */
    STEPS = KERNEL_MAX_PACKS + 1, /* of a round: packs, the kernel, unpacks */
    BUFFERS = KERNEL_MAX_OPERANDS + KERNEL_MAX_PACKS + 1, /* of a copy of the operands */
    COPIES_BYTES = 32 << 20,                              /* that copies may take together */
    PIECE = 1 << 20                                       /* of what memory is filled with */
};
static const double enough = 5e-3; /* seconds of rounds that are warm */

struct timing {
    uint32_t steps;            /* of a round */
    double began;              /* the round at hand */
    double total, best, rival; /* INFINITY: no rival */
    int rounds;
    bool done;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Ends the run when the time is known well enough, or is hopeless. */
static cupel_status after_step(void *user, uint32_t step) {
    struct timing *const t = user;
    if ((step + 1) % t->steps != 0)
        return CUPEL_STATUS_OK;
    const double end = now(), took = end - t->began;
    const bool warm = t->rounds++ > 0 || took > enough; /* a long one is soon warm */
    t->began = end;
    t->total += warm ? took : 0;
    t->best = took < t->best ? took : t->best;
    /* A cold round says less of a kernel that is behind. */
    const bool hopeless = t->best > (warm ? 1.4 : 2.5) * t->rival;
    t->done = hopeless || (warm && t->total >= enough) || t->rounds == ROUNDS;
    return t->done ? CUPEL_STATUS_INTERRUPTED : CUPEL_STATUS_OK;
}

/* A program of its own for one kernel, and where its buffers lie. */
struct bench {
    struct exec_step steps[STEPS * ROUNDS];
    uint32_t after[STEPS * ROUNDS]; /* each step follows the one before */
    struct exec_buffer buffers[BUFFERS * ROUNDS];
    void *addresses[BUFFERS * ROUNDS];
    struct copy {
        uint32_t plain[KERNEL_MAX_OPERANDS];        /* inputs, outputs */
        uint32_t operands[KERNEL_MAX_OPERANDS + 1]; /* as the kernel sees them, and scratch */
        uint32_t packs[KERNEL_MAX_PACKS][2];        /* from, to */
    } copies[ROUNDS];
    uint32_t n_steps, n_buffers;
    int n_copies;
    size_t bytes;
};

static uint32_t add_buffer(struct bench *b, size_t bytes) {
    b->buffers[b->n_buffers] =
        (struct exec_buffer){.space = SPACE_ARENA, .offset = b->bytes, .bytes = bytes};
    b->bytes += (bytes + CUPEL_ALIGNMENT - 1) / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT;
    return b->n_buffers++;
}

/* Updates are timed as they run: over their own operands. */
static void place_operands(struct bench *b, struct copy *copy, const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        copy->plain[i] = add_buffer(b, cupel_desc_bytes(&view->inputs[i]));
    for (int k = 0; k < view->n_outputs; k++) {
        const uint32_t shared =
            op_in_place(view->op, view->attrs, (uint32_t)view->n_inputs, (uint32_t)k);
        copy->plain[view->n_inputs + k] =
            shared > 0 && cupel_desc_equal(&view->inputs[shared - 1], &view->outputs[k])
                ? copy->plain[shared - 1]
                : add_buffer(b, cupel_desc_bytes(&view->outputs[k]));
    }
}

static void place_copy(struct bench *b, const struct kernel_plan *plan, const cupel_op_view *view) {
    struct copy *const copy = &b->copies[b->n_copies++];
    const int n = view->n_inputs + view->n_outputs;
    place_operands(b, copy, view);
    memcpy(copy->operands, copy->plain, (size_t)n * sizeof *copy->plain);
    for (int p = 0; p < plan->n_packs; p++) {
        const struct kernel_pack *const pack = &plan->packs[p];
        const int operand = pack->operand + (pack->output ? view->n_inputs : 0);
        const uint32_t plain = copy->plain[operand], own = add_buffer(b, pack->bytes);
        copy->packs[p][0] = pack->output ? own : plain;
        copy->packs[p][1] = pack->output ? plain : own;
        copy->operands[operand] = own;
    }
    if (plan->scratch_bytes > 0)
        copy->operands[n] = add_buffer(b, plan->scratch_bytes);
}

static void add_step(struct bench *b, struct exec_step step) {
    if (b->n_steps > 0) {
        b->after[b->n_steps] = b->n_steps - 1;
        step.n_after = 1;
        step.after = &b->after[b->n_steps];
    }
    b->steps[b->n_steps++] = step;
}

static void add_packs(struct bench *b, const struct copy *copy, const struct kernel_plan *plan,
                      const cupel_op_view *view, bool output) {
    for (int p = 0; p < plan->n_packs; p++)
        if (plan->packs[p].output == output)
            add_step(b, (struct exec_step){.name = "pack",
                                           .view = {.op = view->op, .n_inputs = 1, .n_outputs = 1},
                                           .plan = *plan,
                                           .pack_of = p,
                                           .pack_plan = plan,
                                           .n_buffers = 2,
                                           .buffers = copy->packs[p],
                                           .scratch = UINT32_MAX});
}

static void write_rounds(struct bench *b, const struct kernel_plan *plan,
                         const cupel_op_view *view) {
    const uint32_t n = (uint32_t)(view->n_inputs + view->n_outputs);
    const bool scratch = plan->scratch_bytes > 0;
    do
        place_copy(b, plan, view);
    while (b->n_copies < ROUNDS &&
           b->bytes / (size_t)b->n_copies * (size_t)(b->n_copies + 1) <= COPIES_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        const struct copy *const copy = &b->copies[round % b->n_copies];
        add_packs(b, copy, plan, view, false);
        add_step(b, (struct exec_step){.name = view->name,
                                       .view = *view,
                                       .plan = *plan,
                                       .pack_of = -1,
                                       .n_buffers = n + scratch,
                                       .buffers = copy->operands,
                                       .scratch = scratch ? copy->operands[n] : UINT32_MAX});
        add_packs(b, copy, plan, view, true);
    }
}

/* Numbers between -1 and 1, or zeros. */
static cupel_status fill(struct measure_room *room, size_t from, size_t bytes, bool zeros,
                         struct cupel_error *error) {
    const size_t piece = bytes < PIECE ? bytes : PIECE;
    float *const values = cupel_alloc_aligned(piece + sizeof *values);
    if (values == NULL)
        return cupel_fail_memory(error, "operands of kernels that are timed", piece);
    for (size_t i = 0; i <= piece / sizeof *values; i++)
        values[i] = zeros ? 0 : (float)(i * 2654435761U % 2001) * 1e-3F - 1;
    for (size_t at = 0; at < bytes; at += piece)
        room->backend->write(room->backend, (char *)room->memory + from + at, values,
                             bytes - at < piece ? bytes - at : piece);
    cupel_free(values);
    return CUPEL_STATUS_OK;
}

static cupel_status reserve(struct measure_room *room, size_t bytes, struct cupel_error *error) {
    if (bytes <= room->bytes)
        return CUPEL_STATUS_OK;
    measure_room_release(room);
    room->memory = room->backend->allocate(room->backend, bytes);
    if (room->memory == NULL)
        return cupel_fail_memory(error, "operands of kernels that are timed", bytes);
    room->bytes = bytes;
    return fill(room, 0, bytes, false, error);
}

static cupel_status prepare(struct bench *b, struct measure_room *room, const cupel_op_view *view,
                            struct cupel_error *error) {
    CUPEL_TRY(reserve(room, b->bytes, error));
    for (uint32_t i = 0; i < b->n_buffers; i++)
        b->addresses[i] = (char *)room->memory + b->buffers[i].offset;
    for (int k = 0; k < b->n_copies; k++)
        for (int i = 0; i < view->n_inputs; i++) { /* zeros are right as an index too */
            const struct exec_buffer *const buffer = &b->buffers[b->copies[k].plain[i]];
            if (!cupel_type_is_real(view->inputs[i].type))
                CUPEL_TRY(fill(room, buffer->offset, buffer->bytes, true, error));
        }
    return CUPEL_STATUS_OK;
}

static cupel_status run_rounds(struct bench *b, struct measure_room *room, double rival,
                               double *seconds, struct cupel_error *error) {
    const struct exec_program program = {.name = "measure",
                                         .n_steps = b->n_steps,
                                         .steps = b->steps,
                                         .n_buffers = b->n_buffers,
                                         .buffers = b->buffers};
    struct timing timing = {.steps = b->n_steps / ROUNDS, .best = INFINITY, .rival = rival};
    struct exec_frame frame = {.program = &program,
                               .addresses = b->addresses,
                               .threads = room->threads,
                               .after_step = after_step,
                               .after_step_user = &timing,
                               .failed_step = UINT32_MAX,
                               .error = error};
    timing.began = now();
    const cupel_status status = room->backend->execute(room->backend, &frame);
    *seconds = timing.best;
    return timing.done ? CUPEL_STATUS_OK : status;
}

cupel_status measure_on_device(void *user, const struct kernel_plan *plan,
                               const cupel_op_view *view, double rival, double *seconds,
                               struct cupel_error *error) {
    struct measure_room *const room = user;
    *seconds = INFINITY;
    struct bench *const bench = cupel_alloc(1, sizeof *bench);
    if (bench == NULL)
        return cupel_fail_memory(error, "timing kernels", sizeof *bench);
    write_rounds(bench, plan, view);
    cupel_status status = prepare(bench, room, view, error);
    if (status == CUPEL_STATUS_OK)
        status = run_rounds(bench, room, rival, seconds, error);
    cupel_free(bench);
    return status;
}

void measure_room_release(struct measure_room *room) {
    if (room->memory != NULL)
        room->backend->release(room->backend, room->memory, room->bytes);
    room->memory = NULL;
    room->bytes = 0;
}
