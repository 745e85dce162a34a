/*
 * Differentiation of whole graphs: random expressions against finite differences in f64, gradients
 * at inner nodes, several calls, sums in node order, stop_gradient, and what is refused.
 */
#include "support/check.h"
#include "support/random_graph.h"

#include <stdlib.h>

#include <cupel/layers.h>
#include <cupel/op.h>

#include "graph/context_internal.h"
#include "graph/graph_internal.h"

static cupel_context *context;
static cupel_graph *graph;

static int open_graph(void **state) {
    check_state()->test = *state;
    CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = "reference"}));
    CHECK_OK(cupel_graph_create(&graph, context, NULL));
    return 0;
}

static int close_graph(void **state) {
    (void)state;
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_context_destroy(context));
    return 0;
}

static cupel_node input(const char *name, cupel_shape shape) {
    return (cupel_input)(graph, name, CUPEL_TYPE_REAL, shape);
}

static cupel_node sum(cupel_node x) {
    return cupel_reduce_sum(x, CUPEL_ALL_AXES, false);
}

/* --- running a graph in f64 --- */

struct machine {
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
};

static struct machine compile(size_t n, const cupel_output *outputs, bool reference) {
    struct machine m = {0};
    const cupel_compile_options options = {
        .outputs = outputs, .n_outputs = n, .real = CUPEL_TYPE_F64, .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&m.program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_workspace_create(&m.workspace, context));
    CHECK_OK(cupel_workspace_reserve(m.workspace, m.program));
    CHECK_OK(cupel_bindings_create(&m.bindings, m.program));
    return m;
}

static void close_machine(struct machine *m) {
    CHECK_OK(cupel_bindings_destroy(m->bindings));
    CHECK_OK(cupel_workspace_destroy(m->workspace));
    CHECK_OK(cupel_program_destroy(m->program));
}

static void run(struct machine *m) {
    CHECK_OK_TEXT(cupel_program_run(m->program, m->bindings, m->workspace, NULL),
                  cupel_program_error(m->program));
}

static void read_output(struct machine *m, const char *name, double *values) {
    CHECK_OK(cupel_bindings_read(m->bindings, name, values,
                                 cupel_desc_bytes(cupel_bindings_desc(m->bindings, name))));
}

/* One scalar, one input "x" of n doubles. */
static void expect_gradient(cupel_node loss, cupel_node wrt, const double *x, size_t n,
                            const double *expected, size_t count) {
    cupel_node gradient;
    CHECK_OK_TEXT(cupel_graph_add_gradients(graph, loss, 1, &wrt, &gradient),
                  cupel_graph_error(graph));
    const cupel_output output = {"gradient", gradient};
    struct machine m = compile(1, &output, false);
    double values[64];
    CHECK(count <= 64);
    if (cupel_bindings_desc(m.bindings, "x") != NULL)
        CHECK_OK(cupel_bindings_write(m.bindings, "x", x, n * sizeof *x));
    run(&m);
    read_output(&m, "gradient", values);
    for (size_t i = 0; i < count; i++)
        CHECK_NEAR(values[i], expected[i], 1e-12 * (1 + fabs(expected[i])));
    close_machine(&m);
}

/* --- random expressions --- */

enum { MOST = 512 };

struct trial {
    struct random_graph r;
    struct machine m;
    double values[RANDOM_GRAPH_INPUTS][MOST];
    size_t counts[RANDOM_GRAPH_INPUTS];
};

static double loss_at(struct trial *t, int along, const double *direction, double step) {
    double loss;
    for (int i = 0; i < t->r.n_inputs; i++) {
        char name[16];
        double moved[MOST];
        snprintf(name, sizeof name, "x%d", i);
        for (size_t k = 0; k < t->counts[i]; k++)
            moved[k] = t->values[i][k] + (i == along ? step * direction[k] : 0);
        CHECK_OK(cupel_bindings_write(t->m.bindings, name, moved, t->counts[i] * sizeof *moved));
    }
    run(&t->m);
    read_output(&t->m, "loss", &loss);
    return loss;
}

