/* Layers that own parameters (src/nn/layer_*.c): names, shapes, initial values, running
 * statistics. */
#define _GNU_SOURCE
#include "support/net.h"

static cupel_node input(struct net *net, cupel_shape shape) {
    return cupel_input(net->graph, "x", CUPEL_TYPE_REAL, shape);
}

static void check_parameter(struct net *net, const char *name, cupel_shape shape, bool trainable) {
    const size_t index = cupel_parameters_find(net->parameters, name);
    if (index == SIZE_MAX)
        check_failed(__FILE__, __LINE__, "there is no parameter %s", name);
    const cupel_parameter_info info = cupel_parameters_info(net->parameters, index);
    char actual[CUPEL_SHAPE_TEXT_SIZE], expected[CUPEL_SHAPE_TEXT_SIZE];
    CHECK_STRING(cupel_shape_format(actual, info.shape), cupel_shape_format(expected, shape));
    CHECK_I64(info.trainable, trainable);
}

static void check_shape(cupel_node node, cupel_shape shape) {
    char actual[CUPEL_SHAPE_TEXT_SIZE], expected[CUPEL_SHAPE_TEXT_SIZE];
    CHECK_STRING(cupel_shape_format(actual, cupel_node_shape(node)),
                 cupel_shape_format(expected, shape));
}

static void test_names_and_shapes(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = input(&net, CUPEL_SHAPE(2, 6, 8, 8));
    const cupel_conv_options grouped = {.stride = {2, 2}, .padding = {1, 1}, .groups = 2};
    const cupel_layer_options no_bias = {.no_bias = true};
    cupel_graph_enter(net.graph, "encoder");
    const cupel_node conv = cupel_layer_conv2d(x, "conv1", 4, 3, &grouped, &no_bias);
    const cupel_node norm = cupel_layer_batch_norm(conv, "bn1", true, 0.1, 1e-5);
    const cupel_node back = cupel_layer_conv_transpose2d(norm, "deconv1", 10, 3, &grouped, NULL);
    const cupel_node dense = cupel_layer_dense(back, "fc", 5, NULL);
    cupel_graph_leave(net.graph);
    CHECK_OK_TEXT(cupel_graph_check(net.graph), cupel_graph_error(net.graph));
    check_shape(conv, CUPEL_SHAPE(2, 4, 4, 4));
    check_shape(norm, CUPEL_SHAPE(2, 4, 4, 4));
    check_shape(back, CUPEL_SHAPE(2, 10, 7, 7));
    check_shape(dense, CUPEL_SHAPE(2, 10, 7, 5));
    check_parameter(&net, "encoder.conv1.weight", CUPEL_SHAPE(4, 3, 3, 3), true);
    CHECK(cupel_parameters_find(net.parameters, "encoder.conv1.bias") == SIZE_MAX);
    check_parameter(&net, "encoder.bn1.weight", CUPEL_SHAPE(4), true);
    check_parameter(&net, "encoder.bn1.bias", CUPEL_SHAPE(4), true);
    check_parameter(&net, "encoder.bn1.running_mean", CUPEL_SHAPE(4), false);
    check_parameter(&net, "encoder.bn1.running_var", CUPEL_SHAPE(4), false);
    check_parameter(&net, "encoder.deconv1.weight", CUPEL_SHAPE(4, 5, 3, 3), true);
    check_parameter(&net, "encoder.deconv1.bias", CUPEL_SHAPE(10), true);
    check_parameter(&net, "encoder.fc.weight", CUPEL_SHAPE(5, 7), true);
    check_parameter(&net, "encoder.fc.bias", CUPEL_SHAPE(5), true);
    net_close(&net);
}

/* All values within the bound, and their standard deviation that of a uniform, bound / sqrt(3). */
static void check_uniform(struct net *net, const char *name, size_t count, double bound) {
    double values[4096], squares = 0.0, most = 0.0;
    CHECK(count <= 4096);
    check_context("%s", name);
    net_get(net, name, values, count);
    for (size_t i = 0; i < count; i++) {
        squares += values[i] * values[i];
        most = fabs(values[i]) > most ? fabs(values[i]) : most;
    }
    CHECK(most <= bound * (1.0 + 1e-6));
    CHECK(most > bound * (1.0 - 10.0 / (double)count));
    const double variance = bound * bound / 3.0;
    CHECK_NEAR(squares / (double)count, variance, 4.0 * variance * sqrt(0.8 / (double)count));
}

