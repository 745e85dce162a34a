/* Batch norm (src/op/op_batch_norm_*.c); running statistics are in test_layers.c. */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <stdlib.h>

/*
 * x = torch.tensor(X, dtype=torch.float64).reshape(3, 2, 2).requires_grad_()
 * bn = torch.nn.BatchNorm1d(2, eps=1e-5).double()   # weight 1.5, -.5; bias .25, 2
 * y = bn(x); y.backward(torch.tensor(G, dtype=torch.float64).reshape(3, 2, 2))
 */
static const double X[] = {1, -2, .5, 3, 2, 0, -1, .25, -.5, 1.5, 4, -3};
static const double G[] = {1, 2, -1, .5, .25, -3, 2, 1, -.5, 1, -2, 3};
static const double GAMMA[] = {1.5, -.5}, BETA[] = {.25, 2};
static const double Y[] = {0.9942063466589904, -2.3547222133064665, 2.0266626926653055,
                           1.4934088393591995, 2.110515866647476,   -0.12210317332949518,
                           2.346615004648969,  2.079988077995916,   -0.680257933323738,
                           1.5523611066532332, 1.2801072980367572,  2.773218087293854};
static const double DIFF_X[] = {1.0454664199828716,   1.8526457850030966,    0.353851390154671,
                                -0.2885799163784013,  0.31127766498092774,   -3.522815044960491,
                                -0.09256583708301114, -0.040503793035273045, -0.783562937483987,
                                1.096988112477582,    0.11568233910794133,   -0.047884182765926674};
static const double DIFF_GAMMA[] = {-0.7442063466589901, -8.505398960232391};
static const double DIFF_BETA[] = {0.75, 3.5};

/* y and the gradients of sum G y. */
static void build_pytorch(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)user;
    out[0] = cupel_batch_norm_train(in[0], in[1], in[2], 1e-5);
    const cupel_node g = cupel_constant(graph, CUPEL_TYPE_REAL, cupel_node_shape(in[0]), G);
    const cupel_node loss = cupel_reduce_sum(cupel_mul(out[0], g), CUPEL_ALL_AXES, false);
    (void)!cupel_graph_add_gradients(graph, loss, 3, in, out + 1);
}

static void test_as_pytorch(void **state) {
    (void)state;
    const struct graph_case c = {.build = build_pytorch,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(3, 2, 2), .values = X},
                                            {.shape = CUPEL_SHAPE(2), .values = GAMMA},
                                            {.shape = CUPEL_SHAPE(2), .values = BETA}},
                                 .n_outputs = 4};
    graph_check_values(&c, 0, Y, 12, 2e-6);
    graph_check_values(&c, 1, DIFF_X, 12, 2e-6);
    graph_check_values(&c, 2, DIFF_GAMMA, 2, 2e-6);
    graph_check_values(&c, 3, DIFF_BETA, 2, 2e-6);
}

static void build_statistics(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                             const void *user) {
    (void)graph;
    (void)user;
    const cupel_node y = cupel_batch_norm_train(in[0], in[1], in[2], 1e-5);
    out[0] = cupel_node_output(y, 1);
    out[1] = cupel_node_output(y, 2);
}

/* Mean 1/3 and 5/8; biased variances sum (x - mean)^2 / 6. */
static void test_statistics_of_the_batch(void **state) {
    (void)state;
    const double mean[] = {1.0 / 3.0, .625};
    double variance[2] = {0};
    for (int i = 0; i < 12; i++) {
        const int channel = i / 2 % 2;
        variance[channel] += (X[i] - mean[channel]) * (X[i] - mean[channel]) / 6.0;
    }
    const struct graph_case c = {.build = build_statistics,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(3, 2, 2), .values = X},
                                            {.shape = CUPEL_SHAPE(2), .values = GAMMA},
                                            {.shape = CUPEL_SHAPE(2), .values = BETA}},
                                 .n_outputs = 2};
    graph_check_values(&c, 0, mean, 2, 1e-6);
    graph_check_values(&c, 1, variance, 2, 1e-6);
}

static void build_train(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    (void)graph;
    out[0] = cupel_batch_norm_train(in[0], in[1], in[2], *(const double *)user);
}

static void build_inference(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    out[0] = cupel_batch_norm_inference(in[0], in[1], in[2], in[3], in[4], *(const double *)user);
}

