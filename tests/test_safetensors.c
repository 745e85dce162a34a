/*
 * Reading and writing safetensors (src/data/safetensors.c): round trips, the exact bytes, every
 * rule of the header, refused memory and failing writes.
 */
#include "support/drill.h"

#include "cupel/tensor.h"

/* A file from a header and data: "length header data". */
struct file {
    uint8_t bytes[4096];
    size_t size;
};

static struct file make_file(const char *header, size_t data_size) {
    struct file file = {.size = 8 + strlen(header) + data_size};
    CHECK(file.size <= sizeof file.bytes);
    const uint64_t length = strlen(header);
    memcpy(file.bytes, &length, 8);
    memcpy(file.bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        file.bytes[8 + length + i] = (uint8_t)i;
    return file;
}

/* Parses and expects a failure whose sentence holds `part` and the file's name. */
static void reject(const void *bytes, size_t size, cupel_status expected, const char *part) {
    cupel_tensors *tensors = NULL;
    CHECK_I64(cupel_tensors_parse(&tensors, bytes, size, "bad.safetensors"), expected);
    CHECK(NULL != tensors);
    CHECK_I64(cupel_tensors_count(tensors), 0);
    const char *const text = cupel_tensors_error(tensors);
    if (!strstr(text, part) || !strstr(text, "bad.safetensors"))
        fail_msg("expected \"%s\" in: %s", part, text);
    cupel_tensors_destroy(tensors);
}

static void reject_header(const char *header, size_t data_size, cupel_status expected,
                          const char *part) {
    const struct file file = make_file(header, data_size);
    reject(file.bytes, file.size, expected, part);
}

static cupel_tensors *sample(void) {
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    const float weight[] = {1.5f, -2.25f, 0.0f, 3e-40f, 1e30f, -0.0f};
    const double mean[] = {0.1};
    const uint16_t half[] = {0x3f80, 0x7fc0, 0xff80};
    const int32_t small[] = {-1, INT32_MIN};
    const int64_t big[] = {INT64_MIN, INT64_MAX};
    const uint8_t byte[] = {0, 255, 7};
    const uint64_t step = UINT64_MAX;
    const struct {
        const char *name;
        cupel_type type;
        cupel_shape shape;
        const void *data;
    } rows[] = {
        {"encoder.conv1.weight", CUPEL_TYPE_F32, CUPEL_SHAPE(2, 3), weight},
        {"mean", CUPEL_TYPE_F64, CUPEL_SHAPE(1), mean},
        {"b \"quoted\" \\ \n", CUPEL_TYPE_BF16, CUPEL_SHAPE(3), half},
        {"\xc3\xa4", CUPEL_TYPE_I32, CUPEL_SHAPE(2), small},
        {"i64", CUPEL_TYPE_I64, CUPEL_SHAPE(1, 2, 1), big},
        {"u8", CUPEL_TYPE_U8, CUPEL_SHAPE(3), byte},
        {"step", CUPEL_TYPE_U64, cupel_shape_scalar(), &step},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_OK(cupel_tensors_add(tensors, rows[i].name, rows[i].type, rows[i].shape, rows[i].data,
                                   NULL));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "format", "cupel"));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "note", "two\nlines"));
    return tensors;
}

static void assert_same(const cupel_tensors *a, const cupel_tensors *b) {
    CHECK_I64(cupel_tensors_count(a), cupel_tensors_count(b));
    for (size_t i = 0; i < cupel_tensors_count(a); i++) {
        const cupel_tensor *const x = cupel_tensors_at(a, i), *const y = cupel_tensors_at(b, i);
        CHECK_STRING(x->name, y->name);
        CHECK(cupel_desc_equal(&x->desc, &y->desc));
        assert_memory_equal(x->data, y->data, cupel_desc_bytes(&x->desc));
    }
    for (size_t i = 0; cupel_tensors_metadata_key(a, i) || cupel_tensors_metadata_key(b, i); i++) {
        const char *const key = cupel_tensors_metadata_key(a, i);
        CHECK(NULL != key);
        CHECK_STRING(key, cupel_tensors_metadata_key(b, i));
        CHECK_STRING(cupel_tensors_metadata(a, key), cupel_tensors_metadata(b, key));
    }
}

static void test_round_trip(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "weights.safetensors");
    char *const again = file_join(folder, "again.safetensors");
    cupel_tensors *const tensors = sample();
    CHECK_OK(cupel_tensors_write(tensors, path));
    cupel_tensors *back;
    CHECK_OK(cupel_tensors_read(&back, path));
    assert_same(tensors, back);
    CHECK_OK(cupel_tensors_write(back, again));

    uint8_t *first, *second;
    size_t first_size, second_size;
    CHECK_OK(file_read(path, 0, &first, &first_size, NULL));
    CHECK_OK(file_read(again, 0, &second, &second_size, NULL));
    CHECK_I64(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    cupel_free(first);
    cupel_free(second);
    cupel_tensors_destroy(tensors);
    cupel_tensors_destroy(back);
    cupel_free(path);
    cupel_free(again);
    drill_folder_remove(folder);
}

