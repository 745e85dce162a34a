/*
 * Random convolutional networks, trained a few steps: the fast program on the cpu, with its blocked
 * layouts, packs, fused chains and swept updates, against the reference compile of the same graph
 * in f64; and one thread against two.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/check.h"
#include "support/random_graph.h"

#include <stdlib.h>

#include <cupel/layers.h>
#include <cupel/program.h>

enum { STEPS = 2, CLASSES = 3, MOST_PIXELS = 4 * 8 * 16 * 16 };

struct network {
    uint64_t random;
    cupel_graph *graph;
    int layers; /* made so far, for names */
};

static uint64_t below(struct network *n, uint64_t limit) {
    return random_below(&n->random, limit);
}

static const char *layer_name(struct network *n, const char *kind) {
    static char name[32];
    snprintf(name, sizeof name, "%s%d", kind, n->layers++);
    return name;
}

static int64_t extent(cupel_node x, int axis) {
    return cupel_node_shape(x).dims[axis];
}

static cupel_node convolution(struct network *n, cupel_node x) {
    static const int64_t channels[] = {3, 8, 16, 5, 32};
    const bool grouped = extent(x, 1) % 4 == 0 && below(n, 4) == 0;
    const int64_t kernel = extent(x, 2) < 3 ? 1 : 1 + 2 * (int64_t)below(n, 2);
    const int64_t stride = extent(x, 2) > 4 ? 1 + (int64_t)below(n, 2) : 1;
    const int64_t padding = kernel / 2 * (int64_t)below(n, 2);
    const cupel_conv_options conv = {
        .stride = {stride, stride}, .padding = {padding, kernel / 2}, .groups = grouped ? 4 : 1};
    const int64_t out = grouped ? extent(x, 1) : channels[below(n, 5)];
    return cupel_layer_conv2d(x, layer_name(n, "conv"), out, kernel, &conv,
                              &(cupel_layer_options){.no_bias = below(n, 2)});
}

static cupel_node upwards(struct network *n, cupel_node x) {
    if (extent(x, 2) > 8)
        return x;
    const cupel_conv_options conv = {.stride = {2, 2}, .padding = {1, 1}, .output_padding = {1, 1}};
    return cupel_layer_conv_transpose2d(x, layer_name(n, "up"), 8, 3, &conv, NULL);
}

/* Smooth ones: a kink that falls on the other side in f32 would be no error. */
static cupel_node activation(struct network *n, cupel_node x) {
    switch (below(n, 4)) {
    case 0: return cupel_tanh(x);
    case 1: return cupel_softplus(x);
    case 2: return cupel_mul(x, cupel_sigmoid(x));
    default: return cupel_scale(cupel_add(x, cupel_tanh(x)), .5);
    }
}

static cupel_node pooled(struct network *n, cupel_node x) {
    if (extent(x, 2) < 4 || extent(x, 3) < 4)
        return x;
    const cupel_pool_options pool = {.kernel = {2, 2}};
    return below(n, 2) ? cupel_max_pool2d(x, &pool) : cupel_avg_pool2d(x, &pool);
}

static cupel_node residual(struct network *n, cupel_node x) {
    const cupel_conv_options same = {.padding = {1, 1}};
    cupel_node h =
        cupel_layer_conv2d(activation(n, x), layer_name(n, "res"), extent(x, 1), 3, &same, NULL);
    return cupel_add(x, h);
}

static cupel_node branches(struct network *n, cupel_node x) {
    const cupel_node a = cupel_layer_conv2d(x, layer_name(n, "left"), 8, 1, NULL, NULL);
    const cupel_node b = activation(n, x);
    return cupel_concat(2, (const cupel_node[]){a, b}, 1);
}

static cupel_node layer(struct network *n, cupel_node x, cupel_rng rng) {
    switch (below(n, 9)) {
    case 0:
    case 1:
    case 2: return activation(n, convolution(n, x));
    case 3: return cupel_layer_batch_norm(x, layer_name(n, "bn"), true, .1, 1e-2);
    case 4: return pooled(n, x);
    case 5: return residual(n, x);
    case 6: return branches(n, x);
    case 7: return cupel_dropout(rng, layer_name(n, "drop"), x, .25);
    default: return upwards(n, x);
    }
}

struct trained {
    double losses[STEPS];
    cupel_tensors *parameters;
};

struct way {
    const char *device;
    cupel_type real;
    bool reference;
    int threads;
};

