/*
 * Images and their PNG files, by libpng over buffers in memory. libpng leaves by longjmp, so the
 * two functions with a setjmp keep all they must release in a struct; its memory is ours and can be
 * refused. Before pixels are allocated, the size the header announces is compared with what the
 * compressed bytes can hold at most. Test: tests/test_png.c
 */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/memory.h"
#include "data/image_internal.h"

/* ---- images ---------------------------------------------------------------------------------- */

cupel_status image_allocate(cupel_image *image, int64_t width, int64_t height, int channels) {
    if (width < 1 || width > IMAGE_MAX_SIDE || height < 1 || height > IMAGE_MAX_SIDE ||
        (channels != 1 && channels != 3) || width * height * channels > IMAGE_MAX_BYTES)
        return cupel_fail(&image->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "an image of %lld x %lld pixels with %d channels; sides are 1 to %d, "
                          "channels 1 or 3, and at most %d bytes are allowed",
                          (long long)width, (long long)height, channels, IMAGE_MAX_SIDE,
                          IMAGE_MAX_BYTES);
    image->pixels = cupel_alloc((size_t)(width * height), (size_t)channels);
    if (image->pixels == NULL)
        return cupel_fail_memory(&image->error, "an image", (size_t)(width * height * channels));
    image->width = width;
    image->height = height;
    image->channels = channels;
    return CUPEL_STATUS_OK;
}

cupel_status image_deliver(cupel_image **out, cupel_image *image, cupel_status status) {
    *out = image;
    if (status != CUPEL_STATUS_OK) {
        cupel_free(image->pixels);
        image->pixels = NULL;
        image->width = image->height = image->channels = 0;
    }
    return status;
}

