/*
 * The loops behind vec_product_update.h. A tile of the gradient, some rows of one or two vectors,
 * is summed in registers over k in order, as vec_matmul.c does it, and laid into a strip in the L1
 * cache, which the update then uses up. A strip holds whole rows where they are short, because
 * whole rows lie side by side in the parameter and its moments; of longer ones it holds a part, and
 * what its update touches is fetched while it is summed, a little at each second step. A few
 * columns beside whole vectors are summed beforehand for several strips. Interleaving the two gains
 * nothing: both keep the multiply-adds' units busy. Test: tests/test_kernels_product_update.c
 */
#include "backend/cpu/vec_product_update.h"

#include "backend/cpu/vec_adam.h"

#if CUPEL_VEC_ISA == 2
enum { ROWS = 14 }; /* 28 sums, 2 vectors, 1 factor: 31 of 32 registers */
#else
enum { ROWS = 6 }; /* 12 sums, 2 vectors, 1 factor: 15 of 16 registers */
#endif

enum {
    TOGETHER = 4,    /* steps of k in one turn of the loop */
    FEW_COLUMNS = 4, /* beside whole vectors */
    FEW_VECTORS = 3, /* of rows, summed together for these */
    FEW_ROWS = FEW_VECTORS * VEC_LANES,
    WHOLE = 160, /* elements of a row, of which whole rows make a strip */
    PART = 96    /* of a longer row */
};

/* Some rows of one vector (its first `lanes`) or of two. */
struct tile {
    int64_t row, column;
    int vectors, lanes;
    bool fetch;      /* what its update will touch */
    int64_t stride;  /* of the gradient's rows */
    float *gradient; /* where the tile goes */
};

VEC_INLINE void fetch_row(const struct product_update_work *work, const struct tile *tile,
                          int64_t row) {
    const int64_t at = (tile->row + row) * work->n + tile->column;
    for (int i = 0; i < tile->vectors; i++) {
        __builtin_prefetch(work->parameter + at + i * VEC_LANES, 1);
        __builtin_prefetch(work->mean + at + i * VEC_LANES, 1);
        __builtin_prefetch(work->square + at + i * VEC_LANES, 1);
    }
}

/* One step of k. */
VEC_INLINE void add_step(const int rows, const int vectors, const struct tile *tile, const float *a,
                         const float *b, vector sum[ROWS][2]) {
    const vector b0 = vectors == 2 ? vec_load(b) : vec_load_if(vec_first(tile->lanes), b);
    const vector b1 = vectors == 2 ? vec_load(b + VEC_LANES) : b0;
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        const vector factor = vec_set(a[r]);
        sum[r][0] = vec_fma(factor, b0, sum[r][0]);
        if (vectors == 2)
            sum[r][1] = vec_fma(factor, b1, sum[r][1]);
    }
}

/* rows and vectors are constants where this is called. */
VEC_INLINE void sum_tile(const int rows, const int vectors, const struct product_update_work *work,
                         const struct tile *tile) {
    const float *a = work->a + tile->row, *b = work->b + tile->column;
    int64_t k = 0;
    vector sum[ROWS][2];
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        sum[r][0] = vec_set(0.0F);
        sum[r][1] = vec_set(0.0F);
    }
    for (; k + TOGETHER <= work->depth; k += TOGETHER) {
        VEC_UNROLLED for (int step = 0; step < TOGETHER; step++) {
            if (step % 2 == 0 && tile->fetch && (k + step) / 2 < rows)
                fetch_row(work, tile, (k + step) / 2);
            add_step(rows, vectors, tile, a, b, sum);
            a += work->m;
            b += work->n;
        }
    }
    for (; k < work->depth; k++) {
        add_step(rows, vectors, tile, a, b, sum);
        a += work->m;
        b += work->n;
    }
    VEC_UNROLLED for (int r = 0; r < rows; r++) {
        float *const to = tile->gradient + r * tile->stride;
        if (vectors == 2) {
            vec_store(to, sum[r][0]);
            vec_store(to + VEC_LANES, sum[r][1]);
        } else {
            vec_store_if(vec_first(tile->lanes), to, sum[r][0]);
        }
    }
}

typedef void (*tile_function)(const struct product_update_work *work, const struct tile *tile);

