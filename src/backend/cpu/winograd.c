/*
 * 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) and F(2x2, 3x3), forward and backward
 * data: 36 products of small matrices for 16 pixels instead of 144 (16 for 4 instead of 36), at the
 * price of sums before and after. Tiles of one form are numbered through all images; a thread takes
 * lots of tiles so small that the transformed pixels stay in its L2 cache, and when it is done with
 * its own, lots of others. What it will read next comes from memory while it multiplies. Backward
 * data is the forward computation with turned filters. Each tile is computed by itself, and where
 * results are summed lots are cut without regard to threads, so bits do not depend on them.
 * Tests: tests/test_kernels_winograd.c, tests/test_kernels_conv_sums.c
 */
#include "backend/cpu/winograd.h"

#include "backend/cpu/conv_finish.h"
#include "backend/cpu/winograd_ahead.h"
#include "base/memory.h"
#include "base/parallel.h"

enum {
    PAD = 16,       /* floats between planes, against equal low address bits */
    SUM_LOTS = 4,   /* where each lot has its sum they come in multiples of this */
    LOT_TILES = 56, /* taken at once, at most */
    /* Results that the next node still finds in the outer cache; larger ones are written past it,
     * which is faster, and read from memory. */
    CACHED_BYTES = 8 << 20
};

/* Tiles that are taken at once. */
struct lot {
    const struct winograd_part *part;
    int64_t first, n;
};

struct winograd_state {
    struct winograd_shape shape;
    struct lot *lots; /* in the order of images */
    int64_t n_lots;
    int width;    /* blocks of the result that a product makes at once */
    int group;    /* tiles that a product takes at once */
    int groups;   /* of a lot */
    bool flipped; /* backward data */
    struct conv_finish_plan finish;
    bool past_caches;
    /* Floats: a lot's block of channels, a plane of pixels and of products, a thread's scratch;
     * what a product asks of memory for later. */
    int64_t lot, v_stride, m_stride, thread_floats, stretch;
};

static bool accept_either(const struct kernel_request *request, bool small, const char **why) {
    const cupel_op_view *view = &request->view;
    struct conv_finish_plan finish;
    return winograd_accept(view, small, &view->inputs[0], &view->outputs[0], &view->inputs[1],
                           why) &&
           KERNEL_REQUIRE(conv_finish_plan(view, &finish),
                          "the chain is more than a bias and an activation, or its gradient");
}

static bool accept_large(const struct kernel_request *request, const char **why) {
    return accept_either(request, false, why);
}

static bool accept_small(const struct kernel_request *request, const char **why) {
    return accept_either(request, true, why);
}

/* ---- filters ---- */

/* Blocks of the result's channels that a product makes at once. */
struct strip {
    int64_t first;
    int width;
};

/* The strip that begins with a block: as wide as products are, in the end two blocks or one. */
static struct strip strip_at(const struct winograd_state *s, int64_t first) {
    const int64_t left = s->shape.to_blocks - first;
    return (struct strip){first, left >= s->width ? s->width : left >= 2 ? 2 : 1};
}

static int64_t strip_offset(const struct winograd_state *s, struct strip strip) {
    return strip.first * s->shape.n_planes * s->shape.from_blocks * s->shape.block * s->shape.block;
}

struct packing {
    const struct winograd_state *state;
    const float *weights;
    float *to;
};

/* Units are channels read. [strip][plane][channel read][channel written] */
static void pack_channels(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const struct packing *packing = context;
    const struct winograd_state *s = packing->state;
    const int block = s->shape.block;
    const int64_t read = s->shape.from_blocks * block, written = s->shape.to_blocks * block;
    /* forward: [written][read][9]; backward: [read][written][9] */
    const int64_t read_stride = s->flipped ? written * 9 : 9;
    const int64_t written_stride = s->flipped ? 9 : read * 9;
    struct strip strip;
    for (int64_t first = 0; first < s->shape.to_blocks; first += strip.width) {
        strip = strip_at(s, first);
        const int64_t wide = (int64_t)strip.width * block;
        for (int64_t c = begin; c < end; c++)
            for (int64_t b = 0; b < strip.width; b++)
                s->shape.table->filter(
                    packing->weights + (first + b) * block * written_stride + c * read_stride,
                    written_stride, s->flipped, s->shape.small,
                    packing->to + strip_offset(s, strip) + c * wide + b * block, read * wide);
    }
}

