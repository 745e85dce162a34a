/*
 * Changes of layout: the same image, its channels gathered in blocks, last, or apart. An image is
 * cut into groups of channels that lie together in both layouts; per group it is a transpose (one
 * side plain) or a copy of rows. Test: tests/test_kernels_reorder.c
 */
#include <string.h>

#include "backend/cpu/vec_reorder.h"
#include "backend/cpu/walk.h"
#include "base/memory.h"
#include "base/parallel.h"

enum { PIXELS_AT_ONCE = 512, FEW_ELEMENTS = 16384 };

/* How one side lies in memory: the steps from a block of channels to the next, within a block from
 * a channel to the next, and from a pixel to the next. */
struct side {
    int64_t block; /* channels */
    int64_t of_block, channel, pixel;
};

struct reorder_state {
    const struct vec_reorder_table *table;
    int64_t images, channels, pixels;
    int64_t group, groups, pieces;
    struct side from, to;
    bool same; /* bytes do not move */
};

static int64_t block_of(cupel_layout layout) {
    return layout == CUPEL_LAYOUT_NCHW16C ? 16 : layout == CUPEL_LAYOUT_NCHW8C ? 8 : 0;
}

static struct side side_of(cupel_layout layout, int64_t channels, int64_t pixels) {
    const int64_t block = block_of(layout);
    if (layout == CUPEL_LAYOUT_PLAIN)
        return (struct side){.block = 1, .of_block = pixels, .channel = pixels, .pixel = 1};
    if (layout == CUPEL_LAYOUT_NHWC)
        return (struct side){.block = 1, .of_block = 1, .channel = 1, .pixel = channels};
    return (struct side){.block = block, .of_block = pixels * block, .channel = 1, .pixel = block};
}

static bool accept_reorder(const struct kernel_request *request, const char **why) {
    const cupel_desc *from = &request->view.inputs[0], *to = &request->view.outputs[0];
    return KERNEL_REQUIRE(from->type == CUPEL_TYPE_F32 && to->type == CUPEL_TYPE_F32,
                          "the image is not f32") &&
           KERNEL_REQUIRE(from->shape.rank == 4 && cupel_shape_equal(from->shape, to->shape),
                          "not an image") &&
           KERNEL_REQUIRE(from->layout != CUPEL_LAYOUT_PACKED && to->layout != CUPEL_LAYOUT_PACKED,
                          "packed") &&
           KERNEL_REQUIRE(block_of(from->layout) == 0 ||
                              from->shape.dims[1] % block_of(from->layout) == 0,
                          "channels are no multiple of the block") &&
           KERNEL_REQUIRE(block_of(to->layout) == 0 ||
                              to->shape.dims[1] % block_of(to->layout) == 0,
                          "channels are no multiple of the block");
}

static cupel_status plan_reorder(struct kernel_plan *plan, const struct kernel_request *request,
                                 struct cupel_error *error) {
    const cupel_desc *from = &request->view.inputs[0], *to = &request->view.outputs[0];
    struct reorder_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a reorder's plan", sizeof *state);
    const int64_t *dims = from->shape.dims;
    state->table = cpu_vec_reorder();
    state->images = dims[0];
    state->channels = dims[1];
    state->pixels = dims[2] * dims[3];
    state->from = side_of(from->layout, state->channels, state->pixels);
    state->to = side_of(to->layout, state->channels, state->pixels);
    const int64_t a = block_of(from->layout), b = block_of(to->layout);
    state->group = a == 8 || b == 8 ? 8 : 16;
    state->groups = (state->channels + state->group - 1) / state->group;
    state->pieces = (state->pixels + PIXELS_AT_ONCE - 1) / PIXELS_AT_ONCE;
    state->same = walk_layout(from) == walk_layout(to);
    plan->state = state;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_reorder(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct reorder_run {
    const struct reorder_state *state;
    const float *from;
    float *to;
};

static int64_t place(const struct side *side, int64_t channel, int64_t pixel) {
    return channel / side->block * side->of_block + channel % side->block * side->channel +
           pixel * side->pixel;
}

static void run_pieces(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct reorder_run *run = context;
    const struct reorder_state *s = run->state;
    for (int64_t i = begin; i < end; i++) {
        const int64_t image = i / (s->groups * s->pieces);
        const int64_t channel = i / s->pieces % s->groups * s->group;
        const int64_t pixel = i % s->pieces * PIXELS_AT_ONCE;
        const int64_t n_pixels =
            s->pixels - pixel < PIXELS_AT_ONCE ? s->pixels - pixel : PIXELS_AT_ONCE;
        const int64_t n = s->channels - channel < s->group ? s->channels - channel : s->group;
        const int64_t base = image * s->channels * s->pixels;
        const float *from = run->from + base + place(&s->from, channel, pixel);
        float *to = run->to + base + place(&s->to, channel, pixel);
        if (s->from.channel != 1 && s->to.channel == 1)
            s->table->transpose(from, s->from.channel, n, n_pixels, to, s->to.pixel);
        else if (s->from.channel == 1 && s->to.channel != 1)
            s->table->transpose(from, s->from.pixel, n_pixels, n, to, s->to.channel);
        else
            s->table->copy_rows(from, s->from.pixel, n, n_pixels, to, s->to.pixel);
    }
}

static void copy_piece(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct reorder_run *run = context;
    memcpy(run->to + begin, run->from + begin, (size_t)(end - begin) * sizeof(float));
}

static cupel_status run_reorder(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct reorder_state *s = plan->state;
    struct reorder_run run = {.state = s, .from = call->inputs[0], .to = call->outputs[0]};
    const int64_t count = s->images * s->channels * s->pixels;
    const int threads = count < FEW_ELEMENTS ? 1 : call->threads;
    if (s->same)
        parallel_for(threads, count, 1024, copy_piece, &run);
    else
        parallel_for(threads, s->images * s->groups * s->pieces, 1, run_pieces, &run);
    return CUPEL_STATUS_OK;
}

const struct kernel reorder_kernels[] = {
    {.op = "reorder",
     .name = "vec:reorder",
     .revision = 1,
     .accept = accept_reorder,
     .plan = plan_reorder,
     .run = run_reorder,
     .drop = drop_reorder},
    {.op = NULL},
};
