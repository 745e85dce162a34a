/*
 * Small matrix products, where a library's preparations cost as much as the product. One side's
 * elements are broadcast where they lie; the other's stand side by side in vectors, in panels of
 * two vectors, which are laid out anew where they do not lie so. Either side may be the vectors:
 * the one is taken that wastes less of them; where they are the rows of the product, blocks of the
 * result are turned on their way out. Each element is summed over k in order by one thread: its
 * bits depend on its row and its column alone. Where sums run over the rows of a b of few columns,
 * k is cut into up to 8 pieces, so that threads have rows of it to themselves; their results are
 * added in pairs of a fixed tree. Test: tests/test_kernels_matmul.c
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/vec_chain.h"
#include "backend/cpu/vec_matmul.h"
#include "backend/cpu/vec_reorder.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/op_attrs.h"

/* Panel and strip of a thread stay in the L2 cache; with more multiplications oneDNN's blocking in
 * three levels wins (squares from 128 on). */
enum {
    MOST_DEPTH = 2048,
    MOST_SCRATCH = 512 << 10,
    MOST_OPERATIONS = 1 << 22,
    FEW_OPERATIONS = 1 << 17,
    CUT_DEPTH = 256, /* at least, of a piece */
    MOST_CUTS = 8,
    CUT_COLUMNS = 256, /* at most, of b */
    STRIP_BLOCKS = 8   /* are turned together: they stay in the L1 cache until then */
};

/* One side of a product: `count` rows (or columns) of `depth` elements. */
struct side {
    int64_t count, stride, step; /* elements between two, and between two of one */
};

struct matmul_state {
    const struct vec_matmul_table *table;
    const struct vec_reorder_table *reorder;
    chain_function add; /* of cuts */
    bool turned;        /* the vectors are rows of a: the result's columns */
    struct side rows, vectors;
    int64_t depth, dst_stride;
    int64_t panels, blocks;
    int64_t strip; /* floats of a thread's scratch before its strip */
    int64_t cuts;
};

/* The largest power of two, from the shape of b alone: more rows of a change no bits. */
static int64_t cuts_of(const struct side *b, int64_t depth) {
    int64_t cuts = 1;
    const bool along_rows = b->step > 1 && b->count <= CUT_COLUMNS;
    while (along_rows && cuts < MOST_CUTS && depth / (2 * cuts) >= CUT_DEPTH)
        cuts *= 2;
    return cuts;
}

/* The two sides of the product, leading axes folded into the rows of a. */
static bool sides(const cupel_op_view *view, struct side *a, struct side *b, int64_t *depth) {
    const struct attrs_matmul *attrs = view->attrs;
    const cupel_shape x = view->inputs[0].shape, y = view->inputs[1].shape;
    const cupel_shape out = view->outputs[0].shape;
    const bool ta = attrs->transpose_a != 0, tb = attrs->transpose_b != 0;
    if (y.rank != 2 || (x.rank != 2 && ta))
        return false;
    const int64_t n = out.dims[out.rank - 1];
    *depth = y.dims[tb ? 1 : 0];
    const int64_t m = n == 0 ? 0 : cupel_shape_count(out) / n;
    *a = (struct side){.count = m, .stride = ta ? 1 : *depth, .step = ta ? m : 1};
    *b = (struct side){.count = n, .stride = tb ? *depth : 1, .step = tb ? 1 : n};
    return m > 0 && n > 0 && *depth > 0;
}

/* In products of a vector: those of the loop, and what turning panels and results costs. */
static double cost(const struct vec_matmul_table *table, const struct side *rows,
                   const struct side *vectors, int64_t depth, bool turned) {
    const int64_t lanes = table->width / 2;
    const double turn = 0.25; /* a float's share of a tile's transpose */
    const double products = (double)((vectors->count + lanes - 1) / lanes) * (double)rows->count;
    double all = products * (double)depth;
    if (vectors->stride != 1)
        all += turn * (double)vectors->count * (double)depth;
    if (turned)
        all += turn * (double)vectors->count * (double)rows->count;
    return all;
}

static void settle(struct matmul_state *state, const cupel_op_view *view) {
    struct side a, b;
    state->table = cpu_vec_matmul();
    state->reorder = cpu_vec_reorder();
    state->add = cpu_vec_chain()->functions[CHAIN_ADD];
    (void)sides(view, &a, &b, &state->depth);
    state->turned = cost(state->table, &b, &a, state->depth, true) <
                    cost(state->table, &a, &b, state->depth, false);
    state->rows = state->turned ? b : a;
    state->vectors = state->turned ? a : b;
    state->dst_stride = b.count;
    state->panels = (state->vectors.count + state->table->width - 1) / state->table->width;
    state->blocks = (state->rows.count + state->table->rows - 1) / state->table->rows;
    state->cuts = cuts_of(&b, state->depth);
    state->strip = state->depth * state->table->width;
}

