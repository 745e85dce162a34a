/*
 * How much convolutions by transformed tiles lose, against sums in fp64: the table below bounds
 * each variant, direction and class of shapes, own kernels (with AVX-512 and AVX2) and oneDNN's.
 * Errors are the largest one and the root of the mean square, as parts of the largest result.
 *
 * Why they are what they are. A tile's values are sums of pixels with factors up to the fourth
 * power of a point (5/8 and 3/2; oneDNN has points of its own), which cancel again in the results:
 * F(4x4) loses 1.5 to 2 times what F(2x2) does, which loses little more than a plain sum. Sums over
 * channels, or over tiles and images for filters, are taken in order in fp32, so errors grow with
 * their number, like its root where signs are mixed, as the largest result does. For filters F(2x2)
 * adds four times as many tiles in order as F(4x4) and loses more. Padding 2 is more than oneDNN's
 * takes, and it wants AVX-512. The bounds are twice what was seen, for other compilers and seeds.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/kernel_case.h"

#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, DIRECTIONS };
static const cupel_op *const ops[] = {&op_conv2d, &op_conv2d_backward_data,
                                      &op_conv2d_backward_weights};

enum { VARIANTS = 3 };
static const char *const variants[VARIANTS] = {"vec:winograd", "vec:winograd-2x2",
                                               "onednn:winograd"};

struct bound {
    double most, rms; /* in millionths */
};

struct row {
    const char *title;
    int64_t n, c, o, extent, padding;
    bool positive; /* pixels like those after a ReLU */
    struct bound bounds[DIRECTIONS][VARIANTS];
};

/* clang-format off */
static const struct row table[] = {
    /* forward, backward data, filters by our F(4x4), our F(2x2), oneDNN's F(4x4) */
    {"few channels", 2, 32, 32, 12, 1, false,
     {{{2.0, 0.32}, {1.4, 0.20}, {2.6, 0.32}},
      {{2.4, 0.32}, {1.6, 0.20}, {2.2, 0.32}},
      {{1.2, 0.22}, {1.6, 0.20}, {1.6, 0.26}}}},
    {"many channels", 1, 256, 32, 10, 0, false,
     {{{5.4, 0.70}, {2.4, 0.46}, {5.6, 0.70}},
      {{2.4, 0.26}, {2.0, 0.18}, {2.2, 0.28}},
      {{1.4, 0.16}, {1.4, 0.14}, {1.2, 0.16}}}},
    {"odd edges", 2, 64, 64, 11, 2, false,
     {{{4.2, 0.38}, {2.4, 0.24}, {0, 0}},
      {{2.8, 0.38}, {2.2, 0.26}, {0, 0}},
      {{1.4, 0.22}, {2.2, 0.22}, {0, 0}}}},
    {"pixels of one sign", 2, 64, 64, 12, 1, true,
     {{{1.8, 0.22}, {1.6, 0.20}, {1.4, 0.22}},
      {{1.8, 0.24}, {1.8, 0.22}, {1.8, 0.26}},
      {{0.8, 0.14}, {2.2, 0.18}, {1.2, 0.16}}}},
    {"long batch", 24, 32, 32, 14, 1, false,
     {{{2.4, 0.24}, {1.6, 0.16}, {3.0, 0.26}},
      {{3.4, 0.26}, {1.8, 0.18}, {2.8, 0.28}},
      {{1.8, 0.34}, {2.6, 0.36}, {2.8, 0.50}}}},
    {"long batch of one sign", 24, 32, 32, 14, 1, true,
     {{{1.6, 0.16}, {1.6, 0.16}, {1.8, 0.18}},
      {{1.6, 0.18}, {1.4, 0.16}, {1.8, 0.20}},
      {{1.4, 0.24}, {2.8, 0.34}, {2.0, 0.34}}}},
};
/* clang-format on */

struct sizes {
    int64_t n, c, o, src, dst, padding;
};

static double at(const float *x, int64_t channels, int64_t extent, int64_t n, int64_t c, int64_t i,
                 int64_t j) {
    return i < 0 || j < 0 || i >= extent || j >= extent
               ? 0
               : (double)x[((n * channels + c) * extent + i) * extent + j];
}

/* One result of each direction: sums over what the other indices leave. */
static double forward_at(const struct sizes *s, const float *x, const float *w, int64_t n,
                         int64_t o, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t c = 0; c < s->c; c++)
        for (int64_t tap = 0; tap < 9; tap++)
            sum += at(x, s->c, s->src, n, c, i + tap / 3 - s->padding, j + tap % 3 - s->padding) *
                   (double)w[(o * s->c + c) * 9 + tap];
    return sum;
}

static double data_at(const struct sizes *s, const float *dy, const float *w, int64_t n, int64_t c,
                      int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t o = 0; o < s->o; o++)
        for (int64_t tap = 0; tap < 9; tap++)
            sum += at(dy, s->o, s->dst, n, o, i - tap / 3 + s->padding, j - tap % 3 + s->padding) *
                   (double)w[(o * s->c + c) * 9 + tap];
    return sum;
}

