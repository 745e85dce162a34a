/*
 * The inside of a cupel_tensors, shared by the collection (tensors.c) and the formats that fill it
 * (data/safetensors.c). Test: tests/test_tensors.c
 */
#ifndef CUPEL_TENSOR_TENSORS_H
#define CUPEL_TENSOR_TENSORS_H

#include "base/error.h"
#include "cupel/tensor.h"

struct tensors_pair {
    char *key;
    char *value;
};

struct cupel_tensors {
    struct cupel_error error;
    cupel_tensor **entries; /* each on its own, so that borrowed pointers survive later adds */
    size_t count, capacity;
    size_t *index; /* open addressing over names: position in entries plus 1, 0 is free */
    size_t index_size;
    struct tensors_pair *metadata;
    size_t metadata_count, metadata_capacity;
};

/* As cupel_tensors_add, but the data of *out is left uninitialised for the caller to fill. */
cupel_status tensors_add_blank(cupel_tensors *tensors, const char *name, cupel_type type,
                               cupel_shape shape, cupel_tensor **out);

#endif
