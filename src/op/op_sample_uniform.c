/*
 * sample_uniform: numbers uniform in (0, 1), a pure function of (seed, stream, step, row, element);
 * sample_normal has the map. Each is an odd multiple of 2^-24, so it is exact in f32 and never
 * 0 or 1. No operand is differentiable.
 * NaN: has no real operands.
 * Test: tests/test_op_random.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_random *attrs = view->attrs;
    const cupel_shape shape = cupel_shape_make((int)attrs->rank, attrs->dims);
    CUPEL_TRY(random_check(view, shape));
    infer_output(view, 0, CUPEL_TYPE_REAL, shape);
    return CUPEL_STATUS_OK;
}

const cupel_op op_sample_uniform = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sample_uniform",
    .attr_size = sizeof(struct attrs_random),
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 1,
    .flags = CUPEL_OP_RANDOM | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
};

cupel_node cupel_sample_uniform(cupel_rng rng, const char *name, cupel_shape shape) {
    struct attrs_random attrs = {.rank = shape.rank};
    for (int i = 0; i < shape.rank && i < CUPEL_MAX_RANK; i++)
        attrs.dims[i] = shape.dims[i];
    return random_add(rng, &op_sample_uniform, name, &attrs, cupel_none());
}
