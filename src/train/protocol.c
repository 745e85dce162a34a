/*
 * The data protocol of a recipe: where the data set lies, and which of its images train, are held
 * back, and judge. Test: tests/test_trainer.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "cupel/protocol.h"
#include "data/recipe_internal.h"

struct cupel_protocol {
    cupel_recipe *recipe;
    char *folder;
    cupel_dataset *train, *held_out, *test;
    const int64_t *normal, *anomalous;
    size_t n_normal, n_anomalous;
    struct cupel_error error;
};

/* --- where the data set lies --- */

/* What cupel_dataset_open() looks for, as a hint that a folder holds images. */
static bool holds_images(const char *folder) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                                        "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof names[0]; i++) {
        char *const path = file_join(folder, names[i]);
        found = path != NULL && file_exists(path);
        cupel_free(path);
    }
    return found;
}

/* Sets protocol->folder to base/set, or to base itself, where there are images. */
static bool look_in(cupel_protocol *protocol, const char *base, const char *set, bool itself) {
    if (base == NULL || base[0] == '\0')
        return false;
    char *path = file_join(base, set);
    if (path != NULL && !file_exists(path) && itself && holds_images(base)) {
        cupel_free(path);
        path = cupel_strdup(base);
    }
    if (path == NULL || !file_exists(path)) {
        cupel_free(path);
        return false;
    }
    protocol->folder = path;
    return true;
}

static bool look_in_cache(cupel_protocol *protocol, const char *set) {
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    const bool own = cache != NULL && cache[0] == '/';
    if (!own && (home == NULL || home[0] == '\0'))
        return false;
    char *const base = file_join(own ? cache : home, own ? "cupel" : ".cache/cupel");
    const bool found = look_in(protocol, base, set, false);
    cupel_free(base);
    return found;
}

static cupel_status find_folder(cupel_protocol *protocol, const char *folder, const char *beside) {
    const char *set = "";
    CUPEL_TRY(cupel_recipe_get_string(protocol->recipe, "data.set", &set));
    if (folder != NULL) {
        if (look_in(protocol, folder, set, true))
            return CUPEL_STATUS_OK;
        return cupel_fail(
            &protocol->error, CUPEL_STATUS_IO,
            "%s holds no folder \"%s\" and no IDX images itself: give the folder that "
            "holds the data set, or set data.set",
            folder, set);
    }
    const char *const common = getenv("CUPEL_DATA");
    if (look_in(protocol, common, set, true) || look_in(protocol, beside, set, false) ||
        look_in_cache(protocol, set))
        return CUPEL_STATUS_OK;
    return cupel_fail(
        &protocol->error, CUPEL_STATUS_IO,
        "the data set \"%s\" (%s) is not found: looked in $CUPEL_DATA (%s)%s%s and the "
        "user's cache; give its folder with --data",
        set, cupel_recipe_origin(protocol->recipe, "data.set"), common == NULL ? "not set" : common,
        beside == NULL ? "" : ", ", beside == NULL ? "" : beside);
}

/* --- which images --- */

static bool listed(const int64_t *list, size_t count, int64_t label) {
    for (size_t i = 0; i < count; i++)
        if (list[i] == label)
            return true;
    return false;
}

bool cupel_protocol_is_anomaly(const cupel_protocol *protocol, int64_t label) {
    if (label < 0 || protocol->n_normal == 0)
        return listed(protocol->anomalous, protocol->n_anomalous, label);
    if (protocol->n_anomalous > 0)
        return listed(protocol->anomalous, protocol->n_anomalous, label);
    return !listed(protocol->normal, protocol->n_normal, label);
}

/* Takes over the outcome of a call that made a data set: keeps the sentence of a failure. A file
 * that does not fit another is bad data here. */
static cupel_status made(cupel_protocol *protocol, cupel_status status, cupel_dataset **set) {
    if (status == CUPEL_STATUS_OK)
        return status;
    if (status != CUPEL_STATUS_OUT_OF_MEMORY && status != CUPEL_STATUS_IO)
        status = CUPEL_STATUS_BAD_DATA;
    (void)cupel_fail(&protocol->error, status, "%s",
                     *set == NULL ? cupel_status_text(status) : cupel_dataset_error(*set));
    cupel_dataset_destroy(*set);
    *set = NULL;
    return status;
}

/* Replaces *set by what a call made of it. */
static cupel_status replace(cupel_protocol *protocol, cupel_status status, cupel_dataset *next,
                            cupel_dataset **set) {
    CUPEL_TRY(made(protocol, status, &next));
    cupel_dataset_destroy(*set);
    *set = next;
    return CUPEL_STATUS_OK;
}

static cupel_status pad(cupel_protocol *protocol, cupel_dataset **set) {
    int64_t margin = 0;
    cupel_dataset *next = NULL;
    CUPEL_TRY(cupel_recipe_get_int(protocol->recipe, "data.pad", &margin));
    if (margin == 0)
        return CUPEL_STATUS_OK;
    const cupel_status status = cupel_dataset_pad(&next, *set, margin);
    return replace(protocol, status, next, set);
}

static cupel_status keep_first(cupel_protocol *protocol, cupel_dataset **set, int64_t limit) {
    if (limit == 0 || limit >= cupel_dataset_get_info(*set).count)
        return CUPEL_STATUS_OK;
    int64_t *const indices = cupel_alloc((size_t)limit, sizeof *indices);
    if (indices == NULL)
        return cupel_fail_memory(&protocol->error, "indices", (size_t)limit);
    for (int64_t i = 0; i < limit; i++)
        indices[i] = i;
    cupel_dataset *next = NULL;
    const cupel_status status = cupel_dataset_take(&next, *set, indices, limit);
    cupel_free(indices);
    return replace(protocol, status, next, set);
}

