/*
 * The chain kernel against the reference: every operation, layouts and broadcasts, fused chains
 * with several outputs and shared memory, values that are not finite, threads. Expected values come
 * from the reference kernels, which other tests hold against closed forms.
 */
#include "support/kernel_case.h"

#include "base/memory.h"

static const struct kernel *chain_kernel(const cupel_op *op) {
    return case_kernel(op->name, op == &op_fused ? "vec:chain-fused" : "vec:chain");
}

static void check_lone(const cupel_op *op, const void *attrs, int n_inputs, bool positive,
                       double relative) {
    static const int64_t counts[] = {1, 3, 15, 16, 17, 255, 1000, 4099, 40000};
    for (size_t s = 0; s < sizeof counts / sizeof counts[0]; s++) {
        check_context("%s, %lld elements", op->name, (long long)counts[s]);
        struct kernel_case c = {.op = op, .attrs = attrs};
        for (int i = 0; i < n_inputs; i++)
            case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(counts[s]));
        case_infer(&c);
        case_fill(&c, 7 + s);
        for (int i = 0; i < n_inputs; i++) {
            float *x = case_f32(&c, i);
            for (int64_t e = 0; e < counts[s]; e++) {
                if (positive)
                    x[e] = fabsf(x[e]);
                if (e % 7 == 3) /* equal operands now and then */
                    x[e] = 0.5F * (float)(e % 5);
            }
        }
        CHECK(case_check(&c, chain_kernel(op), 2, relative, 0));
        case_check_threads(&c, chain_kernel(op));
        case_release(&c);
    }
}

static void test_lone_ops(void **state) {
    (void)state;
    const double ulp = 0x1p-23;
    check_lone(&op_neg, NULL, 1, false, 0);
    check_lone(&op_abs, NULL, 1, false, 0);
    check_lone(&op_exp, NULL, 1, false, 2 * ulp);
    check_lone(&op_log, NULL, 1, true, 2 * ulp);
    check_lone(&op_sqrt, NULL, 1, true, 0);
    check_lone(&op_square, NULL, 1, false, 0);
    check_lone(&op_reciprocal, NULL, 1, false, 0);
    check_lone(&op_sign, NULL, 1, false, 0);
    check_lone(&op_relu, NULL, 1, false, 0);
    check_lone(&op_sigmoid, NULL, 1, false, 4 * ulp);
    check_lone(&op_tanh, NULL, 1, false, 4 * ulp);
    check_lone(&op_softplus, NULL, 1, false, 4 * ulp);
    const struct attrs_leaky_relu leaky = {.slope = 0.25};
    check_lone(&op_leaky_relu, &leaky, 1, false, 0);
    const struct attrs_clamp clamp = {.low = -0.5, .high = 1.25};
    check_lone(&op_clamp, &clamp, 1, false, 0);
    check_lone(&op_add, NULL, 2, false, 0);
    check_lone(&op_sub, NULL, 2, false, 0);
    check_lone(&op_mul, NULL, 2, false, 0);
    check_lone(&op_div, NULL, 2, false, 0);
    check_lone(&op_maximum, NULL, 2, false, 0);
    check_lone(&op_minimum, NULL, 2, false, 0);
    check_lone(&op_pow, NULL, 2, true, ulp);
    check_lone(&op_select, NULL, 3, false, 0);
    for (int64_t comparison = CUPEL_EQUAL; comparison <= CUPEL_GREATER_EQUAL; comparison++) {
        const struct attrs_compare compare = {.comparison = comparison};
        check_lone(&op_compare, &compare, 2, false, 0);
    }
}

