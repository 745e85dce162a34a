/*
 * The inside of a cupel_image, shared by the PNG files (png_image.c) and the sheets
 * (contact_sheet.c). Test: tests/test_png.c
 */
#ifndef CUPEL_DATA_IMAGE_INTERNAL_H
#define CUPEL_DATA_IMAGE_INTERNAL_H

#include "base/error.h"
#include "cupel/image.h"

enum { IMAGE_MAX_SIDE = 32768, IMAGE_MAX_BYTES = 1 << 28 };

struct cupel_image {
    struct cupel_error error;
    int64_t width, height;
    int channels;
    uint8_t *pixels;
};

/* Gives an empty image black pixels. INVALID_ARGUMENT, OUT_OF_MEMORY. */
cupel_status image_allocate(cupel_image *image, int64_t width, int64_t height, int channels);
/* Hands the finished image over, or drops its pixels and leaves the sentence. */
cupel_status image_deliver(cupel_image **out, cupel_image *image, cupel_status status);

#endif
