/*
 * Pooling against the reference: layouts, windows that overlap, leave gaps or hang over the edge,
 * equal maxima, NaN, threads.
 */
#include "support/kernel_case.h"

struct geometry {
    int64_t h, w, kernel[2], stride[2], padding[2];
};

static int64_t extent(int64_t src, int64_t kernel, int64_t stride, int64_t padding) {
    return (src + 2 * padding - kernel) / stride + 1;
}

static void check_pool(const cupel_op *op, const struct geometry *g, cupel_layout layout,
                       int64_t channels, bool odd) {
    struct attrs_pool attrs = {.kernel = {g->kernel[0], g->kernel[1]},
                               .stride = {g->stride[0], g->stride[1]},
                               .padding = {g->padding[0], g->padding[1]}};
    const cupel_shape src = CUPEL_SHAPE(3, channels, g->h, g->w);
    const cupel_shape dst =
        CUPEL_SHAPE(3, channels, extent(g->h, g->kernel[0], g->stride[0], g->padding[0]),
                    extent(g->w, g->kernel[1], g->stride[1], g->padding[1]));
    check_context("%s of %s, %lld channels, %lldx%lld, kernel %lld, stride %lld, odd %d", op->name,
                  cupel_layout_name(layout), (long long)channels, (long long)g->h, (long long)g->w,
                  (long long)g->kernel[0], (long long)g->stride[0], odd);
    struct kernel_case c = {.op = op, .attrs = &attrs};
    if (op == &op_avg_pool2d_backward) {
        attrs.src_hw[0] = g->h;
        attrs.src_hw[1] = g->w;
        case_input(&c, CUPEL_TYPE_F32, layout, dst);
    } else {
        case_input(&c, CUPEL_TYPE_F32, layout, src);
    }
    if (op == &op_max_pool2d_backward)
        case_input(&c, CUPEL_TYPE_F32, layout, dst);
    case_infer(&c);
    case_layout(&c, 0, layout);
    case_fill(&c, 6);
    float *x = case_f32(&c, 0);
    const int64_t count = cupel_shape_count(c.inputs[0].shape);
    if (op == &op_max_pool2d || op == &op_max_pool2d_backward)
        for (int64_t i = 0; i < count; i++) /* equal maxima are common */
            x[i] = floorf(x[i] * 2);
    if (odd) {
        x[count / 2] = NAN;
        x[count / 2 + 1] = NAN;
        x[count / 3] = INFINITY;
        x[0] = -INFINITY;
    }
    const struct kernel *kernel = case_kernel(op->name, "vec:pool");
    CHECK(case_check(&c, kernel, 2, 1e-6, 1)); /* sums of up to 49 that may cancel */
    case_check_threads(&c, kernel);
    case_release(&c);
}

static void test_pooling(void **state) {
    (void)state;
    static const struct geometry geometries[] = {
        {8, 8, {2, 2}, {2, 2}, {0, 0}},   {9, 7, {3, 3}, {2, 2}, {1, 1}},
        {5, 6, {3, 2}, {1, 1}, {1, 0}},   {7, 7, {7, 7}, {7, 7}, {0, 0}},
        {11, 5, {2, 3}, {3, 3}, {1, 1}},  {1, 1, {1, 1}, {1, 1}, {0, 0}},
        {32, 33, {3, 3}, {2, 2}, {1, 1}},
    };
    const cupel_op *const ops[] = {&op_max_pool2d, &op_max_pool2d_backward, &op_avg_pool2d,
                                   &op_avg_pool2d_backward};
    const struct {
        cupel_layout layout;
        int64_t channels;
    } rows[] = {{CUPEL_LAYOUT_PLAIN, 3},
                {CUPEL_LAYOUT_NHWC, 3},
                {CUPEL_LAYOUT_NHWC, 37},
                {CUPEL_LAYOUT_NCHW8C, 8},
                {CUPEL_LAYOUT_NCHW16C, 32}};
    for (size_t o = 0; o < 4; o++)
        for (size_t g = 0; g < sizeof geometries / sizeof geometries[0]; g++)
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
                for (int odd = 0; odd < 2; odd++)
                    check_pool(ops[o], &geometries[g], rows[r].layout, rows[r].channels, odd);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pooling)};
    return CHECK_MAIN(tests);
}
