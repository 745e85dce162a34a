/*
 * Reference samples and dropout: the definitions of base/rng.h, block by block.
 * Test: tests/test_op_random.c
 */
#include "backend/ref/ref.h"

#include "base/rng.h"

/* The operands (seed, step, rows) that every random op begins with. */
struct draws {
    struct rng_key key;
    uint32_t step;
    const uint64_t *rows;
    int64_t n, per_row;
};

static struct draws draws_of(const struct ref_call *call, cupel_shape shape) {
    const struct attrs_random *attrs = call->view->attrs;
    const uint64_t seed = *(const uint64_t *)call->inputs[0];
    return (struct draws){.key = rng_key_make(seed, attrs->stream),
                          .step = (uint32_t)((const uint64_t *)call->inputs[1])[0],
                          .rows = call->inputs[2],
                          .n = shape.dims[0],
                          .per_row = cupel_shape_count(shape) / shape.dims[0]};
}

static void draw(const struct draws *draws, void (*four)(struct rng_block, double[4]), int64_t row,
                 int64_t first, double values[4]) {
    four(rng_block_at(draws->key, draws->rows[row], draws->step, (uint32_t)(first / 4)), values);
}

static cupel_status sample(const struct ref_call *call, void (*four)(struct rng_block, double[4])) {
    const struct draws draws = draws_of(call, ref_out_shape(call, 0));
    double *out = ref_out(call, 0);
    for (int64_t row = 0; row < draws.n; row++, out += draws.per_row)
        for (int64_t first = 0; first < draws.per_row; first += 4) {
            double values[4];
            draw(&draws, four, row, first, values);
            for (int64_t i = 0; i < 4 && first + i < draws.per_row; i++)
                out[first + i] = values[i];
        }
    return CUPEL_STATUS_OK;
}

static cupel_status sample_normal(const struct ref_call *call) {
    return sample(call, rng_normal4);
}

static cupel_status sample_uniform(const struct ref_call *call) {
    return sample(call, rng_uniform4);
}

static cupel_status dropout(const struct ref_call *call) {
    const struct attrs_random *attrs = call->view->attrs;
    const struct draws draws = draws_of(call, ref_out_shape(call, 0));
    const double keep = 1.0 - attrs->p;
    const double *x = ref_in(call, 3);
    double *out = ref_out(call, 0);
    for (int64_t row = 0; row < draws.n; row++, x += draws.per_row, out += draws.per_row)
        for (int64_t first = 0; first < draws.per_row; first += 4) {
            double values[4];
            draw(&draws, rng_uniform4, row, first, values);
            for (int64_t i = 0; i < 4 && first + i < draws.per_row; i++)
                out[first + i] = values[i] >= attrs->p ? x[first + i] / keep : 0.0;
        }
    return CUPEL_STATUS_OK;
}

const struct ref_row ref_random_rows[] = {
    {"sample_normal", sample_normal, false},
    {"sample_uniform", sample_uniform, false},
    {"dropout", dropout, false},
    {NULL, NULL, false},
};
