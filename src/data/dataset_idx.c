/*
 * Data sets from IDX files: a pair of paths, or a folder that holds them under their usual names.
 * Test: tests/test_dataset.c
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/dataset_internal.h"
#include "data/idx.h"

static cupel_status check_kinds(cupel_dataset *dataset, const struct idx_array *images,
                                const struct idx_array *labels, const char *images_path,
                                const char *labels_path) {
    if (images->rank != 3)
        return cupel_fail(&dataset->error, CUPEL_STATUS_BAD_DATA,
                          "%s has %d axes; images have 3 (number, height, width)%s", images_path,
                          images->rank, images->rank == 1 ? "; is it a file of labels?" : "");
    if (labels_path == NULL)
        return CUPEL_STATUS_OK;
    if (labels->rank != 1)
        return cupel_fail(&dataset->error, CUPEL_STATUS_BAD_DATA, "%s has %d axes; labels have 1%s",
                          labels_path, labels->rank,
                          labels->rank == 3 ? "; is it a file of images?" : "");
    if (labels->dims[0] != images->dims[0])
        return cupel_fail(&dataset->error, CUPEL_STATUS_MISMATCH,
                          "%s has %lld labels but %s has %lld images; they do not belong together: "
                          "fetch both again",
                          labels_path, (long long)labels->dims[0], images_path,
                          (long long)images->dims[0]);
    return CUPEL_STATUS_OK;
}

static cupel_status fill(cupel_dataset *dataset, const struct idx_array *images,
                         const struct idx_array *labels, const char *path) {
    CUPEL_TRY(
        dataset_allocate(dataset, images->dims[0], 1, images->dims[1], images->dims[2], path));
    memcpy(dataset->pixels, images->values, images->size);
    size_t classes = 0;
    for (size_t i = 0; i < labels->size; i++) {
        dataset->labels[i] = labels->values[i];
        if (classes <= labels->values[i])
            classes = (size_t)labels->values[i] + 1;
    }
    if (!dataset_reserve_classes(dataset, classes))
        return cupel_fail_memory(&dataset->error, "class names", classes);
    return CUPEL_STATUS_OK;
}

static cupel_status read_into(cupel_dataset *dataset, const char *images_path,
                              const char *labels_path) {
    struct idx_array images = {0}, labels = {0};
    cupel_status status = idx_read(&images, images_path, &dataset->error);
    if (status == CUPEL_STATUS_OK && labels_path != NULL)
        status = idx_read(&labels, labels_path, &dataset->error);
    if (status == CUPEL_STATUS_OK)
        status = check_kinds(dataset, &images, &labels, images_path, labels_path);
    if (status == CUPEL_STATUS_OK)
        status = fill(dataset, &images, &labels, images_path);
    idx_release(&images);
    idx_release(&labels);
    return status;
}

cupel_status cupel_dataset_read_idx(cupel_dataset **out, const char *images_path,
                                    const char *labels_path) {
    *out = NULL;
    cupel_dataset *const dataset = dataset_new();
    if (dataset == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, dataset, read_into(dataset, images_path, labels_path));
}

/* ---- folders --------------------------------------------------------------------------------- */

enum { NAMES_PER_SPLIT = 2 };
static const struct {
    const char *split;
    const char *stems[NAMES_PER_SPLIT];
} splits[] = {
    {"train", {"train", NULL}},
    {"test", {"t10k", "test"}},
};

/* The first of PREFIX-KIND-idxN-ubyte and its spellings that exists; *out is NULL when there is
 * none. */
static cupel_status find_spelling(const char *prefix, const char *kind, int rank, char **out,
                                  struct cupel_error *error) {
    static const char *const forms[] = {"-idx", ".idx"};
    static const char *const endings[] = {"", ".gz"};
    const size_t size = strlen(prefix) + 64;
    *out = NULL;
    char *const path = cupel_alloc(size, 1);
    if (path == NULL)
        return cupel_fail_memory(error, prefix, size);
    for (size_t f = 0; f < 4; f++) {
        snprintf(path, size, "%s-%s%s%d-ubyte%s", prefix, kind, forms[f / 2], rank, endings[f % 2]);
        if (file_exists(path)) {
            *out = path;
            return CUPEL_STATUS_OK;
        }
    }
    cupel_free(path);
    return CUPEL_STATUS_OK;
}

