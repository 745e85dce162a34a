/*
 * Optimisers (src/op/op_sgd_update.c, op_adam_update.c, src/nn/optimizer.c) against torch.optim.
 *
 * p = torch.tensor([1, -2, .5, 3], dtype=torch.float64, requires_grad=True); o = OPTIMIZER([p],
 * lr=.1) for gradient, lr in zip(GRADIENTS, [.1, .1, .05]): o.param_groups[0]['lr'] = lr; p.grad =
 * torch.tensor(gradient, dtype=torch.float64); o.step(); print(p)
 */
#define _GNU_SOURCE
#include "support/net.h"

enum { COUNT = 4, STEPS = 3 };

static const double START[COUNT] = {1, -2, .5, 3};
static const double GRADIENTS[STEPS][COUNT] = {
    {.5, -1, 2, .001}, {.25, 3, -2, 0}, {-1, .125, 1e-3, 4}};
static const double RATES[STEPS] = {.1, .1, .05};

struct expectation {
    const char *name;
    cupel_optimizer optimizer;
    double values[STEPS][COUNT];
    const char *moments[2]; /* state after the last step */
    double moment_values[2][COUNT];
};

static const struct expectation expectations[] = {
    {"SGD",
     {.kind = CUPEL_SGD},
     {{0.95, -1.9, 0.3, 2.9999},
      {0.9249999999999999, -2.1999999999999997, 0.5, 2.9999},
      {0.975, -2.20625, 0.49995, 2.7998999999999996}},
     {NULL},
     {{0}}},
    {"SGD, weight_decay=.1",
     {.kind = CUPEL_SGD, .weight_decay = .1},
     {{0.94, -1.88, 0.295, 2.9699},
      {0.9056, -2.1612, 0.49205, 2.940201},
      {0.9510719999999999, -2.156644, 0.48953975, 2.725499995}},
     {NULL},
     {{0}}},
    {"SGD, momentum=.9, weight_decay=.01",
     {.kind = CUPEL_SGD, .momentum = .9, .weight_decay = .01},
     {{0.949, -1.898, 0.2995, 2.9969},
      {0.8771509999999999, -2.104302, 0.3187505, 2.9911131},
      {0.8943803744999999, -2.202335749, 0.32720384975, 2.7870134384500003}},
     {"optimizer.momentum_buffer.p"},
     {{-0.3445874899999999, 1.9606749799999998, -0.16906699499999994, 4.081993231}}},
    {"SGD, momentum=.9, nesterov=True, weight_decay=.01",
     {.kind = CUPEL_SGD, .momentum = .9, .nesterov = true, .weight_decay = .01},
     {{0.9031, -1.8062, 0.11904999999999999, 2.99411},
      {0.81257411, -2.29014822, 0.336418805, 2.985910191},
      {0.8777219090955001, -2.3834370681909998, 0.34387374188525, 2.60073101176855}},
     {"optimizer.momentum_buffer.p"},
     {{-0.34564635889999995, 1.9596427178, -0.17051436194999994, 4.081916091909999}}},
    {"Adam",
     {.kind = CUPEL_ADAM, .beta1 = .9, .beta2 = .999, .epsilon = 1e-8},
     {{0.900000002, -1.900000001, 0.4000000005, 2.90000099999},
      {0.8067820404774624, -1.9494189841087441, 0.40526315836842103, 2.832996122405518},
      {0.8170998916814369, -1.9697668457730995, 0.40728607517089643, 2.8010489755825168}},
     {"optimizer.exp_avg.p", "optimizer.exp_avg_sq.p"},
     {{-0.037000000000000005, 0.20149999999999996, -0.017900000000000013, 0.4000809999999999},
      {0.0013119377500000011, 0.01000462600000001, 0.007988005000000006, 0.016000000998001015}}},
    {"Adam, betas=(.8, .95), eps=1e-3, weight_decay=.1",
     {.kind = CUPEL_ADAM, .beta1 = .8, .beta2 = .95, .epsilon = 1e-3, .weight_decay = .1},
     {{0.9001663893510815, -1.9000832639467111, 0.4000487567040468, 2.9003311258278144},
      {0.806318716856456, -1.9472151531872803, 0.4089138024043371, 2.8008437416201755},
      {0.8143629894871924, -1.9636538162259338, 0.41162803415808397, 2.7629821707782725}},
     {"optimizer.exp_avg.p", "optimizer.exp_avg_sq.p"},
     {{-0.05267096343325358, 0.28205436471310696, -0.042820943844648476, 0.9409501728456483},
      {0.06399842521876659, 0.44028558175715304, 0.37220064903822253, 0.9240401449260308}}},
    {"AdamW, weight_decay=.1",
     {.kind = CUPEL_ADAMW, .beta1 = .9, .beta2 = .999, .epsilon = 1e-8, .weight_decay = .1},
     {{0.890000002, -1.880000001, 0.3950000005, 2.87000099999},
      {0.7878820404574624, -1.9106189840987442, 0.396313158363421, 2.7742961124056174},
      {0.7942604814591496, -1.9214137508426057, 0.3963545093740793, 2.7284774850205884}},
     {"optimizer.exp_avg.p", "optimizer.exp_avg_sq.p"},
     {{-0.037000000000000005, 0.20149999999999996, -0.017900000000000013, 0.4000809999999999},
      {0.0013119377500000011, 0.01000462600000001, 0.007988005000000006, 0.016000000998001015}}},
};