/* d loss / d input along a random direction, by a difference of fourth order. */
static void check_direction(struct trial *t, int i, uint64_t *random, double *worst) {
    static const char *const gradients[] = {"g0", "g1", "g2", "g3", "g4", "g5"};
    double direction[MOST], gradient[MOST], expected = 0, scale = 0;
    for (size_t k = 0; k < t->counts[i]; k++)
        direction[k] = random_between(random, -1, 1);
    (void)loss_at(t, -1, NULL, 0);
    read_output(&t->m, gradients[i], gradient);
    for (size_t k = 0; k < t->counts[i]; k++) {
        expected += gradient[k] * direction[k];
        scale += fabs(gradient[k] * direction[k]);
    }
    const double h = 1e-3;
    const double difference =
        (8 * (loss_at(t, i, direction, h) - loss_at(t, i, direction, -h)) -
         (loss_at(t, i, direction, 2 * h) - loss_at(t, i, direction, -2 * h))) /
        (12 * h);
    const double error = fabs(difference - expected) / (1 + scale);
    *worst = error > *worst ? error : *worst;
    if (!(error < 1e-7))
        check_failed(__FILE__, __LINE__, "input %d: gradient %.12g, difference %.12g", i, expected,
                     difference);
}

static void random_expressions_match_finite_differences(void **state) {
    (void)state;
    struct trial *const t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    double worst = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        cupel_graph *const outer = graph;
        uint64_t random = seed;
        CHECK_OK(cupel_graph_create(&graph, context, NULL));
        check_context("seed %" PRIu64, seed);
        random_graph_build(&t->r, graph,
                           (struct random_graph_options){
                               .seed = seed, .nodes = 4 + (int)(seed % 40), .smooth = true});
        cupel_node gradients[RANDOM_GRAPH_INPUTS];
        CHECK_OK_TEXT(cupel_graph_add_gradients(graph, t->r.loss, (size_t)t->r.n_inputs,
                                                t->r.inputs, gradients),
                      cupel_graph_error(graph));
        cupel_output outputs[RANDOM_GRAPH_INPUTS + 1] = {{"loss", t->r.loss},
                                                         {"g0", gradients[0]},
                                                         {"g1", gradients[1]},
                                                         {"g2", gradients[2]},
                                                         {"g3", gradients[3]}};
        t->m = compile((size_t)t->r.n_inputs + 1, outputs, seed % 2);
        for (int i = 0; i < t->r.n_inputs; i++) {
            t->counts[i] = (size_t)cupel_shape_count(cupel_node_shape(t->r.inputs[i]));
            CHECK(t->counts[i] <= MOST);
            for (size_t k = 0; k < t->counts[i]; k++)
                t->values[i][k] = random_between(&random, -1.2, 1.2);
        }
        for (int i = 0; i < t->r.n_inputs; i++)
            check_direction(t, i, &random, &worst);
        close_machine(&t->m);
        CHECK_OK(cupel_graph_destroy(graph));
        graph = outer;
    }
    print_message("worst error %.2g\n", worst);
    free(t);
}

/* --- in detail --- */

static void a_closed_form(void **state) {
    (void)state;
    /* sum(x^2 exp(x)): (2 x + x^2) exp(x) */
    const double x[] = {0, 1, -2, .5};
    double expected[4];
    for (int i = 0; i < 4; i++)
        expected[i] = (2 * x[i] + x[i] * x[i]) * exp(x[i]);
    const cupel_node in = input("x", CUPEL_SHAPE(4));
    expect_gradient(sum(cupel_mul(cupel_square(in), cupel_exp(in))), in, x, 4, expected, 4);
}

static void gradients_at_inner_nodes(void **state) {
    (void)state;
    /* h = 3 x, loss = sum(h^2) : d/dh = 2 h = 6 x */
    const double x[] = {1, -2}, expected[] = {6, -12};
    const cupel_node in = input("x", CUPEL_SHAPE(2)), h = cupel_scale(in, 3);
    expect_gradient(sum(cupel_square(h)), h, x, 2, expected, 2);
}

