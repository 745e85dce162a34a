/* The variational autoencoders (src/nn/model_*.c). */
#define _GNU_SOURCE
#include "support/drill.h"
#include "support/net.h"

#include "base/hash.h"
#include "base/rng.h"
#include "support/graph_check.h"

/* Builds on images of that shape and counts parameters; the graph is not run. */
static int64_t parameters_of(cupel_vae_options options, cupel_shape images, struct net *net) {
    *net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = cupel_input(net->graph, "images", CUPEL_TYPE_REAL, images);
    (void)cupel_vae_build(x, &options, cupel_rng_inputs(net->graph, images.dims[0]));
    CHECK_OK_TEXT(cupel_graph_check(net->graph), cupel_graph_error(net->graph));
    int64_t sum = 0;
    for (size_t i = 0; i < cupel_parameters_count(net->parameters); i++)
        sum += cupel_shape_count(cupel_parameters_info(net->parameters, i).shape);
    return sum;
}

static const struct {
    const char *name;
    cupel_shape shape;
} conv_parameters[] = {
    {"encoder.conv1.weight", {4, {32, 1, 3, 3}}},     {"encoder.conv1.bias", {1, {32}}},
    {"encoder.conv2.weight", {4, {64, 32, 3, 3}}},    {"encoder.conv2.bias", {1, {64}}},
    {"encoder.conv3.weight", {4, {128, 64, 3, 3}}},   {"encoder.conv3.bias", {1, {128}}},
    {"encoder.mu.weight", {2, {16, 86528}}},          {"encoder.mu.bias", {1, {16}}},
    {"encoder.log_var.weight", {2, {16, 86528}}},     {"encoder.log_var.bias", {1, {16}}},
    {"decoder.fc.weight", {2, {86528, 16}}},          {"decoder.fc.bias", {1, {86528}}},
    {"decoder.deconv1.weight", {4, {128, 64, 3, 3}}}, {"decoder.deconv1.bias", {1, {64}}},
    {"decoder.deconv2.weight", {4, {64, 32, 3, 3}}},  {"decoder.deconv2.bias", {1, {32}}},
    {"decoder.deconv3.weight", {4, {32, 1, 3, 3}}},   {"decoder.deconv3.bias", {1, {1}}},
};

/* Numbers of parameters: weights and biases counted by hand from the table of layers. */
static void test_conv_vae_parameters(void **state) {
    (void)state;
    struct net net;
    const cupel_shape images = CUPEL_SHAPE(2, 1, 32, 32);
    CHECK_I64(parameters_of((cupel_vae_options){.latents = 2}, images, &net), 790917);
    net_close(&net);
    CHECK_I64(parameters_of((cupel_vae_options){.latents = 32}, images, &net), 8578497);
    net_close(&net);
    CHECK_I64(parameters_of((cupel_vae_options){.latents = 0}, images, &net), 4425121);
    CHECK_I64((int64_t)cupel_parameters_count(net.parameters),
              sizeof conv_parameters / sizeof *conv_parameters);
    for (size_t i = 0; i < cupel_parameters_count(net.parameters); i++) {
        const cupel_parameter_info info = cupel_parameters_info(net.parameters, i);
        CHECK_STRING(info.name, conv_parameters[i].name);
        CHECK(cupel_shape_equal(info.shape, conv_parameters[i].shape));
    }
    net_close(&net);
}

static void test_mlp_vae_parameters(void **state) {
    (void)state;
    struct net net;
    const int64_t count =
        parameters_of((cupel_vae_options){.kind = CUPEL_VAE_MLP}, CUPEL_SHAPE(2, 1, 28, 28), &net);
    CHECK_I64(count, 784 * 100 + 100 + 2 * (100 * 5 + 5) + 5 * 100 + 100 + 100 * 784 + 784);
    CHECK(cupel_parameters_find(net.parameters, "encoder.fc.weight") != SIZE_MAX);
    CHECK(cupel_parameters_find(net.parameters, "encoder.log_var.bias") != SIZE_MAX);
    CHECK(cupel_parameters_find(net.parameters, "decoder.fc.weight") != SIZE_MAX);
    CHECK(cupel_parameters_find(net.parameters, "decoder.out.weight") != SIZE_MAX);
    net_close(&net);
}

/* A network small enough for every way of running it. */
enum { N = 3, C = 2, H = 7, W = 8, PIXELS = C * H * W, LATENTS = 4 };

static const cupel_vae_options small[] = {
    {.kind = CUPEL_VAE_CONV, .latents = LATENTS},
    {.kind = CUPEL_VAE_MLP, .latents = LATENTS, .hidden = 12},
};

