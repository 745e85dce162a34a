/* Elementwise ops (src/op/, src/backend/ref/ref_elementwise.c, ref_effect.c): values against closed
 * forms and known numbers, NaN and infinity rules, broadcasting, types, gradients, messages; the op
 * table. */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include "backend/backend.h"
#include "op/op_internal.h"

enum { MOST = 256 };

/* Floats, so that an f32 program starts from the very same numbers. */
static void fill_floats(double *values, size_t count, uint64_t seed, double low, double high) {
    graph_fill_uniform(values, count, seed, low, high);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)(float)values[i];
}

/* --- one operand --- */

typedef cupel_node (*unary_builder)(cupel_node x);

static cupel_node leaky(cupel_node x) {
    return cupel_leaky_relu(x, 0.25);
}
static cupel_node clamped(cupel_node x) {
    return cupel_clamp(x, -0.5, 1.25);
}
static cupel_node tripled(cupel_node x) {
    return cupel_scale(x, 3.0);
}
static cupel_node raised(cupel_node x) {
    return cupel_offset(x, 0.5);
}
static double leaky_of(double x) {
    return x > 0.0 ? x : x / 4.0;
}
static double clamped_of(double x) {
    return fmin(fmax(x, -0.5), 1.25);
}
static double tripled_of(double x) {
    return x + x + x;
}
static double raised_of(double x) {
    return x + 0.5;
}
static double neg_of(double x) {
    return 0.0 - x;
}
static double square_of(double x) {
    return pow(x, 2.0);
}
static double reciprocal_of(double x) {
    return pow(x, -1.0);
}
static double sign_of(double x) {
    return (double)(x > 0.0) - (double)(x < 0.0);
}
static double relu_of(double x) {
    return (x + fabs(x)) / 2.0;
}
static double sigmoid_of(double x) {
    return 0.5 * (1.0 + tanh(x / 2.0));
}
static double tanh_of(double x) {
    return expm1(2.0 * x) / (expm1(2.0 * x) + 2.0);
}
static double softplus_of(double x) {
    return log(1.0 + exp(x));
}

struct unary_row {
    const char *name;
    unary_builder build;
    double (*closed)(double x);
    double low, high;
    bool gradient;
};

static const struct unary_row unary_rows[] = {
    {"neg", cupel_neg, neg_of, -5, 5, true},
    {"abs", cupel_abs, fabs, -5, 5, true},
    {"exp", cupel_exp, exp, -5, 3, true},
    {"log", cupel_log, log, 0.2, 9, true},
    {"sqrt", cupel_sqrt, sqrt, 0.2, 9, true},
    {"square", cupel_square, square_of, -5, 5, true},
    {"reciprocal", cupel_reciprocal, reciprocal_of, 0.3, 5, true},
    {"sign", cupel_sign, sign_of, -5, 5, false},
    {"relu", cupel_relu, relu_of, -5, 5, true},
    {"leaky_relu", leaky, leaky_of, -5, 5, true},
    {"sigmoid", cupel_sigmoid, sigmoid_of, -8, 8, true},
    {"tanh", cupel_tanh, tanh_of, -3, 3, true},
    {"softplus", cupel_softplus, softplus_of, -6, 12, true},
    {"clamp", clamped, clamped_of, -2, 3, true},
    {"scale", tripled, tripled_of, -5, 5, true},
    {"offset", raised, raised_of, -5, 5, true},
};
enum { UNARY_ROWS = sizeof unary_rows / sizeof *unary_rows };

static void build_unary_case(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                             const void *user) {
    (void)graph;
    out[0] = ((const struct unary_row *)user)->build(in[0]);
}

static struct graph_case unary_case(const struct unary_row *row, cupel_shape shape,
                                    const double *values) {
    return (struct graph_case){.build = build_unary_case,
                               .user = row,
                               .n_inputs = 1,
                               .inputs = {{.shape = shape, .values = values}},
                               .n_outputs = 1};
}

