/* Index ops (src/op/op_gather.c, op_scatter_update.c, op_scatter_add.c, op_segment_max.c, one-hot
 * in op_composites.c; src/backend/ref/ref_index.c): numbers worked out by hand, duplicates, types,
 * gradients, and the refusal of index inputs without a fitting bound. */
#define _GNU_SOURCE
#include "support/graph_check.h"

static void build_gather(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                         const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_gather(in[0], in[1]);
}

static void test_gather(void **state) {
    (void)state;
    const double table[8] = {1, 2, 3, NAN, 5, 6, 7, 8};
    const double index[3] = {3, 0, 3};
    const double expected[6] = {7, 8, 1, 2, 7, 8};
    struct graph_case c = {
        .build = build_gather,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(4, 2), .values = table},
                   {.shape = CUPEL_SHAPE(3), .values = index, .type = CUPEL_TYPE_I64, .bound = 4}},
        .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
    graph_check_values(&c, 0, expected, 6, 0.0);
    c.inputs[0].type = CUPEL_TYPE_U8;
    const double bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    c.inputs[0].values = bytes;
    graph_check_values(&c, 0, expected, 6, 0.0);
    /* A scalar index takes one row, a matrix of indices of a vector a matrix. */
    c.inputs[1].shape = cupel_shape_scalar();
    graph_check_shape(&c, 0, CUPEL_TYPE_U8, CUPEL_SHAPE(2));
    graph_check_values(&c, 0, expected, 2, 0.0);
    c.inputs[0].shape = CUPEL_SHAPE(8);
    c.inputs[1].shape = CUPEL_SHAPE(3, 1);
    graph_check_shape(&c, 0, CUPEL_TYPE_U8, CUPEL_SHAPE(3, 1));
    const double picked[3] = {4, 1, 4};
    graph_check_values(&c, 0, picked, 3, 0.0);
}

static void test_gather_gradient(void **state) {
    (void)state;
    const double index[6] = {3, 0, 3, 3, 1, 0}; /* 2 is never taken: its gradient is 0 */
    struct graph_case c = {.build = build_gather,
                           .n_inputs = 2,
                           .inputs = {{.shape = CUPEL_SHAPE(4, 2, 3)},
                                      {.shape = CUPEL_SHAPE(2, 3),
                                       .values = index,
                                       .type = CUPEL_TYPE_I64,
                                       .bound = 4}},
                           .n_outputs = 1};
    graph_check(&c, 1e-6);
    graph_check_adjoint(&c, 0);
    c.inputs[0].shape = CUPEL_SHAPE(4);
    c.inputs[1].shape = cupel_shape_scalar();
    graph_check(&c, 1e-6);
}

static void build_scatter_update(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                 const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_scatter_update(in[0], in[1], in[2]);
}

static void test_scatter_update(void **state) {
    (void)state;
    const double table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const double index[4] = {2, 0, 2, 2}; /* of three rows for 2 the lowest wins */
    const double rows[8] = {20, 21, 30, 31, 40, 41, 50, 51};
    const double expected[8] = {30, 31, 3, 4, 20, 21, 7, 8};
    struct graph_case c = {
        .build = build_scatter_update,
        .n_inputs = 3,
        .inputs = {{.shape = CUPEL_SHAPE(4, 2), .values = table},
                   {.shape = CUPEL_SHAPE(4), .values = index, .type = CUPEL_TYPE_I64, .bound = 4},
                   {.shape = CUPEL_SHAPE(4, 2), .values = rows}},
        .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 2));
    graph_check_values(&c, 0, expected, 8, 0.0);
    c.inputs[0].type = c.inputs[2].type = CUPEL_TYPE_I64;
    graph_check_values(&c, 0, expected, 8, 0.0);
    c.inputs[0].type = c.inputs[2].type = CUPEL_TYPE_REAL;
    graph_check(&c, 1e-6);
    c.inputs[0] = (struct graph_input){.shape = CUPEL_SHAPE(4)};
    c.inputs[2] = (struct graph_input){.shape = CUPEL_SHAPE(4)};
    graph_check(&c, 1e-6);
    c.inputs[0] = (struct graph_input){.shape = CUPEL_SHAPE(4, 2, 1, 3)};
    c.inputs[2] = (struct graph_input){.shape = CUPEL_SHAPE(4, 2, 1, 3)};
    graph_check(&c, 1e-6);
}

static void build_scatter_add(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)graph;
    out[0] = cupel_scatter_add(in[1], in[0], *(const int64_t *)user);
}

static void test_scatter_add(void **state) {
    (void)state;
    const int64_t extent = 5;
    const double index[4] = {1, 4, 1, 0};
    const double rows[8] = {1, 2, 3, 4, 5, 6, NAN, 8};
    const double expected[10] = {NAN, 8, 6, 8, 0, 0, 0, 0, 3, 4};
    struct graph_case c = {
        .build = build_scatter_add,
        .user = &extent,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(4, 2), .values = rows},
                   {.shape = CUPEL_SHAPE(4), .values = index, .type = CUPEL_TYPE_I64, .bound = 5}},
        .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(5, 2));
    graph_check_values(&c, 0, expected, 10, 0.0);
    c.inputs[0].values = NULL;
    graph_check(&c, 1e-6);
    graph_check_adjoint(&c, 0);
    c.inputs[0].shape = CUPEL_SHAPE(4, 3, 2);
    graph_check(&c, 1e-6);
    c.inputs[0].shape = CUPEL_SHAPE(4);
    graph_check(&c, 1e-6);
}

static void build_segment_max(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_segment_max(in[0], in[1], 4, -7.0);
}

