/*
 * Contact sheets of a ranking. The images kept are scored once more for their reconstructions; the
 * scores are the same, whatever stands beside them. Test: tests/score.bats
 */
#include "sheet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cupel/image.h>
#include <cupel/number.h>

#include "console.h"

static size_t image_bytes(const struct ends *ends) {
    return (size_t)(ends->channels * ends->height * ends->width);
}

/* "23.1 Sandal" */
static void caption(char *out, size_t size, const cupel_dataset *images, int64_t index,
                    double score) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    const int64_t label = cupel_dataset_label(images, index);
    const char *const name = cupel_dataset_class_name(images, label);
    cupel_number_format_fixed(number, score, 1);
    if (name != NULL)
        snprintf(out, size, "%.12s %.18s", number, name);
    else if (label != CUPEL_NO_LABEL)
        snprintf(out, size, "%.12s (%lld)", number, (long long)label);
    else
        snprintf(out, size, "%.12s", number);
}

/* Puts image `index` into a list sorted by sign * score, ascending, if it belongs there. */
static bool insert(const struct ends *ends, struct kept *list, size_t *count, double sign,
                   const cupel_dataset *images, int64_t index, double score) {
    if (*count == ends->most && !(sign * score < sign * list[*count - 1].score))
        return true;
    uint8_t *pixels = *count < ends->most ? malloc(image_bytes(ends)) : list[*count - 1].pixels;
    if (pixels == NULL)
        return false;
    memcpy(pixels, cupel_dataset_pixels(images, index), image_bytes(ends));
    size_t at = *count < ends->most ? (*count)++ : *count - 1;
    for (; at > 0 && sign * score < sign * list[at - 1].score; at--)
        list[at] = list[at - 1];
    list[at].score = score;
    list[at].pixels = pixels;
    caption(list[at].caption, sizeof list[at].caption, images, index, score);
    return true;
}

int ends_add(struct ends *ends, const cupel_dataset *images, const cupel_score *scores) {
    const cupel_dataset_info info = cupel_dataset_get_info(images);
    if (ends->low == NULL) {
        ends->channels = info.channels;
        ends->height = info.height;
        ends->width = info.width;
        ends->low = calloc(ends->most, sizeof *ends->low);
        ends->high = calloc(ends->most, sizeof *ends->high);
        if (ends->low == NULL || ends->high == NULL)
            return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    }
    for (int64_t i = 0; i < info.count; i++) {
        const double score = scores[i].score;
        if (!isfinite(score))
            continue;
        if (!insert(ends, ends->low, &ends->n_low, 1.0, images, i, score) ||
            !insert(ends, ends->high, &ends->n_high, -1.0, images, i, score))
            return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    }
    return EXIT_FINE;
}

void ends_release(struct ends *ends) {
    for (size_t i = 0; i < ends->n_low; i++)
        free(ends->low[i].pixels);
    for (size_t i = 0; i < ends->n_high; i++)
        free(ends->high[i].pixels);
    free(ends->low);
    free(ends->high);
    *ends = (struct ends){0};
}

/* What drawing needs beside the list: [count] of each, all in [0, 1]. */
struct drawing {
    float *images, *padded, *reconstructions;
    cupel_score *scores;
    cupel_sheet_cell *cells;
    uint8_t *pixels;
};

static void release_drawing(struct drawing *drawing) {
    free(drawing->images);
    free(drawing->padded);
    free(drawing->reconstructions);
    free(drawing->scores);
    free(drawing->cells);
    free(drawing->pixels);
}

/* Reconstructions have the network's margin: cut it off. */
static void crop(const struct ends *ends, const cupel_scorer_info *info, const float *from,
                 float *to, size_t count) {
    const int64_t pad = info->pad;
    for (int64_t plane = 0; plane < (int64_t)count * ends->channels; plane++)
        for (int64_t y = 0; y < ends->height; y++)
            memcpy(to + (plane * ends->height + y) * ends->width,
                   from + (plane * info->height + y + pad) * info->width + pad,
                   (size_t)ends->width * sizeof *to);
}

