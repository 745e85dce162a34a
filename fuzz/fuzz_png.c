/*
 * The PNG reader (src/data/png_image.c, over libpng). Each input is read as it is, and once more
 * with the checksum of every chunk put right: no change at random would get past them.
 */
#include "fuzz_target.h"

#include <cupel/image.h>

static void read_image(const uint8_t *bytes, size_t size) {
    cupel_image *image;
    const cupel_status status = cupel_image_parse(&image, bytes, size, "input");
    FUZZ_REQUIRE(image != NULL);
    const int64_t width = cupel_image_width(image), height = cupel_image_height(image);
    const uint8_t *const pixels = cupel_image_pixels(image);
    if (status == CUPEL_STATUS_OK) {
        const int channels = cupel_image_channels(image);
        FUZZ_REQUIRE(width > 0 && height > 0 && (channels == 1 || channels == 3));
        unsigned bits = 0;
        for (int64_t i = 0; i < width * height * channels; i++)
            bits |= pixels[i];
        FUZZ_REQUIRE(bits <= 255);
    } else {
        FUZZ_REQUIRE(cupel_image_error(image)[0] != '\0');
        FUZZ_REQUIRE(pixels == NULL && width == 0 && height == 0);
    }
    cupel_image_destroy(image);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Chunks: length, name, data, checksum of name and data. False when there was nothing to mend. */
static bool mend_checksums(uint8_t *bytes, size_t size) {
    bool changed = false;
    for (size_t at = 8; at < size && size - at >= 12;) {
        const uint32_t length = big_endian(bytes + at);
        if (length > size - at - 12)
            break;
        const uint32_t crc = crc32_of(bytes + at + 4, (size_t)length + 4);
        uint8_t *const stored = bytes + at + 8 + length;
        changed |= big_endian(stored) != crc;
        for (int i = 0; i < 4; i++)
            stored[i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + (size_t)length;
    }
    return changed;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    read_image(bytes, size);
    uint8_t *const copy = malloc(size + !size);
    FUZZ_REQUIRE(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    if (mend_checksums(copy, size))
        read_image(copy, size);
    free(copy);
    return 0;
}
