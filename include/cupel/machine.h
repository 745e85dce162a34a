/*
 * Machine: what this processor can do at most, measured, so that the time of a kernel can be judged
 * against a floor. Figures move with the clock and with what else runs: measure in the process
 * whose times are judged.
 */
#ifndef CUPEL_MACHINE_H
#define CUPEL_MACHINE_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_machine {
    int threads;
    const char *instruction_set; /* "avx512": what kernels are compiled for */
    double flops_per_s;          /* f32 multiply-adds in registers, two operations each */
    double bytes_per_s;          /* a[i] = b[i] + s c[i] on 96 MiB: bytes read and written */
    double far_bytes_per_s;      /* the same on far_bytes; 0: not measured */
} cupel_machine;

/* Processors that this process may use, by its affinity mask and its cgroup's quota: 1 or more. */
CUPEL_API int cupel_machine_processors(void);

/* Takes half a second. threads: 1 or more. far_bytes: what the work to be judged walks
 * through, where it is more than 96 MiB, of which outer caches hold a part; or 0. OUT_OF_MEMORY. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_machine_measure(cupel_machine *out, int threads,
                                                           size_t far_bytes);

#ifdef __cplusplus
}
#endif
#endif
