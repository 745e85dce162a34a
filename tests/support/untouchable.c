/*
 * A device nobody may touch. See untouchable.h.
 */
#define _GNU_SOURCE
#include "support/untouchable.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "support/check.h"
#include "support/random_graph.h"

enum { MOST_PIECES = 4096 };

struct piece {
    char *pages; /* page aligned; a guard page follows */
    size_t reachable;
    char *memory; /* what was handed out, at the end of the pages */
};

struct untouchable {
    struct backend base;
    struct piece pieces[MOST_PIECES];
    size_t n_pieces;
    bool running;
    uint64_t random;
    bool shuffled;
    struct untouchable_stats stats;
};

static struct untouchable *self(struct backend *backend) {
    return backend->user;
}

static void protect(const struct piece *piece, int protection) {
    CHECK_I64(mprotect(piece->pages, piece->reachable, protection), 0);
}

static void *allocate(struct backend *backend, size_t bytes) {
    struct untouchable *const u = self(backend);
    if (u->running) {
        u->stats.refused++;
        return NULL;
    }
    CHECK(u->n_pieces < MOST_PIECES);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + 63) / 64 * 64;
    const size_t reachable = used == 0 ? page : (used + page - 1) / page * page;
    char *const pages = mmap(NULL, reachable + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    u->pieces[u->n_pieces++] = (struct piece){pages, reachable, pages + reachable - used};
    return pages + reachable - used;
}

static struct piece *piece_of(struct untouchable *u, const void *address) {
    const char *const at = address;
    for (size_t i = 0; i < u->n_pieces; i++)
        if (at >= u->pieces[i].pages && at <= u->pieces[i].pages + u->pieces[i].reachable)
            return &u->pieces[i];
    check_failed(__FILE__, __LINE__, "an address that is not of this device");
    return NULL;
}

static void release(struct backend *backend, void *memory, size_t bytes) {
    struct untouchable *const u = self(backend);
    struct piece *const piece = piece_of(u, memory);
    (void)bytes;
    CHECK(piece->memory == memory && !u->running);
    CHECK_I64(munmap(piece->pages, piece->reachable + (size_t)sysconf(_SC_PAGESIZE)), 0);
    *piece = u->pieces[--u->n_pieces];
}

static void write_memory(struct backend *backend, void *to, const void *from, size_t bytes) {
    struct untouchable *const u = self(backend);
    const struct piece *const piece = piece_of(u, to);
    CHECK(!u->running);
    protect(piece, PROT_READ | PROT_WRITE);
    memcpy(to, from, bytes);
    protect(piece, PROT_NONE);
}

static void read_memory(struct backend *backend, void *to, const void *from, size_t bytes) {
    struct untouchable *const u = self(backend);
    const struct piece *const piece = piece_of(u, from);
    if (!u->running) /* a visitor looks while the program runs */
        protect(piece, PROT_READ);
    memcpy(to, from, bytes);
    if (!u->running)
        protect(piece, PROT_NONE);
}

/* --- running --- */

/* Bytes 0xff: a NaN in f32, f64 and bf16, -1 in the integers. */
static void poison(const struct exec_frame *frame, uint32_t buffer) {
    memset(frame->addresses[buffer], 0xff, frame->program->buffers[buffer].bytes);
}

static bool skipped(const struct exec_frame *frame, uint32_t step) {
    return frame->program->steps[step].prologue && !frame->run_prologue;
}

static bool ready(const struct exec_frame *frame, const bool *done, uint32_t step) {
    const struct exec_step *const at = &frame->program->steps[step];
    for (uint32_t i = 0; i < at->n_after; i++)
        if (!done[at->after[i]])
            return false;
    return true;
}

static uint32_t next_step(struct untouchable *u, const struct exec_frame *frame, const bool *done) {
    const uint32_t n = frame->program->n_steps;
    uint32_t chosen = UINT32_MAX, first = UINT32_MAX;
    uint64_t candidates = 0;
    for (uint32_t t = 0; t < n; t++) {
        if (done[t])
            continue;
        first = first == UINT32_MAX ? t : first;
        if (ready(frame, done, t) && random_below(&u->random, ++candidates) == 0)
            chosen = t;
        if (chosen != UINT32_MAX && !u->shuffled)
            break;
    }
    CHECK(chosen != UINT32_MAX); /* else the plan has a cycle */
    u->stats.out_of_order += chosen != first;
    return chosen;
}

