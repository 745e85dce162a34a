/*
 * The loops behind vec_image_matmul.h. A block of rows times pixels is summed in registers, each
 * element in the order of k whatever is computed beside it; the numbers of rows and pixels are
 * constants in each copy of the loop, so that all sums have registers of their own.
 *
 * Memory sets the pace: processors fetch ahead along some 30 streams, and only in long runs, and
 * what images hold of one pixel may share one set of the nearest cache. So never more than GROUP
 * images are read side by side, pixel after pixel, and fetched into the L2 cache before; sums wait
 * in the caches for the next group.
 * Test: tests/test_kernels_image_matmul.c
 */
#include "backend/cpu/vec_image_matmul.h"

#include "backend/cpu/vec_lanes.h"

#if CUPEL_VEC_ISA == 2
enum {
    BLOCK = 16,
    ROWS = 9,    /* with 3 pixels: 27 sums, 3 vectors, 1 factor: 31 of 32 registers */
    IMAGES = 20, /* dot: 20 sums, 1 vector; the factors are operands of the multiply-adds */
    PAIRS = 12   /* dot, of two vectors: 24 sums */
};
#else
enum {
    BLOCK = 8,
    ROWS = 4,    /* with 3 pixels: 12 sums, 3 vectors, 1 factor: 16 of 16 registers */
    IMAGES = 12, /* dot: 12 sums, 1 vector, 1 factor */
    PAIRS = 6    /* dot, of two vectors: 12 sums */
};
#endif

enum {
    PIXELS = 3,
    PARTS = BLOCK / VEC_LANES, /* vectors of a pixel, which are worked on one after the other */
    GROUP = 50,                /* images read side by side, at most */
    AHEAD = 2 * PIXELS,        /* pixels that are fetched before their turn */
    DOT_AHEAD = 4,
    RUN_BYTES = 128 * 1024,      /* of panels that stay in the L2 cache beside all images in turn */
    STREAM_RUN_BYTES = 24 * 1024 /* the same of the L1 cache, where results are not in the way */
};

/* Hides where a number or a pointer comes from, so that what is reached from it is reached by an
 * instruction's own address and not from a register for each, of which there are too few. */
#define OPAQUE(x) __asm__("" : "+r"(x))

#define UNROLLED _Pragma("GCC unroll 20")

