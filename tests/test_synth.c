/* Synthetic data (src/data/synth.c, shapes.c): the files are a data set, the masks are where the
 * images changed, and a seed gives the same bytes. */
#include "support/drill.h"

#include <sys/stat.h>

#include "base/rng.h"
#include "cupel/check.h"
#include "cupel/dataset.h"
#include "cupel/synth.h"
#include "data/idx.h"
#include "data/shapes.h"

enum { SIDE = 28, IMAGES = 60, PLANE = SIDE * SIDE };

static char folder[64], inner[128], sentence[CUPEL_SYNTH_SENTENCE_SIZE];

static void begin(void) {
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(inner, sizeof inner, "%s/shapes", folder);
}

static void end(void) {
    drill_folder_remove(inner);
    drill_folder_remove(folder);
}

static cupel_status make(uint64_t seed) {
    const cupel_synth_options options = {.seed = seed, .images = IMAGES};
    return cupel_synth_make(inner, &options, sentence);
}

static struct idx_array array_of(const char *name) {
    char path[256];
    struct idx_array array;
    struct cupel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", inner, name);
    CHECK_OK_TEXT(idx_read(&array, path, &error), error.text);
    return array;
}

static void test_it_is_a_data_set(void **state) {
    (void)state;
    static const char *const names[] = {"disc",    "square", "triangle", "cross",
                                        "scratch", "spot",   "bite",     "smudge"};
    begin();
    CHECK_OK_TEXT(make(1), sentence);
    for (int test = 0; test < 2; test++) {
        cupel_dataset *set;
        CHECK_OK(cupel_dataset_open(&set, inner, test ? "test" : "train"));
        const cupel_dataset_info info = cupel_dataset_get_info(set);
        int64_t counts[SHAPE_CLASSES] = {0};
        CHECK_I64(info.count, test ? IMAGES / 4 : IMAGES);
        CHECK_I64(info.height, SIDE);
        CHECK_I64(info.class_count, SHAPE_CLASSES);
        for (int64_t i = 0; i < info.count; i++)
            counts[cupel_dataset_label(set, i)]++;
        for (int label = 0; label < SHAPE_CLASSES; label++) {
            CHECK_STRING(cupel_dataset_class_name(set, label), names[label]);
            if (!test) /* 48 whole ones of four kinds, 12 with one of four defects */
                CHECK_I64(counts[label], label < SHAPE_KINDS ? 12 : 3);
            else /* 15: 8 whole, 7 defects in turn */
                CHECK(counts[label] == 2 || (label == SHAPE_CLASSES - 1 && counts[label] == 1));
        }
        cupel_dataset_destroy(set);
    }
    end();
}

static void test_masks_are_where_defects_are(void **state) {
    (void)state;
    begin();
    CHECK_OK_TEXT(make(2), sentence);
    struct idx_array images = array_of("train-images-idx3-ubyte");
    struct idx_array masks = array_of("train-masks-idx3-ubyte");
    struct idx_array labels = array_of("train-labels-idx1-ubyte");
    CHECK_I64(masks.dims[0], IMAGES);
    CHECK_I64(masks.dims[1], SIDE);
    for (int i = 0; i < IMAGES; i++) {
        int marked = 0;
        for (int p = 0; p < PLANE; p++) {
            const uint8_t value = masks.values[i * PLANE + p];
            CHECK(value == 0 || value == 255);
            marked += value != 0;
        }
        check_context("image %d of class %d: %d pixels marked", i, labels.values[i], marked);
        CHECK(labels.values[i] < SHAPE_KINDS ? marked == 0 : marked >= 6 && marked < PLANE / 3);
    }
    idx_release(&images);
    idx_release(&masks);
    idx_release(&labels);
    end();
}

/* Against the brightness that each defect has: bites and spots are dark where the shape is
 * bright. */
static void test_every_defect_shows(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(7, 7);
    for (int label = 0; label < SHAPE_CLASSES; label++)
        for (uint64_t row = 0; row < 60; row++) {
            uint8_t pixels[PLANE], mask[PLANE];
            int marked = 0, bright = 0, sum = 0;
            shape_draw(key, row, label, SIDE, pixels, mask);
            for (int p = 0; p < PLANE; p++) {
                bright += pixels[p] > 128;
                marked += mask[p] != 0;
                sum += mask[p] != 0 ? pixels[p] : 0;
            }
            check_context("class %d, row %d: %d bright, %d marked", label, (int)row, bright,
                          marked);
            CHECK(bright > 30 && bright < PLANE / 2);
            CHECK(label < SHAPE_KINDS ? marked == 0 : marked >= 6);
            if (label >= SHAPE_KINDS && label < SHAPE_CLASSES - 1)
                CHECK(sum / marked < 150); /* darker than any shape */
        }
}

