/*
 * sample_normal: standard normal numbers that are a pure function of (seed, stream, step, row,
 * element).
 *
 *   stream = hash of the node's scoped name; row i of the result is drawn under rows[i];
 *   element e of a row comes from Philox block e / 4 and Box-Muller
 *   (base/rng.h has the exact map from bits to numbers)
 * No operand is differentiable. The shared rules of the random ops are here.
 * NaN: has no real operands.
 * Test: tests/test_op_random.c
 */
#include "op/op_builders.h"

#include <string.h>

#include "base/hash.h"
#include "graph/context_internal.h"

cupel_status random_check(const cupel_op_view *view, cupel_shape shape) {
    static const char *const names[] = {"seed", "step", "rows"};
    char text[CUPEL_SHAPE_TEXT_SIZE];
    for (int i = 0; i < 3; i++) {
        const cupel_desc *const desc = &view->inputs[i];
        if (desc->type != CUPEL_TYPE_U64)
            return cupel_op_fail(view, CUPEL_STATUS_TYPE, "%s must be u64, but it is %s", names[i],
                                 cupel_type_name(desc->type));
        if (desc->shape.rank != (i < 2 ? 0 : 1))
            return cupel_op_fail(view, CUPEL_STATUS_SHAPE, "%s must be %s, but its shape is %s",
                                 names[i], i < 2 ? "a scalar" : "one id per row, [N]",
                                 cupel_shape_format(text, desc->shape));
    }
    if (shape.rank < 1 || shape.dims[0] != view->inputs[2].shape.dims[0])
        return cupel_op_fail(
            view, CUPEL_STATUS_SHAPE, "shape %s must have one row for each of the %lld row ids",
            cupel_shape_format(text, shape), (long long)view->inputs[2].shape.dims[0]);
    return CUPEL_STATUS_OK;
}

cupel_node random_add(cupel_rng rng, const cupel_op *op, const char *name,
                      struct attrs_random *attrs, cupel_node x) {
    static const char *const names[] = {"seed", "step", "rows"};
    const cupel_node inputs[] = {rng.seed, rng.step, rng.rows, x};
    cupel_graph *graph = NULL;
    for (int i = 0; i < 4 && graph == NULL; i++)
        graph = inputs[i].graph;
    if (graph == NULL)
        return cupel_none();
    for (int i = 0; i < 3; i++)
        if (cupel_is_none(inputs[i]))
            return graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                              "%s: the rng has no %s; take one from cupel_rng_inputs()", op->name,
                              names[i]);
    if (name == NULL || name[0] == '\0')
        return graph_fail(graph, CUPEL_STATUS_NAME,
                          "%s needs a name: it is the stream of its random numbers", op->name);
    const char *const scoped = graph_scoped(graph, name);
    if (scoped == NULL)
        return graph_poisoned(graph);
    if (graph->parameters && parameters_lookup(graph->parameters, scoped))
        return graph_fail(graph, CUPEL_STATUS_NAME,
                          "'%s' names a parameter: %s would repeat the numbers that it was "
                          "initialised with; give it another name",
                          scoped, op->name);
    attrs->stream = hash_string(scoped);
    return graph_add(graph, op, name, attrs, cupel_is_none(x) ? 3 : 4, inputs);
}

static cupel_node find_or_make(cupel_graph *graph, const char *name, cupel_shape shape) {
    for (uint32_t id = 0; id < graph->list.count; id++) {
        const struct graph_node *const node = graph_node_at(graph, id);
        if (node->op != &op_input || strcmp(node->name, name) != 0)
            continue;
        if (node->outputs[0].type != CUPEL_TYPE_U64 ||
            !cupel_shape_equal(node->outputs[0].shape, shape)) {
            char text[CUPEL_SHAPE_TEXT_SIZE], wanted[CUPEL_SHAPE_TEXT_SIZE];
            return graph_fail(graph, CUPEL_STATUS_SHAPE,
                              "rng: the input '%s' is there as %s %s, where u64 %s is wanted", name,
                              cupel_type_name(node->outputs[0].type),
                              cupel_shape_format(text, node->outputs[0].shape),
                              cupel_shape_format(wanted, shape));
        }
        return (cupel_node){.graph = graph, .id = id};
    }
    return cupel_input(graph, name, CUPEL_TYPE_U64, shape);
}

cupel_rng cupel_rng_inputs(cupel_graph *graph, int64_t rows) {
    /* One set per graph, whatever scope it is asked for in. */
    const size_t scope_length = graph->scope_length;
    graph->scope_length = 0;
    const cupel_rng rng = {.seed = find_or_make(graph, "seed", cupel_shape_scalar()),
                           .step = find_or_make(graph, "step", cupel_shape_scalar()),
                           .rows = find_or_make(graph, "rows", CUPEL_SHAPE(rows))};
    graph->scope_length = scope_length;
    return rng;
}

static cupel_status infer(const cupel_op_view *view) {
    const struct attrs_random *attrs = view->attrs;
    const cupel_shape shape = cupel_shape_make((int)attrs->rank, attrs->dims);
    CUPEL_TRY(random_check(view, shape));
    infer_output(view, 0, CUPEL_TYPE_REAL, shape);
    return CUPEL_STATUS_OK;
}

/* A tenth of Philox's block, the logarithm, the sine and the root for each number. */
static double flops(const cupel_op_view *view) {
    return 30.0 * (double)cupel_shape_count(view->outputs[0].shape);
}

const cupel_op op_sample_normal = {
    .size = sizeof(cupel_op),
    .version = CUPEL_OP_VERSION,
    .name = "sample_normal",
    .attr_size = sizeof(struct attrs_random),
    .min_inputs = 3,
    .max_inputs = 3,
    .n_outputs = 1,
    .flags = CUPEL_OP_RANDOM | CUPEL_OP_NO_GRADIENT,
    .nan_rule = CUPEL_NAN_PROPAGATES,
    .precision = CUPEL_PRECISION_WIDE,
    .infer = infer,
    .flops = flops,
};

cupel_node cupel_sample_normal(cupel_rng rng, const char *name, cupel_shape shape) {
    struct attrs_random attrs = {.rank = shape.rank};
    for (int i = 0; i < shape.rank && i < CUPEL_MAX_RANK; i++)
        attrs.dims[i] = shape.dims[i];
    return random_add(rng, &op_sample_normal, name, &attrs, cupel_none());
}
