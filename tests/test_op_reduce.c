/* Reductions, softmax and kin (src/op/op_reduce_*.c, op_softmax.c, ...;
 * src/backend/ref/ref_reduce.c): every set of axes against sums written out here, known numbers,
 * NaN and infinity rules, ties, gradients. */
#define _GNU_SOURCE
#include "support/graph_check.h"

enum { MOST = 512 };

typedef cupel_node (*reduce_builder)(cupel_node x, uint32_t axes, bool keep);

enum kind { SUM, MEAN, MAX, MIN, LOGSUMEXP, KINDS };

static const reduce_builder builders[KINDS] = {cupel_reduce_sum, cupel_reduce_mean,
                                               cupel_reduce_max, cupel_reduce_min, cupel_logsumexp};
static const char *const names[KINDS] = {"sum", "mean", "max", "min", "logsumexp"};

struct reduction {
    enum kind kind;
    uint32_t axes;
    bool keep;
};

static void build_reduction(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    const struct reduction *r = user;
    out[0] = builders[r->kind](in[0], r->axes, r->keep);
}

static struct graph_case reduction_case(const struct reduction *r, cupel_shape shape,
                                        const double *values) {
    return (struct graph_case){.build = build_reduction,
                               .user = r,
                               .n_inputs = 1,
                               .inputs = {{.shape = shape, .values = values}},
                               .n_outputs = 1};
}

/* Which element of the result an element of x belongs to. */
static size_t target(size_t i, cupel_shape shape, uint32_t axes) {
    size_t element = 0;
    size_t stride = 1;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        const size_t extent = (size_t)shape.dims[axis];
        const size_t place = i % extent;
        i /= extent;
        if ((axes >> axis & 1) != 0)
            continue;
        element += place * stride;
        stride *= extent;
    }
    return element;
}

static cupel_shape reduced_shape(cupel_shape shape, uint32_t axes, bool keep) {
    cupel_shape out = {.rank = 0};
    for (int axis = 0; axis < shape.rank; axis++) {
        if ((axes >> axis & 1) == 0)
            out.dims[out.rank++] = shape.dims[axis];
        else if (keep)
            out.dims[out.rank++] = 1;
    }
    return out;
}

static void reduce_here(enum kind kind, const double *x, cupel_shape shape, uint32_t axes,
                        double *out, size_t n_out) {
    const size_t count = (size_t)cupel_shape_count(shape);
    for (size_t k = 0; k < n_out; k++) {
        double sum = 0.0, exponentials = 0.0, most = -INFINITY, least = INFINITY;
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            if (target(i, shape, axes) != k)
                continue;
            sum += x[i];
            exponentials += exp(x[i]);
            most = fmax(most, x[i]);
            least = fmin(least, x[i]);
            n++;
        }
        out[k] = kind == SUM    ? sum
                 : kind == MEAN ? sum / (double)n
                 : kind == MAX  ? most
                 : kind == MIN  ? least
                                : log(exponentials);
    }
}

static void fill(double *values, size_t count, uint64_t seed) {
    graph_fill_uniform(values, count, seed, -2.0, 2.0);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)(float)values[i];
}

static void test_all_axes(void **state) {
    (void)state;
    const cupel_shape shapes[] = {cupel_shape_scalar(), CUPEL_SHAPE(19), CUPEL_SHAPE(3, 1),
                                  CUPEL_SHAPE(5, 7), CUPEL_SHAPE(2, 3, 4, 5)};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const uint32_t sets = 1u << shapes[s].rank;
            for (uint32_t axes = 0; axes < sets; axes++) {
                const struct reduction r = {kind, axes, (axes & 1) != 0};
                check_context("%s over axes 0x%x of shape %zu", names[kind], axes, s);
                double x[MOST], expected[MOST];
                fill(x, (size_t)cupel_shape_count(shapes[s]), s + 3);
                const cupel_shape out = reduced_shape(shapes[s], axes, r.keep);
                const size_t n_out = (size_t)cupel_shape_count(out);
                reduce_here(kind, x, shapes[s], axes, expected, n_out);
                const struct graph_case c = reduction_case(&r, shapes[s], x);
                graph_check_shape(&c, 0, CUPEL_TYPE_REAL, out);
                graph_check_values(&c, 0, expected, n_out, 2e-6);
            }
        }
    }
}

