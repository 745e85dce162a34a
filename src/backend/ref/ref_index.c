/*
 * Reference gathers and scatters. Index values were checked when they were written; nothing is
 * checked here. Test: tests/test_op_index.c
 */
#include <string.h>

#include "backend/ref/ref.h"

static size_t row_bytes(const cupel_desc *table) {
    return cupel_desc_bytes(table) / (size_t)table->shape.dims[0];
}

static cupel_status ref_gather(const struct ref_call *call) {
    const size_t row = row_bytes(&call->view->inputs[0]);
    const int64_t count = cupel_shape_count(ref_in_shape(call, 1));
    const int64_t *const index = ref_in_index(call, 1);
    for (int64_t i = 0; i < count; i++)
        memcpy((char *)call->outputs[0] + (size_t)i * row,
               (const char *)call->inputs[0] + (size_t)index[i] * row, row);
    return CUPEL_STATUS_OK;
}

/* From the last row to the first, so that on duplicates the lowest stays. The table may be the
 * output. */
static cupel_status ref_scatter_update(const struct ref_call *call) {
    const cupel_desc *table = &call->view->inputs[0];
    const size_t row = row_bytes(table);
    const int64_t *const index = ref_in_index(call, 1);
    if (call->outputs[0] != call->inputs[0])
        memcpy(call->outputs[0], call->inputs[0], cupel_desc_bytes(table));
    for (int64_t i = cupel_shape_count(ref_in_shape(call, 1)) - 1; i >= 0; i--)
        memcpy((char *)call->outputs[0] + (size_t)index[i] * row,
               (const char *)call->inputs[2] + (size_t)i * row, row);
    return CUPEL_STATUS_OK;
}

static cupel_status ref_scatter_add(const struct ref_call *call) {
    const cupel_shape rows = ref_in_shape(call, 1);
    const int64_t width = cupel_shape_count(rows) / rows.dims[0];
    const int64_t *const index = ref_in_index(call, 0);
    const double *src = ref_in(call, 1);
    double *const dst = ref_out(call, 0);
    const int64_t count = cupel_shape_count(ref_out_shape(call, 0));
    for (int64_t i = 0; i < count; i++)
        dst[i] = 0.0;
    for (int64_t i = 0; i < rows.dims[0]; i++)
        for (int64_t k = 0; k < width; k++)
            dst[index[i] * width + k] += *src++;
    return CUPEL_STATUS_OK;
}

/* Segment by segment: slow, but it needs no memory to know which ones are empty. */
static cupel_status ref_segment_max(const struct ref_call *call) {
    const struct attrs_segment_max *attrs = call->view->attrs;
    const int64_t n = ref_in_shape(call, 0).dims[0];
    const int64_t *const segments = ref_in_index(call, 1);
    for (int64_t k = 0; k < attrs->segments; k++) {
        bool any = false;
        double most = attrs->empty;
        for (int64_t i = 0; i < n; i++) {
            const double value = ref_in(call, 0)[i];
            if (segments[i] == k && (!any || value > most || value != value)) {
                most = value;
                any = true;
            }
        }
        ref_out(call, 0)[k] = most;
    }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_index_rows[] = {
    {"gather", ref_gather, true},
    {"scatter_update", ref_scatter_update, true},
    {"scatter_add", ref_scatter_add, false},
    {"segment_max", ref_segment_max, false},
    {NULL, NULL, false},
};
