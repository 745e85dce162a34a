/*
 * Whole networks against PyTorch: outputs, every gradient, and the losses of ten Adam steps of the
 * convolutional and the dense VAE, as training builds them, and of a residual network with batch
 * norm (golden/networks.safetensors; tools/golden/networks.py builds the same).
 */
#include "support/golden.h"

#include <stdlib.h>

#include <cupel/models.h>

enum { SEED = 41, STEPS = 10, MOST_PARAMETERS = 64 };

/* --- what a network gives --- */
struct network {
    const char *name;
    int64_t batch, train_batch;
    int64_t channels, extent; /* of the images; extent 0: flat [batch, channels] */
    size_t n_outputs;
    const char *outputs[6]; /* the last is "loss"; "?x" is compared in summary */
    double rate;
    bool random; /* has a row of noise per image */
    /* Fills as many nodes as there are outputs. */
    void (*build)(cupel_graph *graph, cupel_node x, cupel_node *outputs);
    double f32_tolerance; /* of outputs and gradients */
};

static size_t image_count(const struct network *net, int64_t batch) {
    return (size_t)(batch * net->channels * (net->extent == 0 ? 1 : net->extent * net->extent));
}

static cupel_node images(const struct network *net, cupel_graph *graph, int64_t batch) {
    return cupel_input(graph, "x", CUPEL_TYPE_REAL,
                       net->extent == 0
                           ? CUPEL_SHAPE(batch, net->channels)
                           : CUPEL_SHAPE(batch, net->channels, net->extent, net->extent));
}

static void write_images(const struct network *net, struct golden_program *program, int64_t batch,
                         uint64_t step) {
    const size_t count = image_count(net, batch);
    double *const values = malloc(count * sizeof *values);
    CHECK(values != NULL);
    char name[64];
    snprintf(name, sizeof name, "%s/images", net->name);
    golden_uniform_fill(name, values, count);
    golden_write(program, "x", values, count);
    free(values);
    if (net->random)
        golden_write_rng(program, SEED, step, 0, (size_t)batch);
}

/* --- networks --- */
static void build_vae(cupel_graph *graph, cupel_node x, cupel_vae_kind kind, cupel_node *outputs) {
    const cupel_vae_options options = {.kind = kind};
    const cupel_rng rng = cupel_rng_inputs(graph, cupel_node_shape(x).dims[0]);
    const cupel_vae vae = cupel_vae_build(x, &options, rng);
    outputs[0] = vae.mean;
    outputs[1] = vae.log_variance;
    outputs[2] = vae.reconstruction;
    outputs[3] = vae.error;
    outputs[4] = vae.kl;
    outputs[5] = cupel_vae_loss(&vae, cupel_scalar(graph, 1));
}

static void build_conv_vae(cupel_graph *graph, cupel_node x, cupel_node *outputs) {
    build_vae(graph, x, CUPEL_VAE_CONV, outputs);
}

static void build_mlp_vae(cupel_graph *graph, cupel_node x, cupel_node *outputs) {
    build_vae(graph, x, CUPEL_VAE_MLP, outputs);
}

static cupel_node conv_no_bias(cupel_node x, const char *name, int64_t out, int64_t kernel,
                               int64_t stride, int64_t padding) {
    const cupel_conv_options conv = {.stride = {stride, stride}, .padding = {padding, padding}};
    const cupel_layer_options options = {.no_bias = true};
    return cupel_layer_conv2d(x, name, out, kernel, &conv, &options);
}

static cupel_node norm(cupel_node x, const char *name, bool training) {
    return cupel_layer_batch_norm(x, name, training, 0.1, 1e-5);
}

static cupel_node block(cupel_graph *graph, cupel_node x, const char *name, int64_t out,
                        int64_t stride, bool training) {
    cupel_graph_enter(graph, name);
    cupel_node h = cupel_relu(norm(conv_no_bias(x, "conv1", out, 3, stride, 1), "bn1", training));
    h = norm(conv_no_bias(h, "conv2", out, 3, 1, 1), "bn2", training);
    if (stride != 1 || cupel_node_shape(x).dims[1] != out)
        x = norm(conv_no_bias(x, "downsample.0", out, 1, stride, 0), "downsample.1", training);
    cupel_graph_leave(graph);
    return cupel_relu(cupel_add(h, x));
}

static cupel_node residual_logits(cupel_graph *graph, cupel_node x, bool training) {
    const cupel_pool_options pool = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    cupel_node h = cupel_relu(norm(conv_no_bias(x, "conv1", 16, 3, 1, 1), "bn1", training));
    h = cupel_max_pool2d(h, &pool);
    h = block(graph, h, "layer1.0", 16, 1, training);
    h = block(graph, h, "layer2.0", 32, 2, training);
    h = cupel_reduce_mean(h, CUPEL_AXIS(2) | CUPEL_AXIS(3), false);
    return cupel_layer_dense(h, "fc", 10, NULL);
}

