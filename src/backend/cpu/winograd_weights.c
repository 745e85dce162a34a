/*
 * Gradients of 3x3 filters by Winograd's algorithm: the 4x4 gradients of a tile act as a filter of
 * four taps on its 6x6 pixels. Channels are cut into groups of 64 by 64, whose 36 sums stay in the
 * L2 cache while all tiles pass; few groups are cut further over the batch, into at most 8 pieces
 * that meet in a fixed tree. So nothing depends on the number of threads.
 * Test: tests/test_kernels_winograd.c
 */
#include <string.h>

#include "backend/cpu/winograd.h"
#include "base/memory.h"
#include "base/parallel.h"

enum {
    MOST_FROM = 64, /* channels in a group */
    MOST_TO = 64,
    TILES = 40, /* taken at once: with the sums of a group 1.3 MB of the L2 cache */
    PAD = 16,   /* floats between planes, against equal low address bits */
    MANY = 16,  /* tasks that give threads enough to do */
    MOST_CUTS = 8
};

struct weights_state {
    struct winograd_shape shape; /* from: images, to: gradients of the result */
    bool with_bias;
    int64_t from_channels, to_channels, from_group, to_group, from_groups, to_groups, cuts;
    int64_t v_stride, z_stride, thread_floats; /* scratch of a thread */
    int64_t sums;                              /* floats of one cut: [36][from][to] by groups */
};

static bool accept_weights(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return winograd_accept(view, &view->inputs[0], &view->inputs[1], &view->outputs[0], why);
}

static cupel_status plan_weights(struct kernel_plan *plan, const struct kernel_request *request,
                                 struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_conv *attrs = view->attrs;
    struct weights_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof *s);
    s->shape = winograd_shape_of(&view->inputs[0], &view->inputs[1], attrs->padding);
    s->with_bias = attrs->with_bias != 0;
    s->from_channels = s->shape.from_blocks * WINOGRAD_BLOCK;
    s->to_channels = s->shape.to_blocks * WINOGRAD_BLOCK;
    s->from_group = s->from_channels < MOST_FROM ? s->from_channels : MOST_FROM;
    s->to_group = s->to_channels < MOST_TO ? s->to_channels : MOST_TO;
    s->from_groups = (s->from_channels + s->from_group - 1) / s->from_group;
    s->to_groups = (s->to_channels + s->to_group - 1) / s->to_group;
    s->cuts = 1;
    while (s->cuts < MOST_CUTS && s->cuts * 2 <= s->shape.images &&
           s->cuts * s->from_groups * s->to_groups < MANY)
        s->cuts *= 2;
    s->v_stride = TILES * s->from_group + PAD;
    s->z_stride = TILES * s->to_group + PAD;
    s->thread_floats = WINOGRAD_PLANES * (s->v_stride + s->z_stride);
    s->sums = WINOGRAD_PLANES * s->from_channels * s->to_channels;
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes =
        (size_t)(plan->threads * s->thread_floats + s->cuts * s->sums) * sizeof(float) +
        (size_t)(s->cuts * s->to_channels) * sizeof(double);
    return CUPEL_STATUS_OK;
}