static struct trained train(struct way way, uint64_t seed) {
    static const int64_t channels[] = {1, 3, 8};
    struct trained t = {0};
    struct network n = {.random = seed};
    cupel_context *context = NULL;
    cupel_parameters *parameters = NULL;
    cupel_program *program = NULL;
    cupel_workspace *workspace = NULL;
    cupel_bindings *bindings = NULL;
    CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = way.device}));
    CHECK_OK(cupel_parameters_create(&parameters, context, way.real, seed));
    CHECK_OK(cupel_graph_create(&n.graph, context, parameters));
    const int64_t batch = 2 + (int64_t)below(&n, 3);
    const cupel_shape shape =
        CUPEL_SHAPE(batch, channels[below(&n, 3)], 6 + (int64_t)below(&n, 7), 8);
    const cupel_node x = cupel_input(n.graph, "x", CUPEL_TYPE_REAL, shape);
    const cupel_node labels = cupel_input_index(n.graph, "labels", CUPEL_SHAPE(batch), CLASSES);
    const cupel_rng rng = cupel_rng_inputs(n.graph, batch);
    cupel_node h = convolution(&n, x);
    const int depth = 2 + (int)below(&n, 6);
    for (int i = 0; i < depth; i++)
        h = layer(&n, h, rng);
    h = cupel_dropout(rng, "last", h, .1);
    h = below(&n, 2) ? cupel_reduce_mean(h, CUPEL_AXIS(2) | CUPEL_AXIS(3), false)
                     : cupel_reshape(h, CUPEL_SHAPE(batch, -1));
    const cupel_node logits = cupel_layer_dense(h, "fc", CLASSES, NULL);
    const cupel_node loss =
        cupel_reduce_mean(cupel_cross_entropy(logits, labels), CUPEL_ALL_AXES, false);
    cupel_optimizer sgd = cupel_optimizer_defaults(CUPEL_SGD);
    sgd.momentum = below(&n, 2) ? .9 : 0;
    cupel_optimizer_minimize(n.graph, "sgd", &sgd, cupel_scalar(n.graph, .05), loss, "");
    const cupel_output outputs[] = {{"loss", loss}, {"logits", logits}};
    const cupel_compile_options options = {.outputs = outputs,
                                           .n_outputs = 2,
                                           .real = way.real,
                                           .reference = way.reference,
                                           .threads = way.threads};
    CHECK_OK_TEXT(cupel_program_compile(&program, n.graph, &options), cupel_graph_error(n.graph));
    CHECK_OK(cupel_workspace_create(&workspace, context));
    CHECK_OK(cupel_workspace_reserve(workspace, program));
    CHECK_OK(cupel_bindings_create(&bindings, program));
    static double pixels[MOST_PIXELS];
    static float narrow[MOST_PIXELS];
    const size_t count = (size_t)cupel_shape_count(shape);
    CHECK(count <= MOST_PIXELS);
    for (uint64_t s = 0; s < STEPS; s++) {
        uint64_t random = seed * 97 + s, rows[8];
        int64_t classes[8];
        for (size_t i = 0; i < count; i++)
            narrow[i] = (float)(pixels[i] = (double)(float)random_between(&random, -1, 1));
        for (int64_t i = 0; i < batch; i++) {
            rows[i] = s * 8 + (uint64_t)i;
            classes[i] = (int64_t)random_below(&random, CLASSES);
        }
        if (way.real == CUPEL_TYPE_F64)
            CHECK_OK(cupel_bindings_write(bindings, "x", pixels, count * sizeof *pixels));
        else
            CHECK_OK(cupel_bindings_write(bindings, "x", narrow, count * sizeof *narrow));
        CHECK_OK(cupel_bindings_write(bindings, "labels", classes, (size_t)batch * 8));
        CHECK_OK(cupel_bindings_write(bindings, "rows", rows, (size_t)batch * 8));
        CHECK_OK(cupel_bindings_write_u64(bindings, "seed", 5));
        CHECK_OK(cupel_bindings_write_u64(bindings, "step", s));
        CHECK_OK_TEXT(cupel_program_run(program, bindings, workspace, NULL),
                      cupel_program_error(program));
        CHECK_OK(cupel_bindings_read_scalar(bindings, "loss", &t.losses[s]));
    }
    CHECK_OK(cupel_tensors_create(&t.parameters));
    CHECK_OK(cupel_parameters_export(parameters, t.parameters, "", false));
    CHECK_OK(cupel_bindings_destroy(bindings));
    CHECK_OK(cupel_workspace_destroy(workspace));
    CHECK_OK(cupel_program_destroy(program));
    CHECK_OK(cupel_graph_destroy(n.graph));
    CHECK_OK(cupel_parameters_destroy(parameters));
    CHECK_OK(cupel_context_destroy(context));
    return t;
}

