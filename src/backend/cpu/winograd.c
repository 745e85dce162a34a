/*
 * 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3), forward and backward data: 36 products of
 * small matrices instead of 144, at the price of sums before and after. Tiles of 4x4 results are
 * numbered through all images; a thread takes blocks of tiles so small that the transformed pixels
 * stay in its L2 cache. Backward data is the forward computation with turned filters. Each tile is
 * computed by itself, so bits do not depend on threads. Errors are two to five times those of a
 * direct convolution. Test: tests/test_kernels_winograd.c
 */
#include <string.h>

#include "backend/cpu/winograd.h"
#include "base/memory.h"
#include "base/parallel.h"

enum { PAD = 16 }; /* floats between planes, against equal low address bits */

struct winograd_state {
    struct winograd_shape shape;
    int groups;   /* of tiles in a block */
    bool flipped; /* backward data */
    bool with_bias;
    int64_t v_stride, m_stride, thread_floats;
};

static bool accept_winograd(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return winograd_accept(view, &view->inputs[0], &view->outputs[0], &view->inputs[1], why);
}

/* ---- filters ---- */

/* Pairs of channel blocks of the result; the last may be a single one. */
static int width_of(const struct winograd_state *s, int64_t pair) {
    return s->shape.to_blocks - pair * 2 >= 2 ? 2 : 1;
}

static int64_t pair_offset(const struct winograd_state *s, int64_t pair) {
    return pair * WINOGRAD_PLANES * s->shape.from_blocks * WINOGRAD_BLOCK * 32;
}

/* [pair][plane][channel read][16 or 32 channels written] */
static cupel_status pack_filters(const struct kernel_plan *plan, int index, const void *from,
                                 void *to) {
    const struct winograd_state *s = plan->state;
    if (index != 0)
        return CUPEL_STATUS_BUG;
    const float *weights = from;
    const int64_t read = s->shape.from_blocks * WINOGRAD_BLOCK;
    const int64_t written = s->shape.to_blocks * WINOGRAD_BLOCK;
    /* forward: [written][read][9]; backward: [read][written][9] */
    const int64_t read_stride = s->flipped ? written * 9 : 9;
    const int64_t written_stride = s->flipped ? 9 : read * 9;
    for (int64_t block = 0; block < s->shape.to_blocks; block++) {
        const int64_t pair = block / 2;
        const int64_t wide = width_of(s, pair) * WINOGRAD_BLOCK;
        float *out = (float *)to + pair_offset(s, pair) + block % 2 * WINOGRAD_BLOCK;
        for (int64_t c = 0; c < read; c++)
            s->shape.table->filter(weights + block * WINOGRAD_BLOCK * written_stride +
                                       c * read_stride,
                                   written_stride, s->flipped, out + c * wide, read * wide);
    }
    return CUPEL_STATUS_OK;
}

/* ---- planning ---- */

static cupel_status plan_winograd(struct kernel_plan *plan, const struct kernel_request *request,
                                  struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_conv *attrs = view->attrs;
    struct winograd_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof *s);
    s->flipped = strcmp(view->op->name, "conv2d_backward_data") == 0;
    s->with_bias = view->n_inputs > 2;
    const int64_t padding[2] = {s->flipped ? 2 - attrs->padding[0] : attrs->padding[0],
                                s->flipped ? 2 - attrs->padding[1] : attrs->padding[1]};
    s->shape = winograd_shape_of(&view->inputs[0], &view->outputs[0], padding);
    s->groups = s->shape.from_blocks <= 4 ? 2 : 1;
    s->v_stride = s->groups * s->shape.from_blocks * WINOGRAD_GROUP * WINOGRAD_BLOCK + PAD;
    s->m_stride = s->groups * WINOGRAD_GROUP * 32 + PAD;
    s->thread_floats = WINOGRAD_PLANES * (s->v_stride + s->m_stride);
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes = (size_t)plan->threads * (size_t)s->thread_floats * sizeof(float);
    plan->n_packs = 1;
    plan->packs[0] = (struct kernel_pack){
        .operand = 1,
        .bytes = (size_t)(s->shape.from_blocks * s->shape.to_blocks) * WINOGRAD_PLANES *
                 WINOGRAD_BLOCK * WINOGRAD_BLOCK * sizeof(float)};
    return CUPEL_STATUS_OK;
}

