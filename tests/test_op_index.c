/* Index ops (src/op/op_gather.c, op_scatter_update.c, op_scatter_add.c, op_segment_max.c, one-hot
 * in op_composites.c; src/backend/ref/ref_index.c): numbers worked out by hand, duplicates, types,
 * gradients, and the refusal of index inputs without a fitting bound. */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <cupel/layers.h>

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
                                      {.shape = CUPEL_SHAPE(4), .type = CUPEL_TYPE_I64, .bound = 5},
                                      {.shape = CUPEL_SHAPE(4, 2)}},
                           .n_outputs = 1};
    const char *const too_high = "\"in1\" may be up to 4, but there are 4 rows";
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_gather_flat;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_scatter_update;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.build = build_scatter_add;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, too_high);
    c.inputs[1].bound = 0;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "cupel_input_index");

    c.inputs[1] = (struct graph_input){.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64, .bound = 4};
    c.inputs[2].shape = CUPEL_SHAPE(2, 2);
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
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "input 0 is u8, but indices are i64");
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

/* --- where an index comes from: in[0] is real [4, 4], in[1] an unbounded input, in[2] and in[3]
 * indices below 4 and below 9; all of three elements --- */

enum source {
    CONSTANT_PAST,
    CONSTANT_NEGATIVE,
    FULL_PAST,
    CAST,
    CONCAT_UNBOUNDED,
    CONCAT_WIDER,
    TABLE_WIDER,
    UPDATED_TABLE_WIDER,
    STATE,
    ARGMAX_WIDER,
    SELECT_WIDER,
    STOPPED_UNBOUNDED,
    N_REFUSED,
    CONSTANT = N_REFUSED,
    FULL,
    CONCAT,
    TABLE,
    UPDATED_TABLE,
    ARGMAX,
    SELECT,
    PAD,
    TRANSPOSED_SLICE,
    N_SOURCES
};

static cupel_node three(cupel_graph *graph, int64_t a, int64_t b, int64_t c) {
    return cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), (const int64_t[]){a, b, c});
}

static cupel_node three_from(cupel_node longer) {
    return cupel_slice(longer, 0, 1, 4);
}

static cupel_node index_from(cupel_graph *graph, enum source source, const cupel_node *in) {
    const cupel_node zero = cupel_full(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(2), 0.0);
    const cupel_node two[] = {in[2], in[source == CONCAT_UNBOUNDED ? 1 : source == CONCAT ? 2 : 3]};
    switch (source) {
    case CONSTANT_PAST: return three(graph, 0, 4, 1);
    case CONSTANT_NEGATIVE: return three(graph, 0, 1, -1);
    case FULL_PAST: return cupel_full(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), 4.0);
    case CAST: return cupel_cast(cupel_reduce_sum(three_from(in[0]), 2, false), CUPEL_TYPE_I64);
    case CONCAT_UNBOUNDED:
    case CONCAT_WIDER:
    case CONCAT: return three_from(cupel_concat(2, two, 0));
    case TABLE_WIDER: return cupel_gather(in[3], three(graph, 0, 1, 2));
    case TABLE: return cupel_gather(in[2], three(graph, 2, 1, 0));
    case UPDATED_TABLE_WIDER: return cupel_scatter_update(in[2], three(graph, 0, 1, 2), in[3]);
    case UPDATED_TABLE: return cupel_scatter_update(in[2], three(graph, 0, 1, 2), in[2]);
    case STATE: return cupel_state(graph, "last", CUPEL_TYPE_I64, CUPEL_SHAPE(3), (cupel_init){0});
    case ARGMAX_WIDER:
        return cupel_argmax(cupel_broadcast_to(cupel_scalar(graph, 1), CUPEL_SHAPE(3, 5)), 1);
    case ARGMAX: return cupel_argmax(three_from(in[0]), 1);
    case SELECT_WIDER: return cupel_select(cupel_scalar(graph, 1), in[2], in[3]);
    case SELECT: return cupel_select(cupel_scalar(graph, 0), in[2], three(graph, 3, 0, 3));
    case STOPPED_UNBOUNDED: return cupel_stop_gradient(in[1]);
    case CONSTANT: return three(graph, 3, 3, 0);
    case FULL: return cupel_full(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), 3.0);
    case PAD: return cupel_slice(cupel_pad(in[2], 0, 1, 0), 0, 0, 3);
    case TRANSPOSED_SLICE:
        return cupel_reshape(
            cupel_transpose(cupel_reshape(in[2], CUPEL_SHAPE(3, 1)), (const int[]){1, 0}),
            CUPEL_SHAPE(3));
    default: return zero;
    }
}

