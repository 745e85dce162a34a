/*
 * What the machine can do, as one JSON line: cupel_machine_measure(), whose figures floors are
 * quotients by. Not a test: target bench_peak,
 *
 *   bench_peak [threads [MiB]]
 *
 * With a size, far_gbs is the bandwidth of so much memory, 0 where that is not above 96 MiB.
 */
#include <stdio.h>

#include <cupel/machine.h>
#include <cupel/number.h>

int main(int argc, char **argv) {
    int64_t threads = 1, size = 0;
    cupel_machine machine;
    char flops[CUPEL_NUMBER_TEXT_SIZE], bytes[CUPEL_NUMBER_TEXT_SIZE], far[CUPEL_NUMBER_TEXT_SIZE];
    if (argc > 1 && (!cupel_number_parse_whole(argv[1], &threads) || threads < 1 || threads > 256))
        return 2;
    if (argc > 2 && (!cupel_number_parse_whole(argv[2], &size) || size < 0 || size > 1 << 16))
        return 2;
    if (cupel_machine_measure(&machine, (int)threads, (size_t)size << 20) != CUPEL_STATUS_OK)
        return 1;
    printf("{\"threads\": %d, \"gflops\": %s, \"gbs\": %s, \"far_gbs\": %s}\n", machine.threads,
           cupel_number_format_fixed(flops, machine.flops_per_s * 1e-9, 1),
           cupel_number_format_fixed(bytes, machine.bytes_per_s * 1e-9, 1),
           cupel_number_format_fixed(far, machine.far_bytes_per_s * 1e-9, 1));
    return 0;
}