static void test_segment_max(void **state) {
    (void)state;
    const double values[7] = {1, -9, 5, 2, NAN, -8, 6}; /* NaN wins, before and after */
    const double segments[7] = {0, 1, 0, 3, 3, 1, 3};
    const double expected[4] = {5, -8, -7, NAN};
    struct graph_case c = {.build = build_segment_max,
                           .n_inputs = 2,
                           .inputs = {{.shape = CUPEL_SHAPE(7), .values = values},
                                      {.shape = CUPEL_SHAPE(7),
                                       .values = segments,
                                       .type = CUPEL_TYPE_I64,
                                       .bound = 4}},
                           .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(4));
    graph_check_values(&c, 0, expected, 4, 0.0);
    /* -inf is a value like any other: the segment is not empty. */
    const double low[7] = {-INFINITY, 1, -INFINITY, -INFINITY, 2, 3, -INFINITY};
    const double low_expected[4] = {-INFINITY, 3, -7, 2};
    c.inputs[0].values = low;
    graph_check_values(&c, 0, low_expected, 4, 0.0);
    c.inputs[0].values = NULL;
    graph_check(&c, 1e-6);
}

static void build_segment_max_with_term(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                        const void *user) {
    build_segment_max(graph, in, out, user);
    out[0] = cupel_add(out[0], in[2]);
}

/* Two of segment 0 are equal and largest: each gets half. */
static void test_segment_max_ties(void **state) {
    (void)state;
    const double values[4] = {5, 1, 5, 2};
    const double segments[4] = {0, 0, 0, 1};
    const double shares[4] = {0.5, 0, 0.5, 1};
    const struct graph_case c = {.build = build_segment_max_with_term,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(4), .values = values},
                                            {.shape = CUPEL_SHAPE(4),
                                             .values = segments,
                                             .type = CUPEL_TYPE_I64,
                                             .bound = 2},
                                            {.shape = CUPEL_SHAPE(4)}},
                                 .n_outputs = 1};
    struct graph_result result;
    graph_run(&c, (struct graph_how){.real = CUPEL_TYPE_F64, .gradients = true}, &result);
    for (int i = 0; i < 4; i++) {
        check_context("value %d", i);
        const double whole = result.gradients[2][(int)segments[i]];
        CHECK_NEAR(result.gradients[0][i], whole * shares[i], 1e-12);
    }
    graph_result_release(&result);
}

static void build_one_hot(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_one_hot(in[0], 3);
}

static void test_one_hot(void **state) {
    (void)state;
    const double labels[4] = {2, 0, 1, 2};
    const double expected[12] = {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    const struct graph_case c = {
        .build = build_one_hot,
        .n_inputs = 1,
        .inputs = {{.shape = CUPEL_SHAPE(4), .values = labels, .type = CUPEL_TYPE_I64, .bound = 3}},
        .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
    graph_check_values(&c, 0, expected, 12, 0.0);
}

/* argmax gives indices that need no bound. */
static void build_argmax_gather(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_gather(in[1], cupel_argmax(in[0], 1));
}

static void test_computed_index(void **state) {
    (void)state;
    const double logits[6] = {0, 3, 1, 9, 2, 4};
    const double table[3] = {10, 20, 30};
    const double expected[2] = {20, 10};
    const struct graph_case c = {
        .build = build_argmax_gather,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(2, 3), .values = logits, .fixed = true},
                   {.shape = CUPEL_SHAPE(3), .values = table}},
        .n_outputs = 1};
    graph_check_values(&c, 0, expected, 2, 0.0);
    graph_check(&c, 1e-6);
}

static void build_gather_flat(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_gather(in[0], cupel_reshape(in[1], CUPEL_SHAPE(-1)));
}

static void test_messages(void **state) {
    (void)state;
    const int64_t extent = 4;
    const int64_t none = 0;
    struct graph_case c = {.build = build_gather,
                           .user = &extent,
                           .n_inputs = 3,
                           .inputs = {{.shape = CUPEL_SHAPE(4, 2)},
                                      {.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64, .bound = 5},
                                      {.shape = CUPEL_SHAPE(2, 2)}},
                           .n_outputs = 1};
    const char *const too_high = "\"in1\" may be up to 4, but there are 4 rows";
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_gather_flat;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_scatter_update;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_scatter_add;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_segment_max;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.inputs[1].bound = 0;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "cupel_input_index");

    c.inputs[1].bound = 4;
    c.build = build_scatter_update;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE,
                      "rows [2, 2] by 3 indices do not fit into a table [4, 2]");
    c.inputs[2] = (struct graph_input){.shape = CUPEL_SHAPE(3, 2), .type = CUPEL_TYPE_F64};
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "the table is real, but the rows are f64");
    c.build = build_scatter_add;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "3 indices, but the rows are [4, 2]");
    c.inputs[0].shape = CUPEL_SHAPE(3, 2);
    c.inputs[1] = (struct graph_input){.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_U8};
    c.user = &none;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "without a bound");
    c.build = build_segment_max;
    c.inputs[0].shape = CUPEL_SHAPE(4);
    c.inputs[1] = (struct graph_input){.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64, .bound = 4};
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "4 values, but 3 segments");
    c.build = build_one_hot;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "labels are real [4]");
    c.build = build_gather;
    c.inputs[0].shape = CUPEL_SHAPE(4, 1, 1, 1, 1, 1);
    c.inputs[1].shape = CUPEL_SHAPE(3, 1);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "the result at most 6");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),         cmocka_unit_test(test_gather_gradient),
        cmocka_unit_test(test_scatter_update), cmocka_unit_test(test_scatter_add),
        cmocka_unit_test(test_segment_max),    cmocka_unit_test(test_segment_max_ties),
        cmocka_unit_test(test_one_hot),        cmocka_unit_test(test_computed_index),
        cmocka_unit_test(test_messages),
    };
    return CHECK_MAIN(tests);
}