static void test_unary_values(void **state) {
    (void)state;
    const cupel_shape shapes[] = {cupel_shape_scalar(), CUPEL_SHAPE(1), CUPEL_SHAPE(3, 5),
                                  CUPEL_SHAPE(2, 3, 17), CUPEL_SHAPE(2, 1, 3, 2, 1, 11)};
    for (int r = 0; r < UNARY_ROWS; r++) {
        const struct unary_row *row = &unary_rows[r];
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            check_context("op %s, shape %zu", row->name, s);
            double values[MOST], expected[MOST];
            const size_t count = (size_t)cupel_shape_count(shapes[s]);
            fill_floats(values, count, s + 1, row->low, row->high);
            for (size_t i = 0; i < count; i++)
                expected[i] = row->closed(values[i]);
            const struct graph_case c = unary_case(row, shapes[s], values);
            graph_check_shape(&c, 0, CUPEL_TYPE_REAL, shapes[s]);
            graph_check_values(&c, 0, expected, count, 1e-6);
        }
    }
}

/* Not the C library's word for it: printed tables (Abramowitz and Stegun 4; the rest follow). */
static void test_unary_known_numbers(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double x, y;
    } known[] = {
        {"exp", 1.0, 2.718281828459045},       {"log", 2.0, 0.6931471805599453},
        {"sqrt", 2.0, 1.4142135623730951},     {"tanh", 1.0, 0.7615941559557649},
        {"sigmoid", 1.0, 0.7310585786300049},  {"softplus", 1.0, 1.3132616875182228},
        {"softplus", 0.0, 0.6931471805599453}, {"sigmoid", 0.0, 0.5},
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        check_context("%s(%g)", known[k].name, known[k].x);
        for (int r = 0; r < UNARY_ROWS; r++) {
            if (strcmp(unary_rows[r].name, known[k].name) != 0)
                continue;
            const struct graph_case c =
                unary_case(&unary_rows[r], cupel_shape_scalar(), &known[k].x);
            graph_check_values(&c, 0, &known[k].y, 1, 3e-7);
        }
    }
}

static void test_unary_special_values(void **state) {
    (void)state;
    const double inf = INFINITY, nan_ = NAN;
    enum { SPECIALS = 7 };
    const double x[SPECIALS] = {nan_, inf, -inf, 0.0, -0.0, 100.0, -100.0};
    const struct {
        const char *name;
        double y[SPECIALS];
    } rows[] = {
        {"neg", {nan_, -inf, inf, 0, 0, -100, 100}},
        {"abs", {nan_, inf, inf, 0, 0, 100, 100}},
        {"exp", {nan_, inf, 0, 1, 1, inf, 0}},
        {"log", {nan_, inf, nan_, -inf, -inf, 4.605170185988092, nan_}},
        {"sqrt", {nan_, inf, nan_, 0, 0, 10, nan_}},
        {"square", {nan_, inf, inf, 0, 0, 10000, 10000}},
        {"reciprocal", {nan_, 0, 0, inf, -inf, 0.01, -0.01}},
        {"sign", {nan_, 1, -1, 0, 0, 1, -1}},
        {"relu", {nan_, inf, 0, 0, 0, 100, 0}},
        {"leaky_relu", {nan_, inf, -inf, 0, 0, 100, -25}},
        {"sigmoid", {nan_, 1, 0, 0.5, 0.5, 1, 0}},
        {"tanh", {nan_, 1, -1, 0, 0, 1, -1}},
        {"softplus", {nan_, inf, 0, 0.6931471805599453, 0.6931471805599453, 100, 0}},
        {"clamp", {nan_, 1.25, -0.5, 0, 0, 1.25, -0.5}},
        {"scale", {nan_, inf, -inf, 0, 0, 300, -300}},
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        check_context("op %s", rows[k].name);
        for (int r = 0; r < UNARY_ROWS; r++) {
            if (strcmp(unary_rows[r].name, rows[k].name) != 0)
                continue;
            double padded[2 * 16], expected[2 * 16]; /* a vector and a remainder */
            for (int i = 0; i < 2 * 16; i++) {
                padded[i] = x[i % SPECIALS];
                expected[i] = rows[k].y[i % SPECIALS];
            }
            struct graph_case c = unary_case(&unary_rows[r], CUPEL_SHAPE(27), padded);
            if (strcmp(rows[k].name, "exp") == 0) { /* e^100 is a number in f64 */
                for (int i = 0; i < 27; i++)
                    padded[i] = i % SPECIALS == 5 ? 1000.0 : i % SPECIALS == 6 ? -1000 : padded[i];
            }
            graph_check_values(&c, 0, expected, 27, 1e-6);
        }
    }
}

