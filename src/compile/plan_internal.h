/*
 * A plan's inside: the list of choices. Test: tests/test_plan.c
 */
#ifndef CUPEL_PLAN_INTERNAL_H
#define CUPEL_PLAN_INTERNAL_H

#include "compile/compile_internal.h"
#include "cupel/plan.h"

struct plan_choice {
    uint64_t key; /* of (program, node, op, attributes, shapes, layouts) */
    char *program, *node, *op, *kernel;
    cupel_layout layout; /* of the first operand or result that is not plain */
    uint32_t revision;
    bool variable_bits; /* the kernel's bits may change with the number of threads */
    bool used;          /* by a node of a program that was compiled with the plan */
};

struct cupel_plan {
    cupel_context *context;
    int threads;
    struct plan_choice *choices;
    size_t count;
    size_t capacity;
    struct measured measured; /* by all programs compiled with it */
    struct cupel_error error;
};

uint64_t plan_key(const char *program, const struct graph_node *node, const cupel_op_view *view);
/* NULL: nothing is recorded. */
struct plan_choice *plan_lookup(const cupel_plan *plan, uint64_t key);
/* What a node of the same name and op was given, for other shapes or in another program. */
const struct plan_choice *plan_like(const cupel_plan *plan, const struct graph_node *node);
/* In place of what was recorded with the same key, if anything was. */
cupel_status plan_record(cupel_plan *plan, uint64_t key, const char *program,
                         const cupel_op_view *view, const struct kernel *kernel,
                         struct cupel_error *error);
void plan_clear(cupel_plan *plan);

#endif