struct vae_net {
    struct net net;
    cupel_vae vae;
    cupel_node loss;
};

static struct vae_net open_vae(const cupel_vae_options *options, cupel_type real, uint64_t seed) {
    struct vae_net v = {.net = net_open(real, seed, NULL)};
    cupel_graph *const graph = v.net.graph;
    const cupel_node images =
        cupel_input(graph, "images", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, C, H, W));
    const cupel_node kl_weight =
        cupel_input(graph, "kl_weight", CUPEL_TYPE_REAL, cupel_shape_scalar());
    v.vae = cupel_vae_build(images, options, cupel_rng_inputs(graph, N));
    v.loss = cupel_vae_loss(&v.vae, kl_weight);
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    return v;
}

static const uint64_t ROWS[N] = {12, 5, 900};

static void write_inputs(struct net *net, double kl_weight) {
    double images[N * PIXELS];
    graph_fill_uniform(images, N * PIXELS, 4, 0.0, 1.0);
    net_write(net, "images", images, N * PIXELS);
    net_write_rng(net, 21, 8, ROWS, N);
    net_scalar(net, "kl_weight", kl_weight);
}

/* Each node is what its name says, computed here from the nodes before it. */
static void test_nodes_fit_together(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        check_context("kind %d", kind);
        struct vae_net v = open_vae(&small[kind], CUPEL_TYPE_F64, 2);
        const cupel_output outputs[] = {
            {"mean", v.vae.mean},     {"log_variance", v.vae.log_variance},
            {"latent", v.vae.latent}, {"reconstruction", v.vae.reconstruction},
            {"error", v.vae.error},   {"kl", v.vae.kl},
            {"loss", v.loss},
        };
        net_compile(&v.net, true, 7, outputs);
        write_inputs(&v.net, 0.25);
        net_run(&v.net);
        double images[N * PIXELS], mean[N * LATENTS], log_variance[N * LATENTS];
        double latent[N * LATENTS], reconstruction[N * PIXELS], error[N], kl[N], loss, sum = 0.0;
        graph_fill_uniform(images, N * PIXELS, 4, 0.0, 1.0);
        net_read(&v.net, "mean", mean, N * LATENTS);
        net_read(&v.net, "log_variance", log_variance, N * LATENTS);
        net_read(&v.net, "latent", latent, N * LATENTS);
        net_read(&v.net, "reconstruction", reconstruction, N * PIXELS);
        net_read(&v.net, "error", error, N);
        net_read(&v.net, "kl", kl, N);
        net_read(&v.net, "loss", &loss, 1);
        const struct rng_key key = rng_key_make(21, hash_string("encoder.noise"));
        for (int n = 0; n < N; n++) {
            double normal[4], expected_kl = 0.0, expected_error = 0.0;
            rng_normal4(rng_block_at(key, ROWS[n], 8, 0), normal);
            for (int k = 0; k < LATENTS; k++) {
                const double m = mean[n * LATENTS + k], s = log_variance[n * LATENTS + k];
                CHECK_NEAR(latent[n * LATENTS + k], m + exp(s / 2.0) * normal[k], 1e-13);
                expected_kl += (m * m + exp(s) - s - 1.0) / 2.0;
            }
            for (int i = 0; i < PIXELS; i++) {
                const double x = images[n * PIXELS + i], r = reconstruction[n * PIXELS + i];
                CHECK(r > 0.0 && r < 1.0);
                expected_error +=
                    kind == 0 ? (x - r) * (x - r) : -x * log(r) - (1.0 - x) * log(1.0 - r);
            }
            CHECK_NEAR(kl[n], expected_kl, 1e-12);
            CHECK_NEAR(error[n], expected_error, 1e-11);
            sum += error[n] + 0.25 * kl[n];
        }
        CHECK_NEAR(loss, sum / N, 1e-11);
        net_close(&v.net);
    }
}

/* d loss / d parameter against central differences along a random direction, for every
 * parameter. */
