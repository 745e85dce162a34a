/* The machine's peaks (src/backend/cpu/machine.c): the loops compute what they say, figures are
 * figures, and refused memory is told. How large they are is no test's business. */
#include "support/check.h"

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
        cmocka_unit_test(refused_memory_is_told),
    };
    return CHECK_MAIN(tests);
}