/* How many steps of this run touch each buffer. Outputs, which no step reads first, are poisoned
 * with the arena. */
static void begin(const struct exec_frame *frame, uint32_t *touches, bool *done) {
    const struct exec_program *const program = frame->program;
    bool *const seen = calloc(program->n_buffers + 1, sizeof *seen);
    CHECK(seen != NULL);
    for (uint32_t t = 0; t < program->n_steps; t++) {
        const struct exec_step *const step = &program->steps[t];
        done[t] = skipped(frame, t);
        for (uint32_t i = 0; i < step->n_buffers; i++) {
            const uint32_t b = step->buffers[i];
            const bool written = i >= (uint32_t)step->view.n_inputs;
            if (!seen[b] && written && program->buffers[b].space == SPACE_BINDING)
                poison(frame, b);
            seen[b] = true;
            touches[b] += !done[t];
        }
    }
    for (uint32_t b = 0; b < program->n_buffers; b++)
        if (program->buffers[b].space == SPACE_ARENA)
            poison(frame, b);
    free(seen);
}

static void end_lives(struct untouchable *u, const struct exec_frame *frame, uint32_t step,
                      uint32_t *touches) {
    const struct exec_step *const at = &frame->program->steps[step];
    for (uint32_t i = 0; i < at->n_buffers; i++) {
        const uint32_t b = at->buffers[i];
        if (--touches[b] == 0 && frame->program->buffers[b].space == SPACE_ARENA) {
            poison(frame, b);
            u->stats.poisoned++;
        }
    }
}

static cupel_status execute(struct backend *backend, struct exec_frame *frame) {
    struct untouchable *const u = self(backend);
    const uint32_t n = frame->program->n_steps;
    uint32_t *const touches = calloc(frame->program->n_buffers + 1, sizeof *touches);
    bool *const done = calloc(n + 1, sizeof *done);
    CHECK(touches != NULL && done != NULL);
    for (size_t i = 0; i < u->n_pieces; i++)
        protect(&u->pieces[i], PROT_READ | PROT_WRITE);
    u->running = true;
    u->stats.runs++;
    begin(frame, touches, done);
    uint32_t left = 0;
    for (uint32_t t = 0; t < n; t++)
        left += !done[t];
    const struct cupel_memory_stats before = cupel_memory_stats();
    const unsigned saved = parallel_fp_begin();
    cupel_status status = CUPEL_STATUS_OK;
    frame->failed_step = UINT32_MAX;
    while (left > 0 && status == CUPEL_STATUS_OK) {
        const uint32_t t = next_step(u, frame, done);
        status = backend_run_step(frame, t);
        if (status == CUPEL_STATUS_OK && frame->after_step != NULL)
            status = frame->after_step(frame->after_step_user, t);
        if (status != CUPEL_STATUS_OK)
            frame->failed_step = t;
        end_lives(u, frame, t, touches);
        done[t] = true;
        left--;
        u->stats.steps++;
    }
    parallel_fp_end(saved);
    u->stats.heap += cupel_memory_stats().allocations - before.allocations;
    u->running = false;
    for (size_t i = 0; i < u->n_pieces; i++)
        protect(&u->pieces[i], PROT_NONE);
    free(touches);
    free(done);
    return status;
}

static void destroy(struct backend *backend) {
    CHECK_U64(self(backend)->n_pieces, 0);
    free(backend->user);
}

struct backend *untouchable_create(uint64_t seed) {
    struct untouchable *const u = calloc(1, sizeof *u);
    CHECK(u != NULL);
    u->random = seed;
    u->shuffled = seed != 0;
    u->base = (struct backend){.name = "untouchable",
                               .allocate = allocate,
                               .release = release,
                               .write = write_memory,
                               .read = read_memory,
                               .kernels = ref_device_kernels,
                               .channel_block = 1,
                               .execute = execute,
                               .destroy = destroy,
                               .user = u};
    return &u->base;
}

struct untouchable_stats untouchable_stats(const struct backend *backend) {
    return ((const struct untouchable *)backend->user)->stats;
}
