/*
 * oneDNN's convolutions against the reference: three directions, layouts mixed as programs mix
 * them, strides, padding, dilation, groups, biases, channels that leave remainders; Winograd's
 * error; what is declined. A case that the library declines must give a reason, and the plain
 * layouts that every program can fall back to must not be declined but where listed.
 */
#include "support/kernel_case.h"

struct geometry {
    int64_t n, c, o, h, w, k, stride, padding, dilation, groups;
};

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };
static const char *const op_names[] = {"conv2d", "conv2d_backward_data", "conv2d_backward_weights"};

static int64_t extent(int64_t src, const struct geometry *g) {
    return (src + 2 * g->padding - (g->dilation * (g->k - 1) + 1)) / g->stride + 1;
}

static bool fits(cupel_layout layout, int64_t channels) {
    const int64_t block = layout == CUPEL_LAYOUT_NCHW16C  ? 16
                          : layout == CUPEL_LAYOUT_NCHW8C ? 8
                                                          : 1;
    return channels % block == 0;
}

/* Runs one case; false when it was declined. */
static bool check_conv(enum direction d, const struct geometry *g, cupel_layout src_layout,
                       cupel_layout dst_layout, bool bias, const char *kernel_name, int threads,
                       double tolerance) {
    struct attrs_conv attrs = {.stride = {g->stride, g->stride},
                               .padding = {g->padding, g->padding},
                               .dilation = {g->dilation, g->dilation},
                               .groups = g->groups,
                               .with_bias = bias && d != BACKWARD_DATA};
    const cupel_shape src = CUPEL_SHAPE(g->n, g->c, g->h, g->w);
    const cupel_shape dst = CUPEL_SHAPE(g->n, g->o, extent(g->h, g), extent(g->w, g));
    const cupel_shape filters = CUPEL_SHAPE(g->o, g->c / g->groups, g->k, g->k);
    if (d == BACKWARD_DATA) {
        attrs.src_hw[0] = g->h;
        attrs.src_hw[1] = g->w;
    }
    if (d == BACKWARD_WEIGHTS)
        attrs.kernel[0] = attrs.kernel[1] = g->k;
    const cupel_op *const ops[] = {&op_conv2d, &op_conv2d_backward_data,
                                   &op_conv2d_backward_weights};
    struct kernel_case c = {.op = ops[d], .attrs = &attrs};
    if (d == FORWARD) {
        case_input(&c, CUPEL_TYPE_F32, src_layout, src);
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, filters);
        if (bias)
            case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(g->o));
        case_layout(&c, 0, dst_layout);
    } else if (d == BACKWARD_DATA) {
        case_input(&c, CUPEL_TYPE_F32, dst_layout, dst);
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, filters);
        case_layout(&c, 0, src_layout);
    } else {
        case_input(&c, CUPEL_TYPE_F32, src_layout, src);
        case_input(&c, CUPEL_TYPE_F32, dst_layout, dst);
    }
    case_infer(&c);
    case_fill(&c, 17);
    check_context(
        "%s %s: n %lld c %lld o %lld %lldx%lld k %lld s %lld p %lld d %lld g %lld, %s %s, "
        "bias %d",
        kernel_name, op_names[d], (long long)g->n, (long long)g->c, (long long)g->o,
        (long long)g->h, (long long)g->w, (long long)g->k, (long long)g->stride,
        (long long)g->padding, (long long)g->dilation, (long long)g->groups,
        cupel_layout_name(src_layout), cupel_layout_name(dst_layout), bias);
    const struct kernel *kernel = case_kernel(op_names[d], kernel_name);
    CHECK((kernel->flags & KERNEL_FIXED_THREADS) != 0);
    const bool taken = case_check(&c, kernel, threads, tolerance, 1.0);
    case_release(&c);
    return taken;
}

static const struct geometry geometries[] = {
    {3, 1, 32, 12, 12, 3, 1, 0, 1, 1},  {3, 16, 32, 9, 11, 3, 1, 0, 1, 1},
    {2, 32, 64, 10, 10, 3, 1, 1, 1, 1}, {2, 16, 16, 11, 9, 3, 2, 1, 1, 1},
    {2, 32, 16, 8, 8, 1, 1, 0, 1, 1},   {2, 32, 16, 9, 9, 1, 2, 0, 1, 1},
    {1, 16, 16, 13, 13, 3, 1, 2, 2, 1}, {2, 32, 32, 8, 8, 3, 1, 1, 1, 2},
    {1, 3, 16, 17, 15, 5, 2, 2, 1, 1},  {1, 3, 7, 9, 8, 3, 1, 1, 1, 1},
    {2, 24, 8, 7, 7, 3, 1, 1, 1, 1},    {2, 16, 16, 6, 6, 3, 1, 1, 1, 16},
    {1, 16, 48, 4, 4, 4, 1, 3, 1, 1},   {1, 1, 1, 1, 1, 1, 1, 0, 1, 1},
};

