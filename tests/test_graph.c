/*
 * Building graphs: nodes and names, scopes, the first error with the caller's line, poison that
 * spreads without harm, and what is refused.
 */
#include "support/check.h"

#include <stdlib.h>

#include <cupel/layers.h>
#include <cupel/op.h>

static cupel_context *context;
static cupel_parameters *parameters;
static cupel_graph *graph;

static int open_graph(void **state) {
    check_state()->test = *state;
    CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = "reference"}));
    CHECK_OK(cupel_parameters_create(&parameters, context, CUPEL_TYPE_F32, 1));
    CHECK_OK(cupel_graph_create(&graph, context, parameters));
    return 0;
}

static int close_graph(void **state) {
    (void)state;
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_parameters_destroy(parameters));
    CHECK_OK(cupel_context_destroy(context));
    return 0;
}

static cupel_node input(const char *name, cupel_shape shape) {
    return (cupel_input)(graph, name, CUPEL_TYPE_REAL, shape);
}

/* The graph's error has that status, names this file and that line, and holds the part. */
static void expect_error(cupel_status status, int line, const char *part) {
    char place[512];
    snprintf(place, sizeof place, "%s:%d: ", __FILE__, line);
    CHECK_STATUS_TEXT(cupel_graph_check(graph), status, cupel_graph_error(graph));
    if (line > 0)
        CHECK_CONTAINS(cupel_graph_error(graph), place);
    CHECK_CONTAINS(cupel_graph_error(graph), part);
}

/* --- nodes --- */

static void nodes_are_values(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3)), copy = x;
    CHECK(cupel_is_none(cupel_none()) && !cupel_is_none(x));
    CHECK(!cupel_is_poisoned(x) && !cupel_is_poisoned(cupel_none()));
    CHECK_STRING(cupel_node_name(copy), "x");
    CHECK_STRING(cupel_node_name(cupel_none()), "(none)");
    CHECK(cupel_shape_equal(cupel_node_shape(copy), CUPEL_SHAPE(2, 3)));
    CHECK_I64(cupel_node_desc(x)->type, CUPEL_TYPE_REAL);
    CHECK(cupel_node_desc(cupel_none()) == NULL);
    CHECK_I64(cupel_node_shape(cupel_none()).rank, 0);
    CHECK(cupel_graph_context(graph) == context && cupel_graph_parameters(graph) == parameters);
    CHECK_OK(cupel_graph_check(graph));
    CHECK_STRING(cupel_graph_error(graph), "");
}

static void outputs_of_a_node(void **state) {
    (void)state;
    const cupel_node ones = cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), 1);
    const cupel_node y = cupel_batch_norm_train(input("x", CUPEL_SHAPE(4, 3)), ones, ones, .1);
    CHECK(cupel_shape_equal(cupel_node_shape(y), CUPEL_SHAPE(4, 3)));
    CHECK(cupel_shape_equal(cupel_node_shape(cupel_node_output(y, 2)), CUPEL_SHAPE(3)));
    CHECK(cupel_is_poisoned(cupel_node_output(y, 3)));
    expect_error(CUPEL_STATUS_INVALID_ARGUMENT, 0, "has no output 3");
}

static void names_are_scoped_and_found(void **state) {
    (void)state;
    cupel_graph_enter(graph, "encoder");
    cupel_graph_enter(graph, "layer1.0"); /* a scope may hold dots */
    const cupel_node y = cupel_named(cupel_exp(input("x", CUPEL_SHAPE(2))), "y");
    const cupel_node w = cupel_parameter(graph, "w", CUPEL_SHAPE(2), (cupel_init){0});
    cupel_graph_leave(graph);
    const cupel_node z = cupel_named(cupel_neg(y), "z");
    cupel_graph_leave(graph);
    CHECK_STRING(cupel_node_name(y), "encoder.layer1.0.y");
    CHECK_STRING(cupel_node_name(w), "encoder.layer1.0.w");
    CHECK_STRING(cupel_node_name(z), "encoder.z");
    CHECK_STRING(cupel_node_name(cupel_named(z, "encoder.z")), "encoder.z"); /* again is fine */
    CHECK_U64(cupel_graph_find(graph, "encoder.layer1.0.y").id, y.id);
    CHECK_U64(cupel_graph_find(graph, "encoder.layer1.0.x").id, y.id - 1);
    CHECK_OK(cupel_graph_check(graph));
    CHECK(cupel_is_poisoned(cupel_graph_find(graph, "nobody")));
    expect_error(CUPEL_STATUS_NAME, 0, "no node named 'nobody'");
}