/* At a stopped node itself there is a gradient, beyond it there is none. */
static void stop_gradient_is_a_wall(void **state) {
    (void)state;
    const double x[] = {1, -2}, at[] = {2, -4}, before[] = {1, 1};
    const cupel_node in = input("x", CUPEL_SHAPE(2)), wall = cupel_stop_gradient(in);
    expect_gradient(sum(cupel_square(wall)), wall, x, 2, at, 2);
    /* x + stop(x)^2: the square does not count */
    expect_gradient(sum(cupel_add(in, cupel_square(wall))), in, x, 2, before, 2);
}

static void the_loss_itself_and_twice_the_same(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(3)), loss = sum(x);
    const cupel_node wrt[] = {loss, x, x};
    cupel_node out[3];
    CHECK_OK(cupel_graph_add_gradients(graph, loss, 3, wrt, out));
    CHECK_U64(out[1].id, out[2].id);
    const cupel_output outputs[] = {{"a", out[0]}, {"b", out[1]}, {"c", out[2]}};
    struct machine m = compile(3, outputs, false);
    double a, b[3], c[3];
    run(&m); /* x is not needed: the gradient is 1 */
    read_output(&m, "a", &a);
    read_output(&m, "b", b);
    read_output(&m, "c", c);
    CHECK_F64(a, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_F64(b[i], 1);
        CHECK_F64(c[i], 1);
    }
    close_machine(&m);
}

/* Two losses in one graph, the second built on the gradient of the first as on any node. */
static void it_can_be_called_again(void **state) {
    (void)state;
    const double x[] = {2, 3};
    const cupel_node in = input("x", CUPEL_SHAPE(2));
    cupel_node first, second;
    CHECK_OK(cupel_graph_add_gradients(graph, sum(cupel_square(in)), 1, &in, &first));
    CHECK_OK(cupel_graph_add_gradients(graph, sum(cupel_exp(in)), 1, &in, &second));
    /* the first gradient as a constant factor: a step of PGD, say */
    const cupel_node step = cupel_mul(cupel_sign(first), second);
    const cupel_output outputs[] = {{"first", first}, {"second", second}, {"step", step}};
    struct machine m = compile(3, outputs, false);
    double a[2], b[2], c[2];
    CHECK_OK(cupel_bindings_write(m.bindings, "x", x, sizeof x));
    run(&m);
    read_output(&m, "first", a);
    read_output(&m, "second", b);
    read_output(&m, "step", c);
    for (int i = 0; i < 2; i++) {
        CHECK_F64(a[i], 2 * x[i]);
        CHECK_NEAR(b[i], exp(x[i]), 1e-14);
        CHECK_F64(c[i], b[i]);
    }
    close_machine(&m);
}

/* Contributions are summed in the order of the nodes that made them: with 1, 1e16 and -1e16 the
 * order shows. */
static void contributions_are_summed_in_node_order(void **state) {
    (void)state;
    const double x[] = {1};
    const cupel_node in = input("x", CUPEL_SHAPE(1));
    const cupel_node a = cupel_scale(in, 1), b = cupel_scale(in, 1e16), c = cupel_scale(in, -1e16);
    /* the order in which the loss reads them is another one */
    const cupel_node loss = sum(cupel_add(cupel_add(b, c), a));
    const double expected[] = {(1 + 1e16) - 1e16}; /* 0; from the end it would be 1 */
    expect_gradient(loss, in, x, 1, expected, 1);
}

/* An op of two outputs, one of which goes round the loss. */
static void other_outputs_do_not_count(void **state) {
    (void)state;
    const double x[] = {1, 2, 6}, zeros[] = {0, 0, 0};
    const cupel_node in = input("x", CUPEL_SHAPE(3, 1));
    const cupel_node one = cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(1), 1);
    const cupel_node norm = cupel_batch_norm_train(in, one, one, .1);
    (void)cupel_exp(cupel_node_output(norm, 1));
    /* the sum of what is normalised does not depend on x */
    expect_gradient(sum(norm), in, x, 3, zeros, 3);
}

