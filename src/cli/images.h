/*
 * Images that a command line or a list names: IDX files, PNG files, folders of PNG files (with the
 * folders in them, whose names are labels), and folders that hold a data set. They come in parts,
 * so that a list of any length takes little memory. Test: tests/score.bats
 */
#ifndef CUPEL_CLI_IMAGES_H
#define CUPEL_CLI_IMAGES_H

#include <stdio.h>

#include <cupel/dataset.h>

#include "target.h"

/* What all images must be, and who wants it: a weights file. */
struct image_form {
    int64_t channels, height, width;
    const char *weights;
    const struct target *spared_by; /* what will be written, and must be none of them */
    size_t n_spared_by;
};

/* A PNG file. Its label is the name of the folder it lies in, if that lies in the one that was
 * given: a piece of the path. */
struct image_name {
    char *path;
    size_t label, label_length; /* length 0: none */
};

/* Some of the images, in their order. */
struct images {
    cupel_dataset *set;
    struct image_name *names; /* of each image; NULL: they lie in one file, image after image */
    size_t n_names;
};

struct image_source {
    struct image_form form;
    const char *const *paths; /* borrowed */
    size_t n_paths;
    const char *list_path; /* of the list of paths, each ended by a NUL; NULL: none */
    FILE *list;
    char *item; /* of the list */
    size_t item_size, items;
    struct image_name *pngs; /* found and not yet read: [taken, n_pngs) */
    size_t taken, n_pngs;
    char *other; /* an IDX file or a data set that comes after them */
};

/* The images that `paths` name, or those of the list where list_path ("-": stdin) is not NULL.
 * Both functions return an exit code; complained unless 0. */
int image_source_open(struct image_source *source, const struct image_form *form,
                      const char *const *paths, size_t n_paths, const char *list_path);
/* The next part; out->set is NULL at the end. Close it, whatever came of it. */
int image_source_next(struct image_source *source, struct images *out);
void image_source_close(struct image_source *source);

void images_close(struct images *images);
/* The text of an image's label, "" without one; returns buffer. */
char *images_label(const struct images *images, int64_t index, char *buffer, size_t size);
/* "photo.png", or "t10k-images-idx3-ubyte.gz#17"; returns buffer. */
char *images_name(const struct images *images, int64_t index, char *buffer, size_t size);

#endif
