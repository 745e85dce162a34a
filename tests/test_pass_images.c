/*
 * Reshapes of images moved to their products (src/compile/move_reshapes.c), products that take and
 * make images (src/compile/fuse_image.c), two of one image at once (src/compile/join_images.c),
 * updates by sums over one image (src/compile/join_updates.c), split where no kernel takes them
 * (src/compile/split.c): an autoencoder whose features are images learns as in reference mode, with
 * no change of layout.
 */
#include "support/net.h"
#include "support/passes.h"

#include "backend/backend.h"
#include "compile/program_internal.h"
#include "cupel/plan.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"

enum { N = 6, CHANNELS = 32, SIDE = 5, LATENTS = 7, COLUMNS = CHANNELS * SIDE * SIDE };

static cupel_shape image_shape(void) {
    return CUPEL_SHAPE(N, CHANNELS, SIDE, SIDE);
}

static cupel_node matrix_of(cupel_node image) {
    return cupel_reshape(image, CUPEL_SHAPE(N, COLUMNS));
}

static cupel_node image_of(cupel_node matrix) {
    return cupel_reshape(matrix, image_shape());
}

/* A convolution that keeps the extents, so that images have a layout. */
static cupel_node conv(cupel_graph *graph, const char *name, cupel_node x) {
    const cupel_node weight =
        cupel_parameter(graph, name, CUPEL_SHAPE(CHANNELS, CHANNELS, 3, 3),
                        (cupel_init){.kind = CUPEL_INIT_UNIFORM, .a = -.1, .b = .1});
    const cupel_conv_options options = {.padding = {1, 1}};
    return cupel_conv2d(x, weight, cupel_none(), &options);
}

static cupel_node dense_weight(cupel_graph *graph, const char *name, bool up) {
    return cupel_parameter(graph, name,
                           up ? CUPEL_SHAPE(COLUMNS, LATENTS) : CUPEL_SHAPE(LATENTS, COLUMNS),
                           (cupel_init){.kind = CUPEL_INIT_UNIFORM, .a = -.1, .b = .1});
}

/* Two heads, a sum of them, and back to an image: conv, relu, dense, dense, relu, conv. */
static cupel_node build(cupel_graph *graph) {
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, image_shape());
    const cupel_node features = matrix_of(cupel_relu(conv(graph, "in", x)));
    const cupel_node mean = cupel_matmul(features, dense_weight(graph, "mean", false), false, true);
    const cupel_node spread =
        cupel_matmul(features, dense_weight(graph, "spread", false), false, true);
    const cupel_node z = cupel_add(mean, cupel_tanh(spread));
    const cupel_node bias = cupel_parameter(graph, "bias", CUPEL_SHAPE(COLUMNS),
                                            (cupel_init){.kind = CUPEL_INIT_UNIFORM, .b = .1});
    const cupel_node up =
        cupel_relu(cupel_add(cupel_matmul(z, dense_weight(graph, "up", true), false, true), bias));
    return cupel_reduce_mean(cupel_square(cupel_sub(conv(graph, "out", image_of(up)), x)),
                             CUPEL_ALL_AXES, false);
}

static cupel_node build_step(cupel_graph *graph, cupel_optimizer_kind kind) {
    static const char *const names[] = {"in", "mean", "spread", "bias", "up", "out"};
    enum { PARAMETERS = 6 };
    const cupel_node loss = build(graph);
    cupel_node parameters[PARAMETERS], gradients[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++)
        parameters[i] =
            cupel_parameter(graph, names[i],
                            strcmp(names[i], "bias") == 0 ? CUPEL_SHAPE(COLUMNS)
                            : strcmp(names[i], "up") == 0 ? CUPEL_SHAPE(COLUMNS, LATENTS)
                            : i == 1 || i == 2            ? CUPEL_SHAPE(LATENTS, COLUMNS)
                                                          : CUPEL_SHAPE(CHANNELS, CHANNELS, 3, 3),
                            i == 3 ? (cupel_init){.kind = CUPEL_INIT_UNIFORM, .b = .1}
                                   : (cupel_init){.kind = CUPEL_INIT_UNIFORM, .a = -.1, .b = .1});
    CHECK_OK_TEXT(cupel_graph_add_gradients(graph, loss, PARAMETERS, parameters, gradients),
                  cupel_graph_error(graph));
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_optimizer optimizer = cupel_optimizer_defaults(kind);
    cupel_optimizer_apply(graph, "optimizer", &optimizer, rate, PARAMETERS, parameters, gradients);
    return loss;
}