/* NaN, infinities, zeros of both signs and denormals in every pairing. */
static void test_special_values(void **state) {
    (void)state;
    static const float values[] = {NAN,  INFINITY, -INFINITY, 0.0F,  -0.0F,
                                   1.0F, -1.0F,    1e30F,     90.0F, -120.0F};
    enum { N = sizeof values / sizeof values[0] };
    const struct attrs_leaky_relu leaky = {.slope = 0.25};
    const struct attrs_clamp clamp = {.low = -INFINITY, .high = 1.25};
    const struct attrs_compare equal = {.comparison = CUPEL_EQUAL};
    const struct attrs_compare not_equal = {.comparison = CUPEL_NOT_EQUAL};
    const struct attrs_compare less = {.comparison = CUPEL_LESS};
    const struct {
        const cupel_op *op;
        const void *attrs;
        int n;
    } rows[] = {
        {&op_neg, NULL, 1},       {&op_abs, NULL, 1},          {&op_exp, NULL, 1},
        {&op_log, NULL, 1},       {&op_sqrt, NULL, 1},         {&op_square, NULL, 1},
        {&op_sign, NULL, 1},      {&op_relu, NULL, 1},         {&op_sigmoid, NULL, 1},
        {&op_tanh, NULL, 1},      {&op_softplus, NULL, 1},     {&op_reciprocal, NULL, 1},
        {&op_clamp, &clamp, 1},   {&op_leaky_relu, &leaky, 1}, {&op_add, NULL, 2},
        {&op_pow, NULL, 2},       {&op_sub, NULL, 2},          {&op_mul, NULL, 2},
        {&op_div, NULL, 2},       {&op_maximum, NULL, 2},      {&op_minimum, NULL, 2},
        {&op_compare, &equal, 2}, {&op_compare, &less, 2},     {&op_compare, &not_equal, 2},
        {&op_select, NULL, 3},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        check_context("%s", rows[r].op->name);
        struct kernel_case c = {.op = rows[r].op, .attrs = rows[r].attrs};
        for (int i = 0; i < rows[r].n; i++) {
            case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(N * N * N));
            for (int e = 0; e < N * N * N; e++)
                case_f32(&c, i)[e] = values[e / (i == 0 ? 1 : i == 1 ? N : N * N) % N];
        }
        case_infer(&c);
        CHECK(case_check(&c, chain_kernel(rows[r].op), 1, 4 * 0x1p-23, 0));
        case_release(&c);
    }
}

static void test_broadcasts(void **state) {
    (void)state;
    const struct {
        cupel_layout layout;
        cupel_shape full, other;
    } rows[] = {
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(7, 5), CUPEL_SHAPE(5)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(7, 5), CUPEL_SHAPE(7, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(7, 5), cupel_shape_scalar()},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(7, 5), CUPEL_SHAPE(1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(100, 3000), CUPEL_SHAPE(3000)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(100, 3000), CUPEL_SHAPE(100, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(1, 16, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(16, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 50, 51), CUPEL_SHAPE(1, 16, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(3, 1, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(3, 16, 1, 7)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(3, 1, 5, 7)},
        {CUPEL_LAYOUT_NHWC, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(1, 16, 1, 1)},
        {CUPEL_LAYOUT_NHWC, CUPEL_SHAPE(3, 16, 5, 7), CUPEL_SHAPE(3, 1, 5, 7)},
        {CUPEL_LAYOUT_NCHW8C, CUPEL_SHAPE(3, 24, 5, 7), CUPEL_SHAPE(1, 24, 1, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 5, 7), CUPEL_SHAPE(1, 32, 1, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 28, 27), CUPEL_SHAPE(32, 1, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 5, 7), CUPEL_SHAPE(3, 32, 1, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 5, 7), CUPEL_SHAPE(3, 1, 1, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 5, 7), CUPEL_SHAPE(5, 1)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 5, 7), cupel_shape_scalar()},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 1, 1), CUPEL_SHAPE(1, 32, 1, 1)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 1, 3, 1, 5, 2), CUPEL_SHAPE(3, 1, 1, 2)},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (int swap = 0; swap < 2; swap++) {
            check_context("row %zu, swapped %d", r, swap);
            struct kernel_case c = {.op = &op_sub};
            const int64_t count = cupel_shape_count(rows[r].full);
            for (int i = 0; i < 2; i++) {
                const bool full = i == swap;
                case_input(&c, CUPEL_TYPE_F32, full ? rows[r].layout : CUPEL_LAYOUT_PLAIN,
                           full ? rows[r].full : rows[r].other);
            }
            case_infer(&c);
            CHECK_I64(cupel_shape_count(c.outputs[0].shape), count);
            case_layout(&c, 0, rows[r].layout);
            case_fill(&c, r);
            CHECK(case_check(&c, chain_kernel(&op_sub), 2, 0, 0));
            case_check_threads(&c, chain_kernel(&op_sub));
            case_release(&c);
        }
    }
}

