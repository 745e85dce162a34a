/*
 * Recipes (src/data/recipe.c, recipe_schema.c, recipe_yaml.c): the schema itself, YAML's traps, the
 * places and remedies in messages, overrides, and the text that repeats a run.
 */
#include "support/drill.h"

#include <locale.h>

#include "cupel/recipe.h"

static cupel_recipe *parse(const char *text) {
    cupel_recipe *recipe;
    CHECK_OK_TEXT(cupel_recipe_parse(&recipe, text, strlen(text), "r.yaml"),
                  cupel_recipe_error(recipe));
    return recipe;
}

static int64_t get_int(cupel_recipe *recipe, const char *key) {
    int64_t value = -1;
    CHECK_OK_TEXT(cupel_recipe_get_int(recipe, key, &value), cupel_recipe_error(recipe));
    return value;
}

static double get_float(cupel_recipe *recipe, const char *key) {
    double value = -1;
    CHECK_OK_TEXT(cupel_recipe_get_float(recipe, key, &value), cupel_recipe_error(recipe));
    return value;
}

static const char *get_string(cupel_recipe *recipe, const char *key) {
    const char *value = NULL;
    CHECK_OK_TEXT(cupel_recipe_get_string(recipe, key, &value), cupel_recipe_error(recipe));
    return value;
}

static void test_schema(void **state) {
    (void)state;
    cupel_recipe *recipe;
    CHECK_OK(cupel_recipe_create(&recipe)); /* every default passes its own row's checks */
    CHECK_OK(cupel_recipe_check(recipe));
    for (size_t i = 0; i < cupel_recipe_key_count(); i++) {
        const cupel_recipe_key *const key = cupel_recipe_key_at(i);
        check_context("%s", key->key);
        CHECK(cupel_recipe_key_find(key->key) == key); /* no key twice */
        CHECK(key->help != NULL && strchr(key->help, '\n') == NULL);
        CHECK((key->type == CUPEL_RECIPE_CHOICE) == (key->choices != NULL));
        CHECK_STRING(cupel_recipe_origin(recipe, key->key), "default");
        /* a section's keys stand together, or the printed text would open it twice */
        const char *const dot = strchr(key->key, '.');
        const size_t length = dot != NULL ? (size_t)(dot - key->key) + 1 : 0;
        for (size_t j = i + 1, gap = 0; j < cupel_recipe_key_count(); j++) {
            const bool same = strncmp(cupel_recipe_key_at(j)->key, key->key, length) == 0 &&
                              (length > 0 || !strchr(cupel_recipe_key_at(j)->key, '.'));
            gap += !same;
            CHECK(!same || gap == 0);
        }
    }
    CHECK(cupel_recipe_key_at(cupel_recipe_key_count()) == NULL);
    cupel_recipe_destroy(recipe);
    cupel_recipe_destroy(NULL);
}

static const char full[] = "name: demo # the demo\n"
                           "seed: 7\n"
                           "model:\n"
                           "  name: mlp-vae\n"
                           "  filters: [8, 16]\n"
                           "  hidden:\n"
                           "    - 100\n"
                           "    - 20\n"
                           "data.set: \"my set\"\n"
                           "data: {normal_classes: [1, 5], pad: 2}\n"
                           "train:\n"
                           "  learning_rate: 1e-3\n"
                           "  epochs: 12\n";

static void check_full(cupel_recipe *recipe) {
    const int64_t *list;
    size_t count;
    CHECK_STRING(get_string(recipe, "name"), "demo");
    CHECK_I64(get_int(recipe, "seed"), 7);
    CHECK_STRING(get_string(recipe, "model.name"), "mlp-vae");
    CHECK_OK(cupel_recipe_get_ints(recipe, "model.filters", &list, &count));
    CHECK_U64(count, 2);
    CHECK_I64(list[1], 16);
    CHECK_OK(cupel_recipe_get_ints(recipe, "model.hidden", &list, &count));
    CHECK_U64(count, 2);
    CHECK_I64(list[0], 100);
    CHECK_STRING(get_string(recipe, "data.set"), "my set");
    CHECK_OK(cupel_recipe_get_ints(recipe, "data.normal_classes", &list, &count));
    CHECK_I64(list[1], 5);
    CHECK_I64(get_int(recipe, "data.pad"), 2);
    CHECK_F64(get_float(recipe, "train.learning_rate"), 0.001);
    CHECK_I64(get_int(recipe, "train.epochs"), 12);
    CHECK_I64(get_int(recipe, "train.batch"), 100); /* the default */
}

