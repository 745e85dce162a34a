/*
 * Metrics (src/train/metrics.c) against scikit-learn 1.9.1, NumPy and closed forms. The figures of
 * test_against_scikit_learn were printed by:
 *
 *   import numpy as np
 *   from sklearn.metrics import (roc_auc_score, average_precision_score, roc_curve,
 *                                precision_recall_curve)
 *   def data(n, mod):
 *       state, s, y = 12345, [], []
 *       for _ in range(n):
 *           state = (state * 1103515245 + 12345) % 2**31; label = (state >> 16) % 5 == 0
 *           state = (state * 1103515245 + 12345) % 2**31
 *           s.append((state >> 16) % mod + 0.3 * mod * label); y.append(label)
 *       return np.array(s), np.array(y)
 *   def show(s, y):
 *       x, z = s[y], s[~y]
 *       psi = (x[:, None] > z).astype(float) + .5 * (x[:, None] == z)   # DeLong, written out
 *       sd = np.sqrt(psi.mean(1).var(ddof=1) / len(x) + psi.mean(0).var(ddof=1) / len(z))
 *       auc, ap, q = roc_auc_score(y, s), average_precision_score(y, s), 1.959963984540054
 *       pi = .049; w = np.where(y, 1, len(x) * (1 - pi) / (pi * len(z)))
 *       f, t, _ = roc_curve(y, s, drop_intermediate=False)
 *       p, r, _ = precision_recall_curve(y, s)
 *       def ends(value, sd):                                           # on the logit's scale
 *           lo, tau = np.log(value / (1 - value)), sd / (value * (1 - value))
 *           return 1 / (1 + np.exp(-(lo - q*tau))), 1 / (1 + np.exp(-(lo + q*tau)))
 *       print(auc, *ends(auc, sd), ap, *ends(ap, np.sqrt(ap * (1 - ap) / len(x))),
 *       average_precision_score(y, s, sample_weight=w), f[t >= .95].min(),
 *       np.nanmax(2 * p * r / (p + r)), np.quantile(s, .99), np.quantile(s, .3))
 *   show(*data(300, 7)); show(*data(1000, 10007))
 */
#include "support/drill.h"

#include <math.h>

#include "cupel/metrics.h"

enum { MOST = 1000 };
static double scores[MOST];
static uint8_t positive[MOST];

static void make_data(int64_t n, uint64_t mod) {
    uint64_t state = 12345;
    for (int64_t i = 0; i < n; i++) {
        state = (state * 1103515245 + 12345) % (UINT64_C(1) << 31);
        positive[i] = (state >> 16) % 5 == 0;
        state = (state * 1103515245 + 12345) % (UINT64_C(1) << 31);
        scores[i] = (double)((state >> 16) % mod) + 0.3 * (double)mod * positive[i];
    }
}