static void build_residual(cupel_graph *graph, cupel_node x, cupel_node *outputs) {
    const int64_t batch = cupel_node_shape(x).dims[0];
    int64_t labels[16];
    for (int64_t i = 0; i < batch; i++)
        labels[i] = (3 * i + 1) % 10;
    outputs[0] = residual_logits(graph, x, true);
    const cupel_node loss = cupel_cross_entropy(
        outputs[0], cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(batch), labels));
    outputs[1] = cupel_reduce_mean(loss, CUPEL_ALL_AXES, false);
}

/* Tolerances in f32: sums of up to 86,528 products (conv VAE) of mixed sign lose about the square
 * root of their number of roundings; batch norm divides by the deviation of few numbers and its
 * gradient cancels (residual). */
static const struct network conv_vae = {
    .name = "conv_vae",
    .batch = 2,
    .train_batch = 4,
    .channels = 1,
    .extent = 32,
    .n_outputs = 6,
    .outputs = {"mean", "log_variance", "?reconstruction", "rec", "kl", "loss"},
    .rate = 1e-4,
    .random = true,
    .build = build_conv_vae,
    .f32_tolerance = 2e-5,
};
static const struct network mlp_vae = {
    .name = "mlp_vae",
    .batch = 3,
    .train_batch = 8,
    .channels = 784,
    .n_outputs = 6,
    .outputs = {"mean", "log_variance", "?reconstruction", "rec", "kl", "loss"},
    .rate = 1e-3,
    .random = true,
    .build = build_mlp_vae,
    .f32_tolerance = 5e-6,
};
static const struct network residual = {
    .name = "residual",
    .batch = 6,
    .train_batch = 6,
    .channels = 3,
    .extent = 16,
    .n_outputs = 2,
    .outputs = {"logits", "loss"},
    .rate = 1e-3,
    .build = build_residual,
    .f32_tolerance = 2e-5,
};

static double tolerance(const struct network *net, struct golden_way way) {
    return way.real == CUPEL_TYPE_F64 ? 1e-12 : net->f32_tolerance;
}

/* --- tests --- */
/* Outputs and every gradient at the initial parameters. */
static void check_gradients(const struct network *net, const cupel_tensors *golden,
                            struct golden_way way) {
    check_context("%s gradients, %s", net->name, golden_way_text(way));
    struct golden_machine machine;
    golden_machine_open(&machine, way, 1);
    cupel_graph *const graph = golden_graph(&machine);
    cupel_node nodes[6];
    net->build(graph, images(net, graph, net->batch), nodes);
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    cupel_node parameters[MOST_PARAMETERS], gradients[MOST_PARAMETERS];
    const size_t n = cupel_graph_trainable(graph, "", MOST_PARAMETERS, parameters);
    CHECK(n > 0 && n <= MOST_PARAMETERS);
    CHECK_OK_TEXT(
        cupel_graph_add_gradients(graph, nodes[net->n_outputs - 1], n, parameters, gradients),
        cupel_graph_error(graph));
    cupel_output outputs[6 + MOST_PARAMETERS];
    char names[MOST_PARAMETERS][128];
    size_t n_outputs = 0;
    for (; n_outputs < net->n_outputs; n_outputs++) {
        const char *const name = net->outputs[n_outputs];
        outputs[n_outputs] = (cupel_output){name[0] == '?' ? name + 1 : name, nodes[n_outputs]};
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%s/grad/%s", net->name,
                 cupel_node_name(parameters[i]));
        outputs[n_outputs++] = (cupel_output){names[i], gradients[i]};
    }
    struct golden_program program;
    golden_compile(&program, &machine, graph, net->name, n_outputs, outputs);
    golden_fill_parameters(machine.parameters, net->name);
    write_images(net, &program, net->batch, 0);
    golden_run(&program);
    for (size_t i = 0; i < net->n_outputs; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", net->name, outputs[i].name);
        if (net->outputs[i][0] != '?') {
            golden_compare_output(&program, outputs[i].name, golden_get(golden, "%s", name),
                                  tolerance(net, way));
            continue;
        }
        size_t count = 0;
        double *const values = golden_output(&program, outputs[i].name, &count);
        golden_compare_summary(name, values, count, golden, name, tolerance(net, way));
        free(values);
    }
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        double *const values = golden_output(&program, names[i], &count);
        golden_compare_summary(names[i], values, count, golden, names[i], tolerance(net, way));
        free(values);
    }
    golden_program_close(&program);
    golden_machine_close(&machine);
}

/* The loss before each of ten Adam steps. An f32 run leaves the f64 one as steps go on (Adam's
 * first steps are signs of gradients, however small): it may be twenty times as far away as
 * PyTorch's own f32 run is a step later, because when the first sign turns is a matter of single
 * roundings. Leaves the machine open when `open` is not NULL. */
