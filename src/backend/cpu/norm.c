/*
 * Batch norm: training, its gradients, inference, in any layout. Channels are taken in groups that
 * lie together in memory (one where channels are apart, a block, up to 64 where they are last); a
 * group of one image is a tile of 64 columns whose numbers repeat with the group. Statistics are
 * sums around a first guess of the mean, in float over short runs and in double beyond; few groups
 * are cut over the batch into at most 8 pieces that meet in a fixed tree.
 * Test: tests/test_kernels_norm.c
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/vec_norm.h"
#include "backend/cpu/walk.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { MANY = 16, MOST_CUTS = 8, FEW_ELEMENTS = 16384 };

struct norm_state {
    const struct vec_norm_table *table;
    double epsilon;
    int64_t images, channels, pixels;
    bool wide;             /* channels last: rows of all channels */
    int64_t group, groups; /* channels in a group */
    int64_t image_stride, group_stride;
    int64_t cuts;
};

/* ---- accepting and planning ---- */

static bool f32_alike(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        if (view->inputs[i].type != CUPEL_TYPE_F32)
            return false;
    for (int k = 0; k < view->n_outputs; k++)
        if (view->outputs[k].type != CUPEL_TYPE_F32)
            return false;
    return true;
}

static bool images_alike(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        if (view->inputs[i].shape.rank > 1 &&
            walk_layout(&view->inputs[i]) != walk_layout(&view->inputs[0]))
            return false;
    return walk_layout(&view->outputs[0]) == walk_layout(&view->inputs[0]);
}

static bool accept_norm(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(f32_alike(view), "operands are not all f32") &&
           KERNEL_REQUIRE(view->inputs[0].layout != CUPEL_LAYOUT_PACKED, "the images are packed") &&
           KERNEL_REQUIRE(images_alike(view), "images differ in layout");
}

static cupel_status plan_norm(struct kernel_plan *plan, const struct kernel_request *request,
                              struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_batch_norm *attrs = view->attrs;
    const cupel_desc *x = &view->inputs[0];
    struct norm_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a batch norm's plan", sizeof *s);
    s->table = cpu_vec_norm();
    s->epsilon = attrs->epsilon;
    s->images = x->shape.dims[0];
    s->channels = x->shape.dims[1];
    s->pixels = cupel_shape_count(x->shape) / (s->images * s->channels);
    const cupel_layout layout = walk_layout(x);
    s->wide = layout == CUPEL_LAYOUT_NHWC || s->pixels == 1;
    s->group = s->wide ? (s->channels < NORM_LANES ? s->channels : NORM_LANES)
               : layout == CUPEL_LAYOUT_NCHW16C ? 16
               : layout == CUPEL_LAYOUT_NCHW8C  ? 8
                                                : 1;
    s->groups = (s->channels + s->group - 1) / s->group;
    s->image_stride = s->channels * s->pixels;
    s->group_stride = s->wide ? s->group : s->group * s->pixels;
    s->cuts = 1;
    while (s->groups < MANY && s->cuts * 2 <= s->images && s->cuts * 2 <= MOST_CUTS)
        s->cuts *= 2;
    plan->state = s;
    plan->threads = request->threads;
    /* per cut and channel two sums, and per channel four numbers */
    plan->scratch_bytes =
        (size_t)s->channels * (2 * (size_t)s->cuts * sizeof(double) + 4 * sizeof(float));
    return CUPEL_STATUS_OK;
}

