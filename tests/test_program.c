/*
 * Programs, workspaces and bindings: life and order of destruction, runs that are refused, inputs
 * and outputs, the loss guard and its replay, what a program tells of itself; and random graphs on
 * every device against the reference compile of the same graph.
 */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "support/check.h"
#include "support/random_graph.h"
#include "support/untouchable.h"

#include <stdlib.h>

#include <cupel/layers.h>
#include <cupel/op.h>
#include <cupel/program.h>

#include "graph/context_internal.h"

struct machine {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
};

static struct machine open_machine(const char *device, cupel_type real) {
    struct machine m = {0};
    CHECK_OK(cupel_context_create(&m.context, &(cupel_context_options){.device = device}));
    CHECK_OK(cupel_parameters_create(&m.parameters, m.context, real, 1));
    CHECK_OK(cupel_graph_create(&m.graph, m.context, m.parameters));
    return m;
}

static void compile(struct machine *m, bool reference, size_t n, const cupel_output *outputs) {
    const cupel_compile_options options = {.name = "test",
                                           .outputs = outputs,
                                           .n_outputs = n,
                                           .real = cupel_parameters_real(m->parameters),
                                           .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&m->program, m->graph, &options),
                  cupel_graph_error(m->graph));
    CHECK_OK(cupel_workspace_create(&m->workspace, m->context));
    CHECK_OK(cupel_workspace_reserve(m->workspace, m->program));
    CHECK_OK(cupel_bindings_create(&m->bindings, m->program));
}

static void run(struct machine *m) {
    CHECK_OK_TEXT(cupel_program_run(m->program, m->bindings, m->workspace, NULL),
                  cupel_program_error(m->program));
}

static void close_machine(struct machine *m) {
    CHECK_OK(cupel_bindings_destroy(m->bindings));
    CHECK_OK(cupel_workspace_destroy(m->workspace));
    CHECK_OK(cupel_program_destroy(m->program));
    CHECK_OK(cupel_graph_destroy(m->graph));
    CHECK_OK(cupel_parameters_destroy(m->parameters));
    CHECK_OK(cupel_context_destroy(m->context));
}

/* y = tanh(x W), with the index input i and the scalar s beside it. */
static void small_program(struct machine *m, bool reference) {
    cupel_graph *const g = m->graph;
    const cupel_node x = cupel_input(g, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
    const cupel_node i = cupel_input_index(g, "i", CUPEL_SHAPE(2), 4);
    const cupel_node s = cupel_input(g, "s", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node h = cupel_tanh(cupel_layer_dense(x, "fc", 3, NULL));
    const cupel_output outputs[] = {{"y", h}, {"rows", cupel_mul(cupel_gather(h, i), s)}};
    compile(m, reference, 2, outputs);
}

/* --- life --- */

static void a_program_outlives_its_graph(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    CHECK_OK(cupel_graph_destroy(m.graph));
    m.graph = NULL;
    const float x[12] = {1, 2, 3};
    float y[12];
    CHECK_OK(cupel_bindings_write(m.bindings, "x", x, sizeof x));
    run(&m);
    CHECK_OK(cupel_bindings_read(m.bindings, "y", y, sizeof y));
    CHECK(y[0] != 0 && y[0] != y[3]);
    close_machine(&m);
}

static void destroying_in_the_wrong_order_is_told(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    CHECK_STATUS(cupel_program_destroy(m.program), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_program_error(m.program), "program test is still in use by 1 bindings");
    CHECK_STATUS(cupel_parameters_destroy(m.parameters), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_parameters_error(m.parameters), "2 graphs or programs");
    CHECK_STATUS(cupel_context_destroy(m.context), CUPEL_STATUS_BUG);
    run(&m); /* and all is as it was */
    CHECK_OK(cupel_bindings_destroy(NULL));
    CHECK_OK(cupel_workspace_destroy(NULL));
    CHECK_OK(cupel_program_destroy(NULL));
    close_machine(&m);
}

static void a_failed_compile_leaves_its_sentence(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    const cupel_output output = {"y", cupel_exp(x)};
    cupel_program *program = (cupel_program *)&m;
    const struct {
        cupel_compile_options options;
        cupel_status status;
        const char *part;
    } rows[] = {
        {{.outputs = &output, .n_outputs = 1, .name = "\xff"}, CUPEL_STATUS_NAME, "not UTF-8"},
        {{.outputs = &output, .n_outputs = 1, .real = CUPEL_TYPE_I64},
         CUPEL_STATUS_TYPE,
         "not i64"},
        {{.outputs = &output, .n_outputs = 1, .real = CUPEL_TYPE_F64},
         CUPEL_STATUS_TYPE,
         "needs parameters of type f64"},
        {{.outputs = &output, .n_outputs = 1, .threads = -1},
         CUPEL_STATUS_INVALID_ARGUMENT,
         "-1 threads"},
        {{.outputs = &output, .n_outputs = 1, .method = (cupel_plan_method)2},
         CUPEL_STATUS_INVALID_ARGUMENT,
         "2 is no method"},
        {{.n_outputs = 0}, CUPEL_STATUS_INVALID_ARGUMENT, "nothing to compute"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("row %zu", i);
        CHECK_STATUS(cupel_program_compile(&program, m.graph, &rows[i].options), rows[i].status);
        CHECK(program == NULL);
        CHECK_CONTAINS(cupel_graph_error(m.graph), rows[i].part);
        CHECK_CONTAINS(cupel_context_error(m.context), rows[i].part);
        CHECK_OK(cupel_graph_check(m.graph)); /* the graph itself is fine */
    }
    compile(&m, false, 1, &output);
    close_machine(&m);
}

/* --- runs that are refused --- */

static void strangers_are_refused(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    struct machine other = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    small_program(&other, false);
    CHECK_STATUS(cupel_program_run(m.program, other.bindings, m.workspace, NULL), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_program_error(m.program), "the bindings belong to program test");
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, other.workspace, NULL), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_workspace_reserve(other.workspace, m.program), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_workspace_error(other.workspace), "belongs to another context");
    cupel_workspace *empty = NULL;
    CHECK_OK(cupel_workspace_create(&empty, m.context));
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, empty, NULL), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_program_error(m.program), "call cupel_workspace_reserve()");
    CHECK_OK(cupel_workspace_destroy(empty));
    run(&m);
    close_machine(&m);
    close_machine(&other);
}