/* --- what becomes of the list --- */

static const struct attrs_image_matmul *product(const struct passes *p, int index) {
    return compile_node(&p->c, passes_nth(p, "image_matmul", index))->attrs;
}

static void test_what_is_made(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    passes_output(&p, "loss", build_step(p.graph, CUPEL_ADAM));
    passes_run(&p, "fuse_image");
    passes_check_list(&p);
    CHECK_I64(passes_count(&p, "matmul"), 0);
    /* Forward two and one, backward z's, the features' (of two products), three of weights. */
    CHECK_I64(passes_count(&p, "image_matmul"), 8);
    int results = 0, relus = 0, selects = 0, gradients = 0;
    for (int i = 0; i < 8; i++) {
        const struct attrs_image_matmul *attrs = product(&p, i);
        results += attrs->role == IMAGE_RESULT;
        relus += attrs->finish == IMAGE_RELU && attrs->with_bias && attrs->products == 1;
        selects += attrs->finish == IMAGE_SELECT && !attrs->with_bias && attrs->products == 2;
        gradients += attrs->role != IMAGE_RESULT && attrs->transpose_a;
    }
    CHECK_I64(results, 2);
    CHECK_I64(relus, 1);
    CHECK_I64(selects, 1);
    CHECK_I64(gradients, 3);
    passes_close(&p);
}

static void test_steps(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    passes_output(&p, "loss", build_step(p.graph, CUPEL_ADAM));
    passes_run(&p, "steps");
    passes_check_list(&p);
    CHECK_I64(passes_count(&p, "image_sweep"), 2); /* of the heads, of "up" and its bias */
    CHECK_I64(passes_count(&p, "image_update"), 0);
    CHECK_I64(passes_count(&p, "image_matmul"), 4);
    /* Changes of layout: of the input alone, which is plain. Without vectors the library has no
     * gradients of filters in blocks. */
    const bool vectors = strcmp(cpu_instruction_set(), "baseline") != 0;
    for (uint32_t i = 0; vectors && i < p.c.list.count; i++)
        if (strcmp(p.c.list.nodes[i].op->name, "reorder") == 0)
            CHECK_STRING(compile_node(&p.c, p.c.list.nodes[i].inputs[0].node)->name, "x");
    passes_close(&p);
}

/* Elementwise nodes between an image and a product, and sums over the batch, move; what cannot be
 * an image stays. */
static void test_moves(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, image_shape());
    const cupel_node column = cupel_input(p.graph, "column", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, 1));
    const cupel_node row = cupel_input(p.graph, "row", CUPEL_TYPE_REAL, CUPEL_SHAPE(COLUMNS));
    const cupel_node few = cupel_input(p.graph, "few", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, 25, 4, 8));
    const cupel_node y = cupel_mul(cupel_add(cupel_tanh(matrix_of(cupel_exp(x))), row), column);
    passes_output(&p, "y", cupel_sqrt(image_of(y)));
    passes_output(&p, "sum", cupel_reduce_sum(y, 1, false));
    passes_output(&p, "mean", cupel_reduce_sum(y, 2, false));
    passes_output(&p, "odd", cupel_neg(matrix_of(few))); /* 25 channels are no blocks */
    passes_run(&p, "move_reshapes");
    passes_check_list(&p);
    static const char *const moved[] = {"tanh", "add", "mul"};
    for (int i = 0; i < 3; i++)
        CHECK_I64(compile_node(&p.c, passes_nth(&p, moved[i], 0))->outputs[0].shape.rank, 4);
    CHECK_I64(compile_node(&p.c, passes_nth(&p, "neg", 0))->outputs[0].shape.rank, 2);
    const struct graph_node *sum = compile_node(&p.c, passes_nth(&p, "reduce_sum", 0));
    CHECK_I64(compile_desc(&p.c, sum->inputs[0])->shape.rank, 4);
    const struct graph_node *mean = compile_node(&p.c, passes_nth(&p, "reduce_sum", 1));
    CHECK_I64(compile_desc(&p.c, mean->inputs[0])->shape.rank, 2);
    const struct graph_node *root = compile_node(&p.c, p.c.roots[0].edge.node);
    CHECK_STRING(compile_node(&p.c, root->inputs[0].node)->op->name, "mul");
    passes_close(&p);
}

