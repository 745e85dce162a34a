/* Protocols (src/train/protocol.c, protocol_split.c): who trains, who is held back, who judges, on
 * two small data sets whose images are known by their place. */
#include "support/drill.h"

#include <sys/stat.h>

#include "base/json.h"
#include "cupel/protocol.h"
#include "support/trainer.h"

/* 200 + 50 own images of 5 classes, 40 + 20 foreign ones that begin at image 1000. */
enum { OWN_TRAIN = 200, OWN_TEST = 50, OTHER_TRAIN = 40, OTHER_TEST = 20, OTHER_FIRST = 1000 };
enum { NORMAL_TRAIN = OWN_TRAIN * 3 / 5, HELD_OUT = 20, REPRESENTATIVE = 15 };
static const char *const settings[] = {"data.set=own",
                                       "data.normal_classes=[0, 1, 2]",
                                       "data.anomaly_classes=[3, 4]",
                                       "data.held_out=20",
                                       "data.representative=15",
                                       "data.pad=1",
                                       "anomaly.classes_name=wide",
                                       "anomaly.foreign_set=other",
                                       "anomaly.foreign_name=strange",
                                       "anomaly.mixed_classes=3",
                                       "anomaly.mixed_foreign=2",
                                       "anomaly.mixed_corrupted=4",
                                       "corruption.noise=0.3",
                                       "corruption.occlude=3",
                                       NULL};

static char data[64];

static int make_data(void **state) {
    (void)state;
    char path[128];
    snprintf(data, sizeof data, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/own", data);
    CHECK_I64(mkdir(path, 0700), 0);
    write_striped_idx(path, "train", OWN_TRAIN, 0, SIDE);
    write_striped_idx(path, "t10k", OWN_TEST, 500, SIDE);
    snprintf(path, sizeof path, "%s/other", data);
    CHECK_I64(mkdir(path, 0700), 0);
    write_striped_idx(path, "train", OTHER_TRAIN, OTHER_FIRST, SIDE);
    write_striped_idx(path, "t10k", OTHER_TEST, OTHER_FIRST + OTHER_TRAIN, SIDE);
    snprintf(path, sizeof path, "%s/large", data);
    CHECK_I64(mkdir(path, 0700), 0);
    write_striped_idx(path, "train", OTHER_TRAIN, 0, 2 * SIDE);
    write_striped_idx(path, "t10k", OTHER_TEST, 0, 2 * SIDE);
    return 0;
}

static int remove_data(void **state) {
    static const char *const sets[] = {"own", "other", "large"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", data, sets[i]);
        drill_folder_remove(path);
    }
    drill_folder_remove(data);
    return 0;
}

/* The protocol of `settings` with one more, or NULL. */
static cupel_protocol *protocol_with(const char *setting) {
    cupel_recipe *const recipe = recipe_of(settings);
    cupel_protocol *protocol;
    if (setting != NULL)
        CHECK_OK_TEXT(cupel_recipe_set(recipe, setting, "test"), cupel_recipe_error(recipe));
    CHECK_OK_TEXT(cupel_protocol_create(&protocol, recipe, data, NULL),
                  cupel_protocol_error(protocol));
    cupel_recipe_destroy(recipe);
    return protocol;
}

static cupel_protocol_split split_of(cupel_protocol *protocol, const char *name) {
    cupel_protocol_split split;
    CHECK_OK_TEXT(cupel_protocol_get_split(protocol, name, &split), cupel_protocol_error(protocol));
    return split;
}

static void check_counts(const cupel_protocol_split *split, int64_t normal, int64_t classes,
                         int64_t foreign, int64_t corrupted) {
    const int64_t expected[] = {normal, classes, foreign, corrupted};
    int64_t counted[CUPEL_KIND_COUNT] = {0};
    const int64_t count = cupel_dataset_get_info(split->images).count;
    for (int64_t i = 0; i < count; i++)
        counted[split->kinds[i]]++;
    for (int kind = 0; kind < CUPEL_KIND_COUNT; kind++) {
        CHECK_I64(split->counts[kind], expected[kind]);
        CHECK_I64(counted[kind], expected[kind]);
    }
}

/* Each image is the one that its kind and place in the file say. */
static void check_images(const cupel_protocol_split *split, int64_t own_first,
                         int64_t other_first) {
    const int64_t count = cupel_dataset_get_info(split->images).count;
    for (int64_t i = 0; i < count; i++) {
        uint8_t drawn[SIDE * SIDE];
        int64_t position;
        const bool foreign = split->kinds[i] == CUPEL_KIND_FOREIGN;
        const char *const source = cupel_dataset_source(split->images, i, &position);
        const int64_t number = (foreign ? other_first : own_first) + position;
        CHECK_CONTAINS(source, foreign ? "/other/" : "/own/");
        CHECK_I64(cupel_dataset_label(split->images, i),
                  number % CLASSES + (foreign ? CLASSES : 0));
        if (!foreign)
            CHECK_I64(number % CLASSES >= 3, split->kinds[i] == CUPEL_KIND_CLASSES);
        draw_stripes(drawn, number, SIDE);
        const bool same = memcmp(drawn, cupel_dataset_pixels(split->images, i), sizeof drawn) == 0;
        CHECK_I64(same, split->kinds[i] != CUPEL_KIND_CORRUPTED);
    }
}

static void test_every_split_holds_what_it_should(void **state) {
    (void)state;
    cupel_protocol *const protocol = protocol_with(NULL);
    const cupel_dataset_info train = cupel_dataset_get_info(cupel_protocol_train(protocol));
    const cupel_dataset_info held_out = cupel_dataset_get_info(cupel_protocol_held_out(protocol));
    CHECK_I64(train.count, NORMAL_TRAIN - HELD_OUT - 2 * REPRESENTATIVE);
    CHECK_I64(train.height, SIDE + 2);
    CHECK_I64(held_out.count, HELD_OUT);
    CHECK_I64(held_out.width, SIDE + 2);
    static const char *const names[] = {"test", "representative-1", "representative-2", "labelled"};
    static const int64_t counts[][CUPEL_KIND_COUNT] = {
        {30, 20, OTHER_TEST, 30}, {15, 3, 2, 4}, {15, 3, 2, 4}, {HELD_OUT, 0, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        check_context("%s", names[i]);
        CHECK_STRING(cupel_protocol_split_name(i), names[i]);
        const cupel_protocol_split split = split_of(protocol, names[i]);
        check_counts(&split, counts[i][0], counts[i][1], counts[i][2], counts[i][3]);
        check_images(&split, i == 0 ? 500 : 0, OTHER_FIRST + (i == 0 ? OTHER_TRAIN : 0));
        CHECK_I64(cupel_dataset_get_info(split.images).height, SIDE);
    }
    CHECK(cupel_protocol_split_name(4) == NULL);
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_NORMAL), "normal");
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_CLASSES), "wide");
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_FOREIGN), "strange");
    CHECK_STRING(cupel_protocol_kind_name(protocol, CUPEL_KIND_CORRUPTED), "corrupted");
    cupel_protocol_destroy(protocol);
}