static void test_initial_values_are_pytorchs(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
    const cupel_node x = input(&net, CUPEL_SHAPE(1, 16, 6, 6));
    const cupel_init ones = {.kind = CUPEL_INIT_ONES};
    const cupel_init half = {.kind = CUPEL_INIT_CONSTANT, .a = 0.5};
    const cupel_layer_options chosen = {.weight_init = &ones, .bias_init = &half};
    const cupel_node conv = cupel_layer_conv2d(x, "conv", 24, 3, NULL, NULL);
    const cupel_node back = cupel_layer_conv_transpose2d(conv, "deconv", 16, 3, NULL, NULL);
    const cupel_node flat = cupel_reshape(back, CUPEL_SHAPE(1, 576));
    const cupel_node dense = cupel_layer_dense(flat, "fc", 7, NULL);
    const cupel_node other = cupel_layer_dense(dense, "other", 2, &chosen);
    net_compile(&net, true, 1, &(cupel_output){.name = "y", .node = other});
    check_uniform(&net, "conv.weight", 24 * 16 * 9, 1.0 / sqrt(16 * 9));
    check_uniform(&net, "conv.bias", 24, 1.0 / sqrt(16 * 9));
    check_uniform(&net, "deconv.weight", 24 * 16 * 9, 1.0 / sqrt(16 * 9)); /* fan_in = out k k */
    check_uniform(&net, "deconv.bias", 16, 1.0 / sqrt(16 * 9));
    check_uniform(&net, "fc.weight", 7 * 576, 1.0 / 24.0);
    double values[14];
    net_get(&net, "other.weight", values, 14);
    CHECK_F64(values[13], 1.0);
    net_get(&net, "other.bias", values, 2);
    CHECK_F64(values[1], 0.5);
    net_close(&net);
}

/* y = x W^T + b over the last axis, whatever is in front of it. */
static void test_dense_is_its_formula(void **state) {
    (void)state;
    const double weight[] = {1, 2, 3, -1, 0, .5}, bias[] = {.25, -4};
    const double x[] = {1, 1, 1, 2, -1, 0, 0, 4, -2, 1, 0, 0};
    const cupel_shape shapes[] = {CUPEL_SHAPE(4, 3), CUPEL_SHAPE(2, 2, 3)};
    for (int k = 0; k < 2; k++) {
        struct net net = net_open(CUPEL_TYPE_F64, 1, NULL);
        const cupel_node y = cupel_layer_dense(input(&net, shapes[k]), "fc", 2, NULL);
        net_compile(&net, true, 1, &(cupel_output){.name = "y", .node = y});
        net_set(&net, "fc.weight", weight, 6);
        net_set(&net, "fc.bias", bias, 2);
        net_write(&net, "x", x, 12);
        net_run(&net);
        double values[8];
        net_read(&net, "y", values, 8);
        for (int n = 0; n < 4; n++)
            for (int o = 0; o < 2; o++) {
                double sum = bias[o];
                for (int i = 0; i < 3; i++)
                    sum += weight[o * 3 + i] * x[n * 3 + i];
                CHECK_NEAR(values[n * 2 + o], sum, 1e-14);
            }
        net_close(&net);
    }
}

/*
 * x = torch.tensor(X, dtype=torch.float64).reshape(3, 2, 2); bn = torch.nn.BatchNorm1d(2).double()
 * with weight 1.5, -.5 and bias .25, 2; bn(x); print(bn.running_mean, bn.running_var)
 * bn(x * 2 - 1); print(...); bn.eval(); print(bn(x))
 */