static cupel_status pack_filters(const struct kernel_plan *plan, int index, const void *from,
                                 void *to) {
    const struct winograd_state *s = plan->state;
    struct packing packing = {.state = s, .weights = from, .to = to};
    if (index != 0)
        return CUPEL_STATUS_BUG;
    parallel_for(plan->threads, s->shape.from_blocks * s->shape.block, 1, pack_channels, &packing);
    return CUPEL_STATUS_OK;
}

/* ---- planning ---- */

/* So few that transformed pixels and products leave the filters room in the L2 cache. */
static int lot_tiles(int64_t channels) {
    return channels <= 32 ? LOT_TILES : channels <= 64 ? 36 : channels <= 128 ? 28 : 14;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t groups_of(const struct winograd_state *s, int64_t tiles) {
    return (tiles + s->group - 1) / s->group;
}

/* Lots of a part: as many tiles each as fit, no more than needed to be even for so many threads. */
static int64_t lots_of(const struct winograd_state *s, const struct winograd_part *part,
                       int threads) {
    const int64_t groups = groups_of(s, part->tiles);
    const int64_t lots = (groups + s->groups - 1) / s->groups;
    const int64_t even = (lots + threads - 1) / threads * threads;
    return even < groups ? even : groups;
}

static struct lot lot_at(const struct winograd_state *s, const struct winograd_part *part,
                         int64_t index, int64_t lots) {
    const int64_t groups = groups_of(s, part->tiles);
    const int64_t begin = groups * index / lots * s->group;
    const int64_t end = smaller(groups * (index + 1) / lots * s->group, part->tiles);
    return (struct lot){part, begin, end - begin};
}

/* Lots of all parts, those of the same images beside each other: the edges of an image read what
 * its other tiles read just before. */
static cupel_status list_lots(struct winograd_state *s, int threads, struct cupel_error *error) {
    const struct winograd_shape *shape = &s->shape;
    int64_t lots[WINOGRAD_FORMS], taken[WINOGRAD_FORMS] = {0};
    for (int p = 0; p < shape->n_parts; p++)
        s->n_lots += lots[p] = lots_of(s, &shape->parts[p], threads);
    s->lots = cupel_alloc((size_t)s->n_lots, sizeof *s->lots);
    if (s->lots == NULL)
        return cupel_fail_memory(error, "a convolution's plan",
                                 (size_t)s->n_lots * sizeof *s->lots);
    for (int64_t i = 0; i < s->n_lots; i++) {
        int next = 0; /* the part of which the smallest share is listed */
        for (int p = 1; p < shape->n_parts; p++)
            if ((taken[p] + 1) * lots[next] < (taken[next] + 1) * lots[p])
                next = p;
        s->lots[i] = lot_at(s, &shape->parts[next], taken[next], lots[next]);
        taken[next]++;
    }
    return CUPEL_STATUS_OK;
}

static void drop_winograd(struct kernel_plan *plan) {
    struct winograd_state *s = plan->state;
    if (s != NULL)
        cupel_free(s->lots);
    cupel_free(s);
    plan->state = NULL;
}

static int64_t to_channels(const struct winograd_state *s) {
    return s->shape.to_blocks * s->shape.block;
}

static cupel_status plan_either(struct kernel_plan *plan, const struct kernel_request *request,
                                bool small, struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct winograd_state *s = cupel_alloc(1, sizeof *s);
    if (s == NULL)
        return cupel_fail_memory(error, "a convolution's plan", sizeof *s);
    const struct attrs_conv *attrs = conv_finish_attrs(view, &s->flipped);
    (void)conv_finish_plan(view, &s->finish); /* accepted before */
    s->past_caches = cupel_desc_bytes(&view->outputs[0]) > CACHED_BYTES;
    const int64_t padding[2] = {s->flipped ? 2 - attrs->padding[0] : attrs->padding[0],
                                s->flipped ? 2 - attrs->padding[1] : attrs->padding[1]};
    s->shape = winograd_shape_of(small, &view->inputs[0], &view->outputs[0], padding);
    const int64_t channels = s->shape.from_blocks * s->shape.block;
    const struct vec_winograd_product_table *products = s->shape.products;
    s->width = s->shape.to_blocks >= products->widest ? products->widest : 2;
    s->group = s->width > 2 ? products->wide_tiles : products->tiles;
    s->stretch = WINOGRAD_LINE * s->shape.from_blocks *
                 (s->width > 2 ? products->wide_fetches : products->fetches);
    s->groups = lot_tiles(channels) / s->group;
    const int64_t group = (int64_t)s->group * s->shape.block;
    s->lot = s->groups * group;
    s->v_stride = s->shape.from_blocks * s->lot + PAD;
    s->m_stride = s->width * s->lot + PAD;
    s->thread_floats = WINOGRAD_PLANES * (s->v_stride + s->m_stride);
    plan->state = s;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    const cupel_status status = list_lots(s, s->finish.sums ? SUM_LOTS : plan->threads, error);
    if (status != CUPEL_STATUS_OK) {
        drop_winograd(plan);
        return status;
    }
    plan->scratch_bytes = (size_t)plan->threads * (size_t)s->thread_floats * sizeof(float);
    if (s->finish.sums)
        plan->scratch_bytes += (size_t)(s->n_lots * to_channels(s)) * sizeof(float);
    plan->n_packs = 1;
    plan->packs[0] = (struct kernel_pack){
        .operand = 1,
        .bytes = (size_t)(s->shape.from_blocks * s->shape.to_blocks * s->shape.n_planes) *
                 (size_t)(s->shape.block * s->shape.block) * sizeof(float)};
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

/* ---- running ---- */

struct winograd_run {
    const struct winograd_state *state;
    const void *const *inputs;
    const float *from, *filters;
    float *to, *scratch;
    float *sums; /* [lot][channel] of the result; NULL: not wanted */
};

/* v: [plane][block][tile][channel]. Block after block, so that the processor sees streams of pixels
 * to prefetch. */
static void read_tiles(const struct winograd_run *run, const struct lot *lot, float *v) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    struct winograd_tile tiles[LOT_TILES];
    winograd_tiles(lot->part, shape->padding, lot->first, lot->n, tiles);
    for (int64_t b = 0; b < shape->from_blocks; b++)
        shape->table->source(&shape->from, lot->part->form,
                             run->from + b * shape->from.h * shape->from.w * shape->block, tiles,
                             lot->n, v + b * s->lot, s->v_stride, shape->block);
}

/* Products: [plane][block][tile][channel]. */
struct products {
    float *m;
    int64_t stride; /* of planes */
};

/* Those of the last strip take the place of the pixels: nobody needs these any more, and the near
 * cache has them. */
static struct products products_of(const struct winograd_state *s, struct strip strip, float *v) {
    const bool last = strip.first + strip.width == s->shape.to_blocks;
    return last && strip.width <= s->shape.from_blocks
               ? (struct products){v, s->v_stride}
               : (struct products){v + WINOGRAD_PLANES * s->v_stride, s->m_stride};
}

static void write_tiles(const struct winograd_run *run, const struct lot *lot, struct strip strip,
                        struct products products) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    struct winograd_tile tiles[LOT_TILES];
    winograd_tiles(lot->part, (const int64_t[2]){0, 0}, lot->first, lot->n, tiles);
    for (int64_t b = 0; b < strip.width; b++) {
        const int64_t channel = (strip.first + b) * shape->block;
        const int64_t offset = channel * shape->to.h * shape->to.w;
        struct conv_finish finish = conv_finish_of(&s->finish, run->inputs, channel, offset);
        finish.past_caches = s->past_caches;
        float *sum =
            run->sums == NULL ? NULL : run->sums + (lot - s->lots) * to_channels(s) + channel;
        shape->table->result(&shape->to, lot->part->form, products.m + b * s->lot, products.stride,
                             shape->block, &finish, tiles, lot->n, run->to + offset, sum);
    }
}

