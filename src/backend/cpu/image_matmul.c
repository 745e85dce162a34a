/*
 * Products with a flattened image that stays in its blocks: [N, C H W] by a matrix of few columns
 * (features to latents), and back (latents to features, gradients of features). Not the image is
 * brought into the matrix' order but, chunk by chunk in the cache, the matrix into the image's: it
 * is the smaller one as soon as a batch has more images than the matrix has columns. Each image is
 * read or written once. Sums over the image are cut into at most 8 pieces by the shape alone, which
 * meet in a fixed tree: bits do not depend on the number of threads.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/image_matmul.h"

#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_internal.h"

enum {
    /* Of a chunk's panels, which stay in the L2 cache beside images. Long chunks read and write the
     * matrix in long runs. */
    PANEL_BYTES = 768 * 1024,
    FEWEST_PIXELS = 24,
    CACHED_BYTES = 8 << 20, /* of an image that goes through the caches */
    MOST_SEGMENTS = 8
};

/* ---- chunks ---- */

bool image_chunks_accept(const cupel_op_view *view, const cupel_desc *image, const char **why) {
    const struct vec_image_matmul_table *const table = cpu_vec_image_matmul();
    const cupel_layout wanted = table->block == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
    bool reals = true;
    for (int i = 0; i < view->n_inputs; i++)
        reals = reals && view->inputs[i].type == CUPEL_TYPE_F32 &&
                (&view->inputs[i] == image || view->inputs[i].shape.rank == 4 ||
                 view->inputs[i].layout == CUPEL_LAYOUT_PLAIN);
    return KERNEL_REQUIRE(reals, "operands are not f32 or not plain") &&
           KERNEL_REQUIRE(image->layout == wanted, "the image is not in blocks of a vector");
}

struct image_chunks image_chunks_make(const cupel_desc *image, int64_t outs, bool outs_last,
                                      int64_t outs_total) {
    const int64_t *const dims = image->shape.dims;
    struct image_chunks c = {.table = cpu_vec_image_matmul(),
                             .move = cpu_vec_reorder(),
                             .images = dims[0],
                             .channels = dims[1],
                             .pixels = dims[2] * dims[3],
                             .outs = outs,
                             .outs_last = outs_last};
    int64_t most = PANEL_BYTES / (outs_total * c.table->block * (int64_t)sizeof(float));
    most = most < FEWEST_PIXELS ? FEWEST_PIXELS : most;
    c.pieces = (c.pixels + most - 1) / most;
    c.piece = (c.pixels + c.pieces - 1) / c.pieces;
    c.pieces = (c.pixels + c.piece - 1) / c.piece;
    c.chunks = c.channels / c.table->block * c.pieces;
    return c;
}

struct image_chunk image_chunk_at(const struct image_chunks *c, int64_t index) {
    const int64_t block = c->table->block;
    struct image_chunk chunk = {.channel = index / c->pieces * block,
                                .pixel = index % c->pieces * c->piece};
    const int64_t left = c->pixels - chunk.pixel;
    chunk.pixels = left < c->piece ? left : c->piece;
    chunk.at = chunk.channel * c->pixels + chunk.pixel * block;
    return chunk;
}

int64_t image_panel_floats(const struct image_chunks *c, int64_t rows) {
    return c->piece * rows * c->table->block;
}

int64_t image_panel_pixel(const struct image_chunks *c, int64_t rows) {
    return (c->outs_last ? rows : 1) * c->table->block;
}

int64_t image_panel_row(const struct image_chunks *c, const struct image_chunk *chunk) {
    return (c->outs_last ? 1 : chunk->pixels) * c->table->block;
}

void image_gather(const struct image_chunks *c, const struct image_chunk *chunk,
                  const float *matrix, int64_t rows, float *panels) {
    const int64_t block = c->table->block, row = chunk->channel * c->pixels + chunk->pixel;
    if (c->outs_last) { /* of each pixel a tile [channel][out] */
        for (int64_t p = 0; p < chunk->pixels; p++)
            c->move->transpose(matrix + (row + p) * c->outs, c->pixels * c->outs, block, c->outs,
                               panels + p * rows * block, block);
        return;
    }
    for (int64_t o = 0; o < c->outs; o++) /* of each out a tile [channel][pixel] */
        c->move->transpose(matrix + o * c->channels * c->pixels + row, c->pixels, block,
                           chunk->pixels, panels + o * image_panel_row(c, chunk), block);
}