/* Plain, blocked by 16 and by 8, and the mixed pairs at the edges of a network. */
static void test_directions(void **state) {
    (void)state;
    int taken = 0, declined = 0;
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++)
        for (int d = FORWARD; d <= BACKWARD_WEIGHTS; d++)
            for (int a = CUPEL_LAYOUT_PLAIN; a <= CUPEL_LAYOUT_NCHW16C; a++)
                for (int b = CUPEL_LAYOUT_PLAIN; b <= CUPEL_LAYOUT_NCHW16C; b++) {
                    const struct geometry *g = &geometries[i];
                    const cupel_layout src = (cupel_layout)a, dst = (cupel_layout)b;
                    if (!fits(src, g->c) || !fits(dst, g->o))
                        continue;
                    const bool ok = check_conv((enum direction)d, g, src, dst, (i + (size_t)b) % 2,
                                               "onednn:conv", 2, 2e-5);
                    taken += ok;
                    declined += !ok;
                    if (a == CUPEL_LAYOUT_PLAIN && b == CUPEL_LAYOUT_PLAIN)
                        CHECK(ok);
                    /* a padding as wide as the kernel is left to others */
                    if (a == b && a == CUPEL_LAYOUT_NCHW16C && g->groups == 1 && g->padding < 3)
                        CHECK(ok || cpu_channel_block() != 16);
                }
    CHECK(taken > (cpu_channel_block() == 16 ? declined / 4 : 0));
}

/* The conv VAE's layers, small batch: what the fast path must take, with one thread and with
 * two. */
static void test_network_layers(void **state) {
    (void)state;
    if (cpu_channel_block() != 16)
        return;
    static const struct geometry layers[] = {{4, 1, 32, 32, 32, 3, 1, 0, 1, 1},
                                             {4, 32, 64, 30, 30, 3, 1, 0, 1, 1},
                                             {2, 64, 128, 28, 28, 3, 1, 0, 1, 1}};
    for (int threads = 1; threads <= 2; threads++)
        for (size_t i = 0; i < 3; i++) {
            const cupel_layout src = i == 0 ? CUPEL_LAYOUT_PLAIN : CUPEL_LAYOUT_NCHW16C;
            const cupel_layout dst = CUPEL_LAYOUT_NCHW16C;
            CHECK(check_conv(FORWARD, &layers[i], src, dst, true, "onednn:conv", threads, 1e-5));
            CHECK(check_conv(BACKWARD_WEIGHTS, &layers[i], src, dst, true, "onednn:conv", threads,
                             3e-5));
            if (i > 0)
                CHECK(check_conv(BACKWARD_DATA, &layers[i], src, dst, false, "onednn:conv", threads,
                                 1e-5));
        }
}

/* F(4x4, 3x3) loses two digits to the transforms; winograd.md of the literature: up to 3e-5. */
static void test_winograd(void **state) {
    (void)state;
    if (cpu_channel_block() != 16)
        return;
    const struct geometry g = {4, 32, 64, 18, 18, 3, 1, 0, 1, 1};
    const cupel_layout blocked = CUPEL_LAYOUT_NCHW16C;
    CHECK(check_conv(FORWARD, &g, blocked, blocked, true, "onednn:winograd", 2, 1e-4));
    CHECK(check_conv(BACKWARD_DATA, &g, blocked, blocked, false, "onednn:winograd", 2, 1e-4));
    CHECK(check_conv(BACKWARD_WEIGHTS, &g, blocked, blocked, true, "onednn:winograd", 2, 1e-4));
    const struct geometry strided = {4, 32, 64, 18, 18, 3, 2, 0, 1, 1};
    CHECK(!check_conv(FORWARD, &strided, blocked, blocked, true, "onednn:winograd", 2, 1e-4));
}

/* A NaN pixel reaches every window that covers it and no other. */
static void test_nan(void **state) {
    (void)state;
    const struct attrs_conv attrs = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    struct kernel_case c = {.op = &op_conv2d, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 16, 8, 8));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(16, 16, 3, 3));
    case_infer(&c);
    case_fill(&c, 1);
    case_f32(&c, 0)[5 * 64 + 3 * 8 + 4] = NAN;
    CHECK(case_check(&c, case_kernel("conv2d", "onednn:conv"), 1, 1e-5, 1.0));
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directions),
        cmocka_unit_test(test_network_layers),
        cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_nan),
    };
    return CHECK_MAIN(tests);
}