static void options_of_a_run_are_checked(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false); /* for one thread */
    const struct {
        cupel_run_options options;
        const char *part;
    } rows[] = {
        {{.threads = 2}, "compiled for 1 threads"},
        {{.threads = -1}, "cannot run with -1"},
        {{.stop_at_non_finite = true}, "is no reference program"},
    };
    for (size_t i = 0; i < 3; i++) {
        CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, &rows[i].options),
                     CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(cupel_program_error(m.program), rows[i].part);
    }
    close_machine(&m);
}

/* Steps are timed one after the other, on any device; a prologue that does not run has no time. */
static void steps_are_timed(void **state) {
    (void)state;
    static const char *const devices[] = {"reference", "cpu"};
    for (int d = 0; d < 2; d++) {
        check_context("%s", devices[d]);
        struct machine m = open_machine(devices[d], CUPEL_TYPE_F32);
        const cupel_node w =
            cupel_parameter(m.graph, "w", CUPEL_SHAPE(4), (cupel_init){.kind = CUPEL_INIT_ONES});
        const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4));
        const cupel_output output = {"y", cupel_mul(x, cupel_softmax(w, 0))};
        compile(&m, false, 1, &output);
        const size_t n = cupel_program_get_info(m.program).steps;
        cupel_step_time times[8];
        CHECK(n >= 2 && n <= 8);
        for (int round = 0; round < 2; round++) {
            const cupel_run_options options = {.times = times};
            memset(times, 1, sizeof times);
            CHECK_OK(cupel_program_run(m.program, m.bindings, m.workspace, &options));
            double last = 0;
            int idle = 0;
            for (size_t i = 0; i < n; i++) {
                const cupel_step_info step = cupel_program_get_step(m.program, i);
                CHECK(step.node != NULL && step.op != NULL && step.kernel != NULL);
                CHECK(step.bytes >= 2 * 4 * sizeof(float) && step.threads == 1);
                if (step.prologue && round == 1) {
                    CHECK(times[i].begin == 0 && times[i].end == 0);
                    idle++;
                    continue;
                }
                CHECK(times[i].begin >= last && times[i].end >= times[i].begin);
                last = times[i].end;
            }
            CHECK_I64(idle, round);
        }
        CHECK(cupel_program_get_step(m.program, n).node == NULL);
        close_machine(&m);
    }
}