static void test_unary_gradients(void **state) {
    (void)state;
    for (int r = 0; r < UNARY_ROWS; r++) {
        const struct unary_row *row = &unary_rows[r];
        if (!row->gradient)
            continue;
        check_context("op %s", row->name);
        double values[MOST];
        fill_floats(values, 2 * 3 * 5, 5, row->low, row->high);
        const struct graph_case c = unary_case(row, CUPEL_SHAPE(2, 3, 5), values);
        graph_check(&c, 2e-6);
    }
}

/* out = op(a, b) + c, so that the gradient of c is the weight that op's own gradient is to be
 * measured by. */
struct point {
    unary_builder unary;
    cupel_node (*binary)(cupel_node a, cupel_node b);
};

static void build_point(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    (void)graph;
    const struct point *point = user;
    const cupel_node y = point->unary ? point->unary(in[0]) : point->binary(in[0], in[2]);
    out[0] = cupel_add(y, in[1]);
}

/* d op / d a (and b) at one point. */
static void slopes_at(struct point point, double a, double b, double *da, double *db) {
    const double zero = 0.0;
    const bool binary = point.binary != NULL;
    const struct graph_case c = {
        .build = build_point,
        .user = &point,
        .n_inputs = binary ? 3 : 2,
        .inputs = {{.values = &a}, {.values = &zero}, {.values = &b}},
        .n_outputs = 1,
    };
    struct graph_result result;
    graph_run(&c, (struct graph_how){.real = CUPEL_TYPE_F64, .reference = true, .gradients = true},
              &result);
    *da = result.gradients[0][0] / result.gradients[1][0];
    if (binary)
        *db = result.gradients[2][0] / result.gradients[1][0];
    graph_result_release(&result);
}

static void test_gradients_at_kinks(void **state) {
    (void)state;
    double da, db;
    slopes_at((struct point){.unary = cupel_relu}, 0.0, 0.0, &da, &db);
    CHECK_F64(da, 0.0);
    slopes_at((struct point){.unary = leaky}, 0.0, 0.0, &da, &db);
    CHECK_F64(da, 0.25);
    slopes_at((struct point){.unary = cupel_abs}, 0.0, 0.0, &da, &db);
    CHECK_F64(da, 0.0);
    slopes_at((struct point){.unary = clamped}, -0.5, 0.0, &da, &db);
    CHECK_F64(da, 1.0);
    slopes_at((struct point){.unary = clamped}, 1.25, 0.0, &da, &db);
    CHECK_F64(da, 1.0);
    slopes_at((struct point){.binary = cupel_maximum}, 3.0, 3.0, &da, &db);
    CHECK_F64(da, 0.5);
    CHECK_F64(db, 0.5);
    slopes_at((struct point){.binary = cupel_minimum}, 3.0, 3.0, &da, &db);
    CHECK_F64(da, 0.5);
    CHECK_F64(db, 0.5);
    slopes_at((struct point){.binary = cupel_maximum}, 3.0, 4.0, &da, &db);
    CHECK_F64(da, 0.0);
    CHECK_F64(db, 1.0);
    /* torch.pow: 0^b has slope 0 in b, and a^0 slope 0 in a. */
    slopes_at((struct point){.binary = cupel_pow}, 0.0, 2.0, &da, &db);
    CHECK_F64(da, 0.0);
    CHECK_F64(db, 0.0);
    slopes_at((struct point){.binary = cupel_pow}, 0.0, 0.0, &da, &db);
    CHECK_F64(da, 0.0);
    slopes_at((struct point){.binary = cupel_pow}, 2.0, 3.0, &da, &db);
    CHECK_NEAR(da, 12.0, 1e-12);
    CHECK_NEAR(db, 8.0 * 0.6931471805599453, 1e-12);
}

