/*
 * The baselines. Pixels are small integers, so covariances and distances are summed exactly as such
 * (pixel_dot.c) and only the last step is in floating point: results are the same for any number of
 * threads and on any processor, eigenvectors (LAPACK) aside. Test: tests/test_baselines.c
 */
#include "cupel/baselines.h"

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "data/pixel_dot.h"

enum {
    MAX_NEIGHBOURS = 64,
    MAX_COMPONENTS = 1024,
    MAX_PCA_PIXELS = 8192,
    ROWS = PIXEL_DOT_ROWS,
    QUERIES = 32 /* that share one pass over the training images */
};

struct cupel_baseline {
    struct cupel_error error;
    cupel_baseline_kind kind;
    int64_t k;
    cupel_shape shape; /* of one image */
    int64_t pixels;
    char name[32];
    double *mean;       /* PCA: [pixels], in units of 1 / 255 */
    double *components; /* PCA: [k, pixels], orthonormal */
    int16_t *images;    /* neighbours: [count rounded up to 4, stride] */
    int64_t stride;
    int64_t *norms; /* neighbours: squared lengths */
    int64_t count;
};

/* [rows rounded up to whole blocks, stride] of zeros, each row on a cache line of its own: loads
 * that straddle two halve the speed. NULL when refused. */
static int16_t *alloc_rows(int64_t rows, int64_t stride) {
    const size_t size = (size_t)((rows + ROWS - 1) / ROWS * ROWS * stride) * sizeof(int16_t);
    int16_t *const out = cupel_alloc_aligned(size);
    if (out != NULL)
        memset(out, 0, size);
    return out;
}

static int64_t row_stride(int64_t count) {
    return (count + 31) / 32 * 32;
}

static void widen(int16_t *to, const uint8_t *from, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i];
}

/* ---- PCA ------------------------------------------------------------------------------------- */

struct covariance {
    const int16_t *columns; /* [pixels rounded up to 4, stride]: one pixel of all images */
    int64_t stride, images, pixels;
    const int64_t *sums; /* of the columns */
    pixel_dot4x4 dot;
    double *matrix; /* [pixels, pixels]; the upper triangle is filled */
};

/* n times the covariance of pixels i and j is sum x_i x_j - (sum x_i)(sum x_j) / n, whose two terms
 * are exact integers. */
static void covariance_block(const struct covariance *c, int64_t row, int64_t column) {
    int64_t products[ROWS * ROWS];
    c->dot(c->columns + row * c->stride, c->columns + column * c->stride, c->stride, c->images,
           products);
    for (int64_t i = row; i < row + ROWS && i < c->pixels; i++)
        for (int64_t j = column; j < column + ROWS && j < c->pixels; j++)
            c->matrix[i * c->pixels + j] =
                (double)products[(i - row) * ROWS + j - column] -
                (double)c->sums[i] * (double)c->sums[j] / (double)c->images;
}

/* Long rows of blocks from the top and short ones from the bottom in turn: equal work for all
 * threads. */
static void covariance_rows(void *context, int64_t begin, int64_t end, int thread) {
    const struct covariance *const c = context;
    const int64_t blocks = (c->pixels + ROWS - 1) / ROWS;
    (void)thread;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t row = unit % 2 == 0 ? unit / 2 : blocks - 1 - unit / 2;
        for (int64_t column = row; column < blocks; column++)
            covariance_block(c, row * ROWS, column * ROWS);
    }
}

static bool fill_columns(int16_t *columns, int64_t *sums, int64_t stride,
                         const cupel_dataset *normal, int64_t images, int64_t pixels) {
    for (int64_t n = 0; n < images; n++) {
        const uint8_t *const image = cupel_dataset_pixels(normal, n);
        if (image == NULL)
            return false;
        for (int64_t p = 0; p < pixels; p++) {
            columns[p * stride + n] = image[p];
            sums[p] += image[p];
        }
    }
    return true;
}

