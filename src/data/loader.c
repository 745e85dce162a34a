/*
 * The loader: a ring of slots, each with memory for one batch, made once. Batch number t (counted
 * over all epochs) lives in slot t mod slots. Workers take the numbers in order, so the batch that
 * a slot gets and the rows it holds are decided under the lock; only the copying and the transforms
 * happen outside it. Hence nothing a batch holds depends on who filled it.
 *
 * Waking a worker takes as long as a tenth of a small step, so of small batches the ring holds
 * many, and workers that sleep because a large ring is full are woken once half of it is free.
 * Test: tests/test_loader.c, which also runs under ThreadSanitizer.
 */
#define _GNU_SOURCE
#include "cupel/loader.h"

#include <pthread.h>
#include <signal.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"

/* Of small batches as many are kept ready as take so many bytes, but at most so many. */
enum { SMALL_BYTES = 1 << 20, MOST_AHEAD = 16 };
enum { LARGE_RING = 6 }; /* batches ahead from which workers wait for half of them */

enum slot_state { FREE, FILLING, READY };

struct slot {
    enum slot_state state;
    cupel_status status;      /* of its filling */
    struct cupel_error error; /* why */
    cupel_batch batch;        /* points into the arrays below */
    float *images;
    int64_t *labels, *indices;
    uint64_t *content_ids;
};

struct cupel_loader {
    struct cupel_error error;
    const cupel_dataset *dataset;
    cupel_loader_options options;
    cupel_dataset_info info;
    int64_t batches_per_epoch;
    int64_t end; /* number of the batch after the last one, or INT64_MAX */
    uint64_t *positions;
    struct slot *slots;
    int64_t slot_count;

    pthread_mutex_t lock;
    pthread_cond_t freed, filled;
    bool lock_made, freed_made, filled_made;
    pthread_t workers[CUPEL_MAX_WORKERS];
    int worker_count;

    /* All below is guarded by the lock. */
    bool stop;
    int64_t next_fill; /* number of the batch the next worker takes */
    int64_t next_read; /* number of the batch the caller gets next */
    int64_t in_use;    /* the batch the caller holds, or -1 */
    uint64_t *order;   /* of order_epoch */
    int64_t order_epoch;
};

/* ---- the workers ----------------------------------------------------------------------------- */

/* Under the lock: decides which rows the batch gets. */
static void assign_rows(cupel_loader *loader, int64_t number, struct slot *slot) {
    const int64_t size = loader->options.batch, total = loader->info.count;
    const int64_t epoch = number / loader->batches_per_epoch;
    const int64_t index = number % loader->batches_per_epoch;
    const int64_t begin = index * size;
    const int64_t count = total - begin < size ? total - begin : size;
    if (loader->options.shuffle && loader->order_epoch != epoch) {
        rng_permutation(rng_key_make(loader->options.seed, hash_string("data.order")),
                        (uint32_t)epoch, (uint64_t)total, loader->order);
        loader->order_epoch = epoch;
    }
    for (int64_t i = 0; i < count; i++)
        slot->indices[i] = loader->options.shuffle ? (int64_t)loader->order[begin + i] : begin + i;
    slot->batch = (cupel_batch){
        .epoch = epoch,
        .index = index,
        .count = count,
        .last = index + 1 == loader->batches_per_epoch,
        .shape = CUPEL_SHAPE(count, loader->info.channels, loader->info.height, loader->info.width),
        .images = slot->images,
        .labels = slot->labels,
        .indices = slot->indices,
        .positions = loader->positions,
        .content_ids = slot->content_ids,
    };
}

/* Outside the lock: nobody else touches a slot that is being filled. */
static cupel_status fill(const cupel_loader *loader, struct slot *slot) {
    const cupel_dataset_info *const info = &loader->info;
    const int64_t values = info->channels * info->height * info->width;
    for (int64_t i = 0; i < slot->batch.count; i++) {
        const int64_t index = slot->indices[i];
        const uint8_t *const pixels = cupel_dataset_pixels(loader->dataset, index);
        float *const image = slot->images + i * values;
        for (int64_t v = 0; v < values; v++)
            image[v] = (float)pixels[v] / 255.0f;
        slot->labels[i] = cupel_dataset_label(loader->dataset, index);
        if (slot->content_ids != NULL)
            slot->content_ids[i] = cupel_dataset_row_id(loader->dataset, index);
        if (loader->options.transform == NULL)
            continue;
        const cupel_sample sample = {loader->options.seed, slot->batch.epoch, index,
                                     info->channels,       info->height,      info->width};
        const cupel_status status =
            loader->options.transform(loader->options.transform_user, &sample, image);
        if (status != CUPEL_STATUS_OK) {
            int64_t place = 0;
            const char *const source = cupel_dataset_source(loader->dataset, index, &place);
            return cupel_fail(&slot->error, status,
                              "the transform of image %lld (%s, number %lld) failed in epoch %lld: "
                              "%s",
                              (long long)index, *source ? source : "from memory", (long long)place,
                              (long long)slot->batch.epoch, cupel_status_text(status));
        }
    }
    return CUPEL_STATUS_OK;
}

