/*
 * Loader: batches of a data set, prepared by worker threads ahead of their use. The order of an
 * epoch is a permutation that is a function of (seed, epoch) alone; what a batch holds never
 * depends on the number of workers, and any (epoch, batch) can be the first, so a run that is
 * resumed there sees what the uninterrupted one saw.
 *
 *   1. cupel_loader_create() on a data set, which must outlive it
 *   2. cupel_loader_next() again and again; the batch is valid until the next call
 *   3. cupel_loader_destroy() at any time, also in the middle of an epoch
 *
 * A loader is used by one thread at a time.
 */
#ifndef CUPEL_LOADER_H
#define CUPEL_LOADER_H

#include <cupel/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_loader cupel_loader;

/* What a transform may depend on; nothing else, so that every worker makes the same image. */
typedef struct cupel_sample {
    uint64_t seed;
    int64_t epoch;
    int64_t index; /* in the data set */
    int64_t channels, height, width;
} cupel_sample;

/* Changes one image, f32 [channels, height, width] in [0, 1], in place. Called by worker threads,
 * by several at once. A failing status stops the loader: that batch and all later ones return
 * it. */
typedef cupel_status (*cupel_transform)(void *user, const cupel_sample *sample, float *image);

enum { CUPEL_MAX_WORKERS = 16 };

/* Right when zeroed, but for batch. */
typedef struct cupel_loader_options {
    int64_t batch;       /* images a batch, at least 1; the last one of an epoch may be smaller */
    int workers;         /* threads, 1 to CUPEL_MAX_WORKERS; 0 is 1 */
    int64_t ahead;       /* batches kept ready beside the one in use; 0: workers + 1, of small
                            batches up to 16 */
    uint64_t seed;       /* of the order */
    bool shuffle;        /* false: the data set's own order in every epoch */
    bool hash;           /* also fill content_ids */
    int64_t first_epoch; /* where to begin */
    int64_t first_batch;
    int64_t last_epoch; /* ends before this epoch; 0: never ends */
    cupel_transform transform;
    void *transform_user;
} cupel_loader_options;

/* Borrowed from the loader. Row i of every array belongs to the same image. */
typedef struct cupel_batch {
    int64_t epoch, index; /* the index-th batch of the epoch, both from 0 */
    int64_t count;        /* images in this batch */
    bool last;            /* of its epoch */
    cupel_shape shape;    /* [count, channels, height, width] */
    const float *images;  /* pixel / 255 */
    const int64_t *labels;
    const int64_t *indices;    /* in the data set */
    const uint64_t *positions; /* 0 .. count-1: the row ids of training */
    const uint64_t
        *content_ids; /* cupel_dataset_row_id(): the row ids of scoring; NULL unless asked */
} cupel_batch;

/* INVALID_ARGUMENT for options out of their range, OUT_OF_MEMORY (also when no thread could be
 * started). On failure *out is a loader that only carries the sentence, or NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_loader_create(cupel_loader **out,
                                                         const cupel_dataset *dataset,
                                                         const cupel_loader_options *options);
/* Stops the workers and waits for them. NULL is fine. */
CUPEL_API void cupel_loader_destroy(cupel_loader *loader);
CUPEL_API const char *cupel_loader_error(const cupel_loader *loader);
/* Waits for the next batch in order; *out is NULL after the last one. The previous batch is invalid
 * from here on. Returns what a transform failed with. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_loader_next(cupel_loader *loader,
                                                       const cupel_batch **out);
/* The count of the data set divided by the batch, rounded up. */
CUPEL_API int64_t cupel_loader_batches_per_epoch(const cupel_loader *loader);

#ifdef __cplusplus
}
#endif
#endif
