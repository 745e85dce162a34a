/*
 * minimum: y = the smaller of a and b.
 *
 *   the smaller operand gets dy; where both are equal each gets dy / 2
 * Gradients are summed over the axes along which an operand was broadcast.
 * NaN: propagates, from either operand; no gradient flows to either then.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

/* g where x is the smaller, half of it where x equals other, else 0. */
static cupel_node tie_shared(cupel_node g, cupel_node x, cupel_node other) {
    const cupel_node wins = cupel_compare(CUPEL_LESS, x, other);
    const cupel_node ties = cupel_compare(CUPEL_EQUAL, x, other);
    const cupel_node shared = cupel_select(ties, cupel_scale(g, 0.5), scalar_like(g, 0.0));
    return cupel_select(wins, g, shared);
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = adjoint_unbroadcast(tie_shared(g, a, b), a);
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] = adjoint_unbroadcast(tie_shared(g, b, a), b);
    return CUPEL_STATUS_OK;
}

const cupel_op op_minimum = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "minimum",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer_elementwise,
    .adjoint = adjoint,
};

cupel_node cupel_minimum(cupel_node a, cupel_node b) {
    return build_binary(&op_minimum, a, b);
}