/* From inside a run: the visitor tries what is not allowed meanwhile. */
static cupel_status meddle(void *user, const char *node, const char *op, uint32_t output,
                           const cupel_desc *desc, const void *values) {
    struct machine *const m = user;
    (void)node, (void)op, (void)output, (void)desc, (void)values;
    float y[12];
    const double s = 1;
    cupel_bindings *bindings = NULL;
    CHECK_STATUS(cupel_program_run(m->program, m->bindings, m->workspace, NULL), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_bindings_write_scalar(m->bindings, "s", s), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_bindings_read(m->bindings, "y", y, sizeof y), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_bindings_destroy(m->bindings), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_workspace_destroy(m->workspace), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_workspace_reserve(m->workspace, m->program), CUPEL_STATUS_BUG);
    CHECK_STATUS(cupel_program_destroy(m->program), CUPEL_STATUS_BUG);
    /* Another set of bindings for the program is not enough, nor another workspace. */
    CHECK_OK(cupel_bindings_create(&bindings, m->program));
    CHECK_STATUS(cupel_program_run(m->program, bindings, m->workspace, NULL), CUPEL_STATUS_BUG);
    CHECK_OK(cupel_bindings_destroy(bindings));
    return CUPEL_STATUS_INTERRUPTED;
}

static void two_runs_at_once_are_refused(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, true);
    const cupel_run_options options = {.visitor = meddle, .visitor_user = &m};
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, &options),
                 CUPEL_STATUS_INTERRUPTED);
    run(&m); /* all is free again */
    close_machine(&m);
}

static void one_workspace_serves_programs_in_turn(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    cupel_graph *graph = NULL;
    cupel_program *large = NULL;
    cupel_bindings *bindings = NULL;
    CHECK_OK(cupel_graph_create(&graph, m.context, NULL));
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(100, 100));
    const cupel_output output = {"y", cupel_matmul(cupel_exp(x), cupel_neg(x), false, false)};
    const cupel_compile_options options = {.outputs = &output, .n_outputs = 1};
    CHECK_OK_TEXT(cupel_program_compile(&large, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_bindings_create(&bindings, large));
    CHECK_STATUS(cupel_program_run(large, bindings, m.workspace, NULL), CUPEL_STATUS_BUG);
    CHECK_OK(cupel_workspace_reserve(m.workspace, large));
    CHECK_OK(cupel_program_run(large, bindings, m.workspace, NULL));
    run(&m);
    CHECK_OK(cupel_workspace_reserve(m.workspace, m.program)); /* never shrinks */
    CHECK_OK(cupel_program_run(large, bindings, m.workspace, NULL));
    CHECK_OK(cupel_bindings_destroy(bindings));
    CHECK_OK(cupel_program_destroy(large));
    CHECK_OK(cupel_graph_destroy(graph));
    close_machine(&m);
}

/* --- inputs and outputs --- */

static void names_sizes_and_bounds_are_checked(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    float x[12] = {0};
    CHECK_STATUS(cupel_bindings_write(m.bindings, "z", x, sizeof x), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_bindings_error(m.bindings), "program test has no input named 'z'");
    CHECK_STATUS(cupel_bindings_write(m.bindings, "y", x, sizeof x), CUPEL_STATUS_NAME);
    CHECK_STATUS(cupel_bindings_read(m.bindings, "z", x, sizeof x), CUPEL_STATUS_NAME);
    CHECK_STATUS(cupel_bindings_write(m.bindings, "x", x, 44), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_bindings_error(m.bindings), "'x' of program test is f32 [4, 3], 48 bytes");
    CHECK_STATUS(cupel_bindings_read(m.bindings, "y", x, 4), CUPEL_STATUS_SHAPE);
    const int64_t good[] = {3, 0}, high[] = {0, 4}, low[] = {-1, 0};
    CHECK_OK(cupel_bindings_write(m.bindings, "i", good, sizeof good));
    CHECK_STATUS(cupel_bindings_write(m.bindings, "i", high, sizeof high),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_bindings_error(m.bindings),
                   "input 'i': index 4 at element 1 is outside 0 to 3");
    CHECK_STATUS(cupel_bindings_write(m.bindings, "i", low, sizeof low),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    int64_t read[2]; /* the refused ones were not written */
    CHECK_OK(cupel_bindings_read(m.bindings, "i", read, sizeof read));
    CHECK(memcmp(read, good, sizeof good) == 0);
    CHECK(cupel_bindings_desc(m.bindings, "z") == NULL);
    CHECK_I64(cupel_bindings_desc(m.bindings, "x")->type, CUPEL_TYPE_F32);
    CHECK(cupel_shape_equal(cupel_bindings_desc(m.bindings, "rows")->shape, CUPEL_SHAPE(2, 3)));
    close_machine(&m);
}

static void unwritten_inputs_are_zero(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(5));
    const cupel_output output = {"y", cupel_offset(x, 2)};
    compile(&m, false, 1, &output);
    float y[5];
    run(&m);
    CHECK_OK(cupel_bindings_read(m.bindings, "y", y, sizeof y));
    for (int i = 0; i < 5; i++)
        CHECK_F64(y[i], 2);
    close_machine(&m);
}