/* --- two operands --- */

typedef cupel_node (*binary_builder)(cupel_node a, cupel_node b);

static double add_of(double a, double b) {
    return a + b;
}
static double sub_of(double a, double b) {
    return a - b;
}
static double mul_of(double a, double b) {
    return a * b;
}
static double div_of(double a, double b) {
    return a / b;
}

struct binary_row {
    const char *name;
    binary_builder build;
    double (*closed)(double a, double b);
    double low, high;
    int linear; /* bit i: linear in operand i */
};

static const struct binary_row binary_rows[] = {
    {"add", cupel_add, add_of, -3, 3, 0},       {"sub", cupel_sub, sub_of, -3, 3, 0},
    {"mul", cupel_mul, mul_of, -3, 3, 3},       {"div", cupel_div, div_of, 0.5, 3, 1},
    {"maximum", cupel_maximum, fmax, -3, 3, 0}, {"minimum", cupel_minimum, fmin, -3, 3, 0},
    {"pow", cupel_pow, pow, 0.2, 3, 0},
};
enum { BINARY_ROWS = sizeof binary_rows / sizeof *binary_rows };

static void build_binary_case(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)graph;
    out[0] = ((const struct binary_row *)user)->build(in[0], in[1]);
}

struct shape_pair {
    cupel_shape a, b, out;
};

static size_t shape_pairs(struct shape_pair *pairs) {
    const struct shape_pair all[] = {
        {cupel_shape_scalar(), cupel_shape_scalar(), cupel_shape_scalar()},
        {CUPEL_SHAPE(7), CUPEL_SHAPE(7), CUPEL_SHAPE(7)},
        {CUPEL_SHAPE(2, 3), CUPEL_SHAPE(3), CUPEL_SHAPE(2, 3)},
        {CUPEL_SHAPE(3), CUPEL_SHAPE(2, 3), CUPEL_SHAPE(2, 3)},
        {CUPEL_SHAPE(5), cupel_shape_scalar(), CUPEL_SHAPE(5)},
        {CUPEL_SHAPE(1), CUPEL_SHAPE(2, 2), CUPEL_SHAPE(2, 2)},
        {CUPEL_SHAPE(2, 1, 4), CUPEL_SHAPE(3, 1), CUPEL_SHAPE(2, 3, 4)},
        {CUPEL_SHAPE(4, 1, 1, 1), CUPEL_SHAPE(1, 3, 2, 2), CUPEL_SHAPE(4, 3, 2, 2)},
        {CUPEL_SHAPE(2, 3, 4, 5), CUPEL_SHAPE(3, 1, 1), CUPEL_SHAPE(2, 3, 4, 5)},
        {CUPEL_SHAPE(2, 1, 2, 1, 2, 1), CUPEL_SHAPE(1, 2, 1, 3, 1, 2),
         CUPEL_SHAPE(2, 2, 2, 3, 2, 2)},
    };
    memcpy(pairs, all, sizeof all);
    return sizeof all / sizeof *all;
}

/* The element of a broadcast operand that belongs to element i of the result; written from the
 * rule, not from the kernels' walk. */
static size_t broadcast_element(size_t i, cupel_shape out, cupel_shape in) {
    size_t element = 0;
    size_t stride = 1;
    for (int back = 1; back <= out.rank; back++) {
        const size_t extent = (size_t)out.dims[out.rank - back];
        const size_t place = i % extent;
        i /= extent;
        if (back > in.rank)
            continue;
        const size_t own = (size_t)in.dims[in.rank - back];
        element += own == 1 ? 0 : place * stride;
        stride *= own;
    }
    return element;
}

