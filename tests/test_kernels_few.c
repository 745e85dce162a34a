/*
 * Convolutions with few channels on one side: both directions, both sides, gradients of filters,
 * paddings, odd extents, against the reference kernels.
 */
#include "support/kernel_case.h"

#include "base/memory.h"

/* Sums of at most 9 * 64 products (gradients: 5 * 33 * 18) of numbers in [-2, 2) in fp32, in an
 * order other than the reference's, which sums in double. */
static const double RELATIVE = 4e-6;

static cupel_layout blocked(void) {
    return cpu_channel_block() == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
}

struct extents {
    int64_t images, few, many, height, width, padding[2];
};

static const struct extents all[] = {
    {1, 1, 16, 3, 3, {0, 0}},   {2, 1, 32, 32, 32, {0, 0}}, {3, 3, 16, 5, 19, {1, 1}},
    {5, 2, 48, 18, 33, {0, 1}}, {9, 4, 16, 4, 7, {2, 2}},   {2, 1, 64, 8, 17, {2, 0}},
};
enum { ALL = sizeof all / sizeof all[0] };

static struct attrs_conv attrs_of(const struct extents *e) {
    return (struct attrs_conv){.stride = {1, 1},
                               .dilation = {1, 1},
                               .padding = {e->padding[0], e->padding[1]},
                               .groups = 1};
}

static void add(struct kernel_case *c, int64_t channels, const struct extents *e, bool outer) {
    const int64_t grow_y = outer ? 0 : 2 * e->padding[0] - 2;
    const int64_t grow_x = outer ? 0 : 2 * e->padding[1] - 2;
    case_input(c, CUPEL_TYPE_F32, channels <= 4 ? CUPEL_LAYOUT_PLAIN : blocked(),
               CUPEL_SHAPE(e->images, channels, e->height + grow_y, e->width + grow_x));
}

static void check(struct kernel_case *c, uint64_t seed) {
    case_fill(c, seed);
    const struct kernel *kernel = case_kernel(c->op->name, "vec:few");
    CHECK(case_check(c, kernel, 2, RELATIVE, 8)); /* terms exceed their sum that far */
    case_check_threads(c, kernel);
    case_release(c);
}

static void check_forward(const struct extents *e, bool narrows, bool bias) {
    const int64_t in = narrows ? e->many : e->few, out = narrows ? e->few : e->many;
    struct attrs_conv attrs = attrs_of(e);
    attrs.with_bias = bias;
    struct kernel_case c = {.op = &op_conv2d, .attrs = &attrs};
    add(&c, in, e, true);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(out, in, 3, 3));
    if (bias)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(out));
    case_infer(&c);
    case_layout(&c, 0, narrows ? CUPEL_LAYOUT_PLAIN : blocked());
    check(&c, 1);
}

static void check_data(const struct extents *e, bool narrows) {
    const int64_t in = narrows ? e->few : e->many, out = narrows ? e->many : e->few;
    struct attrs_conv attrs = attrs_of(e);
    attrs.src_hw[0] = e->height;
    attrs.src_hw[1] = e->width;
    struct kernel_case c = {.op = &op_conv2d_backward_data, .attrs = &attrs};
    add(&c, out, e, false);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(out, in, 3, 3));
    case_infer(&c);
    case_layout(&c, 0, narrows ? CUPEL_LAYOUT_PLAIN : blocked());
    check(&c, 2);
}

static void check_gradient(const struct extents *e, bool bias) {
    struct attrs_conv attrs = attrs_of(e);
    attrs.with_bias = bias;
    attrs.kernel[0] = attrs.kernel[1] = 3;
    struct kernel_case c = {.op = &op_conv2d_backward_weights, .attrs = &attrs};
    add(&c, e->few, e, true);
    add(&c, e->many, e, false);
    case_infer(&c);
    check(&c, 3);
}

static void test_forward(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int way = 0; way < 4; way++) {
            check_context("extents %d, narrows %d, bias %d", s, way & 1, way >> 1);
            check_forward(&all[s], way & 1, way >> 1);
        }
}

static void test_backward_data(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int narrows = 0; narrows < 2; narrows++) {
            check_context("extents %d, narrows %d", s, narrows);
            check_data(&all[s], narrows);
        }
}

static void test_gradients(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int bias = 0; bias < 2; bias++) {
            check_context("extents %d, bias %d", s, bias);
            check_gradient(&all[s], bias);
        }
}

/* A NaN reaches the window that it stands in, and nothing else. */
static void test_nan(void **state) {
    (void)state;
    const struct extents e = {2, 1, 16, 8, 20, {0, 0}};
    struct attrs_conv attrs = attrs_of(&e);
    struct kernel_case c = {.op = &op_conv2d, .attrs = &attrs};
    add(&c, e.many, &e, true);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(1, e.many, 3, 3));
    case_infer(&c);
    case_fill(&c, 4);
    case_f32(&c, 0)[5 * 8 * 20 + 4 * 20 + 18] = NAN;
    CHECK(case_run(&c, case_kernel("conv2d", "vec:few"), 1));
    for (int64_t i = 0; i < 2 * 6 * 18; i++) {
        const bool inside = i < 6 * 18 && i / 18 >= 2 && i / 18 <= 4 && i % 18 >= 16;
        CHECK(isnan(((float *)c.results[0])[i]) == inside);
    }
    case_release(&c);
}

static void test_declines(void **state) {
    (void)state;
    const struct extents e = {2, 1, 16, 8, 8, {0, 0}};
    struct attrs_conv attrs = attrs_of(&e);
    attrs.stride[1] = 2;
    struct kernel_case c = {.op = &op_conv2d, .attrs = &attrs};
    add(&c, e.few, &e, true);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(16, 1, 3, 3));
    case_infer(&c);
    case_layout(&c, 0, blocked());
    CHECK(!case_run(&c, case_kernel("conv2d", "vec:few"), 1));
    CHECK_CONTAINS(c.why, "stride");
    attrs.stride[1] = 1;
    case_infer(&c);
    case_layout(&c, 0, CUPEL_LAYOUT_PLAIN);
    CHECK(!case_run(&c, case_kernel("conv2d", "vec:few"), 1));
    CHECK_CONTAINS(c.why, "blocks");
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),   cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_nan),
        cmocka_unit_test(test_declines),
    };
    return CHECK_MAIN(tests);
}
