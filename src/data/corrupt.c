/*
 * Corruptions of images. One table: the recipe's key and the function. All of them work in place on
 * planes [channels, height, width] in units of the image itself (pixels, shares, white = 1), so
 * that a strength means the same in every data set. Test: tests/test_corrupt.c
 */
#include "data/corrupt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/dataset_internal.h"

struct picture {
    uint8_t *pixels;
    float *scratch; /* one value for each pixel of a plane */
    int64_t channels, height, width;
    struct rng_key key; /* of this corruption */
    uint64_t id;        /* of this image */
};

static uint8_t to_byte(double value) {
    return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5);
}

/* --- the corruptions --- */

static void add_noise(const struct picture *image, double deviation) {
    const int64_t count = image->channels * image->height * image->width;
    for (int64_t i = 0; i < count; i += 4) {
        double draws[4];
        rng_normal4(rng_block_at(image->key, image->id, 0, (uint32_t)(i / 4)), draws);
        for (int64_t j = i; j < i + 4 && j < count; j++)
            image->pixels[j] = to_byte(image->pixels[j] + 255 * deviation * draws[j - i]);
    }
}

/* Half of the chosen pixels become black, half white, in all channels at once. */
static void add_impulses(const struct picture *image, double share) {
    const int64_t plane = image->height * image->width;
    for (int64_t i = 0; i < plane; i++) {
        double draws[4];
        rng_uniform4(rng_block_at(image->key, image->id, 0, (uint32_t)i), draws);
        if (draws[0] >= share)
            continue;
        for (int64_t c = 0; c < image->channels; c++)
            image->pixels[c * plane + i] = draws[1] < 0.5 ? 0 : 255;
    }
}

enum { BLUR_MOST_RADIUS = 192 };

/* One pass along lines of `length` values `stride` apart; edges are continued outwards. */
static void blur_line(float *dst, const uint8_t *bytes, const float *values, int64_t length,
                      int64_t stride, const double *weights, int64_t radius) {
    for (int64_t at = 0; at < length; at++) {
        double sum = 0;
        for (int64_t k = -radius; k <= radius; k++) {
            int64_t from = at + k;
            from = from < 0 ? 0 : from >= length ? length - 1 : from;
            const double value =
                bytes != NULL ? (double)bytes[from * stride] : (double)values[from * stride];
            sum += weights[k < 0 ? -k : k] * value;
        }
        dst[at] = (float)sum;
    }
}

static void blur(const struct picture *image, double sigma) {
    double weights[BLUR_MOST_RADIUS + 1], sum = 0;
    const int64_t radius = (int64_t)ceil(3 * sigma);
    const int64_t height = image->height, width = image->width;
    for (int64_t k = 0; k <= radius; k++) {
        weights[k] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
        sum += k == 0 ? weights[k] : 2 * weights[k];
    }
    for (int64_t k = 0; k <= radius; k++)
        weights[k] /= sum;
    float *const column = image->scratch + height * width;
    for (int64_t c = 0; c < image->channels; c++) {
        uint8_t *const plane = image->pixels + c * height * width;
        for (int64_t y = 0; y < height; y++)
            blur_line(image->scratch + y * width, plane + y * width, NULL, width, 1, weights,
                      radius);
        for (int64_t x = 0; x < width; x++) {
            blur_line(column, NULL, image->scratch + x, height, width, weights, radius);
            for (int64_t y = 0; y < height; y++)
                plane[y * width + x] = to_byte(column[y]);
        }
    }
}

static void average_square(uint8_t *plane, int64_t width, int64_t rows, int64_t columns) {
    int64_t sum = 0;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++)
            sum += plane[y * width + x];
    const uint8_t mean = to_byte((double)sum / (double)(rows * columns));
    for (int64_t y = 0; y < rows; y++)
        memset(plane + y * width, mean, (size_t)columns);
}