static void test_binary(void **state) {
    (void)state;
    struct shape_pair pairs[16];
    const size_t n_pairs = shape_pairs(pairs);
    for (int r = 0; r < BINARY_ROWS; r++) {
        const struct binary_row *row = &binary_rows[r];
        for (size_t p = 0; p < n_pairs; p++) {
            check_context("op %s, pair %zu", row->name, p);
            double a[MOST], b[MOST], expected[MOST];
            fill_floats(a, (size_t)cupel_shape_count(pairs[p].a), 11 + p, row->low, row->high);
            fill_floats(b, (size_t)cupel_shape_count(pairs[p].b), 12 + p, row->low, row->high);
            const size_t count = (size_t)cupel_shape_count(pairs[p].out);
            for (size_t i = 0; i < count; i++)
                expected[i] = row->closed(a[broadcast_element(i, pairs[p].out, pairs[p].a)],
                                          b[broadcast_element(i, pairs[p].out, pairs[p].b)]);
            const struct graph_case c = {
                .build = build_binary_case,
                .user = row,
                .n_inputs = 2,
                .inputs = {{.shape = pairs[p].a, .values = a}, {.shape = pairs[p].b, .values = b}},
                .n_outputs = 1};
            graph_check_shape(&c, 0, CUPEL_TYPE_REAL, pairs[p].out);
            graph_check_values(&c, 0, expected, count, 2e-6);
            graph_check(&c, 4e-6);
            for (int i = 0; i < 2; i++)
                if ((row->linear >> i & 1) != 0)
                    graph_check_adjoint(&c, i);
        }
    }
}

static void test_binary_special_values(void **state) {
    (void)state;
    const double inf = INFINITY, nan_ = NAN;
    enum { SPECIALS = 8 };
    const double a[SPECIALS] = {nan_, 1, nan_, inf, -inf, 0, 0, 2};
    const double b[SPECIALS] = {1, nan_, nan_, inf, inf, 0, 3, inf};
    const struct {
        const char *name;
        double y[SPECIALS];
    } rows[] = {
        {"add", {nan_, nan_, nan_, inf, nan_, 0, 3, inf}},
        {"sub", {nan_, nan_, nan_, nan_, -inf, 0, -3, -inf}},
        {"mul", {nan_, nan_, nan_, inf, -inf, 0, 0, inf}},
        {"div", {nan_, nan_, nan_, nan_, nan_, nan_, 0, 0}},
        {"maximum", {nan_, nan_, nan_, inf, inf, 0, 3, inf}},
        {"minimum", {nan_, nan_, nan_, inf, -inf, 0, 0, 2}},
        {"pow", {nan_, nan_, nan_, inf, nan_, 1, 0, inf}},
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        check_context("op %s", rows[k].name);
        double long_a[27], long_b[27], expected[27];
        for (int i = 0; i < 27; i++) {
            long_a[i] = a[i % SPECIALS];
            long_b[i] = b[i % SPECIALS];
            expected[i] = rows[k].y[i % SPECIALS];
        }
        const struct graph_case c = {.build = build_binary_case,
                                     .user = &binary_rows[k],
                                     .n_inputs = 2,
                                     .inputs = {{.shape = CUPEL_SHAPE(27), .values = long_a},
                                                {.shape = CUPEL_SHAPE(27), .values = long_b}},
                                     .n_outputs = 1};
        CHECK_STRING(binary_rows[k].name, rows[k].name);
        graph_check_values(&c, 0, expected, 27, 0.0);
    }
}

/* Several values of one chain, so that the planner may write in place and the compiler may fuse. */
static void build_chain(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    (void)graph;
    (void)user;
    const cupel_node s = cupel_sigmoid(cupel_add(in[0], in[1]));
    out[0] = cupel_mul(cupel_tanh(cupel_scale(s, 2.0)), cupel_square(s));
    out[1] = cupel_select(cupel_compare(CUPEL_GREATER, s, cupel_scalar(graph, 0.5)), in[0],
                          cupel_neg(in[0]));
}

static void test_chain(void **state) {
    (void)state;
    const struct graph_case c = {
        .build = build_chain,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(3, 4, 7)}, {.shape = CUPEL_SHAPE(4, 1)}},
        .n_outputs = 2};
    graph_check(&c, 4e-6);
}

/* --- compare, select --- */

static void build_compare(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    (void)user;
    for (int k = 0; k < 6; k++)
        out[k] = cupel_compare((cupel_comparison)k, in[0], in[1]);
}

