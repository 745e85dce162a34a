/*
 * Reference optimiser updates. Each element is read before it is written, so outputs may lie on the
 * inputs that the op's row allows. Test: tests/test_op_update.c
 */
#include "backend/ref/ref.h"

#include <math.h>

static cupel_status sgd_update(const struct ref_call *call) {
    const struct attrs_sgd *attrs = call->view->attrs;
    const int64_t n = cupel_shape_count(ref_in_shape(call, 0));
    const double *const parameter = ref_in(call, 0), *const gradient = ref_in(call, 1);
    const double learning_rate = ref_in(call, 2)[0];
    const bool buffered = attrs->momentum != 0.0;
    for (int64_t i = 0; i < n; i++) {
        double g = gradient[i] + attrs->weight_decay * parameter[i];
        if (buffered) {
            const double buffer = attrs->momentum * ref_in(call, 3)[i] + g;
            g = attrs->nesterov ? g + attrs->momentum * buffer : buffer;
            ref_out(call, 1)[i] = buffer;
        }
        ref_out(call, 0)[i] = parameter[i] - learning_rate * g;
    }
    if (!buffered)
        ref_out(call, 1)[0] = 0.0;
    return CUPEL_STATUS_OK;
}

static cupel_status adam_update(const struct ref_call *call) {
    const struct attrs_adam *attrs = call->view->attrs;
    const int64_t n = cupel_shape_count(ref_in_shape(call, 0));
    const double learning_rate = ref_in(call, 4)[0], step = ref_in(call, 5)[0];
    const double step_size = learning_rate / (1.0 - pow(attrs->beta1, step));
    const double correction = sqrt(1.0 - pow(attrs->beta2, step));
    for (int64_t i = 0; i < n; i++) {
        double p = ref_in(call, 0)[i], g = ref_in(call, 1)[i];
        if (attrs->decoupled)
            p *= 1.0 - learning_rate * attrs->weight_decay;
        else
            g += attrs->weight_decay * p;
        const double m = ref_in(call, 2)[i] + (1.0 - attrs->beta1) * (g - ref_in(call, 2)[i]);
        const double v = attrs->beta2 * ref_in(call, 3)[i] + (1.0 - attrs->beta2) * g * g;
        ref_out(call, 0)[i] = p - step_size * m / (sqrt(v) / correction + attrs->epsilon);
        ref_out(call, 1)[i] = m;
        ref_out(call, 2)[i] = v;
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_update_rows[] = {
    {"sgd_update", sgd_update, false},
    {"adam_update", adam_update, false},
    {NULL, NULL, false},
};