struct indexed {
    enum source source;
    int op;
};

static void build_indexed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    const struct indexed *how = user;
    const cupel_node index = index_from(graph, how->source, in);
    const cupel_node rows = cupel_slice(in[0], 0, 0, 3);
    const cupel_node row = cupel_reshape(cupel_slice(rows, 1, 0, 1), CUPEL_SHAPE(3));
    switch (how->op) {
    case 0: out[0] = cupel_gather(in[0], index); break;
    case 1: out[0] = cupel_scatter_update(in[0], index, rows); break;
    case 2: out[0] = cupel_scatter_add(index, rows, 4); break;
    case 3: out[0] = cupel_segment_max(row, index, 4, 0.0); break;
    case 4: out[0] = cupel_cross_entropy(rows, index); break;
    default: { /* found by name, past the builders */
        const cupel_node inputs[] = {in[0], index};
        out[0] = cupel_apply(graph, cupel_context_find_op(cupel_graph_context(graph), "gather"),
                             NULL, 2, inputs);
    }
    }
}

static void test_where_an_index_comes_from(void **state) {
    (void)state;
    static const char *const why[N_REFUSED] = {
        [CONSTANT_PAST] = "may be up to 4, but there are 4 rows",
        [CONSTANT_NEGATIVE] = "holds a negative number",
        [FULL_PAST] = "may be up to 4, but there are 4 rows",
        [CAST] = "(cast), of which there may be 4; take indices from cupel_input_index()",
        [CONCAT_UNBOUNDED] = "\"in1\" is an input without a bound",
        [CONCAT_WIDER] = "\"in3\" may be up to 8, but there are 4 rows",
        [TABLE_WIDER] = "\"in3\" may be up to 8, but there are 4 rows",
        [UPDATED_TABLE_WIDER] = "\"in3\" may be up to 8, but there are 4 rows",
        [STATE] = "nothing bounds the values of the index \"last\" (variable)",
        [ARGMAX_WIDER] = "may be up to 4, but there are 4 rows",
        [SELECT_WIDER] = "\"in3\" may be up to 8, but there are 4 rows",
        [STOPPED_UNBOUNDED] = "\"in1\" is an input without a bound",
    };
    for (int op = 0; op < 6; op++)
        for (enum source source = 0; source < N_SOURCES; source++) {
            check_context("op %d, source %d", op, (int)source);
            const struct indexed how = {source, op};
            const struct graph_case c = {
                .build = build_indexed,
                .user = &how,
                .n_inputs = 4,
                .inputs = {{.shape = CUPEL_SHAPE(4, 4), .fixed = true},
                           {.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64},
                           {.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64, .bound = 4},
                           {.shape = CUPEL_SHAPE(3), .type = CUPEL_TYPE_I64, .bound = 9}},
                .n_outputs = 1};
            if (source < N_REFUSED) {
                graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, why[source]);
                continue;
            }
            struct graph_result result;
            graph_run(&c, (struct graph_how){.reference = true}, &result);
            graph_result_release(&result);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),         cmocka_unit_test(test_gather_gradient),
        cmocka_unit_test(test_scatter_update), cmocka_unit_test(test_scatter_add),
        cmocka_unit_test(test_segment_max),    cmocka_unit_test(test_segment_max_ties),
        cmocka_unit_test(test_one_hot),        cmocka_unit_test(test_computed_index),
        cmocka_unit_test(test_messages),       cmocka_unit_test(test_where_an_index_comes_from),
    };
    return CHECK_MAIN(tests);
}
