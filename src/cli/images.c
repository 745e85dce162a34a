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

static int64_t form_bytes(const struct image_form *form) {
    return form->channels * form->height * form->width;
}

/* --- the names --- */

/* In fresh memory. */
static char *join(const char *folder, const char *name) {
    const size_t length = strlen(folder), size = length + strlen(name) + 2;
    const bool bare = length == 0 || folder[length - 1] == '/';
    char *const path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s%s%s", folder, bare ? "" : "/", name);
    return path;
}

/* Takes the path over, also when memory is refused. */
static int add_png(struct image_source *source, char *path, size_t label, size_t label_length) {
    struct image_name *const more =
        path == NULL ? NULL : realloc(source->pngs, (source->n_pngs + 1) * sizeof *more);
    if (more == NULL) {
        free(path);
        return no_memory();
    }
    source->pngs = more;
    more[source->n_pngs++] =
        (struct image_name){.path = path, .label = label, .label_length = label_length};
    return EXIT_FINE;
}

/* --- folders --- */

/* A folder on the way down; `above` tells when links lead back. */
struct level {
    const struct level *above;
    const char *path;
    dev_t device;
    ino_t inode;
};

/* One look through a folder that was named. */
struct walk {
    struct image_source *source;
    size_t left_out; /* files that hold images of another kind */
    char first[256]; /* of them */
};

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_other_image(const char *name) {
    static const char *const endings[] = {".jpg",  ".jpeg", ".gif", ".bmp",   ".tif",   ".tiff",
                                          ".webp", ".jp2",  ".pgm", ".ppm",   "-ubyte", "-ubyte.gz",
                                          ".heic", ".avif", ".idx", ".idx.gz"};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t tail = strlen(endings[i]);
        if (length > tail && strcasecmp(name + length - tail, endings[i]) == 0)
            return true;
    }
    return false;
}

static void release_list(char **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

/* The names in a folder that do not begin with a dot, in order; NULL, and *code, on failure. */
static char **list_names(const char *path, size_t *count, int *code) {
    DIR *const listing = opendir(path);
    const struct dirent *entry;
    char **list = NULL;
    *count = 0;
    *code = listing == NULL ? complain_errno("open the folder", path) : EXIT_FINE;
    while (*code == EXIT_FINE && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char **const more = realloc(list, (*count + 1) * sizeof *more);
        list = more == NULL ? list : more;
        char *const name = more == NULL ? NULL : join("", entry->d_name);
        if (name == NULL)
            *code = no_memory();
        else
            list[(*count)++] = name;
    }
    if (listing != NULL)
        closedir(listing);
    if (*count > 1)
        qsort(list, *count, sizeof *list, by_name);
    return list;
}

static int walk_folder(struct walk *walk, const char *path, const struct level *above);

static int walk_entry(struct walk *walk, const struct level *level, const char *name) {
    struct stat info;
    int code = EXIT_FINE;
    char *const path = join(level->path, name);
    if (path == NULL)
        return no_memory();
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (strcmp(name, "ground_truth") != 0) /* masks, where folders of inspection images are */
            code = walk_folder(walk, path, level);
    } else if (is_png_name(name)) {
        const size_t end = strlen(path) - strlen(name) - 1, folder = end;
        size_t label = folder;
        while (label > 0 && path[label - 1] != '/')
            label--;
        return add_png(walk->source, path, label, level->above == NULL ? 0 : folder - label);
    } else if (is_other_image(name) && walk->left_out++ == 0) {
        snprintf(walk->first, sizeof walk->first, "%s", name);
    }
    free(path);
    return code;
}

/* Adds the PNG files in a folder and in the folders in it, each folder in the order of names. */
static int walk_folder(struct walk *walk, const char *path, const struct level *above) {
    struct stat info;
    size_t count;
    int code;
    if (stat(path, &info) != 0)
        return complain_errno("open the folder", path);
    const struct level level = {above, path, info.st_dev, info.st_ino};
    for (const struct level *l = above; l != NULL; l = l->above)
        if (l->device == info.st_dev && l->inode == info.st_ino) {
            complain("%s leads back to %s, which it lies in: remove the link", path, l->path);
            return EXIT_DATA;
        }
    char **const names = list_names(path, &count, &code);
    for (size_t i = 0; i < count && code == EXIT_FINE; i++)
        code = walk_entry(walk, &level, names[i]);
    release_list(names, count);
    return code;
}

static int list_folder(struct image_source *source, const char *path) {
    const size_t before = source->n_pngs;
    struct walk walk = {.source = source};
    const int code = walk_folder(&walk, path, NULL);
    if (code != EXIT_FINE)
        return code;
    if (source->n_pngs == before) {
        complain("%s holds neither a data set (t10k-images-idx3-ubyte) nor PNG files%s%s: give a "
                 "folder that does, or image files",
                 path, walk.left_out == 0 ? "" : ", only others such as ", walk.first);
        return EXIT_DATA;
    }
    if (walk.left_out > 0)
        complain("%s: %zu %s left out, such as %s: only the PNG files of a folder are read; save "
                 "it as PNG",
                 path, walk.left_out, walk.left_out == 1 ? "image file is" : "image files are",
                 walk.first);
    return EXIT_FINE;
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
    if (!targets_spare(source->form.spared_by, source->form.n_spared_by, path))
        return EXIT_USAGE;
    const bool folder = S_ISDIR(info.st_mode);
    if (folder && !cupel_dataset_holds(path, "test"))
        return list_folder(source, path);
    if (!folder && is_png_name(path))
        return add_png(source, join("", path), 0, 0);
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
        code = read_png(form, images->names[i].path, pixels + i * bytes);
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
        source->pngs[source->taken++] = (struct image_name){0};
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
        free(source->pngs[i].path);
    free(source->pngs);
    free(source->item);
    free(source->other);
    *source = (struct image_source){0};
}

void images_close(struct images *images) {
    cupel_dataset_destroy(images->set);
    for (size_t i = 0; i < images->n_names; i++)
        free(images->names[i].path);
    free(images->names);
    *images = (struct images){0};
}

char *images_name(const struct images *images, int64_t index, char *buffer, size_t size) {
    int64_t position = 0;
    if (images->names != NULL) {
        snprintf(buffer, size, "%s", images->names[index].path);
    } else {
        const char *const source = cupel_dataset_source(images->set, index, &position);
        snprintf(buffer, size, "%s#%lld", source, (long long)position);
    }
    return buffer;
}

char *images_label(const struct images *images, int64_t index, char *buffer, size_t size) {
    const int64_t label = cupel_dataset_label(images->set, index);
    buffer[0] = '\0';
    if (images->names != NULL)
        snprintf(buffer, size, "%.*s", (int)images->names[index].label_length,
                 images->names[index].path + images->names[index].label);
    else if (label != CUPEL_NO_LABEL)
        snprintf(buffer, size, "%lld", (long long)label);
    return buffer;
}