static const double X[] = {1, -2, .5, 3, 2, 0, -1, .25, -.5, 1.5, 4, -3};
static const double MEAN[2][2] = {{0.03333333333333333, 0.0625}, {-0.003333333333333334, 0.08125}};
static const double VARIANCE[2][2] = {{1.1166666666666667, 1.5593750000000002},
                                      {1.871666666666667, 4.0409375}};
static const double EVALUATED[] = {1.3500719393016065, -1.9391797064507057, 1.8958442572415564,
                                   1.2740189273404008, 2.4464891545523773,  0.2536547240508359,
                                   2.2689394551822497, 1.958026790231672,   -0.2945538835745495,
                                   1.8982805469269919, 1.0252887953799386,  2.766399719103174};

static void test_running_statistics_as_pytorch(void **state) {
    (void)state;
    const double gamma[] = {1.5, -.5}, beta[] = {.25, 2};
    struct net train = net_open(CUPEL_TYPE_F64, 1, NULL);
    const cupel_node y =
        cupel_layer_batch_norm(input(&train, CUPEL_SHAPE(3, 2, 2)), "bn", true, 0.1, 1e-5);
    net_compile(&train, true, 1, &(cupel_output){.name = "y", .node = y});
    struct net evaluate = net_open(CUPEL_TYPE_F64, 1, &train);
    const cupel_node z =
        cupel_layer_batch_norm(input(&evaluate, CUPEL_SHAPE(3, 2, 2)), "bn", false, 0.1, 1e-5);
    net_compile(&evaluate, true, 1, &(cupel_output){.name = "y", .node = z});
    net_set(&train, "bn.weight", gamma, 2);
    net_set(&train, "bn.bias", beta, 2);
    double x[12], values[12];
    memcpy(x, X, sizeof x);
    for (int k = 0; k < 2; k++) {
        net_write(&train, "x", x, 12);
        net_run(&train);
        net_get(&train, "bn.running_mean", values, 2);
        for (int c = 0; c < 2; c++)
            CHECK_NEAR(values[c], MEAN[k][c], 1e-15);
        net_get(&train, "bn.running_var", values, 2);
        for (int c = 0; c < 2; c++)
            CHECK_NEAR(values[c], VARIANCE[k][c], 1e-14);
        for (int i = 0; i < 12; i++)
            x[i] = X[i] * 2 - 1;
    }
    net_write(&evaluate, "x", X, 12);
    net_run(&evaluate);
    net_read(&evaluate, "y", values, 12);
    for (int i = 0; i < 12; i++)
        CHECK_NEAR(values[i], EVALUATED[i], 1e-14);
    /* evaluating changes nothing */
    net_get(&train, "bn.running_var", values, 2);
    CHECK_NEAR(values[1], VARIANCE[1][1], 1e-14);
    net_close(&evaluate);
    net_close(&train);
}

/* The same layer in a second graph is the same variables; another shape is an error by name. */
static void test_two_graphs_share_parameters(void **state) {
    (void)state;
    struct net first = net_open(CUPEL_TYPE_F32, 1, NULL);
    (void)cupel_layer_dense(input(&first, CUPEL_SHAPE(4, 3)), "fc", 2, NULL);
    struct net second = net_open(CUPEL_TYPE_F32, 1, &first);
    (void)cupel_layer_dense(input(&second, CUPEL_SHAPE(9, 3)), "fc", 2, NULL);
    CHECK_OK(cupel_graph_check(second.graph));
    CHECK_I64((int64_t)cupel_parameters_count(first.parameters), 2);
    struct net third = net_open(CUPEL_TYPE_F32, 1, &first);
    (void)cupel_layer_dense(input(&third, CUPEL_SHAPE(9, 4)), "fc", 2, NULL);
    CHECK(cupel_graph_check(third.graph) != CUPEL_STATUS_OK);
    CHECK_CONTAINS(cupel_graph_error(third.graph), "fc.weight");
    net_close(&third);
    net_close(&second);
    net_close(&first);
}

enum layer { DENSE, CONV, DECONV, NORM };