/* Marks the places of a data set's images of one kind (all without kinds); none may be marked. */
static void mark(bool *taken, const cupel_dataset *images, const uint8_t *kinds, int kind) {
    const int64_t count = cupel_dataset_get_info(images).count;
    for (int64_t i = 0; i < count; i++) {
        int64_t position;
        if (kinds != NULL && kinds[i] != kind)
            continue;
        (void)cupel_dataset_source(images, i, &position);
        CHECK(!taken[position]);
        taken[position] = true;
    }
}

static void test_parts_share_no_image(void **state) {
    (void)state;
    cupel_protocol *const protocol = protocol_with(NULL);
    bool own[OWN_TRAIN] = {false}, other[OTHER_TRAIN] = {false}, sources[OWN_TRAIN] = {false};
    mark(own, cupel_protocol_train(protocol), NULL, 0);
    mark(own, cupel_protocol_held_out(protocol), NULL, 0);
    for (size_t i = 1; i < 3; i++) {
        const cupel_protocol_split split = split_of(protocol, cupel_protocol_split_name(i));
        mark(own, split.images, split.kinds, CUPEL_KIND_NORMAL);
        mark(own, split.images, split.kinds, CUPEL_KIND_CLASSES);
        mark(other, split.images, split.kinds, CUPEL_KIND_FOREIGN);
        mark(sources, split.images, split.kinds, CUPEL_KIND_CORRUPTED);
    }
    for (int i = 0; i < OWN_TRAIN; i++)
        CHECK(own[i] || i % CLASSES >= 3); /* every normal image is somewhere */
    /* What is corrupted was held out, not trained on. */
    bool held_out[OWN_TRAIN] = {false};
    mark(held_out, cupel_protocol_held_out(protocol), NULL, 0);
    for (int i = 0; i < OWN_TRAIN; i++)
        CHECK(!sources[i] || held_out[i]);
    cupel_protocol_destroy(protocol);
}

