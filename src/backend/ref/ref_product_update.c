/*
 * Reference kernel of the compiler's own op "product_update": some rows of the gradient at a time
 * are multiplied out into a small tile, rounded to the gradient's type, and used up by the update
 * of the same rows of the parameter and its moments, so that the gradient never lies in memory as a
 * whole. An element's sum runs in the order in which the product alone runs it, and the updates
 * taken here work element by element, so the bits are those of the two run apart.
 * Test: tests/test_pass_fuse_update.c, tests/test_drill_later.c
 */
#include "backend/ref/ref.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"

enum { TILE_ELEMENTS = 4096 }; /* but a row at least */

struct tiles {
    const struct attrs_product_update *attrs;
    cupel_desc gradient; /* the whole */
    cupel_op_view product;
    int64_t m, n, k;
    int64_t rows; /* of a tile */
    /* Scratch: the product's operands as doubles, a tile as doubles and rounded, the update's. */
    size_t a_bytes, b_bytes, wide_bytes, tile_bytes, update_bytes;
    /* The update of one tile. */
    int n_inputs, n_outputs;
    cupel_desc inputs[SWEEP_MAX_PART_INPUTS], outputs[SWEEP_MAX_PART_OUTPUTS];
};

static cupel_desc rows_of(const cupel_desc *whole, int64_t rows) {
    cupel_desc part = *whole;
    if (part.shape.rank == 2)
        part.shape.dims[0] = rows;
    return part;
}

/* The update of `rows` rows. */
static cupel_op_view update_of(struct tiles *t, const cupel_op_view *view, int64_t rows) {
    cupel_desc operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view update = product_update_update(view, &t->gradient, operands);
    t->n_inputs = update.n_inputs;
    t->n_outputs = update.n_outputs;
    for (int i = 0; i < t->n_inputs; i++)
        t->inputs[i] = rows_of(&operands[i], rows);
    for (int k = 0; k < t->n_outputs; k++)
        t->outputs[k] = rows_of(&view->outputs[k], rows);
    update.inputs = t->inputs;
    update.outputs = t->outputs;
    return update;
}

static cupel_status read_tiles(struct tiles *t, const cupel_op_view *view) {
    *t = (struct tiles){.attrs = view->attrs};
    CUPEL_TRY(product_update_product(view, &t->gradient, &t->product));
    const cupel_shape a = view->inputs[0].shape;
    t->m = t->gradient.shape.dims[0];
    t->n = t->gradient.shape.dims[1];
    t->k = a.dims[t->attrs->product.transpose_a ? 0 : 1];
    t->rows = TILE_ELEMENTS / t->n;
    t->rows = t->rows < 1 ? 1 : t->rows > t->m ? t->m : t->rows;
    const cupel_desc tile = rows_of(&t->gradient, t->rows);
    t->a_bytes = ref_converted(&view->inputs[0]) ? ref_doubles_bytes(&view->inputs[0]) : 0;
    t->b_bytes = ref_converted(&view->inputs[1]) ? ref_doubles_bytes(&view->inputs[1]) : 0;
    t->wide_bytes = ref_doubles_bytes(&tile);
    t->tile_bytes = ref_converted(&tile) ? ref_aligned(cupel_desc_bytes(&tile)) : 0;
    const cupel_op_view update = update_of(t, view, t->rows);
    t->update_bytes = ref_op_scratch(&update);
    return CUPEL_STATUS_OK;
}

static bool accept(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const struct attrs_product_update *attrs = view->attrs;
    return KERNEL_REQUIRE(attrs->update == &op_sgd_update || attrs->update == &op_adam_update,
                          "the update is not known to work element by element") &&
           KERNEL_REQUIRE(view->inputs[0].shape.rank == 2 && view->inputs[1].shape.rank == 2,
                          "the product is batched") &&
           KERNEL_REQUIRE(cupel_shape_count(view->outputs[0].shape) > 0, "there are no elements") &&
           ref_accept(request, why);
}

static cupel_status plan(struct kernel_plan *plan, const struct kernel_request *request,
                         struct cupel_error *error) {
    struct tiles t;
    if (read_tiles(&t, &request->view) != CUPEL_STATUS_OK)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "the parts do not fit together");
    plan->scratch_bytes = t.a_bytes + t.b_bytes + t.wide_bytes + t.tile_bytes + t.update_bytes;
    return CUPEL_STATUS_OK;
}

/* An operand of the product as doubles: where it lies, or in scratch. */
static const double *doubles_of(const void *operand, const cupel_desc *desc, char *scratch) {
    if (!ref_converted(desc))
        return operand;
    ref_to_doubles((double *)scratch, operand, desc);
    return (const double *)scratch;
}

static size_t offset_of(const cupel_desc *desc, int64_t row) {
    return desc->shape.rank == 2 ? (size_t)(row * desc->shape.dims[1]) * cupel_type_size(desc->type)
                                 : 0;
}

static cupel_status run(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    struct tiles t;
    CUPEL_TRY(read_tiles(&t, call->view));
    const struct attrs_product_update *attrs = t.attrs;
    char *const scratch = call->scratch;
    char *const wide = scratch + t.a_bytes + t.b_bytes, *const tile = wide + t.wide_bytes;
    char *const rest = tile + t.tile_bytes;
    const double *const a = doubles_of(call->inputs[0], &call->view->inputs[0], scratch);
    const double *const b =
        doubles_of(call->inputs[1], &call->view->inputs[1], scratch + t.a_bytes);
    for (int64_t row = 0; row < t.m; row += t.rows) {
        const int64_t rows = row + t.rows > t.m ? t.m - row : t.rows;
        ref_product_rows(a, b, (double *)wide, t.m, t.n, t.k, attrs->product.transpose_a != 0,
                         attrs->product.transpose_b != 0, row, row + rows);
        const cupel_op_view update = update_of(&t, call->view, rows);
        const int gradient = (int)attrs->gradient;
        if (t.tile_bytes > 0)
            ref_from_doubles(tile, (const double *)wide, &t.inputs[gradient]);
        const void *inputs[SWEEP_MAX_PART_INPUTS];
        void *outputs[SWEEP_MAX_PART_OUTPUTS];
        for (int i = 0; i < t.n_inputs; i++)
            inputs[i] = i == gradient
                            ? (t.tile_bytes > 0 ? tile : wide)
                            : (const char *)call->inputs[product_update_operand(attrs, i)] +
                                  offset_of(&t.inputs[i], row);
        for (int k = 0; k < t.n_outputs; k++)
            outputs[k] = (char *)call->outputs[k] + offset_of(&t.outputs[k], row);
        CUPEL_TRY(ref_op_run(&update, inputs, outputs, rest));
    }
    return CUPEL_STATUS_OK;
}

const struct kernel ref_product_update_kernel = {.op = "product_update",
                                                 .name = "ref:product-update",
                                                 .revision = 1,
                                                 .flags = KERNEL_REFERENCE,
                                                 .accept = accept,
                                                 .plan = plan,
                                                 .run = run};
