/*
 * Batch norm against the reference: layouts, odd channels and pixels, a mean far from zero, NaN in
 * one channel, threads.
 */
#include "support/kernel_case.h"

enum which { TRAIN, BACKWARD, INFERENCE };

static void check_norm(enum which which, cupel_layout layout, cupel_shape shape, float offset,
                       bool odd) {
    const cupel_op *const ops[] = {&op_batch_norm_train, &op_batch_norm_backward,
                                   &op_batch_norm_inference};
    const cupel_op *op = ops[which];
    char text[CUPEL_SHAPE_TEXT_SIZE];
    check_context("%s, %s %s, mean %d, odd %d", op->name, cupel_layout_name(layout),
                  cupel_shape_format(text, shape), (int)offset, odd);
    const struct attrs_batch_norm attrs = {.epsilon = 1e-5};
    const cupel_shape channels = CUPEL_SHAPE(shape.dims[1]);
    struct kernel_case c = {.op = op, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, layout, shape);
    const int vectors = which == TRAIN ? 2 : which == BACKWARD ? 3 : 4;
    for (int i = 0; i < vectors; i++)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, channels);
    if (which == BACKWARD)
        case_input(&c, CUPEL_TYPE_F32, layout, shape);
    case_infer(&c);
    case_layout(&c, 0, layout);
    case_fill(&c, 4);
    const int64_t pixels = cupel_shape_count(shape) / (shape.dims[0] * shape.dims[1]);
    for (int64_t i = 0; i < cupel_shape_count(shape); i++)
        case_f32(&c, 0)[i] += offset * (float)(i / pixels % shape.dims[1] % 3);
    for (int64_t i = 0; i < shape.dims[1]; i++) {
        if (which == BACKWARD) { /* the statistics that belong to x */
            double sum = 0, squares = 0;
            for (int64_t n = 0; n < shape.dims[0]; n++)
                for (int64_t p = 0; p < pixels; p++)
                    sum += (double)case_f32(&c, 0)[(n * shape.dims[1] + i) * pixels + p];
            const double mean = sum / (double)(shape.dims[0] * pixels);
            for (int64_t n = 0; n < shape.dims[0]; n++)
                for (int64_t p = 0; p < pixels; p++) {
                    const double d =
                        (double)case_f32(&c, 0)[(n * shape.dims[1] + i) * pixels + p] - mean;
                    squares += d * d;
                }
            case_f32(&c, 2)[i] = (float)mean;
            case_f32(&c, 3)[i] = (float)(squares / (double)(shape.dims[0] * pixels));
        }
        if (which == INFERENCE)
            case_f32(&c, 4)[i] = fabsf(case_f32(&c, 4)[i]) + 0.1F;
    }
    if (odd)
        case_f32(&c, 0)[pixels + pixels / 2] = NAN; /* channel 1 of image 0 */
    const struct kernel *kernel = case_kernel(op->name, "vec:norm");
    CHECK(case_check(&c, kernel, 2, 2e-6, offset > 0 ? 10 : 1));
    case_check_threads(&c, kernel);
    case_release(&c);
}

static void test_layouts(void **state) {
    (void)state;
    const struct {
        cupel_layout layout;
        cupel_shape shape;
    } rows[] = {
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(5, 3)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(100, 200)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(64, 64)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(4, 5, 33)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(10, 3, 17, 13)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(9, 32, 14, 14)},
        {CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 2, 1, 3)},
        {CUPEL_LAYOUT_NHWC, CUPEL_SHAPE(10, 70, 7, 5)},
        {CUPEL_LAYOUT_NHWC, CUPEL_SHAPE(6, 3, 7, 5)},
        {CUPEL_LAYOUT_NCHW8C, CUPEL_SHAPE(6, 24, 7, 5)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(6, 32, 7, 5)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(17, 64, 16, 16)},
        {CUPEL_LAYOUT_NCHW16C, CUPEL_SHAPE(8, 32, 1, 1)},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int which = TRAIN; which <= INFERENCE; which++) {
            check_norm((enum which)which, rows[r].layout, rows[r].shape, 0, false);
            check_norm((enum which)which, rows[r].layout, rows[r].shape, 100, false);
            check_norm((enum which)which, rows[r].layout, rows[r].shape, 0, true);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts)};
    return CHECK_MAIN(tests);
}
