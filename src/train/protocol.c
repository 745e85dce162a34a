/*
 * The data protocol of a recipe: where the data sets lie, and how the training split is divided
 * into what trains and what is held back. What judges is in protocol_split.c.
 * Test: tests/test_protocol.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/dataset_internal.h"
#include "data/published.h"
#include "train/protocol_internal.h"

/* --- where the data set lies --- */

/* A place to look at: *out becomes base/set, or base itself where it holds images and `itself`
 * allows it. Nothing happens when *out is known already, or there is no such place. */
static cupel_status look_in(cupel_protocol *protocol, const char *base, const char *set,
                            bool itself, char **out) {
    if (*out != NULL || base == NULL || base[0] == '\0')
        return CUPEL_STATUS_OK;
    char *path = file_join(base, set);
    bool holds = false;
    if (path != NULL && !file_exists(path)) {
        cupel_free(path);
        if (itself)
            CUPEL_TRY(dataset_holds(base, "train", &holds, &protocol->error));
        if (!holds)
            return CUPEL_STATUS_OK;
        path = cupel_strdup(base);
    }
    *out = path;
    return path != NULL ? CUPEL_STATUS_OK
                        : cupel_fail_memory(&protocol->error, base, strlen(base) + 1);
}

static cupel_status look_in_cache(cupel_protocol *protocol, const char *set, char **out) {
    char *base;
    CUPEL_TRY(data_cache_folder(&base, &protocol->error));
    const cupel_status status = look_in(protocol, base, set, false, out);
    cupel_free(base);
    return status;
}

/* The folder that `sibling` lies in. */
static cupel_status look_next_to(cupel_protocol *protocol, const char *sibling, const char *set,
                                 char **out) {
    size_t end = sibling == NULL ? 0 : strlen(sibling);
    if (end == 0)
        return CUPEL_STATUS_OK;
    while (end > 1 && sibling[end - 1] == '/')
        end--;
    while (end > 0 && sibling[end - 1] != '/')
        end--;
    char *const base = end == 0 ? cupel_strdup(".") : cupel_strndup(sibling, end);
    if (base == NULL)
        return cupel_fail_memory(&protocol->error, sibling, end);
    const cupel_status status = look_in(protocol, base, set, false, out);
    cupel_free(base);
    return status;
}

/* Where a data set of the recipe lies; `key` names it, and the folder of `sibling` (may be NULL) is
 * looked in first. */
static cupel_status find_folder(cupel_protocol *protocol, const char *key, const char *sibling,
                                const char *folder, const char *beside, char **out) {
    const char *const set = recipe_word(protocol->recipe, key), *const common =
                                                                    getenv("CUPEL_DATA");
    const bool own = sibling == NULL;
    CUPEL_TRY(look_next_to(protocol, sibling, set, out));
    if (folder != NULL) {
        CUPEL_TRY(look_in(protocol, folder, set, own, out));
    } else {
        CUPEL_TRY(look_in(protocol, common, set, own, out));
        CUPEL_TRY(look_in(protocol, beside, set, false, out));
        CUPEL_TRY(look_in_cache(protocol, set, out));
    }
    if (*out != NULL)
        return CUPEL_STATUS_OK;
    const char *const get = published_find(set) == NULL ? "" : "; cupel data get fetches it";
    if (folder != NULL)
        return cupel_fail(&protocol->error, CUPEL_STATUS_IO,
                          "%s holds no folder \"%s\"%s: give the folder that "
                          "holds the data set, or set %s%s",
                          folder, set, own ? " and no IDX images itself" : "", key, get);
    return cupel_fail(
        &protocol->error, CUPEL_STATUS_IO,
        "the data set \"%s\" (%s) is not found: looked in $CUPEL_DATA (%s)%s%s and the "
        "user's cache; give its folder with --data%s",
        set, cupel_recipe_origin(protocol->recipe, key), common == NULL ? "not set" : common,
        beside == NULL ? "" : ", ", beside == NULL ? "" : beside, get);
}