static void test_against_scikit_learn(void **state) {
    (void)state;
    static const struct {
        int64_t n;
        uint64_t mod;
        double auroc[3], ap[3], reweighted, fpr95, f1, q99, q30;
    } rows[] = {
        {300,
         7,
         {0.8345875237358464, 0.7748170141114457, 0.8809311178105745},
         {0.6779378966745618, 0.5493958485676952, 0.7842136345297201},
         0.5179595081095499,
         0.5062240663900415,
         0.611764705882353,
         8.1,
         2.0},
        {1000,
         10007,
         {0.7482459484586418, 0.710141310191687, 0.7828729511763033},
         {0.5187124825076106, 0.44643443537523314, 0.5902157778768359},
         0.3608940608404666,
         0.598531211750306,
         0.44255319148936173,
         12247.16,
         3011.8},
    };
    const double tolerance = 1e-12; /* another order of summation */
    for (size_t i = 0; i < 2; i++) {
        check_context("row %zu", i);
        cupel_metric metric;
        make_data(rows[i].n, rows[i].mod);
        CHECK_OK(cupel_metric_auroc(&metric, scores, positive, rows[i].n));
        CHECK_NEAR(metric.value, rows[i].auroc[0], tolerance);
        CHECK_NEAR(metric.low, rows[i].auroc[1], tolerance);
        CHECK_NEAR(metric.high, rows[i].auroc[2], tolerance);
        CHECK_STRING(metric.reason, "");
        CHECK_OK(cupel_metric_average_precision(&metric, scores, positive, rows[i].n, 0));
        CHECK_NEAR(metric.value, rows[i].ap[0], tolerance);
        CHECK_NEAR(metric.low, rows[i].ap[1], tolerance);
        CHECK_NEAR(metric.high, rows[i].ap[2], tolerance);
        CHECK_OK(cupel_metric_average_precision(&metric, scores, positive, rows[i].n, .049));
        CHECK_NEAR(metric.value, rows[i].reweighted, tolerance);
        CHECK_OK(cupel_metric_fpr_at_tpr(&metric, scores, positive, rows[i].n, .95));
        CHECK_NEAR(metric.value, rows[i].fpr95, tolerance);
        CHECK_OK(cupel_metric_quantile(&metric, scores, rows[i].n, .99));
        CHECK_NEAR(metric.value, rows[i].q99, 1e-9);
        CHECK_OK(cupel_metric_quantile(&metric, scores, rows[i].n, .3));
        CHECK_NEAR(metric.value, rows[i].q30, 1e-9);

        /* the best F1, and that its threshold reaches it */
        double threshold;
        cupel_confusion confusion;
        CHECK_OK(cupel_metric_best_f1(&metric, &threshold, scores, positive, rows[i].n));
        CHECK_NEAR(metric.value, rows[i].f1, tolerance);
        CHECK_OK(cupel_metric_confusion(&confusion, scores, positive, rows[i].n, threshold));
        CHECK_NEAR(cupel_confusion_f1(&confusion).value, rows[i].f1, tolerance);
    }
}

/* All separated: 1 and 1; all reversed: 0; all equal: one half and the prevalence. */
static void test_extremes(void **state) {
    (void)state;
    const double rising[] = {1, 2, 3, 4, 5}, equal[] = {7, 7, 7, 7, 7};
    const double endless[] = {-INFINITY, 0, 1, INFINITY, INFINITY};
    const uint8_t top[] = {0, 0, 0, 1, 1}, bottom[] = {1, 1, 0, 0, 0};
    cupel_metric metric;
    double threshold;
    CHECK_OK(cupel_metric_auroc(&metric, rising, top, 5));
    CHECK_F64(metric.value, 1);
    CHECK_OK(cupel_metric_auroc(&metric, rising, bottom, 5));
    CHECK_F64(metric.value, 0);
    CHECK_OK(cupel_metric_auroc(&metric, endless, top, 5));
    CHECK_F64(metric.value, 1);
    CHECK_OK(cupel_metric_auroc(&metric, equal, top, 5));
    CHECK_F64(metric.value, 0.5);
    CHECK_OK(cupel_metric_average_precision(&metric, rising, top, 5, 0));
    CHECK_F64(metric.value, 1);
    CHECK_OK(cupel_metric_average_precision(&metric, equal, top, 5, 0));
    CHECK_F64(metric.value, 0.4);
    CHECK_OK(cupel_metric_average_precision(&metric, equal, top, 5, 0.1));
    CHECK_NEAR(metric.value, 0.1, 1e-15);
    CHECK_OK(cupel_metric_fpr_at_tpr(&metric, rising, top, 5, .95));
    CHECK_F64(metric.value, 0);
    CHECK_OK(cupel_metric_fpr_at_tpr(&metric, equal, top, 5, .5));
    CHECK_F64(metric.value, 1);
    CHECK_OK(cupel_metric_fpr_at_tpr(&metric, rising, bottom, 5, .5));
    CHECK_F64(metric.value, 1);
    CHECK_OK(cupel_metric_best_f1(&metric, &threshold, rising, top, 5));
    CHECK_F64(metric.value, 1);
    CHECK_F64(threshold, 3);
    CHECK_OK(cupel_metric_best_f1(&metric, &threshold, equal, top, 5));
    CHECK_NEAR(metric.value, 4.0 / 7, 1e-15);
    CHECK(threshold < 7 && threshold > 6.999);

    /* one image of a class has no spread: the interval is everything */
    const uint8_t lone[] = {0, 0, 0, 1, 0};
    CHECK_OK(cupel_metric_auroc(&metric, rising, lone, 5));
    CHECK_F64(metric.value, 0.75);
    CHECK_F64(metric.low, 0);
    CHECK_F64(metric.high, 1);
}

