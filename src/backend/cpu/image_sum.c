/*
 * The sum of images in blocks over the batch, as one plain image: what a bias of every element gets
 * for a gradient. Pixels of a chunk are added image by image into a strip that stays in the nearest
 * cache, each in order by one thread. Floor: the images' bytes over the bandwidth.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/image_matmul.h"
#include "base/memory.h"
#include "base/parallel.h"

enum { STRIP_PIXELS = 128, BATCH_AXIS = 1 /* bit mask */ };

static bool accept_image_sum(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const struct attrs_reduce *attrs = view->attrs;
    return KERNEL_REQUIRE(attrs->axes == BATCH_AXIS && view->inputs[0].shape.rank == 4,
                          "no sum of images over the batch") &&
           image_chunks_accept(view, &view->inputs[0], why) &&
           KERNEL_REQUIRE(view->outputs[0].type == CUPEL_TYPE_F32 &&
                              view->outputs[0].layout == CUPEL_LAYOUT_PLAIN,
                          "the result is not plain f32");
}

static cupel_status plan_image_sum(struct kernel_plan *plan, const struct kernel_request *request,
                                   struct cupel_error *error) {
    struct image_chunks *const c = cupel_alloc(1, sizeof *c);
    if (c == NULL)
        return cupel_fail_memory(error, "a sum's plan", sizeof *c);
    *c = image_chunks_make(&request->view.inputs[0], 1, false, 1);
    plan->state = c;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes = sizeof(float) * (size_t)(plan->threads * STRIP_PIXELS * c->table->block);
    return CUPEL_STATUS_OK;
}

static void drop_image_sum(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct image_sum_run {
    const struct image_chunks *chunks;
    const float *images;
    float *out, *own;
};

static void sum_chunks(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_sum_run *run = context;
    const struct image_chunks *c = run->chunks;
    const int64_t block = c->table->block, size = c->channels * c->pixels;
    float *const strip = run->own + thread * STRIP_PIXELS * block;
    for (int64_t i = begin; i < end; i++) {
        const struct image_chunk chunk = image_chunk_at(c, i);
        for (int64_t p = 0; p < chunk.pixels; p += STRIP_PIXELS) {
            const int64_t left = chunk.pixels - p, n = left < STRIP_PIXELS ? left : STRIP_PIXELS;
            c->table->add_images(c->images, n, run->images + chunk.at + p * block, size, strip);
            c->move->transpose(strip, block, n, block,
                               run->out + chunk.channel * c->pixels + chunk.pixel + p, c->pixels);
        }
    }
}

static cupel_status run_image_sum(const struct kernel_plan *plan, const struct kernel_call *call) {
    struct image_sum_run run = {.chunks = plan->state,
                                .images = call->inputs[0],
                                .out = call->outputs[0],
                                .own = call->scratch};
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, run.chunks->chunks, sum_chunks, &run);
    return CUPEL_STATUS_OK;
}

const struct kernel image_sum_kernels[] = {
    {.op = "reduce_sum",
     .name = "vec:image_sum",
     .revision = 1,
     .accept = accept_image_sum,
     .plan = plan_image_sum,
     .run = run_image_sum,
     .drop = drop_image_sum},
    {.op = NULL},
};
