/*
 * Convolutions fused with the chain that reads them (src/compile/fuse_conv.c): which are, which are
 * split again because no kernel finishes their chain, and the bits, which are those of the parts
 * run apart, forward and backward, with AVX-512 and AVX2. Which sums of their results per channel
 * they take along; these are added in another order than apart.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/all_sets.h"
#include "support/net.h"
#include "support/passes.h"

#include "backend/cpu/cpu.h"
#include "cupel/plan.h"

enum { BATCH = 3, CHANNELS = 32, EXTENT = 13 };

/* Where there are many channels on both sides. */
static bool has_winograd(void) {
    return cpu_isa() != CPU_ISA_BASELINE;
}

/* --- which are fused --- */

enum kind { RELU, BIAS_RELU, LEAKY, SELECT, TANH, TWICE, AS_OUTPUT, BROADCAST, KINDS };
static const char *const names[] = {"relu", "bias and relu", "leaky relu", "select",
                                    "tanh", "read twice",    "an output",  "broadcast"};

static cupel_node image(cupel_graph *graph, const char *name) {
    return cupel_input(graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, CHANNELS, EXTENT, EXTENT));
}

static cupel_node finish(struct passes *p, enum kind kind, cupel_node conv) {
    const cupel_node other = image(p->graph, "other");
    switch (kind) {
    case RELU: return cupel_relu(conv);
    case BIAS_RELU:
        return cupel_relu(cupel_add(
            conv, cupel_input(p->graph, "bias", CUPEL_TYPE_REAL, CUPEL_SHAPE(CHANNELS, 1, 1))));
    case LEAKY: return cupel_leaky_relu(conv, .1);
    case SELECT: return cupel_select(other, conv, cupel_scalar(p->graph, 0));
    case TANH: return cupel_tanh(conv);
    case TWICE: return cupel_add(cupel_relu(conv), cupel_reduce_mean(conv, CUPEL_AXIS(1), true));
    case AS_OUTPUT: passes_output(p, "conv", conv); return cupel_relu(conv);
    case BROADCAST:
        return cupel_mul(conv, cupel_input(p->graph, "wide", CUPEL_TYPE_REAL,
                                           CUPEL_SHAPE(2, BATCH, CHANNELS, EXTENT, EXTENT)));
    case KINDS: break;
    }
    return conv;
}

/* Of `from` channels. */
static void check_kind(enum kind kind, int64_t from, bool transposed, const char *last, int fused,
                       int apart) {
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const cupel_node weights = cupel_input(p.graph, "weights", CUPEL_TYPE_REAL,
                                           transposed ? CUPEL_SHAPE(from, CHANNELS, 3, 3)
                                                      : CUPEL_SHAPE(CHANNELS, from, 3, 3));
    const cupel_conv_options options = {.padding = {1, 1}};
    const cupel_node x =
        cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, from, EXTENT, EXTENT));
    const cupel_node none = {0};
    const cupel_node conv = transposed ? cupel_conv_transpose2d(x, weights, none, &options)
                                       : cupel_conv2d(x, weights, none, &options);
    passes_output(&p, "y", finish(&p, kind, conv));
    passes_run(&p, last);
    passes_check_list(&p);
    check_context("%s, from %lld channels, transposed %d, after %s, %s", names[kind],
                  (long long)from, transposed, last, cpu_isa_name(cpu_isa()));
    CHECK_I64(passes_count(&p, "fused_conv"), fused);
    CHECK_I64(passes_count(&p, transposed ? "conv2d_backward_data" : "conv2d"), apart);
    passes_close(&p);
}

static void check_kinds(void) {
    for (int kind = 0; kind < KINDS; kind++)
        for (int way = 0; way < 4; way++) {
            /* The pass takes every chain that alone reads a convolution; the choice keeps those
             * that a kernel finishes. */
            const bool transposed = way & 1, few = way >> 1;
            const bool joined = kind < TWICE, kept = kind < TANH && (few || has_winograd());
            const int64_t from = few ? 1 : CHANNELS;
            check_kind((enum kind)kind, from, transposed, "fuse_conv", joined, !joined);
            check_kind((enum kind)kind, from, transposed, "choose", kept, !kept);
        }
}