/* Lent memory is read where it lies and never written; what does not begin as the device's memory
 * does is copied; writing ends a loan. */
static void inputs_are_lent(void **state) {
    (void)state;
    static const char *const devices[] = {"reference", "cpu"};
    static _Alignas(64) float lent[33];
    for (int d = 0; d < 2; d++) {
        check_context("device %s", devices[d]);
        struct machine m = open_machine(devices[d], CUPEL_TYPE_F32);
        const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(32));
        const cupel_output output = {"y", cupel_offset(cupel_relu(x), 2)};
        compile(&m, false, 1, &output);
        const float other[32] = {70};
        float y[32], read[32];
        for (int i = 0; i < 33; i++)
            lent[i] = (float)i;
        for (int from = 0; from < 2; from++) { /* aligned, and not */
            CHECK_OK(cupel_bindings_lend(m.bindings, "x", lent + from, sizeof y));
            lent[1] = 30;
            for (int times = 0; times < 2; times++)
                run(&m);
            CHECK_OK(cupel_bindings_read(m.bindings, "y", y, sizeof y));
            CHECK_OK(cupel_bindings_read(m.bindings, "x", read, sizeof read));
            for (int i = 0; i < 32; i++) {
                const float given = i == 1 - from ? (from == 0 ? 30 : 1) : (float)(i + from);
                CHECK_F64(read[i], given);
                CHECK_F64(y[i], given + 2);
                CHECK_F64(lent[i], i == 1 ? 30 : i);
            }
            lent[1] = 1;
        }
        CHECK_OK(cupel_bindings_lend(m.bindings, "x", lent, sizeof y));
        CHECK_OK(cupel_bindings_write(m.bindings, "x", other, sizeof other));
        run(&m);
        CHECK_OK(cupel_bindings_read(m.bindings, "y", y, sizeof y));
        CHECK_F64(y[0], 72);
        CHECK_F64(lent[0], 0);
        CHECK_STATUS(cupel_bindings_lend(m.bindings, "y", lent, sizeof y), CUPEL_STATUS_NAME);
        CHECK_STATUS(cupel_bindings_lend(m.bindings, "x", lent, 4), CUPEL_STATUS_SHAPE);
        close_machine(&m);
    }
}

/* A device with memory of its own has what was lent as it was then. */
static void what_a_device_cannot_read_is_copied(void **state) {
    (void)state;
    static _Alignas(64) float lent[32] = {1};
    struct machine m = {0};
    CHECK_OK(context_create_with_backend(&m.context, untouchable_create(0), NULL));
    CHECK_OK(cupel_parameters_create(&m.parameters, m.context, CUPEL_TYPE_F32, 1));
    CHECK_OK(cupel_graph_create(&m.graph, m.context, m.parameters));
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(32));
    const cupel_output output = {"y", cupel_offset(x, 2)};
    compile(&m, false, 1, &output);
    float y[32];
    CHECK_OK(cupel_bindings_lend(m.bindings, "x", lent, sizeof y));
    lent[0] = 5;
    run(&m);
    CHECK_OK(cupel_bindings_read(m.bindings, "y", y, sizeof y));
    CHECK_F64(y[0], 3);
    close_machine(&m);
}

static void inputs_that_nothing_reads_are_gone(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(5));
    cupel_exp(cupel_input(m.graph, "unused", CUPEL_TYPE_REAL, CUPEL_SHAPE(5)));
    const cupel_output output = {"y", cupel_offset(x, 2)};
    compile(&m, false, 1, &output);
    CHECK(cupel_bindings_desc(m.bindings, "unused") == NULL);
    CHECK(cupel_bindings_desc(m.bindings, "x") != NULL);
    close_machine(&m);
}