/* --- what is refused --- */

static void expect_refused(cupel_status status, const char *part) {
    CHECK_STATUS_TEXT(cupel_graph_check(graph), status, cupel_graph_error(graph));
    CHECK_CONTAINS(cupel_graph_error(graph), part);
}

static void a_wrt_that_is_not_reached_is_named(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2)), other = input("other", CUPEL_SHAPE(2));
    const cupel_node wrt[] = {x, other};
    cupel_node out[2];
    const cupel_node loss = cupel_named(sum(x), "loss");
    const int line = __LINE__ + 1;
    CHECK(cupel_graph_add_gradients(graph, loss, 2, wrt, out) != CUPEL_STATUS_OK);
    expect_refused(CUPEL_STATUS_INVALID_ARGUMENT, "'loss' does not depend on 'other'");
    char place[512];
    snprintf(place, sizeof place, "%s:%d: ", __FILE__, line);
    CHECK_CONTAINS(cupel_graph_error(graph), place);
}

static void what_lies_behind_the_loss_is_not_reached(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2)), loss = sum(x), after = cupel_exp(loss);
    cupel_node out;
    CHECK(cupel_graph_add_gradients(graph, loss, 1, &after, &out) != CUPEL_STATUS_OK);
    expect_refused(CUPEL_STATUS_INVALID_ARGUMENT, "does not depend on");
}

/* A loss of x [2] whose gradient ends somewhere on the way. */
static cupel_node behind_stop(cupel_node x) {
    return sum(cupel_named(cupel_stop_gradient(x), "wall"));
}

static cupel_node behind_sign(cupel_node x) {
    return sum(cupel_scale(cupel_named(cupel_sign(cupel_exp(x)), "wall"), 2));
}

static cupel_node behind_compare(cupel_node x) {
    return sum(cupel_named(cupel_compare(CUPEL_LESS, cupel_scalar(graph, 1), x), "wall"));
}

static cupel_node behind_integers(cupel_node x) {
    const cupel_node whole = cupel_named(cupel_cast(cupel_relu(x), CUPEL_TYPE_I64), "wall");
    return sum(cupel_cast(whole, CUPEL_TYPE_REAL));
}

static cupel_node behind_argmax(cupel_node x) {
    const cupel_node best = cupel_named(cupel_argmax(cupel_neg(x), 0), "wall");
    const cupel_node table = cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(2), 3);
    return sum(cupel_gather(table, cupel_reshape(best, CUPEL_SHAPE(1))));
}

static cupel_node behind_two(cupel_node x) {
    const cupel_node sign = cupel_named(cupel_sign(x), "wall");
    return sum(cupel_add(sign, cupel_stop_gradient(x)));
}

/* select adds nothing to its condition. */
static cupel_node behind_condition(cupel_node x) {
    const cupel_node one = cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(2), 1);
    return sum(cupel_named(cupel_select(cupel_exp(x), one, cupel_neg(one)), "wall"));
}