static void test_kinds(void **state) {
    (void)state;
    on_all_sets(check_kinds);
}

/* --- which take a sum along --- */

enum sum { KEPT, SHORT, SHOWN, ALONE, TWO, OF_TANH, ODD, OF_PIXELS, OF_IMAGES, OF_CONV, SUMS };
static const char *const sum_names[] = {
    "kept axes",     "no axes kept",   "of an output",    "the only reader",    "two",
    "of a tanh too", "of 24 channels", "over H, W alone", "over N, H, W and C", "of no chain"};

/* Beside other readers of the image, or as its only one. */
static void add_sums(struct passes *p, enum sum kind, cupel_node conv) {
    const uint32_t axes = kind == OF_PIXELS   ? CUPEL_AXIS(2) | CUPEL_AXIS(3)
                          : kind == OF_IMAGES ? CUPEL_ALL_AXES
                                              : CUPEL_AXIS(0) | CUPEL_AXIS(2) | CUPEL_AXIS(3);
    const cupel_node y = kind == OF_CONV   ? conv
                         : kind == OF_TANH ? cupel_tanh(conv)
                                           : cupel_relu(conv);
    passes_output(p, "sum", cupel_reduce_sum(y, axes, kind != SHORT));
    if (kind == TWO)
        passes_output(p, "other sum", cupel_reduce_sum(y, axes, false));
    if (kind == SHOWN)
        passes_output(p, "y", y);
    else if (kind != ALONE)
        passes_output(p, "z", cupel_reduce_mean(y, CUPEL_AXIS(1), true));
}

/* Whether a kernel takes the convolution with its chain; 24 channels are no whole blocks of 16. */
static bool has_kernel(enum sum kind, bool few) {
    return kind != OF_TANH && (kind != ODD || cpu_channel_block() == 8) && (few || has_winograd());
}

static void check_sum(enum sum kind, bool few, bool transposed, const char *last) {
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const int64_t from = few ? 1 : CHANNELS, to = kind == ODD ? 24 : CHANNELS;
    const cupel_node weights =
        cupel_input(p.graph, "weights", CUPEL_TYPE_REAL,
                    transposed ? CUPEL_SHAPE(from, to, 3, 3) : CUPEL_SHAPE(to, from, 3, 3));
    const cupel_conv_options options = {.padding = {1, 1}};
    const cupel_node none = {0};
    const cupel_node x =
        cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, from, EXTENT, EXTENT));
    add_sums(&p, kind,
             transposed ? cupel_conv_transpose2d(x, weights, none, &options)
                        : cupel_conv2d(x, weights, none, &options));
    passes_run(&p, last);
    passes_check_list(&p);
    check_context("sum: %s, from %lld channels, transposed %d, after %s, %s", sum_names[kind],
                  (long long)from, transposed, last, cpu_isa_name(cpu_isa()));
    const bool chosen = strcmp(last, "choose") == 0;
    const bool fused = kind != OF_CONV && (!chosen || has_kernel(kind, few));
    const bool taken = fused && kind < OF_PIXELS;
    CHECK_I64(passes_count(&p, "fused_conv"), fused);
    CHECK_I64(passes_count(&p, "reduce_sum"), !taken + (kind == TWO));
    if (fused)
        CHECK_I64(p.c.list.nodes[passes_nth(&p, "fused_conv", 0)].n_outputs, taken ? 2 : 1);
    passes_close(&p);
}

static void check_all_sums(void) {
    for (int kind = 0; kind < SUMS; kind++)
        for (int way = 0; way < 4; way++) {
            check_sum((enum sum)kind, way >> 1, way & 1, "fuse_conv");
            check_sum((enum sum)kind, way >> 1, way & 1, "choose");
        }
}

static void test_sums(void **state) {
    (void)state;
    on_all_sets(check_all_sums);
}

/* --- the same bits --- */

