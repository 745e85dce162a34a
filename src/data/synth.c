/*
 * The synthetic data set as files. The files of images come last, so that what is there at any
 * moment is no data set or a whole one; a failure removes what was written.
 * Test: tests/test_synth.c
 */
#define _POSIX_C_SOURCE 200809L
#include "cupel/synth.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "cupel/image.h"
#include "data/shapes.h"

/* One split in memory. */
struct part {
    const char *split, *folder; /* names: of IDX files, of picture folders */
    int64_t count;
    uint8_t *labels, *images, *masks;
};

struct synth {
    const char *folder;
    int64_t side;
    bool pictures;
    struct part parts[2];
    struct cupel_error error;
};

/* --- the images --- */

/* Every fifth training image and every second test image has a defect; kinds take turns. */
static int label_of(int64_t index, int64_t period) {
    const int64_t turn = index / period;
    if (index % period == period - 1)
        return SHAPE_KINDS + (int)(turn % DEFECT_KINDS);
    return (int)((turn * (period - 1) + index % period) % SHAPE_KINDS);
}

static cupel_status draw_part(struct synth *synth, struct part *part, uint64_t seed) {
    const size_t plane = (size_t)(synth->side * synth->side), count = (size_t)part->count;
    const int64_t period = strcmp(part->split, "train") == 0 ? 5 : 2;
    const struct rng_key key =
        rng_key_make(seed, hash_combine(hash_string("synth"), hash_string(part->split)));
    part->labels = cupel_alloc(count, 1);
    part->images = cupel_alloc(count, plane);
    part->masks = cupel_alloc(count, plane);
    if (part->labels == NULL || part->images == NULL || part->masks == NULL)
        return cupel_fail_memory(&synth->error, "images", 2 * count * plane);
    for (size_t i = 0; i < count; i++) {
        part->labels[i] = (uint8_t)label_of((int64_t)i, period);
        shape_draw(key, i, part->labels[i], synth->side, part->images + i * plane,
                   part->masks + i * plane);
    }
    return CUPEL_STATUS_OK;
}

/* --- IDX files --- */

enum { IDX_FILES = 3 };
static const char *const idx_kinds[IDX_FILES] = {"masks-idx3", "labels-idx1", "images-idx3"};

/* FOLDER/train-images-idx3-ubyte */
static cupel_status idx_path(struct synth *synth, const struct part *part, int kind, char **out) {
    char name[64];
    snprintf(name, sizeof name, "%s-%s-ubyte", part->split, idx_kinds[kind]);
    *out = file_join(synth->folder, name);
    return *out != NULL ? CUPEL_STATUS_OK : cupel_fail_memory(&synth->error, "a file's name", 0);
}

static void put_u32(uint8_t *out, int64_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i) & 255);
}

static cupel_status write_idx(struct synth *synth, const struct part *part, int kind) {
    const uint8_t *const bytes[IDX_FILES] = {part->masks, part->labels, part->images};
    const int rank = kind == 1 ? 1 : 3;
    const size_t each = rank == 1 ? 1 : (size_t)(synth->side * synth->side);
    uint8_t header[16];
    char *path;
    struct file_writer writer;
    put_u32(header, 0x800 + rank);
    put_u32(header + 4, part->count);
    put_u32(header + 8, synth->side);
    put_u32(header + 12, synth->side);
    CUPEL_TRY(idx_path(synth, part, kind, &path));
    cupel_status status = file_writer_open(&writer, path, &synth->error);
    if (status == CUPEL_STATUS_OK) {
        status = file_writer_write(&writer, header, 4 + 4 * (size_t)rank, &synth->error);
        if (status == CUPEL_STATUS_OK)
            status =
                file_writer_write(&writer, bytes[kind], (size_t)part->count * each, &synth->error);
        if (status == CUPEL_STATUS_OK)
            status = file_writer_commit(&writer, &synth->error);
        file_writer_cancel(&writer);
    }
    cupel_free(path);
    return status;
}

static cupel_status write_classes(struct synth *synth, const char *path) {
    char text[256] = "";
    for (int label = 0; label < SHAPE_CLASSES; label++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s\n", shape_class_name(label));
    }
    return file_write(path, text, strlen(text), &synth->error);
}

/* --- pictures --- */

typedef cupel_status (*visit)(struct synth *, const char *path, const uint8_t *pixels);

static cupel_status write_picture(struct synth *synth, const char *path, const uint8_t *pixels) {
    const char *const slash = strrchr(path, '/');
    char *const folder = cupel_strndup(path, (size_t)(slash - path));
    cupel_image *image = NULL;
    if (folder == NULL)
        return cupel_fail_memory(&synth->error, "a folder's name", 0);
    cupel_status status = file_make_folder(folder, NULL, &synth->error);
    cupel_free(folder);
    CUPEL_TRY(status);
    status = cupel_image_create(&image, synth->side, synth->side, 1);
    if (status == CUPEL_STATUS_OK) {
        memcpy(cupel_image_pixels(image), pixels, (size_t)(synth->side * synth->side));
        status = cupel_image_write(image, path);
    }
    if (status != CUPEL_STATUS_OK)
        (void)cupel_fail(&synth->error, status, "%s",
                         image == NULL ? cupel_status_text(status) : cupel_image_error(image));
    cupel_image_destroy(image);
    return status;
}

static cupel_status remove_picture(struct synth *synth, const char *path, const uint8_t *pixels) {
    char *const folder = cupel_strndup(path, (size_t)(strrchr(path, '/') - path));
    (void)pixels;
    (void)unlink(path);
    if (folder != NULL) /* the last picture takes its folders along */
        file_unmake_folder(folder, strlen(synth->folder));
    cupel_free(folder);
    return CUPEL_STATUS_OK;
}

