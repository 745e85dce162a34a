/*
 * Pooling in any layout: a plane is one image's channels that lie together (a block, up to 16 where
 * channels are last, one where they are apart); planes are shared out over threads.
 * Test: tests/test_kernels_pool.c
 */
#include <string.h>

#include "backend/cpu/vec_pool.h"
#include "backend/cpu/walk.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

enum { FEW_ELEMENTS = 8192 };

struct pool_state {
    const struct vec_pool_table *table;
    bool maximum, backward;
    struct pool_plane plane;
    int64_t channels, images, lanes, groups;
    /* From one image, one group of channels, to the next. */
    int64_t src_image, src_group, dst_image, dst_group;
};

/* The images (src) and the result (dst) of the forward op. */
static const cupel_desc *src_of(const cupel_op_view *view) {
    return strcmp(view->op->name, "avg_pool2d_backward") == 0 ? &view->outputs[0]
                                                              : &view->inputs[0];
}

static const cupel_desc *dst_of(const cupel_op_view *view) {
    if (strcmp(view->op->name, "max_pool2d_backward") == 0)
        return &view->inputs[1];
    return strcmp(view->op->name, "avg_pool2d_backward") == 0 ? &view->inputs[0]
                                                              : &view->outputs[0];
}

static bool accept_pool(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    bool f32 = view->outputs[0].type == CUPEL_TYPE_F32, same = true;
    for (int i = 0; i < view->n_inputs; i++) {
        f32 = f32 && view->inputs[i].type == CUPEL_TYPE_F32;
        same = same && view->inputs[i].layout == view->outputs[0].layout;
    }
    return KERNEL_REQUIRE(f32, "operands are not f32") &&
           KERNEL_REQUIRE(same && view->outputs[0].layout != CUPEL_LAYOUT_PACKED,
                          "images differ in layout");
}

static cupel_status plan_pool(struct kernel_plan *plan, const struct kernel_request *request,
                              struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_pool *attrs = view->attrs;
    const cupel_desc *src = src_of(view), *dst = dst_of(view);
    struct pool_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a pooling's plan", sizeof *s);
    s->table = cpu_vec_pool();
    s->maximum = strncmp(view->op->name, "max", 3) == 0;
    s->backward = strstr(view->op->name, "backward") != NULL;
    s->images = src->shape.dims[0];
    s->channels = src->shape.dims[1];
    s->plane = (struct pool_plane){.src_h = src->shape.dims[2],
                                   .src_w = src->shape.dims[3],
                                   .dst_h = dst->shape.dims[2],
                                   .dst_w = dst->shape.dims[3]};
    memcpy(s->plane.kernel, attrs->kernel, sizeof s->plane.kernel);
    memcpy(s->plane.stride, attrs->stride, sizeof s->plane.stride);
    memcpy(s->plane.padding, attrs->padding, sizeof s->plane.padding);
    const int64_t src_pixels = s->plane.src_h * s->plane.src_w;
    const int64_t dst_pixels = s->plane.dst_h * s->plane.dst_w;
    s->src_image = s->channels * src_pixels;
    s->dst_image = s->channels * dst_pixels;
    if (src->layout == CUPEL_LAYOUT_NHWC) {
        s->lanes = POOL_LANES;
        s->plane.pixel = s->channels;
        s->src_group = s->dst_group = s->lanes;
    } else {
        s->lanes = src->layout == CUPEL_LAYOUT_NCHW16C  ? 16
                   : src->layout == CUPEL_LAYOUT_NCHW8C ? 8
                                                        : 1;
        s->plane.pixel = s->lanes;
        s->src_group = s->lanes * src_pixels;
        s->dst_group = s->lanes * dst_pixels;
    }
    s->groups = (s->channels + s->lanes - 1) / s->lanes;
    plan->state = s;
    plan->threads = request->threads;
    return CUPEL_STATUS_OK;
}

static void drop_pool(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct pool_run {
    const struct pool_state *state;
    const float *src, *dst; /* what is read */
    float *out;
};

static void run_planes(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct pool_run *run = context;
    const struct pool_state *s = run->state;
    for (int64_t i = begin; i < end; i++) {
        const int64_t image = i / s->groups, group = i % s->groups;
        const int64_t src = image * s->src_image + group * s->src_group;
        const int64_t dst = image * s->dst_image + group * s->dst_group;
        const int64_t left = s->channels - group * s->lanes;
        struct pool_plane plane = s->plane;
        plane.lanes = (int)(left < s->lanes ? left : s->lanes);
        if (s->maximum && s->backward)
            s->table->max_backward(&plane, run->src + src, run->dst + dst, run->out + src);
        else if (s->maximum)
            s->table->max(&plane, run->src + src, run->out + dst);
        else if (s->backward)
            s->table->average_backward(&plane, run->dst + dst, run->out + src);
        else
            s->table->average(&plane, run->src + src, run->out + dst);
    }
}

static cupel_status run_pool(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct pool_state *s = plan->state;
    struct pool_run run = {.state = s, .out = call->outputs[0]};
    if (s->maximum || !s->backward)
        run.src = call->inputs[0];
    if (s->backward)
        run.dst = call->inputs[s->maximum ? 1 : 0];
    const int threads = s->images * s->src_image < FEW_ELEMENTS ? 1 : call->threads;
    parallel_for(threads, s->images * s->groups, 1, run_planes, &run);
    return CUPEL_STATUS_OK;
}

#define POOL_KERNEL(op_name) \
    { \
        .op = op_name, .name = "vec:pool", .revision = 1, .accept = accept_pool, \
        .plan = plan_pool, .run = run_pool, .drop = drop_pool \
    }

const struct kernel pool_kernels[] = {
    POOL_KERNEL("max_pool2d"),
    POOL_KERNEL("max_pool2d_backward"),
    POOL_KERNEL("avg_pool2d"),
    POOL_KERNEL("avg_pool2d_backward"),
    {.op = NULL},
};
