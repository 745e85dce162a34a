/* The machine's peaks (src/backend/cpu/machine.c): the loops compute what they say, the peaks are
 * about what a clock beside the same loops and the processor's own multiply-adds say, and refused
 * memory is told. */
#define _POSIX_C_SOURCE 200809L
#include "support/check.h"

#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "backend/cpu/vec_machine.h"
#include "base/memory.h"
#include "cupel/machine.h"

static void loops_compute_what_they_say(void **state) {
    (void)state;
    enum { N = 37 };
    float a[N + 1] = {0}, b[N], c[N], sum = 0;
    for (int i = 0; i < N; i++) {
        b[i] = (float)i;
        c[i] = (float)(2 * i);
    }
    cpu_vec_machine()->triad(a, b, c, 0.5F, N);
    for (int i = 0; i < N; i++)
        CHECK(a[i] == (float)(2 * i));
    CHECK(a[N] == 0);
    const double one = cpu_vec_machine()->multiply_add(1, &sum);
    CHECK(one >= 2 * 4 * 8);
    CHECK(cpu_vec_machine()->multiply_add(1000, &sum) == 1000 * one);
    /* x -> 0.999 x + 0.001 goes to 1 */
    (void)cpu_vec_machine()->multiply_add(100000, &sum);
    const double chains = sum;
    CHECK(chains > 7.99 && chains < 16.01);
}

static void peaks_are_measured(void **state) {
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        cupel_machine machine;
        CHECK_OK(cupel_machine_measure(&machine, threads, 0));
        CHECK_I64(machine.threads, threads);
        CHECK(machine.instruction_set != NULL);
        CHECK(machine.flops_per_s > 0 && machine.bytes_per_s > 0);
        CHECK(machine.far_bytes_per_s == 0);
    }
    cupel_machine machine;
    CHECK_OK(cupel_machine_measure(&machine, 1, 128 << 20));
    CHECK(machine.far_bytes_per_s > 0);
}

/* --- measured beside --- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Ten chains of multiply-adds, no two of them alike, lest a compiler make them one, whose results
 * go into *sum; the number of operations. */
enum { CHAINS = 10 };
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define CHAINS_OF(name, isa, vector, lanes, set1, fma) \
    __attribute__((target(isa))) static double name(int rounds, float *sum) { \
        const vector x = set1(0.999F), y = set1(1e-3F); \
        vector a = x, b = x * 2.0F, c = x * 3.0F, d = x * 4.0F, e = x * 5.0F, f = x * 6.0F, \
               g = x * 7.0F, h = x * 8.0F, i = x * 9.0F, j = x * 10.0F; \
        for (int round = 0; round < rounds; round++) { \
            a = fma(a, x, y), b = fma(b, x, y), c = fma(c, x, y), d = fma(d, x, y); \
            e = fma(e, x, y), f = fma(f, x, y), g = fma(g, x, y), h = fma(h, x, y); \
            i = fma(i, x, y), j = fma(j, x, y); \
        } \
        const vector all = a + b + c + d + e + f + g + h + i + j; \
        *sum = all[0]; \
        return 2. * lanes * CHAINS * rounds; \
    }

CHAINS_OF(chains_avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
CHAINS_OF(chains_avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
#endif

/* NULL where the compiler and not the loop decides what is measured. */
static double (*chains(void))(int, float *) {
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    if (strcmp(cpu_instruction_set(), "avx512") == 0)
        return chains_avx512;
    if (strcmp(cpu_instruction_set(), "avx2") == 0)
        return chains_avx2;
#endif
    return NULL;
}

static double own_flops(double (*loop)(int, float *)) {
    double best = 0;
    volatile float kept;
    for (int i = 0; i < 20; i++) {
        float sum;
        const double began = now();
        const double operations = loop(100000, &sum);
        best = fmax(best, operations / (now() - began));
        kept = sum;
    }
    CHECK(kept > 0);
    return best;
}

/* Three arrays of n floats, each walked through once: 12 n bytes. */
static double own_bytes(size_t n) {
    float *const a = cupel_alloc_walked(3 * n * sizeof(float)), *const b = a + n, *const c = b + n;
    double best = 0;
    CHECK(a != NULL);
    memset(a, 0, 3 * n * sizeof(float));
    for (int i = 0; i < 5; i++) {
        const double began = now();
        cpu_vec_machine()->triad(a, b, c, 0.5F, (int64_t)n);
        best = fmax(best, 12. * (double)n / (now() - began));
    }
    cupel_free(a);
    return best;
}

/* Within 2.5 times: a busy neighbour takes its part of the memory, but not always, so the best of
 * up to twelve turns are compared. */
static bool is_about(double measured, double own) {
    return measured < 2.5 * own && own < 2.5 * measured;
}

static void peaks_are_what_is_measured_beside(void **state) {
    (void)state;
    enum { TURNS = 12, FAR = 128 << 20 };
    double flops = 0, near = 0, far = 0, my_flops = 0, my_near = 0, my_far = 0;
    double (*const loop)(int, float *) = chains();
    if (loop == NULL)
        print_message("no loop of vectors for this build: multiply-adds are not compared\n");
    for (int turn = 0; turn < TURNS; turn++) {
        cupel_machine machine;
        CHECK_OK(cupel_machine_measure(&machine, 1, FAR));
        flops = fmax(flops, machine.flops_per_s);
        near = fmax(near, machine.bytes_per_s);
        far = fmax(far, machine.far_bytes_per_s);
        my_flops = loop != NULL ? fmax(my_flops, own_flops(loop)) : flops;
        my_near = fmax(my_near, own_bytes(8 << 20));
        my_far = fmax(my_far, own_bytes(FAR / 12));
        if (is_about(flops, my_flops) && is_about(near, my_near) && is_about(far, my_far))
            return;
    }
    check_context("GFLOP/s %.1f, beside it %.1f; GB/s %.1f and %.1f, far %.1f and %.1f",
                  flops / 1e9, my_flops / 1e9, near / 1e9, my_near / 1e9, far / 1e9, my_far / 1e9);
    CHECK(!"the peaks are about what is measured beside them");
}

static void refused_memory_is_told(void **state) {
    (void)state;
    cupel_machine machine;
    const uint64_t live = cupel_memory_stats().live_blocks;
    for (uint64_t successes = 0; successes < 3; successes++) {
        cupel_memory_fail_after(successes, false);
        CHECK_STATUS(cupel_machine_measure(&machine, 1, 0), CUPEL_STATUS_OUT_OF_MEMORY);
        cupel_memory_fail_never();
    }
    CHECK_U64(cupel_memory_stats().live_blocks, live);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_compute_what_they_say),
        cmocka_unit_test(peaks_are_measured),
        cmocka_unit_test(peaks_are_what_is_measured_beside),
        cmocka_unit_test(refused_memory_is_told),
    };
    return CHECK_MAIN(tests);
}