/* A graph in which "p" is updated by the gradient that is written to the input "g". */
static void build(struct net *net, const cupel_optimizer *optimizer) {
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node p = cupel_parameter(net->graph, "p", CUPEL_SHAPE(COUNT), zeros);
    const cupel_node g = cupel_input(net->graph, "g", CUPEL_TYPE_REAL, CUPEL_SHAPE(COUNT));
    const cupel_node rate =
        cupel_input(net->graph, "learning_rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_apply(net->graph, "optimizer", optimizer, rate, 1, &p, &g);
}

static void step(struct net *net, int index) {
    net_write(net, "g", GRADIENTS[index], COUNT);
    net_scalar(net, "learning_rate", RATES[index]);
    net_run(net);
}

static void test_as_pytorch(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++)
        for (int way = 0; way < 3; way++) { /* f64 reference, f32 reference, f32 fast */
            const struct expectation *const e = &expectations[i];
            const double tolerance = way == 0 ? 1e-14 : 1e-6;
            struct net net = net_open(way == 0 ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32, 1, NULL);
            build(&net, &e->optimizer);
            net_compile(&net, way < 2, 0, NULL);
            net_set(&net, "p", START, COUNT);
            double values[COUNT];
            for (int k = 0; k < STEPS; k++) {
                step(&net, k);
                net_get(&net, "p", values, COUNT);
                for (int j = 0; j < COUNT; j++) {
                    check_context("%s, way %d, step %d, element %d", e->name, way, k, j);
                    CHECK_NEAR(values[j], e->values[k][j], tolerance * (1 + fabs(START[j])));
                }
            }
            for (int m = 0; m < 2 && e->moments[m] != NULL; m++) {
                net_get(&net, e->moments[m], values, COUNT);
                for (int j = 0; j < COUNT; j++) {
                    check_context("%s, way %d, %s, element %d", e->name, way, e->moments[m], j);
                    CHECK_NEAR(values[j], e->moment_values[m][j], tolerance * 4);
                }
            }
            net_get(&net, "optimizer.step", values, 1);
            CHECK_F64(values[0], STEPS);
            net_close(&net);
        }
}

/* Moments are training state: not part of the model's weights. */
static void test_moments_are_not_the_model(void **state) {
    (void)state;
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    build(&net, &adam);
    net_compile(&net, true, 0, NULL);
    cupel_tensors *model = NULL, *all = NULL;
    CHECK_OK(cupel_tensors_create(&model));
    CHECK_OK(cupel_tensors_create(&all));
    CHECK_OK(cupel_parameters_export(net.parameters, model, "", true));
    CHECK_OK(cupel_parameters_export(net.parameters, all, "", false));
    CHECK_I64((int64_t)cupel_tensors_count(model), 1);
    CHECK_I64((int64_t)cupel_tensors_count(all), 4);
    CHECK(cupel_tensors_find(all, "optimizer.exp_avg.p") != NULL);
    CHECK(cupel_tensors_find(all, "optimizer.step")->desc.type == CUPEL_TYPE_F64);
    cupel_tensors_destroy(model);
    cupel_tensors_destroy(all);
    net_close(&net);
}