static void test_gradients_of_all_parameters(void **state) {
    (void)state;
    enum { MOST = 20 };
    for (int kind = 0; kind < 2; kind++) {
        struct vae_net v = open_vae(&small[kind], CUPEL_TYPE_F64, 2);
        cupel_node parameters[MOST], gradients[MOST];
        const size_t n = cupel_graph_trainable(v.net.graph, "", MOST, parameters);
        CHECK_I64((int64_t)n, kind == 0 ? 18 : 10);
        CHECK_OK_TEXT(cupel_graph_add_gradients(v.net.graph, v.loss, n, parameters, gradients),
                      cupel_graph_error(v.net.graph));
        cupel_output outputs[MOST + 1] = {{"loss", v.loss}};
        const char *names[MOST];
        for (size_t i = 0; i < n; i++) {
            names[i] = cupel_parameters_info(
                           v.net.parameters,
                           cupel_parameters_find(v.net.parameters, cupel_node_name(parameters[i])))
                           .name;
            outputs[i + 1] = (cupel_output){names[i], gradients[i]};
        }
        net_compile(&v.net, true, n + 1, outputs);
        write_inputs(&v.net, 0.7);
        net_run(&v.net);
        for (size_t i = 0; i < n; i++) {
            check_context("kind %d, %s", kind, names[i]);
            const size_t count =
                (size_t)cupel_shape_count(cupel_bindings_desc(v.net.bindings, names[i])->shape);
            double *const buffer = calloc(4 * count, sizeof *buffer);
            CHECK(buffer != NULL);
            double *const value = buffer, *const moved = buffer + count;
            double *const direction = buffer + 2 * count, *const gradient = buffer + 3 * count;
            net_get(&v.net, names[i], value, count);
            net_run(&v.net);
            net_read(&v.net, names[i], gradient, count);
            graph_fill_uniform(direction, count, i + 1, -1.0, 1.0);
            double expected = 0.0, loss[2];
            const double h = 1e-6;
            for (size_t e = 0; e < count; e++)
                expected += gradient[e] * direction[e];
            for (int side = 0; side < 2; side++) {
                for (size_t e = 0; e < count; e++)
                    moved[e] = value[e] + (side == 0 ? h : -h) * direction[e];
                net_set(&v.net, names[i], moved, count);
                net_run(&v.net);
                net_read(&v.net, "loss", &loss[side], 1);
            }
            net_set(&v.net, names[i], value, count);
            CHECK(expected != 0.0);
            CHECK_NEAR((loss[0] - loss[1]) / (2.0 * h), expected, 1e-6 * (1.0 + fabs(expected)));
            free(buffer);
        }
        net_close(&v.net);
    }
}

/* Twenty steps of Adam on one batch, f32; reads the losses and a hash of the weights. */
static void train(const cupel_vae_options *options, bool reference, double losses[20],
                  uint64_t *weights) {
    struct vae_net v = open_vae(options, CUPEL_TYPE_F32, 2);
    const cupel_node rate =
        cupel_input(v.net.graph, "learning_rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(v.net.graph, "optimizer", &adam, rate, v.loss, "");
    net_compile(&v.net, reference, 1, &(cupel_output){.name = "loss", .node = v.loss});
    write_inputs(&v.net, 1.0);
    net_scalar(&v.net, "learning_rate", 1e-2);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(cupel_bindings_write_u64(v.net.bindings, "step", (uint64_t)i));
        net_run(&v.net);
        net_read(&v.net, "loss", &losses[i], 1);
    }
    double values[32 * C * 9];
    const bool conv = options->kind == CUPEL_VAE_CONV;
    const size_t count = conv ? 32 * C * 9 : LATENTS;
    net_get(&v.net, conv ? "encoder.conv1.weight" : "encoder.mu.bias", values, count);
    *weights = hash_bytes(values, count * sizeof *values);
    net_close(&v.net);
}

static void test_training_lowers_the_loss_and_repeats(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++)
        for (int reference = 0; reference < 2; reference++) {
            check_context("kind %d, reference %d", kind, reference);
            double first[20], second[20];
            uint64_t weights[2];
            train(&small[kind], reference, first, &weights[0]);
            train(&small[kind], reference, second, &weights[1]);
            CHECK(first[19] < 0.98 * first[0]);
            CHECK(memcmp(first, second, sizeof first) == 0);
            CHECK_U64(weights[0], weights[1]);
        }
}

/* With mean_latent nothing is drawn; the decoder alone gives the same reconstruction from the
 * latents. */