static void automatic_names_differ(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    const cupel_node a = cupel_exp(x), b = cupel_exp(x);
    CHECK(strcmp(cupel_node_name(a), cupel_node_name(b)) != 0);
    CHECK_CONTAINS(cupel_node_name(a), "exp");
}

/* The same network has the same names, whatever else its graph holds. */
static void automatic_names_count_in_their_scope(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    cupel_exp(cupel_exp(x));
    cupel_graph_enter(graph, "net");
    CHECK_STRING(cupel_node_name(cupel_exp(x)), "net.exp#1");
    CHECK_STRING(cupel_node_name(cupel_tanh(x)), "net.tanh#1");
    CHECK_STRING(cupel_node_name(cupel_exp(x)), "net.exp#2");
    cupel_graph_leave(graph);
    CHECK_STRING(cupel_node_name(cupel_exp(x)), "exp#3");
}

static void names_are_unique(void **state) {
    (void)state;
    input("x", CUPEL_SHAPE(2));
    const cupel_node twin = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    const int line = __LINE__ - 1;
    CHECK(cupel_is_poisoned(twin));
    expect_error(CUPEL_STATUS_NAME, line, "two nodes are named 'x'");
}

static void a_node_has_one_name(void **state) {
    (void)state;
    cupel_named(input("x", CUPEL_SHAPE(2)), "y");
    expect_error(CUPEL_STATUS_NAME, __LINE__ - 1, "node 'x' cannot be named 'y'");
}

static void leaving_without_entering(void **state) {
    (void)state;
    cupel_graph_enter(graph, "a");
    cupel_graph_leave(graph);
    CHECK_OK(cupel_graph_check(graph));
    cupel_graph_leave(graph);
    expect_error(CUPEL_STATUS_BUG, 0, "without a scope");
}

static void scope_names_are_words(void **state) {
    (void)state;
    cupel_graph_enter(graph, "");
    expect_error(CUPEL_STATUS_NAME, 0, "not a scope name");
}

/* --- errors --- */

static void the_first_error_is_kept_with_its_line(void **state) {
    (void)state;
    const cupel_node a = input("a", CUPEL_SHAPE(2, 3)), b = input("b", CUPEL_SHAPE(4));
    const int line = __LINE__ + 1;
    const cupel_node bad = cupel_add(a, b);
    CHECK(cupel_is_poisoned(bad));
    CHECK_STRING(cupel_node_name(bad), "(poisoned)");
    CHECK(cupel_node_desc(bad) == NULL);
    expect_error(CUPEL_STATUS_SHAPE, line, "[2, 3]");
    CHECK_CONTAINS(cupel_graph_error(graph), "[4]");
    CHECK_CONTAINS(cupel_graph_error(graph), "add");
    const char *const first = cupel_graph_error(graph);
    cupel_matmul(a, b, false, false); /* wrong as well, but later */
    expect_error(CUPEL_STATUS_SHAPE, line, "add");
    CHECK_STRING(cupel_graph_error(graph), first);
}

static void layers_tell_the_line_of_their_caller(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3, 4, 4));
    const int line = __LINE__ + 1;
    cupel_layer_conv2d(x, "conv", 8, 7, NULL, NULL); /* 7x7 on 4x4 */
    expect_error(CUPEL_STATUS_SHAPE, line, "");
}

