/*
 * The loader (src/data/loader.c): order, completeness, resuming, independence of the number of
 * workers, errors, shutdown at any time. Also run under ThreadSanitizer.
 */
#include "support/drill.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/rng.h"
#include "cupel/loader.h"

enum { COUNT = 53, VALUES = 2 * 3 * 4, BATCH = 8, BATCHES = 7 };

static cupel_dataset *make_set(void) {
    static uint8_t pixels[COUNT * VALUES];
    int64_t labels[COUNT];
    for (int i = 0; i < COUNT; i++) {
        for (int v = 0; v < VALUES; v++)
            pixels[i * VALUES + v] = (uint8_t)(i * 37 + v * 11);
        labels[i] = i % 5;
    }
    cupel_dataset *set;
    CHECK_OK(cupel_dataset_create(&set, COUNT, 2, 3, 4, pixels, labels));
    return set;
}

static cupel_loader *make_loader(const cupel_dataset *set, cupel_loader_options options) {
    cupel_loader *loader;
    CHECK_OK_TEXT(cupel_loader_create(&loader, set, &options), cupel_loader_error(loader));
    return loader;
}

static void check_rows(const cupel_dataset *set, const cupel_batch *batch) {
    CHECK(cupel_shape_equal(batch->shape, CUPEL_SHAPE(batch->count, 2, 3, 4)));
    for (int64_t i = 0; i < batch->count; i++) {
        const uint8_t *const pixels = cupel_dataset_pixels(set, batch->indices[i]);
        for (int v = 0; v < VALUES; v++)
            CHECK_F64(batch->images[i * VALUES + v], (float)pixels[v] / 255.0f);
        CHECK_I64(batch->labels[i], cupel_dataset_label(set, batch->indices[i]));
        CHECK_U64(batch->positions[i], i);
        if (batch->content_ids != NULL)
            CHECK_U64(batch->content_ids[i], cupel_dataset_row_id(set, batch->indices[i]));
    }
}

static void test_plain_order(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    cupel_loader *const loader =
        make_loader(set, (cupel_loader_options){.batch = BATCH, .last_epoch = 2, .hash = true});
    CHECK_I64(cupel_loader_batches_per_epoch(loader), BATCHES);
    const cupel_batch *batch;
    for (int64_t number = 0; number < 2 * BATCHES; number++) {
        CHECK_OK(cupel_loader_next(loader, &batch));
        CHECK_I64(batch->epoch, number / BATCHES);
        CHECK_I64(batch->index, number % BATCHES);
        CHECK_I64(batch->count, batch->index == BATCHES - 1 ? 5 : 8);
        CHECK(batch->last == (batch->index == BATCHES - 1));
        for (int64_t i = 0; i < batch->count; i++)
            CHECK_I64(batch->indices[i], batch->index * BATCH + i);
        CHECK(batch->content_ids != NULL);
        check_rows(set, batch);
    }
    for (int i = 0; i < 3; i++) { /* the end stays the end */
        CHECK_OK(cupel_loader_next(loader, &batch));
        CHECK(batch == NULL);
    }
    cupel_loader_destroy(loader);
    cupel_dataset_destroy(set);
}

/* Each epoch is the permutation that its definition names, and each holds every image once. */
static void test_shuffled_order(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    cupel_loader *const loader = make_loader(
        set, (cupel_loader_options){.batch = BATCH, .shuffle = true, .seed = 42, .workers = 2});
    const cupel_batch *batch;
    uint64_t order[COUNT], before[COUNT] = {0};
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        bool seen[COUNT] = {false};
        rng_permutation(rng_key_make(42, hash_string("data.order")), (uint32_t)epoch, COUNT, order);
        for (int64_t b = 0; b < BATCHES; b++) {
            CHECK_OK(cupel_loader_next(loader, &batch));
            check_rows(set, batch);
            CHECK(batch->content_ids == NULL);
            for (int64_t i = 0; i < batch->count; i++) {
                CHECK_U64((uint64_t)batch->indices[i], order[b * BATCH + i]);
                CHECK(!seen[batch->indices[i]]);
                seen[batch->indices[i]] = true;
            }
        }
        CHECK(memcmp(order, before, sizeof order) != 0);
        memcpy(before, order, sizeof order);
    }
    cupel_loader_destroy(loader);
    cupel_dataset_destroy(set);
}

