/*
 * 3x3 convolutions with few channels on one side (grey or colour images, plain) and channels in
 * blocks on the other: the first and the last layers of networks. Direct: such layers move more
 * bytes than they compute. Images are worked on one by one; gradients of filters are summed over at
 * most 8 runs of images, cut by the batch alone, which meet in a fixed tree. Where the result is in
 * blocks, a fused node's bias and activation finish it, as they do Winograd's; its sums per channel
 * are of an image each, then of all.
 *
 * Floor: the blocked side's bytes over the bandwidth. Tests: tests/test_kernels_few.c,
 * tests/test_kernels_conv_sums.c
 */
#include <string.h>

#include "backend/cpu/conv_finish.h"
#include "backend/cpu/vec_few.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { SIDE = 3, FEW = 4, MOST_SEGMENTS = 8 };

/* The side with few channels and the side in blocks, whichever way the convolution goes. */
struct sides {
    const cupel_desc *few, *blocked, *weights;
    const struct attrs_conv *attrs;
    int64_t padding[2]; /* of what is read */
    bool few_is_out;    /* of the forward convolution: the weights' first extent */
    bool turned;        /* filters by 180 degrees */
};

struct few_state {
    const struct vec_few_table *table;
    int64_t images, few, blocks;
    int64_t few_height, few_width, height, width; /* of the two sides */
    int64_t padding[2];
    int64_t few_step, blocked_step; /* between a channel's filters in the weights */
    bool turned;
    struct conv_finish_plan finish;
    int64_t panel_floats; /* filters in vectors */
    int64_t own_floats;   /* scratch of a thread: padded planes */
    int64_t segments, sum_floats;
};

static bool is_blocked(const cupel_desc *desc) {
    return desc->layout ==
           (cpu_vec_few()->block == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C);
}

static bool is_few(const cupel_desc *desc) {
    return desc->layout == CUPEL_LAYOUT_PLAIN && desc->shape.dims[1] <= FEW;
}

/* from: what is read; the two sides of a convolution or of its backward data. */
static struct sides sides_of(const cupel_op_view *view) {
    bool backward;
    const struct attrs_conv *attrs = conv_finish_attrs(view, &backward);
    const cupel_desc *from = &view->inputs[0], *to = &view->outputs[0];
    const bool narrows = is_few(to);
    struct sides s = {.few = narrows ? to : from,
                      .blocked = narrows ? from : to,
                      .weights = &view->inputs[1],
                      .attrs = attrs,
                      .few_is_out = narrows != backward,
                      .turned = backward};
    for (int i = 0; i < 2; i++)
        s.padding[i] = backward ? SIDE - 1 - attrs->padding[i] : attrs->padding[i];
    return s;
}

static struct sides sides_of_gradient(const cupel_op_view *view) {
    const struct attrs_conv *attrs = view->attrs;
    return (struct sides){.few = &view->inputs[0],
                          .blocked = &view->inputs[1],
                          .weights = &view->outputs[0],
                          .attrs = attrs,
                          .padding = {attrs->padding[0], attrs->padding[1]}};
}

static bool accept_sides(const cupel_op_view *view, const struct sides *s, const char **why) {
    const struct attrs_conv *attrs = s->attrs;
    bool reals = s->weights->layout == CUPEL_LAYOUT_PLAIN;
    for (int i = 0; i < view->n_inputs; i++)
        reals = reals && view->inputs[i].type == CUPEL_TYPE_F32;
    return KERNEL_REQUIRE(reals, "operands are not f32, or weights not plain") &&
           KERNEL_REQUIRE(s->weights->shape.dims[2] == SIDE && s->weights->shape.dims[3] == SIDE,
                          "the kernel is not 3x3") &&
           KERNEL_REQUIRE(attrs->stride[0] == 1 && attrs->stride[1] == 1, "stride is not 1") &&
           KERNEL_REQUIRE(attrs->dilation[0] == 1 && attrs->dilation[1] == 1,
                          "dilation is not 1") &&
           KERNEL_REQUIRE(attrs->groups == 1, "grouped") &&
           KERNEL_REQUIRE(s->padding[0] >= 0 && s->padding[1] >= 0,
                          "padding is wider than the kernel") &&
           KERNEL_REQUIRE(is_few(s->few) && is_blocked(s->blocked),
                          "not few plain channels on one side and blocks on the other");
}

