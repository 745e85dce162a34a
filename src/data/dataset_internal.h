/*
 * The inside of a cupel_dataset, shared by the collection (dataset.c) and the readers that fill it.
 * Test: tests/test_dataset.c
 */
#ifndef CUPEL_DATA_DATASET_INTERNAL_H
#define CUPEL_DATA_DATASET_INTERNAL_H

#include "base/error.h"
#include "cupel/dataset.h"

struct dataset_origin {
    int64_t position; /* in the source */
    size_t source;
};

struct cupel_dataset {
    struct cupel_error error;
    int64_t count, channels, height, width;
    uint8_t *pixels;
    int64_t *labels;
    struct dataset_origin *origins;
    char **sources; /* paths; "" for memory */
    size_t source_count, source_capacity;
    char **class_names; /* by label, NULL where unknown */
    size_t class_count, class_capacity;
};

/* An empty data set, or NULL when memory is refused. */
cupel_dataset *dataset_new(void);
/* Gives an empty data set room for its images: black, unlabelled, with one source. */
cupel_status dataset_allocate(cupel_dataset *dataset, int64_t count, int64_t channels,
                              int64_t height, int64_t width, const char *source);
/* Makes the labels [0, count) known. */
bool dataset_reserve_classes(cupel_dataset *dataset, size_t count);
/* cupel_dataset_holds(), where memory that is refused is no "no". */
cupel_status dataset_holds(const char *folder, const char *split, bool *holds,
                           struct cupel_error *error);
/* The labels alone of "train" or "test" of a folder; *out (cupel_free) is NULL where it has
 * none. */
cupel_status dataset_read_labels(const char *folder, const char *split, uint8_t **out,
                                 size_t *count, struct cupel_error *error);
/* Hands the finished data set over, or one that carries nothing but the sentence. */
cupel_status dataset_deliver(cupel_dataset **out, cupel_dataset *dataset, cupel_status status);

#endif
