/*
 * Threads of computation: the team's (team.h) for our own loops, OpenMP's for libraries; the one
 * file with `#pragma omp`. The number of threads is an argument of every call; work is split into
 * contiguous pieces of [0, n) and results never depend on the split. Each compute thread has
 * flush-to-zero and denormals-are-zero set while it works; the caller's floating-point state is
 * restored. Test: tests/test_parallel.c
 */
#ifndef CUPEL_BASE_PARALLEL_H
#define CUPEL_BASE_PARALLEL_H

#include <stdint.h>

typedef void (*parallel_body)(void *context, int64_t begin, int64_t end, int thread);

/* Runs body over [0, n) in at most `threads` pieces whose borders are multiples of grain. */
void parallel_for(int threads, int64_t n, int64_t grain, parallel_body body, void *context);
/* Runs body(context, i, i + 1, thread) once for each i in [0, n), in such pieces too, but whoever
 * is done with its own takes from the others', one by one: for elements that take long, since
 * processors that others use too are not equally fast. `thread` tells those apart that run at the
 * same time. */
void parallel_each(int threads, int64_t n, parallel_body body, void *context);
/* Loops over so many threads will come within microseconds: those that sleep wake up meanwhile. */
void parallel_wake(int threads);

/* The floating-point control word of this thread, set for compute; restore with the result. */
unsigned parallel_fp_begin(void);
void parallel_fp_end(unsigned saved);
/* The same in every thread of the pool, for libraries that compute on it: begin, run, end, with the
 * same number of threads. Each thread keeps its own saved state. */
void parallel_pool_fp_begin(int threads);
void parallel_pool_fp_end(int threads);
/* Processors this process may use (its affinity mask and cgroup limit), at least 1. */
int parallel_processors(void);
/* The cgroup part of it: `membership` is the text of /proc/self/cgroup, `mount` the folder where
 * the groups are seen. Quotas count rounded up; INT_MAX where nothing is limited. */
int parallel_cgroup_processors(const char *mount, const char *membership);
/* Sets the number of threads libraries take when they plan and run on OpenMP; returns the previous
 * one. Our own waiting threads leave them the processors. */
int parallel_library_threads(int threads);

#endif