static cupel_node build_loss(cupel_graph *graph) {
    const cupel_conv_options none = {0}, padded = {.padding = {1, 1}};
    const cupel_layer_options no_bias = {.no_bias = true};
    const cupel_node grey =
        cupel_input(graph, "grey", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, 1, EXTENT + 2, EXTENT + 2));
    cupel_node h = cupel_relu(cupel_layer_conv2d(grey, "first", CHANNELS, 3, &none, NULL));
    h = cupel_relu(cupel_layer_conv2d(h, "a", 48, 3, &none, NULL));
    h = cupel_leaky_relu(cupel_layer_conv2d(h, "b", 32, 3, &padded, NULL), .2);
    h = cupel_relu(cupel_layer_conv2d(h, "c", 64, 3, &padded, &no_bias));
    h = cupel_relu(cupel_layer_conv_transpose2d(h, "d", 32, 3, &none, NULL));
    h = cupel_relu(cupel_layer_conv_transpose2d(h, "e", 32, 3, &padded, NULL));
    h = cupel_layer_conv_transpose2d(h, "last", 1, 3, &none, NULL);
    return cupel_named(cupel_reduce_mean(cupel_square(h), CUPEL_ALL_AXES, false), "loss");
}

static const char *const parameters[] = {
    "first.weight", "first.bias", "a.weight", "a.bias", "b.weight",    "b.bias",   "c.weight",
    "d.weight",     "d.bias",     "e.weight", "e.bias", "last.weight", "last.bias"};
enum { PARAMETERS = sizeof parameters / sizeof parameters[0], MOST = 64 * 48 * 9 };

/* Not of the loss: a leaky ReLU whose gradient is wanted shares its chain with that. */
static cupel_node build_leaky(cupel_graph *graph) {
    const cupel_conv_options padded = {.padding = {2, 1}};
    const cupel_node w = cupel_input(graph, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(16, CHANNELS, 3, 3));
    const cupel_node bias = cupel_input(graph, "bias", CUPEL_TYPE_REAL, CUPEL_SHAPE(16));
    const cupel_node x = image(graph, "y");
    return cupel_named(cupel_leaky_relu(cupel_conv2d(x, w, bias, &padded), .3), "leaky");
}

static void open(struct net *net, cupel_plan *plan, cupel_plan_method method) {
    *net = net_open(CUPEL_TYPE_F32, 9, NULL);
    const cupel_node loss = build_loss(net->graph);
    cupel_node wrt[PARAMETERS], gradients[PARAMETERS];
    CHECK_U64(cupel_graph_trainable(net->graph, "", PARAMETERS, wrt), PARAMETERS);
    CHECK_OK_TEXT(cupel_graph_add_gradients(net->graph, loss, PARAMETERS, wrt, gradients),
                  cupel_graph_error(net->graph));
    cupel_output outputs[PARAMETERS + 2] = {{"loss", loss}, {"leaky", build_leaky(net->graph)}};
    for (int i = 0; i < PARAMETERS; i++)
        outputs[i + 2] = (cupel_output){parameters[i], gradients[i]};
    const cupel_compile_options options = {.outputs = outputs,
                                           .n_outputs = PARAMETERS + 2,
                                           .threads = 2,
                                           .plan = plan,
                                           .method = method};
    CHECK_OK_TEXT(cupel_program_compile(&net->program, net->graph, &options),
                  cupel_graph_error(net->graph));
    CHECK_OK(cupel_workspace_create(&net->workspace, net->context));
    CHECK_OK(cupel_workspace_reserve(net->workspace, net->program));
    CHECK_OK(cupel_bindings_create(&net->bindings, net->program));
}

static int count(const struct net *net, const char *op) {
    int n = 0;
    for (size_t i = 0; i < cupel_program_get_info(net->program).steps; i++)
        n += strcmp(cupel_program_get_step(net->program, i).op, op) == 0;
    return n;
}

static void write(struct net *net, const char *name, size_t n) {
    static double values[BATCH * CHANNELS * EXTENT * EXTENT];
    CHECK(n <= sizeof values / sizeof values[0]);
    for (size_t i = 0; i < n; i++)
        values[i] = sin(.731 * (double)i) - .2;
    net_write(net, name, values, n);
}

static void run(struct net *net) {
    write(net, "grey", BATCH * (EXTENT + 2) * (EXTENT + 2));
    write(net, "y", BATCH * CHANNELS * EXTENT * EXTENT);
    write(net, "w", 16 * CHANNELS * 9);
    write(net, "bias", 16);
    net_run(net);
}