static char *text_with(const char *setting) {
    cupel_protocol *const protocol = protocol_with(setting);
    const char *text;
    CHECK_OK(cupel_protocol_text(protocol, &text));
    char *const copy = cupel_strdup(text);
    CHECK(copy != NULL);
    cupel_protocol_destroy(protocol);
    return copy;
}

/* From the second part on: what a limit of the training images must leave alone. */
static const char *kept_back(const char *text) {
    const char *const at = strstr(text, "\"representative-1\"");
    CHECK(at != NULL);
    return at;
}

static void test_the_text_is_a_function_of_seed_and_data(void **state) {
    (void)state;
    char *const text = text_with(NULL), *const again = text_with("workers=3");
    char *const other = text_with("seed=1"), *const few = text_with("data.limit=10");
    char *const fewer_mixed = text_with("anomaly.mixed_foreign=1");
    struct cupel_error error = {0};
    struct json_reader json;
    json_begin(&json, text, strlen(text), "split.json", &error);
    CHECK_OK_TEXT(json_skip(&json), error.text);
    CHECK_OK_TEXT(json_finish(&json), error.text);
    CHECK_STRING(again, text);
    CHECK(strcmp(kept_back(other), kept_back(text)) != 0);
    CHECK_STRING(kept_back(few), kept_back(text));
    CHECK(strlen(few) < strlen(text));
    /* One choice does not move another: the wide images stay. */
    const char *const wide = strstr(text, "\"wide\"");
    const size_t line = strcspn(wide, "\n");
    CHECK(strncmp(strstr(fewer_mixed, "\"wide\""), wide, line) == 0);
    for (const char *part = "unlabelled\0labelled\0representative-2\0strange\0corrupted\0";
         *part != '\0'; part += strlen(part) + 1)
        CHECK_CONTAINS(text, part);
    cupel_free(text);
    cupel_free(again);
    cupel_free(other);
    cupel_free(few);
    cupel_free(fewer_mixed);
}

static void test_fingerprint_follows_the_pixels(void **state) {
    (void)state;
    char path[128];
    char *const before = text_with(NULL);
    snprintf(path, sizeof path, "%s/own", data);
    write_striped_idx(path, "train", OWN_TRAIN, CLASSES, SIDE);
    char *const after = text_with(NULL);
    write_striped_idx(path, "train", OWN_TRAIN, 0, SIDE);
    CHECK_STRING(kept_back(after), kept_back(before)); /* the same places */
    CHECK(strcmp(after, before) != 0);
    cupel_free(before);
    cupel_free(after);
}

static void test_draws(void **state) {
    (void)state;
    cupel_protocol *const protocol = protocol_with(NULL);
    const cupel_protocol_split test = split_of(protocol, "test");
    int64_t indices[2][REPRESENTATIVE + 9], again[REPRESENTATIVE + 9];
    CHECK_I64(cupel_protocol_draw_size(protocol), REPRESENTATIVE + 9);
    for (uint32_t k = 0; k < 2; k++) {
        int64_t counts[CUPEL_KIND_COUNT] = {0};
        CHECK_OK(cupel_protocol_draw(protocol, k, indices[k]));
        for (int i = 0; i < REPRESENTATIVE + 9; i++) {
            CHECK(i == 0 || indices[k][i] > indices[k][i - 1]);
            counts[test.kinds[indices[k][i]]]++;
        }
        CHECK_I64(counts[CUPEL_KIND_NORMAL], REPRESENTATIVE);
        CHECK_I64(counts[CUPEL_KIND_CLASSES], 3);
        CHECK_I64(counts[CUPEL_KIND_FOREIGN], 2);
        CHECK_I64(counts[CUPEL_KIND_CORRUPTED], 4);
    }
    CHECK_OK(cupel_protocol_draw(protocol, 0, again));
    assert_memory_equal(again, indices[0], sizeof again);
    CHECK(memcmp(indices[0], indices[1], sizeof again) != 0);
    cupel_protocol_destroy(protocol);
}