static double element(const cupel_tensor *tensor, int64_t i) {
    return tensor->desc.type == CUPEL_TYPE_F64 ? ((const double *)tensor->data)[i]
                                               : (double)((const float *)tensor->data)[i];
}

/* Largest difference of a parameter from the expected one, by the largest magnitude in it. */
static double compare(const struct trained *a, const struct trained *expected, double tolerance) {
    double worst = 0;
    for (int s = 0; s < STEPS; s++) {
        CHECK_NEAR(a->losses[s], expected->losses[s], tolerance * (1 + expected->losses[s]));
        worst = fmax(worst, fabs(a->losses[s] - expected->losses[s]));
    }
    for (size_t k = 0; k < cupel_tensors_count(expected->parameters); k++) {
        const cupel_tensor *const x = cupel_tensors_at(a->parameters, k);
        const cupel_tensor *const y = cupel_tensors_at(expected->parameters, k);
        const int64_t count = cupel_shape_count(y->desc.shape);
        double largest = .1;
        for (int64_t i = 0; i < count; i++)
            largest = fmax(largest, fabs(element(y, i)));
        for (int64_t i = 0; i < count; i++) {
            const double error = fabs(element(x, i) - element(y, i)) / largest;
            if (!(error <= tolerance))
                check_failed(__FILE__, __LINE__, "%s, element %d: %.9g, the reference has %.9g",
                             y->name, (int)i, element(x, i), element(y, i));
            worst = fmax(worst, error);
        }
    }
    return worst;
}

static void fast_programs_train_like_the_reference(void **state) {
    (void)state;
    double worst = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        check_context("seed %" PRIu64, seed);
        struct trained expected = train((struct way){"reference", CUPEL_TYPE_F64, true, 1}, seed);
        for (int threads = 1; threads <= 2; threads++) {
            struct trained fast = train((struct way){"cpu", CUPEL_TYPE_F32, false, threads}, seed);
            check_context("seed %" PRIu64 ", %d threads", seed, threads);
            worst = fmax(worst, compare(&fast, &expected, 5e-5));
            cupel_tensors_destroy(fast.parameters);
        }
        cupel_tensors_destroy(expected.parameters);
    }
    print_message("worst error %.2g\n", worst);
}

/* Whichever kernels a user removes: the reference of each op is there, changes of layout
 * included. */
static void programs_without_some_kernels_train_like_the_reference(void **state) {
    (void)state;
    static const char *const removed[] = {"vec:reorder", "vec", "onednn,vec:matmul"};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct trained expected = train((struct way){"reference", CUPEL_TYPE_F64, true, 1}, seed);
        for (size_t r = 0; r < sizeof removed / sizeof removed[0]; r++) {
            check_context("seed %" PRIu64 " without %s", seed, removed[r]);
            CHECK(setenv("CUPEL_DISABLE", removed[r], 1) == 0);
            struct trained fast = train((struct way){"cpu", CUPEL_TYPE_F32, false, 1}, seed);
            CHECK(unsetenv("CUPEL_DISABLE") == 0);
            (void)compare(&fast, &expected, 5e-5);
            cupel_tensors_destroy(fast.parameters);
        }
        cupel_tensors_destroy(expected.parameters);
    }
}

static void fast_programs_in_f64_are_exact(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        check_context("seed %" PRIu64, seed);
        struct trained expected = train((struct way){"reference", CUPEL_TYPE_F64, true, 1}, seed);
        struct trained simplified =
            train((struct way){"reference", CUPEL_TYPE_F64, false, 1}, seed);
        (void)compare(&simplified, &expected, 0);
        cupel_tensors_destroy(simplified.parameters);
        cupel_tensors_destroy(expected.parameters);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_programs_train_like_the_reference),
        cmocka_unit_test(programs_without_some_kernels_train_like_the_reference),
        cmocka_unit_test(fast_programs_in_f64_are_exact),
    };
    return CHECK_MAIN(tests);
}