/* Products that others read, or of too many columns, are not taken. */
static void test_what_is_left(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        check_context("way %d", way);
        const int64_t inner = way == 0 ? LATENTS : 65;
        struct passes p;
        passes_open(&p, "cpu", CUPEL_TYPE_F32);
        const cupel_node z = cupel_input(p.graph, "z", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, inner));
        const cupel_node w =
            cupel_input(p.graph, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(inner, COLUMNS));
        const cupel_node y = cupel_matmul(z, w, false, false);
        passes_output(&p, "image", cupel_tanh(image_of(y)));
        if (way == 0)
            passes_output(&p, "matrix", y);
        passes_run(&p, "fuse_image");
        passes_check_list(&p);
        CHECK_I64(passes_count(&p, "matmul"), 1);
        CHECK_I64(passes_count(&p, "image_matmul"), 0);
        passes_close(&p);
    }
}

enum pair { HEADS, OTHER_IMAGE, OTHER_COLUMNS, OTHER_WAY, LATER, TOO_WIDE, PAIRS };

/* Products that want the same of one image are joined; a matrix that depends on the first is not
 * there in time. */
static void check_pair(enum pair pair, int joined) {
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const int64_t outs = pair == TOO_WIDE ? 33 : LATENTS, other = pair == OTHER_COLUMNS ? 3 : outs;
    const cupel_shape shape =
        pair == OTHER_WAY ? CUPEL_SHAPE(COLUMNS, other) : CUPEL_SHAPE(other, COLUMNS);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, image_shape());
    const cupel_node image =
        pair == OTHER_IMAGE ? cupel_input(p.graph, "y", CUPEL_TYPE_REAL, image_shape()) : x;
    const cupel_node v = cupel_input(p.graph, "v", CUPEL_TYPE_REAL, CUPEL_SHAPE(outs, COLUMNS));
    const cupel_node first = cupel_matmul(matrix_of(x), v, false, true);
    cupel_node w = cupel_input(p.graph, "w", CUPEL_TYPE_REAL, shape);
    if (pair == LATER)
        w = cupel_mul(w, cupel_reduce_mean(first, CUPEL_ALL_AXES, false));
    passes_output(&p, "first", cupel_tanh(first));
    passes_output(&p, "second",
                  cupel_exp(cupel_matmul(matrix_of(image), w, false, pair != OTHER_WAY)));
    passes_run(&p, "join_images");
    passes_check_list(&p);
    check_context("pair %d", (int)pair);
    CHECK_I64(passes_count(&p, "image_matmul"), joined ? 1 : 2);
    CHECK_I64(passes_count(&p, "slice"), joined ? 2 : 0);
    if (joined) {
        CHECK_I64(product(&p, 0)->products, 2);
        CHECK_I64(compile_node(&p.c, passes_nth(&p, "image_matmul", 0))->outputs[0].shape.dims[1],
                  2 * LATENTS);
    }
    passes_close(&p);
}

static void test_joins(void **state) {
    (void)state;
    check_pair(HEADS, true);
    for (int pair = OTHER_IMAGE; pair < PAIRS; pair++)
        check_pair((enum pair)pair, false);
}

/* --- updates by sums over one image --- */

enum sums { TWO_MATRICES, MATRIX_AND_BIAS, BIAS_READ, OTHER_SUMS, WIDE_SUMS, LONE_BIAS, SUMS };
static const char *const sums_names[] = {"two matrices", "matrix and bias", "sum read twice",
                                         "other images", "too wide",        "lone bias"};

