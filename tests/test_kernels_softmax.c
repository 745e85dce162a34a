/*
 * softmax, log_softmax, logsumexp and cross_entropy against the reference: rows of every length,
 * large values, infinities and NaN, threads.
 */
#include "support/kernel_case.h"

static void make_odd(float *x, int64_t rows, int64_t n) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) {
            float *e = &x[r * n + i];
            if (r % 8 == 1)
                *e = *e * 40; /* sums that would overflow */
            if (r % 8 == 2)
                *e += 1000;
            if (r % 8 == 3 && i == n / 2)
                *e = -INFINITY;
            if (r % 8 == 4 && i == n / 3)
                *e = INFINITY;
            if (r % 8 == 5 && i == n - 1)
                *e = NAN;
            if (r % 8 == 6)
                *e = -INFINITY;
        }
}

static void check_rows(const cupel_op *op, int64_t rows, int64_t n, bool odd) {
    check_context("%s, %lld rows of %lld, odd %d", op->name, (long long)rows, (long long)n, odd);
    const struct attrs_axis axis = {.axis = 1};
    const struct attrs_reduce reduce = {.axes = 2};
    struct kernel_case c = {.op = op, .attrs = op == &op_logsumexp ? (const void *)&reduce : &axis};
    if (op == &op_cross_entropy)
        c.attrs = NULL;
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(rows, n));
    if (op == &op_cross_entropy)
        case_input(&c, CUPEL_TYPE_I64, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(rows));
    case_infer(&c);
    case_fill(&c, 9);
    if (odd)
        make_odd(case_f32(&c, 0), rows, n);
    for (int64_t r = 0; op == &op_cross_entropy && r < rows; r++)
        ((int64_t *)c.values[1])[r] = (r * 7 + 3) % n;
    const struct kernel *kernel = case_kernel(op->name, "vec:softmax");
    CHECK(case_check(&c, kernel, 2, 1e-6, odd ? 1e-1 : 1e-1));
    case_check_threads(&c, kernel);
    case_release(&c);
}

static void test_rows(void **state) {
    (void)state;
    static const int64_t lengths[] = {1, 2, 5, 10, 15, 16, 17, 100, 1000, 5000};
    const cupel_op *const ops[] = {&op_softmax, &op_log_softmax, &op_logsumexp, &op_cross_entropy};
    for (size_t o = 0; o < 4; o++)
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            check_rows(ops[o], 3, lengths[l], false);
            check_rows(ops[o], 64, lengths[l], false);
            check_rows(ops[o], 16, lengths[l], true);
        }
}

static void test_trailing_axes(void **state) {
    (void)state;
    for (int64_t axes = 1; axes < 8; axes++) {
        check_context("axes %lld", (long long)axes);
        const struct attrs_reduce attrs = {.axes = axes, .keep = axes & 1};
        struct kernel_case c = {.op = &op_logsumexp, .attrs = &attrs};
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(4, 3, 21));
        case_infer(&c);
        case_fill(&c, 2);
        const bool trailing = axes == 4 || axes == 6 || axes == 7;
        CHECK(case_check(&c, case_kernel("logsumexp", "vec:softmax"), 2, 1e-6, 1e-2) == trailing);
        if (!trailing)
            CHECK_CONTAINS(c.why, "last axis");
        case_release(&c);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_trailing_axes)};
    return CHECK_MAIN(tests);
}