static double filter_at(const struct sizes *s, const float *x, const float *dy, int64_t o,
                        int64_t c, int64_t tap) {
    double sum = 0;
    for (int64_t n = 0; n < s->n; n++)
        for (int64_t i = 0; i < s->dst; i++)
            for (int64_t j = 0; j < s->dst; j++)
                sum +=
                    at(dy, s->o, s->dst, n, o, i, j) *
                    at(x, s->c, s->src, n, c, i + tap / 3 - s->padding, j + tap % 3 - s->padding);
    return sum;
}

/* All results of a direction, plain. */
static double *exact(enum direction d, const struct sizes *s, const float *a, const float *b,
                     int64_t count) {
    double *out = malloc((size_t)count * sizeof *out);
    CHECK(out != NULL);
    const int64_t extent = d == FORWARD ? s->dst : d == BACKWARD_DATA ? s->src : 3;
    const int64_t inner = d == FORWARD ? s->o : s->c;
    for (int64_t k = 0; k < count; k++) {
        const int64_t j = k % extent, i = k / extent % extent, c = k / extent / extent % inner;
        const int64_t n = k / extent / extent / inner;
        out[k] = d == FORWARD         ? forward_at(s, a, b, n, c, i, j)
                 : d == BACKWARD_DATA ? data_at(s, a, b, n, c, i, j)
                                      : filter_at(s, a, b, n, c, i * 3 + j);
    }
    return out;
}

static void make(struct kernel_case *c, struct attrs_conv *attrs, enum direction d,
                 const struct row *row) {
    const cupel_layout blocked =
        cpu_isa() == CPU_ISA_AVX2 ? CUPEL_LAYOUT_NCHW8C : CUPEL_LAYOUT_NCHW16C;
    const int64_t after = row->extent + 2 * row->padding - 2;
    *attrs = (struct attrs_conv){.stride = {1, 1},
                                 .padding = {row->padding, row->padding},
                                 .dilation = {1, 1},
                                 .groups = 1,
                                 .src_hw = {row->extent, row->extent},
                                 .kernel = {3, 3}};
    const cupel_shape src = CUPEL_SHAPE(row->n, row->c, row->extent, row->extent);
    const cupel_shape dst = CUPEL_SHAPE(row->n, row->o, after, after);
    *c = (struct kernel_case){.op = ops[d], .attrs = attrs};
    case_input(c, CUPEL_TYPE_F32, blocked, d == BACKWARD_DATA ? dst : src);
    if (d == BACKWARD_WEIGHTS)
        case_input(c, CUPEL_TYPE_F32, blocked, dst);
    else
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(row->o, row->c, 3, 3));
    if (d != BACKWARD_WEIGHTS)
        case_layout(c, 0, blocked);
    case_infer(c);
    case_fill(c, 31);
    if (row->positive)
        for (int64_t i = 0; i < cupel_shape_count(c->inputs[0].shape); i++)
            case_f32(c, 0)[i] = fabsf(case_f32(c, 0)[i]);
}

static void check_row(const struct row *row, enum direction d) {
    struct kernel_case c;
    struct attrs_conv attrs;
    make(&c, &attrs, d, row);
    const struct sizes sizes = {
        row->n, row->c, row->o, row->extent, row->extent + 2 * row->padding - 2, row->padding};
    const int64_t count = cupel_shape_count(c.outputs[0].shape);
    double *const expected = exact(d, &sizes, case_f32(&c, 0), case_f32(&c, 1), count);
    for (int v = 0; v < VARIANTS; v++) {
        check_context("%s: %s by %s, %s", row->title, ops[d]->name, variants[v],
                      cpu_isa_name(cpu_isa()));
        const struct bound bound = row->bounds[d][v];
        const bool taken = case_run(&c, case_kernel(ops[d]->name, variants[v]), 2);
        if (!taken) {
            CHECK(v == 2 && (row->padding == 2 || cpu_isa() == CPU_ISA_AVX2));
            continue;
        }
        double largest = 0, most = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) {
            const double error = fabs((double)((float *)c.results[0])[i] - expected[i]);
            largest = fmax(largest, fabs(expected[i]));
            most = fmax(most, error);
            squares += error * error;
        }
        const double rms = sqrt(squares / (double)count);
        if (getenv("CUPEL_PRINT_ERRORS") != NULL)
            printf("%-18s %-24s %-17s %-7s %6.3f %6.3f\n", row->title, ops[d]->name, variants[v],
                   cpu_isa_name(cpu_isa()), 1e6 * most / largest, 1e6 * rms / largest);
        CHECK(most <= 1e-6 * bound.most * largest);
        CHECK(rms <= 1e-6 * bound.rms * largest);
    }
    free(expected);
    case_release(&c);
}

static void check_table(void) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (int d = FORWARD; d < DIRECTIONS; d++)
            check_row(&table[i], (enum direction)d);
}

static void test_errors(void **state) {
    (void)state;
    if (cpu_isa() == CPU_ISA_AVX512)
        check_table();
    CHECK(setenv("CUPEL_ISA", "avx2", 1) == 0);
    if (cpu_isa() == CPU_ISA_AVX2)
        check_table();
    CHECK(unsetenv("CUPEL_ISA") == 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors)};
    return CHECK_MAIN(tests);
}
