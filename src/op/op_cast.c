/*
 * cast: the values of x in another type.
 *
 * Real to real rounds to nearest, ties to even. Real to integer truncates towards 0, saturates at
 * the ends of the type's range, and makes 0 of a NaN. Integer to integer saturates; integer to real
 * rounds.
 *
 *   dx = dy cast to the type of x, between real types; else no gradient flows
 * NaN: propagates between real types.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_cast *attrs = view->attrs;
    const bool known = attrs->type >= CUPEL_TYPE_REAL && attrs->type <= CUPEL_TYPE_U64;
    if (!known)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "there is no type %lld",
                             (long long)attrs->type);
    infer_output(view, 0, (cupel_type)attrs->type, view->inputs[0].shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_desc *x = cupel_node_desc(adjoint->inputs[0]);
    const cupel_desc *y = cupel_node_desc(adjoint->outputs[0]);
    if (x == NULL || y == NULL || !cupel_type_is_real(x->type) || !cupel_type_is_real(y->type))
        return CUPEL_STATUS_OK;
    return adjoint_unary(adjoint, cupel_cast(adjoint->diff_outputs[0], x->type));
}

const cupel_op op_cast = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "cast",
    .attr_size = sizeof(struct attrs_cast),
    .min_inputs = 1,
    .max_inputs = 1,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_KEEP,
    .in_place = {1},
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_none,
};

cupel_node cupel_cast(cupel_node x, cupel_type type) {
    const struct attrs_cast attrs = {.type = (int64_t)type};
    return graph_add(x.graph, &op_cast, NULL, &attrs, 1, &x);
}
