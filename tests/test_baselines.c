/*
 * The baselines (src/data/baselines.c, pixel_dot.c): closed forms on small sets, and scikit-learn
 * 1.9.1 on the sample of Fashion-MNIST in recipes/vae-anomaly/sample, where X and x are its
 * training and test images divided by 255, flattened, and y tells the classes 0, 2, 3, 4, 6:
 *
 *   roc_auc_score(y, x.mean(1))
 *   d = NearestNeighbors(n_neighbors=5, algorithm='brute').fit(X).kneighbors(x)[0].mean(1)
 *   p = PCA(k, svd_solver='full').fit(X); r = ((x - p.inverse_transform(p.transform(x)))**2).sum(1)
 */
#include "support/drill.h"

#include <math.h>

#include "cupel/baselines.h"
#include "cupel/metrics.h"
#include "data/pixel_dot.h"

static cupel_dataset *make_set(const uint8_t *pixels, int64_t count, int64_t width) {
    cupel_dataset *set;
    CHECK_OK(cupel_dataset_create(&set, count, 1, 1, width, pixels, NULL));
    return set;
}

static void test_dot(void **state) {
    (void)state;
    enum { COUNT = 70001 }; /* more than two segments */
    int16_t *const a = cupel_alloc(4 * COUNT, sizeof *a);
    int16_t *const b = cupel_alloc(4 * COUNT, sizeof *b);
    static const int64_t counts[] = {0, 1, 7, 8, 31, 64, 100, 32768, 32769, COUNT};
    for (int64_t k = 0; k < COUNT; k++)
        for (int64_t i = 0; i < 4; i++) {
            a[i * COUNT + k] = (int16_t)(255 - i * (k % 5));
            b[i * COUNT + k] = (int16_t)(255 - i * (k % 3));
        }
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        int64_t out[16];
        pixel_dot4x4_select()(a, b, COUNT, counts[c], out);
        for (int64_t i = 0; i < 16; i++) {
            int64_t expected = 0;
            for (int64_t k = 0; k < counts[c]; k++)
                expected += (255 - i / 4 * (k % 5)) * (255 - i % 4 * (k % 3));
            CHECK_I64(out[i], expected);
        }
    }
    cupel_free(a);
    cupel_free(b);
}

static void test_mean(void **state) {
    (void)state;
    const uint8_t pixels[] = {0, 255, 51, 51};
    cupel_dataset *const set = make_set(pixels, 2, 2);
    cupel_baseline *mean;
    double scores[2];
    CHECK_OK(cupel_baseline_create(&mean, CUPEL_BASELINE_MEAN, 0, set, 1));
    CHECK_STRING(cupel_baseline_name(mean), "mean intensity");
    CHECK_OK(cupel_baseline_score(mean, set, scores, 2));
    CHECK_F64(scores[0], 0.5);
    CHECK_F64(scores[1], 0.2);
    cupel_baseline_destroy(mean);
    cupel_dataset_destroy(set);
}

static void test_neighbours(void **state) {
    (void)state;
    /* on a line, in units of 1/255: distances are differences */
    const uint8_t train[] = {0, 0, 10, 0, 20, 0, 100, 0};
    const uint8_t test[] = {0, 0, 12, 0, 255, 0, 10, 30, 0, 0};
    cupel_dataset *const normal = make_set(train, 4, 2), *const images = make_set(test, 5, 2);
    cupel_baseline *nearest;
    double scores[5];
    CHECK_OK(cupel_baseline_create(&nearest, CUPEL_BASELINE_NEIGHBOURS, 2, normal, 1));
    CHECK_STRING(cupel_baseline_name(nearest), "2-NN");
    CHECK_OK(cupel_baseline_score(nearest, images, scores, 3));
    CHECK_NEAR(scores[0], (0 + 10) / 2.0 / 255, 1e-15);
    CHECK_NEAR(scores[1], (2 + 8) / 2.0 / 255, 1e-15);
    CHECK_NEAR(scores[2], (155 + 235) / 2.0 / 255, 1e-15);
    CHECK_NEAR(scores[3], (30 + sqrt(1000)) / 2.0 / 255, 1e-15);
    CHECK_F64(scores[4], scores[0]); /* place and neighbours do not matter */
    cupel_baseline_destroy(nearest);
    cupel_dataset_destroy(normal);
    cupel_dataset_destroy(images);
}

/* Images on a plane through (50, 50, 50): within it the residual is 0, off it the squared
 * distance. */
static void test_pca(void **state) {
    (void)state;
    const uint8_t train[] = {50, 50, 50, 60, 50, 50, 40, 50, 50, 50, 90, 50, 50, 10, 50};
    const uint8_t test[] = {200, 7, 50, 50, 50, 80, 0, 255, 20};
    cupel_dataset *const normal = make_set(train, 5, 3), *const images = make_set(test, 3, 3);
    cupel_baseline *pca;
    double scores[3];
    CHECK_OK(cupel_baseline_create(&pca, CUPEL_BASELINE_PCA, 2, normal, 2));
    CHECK_STRING(cupel_baseline_name(pca), "PCA-2");
    CHECK_OK(cupel_baseline_score(pca, images, scores, 1));
    const double off = 30.0 * 30.0 / (255.0 * 255.0);
    CHECK_NEAR(scores[0], 0, 1e-12);
    CHECK_NEAR(scores[1], off, 1e-12);
    CHECK_NEAR(scores[2], off, 1e-12);
    cupel_baseline_destroy(pca);
    /* one component: the direction of the larger spread, the second axis */
    CHECK_OK(cupel_baseline_create(&pca, CUPEL_BASELINE_PCA, 1, normal, 1));
    CHECK_OK(cupel_baseline_score(pca, images, scores, 1));
    CHECK_NEAR(scores[0], 150.0 * 150.0 / (255.0 * 255.0), 1e-12);
    cupel_baseline_destroy(pca);
    cupel_dataset_destroy(normal);
    cupel_dataset_destroy(images);
}

