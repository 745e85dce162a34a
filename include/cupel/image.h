/*
 * Images in memory, 8 bits a channel, grey or RGB: PNG files, and sheets that show many small
 * images with their reconstructions.
 *
 *   1. cupel_image_create(), cupel_image_read() or cupel_image_sheet()
 *   2. cupel_image_pixels()
 *   3. cupel_image_write()
 *   4. cupel_image_destroy()
 *
 * On failure of 1, *out is an image without pixels that only carries the sentence (destroy it), or
 * NULL when memory for that was refused.
 */
#ifndef CUPEL_IMAGE_H
#define CUPEL_IMAGE_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_image cupel_image;

/* A black image; channels is 1 or 3, sides are 1 to 32768. INVALID_ARGUMENT. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_image_create(cupel_image **out, int64_t width,
                                                        int64_t height, int channels);
/* Reads a PNG file of any kind: palettes are looked up, 16 bits become 8, transparency is laid over
 * white; grey stays grey. The file is not trusted. IO, BAD_DATA. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_image_read(cupel_image **out, const char *path);
/* The same from memory; `name` stands for the path in messages. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_image_parse(cupel_image **out, const void *bytes,
                                                       size_t size, const char *name);
CUPEL_API void cupel_image_destroy(cupel_image *image);
CUPEL_API const char *cupel_image_error(const cupel_image *image);

CUPEL_API int64_t cupel_image_width(const cupel_image *image);
CUPEL_API int64_t cupel_image_height(const cupel_image *image);
CUPEL_API int cupel_image_channels(const cupel_image *image);
/* [height, width, channels], borrowed. */
CUPEL_API uint8_t *cupel_image_pixels(cupel_image *image);

/* Writes a PNG file whole or not at all; the same image gives the same bytes. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_image_write(cupel_image *image, const char *path);

typedef struct cupel_sheet_cell {
    const float *image;          /* [channels, height, width] in [0, 1] */
    const float *reconstruction; /* shown below it; NULL: none */
    const char *caption;         /* ASCII, cut before the next image; NULL: none */
    bool marked;                 /* gets a coloured frame */
} cupel_sheet_cell;

typedef struct cupel_sheet_section {
    const char *title; /* NULL: none */
    const cupel_sheet_cell *cells;
    size_t count;
} cupel_sheet_section;

typedef struct cupel_sheet_options {
    int channels; /* 1 or 3 */
    int64_t height, width;
    int scale;   /* each pixel becomes scale x scale; 0: 3 */
    int columns; /* cells a row; 0: 10 */
} cupel_sheet_options;

/* Sections below each other, each with its title and its cells in rows. INVALID_ARGUMENT. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_image_sheet(cupel_image **out,
                                                       const cupel_sheet_section *sections,
                                                       size_t section_count,
                                                       const cupel_sheet_options *options);

#ifdef __cplusplus
}
#endif
#endif
