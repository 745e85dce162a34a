/* Products of matrices (src/op/op_matmul.c and its kernels). */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <stdlib.h>

struct transposes {
    bool a, b;
};

static void build(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    const struct transposes *const transpose = user;
    out[0] = cupel_matmul(in[0], in[1], transpose->a, transpose->b);
}

static void test_two_by_two(void **state) {
    (void)state;
    const double a[] = {1, 2, 3, 4, 5, 6}, b[] = {7, 8, 9, 10, 11, 12};
    const double expected[] = {58, 64, 139, 154};
    const struct transposes none = {false, false};
    const struct graph_case c = {.build = build,
                                 .user = &none,
                                 .n_inputs = 2,
                                 .inputs = {{.shape = CUPEL_SHAPE(2, 3), .values = a},
                                            {.shape = CUPEL_SHAPE(3, 2), .values = b}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 4, 0.0);
}

/* Batches of both operands, M, K, N; the stored shapes follow from the transposes. */
struct sizes {
    int batch_rank_a, batch_rank_b;
    int64_t batch_a[2], batch_b[2], m, k, n;
};

static const struct sizes all_sizes[] = {
    {0, 0, {0}, {0}, 1, 1, 1},    {0, 0, {0}, {0}, 3, 5, 2},       {0, 0, {0}, {0}, 17, 33, 9},
    {1, 1, {3}, {3}, 4, 7, 5},    {2, 1, {2, 3}, {3}, 2, 3, 4},    {2, 0, {2, 2}, {0}, 3, 4, 2},
    {0, 2, {0}, {2, 2}, 3, 1, 2}, {2, 2, {2, 1}, {1, 3}, 2, 9, 1},
};

static cupel_shape stored(int batch_rank, const int64_t *batch, int64_t rows, int64_t columns,
                          bool transposed) {
    cupel_shape shape = {.rank = batch_rank + 2};
    for (int i = 0; i < batch_rank; i++)
        shape.dims[i] = batch[i];
    shape.dims[batch_rank] = transposed ? columns : rows;
    shape.dims[batch_rank + 1] = transposed ? rows : columns;
    return shape;
}

/* Extent and place of batch axis `axis` (0 or 1) of a result with two batch axes. */
static int64_t batch_extent(int rank, const int64_t *batch, int axis) {
    return axis < 2 - rank ? 1 : batch[axis - (2 - rank)];
}

static int64_t matrix_of(int rank, const int64_t *batch, int64_t i, int64_t j) {
    const int64_t h = batch_extent(rank, batch, 0), w = batch_extent(rank, batch, 1);
    return (h == 1 ? 0 : i) * w + (w == 1 ? 0 : j);
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static void expect(const struct sizes *s, struct transposes t, const double *a, const double *b,
                   double *c) {
    const int64_t h = larger(batch_extent(s->batch_rank_a, s->batch_a, 0),
                             batch_extent(s->batch_rank_b, s->batch_b, 0));
    const int64_t w = larger(batch_extent(s->batch_rank_a, s->batch_a, 1),
                             batch_extent(s->batch_rank_b, s->batch_b, 1));
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            const double *const x = a + matrix_of(s->batch_rank_a, s->batch_a, i, j) * s->m * s->k;
            const double *const y = b + matrix_of(s->batch_rank_b, s->batch_b, i, j) * s->k * s->n;
            for (int64_t p = 0; p < s->m; p++)
                for (int64_t q = 0; q < s->n; q++) {
                    double sum = 0.0;
                    for (int64_t l = 0; l < s->k; l++)
                        sum += (t.a ? x[l * s->m + p] : x[p * s->k + l]) *
                               (t.b ? y[q * s->k + l] : y[l * s->n + q]);
                    *c++ = sum;
                }
        }
}

static void fill_floats(double *values, size_t count, uint64_t seed) {
    graph_fill_normal(values, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)(float)values[i];
}

static void test_all_shapes_and_transposes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all_sizes / sizeof *all_sizes; i++)
        for (int mask = 0; mask < 4; mask++) {
            const struct sizes *const s = &all_sizes[i];
            const struct transposes t = {(mask & 1) != 0, (mask & 2) != 0};
            check_context("sizes %zu, transposes %d", i, mask);
            double a[1024], b[1024], c[1024];
            fill_floats(a, 1024, i + 1);
            fill_floats(b, 1024, i + 100);
            expect(s, t, a, b, c);
            const cupel_shape sa = stored(s->batch_rank_a, s->batch_a, s->m, s->k, t.a);
            const cupel_shape sb = stored(s->batch_rank_b, s->batch_b, s->k, s->n, t.b);
            const int64_t h = larger(batch_extent(s->batch_rank_a, s->batch_a, 0),
                                     batch_extent(s->batch_rank_b, s->batch_b, 0));
            const int64_t w = larger(batch_extent(s->batch_rank_a, s->batch_a, 1),
                                     batch_extent(s->batch_rank_b, s->batch_b, 1));
            const struct graph_case g = {
                .build = build,
                .user = &t,
                .n_inputs = 2,
                .inputs = {{.shape = sa, .values = a}, {.shape = sb, .values = b}},
                .n_outputs = 1};
            graph_check_values(&g, 0, c, (size_t)(h * w * s->m * s->n), 2e-5);
            graph_check_adjoint(&g, 0);
            graph_check_adjoint(&g, 1);
            graph_check(&g, 1e-5);
        }
}

static void fails(struct transposes t, cupel_shape a, cupel_shape b, const char *part) {
    const struct graph_case c = {.build = build,
                                 .user = &t,
                                 .n_inputs = 2,
                                 .inputs = {{.shape = a}, {.shape = b}},
                                 .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, part);
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    const struct transposes none = {false, false}, both = {true, true};
    fails(none, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(4, 5),
          "a [2, 3] has 3 columns, but b [4, 5] has 4 rows");
    fails(both, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(4, 5), "a [2, 3] transposed has 2 columns");
    fails(none, CUPEL_SHAPE(3), CUPEL_SHAPE(3, 1), "at least 2 axes");
    fails(none, CUPEL_SHAPE(2, 4, 3), CUPEL_SHAPE(3, 3, 4), "do not broadcast");
}

static void build_mixed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_matmul(in[0], in[1], false, false);
}

static void test_types_that_do_not_fit(void **state) {
    (void)state;
    struct graph_case c = {.build = build_mixed,
                           .n_inputs = 2,
                           .inputs = {{.shape = CUPEL_SHAPE(2, 2)},
                                      {.shape = CUPEL_SHAPE(2, 2), .type = CUPEL_TYPE_F64}},
                           .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "b is f64");
    c.inputs[1].type = CUPEL_TYPE_I64;
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "matmul");
}

/* A NaN reaches every element of its row, and no other. */
static void test_nan_propagates(void **state) {
    (void)state;
    const double a[] = {1, NAN, 3, 4}, b[] = {0, 0, 0, 1};
    const double expected[] = {NAN, NAN, 0, 4};
    const struct transposes none = {false, false};
    const struct graph_case c = {.build = build,
                                 .user = &none,
                                 .n_inputs = 2,
                                 .inputs = {{.shape = CUPEL_SHAPE(2, 2), .values = a},
                                            {.shape = CUPEL_SHAPE(2, 2), .values = b}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 4, 0.0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_by_two),
        cmocka_unit_test(test_all_shapes_and_transposes),
        cmocka_unit_test(test_shapes_that_do_not_fit),
        cmocka_unit_test(test_types_that_do_not_fit),
        cmocka_unit_test(test_nan_propagates),
    };
    return CHECK_MAIN(tests);
}
