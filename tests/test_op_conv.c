/* Convolution, its two backward ops, and the transposed convolution (src/op/op_conv2d*.c). */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <stdlib.h>

#include "op/op_builders.h"

/* One geometry: images [n, c, h, w], o filters of kh x kw. */
struct geometry {
    int64_t n, c, h, w, o, kh, kw;
    cupel_conv_options options;
};

static const struct geometry geometries[] = {
    {1, 1, 1, 1, 1, 1, 1, {.groups = 0}},
    {2, 3, 5, 7, 4, 3, 3, {.groups = 0}},
    {2, 1, 8, 8, 2, 3, 3, {.padding = {1, 1}}},
    {1, 2, 9, 6, 3, 3, 2, {.stride = {2, 3}}},
    {2, 2, 7, 9, 3, 3, 3, {.stride = {2, 2}, .padding = {1, 2}}},
    {1, 2, 9, 9, 2, 3, 3, {.dilation = {2, 3}}},
    {1, 3, 10, 8, 2, 2, 3, {.stride = {2, 1}, .padding = {2, 1}, .dilation = {3, 2}}},
    {2, 4, 6, 5, 6, 3, 3, {.padding = {1, 1}, .groups = 2}},
    {1, 3, 5, 5, 6, 3, 3, {.groups = 3}},
    {1, 5, 4, 4, 5, 1, 1, {.stride = {3, 3}, .groups = 5}},
    {1, 1, 2, 2, 1, 5, 5, {.padding = {3, 2}}},
    {1, 16, 6, 6, 16, 3, 3, {.padding = {1, 1}}},
    {2, 17, 5, 5, 9, 3, 1, {.padding = {1, 0}}},
};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

static int64_t or_one(int64_t value) {
    return value == 0 ? 1 : value;
}

static int64_t extent(const struct geometry *g, int axis) {
    return window_extent(axis == 0 ? g->h : g->w, axis == 0 ? g->kh : g->kw,
                         or_one(g->options.stride[axis]), g->options.padding[axis],
                         or_one(g->options.dilation[axis]));
}

static cupel_shape src_shape(const struct geometry *g) {
    return CUPEL_SHAPE(g->n, g->c, g->h, g->w);
}
static cupel_shape weights_shape(const struct geometry *g) {
    return CUPEL_SHAPE(g->o, g->c / or_one(g->options.groups), g->kh, g->kw);
}
static cupel_shape dst_shape(const struct geometry *g) {
    return CUPEL_SHAPE(g->n, g->o, extent(g, 0), extent(g, 1));
}

/* Visits every product x[src] * w[weight] that is summed into y[dst]. */
typedef void (*term_function)(void *user, int64_t src, int64_t weight, int64_t dst);

static void visit_terms(const struct geometry *g, term_function term, void *user) {
    const int64_t groups = or_one(g->options.groups), cg = g->c / groups, og = g->o / groups;
    const int64_t oh = extent(g, 0), ow = extent(g, 1);
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t o = 0; o < g->o; o++)
            for (int64_t i = 0; i < oh; i++)
                for (int64_t j = 0; j < ow; j++)
                    for (int64_t c = 0; c < cg; c++)
                        for (int64_t p = 0; p < g->kh; p++)
                            for (int64_t q = 0; q < g->kw; q++) {
                                const int64_t h = i * or_one(g->options.stride[0]) +
                                                  p * or_one(g->options.dilation[0]) -
                                                  g->options.padding[0];
                                const int64_t w = j * or_one(g->options.stride[1]) +
                                                  q * or_one(g->options.dilation[1]) -
                                                  g->options.padding[1];
                                if (h < 0 || h >= g->h || w < 0 || w >= g->w)
                                    continue;
                                const int64_t channel = o / og * cg + c;
                                term(user, ((n * g->c + channel) * g->h + h) * g->w + w,
                                     ((o * cg + c) * g->kh + p) * g->kw + q,
                                     ((n * g->o + o) * oh + i) * ow + j);
                            }
}

struct products {
    double *x, *w, *y;
};

static void add_to_dst(void *user, int64_t src, int64_t weight, int64_t dst) {
    const struct products *const of = user;
    of->y[dst] += of->x[src] * of->w[weight];
}
static void add_to_src(void *user, int64_t src, int64_t weight, int64_t dst) {
    const struct products *const of = user;
    of->x[src] += of->y[dst] * of->w[weight];
}
static void add_to_weights(void *user, int64_t src, int64_t weight, int64_t dst) {
    const struct products *const of = user;
    of->w[weight] += of->y[dst] * of->x[src];
}

/* count seeded floats, freed by the caller. */
static double *floats(int64_t count, uint64_t seed) {
    double *const values = calloc((size_t)count, sizeof *values);
    CHECK(values != NULL);
    if (seed != 0)
        graph_fill_normal(values, (size_t)count, seed);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)(float)values[i];
    return values;
}