#define TILE(rows, vectors) \
    static void tile_##rows##_##vectors(const struct product_update_work *work, \
                                        const struct tile *tile) { \
        sum_tile(rows, vectors, work, tile); \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define BOTH(rows) \
    { tile_##rows##_1, tile_##rows##_2 }

TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#if CUPEL_VEC_ISA == 2
TILES(7)
TILES(8)
TILES(9)
TILES(10)
TILES(11)
TILES(12)
TILES(13)
TILES(14)
#endif

static const tile_function tiles[ROWS][2] = {
    BOTH(1), BOTH(2), BOTH(3), BOTH(4),  BOTH(5),  BOTH(6),
#if CUPEL_VEC_ISA == 2
    BOTH(7), BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12), BOTH(13), BOTH(14),
#endif
};

/* The sums of the last columns, where these are few: [FEW_COLUMNS, FEW_ROWS]. */
typedef float few_sums[FEW_COLUMNS][FEW_ROWS];

/* With lanes along the rows: a sum or three a column instead of one a row, and no sum waits for
 * itself alone. columns and vectors, of which the last may be a part, are constants where this is
 * called. */
VEC_INLINE void sum_columns(const int columns, const int vectors,
                            const struct product_update_work *work, int64_t row, int64_t rows,
                            few_sums to) {
    const vector_mask rest = vec_first((int)(rows - (vectors - 1) * VEC_LANES));
    const float *a = work->a + row, *b = work->b + work->n - columns;
    vector sum[FEW_COLUMNS][FEW_VECTORS], x[FEW_VECTORS];
    VEC_UNROLLED for (int c = 0; c < columns; c++) VEC_UNROLLED for (int i = 0; i < vectors; i++)
        sum[c][i] = vec_set(0.0F);
    for (int64_t k = 0; k < work->depth; k++) {
        VEC_UNROLLED for (int i = 0; i < vectors; i++) x[i] =
            i < vectors - 1 ? vec_load(a + i * VEC_LANES) : vec_load_if(rest, a + i * VEC_LANES);
        VEC_UNROLLED for (int c = 0; c < columns; c++)
            VEC_UNROLLED for (int i = 0; i < vectors; i++) sum[c][i] =
                vec_fma(vec_set(b[c]), x[i], sum[c][i]);
        a += work->m;
        b += work->n;
    }
    VEC_UNROLLED for (int c = 0; c < columns; c++) VEC_UNROLLED for (int i = 0; i < vectors; i++)
        vec_store(to[c] + i * VEC_LANES, sum[c][i]);
}

#define FEW(columns, vectors) \
    case (columns - 1) * FEW_VECTORS + vectors - 1: \
        sum_columns(columns, vectors, work, row, rows, to); \
        break;
#define FEW_OF(columns) FEW(columns, 1) FEW(columns, 2) FEW(columns, 3)

/* Of `rows` rows from `row` on, at most FEW_ROWS. */
static void sum_few_columns(int columns, const struct product_update_work *work, int64_t row,
                            int64_t rows, few_sums to) {
    const int vectors = (int)(rows + VEC_LANES - 1) / VEC_LANES;
    switch ((columns - 1) * FEW_VECTORS + vectors - 1) {
        FEW_OF(1)
        FEW_OF(2)
        FEW_OF(3)
        FEW_OF(4)
    default: break;
    }
}

/* Rows of n elements side by side, from `at` on. */
static void update(const struct product_update_work *work, int64_t at, int64_t n, int64_t rows,
                   const float *gradient, int64_t stride) {
    const struct product_update_work w = *work;
    for (int64_t r = 0; r < rows; r++) {
        adam_run(n, &w.numbers, w.parameter + at, gradient, w.mean + at, w.square + at,
                 w.parameter_out + at, w.mean_out + at, w.square_out + at);
        at += w.n;
        gradient += stride;
    }
}

/* The gradient of rows [from, to), at most ROWS, and n columns, then its update. few: the sums of
 * the last columns from row `from` on, or NULL. */
static void run_strip(const struct product_update_work *work, int64_t from, int64_t to,
                      int64_t column, int64_t n, const float *few) {
    _Alignas(64) float strip[ROWS * WHOLE];
    const bool whole = n == work->n;
    struct tile tile = {.row = from, .column = column, .fetch = !whole, .stride = n};
    while (tile.column < column + n) {
        const int64_t left = column + n - tile.column;
        tile.vectors = left >= 2 * VEC_LANES ? 2 : 1;
        tile.lanes = left < VEC_LANES ? (int)left : VEC_LANES;
        tile.gradient = strip + (tile.column - column);
        if (few == NULL || left > FEW_COLUMNS)
            tiles[to - from - 1][tile.vectors - 1](work, &tile);
        else
            for (int64_t r = 0; r < to - from; r++)
                for (int64_t c = 0; c < left; c++)
                    tile.gradient[r * n + c] = few[c * FEW_ROWS + r];
        tile.column += tile.vectors == 2 ? 2 * VEC_LANES : tile.lanes;
    }
    if (whole)
        update(work, from * n, (to - from) * n, 1, strip, 0);
    else
        update(work, from * work->n + column, n, to - from, strip, n);
}

static void run_rows(const struct product_update_work *work, int64_t from, int64_t to,
                     const float *few) {
    const int64_t most = work->n <= WHOLE ? work->n : PART;
    for (int64_t column = 0; column < work->n; column += most) {
        const int64_t left = work->n - column;
        run_strip(work, from, to, column, left < most ? left : most, few);
    }
}

/* Rows that make a block: as even as they can be, or, of whole rows, so many that each block begins
 * with a vector's alignment if the first does. Blocks are taken in groups for their few columns. */
static void run(const struct product_update_work *work, int64_t first, int64_t last) {
    const int64_t rows = last - first, blocks = (rows + ROWS - 1) / ROWS;
    const int64_t most = work->n <= WHOLE ? ROWS / 4 * 4 : (rows + blocks - 1) / blocks;
    const int columns = (int)(work->n % VEC_LANES);
    const bool few = columns > 0 && columns <= FEW_COLUMNS && rows > FEW_COLUMNS;
    _Alignas(64) few_sums sums;
    for (int64_t group = first; group < last; group += FEW_ROWS / most * most) {
        const int64_t end = group + FEW_ROWS / most * most;
        const int64_t to = end < last ? end : last;
        if (few)
            sum_few_columns(columns, work, group, to - group, sums);
        for (int64_t row = group; row < to; row += most)
            run_rows(work, row, row + most < to ? row + most : to,
                     few ? sums[0] + (row - group) : NULL);
    }
}

const struct vec_product_update_table CUPEL_VEC(vec_product_update) = {.run = run};
