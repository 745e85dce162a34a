/*
 * Reference reductions: an outer walk over the axes that stay, and for each of its elements an
 * inner walk over the reduced ones, so that a reduction is a function of one inner walk. Softmax
 * and its kin work on lines along one axis. All sums are in double, in row-major order.
 * Test: tests/test_op_reduce.c
 */
#include <math.h>

#include "backend/ref/ref.h"
#include "backend/ref/ref_walk.h"

/* x[walk.at[0]] for the elements of the walk. */
typedef double (*reduction)(const double *x, struct ref_walk walk);

static double sum_of(const double *x, struct ref_walk walk) {
    double sum = 0.0;
    for (; walk.left > 0; ref_walk_next(&walk))
        sum += x[walk.at[0]];
    return sum;
}

static double mean_of(const double *x, struct ref_walk walk) {
    return sum_of(x, walk) / (double)cupel_shape_count(walk.shape);
}

static double max_of(const double *x, struct ref_walk walk) {
    double most = -(double)INFINITY;
    for (; walk.left > 0; ref_walk_next(&walk)) {
        const double value = x[walk.at[0]];
        if (value > most || value != value)
            most = value; /* once NaN, only another NaN replaces it */
    }
    return most;
}

static double min_of(const double *x, struct ref_walk walk) {
    double least = (double)INFINITY;
    for (; walk.left > 0; ref_walk_next(&walk)) {
        const double value = x[walk.at[0]];
        if (value < least || value != value)
            least = value;
    }
    return least;
}

static double logsumexp_of(const double *x, struct ref_walk walk) {
    const double most = max_of(x, walk);
    if (!isfinite(most))
        return most; /* NaN, all -inf, or some +inf */
    double sum = 0.0;
    for (; walk.left > 0; ref_walk_next(&walk))
        sum += exp(x[walk.at[0]] - most);
    return most + log(sum);
}

static cupel_status reduce(const struct ref_call *call, reduction function) {
    const struct attrs_reduce *attrs = call->view->attrs;
    const cupel_shape from = ref_in_shape(call, 0);
    int64_t strides[CUPEL_MAX_RANK];
    ref_strides(from, strides);
    struct ref_walk inner = {.n_operands = 1};
    struct ref_walk outer = {.n_operands = 1};
    for (int axis = 0; axis < from.rank; axis++) {
        struct ref_walk *const walk = (attrs->axes >> axis & 1) != 0 ? &inner : &outer;
        walk->strides[0][walk->shape.rank] = strides[axis];
        walk->shape.dims[walk->shape.rank++] = from.dims[axis];
    }
    inner.left = cupel_shape_count(inner.shape);
    outer.left = cupel_shape_count(outer.shape);
    double *dst = ref_out(call, 0);
    for (; outer.left > 0; ref_walk_next(&outer))
        *dst++ = function(ref_in(call, 0) + outer.at[0], inner);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_reduce_sum(const struct ref_call *call) {
    return reduce(call, sum_of);
}
static cupel_status ref_reduce_mean(const struct ref_call *call) {
    return reduce(call, mean_of);
}
static cupel_status ref_reduce_max(const struct ref_call *call) {
    return reduce(call, max_of);
}
static cupel_status ref_reduce_min(const struct ref_call *call) {
    return reduce(call, min_of);
}
static cupel_status ref_logsumexp(const struct ref_call *call) {
    return reduce(call, logsumexp_of);
}

/* --- lines along an axis --- */

static struct ref_lines lines_of(const struct ref_call *call) {
    const struct attrs_axis *attrs = call->view->attrs;
    return ref_lines_along(ref_in_shape(call, 0), attrs->axis);
}

/* Position of the first largest element; a NaN is larger than any number. */
static int64_t first_largest(const double *line, int64_t extent, int64_t step) {
    int64_t best = 0;
    for (int64_t k = 0; k < extent; k++) {
        const double value = line[k * step];
        if (value != value)
            return k;
        if (value > line[best * step])
            best = k;
    }
    return best;
}

static cupel_status ref_argmax(const struct ref_call *call) {
    const struct ref_lines lines = lines_of(call);
    int64_t *dst = call->outputs[0];
    for (int64_t o = 0; o < lines.outer; o++)
        for (int64_t i = 0; i < lines.inner; i++)
            *dst++ = first_largest(ref_in(call, 0) + o * lines.extent * lines.inner + i,
                                   lines.extent, lines.inner);
    return CUPEL_STATUS_OK;
}

/* y = e^(x - m) / sum, or its logarithm x - m - ln sum. */
static void softmax_line(double *y, const double *x, int64_t extent, int64_t step, bool logarithm) {
    const double most = x[first_largest(x, extent, step) * step];
    double sum = 0.0;
    for (int64_t k = 0; k < extent; k++)
        sum += exp(x[k * step] - most);
    for (int64_t k = 0; k < extent; k++) {
        const double shifted = x[k * step] - most;
        y[k * step] = logarithm ? shifted - log(sum) : exp(shifted) / sum;
    }
}

static cupel_status softmax(const struct ref_call *call, bool logarithm) {
    const struct ref_lines lines = lines_of(call);
    for (int64_t o = 0; o < lines.outer; o++) {
        for (int64_t i = 0; i < lines.inner; i++) {
            const int64_t start = o * lines.extent * lines.inner + i;
            softmax_line(ref_out(call, 0) + start, ref_in(call, 0) + start, lines.extent,
                         lines.inner, logarithm);
        }
    }
    return CUPEL_STATUS_OK;
}

static cupel_status ref_softmax(const struct ref_call *call) {
    return softmax(call, false);
}
static cupel_status ref_log_softmax(const struct ref_call *call) {
    return softmax(call, true);
}

const struct ref_row ref_reduce_rows[] = {
    {"reduce_sum", ref_reduce_sum, false},
    {"reduce_mean", ref_reduce_mean, false},
    {"reduce_max", ref_reduce_max, false},
    {"reduce_min", ref_reduce_min, false},
    {"logsumexp", ref_logsumexp, false},
    {"argmax", ref_argmax, false},
    {"softmax", ref_softmax, false},
    {"log_softmax", ref_log_softmax, false},
    {NULL, NULL, false},
};
