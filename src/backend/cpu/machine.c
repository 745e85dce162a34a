/*
 * The machine's peaks: each is the best of several short rounds, as a kernel's time is the median
 * of many. Test: tests/test_machine.c
 */
#define _POSIX_C_SOURCE 200809L
#include "cupel/machine.h"

#include <time.h>

#include "backend/backend.h"
#include "backend/cpu/vec_machine.h"
#include "base/memory.h"
#include "base/parallel.h"

enum {
    FLOP_ROUNDS = 64, /* of half a millisecond, so that a disturbed moment does not make the peak */
    BYTE_ROUNDS = 16,
    CHAIN_STEPS = 200000,
    ARRAYS = 3,
    NEAR_FLOATS = 8 << 20 /* of each */
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

enum { MOST_THREADS = 256 };

struct work {
    const struct vec_machine_table *table;
    float *a, *b, *c;
    double operations[MOST_THREADS];
    volatile float sums[MOST_THREADS];
};

static void multiply_add(void *context, int64_t begin, int64_t end, int thread) {
    struct work *const w = context;
    float sum;
    (void)begin;
    (void)end;
    w->operations[thread] = w->table->multiply_add(CHAIN_STEPS, &sum);
    w->sums[thread] = sum;
}

static void triad(void *context, int64_t begin, int64_t end, int thread) {
    const struct work *const w = context;
    (void)thread;
    w->table->triad(w->a + begin, w->b + begin, w->c + begin, 0.5F, end - begin);
}

static void fill(void *context, int64_t begin, int64_t end, int thread) {
    const struct work *const w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        w->a[i] = 0;
        w->b[i] = w->c[i] = 1;
    }
}

static double best_flops(struct work *w, int threads) {
    double best = 0;
    for (int round = 0; round < FLOP_ROUNDS; round++) {
        double operations = 0;
        const double began = now();
        parallel_for(threads, threads, 1, multiply_add, w);
        const double took = now() - began;
        for (int i = 0; i < threads; i++)
            operations += w->operations[i];
        best = operations / took > best ? operations / took : best;
    }
    return best;
}

static double best_bytes(struct work *w, int64_t floats, int threads) {
    double best = 0;
    parallel_for(threads, floats, 1024, fill, w);
    for (int round = 0; round < BYTE_ROUNDS; round++) {
        const double began = now();
        parallel_for(threads, floats, 1024, triad, w);
        const double rate = (double)ARRAYS * (double)floats * sizeof(float) / (now() - began);
        best = rate > best ? rate : best;
    }
    return best;
}

int cupel_machine_processors(void) {
    return parallel_processors();
}

cupel_status cupel_machine_measure(cupel_machine *out, int threads, size_t far_bytes) {
    struct work work = {.table = cpu_vec_machine()};
    const int64_t far = (int64_t)(far_bytes / (ARRAYS * sizeof(float)));
    const size_t floats = far > NEAR_FLOATS ? (size_t)far : NEAR_FLOATS;
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    *out = (cupel_machine){.threads = threads, .instruction_set = cpu_instruction_set()};
    work.a = cupel_alloc_walked(floats * sizeof(float));
    work.b = cupel_alloc_walked(floats * sizeof(float));
    work.c = cupel_alloc_walked(floats * sizeof(float));
    const bool granted = work.a != NULL && work.b != NULL && work.c != NULL;
    if (granted) {
        out->flops_per_s = best_flops(&work, threads);
        out->bytes_per_s = best_bytes(&work, NEAR_FLOATS, threads);
        if (far > NEAR_FLOATS)
            out->far_bytes_per_s = best_bytes(&work, far, threads);
    }
    cupel_free(work.a);
    cupel_free(work.b);
    cupel_free(work.c);
    return granted ? CUPEL_STATUS_OK : CUPEL_STATUS_OUT_OF_MEMORY;
}