static void drop_weights(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct weights_run {
    const struct weights_state *state;
    const float *from, *to;
    float *scratch, *sums, *weights, *bias;
    double *bias_sums; /* [cut][channel] */
};

/* Channels [from, from + n_from) by [to, to + n_to), images of one cut. */
struct task {
    int64_t cut, from, n_from, to, n_to;
    float *sums; /* [36][n_from][n_to] */
};

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static struct task task_at(const struct weights_run *run, int64_t index) {
    const struct weights_state *s = run->state;
    const int64_t group = index % (s->from_groups * s->to_groups);
    struct task task = {.cut = index / (s->from_groups * s->to_groups),
                        .from = group / s->to_groups * s->from_group,
                        .to = group % s->to_groups * s->to_group};
    task.n_from = smaller(s->from_channels - task.from, s->from_group);
    task.n_to = smaller(s->to_channels - task.to, s->to_group);
    /* groups before this one: whole rows of groups, then those in the row */
    const int64_t before = task.from * s->to_channels + task.n_from * task.to;
    task.sums = run->sums + task.cut * s->sums + WINOGRAD_PLANES * before;
    return task;
}

static void transform(const struct weights_run *run, const struct task *task, int64_t first,
                      int64_t n, float *v, float *z, float *bias) {
    const struct weights_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const int64_t from_pixels = shape->from.h * shape->from.w * WINOGRAD_BLOCK;
    const int64_t to_pixels = shape->to.h * shape->to.w * WINOGRAD_BLOCK;
    for (int64_t t = 0; t < n; t++) {
        const struct winograd_tile tile = winograd_tile_at(shape, first + t);
        for (int64_t c = 0; c < task->n_from; c += WINOGRAD_BLOCK) {
            const int64_t block =
                tile.image * shape->from_blocks + (task->from + c) / WINOGRAD_BLOCK;
            shape->table->source(&shape->from, run->from + block * from_pixels,
                                 tile.y - shape->padding[0], tile.x - shape->padding[1],
                                 v + t * task->n_from + c, s->v_stride);
        }
        for (int64_t c = 0; c < task->n_to; c += WINOGRAD_BLOCK) {
            const int64_t block = tile.image * shape->to_blocks + (task->to + c) / WINOGRAD_BLOCK;
            shape->table->gradient(&shape->to, run->to + block * to_pixels, tile.y, tile.x,
                                   z + t * task->n_to + c, s->z_stride,
                                   bias == NULL ? NULL : bias + c);
        }
    }
}

static void run_task(const struct weights_run *run, const struct task *task, float *v, float *z) {
    const struct weights_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const int64_t per_image = shape->rows * shape->columns;
    const int64_t begin = shape->images * task->cut / s->cuts * per_image;
    const int64_t end = shape->images * (task->cut + 1) / s->cuts * per_image;
    double *bias_sums = run->bias_sums + task->cut * s->to_channels + task->to;
    const bool with_bias = s->with_bias && task->from == 0;
    memset(task->sums, 0, (size_t)(WINOGRAD_PLANES * task->n_from * task->n_to) * sizeof(float));
    for (int64_t c = 0; c < task->n_to && with_bias; c++)
        bias_sums[c] = 0;
    for (int64_t first = begin; first < end; first += TILES) {
        const int64_t n = smaller(end - first, TILES);
        float bias[MOST_TO] = {0};
        transform(run, task, first, n, v, z, with_bias ? bias : NULL);
        for (int64_t c = 0; c < task->n_to && with_bias; c++)
            bias_sums[c] += (double)bias[c];
        const int64_t next = first + n, most = smaller(next + TILES, end);
        struct winograd_ahead pixels = {
            .image = &shape->from,
            .pixels = run->from,
            .blocks = shape->from_blocks,
            .first_block = task->from / WINOGRAD_BLOCK,
            .n_blocks = task->n_from / WINOGRAD_BLOCK,
            .margin = {shape->padding[0], shape->padding[1]},
            .side = 6,
            .tile = next,
            .end = most,
        };
        struct winograd_ahead gradients = {
            .image = &shape->to,
            .pixels = run->to,
            .blocks = shape->to_blocks,
            .first_block = task->to / WINOGRAD_BLOCK,
            .n_blocks = task->n_to / WINOGRAD_BLOCK,
            .side = 4,
            .tile = next,
            .end = most,
        };
        const int64_t steps = WINOGRAD_PLANES * (task->n_from / WINOGRAD_ROWS);
        for (int64_t p = 0; p < WINOGRAD_PLANES; p++)
            for (int64_t i = 0; i < task->n_from; i += WINOGRAD_ROWS) {
                winograd_look_ahead(shape, &pixels, TILES * pixels.n_blocks * 6 / steps + 1);
                winograd_look_ahead(shape, &gradients, TILES * gradients.n_blocks * 4 / steps + 1);
                for (int64_t o = 0; o < task->n_to; o += 2 * WINOGRAD_BLOCK)
                    shape->table->accumulate(
                        v + p * s->v_stride + i, task->n_from, z + p * s->z_stride + o, task->n_to,
                        n, task->n_to - o > WINOGRAD_BLOCK ? 2 : 1,
                        task->sums + (p * task->n_from + i) * task->n_to + o, task->n_to);
            }
    }
}

static void run_tasks(void *context, int64_t begin, int64_t end, int thread) {
    const struct weights_run *run = context;
    const struct weights_state *s = run->state;
    float *v = run->scratch + thread * s->thread_floats;
    float *z = v + WINOGRAD_PLANES * s->v_stride;
    for (int64_t i = begin; i < end; i++) {
        const struct task task = task_at(run, i);
        run_task(run, &task, v, z);
    }
}

/* Units are blocks of 16 result channels of one image channel. */
static void finish(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct weights_run *run = context;
    const struct weights_state *s = run->state;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t c = unit / s->shape.to_blocks;
        const int64_t o = unit % s->shape.to_blocks * WINOGRAD_BLOCK;
        const struct task task = task_at(run, c / s->from_group * s->to_groups + o / s->to_group);
        float gradients[9 * WINOGRAD_BLOCK];
        s->shape.table->weights(task.sums + (c - task.from) * task.n_to + o - task.to,
                                task.n_from * task.n_to, s->cuts, s->sums, gradients);
        for (int64_t lane = 0; lane < WINOGRAD_BLOCK; lane++)
            for (int64_t tap = 0; tap < 9; tap++)
                run->weights[((o + lane) * s->from_channels + c) * 9 + tap] =
                    gradients[tap * WINOGRAD_BLOCK + lane];
    }
}

static void finish_bias(const struct weights_run *run) {
    const struct weights_state *s = run->state;
    for (int64_t half = s->cuts / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half * s->to_channels; i++)
            run->bias_sums[i] += run->bias_sums[i + half * s->to_channels];
    for (int64_t c = 0; c < s->to_channels; c++)
        run->bias[c] = (float)run->bias_sums[c];
}

static cupel_status run_weights(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct weights_state *s = plan->state;
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    struct weights_run run = {
        .state = s,
        .from = call->inputs[0],
        .to = call->inputs[1],
        .weights = call->outputs[0],
        .bias = call->outputs[1],
        .bias_sums = call->scratch,
    };
    run.sums = (float *)(run.bias_sums + s->cuts * s->to_channels);
    run.scratch = run.sums + s->cuts * s->sums;
    parallel_for(threads, s->from_groups * s->to_groups * s->cuts, 1, run_tasks, &run);
    parallel_for(threads, s->from_channels * s->shape.to_blocks, 16, finish, &run);
    if (s->with_bias)
        finish_bias(&run);
    else
        run.bias[0] = 0.0F;
    return CUPEL_STATUS_OK;
}

const struct kernel winograd_weights_kernels[] = {
    {.op = "conv2d_backward_weights",
     .name = "vec:winograd",
     .revision = 3,
     .accept = accept_weights,
     .plan = plan_weights,
     .run = run_weights,
     .drop = drop_weights},
    {.op = NULL},
};
