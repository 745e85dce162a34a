/*
 * Sums per channel that convolutions make beside their results, Winograd's and those of few
 * channels, both directions: against the reference's sums of these results, with AVX-512, AVX2 and
 * neither; the results as without sums, bit for bit; the same bits for any number of threads.
 *
 * A run of pixels is added in fp32 by chains of at most 62 additions (Winograd's) or of the image's
 * height and width / 8 + 10 (few channels), 64 runs by 18 more, these in double; the result is
 * rounded, as the reference's is. So an error is at most so many roundings of the sum of
 * magnitudes, however many images there are.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/all_sets.h"
#include "support/kernel_case.h"

#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "base/memory.h"
#include "op/op_fused_conv.h"

struct geometry {
    int64_t n, c, o, h, w, padding[2];
};

enum chain { RELU, BIAS_RELU, LEAKY, SELECT, CHAINS };

static cupel_layout layout_of(int64_t channels) {
    return channels <= 4               ? CUPEL_LAYOUT_PLAIN
           : cpu_channel_block() == 16 ? CUPEL_LAYOUT_NCHW16C
                                       : CUPEL_LAYOUT_NCHW8C;
}

static void add_part(struct attrs_fused *chain, const cupel_op *op, int n, const int32_t *inputs) {
    struct fused_part *part = &chain->parts[chain->n_parts++];
    part->op = op;
    part->n_inputs = n;
    memcpy(part->inputs, inputs, (size_t)n * sizeof *inputs);
    *chain->outputs = chain->n_parts - 1;
}

/* The chain's parts, and the operands that they have beside the convolution. */
static void add_chain(struct kernel_case *c, struct attrs_fused *chain, enum chain kind,
                      cupel_shape image) {
    const int32_t conv = fused_input(0), first = fused_input(1), second = fused_input(2);
    chain->n_outputs = 1;
    if (kind == RELU || kind == LEAKY)
        add_part(chain, kind == RELU ? &op_relu : &op_leaky_relu, 1, &conv);
    if (kind == LEAKY)
        memcpy(chain->parts[0].attrs, &(struct attrs_leaky_relu){.slope = .2},
               sizeof(struct attrs_leaky_relu));
    if (kind == BIAS_RELU) {
        const int32_t sum = fused_earlier(0);
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(image.dims[1], 1, 1));
        add_part(chain, &op_add, 2, (const int32_t[]){conv, first});
        add_part(chain, &op_relu, 1, &sum);
    }
    if (kind == SELECT) {
        case_input(c, CUPEL_TYPE_F32, layout_of(image.dims[1]), image);
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
        add_part(chain, &op_select, 3, (const int32_t[]){first, conv, second});
    }
}

/* c channels at h x w become o. */
static void make(struct kernel_case *c, struct attrs_fused_conv *attrs, const struct geometry *g,
                 bool backward, enum chain chain, bool keep) {
    const int64_t grow_y = 2 * g->padding[0] - 2, grow_x = 2 * g->padding[1] - 2;
    const cupel_shape to = backward ? CUPEL_SHAPE(g->n, g->o, g->h - grow_y, g->w - grow_x)
                                    : CUPEL_SHAPE(g->n, g->o, g->h + grow_y, g->w + grow_x);
    *attrs = (struct attrs_fused_conv){
        .conv_name = "conv",
        .sum_name = "sum",
        .conv = backward ? &op_conv2d_backward_data : &op_conv2d,
        .attrs = {.stride = {1, 1},
                  .dilation = {1, 1},
                  .padding = {g->padding[0], g->padding[1]},
                  .groups = 1,
                  .src_hw = {backward ? to.dims[2] : 0, backward ? to.dims[3] : 0}},
        .n_conv_inputs = 2,
        .sum = {.axes = CUPEL_AXIS(0) | CUPEL_AXIS(2) | CUPEL_AXIS(3), .keep = keep}};
    *c = (struct kernel_case){.op = &op_fused_conv, .attrs = attrs};
    case_input(c, CUPEL_TYPE_F32, layout_of(g->c), CUPEL_SHAPE(g->n, g->c, g->h, g->w));
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN,
               backward ? CUPEL_SHAPE(g->c, g->o, 3, 3) : CUPEL_SHAPE(g->o, g->c, 3, 3));
    add_chain(c, &attrs->chain, chain, to);
    case_layout(c, 0, layout_of(g->o));
    case_infer(c);
    case_fill(c, 41);
    if (chain == SELECT) /* the mask is an activation: zeros and others */
        for (int64_t i = 0; i < cupel_shape_count(to); i += 3)
            case_f32(c, 2)[i] = 0;
}

static double largest_error(double magnitudes, int64_t roundings) {
    return (double)roundings * ldexp(1, -24) * magnitudes;
}