static void check_training(const struct network *net, const cupel_tensors *golden,
                           struct golden_way way, size_t steps, struct golden_machine *open) {
    check_context("%s training, %s", net->name, golden_way_text(way));
    struct golden_machine own, *const machine = open != NULL ? open : &own;
    golden_machine_open(machine, way, 1);
    cupel_graph *const graph = golden_graph(machine);
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_node nodes[6];
    net->build(graph, images(net, graph, net->train_batch), nodes);
    const cupel_node loss = nodes[net->n_outputs - 1];
    cupel_guard(loss);
    cupel_optimizer_minimize(graph, "optimizer", &adam,
                             cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar()),
                             loss, "");
    const cupel_output outputs[] = {{"loss", loss}};
    struct golden_program program;
    golden_compile(&program, machine, graph, "train", 1, outputs);
    golden_fill_parameters(machine->parameters, net->name);
    golden_write_scalar(&program, "rate", net->rate);
    const cupel_tensor *const exact = golden_get(golden, "%s/losses", net->name);
    const cupel_tensor *const narrow = golden_get(golden, "%s/losses_f32", net->name);
    double farthest = 0;
    for (size_t step = 0; step < steps; step++) {
        const double expected = golden_at(exact, step);
        for (size_t seen = step; seen <= step + 1 && seen < STEPS; seen++)
            farthest = fmax(farthest, fabs(golden_at(narrow, seen) / golden_at(exact, seen) - 1));
        write_images(net, &program, net->train_batch, step);
        golden_run(&program);
        golden_compare_number("loss", golden_output_scalar(&program, "loss"), expected,
                              way.real == CUPEL_TYPE_F64 ? 1e-12 : 2e-6 + 20 * farthest);
    }
    golden_program_close(&program);
    if (open == NULL)
        golden_machine_close(machine);
}

/* All ways for the small ones. */
static void check_everywhere(const struct network *net) {
    cupel_tensors *const golden = golden_read("networks.safetensors");
    for (int way = 0; way < GOLDEN_WAYS; way++) {
        check_gradients(net, golden, golden_ways[way]);
        check_training(net, golden, golden_ways[way], STEPS, NULL);
    }
    cupel_tensors_destroy(golden);
}

/* 133 million products an image: ten steps on the fast kernels, and on the reference kernels one
 * gradient each in f64 and f32 and two steps. */
static void test_conv_vae(void **state) {
    (void)state;
    cupel_tensors *const golden = golden_read("networks.safetensors");
    const struct golden_way fast = {"cpu", CUPEL_TYPE_F32, false, 2};
    const struct golden_way wide = {"reference", CUPEL_TYPE_F64, false, 2};
    const struct golden_way narrow = {"reference", CUPEL_TYPE_F32, false, 2};
    check_gradients(&conv_vae, golden, fast);
    check_training(&conv_vae, golden, fast, STEPS, NULL);
    check_gradients(&conv_vae, golden, narrow);
    check_gradients(&conv_vae, golden, wide);
    check_training(&conv_vae, golden, wide, 2, NULL);
    cupel_tensors_destroy(golden);
}

static void test_mlp_vae(void **state) {
    (void)state;
    check_everywhere(&mlp_vae);
}

static void test_residual(void **state) {
    (void)state;
    check_everywhere(&residual);
}

/* After ten steps: the running statistics, and what the network says in evaluation with them. */
static void test_residual_evaluation(void **state) {
    (void)state;
    cupel_tensors *const golden = golden_read("networks.safetensors");
    for (int way = 0; way < GOLDEN_WAYS; way++) {
        struct golden_machine machine;
        check_training(&residual, golden, golden_ways[way], STEPS, &machine);
        check_context("residual evaluation, %s", golden_way_text(golden_ways[way]));
        /* ten steps of f32 stand between the initial parameters and these */
        const double allowed = golden_ways[way].real == CUPEL_TYPE_F64 ? 1e-12 : 2e-4;
        golden_compare_variables(machine.parameters, golden, "residual/state", allowed);
        cupel_graph *const graph = golden_graph(&machine);
        const cupel_node x = images(&residual, graph, residual.batch);
        const cupel_output outputs[] = {{"logits", residual_logits(graph, x, false)}};
        struct golden_program program;
        golden_compile(&program, &machine, graph, "evaluate", 1, outputs);
        write_images(&residual, &program, residual.batch, 0);
        golden_run(&program);
        golden_compare_output(&program, "logits", golden_get(golden, "residual/evaluation"),
                              allowed);
        golden_program_close(&program);
        golden_machine_close(&machine);
    }
    cupel_tensors_destroy(golden);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp_vae),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_residual_evaluation),
        cmocka_unit_test(test_conv_vae),
    };
    return CHECK_MAIN(tests);
}
