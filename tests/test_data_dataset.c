/*
 * The real Fashion-MNIST and MNIST files, where they are present: $CUPEL_TEST_DATA, else
 * ../shared/data. Counts are those their authors publish.
 */
#include "support/drill.h"

#include "cupel/dataset.h"

static char *data_folder(const char *name) {
    const char *const given = getenv("CUPEL_TEST_DATA");
    char *const root =
        given != NULL ? file_join(given, "") : file_join(CUPEL_SOURCE_DIR, "../shared/data");
    char *const folder = file_join(root, name);
    cupel_free(root);
    if (!file_exists(folder)) {
        print_message("no real data at %s\n", folder);
        cupel_free(folder);
        skip();
    }
    return folder;
}

static void check_set(const char *name, const char *class_nine, int64_t test_zeros) {
    char *const folder = data_folder(name);
    cupel_dataset *train, *test, *zeros;
    CHECK_OK(cupel_dataset_open(&train, folder, "train"));
    CHECK_OK(cupel_dataset_open(&test, folder, "test"));
    CHECK_I64(cupel_dataset_get_info(train).count, 60000);
    CHECK_I64(cupel_dataset_get_info(test).count, 10000);
    CHECK_I64(cupel_dataset_get_info(test).height, 28);
    CHECK_I64(cupel_dataset_get_info(test).width, 28);
    CHECK_STRING(cupel_dataset_class_name(test, 9), class_nine);
    const int64_t zero = 0;
    CHECK_OK(cupel_dataset_filter(&zeros, test, &zero, 1));
    CHECK_I64(cupel_dataset_get_info(zeros).count, test_zeros);
    cupel_dataset_destroy(train);
    cupel_dataset_destroy(test);
    cupel_dataset_destroy(zeros);
    cupel_free(folder);
}

static void test_fashion_mnist(void **state) {
    (void)state;
    check_set("fashion-mnist", "Ankle boot", 1000);
}

static void test_mnist(void **state) {
    (void)state;
    check_set("mnist", "9", 980);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_mnist),
    };
    return CHECK_MAIN(tests);
}
