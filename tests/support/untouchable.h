/*
 * A device nobody may touch: reference kernels on memory that is out of reach (PROT_NONE, with a
 * guard page behind each piece) but during its own execute, read and write calls. While it runs a
 * program it
 *   - refuses and counts allocations,
 *   - runs the steps in a seeded random order, as far as their `after` lists allow,
 *   - fills each arena buffer with a NaN pattern before the run, and again as soon as all steps
 *     that touch it are done; outputs before the run.
 */
#ifndef CUPEL_TESTS_UNTOUCHABLE_H
#define CUPEL_TESTS_UNTOUCHABLE_H

#include "backend/backend.h"

struct untouchable_stats {
    uint64_t runs;
    uint64_t steps;
    uint64_t out_of_order; /* steps run before one that the plan has earlier */
    uint64_t poisoned;     /* buffers whose life ended */
    uint64_t refused;      /* allocations wanted of the device during a run */
    uint64_t heap;         /* allocations from base/memory during a run */
};

/* Destroyed by its context, when no piece of its memory may be left. seed chooses the orders; 0:
 * the planned order. */
struct backend *untouchable_create(uint64_t seed);
struct untouchable_stats untouchable_stats(const struct backend *backend);

#endif