/* The ops are linear in each operand, so a long step loses nothing to the third derivative and
 * little to rounding. */
static void check_linear(const struct graph_case *c) {
    graph_check_gradient_within(c, 0.5, 1e-11);
}

static void build_conv(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)graph;
    out[0] = cupel_conv2d(in[0], in[1], cupel_none(), &((const struct geometry *)user)->options);
}

static void build_conv_bias(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    out[0] = cupel_conv2d(in[0], in[1], in[2], &((const struct geometry *)user)->options);
}

static void test_forward_is_its_formula(void **state) {
    (void)state;
    for (size_t i = 0; i < GEOMETRIES; i++) {
        const struct geometry *const g = &geometries[i];
        check_context("geometry %zu", i);
        const int64_t count = cupel_shape_count(dst_shape(g));
        struct products of = {floats(cupel_shape_count(src_shape(g)), i + 1),
                              floats(cupel_shape_count(weights_shape(g)), i + 50),
                              floats(count, 0)};
        double *const bias = floats(g->o, i + 99);
        visit_terms(g, add_to_dst, &of);
        struct graph_case c = {.build = build_conv,
                               .user = g,
                               .n_inputs = 2,
                               .inputs = {{.shape = src_shape(g), .values = of.x},
                                          {.shape = weights_shape(g), .values = of.w},
                                          {.shape = CUPEL_SHAPE(g->o), .values = bias}},
                               .n_outputs = 1};
        graph_check_shape(&c, 0, CUPEL_TYPE_REAL, dst_shape(g));
        graph_check_values(&c, 0, of.y, (size_t)count, 3e-5);
        for (int64_t e = 0; e < count; e++)
            of.y[e] += bias[e / (extent(g, 0) * extent(g, 1)) % g->o];
        c.build = build_conv_bias;
        c.n_inputs = 3;
        graph_check_values(&c, 0, of.y, (size_t)count, 3e-5);
        free(of.x);
        free(of.w);
        free(of.y);
        free(bias);
    }
}

static void test_gradients(void **state) {
    (void)state;
    for (size_t i = 0; i < GEOMETRIES; i++) {
        const struct geometry *const g = &geometries[i];
        check_context("geometry %zu", i);
        struct graph_case c = {.build = build_conv,
                               .user = g,
                               .n_inputs = 2,
                               .inputs = {{.shape = src_shape(g)},
                                          {.shape = weights_shape(g)},
                                          {.shape = CUPEL_SHAPE(g->o)}},
                               .n_outputs = 1,
                               .seed = i};
        graph_check_adjoint(&c, 0);
        graph_check_adjoint(&c, 1);
        c.build = build_conv_bias;
        c.n_inputs = 3;
        check_linear(&c);
        graph_check_fast(&c, 2e-5);
        /* Each alone: the bias without the weights takes another way. */
        for (int wanted = 0; wanted < 3; wanted++) {
            for (int k = 0; k < 3; k++)
                c.inputs[k].fixed = k != wanted;
            check_linear(&c);
        }
    }
}

/* The transposed convolution of geometry g has dst-shaped images and src-shaped results. */
struct transposed {
    cupel_conv_options options;
};

static void build_transposed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                             const void *user) {
    (void)graph;
    const struct transposed *const t = user;
    out[0] = cupel_conv_transpose2d(in[0], in[1], cupel_none(), &t->options);
}

static void build_transposed_bias(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                  const void *user) {
    (void)graph;
    const struct transposed *const t = user;
    out[0] = cupel_conv_transpose2d(in[0], in[1], in[2], &t->options);
}

static void test_transposed_convolution(void **state) {
    (void)state;
    for (size_t i = 0; i < GEOMETRIES; i++) {
        const struct geometry *const g = &geometries[i];
        check_context("geometry %zu", i);
        struct transposed t = {.options = g->options};
        const int64_t hw[2] = {g->h, g->w}, kernel[2] = {g->kh, g->kw};
        for (int axis = 0; axis < 2; axis++)
            t.options.output_padding[axis] =
                hw[axis] - ((extent(g, axis) - 1) * or_one(g->options.stride[axis]) -
                            2 * g->options.padding[axis] +
                            or_one(g->options.dilation[axis]) * (kernel[axis] - 1) + 1);
        const int64_t count = cupel_shape_count(src_shape(g));
        struct products of = {floats(count, 0), floats(cupel_shape_count(weights_shape(g)), i + 7),
                              floats(cupel_shape_count(dst_shape(g)), i + 3)};
        visit_terms(g, add_to_src, &of);
        struct graph_case c = {.build = build_transposed,
                               .user = &t,
                               .n_inputs = 2,
                               .inputs = {{.shape = dst_shape(g), .values = of.y},
                                          {.shape = weights_shape(g), .values = of.w},
                                          {.shape = CUPEL_SHAPE(g->c)}},
                               .n_outputs = 1};
        graph_check_shape(&c, 0, CUPEL_TYPE_REAL, src_shape(g));
        graph_check_values(&c, 0, of.x, (size_t)count, 5e-5);
        graph_check_adjoint(&c, 0);
        graph_check_adjoint(&c, 1);
        c.build = build_transposed_bias;
        c.n_inputs = 3;
        check_linear(&c);
        graph_check_fast(&c, 2e-5);
        free(of.x);
        free(of.w);
        free(of.y);
    }
}