static bool accept_few(const struct kernel_request *request, const char **why) {
    const struct sides s = sides_of(&request->view);
    return accept_sides(&request->view, &s, why);
}

/* A convolution with the chain that reads it. */
static bool accept_fused(const struct kernel_request *request, const char **why) {
    const struct sides s = sides_of(&request->view);
    struct conv_finish_plan finish;
    return accept_sides(&request->view, &s, why) &&
           KERNEL_REQUIRE(s.blocked == &request->view.outputs[0], "the result is not in blocks") &&
           KERNEL_REQUIRE(conv_finish_plan(&request->view, &finish),
                          "the chain is more than a bias and an activation, or its gradient");
}

static bool accept_gradient(const struct kernel_request *request, const char **why) {
    const struct sides s = sides_of_gradient(&request->view);
    return accept_sides(&request->view, &s, why);
}

static cupel_status plan_sides(struct kernel_plan *plan, const struct sides *sides, int threads,
                               bool gradient, struct cupel_error *error) {
    struct few_state *const s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof *s);
    const int64_t *const few = sides->few->shape.dims, *const blocked = sides->blocked->shape.dims;
    *s = (struct few_state){
        .table = cpu_vec_few(),
        .images = few[0],
        .few = few[1],
        .few_height = few[2],
        .few_width = few[3],
        .height = blocked[2],
        .width = blocked[3],
        .padding = {sides->padding[0], sides->padding[1]},
        .turned = sides->turned,
    };
    const int64_t of_out = sides->weights->shape.dims[1] * FEW_TAPS;
    s->few_step = sides->few_is_out ? of_out : FEW_TAPS;
    s->blocked_step = sides->few_is_out ? FEW_TAPS : of_out;
    s->blocks = blocked[1] / s->table->block;
    s->panel_floats = s->few * blocked[1] * FEW_TAPS;
    if (s->padding[0] > 0 || s->padding[1] > 0)
        s->own_floats =
            s->few * (s->few_height + 2 * s->padding[0]) * (s->few_width + 2 * s->padding[1]);
    plan->threads = threads < 1 ? 1 : threads;
    plan->state = s;
    s->segments = gradient ? 1 : 0;
    while (gradient && s->segments < MOST_SEGMENTS && 2 * s->segments <= s->images)
        s->segments *= 2;
    s->sum_floats = s->panel_floats + blocked[1];
    plan->scratch_bytes =
        sizeof(float) * (size_t)((gradient ? s->segments * s->sum_floats : s->panel_floats) +
                                 plan->threads * s->own_floats);
    return CUPEL_STATUS_OK;
}

static int64_t blocked_channels(const struct few_state *s) {
    return s->blocks * s->table->block;
}

static cupel_status plan_few(struct kernel_plan *plan, const struct kernel_request *request,
                             struct cupel_error *error) {
    const struct sides sides = sides_of(&request->view);
    CUPEL_TRY(plan_sides(plan, &sides, request->threads, false, error));
    struct few_state *const s = plan->state;
    (void)conv_finish_plan(&request->view, &s->finish); /* accepted before */
    if (s->finish.sums)
        plan->scratch_bytes += sizeof(float) * (size_t)(s->images * blocked_channels(s));
    return CUPEL_STATUS_OK;
}

static cupel_status plan_gradient(struct kernel_plan *plan, const struct kernel_request *request,
                                  struct cupel_error *error) {
    const struct sides sides = sides_of_gradient(&request->view);
    return plan_sides(plan, &sides, request->threads, true, error);
}

