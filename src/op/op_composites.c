/*
 * Builders that are made of other ops and have no row of their own: fixed factors and terms,
 * one-hot labels. Test: tests/test_op_elementwise.c, tests/test_op_index.c
 */
#include "op/op_internal.h"

/* y = factor x, dx = factor dy. */
cupel_node cupel_scale(cupel_node x, double factor) {
    return cupel_mul(x, scalar_like(x, factor));
}

/* y = x + term, dx = dy. */
cupel_node cupel_offset(cupel_node x, double term) {
    return cupel_add(x, scalar_like(x, term));
}

/* y[i, k] = 1 where labels[i] = k, else 0; no gradient. */
cupel_node cupel_one_hot(cupel_node labels, int64_t classes) {
    const cupel_desc *desc = cupel_node_desc(labels);
    if (desc == NULL)
        return labels;
    if (desc->type != CUPEL_TYPE_I64 || desc->shape.rank != 1) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return graph_fail(labels.graph, CUPEL_STATUS_SHAPE,
                          "one_hot: labels are %s %s; they must be i64 [N]",
                          cupel_type_name(desc->type), cupel_shape_format(text, desc->shape));
    }
    if (!index_within(labels, classes, "one_hot"))
        return graph_poisoned(labels.graph);
    const int64_t column[] = {desc->shape.dims[0], 1};
    return cupel_compare(CUPEL_EQUAL, cupel_reshape(labels, cupel_shape_make(2, column)),
                         iota(labels.graph, classes));
}
