/*
 * Gradients of a matrix beside a flattened image that stays in its blocks, summed over the images
 * chunk by chunk, and the optimiser's update that uses such a gradient up while it lies in the
 * cache: it never goes to memory. What several updates want of one image is summed in one walk over
 * it, the rows of one matrix behind those of the other; the plain sum over the batch is one more
 * row, whose factors are ones. Every element is summed over the images in order by one thread.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/image_matmul.h"
#include "backend/cpu/update.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"

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

void image_gradient_panels(const struct image_chunks *c, const struct image_chunk *chunk,
                           const float *image, const float *other, float *panels) {
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

/* ---- with updates ---- */

enum { MOST_PARTS = IMAGE_SWEEP_MAX_PARTS };

/* A node is one image_update, or several of one image. */
static int parts_of(const cupel_op_view *view) {
    const struct attrs_image_sweep *sweep = view->attrs;
    return view->op == &op_image_sweep ? (int)sweep->n_parts : 1;
}

static cupel_op_view part_of(const cupel_op_view *view, int part, cupel_desc *inputs) {
    return view->op == &op_image_sweep ? image_sweep_part_view(view, part, inputs) : *view;
}

static int operand_of(const cupel_op_view *view, int part, int i) {
    const struct attrs_image_sweep *sweep = view->attrs;
    return view->op == &op_image_sweep ? image_sweep_operand(&sweep->parts[part], i) : i;
}

struct image_update_state {
    struct image_chunks chunks; /* outs: of all parts */
    const struct vec_update_table *table;
    int n_parts;
    struct rows {
        int64_t first, count;
        bool outs_last; /* its matrix is [C H W, outs] */
    } parts[MOST_PARTS];
    int64_t panel_floats, own_floats; /* scratch of a thread: panels, and a part in its order */
};

static bool accept_part(const cupel_op_view *part, int threads, const char **why) {
    const struct attrs_product_update *attrs = part->attrs;
    cupel_desc gradient, operands[SWEEP_MAX_PART_INPUTS];
    cupel_op_view product;
    if (!KERNEL_REQUIRE(product_update_product(part, &gradient, &product) == CUPEL_STATUS_OK,
                        "the product does not fit"))
        return false;
    const struct kernel_request update = {.view = product_update_update(part, &gradient, operands),
                                          .threads = threads};
    return (attrs->summed ? image_chunks_accept(&product, &product.inputs[0], why)
                          : image_gradient_accept(&product, why)) &&
           update_accept(&update, why);
}

static bool accept_image_updates(const struct kernel_request *request, const char **why) {
    for (int p = 0; p < parts_of(&request->view); p++) {
        cupel_desc inputs[IMAGE_SWEEP_MAX_PART_INPUTS];
        const cupel_op_view part = part_of(&request->view, p, inputs);
        if (!accept_part(&part, request->threads, why))
            return false;
    }
    return true;
}

/* The rows of a part, behind those of the parts before. */
static struct rows rows_of(const cupel_op_view *part, int64_t first) {
    const struct attrs_product_update *attrs = part->attrs;
    if (attrs->summed)
        return (struct rows){.first = first, .count = 1};
    return (struct rows){.first = first,
                         .count = part->inputs[other_of(&attrs->image)].shape.dims[1],
                         .outs_last = attrs->image.role == IMAGE_A};
}

static cupel_status plan_image_updates(struct kernel_plan *plan,
                                       const struct kernel_request *request,
                                       struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct image_update_state *const s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "an update's plan", sizeof *s);
    int64_t rows = 0, in_order = 1;
    bool outs_last = false;
    for (int p = 0; p < parts_of(view); p++) {
        cupel_desc inputs[IMAGE_SWEEP_MAX_PART_INPUTS];
        const cupel_op_view part = part_of(view, p, inputs);
        const struct rows *const at = &s->parts[p];
        s->parts[p] = rows_of(&part, rows);
        s->n_parts++;
        rows += at->count;
        outs_last = outs_last || at->outs_last;
        if (at->outs_last && at->count > in_order)
            in_order = at->count;
    }
    const cupel_desc *const image =
        &view->inputs[view->op == &op_image_sweep ? 0 : image_update_image(view->attrs)];
    /* Panels have the room to themselves where no whole chunk is brought in order beside them. */
    s->chunks = image_chunks_make(image, rows, outs_last, outs_last ? rows : (rows + 1) / 2);
    s->table = cpu_vec_update();
    s->panel_floats = image_panel_floats(&s->chunks, rows);
    s->own_floats = s->panel_floats + image_panel_floats(&s->chunks, in_order);
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes =
        sizeof(float) * (size_t)(plan->threads * s->own_floats + s->chunks.images * rows);
    return CUPEL_STATUS_OK;
}