/* ---- the kernel's plan ---- */

struct image_matmul_state {
    struct image_chunks chunks;
    struct image_gradient gradient; /* where the product is one */
    enum image_role role;
    bool is_gradient;
    bool in_place;      /* a sum over the image reads the matrix where it lies */
    int64_t rows;       /* of a panel: outs of all products, or whole vectors of outs */
    int64_t segments;   /* of a sum over the image */
    int64_t sum_floats; /* of a segment */
    int64_t own_floats; /* scratch of a thread */
};

static const cupel_desc *image_of(const cupel_op_view *view) {
    const struct attrs_image_matmul *attrs = view->attrs;
    return attrs->role == IMAGE_RESULT ? &view->outputs[0] : &view->inputs[attrs->role];
}

/* A sum over images: the gradient of a matrix. */
static bool sums_images(const struct attrs_image_matmul *attrs) {
    return attrs->role != IMAGE_RESULT && attrs->transpose_a;
}

static bool accept_image_matmul(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const struct attrs_image_matmul *attrs = view->attrs;
    const int mask = image_matmul_mask(attrs);
    if (sums_images(attrs))
        return image_gradient_accept(view, why);
    return image_chunks_accept(view, image_of(view), why) &&
           KERNEL_REQUIRE(!attrs->transpose_a && attrs->role != IMAGE_B,
                          "the image is transposed") &&
           KERNEL_REQUIRE(mask < 0 || view->inputs[mask].layout == view->outputs[0].layout,
                          "the mask has another layout") &&
           KERNEL_REQUIRE(attrs->role == IMAGE_RESULT ||
                              view->outputs[0].layout == CUPEL_LAYOUT_PLAIN,
                          "the result is not plain");
}

static void plan_rows(struct image_matmul_state *s, const cupel_op_view *view) {
    const struct attrs_image_matmul *attrs = view->attrs;
    const cupel_desc *const b = &view->inputs[1];
    const int k_axis = attrs->transpose_b ? 1 : 0; /* of b: what a product sums over */
    const bool to_image = attrs->role == IMAGE_RESULT, outs_last = to_image == (k_axis == 1);
    const int64_t outs = b->shape.dims[to_image ? k_axis : 1 - k_axis];
    const int64_t lanes = cpu_vec_image_matmul()->lanes;
    s->rows = outs * attrs->products;
    if (!to_image)
        s->rows = (s->rows + lanes - 1) / lanes * lanes;
    s->chunks = image_chunks_make(image_of(view), outs, outs_last, s->rows);
    s->own_floats = image_panel_floats(&s->chunks, s->rows + (attrs->with_bias != 0));
    if (to_image)
        return;
    s->in_place = outs_last && outs == s->rows; /* one product, of whole vectors */
    if (s->in_place)
        s->own_floats = 0;
    s->segments = 1;
    while (s->segments < MOST_SEGMENTS && 2 * s->segments <= s->chunks.chunks)
        s->segments *= 2;
    s->sum_floats = s->chunks.images * s->rows;
}

static cupel_status plan_image_matmul(struct kernel_plan *plan,
                                      const struct kernel_request *request,
                                      struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    const struct attrs_image_matmul *attrs = view->attrs;
    struct image_matmul_state *const s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a product's plan", sizeof *s);
    s->role = (enum image_role)attrs->role;
    s->is_gradient = sums_images(attrs);
    if (s->is_gradient) {
        s->gradient = image_gradient_of(view);
        s->chunks = s->gradient.chunks;
        s->own_floats = image_panel_floats(&s->chunks, s->chunks.outs);
    } else {
        plan_rows(s, view);
    }
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    const int64_t factors = s->role == IMAGE_RESULT ? s->chunks.images * s->rows : 0;
    plan->scratch_bytes = sizeof(float) * (size_t)(plan->threads * s->own_floats + factors +
                                                   s->segments * s->sum_floats);
    return CUPEL_STATUS_OK;
}

