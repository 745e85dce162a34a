/*
 * Reference batch norm: two passes over each channel, the second around the mean of the first.
 * Test: tests/test_op_norm.c
 */
#include "backend/ref/ref.h"

#include <math.h>

/* [N, C, ...]: element (n, c, i) is at (n * channels + c) * inner + i. */
struct channels {
    int64_t n, channels, inner;
};

static struct channels channels_of(cupel_shape shape) {
    struct channels of = {.n = shape.dims[0], .channels = shape.dims[1], .inner = 1};
    for (int axis = 2; axis < shape.rank; axis++)
        of.inner *= shape.dims[axis];
    return of;
}

static cupel_status batch_norm_train(const struct ref_call *call) {
    const struct attrs_batch_norm *attrs = call->view->attrs;
    const struct channels of = channels_of(ref_in_shape(call, 0));
    const double *const x = ref_in(call, 0);
    double *const y = ref_out(call, 0);
    const double count = (double)of.n * (double)of.inner;
    for (int64_t c = 0; c < of.channels; c++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t n = 0; n < of.n; n++)
            for (int64_t i = 0; i < of.inner; i++)
                sum += x[(n * of.channels + c) * of.inner + i];
        const double mean = sum / count;
        for (int64_t n = 0; n < of.n; n++)
            for (int64_t i = 0; i < of.inner; i++) {
                const double centred = x[(n * of.channels + c) * of.inner + i] - mean;
                squares += centred * centred;
            }
        const double variance = squares / count;
        const double scale = ref_in(call, 1)[c] / sqrt(variance + attrs->epsilon);
        for (int64_t n = 0; n < of.n; n++)
            for (int64_t i = 0; i < of.inner; i++) {
                const int64_t at = (n * of.channels + c) * of.inner + i;
                y[at] = (x[at] - mean) * scale + ref_in(call, 2)[c];
            }
        ref_out(call, 1)[c] = mean;
        ref_out(call, 2)[c] = variance;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status batch_norm_backward(const struct ref_call *call) {
    const struct attrs_batch_norm *attrs = call->view->attrs;
    const struct channels of = channels_of(ref_in_shape(call, 0));
    const double *const x = ref_in(call, 0), *const diff_y = ref_in(call, 4);
    double *const diff_x = ref_out(call, 0);
    const double count = (double)of.n * (double)of.inner;
    for (int64_t c = 0; c < of.channels; c++) {
        const double gamma = ref_in(call, 1)[c], mean = ref_in(call, 2)[c];
        const double r = 1.0 / sqrt(ref_in(call, 3)[c] + attrs->epsilon);
        double diff_gamma = 0.0, diff_beta = 0.0;
        for (int64_t n = 0; n < of.n; n++)
            for (int64_t i = 0; i < of.inner; i++) {
                const int64_t at = (n * of.channels + c) * of.inner + i;
                diff_beta += diff_y[at];
                diff_gamma += diff_y[at] * (x[at] - mean) * r;
            }
        for (int64_t n = 0; n < of.n; n++)
            for (int64_t i = 0; i < of.inner; i++) {
                const int64_t at = (n * of.channels + c) * of.inner + i;
                const double normal = (x[at] - mean) * r;
                diff_x[at] =
                    gamma * r * (diff_y[at] - diff_beta / count - normal * diff_gamma / count);
            }
        ref_out(call, 1)[c] = diff_gamma;
        ref_out(call, 2)[c] = diff_beta;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status batch_norm_inference(const struct ref_call *call) {
    const struct attrs_batch_norm *attrs = call->view->attrs;
    const struct channels of = channels_of(ref_in_shape(call, 0));
    for (int64_t n = 0; n < of.n; n++)
        for (int64_t c = 0; c < of.channels; c++) {
            const double scale = ref_in(call, 1)[c] / sqrt(ref_in(call, 4)[c] + attrs->epsilon);
            for (int64_t i = 0; i < of.inner; i++) {
                const int64_t at = (n * of.channels + c) * of.inner + i;
                ref_out(call, 0)[at] =
                    (ref_in(call, 0)[at] - ref_in(call, 3)[c]) * scale + ref_in(call, 2)[c];
            }
        }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_norm_rows[] = {
    {"batch_norm_train", batch_norm_train, false},
    {"batch_norm_backward", batch_norm_backward, false},
    {"batch_norm_inference", batch_norm_inference, false},
    {NULL, NULL, false},
};