/* One update at a place where a NaN came in: it stays there. */
static void test_nan_propagates(void **state) {
    (void)state;
    const double gradient[COUNT] = {NAN, 1, 1, 1};
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        check_context("%s", expectations[i].name);
        struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
        build(&net, &expectations[i].optimizer);
        net_compile(&net, false, 0, NULL);
        net_set(&net, "p", START, COUNT);
        net_write(&net, "g", gradient, COUNT);
        net_scalar(&net, "learning_rate", 0.1);
        net_run(&net);
        double values[COUNT];
        net_get(&net, "p", values, COUNT);
        CHECK(isnan(values[0]));
        CHECK(isfinite(values[1]));
        net_close(&net);
    }
}

/* Two weights of a line fitted by minimize(); a third variable lies outside the prefix. */
static cupel_node build_line(struct net *net, const cupel_optimizer *optimizer) {
    cupel_graph *const graph = net->graph;
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(8, 1));
    const cupel_node y = cupel_input(graph, "y", CUPEL_TYPE_REAL, CUPEL_SHAPE(8, 1));
    const cupel_node rate =
        cupel_input(graph, "learning_rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_init ones = {.kind = CUPEL_INIT_ONES};
    const cupel_node scale = cupel_parameter(graph, "scale", cupel_shape_scalar(), ones);
    cupel_graph_enter(graph, "line");
    const cupel_node fit = cupel_layer_dense(cupel_mul(x, scale), "fc", 1, NULL);
    cupel_graph_leave(graph);
    const cupel_node loss = cupel_reduce_mean(cupel_squared_error(fit, y), CUPEL_ALL_AXES, false);
    cupel_optimizer_minimize(graph, "optimizer", optimizer, rate, loss, "line.");
    return loss;
}

static void write_line(struct net *net, double last) {
    double x[8], y[8];
    for (int i = 0; i < 8; i++) {
        x[i] = i / 4.0 - 1.0;
        y[i] = 3.0 * x[i] - 0.5;
    }
    y[7] += last;
    net_write(net, "x", x, 8);
    net_write(net, "y", y, 8);
    net_scalar(net, "learning_rate", 0.3);
}

static void test_minimize_fits_a_line(void **state) {
    (void)state;
    const cupel_optimizer sgd = {.kind = CUPEL_SGD, .momentum = 0.5};
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node loss = build_line(&net, &sgd);
    net_compile(&net, false, 1, &(cupel_output){.name = "loss", .node = loss});
    write_line(&net, 0.0);
    for (int i = 0; i < 200; i++)
        net_run(&net);
    double weight, bias, scale, value;
    net_get(&net, "line.fc.weight", &weight, 1);
    net_get(&net, "line.fc.bias", &bias, 1);
    net_get(&net, "scale", &scale, 1);
    net_read(&net, "loss", &value, 1);
    CHECK_NEAR(weight, 3.0, 1e-4);
    CHECK_NEAR(bias, -0.5, 1e-4);
    CHECK_F64(scale, 1.0);
    CHECK_NEAR(value, 0.0, 1e-8);
    net_close(&net);
}

/* A loss that is not finite changes nothing: not the weights, not the moments, not the count. */
static void test_minimize_guards_the_loss(void **state) {
    (void)state;
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    (void)build_line(&net, &adam);
    net_compile(&net, false, 0, NULL);
    write_line(&net, 0.0);
    net_run(&net);
    double before[4], after[4];
    const char *const names[] = {"line.fc.weight", "optimizer.exp_avg.line.fc.weight",
                                 "optimizer.exp_avg_sq.line.fc.weight", "optimizer.step"};
    for (int i = 0; i < 4; i++)
        net_get(&net, names[i], &before[i], 1);
    write_line(&net, INFINITY);
    CHECK_STATUS(cupel_program_run(net.program, net.bindings, net.workspace, NULL),
                 CUPEL_STATUS_NOT_FINITE);
    for (int i = 0; i < 4; i++) {
        net_get(&net, names[i], &after[i], 1);
        CHECK(memcmp(&before[i], &after[i], sizeof(double)) == 0);
    }
    CHECK_F64(after[3], 1.0);
    net_close(&net);
}

