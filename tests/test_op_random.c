/*
 * Samples and dropout (src/op/op_sample_*.c, op_dropout.c): the numbers are those of base/rng.h,
 * whose own known answers are in test_rng.c; a row depends on its id alone.
 */
#define _GNU_SOURCE
#include "support/net.h"

#include "base/hash.h"
#include "base/rng.h"
#include "support/graph_check.h"

enum { N = 3, WIDTH = 11 }; /* no multiple of 4: the last block of a row is cut */

/* Runs one sample node of [n, WIDTH] under (seed, step, rows) and gives its values. */
static void draw(bool normal, const char *scope, const char *name, uint64_t seed, uint64_t step,
                 const uint64_t *rows, int64_t n, cupel_type real, bool reference, double *values) {
    struct net net = net_open(real, 1, NULL);
    if (scope != NULL)
        cupel_graph_enter(net.graph, scope);
    const cupel_rng rng = cupel_rng_inputs(net.graph, n);
    const cupel_shape shape = CUPEL_SHAPE(n, 1, WIDTH);
    const cupel_node node =
        normal ? cupel_sample_normal(rng, name, shape) : cupel_sample_uniform(rng, name, shape);
    if (scope != NULL)
        cupel_graph_leave(net.graph);
    net_compile(&net, reference, 1, &(cupel_output){.name = "x", .node = node});
    net_write_rng(&net, seed, step, rows, (size_t)n);
    net_run(&net);
    net_read(&net, "x", values, (size_t)(n * WIDTH));
    net_close(&net);
}

static void expect(bool normal, const char *stream, uint64_t seed, uint64_t step, uint64_t row,
                   double *values) {
    const struct rng_key key = rng_key_make(seed, hash_string(stream));
    for (uint32_t block = 0; block * 4 < WIDTH; block++) {
        double four[4];
        const struct rng_block bits = rng_block_at(key, row, (uint32_t)step, block);
        if (normal)
            rng_normal4(bits, four);
        else
            rng_uniform4(bits, four);
        for (uint32_t i = 0; i < 4 && block * 4 + i < WIDTH; i++)
            values[block * 4 + i] = four[i];
    }
}

static void test_known_answers(void **state) {
    (void)state;
    const uint64_t rows[N] = {0, 0xFFFFFFFFFFFFFFFF, 77};
    const uint64_t seed = 0x0123456789ABCDEF, step = 0x100000002; /* the low 32 bits count */
    for (int way = 0; way < 6; way++) {
        const bool normal = way % 2 == 0, f64 = way < 2, reference = way < 4;
        check_context("way %d", way);
        double values[N * WIDTH], expected[WIDTH];
        draw(normal, "encoder", "noise", seed, step, rows, N, f64 ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32,
             reference, values);
        for (int n = 0; n < N; n++) {
            expect(normal, "encoder.noise", seed, 2, rows[n], expected);
            for (int i = 0; i < WIDTH; i++) /* uniforms are exact in every type and way */
                CHECK_NEAR(values[n * WIDTH + i], expected[i],
                           !normal || f64 ? 0.0 : 5e-7 * (1.0 + fabs(expected[i])));
        }
    }
}

static void test_a_row_depends_on_its_id_alone(void **state) {
    (void)state;
    const uint64_t many[5] = {4, 9, 2, 9, 1}, one[1] = {9};
    for (int reference = 0; reference < 2; reference++)
        for (int normal = 0; normal < 2; normal++) {
            double among[5 * WIDTH], alone[WIDTH];
            draw(normal, NULL, "noise", 5, 1, many, 5, CUPEL_TYPE_F32, reference, among);
            draw(normal, NULL, "noise", 5, 1, one, 1, CUPEL_TYPE_F32, reference, alone);
            CHECK(memcmp(alone, among + 1 * WIDTH, sizeof alone) == 0);
            CHECK(memcmp(alone, among + 3 * WIDTH, sizeof alone) == 0);
            CHECK(memcmp(alone, among, sizeof alone) != 0);
        }
}

/* Seed, step, scope and name each make another stream. */
static void test_streams_differ(void **state) {
    (void)state;
    const uint64_t rows[1] = {0};
    double first[WIDTH], other[5][WIDTH];
    draw(false, NULL, "a", 1, 1, rows, 1, CUPEL_TYPE_F32, true, first);
    draw(false, NULL, "a", 2, 1, rows, 1, CUPEL_TYPE_F32, true, other[0]);
    draw(false, NULL, "a", 1, 2, rows, 1, CUPEL_TYPE_F32, true, other[1]);
    draw(false, "s", "a", 1, 1, rows, 1, CUPEL_TYPE_F32, true, other[2]);
    draw(false, NULL, "b", 1, 1, rows, 1, CUPEL_TYPE_F32, true, other[3]);
    draw(false, NULL, "a", 1, 1, rows, 1, CUPEL_TYPE_F32, true, other[4]);
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < WIDTH; i++)
            CHECK(first[i] != other[k][i]);
    CHECK(memcmp(first, other[4], sizeof first) == 0);
}