static void a_wrt_behind_a_wall_is_told_with_the_wall(void **state) {
    (void)state;
    static const struct {
        cupel_node (*loss)(cupel_node x);
        const char *part;
    } rows[] = {
        {behind_stop, "'x' only through stop_gradient (node 'wall'), which has no gradient"},
        {behind_sign, "'x' only through sign (node 'wall'), which has no gradient"},
        {behind_compare, "'x' only through compare (node 'wall'), which has no gradient"},
        {behind_integers, "'x' only through cast (node 'wall'), which has no gradient"},
        {behind_argmax, "'x' only through argmax (node 'wall'), which has no gradient"},
        {behind_condition, "'x' only through select (node 'wall'), which has no gradient"},
        {behind_two, "sign (node 'wall') and 1 more op, which have no gradient"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cupel_graph *const outer = graph;
        CHECK_OK(cupel_graph_create(&graph, context, NULL));
        const cupel_node x = input("x", CUPEL_SHAPE(2));
        cupel_node out;
        check_context("%s", rows[i].part);
        CHECK(cupel_graph_add_gradients(graph, rows[i].loss(x), 1, &x, &out) != CUPEL_STATUS_OK);
        expect_refused(CUPEL_STATUS_INVALID_ARGUMENT, rows[i].part);
        CHECK_OK(cupel_graph_destroy(graph));
        graph = outer;
    }
}

/* Another way past the wall is enough, and an end that the loss does not use is none of its. */
static void a_wall_beside_the_way_is_no_matter(void **state) {
    (void)state;
    const double x[] = {2, 3}, expected[] = {1, 1};
    const cupel_node in = input("x", CUPEL_SHAPE(2)), other = input("other", CUPEL_SHAPE(2));
    expect_gradient(sum(cupel_add(in, cupel_sign(in))), in, x, 2, expected, 2);
    (void)cupel_argmax(other, 0);
    cupel_node out;
    CHECK(cupel_graph_add_gradients(graph, sum(in), 1, &other, &out) != CUPEL_STATUS_OK);
    expect_refused(CUPEL_STATUS_INVALID_ARGUMENT, "does not depend on 'other'");
}

static void the_loss_is_a_real_scalar(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    cupel_node out;
    CHECK_STATUS(cupel_graph_add_gradients(graph, x, 1, &x, &out), CUPEL_STATUS_SHAPE);
    expect_refused(CUPEL_STATUS_SHAPE, "'x' has shape [2]");
}

static void a_wrt_is_real(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    const cupel_node i = cupel_input_index(graph, "i", CUPEL_SHAPE(2), 2);
    cupel_node out;
    CHECK_STATUS(cupel_graph_add_gradients(graph, sum(cupel_gather(x, i)), 1, &i, &out),
                 CUPEL_STATUS_TYPE);
    expect_refused(CUPEL_STATUS_TYPE, "'i'");
}

static void nodes_of_another_graph_are_refused(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        cupel_graph *other = NULL, *third = NULL;
        CHECK_OK(cupel_graph_create(&other, context, NULL));
        CHECK_OK(cupel_graph_create(&third, context, NULL));
        const cupel_node x = cupel_scalar(other, 1), y = cupel_scalar(third, 1);
        const cupel_node poison = cupel_graph_poison(third, CUPEL_STATUS_BUG, "poison");
        const cupel_node loss = way == 0 ? y : cupel_exp(x);
        const cupel_node wrt = way == 0 ? x : way == 1 ? y : poison;
        cupel_node out;
        CHECK(cupel_graph_add_gradients(other, loss, 1, &wrt, &out) != CUPEL_STATUS_OK);
        CHECK(cupel_is_poisoned(out));
        CHECK_OK(cupel_graph_destroy(other));
        CHECK_OK(cupel_graph_destroy(third));
    }
}

/* --- ops from outside --- */