/* Against the reference's sums of the image that came out. */
static void check_sums(const struct kernel_case *c, const struct attrs_fused_conv *attrs,
                       int64_t roundings) {
    const cupel_shape shape = c->outputs[0].shape;
    const int64_t channels = shape.dims[1], pixels = shape.dims[2] * shape.dims[3];
    struct kernel_case sum = {.op = &op_reduce_sum, .attrs = &attrs->sum};
    case_input(&sum, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, shape);
    memcpy(sum.values[0], c->results[0], (size_t)cupel_shape_count(shape) * sizeof(float));
    case_infer(&sum);
    CHECK(cupel_shape_equal(sum.outputs[0].shape, c->outputs[1].shape));
    void *expected[CASE_MAX_OUTPUTS];
    case_reference(&sum, expected);
    for (int64_t o = 0; o < channels; o++) {
        double magnitudes = 0;
        for (int64_t n = 0; n < shape.dims[0]; n++)
            for (int64_t p = 0; p < pixels; p++)
                magnitudes += fabs((double)case_f32(&sum, 0)[(n * channels + o) * pixels + p]);
        CHECK(magnitudes > 0);
        CHECK_NEAR(((float *)c->results[1])[o], ((float *)expected[0])[o],
                   largest_error(magnitudes, roundings));
    }
    cupel_free(expected[0]);
    case_release(&sum);
}

/* The image's bits are those of the same node without its sums. */
static void check_image(struct kernel_case *c, struct attrs_fused_conv *attrs,
                        const struct kernel *kernel) {
    const size_t bytes = (size_t)cupel_shape_count(c->outputs[0].shape) * sizeof(float);
    float *const image = c->results[0];
    c->results[0] = NULL;
    attrs->sum_name = NULL;
    c->n_outputs = 1;
    CHECK(case_run(c, kernel, 2));
    CHECK(memcmp(image, c->results[0], bytes) == 0);
    attrs->sum_name = "sum";
    c->n_outputs = 2;
    cupel_free(image);
}

static void check(const struct geometry *g, const char *name, enum chain from, int64_t roundings) {
    for (int variant = 2 * (int)from; variant < 2 * CHAINS; variant++) {
        const enum chain chain = (enum chain)(variant / 2);
        const bool backward = variant % 2;
        struct kernel_case c;
        struct attrs_fused_conv attrs;
        check_context("%s, %s: %s, n %lld c %lld o %lld %lldx%lld padding %lld %lld, chain %d",
                      cpu_isa_name(cpu_isa()), name, backward ? "backward" : "forward",
                      (long long)g->n, (long long)g->c, (long long)g->o, (long long)g->h,
                      (long long)g->w, (long long)g->padding[0], (long long)g->padding[1],
                      (int)chain);
        make(&c, &attrs, g, backward, chain, variant % 3 != 0);
        const struct kernel *kernel = case_kernel("fused_conv", name);
        CHECK(case_run(&c, kernel, 2));
        check_sums(&c, &attrs, roundings);
        check_image(&c, &attrs, kernel);
        case_check_threads(&c, kernel);
        case_release(&c);
    }
}

/* One, two and three pixels beside whole tiles, groups that are not full, blocks in odd numbers. */
static void check_winograd(void) {
    static const struct geometry geometries[] = {
        {1, 32, 32, 10, 10, {1, 1}}, {3, 32, 64, 9, 14, {1, 1}},   {2, 16, 32, 12, 12, {2, 2}},
        {2, 48, 16, 11, 9, {0, 1}},  {5, 64, 48, 13, 13, {1, 1}},  {17, 32, 32, 10, 10, {0, 0}},
        {1, 32, 112, 30, 7, {2, 1}}, {9, 144, 96, 18, 14, {2, 0}},
    };
    if (cpu_isa() == CPU_ISA_BASELINE)
        return;
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++) {
        check(&geometries[i], "vec:winograd-fused", RELU, 84);
        check(&geometries[i], "vec:winograd-fused-2x2", RELU, 84);
    }
}

static void test_winograd(void **state) {
    (void)state;
    on_all_sets(check_winograd);
}

/* Results that are written past the caches, and more runs than are added in fp32. */
static void check_large(void) {
    static const struct geometry g = {1, 16, 32, 263, 261, {1, 1}};
    if (cpu_isa() != CPU_ISA_BASELINE)
        check(&g, "vec:winograd-fused", SELECT, 84);
}

static void test_large(void **state) {
    (void)state;
    on_all_sets(check_large);
}

static void check_few(void) {
    static const struct geometry geometries[] = {
        {1, 1, 16, 5, 5, {1, 1}},    {2, 1, 32, 32, 32, {0, 0}}, {3, 3, 16, 7, 19, {1, 1}},
        {5, 2, 48, 18, 33, {0, 1}},  {9, 4, 16, 8, 7, {2, 2}},   {2, 1, 64, 8, 17, {2, 0}},
        {70, 1, 16, 30, 30, {1, 1}},
    };
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++) {
        const struct geometry *g = &geometries[i];
        check(g, "vec:few-fused", RELU, g->h + 2 + (g->w + 2) / 8 + 7 + 3 + 20);
    }
}

static void test_few(void **state) {
    (void)state;
    on_all_sets(check_few);
}

/* A NaN reaches the sum of its channel. */
static void test_nan(void **state) {
    (void)state;
    static const struct geometry g = {2, 1, 32, 12, 12, {1, 1}};
    struct kernel_case c;
    struct attrs_fused_conv attrs;
    make(&c, &attrs, &g, false, SELECT, true);
    for (int64_t i = 0; i < 32 * 9; i++) /* of channel 5 alone */
        case_f32(&c, 1)[i] = i / 9 == 5 ? NAN : 1;
    CHECK(case_run(&c, case_kernel("fused_conv", "vec:few-fused"), 2));
    for (int64_t o = 0; o < 32; o++)
        CHECK(isnan(((float *)c.results[1])[o]) == (o == 5));
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_nan),
    };
    return CHECK_MAIN(tests);
}