static void two_bindings_do_not_mix(void **state) {
    (void)state;
    struct machine m = open_machine("cpu", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    const cupel_output outputs[] = {{"y", cupel_scale(x, 2)}, {"x again", x}};
    compile(&m, false, 2, outputs);
    cupel_bindings *other = NULL;
    CHECK_OK(cupel_bindings_create(&other, m.program));
    const float a[] = {1, 2}, b[] = {3, 4};
    float read[2];
    CHECK_OK(cupel_bindings_write(m.bindings, "x", a, sizeof a));
    CHECK_OK(cupel_bindings_write(other, "x", b, sizeof b));
    run(&m);
    CHECK_OK(cupel_program_run(m.program, other, m.workspace, NULL));
    CHECK_OK(cupel_bindings_read(m.bindings, "y", read, sizeof read));
    CHECK_F64(read[1], 4);
    CHECK_OK(cupel_bindings_read(other, "x again", read, sizeof read));
    CHECK_F64(read[0], 3);
    CHECK_OK(cupel_bindings_read(other, "y", read, sizeof read));
    CHECK_F64(read[0], 6);
    CHECK_OK(cupel_bindings_destroy(other));
    close_machine(&m);
}

/* --- the loss guard --- */

static void export(struct machine *m, cupel_tensors **out) {
    CHECK_OK(cupel_tensors_create(out));
    CHECK_OK(cupel_parameters_export(m->parameters, *out, "", false));
}

static void expect_unchanged(struct machine *m, const cupel_tensors *before) {
    cupel_tensors *after = NULL;
    export(m, &after);
    for (size_t i = 0; i < cupel_tensors_count(before); i++) {
        const cupel_tensor *const a = cupel_tensors_at(before, i), *b = cupel_tensors_at(after, i);
        if (memcmp(a->data, b->data, cupel_desc_bytes(&a->desc)) != 0)
            check_failed(__FILE__, __LINE__, "'%s' changed", a->name);
    }
    cupel_tensors_destroy(after);
}

/* A step with convolution, batch norm and Adam, whose loss takes the logarithm of an input. */
static void build_step(struct machine *m, cupel_output *output) {
    cupel_graph *const g = m->graph;
    const cupel_node x = cupel_input(g, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 1, 6, 6));
    const cupel_node scale = cupel_input(g, "scale", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node h = cupel_layer_conv2d(x, "conv", 2, 3, NULL, NULL);
    h = cupel_tanh(cupel_layer_batch_norm(h, "bn", true, .1, 1e-5));
    h = cupel_layer_dense(cupel_reshape(h, CUPEL_SHAPE(3, -1)), "fc", 2, NULL);
    const cupel_node risk = cupel_named(cupel_log(scale), "risk");
    const cupel_node loss =
        cupel_add(cupel_reduce_mean(cupel_square(h), CUPEL_ALL_AXES, false), risk);
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(g, "adam", &adam, cupel_scalar(g, .01), loss, "");
    *output = (cupel_output){"loss", loss};
}

static void a_step_into_nan_changes_nothing_and_is_replayed(void **state) {
    (void)state;
    static const char *const devices[] = {"reference", "cpu"};
    for (int d = 0; d < 2; d++) {
        check_context("device %s", devices[d]);
        struct machine m = open_machine(devices[d], CUPEL_TYPE_F32);
        cupel_output output;
        build_step(&m, &output);
        compile(&m, false, 1, &output);
        float x[108];
        for (int i = 0; i < 108; i++)
            x[i] = (float)(i % 13) / 13.0f;
        CHECK_OK(cupel_bindings_write(m.bindings, "x", x, sizeof x));
        CHECK_OK(cupel_bindings_write_scalar(m.bindings, "scale", 2));
        run(&m);
        run(&m);
        cupel_tensors *before = NULL;
        export(&m, &before);
        /* The scale is bad; then an input. */
        CHECK_OK(cupel_bindings_write_scalar(m.bindings, "scale", -1));
        CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, NULL),
                     CUPEL_STATUS_NOT_FINITE);
        expect_unchanged(&m, before);
        /* The same graph in reference mode names the node; names join the two. */
        struct machine replay = m;
        compile(&replay, true, 1, &output);
        CHECK_OK(cupel_bindings_write(replay.bindings, "x", x, sizeof x));
        CHECK_OK(cupel_bindings_write_scalar(replay.bindings, "scale", -1));
        const cupel_run_options options = {.stop_at_non_finite = true};
        CHECK_STATUS(cupel_program_run(replay.program, replay.bindings, replay.workspace, &options),
                     CUPEL_STATUS_NOT_FINITE);
        CHECK_CONTAINS(cupel_program_error(replay.program), "node 'risk' (log)");
        expect_unchanged(&m, before);
        x[50] = NAN;
        CHECK_OK(cupel_bindings_write(replay.bindings, "x", x, sizeof x));
        CHECK_OK(cupel_bindings_write_scalar(replay.bindings, "scale", 1));
        CHECK_STATUS(cupel_program_run(replay.program, replay.bindings, replay.workspace, &options),
                     CUPEL_STATUS_NOT_FINITE);
        CHECK_CONTAINS(cupel_program_error(replay.program), "(conv2d)");
        expect_unchanged(&m, before);
        CHECK_OK(cupel_bindings_destroy(replay.bindings));
        CHECK_OK(cupel_workspace_destroy(replay.workspace));
        CHECK_OK(cupel_program_destroy(replay.program));
        /* And training goes on as if nothing had been. */
        CHECK_OK(cupel_bindings_write_scalar(m.bindings, "scale", 2));
        run(&m);
        CHECK_OK(cupel_parameters_check_finite(m.parameters));
        cupel_tensors_destroy(before);
        close_machine(&m);
    }
}

