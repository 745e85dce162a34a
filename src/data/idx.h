/*
 * The IDX format of MNIST and its kin, plain or gzip: arrays of bytes. Test: tests/test_idx.c
 */
#ifndef CUPEL_DATA_IDX_H
#define CUPEL_DATA_IDX_H

#include <stdint.h>

#include "base/error.h"

enum { IDX_MAX_RANK = 4 };

struct idx_array {
    int rank;
    int64_t dims[IDX_MAX_RANK];
    uint8_t *values; /* row-major */
    size_t size;     /* the product of the extents */
};

/* BAD_DATA with name, place and remedy for anything that is not exactly one IDX array of unsigned
 * bytes; UNSUPPORTED for its other element types. On failure nothing is left to release. */
cupel_status idx_parse(struct idx_array *out, const void *bytes, size_t size, const char *name,
                       struct cupel_error *error);
cupel_status idx_read(struct idx_array *out, const char *path, struct cupel_error *error);
void idx_release(struct idx_array *array);

#endif
