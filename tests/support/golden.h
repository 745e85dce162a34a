/*
 * Golden states: reads the files that tools/make-golden.py wrote with PyTorch, makes the numbers
 * that both sides compute from a formula, runs graphs on every device and type, and compares.
 *
 * Failures go through check.h and end the test. A file is written once and trusted; everything else
 * is the public interface.
 */
#ifndef CUPEL_TESTS_GOLDEN_H
#define CUPEL_TESTS_GOLDEN_H

#include "support/check.h"

#include <cupel/layers.h>
#include <cupel/program.h>
#include <cupel/tensor.h>

/* --- files --- */
cupel_tensors *golden_read(const char *file_name);
/* NULL when there is none. */
const cupel_tensor *golden_find(const cupel_tensors *tensors, const char *format, ...)
    CUPEL_PRINTF(2, 3);
/* Fails when there is none. */
const cupel_tensor *golden_get(const cupel_tensors *tensors, const char *format, ...)
    CUPEL_PRINTF(2, 3);
size_t golden_count(const cupel_tensor *tensor);
/* An element of any type but U64. */
double golden_at(const cupel_tensor *tensor, size_t index);

/* --- the formulas of tools/golden/formula.py --- */
/* In [0, 1), a function of the name and the place. */
double golden_uniform(const char *name, size_t index);
void golden_uniform_fill(const char *name, double *values, size_t count);
/* Writes the formula into every trainable variable, each under the name "net/variable". */
void golden_fill_parameters(cupel_parameters *parameters, const char *net);
/* The 64 places at which a large array is compared. */
enum { GOLDEN_SAMPLES = 64 };
size_t golden_sample_index(const char *name, size_t k, size_t count);

/* --- running --- */
struct golden_way {
    const char *device;
    cupel_type real;
    bool reference;
    int threads;
};
/* f64 and f32 on the reference device, f64 and f32 on the processor (f32 also with two threads and
 * as a second, unfused compile). */
enum { GOLDEN_WAYS = 6 };
extern const struct golden_way golden_ways[GOLDEN_WAYS];
/* "cpu f32 2 threads" */
const char *golden_way_text(struct golden_way way);

/* A context with what programs share. */
struct golden_machine {
    struct golden_way way;
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_workspace *workspace;
};
void golden_machine_open(struct golden_machine *machine, struct golden_way way, uint64_t seed);
/* The same on a device of the test's own, whose context it takes over. */
void golden_machine_open_on(struct golden_machine *machine, cupel_context *context,
                            struct golden_way way, uint64_t seed);
/* After the programs are closed. */
void golden_machine_close(struct golden_machine *machine);
cupel_graph *golden_graph(const struct golden_machine *machine);

struct golden_program {
    cupel_program *program;
    cupel_bindings *bindings;
    cupel_workspace *workspace;
};
/* Fails with the graph's error; destroys the graph. */
void golden_compile(struct golden_program *out, const struct golden_machine *machine,
                    cupel_graph *graph, const char *name, size_t n_outputs,
                    const cupel_output *outputs);
void golden_program_close(struct golden_program *program);
/* Converts to the type of the input. */
void golden_write(struct golden_program *program, const char *input, const double *values,
                  size_t count);
void golden_write_scalar(struct golden_program *program, const char *input, double value);
/* golden_uniform_fill(name, ...). */
void golden_write_uniform(struct golden_program *program, const char *input, const char *name);
/* labels[i] = (i + shift) mod classes */
void golden_write_labels(struct golden_program *program, size_t shift, size_t classes);
void golden_write_tensor(struct golden_program *program, const char *input,
                         const cupel_tensor *tensor);
/* Writes "seed", "step" and rows first, first + 1, ... */
void golden_write_rng(struct golden_program *program, uint64_t seed, uint64_t step, uint64_t first,
                      size_t rows);
void golden_run(struct golden_program *program);
/* A new array of doubles; free it. *count may be NULL. */
double *golden_output(struct golden_program *program, const char *output, size_t *count);
double golden_output_scalar(struct golden_program *program, const char *output);
double *golden_variable(cupel_parameters *parameters, const char *name, size_t *count);

/* --- comparing --- */
/* |actual - expected| <= tolerance * (the largest |expected| of the tensor, at least 1e-3), for
 * expected's elements first .. first + count - 1. */
void golden_compare(const char *what, const double *actual, size_t count,
                    const cupel_tensor *expected, size_t first, double tolerance);
void golden_compare_number(const char *what, double actual, double expected, double tolerance);
/* An output, whole. */
void golden_compare_output(struct golden_program *program, const char *output,
                           const cupel_tensor *expected, double tolerance);
/* An output, or a number, of a step against its part of a tensor whose first axis is the step. */
void golden_compare_step(struct golden_program *program, const char *output,
                         const cupel_tensor *expected, int step, double tolerance);
/* Against "name/sums" and "name/samples". The sum of n numbers is held to tolerance * sum of
 * |numbers|. */
void golden_compare_summary(const char *what, const double *actual, size_t count,
                            const cupel_tensors *tensors, const char *name, double tolerance);
/* Every variable of the model for which there is a tensor "prefix/name"; all those tensors are
 * used. */
void golden_compare_variables(cupel_parameters *parameters, const cupel_tensors *tensors,
                              const char *prefix, double tolerance);

#endif
