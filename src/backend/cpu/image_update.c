/*
 * Gradients of a matrix beside a flattened image that stays in its blocks, summed over the images
 * chunk by chunk, and the optimiser's update that uses such a gradient up while it lies in the
 * cache: it never goes to memory. Every element is summed over the images in order by one thread.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/image_matmul.h"
#include "backend/cpu/update.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"

/* ---- gradients ---- */

static int other_of(const struct attrs_image_matmul *attrs) {
    return attrs->role == IMAGE_A ? 1 : 0;
}

bool image_gradient_accept(const cupel_op_view *product, const char **why) {
    const struct attrs_image_matmul *attrs = product->attrs;
    return KERNEL_REQUIRE(attrs->role != IMAGE_RESULT && attrs->transpose_a && !attrs->transpose_b,
                          "no sum over the images") &&
           image_chunks_accept(product, &product->inputs[attrs->role], why) &&
           KERNEL_REQUIRE(product->inputs[other_of(attrs)].shape.rank == 2,
                          "both operands are images");
}

struct image_gradient image_gradient_of(const cupel_op_view *product) {
    const struct attrs_image_matmul *attrs = product->attrs;
    struct image_gradient g = {.image = (int)attrs->role, .other = other_of(attrs)};
    const int64_t outs = product->inputs[g.other].shape.dims[1];
    g.chunks = image_chunks_make(&product->inputs[g.image], outs, attrs->role == IMAGE_A, outs);
    return g;
}

void image_gradient_panels(const struct image_gradient *g, const struct image_chunk *chunk,
                           const float *image, const float *other, float *panels) {
    const struct image_chunks *c = &g->chunks;
    const int64_t block = c->table->block;
    c->table->of_images(&(struct image_products){
        .rows = c->outs,
        .pixels = chunk->pixels,
        .depth = c->images,
        .a = other,
        .a_row = 1,
        .a_step = c->outs,
        .b = image + chunk->at,
        .b_pixel = block,
        .b_step = c->channels * c->pixels,
        .out = panels,
        .out_row = image_panel_row(c, chunk),
        .out_pixel = image_panel_pixel(c, c->outs),
    });
}

/* ---- with an update ---- */

struct image_update_state {
    struct image_gradient gradient;
    const struct vec_update_table *table;
    int64_t own_floats; /* scratch of a thread: panels, and the same in the matrix' order */
};

static bool accept_image_update(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    cupel_desc gradient, operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view product;
    if (!KERNEL_REQUIRE(product_update_product(view, &gradient, &product) == CUPEL_STATUS_OK,
                        "the product does not fit"))
        return false;
    const struct kernel_request update = {.view = product_update_update(view, &gradient, operands),
                                          .threads = request->threads};
    return image_gradient_accept(&product, why) && update_accept(&update, why);
}

static cupel_status plan_image_update(struct kernel_plan *plan,
                                      const struct kernel_request *request,
                                      struct cupel_error *error) {
    cupel_desc gradient;
    cupel_op_view product;
    struct image_update_state *const s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "an update's plan", sizeof *s);
    (void)product_update_product(&request->view, &gradient, &product); /* was accepted */
    s->gradient = image_gradient_of(&product);
    s->table = cpu_vec_update();
    s->own_floats = 2 * image_panel_floats(&s->gradient.chunks, s->gradient.chunks.outs);
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes = sizeof(float) * (size_t)(plan->threads * s->own_floats);
    return CUPEL_STATUS_OK;
}

static void drop_image_update(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct image_update_run {
    const struct image_update_state *state;
    const float *image, *other;
    float *own;
    struct update update;
};

/* A chunk's gradient in runs that lie together in the matrix, each of which is used up. */
static void use_up(const struct image_update_run *run, const struct image_chunk *chunk,
                   const float *panels, float *runs) {
    const struct image_chunks *c = &run->state->gradient.chunks;
    const int64_t block = c->table->block, n = chunk->pixels;
    const int64_t row = chunk->channel * c->pixels + chunk->pixel;
    if (c->outs_last) { /* [channel][pixel][out] */
        for (int64_t p = 0; p < n; p++)
            c->move->transpose(panels + p * c->outs * block, block, c->outs, block,
                               runs + p * c->outs, n * c->outs);
        for (int64_t i = 0; i < block; i++)
            update_range(run->state->table, &run->update, runs + i * n * c->outs,
                         (row + i * c->pixels) * c->outs, n * c->outs);
        return;
    }
    for (int64_t o = 0; o < c->outs; o++) { /* [channel][pixel] */
        c->move->transpose(panels + o * image_panel_row(c, chunk), block, n, block, runs, n);
        for (int64_t i = 0; i < block; i++)
            update_range(run->state->table, &run->update, runs + i * n,
                         o * c->channels * c->pixels + row + i * c->pixels, n);
    }
}

static void update_chunks(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_update_run *run = context;
    const struct image_gradient *g = &run->state->gradient;
    float *const panels = run->own + thread * run->state->own_floats;
    for (int64_t i = begin; i < end; i++) {
        const struct image_chunk chunk = image_chunk_at(&g->chunks, i);
        image_gradient_panels(g, &chunk, run->image, run->other, panels);
        use_up(run, &chunk, panels, panels + run->state->own_floats / 2);
    }
}

static cupel_status run_image_update(const struct kernel_plan *plan,
                                     const struct kernel_call *call) {
    const struct image_update_state *s = plan->state;
    const struct attrs_product_update *attrs = call->view->attrs;
    cupel_desc gradient, operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view product;
    CUPEL_TRY(product_update_product(call->view, &gradient, &product));
    const cupel_op_view update = product_update_update(call->view, &gradient, operands);
    const void *inputs[SWEEP_MAX_PART_INPUTS];
    for (int i = 0; i < update.n_inputs; i++)
        inputs[i] =
            i == (int)attrs->gradient ? NULL : call->inputs[product_update_operand(attrs, i)];
    struct image_update_run run = {.state = s,
                                   .image = call->inputs[s->gradient.image],
                                   .other = call->inputs[s->gradient.other],
                                   .own = call->scratch,
                                   .update = update_of(&update, inputs, call->outputs)};
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, s->gradient.chunks.chunks, update_chunks, &run);
    return CUPEL_STATUS_OK;
}

const struct kernel image_update_kernels[] = {
    {.op = "image_update",
     .name = "vec:image_update",
     .revision = 5,
     .accept = accept_image_update,
     .plan = plan_image_update,
     .run = run_image_update,
     .drop = drop_image_update},
    {.op = NULL},
};
