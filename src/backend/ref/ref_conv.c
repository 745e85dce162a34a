/*
 * Reference convolution in its three directions. One loop nest visits every (image, filter,
 * channel, kernel element, row) once and hands the two runs of pixels that meet there to a row
 * function, so the inner loop is contiguous where the stride is 1. Test: tests/test_op_conv.c
 */
#include "backend/ref/ref.h"
#include "backend/ref/ref_sums.h"

#include <string.h>

/* Shapes of the forward convolution, whichever direction runs. */
struct geometry {
    const struct attrs_conv *attrs;
    cupel_shape src, weights, dst;
};

/* A kernel element's run along a row: dst[j] for j in [first, last) meets src[j * stride + shift].
 */
struct run {
    int64_t first, last, stride, shift;
};

static struct run row_run(const struct geometry *geometry, int64_t q) {
    const struct attrs_conv *attrs = geometry->attrs;
    const int64_t stride = attrs->stride[1], shift = q * attrs->dilation[1] - attrs->padding[1];
    const int64_t src = geometry->src.dims[3], dst = geometry->dst.dims[3];
    struct run run = {.stride = stride, .shift = shift};
    run.first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    run.last = src - shift <= 0 ? 0 : (src - shift + stride - 1) / stride;
    if (run.last > dst)
        run.last = dst;
    return run;
}

static void add_row(double *dst, const double *src, double weight, const struct run *run) {
    const int64_t n = run->last - run->first;
    if (n <= 0)
        return;
    src += run->first * run->stride + run->shift;
    dst += run->first;
    if (run->stride == 1) {
        ref_add_scaled(dst, src, weight, n);
        return;
    }
    for (int64_t j = 0; j < n; j++)
        dst[j] += weight * src[j * run->stride];
}

static void add_row_back(double *diff_src, const double *diff_dst, double weight,
                         const struct run *run) {
    const int64_t n = run->last - run->first;
    if (n <= 0)
        return;
    diff_src += run->first * run->stride + run->shift;
    diff_dst += run->first;
    if (run->stride == 1) {
        ref_add_scaled(diff_src, diff_dst, weight, n);
        return;
    }
    for (int64_t j = 0; j < n; j++)
        diff_src[j * run->stride] += weight * diff_dst[j];
}

static double dot_row(const double *diff_dst, const double *src, const struct run *run) {
    const int64_t n = run->last - run->first;
    if (n <= 0)
        return 0.0;
    src += run->first * run->stride + run->shift;
    diff_dst += run->first;
    if (run->stride == 1)
        return ref_dot(diff_dst, src, n);
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += diff_dst[j] * src[j * run->stride];
    return sum;
}

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };

/* All that one filter o does to one image: planes of C/groups channels of src against one of
 * dst. */
static void filter_image(const struct geometry *g, enum direction direction, double *src,
                         double *weights, double *dst) {
    const struct attrs_conv *attrs = g->attrs;
    const int64_t kh = g->weights.dims[2], kw = g->weights.dims[3];
    const int64_t sh = g->src.dims[2], sw = g->src.dims[3], dh = g->dst.dims[2],
                  dw = g->dst.dims[3];
    for (int64_t c = 0; c < g->weights.dims[1]; c++)
        for (int64_t p = 0; p < kh; p++)
            for (int64_t q = 0; q < kw; q++) {
                const struct run run = row_run(g, q);
                double *const weight = weights + (c * kh + p) * kw + q;
                double sum = 0.0;
                for (int64_t i = 0; i < dh; i++) {
                    const int64_t row =
                        i * attrs->stride[0] + p * attrs->dilation[0] - attrs->padding[0];
                    if (row < 0 || row >= sh)
                        continue;
                    double *const src_row = src + (c * sh + row) * sw;
                    double *const dst_row = dst + i * dw;
                    if (direction == FORWARD)
                        add_row(dst_row, src_row, *weight, &run);
                    else if (direction == BACKWARD_DATA)
                        add_row_back(src_row, dst_row, *weight, &run);
                    else
                        sum += dot_row(dst_row, src_row, &run);
                }
                if (direction == BACKWARD_WEIGHTS)
                    *weight += sum;
            }
}

static void convolve(const struct geometry *g, enum direction direction, double *src,
                     double *weights, double *dst) {
    const int64_t filters = g->weights.dims[0], per_group = filters / g->attrs->groups;
    const int64_t src_plane = g->src.dims[2] * g->src.dims[3];
    const int64_t dst_plane = g->dst.dims[2] * g->dst.dims[3];
    const int64_t filter_size = g->weights.dims[1] * g->weights.dims[2] * g->weights.dims[3];
    for (int64_t n = 0; n < g->src.dims[0]; n++)
        for (int64_t o = 0; o < filters; o++) {
            const int64_t channel = n * g->src.dims[1] + o / per_group * g->weights.dims[1];
            filter_image(g, direction, src + channel * src_plane, weights + o * filter_size,
                         dst + (n * filters + o) * dst_plane);
        }
}

static double *written(const struct ref_call *call, int output) {
    double *const values = ref_out(call, output);
    memset(values, 0, (size_t)cupel_shape_count(ref_out_shape(call, output)) * sizeof *values);
    return values;
}

/* The operand that a direction only reads. */
static double *read_only(const struct ref_call *call, int input) {
    return (double *)(uintptr_t)call->inputs[input];
}

static cupel_status conv2d(const struct ref_call *call) {
    const struct geometry g = {call->view->attrs, ref_in_shape(call, 0), ref_in_shape(call, 1),
                               ref_out_shape(call, 0)};
    double *const dst = written(call, 0);
    if (g.attrs->with_bias) {
        const int64_t plane = g.dst.dims[2] * g.dst.dims[3];
        for (int64_t i = 0; i < g.dst.dims[0] * g.dst.dims[1]; i++)
            for (int64_t j = 0; j < plane; j++)
                dst[i * plane + j] = ref_in(call, 2)[i % g.dst.dims[1]];
    }
    convolve(&g, FORWARD, read_only(call, 0), read_only(call, 1), dst);
    return CUPEL_STATUS_OK;
}

static cupel_status conv2d_backward_data(const struct ref_call *call) {
    const struct geometry g = {call->view->attrs, ref_out_shape(call, 0), ref_in_shape(call, 1),
                               ref_in_shape(call, 0)};
    convolve(&g, BACKWARD_DATA, written(call, 0), read_only(call, 1), read_only(call, 0));
    return CUPEL_STATUS_OK;
}

static cupel_status conv2d_backward_weights(const struct ref_call *call) {
    const struct geometry g = {call->view->attrs, ref_in_shape(call, 0), ref_out_shape(call, 0),
                               ref_in_shape(call, 1)};
    convolve(&g, BACKWARD_WEIGHTS, read_only(call, 0), written(call, 0), read_only(call, 1));
    double *const diff_bias = written(call, 1);
    if (!g.attrs->with_bias)
        return CUPEL_STATUS_OK;
    const int64_t filters = g.dst.dims[1], plane = g.dst.dims[2] * g.dst.dims[3];
    for (int64_t i = 0; i < g.dst.dims[0] * filters; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < plane; j++)
            sum += ref_in(call, 1)[i * plane + j];
        diff_bias[i % filters] += sum;
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_conv_rows[] = {
    {"conv2d", conv2d, false},
    {"conv2d_backward_data", conv2d_backward_data, false},
    {"conv2d_backward_weights", conv2d_backward_weights, false},
    {NULL, NULL, false},
};