static cupel_status find_file(const char *folder, const char *const stems[NAMES_PER_SPLIT],
                              const char *kind, int rank, char **out, struct cupel_error *error) {
    *out = NULL;
    for (size_t s = 0; s < NAMES_PER_SPLIT && stems[s] != NULL && *out == NULL; s++) {
        char *const prefix = file_join(folder, stems[s]);
        if (prefix == NULL)
            return cupel_fail_memory(error, folder, strlen(folder));
        const cupel_status status = find_spelling(prefix, kind, rank, out, error);
        cupel_free(prefix);
        CUPEL_TRY(status);
    }
    return CUPEL_STATUS_OK;
}

static const char *const *stems_of(const char *split) {
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++)
        if (strcmp(split, splits[i].split) == 0)
            return splits[i].stems;
    return NULL;
}

cupel_status dataset_holds(const char *folder, const char *split, bool *holds,
                           struct cupel_error *error) {
    const char *const *const stems = stems_of(split);
    char *images = NULL;
    if (stems != NULL)
        CUPEL_TRY(find_file(folder, stems, "images", 3, &images, error));
    *holds = images != NULL;
    cupel_free(images);
    return CUPEL_STATUS_OK;
}

bool cupel_dataset_holds(const char *folder, const char *split) {
    struct cupel_error ignored = {0};
    bool holds = false;
    return dataset_holds(folder, split, &holds, &ignored) == CUPEL_STATUS_OK && holds;
}

static const char *const fashion_mnist_classes[] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
static const char *const mnist_classes[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static bool last_component_is(const char *folder, const char *name) {
    size_t end = strlen(folder);
    while (end > 0 && folder[end - 1] == '/')
        end--;
    const size_t length = strlen(name);
    return end >= length && memcmp(folder + end - length, name, length) == 0 &&
           (end == length || folder[end - length - 1] == '/');
}

/* One name a line; empty lines are unnamed classes. */
static cupel_status parse_class_names(cupel_dataset *dataset, char *text) {
    int64_t label = 0;
    while (*text != '\0') {
        const size_t length = strcspn(text, "\r\n");
        char *const line = text;
        text += length;
        if (text[0] == '\r' && text[1] == '\n')
            text++;
        if (*text != '\0')
            *text++ = '\0';
        line[length] = '\0';
        if (length > 0)
            CUPEL_TRY(cupel_dataset_set_class_name(dataset, label, line));
        label++;
    }
    return CUPEL_STATUS_OK;
}

static cupel_status name_classes(cupel_dataset *dataset, const char *folder) {
    const uint64_t limit = 1U << 20;
    char *const path = file_join(folder, "classes.txt");
    uint8_t *text = NULL;
    size_t size = 0;
    if (path == NULL)
        return cupel_fail_memory(&dataset->error, folder, strlen(folder));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path)) {
        status = file_read(path, limit, &text, &size, &dataset->error);
        if (status == CUPEL_STATUS_OK)
            status = parse_class_names(dataset, (char *)text);
    } else {
        const char *const *const known = last_component_is(folder, "fashion-mnist")
                                             ? fashion_mnist_classes
                                         : last_component_is(folder, "mnist") ? mnist_classes
                                                                              : NULL;
        for (int64_t label = 0; known != NULL && label < 10 && status == CUPEL_STATUS_OK; label++)
            status = cupel_dataset_set_class_name(dataset, label, known[label]);
    }
    cupel_free(text);
    cupel_free(path);
    return status;
}