static void fails(cupel_optimizer optimizer, cupel_status status, const char *part) {
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    build(&net, &optimizer);
    CHECK_STATUS(cupel_graph_check(net.graph), status);
    CHECK_CONTAINS(cupel_graph_error(net.graph), part);
    net_close(&net);
}

static void test_numbers_out_of_range(void **state) {
    (void)state;
    fails((cupel_optimizer){.kind = CUPEL_SGD, .nesterov = true}, CUPEL_STATUS_INVALID_ARGUMENT,
          "nesterov needs a momentum above 0");
    fails((cupel_optimizer){.kind = CUPEL_SGD, .momentum = -1}, CUPEL_STATUS_INVALID_ARGUMENT,
          "momentum must not be negative");
    fails((cupel_optimizer){.kind = CUPEL_ADAM, .beta1 = 1}, CUPEL_STATUS_INVALID_ARGUMENT,
          "0 <= beta < 1");
    fails((cupel_optimizer){.kind = CUPEL_ADAMW, .weight_decay = NAN},
          CUPEL_STATUS_INVALID_ARGUMENT, "weight_decay");
    fails((cupel_optimizer){.kind = (cupel_optimizer_kind)9}, CUPEL_STATUS_INVALID_ARGUMENT,
          "its kind is unknown");
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    for (int kind = 0; kind < 2; kind++)
        for (int wrong = 0; wrong < 2; wrong++) {
            const cupel_optimizer optimizer =
                cupel_optimizer_defaults(kind == 0 ? CUPEL_SGD : CUPEL_ADAM);
            struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
            const cupel_node p = cupel_parameter(net.graph, "p", CUPEL_SHAPE(4), zeros);
            const cupel_node g =
                cupel_input(net.graph, "g", CUPEL_TYPE_REAL, CUPEL_SHAPE(wrong == 0 ? 5 : 4));
            const cupel_node rate = cupel_input(net.graph, "learning_rate", CUPEL_TYPE_REAL,
                                                wrong == 1 ? CUPEL_SHAPE(1) : cupel_shape_scalar());
            cupel_optimizer_apply(net.graph, "optimizer", &optimizer, rate, 1, &p, &g);
            CHECK_STATUS(cupel_graph_check(net.graph), CUPEL_STATUS_SHAPE);
            CHECK_CONTAINS(cupel_graph_error(net.graph),
                           wrong == 0 ? "the gradient has shape [5] where [4] is wanted"
                                      : "the learning rate has shape [1]");
            net_close(&net);
        }
}

static void test_nothing_to_train(void **state) {
    (void)state;
    const cupel_optimizer sgd = cupel_optimizer_defaults(CUPEL_SGD);
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = cupel_input(net.graph, "x", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_minimize(net.graph, "optimizer", &sgd, x, x, "encoder.");
    CHECK_STATUS(cupel_graph_check(net.graph), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_graph_error(net.graph), "begins with 'encoder.'");
    net_close(&net);
}

static void test_defaults_are_pytorchs(void **state) {
    (void)state;
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    CHECK_F64(adam.beta1, 0.9);
    CHECK_F64(adam.beta2, 0.999);
    CHECK_F64(adam.epsilon, 1e-8);
    CHECK_F64(adam.weight_decay, 0.0);
    CHECK_F64(cupel_optimizer_defaults(CUPEL_ADAMW).weight_decay, 0.01);
    CHECK_F64(cupel_optimizer_defaults(CUPEL_SGD).momentum, 0.0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_pytorch),
        cmocka_unit_test(test_moments_are_not_the_model),
        cmocka_unit_test(test_nan_propagates),
        cmocka_unit_test(test_minimize_fits_a_line),
        cmocka_unit_test(test_minimize_guards_the_loss),
        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_shapes_that_do_not_fit),
        cmocka_unit_test(test_nothing_to_train),
        cmocka_unit_test(test_defaults_are_pytorchs),
    };
    return CHECK_MAIN(tests);
}
