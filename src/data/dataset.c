/*
 * Data sets in memory: one block of pixels, one array of labels, one of origins. Every operation
 * fills a fresh data set and hands it over whole. Test: tests/test_dataset.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/dataset_internal.h"

/* ---- making and handing over ----------------------------------------------------------------- */

cupel_dataset *dataset_new(void) {
    return cupel_alloc(1, sizeof(cupel_dataset));
}

void cupel_dataset_destroy(cupel_dataset *dataset) {
    if (dataset == NULL)
        return;
    for (size_t i = 0; i < dataset->source_count; i++)
        cupel_free(dataset->sources[i]);
    for (size_t i = 0; i < dataset->class_count; i++)
        cupel_free(dataset->class_names[i]);
    cupel_free(dataset->sources);
    cupel_free(dataset->class_names);
    cupel_free(dataset->pixels);
    cupel_free(dataset->labels);
    cupel_free(dataset->origins);
    cupel_free(dataset);
}

cupel_status dataset_deliver(cupel_dataset **out, cupel_dataset *dataset, cupel_status status) {
    if (status == CUPEL_STATUS_OK) {
        *out = dataset;
        return status;
    }
    *out = dataset_new();
    if (*out != NULL)
        (void)cupel_error_copy(&(*out)->error, &dataset->error);
    cupel_dataset_destroy(dataset);
    return status;
}

static size_t image_bytes(const cupel_dataset *dataset) {
    return (size_t)(dataset->channels * dataset->height * dataset->width);
}

static bool add_source(cupel_dataset *dataset, const char *source) {
    char *const copy = cupel_strdup(source);
    if (copy == NULL || !cupel_grow(&dataset->sources, &dataset->source_capacity,
                                    dataset->source_count + 1, sizeof(char *))) {
        cupel_free(copy);
        return false;
    }
    dataset->sources[dataset->source_count++] = copy;
    return true;
}

bool dataset_reserve_classes(cupel_dataset *dataset, size_t count) {
    if (!cupel_grow(&dataset->class_names, &dataset->class_capacity, count, sizeof(char *)))
        return false;
    for (; dataset->class_count < count; dataset->class_count++)
        dataset->class_names[dataset->class_count] = NULL;
    return true;
}

cupel_status dataset_allocate(cupel_dataset *dataset, int64_t count, int64_t channels,
                              int64_t height, int64_t width, const char *source) {
    const cupel_shape shape = CUPEL_SHAPE(count, channels, height, width);
    if (!cupel_shape_valid(shape)) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(&dataset->error, CUPEL_STATUS_SHAPE,
                          "images of shape %s make no data set; every extent must be at least 1",
                          cupel_shape_format(text, shape));
    }
    const size_t bytes = (size_t)cupel_shape_count(shape);
    dataset->pixels = cupel_alloc_aligned(bytes);
    dataset->labels = cupel_alloc((size_t)count, sizeof *dataset->labels);
    dataset->origins = cupel_alloc((size_t)count, sizeof *dataset->origins);
    if (dataset->pixels == NULL || dataset->labels == NULL || dataset->origins == NULL ||
        (source != NULL && !add_source(dataset, source)))
        return cupel_fail_memory(&dataset->error, "a data set", bytes);
    memset(dataset->pixels, 0, bytes);
    for (int64_t i = 0; i < count; i++) {
        dataset->labels[i] = CUPEL_NO_LABEL;
        dataset->origins[i].position = i;
    }
    dataset->count = count;
    dataset->channels = channels;
    dataset->height = height;
    dataset->width = width;
    return CUPEL_STATUS_OK;
}

