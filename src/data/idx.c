/*
 * IDX: two zero bytes, the element type, the rank, the extents as big-endian u32, the elements. The
 * header is decoded first and its product compared with what the file can hold at most (gzip cannot
 * expand without limit) before memory for the elements is asked for. Test: tests/test_idx.c
 */
#include "data/idx.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/byte_source.h"

static const uint64_t max_values = UINT64_C(1) << 32;

void idx_release(struct idx_array *array) {
    cupel_free(array->values);
    *array = (struct idx_array){0};
}

static const char *type_name(uint8_t code) {
    switch (code) {
    case 0x09: return "signed bytes";
    case 0x0b: return "16-bit integers";
    case 0x0c: return "32-bit integers";
    case 0x0d: return "floats";
    case 0x0e: return "doubles";
    default: return NULL;
    }
}

/* A web page in place of the data is the usual result of a download that needed a log-in. */
static const char *guess(const uint8_t magic[4]) {
    if (magic[0] == '<')
        return "; it looks like a web page: the download went wrong";
    if (memcmp(magic, "PK\3\4", 4) == 0)
        return "; it is a zip archive: unpack it first";
    if (memcmp(magic, "\x89PNG", 4) == 0)
        return "; it is a PNG image";
    return "";
}

static cupel_status check_magic(const uint8_t magic[4], const char *name,
                                struct cupel_error *error) {
    if (magic[0] != 0 || magic[1] != 0)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is not an IDX file: it begins with %02x %02x %02x %02x, not with "
                          "00 00 08%s; give images or labels in the IDX format, raw or gzip",
                          name, magic[0], magic[1], magic[2], magic[3], guess(magic));
    if (magic[2] != 0x08 && type_name(magic[2]) != NULL)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "%s holds %s; only IDX files of unsigned bytes (type 08) are read", name,
                          type_name(magic[2]));
    if (magic[2] != 0x08 || magic[3] < 1 || magic[3] > IDX_MAX_RANK)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is not an IDX file: type %02x with %d axes is not one of its kinds; "
                          "fetch it again",
                          name, magic[2], magic[3]);
    return CUPEL_STATUS_OK;
}

/* Reads exactly `count` bytes of `what`. */
static cupel_status read_exactly(struct byte_source *source, void *out, size_t count,
                                 const char *what, const char *name, struct cupel_error *error) {
    size_t got;
    CUPEL_TRY(byte_source_read(source, out, count, &got, error));
    if (got < count)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is truncated: its %s need %zu bytes and only %zu are there; fetch it "
                          "again",
                          name, what, count, got);
    return CUPEL_STATUS_OK;
}

static cupel_status read_extents(struct idx_array *out, struct byte_source *source,
                                 const char *name, struct cupel_error *error) {
    uint8_t raw[4 * IDX_MAX_RANK];
    CUPEL_TRY(read_exactly(source, raw, 4 * (size_t)out->rank, "extents", name, error));
    uint64_t product = 1;
    for (int axis = 0; axis < out->rank; axis++) {
        const uint8_t *const byte = raw + 4 * axis;
        const uint64_t extent =
            (uint64_t)byte[0] << 24 | (uint64_t)byte[1] << 16 | (uint64_t)byte[2] << 8 | byte[3];
        if (extent == 0)
            return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                              "%s holds nothing: the extent of its axis %d is 0; give another file",
                              name, axis);
        if (extent > max_values / product)
            return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                              "%s announces more than %llu values, which no file of this kind has; "
                              "its header is damaged; fetch it again",
                              name, (unsigned long long)max_values);
        product *= extent;
        out->dims[axis] = (int64_t)extent;
    }
    const uint64_t header = 4 + 4 * (uint64_t)out->rank;
    const uint64_t most = byte_source_bound(source) - header; /* the header has been read */
    if (product > most)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is truncated: its header announces %llu values, the file can hold at "
                          "most %llu; fetch it again",
                          name, (unsigned long long)product, (unsigned long long)most);
    out->size = (size_t)product;
    return CUPEL_STATUS_OK;
}

static cupel_status parse(struct idx_array *out, struct byte_source *source, const char *name,
                          struct cupel_error *error) {
    uint8_t magic[4] = {0};
    CUPEL_TRY(read_exactly(source, magic, sizeof magic, "first bytes", name, error));
    CUPEL_TRY(check_magic(magic, name, error));
    out->rank = magic[3];
    CUPEL_TRY(read_extents(out, source, name, error));
    out->values = cupel_alloc_aligned(out->size);
    if (out->values == NULL)
        return cupel_fail_memory(error, name, out->size);
    CUPEL_TRY(read_exactly(source, out->values, out->size, "values", name, error));

    uint8_t extra;
    size_t got;
    CUPEL_TRY(byte_source_read(source, &extra, 1, &got, error)); /* and the checksum of gzip */
    if (got != 0)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is damaged: bytes follow the %zu values that its header announces; "
                          "fetch it again",
                          name, out->size);
    return CUPEL_STATUS_OK;
}

cupel_status idx_parse(struct idx_array *out, const void *bytes, size_t size, const char *name,
                       struct cupel_error *error) {
    *out = (struct idx_array){0};
    struct byte_source *source;
    CUPEL_TRY(byte_source_open(&source, bytes, size, name, error));
    const cupel_status status = parse(out, source, name, error);
    byte_source_close(source);
    if (status != CUPEL_STATUS_OK)
        idx_release(out);
    return status;
}

cupel_status idx_read(struct idx_array *out, const char *path, struct cupel_error *error) {
    const uint64_t max_file = UINT64_C(1) << 32;
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = (struct idx_array){0};
    CUPEL_TRY(file_read(path, max_file + 1024, &bytes, &size, error));
    const cupel_status status = idx_parse(out, bytes, size, path, error);
    cupel_free(bytes);
    return status;
}
