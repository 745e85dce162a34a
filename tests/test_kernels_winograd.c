/*
 * Winograd's convolutions against the reference: tiles of 4x4 and 2x2, with AVX-512 and AVX2, three
 * directions, paddings, channels in odd numbers of blocks, images that leave one, two and three
 * pixels beside whole tiles, tiles that do not fill a group; errors stay below 5e-6 of the largest
 * result (test_winograd_errors.c has the table); the same bits for any number of threads; what a
 * NaN reaches; what is declined.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/kernel_case.h"

#include <stdlib.h>

#include "backend/cpu/cpu.h"

struct geometry {
    int64_t n, c, o, h, w, padding;
};

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };

static const cupel_op *const ops[] = {&op_conv2d, &op_conv2d_backward_data,
                                      &op_conv2d_backward_weights};

static void make(struct kernel_case *c, struct attrs_conv *attrs, enum direction d,
                 const struct geometry *g, bool bias) {
    const cupel_layout blocked =
        cpu_isa() == CPU_ISA_AVX2 ? CUPEL_LAYOUT_NCHW8C : CUPEL_LAYOUT_NCHW16C;
    *attrs = (struct attrs_conv){.stride = {1, 1},
                                 .padding = {g->padding, g->padding},
                                 .dilation = {1, 1},
                                 .groups = 1,
                                 .with_bias = bias && d != BACKWARD_DATA};
    const cupel_shape src = CUPEL_SHAPE(g->n, g->c, g->h, g->w);
    const cupel_shape dst =
        CUPEL_SHAPE(g->n, g->o, g->h + 2 * g->padding - 2, g->w + 2 * g->padding - 2);
    *c = (struct kernel_case){.op = ops[d], .attrs = attrs};
    if (d == BACKWARD_DATA) {
        attrs->src_hw[0] = g->h;
        attrs->src_hw[1] = g->w;
    }
    if (d == BACKWARD_WEIGHTS)
        attrs->kernel[0] = attrs->kernel[1] = 3;
    case_input(c, CUPEL_TYPE_F32, blocked, d == BACKWARD_DATA ? dst : src);
    if (d == BACKWARD_WEIGHTS)
        case_input(c, CUPEL_TYPE_F32, blocked, dst);
    else
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(g->o, g->c, 3, 3));
    if (d == FORWARD && bias)
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(g->o));
    if (d != BACKWARD_WEIGHTS)
        case_layout(c, 0, blocked);
    case_infer(c);
    case_fill(c, 23);
    check_context("%s: n %lld c %lld o %lld %lldx%lld padding %lld, bias %d", ops[d]->name,
                  (long long)g->n, (long long)g->c, (long long)g->o, (long long)g->h,
                  (long long)g->w, (long long)g->padding, bias);
}

static bool available(void) {
    return cpu_isa() != CPU_ISA_BASELINE;
}

static const char *const kernels[] = {"vec:winograd", "vec:winograd-2x2"};

static void check_directions(void) {
    static const struct geometry geometries[] = {
        {1, 32, 32, 6, 6, 0},    {3, 32, 64, 9, 10, 0},   {2, 16, 32, 8, 8, 1},
        {2, 48, 16, 7, 5, 1},    {1, 32, 80, 12, 9, 2},   {5, 64, 32, 13, 13, 1},
        {2, 96, 144, 6, 7, 1},   {17, 32, 32, 10, 10, 0}, {9, 80, 48, 11, 6, 2},
        {1, 160, 32, 14, 14, 1}, {4, 32, 32, 2, 30, 1},   {2, 32, 112, 6, 10, 1}};
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++)
        for (int d = FORWARD; d <= BACKWARD_WEIGHTS; d++)
            for (int variant = 0; variant < 4; variant++) {
                struct kernel_case c;
                struct attrs_conv attrs;
                make(&c, &attrs, (enum direction)d, &geometries[i], variant % 2);
                const struct kernel *kernel = case_kernel(ops[d]->name, kernels[variant / 2]);
                CHECK(case_check(&c, kernel, 2, 5e-6, 1.0));
                case_check_threads(&c, kernel);
                case_release(&c);
            }
}

static void test_directions(void **state) {
    (void)state;
    if (available())
        check_directions();
    CHECK(setenv("CUPEL_ISA", "avx2", 1) == 0);
    if (available())
        check_directions();
    CHECK(unsetenv("CUPEL_ISA") == 0);
}

/* Results that are written past the caches. */
static void test_large(void **state) {
    (void)state;
    static const struct geometry g = {1, 16, 32, 262, 261, 1};
    for (int set = 0; set < 2; set++) {
        CHECK(set == 0 || setenv("CUPEL_ISA", "avx2", 1) == 0);
        if (available()) {
            struct kernel_case c;
            struct attrs_conv attrs;
            make(&c, &attrs, FORWARD, &g, true);
            const struct kernel *kernel = case_kernel("conv2d", "vec:winograd");
            CHECK(case_check(&c, kernel, 2, 5e-6, 1.0));
            case_check_threads(&c, kernel);
            case_release(&c);
        }
    }
    CHECK(unsetenv("CUPEL_ISA") == 0);
}