/* Every image is drawn about equally often: 400 draws of 15 of 30 hit each 200 times, with a
 * standard deviation of 10. */
static void test_draws_are_fair(void **state) {
    (void)state;
    cupel_protocol *const protocol = protocol_with(NULL);
    const cupel_protocol_split test = split_of(protocol, "test");
    int64_t hits[200] = {0}, indices[REPRESENTATIVE + 9];
    CHECK(cupel_dataset_get_info(test.images).count <= 200);
    for (uint32_t k = 0; k < 400; k++) {
        CHECK_OK(cupel_protocol_draw(protocol, k, indices));
        for (int i = 0; i < REPRESENTATIVE + 9; i++)
            hits[indices[i]]++;
    }
    for (int64_t i = 0; i < OWN_TEST; i++)
        if (test.kinds[i] == CUPEL_KIND_NORMAL)
            CHECK_NEAR(hits[i], 200, 50);
    cupel_protocol_destroy(protocol);
}

/* Both data sets are found from the folder of either, and from the environment. */
static void test_where_data_lie(void **state) {
    (void)state;
    cupel_recipe *const recipe = recipe_of(settings);
    cupel_protocol *protocol;
    char path[128];
    snprintf(path, sizeof path, "%s/own/", data);
    CHECK_OK(cupel_protocol_create(&protocol, recipe, path, NULL));
    (void)split_of(protocol, "test");
    cupel_protocol_destroy(protocol);
    CHECK_I64(setenv("CUPEL_DATA", data, 1), 0);
    CHECK_OK(cupel_protocol_create(&protocol, recipe, NULL, NULL));
    CHECK_CONTAINS(cupel_protocol_folder(protocol), "/own");
    cupel_protocol_destroy(protocol);
    CHECK_I64(unsetenv("CUPEL_DATA"), 0);
    CHECK_OK(cupel_protocol_create(&protocol, recipe, NULL, data));
    cupel_protocol_destroy(protocol);
    cupel_recipe_destroy(recipe);
}

static void refused(const char *setting, cupel_status expected, const char *part) {
    check_context("%s", setting);
    cupel_recipe *const recipe = recipe_of(settings);
    cupel_protocol *protocol;
    CHECK_OK(cupel_recipe_set(recipe, setting, "test"));
    cupel_status status = cupel_protocol_create(&protocol, recipe, data, NULL);
    cupel_protocol_split split;
    if (status == CUPEL_STATUS_OK)
        status = cupel_protocol_get_split(protocol, "test", &split);
    CHECK_STATUS(status, expected);
    CHECK_CONTAINS(cupel_protocol_error(protocol), part);
    cupel_protocol_destroy(protocol);
    cupel_recipe_destroy(recipe);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    refused("data.held_out=120", CUPEL_STATUS_BAD_DATA, "only 120 normal images");
    refused("data.held_out=9007199254740991", CUPEL_STATUS_BAD_DATA, "only 120 normal images");
    refused("data.representative=50", CUPEL_STATUS_BAD_DATA, "data.representative twice 50");
    refused("data.representative=9007199254740991", CUPEL_STATUS_BAD_DATA, "lower them");
    refused("data.held_out=0", CUPEL_STATUS_BAD_DATA, "made of labelled ones (data.held_out)");
    refused("anomaly.mixed_classes=41", CUPEL_STATUS_BAD_DATA,
            "anomaly.mixed_classes asks for 41 wide images for each of two representative sets, "
            "and there are 80");
    refused("anomaly.mixed_foreign=21", CUPEL_STATUS_BAD_DATA, "there are 40: lower it");
    refused("anomaly.mixed_corrupted=11", CUPEL_STATUS_BAD_DATA, "there are 20: lower it");
    refused("anomaly.foreign_classes=[7]", CUPEL_STATUS_BAD_DATA, "none of the 40 images");
    refused("anomaly.foreign_set=nowhere", CUPEL_STATUS_IO, "set anomaly.foreign_set");
    refused("anomaly.foreign_set=large", CUPEL_STATUS_BAD_DATA, "cannot be joined");
    refused("anomaly.foreign_set=", CUPEL_STATUS_BAD_DATA, "name it by anomaly.foreign_set");
    refused("anomaly.foreign_name=wide", CUPEL_STATUS_BAD_DATA, "choose another");
    refused("anomaly.classes_name=normal", CUPEL_STATUS_BAD_DATA, "choose another");
    refused("data.anomaly_classes=[0, 3]", CUPEL_STATUS_BAD_DATA, "normal as well");
}

