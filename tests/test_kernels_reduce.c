/*
 * Reductions against the reference: every set of axes of several shapes and layouts, values that
 * are not finite, long sums against a closed form, the same bits for any number of threads.
 */
#include "support/kernel_case.h"

#include "base/memory.h"

static const cupel_op *const ops[] = {&op_reduce_sum, &op_reduce_mean, &op_reduce_max,
                                      &op_reduce_min};

static void check_one(const cupel_op *op, cupel_layout layout, cupel_shape shape, int64_t axes,
                      bool keep, bool odd_values) {
    const struct attrs_reduce attrs = {.axes = axes, .keep = keep};
    struct kernel_case c = {.op = op, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, layout, shape);
    case_infer(&c);
    case_fill(&c, (uint64_t)axes);
    if (odd_values) {
        const int64_t count = cupel_shape_count(shape);
        case_f32(&c, 0)[count / 2] = NAN;
        case_f32(&c, 0)[count / 3] = INFINITY;
        case_f32(&c, 0)[count - 1] = -INFINITY;
    }
    const struct kernel *kernel = case_kernel(op->name, "vec:reduce");
    if (keep && (axes & 2) == 0) /* blocks need their channels */
        case_layout(&c, 0, layout);
    check_context("%s of %s, axes %lld, keep %d", op->name, cupel_layout_name(layout),
                  (long long)axes, keep);
    CHECK(case_check(&c, kernel, 2, 1e-6, 1e-1));
    case_check_threads(&c, kernel);
    case_release(&c);
}

static void test_all_axes(void **state) {
    (void)state;
    const struct {
        cupel_layout layout;
        cupel_shape shape;
    } rows[] = {
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(50000)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(37, 331)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 2500)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(700, 3)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(200, 16)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(5, 4, 31)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(5, 1, 1, 9)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(10, 17, 12, 13)},
        {CUPEL_LAYOUT_NHWC, CUPEL_SHAPE(10, 17, 12, 13)},
        {CUPEL_LAYOUT_NCHW8C, CUPEL_SHAPE(6, 24, 5, 7)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(6, 32, 15, 14)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(6, 16, 3, 2)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(9, 32, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 3, 4, 3, 2, 3)},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int64_t axes = 0; axes < 1 << rows[r].shape.rank; axes++)
            for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
                for (int keep = 0; keep < 2; keep++) {
                    /* axes left of a blocked tensor: the result of a removed axis is plain */
                    if (!keep && rows[r].shape.rank == 4 && axes == 0 &&
                        rows[r].layout != CUPEL_LAYOUT_PLAIN)
                        continue;
                    check_one(ops[o], rows[r].layout, rows[r].shape, axes, keep, false);
                }
}

static void test_odd_values(void **state) {
    (void)state;
    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++) {
        for (int64_t axes = 1; axes < 4; axes++) {
            check_one(ops[o], CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(150, 200), axes, false, true);
            check_one(ops[o], CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(9, 5), axes, false, true);
        }
        check_one(ops[o], CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(4, 16, 9, 9), 13, false, true);
    }
}

/* The sum of 1/4 over 2^22 elements beside a 2^20 in front: exact, which float sums would miss. */
static void test_long_sum(void **state) {
    (void)state;
    const int64_t n = INT64_C(1) << 22;
    const struct attrs_reduce attrs = {.axes = 1};
    struct kernel_case c = {.op = &op_reduce_sum, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(n));
    case_infer(&c);
    for (int64_t i = 0; i < n; i++)
        case_f32(&c, 0)[i] = 0.25F;
    case_f32(&c, 0)[0] = 1048576.25F;
    CHECK(case_run(&c, case_kernel("reduce_sum", "vec:reduce"), 2));
    CHECK_F64(((float *)c.results[0])[0], 2097152.0);
    case_release(&c);
}

static void test_declines(void **state) {
    (void)state;
    const struct attrs_reduce attrs = {.axes = 2, .keep = 1};
    struct kernel_case c = {.op = &op_reduce_sum, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(2, 16, 3, 3));
    case_infer(&c);
    case_layout(&c, 0, CUPEL_LAYOUT_NCHW16C);
    CHECK(!case_run(&c, case_kernel("reduce_sum", "vec:reduce"), 1));
    CHECK_CONTAINS(c.why, "layout");
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_axes), cmocka_unit_test(test_odd_values),
        cmocka_unit_test(test_long_sum), cmocka_unit_test(test_declines)};
    return CHECK_MAIN(tests);
}