static void build_sums(struct passes *p, enum sums sums) {
    const int64_t outs = sums == WIDE_SUMS ? 33 : LATENTS;
    const cupel_node x = cupel_input(p->graph, "x", CUPEL_TYPE_REAL, image_shape());
    const cupel_node image =
        sums == OTHER_SUMS ? cupel_input(p->graph, "y", CUPEL_TYPE_REAL, image_shape()) : x;
    const cupel_node z = cupel_input(p->graph, "z", CUPEL_TYPE_REAL, CUPEL_SHAPE(N, outs));
    const cupel_node rate = cupel_input(p->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_init ones = {.kind = CUPEL_INIT_ONES};
    cupel_node parameters[] = {
        cupel_parameter(p->graph, "first", CUPEL_SHAPE(COLUMNS, outs), ones),
        sums == TWO_MATRICES || sums == OTHER_SUMS || sums == WIDE_SUMS
            ? cupel_parameter(p->graph, "second", CUPEL_SHAPE(outs, COLUMNS), ones)
            : cupel_parameter(p->graph, "bias", CUPEL_SHAPE(COLUMNS), ones)};
    const cupel_node sum = cupel_reduce_sum(matrix_of(x), 1, false);
    cupel_node gradients[] = {cupel_matmul(matrix_of(x), z, true, false),
                              cupel_node_shape(parameters[1]).rank == 1
                                  ? sum
                                  : cupel_matmul(z, matrix_of(image), true, false)};
    if (sums == BIAS_READ)
        passes_output(p, "sum", cupel_tanh(sum));
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    const int from = sums == LONE_BIAS;
    cupel_optimizer_apply(p->graph, "optimizer", &adam, rate, (size_t)(2 - from), parameters + from,
                          gradients + from);
}

static void test_joined_updates(void **state) {
    (void)state;
    for (int sums = 0; sums < SUMS; sums++) {
        check_context("%s", sums_names[sums]);
        const bool joined = sums == TWO_MATRICES || sums == MATRIX_AND_BIAS;
        struct passes p;
        passes_open(&p, "cpu", CUPEL_TYPE_F32);
        build_sums(&p, (enum sums)sums);
        passes_run(&p, "join_updates");
        passes_check_list(&p);
        CHECK_I64(passes_count(&p, "image_sweep"), joined);
        CHECK_I64(passes_count(&p, "image_update"), joined                                   ? 0
                                                    : sums == BIAS_READ || sums == LONE_BIAS ? 1
                                                                                             : 2);
        CHECK_I64(passes_count(&p, "reduce_sum"), sums == BIAS_READ);
        passes_close(&p);
    }
}

/* The node says where its operands came from and where its results may lie. */
static void test_operands_of_a_sweep(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    build_sums(&p, MATRIX_AND_BIAS);
    passes_run(&p, "join_updates");
    const struct graph_node *node = compile_node(&p.c, passes_nth(&p, "image_sweep", 0));
    const struct attrs_image_sweep *attrs = node->attrs;
    CHECK_I64(attrs->n_parts, 2);
    CHECK_I64(attrs->parts[0].both.summed, 0);
    CHECK_I64(attrs->parts[1].both.summed, 1);
    static const char *const names[] = {"x", "z", "first"};
    for (int i = 0; i < 3; i++) {
        const struct graph_node *from =
            compile_node(&p.c, node->inputs[image_sweep_operand(&attrs->parts[0], i)].node);
        CHECK_STRING(from->op == &op_variable ? from->variable->name : from->name, names[i]);
    }
    CHECK_I64(node->n_inputs, 1 + 6 + 5); /* the image; z, three, rate, step; the same without z */
    CHECK_I64(node->n_outputs, 6);
    static const int in_place[] = {2, 3, 4, 7, 8, 9};
    for (int k = 0; k < 6; k++)
        CHECK_I64(image_sweep_in_place(attrs, k), 1 + in_place[k]);
    passes_close(&p);
}

/* --- the same numbers --- */

static bool decline(const struct kernel_request *request, const char **why) {
    (void)request;
    *why = "never";
    return false;
}

/* Without kernels of sweeps; without those of updates by images; without any with images. */
static const struct kernel *const *declining_kernels(struct backend *backend, const char *op,
                                                     int declined) {
    static const struct kernel never[] = {
        {.op = "image_sweep", .name = "test:never", .accept = decline},
        {.op = "image_update", .name = "test:never", .accept = decline},
        {.op = "image_matmul", .name = "test:never", .accept = decline}};
    static const struct kernel *const lists[][2] = {
        {&never[0], NULL}, {&never[1], NULL}, {&never[2], NULL}};
    for (int i = 0; i < declined; i++)
        if (strcmp(op, never[i].op) == 0)
            return lists[i];
    return cpu_kernels(backend, op);
}

static const struct kernel *const *without_sweeps(struct backend *backend, const char *op) {
    return declining_kernels(backend, op, 1);
}

static const struct kernel *const *without_updates(struct backend *backend, const char *op) {
    return declining_kernels(backend, op, 2);
}

static const struct kernel *const *without_images(struct backend *backend, const char *op) {
    return declining_kernels(backend, op, 3);
}

enum way { FAST, SWEEPS_SPLIT, UPDATES_SPLIT, SPLIT, REFERENCE, WAYS };

static struct net trained(enum way way, cupel_optimizer_kind kind, double *losses, int steps) {
    static const host_backend_kernels kernels[] = {cpu_kernels, without_sweeps, without_updates,
                                                   without_images, cpu_kernels};
    struct net net = {.real = CUPEL_TYPE_F32, .owns = true};
    struct backend *backend = NULL;
    CHECK_OK(backend_create(&backend, "cpu"));
    backend->kernels = kernels[way];
    CHECK_OK(context_create_with_backend(&net.context, backend, NULL));
    CHECK_OK(cupel_parameters_create(&net.parameters, net.context, net.real, 5));
    CHECK_OK(cupel_graph_create(&net.graph, net.context, net.parameters));
    const cupel_node loss = build_step(net.graph, kind);
    net_compile(&net, way == REFERENCE, 1, &(cupel_output){"loss", loss});
    static double x[N * COLUMNS];
    for (int i = 0; i < N * COLUMNS; i++)
        x[i] = sin(.37 * i) * .5;
    net_write(&net, "x", x, N * COLUMNS);
    net_scalar(&net, "rate", 1e-3);
    for (int step = 0; step < steps; step++) {
        net_run(&net);
        net_read(&net, "loss", &losses[step], 1);
    }
    return net;
}

static int count_steps(const struct net *net, const char *op) {
    int n = 0;
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++)
        n += strcmp(net->program->draft.steps[t].view.op->name, op) == 0;
    return n;
}

