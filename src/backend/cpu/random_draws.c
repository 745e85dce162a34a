/*
 * sample_normal, sample_uniform and dropout: blocks of four draws, numbered row by row, 64 at a
 * time. A draw is a function of its counter alone, so the order of work changes nothing.
 * Test: tests/test_kernels_random.c
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/vec_random.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "op/op_attrs.h"

enum { FEW_BLOCKS = 2048 };

struct draws_state {
    const struct vec_random_table *table;
    bool normal, dropout;
    int64_t per_row, blocks_per_row, blocks;
    float p, keep;
};

static bool accept_draws(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const bool with_x = view->n_inputs > 3;
    return KERNEL_REQUIRE(view->outputs[0].type == CUPEL_TYPE_F32 &&
                              (!with_x || view->inputs[3].type == CUPEL_TYPE_F32),
                          "operands are not f32") &&
           KERNEL_REQUIRE(view->outputs[0].layout == CUPEL_LAYOUT_PLAIN &&
                              (!with_x || view->inputs[3].layout == CUPEL_LAYOUT_PLAIN),
                          "elements are counted in plain order, and an operand is not plain");
}

static cupel_status plan_draws(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_random *attrs = view->attrs;
    struct draws_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a random op's plan", sizeof *state);
    state->table = cpu_vec_random();
    state->normal = strcmp(view->op->name, "sample_normal") == 0;
    state->dropout = strcmp(view->op->name, "dropout") == 0;
    const cupel_shape shape = view->outputs[0].shape;
    state->per_row = cupel_shape_count(shape) / shape.dims[0];
    state->blocks_per_row = (state->per_row + 3) / 4;
    state->blocks = state->blocks_per_row * shape.dims[0];
    /* the smallest float that is not below p: comparing with it is comparing with p */
    state->p = (float)attrs->p;
    if ((double)state->p < attrs->p)
        state->p = nextafterf(state->p, 2.0F);
    state->keep = (float)(1.0 - attrs->p);
    plan->state = state;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_draws(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct draws_run {
    const struct draws_state *state;
    struct rng_key key;
    uint32_t step;
    const uint64_t *rows;
    const float *x;
    float *out;
};

/* n draws of a row, from element `first` on, to where they belong. */
static void put(const struct draws_run *run, const float *values, int64_t at, int64_t n) {
    if (run->state->dropout)
        run->state->table->dropout(values, run->x + at, run->state->p, run->state->keep, n,
                                   run->out + at);
    else
        memcpy(run->out + at, values, (size_t)n * sizeof(float));
}

static void run_blocks(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct draws_run *run = context;
    const struct draws_state *s = run->state;
    struct random_lanes lanes = {.step = run->step, .key = {run->key.word[0], run->key.word[1]}};
    float values[4 * RANDOM_LANES];
    for (int64_t at = begin; at < end; at += RANDOM_LANES) {
        const int64_t n = end - at < RANDOM_LANES ? end - at : RANDOM_LANES;
        int64_t row = at / s->blocks_per_row, block = at % s->blocks_per_row;
        for (int64_t l = 0; l < n; l++) {
            lanes.row_low[l] = (uint32_t)run->rows[row];
            lanes.row_high[l] = (uint32_t)(run->rows[row] >> 32);
            lanes.block[l] = (uint32_t)block;
            const bool next = ++block == s->blocks_per_row;
            block = next ? 0 : block;
            row += next;
        }
        if (s->normal)
            s->table->normal(&lanes, values);
        else
            s->table->uniform(&lanes, values);
        if (s->per_row % 4 == 0) {
            put(run, values, at * 4, n * 4);
            continue;
        }
        for (int64_t l = 0; l < n; l++) {
            row = (at + l) / s->blocks_per_row;
            const int64_t first = (at + l) % s->blocks_per_row * 4;
            const int64_t left = s->per_row - first;
            put(run, values + 4 * l, row * s->per_row + first, left < 4 ? left : 4);
        }
    }
}

static cupel_status run_draws(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct draws_state *s = plan->state;
    const struct attrs_random *attrs = call->view->attrs;
    const uint64_t seed = *(const uint64_t *)call->inputs[0];
    struct draws_run run = {
        .state = s,
        .key = rng_key_make(seed, attrs->stream),
        .step = (uint32_t) * (const uint64_t *)call->inputs[1],
        .rows = call->inputs[2],
        .x = s->dropout ? call->inputs[3] : NULL,
        .out = call->outputs[0],
    };
    parallel_for(s->blocks < FEW_BLOCKS ? 1 : call->threads, s->blocks, RANDOM_LANES, run_blocks,
                 &run);
    return CUPEL_STATUS_OK;
}

#define DRAWS_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:random", .revision = 1, .accept = accept_draws, \
        .plan = plan_draws, .run = run_draws, .drop = drop_draws \
    }

const struct kernel random_kernels[] = {
    DRAWS_KERNEL("sample_normal"),
    DRAWS_KERNEL("sample_uniform"),
    DRAWS_KERNEL("dropout"),
    {.op = NULL},
};