cupel_status cupel_image_create(cupel_image **out, int64_t width, int64_t height, int channels) {
    *out = NULL;
    cupel_image *const image = cupel_alloc(1, sizeof *image);
    if (image == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return image_deliver(out, image, image_allocate(image, width, height, channels));
}

void cupel_image_destroy(cupel_image *image) {
    if (image == NULL)
        return;
    cupel_free(image->pixels);
    cupel_free(image);
}

const char *cupel_image_error(const cupel_image *image) {
    return image != NULL ? image->error.text : "";
}

int64_t cupel_image_width(const cupel_image *image) {
    return image->width;
}

int64_t cupel_image_height(const cupel_image *image) {
    return image->height;
}

int cupel_image_channels(const cupel_image *image) {
    return image->channels;
}

uint8_t *cupel_image_pixels(cupel_image *image) {
    return image->pixels;
}

/* ---- libpng's callbacks ---------------------------------------------------------------------- */

struct codec {
    png_struct *png;
    png_info *info;
    jmp_buf leave;
    const char *name;
    struct cupel_error *error;
    cupel_status status;
    bool refused;         /* memory */
    const uint8_t *input; /* reading */
    size_t left;
    int channels; /* of the decoded rows */
    uint8_t *with_alpha;
    png_byte **rows;
    uint8_t *output; /* writing */
    size_t size, capacity;
};

static void *codec_alloc(png_struct *png, size_t size) {
    struct codec *const codec = png_get_mem_ptr(png);
    void *const block = cupel_alloc(1, size);
    codec->refused |= block == NULL;
    return block;
}

static void codec_free(png_struct *png, void *block) {
    (void)png;
    cupel_free(block);
}

static void codec_error(png_struct *png, const char *message) {
    struct codec *const codec = png_get_error_ptr(png);
    if (codec->refused)
        codec->status = cupel_fail_memory(codec->error, codec->name, 0);
    else
        codec->status =
            cupel_fail(codec->error, CUPEL_STATUS_BAD_DATA,
                       "%s is a damaged PNG file: %s; copy or save it again", codec->name, message);
    longjmp(codec->leave, 1);
}

static void codec_warning(png_struct *png, const char *message) {
    (void)png;
    (void)message;
}

static void codec_read(png_struct *png, png_byte *out, size_t count) {
    struct codec *const codec = png_get_io_ptr(png);
    if (count > codec->left)
        png_error(png, "it is truncated");
    memcpy(out, codec->input, count);
    codec->input += count;
    codec->left -= count;
}

static void codec_write(png_struct *png, png_byte *bytes, size_t count) {
    struct codec *const codec = png_get_io_ptr(png);
    if (!cupel_grow(&codec->output, &codec->capacity, codec->size + count, 1)) {
        codec->refused = true;
        png_error(png, "no memory");
    }
    memcpy(codec->output + codec->size, bytes, count);
    codec->size += count;
}

static void codec_flush(png_struct *png) {
    (void)png;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Memory for the decoded rows, which with transparency have one channel more than the image. */
static cupel_status allocate(struct codec *codec, cupel_image *image, int64_t width,
                             int64_t height) {
    const bool alpha = codec->channels % 2 == 0;
    const cupel_status status =
        image_allocate(image, width, height, alpha ? codec->channels - 1 : codec->channels);
    if (status == CUPEL_STATUS_INVALID_ARGUMENT)
        return cupel_fail(
            codec->error, CUPEL_STATUS_BAD_DATA,
            "%s has %lld x %lld pixels, more than the %d bytes that are read: make it "
            "smaller",
            codec->name, (long long)width, (long long)height, IMAGE_MAX_BYTES);
    CUPEL_TRY(status);
    uint8_t *bytes = image->pixels;
    const size_t row = (size_t)width * (size_t)codec->channels;
    if (alpha)
        bytes = codec->with_alpha = cupel_alloc((size_t)height, row);
    codec->rows = cupel_alloc((size_t)height, sizeof *codec->rows);
    if (bytes == NULL || codec->rows == NULL)
        return cupel_fail_memory(codec->error, codec->name, (size_t)height * row);
    for (int64_t y = 0; y < height; y++)
        codec->rows[y] = bytes + (size_t)y * row;
    return CUPEL_STATUS_OK;
}

/*
 * Asks for 8 bits a channel, and checks the announced size. Chunks that do not change pixels are
 * skipped unread: libpng would allocate what their headers announce, up to 2 GiB.
 */
static cupel_status prepare(struct codec *codec, cupel_image *image) {
    png_struct *const png = codec->png;
    png_info *const info = codec->info;
    const size_t available = codec->left;
    png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);
    const int64_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    const uint64_t raw = (uint64_t)png_get_rowbytes(png, info) * (uint64_t)height;
    if (raw > (uint64_t)available * 1032 + 1024)
        return cupel_fail(
            codec->error, CUPEL_STATUS_BAD_DATA,
            "%s is a damaged PNG file: it announces %lld x %lld pixels, more than its "
            "%zu bytes can hold; copy or save it again",
            codec->name, (long long)width, (long long)height, available);
    png_set_expand(png); /* palettes, few bits, transparent colours */
    png_set_scale_16(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    codec->channels = png_get_channels(png, info);
    return allocate(codec, image, width, height);
}

static void decode(struct codec *codec, cupel_image *image) {
    if (setjmp(codec->leave) != 0)
        return;
    codec->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, codec, codec_error, codec_warning,
                                          codec, codec_alloc, codec_free);
    codec->info = codec->png != NULL ? png_create_info_struct(codec->png) : NULL;
    if (codec->info == NULL) {
        codec->status = cupel_fail_memory(codec->error, codec->name, 0);
        return;
    }
    png_set_read_fn(codec->png, codec, codec_read);
    codec->status = prepare(codec, image);
    if (codec->status != CUPEL_STATUS_OK)
        return;
    png_read_image(codec->png, codec->rows);
    png_read_end(codec->png, NULL);
}

/* Lays the decoded pixels over white, rounding to the nearest. */
static void drop_alpha(const uint8_t *with_alpha, cupel_image *image) {
    const int channels = image->channels;
    for (int64_t pixel = 0; pixel < image->width * image->height; pixel++) {
        const uint8_t *const src = with_alpha + pixel * (channels + 1);
        const int alpha = src[channels];
        for (int c = 0; c < channels; c++)
            image->pixels[pixel * channels + c] =
                (uint8_t)((src[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

static cupel_status refuse_other_files(cupel_image *image, const void *bytes, size_t size,
                                       const char *name) {
    const char *const kind = file_kind(bytes, size);
    return cupel_fail(&image->error, CUPEL_STATUS_BAD_DATA,
                      "%s is not a PNG file%s%s; save it as PNG, or leave it out", name,
                      size == 0      ? ": it is empty"
                      : kind == NULL ? ""
                                     : ": it is ",
                      size == 0 || kind == NULL ? "" : kind);
}

static cupel_status parse_into(cupel_image *image, const void *bytes, size_t size,
                               const char *name) {
    struct codec codec = {.name = name, .error = &image->error, .input = bytes, .left = size};
    if (size < 8 || png_sig_cmp(bytes, 0, 8) != 0)
        return refuse_other_files(image, bytes, size, name);
    decode(&codec, image);
    if (codec.png != NULL)
        png_destroy_read_struct(&codec.png, &codec.info, NULL);
    if (codec.status == CUPEL_STATUS_OK && codec.with_alpha != NULL)
        drop_alpha(codec.with_alpha, image);
    cupel_free(codec.with_alpha);
    cupel_free(codec.rows);
    return codec.status;
}

cupel_status cupel_image_parse(cupel_image **out, const void *bytes, size_t size,
                               const char *name) {
    *out = NULL;
    cupel_image *const image = cupel_alloc(1, sizeof *image);
    if (image == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return image_deliver(out, image, parse_into(image, bytes, size, name));
}

cupel_status cupel_image_read(cupel_image **out, const char *path) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    cupel_image *const image = cupel_alloc(1, sizeof *image);
    if (image == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    cupel_status status = file_read(path, 0, &bytes, &size, &image->error);
    if (status == CUPEL_STATUS_OK)
        status = parse_into(image, bytes, size, path);
    cupel_free(bytes);
    return image_deliver(out, image, status);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void encode(struct codec *codec, const cupel_image *image) {
    if (setjmp(codec->leave) != 0)
        return;
    codec->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, codec, codec_error, codec_warning,
                                           codec, codec_alloc, codec_free);
    codec->info = codec->png != NULL ? png_create_info_struct(codec->png) : NULL;
    if (codec->info == NULL) {
        codec->status = cupel_fail_memory(codec->error, codec->name, 0);
        return;
    }
    png_set_write_fn(codec->png, codec, codec_write, codec_flush);
    png_set_IHDR(codec->png, codec->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(codec->png, codec->info);
    for (int64_t y = 0; y < image->height; y++)
        png_write_row(codec->png, image->pixels + y * image->width * image->channels);
    png_write_end(codec->png, NULL);
}

cupel_status cupel_image_write(cupel_image *image, const char *path) {
    if (image->pixels == NULL)
        return cupel_fail(&image->error, CUPEL_STATUS_BUG, "an image without pixels is written");
    struct codec codec = {.name = path, .error = &image->error};
    encode(&codec, image);
    if (codec.png != NULL)
        png_destroy_write_struct(&codec.png, &codec.info);
    cupel_status status = codec.status;
    if (status == CUPEL_STATUS_OK)
        status = file_write(path, codec.output, codec.size, &image->error);
    cupel_free(codec.output);
    return status;
}
