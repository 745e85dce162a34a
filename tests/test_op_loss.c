/* Losses and densities (src/op/op_cross_entropy.c, src/nn/losses.c). */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <cupel/layers.h>
#include <stdlib.h>

enum { ROWS = 4, CLASSES = 3 };

/* torch.nn.functional.cross_entropy(logits, labels, reduction='none') in float64, and
 * (1 - p^.7) / .7 */
static const double LOGITS[] = {1, 2, 3, -1, 0, 1, 1000, 0, -1000, 0, 0, 0};
static const double LABELS[] = {0, 2, 1, 1};
static const double CROSS_ENTROPY[] = {2.4076059644443806, 0.4076059644443804, 1000.0,
                                       1.0986122886681098};
static const double GENERALIZED[] = {1.1637366782432519, 0.354613557821289, 1.4285714285714286,
                                     0.7664813474686147};

static void build_ce(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_cross_entropy(in[0], in[1]);
}

static void build_gce(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    out[0] = cupel_generalized_cross_entropy(in[0], in[1], *(const double *)user);
}

static struct graph_case classes_case(graph_build build, const double *q) {
    return (struct graph_case){.build = build,
                               .user = q,
                               .n_inputs = 2,
                               .inputs = {{.shape = CUPEL_SHAPE(ROWS, CLASSES), .values = LOGITS},
                                          {.shape = CUPEL_SHAPE(ROWS),
                                           .values = LABELS,
                                           .type = CUPEL_TYPE_I64,
                                           .bound = CLASSES}},
                               .n_outputs = 1};
}

static void test_cross_entropy_as_pytorch(void **state) {
    (void)state;
    const struct graph_case c = classes_case(build_ce, NULL);
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(ROWS));
    graph_check_values(&c, 0, CROSS_ENTROPY, ROWS, 1e-6);
}

static void test_generalized_cross_entropy(void **state) {
    (void)state;
    const double q = 0.7, one = 1.0;
    struct graph_case c = classes_case(build_gce, &q);
    graph_check_values(&c, 0, GENERALIZED, ROWS, 2e-6);
    /* q = 1 is 1 - p, half the mean absolute error. */
    double expected[ROWS];
    for (int i = 0; i < ROWS; i++)
        expected[i] = 1.0 - exp(-CROSS_ENTROPY[i]);
    c.user = &one;
    graph_check_values(&c, 0, expected, ROWS, 2e-6);
}

static void test_gradients_of_classes(void **state) {
    (void)state;
    const double q = 0.7;
    for (int classes = 1; classes <= 10; classes += 3) {
        check_context("%d classes", classes);
        struct graph_case c = {
            .build = build_ce,
            .user = &q,
            .n_inputs = 2,
            .inputs = {{.shape = CUPEL_SHAPE(5, classes)},
                       {.shape = CUPEL_SHAPE(5), .type = CUPEL_TYPE_I64, .bound = classes}},
            .n_outputs = 1,
            .seed = (uint64_t)classes};
        graph_check(&c, 1e-5);
        c.build = build_gce;
        graph_check(&c, 1e-5);
    }
}

/* The gradient of extreme logits is finite: softmax - onehot. */
static void test_gradient_of_extreme_logits(void **state) {
    (void)state;
    struct graph_case c = classes_case(build_ce, NULL);
    struct graph_result result;
    graph_run(&c, (struct graph_how){.gradients = true}, &result);
    for (int i = 0; i < ROWS * CLASSES; i++)
        CHECK(isfinite(result.gradients[0][i]));
    /* row 2: probability 1 on class 0, label 1; the weight of the row cancels */
    CHECK_F64(result.gradients[0][2 * CLASSES], -result.gradients[0][2 * CLASSES + 1]);
    CHECK_F64(result.gradients[0][2 * CLASSES + 2], 0.0);
    graph_result_release(&result);
}

static void test_labels_that_do_not_fit(void **state) {
    (void)state;
    const double q = 0.0;
    struct graph_case c = classes_case(build_ce, NULL);
    c.inputs[1].shape = CUPEL_SHAPE(3);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "4 rows of logits, but 3 labels");
    c.inputs[1].shape = CUPEL_SHAPE(ROWS);
    c.inputs[1].bound = 4;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "cross_entropy");
    c.inputs[1].bound = 0;
    c.inputs[1].type = CUPEL_TYPE_REAL;
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "cross_entropy");
    c = classes_case(build_gce, &q);
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "0 < q <= 1");
}

static void test_nan_takes_its_row(void **state) {
    (void)state;
    double logits[ROWS * CLASSES], expected[ROWS];
    memcpy(logits, LOGITS, sizeof logits);
    memcpy(expected, CROSS_ENTROPY, sizeof expected);
    logits[5] = NAN;
    expected[1] = NAN;
    struct graph_case c = classes_case(build_ce, NULL);
    c.inputs[0].values = logits;
    graph_check_values(&c, 0, expected, ROWS, 1e-6);
}

/* --- elementwise losses of up to three operands --- */

static void build_squared(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_squared_error(in[0], in[1]);
}
static void build_bernoulli(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_bernoulli_cross_entropy(in[0], in[1]);
}
static void build_kl(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_gaussian_kl(in[0], in[1]);
}
static void build_density(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_gaussian_log_density(in[0], in[1], in[2]);
}

