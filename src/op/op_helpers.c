/*
 * What op files share: rules that check operands and say with their numbers why they do not fit,
 * and small pieces of adjoints. Test: tests/test_op_*.c
 */
#include "base/memory.h"
#include "op/op_internal.h"

/* --- shape rules --- */

void infer_output(const cupel_op_view *view, int output, cupel_type type, cupel_shape shape) {
    view->outputs[output].type = type;
    view->outputs[output].shape = shape;
}

cupel_status infer_one_type(const cupel_op_view *view, int first) {
    for (int i = first + 1; i < view->n_inputs; i++)
        if (view->inputs[i].type != view->inputs[first].type)
            return cupel_op_fail(view, CUPEL_STATUS_TYPE,
                                 "input %d is %s, but input %d is %s; cast one of them", first,
                                 cupel_type_name(view->inputs[first].type), i,
                                 cupel_type_name(view->inputs[i].type));
    return CUPEL_STATUS_OK;
}

cupel_status infer_broadcast(const cupel_op_view *view, int first, cupel_shape *shape) {
    CUPEL_TRY(infer_one_type(view, first));
    *shape = view->inputs[first].shape;
    for (int i = first + 1; i < view->n_inputs; i++) {
        const cupel_shape so_far = *shape;
        if (!cupel_shape_broadcast(so_far, view->inputs[i].shape, shape)) {
            char left[CUPEL_SHAPE_TEXT_SIZE];
            char right[CUPEL_SHAPE_TEXT_SIZE];
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE,
                                 "%s and %s do not broadcast; aligned at the last axis, extents "
                                 "must be equal or 1",
                                 cupel_shape_format(left, so_far),
                                 cupel_shape_format(right, view->inputs[i].shape));
        }
    }
    return CUPEL_STATUS_OK;
}

cupel_status infer_elementwise(const cupel_op_view *view) {
    CUPEL_TRY(infer_real(view, 0));
    cupel_shape shape;
    CUPEL_TRY(infer_broadcast(view, 0, &shape));
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

cupel_status infer_same(const cupel_op_view *view) {
    infer_output(view, 0, view->inputs[0].type, view->inputs[0].shape);
    return CUPEL_STATUS_OK;
}

cupel_status infer_real(const cupel_op_view *view, int input) {
    if (cupel_type_is_real(view->inputs[input].type))
        return CUPEL_STATUS_OK;
    return cupel_op_fail(view, CUPEL_STATUS_TYPE, "input %d is %s, not real; cast it", input,
                         cupel_type_name(view->inputs[input].type));
}

cupel_status infer_index(const cupel_op_view *view, int input) {
    if (view->inputs[input].type == CUPEL_TYPE_I64)
        return CUPEL_STATUS_OK;
    return cupel_op_fail(view, CUPEL_STATUS_TYPE, "input %d is %s, but indices are i64", input,
                         cupel_type_name(view->inputs[input].type));
}

cupel_status infer_rank(const cupel_op_view *view, int input, int rank) {
    const cupel_shape shape = view->inputs[input].shape;
    if (shape.rank == rank)
        return CUPEL_STATUS_OK;
    char text[CUPEL_SHAPE_TEXT_SIZE];
    return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "input %d is %s with %d axes; it needs %d",
                         input, cupel_shape_format(text, shape), shape.rank, rank);
}

cupel_status infer_axis(const cupel_op_view *view, int input, int64_t axis) {
    const cupel_shape shape = view->inputs[input].shape;
    if (axis >= 0 && axis < shape.rank)
        return CUPEL_STATUS_OK;
    char text[CUPEL_SHAPE_TEXT_SIZE];
    return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                         "there is no axis %lld in %s; axes count from 0, outermost first",
                         (long long)axis, cupel_shape_format(text, shape));
}

cupel_status infer_reduce(const cupel_op_view *view) {
    const struct attrs_reduce *attrs = view->attrs;
    CUPEL_TRY(infer_real(view, 0));
    const cupel_shape from = view->inputs[0].shape;
    if (attrs->axes < 0 || attrs->axes >> from.rank != 0) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_op_fail(view, CUPEL_STATUS_INVALID_ARGUMENT,
                             "the set of axes 0x%llx names one that %s does not have",
                             (unsigned long long)attrs->axes, cupel_shape_format(text, from));
    }
    cupel_shape shape = {.rank = 0};
    for (int axis = 0; axis < from.rank; axis++) {
        const bool reduced = (attrs->axes >> axis & 1) != 0;
        if (!reduced)
            shape.dims[shape.rank++] = from.dims[axis];
        else if (attrs->keep)
            shape.dims[shape.rank++] = 1;
    }
    infer_output(view, 0, view->inputs[0].type, shape);
    return CUPEL_STATUS_OK;
}

/* --- costs --- */

double flops_none(const cupel_op_view *view) {
    (void)view;
    return 0.0;
}

double flops_per_input(const cupel_op_view *view) {
    return (double)cupel_shape_count(view->inputs[0].shape);
}

/* --- adjoints --- */