/* Of one thread. */
static int64_t scratch_floats(const struct matmul_state *state) {
    return (state->depth + state->rows.count) * state->table->width;
}

static int64_t results(const struct matmul_state *state) {
    return state->rows.count * state->vectors.count;
}

static bool accept_matmul(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    const cupel_desc *a = &view->inputs[0], *b = &view->inputs[1], *c = &view->outputs[0];
    struct side rows, columns;
    int64_t depth;
    struct matmul_state state;
    if (!(KERNEL_REQUIRE(a->type == CUPEL_TYPE_F32 && b->type == CUPEL_TYPE_F32 &&
                             c->type == CUPEL_TYPE_F32,
                         "operands are not all f32") &&
          KERNEL_REQUIRE(a->layout == CUPEL_LAYOUT_PLAIN && b->layout == CUPEL_LAYOUT_PLAIN &&
                             c->layout == CUPEL_LAYOUT_PLAIN,
                         "operands are not all plain") &&
          KERNEL_REQUIRE(sides(view, &rows, &columns, &depth),
                         "a product of its own for each leading index")))
        return false;
    settle(&state, view);
    return KERNEL_REQUIRE(depth <= MOST_DEPTH, "sums too long for one accumulator") &&
           KERNEL_REQUIRE(rows.count <= MOST_OPERATIONS / depth / columns.count,
                          "too large a product: blocking pays") &&
           KERNEL_REQUIRE(scratch_floats(&state) <= MOST_SCRATCH / (int64_t)sizeof(float),
                          "too large to stay in the cache");
}

static cupel_status plan_matmul(struct kernel_plan *plan, const struct kernel_request *request,
                                struct cupel_error *error) {
    struct matmul_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a matrix product's plan", sizeof *state);
    settle(state, &request->view);
    plan->state = state;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes = ((size_t)plan->threads * (size_t)scratch_floats(state) +
                           (size_t)(state->cuts - 1) * (size_t)results(state)) *
                          sizeof(float);
    return CUPEL_STATUS_OK;
}

