/*
 * The Bernoulli loss with its gradient in one pass (src/backend/cpu/bernoulli.c) against the
 * reference, part by part: around vectors' widths, logits of every size, NaN and infinity, operands
 * the other way round, outputs in the memory of inputs; and which chains are left to others.
 */
#include "support/kernel_case.h"

enum { PRODUCT, BIAS, TARGET, SCALE, TARGET_SCALE };

/* x = product + bias, softplus(x) - x t, scale sigmoid(x) + target_scale t; `turn` has a bit for
 * each operation whose operands are exchanged. */
static struct attrs_fused loss_chain(bool bias, unsigned turn) {
    const int32_t x = bias ? fused_earlier(0) : fused_input(PRODUCT);
    struct attrs_fused chain = {.n_outputs = 2};
    const struct fused_part parts[] = {
        {.op = &op_add, .n_inputs = 2, .inputs = {fused_input(PRODUCT), fused_input(BIAS)}},
        {.op = &op_softplus, .n_inputs = 1, .inputs = {x}},
        {.op = &op_mul, .n_inputs = 2, .inputs = {x, fused_input(TARGET)}},
        {.op = &op_sub, .n_inputs = 2, .inputs = {fused_earlier(1), fused_earlier(2)}},
        {.op = &op_mul, .n_inputs = 2, .inputs = {fused_input(TARGET_SCALE), fused_input(TARGET)}},
        {.op = &op_sigmoid, .n_inputs = 1, .inputs = {x}},
        {.op = &op_mul, .n_inputs = 2, .inputs = {fused_input(SCALE), fused_earlier(5)}},
        {.op = &op_add, .n_inputs = 2, .inputs = {fused_earlier(4), fused_earlier(6)}},
    };
    const int skipped = bias ? 0 : 1;
    for (int p = skipped; p < 8; p++) {
        struct fused_part *const part = &chain.parts[chain.n_parts++];
        *part = parts[p];
        for (int i = 0; i < part->n_inputs; i++)
            if (part->inputs[i] < 0)
                part->inputs[i] += skipped;
        if (part->n_inputs == 2 && p != 3 && p != 0 && (turn >> p & 1)) {
            const int32_t first = part->inputs[0];
            part->inputs[0] = part->inputs[1];
            part->inputs[1] = first;
        }
    }
    chain.outputs[0] = (turn & 1 ? 7 : 3) - skipped;
    chain.outputs[1] = (turn & 1 ? 3 : 7) - skipped;
    return chain;
}

static void make_case(struct kernel_case *c, int64_t rows, int64_t columns, bool row_scale) {
    const cupel_shape matrix = CUPEL_SHAPE(rows, columns);
    const cupel_shape scale = row_scale ? CUPEL_SHAPE(rows, 1) : cupel_shape_scalar();
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, matrix);
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(columns));
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, matrix);
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, scale);
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, scale);
    case_infer(c);
    case_fill(c, (uint64_t)(rows * 1000 + columns));
}

static const struct kernel *loss_kernel(void) {
    return case_kernel("fused", "vec:bernoulli");
}

static void check(int64_t rows, int64_t columns, bool bias, unsigned turn, const int share[2]) {
    check_context("%lld x %lld, bias %d, turned %u, outputs in inputs %d %d", (long long)rows,
                  (long long)columns, (int)bias, turn, share[0], share[1]);
    const struct attrs_fused chain = loss_chain(bias, turn);
    struct kernel_case c = {.op = &op_fused, .attrs = &chain};
    make_case(&c, rows, columns, turn % 4 != 3);
    c.share[0] = share[0];
    c.share[1] = share[1];
    /* softplus errs by 2 ulp, sigmoid too; what cancels is judged by the largest */
    CHECK(case_check(&c, loss_kernel(), 2, 4e-7, 1));
    case_check_threads(&c, loss_kernel());
    case_release(&c);
}