static cupel_status find_folders(cupel_protocol *protocol, const char *folder, const char *beside) {
    CUPEL_TRY(find_folder(protocol, "data.set", NULL, folder, beside, &protocol->folder));
    if (recipe_word(protocol->recipe, "anomaly.foreign_set")[0] == '\0')
        return CUPEL_STATUS_OK;
    return find_folder(protocol, "anomaly.foreign_set", protocol->folder, folder, beside,
                       &protocol->foreign);
}

/* --- which images --- */

cupel_status protocol_made(cupel_protocol *protocol, cupel_status status, cupel_dataset **set) {
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
    CUPEL_TRY(protocol_made(protocol, status, &next));
    cupel_dataset_destroy(*set);
    *set = next;
    return CUPEL_STATUS_OK;
}

static cupel_status pad(cupel_protocol *protocol, cupel_dataset **set) {
    const int64_t margin = recipe_whole(protocol->recipe, "data.pad");
    cupel_dataset *next = NULL;
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

/* How many images each part takes; the first, -1, is what trains. *n: parts that are not empty. */
static cupel_status count_parts(cupel_protocol *protocol, int64_t counts[4], size_t *n) {
    const int64_t held_out = recipe_whole(protocol->recipe, "data.held_out");
    const int64_t representative = recipe_whole(protocol->recipe, "data.representative");
    const int64_t count = cupel_dataset_get_info(protocol->train).count;
    *n = 0;
    counts[(*n)++] = -1;
    if (held_out > 0)
        counts[(*n)++] = held_out;
    for (int i = 0; i < 2 && representative > 0; i++)
        counts[(*n)++] = representative;
    if (held_out < count && representative < count && held_out + 2 * representative < count)
        return CUPEL_STATUS_OK;
    const char *const key = held_out >= count ? "data.held_out" : "data.representative";
    return cupel_fail(&protocol->error, CUPEL_STATUS_BAD_DATA,
                      "%s: data.held_out is %lld and data.representative twice %lld, and there are "
                      "only %lld normal images: lower them",
                      cupel_recipe_origin(protocol->recipe, key), (long long)held_out,
                      (long long)representative, (long long)count);
}

static cupel_status hold_out(cupel_protocol *protocol, cupel_dataset *labelled) {
    cupel_dataset *padded;
    CUPEL_TRY(part_add(protocol, &protocol->parts[SPLIT_LABELLED], labelled, CUPEL_KIND_NORMAL));
    const cupel_status status = cupel_dataset_pad(&padded, protocol->parts[SPLIT_LABELLED].images,
                                                  recipe_whole(protocol->recipe, "data.pad"));
    CUPEL_TRY(protocol_made(protocol, status, &padded));
    protocol->held_out = padded;
    return CUPEL_STATUS_OK;
}

/* Divides the normal images; what trains stays in protocol->train. */
static cupel_status divide(cupel_protocol *protocol) {
    int64_t counts[4];
    size_t n, at = 1;
    CUPEL_TRY(count_parts(protocol, counts, &n));
    if (n == 1)
        return CUPEL_STATUS_OK;
    cupel_dataset *parts[4] = {NULL};
    cupel_status status = cupel_dataset_split(parts, counts, n, protocol->train, protocol->seed);
    CUPEL_TRY(protocol_made(protocol, status, &parts[0]));
    cupel_dataset_destroy(protocol->train);
    protocol->train = parts[0];
    if (recipe_whole(protocol->recipe, "data.held_out") > 0)
        status = hold_out(protocol, parts[at++]);
    for (int set = SPLIT_REPRESENTATIVE_1; at < n; set++, at++)
        if (status == CUPEL_STATUS_OK)
            status = part_add(protocol, &protocol->parts[set], parts[at], CUPEL_KIND_NORMAL);
        else
            cupel_dataset_destroy(parts[at]);
    return status;
}

/* `all`: the training split; protocol->train receives what trains. */
static cupel_status use_train(cupel_protocol *protocol, const cupel_dataset *all) {
    cupel_dataset *normal;
    const cupel_status status =
        protocol->n_normal > 0
            ? cupel_dataset_filter(&normal, all, protocol->normal, protocol->n_normal)
            : cupel_dataset_pad(&normal, all, 0);
    if (protocol_made(protocol, status, &normal) != CUPEL_STATUS_OK)
        return cupel_fail(&protocol->error, protocol->error.status,
                          "%s: data.normal_classes: %s: give another folder with --data",
                          protocol->folder, protocol->error.text);
    protocol->train = normal;
    CUPEL_TRY(divide(protocol));
    CUPEL_TRY(keep_first(protocol, &protocol->train, recipe_whole(protocol->recipe, "data.limit")));
    CUPEL_TRY(pad(protocol, &protocol->train));
    return protocol_mix(protocol, all);
}

static cupel_status open_train(cupel_protocol *protocol, bool all_classes) {
    cupel_dataset *all = NULL;
    cupel_status status = cupel_dataset_open(&all, protocol->folder, "train");
    CUPEL_TRY(protocol_made(protocol, status, &all));
    protocol->own_classes = cupel_dataset_get_info(all).class_count;
    if (all_classes)
        status = protocol_check_classes(protocol);
    if (status == CUPEL_STATUS_OK)
        status = use_train(protocol, all);
    cupel_dataset_destroy(all);
    return status;
}

static cupel_status build(cupel_protocol *protocol, const char *folder, const char *beside,
                          bool all_classes) {
    cupel_recipe *const recipe = protocol->recipe;
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.normal_classes", &protocol->normal,
                                    &protocol->n_normal));
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.anomaly_classes", &protocol->anomalous,
                                    &protocol->n_anomalous));
    protocol->seed = (uint64_t)recipe_whole(recipe, "seed");
    corruptions_of(&protocol->corruptions, recipe);
    CUPEL_TRY(cupel_recipe_check(recipe));
    CUPEL_TRY(find_folders(protocol, folder, beside));
    return open_train(protocol, all_classes);
}