/* --- visitors --- */

struct seen {
    int count;
    bool tanh;
    double value;
};

static cupel_status look(void *user, const char *node, const char *op, uint32_t output,
                         const cupel_desc *desc, const void *values) {
    struct seen *const seen = user;
    (void)output;
    seen->count++;
    if (strcmp(node, "inner") == 0) {
        CHECK_STRING(op, "tanh");
        CHECK(cupel_shape_equal(desc->shape, CUPEL_SHAPE(2)));
        CHECK_I64(desc->type, CUPEL_TYPE_F64);
        seen->tanh = true;
        seen->value = ((const double *)values)[1];
    }
    return CUPEL_STATUS_OK;
}

static void visitors_see_every_value(void **state) {
    (void)state;
    struct machine m = open_machine("cpu", CUPEL_TYPE_F64);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    const cupel_node h = cupel_named(cupel_tanh(cupel_scale(x, 2)), "inner");
    const cupel_output output = {"y", cupel_exp(cupel_reshape(h, CUPEL_SHAPE(2, 1)))};
    compile(&m, true, 1, &output);
    const double values[] = {.5, -.25};
    CHECK_OK(cupel_bindings_write(m.bindings, "x", values, sizeof values));
    struct seen seen = {0};
    const cupel_run_options options = {.visitor = look, .visitor_user = &seen};
    CHECK_OK(cupel_program_run(m.program, m.bindings, m.workspace, &options));
    CHECK(seen.tanh);
    CHECK_NEAR(seen.value, tanh(-.5), 1e-15);
    CHECK_I64(seen.count, 4); /* mul, tanh, reshape, exp */
    close_machine(&m);
}

/* --- what it tells --- */

static char *printed(const cupel_program *program) {
    static char text[65536];
    FILE *const stream = tmpfile();
    CHECK(stream != NULL);
    CHECK_OK(cupel_program_print(program, stream));
    rewind(stream);
    const size_t n = fread(text, 1, sizeof text - 1, stream);
    text[n] = '\0';
    fclose(stream);
    return text;
}

static void a_program_prints_itself(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    small_program(&m, false);
    const char *const text = printed(m.program);
    CHECK_CONTAINS(text, "program test: ");
    CHECK_CONTAINS(text, "matmul");
    CHECK_CONTAINS(text, "f32 [4, 3]");
    CHECK_CONTAINS(text, "plain");
    CHECK_CONTAINS(text, "arena map");
    CHECK_CONTAINS(text, "in  x: f32 [4, 3]");
    CHECK_CONTAINS(text, "out rows: f32 [2, 3]");
    CHECK_CONTAINS(text, "MFLOP");
    char hash[64]; /* a plan has another, so it says whose it is */
    snprintf(hash, sizeof hash, "\nprogram hash %016" PRIx64 " of order, kernels and layouts\n",
             cupel_program_hash(m.program));
    CHECK_CONTAINS(text, hash);
    close_machine(&m);
}

static void a_program_counts(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(64, 128));
    const cupel_node w =
        cupel_parameter(m.graph, "w", CUPEL_SHAPE(128, 100), (cupel_init){.kind = CUPEL_INIT_ONES});
    const cupel_output output = {"y", cupel_matmul(x, w, false, false)};
    compile(&m, false, 1, &output);
    const cupel_program_info info = cupel_program_get_info(m.program);
    CHECK_U64(info.steps, 1);
    CHECK_U64(info.reorders, 0);
    CHECK_F64(info.flops, 2. * 64 * 128 * 100);
    CHECK_U64(info.reference_steps_over_1mflop, 1);
    CHECK(info.planned_bytes >= info.live_bytes && info.naive_bytes >= info.planned_bytes);
    close_machine(&m);
}