static void test_sample(void **state) {
    (void)state;
    cupel_dataset *train, *test;
    const char folder[] = CUPEL_SOURCE_DIR "/recipes/vae-anomaly/sample";
    CHECK_OK_TEXT(cupel_dataset_open(&train, folder, "train"), cupel_dataset_error(train));
    CHECK_OK_TEXT(cupel_dataset_open(&test, folder, "test"), cupel_dataset_error(test));
    CHECK_I64(cupel_dataset_get_info(train).count, 4000);
    CHECK_I64(cupel_dataset_get_info(test).count, 1000);
    CHECK_STRING(cupel_dataset_class_name(test, 9), "Ankle boot");
    double scores[1000], again[1000];
    uint8_t positive[1000];
    for (int i = 0; i < 1000; i++) {
        const int64_t label = cupel_dataset_label(test, i);
        positive[i] = label == 0 || label == 2 || label == 3 || label == 4 || label == 6;
    }
    static const struct {
        cupel_baseline_kind kind;
        int64_t k;
        double auroc, first, last, sum;
    } rows[] = {
        {CUPEL_BASELINE_MEAN, 0, 0.7445539999999999, 0.1673469387755102, 0.11281012404961985, 0},
        {CUPEL_BASELINE_NEIGHBOURS, 5, 0.90118, 3.7963075568742255, 5.218862314776295,
         5664.508492198209},
        {CUPEL_BASELINE_PCA, 16, 0.825808, 9.41023028410126, 16.48194788090866, 22180.095192548215},
        {CUPEL_BASELINE_PCA, 32, 0.840312, 4.955189147959185, 14.339159071215871,
         16985.833829308838},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        check_context("row %zu", r);
        cupel_baseline *baseline;
        cupel_metric metric;
        CHECK_OK(cupel_baseline_create(&baseline, rows[r].kind, rows[r].k, train, 2));
        CHECK_OK(cupel_baseline_score(baseline, test, scores, 2));
        CHECK_OK(cupel_metric_auroc(&metric, scores, positive, 1000));
        CHECK_NEAR(metric.value, rows[r].auroc, 1e-9);
        CHECK_NEAR(scores[0], rows[r].first, 1e-9);
        CHECK_NEAR(scores[999], rows[r].last, 1e-9);
        double sum = 0;
        for (int i = 0; i < 1000; i++)
            sum += scores[i];
        if (rows[r].sum > 0)
            CHECK_NEAR(sum, rows[r].sum, 1e-6);
        CHECK_OK(cupel_baseline_score(baseline, test, again, 1)); /* and the same bits alone */
        assert_memory_equal(scores, again, sizeof scores);
        cupel_baseline_destroy(baseline);
    }
    cupel_dataset_destroy(train);
    cupel_dataset_destroy(test);
}

static void test_refusals(void **state) {
    (void)state;
    const uint8_t pixels[] = {1, 2, 3, 4, 5, 7};
    cupel_dataset *const set = make_set(pixels, 3, 2), *const other = make_set(pixels, 2, 3);
    static const struct {
        cupel_baseline_kind kind;
        int64_t k;
        const char *why;
    } rows[] = {
        {CUPEL_BASELINE_PCA, 0, "k = 0"},
        {CUPEL_BASELINE_PCA, 3, "at most 2"},
        {CUPEL_BASELINE_PCA, 1025, "1 to 1024"},
        {CUPEL_BASELINE_NEIGHBOURS, 4, "among 3 images"},
        {CUPEL_BASELINE_NEIGHBOURS, 65, "1 to 64"},
        {(cupel_baseline_kind)9, 1, "number 9"},
    };
    double scores[3];
    cupel_baseline *baseline;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_STATUS(cupel_baseline_create(&baseline, rows[i].kind, rows[i].k, set, 1),
                     CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_CONTAINS(cupel_baseline_error(baseline), rows[i].why);
        CHECK_STATUS(cupel_baseline_score(baseline, set, scores, 1), CUPEL_STATUS_BUG);
        cupel_baseline_destroy(baseline);
    }
    CHECK_OK(cupel_baseline_create(&baseline, CUPEL_BASELINE_NEIGHBOURS, 1, set, 1));
    CHECK_STATUS(cupel_baseline_score(baseline, other, scores, 1), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_baseline_error(baseline), "[1, 1, 2] and cannot score [1, 1, 3]");
    cupel_baseline_destroy(baseline);
    cupel_baseline_destroy(NULL);
    cupel_dataset_destroy(set);
    cupel_dataset_destroy(other);
}

static cupel_status run_body(void *user) {
    cupel_status status = CUPEL_STATUS_OK;
    double scores[5];
    for (int kind = 0; kind < 3 && status == CUPEL_STATUS_OK; kind++) {
        cupel_baseline *baseline;
        status = cupel_baseline_create(&baseline, (cupel_baseline_kind)kind, 2, user, 1);
        if (status == CUPEL_STATUS_OK)
            status = cupel_baseline_score(baseline, user, scores, 1);
        cupel_baseline_destroy(baseline);
    }
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    const uint8_t train[] = {50, 50, 50, 60, 50, 50, 40, 50, 50, 50, 90, 50, 50, 10, 50};
    cupel_dataset *const set = make_set(train, 5, 3);
    CHECK(drill_memory(run_body, set) >= 24);
    cupel_dataset_destroy(set);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot),
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_pca),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