static void drop_few(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct few_run {
    const struct few_state *state;
    const void *const *inputs;
    const float *few, *blocked, *bias;
    float *few_out, *blocked_out;
    const float *panels; /* [few][block][tap], vectors */
    float *sums;         /* [segment] of panels and a sum of pixels for each block */
    float *image_sums;   /* [image][channel] of blocked_out; NULL: not wanted */
    float *own;
};

/* Where the filters of a channel and a block begin in panels. */
static int64_t panel_at(const struct few_state *s, int64_t few, int64_t block) {
    return (few * s->blocks + block) * FEW_TAPS * s->table->block;
}

static void gather_filters(const struct few_state *s, const float *weights, float *panels) {
    const int64_t lanes = s->table->block;
    for (int64_t f = 0; f < s->few; f++)
        for (int64_t c = 0; c < s->blocks * lanes; c++) {
            const float *const from = weights + f * s->few_step + c * s->blocked_step;
            float *const to = panels + panel_at(s, f, c / lanes) + c % lanes;
            for (int t = 0; t < FEW_TAPS; t++)
                to[t * lanes] = from[s->turned ? FEW_TAPS - 1 - t : t];
        }
}

/* ---- from blocks to few channels ---- */

static void narrow_images(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct few_run *run = context;
    const struct few_state *s = run->state;
    const int64_t size = s->blocks * s->table->block * s->height * s->width;
    for (int64_t row = begin * s->few * s->few_height; row < end * s->few * s->few_height; row++) {
        const int64_t y = row % s->few_height, f = row / s->few_height % s->few;
        s->table->narrow(&(struct few_narrow){
            .image = run->blocked + row / s->few_height / s->few * size,
            .blocks = s->blocks,
            .height = s->height,
            .width = s->width,
            .weights = run->panels + panel_at(s, f, 0),
            .y = y - s->padding[0],
            .left = -s->padding[1],
            .start = run->bias == NULL ? 0.0F : run->bias[f],
            .out = run->few_out + row * s->few_width,
            .n = s->few_width,
        });
    }
}

/* ---- from few channels to blocks ---- */

/* The planes of an image with zeros around. */
static const float *pad(const struct few_state *s, const float *planes, float *to) {
    if (s->own_floats == 0)
        return planes;
    const int64_t width = s->few_width + 2 * s->padding[1];
    memset(to, 0, (size_t)s->own_floats * sizeof *to);
    for (int64_t f = 0; f < s->few; f++)
        for (int64_t y = 0; y < s->few_height; y++)
            memcpy(to + (f * (s->few_height + 2 * s->padding[0]) + y + s->padding[0]) * width +
                       s->padding[1],
                   planes + (f * s->few_height + y) * s->few_width,
                   (size_t)s->few_width * sizeof *to);
    return to;
}

static int64_t padded_width(const struct few_state *s) {
    return s->few_width + 2 * s->padding[1];
}

static int64_t padded_plane(const struct few_state *s) {
    return (s->few_height + 2 * s->padding[0]) * padded_width(s);
}

static void widen_images(void *context, int64_t begin, int64_t end, int thread) {
    const struct few_run *run = context;
    const struct few_state *s = run->state;
    const int64_t lanes = s->table->block;
    for (int64_t n = begin; n < end; n++) {
        const float *const planes = pad(s, run->few + n * s->few * s->few_height * s->few_width,
                                        run->own + thread * s->own_floats);
        float *const sums =
            run->image_sums == NULL ? NULL : run->image_sums + n * blocked_channels(s);
        if (sums != NULL)
            memset(sums, 0, (size_t)blocked_channels(s) * sizeof *sums);
        for (int64_t row = 0; row < s->blocks * s->height; row++) {
            const int64_t b = row / s->height, y = row % s->height;
            const int64_t at = (n * s->blocks * s->height + row) * s->width * lanes;
            const struct conv_finish finish =
                conv_finish_of(&s->finish, run->inputs, b * lanes, at);
            s->table->wide(&(struct few_wide){
                .planes = planes + y * padded_width(s),
                .channels = s->few,
                .plane = padded_plane(s),
                .width = padded_width(s),
                .weights = run->panels + b * FEW_TAPS * lanes,
                .next = s->blocks * FEW_TAPS * lanes,
                .finish = &finish,
                .out = run->blocked_out + at,
                .sum = sums == NULL ? NULL : sums + b * lanes,
                .n = s->width,
            });
        }
    }
    s->table->drain();
}

static cupel_status run_few(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct few_state *s = plan->state;
    const struct sides sides = sides_of(call->view);
    const bool narrows = sides.few == &call->view->outputs[0];
    float *const panels = call->scratch;
    gather_filters(s, call->inputs[1], panels);
    struct few_run run = {.state = s,
                          .panels = panels,
                          .own = panels + s->panel_floats,
                          .inputs = call->inputs,
                          .few = call->inputs[0],
                          .blocked = call->inputs[0],
                          .few_out = call->outputs[0],
                          .blocked_out = call->outputs[0],
                          .bias = s->finish.bias < 0 ? NULL : call->inputs[s->finish.bias]};
    if (s->finish.sums)
        run.image_sums = run.own + plan->threads * s->own_floats;
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, s->images, narrows ? narrow_images : widen_images, &run);
    if (run.image_sums != NULL)
        conv_finish_sums(run.image_sums, s->images, blocked_channels(s), call->outputs[1]);
    return CUPEL_STATUS_OK;
}

