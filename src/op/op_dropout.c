/*
 * dropout: sets each element to 0 with probability p and scales the others so that the mean stays.
 *
 *   u = uniform of (seed, stream, step, row, element);  y = u >= p ? x / (1 - p) : 0
 *   dx = dropout(dy) of the same stream, seed, step and rows:
 *   the mask is drawn again, never stored.
 * NaN: propagates where it is kept; a dropped element takes no part.
 * Test: tests/test_op_random.c
 */
#include "op/op_builders.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_random *attrs = view->attrs;
    if (!(attrs->p >= 0.0 && attrs->p < 1.0))
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                             "the probability of dropping an element must be within 0 <= p < 1");
    CUPEL_TRY(infer_real(view, 3));
    CUPEL_TRY(random_check(view, view->inputs[3].shape));
    infer_output(view, 0, view->inputs[3].type, view->inputs[3].shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const cupel_node inputs[] = {adjoint->inputs[0], adjoint->inputs[1], adjoint->inputs[2],
                                 adjoint->diff_outputs[0]};
    if (adjoint->wanted[3])
        adjoint->diff_inputs[3] =
            graph_add(adjoint->graph, &op_dropout, NULL, adjoint->attrs, 4, inputs);
    return CUPEL_STATUS_OK;
}

const cupel_op op_dropout = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "dropout",
    .attr_size = sizeof(struct attrs_random),
    .min_inputs = 4,
    .max_inputs = 4,
    .n_outputs = 1,
    .flags = CUPEL_OP_RANDOM | CUPEL_OP_ADJOINT_SRC,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .in_place = {4},
    .infer = infer,
    .adjoint = adjoint,
};

cupel_node cupel_dropout(cupel_rng rng, const char *name, cupel_node x, double p) {
    const cupel_shape shape = cupel_node_shape(x);
    struct attrs_random attrs = {.rank = shape.rank, .p = p};
    for (int i = 0; i < shape.rank; i++)
        attrs.dims[i] = shape.dims[i];
    if (cupel_is_none(x)) {
        const cupel_node inputs[] = {rng.seed, rng.step, rng.rows, x};
        return graph_add(rng.seed.graph, &op_dropout, NULL, &attrs, 4, inputs);
    }
    return random_add(rng, &op_dropout, name, &attrs, x);
}