static void drop_image_matmul(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct image_matmul_run {
    const struct image_matmul_state *state;
    const struct kernel_call *call;
    const struct attrs_image_matmul *attrs;
    float *own;           /* scratch of all threads */
    float *sums;          /* [segment][image][row] */
    const float *factors; /* [image][row] */
};

/* ---- matrices to images ---- */

/* The a of all products side by side. */
static const float *gather_factors(const struct image_matmul_run *run, float *to) {
    const struct image_chunks *c = &run->state->chunks;
    if (run->attrs->products == 1)
        return run->call->inputs[0];
    for (int64_t n = 0; n < c->images; n++)
        for (int i = 0; i < (int)run->attrs->products; i++)
            memcpy(to + n * run->state->rows + i * c->outs,
                   (const float *)run->call->inputs[2 * i] + n * c->outs,
                   (size_t)c->outs * sizeof(float));
    return to;
}

static void make_chunks(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_matmul_run *run = context;
    const struct image_matmul_state *s = run->state;
    const struct image_chunks *c = &s->chunks;
    const int64_t block = c->table->block, size = c->channels * c->pixels;
    const int bias = image_matmul_bias(run->attrs), mask = image_matmul_mask(run->attrs);
    float *const panels = run->own + thread * s->own_floats;
    float *const start = panels + image_panel_floats(c, s->rows);
    for (int64_t i = begin; i < end; i++) {
        const struct image_chunk chunk = image_chunk_at(c, i);
        for (int j = 0; j < (int)run->attrs->products; j++)
            image_gather(c, &chunk, run->call->inputs[2 * j + 1], s->rows,
                         panels + j * c->outs * image_panel_row(c, &chunk));
        if (bias >= 0)
            c->move->transpose((const float *)run->call->inputs[bias] + chunk.channel * c->pixels +
                                   chunk.pixel,
                               c->pixels, block, chunk.pixels, start, block);
        const float *const masks = mask < 0 ? NULL : run->call->inputs[mask];
        c->table->to_image(&(struct image_products){
            .rows = c->images,
            .pixels = chunk.pixels,
            .depth = s->rows,
            .a = run->factors,
            .a_row = s->rows,
            .a_step = 1,
            .b = panels,
            .b_pixel = image_panel_pixel(c, s->rows),
            .b_step = image_panel_row(c, &chunk),
            .start = bias < 0 ? NULL : start,
            .mask = masks == NULL ? NULL : masks + chunk.at,
            .out = (float *)run->call->outputs[0] + chunk.at,
            .out_row = size,
            .out_pixel = block,
            .finish = (enum image_finish)run->attrs->finish,
            .stream = c->images * size * (int64_t)sizeof(float) > CACHED_BYTES,
        });
    }
    c->table->drain();
}

/* ---- images to matrices ---- */

/* The part of a matrix that belongs to a chunk, as columns of panels[channel][pixel][row]. */
static void gather_columns(const struct image_matmul_state *s, const struct image_chunk *chunk,
                           const float *matrix, float *panels) {
    const struct image_chunks *c = &s->chunks;
    const int64_t block = c->table->block, row = chunk->channel * c->pixels + chunk->pixel;
    for (int64_t i = 0; i < block; i++) {
        const int64_t first = row + i * c->pixels;
        float *const to = panels + i * chunk->pixels * s->rows;
        if (c->outs_last)
            c->move->copy_rows(matrix + first * c->outs, c->outs, c->outs, chunk->pixels, to,
                               s->rows);
        else
            c->move->transpose(matrix + first, c->channels * c->pixels, c->outs, chunk->pixels, to,
                               s->rows);
    }
}

static void dot_chunk(const struct image_matmul_run *run, const struct image_chunk *chunk,
                      float *panels, float *sums) {
    const struct image_matmul_state *s = run->state;
    const struct image_chunks *c = &s->chunks;
    const float *const matrix = run->call->inputs[1]; /* of the first product */
    const int64_t row = chunk->channel * c->pixels + chunk->pixel;
    for (int i = 0; i < (int)run->attrs->products && !s->in_place; i++)
        gather_columns(s, chunk, run->call->inputs[1 + i], panels + i * c->outs);
    c->table->dot(&(struct image_dots){
        .images = c->images,
        .pixels = chunk->pixels,
        .width = s->rows,
        .x = (const float *)run->call->inputs[0] + chunk->at,
        .x_image = c->channels * c->pixels,
        .panels = s->in_place ? matrix + row * c->outs : panels,
        .panel_channel = (s->in_place ? c->pixels : chunk->pixels) * s->rows,
        .sums = sums,
    });
}

static void sum_segments(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_matmul_run *run = context;
    const struct image_matmul_state *s = run->state;
    const struct image_chunks *c = &s->chunks;
    float *const panels = run->own + thread * s->own_floats;
    memset(panels, 0, (size_t)s->own_floats * sizeof *panels); /* lanes behind the outs */
    for (int64_t segment = begin; segment < end; segment++) {
        float *const sums = run->sums + segment * s->sum_floats;
        memset(sums, 0, (size_t)s->sum_floats * sizeof *sums);
        const int64_t last = (segment + 1) * c->chunks / s->segments;
        for (int64_t i = segment * c->chunks / s->segments; i < last; i++) {
            const struct image_chunk chunk = image_chunk_at(c, i);
            dot_chunk(run, &chunk, panels, sums);
        }
    }
}

static void meet(const struct image_matmul_run *run) {
    const struct image_matmul_state *s = run->state;
    const struct image_chunks *c = &s->chunks;
    for (int64_t half = s->segments / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half * s->sum_floats; i++)
            run->sums[i] += run->sums[half * s->sum_floats + i];
    const int64_t outs = c->outs * run->attrs->products;
    for (int64_t n = 0; n < c->images; n++)
        memcpy((float *)run->call->outputs[0] + n * outs, run->sums + n * s->rows,
               (size_t)outs * sizeof(float));
}

/* ---- gradients ---- */

static void lay_down(const struct image_chunks *c, const struct image_chunk *chunk,
                     const float *panels, float *matrix) {
    const int64_t block = c->table->block, row = chunk->channel * c->pixels + chunk->pixel;
    if (c->outs_last) {
        for (int64_t p = 0; p < chunk->pixels; p++)
            c->move->transpose(panels + p * c->outs * block, block, c->outs, block,
                               matrix + (row + p) * c->outs, c->pixels * c->outs);
        return;
    }
    for (int64_t o = 0; o < c->outs; o++)
        c->move->transpose(panels + o * image_panel_row(c, chunk), block, chunk->pixels, block,
                           matrix + o * c->channels * c->pixels + row, c->pixels);
}

static void sum_images(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_matmul_run *run = context;
    const struct image_gradient *g = &run->state->gradient;
    float *const panels = run->own + thread * run->state->own_floats;
    for (int64_t i = begin; i < end; i++) {
        const struct image_chunk chunk = image_chunk_at(&g->chunks, i);
        image_gradient_panels(&g->chunks, &chunk, run->call->inputs[g->image],
                              run->call->inputs[g->other], panels);
        lay_down(&g->chunks, &chunk, panels, run->call->outputs[0]);
    }
}

static cupel_status run_image_matmul(const struct kernel_plan *plan,
                                     const struct kernel_call *call) {
    const struct image_matmul_state *s = plan->state;
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    struct image_matmul_run run = {
        .state = s, .call = call, .attrs = call->view->attrs, .own = call->scratch};
    float *const rest = run.own + plan->threads * s->own_floats;
    if (s->is_gradient) {
        parallel_each(threads, s->chunks.chunks, sum_images, &run);
    } else if (s->role == IMAGE_RESULT) {
        run.factors = gather_factors(&run, rest);
        parallel_each(threads, s->chunks.chunks, make_chunks, &run);
    } else {
        run.sums = rest;
        parallel_each(threads, s->segments, sum_segments, &run);
        meet(&run);
    }
    return CUPEL_STATUS_OK;
}

const struct kernel image_matmul_kernels[] = {
    {.op = "image_matmul",
     .name = "vec:image_matmul",
     .revision = 2,
     .accept = accept_image_matmul,
     .plan = plan_image_matmul,
     .run = run_image_matmul,
     .drop = drop_image_matmul},
    {.op = NULL},
};