static void *work(void *argument) {
    cupel_loader *const loader = argument;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        struct slot *const slot = &loader->slots[loader->next_fill % loader->slot_count];
        if (loader->stop || loader->next_fill >= loader->end)
            break;
        if (slot->state != FREE) {
            pthread_cond_wait(&loader->freed, &loader->lock);
            continue;
        }
        assign_rows(loader, loader->next_fill++, slot);
        slot->state = FILLING;
        pthread_mutex_unlock(&loader->lock);
        const cupel_status status = fill(loader, slot);
        pthread_mutex_lock(&loader->lock);
        slot->status = status;
        slot->state = READY;
        pthread_cond_signal(&loader->filled);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* ---- making and ending ----------------------------------------------------------------------- */

static cupel_status check_options(cupel_loader *loader) {
    const cupel_loader_options *const o = &loader->options;
    struct cupel_error *const error = &loader->error;
    const int64_t most = INT64_C(1) << 31; /* epochs are a 32-bit part of random counters */
    if (loader->info.count < 1)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT, "the data set holds no image");
    if (o->batch < 1)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a batch of %lld images; it must be at least 1", (long long)o->batch);
    if (o->workers < 1 || o->workers > CUPEL_MAX_WORKERS)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "%d loader threads; there must be 1 to %d", o->workers,
                          CUPEL_MAX_WORKERS);
    if (o->ahead < 1 || o->ahead > 1024)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "%lld batches ahead; there must be 1 to 1024", (long long)o->ahead);
    if (o->first_epoch < 0 || o->first_epoch >= most || o->last_epoch < 0 || o->last_epoch > most ||
        o->first_batch < 0 || o->first_batch > loader->batches_per_epoch)
        return cupel_fail(
            error, CUPEL_STATUS_INVALID_ARGUMENT,
            "a loader cannot begin at epoch %lld, batch %lld and end at epoch %lld; an "
            "epoch has %lld batches",
            (long long)o->first_epoch, (long long)o->first_batch, (long long)o->last_epoch,
            (long long)loader->batches_per_epoch);
    return CUPEL_STATUS_OK;
}

static cupel_status allocate(cupel_loader *loader) {
    const int64_t total = loader->info.count;
    const int64_t size = loader->options.batch < total ? loader->options.batch : total;
    const size_t values =
        (size_t)(loader->info.channels * loader->info.height * loader->info.width);
    const size_t rows = (size_t)size;
    bool fine = true;
    loader->slots = cupel_alloc((size_t)loader->slot_count, sizeof *loader->slots);
    loader->positions = cupel_alloc(rows, sizeof *loader->positions);
    if (loader->options.shuffle)
        loader->order = cupel_alloc((size_t)total, sizeof *loader->order);
    fine = loader->slots != NULL && loader->positions != NULL &&
           (loader->order != NULL || !loader->options.shuffle);
    for (int64_t s = 0; fine && s < loader->slot_count; s++) {
        struct slot *const slot = &loader->slots[s];
        slot->images = cupel_alloc_aligned(rows * values * sizeof(float));
        slot->labels = cupel_alloc(rows, sizeof *slot->labels);
        slot->indices = cupel_alloc(rows, sizeof *slot->indices);
        if (loader->options.hash)
            slot->content_ids = cupel_alloc(rows, sizeof *slot->content_ids);
        fine = slot->images != NULL && slot->labels != NULL && slot->indices != NULL &&
               (slot->content_ids != NULL || !loader->options.hash);
    }
    if (!fine)
        return cupel_fail_memory(&loader->error, "the batches of a loader",
                                 (size_t)loader->slot_count * rows * values * sizeof(float));
    for (size_t i = 0; i < rows; i++)
        loader->positions[i] = i;
    return CUPEL_STATUS_OK;
}