static void build_weights(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    const struct geometry *const g = user;
    struct attrs_conv attrs = conv_attrs(&g->options);
    attrs.kernel[0] = g->kh;
    attrs.kernel[1] = g->kw;
    attrs.with_bias = 1;
    out[0] = build_conv2d_backward_weights(in[0], in[1], &attrs);
    out[1] = cupel_node_output(out[0], 1);
}

static void build_weights_without_bias(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                       const void *user) {
    (void)graph;
    const struct geometry *const g = user;
    struct attrs_conv attrs = conv_attrs(&g->options);
    attrs.kernel[0] = g->kh;
    attrs.kernel[1] = g->kw;
    out[0] = build_conv2d_backward_weights(in[0], in[1], &attrs);
    out[1] = cupel_node_output(out[0], 1);
}

static void test_backward_weights_is_its_formula(void **state) {
    (void)state;
    for (size_t i = 0; i < GEOMETRIES; i++) {
        const struct geometry *const g = &geometries[i];
        check_context("geometry %zu", i);
        const int64_t count = cupel_shape_count(weights_shape(g));
        struct products of = {floats(cupel_shape_count(src_shape(g)), i + 1), floats(count, 0),
                              floats(cupel_shape_count(dst_shape(g)), i + 20)};
        visit_terms(g, add_to_weights, &of);
        double *const bias = floats(g->o, 0);
        const int64_t plane = extent(g, 0) * extent(g, 1);
        for (int64_t e = 0; e < g->n * g->o * plane; e++)
            bias[e / plane % g->o] += of.y[e];
        struct graph_case c = {.build = build_weights,
                               .user = g,
                               .n_inputs = 2,
                               .inputs = {{.shape = src_shape(g), .values = of.x},
                                          {.shape = dst_shape(g), .values = of.y}},
                               .n_outputs = 2};
        graph_check_values(&c, 0, of.w, (size_t)count, 5e-5);
        graph_check_values(&c, 1, bias, (size_t)g->o, 5e-5);
        check_linear(&c);
        graph_check_fast(&c, 2e-5);
        c.build = build_weights_without_bias;
        const double zero = 0.0;
        graph_check_values(&c, 0, of.w, (size_t)count, 5e-5);
        graph_check_values(&c, 1, &zero, 1, 0.0);
        free(of.x);
        free(of.w);
        free(of.y);
        free(bias);
    }
}

static void fails(const struct geometry *g, graph_build build, cupel_shape x, cupel_shape w,
                  cupel_shape b, cupel_status status, const char *part) {
    const struct graph_case c = {.build = build,
                                 .user = g,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = x}, {.shape = w}, {.shape = b}},
                                 .n_outputs = 1};
    graph_check_fails(&c, false, status, part);
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    const cupel_shape x = CUPEL_SHAPE(2, 3, 8, 8), w = CUPEL_SHAPE(4, 3, 3, 3), b = CUPEL_SHAPE(4);
    const struct geometry plain = {.n = 0}, grouped = {.options = {.groups = 3}},
                          backward = {.options = {.stride = {-1, 1}}},
                          odd = {.options = {.output_padding = {1, 0}}};
    fails(&plain, build_conv_bias, x, CUPEL_SHAPE(4, 1, 3, 3), b, CUPEL_STATUS_SHAPE,
          "images [2, 3, 8, 8] have 3 channels, but weights [4, 1, 3, 3] in 1 group take 1");
    fails(&grouped, build_conv_bias, x, w, b, CUPEL_STATUS_SHAPE,
          "the 4 filters of weights [4, 3, 3, 3] do not divide into 3 groups");
    fails(&plain, build_conv_bias, x, w, CUPEL_SHAPE(5), CUPEL_STATUS_SHAPE,
          "a bias of 5 values for 4 filters");
    fails(&plain, build_conv_bias, x, CUPEL_SHAPE(4, 3, 9, 3), b, CUPEL_STATUS_SHAPE,
          "height 9 (dilation 1) does not fit into images [2, 3, 8, 8] padded by 0");
    fails(&backward, build_conv_bias, x, w, b, CUPEL_STATUS_INVALID_ARGUMENT, "stride -1");
    fails(&odd, build_conv_bias, x, w, b, CUPEL_STATUS_INVALID_ARGUMENT, "output_padding [1, 0]");
    fails(&plain, build_conv_bias, CUPEL_SHAPE(3, 8, 8), w, b, CUPEL_STATUS_SHAPE, "conv2d");
}