/* The k eigenvectors of the largest eigenvalues of the symmetric matrix, which is destroyed. */
static cupel_status leading_vectors(struct cupel_error *error, double *matrix, int64_t size,
                                    int64_t k, double *out) {
    const lapack_int n = (lapack_int)size;
    lapack_int found = 0, wanted_integers = 0;
    double wanted_doubles = 0;
    cupel_status status = CUPEL_STATUS_OK;
    double *const values = cupel_alloc((size_t)size, sizeof *values), *work = NULL;
    lapack_int *const support = cupel_alloc(2 * (size_t)k, sizeof *support), *integers = NULL;
    /* Row-major upper is column-major lower; in column-major order each vector is contiguous. */
    lapack_int info = LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, matrix, n, 0, 0,
                                          n - (lapack_int)k + 1, n, 0, &found, values, out, n,
                                          support, &wanted_doubles, -1, &wanted_integers, -1);
    if (info == 0) {
        work = cupel_alloc((size_t)wanted_doubles, sizeof *work);
        integers = cupel_alloc((size_t)wanted_integers, sizeof *integers);
    }
    if (values == NULL || support == NULL || work == NULL || integers == NULL) {
        status = cupel_fail_memory(error, "a principal component analysis",
                                   (size_t)wanted_doubles * sizeof *work);
        goto done;
    }
    info = LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, matrix, n, 0, 0,
                               n - (lapack_int)k + 1, n, 0, &found, values, out, n, support, work,
                               (lapack_int)wanted_doubles, integers, wanted_integers);
    if (info != 0 || found != (lapack_int)k)
        status =
            cupel_fail(error, CUPEL_STATUS_NOT_FINITE,
                       "the eigenvectors of the covariance could not be computed (LAPACK dsyevr "
                       "gave %d)",
                       (int)info);
done:
    cupel_free(values);
    cupel_free(support);
    cupel_free(work);
    cupel_free(integers);
    return status;
}

static cupel_status fit_pca(cupel_baseline *baseline, const cupel_dataset *normal, int threads) {
    const int64_t images = cupel_dataset_get_info(normal).count, pixels = baseline->pixels;
    const int64_t most = images - 1 < pixels ? images - 1 : pixels;
    if (pixels > MAX_PCA_PIXELS)
        return cupel_fail(&baseline->error, CUPEL_STATUS_UNSUPPORTED,
                          "PCA of images with %lld values; at most %d are supported",
                          (long long)pixels, MAX_PCA_PIXELS);
    if (baseline->k > most)
        return cupel_fail(
            &baseline->error, CUPEL_STATUS_INVALID_ARGUMENT,
            "%lld principal components cannot be found in %lld images of %lld values; "
            "ask for at most %lld",
            (long long)baseline->k, (long long)images, (long long)pixels, (long long)most);
    const int64_t stride = row_stride(images);
    struct covariance c = {
        .stride = stride, .images = images, .pixels = pixels, .dot = pixel_dot4x4_select()};
    int16_t *const columns = alloc_rows(pixels, stride);
    int64_t *const sums = cupel_alloc((size_t)pixels, sizeof *sums);
    c.matrix = cupel_alloc((size_t)pixels, (size_t)pixels * sizeof *c.matrix);
    baseline->mean = cupel_alloc((size_t)pixels, sizeof *baseline->mean);
    baseline->components =
        cupel_alloc((size_t)baseline->k, (size_t)pixels * sizeof *baseline->components);
    cupel_status status = CUPEL_STATUS_OK;
    if (columns == NULL || sums == NULL || c.matrix == NULL || baseline->mean == NULL ||
        baseline->components == NULL ||
        !fill_columns(columns, sums, stride, normal, images, pixels)) {
        status = cupel_fail_memory(&baseline->error, "a principal component analysis",
                                   (size_t)(pixels * stride) * sizeof *columns);
        goto done;
    }
    c.columns = columns;
    c.sums = sums;
    parallel_for(threads, (pixels + ROWS - 1) / ROWS, 2, covariance_rows, &c);
    for (int64_t p = 0; p < pixels; p++)
        baseline->mean[p] = (double)sums[p] / (double)images;
    status = leading_vectors(&baseline->error, c.matrix, pixels, baseline->k, baseline->components);
done:
    cupel_free(columns);
    cupel_free(sums);
    cupel_free(c.matrix);
    return status;
}

struct scoring {
    const cupel_baseline *baseline;
    const cupel_dataset *images;
    double *scores;
    int16_t *queries; /* neighbours: [count rounded up to 4, stride] */
    pixel_dot4x4 dot;
};

/* |x - mean|^2 minus the squared coordinates along the components. */
static void score_pca(void *context, int64_t begin, int64_t end, int thread) {
    const struct scoring *const s = context;
    const cupel_baseline *const baseline = s->baseline;
    (void)thread;
    for (int64_t n = begin; n < end; n++) {
        const uint8_t *const image = cupel_dataset_pixels(s->images, n);
        double residual = 0;
        for (int64_t p = 0; p < baseline->pixels; p++) {
            const double x = image[p] - baseline->mean[p];
            residual += x * x;
        }
        for (int64_t v = 0; v < baseline->k; v++) {
            const double *const component = baseline->components + v * baseline->pixels;
            double along = 0;
            for (int64_t p = 0; p < baseline->pixels; p++)
                along += component[p] * (image[p] - baseline->mean[p]);
            residual -= along * along;
        }
        s->scores[n] = fmax(0, residual) / (255.0 * 255.0);
    }
}

/* ---- nearest neighbours ---------------------------------------------------------------------- */