static void drop_norm(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

enum pass { PASS_MOMENTS, PASS_PRODUCTS, PASS_NORMALISE, PASS_GRADIENT };

struct norm_run {
    const struct norm_state *state;
    enum pass pass;
    const float *x, *dy;
    float *out;
    double *sums, *others;   /* [cut][channel] */
    float *mean, *a, *b, *c; /* [channel] */
};

static void one_tile(const struct norm_run *run, const struct norm_tile *tile, int64_t at,
                     const float lanes[4][NORM_LANES], double *sum, double *other) {
    const struct vec_norm_table *table = run->state->table;
    switch (run->pass) {
    case PASS_MOMENTS: table->moments(tile, run->x + at, lanes[0], sum, other); break;
    case PASS_PRODUCTS:
        table->products(tile, run->x + at, run->dy + at, lanes[0], sum, other);
        break;
    case PASS_NORMALISE:
        table->normalise(tile, run->x + at, lanes[0], lanes[1], lanes[2], run->out + at);
        break;
    case PASS_GRADIENT:
        table->gradient(tile, run->x + at, run->dy + at, lanes[0], lanes[1], lanes[2], lanes[3],
                        run->out + at);
        break;
    }
}

/* One group over images [first, last). */
static void one_group(const struct norm_run *run, int64_t group, int64_t first, int64_t last,
                      double *sum, double *other) {
    const struct norm_state *s = run->state;
    const int64_t channel = group * s->group;
    const int64_t n = s->channels - channel < s->group ? s->channels - channel : s->group;
    float lanes[4][NORM_LANES];
    for (int64_t k = 0; k < NORM_LANES; k++) {
        const int64_t c = channel + k % n;
        lanes[0][k] = run->mean[c];
        lanes[1][k] = run->a[c];
        lanes[2][k] = run->b[c];
        lanes[3][k] = run->c[c];
    }
    if (s->wide) { /* rows of all images follow each other */
        const struct norm_tile tile = {
            .stride = s->channels, .rows = (last - first) * s->pixels, .w = (int)n};
        one_tile(run, &tile, first * s->image_stride + channel, (const float(*)[NORM_LANES])lanes,
                 sum, other);
        return;
    }
    const int64_t length = s->pixels * s->group;
    const struct norm_tile body = {
        .stride = NORM_LANES, .rows = length / NORM_LANES, .w = NORM_LANES};
    const struct norm_tile tail = {
        .stride = NORM_LANES, .rows = 1, .w = (int)(length % NORM_LANES)};
    for (int64_t image = first; image < last; image++) {
        const int64_t at = image * s->image_stride + group * s->group_stride;
        one_tile(run, &body, at, (const float(*)[NORM_LANES])lanes, sum, other);
        if (tail.w > 0)
            one_tile(run, &tail, at + body.rows * NORM_LANES, (const float(*)[NORM_LANES])lanes,
                     sum, other);
    }
}

/* Columns that belong to one channel are added. */
static void fold(const struct norm_state *s, int64_t n, const double *lanes, double *out) {
    const int64_t used = s->wide ? n : NORM_LANES;
    for (int64_t c = 0; c < n; c++) {
        double total = 0;
        for (int64_t k = c; k < used; k += n)
            total += lanes[k];
        out[c] = total;
    }
}

static void run_sums(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct norm_run *run = context;
    const struct norm_state *s = run->state;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t group = unit / s->cuts, cut = unit % s->cuts;
        double sum[NORM_LANES] = {0}, other[NORM_LANES] = {0};
        one_group(run, group, s->images * cut / s->cuts, s->images * (cut + 1) / s->cuts, sum,
                  other);
        const int64_t channel = group * s->group;
        const int64_t n = s->channels - channel < s->group ? s->channels - channel : s->group;
        fold(s, n, sum, run->sums + cut * s->channels + channel);
        fold(s, n, other, run->others + cut * s->channels + channel);
    }
}

/* Units are images of groups: nothing is summed here. */
static void run_images(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct norm_run *run = context;
    const struct norm_state *s = run->state;
    double none[NORM_LANES];
    for (int64_t unit = begin; unit < end; unit++)
        one_group(run, unit % s->groups, unit / s->groups, unit / s->groups + 1, none, none);
}

static void sum_up(const struct norm_run *run, int threads) {
    const struct norm_state *s = run->state;
    struct norm_run copy = *run;
    parallel_for(threads, s->groups * s->cuts, 1, run_sums, &copy);
    for (int64_t half = s->cuts / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half * s->channels; i++) {
            run->sums[i] += run->sums[i + half * s->channels];
            run->others[i] += run->others[i + half * s->channels];
        }
}

static void write_out(const struct norm_run *run, enum pass pass, int threads) {
    struct norm_run copy = *run;
    copy.pass = pass;
    parallel_for(threads, run->state->groups * run->state->images, 4, run_images, &copy);
}

static struct norm_run start(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct norm_state *s = plan->state;
    struct norm_run run = {.state = s, .x = call->inputs[0], .out = call->outputs[0]};
    run.sums = call->scratch;
    run.others = run.sums + s->cuts * s->channels;
    run.mean = (float *)(run.others + s->cuts * s->channels);
    run.a = run.mean + s->channels;
    run.b = run.a + s->channels;
    run.c = run.b + s->channels;
    return run;
}

static int threads_of(const struct norm_state *s, const struct kernel_call *call) {
    return s->images * s->channels * s->pixels < FEW_ELEMENTS ? 1 : call->threads;
}

