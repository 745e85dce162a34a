/*
 * What a protocol judges on: the labelled images, the two representative sets, the test split, and
 * draws from it; and the division as text. Every choice is a permutation keyed by the seed and by
 * what is chosen, so that none depends on another. Test: tests/test_protocol.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "train/protocol_internal.h"

static const char *const split_names[SPLIT_COUNT] = {
    [SPLIT_TEST] = "test",
    [SPLIT_REPRESENTATIVE_1] = "representative-1",
    [SPLIT_REPRESENTATIVE_2] = "representative-2",
    [SPLIT_LABELLED] = "labelled",
};

/* How many of each kind a representative set or a draw has. */
static const char *const mixed_keys[CUPEL_KIND_COUNT] = {
    [CUPEL_KIND_NORMAL] = "data.representative",
    [CUPEL_KIND_CLASSES] = "anomaly.mixed_classes",
    [CUPEL_KIND_FOREIGN] = "anomaly.mixed_foreign",
    [CUPEL_KIND_CORRUPTED] = "anomaly.mixed_corrupted",
};

const char *cupel_protocol_split_name(size_t index) {
    return index < SPLIT_COUNT ? split_names[index] : NULL;
}

const char *cupel_protocol_kind_name(const cupel_protocol *protocol, cupel_protocol_kind kind) {
    if (kind == CUPEL_KIND_CLASSES)
        return recipe_word(protocol->recipe, "anomaly.classes_name");
    if (kind == CUPEL_KIND_FOREIGN)
        return recipe_word(protocol->recipe, "anomaly.foreign_name");
    return kind == CUPEL_KIND_CORRUPTED ? "corrupted" : "normal";
}

const char *cupel_protocol_corruption_name(const cupel_protocol *protocol, size_t index) {
    const struct corruptions *const list = &protocol->corruptions;
    return index < list->count ? corruption_name(list, index) : NULL;
}

/* --- parts --- */

void part_release(struct protocol_part *part) {
    cupel_dataset_destroy(part->images);
    cupel_free(part->kinds);
    *part = (struct protocol_part){0};
}

static int64_t part_count(const struct protocol_part *part) {
    return part->images == NULL ? 0 : cupel_dataset_get_info(part->images).count;
}

cupel_status part_add(cupel_protocol *protocol, struct protocol_part *part, cupel_dataset *images,
                      cupel_protocol_kind kind) {
    const int64_t before = part_count(part), added = cupel_dataset_get_info(images).count;
    uint8_t *const kinds = cupel_realloc(part->kinds, (size_t)(before + added), sizeof *kinds);
    if (kinds == NULL) {
        cupel_dataset_destroy(images);
        return cupel_fail_memory(&protocol->error, "kinds", (size_t)(before + added));
    }
    part->kinds = kinds;
    memset(kinds + before, (int)kind, (size_t)added);
    part->counts[kind] += added;
    if (part->images == NULL) {
        part->images = images;
        return CUPEL_STATUS_OK;
    }
    cupel_dataset *both;
    const cupel_status status = cupel_dataset_concatenate(&both, part->images, images);
    cupel_dataset_destroy(images);
    CUPEL_TRY(protocol_made(protocol, status, &both));
    cupel_dataset_destroy(part->images);
    part->images = both;
    return status;
}

