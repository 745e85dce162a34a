/*
 * Gradients of 3x3 filters by Winograd's algorithm: the 4x4 gradients of a tile act as a filter of
 * four taps on its 6x6 pixels. Channels are cut into groups of 64 by 64, whose 36 sums stay in the
 * L2 cache while all tiles pass; few groups are cut further over the batch, into at most 8 pieces
 * that meet in a fixed tree. So nothing depends on the number of threads.
 * Test: tests/test_kernels_winograd.c
 */
#include <string.h>

#include "backend/cpu/winograd.h"
#include "backend/cpu/winograd_ahead.h"
#include "base/memory.h"
#include "base/parallel.h"

enum {
    MOST_FROM = 64, /* channels in a group: whole blocks */
    MOST_TO = 64,
    TILES = 28, /* taken at once: with the sums of a group 1.1 MB of the L2 cache */
    PAD = 16,   /* floats between planes, against equal low address bits */
    MANY = 8,   /* tasks that give threads enough to do */
    MOST_CUTS = 8
};

struct weights_state {
    struct winograd_shape shape; /* from: images, to: gradients of the result */
    bool with_bias;
    int64_t from_channels, to_channels, from_group, to_group, from_groups, to_groups, cuts;
    int64_t v_stride, z_stride, thread_floats; /* scratch of a thread */
    int64_t sums;                              /* floats of one cut: [36][from][to] by groups */
    int64_t stretch;                           /* of memory that one sum asks for */
};

static bool accept_either(const struct kernel_request *request, bool small, const char **why) {
    const cupel_op_view *view = &request->view;
    return winograd_accept(view, small, &view->inputs[0], &view->inputs[1], &view->outputs[0], why);
}

static bool accept_large(const struct kernel_request *request, const char **why) {
    return accept_either(request, false, why);
}

static bool accept_small(const struct kernel_request *request, const char **why) {
    return accept_either(request, true, why);
}

static cupel_status plan_either(struct kernel_plan *plan, const struct kernel_request *request,
                                bool small, struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_conv *attrs = view->attrs;
    struct weights_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof *s);
    s->shape = winograd_shape_of(small, &view->inputs[0], &view->inputs[1], attrs->padding);
    s->with_bias = attrs->with_bias != 0;
    s->from_channels = s->shape.from_blocks * s->shape.block;
    s->to_channels = s->shape.to_blocks * s->shape.block;
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
    const struct vec_winograd_product_table *products = s->shape.products;
    const int rows =
        s->to_group / s->shape.block >= products->widest ? products->wide_rows : products->rows;
    s->stretch = WINOGRAD_LINE * TILES / 2 * ((s->from_group + rows - 1) / rows);
    s->thread_floats = WINOGRAD_PLANES * (s->v_stride + s->z_stride);
    s->sums = s->shape.n_planes * s->from_channels * s->to_channels;
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes =
        (size_t)(plan->threads * s->thread_floats + s->cuts * s->sums) * sizeof(float) +
        (size_t)(s->cuts * s->to_channels) * sizeof(double);
    return CUPEL_STATUS_OK;
}

static cupel_status plan_large(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    return plan_either(plan, request, false, error);
}

static cupel_status plan_small(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    return plan_either(plan, request, true, error);
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
    task.sums = run->sums + task.cut * s->sums + s->shape.n_planes * before;
    return task;
}

/* v: [plane][tile][channel read], z: [plane][tile][channel of the result] */
static void transform(const struct weights_run *run, const struct task *task,
                      const struct winograd_part *part, int64_t first, int64_t n, float *v,
                      float *z, float *bias) {
    const struct weights_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    struct winograd_tile tiles[TILES];
    winograd_tiles(part, shape->padding, first, n, tiles);
    for (int64_t c = 0; c < task->n_from; c += shape->block)
        shape->table->source(&shape->from, part->form,
                             run->from + (task->from + c) * shape->from.h * shape->from.w, tiles, n,
                             v + c, s->v_stride, task->n_from);
    winograd_tiles(part, (const int64_t[2]){0, 0}, first, n, tiles);
    for (int64_t c = 0; c < task->n_to; c += shape->block)
        shape->table->gradient(&shape->to, part->form,
                               run->to + (task->to + c) * shape->to.h * shape->to.w, tiles, n,
                               z + c, s->z_stride, task->n_to, bias == NULL ? NULL : bias + c);
}

/* What the tiles from `first` on will read comes from memory while those before are multiplied. */
static void look_ahead(const struct weights_run *run, const struct task *task,
                       const struct winograd_part *part, int64_t first, int64_t n,
                       struct winograd_ahead *ahead) {
    const struct weights_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const int64_t blocks = task->n_to / shape->block, widest = shape->products->widest;
    const struct winograd_pixels from = {&shape->from,
                                         run->from + task->from * shape->from.h * shape->from.w,
                                         task->n_from / shape->block, shape->padding[0], 2};
    const struct winograd_pixels to = {&shape->to, run->to + task->to * shape->to.h * shape->to.w,
                                       blocks, 0, 0};
    winograd_ahead_begin(ahead, s->stretch,
                         part->n_planes * (blocks / widest + (blocks % widest + 1) / 2));
    winograd_ahead_add(ahead, &from, part, first, n);
    winograd_ahead_add(ahead, &to, part, first, n);
}