static void drop_winograd(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

struct winograd_run {
    const struct winograd_state *state;
    const float *from, *filters, *bias;
    float *to, *scratch;
};

static void read_tiles(const struct winograd_run *run, int64_t first, int64_t n, float *v) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    for (int64_t t = 0; t < n; t++) {
        const struct winograd_tile tile = winograd_tile_at(shape, first + t);
        float *out = v + t / WINOGRAD_GROUP * shape->from_blocks * WINOGRAD_GROUP * WINOGRAD_BLOCK +
                     t % WINOGRAD_GROUP * WINOGRAD_BLOCK;
        for (int64_t b = 0; b < shape->from_blocks; b++)
            shape->table->source(&shape->from,
                                 run->from + (tile.image * shape->from_blocks + b) * shape->from.h *
                                                 shape->from.w * WINOGRAD_BLOCK,
                                 tile.y - shape->padding[0], tile.x - shape->padding[1],
                                 out + b * WINOGRAD_GROUP * WINOGRAD_BLOCK, s->v_stride);
    }
}

static void write_tiles(const struct winograd_run *run, int64_t first, int64_t n, int64_t pair,
                        const float *m) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const int width = width_of(s, pair);
    for (int64_t t = 0; t < n; t++) {
        const struct winograd_tile tile = winograd_tile_at(shape, first + t);
        for (int half = 0; half < width; half++) {
            const int64_t block = pair * 2 + half;
            shape->table->result(&shape->to, m + (t * width + half) * WINOGRAD_BLOCK, s->m_stride,
                                 run->bias == NULL ? NULL : run->bias + block * WINOGRAD_BLOCK,
                                 tile.y, tile.x,
                                 run->to + (tile.image * shape->to_blocks + block) * shape->to.h *
                                               shape->to.w * WINOGRAD_BLOCK);
        }
    }
}

static void run_blocks(void *context, int64_t begin, int64_t end, int thread) {
    const struct winograd_run *run = context;
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    float *v = run->scratch + thread * s->thread_floats;
    float *m = v + WINOGRAD_PLANES * s->v_stride;
    const int64_t tiles = (int64_t)s->groups * WINOGRAD_GROUP;
    for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * tiles;
        const int64_t n = shape->tiles - first < tiles ? shape->tiles - first : tiles;
        const int64_t groups = (n + WINOGRAD_GROUP - 1) / WINOGRAD_GROUP;
        read_tiles(run, first, n, v);
        const int64_t next = first + n;
        struct winograd_ahead ahead = {
            .image = &shape->from,
            .pixels = run->from,
            .blocks = shape->from_blocks,
            .n_blocks = shape->from_blocks,
            .margin = {shape->padding[0], shape->padding[1]},
            .side = 6,
            .tile = next,
            .end = block + 1 == end              ? next
                   : next + tiles < shape->tiles ? next + tiles
                                                 : shape->tiles,
        };
        const int64_t products = WINOGRAD_PLANES * groups * ((shape->to_blocks + 1) / 2);
        const int64_t rows = tiles * shape->from_blocks * 6 / products + 1;
        for (int64_t pair = 0; pair * 2 < shape->to_blocks; pair++) {
            const int width = width_of(s, pair);
            const int64_t plane_floats =
                shape->from_blocks * WINOGRAD_BLOCK * WINOGRAD_BLOCK * width;
            const float *filters = run->filters + pair_offset(s, pair);
            for (int64_t p = 0; p < WINOGRAD_PLANES; p++)
                for (int64_t g = 0; g < groups; g++) {
                    winograd_look_ahead(shape, &ahead, rows);
                    shape->table->product(
                        v + p * s->v_stride +
                            g * shape->from_blocks * WINOGRAD_GROUP * WINOGRAD_BLOCK,
                        filters + p * plane_floats, shape->from_blocks, width,
                        m + p * s->m_stride + g * WINOGRAD_GROUP * WINOGRAD_BLOCK * width);
                }
            write_tiles(run, first, n, pair, m);
        }
    }
    shape->table->drain();
}

static cupel_status run_winograd(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct winograd_state *s = plan->state;
    struct winograd_run run = {
        .state = s,
        .from = call->inputs[0],
        .filters = call->inputs[1],
        .bias = s->with_bias ? call->inputs[2] : NULL,
        .to = call->outputs[0],
        .scratch = call->scratch,
    };
    const int64_t tiles = (int64_t)s->groups * WINOGRAD_GROUP;
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_for(threads, (s->shape.tiles + tiles - 1) / tiles, 1, run_blocks, &run);
    return CUPEL_STATUS_OK;
}

#define WINOGRAD_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:winograd", .revision = 1, .accept = accept_winograd, \
        .plan = plan_winograd, .run = run_winograd, .pack = pack_filters, .drop = drop_winograd \
    }

const struct kernel winograd_kernels[] = {
    WINOGRAD_KERNEL("conv2d"),
    WINOGRAD_KERNEL("conv2d_backward_data"),
    {.op = NULL},
};
