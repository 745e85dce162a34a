/*
 * A plan's inside: the list of choices. Test: tests/test_plan.c
 */
#ifndef CUPEL_PLAN_INTERNAL_H
#define CUPEL_PLAN_INTERNAL_H

#include "compile/compile_internal.h"
#include "cupel/plan.h"

struct plan_choice {
    uint64_t key; /* of (program, node, op, shapes, layouts) */
    char *program, *node, *op, *kernel;
    uint32_t revision;
    bool variable_bits; /* the kernel's bits may change with the number of threads */
};

struct cupel_plan {
    cupel_context *context;
    int threads;
    struct plan_choice *choices;
    size_t count;
    size_t capacity;
    struct cupel_error error;
};

uint64_t plan_key(const char *program, const struct graph_node *node, const cupel_op_view *view);
/* The recorded kernel's name or NULL. */
const char *plan_lookup(const cupel_plan *plan, uint64_t key);
cupel_status plan_record(cupel_plan *plan, uint64_t key, const char *program, const char *node,
                         const char *op, const struct kernel *kernel, struct cupel_error *error);
void plan_clear(cupel_plan *plan);

#endif