/* Moves data.held_out images out of the training images. */
static cupel_status hold_out(cupel_protocol *protocol) {
    int64_t held_out = 0, seed = 0;
    CUPEL_TRY(cupel_recipe_get_int(protocol->recipe, "data.held_out", &held_out));
    CUPEL_TRY(cupel_recipe_get_int(protocol->recipe, "seed", &seed));
    if (held_out == 0)
        return CUPEL_STATUS_OK;
    const int64_t count = cupel_dataset_get_info(protocol->train).count;
    if (held_out >= count)
        return cupel_fail(&protocol->error, CUPEL_STATUS_BAD_DATA,
                          "%s: data.held_out is %lld, and there are only %lld normal images: lower "
                          "it",
                          cupel_recipe_origin(protocol->recipe, "data.held_out"),
                          (long long)held_out, (long long)count);
    const int64_t counts[] = {-1, held_out};
    cupel_dataset *parts[2] = {NULL, NULL};
    CUPEL_TRY(made(protocol, cupel_dataset_split(parts, counts, 2, protocol->train, (uint64_t)seed),
                   &parts[0]));
    cupel_dataset_destroy(protocol->train);
    protocol->train = parts[0];
    protocol->held_out = parts[1];
    return pad(protocol, &protocol->held_out);
}

static cupel_status open_train(cupel_protocol *protocol) {
    int64_t limit = 0;
    CUPEL_TRY(made(protocol, cupel_dataset_open(&protocol->train, protocol->folder, "train"),
                   &protocol->train));
    if (protocol->n_normal > 0) {
        cupel_dataset *next = NULL;
        const cupel_status status =
            cupel_dataset_filter(&next, protocol->train, protocol->normal, protocol->n_normal);
        CUPEL_TRY(replace(protocol, status, next, &protocol->train));
    }
    CUPEL_TRY(hold_out(protocol));
    CUPEL_TRY(cupel_recipe_get_int(protocol->recipe, "data.limit", &limit));
    CUPEL_TRY(keep_first(protocol, &protocol->train, limit));
    return pad(protocol, &protocol->train);
}

static cupel_status build(cupel_protocol *protocol, const char *folder, const char *beside) {
    cupel_recipe *const recipe = protocol->recipe;
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.normal_classes", &protocol->normal,
                                    &protocol->n_normal));
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.anomaly_classes", &protocol->anomalous,
                                    &protocol->n_anomalous));
    CUPEL_TRY(find_folder(protocol, folder, beside));
    return open_train(protocol);
}

cupel_status cupel_protocol_create(cupel_protocol **out, cupel_recipe *recipe, const char *folder,
                                   const char *beside) {
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    cupel_protocol *const protocol = *out;
    /* A recipe of its own, so that the caller's may change or go. */
    cupel_status status = recipe_copy(&protocol->recipe, recipe);
    if (status == CUPEL_STATUS_OK)
        status = build(protocol, folder, beside);
    if (status != CUPEL_STATUS_OK && protocol->error.text[0] == '\0')
        (void)cupel_fail(&protocol->error, status, "%s",
                         protocol->recipe == NULL ? cupel_status_text(status)
                                                  : cupel_recipe_error(protocol->recipe));
    return status;
}

void cupel_protocol_destroy(cupel_protocol *protocol) {
    if (protocol == NULL)
        return;
    cupel_dataset_destroy(protocol->train);
    cupel_dataset_destroy(protocol->held_out);
    cupel_dataset_destroy(protocol->test);
    cupel_recipe_destroy(protocol->recipe);
    cupel_free(protocol->folder);
    cupel_free(protocol);
}

const char *cupel_protocol_error(const cupel_protocol *protocol) {
    return protocol->error.text;
}

const char *cupel_protocol_folder(const cupel_protocol *protocol) {
    return protocol->folder == NULL ? "" : protocol->folder;
}

const cupel_dataset *cupel_protocol_train(const cupel_protocol *protocol) {
    return protocol->train;
}

const cupel_dataset *cupel_protocol_held_out(const cupel_protocol *protocol) {
    return protocol->held_out;
}

/* --- the test images --- */

static cupel_status keep_judged(cupel_protocol *protocol, cupel_dataset **set) {
    const int64_t classes = cupel_dataset_get_info(*set).class_count;
    int64_t *const kept = cupel_alloc((size_t)classes + 1, sizeof *kept);
    if (kept == NULL)
        return cupel_fail_memory(&protocol->error, "classes", (size_t)classes);
    size_t count = 0;
    for (int64_t label = 0; label < classes; label++)
        if (protocol->n_normal == 0 || listed(protocol->normal, protocol->n_normal, label) ||
            cupel_protocol_is_anomaly(protocol, label))
            kept[count++] = label;
    cupel_dataset *next = NULL;
    const cupel_status status = cupel_dataset_filter(&next, *set, kept, count);
    cupel_free(kept);
    return replace(protocol, status, next, set);
}

cupel_status cupel_protocol_test(cupel_protocol *protocol, const cupel_dataset **out) {
    *out = protocol->test;
    if (*out != NULL)
        return CUPEL_STATUS_OK;
    cupel_dataset *set = NULL;
    CUPEL_TRY(made(protocol, cupel_dataset_open(&set, protocol->folder, "test"), &set));
    const cupel_status status =
        cupel_dataset_get_info(set).labelled ? keep_judged(protocol, &set) : CUPEL_STATUS_OK;
    if (status != CUPEL_STATUS_OK) {
        cupel_dataset_destroy(set);
        return status;
    }
    *out = protocol->test = set;
    return status;
}
