/*
 * Reads images by what their path is. PNG files are gathered into parts that fill the scorer's
 * batches, wherever their names came from; an IDX file or a data set is a part of its own.
 * Test: tests/score.bats
 */
#define _POSIX_C_SOURCE 200809L
#include "images.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <cupel/image.h>

#include "console.h"

/* Images of a part: few where they are large. */
enum { MOST_IMAGES = 256, FEWEST_IMAGES = 16, PART_BYTES = 64 << 20 };

static bool is_png_name(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && strcasecmp(name + length - 4, ".png") == 0;
}

static int no_memory(void) {
    return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
}

static int complain_errno(const char *verb, const char *path) {
    complain("cannot %s %s: %s", verb, path, strerror(errno));
    return EXIT_IO;
}

static int64_t form_bytes(const struct image_form *form) {
    return form->channels * form->height * form->width;
}

/* --- the names --- */

static char *join(const char *folder, const char *name) {
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *const path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s%s%s", folder, folder[0] == '\0' ? "" : "/", name);
    return path;
}

static bool add_png(struct image_source *source, const char *folder, const char *name) {
    char **const more = realloc(source->pngs, (source->n_pngs + 1) * sizeof *more);
    if (more != NULL)
        source->pngs = more;
    char *const path = more == NULL ? NULL : join(folder, name);
    if (path != NULL)
        source->pngs[source->n_pngs++] = path;
    return path != NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the names of the folder's PNG files, sorted. */
static int list_folder(struct image_source *source, const char *path) {
    const size_t before = source->n_pngs;
    DIR *const listing = opendir(path);
    const struct dirent *entry;
    int code = EXIT_FINE;
    if (listing == NULL)
        return complain_errno("open the folder", path);
    while (code == EXIT_FINE && (entry = readdir(listing)) != NULL)
        if (entry->d_name[0] != '.' && is_png_name(entry->d_name) &&
            !add_png(source, path, entry->d_name))
            code = no_memory();
    closedir(listing);
    const size_t found = source->n_pngs - before;
    if (code == EXIT_FINE && found == 0) {
        complain("%s holds neither a data set (t10k-images-idx3-ubyte) nor PNG files", path);
        code = EXIT_DATA;
    }
    if (found > 1)
        qsort(source->pngs + before, found, sizeof *source->pngs, by_name);
    return code;
}

/* The next path of the list; NULL at its end. */
static int next_of_list(struct image_source *source, const char **path) {
    *path = NULL;
    errno = 0;
    if (getdelim(&source->item, &source->item_size, '\0', source->list) < 0) {
        if (ferror(source->list))
            return complain_errno("read", source->list_path);
        if (errno == ENOMEM)
            return no_memory();
        if (source->items > 0)
            return EXIT_FINE;
        complain("%s names no image: it must hold paths, each ended by a NUL byte, as find "
                 "-print0 writes them",
                 source->list_path);
        return EXIT_DATA;
    }
    source->items++;
    if (source->item[0] == '\0') {
        complain("%s: path %zu is empty: each path must be ended by one NUL byte",
                 source->list_path, source->items);
        return EXIT_DATA;
    }
    *path = source->item;
    return EXIT_FINE;
}

/* Sorts the next path in among the PNG files, or into `other`; *end: there is none. */
static int take_path(struct image_source *source, bool *end) {
    struct stat info;
    const char *path = NULL;
    int code = EXIT_FINE;
    if (source->list != NULL)
        code = next_of_list(source, &path);
    else if (source->n_paths > 0)
        path = *source->paths++;
    if (source->list == NULL && path != NULL)
        source->n_paths--;
    *end = path == NULL;
    if (code != EXIT_FINE || path == NULL)
        return code;
    if (stat(path, &info) != 0)
        return complain_errno("read", path);
    const bool folder = S_ISDIR(info.st_mode);
    if (folder && !cupel_dataset_holds(path, "test"))
        return list_folder(source, path);
    if (!folder && is_png_name(path))
        return add_png(source, "", path) ? EXIT_FINE : no_memory();
    source->other = join("", path);
    return source->other != NULL ? EXIT_FINE : no_memory();
}

/* --- the pixels --- */

/* The network's size is that of the images and a margin. */
static int check_form(const struct image_form *form, const char *name, int64_t channels,
                      int64_t height, int64_t width) {
    if (height == form->height && width == form->width && channels == form->channels)
        return EXIT_FINE;
    complain("%s is %lld x %lld pixels in %lld channels, and %s scores images of %lld x %lld in "
             "%lld: give images of that size",
             name, (long long)width, (long long)height, (long long)channels, form->weights,
             (long long)form->width, (long long)form->height, (long long)form->channels);
    return EXIT_DATA;
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

static int read_png(const struct image_form *form, const char *path, uint8_t *out) {
    cupel_image *image;
    const cupel_status status = cupel_image_read(&image, path);
    int code = fail_with(status, image == NULL ? NULL : cupel_image_error(image));
    if (code == EXIT_FINE) /* any number of channels becomes the network's */
        code = check_form(form, path, form->channels, cupel_image_height(image),
                          cupel_image_width(image));
    if (code == EXIT_FINE)
        to_planes(cupel_image_pixels(image), cupel_image_channels(image),
                  form->height * form->width, (int)form->channels, out);
    cupel_image_destroy(image);
    return code;
}

static int read_pngs(struct images *images, const struct image_form *form) {
    const int64_t count = (int64_t)images->n_names, bytes = form_bytes(form);
    uint8_t *const pixels = calloc((size_t)count, (size_t)bytes);
    int code = pixels != NULL ? EXIT_FINE : no_memory();
    for (int64_t i = 0; i < count && code == EXIT_FINE; i++)
        code = read_png(form, images->names[i], pixels + i * bytes);
    if (code == EXIT_FINE) {
        const cupel_status status = cupel_dataset_create(&images->set, count, form->channels,
                                                         form->height, form->width, pixels, NULL);
        code = fail_with(status, images->set == NULL ? NULL : cupel_dataset_error(images->set));
    }
    free(pixels);
    return code;
}

/* Moves as many of the names as make a part, and reads their images. */
static int open_pngs(struct image_source *source, struct images *out) {
    const size_t left = source->n_pngs - source->taken;
    const int64_t fit = PART_BYTES / form_bytes(&source->form);
    const size_t most = fit > MOST_IMAGES     ? MOST_IMAGES
                        : fit < FEWEST_IMAGES ? FEWEST_IMAGES
                                              : (size_t)fit;
    const size_t count = left < most ? left : most;
    out->names = calloc(count, sizeof *out->names);
    if (out->names == NULL)
        return no_memory();
    for (; out->n_names < count; out->n_names++) {
        out->names[out->n_names] = source->pngs[source->taken];
        source->pngs[source->taken++] = NULL;
    }
    if (source->taken == source->n_pngs)
        source->taken = source->n_pngs = 0;
    return read_pngs(out, &source->form);
}

static int open_other(struct image_source *source, struct images *out) {
    struct stat info;
    char name[4160];
    const bool folder = stat(source->other, &info) == 0 && S_ISDIR(info.st_mode);
    cupel_status status = folder ? cupel_dataset_open(&out->set, source->other, "test")
                                 : cupel_dataset_read_images(&out->set, source->other);
    if (status == CUPEL_STATUS_MISMATCH) /* of images and labels */
        status = CUPEL_STATUS_BAD_DATA;
    const int code = fail_with(status, out->set == NULL ? NULL : cupel_dataset_error(out->set));
    free(source->other);
    source->other = NULL;
    if (code != EXIT_FINE)
        return code;
    const cupel_dataset_info have = cupel_dataset_get_info(out->set);
    return check_form(&source->form, images_name(out, 0, name, sizeof name), have.channels,
                      have.height, have.width);
}

/* --- the interface --- */

int image_source_open(struct image_source *source, const struct image_form *form,
                      const char *const *paths, size_t n_paths, const char *list_path) {
    *source = (struct image_source){.form = *form, .paths = paths, .n_paths = n_paths};
    if (list_path == NULL)
        return EXIT_FINE;
    const bool standard = strcmp(list_path, "-") == 0;
    source->list_path = standard ? "standard input" : list_path;
    source->list = standard ? stdin : fopen(list_path, "r");
    return source->list != NULL ? EXIT_FINE : complain_errno("read", list_path);
}

int image_source_next(struct image_source *source, struct images *out) {
    bool end = false;
    int code = EXIT_FINE;
    *out = (struct images){0};
    while (code == EXIT_FINE && !end && source->other == NULL &&
           source->n_pngs - source->taken < MOST_IMAGES)
        code = take_path(source, &end);
    if (code != EXIT_FINE)
        return code;
    if (source->n_pngs > source->taken)
        return open_pngs(source, out);
    return source->other != NULL ? open_other(source, out) : EXIT_FINE;
}

void image_source_close(struct image_source *source) {
    if (source->list != NULL && source->list != stdin)
        fclose(source->list);
    for (size_t i = source->taken; i < source->n_pngs; i++)
        free(source->pngs[i]);
    free(source->pngs);
    free(source->item);
    free(source->other);
    *source = (struct image_source){0};
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