/* Sums of at most 19 * 19 pixels of 3 images, added in two orders: within 84 roundings of 2^-24. */
static bool is_sum(const char *name) {
    return strcmp(name, "d.bias") == 0 || strcmp(name, "e.bias") == 0;
}

static void check_same(struct net *fused, struct net *apart, const char *name) {
    static double a[MOST], b[MOST];
    const cupel_desc *desc = cupel_bindings_desc(fused->bindings, name);
    CHECK(desc != NULL);
    const size_t n = (size_t)cupel_shape_count(desc->shape);
    CHECK(n <= MOST);
    net_read(fused, name, a, n);
    net_read(apart, name, b, n);
    double largest = 0;
    for (size_t k = 0; k < n; k++)
        largest = fmax(largest, fabs(b[k]));
    CHECK(largest > 0);
    for (size_t k = 0; k < n && is_sum(name); k++)
        CHECK_NEAR(a[k], b[k], 5e-6 * largest);
    if (!is_sum(name) && memcmp(a, b, n * sizeof *a) != 0)
        check_failed(__FILE__, __LINE__, "%s differs", name);
}

static void check_bits(void) {
    check_context("%s", cpu_isa_name(cpu_isa()));
    struct net fused, apart;
    open(&fused, NULL, CUPEL_PLAN_ESTIMATE);
    CHECK(setenv("CUPEL_DISABLE", "vec:winograd-fused,vec:few-fused", 1) == 0);
    open(&apart, NULL, CUPEL_PLAN_ESTIMATE);
    CHECK(unsetenv("CUPEL_DISABLE") == 0);
    /* a, c, d, e, the leaky one; and through the activations of d, c, a and the first on the way
     * back. Of few channels: the first, and through that of e. */
    CHECK_I64(count(&fused, "fused_conv"), has_winograd() ? 11 : 2);
    CHECK_I64(count(&apart, "fused_conv"), 0);
    CHECK_I64(count(&fused, "conv2d") + count(&fused, "conv2d_backward_data") +
                  count(&fused, "fused_conv"),
              count(&apart, "conv2d") + count(&apart, "conv2d_backward_data"));
    CHECK_I64(count(&apart, "reduce_sum") - count(&fused, "reduce_sum"), has_winograd() ? 2 : 1);
    run(&fused);
    run(&apart);
    check_same(&fused, &apart, "loss");
    check_same(&fused, &apart, "leaky");
    for (int i = 0; i < PARAMETERS; i++)
        check_same(&fused, &apart, parameters[i]);
    net_close(&fused);
    net_close(&apart);
}

static void test_bits(void **state) {
    (void)state;
    on_all_sets(check_bits);
}

/* A plan has the choice, whole or split, and is followed. */
static void test_plans(void **state) {
    (void)state;
    struct net net;
    cupel_plan *plan;
    cupel_context *context;
    CHECK_OK(cupel_context_create(&context, NULL));
    for (int way = 0; way < 3; way++) {
        check_context("way %d", way);
        CHECK_OK(cupel_plan_create(&plan, context, 2));
        if (way == 2) /* the plan has the parts */
            CHECK(setenv("CUPEL_DISABLE", "vec:winograd-fused,vec:few-fused", 1) == 0);
        open(&net, plan, way == 1 ? CUPEL_PLAN_MEASURE : CUPEL_PLAN_ESTIMATE);
        CHECK(unsetenv("CUPEL_DISABLE") == 0);
        const uint64_t program = cupel_program_hash(net.program), choices = cupel_plan_hash(plan);
        net_close(&net);
        open(&net, plan, CUPEL_PLAN_ESTIMATE);
        CHECK(way == 2 || cupel_program_hash(net.program) == program); /* steps stand otherwise */
        CHECK_U64(cupel_plan_hash(plan), choices);
        CHECK(way != 2 || count(&net, "fused_conv") == 0);
        net_close(&net);
        cupel_plan_destroy(plan);
    }
    CHECK_OK(cupel_context_destroy(context));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_bits), cmocka_unit_test(test_plans)};
    return CHECK_MAIN(tests);
}
