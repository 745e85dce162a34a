/*
 * Named host tensors and safetensors files: how arrays get in and out of cupel.
 *
 * A cupel_tensors is an ordered collection of named, plain, contiguous arrays in host memory
 * together with string metadata. cupel_tensors_read/_write speak the safetensors format, so files
 * open in the Python package of that name and the other way round.
 *
 *   1. cupel_tensors_create() or cupel_tensors_read()
 *   2. cupel_tensors_add() / cupel_tensors_find() / cupel_tensors_set_metadata()
 *   3. cupel_tensors_write()
 *   4. cupel_tensors_destroy()
 */
#ifndef CUPEL_TENSOR_H
#define CUPEL_TENSOR_H

#include <cupel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_tensors cupel_tensors;

typedef struct cupel_tensor {
    const char *name; /* borrowed from the collection */
    cupel_desc desc;  /* PLAIN */
    void *data;       /* borrowed from the collection, 64-byte aligned */
} cupel_tensor;

CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_create(cupel_tensors **out);
CUPEL_API void cupel_tensors_destroy(cupel_tensors *tensors);
CUPEL_API const char *cupel_tensors_error(const cupel_tensors *tensors);

CUPEL_API size_t cupel_tensors_count(const cupel_tensors *tensors);
CUPEL_API const cupel_tensor *cupel_tensors_at(const cupel_tensors *tensors, size_t index);
/* NULL when there is none of that name. */
CUPEL_API const cupel_tensor *cupel_tensors_find(const cupel_tensors *tensors, const char *name);
/* Adds a tensor; data (copied) may be NULL for zeros. *out (may be NULL) borrows it. NAME when
 * taken. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_add(cupel_tensors *tensors, const char *name,
                                                       cupel_type type, cupel_shape shape,
                                                       const void *data, const cupel_tensor **out);
/* Copies key and value; replaces an earlier value. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_set_metadata(cupel_tensors *tensors,
                                                                const char *key, const char *value);
/* NULL when the key is not there. */
CUPEL_API const char *cupel_tensors_metadata(const cupel_tensors *tensors, const char *key);
/* The index-th key in file order, NULL past the end. */
CUPEL_API const char *cupel_tensors_metadata_key(const cupel_tensors *tensors, size_t index);

/* Reads a safetensors file. The header is not trusted: sizes, offsets, overlaps, gaps, types,
 * duplicate names and nesting are checked before anything is allocated from them. BAD_DATA names
 * the tensor and the rule. On failure *out is an empty collection that only carries the error
 * (destroy it), or NULL when memory for that was refused. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_read(cupel_tensors **out, const char *path);
/* The same from memory (for fuzzing and embedding); `name` stands for the path in messages. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_parse(cupel_tensors **out, const void *bytes,
                                                         size_t size, const char *name);
/* Writes the file whole or not at all (temporary name, fsync, rename). Same collection, same
 * bytes. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_tensors_write(cupel_tensors *tensors, const char *path);

#ifdef __cplusplus
}
#endif
#endif
