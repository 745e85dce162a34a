/*
 * On the processor a chain run as one pass, and updates run as one sweep, give the bits of their
 * parts run apart: a network of convolutions and batch norms, trained by Adam, with and without the
 * kernels for the compiler's own ops, where everything else runs on the same kernels in the same
 * layouts. (On the reference device: tests/test_drill_later.c.)
 */
#define _POSIX_C_SOURCE 200809L
#include "support/net.h"

#include "compile/program_internal.h"

enum { BATCH = 4, EXTENT = 12, CHANNELS = 16, CLASSES = 5, STEPS = 4 };

static cupel_node block(cupel_node x, const char *name) {
    const cupel_conv_options options = {.padding = {1, 1}};
    cupel_graph_enter(x.graph, name);
    cupel_node h = cupel_layer_conv2d(x, "conv", CHANNELS, 3, &options, NULL);
    h = cupel_layer_batch_norm(h, "bn", true, .1, 1e-5);
    h = cupel_mul(cupel_sigmoid(h), cupel_tanh(cupel_scale(h, .7))); /* a chain worth fusing */
    cupel_graph_leave(x.graph);
    return h;
}

static void build(struct net *net, cupel_optimizer_kind kind) {
    const cupel_node x =
        cupel_input(net->graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, 3, EXTENT, EXTENT));
    const cupel_node labels = cupel_input_index(net->graph, "labels", CUPEL_SHAPE(BATCH), CLASSES);
    const cupel_node rate = cupel_input(net->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node h = block(x, "a");
    h = cupel_relu(cupel_add(block(h, "b"), h));
    h = cupel_reduce_mean(h, CUPEL_AXIS(2) | CUPEL_AXIS(3), false);
    const cupel_node logits = cupel_layer_dense(h, "out", CLASSES, NULL);
    const cupel_node loss =
        cupel_reduce_mean(cupel_cross_entropy(logits, labels), CUPEL_ALL_AXES, false);
    cupel_optimizer optimizer = cupel_optimizer_defaults(kind);
    optimizer.weight_decay = 1e-3;
    optimizer.momentum = .9;
    cupel_optimizer_minimize(net->graph, "optimizer", &optimizer, rate, loss, "");
    const cupel_output output = {"loss", loss};
    const cupel_compile_options options = {
        .outputs = &output, .n_outputs = 1, .real = CUPEL_TYPE_F32, .threads = 1};
    CHECK_OK_TEXT(cupel_program_compile(&net->program, net->graph, &options),
                  cupel_graph_error(net->graph));
    CHECK_OK(cupel_workspace_create(&net->workspace, net->context));
    CHECK_OK(cupel_workspace_reserve(net->workspace, net->program));
    CHECK_OK(cupel_bindings_create(&net->bindings, net->program));
}

static bool own(const struct exec_step *step) {
    return strcmp(step->view.op->name, "fused") == 0 || strcmp(step->view.op->name, "sweep") == 0;
}

static int count_own(const struct net *net) {
    int n = 0;
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++)
        n += own(&net->program->draft.steps[t]);
    return n;
}

/* The steps that are neither elementwise nor updates, one a line: node, op, kernel, layout. */
static void list_library(const struct net *net, char *text, size_t size) {
    text[0] = '\0';
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++) {
        const struct exec_step *step = &net->program->draft.steps[t];
        const char *const kernel = step->plan.kernel ? step->plan.kernel->name : "";
        if (strncmp(kernel, "onednn:", 7) != 0)
            continue;
        const size_t at = strlen(text);
        CHECK(at + 200 < size);
        snprintf(text + at, size - at, "%s %s %s %s %d\n", step->name, step->view.op->name, kernel,
                 step->plan.detail ? step->plan.detail : "", (int)step->view.outputs[0].layout);
    }
}

static void train(struct net *net) {
    double x[BATCH * 3 * EXTENT * EXTENT];
    int64_t labels[BATCH];
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < (int)(sizeof x / sizeof x[0]); i++)
            x[i] = sin(.37 * i + step);
        for (int i = 0; i < BATCH; i++)
            labels[i] = (i + step) % CLASSES;
        net_write(net, "x", x, sizeof x / sizeof x[0]);
        CHECK_OK(cupel_bindings_write(net->bindings, "labels", labels, sizeof labels));
        net_scalar(net, "rate", .01);
        net_run(net);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    static const cupel_optimizer_kind kinds[] = {CUPEL_ADAM, CUPEL_SGD};
    for (int k = 0; k < 2; k++) {
        check_context("optimiser %d", (int)kinds[k]);
        struct net fused = net_open(CUPEL_TYPE_F32, 5, NULL);
        struct net apart = net_open(CUPEL_TYPE_F32, 5, NULL);
        build(&fused, kinds[k]);
        CHECK(setenv("CUPEL_DISABLE", "vec:chain-fused,vec:sweep,vec:product", 1) == 0);
        build(&apart, kinds[k]);
        CHECK(unsetenv("CUPEL_DISABLE") == 0);
        CHECK(count_own(&fused) >= 3);
        CHECK_I64(count_own(&apart), 0);
        static char a[8192], b[8192];
        list_library(&fused, a, sizeof a);
        list_library(&apart, b, sizeof b);
        CHECK(a[0] != '\0');
        CHECK_STRING(a, b); /* else the bits could not be compared */
        double before[CLASSES], after[CLASSES];
        net_get(&fused, "out.bias", before, CLASSES);
        train(&fused);
        train(&apart);
        net_get(&fused, "out.bias", after, CLASSES);
        CHECK(memcmp(before, after, sizeof before) != 0);
        net_check_same(&fused, &apart);
        net_close(&fused);
        net_close(&apart);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits)};
    return CHECK_MAIN(tests);
}