static int reconstruct(const struct ends *ends, cupel_scorer *scorer, const struct kept *list,
                       size_t count, struct drawing *drawing) {
    const cupel_scorer_info info = cupel_scorer_get_info(scorer);
    const size_t bytes = image_bytes(ends);
    const size_t padded = (size_t)(info.channels * info.height * info.width);
    drawing->images = calloc(count, bytes * sizeof(float));
    drawing->padded = calloc(count, padded * sizeof(float));
    drawing->reconstructions = calloc(count, bytes * sizeof(float));
    drawing->scores = calloc(count, sizeof *drawing->scores);
    drawing->cells = calloc(count, sizeof *drawing->cells);
    drawing->pixels = calloc(count, bytes);
    if (!drawing->images || !drawing->padded || !drawing->reconstructions || !drawing->scores ||
        !drawing->cells || !drawing->pixels)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    for (size_t i = 0; i < count; i++)
        memcpy(drawing->pixels + i * bytes, list[i].pixels, bytes);
    for (size_t v = 0; v < count * bytes; v++)
        drawing->images[v] = (float)drawing->pixels[v] / 255.0f;
    cupel_dataset *set;
    const cupel_status status = cupel_dataset_create(
        &set, (int64_t)count, ends->channels, ends->height, ends->width, drawing->pixels, NULL);
    int code = fail_with(status, set == NULL ? NULL : cupel_dataset_error(set));
    if (code == EXIT_FINE)
        code = fail_with(cupel_scorer_run(scorer, set, drawing->scores, drawing->padded),
                         cupel_scorer_error(scorer));
    cupel_dataset_destroy(set);
    if (code == EXIT_FINE)
        crop(ends, &info, drawing->padded, drawing->reconstructions, count);
    return code;
}

static int fill(const struct ends *ends, cupel_scorer *scorer, const struct kept *list,
                size_t count, struct drawing *drawing) {
    const cupel_scorer_info info = cupel_scorer_get_info(scorer);
    const int code = reconstruct(ends, scorer, list, count, drawing);
    for (size_t i = 0; i < count && code == EXIT_FINE; i++)
        drawing->cells[i] =
            (cupel_sheet_cell){.image = drawing->images + i * image_bytes(ends),
                               .reconstruction = drawing->reconstructions + i * image_bytes(ends),
                               .caption = list[i].caption,
                               .marked = info.has_threshold && list[i].score > info.threshold};
    return code;
}

int ends_draw(struct ends *ends, cupel_scorer *scorer, const char *path) {
    struct drawing low = {0}, high = {0};
    int code = EXIT_FINE;
    if (ends->n_low == 0) {
        complain("no image has a score, so there is no sheet to draw");
        return EXIT_DATA;
    }
    code = fill(ends, scorer, ends->low, ends->n_low, &low);
    if (code == EXIT_FINE)
        code = fill(ends, scorer, ends->high, ends->n_high, &high);
    if (code == EXIT_FINE) {
        const cupel_sheet_section sections[] = {
            {"most normal, each above its reconstruction", low.cells, ends->n_low},
            {"most anomalous (framed: above the threshold)", high.cells, ends->n_high}};
        const cupel_sheet_options options = {
            .channels = ends->channels == 3 ? 3 : 1, .height = ends->height, .width = ends->width};
        cupel_image *image;
        const cupel_status status = cupel_image_sheet(&image, sections, 2, &options);
        code = fail_with(status, image == NULL ? NULL : cupel_image_error(image));
        if (code == EXIT_FINE)
            code = fail_with(cupel_image_write(image, path), cupel_image_error(image));
        cupel_image_destroy(image);
    }
    release_drawing(&low);
    release_drawing(&high);
    return code;
}
