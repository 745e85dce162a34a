/*
 * Images that a command line names: IDX files, PNG files, folders of PNG files, and folders that
 * hold a data set. Test: tests/score.bats
 */
#ifndef CUPEL_CLI_IMAGES_H
#define CUPEL_CLI_IMAGES_H

#include <cupel/dataset.h>

struct images {
    cupel_dataset *set;
    char **names; /* of each image; NULL: they lie in one file, image after image */
    size_t n_names;
};

/* Reads what `path` names, with that many channels. Returns an exit code; complained unless 0. */
int images_open(struct images *out, const char *path, int64_t channels);
void images_close(struct images *images);
/* "photo.png", or "t10k-images-idx3-ubyte.gz#17"; returns buffer. */
char *images_name(const struct images *images, int64_t index, char *buffer, size_t size);

#endif
