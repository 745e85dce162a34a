/*
 * An optimiser's update made ready for one run, of which any part may be done at a time.
 * Test: tests/test_kernels_update.c
 */
#ifndef CUPEL_CPU_UPDATE_H
#define CUPEL_CPU_UPDATE_H

#include "backend/cpu/vec_update.h"
#include "op/op_attrs.h"

/* One parameter's update in one run. */
struct update {
    const void *const *inputs;
    void *const *outputs;
    int64_t count;
    bool adam, buffered;
    struct adam_numbers adam_numbers;
    struct sgd_numbers sgd_numbers;
};

/* Whether the view is an update of a kind and in types that are taken. */
bool update_accept(const struct kernel_request *request, const char **why);
struct adam_numbers update_adam_numbers(const struct attrs_adam *attrs, double learning_rate,
                                        double step);
/* The numbers of a run; inputs and outputs are kept, of the inputs all but the gradient, [1]. */
struct update update_of(const cupel_op_view *view, const void *const *inputs, void *const *outputs);
/* Elements `at` to `at + n` of the parameter, by their gradients. */
void update_range(const struct vec_update_table *table, const struct update *u,
                  const float *gradient, int64_t at, int64_t n);

#endif
