/*
 * IDX files, plain and gzip (src/data/idx.c, src/data/byte_source.c). The gzip bytes are made by
 * zlib itself, the IDX bytes are written out by hand.
 */
#include "support/drill.h"

#include <zlib.h>

#include "data/idx.h"

static struct cupel_error error;

struct blob {
    uint8_t bytes[4096];
    size_t size;
};

/* Two images of 2 x 3. */
static struct blob images(void) {
    static const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3};
    struct blob blob = {.size = sizeof header + 12};
    memcpy(blob.bytes, header, sizeof header);
    for (uint8_t i = 0; i < 12; i++)
        blob.bytes[sizeof header + i] = (uint8_t)(20 * i);
    return blob;
}

static struct blob gzip(const void *bytes, size_t size) {
    struct blob out = {0};
    z_stream stream = {0};
    CHECK_I64(deflateInit2(&stream, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)bytes;
    stream.avail_in = (unsigned)size;
    stream.next_out = out.bytes;
    stream.avail_out = sizeof out.bytes;
    CHECK_I64(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.size = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static void reject(const void *bytes, size_t size, cupel_status expected, const char *part) {
    struct idx_array array;
    CHECK_STATUS_TEXT(idx_parse(&array, bytes, size, "train.idx", &error), expected, error.text);
    CHECK_CONTAINS(error.text, part);
    CHECK_CONTAINS(error.text, "train.idx");
    CHECK(array.values == NULL);
}

static void check_images(const struct idx_array *array) {
    CHECK_I64(array->rank, 3);
    CHECK_I64(array->dims[0], 2);
    CHECK_I64(array->dims[1], 2);
    CHECK_I64(array->dims[2], 3);
    CHECK_U64(array->size, 12);
    for (int i = 0; i < 12; i++)
        CHECK_I64(array->values[i], 20 * i);
}

static void test_plain_and_gzip(void **state) {
    (void)state;
    const struct blob plain = images(), packed = gzip(plain.bytes, plain.size);
    struct idx_array array;
    CHECK_OK_TEXT(idx_parse(&array, plain.bytes, plain.size, "a", &error), error.text);
    check_images(&array);
    idx_release(&array);
    CHECK_OK_TEXT(idx_parse(&array, packed.bytes, packed.size, "a.gz", &error), error.text);
    check_images(&array);
    idx_release(&array);

    /* a gzip file of two members is the concatenation of what they hold */
    struct blob two = gzip(plain.bytes, 10);
    const struct blob rest = gzip(plain.bytes + 10, plain.size - 10);
    memcpy(two.bytes + two.size, rest.bytes, rest.size);
    two.size += rest.size;
    CHECK_OK_TEXT(idx_parse(&array, two.bytes, two.size, "a.gz", &error), error.text);
    check_images(&array);
    idx_release(&array);
}

static void test_labels(void **state) {
    (void)state;
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 255};
    struct idx_array array;
    CHECK_OK(idx_parse(&array, labels, sizeof labels, "l", &error));
    CHECK_I64(array.rank, 1);
    CHECK_I64(array.dims[0], 3);
    CHECK_I64(array.values[2], 255);
    idx_release(&array);
}

static void test_wrong_kinds(void **state) {
    (void)state;
    const cupel_status bad = CUPEL_STATUS_BAD_DATA;
    reject("", 0, bad, "truncated");
    reject("\0\0\x08", 3, bad, "truncated");
    reject("<html>", 6, bad, "web page");
    reject("PK\3\4....", 8, bad, "zip archive");
    reject("\x89PNG\r\n", 6, bad, "PNG");
    reject("abcdefgh", 8, bad, "61 62 63 64");
    reject("\0\0\x0d\x01\0\0\0\x01\0\0\0\0", 12, CUPEL_STATUS_UNSUPPORTED, "floats");
    reject("\0\0\x07\x01\0\0\0\x01\0", 9, bad, "type 07");
    reject("\0\0\x08\0\0\0\0\x01\0", 9, bad, "0 axes");
    reject("\0\0\x08\x05\0\0\0\x01\0", 9, bad, "5 axes");
    reject("\0\0\x08\x01\0\0\0\0", 8, bad, "holds nothing");
}

static void test_sizes(void **state) {
    (void)state;
    const struct blob plain = images();
    for (size_t size = 0; size < plain.size; size++)
        reject(plain.bytes, size, CUPEL_STATUS_BAD_DATA, "truncated");
    struct blob longer = images();
    longer.size++;
    reject(longer.bytes, longer.size, CUPEL_STATUS_BAD_DATA, "bytes follow");

    /* sizes that overflow 64 bits, that pass the limit, and that no file of this size can hold */
    static const uint8_t overflow[] = {0,    0,    8,    4,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    reject(overflow, sizeof overflow, CUPEL_STATUS_BAD_DATA, "damaged");
    static const uint8_t large[] = {0, 0, 8, 2, 0, 1, 0, 0, 0, 1, 0, 0, 7, 7};
    const struct cupel_memory_stats before = cupel_memory_stats();
    reject(large, sizeof large, CUPEL_STATUS_BAD_DATA, "announces 4294967296 values");
    const struct blob packed = gzip(large, sizeof large);
    reject(packed.bytes, packed.size, CUPEL_STATUS_BAD_DATA, "announces 4294967296 values");
    CHECK_U64(cupel_memory_stats().live_bytes, before.live_bytes);
}

static void test_damaged_gzip(void **state) {
    (void)state;
    const struct blob plain = images(), good = gzip(plain.bytes, plain.size);
    for (size_t size = 2; size < good.size; size++)
        reject(good.bytes, size, CUPEL_STATUS_BAD_DATA, "truncated");
    struct blob broken = good;
    broken.bytes[broken.size - 6] ^= 1; /* the checksum */
    reject(broken.bytes, broken.size, CUPEL_STATUS_BAD_DATA, "incorrect data check");
    broken = good;
    broken.bytes[2] = 7; /* the compression method */
    reject(broken.bytes, broken.size, CUPEL_STATUS_BAD_DATA, "damaged gzip");
    broken = good;
    broken.bytes[broken.size++] = 'x';
    reject(broken.bytes, broken.size, CUPEL_STATUS_BAD_DATA, "bytes follow its end");
    const struct blob few = gzip(plain.bytes, plain.size - 1);
    reject(few.bytes, few.size, CUPEL_STATUS_BAD_DATA, "truncated");
    broken = images();
    broken.size++;
    const struct blob many = gzip(broken.bytes, broken.size);
    reject(many.bytes, many.size, CUPEL_STATUS_BAD_DATA, "bytes follow");
    for (size_t i = 0; i < good.size * 8;
         i++) { /* every single flipped bit is noticed or harmless */
        broken = good;
        broken.bytes[i / 8] ^= (uint8_t)(1U << i % 8);
        struct idx_array array;
        if (idx_parse(&array, broken.bytes, broken.size, "f", &error) == CUPEL_STATUS_OK)
            check_images(&array);
        idx_release(&array);
    }
}

static void test_paths(void **state) {
    (void)state;
    struct idx_array array;
    CHECK_STATUS(idx_read(&array, "/nonexistent/images", &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "/nonexistent/images");
    CHECK_STATUS(idx_read(&array, "/", &error), CUPEL_STATUS_IO);
}

static cupel_status read_body(void *user) {
    struct idx_array array;
    const cupel_status status = idx_read(&array, user, &error);
    if (status == CUPEL_STATUS_OK)
        check_images(&array);
    idx_release(&array);
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "images.gz");
    const struct blob plain = images(), packed = gzip(plain.bytes, plain.size);
    CHECK_OK(file_write(path, packed.bytes, packed.size, NULL));
    CHECK(drill_memory(read_body, path) >= 6);
    CHECK_OK(file_write(path, plain.bytes, plain.size, NULL));
    CHECK(drill_memory(read_body, path) >= 4);
    cupel_free(path);
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_gzip), cmocka_unit_test(test_labels),
        cmocka_unit_test(test_wrong_kinds),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_damaged_gzip),   cmocka_unit_test(test_paths),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