static void test_parse(void **state) {
    (void)state;
    cupel_recipe *recipe = parse(full);
    check_full(recipe);
    CHECK_STRING(cupel_recipe_origin(recipe, "train.epochs"), "r.yaml:13");
    CHECK_STRING(cupel_recipe_origin(recipe, "model.hidden"), "r.yaml:6");
    CHECK_STRING(cupel_recipe_origin(recipe, "train.batch"), "default");
    CHECK_STRING(cupel_recipe_origin(recipe, "none"), "");
    cupel_recipe_destroy(recipe);
    recipe = parse("{}");
    CHECK_I64(get_int(recipe, "train.epochs"), 10);
    cupel_recipe_destroy(recipe);
    recipe = parse("--- # one document\nseed: 3\n...\n");
    CHECK_I64(get_int(recipe, "seed"), 3);
    cupel_recipe_destroy(recipe);
}

/* CRLF, a byte order mark, and a tab behind a value are harmless. */
static void test_harmless_forms(void **state) {
    (void)state;
    static const char *const texts[] = {
        "\xef\xbb\xbfseed: 5\ntrain:\n  epochs: 3\n",
        "seed: 5\r\ntrain:\r\n  epochs: 3\r\n",
        "seed: 5\t# five\ntrain:\n  epochs:\t3\n",
        "seed: 5\n\n   # indented comment\ntrain: {epochs: 3}",
        "\xff\xfes\0e\0e\0d\0:\0 \0005\0\n\0t\0r\0a\0i\0n\0.\0e\0p\0o\0c\0h\0s\0:\0 \0003\0\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_context("form %zu", i);
        const size_t size = i == 4 ? 50 : strlen(texts[i]);
        cupel_recipe *recipe;
        CHECK_OK_TEXT(cupel_recipe_parse(&recipe, texts[i], size, "r.yaml"),
                      cupel_recipe_error(recipe));
        CHECK_I64(get_int(recipe, "seed"), 5);
        CHECK_I64(get_int(recipe, "train.epochs"), 3);
        cupel_recipe_destroy(recipe);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        /* numbers */
        {"train.epochs: 016", "r.yaml:1: train.epochs: 016 begins with 0"},
        {"seed: 1\ntrain:\n  epochs: 0x10", "r.yaml:3: train.epochs: 0x10 is not decimal"},
        {"train.epochs: 1_000", "separators"},
        {"train.epochs: 1e3", "written as a float; write 1000"},
        {"train.epochs: 10.0", "write 10"},
        {"train.epochs: 2.5", "2.5 is not a whole number"},
        {"train.epochs: \"5\"", "in quotes"},
        {"train.epochs: '5'", "in quotes"},
        {"train.epochs: five", "\"five\" is not a whole number"},
        {"train.epochs: +5", "without the sign"},
        {"train.epochs: 1:30", "not a whole number"},
        {"train.epochs: 99999999999999999999", "out of range; it must be at least 1"},
        {"train.epochs:", "has no value"},
        {"train.epochs: ~", "has no value"},
        {"train.epochs: null", "has no value"},
        {"train.epochs: 0", "out of range; it must be at least 1 and at most 1000000"},
        {"train.epochs: -3", "out of range"},
        {"train.epochs: [5]", "a single value"},
        {"train.learning_rate: 0", "must be above 0 and at most 10"},
        {"train.learning_rate: 1,5", "a point"},
        {"train.learning_rate: .nan", "not a number"},
        {"train.learning_rate: .inf", "not a number"},
        {"train.learning_rate: nan", "not a number"},
        {"train.learning_rate: 1e999", "not a number"},
        {"train.learning_rate: 01.5", "begins with 0"},
        {"train.learning_rate: 11", "out of range"},
        {"score.threshold_quantile: 1", "above 0 and below 1"},
        {"seed: 9007199254740992", "out of range"},
        /* words */
        {"model.name: resnet", "not one of conv-vae|mlp-vae"},
        {"model.name: conv", "not one of"},
        {"model.name: ~", "not one of"},
        {"name:", "has no value"},
        {"name: null", "put it in quotes"},
        {"name: ../x", "cannot name a folder"},
        {"name: .hidden", "cannot name a folder"},
        {"name: ''", "cannot name a folder"},
        /* lists */
        {"data.normal_classes: 5", "is a list; write [5]"},
        {"data.normal_classes: [1, 5, 1]", "1 occurs twice"},
        {"data.normal_classes: [1, no]", "\"no\" is not a whole number"},
        {"data.normal_classes: [[1]]", "plain values only"},
        {"data.normal_classes: [{a: 1}]", "plain values only"},
        {"data.normal_classes: [-1]", "out of range"},
        /* keys */
        {"train:\n  epoch: 5", "r.yaml:2: there is no key train.epoch; did you mean train.epochs?"},
        {"epochs: 5", "did you mean train.epochs?"},
        {"trian:\n  epochs: 5", "there is no section trian; did you mean train?"},
        {"train: 5", "such as train.epochs"},
        {"trian:\n  epochs: 5", "r.yaml:1: there is no section trian"},
        {"modle.latnet: 5", "did you mean model.latent?"},
        {"train: 5", "train is a section"},
        {"train:", "train is a section"},
        {"train.epochs:\n  x: 1", "train.epochs is a value, not a section"},
        {"seed: 1\nname: a\nseed: 2", "r.yaml:3: seed is given twice, here and in line 1"},
        {"train:\n  epochs: 1\ntrain.epochs: 2", "given twice, here and in line 2"},
        {"train:\n  epochs: 1\ntrain:\n  batch: 2", "r.yaml:3: train is given twice"},
        {"[seed]: 1", "a key must be a word"},
        {"? {a: 1}\n: 2", "a key must be a word"},
        /* YAML */
        {"train:\n\tepochs: 5", "r.yaml:2: a tab indents this line"},
        {"train:\n  epochs: 5\n batch: 3", "r.yaml:3: not valid YAML"},
        {"name: \"open", "not valid YAML"},
        {"name: @x", "not valid YAML"},
        {"seed: &a 5", "&a: recipes have no anchors"},
        {"seed: *a", "*a refers to another place"},
        {"seed: !!int 5", "recipes have no tags"},
        {"<<: {seed: 5}", "there is no section <<"},
        {"seed: 1\n---\nseed: 2", "a second document"},
        {"", "the recipe is empty"},
        {"# nothing\n", "the recipe is empty"},
        {"- seed", "\"key: value\" lines"},
        {"seed", "\"key: value\" lines"},
        {"name: \"a\\0b\"", "NUL"},
        {"name: \x80", "UTF-8"},
        {"name: \x01", "control characters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("%s", rows[i].text);
        cupel_recipe *recipe;
        const cupel_status status =
            cupel_recipe_parse(&recipe, rows[i].text, strlen(rows[i].text), "r.yaml");
        CHECK_STATUS_TEXT(status, CUPEL_STATUS_BAD_DATA, cupel_recipe_error(recipe));
        CHECK_CONTAINS(cupel_recipe_error(recipe), rows[i].why);
        CHECK_CONTAINS(cupel_recipe_error(recipe), "r.yaml");
        CHECK_I64(get_int(recipe, "train.epochs"), 10); /* nothing half read */
        CHECK_I64(get_int(recipe, "seed"), 0);
        cupel_recipe_destroy(recipe);
    }
}

/* Text keys take words that other readers turn into something else, as they stand. */
static void test_words_stay_words(void **state) {
    (void)state;
    static const char *const words[] = {"no", "on", "yes", "1e-3", "016", "true", "12:30"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "data.set: %s\n", words[i]);
        cupel_recipe *recipe = parse(text), *again;
        CHECK_STRING(get_string(recipe, "data.set"), words[i]);
        const char *dump;
        CHECK_OK(cupel_recipe_text(recipe, &dump));
        again = parse(dump);
        CHECK_STRING(get_string(again, "data.set"), words[i]);
        snprintf(text, sizeof text, "set: \"%s\"\n", words[i]); /* printed in quotes */
        CHECK_CONTAINS(dump, text);
        cupel_recipe_destroy(recipe);
        cupel_recipe_destroy(again);
    }
}