static cupel_status visit_one(struct synth *synth, const char *folder, const char *class_name,
                              int64_t index, const char *end, const uint8_t *pixels, visit act) {
    const size_t size = strlen(synth->folder) + 96;
    char *const path = cupel_alloc(size, 1);
    if (path == NULL)
        return cupel_fail_memory(&synth->error, "a file's name", size);
    snprintf(path, size, "%s/%s/%s/%06lld%s.png", synth->folder, folder, class_name,
             (long long)index, end);
    const cupel_status status = act(synth, path, pixels);
    cupel_free(path);
    return status;
}

/* As inspection data sets have it: nothing but good images to train on. */
static cupel_status visit_pictures(struct synth *synth, visit act) {
    const size_t plane = (size_t)(synth->side * synth->side);
    for (int p = 0; p < 2; p++) {
        const struct part *const part = &synth->parts[p];
        for (int64_t i = 0; i < part->count; i++) {
            const bool good = part->labels[i] < SHAPE_KINDS;
            const char *const name = good ? "good" : shape_class_name(part->labels[i]);
            if (!good && p == 0)
                continue;
            CUPEL_TRY(
                visit_one(synth, part->folder, name, i, "", part->images + (size_t)i * plane, act));
            if (!good)
                CUPEL_TRY(visit_one(synth, "ground_truth", name, i, "_mask",
                                    part->masks + (size_t)i * plane, act));
        }
    }
    return CUPEL_STATUS_OK;
}

/* --- the folder --- */

/* No file of ours may be there: they would be written over, and a failure would remove them. */
static cupel_status refuse_existing(struct synth *synth) {
    static const char *const names[] = {"classes.txt",
                                        "train",
                                        "test",
                                        "ground_truth",
                                        "train-images-idx3-ubyte",
                                        "train-labels-idx1-ubyte",
                                        "train-masks-idx3-ubyte",
                                        "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte",
                                        "t10k-masks-idx3-ubyte"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *const path = file_join(synth->folder, names[i]);
        if (path == NULL)
            return cupel_fail_memory(&synth->error, "a file's name", 0);
        const bool there = file_exists(path);
        cupel_free(path);
        if (there)
            return cupel_fail(&synth->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "%s holds %s already: remove it, or choose another folder",
                              synth->folder, names[i]);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status write_files(struct synth *synth, const char *classes) {
    if (synth->pictures)
        CUPEL_TRY(visit_pictures(synth, write_picture));
    CUPEL_TRY(write_classes(synth, classes));
    for (int kind = 0; kind < IDX_FILES; kind++)
        for (int p = 1; p >= 0; p--)
            CUPEL_TRY(write_idx(synth, &synth->parts[p], kind));
    return CUPEL_STATUS_OK;
}

static void remove_files(struct synth *synth, const char *classes) {
    const struct cupel_error kept = synth->error;
    (void)unlink(classes);
    for (int i = 0; i < 2 * IDX_FILES; i++) {
        char *path;
        if (idx_path(synth, &synth->parts[i % 2], i / 2, &path) == CUPEL_STATUS_OK)
            (void)unlink(path);
        cupel_free(path);
    }
    if (synth->pictures)
        (void)visit_pictures(synth, remove_picture);
    synth->error = kept;
}

static cupel_status make(struct synth *synth, uint64_t seed) {
    CUPEL_TRY(refuse_existing(synth));
    for (int p = 0; p < 2; p++)
        CUPEL_TRY(draw_part(synth, &synth->parts[p], seed));
    char *const classes = file_join(synth->folder, "classes.txt");
    if (classes == NULL)
        return cupel_fail_memory(&synth->error, "a file's name", 0);
    size_t there;
    cupel_status status = file_make_folder(synth->folder, &there, &synth->error);
    if (status == CUPEL_STATUS_OK) {
        status = write_files(synth, classes);
        if (status != CUPEL_STATUS_OK)
            remove_files(synth, classes);
    }
    if (status != CUPEL_STATUS_OK)
        file_unmake_folder(synth->folder, there);
    cupel_free(classes);
    return status;
}

cupel_status cupel_synth_make(const char *folder, const cupel_synth_options *options,
                              char sentence[CUPEL_SYNTH_SENTENCE_SIZE]) {
    const int64_t images = options == NULL || options->images == 0 ? 4000 : options->images;
    const int64_t side = options == NULL || options->side == 0 ? 28 : options->side;
    struct synth synth = {.folder = folder,
                          .side = side,
                          .pictures = options != NULL && options->pictures,
                          .parts = {{.split = "train", .folder = "train", .count = images},
                                    {.split = "t10k", .folder = "test", .count = images / 4}}};
    cupel_status status;
    if (images < 20 || images > 100000 || side < 16 || side > 128)
        status = cupel_fail(&synth.error, CUPEL_STATUS_INVALID_ARGUMENT,
                            "%lld images of %lld pixels a side: give 20 to 100000 images of 16 to "
                            "128 pixels",
                            (long long)images, (long long)side);
    else
        status = make(&synth, options == NULL ? 0 : options->seed);
    for (int p = 0; p < 2; p++) {
        cupel_free(synth.parts[p].labels);
        cupel_free(synth.parts[p].images);
        cupel_free(synth.parts[p].masks);
    }
    snprintf(sentence, CUPEL_SYNTH_SENTENCE_SIZE, "%s", synth.error.text);
    return status;
}
