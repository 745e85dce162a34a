/*
 * Changes of layout: every pair, channels and pixels that leave remainders, against the definition
 * (the helper's own element-by-element formula); the vector kernel and the reference.
 */
#include "support/kernel_case.h"

#include "base/memory.h"

static cupel_status same_shape(const cupel_op_view *view) {
    const cupel_layout layout = view->outputs[0].layout;
    view->outputs[0] = view->inputs[0];
    view->outputs[0].layout = layout;
    return CUPEL_STATUS_OK;
}

static const cupel_op reorder = {.size = sizeof(cupel_op),
                                 .version = CUPEL_OP_VERSION,
                                 .name = "reorder",
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .n_outputs = 1,
                                 .infer = same_shape};

static void check_pair(cupel_layout from, cupel_layout to, cupel_shape shape) {
    struct kernel_case c = {.op = &reorder};
    case_input(&c, CUPEL_TYPE_F32, from, shape);
    case_infer(&c);
    case_layout(&c, 0, to);
    case_fill(&c, 5);
    for (int threads = 0; threads <= 3; threads++) {
        CHECK(case_run(&c, case_kernel("reorder", threads == 0 ? "ref" : "vec:reorder"),
                       threads == 0 ? 1 : threads));
        CHECK(memcmp(c.values[0], c.results[0], (size_t)cupel_shape_count(shape) * sizeof(float)) ==
              0);
    }
    case_release(&c);
}

static void test_all_pairs(void **state) {
    (void)state;
    const cupel_shape shapes[] = {CUPEL_SHAPE(1, 16, 1, 1),   CUPEL_SHAPE(3, 16, 5, 7),
                                  CUPEL_SHAPE(2, 48, 4, 4),   CUPEL_SHAPE(2, 32, 33, 31),
                                  CUPEL_SHAPE(1, 3, 9, 2),    CUPEL_SHAPE(2, 1, 8, 8),
                                  CUPEL_SHAPE(5, 24, 3, 1),   CUPEL_SHAPE(2, 40, 6, 6),
                                  CUPEL_SHAPE(7, 64, 26, 26), CUPEL_SHAPE(2, 19, 16, 17)};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int from = CUPEL_LAYOUT_PLAIN; from <= CUPEL_LAYOUT_NCHW16C; from++)
            for (int to = CUPEL_LAYOUT_PLAIN; to <= CUPEL_LAYOUT_NCHW16C; to++) {
                const int64_t channels = shapes[s].dims[1];
                const bool blocks16 = from == CUPEL_LAYOUT_NCHW16C || to == CUPEL_LAYOUT_NCHW16C;
                const bool blocks8 = from == CUPEL_LAYOUT_NCHW8C || to == CUPEL_LAYOUT_NCHW8C;
                if ((blocks16 && channels % 16 != 0) || (blocks8 && channels % 8 != 0))
                    continue;
                check_context("shape %zu, %s to %s", s, cupel_layout_name((cupel_layout)from),
                              cupel_layout_name((cupel_layout)to));
                check_pair((cupel_layout)from, (cupel_layout)to, shapes[s]);
            }
}

static void test_declines(void **state) {
    (void)state;
    struct kernel_case c = {.op = &reorder};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(1, 12, 2, 2));
    case_infer(&c);
    case_layout(&c, 0, CUPEL_LAYOUT_NCHW8C);
    CHECK(!case_run(&c, case_kernel("reorder", "vec:reorder"), 1));
    CHECK_CONTAINS(c.why, "multiple");
    CHECK(!case_run(&c, case_kernel("reorder", "ref"), 1));
    CHECK_CONTAINS(c.why, "multiple");
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_pairs),
                                       cmocka_unit_test(test_declines)};
    return CHECK_MAIN(tests);
}