static void test_shapes(void **state) {
    (void)state;
    static const int64_t columns[] = {1,  3,  4,  7,  8,  9,   15,  16,  17,  28,  31,  32,
                                      33, 57, 63, 72, 81, 100, 111, 112, 113, 144, 161, 784};
    static const int shares[][2] = {
        {0, 0}, {1 + PRODUCT, 0}, {1 + TARGET, 1 + PRODUCT}, {0, 1 + TARGET}};
    for (unsigned i = 0; i < sizeof columns / sizeof *columns; i++)
        for (unsigned turn = 0; turn < 4; turn++)
            check(1 + 7 * (i % 3), columns[i], i % 2 == 0, turn * 0x55U + i,
                  shares[(i + turn) % 4]);
    check(32, 784, true, 0, shares[1]); /* enough for several threads */
}

/* Of logits from -1e30 to 1e30, zeros, infinities and NaN: the reference's values, NaN where it has
 * them. Errors are judged by themselves, not by the largest. */
static void test_logits_of_any_size(void **state) {
    (void)state;
    enum { COUNT = 200 };
    const struct attrs_fused chain = loss_chain(false, 0);
    struct kernel_case c = {.op = &op_fused, .attrs = &chain};
    make_case(&c, 2, COUNT, true);
    for (int i = 0; i < 2 * COUNT; i++) {
        const double size = i % COUNT < 100 ? 0.02 * i : pow(10.0, (i % COUNT - 130) / 2.0);
        case_f32(&c, PRODUCT)[i] = (float)(i < COUNT ? size : -size);
        case_f32(&c, TARGET)[i] = 0.0F; /* nothing cancels */
    }
    case_f32(&c, PRODUCT)[7] = INFINITY;
    case_f32(&c, PRODUCT)[8] = -INFINITY;
    case_f32(&c, PRODUCT)[9] = NAN;
    case_f32(&c, PRODUCT)[10] = 0.0F;
    case_f32(&c, PRODUCT)[11] = -0.0F;
    case_f32(&c, TARGET)[12] = NAN;
    case_f32(&c, SCALE)[0] = case_f32(&c, SCALE)[1] = 1.0F;
    CHECK(case_check(&c, loss_kernel(), 1, 5e-7, 1e-37));
    case_release(&c);
}

static void expect_declined(const struct attrs_fused *chain, cupel_shape bias, const char *why) {
    struct kernel_case c = {.op = &op_fused, .attrs = chain};
    make_case(&c, 6, 6, true);
    c.inputs[BIAS].shape = bias;
    CHECK(!case_run(&c, loss_kernel(), 1));
    CHECK_CONTAINS(c.why, why);
    case_release(&c);
}

static void test_what_is_declined(void **state) {
    (void)state;
    static const char *const another = "not the Bernoulli loss";
    const cupel_shape row = CUPEL_SHAPE(6);
    const struct attrs_fused whole = loss_chain(true, 0);
    expect_declined(&whole, CUPEL_SHAPE(6, 1), "no matrices");
    struct attrs_fused chain = whole;
    chain.n_outputs = 1;
    expect_declined(&chain, row, another);
    chain = whole;
    chain.parts[5].inputs[0] = fused_input(PRODUCT); /* sigmoid of something else */
    expect_declined(&chain, row, another);
    chain = whole;
    chain.parts[4].inputs[1] = fused_input(PRODUCT); /* not the targets */
    expect_declined(&chain, row, another);
    chain = whole;
    chain.parts[3].inputs[0] = fused_earlier(2); /* t x - softplus(x) */
    chain.parts[3].inputs[1] = fused_earlier(1);
    expect_declined(&chain, row, another);
    chain = whole;
    chain.parts[1].op = &op_exp;
    expect_declined(&chain, row, another);
    chain = whole;
    chain.parts[8] =
        (struct fused_part){.op = &op_neg, .n_inputs = 1, .inputs = {fused_earlier(7)}};
    chain.n_parts = 9;
    chain.outputs[1] = 8;
    expect_declined(&chain, row, another);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_logits_of_any_size),
                                       cmocka_unit_test(test_what_is_declined)};
    return CHECK_MAIN(tests);
}
