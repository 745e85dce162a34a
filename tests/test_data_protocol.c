/*
 * The protocol of recipes/vae-anomaly/paper.yaml on the real Fashion-MNIST and MNIST files, where
 * they are present: $CUPEL_TEST_DATA, else ../shared/data. Counts are those of the study.
 */
#include "support/drill.h"

#include "cupel/protocol.h"

static char *data_folder(void) {
    const char *const given = getenv("CUPEL_TEST_DATA");
    char *const root =
        given != NULL ? file_join(given, "") : file_join(CUPEL_SOURCE_DIR, "../shared/data");
    char *const own = file_join(root, "fashion-mnist"), *const other = file_join(root, "mnist");
    const bool there = file_exists(own) && file_exists(other);
    cupel_free(own);
    cupel_free(other);
    if (there)
        return root;
    print_message("no real data at %s\n", root);
    cupel_free(root);
    skip();
    return NULL;
}

static void check_split(cupel_protocol *protocol, const char *name,
                        const int64_t counts[CUPEL_KIND_COUNT]) {
    static const int normal[] = {1, 5, 7, 8, 9};
    cupel_protocol_split split;
    check_context("%s", name);
    CHECK_OK_TEXT(cupel_protocol_get_split(protocol, name, &split), cupel_protocol_error(protocol));
    const int64_t count = cupel_dataset_get_info(split.images).count;
    for (int kind = 0; kind < CUPEL_KIND_COUNT; kind++)
        CHECK_I64(split.counts[kind], counts[kind]);
    for (int64_t i = 0; i < count; i++) {
        const int64_t label = cupel_dataset_label(split.images, i);
        bool is_normal = false;
        for (int c = 0; c < 5; c++)
            is_normal = is_normal || label == normal[c];
        CHECK_I64(label >= 10, split.kinds[i] == CUPEL_KIND_FOREIGN);
        CHECK_I64(is_normal,
                  split.kinds[i] == CUPEL_KIND_NORMAL || split.kinds[i] == CUPEL_KIND_CORRUPTED);
    }
}

static void test_the_study(void **state) {
    (void)state;
    char *const folder = data_folder();
    cupel_recipe *recipe;
    cupel_protocol *protocol;
    CHECK_OK(cupel_recipe_read(&recipe, CUPEL_SOURCE_DIR "/recipes/vae-anomaly/paper.yaml"));
    CHECK_OK_TEXT(cupel_protocol_create(&protocol, recipe, folder, NULL),
                  cupel_protocol_error(protocol));
    CHECK_I64(cupel_dataset_get_info(cupel_protocol_train(protocol)).count, 26000);
    CHECK_I64(cupel_dataset_get_info(cupel_protocol_train(protocol)).height, 32);
    CHECK_I64(cupel_dataset_get_info(cupel_protocol_held_out(protocol)).count, 2000);
    check_split(protocol, "labelled", (const int64_t[]){2000, 0, 0, 0});
    check_split(protocol, "representative-1", (const int64_t[]){1000, 26, 26, 0});
    check_split(protocol, "representative-2", (const int64_t[]){1000, 26, 26, 0});
    check_split(protocol, "test", (const int64_t[]){5000, 5000, 10000, 5000});
    CHECK_I64(cupel_protocol_draw_size(protocol), 1052);
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_CLASSES), "garments");
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_FOREIGN), "digits");
    cupel_protocol_destroy(protocol);
    cupel_recipe_destroy(recipe);
    cupel_free(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_study),
    };
    return CHECK_MAIN(tests);
}