static void drop_image_updates(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct image_update_run {
    const struct image_update_state *state;
    const float *image, *factors; /* [image][row] */
    float *own;
    struct update updates[MOST_PARTS];
    const void *operands[MOST_PARTS][SWEEP_MAX_PART_INPUTS]; /* of the updates */
};

/* A chunk's gradient in runs that lie together in the matrix, each of which is used up. */
static void use_up(const struct image_update_run *run, int part, const struct image_chunk *chunk,
                   const float *panels, float *runs) {
    const struct image_chunks *c = &run->state->chunks;
    const struct vec_update_table *table = run->state->table;
    const struct update *update = &run->updates[part];
    const struct rows *rows = &run->state->parts[part];
    const int64_t block = c->table->block, n = chunk->pixels, outs = rows->count;
    const int64_t at = chunk->channel * c->pixels + chunk->pixel;
    const int64_t panel_row = image_panel_row(c, chunk), pixel = image_panel_pixel(c, c->outs);
    panels += rows->first * panel_row;
    if (rows->outs_last) { /* [channel][pixel][out] */
        for (int64_t p = 0; p < n; p++)
            c->move->transpose(panels + p * pixel, panel_row, outs, block, runs + p * outs,
                               n * outs);
        for (int64_t i = 0; i < block; i++)
            update_range(table, update, runs + i * n * outs, (at + i * c->pixels) * outs, n * outs);
        return;
    }
    for (int64_t o = 0; o < outs; o++) { /* [channel][pixel] */
        c->move->transpose(panels + o * panel_row, pixel, n, block, runs, n);
        for (int64_t i = 0; i < block; i++)
            update_range(table, update, runs + i * n, (o * c->channels + i) * c->pixels + at, n);
    }
}

static void update_chunks(void *context, int64_t begin, int64_t end, int thread) {
    const struct image_update_run *run = context;
    const struct image_update_state *s = run->state;
    float *const panels = run->own + thread * s->own_floats;
    for (int64_t i = begin; i < end; i++) {
        const struct image_chunk chunk = image_chunk_at(&s->chunks, i);
        image_gradient_panels(&s->chunks, &chunk, run->image, run->factors, panels);
        for (int p = 0; p < s->n_parts; p++)
            use_up(run, p, &chunk, panels, panels + s->panel_floats);
    }
}

/* The factors of a part beside those of the others; of a sum, ones. */
static void gather_factors(const struct image_chunks *c, const struct rows *rows,
                           const float *matrix, float *to) {
    for (int64_t n = 0; n < c->images; n++)
        for (int64_t o = 0; o < rows->count; o++)
            to[n * c->outs + rows->first + o] = matrix == NULL ? 1.0F : matrix[n * rows->count + o];
}

static cupel_status prepare(struct image_update_run *run, const struct kernel_call *call, int p,
                            void *const *outputs, float *factors) {
    const struct image_update_state *s = run->state;
    cupel_desc inputs[IMAGE_SWEEP_MAX_PART_INPUTS], gradient, descs[SWEEP_MAX_PART_INPUTS];
    const cupel_op_view part = part_of(call->view, p, inputs);
    const struct attrs_product_update *attrs = part.attrs;
    const int image = image_update_image(attrs);
    cupel_op_view product;
    CUPEL_TRY(product_update_product(&part, &gradient, &product));
    const cupel_op_view update = product_update_update(&part, &gradient, descs);
    for (int i = 0; i < update.n_inputs; i++) {
        const int from = operand_of(call->view, p, product_update_operand(attrs, i));
        run->operands[p][i] = i == (int)attrs->gradient ? NULL : call->inputs[from];
    }
    run->image = call->inputs[operand_of(call->view, p, image)];
    run->updates[p] = update_of(&update, run->operands[p], outputs);
    gather_factors(&s->chunks, &s->parts[p],
                   attrs->summed ? NULL : call->inputs[operand_of(call->view, p, 1 - image)],
                   factors);
    return CUPEL_STATUS_OK;
}

static cupel_status run_image_updates(const struct kernel_plan *plan,
                                      const struct kernel_call *call) {
    const struct image_update_state *s = plan->state;
    const struct attrs_image_sweep *sweep = call->view->attrs;
    float *const factors = (float *)call->scratch + plan->threads * s->own_floats;
    struct image_update_run run = {.state = s, .factors = factors, .own = call->scratch};
    for (int p = 0; p < s->n_parts; p++) {
        const int first = call->view->op == &op_image_sweep ? sweep->parts[p].first_output : 0;
        CUPEL_TRY(prepare(&run, call, p, call->outputs + first, factors));
    }
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, s->chunks.chunks, update_chunks, &run);
    return CUPEL_STATUS_OK;
}

#define IMAGE_UPDATE_KERNEL(op_name, kernel_revision) \
    { \
        .op = op_name, .name = "vec:" op_name, .revision = kernel_revision, \
        .accept = accept_image_updates, .plan = plan_image_updates, .run = run_image_updates, \
        .drop = drop_image_updates \
    }

const struct kernel image_update_kernels[] = {
    IMAGE_UPDATE_KERNEL("image_update", 5),
    IMAGE_UPDATE_KERNEL("image_sweep", 1),
    {.op = NULL},
};
