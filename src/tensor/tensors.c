/*
 * The collection of named host tensors: an array in order of addition plus a hash index over names.
 * Names and metadata must be UTF-8, because they end up in JSON. Test: tests/test_tensors.c
 */
#include "tensor/tensors.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"

cupel_status cupel_tensors_create(cupel_tensors **out) {
    *out = cupel_alloc(1, sizeof(**out));
    return *out ? CUPEL_STATUS_OK : CUPEL_STATUS_OUT_OF_MEMORY;
}

static void tensor_free(cupel_tensor *tensor) {
    if (!tensor)
        return;
    cupel_free((void *)(uintptr_t)tensor->name);
    cupel_free(tensor->data);
    cupel_free(tensor);
}

void cupel_tensors_destroy(cupel_tensors *tensors) {
    if (!tensors)
        return;
    for (size_t i = 0; i < tensors->count; i++)
        tensor_free(tensors->entries[i]);
    for (size_t i = 0; i < tensors->metadata_count; i++) {
        cupel_free(tensors->metadata[i].key);
        cupel_free(tensors->metadata[i].value);
    }
    cupel_free(tensors->entries);
    cupel_free(tensors->index);
    cupel_free(tensors->metadata);
    cupel_free(tensors);
}

const char *cupel_tensors_error(const cupel_tensors *tensors) {
    return tensors ? tensors->error.text : "";
}

size_t cupel_tensors_count(const cupel_tensors *tensors) {
    return tensors->count;
}

const cupel_tensor *cupel_tensors_at(const cupel_tensors *tensors, size_t index) {
    return index < tensors->count ? tensors->entries[index] : NULL;
}

/* The slot of `name` in the index: the one that holds it, or the free one where it belongs. */
static size_t *index_slot(const cupel_tensors *tensors, const char *name) {
    const size_t mask = tensors->index_size - 1;
    size_t at = (size_t)hash_string(name) & mask;
    while (tensors->index[at] != 0) {
        if (strcmp(tensors->entries[tensors->index[at] - 1]->name, name) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &tensors->index[at];
}

const cupel_tensor *cupel_tensors_find(const cupel_tensors *tensors, const char *name) {
    if (tensors->index_size == 0)
        return NULL;
    const size_t slot = *index_slot(tensors, name);
    return slot ? tensors->entries[slot - 1] : NULL;
}

/* Makes room for one more name at a load of at most one half. */
static bool index_reserve(cupel_tensors *tensors) {
    if ((tensors->count + 1) * 2 <= tensors->index_size)
        return true;
    const size_t size = tensors->index_size ? tensors->index_size * 2 : 16;
    size_t *const fresh = cupel_alloc(size, sizeof(*fresh));
    if (!fresh)
        return false;
    cupel_free(tensors->index);
    tensors->index = fresh;
    tensors->index_size = size;
    for (size_t i = 0; i < tensors->count; i++)
        *index_slot(tensors, tensors->entries[i]->name) = i + 1;
    return true;
}

cupel_status tensors_add_blank(cupel_tensors *tensors, const char *name, cupel_type type,
                               cupel_shape shape, cupel_tensor **out) {
    struct cupel_error *const error = &tensors->error;
    if (!name || !*name || !utf8_valid(name) || strcmp(name, "__metadata__") == 0)
        return cupel_fail(error, CUPEL_STATUS_NAME,
                          "a tensor's name must be UTF-8, not empty and not __metadata__");
    if (cupel_type_size(type) == 0)
        return cupel_fail(error, CUPEL_STATUS_TYPE,
                          "tensor %s: type %s has no size; use f32, f64 or bf16", name,
                          cupel_type_name(type));
    if (!cupel_shape_valid(shape)) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(error, CUPEL_STATUS_SHAPE,
                          "tensor %s: shape %s is not valid; every extent must be at least 1", name,
                          cupel_shape_format(text, shape));
    }
    if (cupel_tensors_find(tensors, name))
        return cupel_fail(error, CUPEL_STATUS_NAME, "tensor %s is already in the collection", name);

    const cupel_desc desc = cupel_desc_plain(type, shape);
    cupel_tensor *const tensor = cupel_alloc(1, sizeof(*tensor));
    if (!tensor)
        return cupel_fail_memory(error, name, sizeof(*tensor));
    tensor->desc = desc;
    tensor->name = cupel_strdup(name);
    tensor->data = cupel_alloc_walked(cupel_desc_bytes(&desc));
    if (!tensor->name || !tensor->data || !index_reserve(tensors) ||
        !cupel_grow(&tensors->entries, &tensors->capacity, tensors->count + 1,
                    sizeof(cupel_tensor *))) {
        tensor_free(tensor);
        return cupel_fail_memory(error, name, cupel_desc_bytes(&desc));
    }
    *index_slot(tensors, name) = tensors->count + 1;
    tensors->entries[tensors->count++] = tensor;
    *out = tensor;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_tensors_add(cupel_tensors *tensors, const char *name, cupel_type type,
                               cupel_shape shape, const void *data, const cupel_tensor **out) {
    cupel_tensor *tensor;
    CUPEL_TRY(tensors_add_blank(tensors, name, type, shape, &tensor));
    if (data)
        memcpy(tensor->data, data, cupel_desc_bytes(&tensor->desc));
    else
        memset(tensor->data, 0, cupel_desc_bytes(&tensor->desc));
    if (out)
        *out = tensor;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_tensors_set_metadata(cupel_tensors *tensors, const char *key,
                                        const char *value) {
    struct cupel_error *const error = &tensors->error;
    if (!key || !value || !utf8_valid(key) || !utf8_valid(value))
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "metadata keys and values must be UTF-8 text");
    char *const copy = cupel_strdup(value);
    if (!copy)
        return cupel_fail_memory(error, "metadata", strlen(value) + 1);
    for (size_t i = 0; i < tensors->metadata_count; i++) {
        if (strcmp(tensors->metadata[i].key, key) == 0) {
            cupel_free(tensors->metadata[i].value);
            tensors->metadata[i].value = copy;
            return CUPEL_STATUS_OK;
        }
    }
    char *const own_key = cupel_strdup(key);
    if (!own_key || !cupel_grow(&tensors->metadata, &tensors->metadata_capacity,
                                tensors->metadata_count + 1, sizeof(struct tensors_pair))) {
        cupel_free(copy);
        cupel_free(own_key);
        return cupel_fail_memory(error, "metadata", strlen(key) + 1);
    }
    tensors->metadata[tensors->metadata_count++] = (struct tensors_pair){own_key, copy};
    return CUPEL_STATUS_OK;
}

const char *cupel_tensors_metadata(const cupel_tensors *tensors, const char *key) {
    for (size_t i = 0; i < tensors->metadata_count; i++)
        if (strcmp(tensors->metadata[i].key, key) == 0)
            return tensors->metadata[i].value;
    return NULL;
}

const char *cupel_tensors_metadata_key(const cupel_tensors *tensors, size_t index) {
    return index < tensors->metadata_count ? tensors->metadata[index].key : NULL;
}