static void test_gradients(void **state) {
    (void)state;
    const cupel_shape shape = CUPEL_SHAPE(2, 3, 5);
    const uint32_t sets[] = {0, 1, 2, 4, 5, 6, CUPEL_ALL_AXES};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t a = 0; a < sizeof sets / sizeof *sets; a++) {
            for (int keep = 0; keep < 2; keep++) {
                const struct reduction r = {kind, sets[a], keep == 1};
                check_context("%s over axes 0x%x, keep %d", names[kind], sets[a], keep);
                const struct graph_case c = reduction_case(&r, shape, NULL);
                graph_check(&c, 4e-6);
                if (kind == SUM || kind == MEAN)
                    graph_check_adjoint(&c, 0);
            }
        }
    }
}

/* More elements than a vector, a chunk or a cache line holds, and sums that need the fp64 they are
 * promised: 1 + 2^-20 many times. */
static void test_long_sums(void **state) {
    (void)state;
    enum { N = 70000 };
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = 1.0 + 0x1p-20;
    const double sum = N * (1.0 + 0x1p-20);
    const double mean = 1.0 + 0x1p-20;
    struct reduction r = {SUM, CUPEL_ALL_AXES, false};
    struct graph_case c = reduction_case(&r, CUPEL_SHAPE(N), x);
    graph_check_values(&c, 0, &sum, 1, 2e-7);
    r.kind = MEAN;
    graph_check_values(&c, 0, &mean, 1, 2e-7);
    r.kind = SUM;
    r.axes = CUPEL_AXIS(0);
    c = reduction_case(&r, CUPEL_SHAPE(7000, 10), x);
    double sums[10];
    for (int i = 0; i < 10; i++)
        sums[i] = sum / 10.0;
    graph_check_values(&c, 0, sums, 10, 2e-7);
    c = reduction_case(&r, CUPEL_SHAPE(10, 7000), x);
    r.axes = CUPEL_AXIS(1);
    graph_check_values(&c, 0, sums, 10, 2e-7);
}

static void test_known_numbers(void **state) {
    (void)state;
    const double x[3] = {1, 2, 3};
    const double far[3] = {1001, 1002, 1003};
    const double y = 3.4076059644443806, y_far = 1003.4076059644443806;
    const struct reduction r = {LOGSUMEXP, CUPEL_ALL_AXES, false};
    struct graph_case c = reduction_case(&r, CUPEL_SHAPE(3), x);
    graph_check_values(&c, 0, &y, 1, 2e-7);
    c = reduction_case(&r, CUPEL_SHAPE(3), far);
    graph_check_values(&c, 0, &y_far, 1, 2e-7);
}

static void test_special_values(void **state) {
    (void)state;
    const double inf = INFINITY, nan_ = NAN;
    const double x[6][4] = {{1, nan_, 3, -inf},       {nan_, 1, 2, 3}, {1, 2, 3, nan_},
                            {-inf, -inf, -inf, -inf}, {inf, 1, 2, -5}, {inf, -inf, 0, 1}};
    const double expected[KINDS][6] = {{nan_, nan_, nan_, -inf, inf, nan_},
                                       {nan_, nan_, nan_, -inf, inf, nan_},
                                       {nan_, nan_, nan_, -inf, inf, inf},
                                       {nan_, nan_, nan_, -inf, -5, -inf},
                                       {nan_, nan_, nan_, -inf, inf, inf}};
    for (int kind = 0; kind < KINDS; kind++) {
        check_context("%s", names[kind]);
        struct reduction r = {kind, CUPEL_AXIS(1), false};
        struct graph_case c = reduction_case(&r, CUPEL_SHAPE(6, 4), &x[0][0]);
        graph_check_values(&c, 0, expected[kind], 6, 0.0);
        double turned[4][6];
        for (int i = 0; i < 24; i++)
            turned[i % 4][i / 4] = x[i / 4][i % 4];
        r.axes = CUPEL_AXIS(0);
        c = reduction_case(&r, CUPEL_SHAPE(4, 6), &turned[0][0]);
        graph_check_values(&c, 0, expected[kind], 6, 0.0);
    }
}

/* The gradient of the term is the weight of the loss. */
static void build_with_term(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    build_reduction(graph, in, out, user);
    out[0] = cupel_add(out[0], in[1]);
}

