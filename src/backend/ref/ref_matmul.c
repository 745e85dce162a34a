/*
 * Reference matmul: three loops over each pair of matrices, ordered so that the inner one runs
 * along rows of memory. Test: tests/test_op_matmul.c
 */
#include "backend/ref/ref.h"
#include "backend/ref/ref_sums.h"

#include <string.h>

/* Rows [from, to) of one product c [M,N] = a' b'; the operands' matrices are stored [M,K] or [K,M],
 * [K,N] or [N,K]. The order of an element's sum does not depend on which rows are asked for. */
void ref_product_rows(const double *a, const double *b, double *c, int64_t m, int64_t n, int64_t k,
                      bool ta, bool tb, int64_t from, int64_t to) {
    if (tb && !ta) {
        for (int64_t i = from; i < to; i++)
            for (int64_t j = 0; j < n; j++)
                c[(i - from) * n + j] = ref_dot(a + i * k, b + j * k, k);
        return;
    }
    memset(c, 0, (size_t)((to - from) * n) * sizeof *c);
    if (tb) {
        for (int64_t j = 0; j < n; j++)
            for (int64_t l = 0; l < k; l++)
                for (int64_t i = from; i < to; i++)
                    c[(i - from) * n + j] += a[l * m + i] * b[j * k + l];
        return;
    }
    for (int64_t i = from; i < to; i++)
        for (int64_t l = 0; l < k; l++)
            ref_add_scaled(c + (i - from) * n, b + l * n, ta ? a[l * m + i] : a[i * k + l], n);
}

/* The matrix of an operand that belongs to matrix `index` of the result: broadcast axes stand
 * still. */
static int64_t matrix_at(cupel_shape shape, cupel_shape dst, int64_t index) {
    int64_t matrix = 0, stride = 1;
    for (int axis = dst.rank - 3; axis >= 0; axis--) {
        const int64_t place = index % dst.dims[axis];
        index /= dst.dims[axis];
        const int own = axis - (dst.rank - shape.rank);
        if (own < 0 || shape.dims[own] == 1)
            continue;
        matrix += place * stride;
        stride *= shape.dims[own];
    }
    return matrix;
}

static cupel_status matmul(const struct ref_call *call) {
    const struct attrs_matmul *attrs = call->view->attrs;
    const cupel_shape a = ref_in_shape(call, 0), b = ref_in_shape(call, 1);
    const cupel_shape dst = ref_out_shape(call, 0);
    const int64_t m = dst.dims[dst.rank - 2], n = dst.dims[dst.rank - 1];
    const int64_t k = a.dims[a.rank - (attrs->transpose_a ? 2 : 1)];
    const int64_t matrices = cupel_shape_count(dst) / (m * n);
    for (int64_t i = 0; i < matrices; i++)
        ref_product_rows(ref_in(call, 0) + matrix_at(a, dst, i) * m * k,
                         ref_in(call, 1) + matrix_at(b, dst, i) * k * n,
                         ref_out(call, 0) + i * m * n, m, n, k, attrs->transpose_a != 0,
                         attrs->transpose_b != 0, 0, m);
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_matmul_rows[] = {{"matmul", matmul, false}, {NULL, NULL, false}};
