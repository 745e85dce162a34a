/*
 * Reference cross-entropy: the logarithm of the sum of exponentials around the row's maximum.
 * Test: tests/test_op_loss.c
 */
#include "backend/ref/ref.h"

#include <math.h>

static cupel_status cross_entropy(const struct ref_call *call) {
    const cupel_shape shape = ref_in_shape(call, 0);
    const int64_t classes = shape.dims[1];
    for (int64_t n = 0; n < shape.dims[0]; n++) {
        const double *const x = ref_in(call, 0) + n * classes;
        double largest = x[0], sum = 0.0;
        for (int64_t k = 1; k < classes; k++)
            if (x[k] > largest)
                largest = x[k];
        if (isinf(largest)) /* the difference of two infinities is no number */
            largest = 0.0;
        for (int64_t k = 0; k < classes; k++)
            sum += exp(x[k] - largest);
        ref_out(call, 0)[n] = largest + log(sum) - x[ref_in_index(call, 1)[n]];
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_loss_rows[] = {{"cross_entropy", cross_entropy, false},
                                        {NULL, NULL, false}};