/* How far `low` lies from meeting the equation of Newcombe's method 5, from below `area`. */
static double newcombe_gap(double low, double area, double m, double n) {
    const double mean = (m + n) / 2, q = 1.959963984540054;
    const double factor = 1 + (mean - 1) * (1 - low) / (2 - low) + (mean - 1) * low / (1 + low);
    return area - low - q * sqrt(low * (1 - low) * factor / (m * n));
}

/* Where the variance is 0 the interval has a width all the same, and mirrors itself. */
static void test_intervals_at_the_ends(void **state) {
    (void)state;
    const double rising[] = {1, 2, 3, 4, 5}, equal[10] = {0};
    const uint8_t top[] = {0, 0, 0, 1, 1}, bottom[] = {1, 1, 0, 0, 0};
    const uint8_t half[] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    cupel_metric metric, mirror;
    CHECK_OK(cupel_metric_auroc(&metric, rising, top, 5));
    CHECK(metric.low > 0.2 && metric.low < 0.6);
    CHECK_NEAR(newcombe_gap(metric.low, 1, 2, 3), 0, 1e-12);
    CHECK_F64(metric.high, 1);
    CHECK_OK(cupel_metric_auroc(&mirror, rising, bottom, 5));
    CHECK_F64(mirror.low, 0);
    CHECK_NEAR(mirror.high, 1 - metric.low, 1e-15);
    CHECK_OK(cupel_metric_auroc(&metric, equal, half, 10));
    CHECK_F64(metric.value, 0.5);
    CHECK_NEAR(newcombe_gap(metric.low, 0.5, 5, 5), 0, 1e-12);
    CHECK_NEAR(metric.high, 1 - metric.low, 1e-15);
    CHECK(metric.low > 0.1 && metric.low < 0.3);

    /* average precision: the exact interval of 2 of 2, 1 of 1, and (rounded sums) 49 of 49 */
    CHECK_OK(cupel_metric_average_precision(&metric, rising, top, 5, 0));
    CHECK_NEAR(metric.low, sqrt(0.025), 1e-15);
    CHECK_F64(metric.high, 1);
    const uint8_t lone[] = {0, 0, 0, 0, 1};
    CHECK_OK(cupel_metric_average_precision(&metric, rising, lone, 5, 0.3));
    CHECK_NEAR(metric.low, 0.025, 1e-15);
    CHECK_F64(metric.high, 1);
    for (int i = 0; i < 50; i++) {
        scores[i] = i;
        positive[i] = i > 0;
    }
    CHECK_OK(cupel_metric_average_precision(&metric, scores, positive, 50, 0));
    CHECK_F64(metric.value, 1);
    CHECK_NEAR(metric.low, pow(0.025, 1.0 / 49), 1e-15);
}