/* torch.amax: the gradient is shared equally among equal maxima. */
static void test_ties(void **state) {
    (void)state;
    const double x[2][4] = {{3, 1, 3, 3}, {2, 2, 5, 1}};
    const double shares[KINDS][8] = {
        [MAX] = {1. / 3, 0, 1. / 3, 1. / 3, 0, 0, 1, 0}, [MIN] = {0, 1, 0, 0, 0, 0, 0, 1}};
    for (int kind = MAX; kind <= MIN; kind++) {
        const struct reduction r = {kind, CUPEL_AXIS(1), false};
        struct graph_case c = reduction_case(&r, CUPEL_SHAPE(2, 4), &x[0][0]);
        c.build = build_with_term;
        c.n_inputs = 2;
        c.inputs[1].shape = CUPEL_SHAPE(2);
        struct graph_result result;
        graph_run(&c, (struct graph_how){.real = CUPEL_TYPE_F64, .gradients = true}, &result);
        for (int i = 0; i < 8; i++) {
            check_context("%s, element %d", names[kind], i);
            CHECK_NEAR(result.gradients[0][i], result.gradients[1][i / 4] * shares[kind][i], 1e-12);
        }
        graph_result_release(&result);
    }
}

/* --- along one axis --- */

enum line_kind { ARGMAX, SOFTMAX, LOG_SOFTMAX };

struct line {
    enum line_kind kind;
    int axis;
};

static void build_line(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)graph;
    const struct line *line = user;
    out[0] = line->kind == ARGMAX    ? cupel_argmax(in[0], line->axis)
             : line->kind == SOFTMAX ? cupel_softmax(in[0], line->axis)
                                     : cupel_log_softmax(in[0], line->axis);
}

static struct graph_case line_case(const struct line *line, cupel_shape shape,
                                   const double *values) {
    return (struct graph_case){.build = build_line,
                               .user = line,
                               .n_inputs = 1,
                               .inputs = {{.shape = shape, .values = values}},
                               .n_outputs = 1};
}

static void test_lines(void **state) {
    (void)state;
    const cupel_shape shapes[] = {CUPEL_SHAPE(1), CUPEL_SHAPE(37), CUPEL_SHAPE(6, 10),
                                  CUPEL_SHAPE(3, 4, 5, 2)};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int axis = 0; axis < shapes[s].rank; axis++) {
            check_context("axis %d of shape %zu", axis, s);
            const size_t count = (size_t)cupel_shape_count(shapes[s]);
            const uint32_t axes = CUPEL_AXIS(axis);
            const size_t lines = count / (size_t)shapes[s].dims[axis];
            double x[MOST], sums[MOST], soft[MOST], logs[MOST], first[MOST], most[MOST];
            fill(x, count, s * 7 + (size_t)axis);
            reduce_here(LOGSUMEXP, x, shapes[s], axes, sums, lines);
            reduce_here(MAX, x, shapes[s], axes, most, lines);
            size_t seen[MOST] = {0};
            for (size_t i = 0; i < count; i++) {
                const size_t k = target(i, shapes[s], axes);
                logs[i] = x[i] - sums[k];
                soft[i] = exp(x[i]) / exp(sums[k]);
                if (x[i] == most[k])
                    first[k] = (double)seen[k];
                seen[k]++;
            }
            struct line line = {SOFTMAX, axis};
            struct graph_case c = line_case(&line, shapes[s], x);
            graph_check_shape(&c, 0, CUPEL_TYPE_REAL, shapes[s]);
            graph_check_values(&c, 0, soft, count, 2e-6);
            line.kind = LOG_SOFTMAX;
            graph_check_values(&c, 0, logs, count, 2e-6);
            line.kind = ARGMAX;
            graph_check_shape(&c, 0, CUPEL_TYPE_I64, reduced_shape(shapes[s], axes, false));
            graph_check_values(&c, 0, first, lines, 0.0);
        }
    }
}

static void test_line_gradients(void **state) {
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        check_context("axis %d", axis);
        struct line line = {SOFTMAX, axis};
        const struct graph_case c = line_case(&line, CUPEL_SHAPE(3, 4, 2), NULL);
        graph_check(&c, 4e-6);
        line.kind = LOG_SOFTMAX;
        graph_check(&c, 4e-6);
    }
}