static void poison_spreads_through_all_builders(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3, 4, 4));
    const cupel_node bad = cupel_reshape(x, CUPEL_SHAPE(5, 5));
    CHECK(cupel_is_poisoned(bad));
    const char *const text = cupel_graph_error(graph);
    const cupel_rng rng = {bad, bad, bad};
    const cupel_node nodes[] = {
        cupel_neg(bad),
        cupel_add(x, bad),
        cupel_add(bad, x),
        cupel_scale(bad, 2),
        cupel_select(bad, x, x),
        cupel_reduce_sum(bad, CUPEL_ALL_AXES, false),
        cupel_softmax(bad, 1),
        cupel_argmax(bad, 0),
        cupel_reshape(bad, CUPEL_SHAPE(2)),
        cupel_transpose(bad, (const int[]){0, 1, 2, 3}),
        cupel_slice(bad, 0, 0, 1),
        cupel_concat(2, (const cupel_node[]){x, bad}, 0),
        cupel_broadcast_to(bad, CUPEL_SHAPE(2)),
        cupel_pad(bad, 0, 1, 1),
        cupel_gather(bad, bad),
        cupel_scatter_add(bad, bad, 3),
        cupel_one_hot(bad, 3),
        cupel_matmul(bad, bad, false, true),
        cupel_conv2d(bad, bad, cupel_none(), NULL),
        cupel_conv_transpose2d(bad, bad, bad, NULL),
        cupel_max_pool2d(bad, &(cupel_pool_options){.kernel = {2, 2}}),
        cupel_batch_norm_train(bad, bad, bad, .1),
        cupel_sample_normal(rng, "n", CUPEL_SHAPE(2)),
        cupel_dropout(rng, "d", bad, .5),
        cupel_layer_dense(bad, "fc", 4, NULL),
        cupel_layer_conv2d(bad, "conv", 4, 3, NULL, NULL),
        cupel_layer_batch_norm(bad, "bn", true, .1, .1),
        cupel_cross_entropy(bad, bad),
        cupel_gaussian_kl(bad, bad),
        cupel_named(bad, "name"),
        cupel_node_output(bad, 0),
        cupel_input(graph, "later", CUPEL_TYPE_REAL, CUPEL_SHAPE(2)),
        cupel_parameter(graph, "p", CUPEL_SHAPE(2), (cupel_init){0}),
        cupel_scalar(graph, 1),
    };
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        check_context("builder %zu", i);
        CHECK(cupel_is_poisoned(nodes[i]));
    }
    cupel_assign(bad, bad);
    cupel_guard(bad);
    cupel_node out;
    CHECK_STATUS(cupel_graph_add_gradients(graph, bad, 1, &bad, &out), CUPEL_STATUS_SHAPE);
    CHECK(cupel_is_poisoned(out));
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(graph, "adam", &adam, bad, bad, "");
    CHECK_STRING(cupel_graph_error(graph), text);
    CHECK_CONTAINS(text, "[5, 5]");
}

static void operands_must_be_nodes_of_the_graph(void **state) {
    (void)state;
    cupel_graph *other = NULL;
    CHECK_OK(cupel_graph_create(&other, context, parameters));
    const cupel_node x = input("x", CUPEL_SHAPE(2)), y = cupel_scalar(other, 1);
    cupel_add(x, y);
    expect_error(CUPEL_STATUS_INVALID_ARGUMENT, __LINE__ - 1, "belongs to another graph");
    CHECK_OK(cupel_graph_check(other));
    CHECK(cupel_is_poisoned(cupel_add(y, cupel_none())));
    CHECK_STATUS(cupel_graph_check(other), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_graph_error(other), "operand 1 is missing");
    CHECK_OK(cupel_graph_destroy(other));
}

/* Nothing but none in gives none out and no error anywhere; a graph that is known is poisoned. */
static void none_is_passed_on_or_refused(void **state) {
    (void)state;
    const cupel_node none = cupel_none(), x = input("x", CUPEL_SHAPE(2, 3, 4, 4));
    const cupel_conv_options padded = {.output_padding = {1, 1}};
    const cupel_node nothing[] = {cupel_relu(none),
                                  cupel_cast(none, CUPEL_TYPE_F64),
                                  cupel_reshape(none, CUPEL_SHAPE(2)),
                                  cupel_transpose(none, NULL),
                                  cupel_reduce_sum(none, 1, false),
                                  cupel_softmax(none, 0),
                                  cupel_slice(none, 0, 0, 1),
                                  cupel_broadcast_to(none, CUPEL_SHAPE(2)),
                                  cupel_one_hot(none, 3),
                                  cupel_segment_max(none, none, 3, 0),
                                  cupel_named(none, "nobody"),
                                  cupel_conv2d(none, none, none, NULL),
                                  cupel_conv2d(none, none, none, &padded),
                                  cupel_conv_transpose2d(none, none, none, &padded),
                                  cupel_scale(none, 2),
                                  cupel_concat(0, NULL, 0)};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        check_context("builder %zu", i);
        CHECK(cupel_is_none(nothing[i]));
    }
    cupel_assign(none, none);
    cupel_guard(none);
    CHECK_OK(cupel_graph_check(graph));
    for (int i = 0; i < 5; i++) {
        check_context("case %d", i);
        cupel_graph *other = NULL;
        CHECK_OK(cupel_graph_create(&other, context, NULL));
        const cupel_node y = cupel_input(other, "y", CUPEL_TYPE_REAL, cupel_node_shape(x));
        const cupel_node parts[] = {none, y};
        const cupel_node made[] = {
            i == 0 ? cupel_add(none, y) : none,
            i == 1 ? cupel_conv2d(none, y, none, &padded) : none,
            i == 2 ? cupel_conv_transpose2d(none, y, none, NULL) : none,
            i == 3 ? cupel_conv_transpose2d(none, none, y, NULL) : none,
            i == 4 ? cupel_concat(2, parts, 0) : none,
        };
        CHECK(cupel_is_poisoned(made[i]));
        CHECK_STATUS(cupel_graph_check(other), CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(cupel_graph_error(other), "operand 0 is missing");
        CHECK_OK(cupel_graph_destroy(other));
    }
}