/* Sums in another order differ in the last bits, and Adam passes on what is left of a gradient that
 * is nearly 0: a hundredfold of fp32's rounding. */
static void test_same_numbers(void **state) {
    (void)state;
    enum { STEPS = 12 };
    double losses[WAYS][STEPS];
    for (int way = FAST; way < WAYS; way++) {
        check_context("way %d", way);
        struct net net = trained((enum way)way, CUPEL_ADAM, losses[way], STEPS);
        CHECK_I64(count_steps(&net, "image_sweep"), way == FAST ? 2 : 0);
        CHECK_I64(count_steps(&net, "image_update"), way == SWEEPS_SPLIT ? 4 : 0);
        CHECK_I64(count_steps(&net, "image_matmul"), way <= SWEEPS_SPLIT    ? 4
                                                     : way == UPDATES_SPLIT ? 7
                                                                            : 0);
        net_close(&net);
    }
    CHECK(losses[REFERENCE][STEPS - 1] < .9 * losses[REFERENCE][0]);
    for (int way = FAST; way <= SPLIT; way++)
        for (int step = 0; step < STEPS; step++) {
            check_context("way %d, step %d", way, step);
            CHECK_NEAR(losses[way][step], losses[REFERENCE][step], 1e-5 * losses[REFERENCE][step]);
        }
}

/* Sums over images have one order, whichever kernels make them. */
static void test_same_bits(void **state) {
    (void)state;
    enum { STEPS = 6 };
    for (int kind = CUPEL_SGD; kind <= CUPEL_ADAMW; kind++) {
        double losses[WAYS][STEPS];
        for (int way = FAST; way <= UPDATES_SPLIT; way++) {
            struct net net = trained((enum way)way, (cupel_optimizer_kind)kind, losses[way], STEPS);
            net_close(&net);
            check_context("optimiser %d, way %d", kind, way);
            CHECK(memcmp(losses[way], losses[FAST], sizeof losses[way]) == 0);
        }
    }
}

