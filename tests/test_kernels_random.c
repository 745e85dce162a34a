/*
 * Random draws against base/rng.h: uniforms and masks exactly, normals within 2 ulp of the float
 * nearest to the definition in double; rows of every length; the same bits for any threads.
 */
#include "support/kernel_case.h"

#include "base/rng.h"

static struct kernel_case make_case(const cupel_op *op, const struct attrs_random *attrs,
                                    cupel_shape shape) {
    struct kernel_case c = {.op = op, .attrs = attrs};
    case_input(&c, CUPEL_TYPE_U64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(&c, CUPEL_TYPE_U64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(&c, CUPEL_TYPE_U64, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(shape.dims[0]));
    ((uint64_t *)c.values[0])[0] = UINT64_C(0x123456789abcdef0);
    ((uint64_t *)c.values[1])[0] = UINT64_C(0x700000005);
    for (int64_t i = 0; i < shape.dims[0]; i++)
        ((uint64_t *)c.values[2])[i] = (uint64_t)i * UINT64_C(0x9E3779B97F4A7C15) + 3;
    return c;
}

static struct attrs_random attrs_for(cupel_shape shape, double p) {
    struct attrs_random attrs = {.stream = 99, .rank = shape.rank, .p = p};
    for (int i = 0; i < shape.rank; i++)
        attrs.dims[i] = shape.dims[i];
    return attrs;
}

/* infer leaves the type open (REAL) */
static void infer_f32(struct kernel_case *c) {
    case_infer(c);
    c->outputs[0].type = CUPEL_TYPE_F32;
}

static const cupel_shape *shapes(size_t *n) {
    static cupel_shape list[8];
    *n = 0;
    list[(*n)++] = CUPEL_SHAPE(1);
    list[(*n)++] = CUPEL_SHAPE(5, 3);
    list[(*n)++] = CUPEL_SHAPE(100, 16);
    list[(*n)++] = CUPEL_SHAPE(3, 257);
    list[(*n)++] = CUPEL_SHAPE(7, 2, 9, 11);
    list[(*n)++] = CUPEL_SHAPE(20, 2000);
    return list;
}

static void test_samples(void **state) {
    (void)state;
    size_t n;
    const cupel_shape *const list = shapes(&n);
    for (size_t s = 0; s < n; s++) {
        const struct attrs_random attrs = attrs_for(list[s], 0);
        for (int normal = 0; normal < 2; normal++) {
            check_context("shape %zu, normal %d", s, normal);
            const cupel_op *op = normal ? &op_sample_normal : &op_sample_uniform;
            struct kernel_case c = make_case(op, &attrs, list[s]);
            infer_f32(&c);
            const struct kernel *kernel = case_kernel(op->name, "vec:random");
            CHECK(case_check(&c, kernel, 2, normal ? 2.5 * 0x1p-23 : 0, 0));
            case_check_threads(&c, kernel);
            case_release(&c);
        }
    }
}

static void test_dropout(void **state) {
    (void)state;
    size_t n;
    const cupel_shape *const list = shapes(&n);
    static const double ps[] = {0.0, 0.1, 0.5, 0.9};
    for (size_t s = 0; s < n; s++)
        for (size_t p = 0; p < 4; p++)
            for (int in_place = 0; in_place < 2; in_place++) {
                check_context("shape %zu, p %zu", s, p);
                const struct attrs_random attrs = attrs_for(list[s], ps[p]);
                struct kernel_case c = make_case(&op_dropout, &attrs, list[s]);
                case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, list[s]);
                infer_f32(&c);
                case_fill(&c, s);
                c.share[0] = in_place ? op_dropout.in_place[0] : 0;
                const struct kernel *kernel = case_kernel("dropout", "vec:random");
                CHECK(case_check(&c, kernel, 2, 0x1p-22, 0));
                case_check_threads(&c, kernel);
                case_release(&c);
            }
}

/* The first element by hand: key, counter and map as base/rng.h writes them. */
static void test_counter(void **state) {
    (void)state;
    const cupel_shape shape = CUPEL_SHAPE(2, 6);
    const struct attrs_random attrs = attrs_for(shape, 0);
    struct kernel_case c = make_case(&op_sample_uniform, &attrs, shape);
    infer_f32(&c);
    CHECK(case_run(&c, case_kernel("sample_uniform", "vec:random"), 1));
    const struct rng_key key = rng_key_make(UINT64_C(0x123456789abcdef0), 99);
    double u[4];
    rng_uniform4(rng_block_at(key, UINT64_C(0x9E3779B97F4A7C15) + 3, 5, 1), u);
    CHECK_F64(((float *)c.results[0])[6 + 5], u[1]);
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples),
                                       cmocka_unit_test(test_dropout),
                                       cmocka_unit_test(test_counter)};
    return CHECK_MAIN(tests);
}
