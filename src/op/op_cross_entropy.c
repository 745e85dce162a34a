/*
 * cross_entropy: the negative log-probability of each row's label under a softmax of its logits.
 *
 *   y[n] = logsumexp_k x[n,k] - x[n, label[n]]
 *   dx[n,k] = (softmax(x)[n,k] - [k = label[n]]) dy[n]
 *   Labels must be known to be below the number of classes (op_indices.c); kernels do not look.
 * NaN: propagates to its row.
 * Test: tests/test_op_loss.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_rank(view, 0, 2));
    CUPEL_TRY(infer_index(view, 1));
    CUPEL_TRY(infer_rank(view, 1, 1));
    const int64_t rows = view->inputs[0].shape.dims[0], labels = view->inputs[1].shape.dims[0];
    if (rows != labels)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "%lld rows of logits, but %lld labels",
                             (long long)rows, (long long)labels);
    infer_output(view, 0, view->inputs[0].type, CUPEL_SHAPE(rows));
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node logits = adjoint->inputs[0], labels = adjoint->inputs[1];
    const cupel_shape shape = cupel_node_shape(logits);
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] =
            cupel_mul(cupel_sub(cupel_softmax(logits, 1), cupel_one_hot(labels, shape.dims[1])),
                      cupel_reshape(adjoint->diff_outputs[0], CUPEL_SHAPE(shape.dims[0], 1)));
    return CUPEL_STATUS_OK;
}

static double flops(const cupel_op_view *view) {
    return 12.0 * (double)cupel_shape_count(view->inputs[0].shape);
}

const cupel_op op_cross_entropy = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "cross_entropy",
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops,
};

cupel_node cupel_cross_entropy(cupel_node logits, cupel_node labels) {
    const cupel_node inputs[] = {logits, labels};
    return graph_add(logits.graph, &op_cross_entropy, NULL, NULL, 2, inputs);
}
