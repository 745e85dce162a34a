/*
 * Pass fold_batch_norm: convolution and batch norm at inference become one convolution; not where
 * the convolution is needed otherwise, and never by another value than rounding. The scaled weights
 * follow the variables.
 */
#include "support/passes.h"

#include "cupel/layers.h"
#include "cupel/program.h"

static cupel_node features(cupel_graph *graph, bool bias) {
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 3, 5, 5));
    const cupel_conv_options padded = {.padding = {1, 1}, .stride = {2, 2}};
    return cupel_layer_conv2d(x, "conv", 4, 3, &padded, &(cupel_layer_options){.no_bias = !bias});
}

static cupel_node norm(cupel_node x) {
    return cupel_layer_batch_norm(x, "bn", false, .1, 1e-3);
}

static void a_pair_becomes_one_convolution(void **state) {
    (void)state;
    for (int bias = 0; bias < 2; bias++) {
        struct passes p;
        passes_open(&p, "cpu", CUPEL_TYPE_F32);
        passes_output(&p, "y", norm(features(p.graph, bias)));
        passes_run(&p, "fold");
        CHECK_I64(passes_count(&p, "batch_norm_inference"), 0);
        CHECK_I64(passes_count(&p, "conv2d"), 1);
        CHECK_STRING(passes_root_op(&p, 0), "conv2d");
        const struct graph_node *conv = &p.c.list.nodes[passes_nth(&p, "conv2d", 0)];
        CHECK_I64(conv->n_inputs, 3);
        passes_check_list(&p);
        passes_close(&p);
    }
}

static void a_convolution_that_is_needed_stays(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) { /* as an output, by another reader */
        struct passes p;
        passes_open(&p, "cpu", CUPEL_TYPE_F32);
        const cupel_node h = features(p.graph, true);
        passes_output(&p, "y", norm(h));
        passes_output(&p, "h", way ? cupel_relu(h) : h);
        passes_run(&p, "fold");
        CHECK_I64(passes_count(&p, "batch_norm_inference"), 1);
        CHECK_I64(passes_count(&p, "conv2d"), 1);
        passes_close(&p);
    }
}

static void training_and_computed_weights_are_left_alone(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    passes_output(&p, "y", cupel_layer_batch_norm(features(p.graph, true), "bn", true, .1, 1e-3));
    passes_run(&p, "fold");
    CHECK_I64(passes_count(&p, "batch_norm_train"), 1);
    passes_close(&p);

    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(1, 1, 3, 3));
    const cupel_node w = cupel_input(p.graph, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 1, 2, 2));
    passes_output(&p, "y", norm(cupel_conv2d(x, w, cupel_none(), NULL)));
    passes_run(&p, "fold");
    CHECK_I64(passes_count(&p, "batch_norm_inference"), 1);
    passes_close(&p);
}

static void chains_fold_one_by_one(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const cupel_node h = cupel_relu(norm(features(p.graph, true)));
    const cupel_node g = cupel_layer_conv2d(h, "conv2", 4, 1, NULL, NULL);
    passes_output(&p, "y", cupel_add(h, cupel_layer_batch_norm(g, "bn2", false, .1, 1e-3)));
    passes_run(&p, "fold");
    CHECK_I64(passes_count(&p, "batch_norm_inference"), 0);
    CHECK_I64(passes_count(&p, "conv2d"), 2);
    passes_check_list(&p);
    passes_close(&p);
}

/* --- values --- */

struct scorer {
    cupel_program *program;
    cupel_bindings *bindings;
};

static struct scorer compile(struct passes *p, cupel_node y, bool reference,
                             cupel_workspace *workspace) {
    struct scorer s = {0};
    const cupel_output output = {"y", y};
    const cupel_compile_options options = {
        .outputs = &output, .n_outputs = 1, .real = p->options.real, .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&s.program, p->graph, &options),
                  cupel_graph_error(p->graph));
    CHECK_OK(cupel_workspace_reserve(workspace, s.program));
    CHECK_OK(cupel_bindings_create(&s.bindings, s.program));
    return s;
}

static void score(struct scorer *s, cupel_workspace *workspace, const double *x, double *y) {
    CHECK_OK(cupel_bindings_write(s->bindings, "x", x, 150 * sizeof *x));
    CHECK_OK_TEXT(cupel_program_run(s->program, s->bindings, workspace, NULL),
                  cupel_program_error(s->program));
    CHECK_OK(cupel_bindings_read(s->bindings, "y", y, 72 * sizeof *y));
}

/* In f64 on reference kernels the folded program differs from the unfolded one by rounding alone,
 * and goes on doing so when any of the five variables moves. */
static void values_agree_and_follow_the_variables(void **state) {
    (void)state;
    static const char *const names[] = {"conv.weight",     "conv.bias",      "bn.weight", "bn.bias",
                                        "bn.running_mean", "bn.running_var", NULL};
    for (int bias = 0; bias < 2; bias++) {
        struct passes p;
        passes_open(&p, "reference", CUPEL_TYPE_F64);
        const cupel_node y = norm(features(p.graph, bias));
        cupel_workspace *workspace = NULL;
        CHECK_OK(cupel_workspace_create(&workspace, p.context));
        struct scorer fast = compile(&p, y, false, workspace);
        struct scorer plain = compile(&p, y, true, workspace);
        double x[150], a[72], b[72], before[72];
        for (int i = 0; i < 150; i++)
            x[i] = sin(i * .7) * 2;
        score(&fast, workspace, x, before);
        for (int n = 0; names[n] != NULL; n++) {
            const size_t index = cupel_parameters_find(p.parameters, names[n]);
            if (index == SIZE_MAX)
                continue;
            check_context("bias %d, %s moved", bias, names[n]);
            double values[108];
            const int64_t count =
                cupel_shape_count(cupel_parameters_info(p.parameters, index).shape);
            for (int64_t i = 0; i < count; i++)
                values[i] = 1.5 + cos((double)i * 1.3 + n);
            CHECK_OK(cupel_parameters_write(p.parameters, names[n], values,
                                            (size_t)count * sizeof(double)));
            score(&fast, workspace, x, a);
            score(&plain, workspace, x, b);
            bool moved = false;
            for (int i = 0; i < 72; i++) {
                CHECK_NEAR(a[i], b[i], 1e-12 * (1 + fabs(b[i])));
                moved = moved || fabs(a[i] - before[i]) > 1e-6;
            }
            CHECK(moved);
            memcpy(before, a, sizeof a);
        }
        CHECK_OK(cupel_bindings_destroy(fast.bindings));
        CHECK_OK(cupel_bindings_destroy(plain.bindings));
        CHECK_OK(cupel_program_destroy(fast.program));
        CHECK_OK(cupel_program_destroy(plain.program));
        CHECK_OK(cupel_workspace_destroy(workspace));
        passes_close(&p);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_becomes_one_convolution),
        cmocka_unit_test(a_convolution_that_is_needed_stays),
        cmocka_unit_test(training_and_computed_weights_are_left_alone),
        cmocka_unit_test(chains_fold_one_by_one),
        cmocka_unit_test(values_agree_and_follow_the_variables),
    };
    return CHECK_MAIN(tests);
}
