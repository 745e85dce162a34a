/*
 * Reads images by what their path is. Test: tests/score.bats
 */
#define _POSIX_C_SOURCE 200809L
#include "images.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <cupel/image.h>

#include "console.h"

static bool is_png_name(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && strcasecmp(name + length - 4, ".png") == 0;
}

static int no_memory(void) {
    return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
}

void images_close(struct images *images) {
    cupel_dataset_destroy(images->set);
    for (size_t i = 0; i < images->n_names; i++)
        free(images->names[i]);
    free(images->names);
    *images = (struct images){0};
}

char *images_name(const struct images *images, int64_t index, char *buffer, size_t size) {
    int64_t position = 0;
    if (images->names != NULL) {
        snprintf(buffer, size, "%s", images->names[index]);
    } else {
        const char *const source = cupel_dataset_source(images->set, index, &position);
        snprintf(buffer, size, "%s#%lld", source, (long long)position);
    }
    return buffer;
}

static bool add_name(struct images *images, const char *folder, const char *name) {
    const size_t size = strlen(folder) + strlen(name) + 2;
    char **const more = realloc(images->names, (images->n_names + 1) * sizeof *more);
    char *const path = malloc(size);
    if (more != NULL)
        images->names = more;
    if (more == NULL || path == NULL) {
        free(path);
        return false;
    }
    snprintf(path, size, "%s%s%s", folder, folder[0] == '\0' ? "" : "/", name);
    images->names[images->n_names++] = path;
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the folder's PNG files, sorted. */
static int list_folder(struct images *images, const char *path) {
    DIR *const listing = opendir(path);
    const struct dirent *entry;
    int code = EXIT_FINE;
    if (listing == NULL) {
        complain("cannot open the folder %s: %s", path, strerror(errno));
        return EXIT_IO;
    }
    while (code == EXIT_FINE && (entry = readdir(listing)) != NULL)
        if (entry->d_name[0] != '.' && is_png_name(entry->d_name) &&
            !add_name(images, path, entry->d_name))
            code = no_memory();
    closedir(listing);
    if (code == EXIT_FINE && images->n_names == 0) {
        complain("%s holds neither a data set (t10k-images-idx3-ubyte) nor PNG files", path);
        code = EXIT_DATA;
    }
    if (images->n_names > 1)
        qsort(images->names, images->n_names, sizeof *images->names, by_name);
    return code;
}

/* [height, width, from] to [to, height, width]; colours to grey by luminance. */
static void to_planes(const uint8_t *pixels, int from, int64_t count, int to, uint8_t *out) {
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *const p = pixels + i * from;
        for (int c = 0; c < to; c++)
            out[c * count + i] =
                from == to  ? p[c]
                : from == 1 ? p[0]
                            : (uint8_t)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
}

/* Adds one PNG's pixels at `to`; the first one says how large all are. */
static int read_png(const char *path, int64_t channels, int64_t size[2], uint8_t **pixels,
                    size_t index, size_t count) {
    cupel_image *image;
    const cupel_status status = cupel_image_read(&image, path);
    int code = fail_with(status, image == NULL ? NULL : cupel_image_error(image));
    if (code == EXIT_FINE && index == 0) {
        size[0] = cupel_image_height(image);
        size[1] = cupel_image_width(image);
        *pixels = calloc(count, (size_t)(channels * size[0] * size[1]));
        if (*pixels == NULL)
            code = no_memory();
    }
    if (code == EXIT_FINE &&
        (cupel_image_height(image) != size[0] || cupel_image_width(image) != size[1])) {
        complain(
            "%s is %lld x %lld, and the first image of the folder is %lld x %lld: make them one "
            "size",
            path, (long long)cupel_image_width(image), (long long)cupel_image_height(image),
            (long long)size[1], (long long)size[0]);
        code = EXIT_DATA;
    }
    if (code == EXIT_FINE)
        to_planes(cupel_image_pixels(image), cupel_image_channels(image), size[0] * size[1],
                  (int)channels, *pixels + index * (size_t)(channels * size[0] * size[1]));
    cupel_image_destroy(image);
    return code;
}

static int read_pngs(struct images *images, int64_t channels) {
    int64_t size[2] = {0, 0};
    uint8_t *pixels = NULL;
    int code = EXIT_FINE;
    for (size_t i = 0; i < images->n_names && code == EXIT_FINE; i++)
        code = read_png(images->names[i], channels, size, &pixels, i, images->n_names);
    if (code == EXIT_FINE) {
        const cupel_status status = cupel_dataset_create(&images->set, (int64_t)images->n_names,
                                                         channels, size[0], size[1], pixels, NULL);
        code = fail_with(status, images->set == NULL ? NULL : cupel_dataset_error(images->set));
    }
    free(pixels);
    return code;
}

int images_open(struct images *out, const char *path, int64_t channels) {
    struct stat info;
    int code = EXIT_FINE;
    *out = (struct images){0};
    if (stat(path, &info) != 0) {
        complain("cannot read %s: %s", path, strerror(errno));
        return EXIT_IO;
    }
    const bool folder = S_ISDIR(info.st_mode);
    if ((folder && !cupel_dataset_holds(path, "test")) || (!folder && is_png_name(path))) {
        if (folder)
            code = list_folder(out, path);
        else if (!add_name(out, "", path))
            code = no_memory();
        if (code == EXIT_FINE)
            code = read_pngs(out, channels);
    } else {
        cupel_status status = folder ? cupel_dataset_open(&out->set, path, "test")
                                     : cupel_dataset_read_images(&out->set, path);
        if (status == CUPEL_STATUS_MISMATCH) /* of images and labels */
            status = CUPEL_STATUS_BAD_DATA;
        code = fail_with(status, out->set == NULL ? NULL : cupel_dataset_error(out->set));
    }
    if (code != EXIT_FINE)
        images_close(out);
    return code;
}