/* A plan that has the parts gets the parts again, and one that has the whole the whole. */
static void test_recorded_splits(void **state) {
    (void)state;
    static const host_backend_kernels kernels[] = {cpu_kernels, without_sweeps, without_updates};
    static const char *const ops[] = {"image_sweep", "image_update", "image_matmul", "reduce_sum",
                                      "adam_update"};
    enum { OPS = sizeof ops / sizeof ops[0] };
    for (int way = FAST; way <= UPDATES_SPLIT; way++) {
        struct backend *backend = NULL;
        struct net net = {.real = CUPEL_TYPE_F32, .owns = true};
        cupel_plan *plan;
        CHECK_OK(backend_create(&backend, "cpu"));
        CHECK_OK(context_create_with_backend(&net.context, backend, NULL));
        CHECK_OK(cupel_plan_create(&plan, net.context, 1));
        CHECK_OK(cupel_parameters_create(&net.parameters, net.context, net.real, 5));
        CHECK_OK(cupel_graph_create(&net.graph, net.context, net.parameters));
        const cupel_output loss = {"loss", build_step(net.graph, CUPEL_ADAM)};
        const cupel_compile_options options = {.outputs = &loss, .n_outputs = 1, .plan = plan};
        int counts[2][OPS];
        for (int again = 0; again < 2; again++) {
            backend->kernels = again ? cpu_kernels : kernels[way];
            CHECK_OK_TEXT(cupel_program_compile(&net.program, net.graph, &options),
                          cupel_graph_error(net.graph));
            for (int i = 0; i < OPS; i++)
                counts[again][i] = count_steps(&net, ops[i]);
            CHECK_OK(cupel_program_destroy(net.program));
        }
        net.program = NULL;
        cupel_plan_destroy(plan);
        net_close(&net);
        for (int i = 0; i < OPS; i++) {
            check_context("way %d, %s", way, ops[i]);
            CHECK_I64(counts[1][i], counts[0][i]);
        }
        CHECK_I64(counts[0][0], way == FAST ? 2 : 0);
        CHECK_I64(counts[0][1], way == SWEEPS_SPLIT ? 4 : 0);
    }
}

/* A product of one row that is added to all images is no bias, and neither is a third product of a
 * lone image: both are products of their own. */
static double styled(int64_t images, bool reference) {
    struct net net = net_open(CUPEL_TYPE_F32, 5, NULL);
    const cupel_node z = cupel_input(net.graph, "z", CUPEL_TYPE_REAL, CUPEL_SHAPE(images, LATENTS));
    const cupel_node style = cupel_input(net.graph, "s", CUPEL_TYPE_REAL, CUPEL_SHAPE(1, LATENTS));
    cupel_node sum = cupel_matmul(z, dense_weight(net.graph, "up", true), false, true);
    if (images == 1)
        sum = cupel_add(sum, cupel_matmul(z, dense_weight(net.graph, "more", true), false, true));
    sum = cupel_add(sum, cupel_matmul(style, dense_weight(net.graph, "style", true), false, true));
    const cupel_node image = cupel_reshape(sum, CUPEL_SHAPE(images, CHANNELS, SIDE, SIDE));
    const cupel_node y = conv(net.graph, "out", cupel_relu(image));
    const cupel_node loss = cupel_reduce_mean(cupel_square(y), CUPEL_ALL_AXES, false);
    net_compile(&net, reference, 1, &(cupel_output){"loss", loss});
    double values[N * LATENTS];
    for (int i = 0; i < N * LATENTS; i++)
        values[i] = sin(.37 * i);
    net_write(&net, "z", values, (size_t)images * LATENTS);
    net_write(&net, "s", values, LATENTS);
    net_run(&net);
    double read;
    net_read(&net, "loss", &read, 1);
    net_close(&net);
    return read;
}

static void test_products_that_look_like_a_bias(void **state) {
    (void)state;
    for (int64_t images = 1; images <= N; images += N - 1) {
        check_context("%d images", (int)images);
        const double expected = styled(images, true);
        CHECK_NEAR(styled(images, false), expected, 1e-5 * expected);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_what_is_left),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_joined_updates),
        cmocka_unit_test(test_operands_of_a_sweep),
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_recorded_splits),
        cmocka_unit_test(test_products_that_look_like_a_bias),
    };
    return CHECK_MAIN(tests);
}
