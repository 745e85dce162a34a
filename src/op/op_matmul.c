/*
 * matmul: products of matrices, [.., M, K] x [.., K, N] = [.., M, N]; leading axes broadcast, and
 * either operand may be taken transposed.
 *
 *   C = A' B',  A' = A or A^T,  B' = B or B^T  (transposes of the last two axes)
 *   dA' = dC B'^T,  dB' = A'^T dC;
 *   a gradient of a transposed operand is the transposed product, and axes along which an operand
 *   was broadcast are summed.
 * NaN: propagates (every element of the row or column it stands in).
 * Test: tests/test_op_matmul.c
 */
#include "op/op_internal.h"

static cupel_shape batch_of(cupel_shape shape) {
    return cupel_shape_make(shape.rank - 2, shape.dims);
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_matmul *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_real(view, 1));
    const cupel_shape a = view->inputs[0].shape, b = view->inputs[1].shape;
    char a_text[CUPEL_SHAPE_TEXT_SIZE], b_text[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(a_text, a);
    cupel_shape_format(b_text, b);
    if (view->inputs[0].type != view->inputs[1].type)
        return cupel_op_fail(view, CUPEL_STATUS_TYPE, "a is %s, but b is %s",
                             cupel_type_name(view->inputs[0].type),
                             cupel_type_name(view->inputs[1].type));
    if (a.rank < 2 || b.rank < 2)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "a %s and b %s must have at least 2 axes each; reshape a vector to "
                             "[1, n] or [n, 1]",
                             a_text, b_text);
    const int64_t m = a.dims[a.rank - (attrs->transpose_a ? 1 : 2)];
    const int64_t a_k = a.dims[a.rank - (attrs->transpose_a ? 2 : 1)];
    const int64_t b_k = b.dims[b.rank - (attrs->transpose_b ? 1 : 2)];
    const int64_t n = b.dims[b.rank - (attrs->transpose_b ? 2 : 1)];
    if (a_k != b_k)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "a %s%s has %lld columns, but b %s%s has %lld rows", a_text,
                             attrs->transpose_a ? " transposed" : "", (long long)a_k, b_text,
                             attrs->transpose_b ? " transposed" : "", (long long)b_k);
    cupel_shape shape;
    if (!cupel_shape_broadcast(batch_of(a), batch_of(b), &shape))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "the leading axes of a %s and b %s do not broadcast", a_text, b_text);
    shape.dims[shape.rank] = m;
    shape.dims[shape.rank + 1] = n;
    shape.rank += 2;
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_matmul *attrs = adjoint->attrs;
    const bool ta = attrs->transpose_a != 0, tb = attrs->transpose_b != 0;
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    const cupel_node g = adjoint->diff_outputs[0];
    if (adjoint->wanted[0]) {
        const cupel_node diff = ta ? cupel_matmul(b, g, tb, true) : cupel_matmul(g, b, false, !tb);
        adjoint->diff_inputs[0] = adjoint_unbroadcast(diff, a);
    }
    if (adjoint->wanted[1]) {
        const cupel_node diff = tb ? cupel_matmul(g, a, true, ta) : cupel_matmul(a, g, !ta, false);
        adjoint->diff_inputs[1] = adjoint_unbroadcast(diff, b);
    }
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    const struct attrs_matmul *attrs = view->attrs;
    const cupel_shape a = view->inputs[0].shape;
    const int64_t k = a.dims[a.rank - (attrs->transpose_a ? 2 : 1)];
    return 2.0 * (double)cupel_shape_count(view->outputs[0].shape) * (double)k;
}

const cupel_op op_matmul = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "matmul",
    .attr_size = sizeof(struct attrs_matmul),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_matmul(cupel_node a, cupel_node b, bool transpose_a, bool transpose_b) {
    const struct attrs_matmul attrs = {.transpose_a = transpose_a, .transpose_b = transpose_b};
    const cupel_node inputs[] = {a, b};
    return graph_add(a.graph, &op_matmul, NULL, &attrs, 2, inputs);
}