/* The bytes that the format's README prescribes, written out by hand. */
static void test_exact_bytes(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "exact.safetensors");
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    const float one = 1;
    const uint8_t bytes[] = {9, 8};
    CHECK_OK(cupel_tensors_add(tensors, "b", CUPEL_TYPE_F32, CUPEL_SHAPE(1, 1), &one, NULL));
    CHECK_OK(cupel_tensors_add(tensors, "a", CUPEL_TYPE_U8, CUPEL_SHAPE(2), bytes, NULL));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "k", "v"));
    CHECK_OK(cupel_tensors_write(tensors, path));
    static const char header[] = "{\"__metadata__\":{\"k\":\"v\"},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"
                                 "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}";
    const size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    uint8_t *read;
    size_t size;
    CHECK_OK(file_read(path, 0, &read, &size, NULL));
    CHECK_I64(size, 8 + padded + 6);
    CHECK_I64(read[0] | read[1] << 8, padded);
    for (int i = 2; i < 8; i++)
        CHECK_I64(read[i], 0);
    assert_memory_equal(read + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < padded; i++)
        CHECK_I64(read[8 + i], ' ');
    assert_memory_equal(read + 8 + padded, "\0\0\x80\x3f\x09\x08", 6);
    cupel_free(read);
    cupel_tensors_destroy(tensors);
    cupel_free(path);
    drill_folder_remove(folder);
}

static void test_empty_collection(void **state) {
    (void)state;
    const struct file file = make_file("{}      ", 0);
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_parse(&tensors, file.bytes, file.size, "empty"));
    CHECK_I64(cupel_tensors_count(tensors), 0);
    cupel_tensors_destroy(tensors);
}

/* Entries may stand in another order than their data. */
static void test_any_order(void **state) {
    (void)state;
    const struct file file =
        make_file("{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},"
                  "\"y\":{\"data_offsets\":[0,3],\"shape\":[3],\"dtype\":\"U8\"}}",
                  5);
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_parse(&tensors, file.bytes, file.size, "f"));
    CHECK_STRING(cupel_tensors_at(tensors, 0)->name, "x");
    assert_memory_equal(cupel_tensors_find(tensors, "x")->data, "\x03\x04", 2);
    assert_memory_equal(cupel_tensors_find(tensors, "y")->data, "\0\x01\x02", 3);
    cupel_tensors_destroy(tensors);
}

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_sizes(void **state) {
    (void)state;
    reject("", 0, CUPEL_STATUS_BAD_DATA, "shorter than 10");
    reject("\2\0\0\0\0\0\0\0{", 9, CUPEL_STATUS_BAD_DATA, "shorter than 10");
    struct file file = make_file("{" T("a", "U8", "[4]", "[0,4]") "}", 4);
    static const uint64_t lengths[] = {
        UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 7, 100000001, 4000, 58};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memcpy(file.bytes, &lengths[i], 8);
        reject(file.bytes, file.size, CUPEL_STATUS_BAD_DATA, "announce a header");
    }
    file = make_file("{" T("a", "U8", "[4]", "[0,4]") "}", 4);
    for (size_t size = 0; size < file.size; size++) { /* cut anywhere */
        cupel_tensors *tensors;
        CHECK_I64(cupel_tensors_parse(&tensors, file.bytes, size, "cut"), CUPEL_STATUS_BAD_DATA);
        cupel_tensors_destroy(tensors);
    }
    reject_header("[1]", 0, CUPEL_STATUS_BAD_DATA, "begin with {");
    reject_header(" {}", 0, CUPEL_STATUS_BAD_DATA, "begin with {");
    reject_header("{} x", 0, CUPEL_STATUS_BAD_DATA, "JSON, byte");
    reject_header("{\"a\":{\"shape\":[[[", 0, CUPEL_STATUS_BAD_DATA, "JSON, byte");
    reject_header("{\"\xff\":1}", 0, CUPEL_STATUS_BAD_DATA, "JSON, byte");
    reject_header("{\"a\\u0000b\":1}", 0, CUPEL_STATUS_BAD_DATA, "JSON, byte");
}