/* (relu(x + bias) * scale), relu's gradient mask, and a part that two later ones read. */
static struct attrs_fused long_chain(void) {
    struct attrs_fused chain = {.n_parts = 7, .n_outputs = 3, .outputs = {1, 5, 6}};
    const struct attrs_compare compare = {.comparison = CUPEL_NOT_EQUAL};
    chain.parts[0] = (struct fused_part){
        .op = &op_add, .n_inputs = 2, .inputs = {fused_input(0), fused_input(1)}};
    chain.parts[1] =
        (struct fused_part){.op = &op_relu, .n_inputs = 1, .inputs = {fused_earlier(0)}};
    chain.parts[2] = (struct fused_part){
        .op = &op_mul, .n_inputs = 2, .inputs = {fused_earlier(1), fused_input(2)}};
    chain.parts[3] = (struct fused_part){
        .op = &op_compare, .n_inputs = 2, .inputs = {fused_earlier(1), fused_input(3)}};
    memcpy(chain.parts[3].attrs, &compare, sizeof compare);
    chain.parts[4] =
        (struct fused_part){.op = &op_square, .n_inputs = 1, .inputs = {fused_earlier(2)}};
    chain.parts[5] =
        (struct fused_part){.op = &op_select,
                            .n_inputs = 3,
                            .inputs = {fused_earlier(3), fused_earlier(4), fused_input(0)}};
    chain.parts[6] = (struct fused_part){
        .op = &op_sub, .n_inputs = 2, .inputs = {fused_earlier(5), fused_earlier(2)}};
    return chain;
}

static void run_long_chain(cupel_layout layout, cupel_shape shape, const int share[3]) {
    const struct attrs_fused chain = long_chain();
    struct kernel_case c = {.op = &op_fused, .attrs = &chain};
    case_input(&c, CUPEL_TYPE_F32, layout, shape);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(shape.dims[1], 1, 1));
    case_input(&c, CUPEL_TYPE_F32, layout, shape);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_infer(&c);
    for (int k = 0; k < 3; k++) {
        case_layout(&c, k, layout);
        c.share[k] = share[k];
    }
    case_fill(&c, 3);
    case_f32(&c, 3)[0] = 0.0F;
    CHECK(case_check(&c, chain_kernel(&op_fused), 2, 1e-6, 1e-2));
    case_check_threads(&c, chain_kernel(&op_fused));
    case_release(&c);
}

static void test_fused_chain(void **state) {
    (void)state;
    static const int shares[][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0},
                                    {3, 1, 0}, {1, 0, 3}, {0, 0, 1}};
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        check_context("outputs in inputs %d %d %d", shares[s][0], shares[s][1], shares[s][2]);
        run_long_chain(CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(5, 3, 11, 13), shares[s]);
        run_long_chain(CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(3, 32, 26, 26), shares[s]);
        run_long_chain(CUPEL_LAYOUT_NCHW8C, CUPEL_SHAPE(2, 8, 3, 3), shares[s]);
    }
}

/* The most parts there may be, each reading two earlier ones. */
static void test_longest_chain(void **state) {
    (void)state;
    struct attrs_fused chain = {.n_parts = FUSED_MAX_PARTS, .n_outputs = 2};
    chain.outputs[0] = FUSED_MAX_PARTS - 1;
    chain.outputs[1] = FUSED_MAX_PARTS - 1;
    for (int p = 0; p < FUSED_MAX_PARTS; p++) {
        struct fused_part *part = &chain.parts[p];
        part->op = p % 2 ? &op_sub : &op_minimum;
        part->n_inputs = 2;
        part->inputs[0] = p == 0 ? fused_input(0) : fused_earlier(p - 1);
        part->inputs[1] = p < 9 ? fused_input(p % 3) : fused_earlier(p - 7);
    }
    struct kernel_case c = {.op = &op_fused, .attrs = &chain};
    for (int i = 0; i < 3; i++)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(37, 331));
    case_infer(&c);
    case_fill(&c, 11);
    CHECK(case_check(&c, chain_kernel(&op_fused), 2, 1e-5, 1e-1));
    case_check_threads(&c, chain_kernel(&op_fused));
    case_release(&c);
}

static void test_declines(void **state) {
    (void)state;
    struct kernel_case c = {.op = &op_add};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 16, 3, 3));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(2, 16, 3, 3));
    case_infer(&c);
    CHECK(!case_run(&c, chain_kernel(&op_add), 1));
    CHECK_CONTAINS(c.why, "layouts");
    case_layout(&c, 0, CUPEL_LAYOUT_NCHW16C);
    CHECK(!case_run(&c, chain_kernel(&op_add), 1));
    CHECK_CONTAINS(c.why, "layouts");
    case_release(&c);

    struct kernel_case d = {.op = &op_add};
    case_input(&d, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2));
    case_input(&d, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2));
    case_infer(&d);
    CHECK(!case_run(&d, chain_kernel(&op_add), 1));
    CHECK_CONTAINS(d.why, "f32");
    case_release(&d);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lone_ops),      cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_broadcasts),    cmocka_unit_test(test_fused_chain),
        cmocka_unit_test(test_longest_chain), cmocka_unit_test(test_declines),
    };
    return CHECK_MAIN(tests);
}