cupel_node adjoint_unbroadcast(cupel_node g, cupel_node like) {
    const cupel_desc *from = cupel_node_desc(g);
    const cupel_desc *to = cupel_node_desc(like);
    if (from == NULL || to == NULL || cupel_shape_equal(from->shape, to->shape))
        return g;
    const cupel_shape shape = to->shape;
    const int lead = from->shape.rank - shape.rank;
    uint32_t axes = 0;
    for (int axis = 0; axis < from->shape.rank; axis++)
        if (axis < lead || (shape.dims[axis - lead] == 1 && from->shape.dims[axis] != 1))
            axes |= CUPEL_AXIS(axis);
    return cupel_reshape(cupel_reduce_sum(g, axes, true), shape);
}

cupel_status adjoint_unary(const cupel_adjoint *adjoint, cupel_node diff_src) {
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = diff_src;
    return CUPEL_STATUS_OK;
}

cupel_node adjoint_keep_axes(cupel_node reduced, cupel_node src, uint32_t axes) {
    cupel_shape shape = cupel_node_shape(src);
    for (int axis = 0; axis < shape.rank; axis++)
        if ((axes & CUPEL_AXIS(axis)) != 0)
            shape.dims[axis] = 1;
    if (cupel_node_desc(reduced) == NULL || cupel_shape_equal(cupel_node_shape(reduced), shape))
        return reduced;
    return cupel_reshape(reduced, shape);
}

cupel_node scalar_like(cupel_node like, double value) {
    const cupel_desc *desc = cupel_node_desc(like);
    if (desc == NULL)
        return like;
    return cupel_full(like.graph, desc->type, cupel_shape_scalar(), value);
}

cupel_node iota(cupel_graph *graph, int64_t n) {
    const cupel_shape shape = cupel_shape_make(1, &n);
    if (!cupel_shape_valid(shape))
        return graph_fail(graph, CUPEL_STATUS_SHAPE, "%lld numbers are asked for", (long long)n);
    int64_t *const numbers = cupel_alloc((size_t)n, sizeof *numbers);
    if (numbers == NULL)
        return graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for %lld numbers",
                          (long long)n);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = i;
    const cupel_node node = cupel_constant(graph, CUPEL_TYPE_I64, shape, numbers);
    cupel_free(numbers);
    return node;
}

/* --- builders --- */

cupel_node build_unary(const cupel_op *op, cupel_node x) {
    return graph_add(x.graph, op, NULL, NULL, 1, &x);
}

cupel_node build_binary(const cupel_op *op, cupel_node a, cupel_node b) {
    const cupel_node inputs[] = {a, b};
    return graph_add(a.graph, op, NULL, NULL, 2, inputs);
}

cupel_node build_reduce(const cupel_op *op, cupel_node x, uint32_t axes, bool keep) {
    const cupel_desc *desc = cupel_node_desc(x);
    if (desc != NULL && axes == CUPEL_ALL_AXES)
        axes = CUPEL_AXIS(desc->shape.rank) - 1;
    const struct attrs_reduce attrs = {.axes = axes, .keep = keep};
    return graph_add(x.graph, op, NULL, &attrs, 1, &x);
}

struct attrs_shape attrs_of_shape(cupel_shape shape) {
    struct attrs_shape attrs = {.rank = shape.rank};
    for (int axis = 0; axis < shape.rank && axis < CUPEL_MAX_RANK; axis++)
        attrs.dims[axis] = shape.dims[axis];
    return attrs;
}

cupel_shape attrs_to_shape(const struct attrs_shape *attrs) {
    return cupel_shape_make((int)attrs->rank, attrs->dims);
}

/* g where x beats the other, half of it where they are equal, else 0. */
static cupel_node tie_shared(cupel_node g, cupel_node x, cupel_node other, cupel_comparison beats) {
    const cupel_node wins = cupel_compare(beats, x, other);
    const cupel_node ties = cupel_compare(CUPEL_EQUAL, x, other);
    const cupel_node shared = cupel_select(ties, cupel_scale(g, 0.5), scalar_like(g, 0.0));
    return cupel_select(wins, g, shared);
}

cupel_status adjoint_extremum(const cupel_adjoint *adjoint, cupel_comparison beats) {
    const cupel_node g = adjoint->diff_outputs[0];
    const cupel_node a = adjoint->inputs[0], b = adjoint->inputs[1];
    if (adjoint->wanted[0])
        adjoint->diff_inputs[0] = adjoint_unbroadcast(tie_shared(g, a, b, beats), a);
    if (adjoint->wanted[1])
        adjoint->diff_inputs[1] = adjoint_unbroadcast(tie_shared(g, b, a, beats), b);
    return CUPEL_STATUS_OK;
}

cupel_status adjoint_reduce_extremum(const cupel_adjoint *adjoint) {
    const cupel_node x = adjoint->inputs[0];
    const struct attrs_reduce *attrs = adjoint->attrs;
    const uint32_t axes = (uint32_t)attrs->axes;
    const cupel_node g = adjoint_keep_axes(adjoint->diff_outputs[0], x, axes);
    const cupel_node y = adjoint_keep_axes(adjoint->outputs[0], x, axes);
    const cupel_node equal = cupel_compare(CUPEL_EQUAL, x, y);
    /* At least 1, so that a NaN does not make a division by 0 where nothing is equal. */
    const cupel_node k = cupel_maximum(cupel_reduce_sum(equal, axes, true), scalar_like(y, 1.0));
    return adjoint_unary(adjoint, cupel_select(equal, cupel_div(g, k), scalar_like(g, 0.0)));
}