static void test_entries(void **state) {
    (void)state;
    const cupel_status bad = CUPEL_STATUS_BAD_DATA, foreign = CUPEL_STATUS_UNSUPPORTED;
    reject_header("{\"a\":3}", 0, bad, "tensor a");
    reject_header("{\"a\":{}}", 0, bad, "tensor a");
    reject_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, bad,
                  "unknown or occurs twice");
    reject_header("{" T("a", "F16", "[1]", "[0,2]") "}", 2, foreign, "dtype F16");
    reject_header("{" T("a", "BOOL", "[1]", "[0,1]") "}", 1, foreign, "dtype BOOL");
    reject_header("{" T("a", "f32", "[1]", "[0,4]") "}", 4, bad, "unknown dtype \"f32\"");
    reject_header("{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, bad,
                  "tensor a: JSON");
    reject_header("{" T("a", "U8", "3", "[0,3]") "}", 3, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[-1]", "[0,1]") "}", 1, bad, "extent");
    reject_header("{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[\"1\"]", "[0,1]") "}", 1, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[0]", "[0,0]") "}", 0, foreign, "no elements");
    reject_header("{" T("a", "U8", "[1,1,1,1,1,1,1]", "[0,1]") "}", 1, foreign, "6 axes");
    reject_header("{" T("a", "F64", "[4611686018427387904,4]", "[0,0]") "}", 0, bad, "overflows");
    reject_header("{" T("a", "F64", "[99999999999999999999]", "[0,8]") "}", 8, bad, "JSON");
    reject_header("{" T("a", "F32", "[2]", "[0,4]") "}", 4, bad, "needs 8 bytes");
    reject_header("{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2, bad,
                  "twice");
    reject_header("{" T("", "U8", "[1]", "[0,1]") "}", 1, bad, "name is empty");
}

static void test_offsets(void **state) {
    (void)state;
    const cupel_status bad = CUPEL_STATUS_BAD_DATA;
    reject_header("{" T("a", "U8", "[4]", "[0,5]") "}", 4, bad, "truncated");
    reject_header("{" T("a", "U8", "[4]", "[4,0]") "}", 4, bad, "[4, 0]");
    reject_header("{" T("a", "U8", "[4]", "[-4,0]") "}", 4, bad, "[-4, 0]");
    reject_header("{" T("a", "U8", "[4]", "[0,9223372036854775807]") "}", 4, bad, "truncated");
    reject_header("{" T("a", "U8", "[4]", "[0.0,4]") "}", 4, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[4]", "[0]") "}", 4, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[4]", "[0,4,4]") "}", 4, bad, "tensor a: JSON");
    reject_header("{" T("a", "U8", "[4]", "[0,4]") "}", 5, bad, "bytes follow");
    reject_header("{" T("a", "U8", "[2]", "[1,3]") "}", 3, bad, "hole before");
    reject_header("{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[3,5]") "}", 5, bad,
                  "tensor b: there is a hole");
    reject_header("{" T("a", "U8", "[3]", "[0,3]") "," T("b", "U8", "[3]", "[2,5]") "}", 5, bad,
                  "overlaps");
    reject_header("{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 5, bad,
                  "overlaps");
}

static void test_bad_metadata(void **state) {
    (void)state;
    const cupel_status bad = CUPEL_STATUS_BAD_DATA;
    reject_header("{\"__metadata__\":[]}", 0, bad, "'{' must stand");
    reject_header("{\"__metadata__\":{\"a\":1}}", 0, bad, "'\"' must stand");
    reject_header("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, bad, "twice");
}

static void test_paths(void **state) {
    (void)state;
    cupel_tensors *tensors;
    CHECK_I64(cupel_tensors_read(&tensors, "/nonexistent/w.safetensors"), CUPEL_STATUS_IO);
    CHECK_CONTAINS(cupel_tensors_error(tensors), "/nonexistent/w.safetensors");
    CHECK_I64(cupel_tensors_write(tensors, "/nonexistent/w.safetensors"), CUPEL_STATUS_IO);
    cupel_tensors_destroy(tensors);
}

/* ---- drills ---------------------------------------------------------------------------------- */

struct drill {
    cupel_tensors *tensors;
    const char *path;
};

static cupel_status write_body(void *user) {
    const struct drill *const drill = user;
    const cupel_status status = cupel_tensors_write(drill->tensors, drill->path);
    if (status == CUPEL_STATUS_OK)
        CHECK_I64(unlink(drill->path), 0);
    return status;
}

static cupel_status read_body(void *user) {
    const struct drill *const drill = user;
    cupel_tensors *tensors;
    const cupel_status status = cupel_tensors_read(&tensors, drill->path);
    cupel_tensors_destroy(tensors);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "drill.safetensors");
    struct drill drill = {sample(), path};
    drill_writes(write_body, &drill, folder);
    CHECK(drill_memory(write_body, &drill) >= 10);
    CHECK_OK(cupel_tensors_write(drill.tensors, path));
    CHECK(drill_memory(read_body, &drill) > 50);
    cupel_tensors_destroy(drill.tensors);
    cupel_free(path);
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_exact_bytes),
        cmocka_unit_test(test_empty_collection),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_bad_metadata),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_faults),
    };
    return CHECK_MAIN(tests);
}