static void fails(enum layer layer, cupel_shape shape, int64_t out, int64_t kernel, double momentum,
                  const cupel_conv_options *conv, cupel_status status, const char *part) {
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = input(&net, shape);
    cupel_node y = x;
    switch (layer) {
    case DENSE: y = cupel_layer_dense(x, "a", out, NULL); break;
    case CONV: y = cupel_layer_conv2d(x, "a", out, kernel, conv, NULL); break;
    case DECONV: y = cupel_layer_conv_transpose2d(x, "a", out, kernel, conv, NULL); break;
    case NORM: y = cupel_layer_batch_norm(x, "a", true, momentum, 1e-5); break;
    }
    CHECK(cupel_is_poisoned(y));
    CHECK_STATUS(cupel_graph_check(net.graph), status);
    CHECK_CONTAINS(cupel_graph_error(net.graph), part);
    CHECK_CONTAINS(cupel_graph_error(net.graph), "test_layers.c:");
    net_close(&net);
}

static void test_errors_name_the_layer(void **state) {
    (void)state;
    const cupel_conv_options grouped = {.groups = 2};
    fails(DENSE, cupel_shape_scalar(), 3, 0, 0, NULL, CUPEL_STATUS_SHAPE, "dense layer 'a'");
    fails(DENSE, CUPEL_SHAPE(2, 3), 0, 0, 0, NULL, CUPEL_STATUS_INVALID_ARGUMENT, "0 outputs");
    fails(CONV, CUPEL_SHAPE(2, 3), 4, 3, 0, NULL, CUPEL_STATUS_SHAPE, "conv2d layer 'a'");
    fails(CONV, CUPEL_SHAPE(2, 3, 5, 5), 4, 3, 0, &grouped, CUPEL_STATUS_SHAPE,
          "3 input and 4 output channels do not both divide into 2 groups");
    fails(CONV, CUPEL_SHAPE(2, 3, 5, 5), 4, 0, 0, NULL, CUPEL_STATUS_INVALID_ARGUMENT,
          "a kernel of 0 x 0");
    fails(CONV, CUPEL_SHAPE(2, 3, 5, 5), 4, 7, 0, NULL, CUPEL_STATUS_SHAPE, "does not fit");
    fails(DECONV, CUPEL_SHAPE(2, 4, 5, 5), 3, 3, 0, &grouped, CUPEL_STATUS_SHAPE, "2 groups");
    fails(NORM, CUPEL_SHAPE(4), 1, 0, 0.1, NULL, CUPEL_STATUS_SHAPE, "batch_norm layer 'a'");
    fails(NORM, CUPEL_SHAPE(4, 2), 1, 0, 1.5, NULL, CUPEL_STATUS_INVALID_ARGUMENT, "momentum");
    fails(NORM, CUPEL_SHAPE(1, 2), 1, 0, 0.1, NULL, CUPEL_STATUS_SHAPE, "one value per channel");
}

/* A poisoned input gives a poisoned output and declares nothing. */
static void test_poison_passes_through(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = cupel_reshape(input(&net, CUPEL_SHAPE(2, 3)), CUPEL_SHAPE(7));
    CHECK(cupel_is_poisoned(cupel_layer_dense(x, "fc", 2, NULL)));
    CHECK(cupel_is_poisoned(cupel_layer_conv2d(x, "conv", 2, 3, NULL, NULL)));
    CHECK(cupel_is_poisoned(cupel_layer_conv_transpose2d(x, "deconv", 2, 3, NULL, NULL)));
    CHECK(cupel_is_poisoned(cupel_layer_batch_norm(x, "bn", true, 0.1, 1e-5)));
    CHECK_I64((int64_t)cupel_parameters_count(net.parameters), 0);
    CHECK_CONTAINS(cupel_graph_error(net.graph), "reshape");
    net_close(&net);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_shapes),
        cmocka_unit_test(test_initial_values_are_pytorchs),
        cmocka_unit_test(test_dense_is_its_formula),
        cmocka_unit_test(test_running_statistics_as_pytorch),
        cmocka_unit_test(test_two_graphs_share_parameters),
        cmocka_unit_test(test_errors_name_the_layer),
        cmocka_unit_test(test_poison_passes_through),
    };
    return CHECK_MAIN(tests);
}