static cupel_status open_into(cupel_dataset *dataset, const char *folder, const char *split) {
    const char *const *const stems = stems_of(split);
    if (stems == NULL)
        return cupel_fail(&dataset->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "there is no split \"%s\"; the splits are train and test", split);
    char *images = NULL, *labels = NULL;
    cupel_status status = find_file(folder, stems, "images", 3, &images, &dataset->error);
    if (status == CUPEL_STATUS_OK)
        status = find_file(folder, stems, "labels", 1, &labels, &dataset->error);
    if (status == CUPEL_STATUS_OK && (images == NULL || labels == NULL))
        status = cupel_fail(&dataset->error, CUPEL_STATUS_IO,
                            file_exists(folder)
                                ? "the folder %s has no %s-%s-ubyte (or .gz); is it the right one?"
                                : "there is no folder %s, where %s-%s-ubyte (or .gz) should be",
                            folder, stems[0], images == NULL ? "images-idx3" : "labels-idx1");
    if (status == CUPEL_STATUS_OK)
        status = read_into(dataset, images, labels);
    if (status == CUPEL_STATUS_OK)
        status = name_classes(dataset, folder);
    cupel_free(images);
    cupel_free(labels);
    return status;
}

cupel_status cupel_dataset_open(cupel_dataset **out, const char *folder, const char *split) {
    *out = NULL;
    cupel_dataset *const dataset = dataset_new();
    if (dataset == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return dataset_deliver(out, dataset, open_into(dataset, folder, split));
}

cupel_status dataset_read_labels(const char *folder, const char *split, uint8_t **out,
                                 size_t *count, struct cupel_error *error) {
    struct idx_array labels = {0};
    char *path;
    *out = NULL;
    *count = 0;
    CUPEL_TRY(find_file(folder, stems_of(split), "labels", 1, &path, error));
    if (path == NULL) /* who reads the images complains */
        return CUPEL_STATUS_OK;
    cupel_status status = idx_read(&labels, path, error);
    if (status == CUPEL_STATUS_OK && labels.rank != 1) {
        status = cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                            "%s has %d axes; labels have 1: fetch it again", path, labels.rank);
        idx_release(&labels);
    }
    cupel_free(path);
    *out = labels.values;
    *count = labels.size;
    return status;
}

/* ---- one file -------------------------------------------------------------------------------- */

/* *out is NULL where the name is not one of images, or no labels lie beside them. */
static cupel_status find_labels(const char *images_path, char **out, struct cupel_error *error) {
    static const char word[] = "-images";
    const char *const slash = strrchr(images_path, '/');
    const char *place = NULL, *next = slash == NULL ? images_path : slash + 1;
    *out = NULL;
    for (; (next = strstr(next, word)) != NULL; next++)
        place = next;
    if (place == NULL || strncmp(place + sizeof word, "idx3-ubyte", 10) != 0)
        return CUPEL_STATUS_OK;
    char *const prefix = cupel_strndup(images_path, (size_t)(place - images_path));
    if (prefix == NULL)
        return cupel_fail_memory(error, images_path, strlen(images_path));
    const cupel_status status = find_spelling(prefix, "labels", 1, out, error);
    cupel_free(prefix);
    return status;
}

static cupel_status name_classes_beside(cupel_dataset *dataset, const char *path) {
    const char *const slash = strrchr(path, '/');
    char *const folder =
        slash == NULL ? cupel_strdup(".") : cupel_strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL)
        return cupel_fail_memory(&dataset->error, path, strlen(path));
    const cupel_status status = name_classes(dataset, folder);
    cupel_free(folder);
    return status;
}

cupel_status cupel_dataset_read_images(cupel_dataset **out, const char *images_path) {
    *out = NULL;
    cupel_dataset *const dataset = dataset_new();
    if (dataset == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    char *labels = NULL;
    cupel_status status = find_labels(images_path, &labels, &dataset->error);
    if (status == CUPEL_STATUS_OK)
        status = read_into(dataset, images_path, labels);
    if (status == CUPEL_STATUS_OK && labels != NULL)
        status = name_classes_beside(dataset, images_path);
    cupel_free(labels);
    return dataset_deliver(out, dataset, status);
}