static void test_compare(void **state) {
    (void)state;
    const double a[5] = {1, 2, 3, NAN, 5};
    const double b[5] = {2, 2, 2, 1, NAN};
    const double expected[6][5] = {{0, 1, 0, 0, 0}, {1, 0, 1, 1, 1}, {1, 0, 0, 0, 0},
                                   {1, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 1, 1, 0, 0}};
    const struct graph_case reals = {
        .build = build_compare,
        .n_inputs = 2,
        .inputs = {{.shape = CUPEL_SHAPE(5), .values = a}, {.shape = CUPEL_SHAPE(5), .values = b}},
        .n_outputs = 6};
    for (int k = 0; k < 6; k++) {
        check_context("comparison %d", k);
        graph_check_values(&reals, k, expected[k], 5, 0.0);
    }
    const cupel_type types[] = {CUPEL_TYPE_I32, CUPEL_TYPE_I64, CUPEL_TYPE_U8, CUPEL_TYPE_U64};
    for (size_t t = 0; t < 4; t++) {
        const struct graph_case wholes = {
            .build = build_compare,
            .n_inputs = 2,
            .inputs = {{.shape = CUPEL_SHAPE(3), .values = a, .type = types[t]},
                       {.shape = CUPEL_SHAPE(1, 1), .values = b, .type = types[t]}},
            .n_outputs = 6};
        graph_check_shape(&wholes, 0, CUPEL_TYPE_REAL, CUPEL_SHAPE(1, 3));
        for (int k = 0; k < 6; k++) {
            check_context("comparison %d of %s", k, cupel_type_name(types[t]));
            graph_check_values(&wholes, k, expected[k], 3, 0.0);
        }
    }
}

static void build_select(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                         const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_select(in[0], in[1], in[2]);
}

static void test_select(void **state) {
    (void)state;
    const double condition[6] = {1, 0, -2, NAN, 0, 0.5};
    const double a[3] = {10, INFINITY, NAN};
    const double b[2] = {-1, NAN};
    const double expected[6] = {10, -1, NAN, 10, NAN, NAN};
    const struct graph_case c = {.build = build_select,
                                 .n_inputs = 3,
                                 .inputs = {{.shape = CUPEL_SHAPE(2, 3), .values = condition},
                                            {.shape = CUPEL_SHAPE(3), .values = a},
                                            {.shape = CUPEL_SHAPE(2, 1), .values = b}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 6, 0.0);

    const double whole_a[6] = {1, 2, 3, 4, 5, 9007199254740992};
    const double whole_b[1] = {-7};
    const double whole_expected[6] = {1, -7, 3, 4, -7, 9007199254740992};
    const struct graph_case wholes = {
        .build = build_select,
        .n_inputs = 3,
        .inputs = {{.shape = CUPEL_SHAPE(6), .values = condition},
                   {.shape = CUPEL_SHAPE(6), .values = whole_a, .type = CUPEL_TYPE_I64},
                   {.shape = CUPEL_SHAPE(1), .values = whole_b, .type = CUPEL_TYPE_I64}},
        .n_outputs = 1};
    graph_check_shape(&wholes, 0, CUPEL_TYPE_I64, CUPEL_SHAPE(6));
    graph_check_values(&wholes, 0, whole_expected, 6, 0.0);

    const double mask[6] = {1, 0, 0, 1, 1, 0};
    const struct graph_case smooth = {
        .build = build_select,
        .n_inputs = 3,
        .inputs = {{.shape = CUPEL_SHAPE(2, 3), .values = mask, .fixed = true},
                   {.shape = CUPEL_SHAPE(4, 1, 3)},
                   {.shape = CUPEL_SHAPE(2, 1)}},
        .n_outputs = 1};
    graph_check(&smooth, 1e-6);
}

/* --- cast, stop_gradient --- */

static void build_cast(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)graph;
    out[0] = cupel_cast(in[0], *(const cupel_type *)user);
}

static void check_cast(cupel_type from, cupel_type to, const double *x, const double *y, size_t n) {
    check_context("cast from %s to %s", cupel_type_name(from), cupel_type_name(to));
    const int64_t extent = (int64_t)n;
    const struct graph_case c = {
        .build = build_cast,
        .user = &to,
        .n_inputs = 1,
        .inputs = {{.shape = cupel_shape_make(1, &extent), .values = x, .type = from}},
        .n_outputs = 1};
    graph_check_shape(&c, 0, to, cupel_shape_make(1, &extent));
    graph_check_values(&c, 0, y, n, 0.0);
}