static void test_overrides(void **state) {
    (void)state;
    cupel_recipe *const recipe = parse(full);
    CHECK_OK(cupel_recipe_set(recipe, "train.epochs=3", "--set"));
    CHECK_I64(get_int(recipe, "train.epochs"), 3);
    CHECK_STRING(cupel_recipe_origin(recipe, "train.epochs"), "--set");
    CHECK_OK(cupel_recipe_set_value(recipe, "train.learning_rate", "5e-4", "--lr"));
    CHECK_F64(get_float(recipe, "train.learning_rate"), 0.0005);
    static const char *const lists[] = {"data.normal_classes=1,5,7",
                                        "data.normal_classes=[1, 5, 7]",
                                        "data.normal_classes= [ 1 , 5,7 ] "};
    for (size_t i = 0; i < 3; i++) {
        const int64_t *list;
        size_t count;
        CHECK_OK(cupel_recipe_set(recipe, "data.normal_classes=", "--set"));
        CHECK_OK(cupel_recipe_get_ints(recipe, "data.normal_classes", &list, &count));
        CHECK_U64(count, 0);
        CHECK_OK_TEXT(cupel_recipe_set(recipe, lists[i], "--set"), cupel_recipe_error(recipe));
        CHECK_OK(cupel_recipe_get_ints(recipe, "data.normal_classes", &list, &count));
        CHECK_U64(count, 3);
        CHECK_I64(list[2], 7);
    }
    CHECK_OK(cupel_recipe_set(recipe, "data.set=a = b", "--set"));
    CHECK_STRING(get_string(recipe, "data.set"), "a = b");
    CHECK_OK(cupel_recipe_set(recipe, "data.set=null", "--set"));
    CHECK_STRING(get_string(recipe, "data.set"), "null");

    static const struct {
        const char *assignment, *why;
    } bad[] = {
        {"train.epochs=x", "--set: train.epochs: \"x\" is not a whole number"},
        {"train.epochs=", "has no value"},
        {"train.epoch=5", "did you mean train.epochs?"},
        {"train.epochs", "not of the form key=value"},
        {"=5", "not of the form key=value"},
        {"data.normal_classes=1,", "ends in a comma"},
        {"data.normal_classes=1,,2", "no value"},
        {"model.name=no", "not one of"},
        {"train=5", "is a section"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_context("%s", bad[i].assignment);
        CHECK_STATUS(cupel_recipe_set(recipe, bad[i].assignment, "--set"), CUPEL_STATUS_BAD_DATA);
        CHECK_CONTAINS(cupel_recipe_error(recipe), bad[i].why);
    }
    CHECK_I64(get_int(recipe, "train.epochs"), 3); /* the old value stayed */

    CHECK_OK(cupel_recipe_check(recipe));
    CHECK_OK(cupel_recipe_set(recipe, "data.anomaly_classes=0,5", "--set"));
    CHECK_STATUS(cupel_recipe_check(recipe), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "class 5 is normal as well");
    CHECK_OK(cupel_recipe_set(recipe, "data.anomaly_classes=0", "--set"));
    CHECK_OK(cupel_recipe_set(recipe, "model.image=4", "--set"));
    CHECK_STATUS(cupel_recipe_check(recipe), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "data.pad");
    cupel_recipe_destroy(recipe);
}

static void test_wrong_getters(void **state) {
    (void)state;
    cupel_recipe *const recipe = parse("{}");
    int64_t whole;
    bool truth;
    CHECK_STATUS(cupel_recipe_get_int(recipe, "train.epoch", &whole), CUPEL_STATUS_NAME);
    CHECK_STATUS(cupel_recipe_get_int(recipe, "train.learning_rate", &whole), CUPEL_STATUS_TYPE);
    CHECK_STATUS(cupel_recipe_get_bool(recipe, "seed", &truth), CUPEL_STATUS_TYPE);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "seed");
    cupel_recipe_destroy(recipe);
}