static void drop_matmul(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

struct matmul_run {
    const struct matmul_state *state;
    const float *rows, *vectors;
    float *dst, *scratch;
    float *partial; /* of the cuts but the first, [cuts - 1, results] */
};

/* Of the sums, one piece of k. */
struct piece {
    const float *rows, *vectors;
    int64_t depth;
    float *dst;
};

static struct piece piece_of(const struct matmul_run *run, int64_t cut) {
    const struct matmul_state *state = run->state;
    const int64_t from = state->depth * cut / state->cuts;
    return (struct piece){.rows = run->rows + from * state->rows.step,
                          .vectors = run->vectors + from * state->vectors.step,
                          .depth = state->depth * (cut + 1) / state->cuts - from,
                          .dst = cut == 0 ? run->dst : run->partial + (cut - 1) * results(state)};
}

/* The panel of `count` vectors' elements, [depth, width], zeros behind them. */
static void lay_panel(const struct matmul_state *state, const float *from, int64_t depth,
                      int64_t count, int64_t width, float *panel) {
    const struct side *side = &state->vectors;
    if (count < width)
        memset(panel, 0, (size_t)(depth * width) * sizeof(float));
    if (side->stride == 1)
        state->reorder->copy_rows(from, side->step, count, depth, panel, width);
    else
        state->reorder->transpose(from, side->stride, count, depth, panel, width);
}

/* A panel, where it is read; and where results go, from row `begin` on. */
struct panel {
    const float *from;
    int64_t width, step;
};
struct strip {
    float *to;
    int64_t stride, begin;
};

/* Blocks [first, last) of one panel; the blocks are as even as they can be. */
static void run_blocks(const struct matmul_state *state, const struct piece *piece, int64_t first,
                       int64_t last, const struct panel *panel, const struct strip *strip) {
    for (int64_t block = first; block < last; block++) {
        const int64_t from = state->rows.count * block / state->blocks;
        const int64_t to = state->rows.count * (block + 1) / state->blocks;
        const struct matmul_rows x = {.from = piece->rows + from * state->rows.stride,
                                      .row = state->rows.stride,
                                      .step = state->rows.step};
        state->table->block((int)(to - from), (int)panel->width, piece->depth, &x, panel->from,
                            panel->step, strip->to + (from - strip->begin) * strip->stride,
                            strip->stride);
    }
}

/* The same, from a strip into columns of the result, which may be fewer than the panel's. */
static void run_turned(const struct matmul_state *state, const struct piece *piece, int64_t first,
                       int64_t last, const struct panel *panel, float *scratch, float *dst,
                       int64_t count) {
    for (int64_t block = first; block < last; block += STRIP_BLOCKS) {
        const int64_t end = last - block < STRIP_BLOCKS ? last : block + STRIP_BLOCKS;
        const int64_t from = state->rows.count * block / state->blocks;
        const int64_t to = state->rows.count * end / state->blocks;
        const struct strip strip = {.to = scratch, .stride = panel->width, .begin = from};
        run_blocks(state, piece, block, end, panel, &strip);
        state->reorder->transpose(scratch, panel->width, to - from, count, dst + from,
                                  state->dst_stride);
    }
}

/* Blocks [first, last) of one panel. */
static void run_panel(const struct matmul_state *state, const struct piece *piece, int64_t index,
                      int64_t first, int64_t last, float *scratch) {
    const int64_t width = state->table->width, at = index * width;
    const int64_t left = state->vectors.count - at, count = left < width ? left : width;
    const int64_t wide = count > width / 2 ? width : width / 2;
    struct panel panel = {.from = piece->vectors + at * state->vectors.stride,
                          .width = wide,
                          .step = state->vectors.step};
    if (state->vectors.stride != 1 || count != wide) {
        lay_panel(state, panel.from, piece->depth, count, wide, scratch);
        panel.from = scratch;
        panel.step = wide;
    }
    float *const own = scratch + state->strip;
    if (state->turned) {
        run_turned(state, piece, first, last, &panel, own, piece->dst + at * state->dst_stride,
                   count);
    } else if (count == wide) {
        const struct strip dst = {.to = piece->dst + at, .stride = state->dst_stride};
        run_blocks(state, piece, first, last, &panel, &dst);
    } else {
        const int64_t begin = state->rows.count * first / state->blocks;
        const int64_t end = state->rows.count * last / state->blocks;
        const struct strip strip = {.to = own, .stride = wide, .begin = begin};
        run_blocks(state, piece, first, last, &panel, &strip);
        state->reorder->copy_rows(own, wide, count, end - begin,
                                  piece->dst + begin * state->dst_stride + at, state->dst_stride);
    }
}

/* Units are blocks, numbered through all panels of all cuts. */
static void run_units(void *context, int64_t begin, int64_t end, int thread) {
    const struct matmul_run *run = context;
    const struct matmul_state *state = run->state;
    float *const scratch = run->scratch + thread * scratch_floats(state);
    while (begin < end) {
        const int64_t panel = begin / state->blocks % state->panels, first = begin % state->blocks;
        const struct piece piece = piece_of(run, begin / state->blocks / state->panels);
        const int64_t left = end - begin, most = state->blocks - first;
        const int64_t last = first + (left < most ? left : most);
        run_panel(state, &piece, panel, first, last, scratch);
        begin += last - first;
    }
}

/* Adds up the cuts: halves of what is left, until all is in the first. */
static void add_cuts(const struct matmul_run *run) {
    const int64_t n = results(run->state);
    for (int64_t half = run->state->cuts / 2; half > 0; half /= 2)
        for (int64_t cut = 0; cut < half; cut++) {
            float *const to = piece_of(run, cut).dst;
            run->state->add(to, to, piece_of(run, cut + half).dst, NULL, n, NULL);
        }
}

static cupel_status run_matmul(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct matmul_state *state = plan->state;
    struct matmul_run run = {.state = state,
                             .rows = call->inputs[state->turned ? 1 : 0],
                             .vectors = call->inputs[state->turned ? 0 : 1],
                             .dst = call->outputs[0],
                             .scratch = call->scratch};
    const int64_t operations = results(state) * state->depth;
    run.partial = run.scratch + plan->threads * scratch_floats(state);
    const int most = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_for(operations < FEW_OPERATIONS ? 1 : most,
                 state->cuts * state->panels * state->blocks, 1, run_units, &run);
    add_cuts(&run);
    return CUPEL_STATUS_OK;
}

const struct kernel matmul_kernels[] = {
    {.op = "matmul",
     .name = "vec:matmul",
     .revision = 2,
     .accept = accept_matmul,
     .plan = plan_matmul,
     .run = run_matmul,
     .drop = drop_matmul},
    {.op = NULL},
};