/* Pixels of a run, at least one block of them; pixel_floats: of a panel. */
static int64_t run_of(int64_t pixel_floats, int64_t bytes) {
    const int64_t most = bytes / (pixel_floats * (int64_t)sizeof(float));
    return most < PIXELS ? PIXELS : most / PIXELS * PIXELS;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- sums over columns or images: pixels are vectors ---- */

/* Of the sums of `rows` rows from row r, pixel p on, the steps [from, to) of the depth. */
struct place {
    int64_t r, rows, p, from, to;
    bool fetch; /* b ahead, which is images */
};

#define EACH_SUM \
    VEC_UNROLLED for (int i = 0; i < rows; i++) VEC_UNROLLED for (int v = 0; v < pixels; v++)

/* Where its sums begin: at 0 or a bias, or where the steps before left them. */
VEC_INLINE void begin_block(const int rows, const int pixels, const struct image_products *q,
                            const struct place *at, const float *out, vector sum[ROWS][PIXELS]) {
    if (at->from > 0) {
        EACH_SUM sum[i][v] = vec_load(out + i * q->out_row + v * q->out_pixel);
    } else if (q->start != NULL) {
        EACH_SUM sum[i][v] = vec_load(q->start + (at->p + v) * BLOCK);
    } else {
        EACH_SUM sum[i][v] = vec_zero();
    }
}

VEC_INLINE void end_block(const int rows, const int pixels, const struct image_products *q,
                          const float *mask, float *out, vector sum[ROWS][PIXELS]) {
    if (q->finish == IMAGE_RELU) {
        EACH_SUM sum[i][v] = vec_relu(sum[i][v]);
    } else if (q->finish == IMAGE_SELECT) {
        EACH_SUM sum[i][v] =
            vec_select(vec_load(mask + i * q->out_row + v * q->out_pixel), sum[i][v], vec_zero());
    }
    if (q->stream) {
        EACH_SUM vec_stream(out + i * q->out_row + v * q->out_pixel, sum[i][v]);
    } else {
        EACH_SUM vec_store(out + i * q->out_row + v * q->out_pixel, sum[i][v]);
    }
}

/* What a block fetches while it sums, some pixels a step: images or masks ahead. */
struct fetch {
    const float *from;
    int64_t step, last;
};

VEC_INLINE struct fetch fetch_of(const int rows, const struct image_products *q,
                                 const struct place *at, const float *b, const float *mask) {
    if (at->fetch)
        return (struct fetch){b + AHEAD * q->b_pixel, q->b_step, at->to};
    if (mask != NULL)
        return (struct fetch){mask + AHEAD * q->out_pixel, q->out_row, rows};
    return (struct fetch){.last = 0};
}

/* rows and pixels are constants where this is called. */
VEC_INLINE void block(const int rows, const int pixels, const struct image_products *q,
                      const struct place *at) {
    const float *a = q->a + at->r * q->a_row + at->from * q->a_step;
    const float *b = q->b + at->p * q->b_pixel + at->from * q->b_step;
    float *const out = q->out + at->r * q->out_row + at->p * q->out_pixel;
    const float *const mask = q->mask == NULL ? NULL : q->mask + (out - q->out);
    struct fetch fetch = fetch_of(rows, q, at, b, mask);
    vector sum[ROWS][PIXELS];
    begin_block(rows, pixels, q, at, out, sum);
    for (int64_t k = at->from; k < at->to; k++) {
        vector x[PIXELS];
        VEC_UNROLLED for (int v = 0; v < pixels; v++) x[v] = vec_load(b + v * q->b_pixel);
        VEC_UNROLLED for (int i = 0; i < rows; i++) {
            const vector factor = vec_set(a[i * q->a_row]);
            VEC_UNROLLED for (int v = 0; v < pixels; v++) sum[i][v] =
                vec_fma(factor, x[v], sum[i][v]);
        }
        if (k < fetch.last) {
            VEC_UNROLLED for (int v = 0; v < pixels; v++)
                __builtin_prefetch(fetch.from + v * BLOCK, 0, 2);
            fetch.from += fetch.step;
        }
        a += q->a_step;
        b += q->b_step;
    }
    end_block(rows, pixels, q, mask, out, sum);
}

#define BLOCK_CASE(n) \
    case n: block(n, pixels, q, at); break;

VEC_INLINE void block_of_rows(const int pixels, const struct image_products *q,
                              const struct place *at) {
    switch (at->rows) {
        BLOCK_CASE(1)
        BLOCK_CASE(2)
        BLOCK_CASE(3)
        BLOCK_CASE(4)
#if CUPEL_VEC_ISA == 2
        BLOCK_CASE(5)
        BLOCK_CASE(6)
        BLOCK_CASE(7)
        BLOCK_CASE(8)
        BLOCK_CASE(9)
#endif
    default: break;
    }
}

static void any_block(const struct image_products *q, const struct place *at) {
    switch (least(q->pixels - at->p, PIXELS)) {
    case 1: block_of_rows(1, q, at); break;
    case 2: block_of_rows(2, q, at); break;
    default: block_of_rows(PIXELS, q, at); break;
    }
}

/* The vector `part` of all pixels. */
static struct image_products part_of(const struct image_products *all, int part) {
    struct image_products q = *all;
    q.b += part * VEC_LANES;
    q.out += part * VEC_LANES;
    q.start = q.start == NULL ? NULL : q.start + part * VEC_LANES;
    q.mask = q.mask == NULL ? NULL : q.mask + part * VEC_LANES;
    return q;
}

/* Rows of a block: all blocks are as large as can be, and nearly as large as each other. */
static int64_t rows_of_blocks(int64_t rows) {
    const int64_t blocks = (rows + ROWS - 1) / ROWS;
    return (rows + blocks - 1) / blocks;
}

static void to_image(const struct image_products *all) {
    const int64_t rows = rows_of_blocks(all->rows);
    /* Masks are read as images are, in long runs. */
    const int64_t run =
        all->mask != NULL ? all->pixels
                          : run_of(all->depth * BLOCK, all->stream ? STREAM_RUN_BYTES : RUN_BYTES);
    for (int part = 0; part < PARTS; part++) {
        const struct image_products q = part_of(all, part);
        for (int64_t first = 0; first < q.pixels; first += run) {
            const int64_t last = least(q.pixels, first + run);
            for (int64_t r = 0; r < q.rows; r += rows)
                for (int64_t p = first; p < last; p += PIXELS)
                    any_block(&q,
                              &(struct place){
                                  .r = r, .rows = least(q.rows - r, rows), .p = p, .to = q.depth});
        }
    }
}

static void drain(void) {
    vec_drain();
}

/* Some pixels of some images, in all rows. */
static void add_group(const struct image_products *q, int64_t first, int64_t last, int64_t from,
                      int64_t to) {
    const int64_t rows = rows_of_blocks(q->rows);
    for (int64_t p = first; p < last; p += PIXELS)
        for (int64_t r = 0; r < q->rows; r += rows)
            any_block(q, &(struct place){.r = r,
                                         .rows = least(q->rows - r, rows),
                                         .p = p,
                                         .from = from,
                                         .to = to,
                                         .fetch = r == 0});
}

static void of_images(const struct image_products *all) {
    const int64_t run = run_of(all->rows * BLOCK, RUN_BYTES);
    const int64_t groups = (all->depth + GROUP - 1) / GROUP;
    for (int part = 0; part < PARTS; part++) {
        const struct image_products q = part_of(all, part);
        for (int64_t first = 0; first < q.pixels; first += run)
            for (int64_t g = 0; g < groups; g++)
                add_group(&q, first, least(q.pixels, first + run), g * q.depth / groups,
                          (g + 1) * q.depth / groups);
    }
}

/* ---- sums over pixels: columns of the matrix are vectors ---- */

/* images and vectors are constants where this is called; `pixels` from x and panel on. The whole
 * pixel is one piece of code, with what comes next fetched here and there. Images are reached in
 * threes, from a pointer and one or two strides. */
VEC_INLINE void dot_tile(const int images, const int vectors, const struct image_dots *q,
                         int64_t pixels, const float *x, const float *panel, float *sums) {
    enum { MOST = (IMAGES + 2) / 3 };
    const int threes = (images + 2) / 3;
    const float *image[MOST];
    vector sum[IMAGES][2];
    int64_t stride = q->x_image;
    UNROLLED for (int t = 0; t < threes; t++) image[t] = x + 3 * t * stride;
    UNROLLED for (int i = 0; i < images; i++) {
        VEC_UNROLLED for (int v = 0; v < vectors; v++) sum[i][v] = vec_zero();
    }
    for (int64_t p = 0; p < pixels; p++) {
        const float *row = panel;
        VEC_UNROLLED for (int c = 0; c < BLOCK; c++) {
            vector w[2];
            VEC_UNROLLED for (int v = 0; v < vectors; v++) w[v] = vec_load(row + v * VEC_LANES);
            row += q->panel_channel;
            OPAQUE(row);
            OPAQUE(stride);
            UNROLLED for (int i = c; i < images; i += BLOCK)
                __builtin_prefetch(image[i / 3] + i % 3 * stride + DOT_AHEAD * BLOCK);
            UNROLLED for (int i = 0; i < images; i++) {
                const float *const at = image[i / 3] + i % 3 * stride + c;
                if (vectors == 1) {
                    sum[i][0] = vec_fma_at(at, w[0], sum[i][0]);
                    continue;
                }
                const vector factor = vec_set(*at);
                VEC_UNROLLED for (int v = 0; v < vectors; v++) sum[i][v] =
                    vec_fma(factor, w[v], sum[i][v]);
            }
        }
        UNROLLED for (int t = 0; t < threes; t++) {
            image[t] += BLOCK;
            OPAQUE(image[t]);
        }
        panel += q->width;
    }
    UNROLLED for (int i = 0; i < images; i++) {
        VEC_UNROLLED for (int v = 0; v < vectors; v++) {
            float *const to = sums + i * q->width + v * VEC_LANES;
            vec_store(to, vec_add(vec_load(to), sum[i][v]));
        }
    }
}

typedef void (*dot_function)(const struct image_dots *q, int64_t pixels, const float *x,
                             const float *panel, float *sums);

#define DOT(images, vectors) \
    static void dot_##images##_##vectors(const struct image_dots *q, int64_t pixels, \
                                         const float *x, const float *panel, float *sums) { \
        dot_tile(images, vectors, q, pixels, x, panel, sums); \
    }

