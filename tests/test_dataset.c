/* Data sets (src/data/dataset.c, src/data/dataset_idx.c): every operation against hand-made
 * sets. */
#include "support/drill.h"

#include "cupel/dataset.h"

/* `count` images of 2 x 3 whose pixels are 10 * index + position, labels index % 4. */
static cupel_dataset *make(int64_t count) {
    uint8_t pixels[64 * 6];
    int64_t labels[64];
    for (int64_t i = 0; i < count; i++) {
        for (int64_t p = 0; p < 6; p++)
            pixels[i * 6 + p] = (uint8_t)(10 * i + p);
        labels[i] = i % 4;
    }
    cupel_dataset *dataset;
    CHECK_OK(cupel_dataset_create(&dataset, count, 1, 2, 3, pixels, labels));
    return dataset;
}

static void test_create(void **state) {
    (void)state;
    cupel_dataset *const set = make(5);
    const cupel_dataset_info info = cupel_dataset_get_info(set);
    CHECK_I64(info.count, 5);
    CHECK_I64(info.channels, 1);
    CHECK_I64(info.height, 2);
    CHECK_I64(info.width, 3);
    CHECK_I64(info.class_count, 4);
    CHECK(info.labelled);
    CHECK_I64(cupel_dataset_pixels(set, 4)[5], 45);
    CHECK_I64(cupel_dataset_label(set, 3), 3);
    CHECK(cupel_dataset_pixels(set, 5) == NULL);
    CHECK(cupel_dataset_pixels(set, -1) == NULL);
    CHECK_I64(cupel_dataset_label(set, 5), CUPEL_NO_LABEL);
    int64_t position = -1;
    CHECK_STRING(cupel_dataset_source(set, 2, &position), "");
    CHECK_I64(position, 2);
    CHECK(cupel_dataset_class_name(set, 0) == NULL);
    CHECK_OK(cupel_dataset_set_class_name(set, 0, "Hut"));
    CHECK_OK(cupel_dataset_set_class_name(set, 6, "Schuh"));
    CHECK_STRING(cupel_dataset_class_name(set, 0), "Hut");
    CHECK_STRING(cupel_dataset_class_name(set, 6), "Schuh");
    CHECK(cupel_dataset_class_name(set, 7) == NULL);
    CHECK_I64(cupel_dataset_get_info(set).class_count, 7);
    cupel_dataset_destroy(set);

    cupel_dataset *bad;
    CHECK_STATUS(cupel_dataset_create(&bad, 0, 1, 2, 3, NULL, NULL), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_dataset_error(bad), "[0, 1, 2, 3]");
    cupel_dataset_destroy(bad);
    CHECK_STATUS(cupel_dataset_create(&bad, 1, 1, 2, 3, NULL, &(int64_t){-2}),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_dataset_destroy(bad);
    CHECK_OK(cupel_dataset_create(&bad, 2, 3, 1, 1, NULL, NULL));
    CHECK(!cupel_dataset_get_info(bad).labelled);
    CHECK_I64(cupel_dataset_pixels(bad, 1)[2], 0);
    cupel_dataset_destroy(bad);
    cupel_dataset_destroy(NULL);
}

static void test_row_id(void **state) {
    (void)state;
    cupel_dataset *const set = make(6), *tall, *moved;
    CHECK(cupel_dataset_row_id(set, 0) != cupel_dataset_row_id(set, 1));
    const int64_t indices[] = {3, 0};
    CHECK_OK(cupel_dataset_take(&moved, set, indices, 2));
    CHECK_U64(cupel_dataset_row_id(moved, 0), cupel_dataset_row_id(set, 3));
    CHECK_U64(cupel_dataset_row_id(moved, 1), cupel_dataset_row_id(set, 0));
    /* the same bytes in another shape are another image */
    CHECK_OK(cupel_dataset_create(&tall, 6, 1, 3, 2, cupel_dataset_pixels(set, 0), NULL));
    CHECK(cupel_dataset_row_id(tall, 0) != cupel_dataset_row_id(set, 0));
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(tall);
    cupel_dataset_destroy(moved);
}

static void test_take_and_filter(void **state) {
    (void)state;
    cupel_dataset *const set = make(12), *some;
    CHECK_OK(cupel_dataset_set_class_name(set, 3, "drei"));
    const int64_t indices[] = {11, 2, 2};
    CHECK_OK(cupel_dataset_take(&some, set, indices, 3));
    CHECK_I64(cupel_dataset_get_info(some).count, 3);
    for (int i = 0; i < 3; i++) {
        int64_t position;
        assert_memory_equal(cupel_dataset_pixels(some, i), cupel_dataset_pixels(set, indices[i]),
                            6);
        CHECK_I64(cupel_dataset_label(some, i), indices[i] % 4);
        cupel_dataset_source(some, i, &position);
        CHECK_I64(position, indices[i]);
    }
    CHECK_STRING(cupel_dataset_class_name(some, 3), "drei");
    cupel_dataset_destroy(some);

    const int64_t classes[] = {3, 1, 99};
    CHECK_OK(cupel_dataset_filter(&some, set, classes, 3));
    static const int64_t kept[] = {1, 3, 5, 7, 9, 11};
    CHECK_I64(cupel_dataset_get_info(some).count, 6);
    for (int i = 0; i < 6; i++)
        CHECK_I64(cupel_dataset_pixels(some, i)[0], (10 * kept[i]) & 255);
    cupel_dataset_destroy(some);

    CHECK_STATUS(cupel_dataset_filter(&some, set, classes + 2, 1), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_dataset_error(some), "none of the 12 images");
    cupel_dataset_destroy(some);
    CHECK_STATUS(cupel_dataset_take(&some, set, (int64_t[]){12}, 1), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_dataset_error(some), "image 12");
    cupel_dataset_destroy(some);
    cupel_dataset_destroy(set);
}

static void test_split(void **state) {
    (void)state;
    cupel_dataset *const set = make(20), *a[3], *b[3], *c[3];
    const int64_t counts[] = {5, -1, 3};
    CHECK_OK(cupel_dataset_split(a, counts, 3, set, 7));
    CHECK_OK(cupel_dataset_split(b, counts, 3, set, 7));
    CHECK_OK(cupel_dataset_split(c, counts, 3, set, 8));
    bool seen[20] = {false}, differs = false;
    static const int64_t sizes[] = {5, 12, 3};
    for (int p = 0; p < 3; p++) {
        CHECK_I64(cupel_dataset_get_info(a[p]).count, sizes[p]);
        int64_t before = -1;
        for (int64_t i = 0; i < sizes[p]; i++) {
            int64_t x, y, z;
            cupel_dataset_source(a[p], i, &x);
            cupel_dataset_source(b[p], i, &y);
            cupel_dataset_source(c[p], i, &z);
            CHECK_I64(x, y);
            CHECK(x > before); /* the original order */
            CHECK(!seen[x]);
            seen[x] = true;
            before = x;
            differs |= x != z;
        }
        cupel_dataset_destroy(a[p]);
        cupel_dataset_destroy(b[p]);
        cupel_dataset_destroy(c[p]);
    }
    for (int i = 0; i < 20; i++)
        CHECK(seen[i]);
    CHECK(differs);

    static const struct {
        int64_t counts[2];
        const char *why;
    } bad[] = {{{15, 6}, "part 1 of a split wants 6"},
               {{-1, -1}, "more than one"},
               {{20, -1}, "no image is left"},
               {{0, 5}, "part 0 of a split wants 0"},
               {{21, -1}, "wants 21"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_STATUS(cupel_dataset_split(a, bad[i].counts, 2, set, 1),
                     CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(cupel_dataset_error(a[0]), bad[i].why);
        CHECK(a[1] == NULL);
        cupel_dataset_destroy(a[0]);
    }
    cupel_dataset_destroy(set);
}

static void test_pad(void **state) {
    (void)state;
    cupel_dataset *padded, *set;
    uint8_t pixels[2 * 2 * 2 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i + 1);
    CHECK_OK(cupel_dataset_create(&set, 2, 2, 2, 3, pixels, (int64_t[]){4, 5}));
    CHECK_OK(cupel_dataset_pad(&padded, set, 2));
    const cupel_dataset_info info = cupel_dataset_get_info(padded);
    CHECK_I64(info.height, 6);
    CHECK_I64(info.width, 7);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 2; c++)
            for (int64_t y = 0; y < 6; y++)
                for (int64_t x = 0; x < 7; x++) {
                    const bool inside = y >= 2 && y < 4 && x >= 2 && x < 5;
                    const int64_t expected = inside ? ((n * 2 + c) * 2 + y - 2) * 3 + x - 2 + 1 : 0;
                    CHECK_I64(cupel_dataset_pixels(padded, n)[(c * 6 + y) * 7 + x], expected);
                }
    CHECK_I64(cupel_dataset_label(padded, 1), 5);
    cupel_dataset_destroy(padded);
    CHECK_STATUS(cupel_dataset_pad(&padded, set, -1), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_dataset_destroy(padded);
    cupel_dataset_destroy(set);
}

static void test_concatenate_and_shift(void **state) {
    (void)state;
    cupel_dataset *const a = make(3), *const b = make(4), *shifted, *both, *other;
    CHECK_OK(cupel_dataset_set_class_name(a, 1, "Hose"));
    CHECK_OK(cupel_dataset_set_class_name(b, 1, "eins"));
    CHECK_STATUS(cupel_dataset_concatenate(&both, a, b), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_dataset_error(both), "Hose");
    cupel_dataset_destroy(both);
    CHECK_OK(cupel_dataset_shift_labels(&shifted, b, 10));
    CHECK_STRING(cupel_dataset_class_name(shifted, 11), "eins");
    CHECK_OK(cupel_dataset_concatenate(&both, a, shifted));
    CHECK_I64(cupel_dataset_get_info(both).count, 7);
    CHECK_I64(cupel_dataset_get_info(both).class_count, 14);
    CHECK_I64(cupel_dataset_label(both, 2), 2);
    CHECK_I64(cupel_dataset_label(both, 3), 10);
    CHECK_I64(cupel_dataset_pixels(both, 6)[0], 30);
    CHECK_STRING(cupel_dataset_class_name(both, 1), "Hose");
    CHECK_STRING(cupel_dataset_class_name(both, 11), "eins");
    int64_t position;
    cupel_dataset_source(both, 4, &position);
    CHECK_I64(position, 1);
    CHECK_OK(cupel_dataset_create(&other, 1, 1, 3, 2, NULL, NULL));
    cupel_dataset_destroy(shifted);
    CHECK_STATUS(cupel_dataset_concatenate(&shifted, a, other), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_dataset_error(shifted), "[1, 2, 3] and [1, 3, 2]");
    cupel_dataset_destroy(shifted);
    CHECK_STATUS(cupel_dataset_shift_labels(&shifted, b, 65536), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_dataset_destroy(shifted);
    cupel_dataset_destroy(a);
    cupel_dataset_destroy(b);
    cupel_dataset_destroy(both);
    cupel_dataset_destroy(other);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 4};
static const uint8_t one_label[] = {0, 0, 8, 1, 0, 0, 0, 1, 9};

static void put(const char *folder, const char *name, const void *bytes, size_t size) {
    char *const path = file_join(folder, name);
    CHECK_OK(file_write(path, bytes, size, NULL));
    cupel_free(path);
}

static cupel_status open_body(void *user) {
    cupel_dataset *set;
    const cupel_status status = cupel_dataset_open(&set, user, "train");
    if (status == CUPEL_STATUS_OK) {
        CHECK_I64(cupel_dataset_pixels(set, 1)[2], 6);
        CHECK_I64(cupel_dataset_label(set, 0), 9);
        CHECK_STRING(cupel_dataset_class_name(set, 1), "b");
    }
    cupel_dataset_destroy(set);
    return status;
}

/* The images with the labels and class names beside them. */
static cupel_status read_images_body(void *user) {
    cupel_dataset *set;
    const cupel_status status = cupel_dataset_read_images(&set, user);
    if (status == CUPEL_STATUS_OK) {
        CHECK_I64(cupel_dataset_pixels(set, 1)[2], 6);
        CHECK_I64(cupel_dataset_label(set, 0), 9);
        CHECK_STRING(cupel_dataset_class_name(set, 1), "b");
    }
    cupel_dataset_destroy(set);
    return status;
}

static void test_file_with_labels_beside_it(void **state) {
    (void)state;
    char *const folder = drill_folder();
    cupel_dataset *set;
    CHECK(!cupel_dataset_holds(folder, "test") && !cupel_dataset_holds(folder, "valid"));
    put(folder, "test-images.idx3-ubyte", images, sizeof images);
    put(folder, "classes.txt", "a\nb\n", 4);
    CHECK(cupel_dataset_holds(folder, "test") && !cupel_dataset_holds(folder, "train"));
    char *const path = file_join(folder, "test-images.idx3-ubyte");
    CHECK_OK(cupel_dataset_read_images(&set, path));
    CHECK(!cupel_dataset_get_info(set).labelled);
    cupel_dataset_destroy(set);
    put(folder, "test-labels-idx1-ubyte", labels, sizeof labels);
    CHECK_OK(read_images_body(path));
    CHECK(drill_memory(read_images_body, path) > 10);
    put(folder, "test-labels-idx1-ubyte", one_label, sizeof one_label);
    CHECK_STATUS(read_images_body(path), CUPEL_STATUS_MISMATCH);
    cupel_free(path);
    drill_folder_remove(folder);
}

static void test_folder(void **state) {
    (void)state;
    char *const folder = drill_folder();
    cupel_dataset *set;
    CHECK_STATUS(cupel_dataset_open(&set, folder, "train"), CUPEL_STATUS_IO);
    CHECK_CONTAINS(cupel_dataset_error(set), "train-images-idx3-ubyte");
    CHECK_CONTAINS(cupel_dataset_error(set), folder);
    cupel_dataset_destroy(set);
    CHECK_STATUS(cupel_dataset_open(&set, "/nonexistent", "test"), CUPEL_STATUS_IO);
    CHECK_CONTAINS(cupel_dataset_error(set), "there is no folder /nonexistent");
    cupel_dataset_destroy(set);
    CHECK_STATUS(cupel_dataset_open(&set, folder, "valid"), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_dataset_destroy(set);

    put(folder, "train-images-idx3-ubyte", images, sizeof images);
    put(folder, "train-labels-idx1-ubyte", one_label, sizeof one_label);
    CHECK_STATUS(cupel_dataset_open(&set, folder, "train"), CUPEL_STATUS_MISMATCH);
    CHECK_CONTAINS(cupel_dataset_error(set), "1 labels but");
    CHECK_CONTAINS(cupel_dataset_error(set), "2 images");
    cupel_dataset_destroy(set);

    put(folder, "train-labels-idx1-ubyte", labels, sizeof labels);
    put(folder, "classes.txt", "a\r\nb\n\nd", 8);
    put(folder, "test-images.idx3-ubyte", images, sizeof images);
    put(folder, "test-labels.idx1-ubyte", labels, sizeof labels);
    CHECK_OK(cupel_dataset_open(&set, folder, "test"));
    CHECK_STRING(cupel_dataset_class_name(set, 0), "a");
    CHECK(cupel_dataset_class_name(set, 2) == NULL);
    CHECK_STRING(cupel_dataset_class_name(set, 3), "d");
    CHECK_I64(cupel_dataset_get_info(set).class_count, 10);
    int64_t position;
    CHECK_CONTAINS(cupel_dataset_source(set, 1, &position), "test-images.idx3-ubyte");
    CHECK_I64(position, 1);
    cupel_dataset_destroy(set);

    char *const i = file_join(folder, "train-images-idx3-ubyte");
    char *const l = file_join(folder, "train-labels-idx1-ubyte");
    CHECK_STATUS(cupel_dataset_read_idx(&set, l, NULL), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_dataset_error(set), "is it a file of labels?");
    cupel_dataset_destroy(set);
    CHECK_STATUS(cupel_dataset_read_idx(&set, i, i), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_dataset_error(set), "is it a file of images?");
    cupel_dataset_destroy(set);
    CHECK_OK(cupel_dataset_read_idx(&set, i, NULL));
    CHECK(!cupel_dataset_get_info(set).labelled);
    cupel_dataset_destroy(set);
    cupel_free(i);
    cupel_free(l);
    CHECK(drill_memory(open_body, folder) > 20);
    drill_folder_remove(folder);
}

static cupel_status operate_body(void *user) {
    const cupel_dataset *const set = user;
    cupel_dataset *parts[2] = {NULL}, *padded = NULL, *both = NULL, *some = NULL, *moved = NULL;
    const int64_t counts[] = {4, -1}, classes[] = {0, 1};
    cupel_status status = cupel_dataset_split(parts, counts, 2, set, 3);
    if (status == CUPEL_STATUS_OK)
        status = cupel_dataset_pad(&padded, parts[0], 1);
    if (status == CUPEL_STATUS_OK)
        status = cupel_dataset_concatenate(&both, parts[0], parts[1]);
    if (status == CUPEL_STATUS_OK)
        status = cupel_dataset_filter(&some, both, classes, 2);
    if (status == CUPEL_STATUS_OK)
        status = cupel_dataset_shift_labels(&moved, some, 3);
    cupel_dataset_destroy(parts[0]);
    cupel_dataset_destroy(parts[1]);
    cupel_dataset_destroy(padded);
    cupel_dataset_destroy(both);
    cupel_dataset_destroy(some);
    cupel_dataset_destroy(moved);
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    cupel_dataset *const set = make(12);
    CHECK_OK(cupel_dataset_set_class_name(set, 1, "Hose"));
    CHECK(drill_memory(operate_body, set) > 60);
    cupel_dataset_destroy(set);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_row_id),
        cmocka_unit_test(test_take_and_filter),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_pad),
        cmocka_unit_test(test_concatenate_and_shift),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_refused_memory),
        cmocka_unit_test(test_file_with_labels_beside_it),
    };
    return CHECK_MAIN(tests);
}