static void test_cast(void **state) {
    (void)state;
    const double reals[9] = {-3.75, -0.5, 0.99, 1.5, 254.99, 256, 1e30, -INFINITY, NAN};
    check_cast(CUPEL_TYPE_REAL, CUPEL_TYPE_U8, reals,
               (const double[]){0, 0, 0, 1, 254, 255, 255, 0, 0}, 9);
    check_cast(CUPEL_TYPE_REAL, CUPEL_TYPE_I32, reals,
               (const double[]){-3, 0, 0, 1, 254, 256, INT32_MAX, INT32_MIN, 0}, 9);
    check_cast(CUPEL_TYPE_F64, CUPEL_TYPE_I64, reals,
               (const double[]){-3, 0, 0, 1, 254, 256, 0x1p63, -0x1p63, 0}, 9);
    check_cast(CUPEL_TYPE_F32, CUPEL_TYPE_U64, reals,
               (const double[]){0, 0, 0, 1, 254, 256, 0x1p64, 0, 0}, 9);
    const double wholes[4] = {0, 1, 255, 200};
    check_cast(CUPEL_TYPE_U8, CUPEL_TYPE_REAL, wholes, wholes, 4);
    check_cast(CUPEL_TYPE_U8, CUPEL_TYPE_I64, wholes, wholes, 4);
    check_cast(CUPEL_TYPE_I64, CUPEL_TYPE_U8, (const double[]){-1, 7, 300, 0x1p40},
               (const double[]){0, 7, 255, 255}, 4);
    check_cast(CUPEL_TYPE_I64, CUPEL_TYPE_I32, (const double[]){-0x1p40, -5, 0x1p40, 9},
               (const double[]){INT32_MIN, -5, INT32_MAX, 9}, 4);
    check_cast(CUPEL_TYPE_F64, CUPEL_TYPE_F32, (const double[]){0.1, 1e300, NAN},
               (const double[]){(double)0.1f, INFINITY, NAN}, 3);
    check_cast(CUPEL_TYPE_F32, CUPEL_TYPE_F64, (const double[]){(double)0.1f, -2, INFINITY},
               (const double[]){(double)0.1f, -2, INFINITY}, 3);
}

static void build_cast_there_and_back(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                      const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_square(cupel_cast(cupel_cast(in[0], CUPEL_TYPE_F64), CUPEL_TYPE_REAL));
}

static void test_cast_gradient(void **state) {
    (void)state;
    const struct graph_case c = {.build = build_cast_there_and_back,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(4, 3)}},
                                 .n_outputs = 1};
    graph_check(&c, 1e-6);
}

static void build_half_stopped(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                               const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_mul(in[0], cupel_stop_gradient(in[0]));
}

/* x stop(x) has the gradient w x, half of that of x^2: <x, dx> is the loss itself, not twice it. */
static void test_stop_gradient(void **state) {
    (void)state;
    const double x[4] = {1, -2, 3, 0.5};
    const double y[4] = {1, 4, 9, 0.25};
    const struct graph_case c = {.build = build_half_stopped,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(4), .values = x}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, y, 4, 0.0);
    graph_check_adjoint(&c, 0);
}

/* Elementwise ops are as low as their lowest operand: a pooling of single pixels is in bf16. */
static void build_low_negative(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                               const void *user) {
    (void)graph;
    (void)user;
    const cupel_pool_options pixels = {.kernel = {1, 1}};
    out[0] = cupel_neg(cupel_max_pool2d(in[0], &pixels));
}