static cupel_status fill(cupel_dataset *dataset, const uint8_t *pixels, const int64_t *labels) {
    if (pixels != NULL)
        memcpy(dataset->pixels, pixels, (size_t)dataset->count * image_bytes(dataset));
    int64_t most = -1;
    for (int64_t i = 0; labels != NULL && i < dataset->count; i++) {
        if (labels[i] < CUPEL_NO_LABEL || labels[i] > CUPEL_MAX_LABEL)
            return cupel_fail(&dataset->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "image %lld has label %lld; labels lie in 0 to %d, and %d is none",
                              (long long)i, (long long)labels[i], CUPEL_MAX_LABEL, CUPEL_NO_LABEL);
        dataset->labels[i] = labels[i];
        most = labels[i] > most ? labels[i] : most;
    }
    if (!dataset_reserve_classes(dataset, (size_t)(most + 1)))
        return cupel_fail_memory(&dataset->error, "class names", (size_t)(most + 1));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_dataset_create(cupel_dataset **out, int64_t count, int64_t channels,
                                  int64_t height, int64_t width, const uint8_t *pixels,
                                  const int64_t *labels) {
    *out = NULL;
    cupel_dataset *const dataset = dataset_new();
    if (dataset == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    cupel_status status = dataset_allocate(dataset, count, channels, height, width, "");
    if (status == CUPEL_STATUS_OK)
        status = fill(dataset, pixels, labels);
    return dataset_deliver(out, dataset, status);
}

/* ---- asking ---------------------------------------------------------------------------------- */

const char *cupel_dataset_error(const cupel_dataset *dataset) {
    return dataset != NULL ? dataset->error.text : "";
}

static bool within(const cupel_dataset *dataset, int64_t index) {
    return index >= 0 && index < dataset->count;
}

cupel_dataset_info cupel_dataset_get_info(const cupel_dataset *dataset) {
    cupel_dataset_info info = {
        .count = dataset->count,
        .channels = dataset->channels,
        .height = dataset->height,
        .width = dataset->width,
        .class_count = (int64_t)dataset->class_count,
    };
    for (int64_t i = 0; i < dataset->count && !info.labelled; i++)
        info.labelled = dataset->labels[i] != CUPEL_NO_LABEL;
    return info;
}

const uint8_t *cupel_dataset_pixels(const cupel_dataset *dataset, int64_t index) {
    return within(dataset, index) ? dataset->pixels + (size_t)index * image_bytes(dataset) : NULL;
}

int64_t cupel_dataset_label(const cupel_dataset *dataset, int64_t index) {
    return within(dataset, index) ? dataset->labels[index] : CUPEL_NO_LABEL;
}

const char *cupel_dataset_source(const cupel_dataset *dataset, int64_t index, int64_t *position) {
    if (!within(dataset, index))
        return "";
    if (position != NULL)
        *position = dataset->origins[index].position;
    return dataset->sources[dataset->origins[index].source];
}

uint64_t cupel_dataset_row_id(const cupel_dataset *dataset, int64_t index) {
    if (!within(dataset, index))
        return 0;
    const int64_t size[] = {dataset->channels, dataset->height, dataset->width};
    return hash_combine(hash_bytes(size, sizeof size),
                        hash_bytes(cupel_dataset_pixels(dataset, index), image_bytes(dataset)));
}

const char *cupel_dataset_class_name(const cupel_dataset *dataset, int64_t label) {
    return label >= 0 && label < (int64_t)dataset->class_count ? dataset->class_names[label] : NULL;
}

cupel_status cupel_dataset_set_class_name(cupel_dataset *dataset, int64_t label, const char *name) {
    if (label < 0 || label > CUPEL_MAX_LABEL || name == NULL)
        return cupel_fail(&dataset->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "class %lld cannot be named; labels lie in 0 to %d", (long long)label,
                          CUPEL_MAX_LABEL);
    char *const copy = cupel_strdup(name);
    if (copy == NULL || !dataset_reserve_classes(dataset, (size_t)label + 1)) {
        cupel_free(copy);
        return cupel_fail_memory(&dataset->error, "a class name", strlen(name) + 1);
    }
    cupel_free(dataset->class_names[label]);
    dataset->class_names[label] = copy;
    return CUPEL_STATUS_OK;
}

/* ---- new data sets from old ones ------------------------------------------------------------- */

/* The parts of `from` that do not depend on its images: sources and class names. */
static cupel_status copy_frame(cupel_dataset *to, const cupel_dataset *from, int64_t offset) {
    for (size_t i = 0; i < from->source_count; i++)
        if (!add_source(to, from->sources[i]))
            return cupel_fail_memory(&to->error, "a data set", strlen(from->sources[i]));
    if (!dataset_reserve_classes(to, from->class_count + (size_t)offset))
        return cupel_fail_memory(&to->error, "class names", from->class_count);
    for (size_t label = 0; label < from->class_count; label++) {
        const char *const name = from->class_names[label];
        const char *const other = to->class_names[label + (size_t)offset];
        if (name == NULL || (other != NULL && strcmp(name, other) == 0))
            continue;
        if (other != NULL)
            return cupel_fail(
                &to->error, CUPEL_STATUS_NAME,
                "class %zu is named %s in one data set and %s in the other; shift the "
                "labels of one of them first",
                label, other, name);
        CUPEL_TRY(cupel_dataset_set_class_name(to, (int64_t)label + offset, name));
    }
    return CUPEL_STATUS_OK;
}

static void copy_image(cupel_dataset *to, int64_t at, const cupel_dataset *from, int64_t index) {
    const size_t bytes = image_bytes(from);
    memcpy(to->pixels + (size_t)at * bytes, from->pixels + (size_t)index * bytes, bytes);
    to->labels[at] = from->labels[index];
    to->origins[at] = from->origins[index];
}

static cupel_status take_into(cupel_dataset *to, const cupel_dataset *from, const int64_t *indices,
                              int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!within(from, indices[i]))
            return cupel_fail(&to->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "image %lld was asked for, but the data set has %lld",
                              (long long)indices[i], (long long)from->count);
    CUPEL_TRY(dataset_allocate(to, count, from->channels, from->height, from->width, NULL));
    CUPEL_TRY(copy_frame(to, from, 0));
    for (int64_t i = 0; i < count; i++)
        copy_image(to, i, from, indices[i]);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_dataset_take(cupel_dataset **out, const cupel_dataset *dataset,
                                const int64_t *indices, int64_t count) {
    *out = NULL;
    cupel_dataset *const fresh = dataset_new();
    if (fresh == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, fresh, take_into(fresh, dataset, indices, count));
}

static cupel_status filter_into(cupel_dataset *to, const cupel_dataset *from,
                                const int64_t *classes, size_t class_count) {
    int64_t *const indices = cupel_alloc((size_t)from->count + 1, sizeof *indices);
    if (indices == NULL)
        return cupel_fail_memory(&to->error, "indices", (size_t)from->count * sizeof *indices);
    int64_t kept = 0;
    for (int64_t i = 0; i < from->count; i++) {
        bool wanted = false;
        for (size_t c = 0; c < class_count && !wanted; c++)
            wanted = from->labels[i] == classes[c] && classes[c] != CUPEL_NO_LABEL;
        if (wanted)
            indices[kept++] = i;
    }
    const cupel_status status =
        kept > 0
            ? take_into(to, from, indices, kept)
            : cupel_fail(&to->error, CUPEL_STATUS_BAD_DATA,
                         "none of the %lld images has one of the %zu classes asked for; the "
                         "labels lie in 0 to %lld",
                         (long long)from->count, class_count, (long long)from->class_count - 1);
    cupel_free(indices);
    return status;
}

cupel_status cupel_dataset_filter(cupel_dataset **out, const cupel_dataset *dataset,
                                  const int64_t *classes, size_t count) {
    *out = NULL;
    cupel_dataset *const fresh = dataset_new();
    if (fresh == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, fresh, filter_into(fresh, dataset, classes, count));
}

static int compare_indices(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Checks the counts and sets *rest to what a count of -1 means. */
static cupel_status plan_split(struct cupel_error *error, const int64_t *counts, size_t part_count,
                               int64_t available, int64_t *rest) {
    int64_t sum = 0;
    size_t open = 0;
    for (size_t p = 0; p < part_count; p++) {
        if (counts[p] == -1)
            open++;
        else if (counts[p] < 1 || counts[p] > available - sum)
            return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "part %zu of a split wants %lld images; %lld of %lld are left", p,
                              (long long)counts[p], (long long)(available - sum),
                              (long long)available);
        else
            sum += counts[p];
    }
    *rest = available - sum;
    if (part_count == 0 || open > 1 || (open == 1 && *rest == 0))
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a split of %lld images cannot be made: %s", (long long)available,
                          part_count == 0 ? "it has no parts"
                          : open > 1      ? "more than one part is to take the rest"
                                          : "no image is left for the part that takes the rest");
    return CUPEL_STATUS_OK;
}

static cupel_status split_into(cupel_dataset **parts, const int64_t *counts, size_t part_count,
                               const cupel_dataset *from, uint64_t seed,
                               struct cupel_error *error) {
    int64_t rest = 0;
    CUPEL_TRY(plan_split(error, counts, part_count, from->count, &rest));
    uint64_t *const order = cupel_alloc((size_t)from->count, sizeof *order);
    int64_t *const indices = cupel_alloc((size_t)from->count, sizeof *indices);
    cupel_status status = CUPEL_STATUS_OK;
    if (order == NULL || indices == NULL) {
        status = cupel_fail_memory(error, "a split", (size_t)from->count * sizeof *order);
        goto done;
    }
    rng_permutation(rng_key_make(seed, hash_string("data.split")), 0, (uint64_t)from->count, order);
    int64_t at = 0;
    for (size_t p = 0; p < part_count; p++) {
        const int64_t count = counts[p] == -1 ? rest : counts[p];
        for (int64_t i = 0; i < count; i++)
            indices[i] = (int64_t)order[at + i];
        at += count;
        qsort(indices, (size_t)count, sizeof *indices, compare_indices);
        status = cupel_dataset_take(&parts[p], from, indices, count);
        if (status != CUPEL_STATUS_OK) {
            (void)(parts[p] != NULL ? cupel_error_copy(error, &parts[p]->error)
                                    : cupel_fail_memory(error, "a part of a split", 0));
            goto done;
        }
    }
done:
    cupel_free(order);
    cupel_free(indices);
    return status;
}

cupel_status cupel_dataset_split(cupel_dataset **parts, const int64_t *counts, size_t part_count,
                                 const cupel_dataset *dataset, uint64_t seed) {
    for (size_t p = 0; p < part_count; p++)
        parts[p] = NULL;
    struct cupel_error error = {0};
    const cupel_status status = split_into(parts, counts, part_count, dataset, seed, &error);
    if (status == CUPEL_STATUS_OK)
        return status;
    for (size_t p = 0; p < part_count; p++) {
        cupel_dataset_destroy(parts[p]);
        parts[p] = NULL;
    }
    if (part_count > 0 && (parts[0] = dataset_new()) != NULL)
        (void)cupel_error_copy(&parts[0]->error, &error);
    return status;
}

static cupel_status pad_into(cupel_dataset *to, const cupel_dataset *from, int64_t margin) {
    if (margin < 0 || margin > 4096)
        return cupel_fail(&to->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a margin of %lld pixels; it must lie in 0 to 4096", (long long)margin);
    CUPEL_TRY(dataset_allocate(to, from->count, from->channels, from->height + 2 * margin,
                               from->width + 2 * margin, NULL));
    CUPEL_TRY(copy_frame(to, from, 0));
    const int64_t planes = from->count * from->channels;
    for (int64_t plane = 0; plane < planes; plane++) {
        const uint8_t *const src = from->pixels + plane * from->height * from->width;
        uint8_t *const dst =
            to->pixels + plane * to->height * to->width + margin * to->width + margin;
        for (int64_t row = 0; row < from->height; row++)
            memcpy(dst + row * to->width, src + row * from->width, (size_t)from->width);
    }
    memcpy(to->labels, from->labels, (size_t)from->count * sizeof *to->labels);
    memcpy(to->origins, from->origins, (size_t)from->count * sizeof *to->origins);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_dataset_pad(cupel_dataset **out, const cupel_dataset *dataset, int64_t margin) {
    *out = NULL;
    cupel_dataset *const fresh = dataset_new();
    if (fresh == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, fresh, pad_into(fresh, dataset, margin));
}

static cupel_status concatenate_into(cupel_dataset *to, const cupel_dataset *a,
                                     const cupel_dataset *b) {
    if (a->channels != b->channels || a->height != b->height || a->width != b->width) {
        char first[CUPEL_SHAPE_TEXT_SIZE], second[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(
            &to->error, CUPEL_STATUS_SHAPE,
            "images of %s and %s cannot be joined; pad or crop one of the data sets first",
            cupel_shape_format(first, CUPEL_SHAPE(a->channels, a->height, a->width)),
            cupel_shape_format(second, CUPEL_SHAPE(b->channels, b->height, b->width)));
    }
    CUPEL_TRY(dataset_allocate(to, a->count + b->count, a->channels, a->height, a->width, NULL));
    CUPEL_TRY(copy_frame(to, a, 0));
    CUPEL_TRY(copy_frame(to, b, 0));
    for (int64_t i = 0; i < a->count; i++)
        copy_image(to, i, a, i);
    for (int64_t i = 0; i < b->count; i++) {
        copy_image(to, a->count + i, b, i);
        to->origins[a->count + i].source += a->source_count;
    }
    return CUPEL_STATUS_OK;
}

cupel_status cupel_dataset_concatenate(cupel_dataset **out, const cupel_dataset *a,
                                       const cupel_dataset *b) {
    *out = NULL;
    cupel_dataset *const fresh = dataset_new();
    if (fresh == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, fresh, concatenate_into(fresh, a, b));
}

static cupel_status shift_into(cupel_dataset *to, const cupel_dataset *from, int64_t offset) {
    if (offset < 0 || offset > CUPEL_MAX_LABEL + 1 - (int64_t)from->class_count)
        return cupel_fail(&to->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "labels of %zu classes cannot be shifted by %lld; they lie in 0 to %d",
                          from->class_count, (long long)offset, CUPEL_MAX_LABEL);
    CUPEL_TRY(dataset_allocate(to, from->count, from->channels, from->height, from->width, NULL));
    CUPEL_TRY(copy_frame(to, from, offset));
    for (int64_t i = 0; i < from->count; i++) {
        copy_image(to, i, from, i);
        if (to->labels[i] != CUPEL_NO_LABEL)
            to->labels[i] += offset;
    }
    return CUPEL_STATUS_OK;
}

cupel_status cupel_dataset_shift_labels(cupel_dataset **out, const cupel_dataset *dataset,
                                        int64_t offset) {
    *out = NULL;
    cupel_dataset *const fresh = dataset_new();
    if (fresh == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, fresh, shift_into(fresh, dataset, offset));
}
