/*
 * Times of kernels, for plans by measured time: a table of what was measured, and the measuring
 * itself on the device's own memory. Test: tests/test_measure.c
 */
#ifndef CUPEL_MEASURE_H
#define CUPEL_MEASURE_H

#include "backend/backend.h"

/* Seconds by (op, operands with their layouts, attributes, kernel, threads): what is identical is
 * measured once. INFINITY: the kernel declined. */
struct measured {
    struct measured_row {
        uint64_t key;
        double seconds;
    } * rows;
    size_t count, capacity;
    uint64_t runs; /* how often a kernel was timed */
};

/* One kernel measured again differs by so much, so another kernel, or the parts of a node, take the
 * place of what is preferred only if they take less than this share of its time. */
#define MEASURED_MARGIN 0.9

uint64_t measured_key(const struct kernel *kernel, const struct kernel_request *request);
bool measured_find(const struct measured *measured, uint64_t key, double *seconds);
/* false: memory was refused. */
bool measured_add(struct measured *measured, uint64_t key, double seconds);
void measured_release(struct measured *measured);

/* Seconds of one run of a planned kernel, its packs included. rival: what it has to be faster than
 * (INFINITY: nothing); a hopeless case may be given up early, with the time it has taken. */
typedef cupel_status (*measure_function)(void *user, const struct kernel_plan *plan,
                                         const cupel_op_view *view, double rival, double *seconds,
                                         struct cupel_error *error);

/* Memory that operands lie in while they are timed: grown as wanted, given back at the end. */
struct measure_room {
    struct backend *backend;
    int threads; /* of a run */
    void *memory;
    size_t bytes;
};

/* A measure_function; user is the room. */
cupel_status measure_on_device(void *user, const struct kernel_plan *plan,
                               const cupel_op_view *view, double rival, double *seconds,
                               struct cupel_error *error);
void measure_room_release(struct measure_room *room);

#endif
