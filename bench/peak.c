/*
 * What the machine can do: multiply-adds from registers, and reading of memory that is in no cache,
 * as one JSON line. The kernels' floors are quotients by these. Not a test: target bench_peak,
 *
 *   bench_peak [threads]
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/vec_matmul.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/parallel.h"

enum { DEPTH = 128, REPEATS = 20000, ROUNDS = 12, FLOATS = 32 << 20 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A block of a product that stays in the L1 cache runs at the pace of the multiply-adds. */
static void multiply(void *context, int64_t begin, int64_t end, int thread) {
    const struct vec_matmul_table *const table = context;
    float rows[14 * DEPTH] = {0}, panel[32 * DEPTH] = {0}, out[14 * 32];
    const struct matmul_rows x = {.from = rows, .row = DEPTH, .step = 1};
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        table->block(table->rows, table->width, DEPTH, &x, panel, table->width, out, table->width);
}

struct reading {
    const float *from;
    float sums[64];
};

static void read_all(void *context, int64_t begin, int64_t end, int thread) {
    struct reading *const reading = context;
    float sum[16] = {0};
    for (int64_t i = begin; i < end; i += 16)
        for (int64_t j = 0; j < 16; j++)
            sum[j] += reading->from[i + j];
    for (int64_t j = 0; j < 16; j++)
        reading->sums[thread] += sum[j];
}

int main(int argc, char **argv) {
    int64_t threads = 1;
    if (argc > 1 && (!number_parse_i64(argv[1], &threads) || threads < 1 || threads > 64))
        return 2;
    const struct vec_matmul_table *table = cpu_vec_matmul();
    struct reading reading = {.from = cupel_alloc_aligned(FLOATS * sizeof(float))};
    if (reading.from == NULL)
        return 1;
    memset((void *)(uintptr_t)reading.from, 0, FLOATS * sizeof(float));
    double products = 1e30, reads = 1e30;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now();
        parallel_for((int)threads, threads * REPEATS, 1, multiply, (void *)(uintptr_t)table);
        const double multiplied = now() - start;
        start = now();
        parallel_for((int)threads, FLOATS, 16, read_all, &reading);
        const double took = now() - start;
        products = multiplied < products ? multiplied : products;
        reads = took < reads ? took : reads;
    }
    const double flops = 2.0 * (double)threads * REPEATS * table->rows * table->width * DEPTH;
    printf("{\"threads\": %lld, \"gflops\": %.1f, \"gbs\": %.1f}\n", (long long)threads,
           flops / products * 1e-9, FLOATS * sizeof(float) / reads * 1e-9);
    cupel_free((void *)(uintptr_t)reading.from);
    return 0;
}