static void made_up_nodes_are_refused(void **state) {
    (void)state;
    cupel_neg((cupel_node){.graph = graph, .id = 12});
    expect_error(CUPEL_STATUS_INVALID_ARGUMENT, __LINE__ - 1, "operand 0 is no node");
}

static void impossible_shapes_are_refused(void **state) {
    (void)state;
    cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 0));
    expect_error(CUPEL_STATUS_SHAPE, __LINE__ - 1, "[2, 0]");
}

static void indices_need_a_bound(void **state) {
    (void)state;
    cupel_input_index(graph, "i", CUPEL_SHAPE(2), 0);
    expect_error(CUPEL_STATUS_INVALID_ARGUMENT, __LINE__ - 1, "at least 1");
}

/* Runs the builder in a graph of its own, which it must poison. */
static void builder_refused(void (*build)(cupel_graph *), cupel_status status, const char *part) {
    cupel_parameters *set = NULL;
    cupel_graph *other = NULL;
    CHECK_OK(cupel_parameters_create(&set, context, CUPEL_TYPE_F32, 1));
    CHECK_OK(cupel_graph_create(&other, context, set));
    build(other);
    CHECK_STATUS_TEXT(cupel_graph_check(other), status, cupel_graph_error(other));
    CHECK_CONTAINS(cupel_graph_error(other), part);
    CHECK_OK(cupel_graph_destroy(other));
    CHECK_OK(cupel_parameters_destroy(set));
}