static void test_mean_latent_and_decoder(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        check_context("kind %d", kind);
        cupel_vae_options options = small[kind];
        options.mean_latent = true;
        struct net net = net_open(CUPEL_TYPE_F64, 2, NULL);
        const cupel_shape shape = CUPEL_SHAPE(N, C, H, W);
        const cupel_node images = cupel_input(net.graph, "images", CUPEL_TYPE_REAL, shape);
        const cupel_node given =
            cupel_input(net.graph, "given", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, LATENTS));
        const cupel_vae vae = cupel_vae_build(images, &options, (cupel_rng){{0}, {0}, {0}});
        const cupel_node decoded = cupel_vae_decode(given, &options, shape);
        const cupel_output outputs[] = {{"mean", vae.mean},
                                        {"latent", vae.latent},
                                        {"reconstruction", vae.reconstruction},
                                        {"decoded", decoded}};
        net_compile(&net, true, 4, outputs);
        double pixels[N * PIXELS], mean[N * LATENTS], latent[N * LATENTS];
        double reconstruction[N * PIXELS], again[N * PIXELS];
        graph_fill_uniform(pixels, N * PIXELS, 4, 0.0, 1.0);
        net_write(&net, "images", pixels, N * PIXELS);
        memset(latent, 0, sizeof latent);
        net_write(&net, "given", latent, N * LATENTS);
        net_run(&net);
        net_read(&net, "mean", mean, N * LATENTS);
        net_read(&net, "latent", latent, N * LATENTS);
        CHECK(memcmp(mean, latent, sizeof mean) == 0);
        net_write(&net, "given", mean, N * LATENTS);
        net_run(&net);
        net_read(&net, "reconstruction", reconstruction, N * PIXELS);
        net_read(&net, "decoded", again, N * PIXELS);
        CHECK(memcmp(reconstruction, again, sizeof again) == 0);
        net_close(&net);
    }
}

static void fails(cupel_vae_options options, cupel_shape images, bool rng, cupel_status status,
                  const char *part) {
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_node x = cupel_input(net.graph, "images", CUPEL_TYPE_REAL, images);
    const cupel_rng none = {{0}, {0}, {0}};
    const cupel_vae vae =
        cupel_vae_build(x, &options, rng ? cupel_rng_inputs(net.graph, images.dims[0]) : none);
    CHECK(cupel_is_poisoned(vae.error));
    CHECK_STATUS(cupel_graph_check(net.graph), status);
    CHECK_CONTAINS(cupel_graph_error(net.graph), part);
    net_close(&net);
}

static void test_errors(void **state) {
    (void)state;
    const cupel_vae_options conv = {.kind = CUPEL_VAE_CONV}, mlp = {.kind = CUPEL_VAE_MLP};
    fails(conv, CUPEL_SHAPE(2, 1, 6, 32), true, CUPEL_STATUS_SHAPE, "at least 7 x 7 pixels");
    fails(conv, CUPEL_SHAPE(2, 784), true, CUPEL_STATUS_SHAPE, "[2, 784] must be [N, C, H, W]");
    fails(mlp, CUPEL_SHAPE(2), true, CUPEL_STATUS_SHAPE, "at least 2 axes");
    fails(conv, CUPEL_SHAPE(2, 1, 8, 8), false, CUPEL_STATUS_INVALID_ARGUMENT, "mean_latent");
    fails((cupel_vae_options){.kind = (cupel_vae_kind)7}, CUPEL_SHAPE(2, 1, 8, 8), true,
          CUPEL_STATUS_INVALID_ARGUMENT, "its kind 7 is unknown");
    fails((cupel_vae_options){.latents = -1}, CUPEL_SHAPE(2, 1, 8, 8), true,
          CUPEL_STATUS_INVALID_ARGUMENT, "dense layer 'mu': -1 outputs");
}

/* Building and differentiating a training step; whatever is refused must surface as a status. */
static cupel_status build_step(void *user) {
    const cupel_vae_options *const options = user;
    cupel_context *context = NULL;
    cupel_parameters *parameters = NULL;
    cupel_graph *graph = NULL;
    cupel_status status = cupel_context_create(&context, NULL);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_create(&parameters, context, CUPEL_TYPE_F32, 1);
    if (status == CUPEL_STATUS_OK)
        status = cupel_graph_create(&graph, context, parameters);
    if (status == CUPEL_STATUS_OK) {
        const cupel_shape scalar = cupel_shape_scalar();
        const cupel_node images =
            cupel_input(graph, "images", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, C, H, W));
        const cupel_node weight = cupel_input(graph, "kl_weight", CUPEL_TYPE_REAL, scalar);
        const cupel_node rate = cupel_input(graph, "learning_rate", CUPEL_TYPE_REAL, scalar);
        const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
        const cupel_vae vae = cupel_vae_build(images, options, cupel_rng_inputs(graph, N));
        cupel_optimizer_minimize(graph, "optimizer", &adam, rate, cupel_vae_loss(&vae, weight), "");
        status = cupel_graph_check(graph);
    }
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_parameters_destroy(parameters));
    CHECK_OK(cupel_context_destroy(context));
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        cupel_vae_options options = small[kind];
        CHECK(drill_memory(build_step, &options) > 20);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_vae_parameters),
        cmocka_unit_test(test_mlp_vae_parameters),
        cmocka_unit_test(test_nodes_fit_together),
        cmocka_unit_test(test_gradients_of_all_parameters),
        cmocka_unit_test(test_training_lowers_the_loss_and_repeats),
        cmocka_unit_test(test_mean_latent_and_decoder),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
