/*
 * compare: y = 1 where the comparison of a and b holds, else 0. The operands share one type, which
 * may be an integer type; the result is real. Its derivative is 0: gradients stop here.
 *
 * NaN: every comparison with a NaN is false, but "not equal", which is true.
 * Test: tests/test_op_elementwise.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_compare *attrs = view->attrs;
    if (attrs->comparison < CUPEL_EQUAL || attrs->comparison > CUPEL_GREATER_EQUAL)
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT, "there is no comparison %lld",
                             (long long)attrs->comparison);
    cupel_shape shape;
    CUPEL_TRY(infer_broadcast(view, 0, &shape));
    const cupel_type type = view->inputs[0].type;
    infer_output(view, 0, cupel_type_is_real(type) ? type : CUPEL_TYPE_REAL, shape);
    return CUPEL_STATUS_OK;
}

const cupel_op op_compare = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "compare",
    .attr_size = sizeof(struct attrs_compare),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ELEMENTWISE | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_COMPARES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {1},
    .infer = infer,
};

cupel_node cupel_compare(cupel_comparison comparison, cupel_node a, cupel_node b) {
    const struct attrs_compare attrs = {.comparison = (int64_t)comparison};
    const cupel_node inputs[] = {a, b};
    return graph_add(a.graph, &op_compare, NULL, &attrs, 2, inputs);
}
