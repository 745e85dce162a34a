/*
 * Reference pooling: every window is visited once, clipped to the image. Test: tests/test_op_pool.c
 */
#include "backend/ref/ref.h"

#include <math.h>
#include <string.h>

/* The part of a window that lies in the image. */
struct window {
    int64_t top, bottom, left, right;
};

static int64_t clipped(int64_t value, int64_t most) {
    return value < 0 ? 0 : value > most ? most : value;
}

static struct window window_at(const struct attrs_pool *attrs, cupel_shape src, int64_t i,
                               int64_t j) {
    const int64_t top = i * attrs->stride[0] - attrs->padding[0];
    const int64_t left = j * attrs->stride[1] - attrs->padding[1];
    return (struct window){.top = clipped(top, src.dims[2]),
                           .bottom = clipped(top + attrs->kernel[0], src.dims[2]),
                           .left = clipped(left, src.dims[3]),
                           .right = clipped(left + attrs->kernel[1], src.dims[3])};
}

/* Index in the plane of the first maximum; a NaN is larger than all numbers. */
static int64_t first_maximum(const double *plane, int64_t width, const struct window *window) {
    int64_t best = window->top * width + window->left;
    for (int64_t h = window->top; h < window->bottom; h++)
        for (int64_t w = window->left; w < window->right; w++) {
            const double value = plane[h * width + w];
            if (value > plane[best] || (isnan(value) && !isnan(plane[best])))
                best = h * width + w;
        }
    return best;
}

/* One plane of one image; src or dst is written, depending on the direction. */
typedef void (*plane_function)(const struct attrs_pool *attrs, cupel_shape src_shape,
                               cupel_shape dst_shape, const double *in, const double *images,
                               double *out);

static void max_plane(const struct attrs_pool *attrs, cupel_shape src, cupel_shape dst,
                      const double *in, const double *images, double *out) {
    (void)images;
    for (int64_t i = 0; i < dst.dims[2]; i++)
        for (int64_t j = 0; j < dst.dims[3]; j++) {
            const struct window window = window_at(attrs, src, i, j);
            out[i * dst.dims[3] + j] = in[first_maximum(in, src.dims[3], &window)];
        }
}

static void max_plane_back(const struct attrs_pool *attrs, cupel_shape src, cupel_shape dst,
                           const double *in, const double *images, double *out) {
    for (int64_t i = 0; i < dst.dims[2]; i++)
        for (int64_t j = 0; j < dst.dims[3]; j++) {
            const struct window window = window_at(attrs, src, i, j);
            out[first_maximum(images, src.dims[3], &window)] += in[i * dst.dims[3] + j];
        }
}

static void avg_plane(const struct attrs_pool *attrs, cupel_shape src, cupel_shape dst,
                      const double *in, const double *images, double *out) {
    (void)images;
    const double area = (double)attrs->kernel[0] * (double)attrs->kernel[1];
    for (int64_t i = 0; i < dst.dims[2]; i++)
        for (int64_t j = 0; j < dst.dims[3]; j++) {
            const struct window window = window_at(attrs, src, i, j);
            double sum = 0.0;
            for (int64_t h = window.top; h < window.bottom; h++)
                for (int64_t w = window.left; w < window.right; w++)
                    sum += in[h * src.dims[3] + w];
            out[i * dst.dims[3] + j] = sum / area;
        }
}

static void avg_plane_back(const struct attrs_pool *attrs, cupel_shape src, cupel_shape dst,
                           const double *in, const double *images, double *out) {
    (void)images;
    const double area = (double)attrs->kernel[0] * (double)attrs->kernel[1];
    for (int64_t i = 0; i < dst.dims[2]; i++)
        for (int64_t j = 0; j < dst.dims[3]; j++) {
            const struct window window = window_at(attrs, src, i, j);
            for (int64_t h = window.top; h < window.bottom; h++)
                for (int64_t w = window.left; w < window.right; w++)
                    out[h * src.dims[3] + w] += in[i * dst.dims[3] + j] / area;
        }
}

static cupel_status planes(const struct ref_call *call, plane_function function, const double *in,
                           const double *images, cupel_shape src, cupel_shape dst, bool forward) {
    const int64_t src_plane = src.dims[2] * src.dims[3], dst_plane = dst.dims[2] * dst.dims[3];
    const int64_t count = src.dims[0] * src.dims[1];
    double *const out = ref_out(call, 0);
    memset(out, 0, (size_t)cupel_shape_count(ref_out_shape(call, 0)) * sizeof *out);
    for (int64_t i = 0; i < count; i++)
        function(call->view->attrs, src, dst, in + i * (forward ? src_plane : dst_plane),
                 images == NULL ? NULL : images + i * src_plane,
                 out + i * (forward ? dst_plane : src_plane));
    return CUPEL_STATUS_OK;
}

static cupel_status max_pool2d(const struct ref_call *call) {
    return planes(call, max_plane, ref_in(call, 0), NULL, ref_in_shape(call, 0),
                  ref_out_shape(call, 0), true);
}

static cupel_status max_pool2d_backward(const struct ref_call *call) {
    return planes(call, max_plane_back, ref_in(call, 1), ref_in(call, 0), ref_in_shape(call, 0),
                  ref_in_shape(call, 1), false);
}

static cupel_status avg_pool2d(const struct ref_call *call) {
    return planes(call, avg_plane, ref_in(call, 0), NULL, ref_in_shape(call, 0),
                  ref_out_shape(call, 0), true);
}

static cupel_status avg_pool2d_backward(const struct ref_call *call) {
    return planes(call, avg_plane_back, ref_in(call, 0), NULL, ref_out_shape(call, 0),
                  ref_in_shape(call, 0), false);
}

const struct ref_row ref_pool_rows[] = {
    {"max_pool2d", max_pool2d, false},
    {"max_pool2d_backward", max_pool2d_backward, false},
    {"avg_pool2d", avg_pool2d, false},
    {"avg_pool2d_backward", avg_pool2d_backward, false},
    {NULL, NULL, false},
};