static void test_the_seed_is_all(void **state) {
    (void)state;
    static const char *const names[] = {"train-images-idx3-ubyte", "t10k-masks-idx3-ubyte"};
    struct idx_array first[2], again[2], other[2];
    for (int n = 0; n < 3; n++) {
        begin();
        CHECK_OK_TEXT(make(n == 2 ? 4 : 3), sentence);
        for (int i = 0; i < 2; i++)
            (n == 0 ? first : n == 1 ? again : other)[i] = array_of(names[i]);
        end();
    }
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(first[i].values, again[i].values, first[i].size);
        CHECK(memcmp(first[i].values, other[i].values, first[i].size) != 0);
        idx_release(&first[i]);
        idx_release(&again[i]);
        idx_release(&other[i]);
    }
}

static void ignore_line(void *user, bool damage, const char *line) {
    (void)line;
    *(int *)user += damage;
}

static void remove_tree(const char *path) {
    DIR *const entries = opendir(path);
    CHECK(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char name[512];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        CHECK_I64(lstat(name, &info), 0);
        if (S_ISDIR(info.st_mode))
            remove_tree(name);
        else
            CHECK_I64(unlink(name), 0);
    }
    closedir(entries);
    CHECK_I64(rmdir(path), 0);
}

static void test_pictures(void **state) {
    (void)state;
    static const char *const there[] = {
        "train/good/000000.png", "test/good/000000.png", "test/scratch/000001.png",
        "ground_truth/scratch/000001_mask.png", "test/smudge/000007.png"};
    begin();
    const cupel_synth_options options = {.images = 40, .side = 16, .pictures = true};
    CHECK_OK_TEXT(cupel_synth_make(inner, &options, sentence), sentence);
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", inner, there[i]);
        check_context("%s", path);
        CHECK(file_exists(path));
    }
    char path[256];
    snprintf(path, sizeof path, "%s/train/good/000004.png", inner);
    CHECK(!file_exists(path)); /* it has a defect: not for training */
    int damages = 0;
    CHECK_OK(cupel_check(inner, ignore_line, &damages, sentence));
    CHECK_I64(damages, 0);
    remove_tree(folder);
}

static void test_refusals(void **state) {
    (void)state;
    begin();
    CHECK_OK_TEXT(make(1), sentence);
    CHECK_STATUS(make(1), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(sentence, "holds classes.txt already");
    static const cupel_synth_options wrong[] = {
        {.images = 19}, {.images = 100001}, {.side = 15}, {.side = 129}, {.images = -5}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_STATUS(cupel_synth_make(folder, &wrong[i], sentence), CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(sentence, "give 20 to 100000 images of 16 to 128 pixels");
    }
    CHECK_STATUS(cupel_synth_make("/proc/none", NULL, sentence), CUPEL_STATUS_IO);
    end();
}

/* Each write fails in turn; with pictures, which are synced one by one, one in nine of them.
 * Nothing is left, nor any folder. */
static void test_failing_writes(void **state) {
    (void)state;
    for (int pictures = 0; pictures < 2; pictures++) {
        const cupel_synth_options options = {.images = 20, .side = 16, .pictures = pictures};
        uint64_t drills = 0;
        begin();
        for (uint64_t n = 0;; n += pictures ? 9 : 1, drills++) {
            file_fail_after(n, false);
            const cupel_status status = cupel_synth_make(inner, &options, sentence);
            file_fail_never();
            if (status == CUPEL_STATUS_OK)
                break;
            check_context("write %d: %s", (int)n, sentence);
            CHECK_STATUS(status, CUPEL_STATUS_IO);
            CHECK(!file_exists(inner));
        }
        CHECK(drills >= 7);
        remove_tree(inner);
        drill_folder_remove(folder);
    }
}

static cupel_status make_small(void *user) {
    const cupel_synth_options options = {.images = 20, .side = 16, .pictures = true};
    (void)user;
    const cupel_status status = cupel_synth_make(inner, &options, sentence);
    if (status != CUPEL_STATUS_OK)
        CHECK(sentence[0] != '\0');
    if (file_exists(inner))
        remove_tree(inner);
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    begin();
    CHECK(drill_memory(make_small, NULL) > 50);
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_a_data_set),
        cmocka_unit_test(test_masks_are_where_defects_are),
        cmocka_unit_test(test_every_defect_shows),
        cmocka_unit_test(test_the_seed_is_all),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_memory_refused),
    };
    return CHECK_MAIN(tests);
}
