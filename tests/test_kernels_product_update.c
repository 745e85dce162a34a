/*
 * A gradient's product fused with Adam's update (src/backend/cpu/product_update.c): the bits of
 * vec:matmul and vec:adam run apart wherever those take the two, and the reference's values, in
 * place and apart, for shapes around the tiles' borders.
 */
#include "support/kernel_case.h"

#include "op/op_product_update.h"

struct sizes {
    int64_t depth, m, n;
};

static const struct attrs_adam adam = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};

static struct attrs_product_update both_of(const struct attrs_adam *update) {
    struct attrs_product_update attrs = {.product_name = "gradient",
                                         .product = {.transpose_a = 1},
                                         .update = &op_adam_update,
                                         .gradient = 1};
    memcpy(attrs.update_attrs, update, sizeof *update);
    return attrs;
}

static void scalars(struct kernel_case *c, int rate) {
    case_f32(c, rate)[0] = 1e-2F;
    ((double *)c->values[rate + 1])[0] = 7;
}

/* a, b, parameter, mean, square, learning rate, step. */
static void make_case(struct kernel_case *c, const struct sizes *s) {
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(s->depth, s->m));
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(s->depth, s->n));
    for (int i = 0; i < 3; i++)
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(s->m, s->n));
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(c, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    c->n_outputs = 3;
    case_infer(c);
    case_fill(c, (uint64_t)(s->m * 1000 + s->n));
    for (int64_t i = 0; i < s->m * s->n; i++)
        case_f32(c, 4)[i] = fabsf(case_f32(c, 4)[i]);
    scalars(c, 5);
}

/* The product alone, then the update alone. */
static void run_apart(const struct kernel_case *both, const struct attrs_adam *update,
                      struct kernel_case *product, struct kernel_case *alone) {
    static const struct attrs_matmul turned = {.transpose_a = 1};
    *product = (struct kernel_case){.op = &op_matmul, .attrs = &turned};
    *alone = (struct kernel_case){.op = &op_adam_update, .attrs = update};
    for (int i = 0; i < 2; i++)
        case_input(product, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, both->inputs[i].shape);
    case_infer(product);
    for (int i = 0; i < 2; i++)
        memcpy(product->values[i], both->values[i], cupel_desc_bytes(&both->inputs[i]));
    CHECK(case_run(product, case_kernel("matmul", "vec:matmul"), 1));
    static const int from[] = {2, -1, 3, 4, 5, 6};
    for (int i = 0; i < 6; i++) {
        const int other = from[i] < 0 ? 2 : from[i];
        case_input(alone, both->inputs[other].type, CUPEL_LAYOUT_PLAIN, both->inputs[other].shape);
    }
    case_infer(alone);
    case_fill(alone, 1);
    for (int i = 0; i < 6; i++)
        memcpy(alone->values[i], from[i] < 0 ? product->results[0] : both->values[from[i]],
               cupel_desc_bytes(&alone->inputs[i]));
    CHECK(case_run(alone, case_kernel("adam_update", "vec:adam"), 1));
}

static void check(const struct sizes *s, const struct attrs_adam *update, bool in_place) {
    check_context("depth %lld, %lld x %lld, decoupled %d, in place %d", (long long)s->depth,
                  (long long)s->m, (long long)s->n, (int)update->decoupled, in_place);
    const struct attrs_product_update attrs = both_of(update);
    const struct kernel *kernel = case_kernel("product_update", "vec:product-update");
    struct kernel_case c = {.op = &op_product_update, .attrs = &attrs}, product, alone;
    make_case(&c, s);
    for (int k = 0; k < 3; k++)
        c.share[k] = in_place ? product_update_in_place(&attrs, c.n_inputs, k) : 0;
    run_apart(&c, update, &product, &alone);
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(case_run(&c, kernel, threads));
        for (int k = 0; k < 3; k++)
            CHECK(memcmp(c.results[k], alone.results[k], cupel_desc_bytes(&c.outputs[k])) == 0);
    }
    CHECK(case_check(&alone, case_kernel("adam_update", "vec:adam"), 1, 1e-6, 1));
    case_release(&c);
    case_release(&product);
    case_release(&alone);
}

/* Rows around blocks of 4 and 12, columns around vectors, pairs of them and rows that are too long
 * to make strips of whole ones. */
static void test_bits_of_the_two_apart(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 3, 4, 5, 12, 13, 25, 100};
    static const int64_t columns[] = {1, 5, 15, 16, 17, 32, 33, 100, 160, 161, 175, 784};
    static const int64_t depths[] = {1, 7, 32, 100};
    struct attrs_adam decayed = adam;
    decayed.weight_decay = 1e-2;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            const struct sizes s = {depths[(r + c) % 4], rows[r], columns[c]};
            decayed.decoupled = r % 2;
            check(&s, c % 2 ? &adam : &decayed, true);
            check(&s, c % 2 ? &decayed : &adam, false);
        }
}

static void expect_declined(const struct attrs_product_update *attrs, const struct sizes *s,
                            const char *why) {
    struct kernel_case c = {.op = &op_product_update, .attrs = attrs};
    make_case(&c, s);
    CHECK(!case_run(&c, case_kernel("product_update", "vec:product-update"), 1));
    CHECK_CONTAINS(c.why, why);
    case_release(&c);
}

static void test_what_is_declined(void **state) {
    (void)state;
    const struct attrs_product_update attrs = both_of(&adam);
    expect_declined(&attrs, &(struct sizes){2049, 2, 2}, "too long");
    expect_declined(&attrs, &(struct sizes){100, 300, 300}, "too large");
    struct attrs_product_update other = attrs;
    other.product.transpose_b = 1;
    expect_declined(&other, &(struct sizes){6, 6, 6}, "first axis");
}

/* A NaN in a gradient stays in its element, and so does an infinity. */
static void test_not_finite(void **state) {
    (void)state;
    const struct attrs_product_update attrs = both_of(&adam);
    struct kernel_case c = {.op = &op_product_update, .attrs = &attrs};
    make_case(&c, &(struct sizes){3, 14, 20});
    case_f32(&c, 0)[5] = NAN;       /* of row 5 */
    case_f32(&c, 1)[19] = INFINITY; /* of column 19 */
    CHECK(case_run(&c, case_kernel("product_update", "vec:product-update"), 1));
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 14 * 20; i++) {
            const float x = ((const float *)c.results[k])[i];
            if (i / 20 == 5)
                CHECK(isnan(x));
            else if (i % 20 != 19)
                CHECK(isfinite(x));
            else
                CHECK(!isfinite(x));
        }
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_of_the_two_apart),
        cmocka_unit_test(test_what_is_declined),
        cmocka_unit_test(test_not_finite),
    };
    return CHECK_MAIN(tests);
}