static void test_transposed_shapes_that_do_not_fit(void **state) {
    (void)state;
    const cupel_shape x = CUPEL_SHAPE(2, 3, 4, 4), w = CUPEL_SHAPE(3, 5, 3, 3), b = CUPEL_SHAPE(5);
    const struct geometry padded = {.options = {.padding = {9, 9}}};
    struct transposed t = {.options = {.stride = {2, 2}, .output_padding = {2, 0}}};
    struct graph_case c = {.build = build_transposed_bias,
                           .user = &t,
                           .n_inputs = 3,
                           .inputs = {{.shape = x}, {.shape = w}, {.shape = b}},
                           .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT,
                      "output_padding 2 along the height");
    t.options = (cupel_conv_options){.stride = {2, 2}, .output_padding = {1, 1}};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 5, 10, 10));
    c.inputs[2].shape = CUPEL_SHAPE(3);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "a bias of shape [3] for 5 filters");
    c.inputs[1].shape = CUPEL_SHAPE(4, 5, 3, 3);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE,
                      "images [2, 3, 4, 4] have 3 channels, but weights [4, 5, 3, 3] take 4");
    c.inputs[1].shape = w;
    t.options = padded.options;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "a result of -12 x -12 pixels");
}

/* Below the dilation, though past the stride, is allowed; the numbers are PyTorch's. */
static void test_output_padding_past_the_stride(void **state) {
    (void)state;
    const double x[6] = {1, 2, -3, 4, 5, 6}, w[4] = {1, -2, 3, .5};
    const double y[50] = {4, 0, 5, -8, 6,  -10, 0, -12, 0,    0, 0, 0,  0, 0,  0, 0,  0,   0, 0,
                          0, 3, 0, 6,  .5, -9,  1, 0,   -1.5, 0, 0, 12, 0, 15, 2, 18, 2.5, 0, 3};
    struct transposed t = {
        .options = {
            .stride = {1, 2}, .padding = {1, 0}, .dilation = {3, 3}, .output_padding = {2, 2}}};
    struct graph_case c = {.build = build_transposed,
                           .user = &t,
                           .n_inputs = 2,
                           .inputs = {{.shape = CUPEL_SHAPE(1, 1, 2, 3), .values = x},
                                      {.shape = CUPEL_SHAPE(1, 1, 2, 2), .values = w}},
                           .n_outputs = 1};
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(1, 1, 5, 10));
    graph_check_values(&c, 0, y, 50, 1e-6);
    check_linear(&c);
    t.options.output_padding[1] = 3;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT,
                      "output_padding 3 along the width must be within 0 .. 2");
}

/* A NaN pixel reaches the windows it lies in: exactly those on the reference, at least on fast
 * ones. */
static void test_nan_propagates(void **state) {
    (void)state;
    const struct geometry g = {1, 1, 6, 6, 2, 3, 3, {.groups = 0}};
    struct products of = {floats(36, 5), floats(18, 6), floats(32, 0)};
    of.x[2 * 6 + 4] = NAN;
    visit_terms(&g, add_to_dst, &of);
    const struct graph_case c = {.build = build_conv,
                                 .user = &g,
                                 .n_inputs = 2,
                                 .inputs = {{.shape = src_shape(&g), .values = of.x},
                                            {.shape = weights_shape(&g), .values = of.w}},
                                 .n_outputs = 1};
    for (int fast = 0; fast < 2; fast++) {
        struct graph_result result;
        graph_run(&c, (struct graph_how){.reference = fast == 0}, &result);
        for (int e = 0; e < 32; e++) {
            check_context("%s, element %d", fast ? "fast" : "reference", e);
            if (isnan(of.y[e]))
                CHECK(isnan(result.values[0][e]));
            else if (!fast)
                CHECK_NEAR(result.values[0][e], of.y[e], 1e-5);
        }
        graph_result_release(&result);
    }
    free(of.x);
    free(of.w);
    free(of.y);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_is_its_formula),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_transposed_convolution),
        cmocka_unit_test(test_backward_weights_is_its_formula),
        cmocka_unit_test(test_shapes_that_do_not_fit),
        cmocka_unit_test(test_transposed_shapes_that_do_not_fit),
        cmocka_unit_test(test_output_padding_past_the_stride),
        cmocka_unit_test(test_nan_propagates),
    };
    return CHECK_MAIN(tests);
}