static void equal_programs_have_equal_hashes(void **state) {
    (void)state;
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        struct machine m = open_machine("cpu", CUPEL_TYPE_F32);
        const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
        cupel_node y = cupel_layer_dense(x, "fc", 3, NULL);
        y = i == 2 ? cupel_softmax(y, 1) : cupel_log_softmax(y, 1);
        const cupel_output output = {"y", y};
        compile(&m, false, 1, &output);
        hashes[i] = cupel_program_hash(m.program);
        close_machine(&m);
    }
    CHECK_U64(hashes[0], hashes[1]);
    CHECK(hashes[0] != hashes[2]);
}

static int warnings;

static void count_warnings(void *user, const char *level, const char *line) {
    (void)user;
    if (strcmp(level, "warning") == 0 && strstr(line, "slow reference kernel") != NULL)
        warnings++;
}

static cupel_status slow_run(const cupel_op_call *call) {
    (void)call;
    return CUPEL_STATUS_OK;
}

static double slow_flops(const cupel_op_view *view) {
    (void)view;
    return 2e6;
}

static cupel_status slow_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static const cupel_op slow_op = {.size = sizeof slow_op,
                                 .version = CUPEL_OP_VERSION,
                                 .name = "slow",
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .n_outputs = 1,
                                 .infer = slow_infer,
                                 .flops = slow_flops,
                                 .run = slow_run};

/* A reference kernel for more than a MFLOP is worth a warning on a fast device, in a fast program;
 * an op from outside, which brings its own, is not. */
static void slow_kernels_are_warned_of(void **state) {
    (void)state;
    enum { ON_CPU, ON_REFERENCE, AS_REFERENCE, FROM_OUTSIDE, WAYS, SIDE = 128 };
    CHECK_I64(setenv("CUPEL_DISABLE", "vec,onednn", 1), 0);
    for (int way = 0; way < WAYS; way++) {
        check_context("way %d", way);
        warnings = 0;
        struct machine m = {0};
        CHECK_OK(cupel_context_create(
            &m.context,
            &(cupel_context_options){.device = way == ON_REFERENCE ? "reference" : "cpu",
                                     .log = count_warnings}));
        CHECK_OK(cupel_context_register_op(m.context, &slow_op));
        CHECK_OK(cupel_parameters_create(&m.parameters, m.context, CUPEL_TYPE_F32, 1));
        CHECK_OK(cupel_graph_create(&m.graph, m.context, m.parameters));
        const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(SIDE, SIDE));
        const cupel_output output = {"y", way == FROM_OUTSIDE
                                              ? cupel_apply(m.graph, &slow_op, NULL, 1, &x)
                                              : cupel_matmul(x, x, false, false)};
        compile(&m, way == AS_REFERENCE, 1, &output);
        CHECK_I64(warnings, way == ON_CPU);
        CHECK_U64(cupel_program_get_info(m.program).reference_steps_over_1mflop,
                  way != FROM_OUTSIDE);
        close_machine(&m);
    }
    CHECK_I64(unsetenv("CUPEL_DISABLE"), 0);
}

/* --- random graphs --- */

struct result {
    double *values[RANDOM_GRAPH_OUTPUTS];
    size_t counts[RANDOM_GRAPH_OUTPUTS];
};

