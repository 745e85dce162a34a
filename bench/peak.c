/*
 * What the machine can do, as one JSON line: cupel_machine_measure(), whose figures floors are
 * quotients by. Not a test: target bench_peak,
 *
 *   bench_peak [threads]
 */
#include <stdio.h>

#include <cupel/machine.h>
#include <cupel/number.h>

int main(int argc, char **argv) {
    int64_t threads = 1;
    cupel_machine machine;
    char flops[CUPEL_NUMBER_TEXT_SIZE], bytes[CUPEL_NUMBER_TEXT_SIZE];
    if (argc > 1 && (!cupel_number_parse_whole(argv[1], &threads) || threads < 1 || threads > 256))
        return 2;
    if (cupel_machine_measure(&machine, (int)threads, 0) != CUPEL_STATUS_OK)
        return 1;
    printf("{\"threads\": %d, \"gflops\": %s, \"gbs\": %s}\n", machine.threads,
           cupel_number_format_fixed(flops, machine.flops_per_s * 1e-9, 1),
           cupel_number_format_fixed(bytes, machine.bytes_per_s * 1e-9, 1));
    return 0;
}