static void test_line_known_numbers(void **state) {
    (void)state;
    const double x[2][3] = {{1, 2, 3}, {-999, -998, -997}};
    const double soft[6] = {0.09003057317038046, 0.24472847105479764, 0.6652409557748218,
                            0.09003057317038046, 0.24472847105479764, 0.6652409557748218};
    const double logs[6] = {-2.4076059644443806, -1.4076059644443806, -0.4076059644443806,
                            -2.4076059644443806, -1.4076059644443806, -0.4076059644443806};
    struct line line = {SOFTMAX, 1};
    const struct graph_case c = line_case(&line, CUPEL_SHAPE(2, 3), &x[0][0]);
    graph_check_values(&c, 0, soft, 6, 3e-7);
    line.kind = LOG_SOFTMAX;
    graph_check_values(&c, 0, logs, 6, 3e-7);
}

static void test_line_special_values(void **state) {
    (void)state;
    const double inf = INFINITY, nan_ = NAN;
    const double x[4][3] = {{0, nan_, 0}, {-inf, 0, 0}, {-inf, -inf, -inf}, {inf, 0, 0}};
    const double ln2 = 0.6931471805599453;
    const double soft[12] = {nan_, nan_, nan_, 0, 0.5, 0.5, nan_, nan_, nan_, nan_, nan_, nan_};
    const double logs[12] = {nan_, nan_, nan_, -inf, -ln2, -ln2,
                             nan_, nan_, nan_, nan_, -inf, -inf};
    struct line line = {SOFTMAX, 1};
    struct graph_case c = line_case(&line, CUPEL_SHAPE(4, 3), &x[0][0]);
    struct graph_result result;
    const struct graph_how ways[] = {{.real = CUPEL_TYPE_F64, .reference = true},
                                     {.real = CUPEL_TYPE_F32}};
    for (size_t w = 0; w < 2; w++) {
        for (int kind = SOFTMAX; kind <= LOG_SOFTMAX; kind++) {
            line.kind = kind;
            graph_run(&c, ways[w], &result);
            for (int i = 0; i < 12; i++) {
                check_context("way %zu, kind %d, element %d", w, kind, i);
                if (i / 3 ==
                    3) { /* inf - inf: whatever the others become, the infinite one is NaN */
                    if (i % 3 == 0)
                        CHECK(isnan(result.values[0][i]));
                    continue;
                }
                CHECK_NEAR(result.values[0][i], (kind == SOFTMAX ? soft : logs)[i], 1e-7);
            }
            graph_result_release(&result);
        }
    }
    line.kind = ARGMAX;
    const double firsts[4] = {1, 1, 0, 0};
    graph_check_values(&c, 0, firsts, 4, 0.0);
    const double ties[2][5] = {{1, 7, 7, 0, 7}, {nan_, 9, nan_, inf, 0}};
    const double tie_firsts[2] = {1, 0};
    c = line_case(&line, CUPEL_SHAPE(2, 5), &ties[0][0]);
    graph_check_values(&c, 0, tie_firsts, 2, 0.0);
}

/* --- messages --- */

static void build_argmax_u8(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                            const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_argmax(in[1], 0);
}

static void test_messages(void **state) {
    (void)state;
    const struct reduction r = {SUM, CUPEL_AXIS(2), false};
    const struct graph_case beyond = reduction_case(&r, CUPEL_SHAPE(4, 5), NULL);
    graph_check_fails(&beyond, false, CUPEL_STATUS_INVALID_ARGUMENT, "0x4");
    graph_check_fails(&beyond, false, CUPEL_STATUS_INVALID_ARGUMENT, "[4, 5]");
    struct line line = {SOFTMAX, 2};
    struct graph_case c = line_case(&line, CUPEL_SHAPE(4, 5), NULL);
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "no axis 2 in [4, 5]");
    line.axis = -1;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "no axis -1");
    c = (struct graph_case){
        .build = build_argmax_u8,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(2)}, {.shape = CUPEL_SHAPE(2), .type = CUPEL_TYPE_U8}},
        .n_outputs = 1};
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "u8, not real");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_axes),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_known_numbers),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_line_gradients),
        cmocka_unit_test(test_line_known_numbers),
        cmocka_unit_test(test_line_special_values),
        cmocka_unit_test(test_messages),
    };
    return CHECK_MAIN(tests);
}