static void empty_input(cupel_graph *g) {
    cupel_input(g, "", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
}
static void nameless_input(cupel_graph *g) {
    cupel_input_index(g, NULL, CUPEL_SHAPE(2), 3);
}
static void spaced_input(cupel_graph *g) {
    cupel_input(g, "my input", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
}
static void input_after_parameter(cupel_graph *g) {
    cupel_graph_enter(g, "fc");
    cupel_parameter(g, "w", CUPEL_SHAPE(2), (cupel_init){0});
    cupel_input(g, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    cupel_graph_leave(g);
}
static void parameter_after_input(cupel_graph *g) {
    cupel_input(g, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
    cupel_parameter(g, "w", CUPEL_SHAPE(2), (cupel_init){0});
}
static void name_like_an_automatic_one(cupel_graph *g) {
    cupel_named(cupel_scalar(g, 1), "exp#1");
}
static void scope_like_an_automatic_name(cupel_graph *g) {
    cupel_graph_enter(g, "a#1");
}
static void noise_after_parameter(cupel_graph *g) {
    cupel_parameter(g, "noise", CUPEL_SHAPE(2), (cupel_init){0});
    cupel_sample_normal(cupel_rng_inputs(g, 1), "noise", CUPEL_SHAPE(1, 2));
}
static void parameter_after_noise(cupel_graph *g) {
    cupel_sample_normal(cupel_rng_inputs(g, 1), "noise", CUPEL_SHAPE(1, 2));
    cupel_parameter(g, "noise", CUPEL_SHAPE(2), (cupel_init){0});
}
static void node_not_utf8(cupel_graph *g) {
    cupel_named(cupel_scalar(g, 1), "\xff\xfe");
}
static void scope_not_utf8(cupel_graph *g) {
    cupel_graph_enter(g, "\xff");
}
static void parameter_not_utf8(cupel_graph *g) {
    cupel_parameter(g, "w\xff", CUPEL_SHAPE(2), (cupel_init){0});
}
static void parameter_without_a_name(cupel_graph *g) {
    cupel_parameter(g, "", CUPEL_SHAPE(2), (cupel_init){0});
}
static void parameter_named_as_metadata(cupel_graph *g) {
    cupel_parameter(g, "__metadata__", CUPEL_SHAPE(2), (cupel_init){0});
}
static void input_of_type_99(cupel_graph *g) {
    cupel_input(g, "x", (cupel_type)99, CUPEL_SHAPE(2));
}
static void constant_of_type_99(cupel_graph *g) {
    cupel_full(g, (cupel_type)99, CUPEL_SHAPE(2), 1);
}
static void state_of_type_99(cupel_graph *g) {
    cupel_state(g, "s", (cupel_type)99, CUPEL_SHAPE(2), (cupel_init){0});
}
static void state_then_parameter(cupel_graph *g) {
    cupel_state(g, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2), (cupel_init){0});
    cupel_parameter(g, "w", CUPEL_SHAPE(2), (cupel_init){0});
}
static void training_state_then_state(cupel_graph *g) {
    cupel_training_state(g, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2), (cupel_init){0});
    cupel_state(g, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(2), (cupel_init){0});
}

static void names_types_and_kinds_are_checked(void **state) {
    (void)state;
    builder_refused(empty_input, CUPEL_STATUS_NAME, "'' is not the name of an input");
    builder_refused(nameless_input, CUPEL_STATUS_NAME, "'' is not the name of an input");
    builder_refused(spaced_input, CUPEL_STATUS_NAME, "'my input' is not the name of an input");
    builder_refused(input_after_parameter, CUPEL_STATUS_NAME, "'fc.w' names a parameter and an");
    builder_refused(parameter_after_input, CUPEL_STATUS_NAME,
                    "'w' names a parameter and a node (input)");
    builder_refused(name_like_an_automatic_one, CUPEL_STATUS_NAME, "'exp#1' holds a #");
    builder_refused(scope_like_an_automatic_name, CUPEL_STATUS_NAME, "'a#1' is not a scope name");
    builder_refused(noise_after_parameter, CUPEL_STATUS_NAME, "'noise' names a parameter");
    builder_refused(parameter_after_noise, CUPEL_STATUS_NAME,
                    "'noise' names a parameter and a node (sample_normal)");
    builder_refused(node_not_utf8, CUPEL_STATUS_NAME, "a name is not UTF-8");
    builder_refused(scope_not_utf8, CUPEL_STATUS_NAME, "is not a scope name");
    builder_refused(parameter_not_utf8, CUPEL_STATUS_NAME, "must be UTF-8");
    builder_refused(parameter_without_a_name, CUPEL_STATUS_NAME, "not empty");
    builder_refused(parameter_named_as_metadata, CUPEL_STATUS_NAME, "not __metadata__");
    builder_refused(input_of_type_99, CUPEL_STATUS_TYPE, "there is no type 99");
    builder_refused(constant_of_type_99, CUPEL_STATUS_TYPE, "there is no type 99");
    builder_refused(state_of_type_99, CUPEL_STATUS_TYPE, "there is no type 99");
    builder_refused(state_then_parameter, CUPEL_STATUS_NAME,
                    "as a state of the model and is asked for as a trainable parameter");
    builder_refused(training_state_then_state, CUPEL_STATUS_NAME,
                    "as a state of the training and is asked for as a state of the model");
}

static void find_tells_its_line(void **state) {
    (void)state;
    input("x", CUPEL_SHAPE(2));
    cupel_graph_find(graph, "y");
    expect_error(CUPEL_STATUS_NAME, __LINE__ - 1, "no node named 'y'");
}

static void output_tells_its_line(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    cupel_node_output(x, 3);
    expect_error(CUPEL_STATUS_INVALID_ARGUMENT, __LINE__ - 1, "has no output 3");
}

static void enter_tells_its_line(void **state) {
    (void)state;
    input("x", CUPEL_SHAPE(2));
    cupel_graph_enter(graph, "");
    expect_error(CUPEL_STATUS_NAME, __LINE__ - 1, "not a scope name");
}

static void leave_tells_its_line(void **state) {
    (void)state;
    input("x", CUPEL_SHAPE(2));
    cupel_graph_leave(graph);
    expect_error(CUPEL_STATUS_BUG, __LINE__ - 1, "without a scope");
}

static void variables_need_parameters(void **state) {
    (void)state;
    cupel_graph *other = NULL;
    CHECK_OK(cupel_graph_create(&other, context, NULL));
    CHECK(cupel_is_poisoned(cupel_parameter(other, "w", CUPEL_SHAPE(2), (cupel_init){0})));
    CHECK_CONTAINS(cupel_graph_error(other), "created without parameters");
    CHECK_OK(cupel_graph_destroy(other));
}

static void a_builder_outside_reports_in_the_same_way(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2));
    CHECK(cupel_is_poisoned(cupel_graph_poison(graph, CUPEL_STATUS_UNSUPPORTED, "no %d-D", 7)));
    expect_error(CUPEL_STATUS_UNSUPPORTED, 0, "no 7-D");
    CHECK(cupel_is_poisoned(cupel_neg(x)));
}