/* A transform that depends on the sample alone; it sleeps at times so that workers overtake. */
static cupel_status jitter(void *user, const cupel_sample *sample, float *image) {
    const struct rng_key key = rng_key_make(sample->seed, hash_string("jitter"));
    const uint64_t draw = rng_u64(key, (uint64_t)sample->index, (uint32_t)sample->epoch, 0);
    image[0] = (float)(draw >> 40);
    if (user != NULL && draw % 16 == 0)
        usleep(200);
    return CUPEL_STATUS_OK;
}

/* A hash of everything the loader delivers from (epoch, batch) to the end of epoch 2. */
static uint64_t fingerprint(const cupel_dataset *set, int workers, int64_t ahead, int64_t epoch,
                            int64_t first, int64_t skip) {
    cupel_loader *const loader = make_loader(set, (cupel_loader_options){
                                                      .batch = BATCH,
                                                      .workers = workers,
                                                      .ahead = ahead,
                                                      .seed = 9,
                                                      .shuffle = true,
                                                      .first_epoch = epoch,
                                                      .first_batch = first,
                                                      .last_epoch = 3,
                                                      .transform = jitter,
                                                      .transform_user = &workers,
                                                  });
    uint64_t hash = 0;
    const cupel_batch *batch;
    for (;; skip--) {
        CHECK_OK(cupel_loader_next(loader, &batch));
        if (batch == NULL)
            break;
        if (skip > 0)
            continue;
        const size_t count = (size_t)batch->count;
        hash = hash_combine(hash, (uint64_t)(batch->epoch * 1000 + batch->index));
        hash = hash_combine(hash, hash_bytes(batch->images, count * VALUES * sizeof(float)));
        hash = hash_combine(hash, hash_bytes(batch->labels, count * sizeof(int64_t)));
        hash = hash_combine(hash, hash_bytes(batch->indices, count * sizeof(int64_t)));
    }
    cupel_loader_destroy(loader);
    return hash;
}

static void test_any_number_of_workers(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    const uint64_t expected = fingerprint(set, 1, 1, 0, 0, 0);
    for (int workers = 1; workers <= CUPEL_MAX_WORKERS; workers += workers < 4 ? 1 : 4)
        for (int64_t ahead = 1; ahead <= 17; ahead += 8) {
            check_context("workers %d, ahead %lld", workers, (long long)ahead);
            CHECK_U64(fingerprint(set, workers, ahead, 0, 0, 0), expected);
        }
    cupel_dataset_destroy(set);
}

static void test_resume_anywhere(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    for (int64_t number = 0; number <= 3 * BATCHES; number += 2) {
        check_context("from batch %lld on", (long long)number);
        CHECK_U64(fingerprint(set, 3, 0, number / BATCHES, number % BATCHES, 0),
                  fingerprint(set, 2, 0, 0, 0, number));
    }
    /* the end of an epoch is the beginning of the next */
    CHECK_U64(fingerprint(set, 1, 0, 0, BATCHES, 0), fingerprint(set, 1, 0, 1, 0, 0));
    cupel_dataset_destroy(set);
}

static cupel_status fail_on_30(void *user, const cupel_sample *sample, float *image) {
    (void)user;
    (void)image;
    return sample->index == 30 ? CUPEL_STATUS_NOT_FINITE : CUPEL_STATUS_OK;
}

static void test_failing_transform(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    for (int workers = 1; workers <= 3; workers++) {
        cupel_loader *const loader = make_loader(
            set,
            (cupel_loader_options){.batch = BATCH, .workers = workers, .transform = fail_on_30});
        const cupel_batch *batch;
        for (int i = 0; i < 3; i++) /* images 0 to 23 */
            CHECK_OK(cupel_loader_next(loader, &batch));
        for (int i = 0; i < 2; i++) {
            CHECK_STATUS(cupel_loader_next(loader, &batch), CUPEL_STATUS_NOT_FINITE);
            CHECK(batch == NULL);
            CHECK_CONTAINS(cupel_loader_error(loader), "image 30");
        }
        cupel_loader_destroy(loader);
    }
    cupel_dataset_destroy(set);
}

static void test_shutdown_anywhere(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    for (int round = 0; round < 60; round++) {
        cupel_loader *const loader = make_loader(set, (cupel_loader_options){
                                                          .batch = 1 + round % 5,
                                                          .workers = 1 + round % 7,
                                                          .ahead = 1 + round % 3,
                                                          .shuffle = true,
                                                          .last_epoch = round % 2,
                                                          .transform = jitter,
                                                          .transform_user = set,
                                                      });
        const cupel_batch *batch;
        for (int i = 0; i < round % 11; i++)
            CHECK_OK(cupel_loader_next(loader, &batch));
        cupel_loader_destroy(loader);
    }
    cupel_loader_destroy(NULL);
    cupel_dataset_destroy(set);
}