static cupel_status fit_neighbours(cupel_baseline *baseline, const cupel_dataset *normal) {
    const int64_t images = cupel_dataset_get_info(normal).count, pixels = baseline->pixels;
    if (baseline->k > images)
        return cupel_fail(&baseline->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "%lld neighbours cannot be found among %lld images",
                          (long long)baseline->k, (long long)images);
    baseline->stride = row_stride(pixels);
    baseline->images = alloc_rows(images, baseline->stride);
    baseline->norms = cupel_alloc((size_t)images, sizeof *baseline->norms);
    if (baseline->images == NULL || baseline->norms == NULL)
        return cupel_fail_memory(&baseline->error, "the images of a nearest-neighbour search",
                                 (size_t)(images * baseline->stride) * sizeof *baseline->images);
    baseline->count = images;
    for (int64_t n = 0; n < images; n++) {
        const uint8_t *const image = cupel_dataset_pixels(normal, n);
        widen(baseline->images + n * baseline->stride, image, pixels);
        for (int64_t p = 0; p < pixels; p++)
            baseline->norms[n] += (int64_t)image[p] * image[p];
    }
    return CUPEL_STATUS_OK;
}

/* Keeps the k smallest in ascending order. */
static void keep_smallest(int64_t *smallest, int64_t k, int64_t value) {
    if (value >= smallest[k - 1])
        return;
    int64_t at = k - 1;
    for (; at > 0 && smallest[at - 1] > value; at--)
        smallest[at] = smallest[at - 1];
    smallest[at] = value;
}

/* The queries that one pass over the training images serves, and what it has found so far. */
struct pass {
    const int16_t *queries;
    int64_t count, norms[QUERIES], nearest[QUERIES][MAX_NEIGHBOURS];
};

static void begin_pass(struct pass *pass, const struct scoring *s, int64_t first, int64_t count) {
    const int64_t pixels = s->baseline->pixels;
    pass->queries = s->queries + first * s->baseline->stride;
    pass->count = count;
    for (int64_t q = 0; q < count; q++) {
        const int16_t *const query = pass->queries + q * s->baseline->stride;
        pass->norms[q] = 0;
        for (int64_t p = 0; p < pixels; p++)
            pass->norms[q] += (int64_t)query[p] * query[p];
        for (int64_t i = 0; i < s->baseline->k; i++)
            pass->nearest[q][i] = INT64_MAX;
    }
}

/* Four training images and four queries at a time: |a - b|^2 = |a|^2 + |b|^2 - 2 a.b */
static void search_block(struct pass *pass, const struct scoring *s, int64_t image, int64_t query) {
    const cupel_baseline *const baseline = s->baseline;
    const int64_t stride = baseline->stride;
    int64_t products[ROWS * ROWS];
    s->dot(baseline->images + image * stride, pass->queries + query * stride, stride, stride,
           products);
    for (int64_t i = 0; i < ROWS && image + i < baseline->count; i++)
        for (int64_t q = 0; q < ROWS && query + q < pass->count; q++)
            keep_smallest(pass->nearest[query + q], baseline->k,
                          pass->norms[query + q] + baseline->norms[image + i] -
                              2 * products[i * ROWS + q]);
}

/* A block of queries stays in the cache while the training images stream by. */
static void score_neighbours(void *context, int64_t begin, int64_t end, int thread) {
    const struct scoring *const s = context;
    const cupel_baseline *const baseline = s->baseline;
    struct pass pass;
    (void)thread;
    for (int64_t first = begin; first < end; first += QUERIES) {
        begin_pass(&pass, s, first, end - first < QUERIES ? end - first : QUERIES);
        for (int64_t image = 0; image < baseline->count; image += ROWS)
            for (int64_t query = 0; query < pass.count; query += ROWS)
                search_block(&pass, s, image, query);
        for (int64_t q = 0; q < pass.count; q++) {
            double sum = 0;
            for (int64_t i = 0; i < baseline->k; i++)
                sum += sqrt((double)pass.nearest[q][i]);
            s->scores[first + q] = sum / (255.0 * (double)baseline->k);
        }
    }
}

static cupel_status score_by_neighbours(cupel_baseline *baseline, struct scoring *s, int64_t count,
                                        int threads) {
    s->queries = alloc_rows(count, baseline->stride);
    if (s->queries == NULL)
        return cupel_fail_memory(&baseline->error, "the images to be scored",
                                 (size_t)(count * baseline->stride) * sizeof *s->queries);
    for (int64_t n = 0; n < count; n++)
        widen(s->queries + n * baseline->stride, cupel_dataset_pixels(s->images, n),
              baseline->pixels);
    parallel_for(threads, count, ROWS, score_neighbours, s);
    cupel_free(s->queries);
    return CUPEL_STATUS_OK;
}