static cupel_status same(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status copy(const cupel_op_call *call) {
    memcpy(call->outputs[0], call->inputs[0], cupel_desc_bytes(&call->input_descs[0]));
    return CUPEL_STATUS_OK;
}

static cupel_status wrong_shape(const cupel_adjoint *adjoint) {
    adjoint->diff_inputs[0] = cupel_scalar(adjoint->graph, 1);
    return CUPEL_STATUS_OK;
}

static cupel_status no_success(const cupel_adjoint *adjoint) {
    (void)adjoint;
    return CUPEL_STATUS_UNSUPPORTED;
}

static cupel_status reads_operand(const cupel_adjoint *adjoint) {
    adjoint->diff_inputs[0] = cupel_mul(adjoint->diff_outputs[0], adjoint->inputs[0]);
    return CUPEL_STATUS_OK;
}

static cupel_status reads_result(const cupel_adjoint *adjoint) {
    adjoint->diff_inputs[0] = cupel_mul(adjoint->diff_outputs[0], adjoint->outputs[0]);
    return CUPEL_STATUS_OK;
}

static void adjoints_from_outside_are_checked(void **state) {
    (void)state;
    static const struct {
        cupel_status (*adjoint)(const cupel_adjoint *adjoint);
        cupel_status status;
        const char *part;
    } rows[] = {
        {NULL, CUPEL_STATUS_UNSUPPORTED, "op outside (node 'it') has no gradient"},
        {wrong_shape, CUPEL_STATUS_BUG, "the adjoint of outside gives [] for operand 0"},
        {no_success, CUPEL_STATUS_UNSUPPORTED, "the adjoint of outside (node 'it') failed"},
        {reads_operand, CUPEL_STATUS_BUG, "the adjoint of outside reads an operand or a result"},
        {reads_result, CUPEL_STATUS_BUG, "the adjoint of outside reads an operand or a result"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const cupel_op op = {.size = sizeof op,
                             .version = CUPEL_OP_VERSION,
                             .name = "outside",
                             .min_inputs = 1,
                             .max_inputs = 1,
                             .n_outputs = 1,
                             .infer = same,
                             .adjoint = rows[i].adjoint,
                             .run = copy};
        cupel_graph *const outer = graph;
        cupel_context *own;
        CHECK_OK(cupel_context_create(&own, NULL));
        CHECK_OK(cupel_context_register_op(own, &op));
        CHECK_OK(cupel_graph_create(&graph, own, NULL));
        const cupel_node x = input("x", CUPEL_SHAPE(2));
        const cupel_node y = cupel_named(cupel_apply(graph, &op, NULL, 1, &x), "it");
        cupel_node out;
        CHECK(cupel_graph_add_gradients(graph, sum(y), 1, &x, &out) != CUPEL_STATUS_OK);
        expect_refused(rows[i].status, rows[i].part);
        CHECK_OK(cupel_graph_destroy(graph));
        CHECK_OK(cupel_context_destroy(own));
        graph = outer;
    }
}

/* Where no wanted value lies, an op may be without a gradient. */
static void what_is_not_wanted_needs_no_gradient(void **state) {
    (void)state;
    static const cupel_op op = {.size = sizeof op,
                                .version = CUPEL_OP_VERSION,
                                .name = "outside",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .n_outputs = 1,
                                .infer = same,
                                .run = copy};
    CHECK_OK(cupel_context_register_op(context, &op));
    const double x[] = {2, 3}, expected[] = {1, 1};
    const cupel_node in = input("x", CUPEL_SHAPE(2));
    const cupel_node fixed = cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(2), 5);
    const cupel_node other = cupel_apply(graph, &op, NULL, 1, &fixed);
    const size_t before = graph->list.count;
    expect_gradient(sum(cupel_add(in, other)), in, x, 2, expected, 2);
    /* nor does it get one: a sum, an add, a seed and what spreads it */
    CHECK(graph->list.count - before <= 6);
}

#define TEST(name) \
    cmocka_unit_test_prestate_setup_teardown(name, open_graph, close_graph, \
                                             (void *)(uintptr_t) #name)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(random_expressions_match_finite_differences),
        TEST(a_closed_form),
        TEST(gradients_at_inner_nodes),
        TEST(stop_gradient_is_a_wall),
        TEST(the_loss_itself_and_twice_the_same),
        TEST(it_can_be_called_again),
        TEST(contributions_are_summed_in_node_order),
        TEST(other_outputs_do_not_count),
        TEST(a_wrt_that_is_not_reached_is_named),
        TEST(what_lies_behind_the_loss_is_not_reached),
        TEST(a_wrt_behind_a_wall_is_told_with_the_wall),
        TEST(a_wall_beside_the_way_is_no_matter),
        TEST(the_loss_is_a_real_scalar),
        TEST(a_wrt_is_real),
        TEST(nodes_of_another_graph_are_refused),
        TEST(adjoints_from_outside_are_checked),
        TEST(what_is_not_wanted_needs_no_gradient),
    };
    return CHECK_MAIN(tests);
}