static cupel_status count_call(void *user, const cupel_sample *sample, float *image) {
    (void)sample;
    (void)image;
    atomic_fetch_add((atomic_int *)user, 1);
    return CUPEL_STATUS_OK;
}

/* With one batch in the caller's hands exactly `ahead` more get ready, and that one is left alone.
 */
static void test_ahead(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    atomic_int calls = 0;
    cupel_loader *const loader = make_loader(
        set, (cupel_loader_options){
                 .batch = BATCH, .ahead = 2, .transform = count_call, .transform_user = &calls});
    const cupel_batch *batch;
    CHECK_OK(cupel_loader_next(loader, &batch));
    float copy[BATCH * VALUES];
    memcpy(copy, batch->images, sizeof copy);
    for (int i = 0; i < 5000 && atomic_load(&calls) < 3 * BATCH; i++)
        usleep(1000);
    CHECK_I64(atomic_load(&calls), 3 * BATCH);
    usleep(5000); /* and no more */
    CHECK_I64(atomic_load(&calls), 3 * BATCH);
    assert_memory_equal(copy, batch->images, sizeof copy);
    cupel_loader_destroy(loader);
    cupel_dataset_destroy(set);
}

static void test_one_small_batch(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    cupel_loader *const loader =
        make_loader(set, (cupel_loader_options){.batch = 1000000, .last_epoch = 1});
    const cupel_batch *batch;
    CHECK_OK(cupel_loader_next(loader, &batch));
    CHECK_I64(batch->count, COUNT);
    CHECK(batch->last);
    CHECK_OK(cupel_loader_next(loader, &batch));
    CHECK(batch == NULL);
    cupel_loader_destroy(loader);
    cupel_dataset_destroy(set);
}

static void test_bad_options(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    static const struct {
        cupel_loader_options options;
        const char *why;
    } rows[] = {
        {{.batch = 0}, "a batch of 0"},
        {{.batch = -3}, "a batch of -3"},
        {{.batch = 1, .workers = 17}, "17 loader threads"},
        {{.batch = 1, .workers = -1}, "-1 loader threads"},
        {{.batch = 1, .ahead = -1}, "-1 batches ahead"},
        {{.batch = 8, .first_batch = 8}, "batch 8"},
        {{.batch = 8, .first_epoch = -1}, "epoch -1"},
        {{.batch = 8, .first_epoch = INT64_MAX}, "cannot begin"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cupel_loader *loader;
        const cupel_batch *batch;
        CHECK_STATUS(cupel_loader_create(&loader, set, &rows[i].options),
                     CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(cupel_loader_error(loader), rows[i].why);
        CHECK_STATUS(cupel_loader_next(loader, &batch), CUPEL_STATUS_BUG);
        cupel_loader_destroy(loader);
    }
    cupel_dataset_destroy(set);
}

/* Workers take no signals: the caller's handler runs in the caller's thread. */
static pthread_t caller;
static atomic_int handled_here;
static void handle(int number) {
    (void)number;
    if (pthread_equal(pthread_self(), caller))
        atomic_fetch_add(&handled_here, 1);
}

static void test_signals(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    cupel_loader *const loader =
        make_loader(set, (cupel_loader_options){.batch = BATCH, .workers = 4});
    caller = pthread_self();
    const struct sigaction action = {.sa_handler = handle};
    struct sigaction previous;
    sigaction(SIGUSR1, &action, &previous);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGUSR1);
        CHECK_I64(atomic_load(&handled_here), i + 1);
    }
    sigaction(SIGUSR1, &previous, NULL);
    cupel_loader_destroy(loader);
    cupel_dataset_destroy(set);
}

static cupel_status run_body(void *user) {
    cupel_loader *loader;
    const cupel_loader_options options = {
        .batch = BATCH, .workers = 2, .shuffle = true, .hash = true};
    cupel_status status = cupel_loader_create(&loader, user, &options);
    const cupel_batch *batch;
    for (int i = 0; i < 9 && status == CUPEL_STATUS_OK; i++)
        status = cupel_loader_next(loader, &batch);
    cupel_loader_destroy(loader);
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    cupel_dataset *const set = make_set();
    CHECK(drill_memory(run_body, set) > 30);
    cupel_dataset_destroy(set);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_order),
        cmocka_unit_test(test_shuffled_order),
        cmocka_unit_test(test_any_number_of_workers),
        cmocka_unit_test(test_resume_anywhere),
        cmocka_unit_test(test_failing_transform),
        cmocka_unit_test(test_shutdown_anywhere),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_one_small_batch),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