/* ---- the interface --------------------------------------------------------------------------- */

static void score_mean(void *context, int64_t begin, int64_t end, int thread) {
    const struct scoring *const s = context;
    (void)thread;
    for (int64_t n = begin; n < end; n++) {
        const uint8_t *const image = cupel_dataset_pixels(s->images, n);
        int64_t sum = 0;
        for (int64_t p = 0; p < s->baseline->pixels; p++)
            sum += image[p];
        s->scores[n] = (double)sum / (255.0 * (double)s->baseline->pixels);
    }
}

static cupel_shape image_shape(const cupel_dataset *dataset) {
    const cupel_dataset_info info = cupel_dataset_get_info(dataset);
    return CUPEL_SHAPE(info.channels, info.height, info.width);
}

static cupel_status fit(cupel_baseline *baseline, const cupel_dataset *normal, int threads) {
    const int64_t most = baseline->kind == CUPEL_BASELINE_PCA ? MAX_COMPONENTS : MAX_NEIGHBOURS;
    if (cupel_dataset_get_info(normal).count < 1)
        return cupel_fail(&baseline->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a baseline cannot be fitted on no image");
    if (baseline->kind != CUPEL_BASELINE_MEAN && (baseline->k < 1 || baseline->k > most))
        return cupel_fail(&baseline->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a baseline with k = %lld; it must be 1 to %lld", (long long)baseline->k,
                          (long long)most);
    switch (baseline->kind) {
    case CUPEL_BASELINE_MEAN:
        snprintf(baseline->name, sizeof baseline->name, "mean intensity");
        return CUPEL_STATUS_OK;
    case CUPEL_BASELINE_PCA:
        snprintf(baseline->name, sizeof baseline->name, "PCA-%d", (int)baseline->k);
        return fit_pca(baseline, normal, threads);
    case CUPEL_BASELINE_NEIGHBOURS:
        snprintf(baseline->name, sizeof baseline->name, "%d-NN", (int)baseline->k);
        return fit_neighbours(baseline, normal);
    }
    return cupel_fail(&baseline->error, CUPEL_STATUS_INVALID_ARGUMENT, "no baseline has number %d",
                      (int)baseline->kind);
}

static void release(cupel_baseline *baseline) {
    cupel_free(baseline->mean);
    cupel_free(baseline->components);
    cupel_free(baseline->images);
    cupel_free(baseline->norms);
    baseline->mean = baseline->components = NULL;
    baseline->images = NULL;
    baseline->norms = NULL;
}

cupel_status cupel_baseline_create(cupel_baseline **out, cupel_baseline_kind kind, int64_t k,
                                   const cupel_dataset *normal, int threads) {
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    (*out)->kind = kind;
    (*out)->k = k;
    (*out)->shape = image_shape(normal);
    (*out)->pixels = cupel_shape_count((*out)->shape);
    const cupel_status status = fit(*out, normal, threads < 1 ? 1 : threads);
    if (status != CUPEL_STATUS_OK) {
        release(*out); /* the sentence stays */
        (*out)->pixels = 0;
    }
    return status;
}

void cupel_baseline_destroy(cupel_baseline *baseline) {
    if (baseline == NULL)
        return;
    release(baseline);
    cupel_free(baseline);
}

const char *cupel_baseline_error(const cupel_baseline *baseline) {
    return baseline != NULL ? baseline->error.text : "";
}

const char *cupel_baseline_name(const cupel_baseline *baseline) {
    return baseline->name;
}

cupel_status cupel_baseline_score(cupel_baseline *baseline, const cupel_dataset *images,
                                  double *scores, int threads) {
    if (baseline->pixels == 0)
        return cupel_fail(&baseline->error, CUPEL_STATUS_BUG,
                          "a baseline whose fit failed is asked for scores");
    const cupel_shape shape = image_shape(images);
    const int64_t count = cupel_dataset_get_info(images).count;
    if (!cupel_shape_equal(shape, baseline->shape)) {
        char had[CUPEL_SHAPE_TEXT_SIZE], got[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(&baseline->error, CUPEL_STATUS_SHAPE,
                          "the baseline was fitted on images of %s and cannot score %s",
                          cupel_shape_format(had, baseline->shape), cupel_shape_format(got, shape));
    }
    struct scoring s = {
        .baseline = baseline, .images = images, .scores = scores, .dot = pixel_dot4x4_select()};
    threads = threads < 1 ? 1 : threads;
    if (baseline->kind == CUPEL_BASELINE_NEIGHBOURS)
        return score_by_neighbours(baseline, &s, count, threads);
    parallel_for(threads, count, 16, baseline->kind == CUPEL_BASELINE_PCA ? score_pca : score_mean,
                 &s);
    return CUPEL_STATUS_OK;
}