static void pixelate(const struct picture *image, double strength) {
    const int64_t side = (int64_t)strength, height = image->height, width = image->width;
    for (int64_t c = 0; c < image->channels; c++)
        for (int64_t y = 0; y < height; y += side)
            for (int64_t x = 0; x < width; x += side)
                average_square(image->pixels + (c * height + y) * width + x, width,
                               y + side < height ? side : height - y,
                               x + side < width ? side : width - x);
}

static bool is_lit(const struct picture *image, int64_t at) {
    bool lit = false;
    for (int64_t c = 0; c < image->channels; c++)
        lit = lit || image->pixels[c * image->height * image->width + at] != 0;
    return lit;
}

/* A pixel of the object, that is one that is not black; the middle where there is none. */
static int64_t choose_centre(const struct picture *image) {
    const int64_t plane = image->height * image->width;
    int64_t lit = 0;
    for (int64_t i = 0; i < plane; i++)
        lit += is_lit(image, i);
    if (lit == 0)
        return image->height / 2 * image->width + image->width / 2;
    int64_t left = (int64_t)rng_below(image->key, image->id, 0, (uint64_t)lit), at = 0;
    while (!is_lit(image, at) || left-- > 0)
        at++;
    return at;
}

static void occlude(const struct picture *image, double strength) {
    const int64_t side = (int64_t)strength, centre = choose_centre(image);
    const int64_t top = centre / image->width - side / 2, left = centre % image->width - side / 2;
    for (int64_t c = 0; c < image->channels; c++)
        for (int64_t y = top < 0 ? 0 : top; y < top + side && y < image->height; y++)
            for (int64_t x = left < 0 ? 0 : left; x < left + side && x < image->width; x++)
                image->pixels[(c * image->height + y) * image->width + x] = 0;
}

/* --- choosing and applying --- */

static const struct {
    const char *key;
    void (*apply)(const struct picture *, double strength);
} table[CORRUPTIONS] = {
    {"corruption.noise", add_noise}, {"corruption.impulse", add_impulses},
    {"corruption.blur", blur},       {"corruption.pixelate", pixelate},
    {"corruption.occlude", occlude},
};

void corruptions_of(struct corruptions *out, const cupel_recipe *recipe) {
    *out = (struct corruptions){0};
    for (size_t i = 0; i < CORRUPTIONS; i++) {
        const double strength = recipe_number(recipe, table[i].key);
        if (strength <= 0)
            continue;
        out->which[out->count] = i;
        out->strength[out->count++] = strength;
    }
}

const char *corruption_name(const struct corruptions *list, size_t i) {
    return strchr(table[list->which[i]].key, '.') + 1;
}

static cupel_status corrupt_all(cupel_dataset *set, const struct corruptions *list, uint64_t seed) {
    const int64_t plane = set->height * set->width;
    struct picture image = {.channels = set->channels, .height = set->height, .width = set->width};
    if (list->count == 0)
        return cupel_fail(&set->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "no corruption has a strength; set one, such as corruption.noise");
    image.scratch = cupel_alloc((size_t)(plane + set->height), sizeof *image.scratch);
    if (image.scratch == NULL)
        return cupel_fail_memory(&set->error, "a plane", (size_t)plane * sizeof *image.scratch);
    for (int64_t i = 0; i < set->count; i++) {
        const size_t turn = (size_t)i % list->count, which = list->which[turn];
        image.pixels = set->pixels + i * set->channels * plane;
        image.key = rng_key_make(seed, hash_string(table[which].key));
        image.id = cupel_dataset_row_id(set, i);
        table[which].apply(&image, list->strength[turn]);
    }
    cupel_free(image.scratch);
    return CUPEL_STATUS_OK;
}

cupel_status dataset_corrupt(cupel_dataset **out, const cupel_dataset *dataset,
                             const struct corruptions *list, uint64_t seed) {
    *out = NULL;
    cupel_dataset *fresh;
    cupel_status status = cupel_dataset_pad(&fresh, dataset, 0);
    if (status == CUPEL_STATUS_OK)
        status = corrupt_all(fresh, list, seed);
    else if (fresh == NULL)
        return status;
    return dataset_deliver(out, fresh, status);
}