static int ascending(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* out, [count]: the elements `from` to from + count - 1 of a permutation of 0 to n - 1, sorted. */
static cupel_status choose(cupel_protocol *protocol, const char *purpose, cupel_protocol_kind kind,
                           uint32_t step, int64_t n, int64_t from, int64_t count, int64_t *out) {
    uint64_t *const order = cupel_alloc((size_t)n + 1, sizeof *order);
    if (order == NULL)
        return cupel_fail_memory(&protocol->error, "a permutation", (size_t)n * sizeof *order);
    const uint64_t stream = hash_combine(hash_string(purpose), (uint64_t)kind);
    rng_permutation(rng_key_make(protocol->seed, stream), step, (uint64_t)n, order);
    for (int64_t i = 0; i < count; i++)
        out[i] = (int64_t)order[from + i];
    qsort(out, (size_t)count, sizeof *out, ascending);
    cupel_free(order);
    return CUPEL_STATUS_OK;
}

static cupel_status fail_few(cupel_protocol *protocol, cupel_protocol_kind kind, int64_t wanted,
                             int64_t available, const char *where) {
    return cupel_fail(&protocol->error, CUPEL_STATUS_BAD_DATA,
                      "%s: %s asks for %lld %s images %s, and there are %lld: lower it",
                      cupel_recipe_origin(protocol->recipe, mixed_keys[kind]), mixed_keys[kind],
                      (long long)wanted, cupel_protocol_kind_name(protocol, kind), where,
                      (long long)available);
}

/* --- the representative sets --- */

/* The images of one kind for one of the two sets. */
static cupel_status take_mixed(cupel_protocol *protocol, const cupel_dataset *pool,
                               cupel_protocol_kind kind, int64_t set, int64_t wanted,
                               cupel_dataset **out) {
    const int64_t available = cupel_dataset_get_info(pool).count;
    *out = NULL;
    if (wanted > available / 2)
        return fail_few(protocol, kind, wanted, available, "for each of two representative sets");
    int64_t *const indices = cupel_alloc((size_t)wanted, sizeof *indices);
    if (indices == NULL)
        return cupel_fail_memory(&protocol->error, "indices", (size_t)wanted * sizeof *indices);
    cupel_status status = choose(protocol, "protocol.representative", kind, 0, available,
                                 set * wanted, wanted, indices);
    if (status == CUPEL_STATUS_OK)
        status = protocol_made(protocol, cupel_dataset_take(out, pool, indices, wanted), out);
    cupel_free(indices);
    if (status != CUPEL_STATUS_OK || kind != CUPEL_KIND_CORRUPTED)
        return status;
    cupel_dataset *const sources = *out;
    status = dataset_corrupt(out, sources, &protocol->corruptions, protocol->seed);
    cupel_dataset_destroy(sources);
    return protocol_made(protocol, status, out);
}

static cupel_status mix_kind(cupel_protocol *protocol, const cupel_dataset *pool,
                             cupel_protocol_kind kind) {
    const int64_t wanted = recipe_whole(protocol->recipe, mixed_keys[kind]);
    for (int set = 0; set < 2; set++) {
        cupel_dataset *images;
        CUPEL_TRY(take_mixed(protocol, pool, kind, set, wanted, &images));
        CUPEL_TRY(part_add(protocol, &protocol->parts[SPLIT_REPRESENTATIVE_1 + set], images, kind));
    }
    return CUPEL_STATUS_OK;
}

/* The classes that `wanted` says yes to, of labels 0 to class_count - 1. */
static cupel_status keep_classes(cupel_protocol *protocol, const cupel_dataset *from,
                                 bool (*wanted)(const cupel_protocol *, int64_t),
                                 cupel_dataset **out) {
    const int64_t classes = cupel_dataset_get_info(from).class_count;
    *out = NULL;
    int64_t *const kept = cupel_alloc((size_t)classes + 1, sizeof *kept);
    if (kept == NULL)
        return cupel_fail_memory(&protocol->error, "classes", (size_t)classes);
    size_t count = 0;
    for (int64_t label = 0; label < classes; label++)
        if (wanted(protocol, label))
            kept[count++] = label;
    cupel_status status = cupel_dataset_filter(out, from, kept, count);
    cupel_free(kept);
    status = protocol_made(protocol, status, out);
    if (status == CUPEL_STATUS_BAD_DATA)
        (void)cupel_fail(&protocol->error, status, "%s: %s: give another folder with --data",
                         protocol->folder, protocol->error.text);
    return status;
}

/* The foreign images of "train" or "test", labelled past the own classes. */
static cupel_status open_foreign(cupel_protocol *protocol, const char *split, cupel_dataset **out) {
    const int64_t *classes;
    size_t count;
    CUPEL_TRY(cupel_recipe_get_ints(protocol->recipe, "anomaly.foreign_classes", &classes, &count));
    cupel_status status = cupel_dataset_open(out, protocol->foreign, split);
    CUPEL_TRY(protocol_made(protocol, status, out));
    cupel_dataset *all = *out;
    if (count > 0) {
        status = cupel_dataset_filter(out, all, classes, count);
        cupel_dataset_destroy(all);
        CUPEL_TRY(protocol_made(protocol, status, out));
        all = *out;
    }
    status = cupel_dataset_shift_labels(out, all, protocol->own_classes);
    cupel_dataset_destroy(all);
    return protocol_made(protocol, status, out);
}

/* Where the images of one kind are taken from. */
static cupel_status open_pool(cupel_protocol *protocol, const cupel_dataset *all,
                              cupel_protocol_kind kind, cupel_dataset **out) {
    *out = NULL;
    if (kind == CUPEL_KIND_CLASSES)
        return keep_classes(protocol, all, protocol_is_anomaly, out);
    if (kind == CUPEL_KIND_FOREIGN)
        return open_foreign(protocol, "train", out);
    const cupel_dataset *const labelled = protocol->parts[SPLIT_LABELLED].images;
    if (labelled == NULL)
        return fail_few(protocol, kind, recipe_whole(protocol->recipe, mixed_keys[kind]), 0,
                        "made of labelled ones (data.held_out)");
    return protocol_made(protocol, cupel_dataset_pad(out, labelled, 0), out);
}

cupel_status protocol_mix(cupel_protocol *protocol, const cupel_dataset *all) {
    if (recipe_whole(protocol->recipe, "data.representative") == 0)
        return CUPEL_STATUS_OK;
    for (int kind = CUPEL_KIND_CLASSES; kind < CUPEL_KIND_COUNT; kind++) {
        cupel_dataset *pool;
        if (recipe_whole(protocol->recipe, mixed_keys[kind]) == 0)
            continue;
        CUPEL_TRY(open_pool(protocol, all, (cupel_protocol_kind)kind, &pool));
        const cupel_status status = mix_kind(protocol, pool, (cupel_protocol_kind)kind);
        cupel_dataset_destroy(pool);
        CUPEL_TRY(status);
    }
    return CUPEL_STATUS_OK;
}

/* --- the test split --- */

static bool is_judged(const cupel_protocol *protocol, int64_t label) {
    return protocol_is_normal(protocol, label) || protocol_is_anomaly(protocol, label);
}

/* The own test images; each kind by its label. */
static cupel_status add_own(cupel_protocol *protocol, struct protocol_part *part) {
    cupel_dataset *all = NULL, *judged = NULL;
    cupel_status status = cupel_dataset_open(&all, protocol->folder, "test");
    CUPEL_TRY(protocol_made(protocol, status, &all));
    if (cupel_dataset_get_info(all).labelled) {
        status = keep_classes(protocol, all, is_judged, &judged);
        cupel_dataset_destroy(all);
        CUPEL_TRY(status);
    } else {
        judged = all;
    }
    CUPEL_TRY(part_add(protocol, part, judged, CUPEL_KIND_NORMAL));
    for (int64_t i = 0; i < part_count(part); i++)
        if (protocol_is_anomaly(protocol, cupel_dataset_label(part->images, i))) {
            part->kinds[i] = CUPEL_KIND_CLASSES;
            part->counts[CUPEL_KIND_CLASSES]++;
            part->counts[CUPEL_KIND_NORMAL]--;
        }
    return CUPEL_STATUS_OK;
}

/* Places of the images of one kind; out, [counts[kind]]. */
static void places_of(const struct protocol_part *part, int kind, int64_t *out) {
    const int64_t count = part_count(part);
    for (int64_t i = 0, at = 0; i < count; i++)
        if (part->kinds[i] == kind)
            out[at++] = i;
}

static cupel_status add_corrupted(cupel_protocol *protocol, struct protocol_part *part) {
    const int64_t count = part->counts[CUPEL_KIND_NORMAL];
    if (protocol->corruptions.count == 0 || count == 0)
        return CUPEL_STATUS_OK;
    int64_t *const places = cupel_alloc((size_t)count, sizeof *places);
    if (places == NULL)
        return cupel_fail_memory(&protocol->error, "indices", (size_t)count * sizeof *places);
    places_of(part, CUPEL_KIND_NORMAL, places);
    cupel_dataset *sources, *corrupted;
    cupel_status status = cupel_dataset_take(&sources, part->images, places, count);
    cupel_free(places);
    CUPEL_TRY(protocol_made(protocol, status, &sources));
    status = dataset_corrupt(&corrupted, sources, &protocol->corruptions, protocol->seed);
    cupel_dataset_destroy(sources);
    CUPEL_TRY(protocol_made(protocol, status, &corrupted));
    return part_add(protocol, part, corrupted, CUPEL_KIND_CORRUPTED);
}

static cupel_status open_test(cupel_protocol *protocol, struct protocol_part *part) {
    CUPEL_TRY(add_own(protocol, part));
    if (protocol->foreign != NULL) {
        cupel_dataset *foreign;
        CUPEL_TRY(open_foreign(protocol, "test", &foreign));
        CUPEL_TRY(part_add(protocol, part, foreign, CUPEL_KIND_FOREIGN));
    }
    return add_corrupted(protocol, part);
}

static cupel_status get_part(cupel_protocol *protocol, int split, struct protocol_part **out) {
    struct protocol_part *const part = *out = &protocol->parts[split];
    if (split != SPLIT_TEST || part->images != NULL)
        return CUPEL_STATUS_OK;
    struct protocol_part fresh = {0};
    const cupel_status status = open_test(protocol, &fresh);
    if (status == CUPEL_STATUS_OK)
        *part = fresh;
    else
        part_release(&fresh);
    return status;
}

cupel_status cupel_protocol_get_split(cupel_protocol *protocol, const char *name,
                                      cupel_protocol_split *out) {
    struct protocol_part *part;
    int split = 0;
    *out = (cupel_protocol_split){0};
    while (split < SPLIT_COUNT && strcmp(name, split_names[split]) != 0)
        split++;
    if (split == SPLIT_COUNT)
        return cupel_fail(&protocol->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "there is no split \"%.40s\": it is test, representative-1, "
                          "representative-2 or labelled",
                          name);
    CUPEL_TRY(get_part(protocol, split, &part));
    if (part->images == NULL)
        return cupel_fail(&protocol->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "the recipe has no %s images: %s is 0", name,
                          split == SPLIT_LABELLED ? "data.held_out" : "data.representative");
    out->images = part->images;
    out->kinds = part->kinds;
    memcpy(out->counts, part->counts, sizeof out->counts);
    return CUPEL_STATUS_OK;
}

/* --- draws --- */

int64_t cupel_protocol_draw_size(const cupel_protocol *protocol) {
    int64_t size = 0;
    if (recipe_whole(protocol->recipe, mixed_keys[CUPEL_KIND_NORMAL]) == 0)
        return 0;
    for (int kind = 0; kind < CUPEL_KIND_COUNT; kind++)
        size += recipe_whole(protocol->recipe, mixed_keys[kind]);
    return size;
}

/* out, [wanted]: places in the part of that many images of one kind. */
static cupel_status draw_kind(cupel_protocol *protocol, const struct protocol_part *part, int kind,
                              uint32_t k, int64_t wanted, int64_t *out) {
    const int64_t available = part->counts[kind];
    if (wanted > available)
        return fail_few(protocol, (cupel_protocol_kind)kind, wanted, available,
                        "in a draw from the test split");
    int64_t *const places = cupel_alloc((size_t)available + 1, sizeof *places);
    if (places == NULL)
        return cupel_fail_memory(&protocol->error, "indices", (size_t)available * sizeof *places);
    places_of(part, kind, places);
    const cupel_status status =
        choose(protocol, "protocol.draw", (cupel_protocol_kind)kind, k, available, 0, wanted, out);
    for (int64_t i = 0; status == CUPEL_STATUS_OK && i < wanted; i++)
        out[i] = places[out[i]];
    cupel_free(places);
    return status;
}

cupel_status cupel_protocol_draw(cupel_protocol *protocol, uint32_t k, int64_t *indices) {
    const int64_t size = cupel_protocol_draw_size(protocol);
    struct protocol_part *test;
    if (size == 0)
        return cupel_fail(&protocol->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "the recipe has no draws: data.representative is 0");
    CUPEL_TRY(get_part(protocol, SPLIT_TEST, &test));
    int64_t at = 0;
    for (int kind = 0; kind < CUPEL_KIND_COUNT; kind++) {
        const int64_t wanted = recipe_whole(protocol->recipe, mixed_keys[kind]);
        if (wanted > 0)
            CUPEL_TRY(draw_kind(protocol, test, kind, k, wanted, indices + at));
        at += wanted;
    }
    qsort(indices, (size_t)size, sizeof *indices, ascending);
    return CUPEL_STATUS_OK;
}

/* --- the division as text --- */

/* "    "garments": [3, 14, ...]" */
static bool append_places(struct json_text *text, const char *name, const cupel_dataset *images,
                          const uint8_t *kinds, int kind) {
    const int64_t count = cupel_dataset_get_info(images).count;
    bool first = true, fine = json_append(text, "    ") && json_append_quoted(text, name) &&
                              json_append(text, ": [");
    for (int64_t i = 0; i < count && fine; i++) {
        int64_t position = 0;
        if (kinds != NULL && kinds[i] != kind)
            continue;
        (void)cupel_dataset_source(images, i, &position);
        fine = json_append(text, first ? "" : ", ") && json_append_i64(text, position);
        first = false;
    }
    return fine && json_append(text, "]");
}

static bool append_part(struct json_text *text, const cupel_protocol *protocol, int split) {
    const struct protocol_part *const part = &protocol->parts[split];
    bool first = true, fine = json_append(text, ",\n  \"") &&
                              json_append(text, split_names[split]) && json_append(text, "\": {\n");
    for (int kind = 0; kind < CUPEL_KIND_COUNT && fine; kind++) {
        if (part->counts[kind] == 0)
            continue;
        fine = json_append(text, first ? "" : ",\n") &&
               append_places(text, cupel_protocol_kind_name(protocol, (cupel_protocol_kind)kind),
                             part->images, part->kinds, kind);
        first = false;
    }
    return fine && json_append(text, "\n  }");
}

static uint64_t fingerprint(uint64_t hash, const cupel_dataset *images) {
    const int64_t count = images == NULL ? 0 : cupel_dataset_get_info(images).count;
    for (int64_t i = 0; i < count; i++) {
        hash = hash_combine(hash, cupel_dataset_row_id(images, i));
        hash = hash_combine(hash, (uint64_t)cupel_dataset_label(images, i));
    }
    return hash;
}

static bool append_head(struct json_text *text, cupel_protocol *protocol) {
    char hex[24];
    uint64_t hash = fingerprint(0, protocol->train);
    for (int i = SPLIT_REPRESENTATIVE_1; i < SPLIT_COUNT; i++)
        hash = fingerprint(hash, protocol->parts[i].images);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
    return json_append(text, "{\n  \"seed\": ") && json_append_i64(text, (int64_t)protocol->seed) &&
           json_append(text, ",\n  \"set\": ") &&
           json_append_quoted(text, recipe_word(protocol->recipe, "data.set")) &&
           json_append(text, ",\n  \"foreign_set\": ") &&
           json_append_quoted(text, recipe_word(protocol->recipe, "anomaly.foreign_set")) &&
           json_append(text, ",\n  \"fingerprint\": ") && json_append_quoted(text, hex) &&
           json_append(text, ",\n  \"unlabelled\": {\n") &&
           append_places(text, "normal", protocol->train, NULL, CUPEL_KIND_NORMAL) &&
           json_append(text, "\n  }");
}

cupel_status cupel_protocol_text(cupel_protocol *protocol, const char **out) {
    struct json_text *const text = &protocol->text;
    *out = "";
    json_text_release(text);
    bool fine = append_head(text, protocol);
    for (int i = SPLIT_REPRESENTATIVE_1; i < SPLIT_COUNT && fine; i++)
        if (protocol->parts[i].images != NULL)
            fine = append_part(text, protocol, i);
    if (!fine || !json_append(text, "\n}\n"))
        return cupel_fail_memory(&protocol->error, "the division of the data", text->length);
    *out = text->bytes;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_protocol_fingerprint(cupel_protocol *protocol,
                                        char out[CUPEL_FINGERPRINT_SIZE]) {
    const char *text;
    CUPEL_TRY(cupel_protocol_text(protocol, &text));
    snprintf(out, CUPEL_FINGERPRINT_SIZE, "%016llx", (unsigned long long)hash_string(text));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_protocol_match(cupel_protocol *protocol, const char *path) {
    const char *wanted;
    uint8_t *there;
    size_t size;
    CUPEL_TRY(cupel_protocol_text(protocol, &wanted));
    CUPEL_TRY(file_read(path, 0, &there, &size, &protocol->error));
    const bool same = size == strlen(wanted) && memcmp(there, wanted, size) == 0;
    cupel_free(there);
    return same ? CUPEL_STATUS_OK
                : cupel_fail(&protocol->error, CUPEL_STATUS_MISMATCH,
                             "%s: the images in %s are divided otherwise, or are others", path,
                             protocol->folder);
}