DOT(IMAGES, 1)
DOT(PAIRS, 2)
DOT(4, 1)
DOT(4, 2)
DOT(1, 1)
DOT(1, 2)

enum { TILES = 3 };

static const struct {
    int images;
    dot_function run;
} tiles[2][TILES] = {
    {{IMAGES, dot_IMAGES_1}, {4, dot_4_1}, {1, dot_1_1}},
    {{PAIRS, dot_PAIRS_2}, {4, dot_4_2}, {1, dot_1_2}},
};

/* All images, tiles as large as can be, over the pixels from p on. */
static void dot_run(const struct image_dots *q, int64_t p, int64_t pixels, int64_t column) {
    const int pair = q->width - column > VEC_LANES ? 1 : 0;
    const float *const panel = q->panels + p * q->width + column;
    for (int64_t i = 0, t = 0; i < q->images; i += tiles[pair][t].images) {
        while (tiles[pair][t].images > q->images - i)
            t++;
        tiles[pair][t].run(q, pixels, q->x + i * q->x_image + p * BLOCK, panel,
                           q->sums + i * q->width + column);
    }
}

static void dot(const struct image_dots *q) {
    const int64_t run = run_of(BLOCK * q->width, RUN_BYTES);
    for (int64_t p = 0; p < q->pixels; p += run)
        for (int64_t column = 0; column < q->width; column += 2 * VEC_LANES)
            dot_run(q, p, least(q->pixels - p, run), column);
}

/* ---- sums over images ---- */

static void add_images(int64_t images, int64_t pixels, const float *x, int64_t x_stride,
                       float *sum) {
    for (int64_t n = 0; n < images; n++) {
        const float *const from = x + n * x_stride;
        for (int64_t i = 0; i < pixels * BLOCK; i += VEC_LANES) {
            const vector before = n > 0 ? vec_load(sum + i) : vec_zero();
            if (n + 1 < images)
                __builtin_prefetch(from + x_stride + i, 0, 2);
            vec_store(sum + i, vec_add(before, vec_load(from + i)));
        }
    }
}

const struct vec_image_matmul_table CUPEL_VEC(vec_image_matmul) = {
    .block = BLOCK,
    .lanes = VEC_LANES,
    .to_image = to_image,
    .of_images = of_images,
    .drain = drain,
    .dot = dot,
    .add_images = add_images,
};
