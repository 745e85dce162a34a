/* Maximum and mean under sliding windows and their gradients (src/op/op_*_pool2d*.c). */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <stdlib.h>

#include "op/op_builders.h"

struct geometry {
    int64_t n, c, h, w;
    cupel_pool_options options;
};

static const struct geometry geometries[] = {
    {1, 1, 1, 1, {.kernel = {1, 1}}},
    {2, 3, 4, 6, {.kernel = {2, 2}}},
    {1, 2, 5, 7, {.kernel = {2, 3}}},
    {2, 1, 7, 7, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
    {1, 2, 6, 5, {.kernel = {3, 2}, .stride = {1, 1}, .padding = {1, 1}}},
    {1, 1, 9, 8, {.kernel = {2, 3}, .stride = {3, 4}}},
    {1, 3, 4, 4, {.kernel = {4, 4}, .stride = {1, 1}, .padding = {2, 2}}},
};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

static int64_t stride_of(const struct geometry *g, int axis) {
    return g->options.stride[axis] == 0 ? g->options.kernel[axis] : g->options.stride[axis];
}

static int64_t extent(const struct geometry *g, int axis) {
    return ((axis == 0 ? g->h : g->w) + 2 * g->options.padding[axis] - g->options.kernel[axis]) /
               stride_of(g, axis) +
           1;
}

static cupel_shape shape_of(const struct geometry *g) {
    return CUPEL_SHAPE(g->n, g->c, g->h, g->w);
}

/* The two poolings by their formulas. */
static void expect(const struct geometry *g, const double *x, double *largest, double *mean) {
    const int64_t oh = extent(g, 0), ow = extent(g, 1);
    for (int64_t plane = 0; plane < g->n * g->c; plane++)
        for (int64_t i = 0; i < oh; i++)
            for (int64_t j = 0; j < ow; j++) {
                double most = -INFINITY, sum = 0.0;
                for (int64_t p = 0; p < g->options.kernel[0]; p++)
                    for (int64_t q = 0; q < g->options.kernel[1]; q++) {
                        const int64_t h = i * stride_of(g, 0) + p - g->options.padding[0];
                        const int64_t w = j * stride_of(g, 1) + q - g->options.padding[1];
                        if (h < 0 || h >= g->h || w < 0 || w >= g->w)
                            continue;
                        const double value = x[(plane * g->h + h) * g->w + w];
                        most = value > most ? value : most;
                        sum += value;
                    }
                *largest++ = most;
                *mean++ = sum / (double)(g->options.kernel[0] * g->options.kernel[1]);
            }
}

static void build_max(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    out[0] = cupel_max_pool2d(in[0], &((const struct geometry *)user)->options);
}

static void build_avg(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    out[0] = cupel_avg_pool2d(in[0], &((const struct geometry *)user)->options);
}

static void build_avg_backward(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                               const void *user) {
    (void)graph;
    const struct geometry *const g = user;
    struct attrs_pool attrs = pool_attrs(&g->options);
    attrs.src_hw[0] = g->h;
    attrs.src_hw[1] = g->w;
    out[0] = build_avg_pool2d_backward(in[0], &attrs);
}

static void test_values_and_gradients(void **state) {
    (void)state;
    for (size_t i = 0; i < GEOMETRIES; i++) {
        const struct geometry *const g = &geometries[i];
        check_context("geometry %zu", i);
        double x[256], largest[256], mean[256];
        graph_fill_normal(x, 256, i + 1);
        for (int e = 0; e < 256; e++)
            x[e] = (double)(float)x[e];
        expect(g, x, largest, mean);
        const int64_t count = g->n * g->c * extent(g, 0) * extent(g, 1);
        struct graph_case c = {.build = build_max,
                               .user = g,
                               .n_inputs = 1,
                               .inputs = {{.shape = shape_of(g), .values = x}},
                               .n_outputs = 1};
        graph_check_values(&c, 0, largest, (size_t)count, 0.0);
        graph_check(&c, 1e-6);
        c.build = build_avg;
        graph_check_values(&c, 0, mean, (size_t)count, 1e-6);
        graph_check_adjoint(&c, 0);
        graph_check(&c, 1e-6);
        c.build = build_avg_backward;
        c.inputs[0] =
            (struct graph_input){.shape = CUPEL_SHAPE(g->n, g->c, extent(g, 0), extent(g, 1))};
        graph_check_shape(&c, 0, CUPEL_TYPE_REAL, shape_of(g));
        graph_check_adjoint(&c, 0);
        graph_check(&c, 1e-6);
    }
}

static void build_max_times(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    const struct attrs_pool attrs = pool_attrs(&((const struct geometry *)user)->options);
    out[0] = build_max_pool2d_backward(in[0], in[1], &attrs);
}

/* Of equal maxima the first, row by row, gets the gradient; overlapping windows add up. */
static void test_first_maximum_gets_the_gradient(void **state) {
    (void)state;
    const struct geometry g = {1, 1, 3, 3, {.kernel = {2, 2}, .stride = {1, 1}}};
    const double x[] = {1, 1, 0, 1, 1, 0, 0, 0, 0}, diff[] = {1, 10, 100, 1000};
    const double expected[] = {1, 10, 0, 100, 1000, 0, 0, 0, 0};
    const struct graph_case c = {.build = build_max_times,
                                 .user = &g,
                                 .n_inputs = 2,
                                 .inputs = {{.shape = CUPEL_SHAPE(1, 1, 3, 3), .values = x},
                                            {.shape = CUPEL_SHAPE(1, 1, 2, 2), .values = diff}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 9, 0.0);
}

/* Padding is minus infinity for the maximum, zero for the mean. */
static void test_padding(void **state) {
    (void)state;
    const struct geometry g = {1, 1, 2, 2, {.kernel = {2, 2}, .padding = {1, 1}}};
    const double x[] = {-4, -8, -12, -16};
    const double mean[] = {-1, -2, -3, -4};
    struct graph_case c = {.build = build_max,
                           .user = &g,
                           .n_inputs = 1,
                           .inputs = {{.shape = CUPEL_SHAPE(1, 1, 2, 2), .values = x}},
                           .n_outputs = 1};
    graph_check_values(&c, 0, x, 4, 0.0);
    c.build = build_avg;
    graph_check_values(&c, 0, mean, 4, 0.0);
}

static void test_nan_counts_as_the_maximum(void **state) {
    (void)state;
    const struct geometry g = {1, 1, 2, 4, {.kernel = {2, 2}}};
    const double x[] = {1, NAN, 1, 2, 9, 9, 3, 0}, largest[] = {NAN, 3}, mean[] = {NAN, 1.5};
    const double diff[] = {5, 7}, back[] = {0, 5, 0, 0, 0, 0, 7, 0};
    struct graph_case c = {.build = build_max,
                           .user = &g,
                           .n_inputs = 1,
                           .inputs = {{.shape = CUPEL_SHAPE(1, 1, 2, 4), .values = x},
                                      {.shape = CUPEL_SHAPE(1, 1, 1, 2), .values = diff}},
                           .n_outputs = 1};
    graph_check_values(&c, 0, largest, 2, 0.0);
    c.build = build_avg;
    graph_check_values(&c, 0, mean, 2, 0.0);
    c.build = build_max_times;
    c.n_inputs = 2;
    graph_check_values(&c, 0, back, 8, 0.0);
}

static void fails(cupel_pool_options options, cupel_shape x, cupel_status status,
                  const char *part) {
    const struct geometry g = {.options = options};
    struct graph_case c = {
        .build = build_max, .user = &g, .n_inputs = 1, .inputs = {{.shape = x}}, .n_outputs = 1};
    graph_check_fails(&c, false, status, part);
    c.build = build_avg;
    graph_check_fails(&c, false, status, part);
}

static void test_windows_that_do_not_fit(void **state) {
    (void)state;
    const cupel_shape x = CUPEL_SHAPE(1, 2, 4, 5);
    fails((cupel_pool_options){.kernel = {5, 5}}, x, CUPEL_STATUS_SHAPE,
          "a window of height 5 does not fit into images [1, 2, 4, 5] padded by 0");
    fails((cupel_pool_options){.kernel = {2, 2}, .padding = {2, 0}}, x,
          CUPEL_STATUS_INVALID_ARGUMENT, "padding 2 along the height must be within 0 .. 1");
    fails((cupel_pool_options){.kernel = {0, 2}}, x, CUPEL_STATUS_INVALID_ARGUMENT,
          "a window of height 0");
    fails((cupel_pool_options){.kernel = {2, 2}}, CUPEL_SHAPE(2, 4, 5), CUPEL_STATUS_SHAPE,
          "pool2d");
}

static void build_twice(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    const struct attrs_pool attrs = pool_attrs(&((const struct geometry *)user)->options);
    (void)graph;
    out[0] = build_max_pool2d_backward(in[0], in[1], &attrs);
}

static void test_second_order_is_refused_by_name(void **state) {
    (void)state;
    const struct geometry g = {1, 1, 2, 2, {.kernel = {2, 2}}};
    const struct graph_case c = {
        .build = build_twice,
        .user = &g,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(1, 1, 2, 2)}, {.shape = CUPEL_SHAPE(1, 1, 1, 1)}},
        .n_outputs = 1};
    graph_check_fails(&c, true, CUPEL_STATUS_UNSUPPORTED, "max_pool2d_backward");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_gradients),
        cmocka_unit_test(test_first_maximum_gets_the_gradient),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_nan_counts_as_the_maximum),
        cmocka_unit_test(test_windows_that_do_not_fit),
        cmocka_unit_test(test_second_order_is_refused_by_name),
    };
    return CHECK_MAIN(tests);
}