/* What is printed reads back to the same text: a resolved recipe repeats the run. */
static void test_text_repeats(void **state) {
    (void)state;
    cupel_recipe *const recipe = parse(full), *again;
    const char *text, *second;
    CHECK_OK(cupel_recipe_set(recipe, "train.learning_rate=1e-5", "--set"));
    CHECK_OK(cupel_recipe_set(recipe, "train.weight_decay=0", "--set"));
    CHECK_OK(cupel_recipe_set(recipe, "seed=9007199254740991", "--set"));
    CHECK_OK(cupel_recipe_set(recipe, "data.set=C:\\x \"y\"\t\xc3\xa4", "--set"));
    CHECK_OK(cupel_recipe_text(recipe, &text));
    CHECK_CONTAINS(text, "name: demo\nseed: 9007199254740991\n");
    CHECK_CONTAINS(text, "\ntrain:\n  epochs: 12\n  batch: 100\n  learning_rate: 1.0e-05\n");
    CHECK_CONTAINS(text, "weight_decay: 0.0\n");
    CHECK_CONTAINS(text, "  filters: [8, 16]\n");
    CHECK_CONTAINS(text, "  anomaly_classes: []\n");
    again = parse(text);
    CHECK_OK(cupel_recipe_text(again, &second));
    CHECK_STRING(second, text);
    CHECK_STRING(get_string(again, "data.set"), "C:\\x \"y\"\t\xc3\xa4");
    cupel_recipe_destroy(recipe);
    cupel_recipe_destroy(again);
}

