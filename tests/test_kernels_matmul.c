/*
 * Matrix products against the reference: transposes, batches that broadcast, extents of 1, skinny
 * products as dense layers of a VAE make them.
 */
#include "support/kernel_case.h"

/* Whether our kernel takes the products: no leading axes of b's own, and small; how small depends
 * on the width of vectors. */
static enum { MUST, MUST_NOT, MAY } own_takes = MUST;

static void check_product(cupel_shape a, cupel_shape b, bool ta, bool tb) {
    const struct attrs_matmul attrs = {.transpose_a = ta, .transpose_b = tb};
    char a_text[CUPEL_SHAPE_TEXT_SIZE], b_text[CUPEL_SHAPE_TEXT_SIZE];
    check_context("%s x %s, transposed %d %d", cupel_shape_format(a_text, a),
                  cupel_shape_format(b_text, b), ta, tb);
    struct kernel_case c = {.op = &op_matmul, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, a);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, b);
    case_infer(&c);
    case_fill(&c, 3);
    for (int threads = 1; threads <= 2; threads++)
        CHECK(case_check(&c, case_kernel("matmul", "onednn:matmul"), threads, 2e-6, 1.0));
    const struct kernel *own = case_kernel("matmul", "vec:matmul");
    const bool taken = case_check(&c, own, 1, 2e-6, 1.0);
    CHECK(own_takes == MAY || taken == (own_takes == MUST));
    if (taken)
        case_check_threads(&c, own);
    case_release(&c);
}

static void test_products(void **state) {
    (void)state;
    own_takes = MUST;
    static const int64_t sizes[][3] = {{1, 1, 1},      {1, 5, 7},     {7, 1, 5},
                                       {5, 7, 1},      {16, 16, 16},  {17, 31, 15},
                                       {100, 16, 256}, {64, 33, 129}, {9, 33, 2048}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int t = 0; t < 4; t++) {
            const int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            const bool ta = t & 1, tb = t >> 1;
            check_product(ta ? CUPEL_SHAPE(k, m) : CUPEL_SHAPE(m, k),
                          tb ? CUPEL_SHAPE(n, k) : CUPEL_SHAPE(k, n), ta, tb);
        }
}

static void test_batches(void **state) {
    (void)state;
    own_takes = MUST;
    check_product(CUPEL_SHAPE(4, 5, 7), CUPEL_SHAPE(7, 3), false, false);
    check_product(CUPEL_SHAPE(2, 3, 5, 40), CUPEL_SHAPE(35, 40), false, true);
    own_takes = MUST_NOT;
    check_product(CUPEL_SHAPE(4, 5, 7), CUPEL_SHAPE(4, 7, 3), false, false);
    check_product(CUPEL_SHAPE(4, 7, 5), CUPEL_SHAPE(7, 3), true, false);
    check_product(CUPEL_SHAPE(5, 7), CUPEL_SHAPE(4, 7, 3), false, false);
    check_product(CUPEL_SHAPE(1, 5, 7), CUPEL_SHAPE(4, 3, 7), false, true);
    check_product(CUPEL_SHAPE(2, 1, 5, 7), CUPEL_SHAPE(3, 7, 6), false, false);
    check_product(CUPEL_SHAPE(2, 3, 7, 5), CUPEL_SHAPE(2, 3, 6, 7), true, true);
    check_product(CUPEL_SHAPE(100, 1, 12), CUPEL_SHAPE(100, 12, 8), false, false);
}

static void test_dense_layers(void **state) {
    (void)state;
    own_takes = MUST; /* those of the 784-100-5 autoencoder, and a batch that is odd */
    for (int64_t batch = 31; batch <= 32; batch++) {
        check_product(CUPEL_SHAPE(batch, 784), CUPEL_SHAPE(100, 784), false, true);
        check_product(CUPEL_SHAPE(batch, 100), CUPEL_SHAPE(784, 100), false, true);
        check_product(CUPEL_SHAPE(batch, 784), CUPEL_SHAPE(784, 100), false, false);
        check_product(CUPEL_SHAPE(batch, 784), CUPEL_SHAPE(batch, 100), true, false);
        check_product(CUPEL_SHAPE(batch, 100), CUPEL_SHAPE(5, 100), false, true);
        check_product(CUPEL_SHAPE(batch, 5), CUPEL_SHAPE(batch, 100), true, false);
    }
    own_takes = MAY;
    check_product(CUPEL_SHAPE(20, 8000), CUPEL_SHAPE(16, 8000), false, true);
    check_product(CUPEL_SHAPE(20, 16), CUPEL_SHAPE(16, 8000), false, false);
    check_product(CUPEL_SHAPE(20, 16), CUPEL_SHAPE(20, 8000), true, false);
    check_product(CUPEL_SHAPE(20, 16), CUPEL_SHAPE(8000, 16), false, true);
}

/* A row of the result depends on its row of a alone, not on how many there are or where it is. */
static void test_rows_alone(void **state) {
    (void)state;
    enum { ROWS = 37, DEPTH = 784, COLUMNS = 100 };
    const struct attrs_matmul attrs = {.transpose_b = true};
    struct kernel_case all = {.op = &op_matmul, .attrs = &attrs};
    case_input(&all, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(ROWS, DEPTH));
    case_input(&all, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(COLUMNS, DEPTH));
    case_infer(&all);
    case_fill(&all, 5);
    CHECK(case_run(&all, case_kernel("matmul", "vec:matmul"), 2));
    for (int64_t row = 0; row < ROWS; row += 6) {
        struct kernel_case one = {.op = &op_matmul, .attrs = &attrs};
        case_input(&one, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(1, DEPTH));
        case_input(&one, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(COLUMNS, DEPTH));
        case_infer(&one);
        case_fill(&one, 5);
        memcpy(case_f32(&one, 0), case_f32(&all, 0) + row * DEPTH, DEPTH * sizeof(float));
        memcpy(case_f32(&one, 1), case_f32(&all, 1), COLUMNS * DEPTH * sizeof(float));
        CHECK(case_run(&one, case_kernel("matmul", "vec:matmul"), 1));
        CHECK(memcmp(one.results[0], (const float *)all.results[0] + row * COLUMNS,
                     COLUMNS * sizeof(float)) == 0);
        case_release(&one);
    }
    case_release(&all);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_dense_layers), cmocka_unit_test(test_rows_alone)};
    return CHECK_MAIN(tests);
}