static void check_three(graph_build build, int n_inputs, const double *a, const double *b,
                        const double *c_values, const double *expected, size_t count) {
    const cupel_shape shape = CUPEL_SHAPE((int64_t)count);
    const struct graph_case c = {.build = build,
                                 .n_inputs = n_inputs,
                                 .inputs = {{.shape = shape, .values = a},
                                            {.shape = shape, .values = b},
                                            {.shape = shape, .values = c_values}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, count, 2e-6);
}

static void test_squared_error(void **state) {
    (void)state;
    const double a[] = {1, -2, .5}, b[] = {3, -2, 0}, expected[] = {4, 0, .25};
    check_three(build_squared, 2, a, b, NULL, expected, 3);
}

/* -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), and its limits far out. */
static void test_bernoulli_cross_entropy(void **state) {
    (void)state;
    const double x[] = {0, 1.5, -2, 200, -200, 200, -200}, t[] = {.5, 1, .25, 1, 0, 0, 1};
    double expected[] = {0, 0, 0, 0, 0, 200, 200};
    for (int i = 0; i < 3; i++) {
        const double p = 1.0 / (1.0 + exp(-x[i]));
        expected[i] = -t[i] * log(p) - (1.0 - t[i]) * log(1.0 - p);
    }
    check_three(build_bernoulli, 2, x, t, NULL, expected, 7);
}

/* Against N(0, 1): 0 at itself; mean^2 / 2 when shifted; (s^2 - 1 - log s^2) / 2 when scaled. */
static void test_gaussian_kl(void **state) {
    (void)state;
    const double mean[] = {0, 3, 0}, log_variance[] = {0, 0, log(4.0)};
    const double expected[] = {0, 4.5, (3.0 - log(4.0)) / 2.0};
    check_three(build_kl, 2, mean, log_variance, NULL, expected, 3);
}

/* log of exp(-(x - m)^2 / 2v) / sqrt(2 pi v). */
static void test_gaussian_log_density(void **state) {
    (void)state;
    const double x[] = {0, 1, -3}, mean[] = {0, -1, 2}, variance[] = {1, 4, .25};
    double log_variance[3], expected[3];
    for (int i = 0; i < 3; i++) {
        const double distance = (x[i] - mean[i]) * (x[i] - mean[i]);
        log_variance[i] = log(variance[i]);
        expected[i] = log(exp(-distance / (2.0 * variance[i])) /
                          sqrt(2.0 * 3.14159265358979323846 * variance[i]));
    }
    check_three(build_density, 3, x, mean, log_variance, expected, 3);
}

/* The KL divergence is the expectation of the difference of two log-densities. */
static void test_kl_is_an_expectation(void **state) {
    (void)state;
    enum { DRAWS = 40000 };
    const double mean = 0.7, log_variance = -0.6;
    double *const x = calloc(DRAWS, sizeof *x);
    CHECK(x != NULL);
    graph_fill_normal(x, DRAWS, 11);
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < DRAWS; i++) {
        const double z = mean + exp(log_variance / 2.0) * x[i];
        const double difference = (z * z - x[i] * x[i] - log_variance) / 2.0;
        sum += difference;
        squares += difference * difference;
    }
    free(x);
    const double average = sum / DRAWS;
    const double error = sqrt((squares / DRAWS - average * average) / DRAWS);
    const double a[] = {mean}, b[] = {log_variance};
    const struct graph_case c = {
        .build = build_kl,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(1), .values = a}, {.shape = CUPEL_SHAPE(1), .values = b}},
        .n_outputs = 1};
    struct graph_result result;
    graph_run(&c, (struct graph_how){.real = CUPEL_TYPE_F64, .reference = true}, &result);
    CHECK_NEAR(result.values[0][0], average, 4.0 * error);
    graph_result_release(&result);
}

static void test_gradients_of_elements(void **state) {
    (void)state;
    const graph_build builds[] = {build_squared, build_bernoulli, build_kl, build_density};
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
        check_context("loss %zu", i);
        const struct graph_case c = {
            .build = builds[i],
            .n_inputs = i == 3 ? 3 : 2,
            .inputs = {{.shape = CUPEL_SHAPE(3, 5)},
                       {.shape = i == 2 ? CUPEL_SHAPE(3, 5) : CUPEL_SHAPE(3, 1)},
                       {.shape = CUPEL_SHAPE(5)}},
            .n_outputs = 1,
            .seed = i};
        graph_check(&c, 1e-5);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross_entropy_as_pytorch),
        cmocka_unit_test(test_generalized_cross_entropy),
        cmocka_unit_test(test_gradients_of_classes),
        cmocka_unit_test(test_gradient_of_extreme_logits),
        cmocka_unit_test(test_labels_that_do_not_fit),
        cmocka_unit_test(test_nan_takes_its_row),
        cmocka_unit_test(test_squared_error),
        cmocka_unit_test(test_bernoulli_cross_entropy),
        cmocka_unit_test(test_gaussian_kl),
        cmocka_unit_test(test_gaussian_log_density),
        cmocka_unit_test(test_kl_is_an_expectation),
        cmocka_unit_test(test_gradients_of_elements),
    };
    return CHECK_MAIN(tests);
}
