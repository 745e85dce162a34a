/*
 * Images, PNG files and contact sheets (src/data/png_image.c, contact_sheet.c, bitmap_font.c). The
 * PNG files below were put together chunk by chunk with Python's zlib and struct, not by libpng:
 *
 *   def chunk(t, d): return struct.pack('>I', len(d)) + t + d + struct.pack('>I', zlib.crc32(t +
 *   d)) def png(w, h, depth, kind, raw, extra=b'', interlace=0): return (b'\x89PNG\r\n\x1a\n' +
 *   chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, depth, kind, 0, 0, interlace)) + extra +
 *   chunk(b'IDAT', zlib.compress(raw, 9)) + chunk(b'IEND', b''))
 */
#include "support/drill.h"

#include <math.h>

#include "cupel/image.h"
#include "data/bitmap_font.h"

/* clang-format off */
static const uint8_t grey[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0xb8, 0x1f, 0x39,
    0xc6, 0x00, 0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x64, 0x62, 0x66,
    0x60, 0x61, 0xfd, 0x0f, 0x00, 0x01, 0x3f, 0x01, 0x0f, 0xaa, 0xfd, 0x32, 0xeb, 0x00, 0x00, 0x00,
    0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t rgb[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x08, 0x02, 0x00, 0x00, 0x00, 0x16, 0xe3, 0x21,
    0x70, 0x00, 0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xe0, 0x12, 0x91, 0x63,
    0xd0, 0x30, 0xb2, 0x01, 0x00, 0x02, 0x74, 0x00, 0xd3, 0x96, 0x4d, 0xcc, 0x95, 0x00, 0x00, 0x00,
    0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t palette[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x03, 0x00, 0x00, 0x00, 0xc3, 0xfc, 0x8f,
    0xb8, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4c, 0x54, 0x45, 0x01, 0x02, 0x03, 0xc8, 0x64, 0x32, 0x50,
    0xb4, 0xae, 0x3f, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x64,
    0x00, 0x00, 0x00, 0x05, 0x00, 0x02, 0x42, 0xc2, 0x44, 0x9f, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t one_bit[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x24, 0xb9, 0xb9,
    0xd0, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x58, 0xd0, 0x00, 0x00,
    0x01, 0xc3, 0x01, 0x21, 0x56, 0x32, 0xaa, 0x40, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44,
    0xae, 0x42, 0x60, 0x82,
};
static const uint8_t grey_16[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00, 0x00, 0x81, 0xd9, 0xfc,
    0x15, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x68, 0x60, 0xf8, 0xff,
    0x1f, 0x00, 0x05, 0x02, 0x02, 0x7f, 0xc9, 0x00, 0xd6, 0x75, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t rgba[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0xf4, 0x22, 0x7f,
    0x8a, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x48, 0x61, 0x38, 0xd1,
    0xc0, 0xce, 0xc1, 0xc9, 0x00, 0x00, 0x0a, 0x9f, 0x01, 0xc5, 0x31, 0xe1, 0x21, 0xd8, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t grey_alpha[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x04, 0x00, 0x00, 0x00, 0x5e, 0x2b, 0xb7,
    0x01, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x48, 0xf9, 0x9f, 0x62,
    0x0c, 0x00, 0x05, 0x8d, 0x01, 0xfb, 0x1a, 0x89, 0xa7, 0xec, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t transparent_colour[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x7b, 0x40, 0xe8,
    0xdd, 0x00, 0x00, 0x00, 0x06, 0x74, 0x52, 0x4e, 0x53, 0x00, 0x09, 0x00, 0x09, 0x00, 0x09, 0x15,
    0xbb, 0xe6, 0xcb, 0x00, 0x00, 0x00, 0x0f, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x64,
    0x62, 0xe6, 0xe4, 0xe4, 0x04, 0x00, 0x00, 0x59, 0x00, 0x22, 0xbb, 0xc5, 0x71, 0x3b, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
static const uint8_t interlaced[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x00, 0x01, 0x04, 0x44, 0xda,
    0xf5, 0x00, 0x00, 0x00, 0x17, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x64, 0x60, 0x66,
    0x60, 0xe7, 0x64, 0x60, 0x62, 0xe0, 0x60, 0x60, 0x61, 0x65, 0x03, 0x00, 0x01, 0x2a, 0x00, 0x2e,
    0xa6, 0xa8, 0x46, 0xfc, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};
/* clang-format on */

static void test_kinds(void **state) {
    (void)state;
    /* what the pixels are, by the definition of each kind; 128/255 of 100 over white is 177, ... */
    static const struct {
        const char *name;
        const uint8_t *bytes;
        size_t size;
        int64_t width, height;
        int channels;
        uint8_t pixels[16];
    } rows[] = {
        {"grey", grey, sizeof grey, 3, 2, 1, {1, 2, 3, 4, 5, 255}},
        {"rgb", rgb, sizeof rgb, 1, 2, 3, {10, 20, 30, 40, 50, 60}},
        {"palette", palette, sizeof palette, 2, 1, 3, {200, 100, 50, 1, 2, 3}},
        {"1 bit", one_bit, sizeof one_bit, 9, 1, 1, {255, 0, 255, 0, 0, 0, 0, 0, 255}},
        {"16 bits", grey_16, sizeof grey_16, 2, 1, 1, {128, 255}},
        {"rgba", rgba, sizeof rgba, 2, 1, 3, {177, 127, 227, 255, 255, 255}},
        {"grey + alpha", grey_alpha, sizeof grey_alpha, 2, 1, 1, {100, 224}},
        {"tRNS", transparent_colour, sizeof transparent_colour, 2, 1, 3, {1, 2, 3, 255, 255, 255}},
        {"interlaced", interlaced, sizeof interlaced, 3, 3, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("%s", rows[i].name);
        cupel_image *image;
        CHECK_OK_TEXT(cupel_image_parse(&image, rows[i].bytes, rows[i].size, "x.png"),
                      cupel_image_error(image));
        CHECK_I64(cupel_image_width(image), rows[i].width);
        CHECK_I64(cupel_image_height(image), rows[i].height);
        CHECK_I64(cupel_image_channels(image), rows[i].channels);
        for (int64_t b = 0; b < rows[i].width * rows[i].height * rows[i].channels; b++)
            CHECK_I64(cupel_image_pixels(image)[b], rows[i].pixels[b]);
        cupel_image_destroy(image);
    }
}

static void reject(const void *bytes, size_t size, const char *why) {
    cupel_image *image;
    CHECK_STATUS(cupel_image_parse(&image, bytes, size, "x.png"), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_image_error(image), "x.png");
    CHECK_CONTAINS(cupel_image_error(image), why);
    CHECK(cupel_image_pixels(image) == NULL);
    CHECK_I64(cupel_image_width(image), 0);
    cupel_image_destroy(image);
}

static void test_damage(void **state) {
    (void)state;
    reject("", 0, "it is empty");
    reject("GIF89a..", 8, "not a PNG file");
    for (size_t size = 0; size < sizeof rgba; size++)
        reject(rgba, size, "x.png");
    reject(rgba, sizeof rgba - 20, "truncated");
    for (size_t i = 0; i < sizeof rgba * 8; i++) { /* a flipped bit is noticed or harmless */
        uint8_t broken[sizeof rgba];
        cupel_image *image;
        memcpy(broken, rgba, sizeof rgba);
        broken[i / 8] ^= (uint8_t)(1U << i % 8);
        if (cupel_image_parse(&image, broken, sizeof broken, "x.png") == CUPEL_STATUS_OK)
            CHECK(cupel_image_pixels(image) != NULL);
        cupel_image_destroy(image);
    }
    /* sizes that the file cannot hold, the header's checksum being right */
    static const uint8_t huge[] = {0x89, 'P', 'N', 'G', 13,  10,   26,   10,   0,    0, 0,    13,
                                   'I',  'H', 'D', 'R', 0,   0,    0x40, 0,    0,    0, 0x40, 0,
                                   8,    0,   0,   0,   0,   0x8c, 0xa3, 0x4f, 0x58, 0, 0,    0,
                                   0,    'I', 'D', 'A', 'T', 0x35, 0xaf, 0x06, 0x1e};
    reject(huge, sizeof huge, "more than its");
}

static void test_round_trip(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "i.png"), *const second = file_join(folder, "j.png");
    for (int channels = 1; channels <= 3; channels += 2) {
        cupel_image *image, *back;
        CHECK_OK(cupel_image_create(&image, 37, 11, channels));
        for (int i = 0; i < 37 * 11 * channels; i++)
            cupel_image_pixels(image)[i] = (uint8_t)(i * 7 + i / 50);
        CHECK_OK_TEXT(cupel_image_write(image, path), cupel_image_error(image));
        CHECK_OK_TEXT(cupel_image_read(&back, path), cupel_image_error(back));
        CHECK_I64(cupel_image_channels(back), channels);
        assert_memory_equal(cupel_image_pixels(image), cupel_image_pixels(back),
                            (size_t)(37 * 11 * channels));
        CHECK_OK(cupel_image_write(back, second));
        uint8_t *a, *b;
        size_t a_size, b_size;
        CHECK_OK(file_read(path, 0, &a, &a_size, NULL));
        CHECK_OK(file_read(second, 0, &b, &b_size, NULL));
        CHECK_U64(a_size, b_size);
        assert_memory_equal(a, b, a_size);
        cupel_free(a);
        cupel_free(b);
        cupel_image_destroy(image);
        cupel_image_destroy(back);
    }
    cupel_image *image;
    CHECK_STATUS(cupel_image_read(&image, "/nonexistent/i.png"), CUPEL_STATUS_IO);
    CHECK_STATUS(cupel_image_write(image, path), CUPEL_STATUS_BUG);
    cupel_image_destroy(image);
    CHECK_STATUS(cupel_image_create(&image, 0, 4, 1), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(image);
    CHECK_STATUS(cupel_image_create(&image, 4, 4, 2), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(image);
    CHECK_STATUS(cupel_image_create(&image, 32768, 32768, 3), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(image);
    cupel_image_destroy(NULL);
    cupel_free(path);
    cupel_free(second);
    drill_folder_remove(folder);
}

/* ---- sheets ---------------------------------------------------------------------------------- */

static const uint8_t *pixel(cupel_image *image, int64_t x, int64_t y) {
    return cupel_image_pixels(image) + (y * cupel_image_width(image) + x) * 3;
}

static void check_pixel(cupel_image *image, int64_t x, int64_t y, int red, int green, int blue) {
    const uint8_t *const p = pixel(image, x, y);
    check_context("pixel %lld, %lld", (long long)x, (long long)y);
    CHECK_I64(p[0], red);
    CHECK_I64(p[1], green);
    CHECK_I64(p[2], blue);
}

static void test_sheet(void **state) {
    (void)state;
    const float a[] = {0, 0.5f, 1, 2}, b[] = {NAN, -1, 0.2f, 0.4f}; /* 2 x 2 */
    const cupel_sheet_cell cells[] = {
        {.image = a, .reconstruction = b, .caption = "9.75", .marked = true},
        {.image = b},
        {.image = a, .caption = "a caption far too long for its place"}};
    const cupel_sheet_section sections[] = {{.title = "T", .cells = cells, .count = 3},
                                            {.cells = cells + 1, .count = 1},
                                            {.cells = NULL, .count = 0}};
    const cupel_sheet_options options = {
        .channels = 1, .height = 2, .width = 2, .scale = 10, .columns = 2};
    cupel_image *sheet;
    CHECK_OK_TEXT(cupel_image_sheet(&sheet, sections, 3, &options), cupel_image_error(sheet));
    /* margins 12, two cells of 20 + 2 * 2, a gap of 8 */
    CHECK_I64(cupel_image_width(sheet), 12 + 24 + 16 + 24 + 12);
    /* a title of 22, then three rows of (20 + 2 + 20 + 2 * 2 + 11) + 8 */
    CHECK_I64(cupel_image_height(sheet), 12 + 22 + 3 * (57 + 8) + 12);
    const int64_t x = 12, y = 12 + 22;
    check_pixel(sheet, 0, 0, 250, 250, 248);           /* paper */
    check_pixel(sheet, x, y, 214, 94, 20);             /* the frame of a marked cell */
    check_pixel(sheet, x + 2, y + 2, 0, 0, 0);         /* 0 */
    check_pixel(sheet, x + 12, y + 2, 128, 128, 128);  /* 0.5 */
    check_pixel(sheet, x + 11, y + 11, 0, 0, 0);       /* enlarged, not smoothed */
    check_pixel(sheet, x + 2, y + 12, 255, 255, 255);  /* 1 */
    check_pixel(sheet, x + 21, y + 21, 255, 255, 255); /* 2 is cut */
    check_pixel(sheet, x + 2, y + 24, 0, 0, 0);        /* not a number */
    check_pixel(sheet, x + 2, y + 34, 51, 51, 51);     /* 0.2 of the reconstruction */
    check_pixel(sheet, x + 40, y, 190, 190, 186);      /* an unmarked frame */
    check_pixel(sheet, x + 42, y + 2, 0, 0, 0);        /* the second cell */
    check_pixel(sheet, x + 40, y + 24, 250, 250, 248); /* no reconstruction below it */
    /* the title's T, twice enlarged, and the caption's 9 */
    check_pixel(sheet, 12, 12, 40, 40, 44);
    check_pixel(sheet, 12, 15, 250, 250, 248);
    check_pixel(sheet, 16, 20, 40, 40, 44);
    check_pixel(sheet, x + 1, y + 49, 40, 40, 44);
    /* nothing before the next cell, where the caption would go on */
    for (int64_t column = x + 37; column < x + 40; column++)
        for (int64_t row = 0; row < 7; row++)
            check_pixel(sheet, column, y + 65 + 49 + row, 250, 250, 248);
    cupel_image_destroy(sheet);
}

/* A sheet of one small cell is as wide as its title: twenty letters of six columns, twice enlarged,
 * and the last one is there. */
static void test_narrow_sheet(void **state) {
    (void)state;
    const float a[] = {0, 0.5f, 1, 1};
    const cupel_sheet_cell cell = {.image = a};
    const cupel_sheet_section section = {
        .title = "a title of letters T", .cells = &cell, .count = 1};
    const cupel_sheet_options options = {.channels = 1, .height = 2, .width = 2, .scale = 1};
    cupel_image *sheet;
    CHECK_OK(cupel_image_sheet(&sheet, &section, 1, &options));
    CHECK_I64(cupel_image_width(sheet), 12 + 20 * 6 * 2 + 12);
    check_pixel(sheet, 12 + 19 * 6 * 2, 12, 40, 40, 44);
    cupel_image_destroy(sheet);
}

static void test_colour_sheet(void **state) {
    (void)state;
    const float red_green[] = {1, 0, 0, 1, 0, 0}; /* 1 x 2, planes */
    const cupel_sheet_cell cell = {.image = red_green};
    const cupel_sheet_section section = {.cells = &cell, .count = 1};
    const cupel_sheet_options options = {.channels = 3, .height = 1, .width = 2};
    cupel_image *sheet;
    CHECK_OK(cupel_image_sheet(&sheet, &section, 1, &options));
    check_pixel(sheet, 14, 14, 255, 0, 0);
    check_pixel(sheet, 17, 14, 0, 255, 0);
    cupel_image_destroy(sheet);

    cupel_sheet_options bad = options;
    bad.channels = 2;
    CHECK_STATUS(cupel_image_sheet(&sheet, &section, 1, &bad), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(sheet);
    bad = options;
    bad.scale = -1;
    CHECK_STATUS(cupel_image_sheet(&sheet, &section, 1, &bad), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(sheet);
    CHECK_STATUS(cupel_image_sheet(&sheet, &section, 0, &options), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_image_destroy(sheet);
}

/* Printable characters differ from each other; all others are question marks. */
static void test_font(void **state) {
    (void)state;
    for (int a = ' '; a <= '~'; a++) {
        for (int row = 0; row < FONT_HEIGHT; row++)
            CHECK(bitmap_font_glyph((char)a)[row] < 32);
        for (int b = a + 1; b <= '~'; b++)
            if (memcmp(bitmap_font_glyph((char)a), bitmap_font_glyph((char)b), FONT_HEIGHT) == 0)
                fail_msg("%c and %c look the same", a, b);
    }
    CHECK(bitmap_font_glyph('\xe4') == bitmap_font_glyph('?'));
    CHECK(bitmap_font_glyph('\n') == bitmap_font_glyph('?'));
}

/* ---- drills ---------------------------------------------------------------------------------- */

static cupel_status read_body(void *user) {
    cupel_image *image;
    const cupel_status status = cupel_image_read(&image, user);
    cupel_image_destroy(image);
    return status;
}

static cupel_status write_body(void *user) {
    const float values[4] = {0.1f, 0.2f, 0.3f, 0.4f};
    const cupel_sheet_cell cell = {.image = values, .caption = "c"};
    const cupel_sheet_section section = {.title = "t", .cells = &cell, .count = 1};
    const cupel_sheet_options options = {.channels = 1, .height = 2, .width = 2, .scale = 20};
    cupel_image *sheet;
    cupel_status status = cupel_image_sheet(&sheet, &section, 1, &options);
    if (status == CUPEL_STATUS_OK)
        status = cupel_image_write(sheet, user);
    if (status == CUPEL_STATUS_OK)
        CHECK_I64(unlink(user), 0);
    cupel_image_destroy(sheet);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "i.png");
    drill_writes(write_body, path, folder);
    CHECK(drill_memory(write_body, path) > 10);
    CHECK_OK(file_write(path, rgba, sizeof rgba, NULL));
    CHECK(drill_memory(read_body, path) > 10);
    CHECK_OK(file_write(path, palette, sizeof palette, NULL));
    CHECK(drill_memory(read_body, path) > 10);
    cupel_free(path);
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_sheet),
        cmocka_unit_test(test_narrow_sheet), cmocka_unit_test(test_colour_sheet),
        cmocka_unit_test(test_font),         cmocka_unit_test(test_faults),
    };
    return CHECK_MAIN(tests);
}