static void multiply(const struct winograd_run *run, const struct lot *lot, struct strip strip,
                     const float *v, struct products products, struct winograd_ahead *ahead) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const struct winograd_part *part = lot->part;
    const int64_t group = (int64_t)s->group * shape->block;
    const int64_t filter = shape->from_blocks * shape->block * shape->block * strip.width;
    const int64_t groups = groups_of(s, lot->n);
    const float *filters = run->filters + strip_offset(s, strip);
    for (int i = 0; i < part->n_planes; i++)
        for (int64_t g = 0; g < groups; g++) {
            const float *from = v + part->planes[i] * s->v_stride + g * group;
            shape->products->product(from, s->lot, filters + winograd_slot(shape, part, i) * filter,
                                     shape->from_blocks, s->group, strip.width,
                                     products.m + part->planes[i] * products.stride + g * group,
                                     s->lot, winograd_ahead_next(ahead, from));
        }
}

/* While a lot is multiplied, its own masks are asked for, then the next lot's pixels. */
static void look_ahead(const struct winograd_run *run, int64_t index,
                       struct winograd_ahead *ahead) {
    const struct winograd_state *s = run->state;
    const struct winograd_shape *shape = &s->shape;
    const struct lot *lot = &s->lots[index], *next = lot + 1;
    const int64_t groups = groups_of(s, lot->n);
    const int64_t strips = (shape->to_blocks + s->width - 1) / s->width;
    winograd_ahead_begin(ahead, s->stretch, lot->part->n_planes * groups * strips);
    if (s->finish.mask >= 0) {
        const float *mask = run->inputs[s->finish.mask];
        const struct winograd_pixels masks = {&shape->to, mask, shape->to_blocks, 0, 0};
        winograd_ahead_add(ahead, &masks, lot->part, lot->first, lot->n);
    }
    if (index + 1 < s->n_lots) {
        const struct winograd_pixels pixels = {&shape->from, run->from, shape->from_blocks,
                                               shape->padding[0], 2};
        winograd_ahead_add(ahead, &pixels, next->part, next->first, next->n);
    }
}

