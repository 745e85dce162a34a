/*
 * segment_max: out[k] = the largest values[i] with segments[i] = k, `empty` where there is none;
 * [N] to [n_segments].
 *
 *   d values[i] = dy[k] / n at each of the n largest of segment k, else 0
 * NaN: propagates to its segment; no gradient flows then.
 * Test: tests/test_op_index.c
 */
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_segment_max *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    CUPEL_TRY(infer_rank(view, 0, 1));
    CUPEL_TRY(infer_index(view, 1));
    CUPEL_TRY(infer_rank(view, 1, 1));
    const int64_t n = view->inputs[0].shape.dims[0];
    if (view->inputs[1].shape.dims[0] != n)
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "there are %lld values, but %lld segments",
                             (long long)n, (long long)view->inputs[1].shape.dims[0]);
    const cupel_shape shape = cupel_shape_make(1, &attrs->segments);
    if (!cupel_shape_valid(shape))
        return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                             "%lld segments are asked for; it must be at least 1 and not too many",
                             (long long)attrs->segments);
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

static cupel_status adjoint(const cupel_adjoint *adjoint) {
    const struct attrs_segment_max *attrs = adjoint->attrs;
    const cupel_node values = adjoint->inputs[0];
    const cupel_node segments = adjoint->inputs[1];
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node equal =
        cupel_compare(CUPEL_EQUAL, values, cupel_gather(adjoint->outputs[0], segments));
    /* At least 1, so that an empty segment does not make a division by 0. */
    const cupel_node count = cupel_maximum(cupel_scatter_add(segments, equal, attrs->segments),
                                           scalar_like(values, 1.0));
    const cupel_node share = cupel_gather(cupel_div(g, count), segments);
    return adjoint_unary(adjoint, cupel_select(equal, share, scalar_like(g, 0.0)));
}

const cupel_op op_segment_max = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "segment_max",
    .attr_size = sizeof(struct attrs_segment_max),
    .min_inputs = 2,
    .max_inputs = 2,
    .n_outputs = 1,
    .flags = CUPEL_OP_ADJOINT_SRC | CUPEL_OP_ADJOINT_DST,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .adjoint = adjoint,
    .flops = flops_per_input,
};

cupel_node cupel_segment_max(cupel_node values, cupel_node segments, int64_t n_segments,
                             double empty) {
    const struct attrs_segment_max attrs = {.segments = n_segments, .empty = empty};
    const cupel_node inputs[] = {values, segments};
    return graph_add(values.graph, &op_segment_max, NULL, &attrs, 2, inputs);
}