/* In (0, 1). */
static double uniform(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

/* The share of intervals that hold the truth: with exponential scores of means a and 1 a positive
 * outranks a negative with the probability a / (a + 1). */
static double coverage(double area, int m, int n) {
    enum { ROUNDS = 4000 };
    uint64_t state = 1;
    int held = 0;
    for (int round = 0; round < ROUNDS; round++) {
        cupel_metric metric;
        for (int i = 0; i < m + n; i++) {
            positive[i] = i < m;
            scores[i] = -log(uniform(&state)) * (i < m ? area / (1 - area) : 1);
        }
        CHECK_OK(cupel_metric_auroc(&metric, scores, positive, m + n));
        CHECK(metric.low < metric.high);
        held += metric.low <= area && area <= metric.high;
    }
    return (double)held / ROUNDS;
}

/* 95 % is meant. DeLong's variance is one for many images: with ten positives of a skewed score it
 * comes out small, and 92.3 % hold. */
static void test_coverage(void **state) {
    (void)state;
    static const struct {
        double area;
        int m, n;
    } rows[] = {{0.5, 5, 5},    {0.8, 5, 5},   {0.95, 5, 5},   {0.99, 5, 5},   {0.9, 3, 10},
                {0.95, 10, 10}, {0.8, 10, 40}, {0.99, 10, 40}, {0.9, 52, 200}, {0.5, 52, 200}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("AUROC %g, %d + %d", rows[i].area, rows[i].m, rows[i].n);
        const double share = coverage(rows[i].area, rows[i].m, rows[i].n);
        printf("AUROC %g, %d + %d: %.4f\n", rows[i].area, rows[i].m, rows[i].n, share);
        CHECK(share > 0.92);
    }
}

typedef cupel_status (*two_class_metric)(cupel_metric *out, const double *s, const uint8_t *p,
                                         int64_t n);
static cupel_status average_precision(cupel_metric *out, const double *s, const uint8_t *p,
                                      int64_t n) {
    return cupel_metric_average_precision(out, s, p, n, 0);
}
static cupel_status fpr95(cupel_metric *out, const double *s, const uint8_t *p, int64_t n) {
    return cupel_metric_fpr_at_tpr(out, s, p, n, .95);
}
static cupel_status best_f1(cupel_metric *out, const double *s, const uint8_t *p, int64_t n) {
    return cupel_metric_best_f1(out, NULL, s, p, n);
}

static void check_undefined(const cupel_metric *metric, const char *why) {
    CHECK(isnan(metric->value));
    CHECK(isnan(metric->low));
    CHECK(isnan(metric->high));
    CHECK_CONTAINS(metric->reason, why);
}

static void test_undefined(void **state) {
    (void)state;
    static const two_class_metric metrics[] = {cupel_metric_auroc, average_precision, fpr95,
                                               best_f1};
    const double some[] = {1, 2, 3}, holes[] = {1, NAN, 3};
    const uint8_t none[] = {0, 0, 0}, all[] = {1, 1, 1}, mixed[] = {0, 1, 0};
    cupel_metric metric;
    for (size_t i = 0; i < 4; i++) {
        check_context("metric %zu", i);
        CHECK_OK(metrics[i](&metric, some, none, 3));
        check_undefined(&metric, "no positive (anomalous) images");
        CHECK_OK(metrics[i](&metric, some, all, 3));
        check_undefined(&metric, "no negative (normal) images");
        CHECK_OK(metrics[i](&metric, some, mixed, 0));
        check_undefined(&metric, "there are no scores");
        CHECK_OK(metrics[i](&metric, holes, mixed, 3));
        check_undefined(&metric, "score 1 is not a number");
        CHECK_STATUS(metrics[i](&metric, some, mixed, -1), CUPEL_STATUS_INVALID_ARGUMENT);
    }
    CHECK_OK(cupel_metric_quantile(&metric, some, 0, .5));
    check_undefined(&metric, "there are no values");
    CHECK_OK(cupel_metric_quantile(&metric, holes, 3, .5));
    check_undefined(&metric, "value 1 is not a number");

    cupel_confusion confusion;
    CHECK_STATUS(cupel_metric_confusion(&confusion, holes, mixed, 3, 0), CUPEL_STATUS_NOT_FINITE);
    CHECK_STATUS(cupel_metric_confusion(&confusion, some, mixed, 3, NAN), CUPEL_STATUS_NOT_FINITE);
    CHECK_OK(cupel_metric_confusion(&confusion, some, none, 3, 9));
    metric = cupel_confusion_f1(&confusion);
    check_undefined(&metric, "nothing is anomalous");
    metric = cupel_confusion_precision(&confusion);
    check_undefined(&metric, "nothing was called");
    metric = cupel_confusion_recall(&confusion);
    check_undefined(&metric, "nothing is anomalous");
}

static void test_parameters(void **state) {
    (void)state;
    const double some[] = {1, 2};
    const uint8_t mixed[] = {0, 1};
    static const double bad_rates[] = {0, -1, 1.01, NAN};
    cupel_metric m;
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(cupel_metric_fpr_at_tpr(&m, some, mixed, 2, bad_rates[i]),
                     CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(cupel_metric_average_precision(&m, some, mixed, 2, 1),
                 CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(cupel_metric_quantile(&m, some, 2, -.1), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(cupel_metric_quantile(&m, some, 2, NAN), CUPEL_STATUS_INVALID_ARGUMENT);
}

static void test_confusion(void **state) {
    (void)state;
    const double some[] = {1, 2, 2, 3, 4, 5};
    const uint8_t labels[] = {0, 1, 0, 0, 1, 1};
    cupel_confusion c;
    CHECK_OK(cupel_metric_confusion(&c, some, labels, 6, 2)); /* 2 is not above 2 */
    CHECK_I64(c.true_positives, 2);
    CHECK_I64(c.false_positives, 1);
    CHECK_I64(c.true_negatives, 2);
    CHECK_I64(c.false_negatives, 1);
    CHECK_NEAR(cupel_confusion_f1(&c).value, 4.0 / 6, 1e-15);
    CHECK_NEAR(cupel_confusion_precision(&c).value, 2.0 / 3, 1e-15);
    CHECK_NEAR(cupel_confusion_recall(&c).value, 2.0 / 3, 1e-15);
}

static void test_quantile(void **state) {
    (void)state;
    const double values[] = {30, 10, 20, 40};
    const double endless[] = {INFINITY, INFINITY, 1};
    static const double q[] = {0, 0.5, 1, 1.0 / 3, 0.1}, expected[] = {10, 25, 40, 20, 13};
    cupel_metric metric;
    for (int i = 0; i < 5; i++) {
        CHECK_OK(cupel_metric_quantile(&metric, values, 4, q[i]));
        CHECK_NEAR(metric.value, expected[i], 1e-12);
    }
    CHECK_OK(cupel_metric_quantile(&metric, values, 1, .99));
    CHECK_F64(metric.value, 30);
    CHECK_OK(cupel_metric_quantile(&metric, endless, 3, .9));
    CHECK_F64(metric.value, INFINITY);
}

static cupel_status all_body(void *user) {
    (void)user;
    cupel_metric metric;
    cupel_status status = cupel_metric_auroc(&metric, scores, positive, 100);
    if (status == CUPEL_STATUS_OK)
        status = average_precision(&metric, scores, positive, 100);
    if (status == CUPEL_STATUS_OK)
        status = fpr95(&metric, scores, positive, 100);
    if (status == CUPEL_STATUS_OK)
        status = best_f1(&metric, scores, positive, 100);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_quantile(&metric, scores, 100, .5);
    return status;
}

/* By hand: scores 10 to 20 put .3 at 13; only what lies above it is called. */
static void test_min_max(void **state) {
    (void)state;
    const double few[] = {13, 10, 20, 12.5, 14}, equal[] = {2, 2}, wild[] = {1, INFINITY};
    const uint8_t is[] = {1, 0, 1, 0, 0};
    cupel_metric metric;
    cupel_confusion counts;
    CHECK_OK(cupel_metric_min_max_threshold(&metric, few, 5, 0.3));
    CHECK_F64(metric.value, 13);
    CHECK_OK(cupel_metric_confusion(&counts, few, is, 5, metric.value));
    CHECK_I64(counts.true_positives, 1);
    CHECK_I64(counts.false_positives, 1);
    CHECK_I64(counts.true_negatives, 2);
    CHECK_I64(counts.false_negatives, 1);
    CHECK_OK(cupel_metric_min_max_threshold(&metric, few, 1, 0.3));
    CHECK(isnan(metric.value));
    CHECK_STRING(metric.reason, "a single score has no range");
    CHECK_OK(cupel_metric_min_max_threshold(&metric, few, 0, 0.3));
    CHECK_STRING(metric.reason, "there are no scores");
    CHECK_OK(cupel_metric_min_max_threshold(&metric, equal, 2, 0.3));
    CHECK(isnan(metric.value));
    CHECK_STRING(metric.reason, "all scores are equal");
    CHECK_OK(cupel_metric_min_max_threshold(&metric, wild, 2, 0.3));
    CHECK_STRING(metric.reason, "score 1 is not finite");
    CHECK_STATUS(cupel_metric_min_max_threshold(&metric, few, 5, 1.5),
                 CUPEL_STATUS_INVALID_ARGUMENT);
}

static void test_refused_memory(void **state) {
    (void)state;
    make_data(100, 50);
    CHECK_U64(drill_memory(all_body, NULL), 10);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_scikit_learn),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_intervals_at_the_ends),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_min_max),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