static void test_what_a_recipe_has_not(void **state) {
    (void)state;
    cupel_protocol_split split;
    int64_t indices[1];
    static const char *const bare[] = {"data.set=own", "data.held_out=0", "data.normal_classes=[0]",
                                       NULL};
    cupel_recipe *const recipe = recipe_of(bare);
    cupel_protocol *protocol;
    CHECK_OK(cupel_protocol_create(&protocol, recipe, data, NULL));
    CHECK_I64(cupel_dataset_get_info(cupel_protocol_train(protocol)).count, OWN_TRAIN / 5);
    CHECK(cupel_protocol_held_out(protocol) == NULL);
    CHECK_I64(cupel_protocol_draw_size(protocol), 0);
    CHECK_STATUS(cupel_protocol_draw(protocol, 0, indices), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(cupel_protocol_get_split(protocol, "labelled", &split),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_protocol_error(protocol), "data.held_out is 0");
    CHECK_STATUS(cupel_protocol_get_split(protocol, "representative-2", &split),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(cupel_protocol_get_split(protocol, "train", &split),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_protocol_error(protocol), "no split \"train\"");
    split = split_of(protocol, "test"); /* all that is not normal is anomalous */
    check_counts(&split, OWN_TEST / 5, OWN_TEST * 4 / 5, 0, 0);
    cupel_protocol_destroy(protocol);
    cupel_recipe_destroy(recipe);
}

/* Without classes all images are normal, and only other kinds are anomalies. */
static void test_without_classes(void **state) {
    (void)state;
    cupel_recipe *const recipe = recipe_of(settings);
    cupel_protocol *protocol;
    CHECK_OK(cupel_recipe_set(recipe, "data.normal_classes=[]", "test"));
    CHECK_OK(cupel_recipe_set(recipe, "data.anomaly_classes=[]", "test"));
    CHECK_OK(cupel_recipe_set(recipe, "anomaly.mixed_classes=0", "test"));
    CHECK_OK(cupel_protocol_create(&protocol, recipe, data, NULL));
    const cupel_protocol_split split = split_of(protocol, "test");
    check_counts(&split, OWN_TEST, 0, OTHER_TEST, OWN_TEST);
    cupel_protocol_destroy(protocol);
    cupel_recipe_destroy(recipe);
}

static cupel_status use_everything(void *user) {
    cupel_protocol *protocol = NULL;
    cupel_protocol_split split;
    const char *text;
    int64_t indices[REPRESENTATIVE + 9];
    cupel_status status = cupel_protocol_create(&protocol, user, data, NULL);
    if (status == CUPEL_STATUS_OK)
        status = cupel_protocol_get_split(protocol, "test", &split);
    if (status == CUPEL_STATUS_OK)
        status = cupel_protocol_draw(protocol, 0, indices);
    if (status == CUPEL_STATUS_OK)
        status = cupel_protocol_text(protocol, &text);
    if (status != CUPEL_STATUS_OK && protocol != NULL)
        CHECK(cupel_protocol_error(protocol)[0] != '\0');
    cupel_protocol_destroy(protocol);
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    cupel_recipe *const recipe = recipe_of(settings);
    CHECK(drill_memory(use_everything, recipe) > 200);
    cupel_recipe_destroy(recipe);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_holds_what_it_should),
        cmocka_unit_test(test_parts_share_no_image),
        cmocka_unit_test(test_the_text_is_a_function_of_seed_and_data),
        cmocka_unit_test(test_fingerprint_follows_the_pixels),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_draws_are_fair),
        cmocka_unit_test(test_where_data_lie),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_what_a_recipe_has_not),
        cmocka_unit_test(test_without_classes),
        cmocka_unit_test(test_memory_refused),
    };
    (void)make_data(NULL);
    const int failures = CHECK_MAIN(tests);
    (void)remove_data(NULL);
    return failures;
}