/* Constant images and filters: every window sums c * 9 products, which come out nearly exact. */
static void test_constant(void **state) {
    (void)state;
    if (!available())
        return;
    const struct geometry g = {2, 32, 32, 10, 10, 0};
    struct kernel_case c;
    struct attrs_conv attrs;
    make(&c, &attrs, FORWARD, &g, false);
    for (int64_t i = 0; i < 2 * 32 * 100; i++)
        case_f32(&c, 0)[i] = 0.5F;
    for (int64_t i = 0; i < 32 * 32 * 9; i++)
        case_f32(&c, 1)[i] = 0.25F;
    CHECK(case_run(&c, case_kernel("conv2d", "vec:winograd"), 2));
    for (int64_t i = 0; i < 2 * 32 * 64; i++)
        CHECK_NEAR(((float *)c.results[0])[i], 32 * 9 * 0.125, 36 * 1e-5);
    case_release(&c);
}

/* What is not finite reaches at least the windows that cover it, and no image beside its own: the
 * rule that KERNEL_WINOGRAD declares, oneDNN's kernels included. */
static void check_not_finite(const char *name, float value) {
    check_context("%s: %f", name, (double)value);
    const struct geometry g = {3, 32, 32, 14, 14, 0};
    struct kernel_case c;
    struct attrs_conv attrs;
    make(&c, &attrs, FORWARD, &g, false);
    case_f32(&c, 0)[(1 * 32 + 5) * 196 + 6 * 14 + 7] = value;
    const struct kernel *kernel = case_kernel("conv2d", name);
    CHECK(kernel->flags & KERNEL_WINOGRAD);
    if (!case_run(&c, kernel, 2)) {
        CHECK(cpu_isa() != CPU_ISA_AVX512);
        case_release(&c);
        return;
    }
    const float *y = c.results[0];
    for (int64_t n = 0; n < 3; n++)
        for (int64_t i = 0; i < 12; i++)
            for (int64_t j = 0; j < 12; j++) {
                const bool covered = n == 1 && i >= 4 && i <= 6 && j >= 5 && j <= 7;
                const bool finite = isfinite(y[(n * 32 + 9) * 144 + i * 12 + j]);
                CHECK(!covered || !finite);
                CHECK(n == 1 || finite);
            }
    case_release(&c);
}

static void test_not_finite(void **state) {
    (void)state;
    for (int k = 0; k < 3 && available(); k++) {
        const char *name = k < 2 ? kernels[k] : "onednn:winograd";
        check_not_finite(name, NAN);
        check_not_finite(name, INFINITY);
    }
}

static void test_declines(void **state) {
    (void)state;
    struct attrs_conv attrs;
    struct kernel_case c;
    static const struct geometry g = {1, 32, 32, 8, 8, 1};
    const struct kernel *kernel = case_kernel("conv2d", "vec:winograd");
    make(&c, &attrs, FORWARD, &g, false);
    attrs.stride[0] = 2;
    CHECK(!case_run(&c, kernel, 1));
    attrs.stride[0] = 1;
    attrs.groups = 2;
    CHECK(!case_run(&c, kernel, 1));
    attrs.groups = 1;
    c.inputs[0].layout = CUPEL_LAYOUT_PLAIN;
    CHECK(!case_run(&c, kernel, 1));
    CHECK(c.why != NULL);
    case_release(&c);
    static const struct geometry tiny = {1, 32, 32, 3, 3, 0}; /* one pixel for 16 products */
    make(&c, &attrs, FORWARD, &tiny, false);
    CHECK(!case_run(&c, kernel, 1));
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directions), cmocka_unit_test(test_large),
        cmocka_unit_test(test_constant), cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_declines)};
    return CHECK_MAIN(tests);
}