/* Adds the products of n tiles to the sums. */
static void multiply(const struct weights_run *run, const struct task *task,
                     const struct winograd_part *part, int64_t n, const float *v, const float *z,
                     struct winograd_ahead *ahead) {
    const struct weights_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const struct vec_winograd_product_table *products = shape->products;
    const int64_t blocks = task->n_to / shape->block;
    for (int p = 0; p < part->n_planes; p++) {
        float *sums = task->sums + winograd_slot(shape, part, p) * task->n_from * task->n_to;
        for (int64_t o = 0, width; o < blocks; o += width) {
            const int64_t left = blocks - o;
            width = left >= products->widest ? products->widest : left >= 2 ? 2 : 1;
            products->accumulate(v + part->planes[p] * s->v_stride, task->n_from,
                                 z + part->planes[p] * s->z_stride + o * shape->block, task->n_to,
                                 n, (int)task->n_from, (int)width, sums + o * shape->block,
                                 task->n_to, winograd_ahead_next(ahead, sums));
        }
    }
}

static void run_part(const struct weights_run *run, const struct task *task,
                     const struct winograd_part *part, double *bias_sums, float *v, float *z) {
    const struct weights_state *s = run->state;
    const int64_t per_image = part->rows * part->columns;
    const int64_t begin = s->shape.images * task->cut / s->cuts * per_image;
    const int64_t end = s->shape.images * (task->cut + 1) / s->cuts * per_image;
    for (int64_t first = begin; first < end; first += TILES) {
        const int64_t n = smaller(end - first, TILES);
        float bias[MOST_TO] = {0};
        transform(run, task, part, first, n, v, z, bias_sums == NULL ? NULL : bias);
        for (int64_t c = 0; c < task->n_to && bias_sums != NULL; c++)
            bias_sums[c] += (double)bias[c];
        struct winograd_ahead ahead;
        look_ahead(run, task, part, first + n, smaller(end - first - n, TILES), &ahead);
        multiply(run, task, part, n, v, z, &ahead);
    }
}

static void run_task(const struct weights_run *run, const struct task *task, float *v, float *z) {
    const struct weights_state *s = run->state;
    double *bias_sums = s->with_bias && task->from == 0
                            ? run->bias_sums + task->cut * s->to_channels + task->to
                            : NULL;
    memset(task->sums, 0, (size_t)(s->shape.n_planes * task->n_from * task->n_to) * sizeof(float));
    for (int64_t c = 0; c < task->n_to && bias_sums != NULL; c++)
        bias_sums[c] = 0;
    for (int p = 0; p < s->shape.n_parts; p++)
        run_part(run, task, &s->shape.parts[p], bias_sums, v, z);
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

/* Units are blocks of result channels of one image channel. */
static void finish(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct weights_run *run = context;
    const struct weights_state *s = run->state;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t c = unit / s->shape.to_blocks;
        const int64_t o = unit % s->shape.to_blocks * s->shape.block;
        const struct task task = task_at(run, c / s->from_group * s->to_groups + o / s->to_group);
        float gradients[9 * WINOGRAD_MOST_BLOCK];
        s->shape.table->weights(task.sums + (c - task.from) * task.n_to + o - task.to,
                                task.n_from * task.n_to, s->cuts, s->sums, s->shape.small,
                                gradients);
        for (int64_t lane = 0; lane < s->shape.block; lane++)
            for (int64_t tap = 0; tap < 9; tap++)
                run->weights[((o + lane) * s->from_channels + c) * 9 + tap] =
                    gradients[tap * s->shape.block + lane];
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
    parallel_each(threads, s->from_groups * s->to_groups * s->cuts, run_tasks, &run);
    parallel_for(threads, s->from_channels * s->shape.to_blocks, 16, finish, &run);
    if (s->with_bias)
        finish_bias(&run);
    else
        run.bias[0] = 0.0F;
    return CUPEL_STATUS_OK;
}

#define WEIGHTS_KERNEL(kernel_name, size) \
    { \
        .op = "conv2d_backward_weights", .name = kernel_name, .revision = 5, \
        .flags = KERNEL_WINOGRAD, .accept = accept_##size, .plan = plan_##size, \
        .run = run_weights, .drop = drop_weights \
    }

const struct kernel winograd_weights_kernels[] = {
    WEIGHTS_KERNEL("vec:winograd", large),
    WEIGHTS_KERNEL("vec:winograd-2x2", small),
    {.op = NULL},
};