static void run_lots(void *context, int64_t begin, int64_t end, int thread) {
    const struct winograd_run *run = context;
    const struct winograd_state *s = run->state;
    float *v = run->scratch + thread * s->thread_floats;
    for (int64_t i = begin; i < end; i++) {
        const struct lot *lot = &s->lots[i];
        struct strip strip;
        struct winograd_ahead ahead;
        look_ahead(run, i, &ahead);
        read_tiles(run, lot, v);
        for (int64_t b = 0; b < s->shape.to_blocks; b += strip.width) {
            strip = strip_at(s, b);
            const struct products products = products_of(s, strip, v);
            multiply(run, lot, strip, v, products, &ahead);
            write_tiles(run, lot, strip, products);
        }
    }
    s->shape.table->drain();
}

static cupel_status run_winograd(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct winograd_state *s = plan->state;
    struct winograd_run run = {
        .state = s,
        .inputs = call->inputs,
        .from = call->inputs[0],
        .filters = call->inputs[1],
        .to = call->outputs[0],
        .scratch = call->scratch,
        .sums = s->finish.sums ? (float *)call->scratch + plan->threads * s->thread_floats : NULL,
    };
    const int threads = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_each(threads, s->n_lots, run_lots, &run);
    if (run.sums != NULL)
        conv_finish_sums(run.sums, s->n_lots, to_channels(s), call->outputs[1]);
    return CUPEL_STATUS_OK;
}

#define WINOGRAD_KERNEL(op_name, kernel_name, number, size) \
    { \
        .op = op_name, .name = kernel_name, .revision = number, .flags = KERNEL_WINOGRAD, \
        .accept = accept_##size, .plan = plan_##size, .run = run_winograd, .pack = pack_filters, \
        .drop = drop_winograd \
    }

const struct kernel winograd_kernels[] = {
    WINOGRAD_KERNEL("conv2d", "vec:winograd", 2, large),
    WINOGRAD_KERNEL("conv2d", "vec:winograd-2x2", 2, small),
    WINOGRAD_KERNEL("conv2d_backward_data", "vec:winograd", 2, large),
    WINOGRAD_KERNEL("conv2d_backward_data", "vec:winograd-2x2", 2, small),
    WINOGRAD_KERNEL("fused_conv", "vec:winograd-fused", 3, large), /* to be switched off alone */
    WINOGRAD_KERNEL("fused_conv", "vec:winograd-fused-2x2", 3, small),
    {.op = NULL},
};