static cupel_status start(cupel_loader *loader) {
    loader->lock_made = pthread_mutex_init(&loader->lock, NULL) == 0;
    loader->freed_made = loader->lock_made && pthread_cond_init(&loader->freed, NULL) == 0;
    loader->filled_made = loader->freed_made && pthread_cond_init(&loader->filled, NULL) == 0;
    bool fine = loader->filled_made;
    /* Signals are for the caller's threads: a worker would handle them at a bad place. */
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    while (fine && loader->worker_count < loader->options.workers) {
        fine = pthread_create(&loader->workers[loader->worker_count], NULL, work, loader) == 0;
        loader->worker_count += fine;
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (!fine)
        return cupel_fail(&loader->error, CUPEL_STATUS_OUT_OF_MEMORY,
                          "the system refused loader thread %d of %d; ask for fewer workers",
                          loader->worker_count + 1, loader->options.workers);
    return CUPEL_STATUS_OK;
}

static void release(cupel_loader *loader) {
    if (loader->filled_made) {
        pthread_mutex_lock(&loader->lock);
        loader->stop = true;
        pthread_cond_broadcast(&loader->freed);
        pthread_mutex_unlock(&loader->lock);
    }
    for (int i = 0; i < loader->worker_count; i++)
        pthread_join(loader->workers[i], NULL);
    loader->worker_count = 0;
    if (loader->filled_made)
        pthread_cond_destroy(&loader->filled);
    if (loader->freed_made)
        pthread_cond_destroy(&loader->freed);
    if (loader->lock_made)
        pthread_mutex_destroy(&loader->lock);
    loader->lock_made = loader->freed_made = loader->filled_made = false;
    for (int64_t s = 0; loader->slots != NULL && s < loader->slot_count; s++) {
        cupel_free(loader->slots[s].images);
        cupel_free(loader->slots[s].labels);
        cupel_free(loader->slots[s].indices);
        cupel_free(loader->slots[s].content_ids);
    }
    cupel_free(loader->slots);
    cupel_free(loader->positions);
    cupel_free(loader->order);
    loader->slots = NULL;
    loader->positions = loader->order = NULL;
}

/* One batch a worker and one more; as many as are small in memory. */
static int64_t default_ahead(const cupel_loader *loader) {
    const int64_t values = loader->info.channels * loader->info.height * loader->info.width;
    const int64_t least = (int64_t)loader->options.workers + 1;
    const int64_t batch = loader->options.batch < 1 ? 1 : loader->options.batch;
    const int64_t small = SMALL_BYTES / (int64_t)sizeof(float) / batch / (values < 1 ? 1 : values);
    const int64_t most = small < MOST_AHEAD ? small : MOST_AHEAD;
    return least > most ? least : most;
}

static cupel_status set_up(cupel_loader *loader, const cupel_dataset *dataset,
                           const cupel_loader_options *options) {
    loader->dataset = dataset;
    loader->options = *options;
    loader->info = cupel_dataset_get_info(dataset);
    if (loader->options.workers == 0)
        loader->options.workers = 1;
    if (loader->options.ahead == 0)
        loader->options.ahead = default_ahead(loader);
    loader->batches_per_epoch =
        options->batch < 1 ? 0 : (loader->info.count - 1) / options->batch + 1;
    CUPEL_TRY(check_options(loader));
    loader->slot_count = loader->options.ahead + 1; /* and the one in use */
    loader->next_fill = loader->next_read =
        options->first_epoch * loader->batches_per_epoch + options->first_batch;
    loader->end =
        options->last_epoch == 0 ? INT64_MAX : options->last_epoch * loader->batches_per_epoch;
    loader->in_use = -1;
    loader->order_epoch = -1;
    CUPEL_TRY(allocate(loader));
    return start(loader);
}

cupel_status cupel_loader_create(cupel_loader **out, const cupel_dataset *dataset,
                                 const cupel_loader_options *options) {
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    const cupel_status status = set_up(*out, dataset, options);
    if (status != CUPEL_STATUS_OK)
        release(*out); /* the sentence stays */
    return status;
}

void cupel_loader_destroy(cupel_loader *loader) {
    if (loader == NULL)
        return;
    release(loader);
    cupel_free(loader);
}

const char *cupel_loader_error(const cupel_loader *loader) {
    return loader != NULL ? loader->error.text : "";
}

int64_t cupel_loader_batches_per_epoch(const cupel_loader *loader) {
    return loader->batches_per_epoch;
}

/* All that is numbered from next_read to next_fill is filled, or is being filled. */
static bool worth_waking(const cupel_loader *loader) {
    const int64_t ahead = loader->options.ahead, filled = loader->next_fill - loader->next_read;
    return ahead < LARGE_RING || 2 * filled <= ahead;
}

cupel_status cupel_loader_next(cupel_loader *loader, const cupel_batch **out) {
    *out = NULL;
    if (loader->slots == NULL)
        return cupel_fail(&loader->error, CUPEL_STATUS_BUG,
                          "a loader whose creation failed is asked for a batch");
    pthread_mutex_lock(&loader->lock);
    if (loader->in_use >= 0) {
        loader->slots[loader->in_use % loader->slot_count].state = FREE;
        loader->in_use = -1;
        if (worth_waking(loader))
            pthread_cond_broadcast(&loader->freed);
    }
    cupel_status status = CUPEL_STATUS_OK;
    if (loader->next_read < loader->end) {
        struct slot *const slot = &loader->slots[loader->next_read % loader->slot_count];
        while (slot->state != READY)
            pthread_cond_wait(&loader->filled, &loader->lock);
        status = slot->status;
        if (status == CUPEL_STATUS_OK) {
            loader->in_use = loader->next_read++;
            *out = &slot->batch;
        } else { /* the slot stays as it is: the next call fails the same way */
            (void)cupel_error_copy(&loader->error, &slot->error);
        }
    }
    pthread_mutex_unlock(&loader->lock);
    return status;
}