/* --- ops from outside --- */

static cupel_status infer_nothing(const cupel_op_view *view) {
    (void)view;
    return CUPEL_STATUS_OK;
}

static cupel_status infer_type_99(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    view->outputs[0].type = (cupel_type)99;
    return CUPEL_STATUS_OK;
}

static cupel_status refuse(const cupel_op_view *view) {
    (void)view;
    return CUPEL_STATUS_SHAPE; /* without a sentence */
}

static cupel_status same(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status run_nothing(const cupel_op_call *call) {
    (void)call;
    return CUPEL_STATUS_OK;
}

static cupel_op outside_op(void) {
    return (cupel_op){.size = sizeof(cupel_op),
                      .version = CUPEL_OP_VERSION,
                      .name = "outside",
                      .attr_size = 16,
                      .min_inputs = 1,
                      .max_inputs = 2,
                      .n_outputs = 1,
                      .infer = same,
                      .run = run_nothing};
}

/* Each refusal in a context of its own, which may refuse the op already. */
static void refused(const cupel_op *op, const void *attrs, size_t n, const char *part) {
    cupel_context *own;
    cupel_graph *other = NULL;
    CHECK_OK(cupel_context_create(&own, NULL));
    (void)!cupel_context_register_op(own, op);
    CHECK_OK(cupel_graph_create(&other, own, NULL));
    const cupel_node x = cupel_scalar(other, 1), inputs[] = {x, x, x};
    CHECK(cupel_is_poisoned(cupel_apply(other, op, attrs, n, inputs)));
    CHECK(cupel_graph_check(other) != CUPEL_STATUS_OK);
    CHECK_CONTAINS(cupel_graph_error(other), part);
    CHECK_OK(cupel_graph_destroy(other));
    CHECK_OK(cupel_context_destroy(own));
}

static void descriptors_are_checked(void **state) {
    (void)state;
    const int64_t attrs[2] = {0};
    cupel_op op = outside_op(), registered = op;
    CHECK_OK(cupel_context_register_op(context, &registered));
    CHECK(!cupel_is_poisoned(
        cupel_apply(graph, &registered, attrs, 1, (const cupel_node[]){cupel_scalar(graph, 1)})));
    refused(&op, attrs, 0, "1 to 2 operands");
    refused(&op, attrs, 3, "1 to 2 operands");
    refused(&op, NULL, 1, "16 bytes of attributes");
    refused(NULL, attrs, 1, "no descriptor");
    op.version++;
    refused(&op, attrs, 1, "no descriptor");
    op = outside_op();
    op.size--;
    refused(&op, attrs, 1, "no descriptor");
    op = outside_op();
    op.n_outputs = CUPEL_OP_MAX_OUTPUTS + 1;
    refused(&op, attrs, 1, "no descriptor");
    op = outside_op();
    op.infer = refuse;
    refused(&op, attrs, 1, "outside: its shape rule refuses these operands");
    op.infer = infer_nothing;
    refused(&op, attrs, 1, "outside: its shape rule leaves output 0 without a type and a shape");
    op.infer = infer_type_99;
    refused(&op, attrs, 1, "outside: its shape rule leaves output 0 without a type and a shape");
    op = outside_op();
    op.n_outputs = 2;
    refused(&op, attrs, 1, "leaves output 1 without");
    op = outside_op();
    op.run = NULL;
    refused(&op, attrs, 1, "op 'outside' is neither built in nor registered");
    op = outside_op();
    op.name = "relu";
    refused(&op, attrs, 1, "op 'relu' is neither built in nor registered");
    op = outside_op();
    op.flags = CUPEL_OP_VIEW;
    refused(&op, attrs, 1, "op 'outside' is neither built in nor registered");
    /* A built-in one goes by name as by its builder. */
    CHECK(!cupel_is_poisoned(cupel_apply(graph, cupel_context_find_op(context, "neg"), NULL, 1,
                                         (const cupel_node[]){cupel_scalar(graph, 1)})));
}

static void registered_ops_have_names_of_their_own(void **state) {
    (void)state;
    static cupel_op op, twin, broken;
    op = twin = broken = outside_op();
    CHECK(cupel_context_find_op(context, "outside") == NULL);
    CHECK_OK(cupel_context_register_op(context, &op));
    CHECK(cupel_context_find_op(context, "outside") == &op);
    CHECK_STATUS(cupel_context_register_op(context, &twin), CUPEL_STATUS_NAME);
    twin.name = "relu"; /* a built-in one */
    CHECK_STATUS(cupel_context_register_op(context, &twin), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_context_error(context), "'relu' is there already");
    broken.name = "broken";
    broken.run = NULL;
    CHECK_STATUS(cupel_context_register_op(context, &broken), CUPEL_STATUS_INVALID_ARGUMENT);
    broken = outside_op();
    broken.name = "view";
    broken.flags = CUPEL_OP_VIEW;
    CHECK_STATUS(cupel_context_register_op(context, &broken), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_context_error(context), "op 'view' is CUPEL_OP_VIEW");
    broken.version++;
    CHECK_STATUS(cupel_context_register_op(context, &broken), CUPEL_STATUS_INVALID_ARGUMENT);
}

/* --- life --- */

static void destroying_too_early_is_told(void **state) {
    (void)state;
    CHECK_STATUS(cupel_context_destroy(context), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_context_error(context), "still has");
    CHECK_STATUS(cupel_parameters_destroy(parameters), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_parameters_error(parameters), "1 graphs or programs");
    CHECK_OK(cupel_graph_check(graph)); /* all still there */
    CHECK_OK(cupel_graph_destroy(NULL));
    CHECK_OK(cupel_parameters_destroy(NULL));
    CHECK_OK(cupel_context_destroy(NULL));
}

static void devices_have_names(void **state) {
    (void)state;
    cupel_context *other = (cupel_context *)&state;
    CHECK_STATUS(cupel_context_create(&other, &(cupel_context_options){.device = "abacus"}),
                 CUPEL_STATUS_UNSUPPORTED);
    CHECK(other == NULL);
    CHECK_OK(cupel_context_create(&other, NULL));
    CHECK_STRING(cupel_context_device(other), "cpu");
    CHECK_OK(cupel_context_destroy(other));
}

#define TEST(name) \
    cmocka_unit_test_prestate_setup_teardown(name, open_graph, close_graph, \
                                             (void *)(uintptr_t) #name)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(nodes_are_values),
        TEST(outputs_of_a_node),
        TEST(names_are_scoped_and_found),
        TEST(automatic_names_differ),
        TEST(automatic_names_count_in_their_scope),
        TEST(names_are_unique),
        TEST(a_node_has_one_name),
        TEST(leaving_without_entering),
        TEST(scope_names_are_words),
        TEST(the_first_error_is_kept_with_its_line),
        TEST(layers_tell_the_line_of_their_caller),
        TEST(poison_spreads_through_all_builders),
        TEST(operands_must_be_nodes_of_the_graph),
        TEST(none_is_passed_on_or_refused),
        TEST(made_up_nodes_are_refused),
        TEST(impossible_shapes_are_refused),
        TEST(indices_need_a_bound),
        TEST(names_types_and_kinds_are_checked),
        TEST(find_tells_its_line),
        TEST(output_tells_its_line),
        TEST(enter_tells_its_line),
        TEST(leave_tells_its_line),
        TEST(variables_need_parameters),
        TEST(a_builder_outside_reports_in_the_same_way),
        TEST(descriptors_are_checked),
        TEST(registered_ops_have_names_of_their_own),
        TEST(destroying_too_early_is_told),
        TEST(devices_have_names),
    };
    return CHECK_MAIN(tests);
}