static void test_locale(void **state) {
    (void)state;
    const bool changed = setlocale(LC_ALL, "de_DE.UTF-8") != NULL; /* where it is installed */
    cupel_recipe *const recipe = parse("train.learning_rate: 0.25\n");
    const char *text;
    CHECK_F64(get_float(recipe, "train.learning_rate"), 0.25);
    CHECK_OK(cupel_recipe_text(recipe, &text));
    CHECK_CONTAINS(text, "learning_rate: 0.25\n");
    cupel_recipe_destroy(recipe);
    if (changed)
        setlocale(LC_ALL, "C");
}

static void test_limits(void **state) {
    (void)state;
    const size_t size = 1100000;
    char *const text = cupel_alloc(size + 1, 1);
    cupel_recipe *recipe;
    memset(text, '#', size);
    CHECK_STATUS(cupel_recipe_parse(&recipe, text, size, "r.yaml"), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "is no recipe");
    cupel_recipe_destroy(recipe);
    memset(text, '[', 100000); /* nesting is refused, not followed */
    memcpy(text, "seed: ", 6);
    CHECK_STATUS(cupel_recipe_parse(&recipe, text, 100000, "r.yaml"), CUPEL_STATUS_BAD_DATA);
    cupel_recipe_destroy(recipe);
    size_t used = (size_t)snprintf(text, size, "data.normal_classes: [0");
    for (int i = 1; i <= 1024; i++)
        used += (size_t)snprintf(text + used, size - used, ", %d", i);
    snprintf(text + used, size - used, "]");
    CHECK_STATUS(cupel_recipe_parse(&recipe, text, strlen(text), "r.yaml"), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "more than 1024");
    cupel_recipe_destroy(recipe);
    cupel_free(text);
}

static cupel_status read_body(void *user) {
    cupel_recipe *recipe;
    const char *text;
    cupel_status status = cupel_recipe_read(&recipe, user);
    if (status == CUPEL_STATUS_OK) {
        check_full(recipe);
        status = cupel_recipe_set(recipe, "data.normal_classes=2,3", "--set");
    }
    if (status == CUPEL_STATUS_OK)
        status = cupel_recipe_set(recipe, "name=other", "--set");
    if (status == CUPEL_STATUS_OK)
        status = cupel_recipe_text(recipe, &text);
    cupel_recipe_destroy(recipe);
    return status;
}

struct write_drill {
    cupel_recipe *recipe;
    const char *path;
};

static cupel_status write_body(void *user) {
    const struct write_drill *const drill = user;
    const cupel_status status = cupel_recipe_write(drill->recipe, drill->path);
    if (status == CUPEL_STATUS_OK)
        CHECK_I64(unlink(drill->path), 0);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    char *const folder = drill_folder();
    char *const path = file_join(folder, "r.yaml");
    struct write_drill drill = {parse(full), path};
    const char *text; /* kept by the recipe: made before blocks are counted */
    CHECK_OK(cupel_recipe_text(drill.recipe, &text));
    drill_writes(write_body, &drill, folder);
    CHECK(drill_memory(write_body, &drill) > 5);
    cupel_recipe_destroy(drill.recipe);
    CHECK_OK(file_write(path, full, strlen(full), NULL));
    CHECK(drill_memory(read_body, path) > 100);
    cupel_recipe *recipe;
    CHECK_STATUS(cupel_recipe_read(&recipe, "/nonexistent/r.yaml"), CUPEL_STATUS_IO);
    CHECK_CONTAINS(cupel_recipe_error(recipe), "/nonexistent/r.yaml");
    cupel_recipe_destroy(recipe);
    cupel_free(path);
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),           cmocka_unit_test(test_parse),
        cmocka_unit_test(test_harmless_forms),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_words_stay_words), cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_wrong_getters),    cmocka_unit_test(test_text_repeats),
        cmocka_unit_test(test_locale),           cmocka_unit_test(test_limits),
        cmocka_unit_test(test_faults),
    };
    return CHECK_MAIN(tests);
}