/* Element (0, channel, pixel). */
static float first_image(const struct norm_state *s, const float *x, int64_t channel,
                         int64_t pixel) {
    if (s->wide)
        return x[pixel * s->channels + channel];
    return x[channel / s->group * s->group_stride + pixel * s->group + channel % s->group];
}

/* The mean of a few pixels of the first image: what sums are taken around. */
static void guess_means(const struct norm_run *run) {
    const struct norm_state *s = run->state;
    const int64_t n = s->pixels < 16 ? s->pixels : 16;
    for (int64_t c = 0; c < s->channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)first_image(s, run->x, c, s->pixels / n * i);
        const float mean = (float)(sum / (double)n);
        run->mean[c] = isfinite(mean) ? mean : 0.0F;
        run->a[c] = run->b[c] = run->c[c] = 0.0F;
    }
}

static cupel_status run_train(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct norm_run run = start(plan, call);
    const struct norm_state *s = run.state;
    const float *gamma = call->inputs[1], *beta = call->inputs[2];
    float *mean = call->outputs[1], *variance = call->outputs[2];
    const int threads = threads_of(s, call);
    run.pass = PASS_MOMENTS;
    guess_means(&run);
    sum_up(&run, threads);
    const double count = (double)s->images * (double)s->pixels;
    for (int64_t c = 0; c < s->channels; c++) {
        const double off = run.sums[c] / count;
        const double exact = run.others[c] / count - off * off;
        const double spread = exact < 0 ? 0 : exact; /* a NaN passes */
        const double centre = (double)run.mean[c] + off;
        mean[c] = (float)centre;
        variance[c] = (float)spread;
        run.mean[c] = (float)centre;
        run.a[c] = (float)((double)gamma[c] / sqrt(spread + s->epsilon));
        run.b[c] = beta[c];
    }
    write_out(&run, PASS_NORMALISE, threads);
    return CUPEL_STATUS_OK;
}

static cupel_status run_backward(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct norm_run run = start(plan, call);
    const struct norm_state *s = run.state;
    const float *gamma = call->inputs[1], *mean = call->inputs[2], *variance = call->inputs[3];
    float *diff_gamma = call->outputs[1], *diff_beta = call->outputs[2];
    const int threads = threads_of(s, call);
    run.dy = call->inputs[4];
    run.pass = PASS_PRODUCTS;
    for (int64_t c = 0; c < s->channels; c++) {
        run.mean[c] = mean[c];
        run.a[c] = run.b[c] = run.c[c] = 0.0F;
    }
    sum_up(&run, threads);
    const double count = (double)s->images * (double)s->pixels;
    for (int64_t c = 0; c < s->channels; c++) {
        const double r = 1.0 / sqrt((double)variance[c] + s->epsilon);
        const double scale = (double)gamma[c] * r;
        const double dgamma = run.others[c] * r;
        diff_gamma[c] = (float)dgamma;
        diff_beta[c] = (float)run.sums[c];
        run.a[c] = (float)scale;
        run.b[c] = (float)(-scale * r * dgamma / count);
        run.c[c] = (float)(-scale * run.sums[c] / count);
    }
    write_out(&run, PASS_GRADIENT, threads);
    return CUPEL_STATUS_OK;
}

static cupel_status run_inference(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct norm_run run = start(plan, call);
    const struct norm_state *s = run.state;
    const float *gamma = call->inputs[1], *beta = call->inputs[2];
    const float *mean = call->inputs[3], *variance = call->inputs[4];
    for (int64_t c = 0; c < s->channels; c++) {
        run.mean[c] = mean[c];
        run.a[c] = (float)((double)gamma[c] / sqrt((double)variance[c] + s->epsilon));
        run.b[c] = beta[c];
        run.c[c] = 0.0F;
    }
    write_out(&run, PASS_NORMALISE, threads_of(s, call));
    return CUPEL_STATUS_OK;
}

#define NORM_KERNEL(op_name, run_function) \
    { \
        .op = op_name, .name = "vec:norm", .revision = 1, .accept = accept_norm, \
        .plan = plan_norm, .run = run_function, .drop = drop_norm \
    }

const struct kernel norm_kernels[] = {
    NORM_KERNEL("batch_norm_train", run_train),
    NORM_KERNEL("batch_norm_backward", run_backward),
    NORM_KERNEL("batch_norm_inference", run_inference),
    {.op = NULL},
};
