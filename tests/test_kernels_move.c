/*
 * Moves against the reference, bit for bit: all permutations of three axes, slices and pads of
 * every axis, concatenations, broadcasts; elements of 1, 4 and 8 bytes.
 */
#include "support/kernel_case.h"

#include "base/memory.h"

static const cupel_type types[] = {CUPEL_TYPE_F32, CUPEL_TYPE_F64, CUPEL_TYPE_I64, CUPEL_TYPE_U8};

static void fill(struct kernel_case *c) {
    for (int i = 0; i < c->n_inputs; i++) {
        const size_t bytes = cupel_desc_bytes(&c->inputs[i]);
        for (size_t b = 0; b < bytes; b++) /* any bits, NaN among them */
            ((uint8_t *)c->values[i])[b] = (uint8_t)((b + (size_t)i * 77) * 2654435761U >> 7);
    }
}

/* Same bytes as the reference moves them (as integers: a NaN is a pattern of bits). */
static void check_bits(struct kernel_case *c) {
    fill(c);
    void *expected[CASE_MAX_OUTPUTS];
    const struct kernel *kernel = case_kernel(c->op->name, "vec:move");
    case_reference(c, expected);
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(case_run(c, kernel, threads));
        CHECK(memcmp(c->results[0], expected[0], cupel_desc_bytes(&c->outputs[0])) == 0);
    }
    cupel_free(expected[0]);
    case_release(c);
}

static void test_transposes(void **state) {
    (void)state;
    static const int64_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const cupel_shape shapes[] = {CUPEL_SHAPE(3, 5, 7), CUPEL_SHAPE(17, 33, 40),
                                  CUPEL_SHAPE(1, 130, 70), CUPEL_SHAPE(64, 1, 9)};
    for (size_t t = 0; t < 4; t++)
        for (size_t s = 0; s < 4; s++)
            for (size_t o = 0; o < 6; o++) {
                check_context("type %zu, shape %zu, order %zu", t, s, o);
                struct attrs_transpose attrs = {
                    .permutation = {orders[o][0], orders[o][1], orders[o][2]}};
                struct kernel_case c = {.op = &op_transpose, .attrs = &attrs};
                case_input(&c, types[t], CUPEL_LAYOUT_PLAIN, shapes[s]);
                case_infer(&c);
                check_bits(&c);
            }
}

static void test_slices_and_pads(void **state) {
    (void)state;
    for (size_t t = 0; t < 4; t++)
        for (int64_t axis = 0; axis < 3; axis++) {
            check_context("type %zu, axis %lld", t, (long long)axis);
            const struct attrs_slice slice = {.axis = axis, .begin = 2, .end = 5};
            struct kernel_case c = {.op = &op_slice, .attrs = &slice};
            case_input(&c, types[t], CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(7, 5, 6));
            case_infer(&c);
            check_bits(&c);
            const struct attrs_pad pad = {.axis = axis, .before = 3, .after = axis};
            struct kernel_case d = {.op = &op_pad, .attrs = &pad};
            case_input(&d, types[t], CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(40, 35, 36));
            case_infer(&d);
            check_bits(&d);
        }
}

static void test_concatenations(void **state) {
    (void)state;
    for (size_t t = 0; t < 4; t++)
        for (int64_t axis = 0; axis < 3; axis++)
            for (int n = 1; n <= 4; n++) {
                check_context("type %zu, axis %lld, %d operands", t, (long long)axis, n);
                const struct attrs_axis attrs = {.axis = axis};
                struct kernel_case c = {.op = &op_concat, .attrs = &attrs};
                for (int i = 0; i < n; i++) {
                    cupel_shape shape = CUPEL_SHAPE(20, 31, 17);
                    shape.dims[axis] = i + 1;
                    case_input(&c, types[t], CUPEL_LAYOUT_PLAIN, shape);
                }
                case_infer(&c);
                check_bits(&c);
            }
}

static void test_broadcasts(void **state) {
    (void)state;
    const struct {
        cupel_shape from, to;
    } rows[] = {
        {cupel_shape_scalar(), CUPEL_SHAPE(1)},
        {cupel_shape_scalar(), CUPEL_SHAPE(300, 301)},
        {CUPEL_SHAPE(5), CUPEL_SHAPE(7, 5)},
        {CUPEL_SHAPE(7, 1), CUPEL_SHAPE(7, 5)},
        {CUPEL_SHAPE(1, 3, 1), CUPEL_SHAPE(4, 3, 6)},
        {CUPEL_SHAPE(100, 1, 1, 1), CUPEL_SHAPE(100, 1, 32, 32)},
        {CUPEL_SHAPE(3, 1, 5), CUPEL_SHAPE(2, 3, 4, 5)},
    };
    for (size_t t = 0; t < 4; t++)
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            check_context("type %zu, row %zu", t, r);
            struct attrs_shape attrs = {.rank = rows[r].to.rank};
            memcpy(attrs.dims, rows[r].to.dims, sizeof attrs.dims);
            struct kernel_case c = {.op = &op_broadcast_to, .attrs = &attrs};
            case_input(&c, types[t], CUPEL_LAYOUT_PLAIN, rows[r].from);
            case_infer(&c);
            check_bits(&c);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transposes), cmocka_unit_test(test_slices_and_pads),
        cmocka_unit_test(test_concatenations), cmocka_unit_test(test_broadcasts)};
    return CHECK_MAIN(tests);
}