static void build_samples(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)in;
    (void)user;
    const cupel_rng rng = cupel_rng_inputs(graph, 256);
    out[0] = cupel_sample_normal(rng, "normal", CUPEL_SHAPE(256, 400));
    out[1] = cupel_sample_uniform(rng, "uniform", CUPEL_SHAPE(256, 400));
}

/* Moments of 102,400 draws within four standard errors; neighbours are not correlated. */
static void test_moments(void **state) {
    (void)state;
    const struct graph_case c = {.build = build_samples, .n_outputs = 2};
    for (int reference = 0; reference < 2; reference++) {
        struct graph_result result;
        graph_run(&c, (struct graph_how){.reference = reference != 0}, &result);
        const double count = 256.0 * 400.0;
        for (int k = 0; k < 2; k++) {
            check_context("output %d, reference %d", k, reference);
            const double mean = k == 0 ? 0.0 : 0.5, variance = k == 0 ? 1.0 : 1.0 / 12.0;
            const double fourth = k == 0 ? 3.0 : 1.0 / 80.0;
            double sums[4] = {0};
            for (int i = 0; i < 256 * 400; i++) {
                const double x = result.values[k][i] - mean;
                sums[0] += x;
                sums[1] += x * x;
                sums[2] += x * x * x;
                if (i % 400 != 0)
                    sums[3] += x * (result.values[k][i - 1] - mean);
                if (k == 1)
                    CHECK(result.values[k][i] > 0.0 && result.values[k][i] < 1.0);
            }
            CHECK_NEAR(sums[0] / count, 0.0, 4.0 * sqrt(variance / count));
            CHECK_NEAR(sums[1] / count, variance,
                       4.0 * sqrt((fourth - variance * variance) / count));
            CHECK_NEAR(sums[2] / count, 0.0, 4.0 * sqrt((k == 0 ? 15.0 : 1.0 / 448.0) / count));
            CHECK_NEAR(sums[3] / count, 0.0, 4.0 * variance / sqrt(count));
        }
        graph_result_release(&result);
    }
}

/* --- dropout --- */

static void build_dropout(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    const cupel_rng rng = cupel_rng_inputs(graph, cupel_node_shape(in[0]).dims[0]);
    out[0] = cupel_dropout(rng, "drop", in[0], *(const double *)user);
}

/* The mask is uniform >= p; the runner draws under seed 7, step 3, rows 0, 1, 2, ... */
static void test_dropout_is_its_formula(void **state) {
    (void)state;
    const double p = 0.3;
    double x[N * WIDTH], expected[N * WIDTH];
    for (int n = 0; n < N; n++) {
        double uniform[WIDTH];
        expect(false, "drop", 7, 3, (uint64_t)n, uniform);
        for (int i = 0; i < WIDTH; i++) {
            x[n * WIDTH + i] = n + i + 1;
            expected[n * WIDTH + i] = uniform[i] >= p ? (n + i + 1) / (1.0 - p) : 0.0;
        }
    }
    const struct graph_case c = {.build = build_dropout,
                                 .user = &p,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(N, WIDTH), .values = x}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, N * WIDTH, 1e-6);
}

static void test_dropout_keeps_the_mean(void **state) {
    (void)state;
    enum { COUNT = 200 * 300 };
    const double p = 0.2;
    double *const ones = calloc(COUNT, sizeof *ones);
    CHECK(ones != NULL);
    for (int i = 0; i < COUNT; i++)
        ones[i] = 1.0;
    const struct graph_case c = {.build = build_dropout,
                                 .user = &p,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(200, 300), .values = ones}},
                                 .n_outputs = 1};
    struct graph_result result;
    graph_run(&c, (struct graph_how){0}, &result);
    double kept = 0.0;
    for (int i = 0; i < COUNT; i++)
        kept += result.values[0][i] != 0.0;
    CHECK_NEAR(kept / COUNT, 1.0 - p, 4.0 * sqrt(p * (1.0 - p) / COUNT));
    graph_result_release(&result);
    free(ones);
}

/* The backward pass draws the same mask again. */
static void test_dropout_gradient(void **state) {
    (void)state;
    const double ps[] = {0.0, 0.5, 0.9};
    for (int k = 0; k < 3; k++) {
        const struct graph_case c = {.build = build_dropout,
                                     .user = &ps[k],
                                     .n_inputs = 1,
                                     .inputs = {{.shape = CUPEL_SHAPE(4, 2, 5)}},
                                     .n_outputs = 1};
        graph_check_adjoint(&c, 0);
        graph_check(&c, 1e-6);
    }
}

static void test_dropped_nan_takes_no_part(void **state) {
    (void)state;
    const double p = 0.5;
    double x[4 * WIDTH], expected[4 * WIDTH];
    int dropped = 0;
    for (int n = 0; n < 4; n++) {
        double uniform[WIDTH];
        expect(false, "drop", 7, 3, (uint64_t)n, uniform);
        for (int i = 0; i < WIDTH; i++) {
            x[n * WIDTH + i] = NAN;
            expected[n * WIDTH + i] = uniform[i] >= p ? NAN : 0.0;
            dropped += uniform[i] < p;
        }
    }
    CHECK(dropped > 0 && dropped < 4 * WIDTH);
    const struct graph_case c = {.build = build_dropout,
                                 .user = &p,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(4, WIDTH), .values = x}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 4 * WIDTH, 0.0);
}