/* ---- gradients of filters ---- */

static void sum_images(void *context, int64_t begin, int64_t end, int thread) {
    const struct few_run *run = context;
    const struct few_state *s = run->state;
    const int64_t lanes = s->table->block, image = s->height * s->width * lanes;
    for (int64_t segment = begin; segment < end; segment++) {
        float *const sums = run->sums + segment * s->sum_floats;
        memset(sums, 0, (size_t)s->sum_floats * sizeof *sums);
        const int64_t last = (segment + 1) * s->images / s->segments;
        for (int64_t n = segment * s->images / s->segments; n < last; n++) {
            const float *const planes = pad(s, run->few + n * s->few * s->few_height * s->few_width,
                                            run->own + thread * s->own_floats);
            for (int64_t b = 0; b < s->blocks; b++)
                for (int64_t f = 0; f < s->few; f++)
                    s->table->gradient(
                        s->height, s->width, run->blocked + (n * s->blocks + b) * image,
                        planes + f * padded_plane(s), padded_width(s), sums + panel_at(s, f, b),
                        f == 0 ? sums + s->panel_floats + b * lanes : NULL);
        }
    }
}

static void lay_down(const struct few_state *s, const float *sums, float *weights, float *bias) {
    const int64_t lanes = s->table->block;
    for (int64_t f = 0; f < s->few; f++)
        for (int64_t c = 0; c < s->blocks * lanes; c++)
            for (int t = 0; t < FEW_TAPS; t++)
                weights[f * s->few_step + c * s->blocked_step + t] =
                    sums[panel_at(s, f, c / lanes) + t * lanes + c % lanes];
    if (bias != NULL)
        memcpy(bias, sums + s->panel_floats, (size_t)(s->blocks * lanes) * sizeof *bias);
}

static cupel_status run_gradient(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct few_state *s = plan->state;
    const struct attrs_conv *attrs = call->view->attrs;
    struct few_run run = {.state = s,
                          .sums = call->scratch,
                          .own = (float *)call->scratch + s->segments * s->sum_floats,
                          .few = call->inputs[0],
                          .blocked = call->inputs[1]};
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, s->segments, sum_images, &run);
    for (int64_t half = s->segments / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half * s->sum_floats; i++)
            run.sums[i] += run.sums[half * s->sum_floats + i];
    if (!attrs->with_bias)
        *(float *)call->outputs[1] = 0.0F;
    lay_down(s, run.sums, call->outputs[0], attrs->with_bias ? call->outputs[1] : NULL);
    return CUPEL_STATUS_OK;
}

#define FEW_KERNEL(op_name, kernel_name, number, accepts, plans, runs) \
    { \
        .op = op_name, .name = kernel_name, .revision = number, .accept = accepts, .plan = plans, \
        .run = runs, .drop = drop_few \
    }

const struct kernel few_kernels[] = {
    FEW_KERNEL("conv2d", "vec:few", 3, accept_few, plan_few, run_few),
    FEW_KERNEL("conv2d_backward_data", "vec:few", 3, accept_few, plan_few, run_few),
    FEW_KERNEL("conv2d_backward_weights", "vec:few", 2, accept_gradient, plan_gradient,
               run_gradient),
    FEW_KERNEL("fused_conv", "vec:few-fused", 4, accept_fused, plan_few, run_few),
    {.op = NULL},
};