cupel_status protocol_create(cupel_protocol **out, cupel_recipe *recipe, const char *folder,
                             const char *beside, bool all_classes) {
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    cupel_protocol *const protocol = *out;
    /* A recipe of its own, so that the caller's may change or go. */
    cupel_status status = recipe_copy(&protocol->recipe, recipe);
    if (status == CUPEL_STATUS_OK)
        status = build(protocol, folder, beside, all_classes);
    if (status != CUPEL_STATUS_OK && protocol->error.text[0] == '\0')
        (void)cupel_fail(&protocol->error, status, "%s",
                         protocol->recipe == NULL ? cupel_status_text(status)
                                                  : cupel_recipe_error(protocol->recipe));
    return status;
}

cupel_status cupel_protocol_create(cupel_protocol **out, cupel_recipe *recipe, const char *folder,
                                   const char *beside) {
    return protocol_create(out, recipe, folder, beside, false);
}

void cupel_protocol_destroy(cupel_protocol *protocol) {
    if (protocol == NULL)
        return;
    cupel_dataset_destroy(protocol->train);
    cupel_dataset_destroy(protocol->held_out);
    for (int i = 0; i < SPLIT_COUNT; i++)
        part_release(&protocol->parts[i]);
    cupel_recipe_destroy(protocol->recipe);
    json_text_release(&protocol->text);
    cupel_free(protocol->folder);
    cupel_free(protocol->foreign);
    cupel_free(protocol);
}

const char *cupel_protocol_error(const cupel_protocol *protocol) {
    return protocol->error.text;
}

const char *cupel_protocol_folder(const cupel_protocol *protocol) {
    return protocol->folder == NULL ? "" : protocol->folder;
}

const char *protocol_folder_around(const cupel_protocol *protocol, const char *path) {
    if (file_lies_in(path, protocol->folder))
        return protocol->folder;
    return protocol->foreign != NULL && file_lies_in(path, protocol->foreign) ? protocol->foreign
                                                                              : NULL;
}

const cupel_dataset *cupel_protocol_train(const cupel_protocol *protocol) {
    return protocol->train;
}

const cupel_dataset *cupel_protocol_held_out(const cupel_protocol *protocol) {
    return protocol->held_out;
}