/* --- errors --- */

static void build_unnamed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)in;
    (void)user;
    out[0] = cupel_sample_normal(cupel_rng_inputs(graph, 2), "", CUPEL_SHAPE(2, 2));
}
static void build_same_name(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)in;
    (void)user;
    out[0] = cupel_sample_normal(cupel_rng_inputs(graph, 2), "noise", CUPEL_SHAPE(2, 2));
    out[0] = cupel_sample_normal(cupel_rng_inputs(graph, 2), "noise", CUPEL_SHAPE(2, 3));
}
static void build_rows(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)in;
    (void)user;
    out[0] = cupel_sample_uniform(cupel_rng_inputs(graph, 2), "noise", CUPEL_SHAPE(3, 2));
}
static void build_two_batches(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)in;
    (void)user;
    (void)cupel_rng_inputs(graph, 2);
    out[0] = cupel_sample_uniform(cupel_rng_inputs(graph, 3), "noise", CUPEL_SHAPE(3, 2));
}
static void build_float_seed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                             const void *user) {
    (void)user;
    cupel_rng rng = cupel_rng_inputs(graph, 2);
    rng.seed = in[0];
    out[0] = cupel_sample_uniform(rng, "noise", CUPEL_SHAPE(2, 2));
}

static void test_errors(void **state) {
    (void)state;
    const double certain = 1.0, negative = -0.1;
    struct graph_case c = {.build = build_unnamed, .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_NAME, "sample_normal needs a name");
    c.build = build_same_name;
    graph_check_fails(&c, false, CUPEL_STATUS_NAME, "noise");
    c.build = build_rows;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE,
                      "shape [3, 2] must have one row for each of the 2");
    c.build = build_two_batches;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE,
                      "the input 'rows' is there as u64 [2], where u64 [3] is wanted");
    c.build = build_float_seed;
    c.n_inputs = 1;
    c.inputs[0].shape = cupel_shape_scalar();
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "seed must be u64, but it is real");
    c.build = build_dropout;
    c.user = &certain;
    c.inputs[0].shape = CUPEL_SHAPE(2, 2);
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "0 <= p < 1");
    c.user = &negative;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "0 <= p < 1");
}

static const cupel_rng no_rng; /* all none */

static void build_no_rng(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                         const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_dropout(no_rng, "drop", in[0], 0.5);
}

static void build_no_rows(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)in;
    (void)user;
    cupel_rng rng = cupel_rng_inputs(graph, 2);
    rng.seed = rng.rows = cupel_none();
    out[0] = cupel_sample_normal(rng, "noise", CUPEL_SHAPE(2, 2));
}

static void test_missing_rng(void **state) {
    (void)state;
    struct graph_case c = {.build = build_no_rng,
                           .n_inputs = 1,
                           .inputs = {{.shape = CUPEL_SHAPE(2, 2)}},
                           .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT,
                      "dropout: the rng has no seed; take one from cupel_rng_inputs()");
    c.build = build_no_rows;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT,
                      "sample_normal: the rng has no seed");
    /* No graph could keep an error. */
    CHECK(cupel_is_none(cupel_dropout(no_rng, "drop", cupel_none(), 0.5)));
    CHECK(cupel_is_none(cupel_sample_uniform(no_rng, "noise", CUPEL_SHAPE(2, 2))));
}

/* Asked for again, and inside a scope, the inputs are the same ones. */
static void test_one_set_of_inputs(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 1, NULL);
    const cupel_rng first = cupel_rng_inputs(net.graph, 4);
    cupel_graph_enter(net.graph, "inner");
    const cupel_rng second = cupel_rng_inputs(net.graph, 4);
    const cupel_node node = cupel_sample_normal(second, "noise", CUPEL_SHAPE(4, 2));
    cupel_graph_leave(net.graph);
    CHECK_OK_TEXT(cupel_graph_check(net.graph), cupel_graph_error(net.graph));
    CHECK_I64(second.seed.id, first.seed.id);
    CHECK_I64(second.step.id, first.step.id);
    CHECK_I64(second.rows.id, first.rows.id);
    CHECK_STRING(cupel_node_name(first.rows), "rows");
    CHECK_STRING(cupel_node_name(node), "inner.noise");
    net_close(&net);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_a_row_depends_on_its_id_alone),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_dropout_is_its_formula),
        cmocka_unit_test(test_dropout_keeps_the_mean),
        cmocka_unit_test(test_dropout_gradient),
        cmocka_unit_test(test_dropped_nan_takes_no_part),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_missing_rng),
        cmocka_unit_test(test_one_set_of_inputs),
    };
    return CHECK_MAIN(tests);
}
