/*
 * Data sets: labelled images in host memory, 8 bits a channel, all of one size. A data set is made
 * once and then only read; filtering, splitting, padding and joining make new ones that remember
 * where each image came from.
 *
 *   1. cupel_dataset_open(), cupel_dataset_read_idx() or cupel_dataset_create()
 *   2. cupel_dataset_filter(), _take(), _split(), _pad(), _concatenate(): new data sets
 *   3. cupel_dataset_info(), _pixels(), _label(), _row_id(); or a loader (loader.h)
 *   4. cupel_dataset_destroy(), after its loaders
 *
 * Every function that makes a data set: on failure *out is an empty one that only carries the
 * sentence (destroy it), or NULL when memory for that was refused. Data sets share nothing: the
 * ones that were read from may be destroyed at once. Reading one data set from several threads is
 * fine.
 */
#ifndef CUPEL_DATASET_H
#define CUPEL_DATASET_H

#include <cupel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_dataset cupel_dataset;

enum { CUPEL_NO_LABEL = -1, CUPEL_MAX_LABEL = 65535 };

typedef struct cupel_dataset_info {
    int64_t count; /* images; 0 only in a data set that carries an error */
    int64_t channels, height, width;
    bool labelled;       /* at least one image has a label */
    int64_t class_count; /* labels lie in [0, class_count) */
} cupel_dataset_info;

/* Copies pixels, u8 [count, channels, height, width], and labels, [count], each CUPEL_NO_LABEL or
 * in [0, CUPEL_MAX_LABEL]; labels may be NULL, pixels NULL gives black images. INVALID_ARGUMENT,
 * SHAPE. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_create(cupel_dataset **out, int64_t count,
                                                          int64_t channels, int64_t height,
                                                          int64_t width, const uint8_t *pixels,
                                                          const int64_t *labels);
/* Reads IDX files, plain or gzip; labels_path may be NULL. IO, BAD_DATA (with path and remedy),
 * MISMATCH when the numbers of images and labels differ. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_read_idx(cupel_dataset **out,
                                                            const char *images_path,
                                                            const char *labels_path);
/* Reads an IDX file of images with the labels and class names that lie beside it under the usual
 * names, where there are any. The errors are those of cupel_dataset_read_idx(). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_read_images(cupel_dataset **out,
                                                               const char *images_path);
/* Whether the folder has images of that split under one of the names that cupel_dataset_open()
 * knows. */
CUPEL_API bool cupel_dataset_holds(const char *folder, const char *split);
/* Opens one split, "train" or "test", of a folder that holds a data set under the usual names
 * (train-images-idx3-ubyte, t10k-images-idx3-ubyte, ..., plain or .gz). Class names come from the
 * folder's classes.txt (one a line), or are known for folders named fashion-mnist and mnist. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_open(cupel_dataset **out, const char *folder,
                                                        const char *split);
CUPEL_API void cupel_dataset_destroy(cupel_dataset *dataset);
CUPEL_API const char *cupel_dataset_error(const cupel_dataset *dataset);

CUPEL_API cupel_dataset_info cupel_dataset_get_info(const cupel_dataset *dataset);
/* The pixels of one image, u8 [channels, height, width]; NULL outside [0, count). */
CUPEL_API const uint8_t *cupel_dataset_pixels(const cupel_dataset *dataset, int64_t index);
/* The label, or CUPEL_NO_LABEL. */
CUPEL_API int64_t cupel_dataset_label(const cupel_dataset *dataset, int64_t index);
/* The path an image was read from ("" when it came from memory) and its place there. */
CUPEL_API const char *cupel_dataset_source(const cupel_dataset *dataset, int64_t index,
                                           int64_t *position);
/* 64-bit hash of size and pixels: the same image has the same id wherever it stands. */
CUPEL_API uint64_t cupel_dataset_row_id(const cupel_dataset *dataset, int64_t index);
/* NULL when the class has no name. */
CUPEL_API const char *cupel_dataset_class_name(const cupel_dataset *dataset, int64_t label);
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_set_class_name(cupel_dataset *dataset,
                                                                  int64_t label, const char *name);

/* The images at the given indices, in that order; repetitions are fine. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_take(cupel_dataset **out,
                                                        const cupel_dataset *dataset,
                                                        const int64_t *indices, int64_t count);
/* The images whose label is in the list, in their order. BAD_DATA when there are none. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_filter(cupel_dataset **out,
                                                          const cupel_dataset *dataset,
                                                          const int64_t *classes, size_t count);
/* Disjoint parts of counts[p] images each, drawn by a permutation that is a function of the seed
 * and the number of images alone; within a part the original order is kept. One count may be -1:
 * all that the others leave. parts[] receives the data sets; on failure all are NULL but the first,
 * which carries the sentence. INVALID_ARGUMENT when the counts exceed what is there. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_split(cupel_dataset **parts,
                                                         const int64_t *counts, size_t part_count,
                                                         const cupel_dataset *dataset,
                                                         uint64_t seed);
/* Adds `margin` black pixels on all four sides. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_pad(cupel_dataset **out,
                                                       const cupel_dataset *dataset,
                                                       int64_t margin);
/* The images of a, then those of b. SHAPE when sizes differ, NAME when a class has two names. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_concatenate(cupel_dataset **out,
                                                               const cupel_dataset *a,
                                                               const cupel_dataset *b);
/* A copy whose labels are larger by `offset` and whose class names move along. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_dataset_shift_labels(cupel_dataset **out,
                                                                const cupel_dataset *dataset,
                                                                int64_t offset);

#ifdef __cplusplus
}
#endif
#endif