static void test_gradients(void **state) {
    (void)state;
    const cupel_shape shapes[] = {CUPEL_SHAPE(5, 3),       CUPEL_SHAPE(2, 1),
                                  CUPEL_SHAPE(3, 4, 5),    CUPEL_SHAPE(1, 3, 3, 3),
                                  CUPEL_SHAPE(4, 2, 3, 5), CUPEL_SHAPE(2, 17, 3, 1)};
    const double epsilon = 1e-3;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_context("shape %zu", i);
        const cupel_shape channels = CUPEL_SHAPE(shapes[i].dims[1]);
        double variance[32];
        graph_fill_uniform(variance, 32, i + 1, 0.5, 2.0);
        struct graph_case c = {.build = build_train,
                               .user = &epsilon,
                               .n_inputs = 3,
                               .inputs = {{.shape = shapes[i]},
                                          {.shape = channels},
                                          {.shape = channels},
                                          {.shape = channels},
                                          {.shape = channels, .values = variance}},
                               .n_outputs = 1,
                               .seed = i};
        graph_check_gradient_within(&c, 1e-5, 1e-6);
        if (i != 1) /* two values of about the same size cancel in f32 */
            graph_check_fast(&c, 2e-5);
        c.build = build_inference;
        c.n_inputs = 5;
        graph_check(&c, 1e-5);
    }
}

static void test_inference_is_its_formula(void **state) {
    (void)state;
    const double mean[] = {.5, -1}, variance[] = {4, .25}, epsilon = 0.0;
    double y[12];
    for (int i = 0; i < 12; i++) {
        const int k = i / 2 % 2;
        y[i] = (X[i] - mean[k]) / sqrt(variance[k]) * GAMMA[k] + BETA[k];
    }
    const struct graph_case c = {.build = build_inference,
                                 .user = &epsilon,
                                 .n_inputs = 5,
                                 .inputs = {{.shape = CUPEL_SHAPE(3, 2, 2), .values = X},
                                            {.shape = CUPEL_SHAPE(2), .values = GAMMA},
                                            {.shape = CUPEL_SHAPE(2), .values = BETA},
                                            {.shape = CUPEL_SHAPE(2), .values = mean},
                                            {.shape = CUPEL_SHAPE(2), .values = variance}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, y, 12, 1e-6);
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    const double epsilon = 1e-5, negative = -1.0;
    struct graph_case c = {.build = build_train,
                           .user = &epsilon,
                           .n_inputs = 3,
                           .inputs = {{.shape = CUPEL_SHAPE(1, 4)},
                                      {.shape = CUPEL_SHAPE(4)},
                                      {.shape = CUPEL_SHAPE(4)}},
                           .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "src [1, 4] has one value per channel");
    c.inputs[0].shape = CUPEL_SHAPE(2, 5);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE,
                      "gamma has shape [4], but src [2, 5] has 5 channels");
    c.inputs[0].shape = CUPEL_SHAPE(8);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "channels on axis 1");
    c.inputs[0].shape = CUPEL_SHAPE(2, 4);
    c.user = &negative;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "epsilon");
    c.user = &epsilon;
    c.build = build_inference;
    c.n_inputs = 5;
    c.inputs[3].shape = CUPEL_SHAPE(4);
    c.inputs[4].shape = CUPEL_SHAPE(1, 4);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "variance has shape [1, 4]");
}

static void test_no_gradient_through_the_statistics(void **state) {
    (void)state;
    const struct graph_case c = {.build = build_statistics,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(3, 2)},
                                            {.shape = CUPEL_SHAPE(2)},
                                            {.shape = CUPEL_SHAPE(2)}},
                                 .n_outputs = 2};
    graph_check_fails(&c, true, CUPEL_STATUS_UNSUPPORTED,
                      "no gradient is offered through its mean");
}

/* A NaN takes its channel and leaves the others alone. */
static void test_nan_propagates(void **state) {
    (void)state;
    const double epsilon = 1e-5, x[] = {1, NAN, 3, 1};
    const double plain[] = {1, 1}, zeros[] = {0, 0};
    const double other = 1.0 / sqrt(1.0 + epsilon);
    const double expected[] = {-other, NAN, other, NAN};
    const struct graph_case c = {.build = build_train,
                                 .user = &epsilon,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(2, 2), .values = x},
                                            {.shape = CUPEL_SHAPE(2), .values = plain},
                                            {.shape = CUPEL_SHAPE(2), .values = zeros}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 4, 1e-6);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_pytorch),
        cmocka_unit_test(test_statistics_of_the_batch),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_inference_is_its_formula),
        cmocka_unit_test(test_shapes_that_do_not_fit),
        cmocka_unit_test(test_no_gradient_through_the_statistics),
        cmocka_unit_test(test_nan_propagates),
    };
    return CHECK_MAIN(tests);
}
