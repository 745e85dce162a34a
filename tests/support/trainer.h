/*
 * Small training set-ups for the tests of trainer, score and job: striped images, and a
 * recipe of a few lines. Include after support/drill.h.
 */
#ifndef CUPEL_TEST_SUPPORT_TRAINER_H
#define CUPEL_TEST_SUPPORT_TRAINER_H

#include "cupel/context.h"
#include "cupel/dataset.h"
#include "cupel/recipe.h"

enum { SIDE = 8, CLASSES = 5 };

/* Image i of class i % 5: stripes whose width is the class, with a gradient that tells the images
 * of a class apart. */
static inline void draw_stripes(uint8_t *pixels, int64_t index, int64_t side) {
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++)
            pixels[y * side + x] =
                (uint8_t)(x / (1 + index % CLASSES) % 2 == 0 ? 255 - (index * 7 + y * 3) % 128
                                                             : (index * 11 + x) % 64);
}

static inline cupel_dataset *striped_images(int64_t count, int64_t side, int64_t first) {
    uint8_t *const pixels = cupel_alloc((size_t)count, (size_t)(side * side));
    int64_t *const labels = cupel_alloc((size_t)count, sizeof *labels);
    CHECK(pixels != NULL && labels != NULL);
    for (int64_t i = 0; i < count; i++) {
        draw_stripes(pixels + i * side * side, first + i, side);
        labels[i] = (first + i) % CLASSES;
    }
    cupel_dataset *set;
    CHECK_OK(cupel_dataset_create(&set, count, 1, side, side, pixels, labels));
    cupel_free(pixels);
    cupel_free(labels);
    return set;
}

static inline void put_u32(FILE *file, int64_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        CHECK(fputc((int)(value >> shift & 255), file) != EOF);
}

/* SPLIT-images-idx3-ubyte and its labels in the folder: striped images `first` and on. */
static inline void write_striped_idx(const char *folder, const char *split, int64_t count,
                                     int64_t first, int64_t side) {
    for (int rank = 1; rank <= 3; rank += 2) {
        char path[256];
        uint8_t pixels[64 * 64];
        snprintf(path, sizeof path, "%s/%s-%s-idx%d-ubyte", folder, split,
                 rank == 1 ? "labels" : "images", rank);
        FILE *const file = fopen(path, "wb");
        CHECK(file != NULL && side <= 64);
        put_u32(file, 0x800 + rank);
        put_u32(file, count);
        for (int axis = 1; axis < rank; axis++)
            put_u32(file, side);
        for (int64_t i = first; i < first + count; i++) {
            const size_t size = rank == 1 ? 1 : (size_t)(side * side);
            draw_stripes(pixels, i, side);
            pixels[0] = rank == 1 ? (uint8_t)(i % CLASSES) : pixels[0];
            CHECK(fwrite(pixels, 1, size, file) == size);
        }
        CHECK_I64(fclose(file), 0);
    }
}

/* Defaults changed by "key=value" settings, NULL at the end. */
static inline cupel_recipe *recipe_of(const char *const *settings) {
    cupel_recipe *recipe;
    CHECK_OK(cupel_recipe_create(&recipe));
    for (; *settings != NULL; settings++)
        CHECK_OK_TEXT(cupel_recipe_set(recipe, *settings, "test"), cupel_recipe_error(recipe));
    return recipe;
}

static const char *const dense_settings[] = {"model.name=mlp-vae", "model.image=8",
                                             "model.latent=3",     "model.hidden=[10]",
                                             "train.batch=6",      "train.epochs=3",
                                             "threads=1",          "loss.reconstruction=bernoulli",
                                             "data.held_out=0",    NULL};
static const char *const conv_settings[] = {"model.image=8",
                                            "model.latent=3",
                                            "train.batch=6",
                                            "train.epochs=3",
                                            "threads=1",
                                            "data.held_out=0",
                                            NULL};

static inline cupel_context *context_on(const char *device) {
    cupel_context *context;
    const cupel_context_options options = {.device = device};
    CHECK_OK(cupel_context_create(&context, &options));
    return context;
}

#endif
