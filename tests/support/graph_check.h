/*
 * Checks of graphs for tests: write down the inputs and a function that builds nodes from them, and
 * let these run the graph on every way there is (f64 and f32, reference and fast, one and two
 * threads), compare values, and hold gradients against finite differences.
 *
 *   static void build(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user)
 * { out[0] = cupel_mul(in[0], in[1]);
 *   }
 *   const struct graph_case c = {.build = build,
 *                                .n_inputs = 2,
 *                                .inputs = {{.shape = CUPEL_SHAPE(2, 3)}, {.shape =
 * CUPEL_SHAPE(3)}}, .n_outputs = 1}; graph_check(&c, 1e-6);
 *
 * Everything uses the public interface. Failures go through check.h and end the test.
 */
#ifndef CUPEL_TESTS_GRAPH_CHECK_H
#define CUPEL_TESTS_GRAPH_CHECK_H

#include "support/check.h"

#include <cupel/ops.h>
#include <cupel/program.h>

enum { GRAPH_CASE_INPUTS = 8, GRAPH_CASE_OUTPUTS = 8 };

struct graph_input {
    cupel_shape shape;
    /* One double per element, converted to the input's type. NULL: seeded numbers between -2 and 2
     * that stay 0.1 away from 0 (reals), or below the bound (indices), or 0 (other types). */
    const double *values;
    cupel_type type; /* 0: REAL */
    int64_t bound;   /* I64 only: declares an index input with this bound */
    bool fixed;      /* no gradient is asked for */
};

/* user is the case's. Inputs "seed", "step" and "rows" made by cupel_rng_inputs() are written as 7,
 * 3 and 0, 1, 2, ... */
typedef void (*graph_build)(cupel_graph *graph, const cupel_node *inputs, cupel_node *outputs,
                            const void *user);

struct graph_case {
    graph_build build;
    const void *user;
    int n_inputs;
    struct graph_input inputs[GRAPH_CASE_INPUTS];
    int n_outputs;
    uint64_t seed; /* of seeded inputs and of the weights of the loss */
};

/* How a case is run. Zeroed: f32, the fast way, one thread. */
struct graph_how {
    cupel_type real;
    bool reference;
    int threads;
    bool gradients; /* also d loss / d input, loss = sum over outputs and elements of w * output */
    const char *device; /* NULL: "cpu" */
};

struct graph_result {
    int n_outputs;
    cupel_desc descs[GRAPH_CASE_OUTPUTS];
    double *values[GRAPH_CASE_OUTPUTS];   /* converted to double */
    double loss;                          /* with gradients */
    double *gradients[GRAPH_CASE_INPUTS]; /* NULL where none was asked for */
};

/* Builds, compiles, runs, reads. Release the result. */
void graph_run(const struct graph_case *c, struct graph_how how, struct graph_result *out);
void graph_result_release(struct graph_result *result);

/* Output k is `expected` (count elements, or shape and all with graph_check_shape) within
 * tolerance * (1 + |expected|): in f64 on the reference with a tolerance of at most 1e-12 * (1 +
 * |e|) (exact where tolerance is 0), in f32 on reference and fast ways with the given tolerance.
 * NaN equals NaN, infinities must be equal. */
void graph_check_values(const struct graph_case *c, int output, const double *expected,
                        size_t count, double tolerance);
/* The same with another limit for f64: for closed forms that are themselves not exact to 1e-12. */
void graph_check_values_f64(const struct graph_case *c, int output, const double *expected,
                            size_t count, double tolerance_f64, double tolerance_f32);
void graph_check_shape(const struct graph_case *c, int output, cupel_type type, cupel_shape shape);

/* Gradients of all real inputs that are not fixed against central differences, in f64 on the
 * reference: per element for inputs of at most 64 elements, and along three random directions. */
void graph_check_gradient(const struct graph_case *c);
/* Also exact at a chosen tolerance, for functions with a large third derivative. */
void graph_check_gradient_within(const struct graph_case *c, double step, double tolerance);

/* Outputs are linear in inputs[input] (with the others fixed, and zero at zero):
 * <A x, y> = <x, A' y> to 1e-11 relative. */
void graph_check_adjoint(const struct graph_case *c, int input);

/* Outputs and gradients of the f32 ways (reference, fast with 1 and 2 threads) against f64 on the
 * reference: |difference| <= tolerance * (largest magnitude in that tensor). */
void graph_check_fast(const struct graph_case *c, double tolerance);

/* graph_check_gradient and graph_check_fast. */
void graph_check(const struct graph_case *c, double tolerance);

/* Building (or differentiating, with gradients) fails with that status and a sentence that contains
 * the part. */
void graph_check_fails(const struct graph_case *c, bool gradients, cupel_status status,
                       const char *part);

/* Seeded numbers for values: uniform in [low, high), standard normal. The same on every machine. */
void graph_fill_uniform(double *values, size_t count, uint64_t seed, double low, double high);
void graph_fill_normal(double *values, size_t count, uint64_t seed);

#endif