static void run_random(const char *device, cupel_type real, bool reference, int threads,
                       uint64_t seed, struct result *out) {
    struct machine m = open_machine(device, real == CUPEL_TYPE_F64 ? real : CUPEL_TYPE_F32);
    struct random_graph r;
    random_graph_build(&r, m.graph,
                       (struct random_graph_options){.seed = seed,
                                                     .nodes = 5 + (int)(seed * 13 % 50),
                                                     .smooth = true,
                                                     .variables = true,
                                                     .assigns = true,
                                                     .randomness = true});
    const cupel_compile_options options = {.outputs = r.outputs,
                                           .n_outputs = (size_t)r.n_outputs,
                                           .real = real,
                                           .reference = reference,
                                           .threads = threads};
    CHECK_OK_TEXT(cupel_program_compile(&m.program, m.graph, &options), cupel_graph_error(m.graph));
    CHECK_OK(cupel_workspace_create(&m.workspace, m.context));
    CHECK_OK(cupel_workspace_reserve(m.workspace, m.program));
    CHECK_OK(cupel_bindings_create(&m.bindings, m.program));
    for (uint64_t i = 0; i < 2; i++) {
        random_graph_write(&r, m.bindings, i);
        run(&m);
    }
    for (int i = 0; i < r.n_outputs; i++) {
        const cupel_desc *const desc = cupel_bindings_desc(m.bindings, r.outputs[i].name);
        const size_t n = (size_t)cupel_shape_count(desc->shape);
        float *const narrow = calloc(n, sizeof *narrow);
        out->values[i] = calloc(n, sizeof(double));
        out->counts[i] = n;
        CHECK(narrow != NULL && out->values[i] != NULL);
        if (desc->type == CUPEL_TYPE_F64)
            CHECK_OK(cupel_bindings_read(m.bindings, r.outputs[i].name, out->values[i], n * 8));
        else
            CHECK_OK(cupel_bindings_read(m.bindings, r.outputs[i].name, narrow, n * 4));
        for (size_t k = 0; k < n && desc->type != CUPEL_TYPE_F64; k++)
            out->values[i][k] = (double)narrow[k];
        free(narrow);
    }
    close_machine(&m);
}

/* Fast kernels, fused and in place, stay near the f64 reference; 1 and 2 threads give one result;
 * simplified programs of reference kernels have its bits. */
static void random_graphs_agree_on_every_device(void **state) {
    (void)state;
    static const struct {
        const char *device;
        cupel_type real;
        bool reference;
        int threads;
        double tolerance;
    } ways[] = {
        {"reference", CUPEL_TYPE_F64, false, 1, 0},   {"cpu", CUPEL_TYPE_F64, true, 1, 0},
        {"reference", CUPEL_TYPE_F32, true, 1, 2e-4}, {"cpu", CUPEL_TYPE_F32, false, 1, 2e-4},
        {"cpu", CUPEL_TYPE_F32, false, 2, 2e-4},
    };
    double worst = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct result expected = {0};
        run_random("reference", CUPEL_TYPE_F64, true, 1, seed, &expected);
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            struct result result = {0};
            check_context("seed %" PRIu64 ", device %s, %s, reference %d, %d threads", seed,
                          ways[w].device, cupel_type_name(ways[w].real), ways[w].reference,
                          ways[w].threads);
            run_random(ways[w].device, ways[w].real, ways[w].reference, ways[w].threads, seed,
                       &result);
            for (int i = 0; i < RANDOM_GRAPH_OUTPUTS; i++) {
                CHECK_U64(result.counts[i], expected.counts[i]);
                for (size_t k = 0; k < result.counts[i]; k++) {
                    const double a = result.values[i][k], b = expected.values[i][k];
                    const double error = fabs(a - b) / (1 + fabs(b));
                    worst = error > worst ? error : worst;
                    if (!(a == b || error <= ways[w].tolerance))
                        check_failed(__FILE__, __LINE__, "y%d, element %zu: %.9g, expected %.9g", i,
                                     k, a, b);
                }
                free(result.values[i]);
            }
        }
        for (int i = 0; i < RANDOM_GRAPH_OUTPUTS; i++)
            free(expected.values[i]);
    }
    print_message("worst error in f32: %.2g\n", worst);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_outlives_its_graph),
        cmocka_unit_test(destroying_in_the_wrong_order_is_told),
        cmocka_unit_test(a_failed_compile_leaves_its_sentence),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(options_of_a_run_are_checked),
        cmocka_unit_test(steps_are_timed),
        cmocka_unit_test(two_runs_at_once_are_refused),
        cmocka_unit_test(one_workspace_serves_programs_in_turn),
        cmocka_unit_test(names_sizes_and_bounds_are_checked),
        cmocka_unit_test(unwritten_inputs_are_zero),
        cmocka_unit_test(inputs_are_lent),
        cmocka_unit_test(what_a_device_cannot_read_is_copied),
        cmocka_unit_test(inputs_that_nothing_reads_are_gone),
        cmocka_unit_test(two_bindings_do_not_mix),
        cmocka_unit_test(a_step_into_nan_changes_nothing_and_is_replayed),
        cmocka_unit_test(visitors_see_every_value),
        cmocka_unit_test(a_program_prints_itself),
        cmocka_unit_test(a_program_counts),
        cmocka_unit_test(equal_programs_have_equal_hashes),
        cmocka_unit_test(slow_kernels_are_warned_of),
        cmocka_unit_test(random_graphs_agree_on_every_device),
    };
    return CHECK_MAIN(tests);
}
