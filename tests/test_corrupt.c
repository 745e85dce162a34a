/* Corruptions (src/data/corrupt.c): each against what its name and strength say, in closed form. */
#include "support/drill.h"

#include "data/corrupt.h"
#include "support/trainer.h"

enum { W = 20, H = 12, C = 2, PLANE = W * H, IMAGE = C * PLANE };

/* `count` images of one grey level. */
static cupel_dataset *grey(int64_t count, uint8_t level) {
    uint8_t *const pixels = cupel_alloc((size_t)count, IMAGE);
    cupel_dataset *set;
    CHECK(pixels != NULL);
    memset(pixels, level, (size_t)count * IMAGE);
    for (int64_t i = 0; i < count; i++) /* no two alike, so that none draws the same */
        pixels[i * IMAGE] = (uint8_t)(i % 200 + 1);
    CHECK_OK(cupel_dataset_create(&set, count, C, H, W, pixels, NULL));
    cupel_free(pixels);
    return set;
}

static cupel_dataset *corrupted(const cupel_dataset *set, const char *setting, uint64_t seed) {
    const char *const settings[] = {setting, NULL};
    cupel_recipe *const recipe = recipe_of(settings);
    struct corruptions list;
    cupel_dataset *out;
    corruptions_of(&list, recipe);
    CHECK_I64(list.count, 1);
    CHECK_OK_TEXT(dataset_corrupt(&out, set, &list, seed), cupel_dataset_error(out));
    cupel_recipe_destroy(recipe);
    return out;
}

static void test_noise_has_its_deviation(void **state) {
    (void)state;
    enum { COUNT = 100 };
    cupel_dataset *const set = grey(COUNT, 128), *const noisy =
                                                     corrupted(set, "corruption.noise=0.1", 3);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < COUNT; i++)
        for (int p = 1; p < IMAGE; p++) {
            const double x = cupel_dataset_pixels(noisy, i)[p] - 128.0;
            sum += x;
            squares += x * x;
        }
    const double n = COUNT * (IMAGE - 1);
    /* standard error of the mean 25.5 / sqrt(n) = .117, of the deviation .083; rounding adds 1/12
     * to the variance, which is .002 */
    CHECK_NEAR(sum / n, 0, 0.5);
    CHECK_NEAR(sqrt(squares / n), 25.5, 0.4);
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(noisy);
}

static void test_impulses_have_their_share(void **state) {
    (void)state;
    enum { COUNT = 100 };
    cupel_dataset *const set = grey(COUNT, 128), *const salted =
                                                     corrupted(set, "corruption.impulse=0.25", 3);
    int64_t black = 0, white = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        const uint8_t *const pixels = cupel_dataset_pixels(salted, i);
        for (int p = 1; p < PLANE; p++) {
            CHECK_I64(pixels[p], pixels[PLANE + p]); /* all channels at once */
            CHECK(pixels[p] == 0 || pixels[p] == 128 || pixels[p] == 255);
            black += pixels[p] == 0;
            white += pixels[p] == 255;
        }
    }
    const double n = COUNT * (PLANE - 1); /* standard error .0021 */
    CHECK_NEAR((double)black / n, 0.125, 0.01);
    CHECK_NEAR((double)white / n, 0.125, 0.01);
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(salted);
}

/* A flat image stays flat; a point becomes a Gaussian, whose values are products of weights. */
static void test_blur_is_a_gaussian(void **state) {
    (void)state;
    uint8_t pixels[IMAGE];
    cupel_dataset *set, *soft;
    memset(pixels, 77, sizeof pixels);
    CHECK_OK(cupel_dataset_create(&set, 1, C, H, W, pixels, NULL));
    soft = corrupted(set, "corruption.blur=2.5", 0);
    for (int p = 0; p < IMAGE; p++)
        CHECK_I64(cupel_dataset_pixels(soft, 0)[p], 77);
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(soft);

    memset(pixels, 0, sizeof pixels);
    pixels[PLANE + 6 * W + 10] = 255;
    CHECK_OK(cupel_dataset_create(&set, 1, C, H, W, pixels, NULL));
    soft = corrupted(set, "corruption.blur=1.0", 0);
    double norm = 0;
    for (int k = -3; k <= 3; k++)
        norm += exp(-0.5 * k * k);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const int dy = y - 6, dx = x - 10;
            const bool near = dy >= -3 && dy <= 3 && dx >= -3 && dx <= 3;
            const double value = near ? 255 * exp(-0.5 * (dx * dx + dy * dy)) / (norm * norm) : 0;
            CHECK_NEAR(cupel_dataset_pixels(soft, 0)[PLANE + y * W + x], value, 0.51);
            CHECK_I64(cupel_dataset_pixels(soft, 0)[y * W + x], 0);
        }
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(soft);
}

/* 12 x 20 in squares of 8: two rows of squares (8 and 4 high), three columns (8, 8 and 4 wide). */
static void test_pixelate_averages_squares(void **state) {
    (void)state;
    cupel_dataset *set, *coarse;
    uint8_t pixels[IMAGE];
    for (int p = 0; p < IMAGE; p++)
        pixels[p] = (uint8_t)(p * 37 % 251);
    CHECK_OK(cupel_dataset_create(&set, 1, C, H, W, pixels, NULL));
    coarse = corrupted(set, "corruption.pixelate=8", 0);
    for (int p = 0; p < IMAGE; p++) {
        const int c = p / PLANE, top = p % PLANE / W / 8 * 8, left = p % W / 8 * 8;
        const int bottom = top + 8 < H ? top + 8 : H, right = left + 8 < W ? left + 8 : W;
        double sum = 0;
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++)
                sum += pixels[c * PLANE + y * W + x];
        CHECK_NEAR(cupel_dataset_pixels(coarse, 0)[p], sum / ((bottom - top) * (right - left)),
                   0.51);
    }
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(coarse);
}