/* bf16 keeps 8 bits: halfway cases go to the even neighbour. */
static void test_bf16_rounding(void **state) {
    (void)state;
    const double x[6] = {1.00390625, 1.01171875, 1.004, -1.00390625, NAN, INFINITY};
    const double y[6] = {-1.0, -1.015625, -1.0078125, 1.0, NAN, -INFINITY};
    const struct graph_case c = {.build = build_low_negative,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(1, 1, 1, 6), .values = x}},
                                 .n_outputs = 1};
    for (int reference = 0; reference < 2; reference++) {
        struct graph_result result;
        graph_run(&c, (struct graph_how){.real = CUPEL_TYPE_BF16, .reference = reference == 1},
                  &result);
        for (int i = 0; i < 6; i++) {
            check_context("reference %d, element %d", reference, i);
            CHECK_F64(result.values[0][i], y[i]);
        }
        graph_result_release(&result);
    }
}

/* --- messages --- */

static void build_leaky_negative(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                 const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_leaky_relu(in[0], -0.1);
}
static void build_clamp_crossed(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                                const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_clamp(in[0], 2.0, 1.5);
}
static void build_add(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_relu(cupel_add(in[0], in[1])); /* relu of a poisoned node is one */
}
static void build_compare_one(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                              const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_compare(CUPEL_LESS, in[0], in[1]);
}
static void build_no_type(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                          const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_cast(in[0], (cupel_type)99);
}
static void build_exp(cupel_graph *graph, const cupel_node *in, cupel_node *out, const void *user) {
    (void)graph;
    (void)user;
    out[0] = cupel_exp(in[0]);
}

static void test_messages(void **state) {
    (void)state;
    struct graph_case c = {.build = build_add,
                           .n_inputs = 3,
                           .inputs = {{.shape = CUPEL_SHAPE(2, 3)}, {.shape = CUPEL_SHAPE(4)}},
                           .n_outputs = 1};
    c.inputs[2].shape = CUPEL_SHAPE(3);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "[2, 3] and [4] do not broadcast");
    c.build = build_leaky_negative;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "the slope is -0.1");
    c.build = build_clamp_crossed;
    graph_check_fails(&c, false, CUPEL_STATUS_INVALID_ARGUMENT, "low is 2 and high 1.5");
    c.build = build_no_type;
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "99");
    c.build = build_select;
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "[4] and [3] do not broadcast");
    c.inputs[1].shape = CUPEL_SHAPE(3);
    c.inputs[0].shape = CUPEL_SHAPE(2, 4);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "the condition is [2, 4]");
    c.inputs[1].type = CUPEL_TYPE_F64;
    c.build = build_compare_one;
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "input 0 is real, but input 1 is f64");
    c.inputs[0].type = CUPEL_TYPE_U8;
    c.build = build_exp;
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "input 0 is u8, not real");
}

/* --- the table --- */

static void test_op_table(void **state) {
    (void)state;
    size_t count = 0;
    for (; op_list[count] != NULL; count++) {
        const cupel_op *op = op_list[count];
        check_context("row %zu, %s", count, op->name);
        CHECK_U64(op->size, sizeof(cupel_op));
        CHECK_U64(op->version, CUPEL_OP_VERSION);
        CHECK(op_find(op->name) == op); /* and so names are unique */
        CHECK(op->n_outputs >= 0 && op->n_outputs <= CUPEL_OP_MAX_OUTPUTS);
        CHECK(op->max_inputs == -1 || op->max_inputs >= op->min_inputs);
        CHECK((op->flags & CUPEL_OP_NO_GRADIENT) == 0 || op->adjoint == NULL);
        if (op->max_inputs != 0) /* not a leaf */
            CHECK(ref_kernels(NULL, op->name)[0] != NULL);
    }
#define CUPEL_OP(symbol) CHECK_STRING(op_##symbol.name, #symbol);
#include "op/op_list.inc"
#undef CUPEL_OP
    CHECK(count > 60);
    CHECK(op_find("no_such_op") == NULL);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary_values),
        cmocka_unit_test(test_unary_known_numbers),
        cmocka_unit_test(test_unary_special_values),
        cmocka_unit_test(test_unary_gradients),
        cmocka_unit_test(test_gradients_at_kinks),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_binary_special_values),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_cast),
        cmocka_unit_test(test_cast_gradient),
        cmocka_unit_test(test_stop_gradient),
        cmocka_unit_test(test_bf16_rounding),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_op_table),
    };
    return CHECK_MAIN(tests);
}
