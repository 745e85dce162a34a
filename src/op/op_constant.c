/*
 * constant: numbers fixed when the graph is built. REAL constants are kept as doubles and rounded
 * once to the program's type. One element may stand for all (uniform). No gradient.
 * Test: tests/test_graph.c
 */
#include "base/number.h"
#include "op/op_internal.h"

static cupel_status infer(const cupel_op_view *view) {
    return cupel_op_fail(view, CUPEL_STATUS_BUG, "constants are made by cupel_constant()");
}

const cupel_op op_constant = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "constant",
    .n_outputs = 1,
    .flags = CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_MOVES,
    .precision = CUPEL_PRECISION_FOLLOW,
    .infer = infer,
};

static size_t element_size(cupel_type type) {
    return type == CUPEL_TYPE_REAL ? sizeof(double) : cupel_type_size(type);
}

static cupel_node constant(cupel_graph *graph, cupel_type type, cupel_shape shape, const void *data,
                           size_t size) {
    const cupel_node node =
        graph_add_leaf(graph, &op_constant, NULL, cupel_desc_plain(type, shape));
    if (cupel_is_poisoned(node))
        return node;
    const void *copy = arena_copy(&graph->arena, data, size);
    if (!copy)
        return graph_fail(graph, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for a constant");
    graph_node_at(graph, node.id)->data = copy;
    graph_node_at(graph, node.id)->data_size = size;
    graph_node_at(graph, node.id)->data_real = type == CUPEL_TYPE_REAL;
    if (type == CUPEL_TYPE_I64)
        graph_node_at(graph, node.id)->index_bound =
            index_bound_of_values(copy, size / sizeof(int64_t));
    return node;
}

cupel_node cupel_constant(cupel_graph *graph, cupel_type type, cupel_shape shape,
                          const void *data) {
    if (!cupel_shape_valid(shape))
        return graph_fail(graph, CUPEL_STATUS_SHAPE, "constant: impossible shape");
    if (data == NULL)
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "constant: data is NULL");
    return constant(graph, type, shape, data,
                    (size_t)cupel_shape_count(shape) * element_size(type));
}

/* Whether an integer type can hold the value; real types hold all. */
static bool holds(cupel_type type, double value) {
    switch (type) {
    case CUPEL_TYPE_I32: return value >= -0x1p31 && value < 0x1p31;
    case CUPEL_TYPE_I64: return value >= -0x1p63 && value < 0x1p63;
    case CUPEL_TYPE_U64: return value > -1 && value < 0x1p64;
    case CUPEL_TYPE_U8: return value > -1 && value < 256;
    default: return true;
    }
}

cupel_node cupel_full(cupel_graph *graph, cupel_type type, cupel_shape shape, double value) {
    union {
        double f64;
        float f32;
        int64_t i64;
        uint64_t u64;
        int32_t i32;
        uint8_t u8;
        uint16_t bf16;
    } element = {0};
    if (!holds(type, value)) {
        char text[NUMBER_TEXT_SIZE];
        return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "constant: %s cannot hold %s",
                          cupel_type_name(type), number_format_f64(text, value));
    }
    switch (type) {
    case CUPEL_TYPE_REAL:
    case CUPEL_TYPE_F64: element.f64 = value; break;
    case CUPEL_TYPE_F32: element.f32 = (float)value; break;
    case CUPEL_TYPE_I64: element.i64 = (int64_t)value; break;
    case CUPEL_TYPE_U64: element.u64 = (uint64_t)value; break;
    case CUPEL_TYPE_I32: element.i32 = (int32_t)value; break;
    case CUPEL_TYPE_U8: element.u8 = (uint8_t)value; break;
    case CUPEL_TYPE_BF16:
        return graph_fail(graph, CUPEL_STATUS_TYPE, "constants are REAL, not bf16");
    }
    return constant(graph, type, shape, &element, element_size(type));
}

cupel_node cupel_scalar(cupel_graph *graph, double value) {
    return cupel_full(graph, CUPEL_TYPE_REAL, cupel_shape_scalar(), value);
}