/* A black square whose middle lies on the object: here a column of light. */
static void test_occlusion_hits_the_object(void **state) {
    (void)state;
    enum { COUNT = 40 };
    uint8_t *const pixels = cupel_alloc(COUNT, IMAGE);
    cupel_dataset *set;
    bool rows[H] = {false};
    CHECK(pixels != NULL);
    for (int i = 0; i < COUNT; i++)
        for (int y = 0; y < H; y++)
            pixels[i * IMAGE + PLANE + y * W + 10] = (uint8_t)(i + 1);
    CHECK_OK(cupel_dataset_create(&set, COUNT, C, H, W, pixels, NULL));
    cupel_free(pixels);
    cupel_dataset *const cut = corrupted(set, "corruption.occlude=3", 1);
    for (int i = 0; i < COUNT; i++) {
        int gone = 0, first = H;
        for (int y = H - 1; y >= 0; y--)
            if (cupel_dataset_pixels(cut, i)[PLANE + y * W + 10] == 0) {
                gone++;
                first = y;
            }
        CHECK(gone == 3 || (gone == 2 && (first == 0 || first == H - 2)));
        rows[first] = true;
    }
    int places = 0;
    for (int y = 0; y < H; y++)
        places += rows[y];
    CHECK(places > 6);
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(cut);
    set = grey(1, 0); /* nearly nothing to hit, and a black image has only its middle */
    cupel_dataset *const black = corrupted(set, "corruption.occlude=1024", 1);
    for (int p = 0; p < IMAGE; p++)
        CHECK_I64(cupel_dataset_pixels(black, 0)[p], 0);
    cupel_dataset *const still = corrupted(black, "corruption.occlude=3", 1);
    CHECK_U64(cupel_dataset_row_id(still, 0), cupel_dataset_row_id(black, 0));
    cupel_dataset_destroy(still);
    cupel_dataset_destroy(black);
    cupel_dataset_destroy(set);
}

static const char *const several[] = {"corruption.noise=0.2", "corruption.blur=1.5",
                                      "corruption.pixelate=4", NULL};

/* The damage of an image depends on seed and pixels, not on its neighbours. */
static void test_each_in_turn_and_repeatable(void **state) {
    (void)state;
    cupel_recipe *const recipe = recipe_of(several);
    struct corruptions list;
    corruptions_of(&list, recipe);
    CHECK_I64(list.count, 3);
    CHECK_STRING(corruption_name(&list, 0), "noise");
    CHECK_STRING(corruption_name(&list, 1), "blur");
    CHECK_STRING(corruption_name(&list, 2), "pixelate");
    cupel_dataset *const set = striped_images(7, 16, 0), *all, *again, *other, *alone, *one;
    CHECK_OK(dataset_corrupt(&all, set, &list, 5));
    CHECK_OK(dataset_corrupt(&again, set, &list, 5));
    CHECK_OK(dataset_corrupt(&other, set, &list, 6));
    for (int64_t i = 0; i < 7; i++) {
        CHECK_U64(cupel_dataset_row_id(all, i), cupel_dataset_row_id(again, i));
        CHECK(cupel_dataset_row_id(all, i) != cupel_dataset_row_id(set, i));
        /* only the noise is random */
        CHECK_I64(cupel_dataset_row_id(all, i) != cupel_dataset_row_id(other, i), i % 3 == 0);
        CHECK_I64(cupel_dataset_label(all, i), i % CLASSES);
    }
    CHECK_OK(cupel_dataset_take(&alone, set, &(int64_t){3}, 1));
    one = corrupted(alone, several[0], 5);
    CHECK_U64(cupel_dataset_row_id(one, 0), cupel_dataset_row_id(all, 3));
    cupel_dataset_destroy(one);
    CHECK_STATUS(dataset_corrupt(&one, alone, &(struct corruptions){0}, 5),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_dataset_error(one), "corruption.noise");
    cupel_dataset *const rest[] = {set, all, again, other, alone, one};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        cupel_dataset_destroy(rest[i]);
    cupel_recipe_destroy(recipe);
}

struct drill {
    struct corruptions list;
    cupel_dataset *set;
};

static cupel_status corrupt_once(void *user) {
    struct drill *const drill = user;
    cupel_dataset *out;
    const cupel_status status = dataset_corrupt(&out, drill->set, &drill->list, 0);
    cupel_dataset_destroy(out);
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    struct drill drill = {.set = striped_images(3, 16, 0)};
    cupel_recipe *const recipe = recipe_of(several);
    corruptions_of(&drill.list, recipe);
    CHECK(drill_memory(corrupt_once, &drill) >= 10);
    cupel_recipe_destroy(recipe);
    cupel_dataset_destroy(drill.set);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_has_its_deviation),
        cmocka_unit_test(test_impulses_have_their_share),
        cmocka_unit_test(test_blur_is_a_gaussian),
        cmocka_unit_test(test_pixelate_averages_squares),
        cmocka_unit_test(test_occlusion_hits_the_object),
        cmocka_unit_test(test_each_in_turn_and_repeatable),
        cmocka_unit_test(test_memory_refused),
    };
    return CHECK_MAIN(tests);
}
