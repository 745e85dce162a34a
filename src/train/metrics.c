/*
 * Metrics of scores against labels. All of them walk one sorted copy of the scores in groups of
 * equal ones, so ties are exact and the cost is that of the sort. Test: tests/test_metrics.c
 */
#include "cupel/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

static const double z_95 = 1.959963984540054; /* the .975 quantile of the normal distribution */

struct ranked {
    double score;
    int64_t index;
    bool positive;
};

static int by_score(const void *a, const void *b) {
    const struct ranked *const x = a, *const y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index); /* the same order everywhere */
}

static cupel_metric defined(double value) {
    return (cupel_metric){.value = value, .low = NAN, .high = NAN};
}

static cupel_metric undefined(const char *reason) {
    cupel_metric metric = {.value = NAN, .low = NAN, .high = NAN};
    snprintf(metric.reason, sizeof metric.reason, "%s", reason);
    return metric;
}

/* The scores in ascending order with their labels. *out is NULL, and the metric says why, when no
 * metric of two classes is defined. */
static cupel_status rank(struct ranked **out, int64_t *positives, cupel_metric *metric,
                         const double *scores, const uint8_t *positive, int64_t count) {
    *out = NULL;
    *positives = 0;
    if (count < 0)
        return CUPEL_STATUS_INVALID_ARGUMENT;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(scores[i])) {
            *metric = undefined("");
            snprintf(metric->reason, sizeof metric->reason, "score %lld is not a number",
                     (long long)i);
            return CUPEL_STATUS_OK;
        }
        *positives += positive[i] != 0;
    }
    if (count == 0 || *positives == 0 || *positives == count) {
        *metric = undefined(count == 0        ? "there are no scores"
                            : *positives == 0 ? "there are no positive (anomalous) images"
                                              : "there are no negative (normal) images");
        return CUPEL_STATUS_OK;
    }
    struct ranked *const ranked = cupel_alloc((size_t)count, sizeof *ranked);
    if (ranked == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    for (int64_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){scores[i], i, positive[i] != 0};
    qsort(ranked, (size_t)count, sizeof *ranked, by_score);
    *out = ranked;
    return CUPEL_STATUS_OK;
}

/* One past the last element whose score equals that of `begin`, walking up. */
static int64_t group_end(const struct ranked *ranked, int64_t begin, int64_t count) {
    int64_t end = begin + 1;
    while (end < count && ranked[end].score == ranked[begin].score)
        end++;
    return end;
}

/* The first element of the group that ends at `end`, walking down. */
static int64_t group_begin(const struct ranked *ranked, int64_t end) {
    int64_t begin = end - 1;
    while (begin > 0 && ranked[begin - 1].score == ranked[end - 1].score)
        begin--;
    return begin;
}

static double square(double x) {
    return x * x;
}

/* The logistic function's inverse +/- a distance, and back: stays within 0 and 1. */
static double move_logit(double share, double distance) {
    return 1 / (1 + exp(-distance - log(share / (1 - share))));
}

/* Hanley and McNeil's variance of an AUROC of `area`, with m and n both replaced by their mean
 * where they say how much the two single-class terms weigh (Newcombe 2006, method 5). */
static double newcombe_variance(double area, double m, double n) {
    const double rest = (m + n) / 2 - 1;
    return area * (1 - area) * (1 + rest * (1 - area) / (2 - area) + rest * area / (1 + area)) /
           (m * n);
}

/* The least true area from which `area` lies no farther than the interval allows. */
static double newcombe_low(double area, double m, double n) {
    enum { HALVINGS = 60 };
    double below = 0, within = area;
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (below + within) / 2;
        if (area - middle > z_95 * sqrt(newcombe_variance(middle, m, n)))
            below = middle;
        else
            within = middle;
    }
    return within;
}

/* A single image of a class says nothing about its spread: everything is possible. Scores that are
 * fully separated or all equal have no variance of their own, though they are as uncertain as
 * any. */
static void auroc_interval(cupel_metric *out, double variance, double m, double n) {
    if (m < 2 || n < 2) {
        out->low = 0;
        out->high = 1;
    } else if (variance > 0) {
        const double spread = z_95 * sqrt(variance) / (out->value * (1 - out->value));
        out->low = move_logit(out->value, -spread);
        out->high = move_logit(out->value, spread);
    } else {
        out->low = newcombe_low(out->value, m, n);
        out->high = 1 - newcombe_low(1 - out->value, m, n);
    }
}

/*
 * With m positives X and n negatives Y, and psi(x, y) = 1, 1/2 or 0 for x above, equal to or below
 * y: AUROC = mean psi. A positive's own mean over all negatives is V10 = (negatives below it +
 * ties/2) / n, a negative's over all positives is V01 likewise; the variance of the AUROC is
 * var(V10)/m + var(V01)/n. Both come from counting within groups of ties, in two walks: mean first,
 * then squares around it. Counts and their sums are exact, so no variance is exactly 0.
 */
static void delong(cupel_metric *out, const struct ranked *ranked, int64_t count, int64_t m) {
    const int64_t n = count - m;
    double wins = 0, area = 0, above_squares = 0, below_squares = 0;
    for (int walk = 0; walk < 2; walk++) {
        int64_t positives_below = 0, negatives_below = 0;
        for (int64_t begin = 0, end; begin < count; begin = end) {
            int64_t positives = 0;
            end = group_end(ranked, begin, count);
            for (int64_t i = begin; i < end; i++)
                positives += ranked[i].positive;
            const int64_t negatives = end - begin - positives;
            const double beaten = (double)negatives_below + 0.5 * (double)negatives;
            const double beaten_by =
                (double)(m - positives_below - positives) + 0.5 * (double)positives;
            if (walk == 0) {
                wins += (double)positives * beaten;
            } else {
                above_squares += (double)positives * square(beaten / (double)n - area);
                below_squares += (double)negatives * square(beaten_by / (double)m - area);
            }
            positives_below += positives;
            negatives_below += negatives;
        }
        area = wins / ((double)m * (double)n);
    }
    *out = defined(area);
    auroc_interval(out,
                   above_squares / ((double)(m - 1) * (double)m) +
                       below_squares / ((double)(n - 1) * (double)n),
                   (double)m, (double)n);
}

cupel_status cupel_metric_auroc(cupel_metric *out, const double *scores, const uint8_t *positive,
                                int64_t count) {
    struct ranked *ranked;
    int64_t positives;
    CUPEL_TRY(rank(&ranked, &positives, out, scores, positive, count));
    if (ranked != NULL)
        delong(out, ranked, count, positives);
    cupel_free(ranked);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_metric_average_precision(cupel_metric *out, const double *scores,
                                            const uint8_t *positive, int64_t count,
                                            double prevalence) {
    struct ranked *ranked;
    int64_t positives;
    if (!(prevalence >= 0 && prevalence < 1))
        return CUPEL_STATUS_INVALID_ARGUMENT;
    CUPEL_TRY(rank(&ranked, &positives, out, scores, positive, count));
    if (ranked == NULL)
        return CUPEL_STATUS_OK;
    const double m = (double)positives, n = (double)(count - positives);
    const double weight = prevalence == 0 ? 1 : m * (1 - prevalence) / (prevalence * n);
    double sum = 0, found = 0, false_alarms = 0;
    bool perfect = true; /* no negative among the positives: 1, however the sum is rounded */
    for (int64_t end = count, begin; end > 0; end = begin) {
        double more = 0;
        begin = group_begin(ranked, end);
        for (int64_t i = begin; i < end; i++)
            more += ranked[i].positive;
        found += more;
        false_alarms += (double)(end - begin) - more;
        sum += more / m * (found / (found + weight * false_alarms));
        perfect = perfect && (more == 0 || false_alarms == 0);
    }
    cupel_free(ranked);
    perfect = perfect || sum >= 1; /* rounded */
    *out = defined(perfect ? 1 : sum);
    if (perfect) {
        out->low = pow(0.025, 1 / m);
        out->high = 1;
    } else {
        const double spread = z_95 / sqrt(m * sum * (1 - sum));
        out->low = move_logit(sum, -spread);
        out->high = move_logit(sum, spread);
    }
    return CUPEL_STATUS_OK;
}

cupel_status cupel_metric_fpr_at_tpr(cupel_metric *out, const double *scores,
                                     const uint8_t *positive, int64_t count, double rate) {
    struct ranked *ranked;
    int64_t positives;
    if (!(rate > 0 && rate <= 1))
        return CUPEL_STATUS_INVALID_ARGUMENT;
    CUPEL_TRY(rank(&ranked, &positives, out, scores, positive, count));
    if (ranked == NULL)
        return CUPEL_STATUS_OK;
    int64_t found = 0, false_alarms = 0;
    for (int64_t end = count, begin; end > 0; end = begin) {
        begin = group_begin(ranked, end);
        for (int64_t i = begin; i < end; i++) {
            found += ranked[i].positive;
            false_alarms += !ranked[i].positive;
        }
        if ((double)found >= rate * (double)positives)
            break;
    }
    cupel_free(ranked);
    *out = defined((double)false_alarms / (double)(count - positives));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_metric_best_f1(cupel_metric *out, double *threshold, const double *scores,
                                  const uint8_t *positive, int64_t count) {
    struct ranked *ranked;
    int64_t positives;
    if (threshold != NULL)
        *threshold = NAN;
    CUPEL_TRY(rank(&ranked, &positives, out, scores, positive, count));
    if (ranked == NULL)
        return CUPEL_STATUS_OK;
    double best = -1, best_threshold = NAN;
    int64_t found = 0;
    for (int64_t end = count, begin; end > 0; end = begin) {
        begin = group_begin(ranked, end);
        for (int64_t i = begin; i < end; i++)
            found += ranked[i].positive;
        /* called: count - begin; 2 TP + FP + FN is called + positives */
        const double f1 = 2 * (double)found / (double)(count - begin + positives);
        if (f1 > best) {
            best = f1;
            best_threshold =
                begin > 0 ? ranked[begin - 1].score : nextafter(ranked[0].score, -INFINITY);
        }
    }
    cupel_free(ranked);
    *out = defined(best);
    if (threshold != NULL)
        *threshold = best_threshold;
    return CUPEL_STATUS_OK;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

cupel_status cupel_metric_quantile(cupel_metric *out, const double *values, int64_t count,
                                   double q) {
    if (count < 0 || !(q >= 0 && q <= 1))
        return CUPEL_STATUS_INVALID_ARGUMENT;
    if (count == 0) {
        *out = undefined("there are no values");
        return CUPEL_STATUS_OK;
    }
    double *const sorted = cupel_alloc((size_t)count, sizeof *sorted);
    if (sorted == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        sorted[i] = values[i];
        if (isnan(values[i])) {
            cupel_free(sorted);
            *out = undefined("");
            snprintf(out->reason, sizeof out->reason, "value %lld is not a number", (long long)i);
            return CUPEL_STATUS_OK;
        }
    }
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    const double place = q * (double)(count - 1);
    const int64_t below = (int64_t)place;
    const double part = place - (double)below;
    const double a = sorted[below], b = part > 0 ? sorted[below + 1] : a;
    cupel_free(sorted);
    *out = defined(a == b ? a : a + (b - a) * part); /* equal infinities have no difference */
    return CUPEL_STATUS_OK;
}

cupel_status cupel_metric_min_max_threshold(cupel_metric *out, const double *scores, int64_t count,
                                            double share) {
    double low = INFINITY, high = -INFINITY;
    if (count < 0 || !(share >= 0 && share <= 1))
        return CUPEL_STATUS_INVALID_ARGUMENT;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(scores[i])) {
            *out = undefined("");
            snprintf(out->reason, sizeof out->reason, "score %lld is not finite", (long long)i);
            return CUPEL_STATUS_OK;
        }
        low = fmin(low, scores[i]);
        high = fmax(high, scores[i]);
    }
    if (count < 2 || low == high)
        *out = undefined(count == 0   ? "there are no scores"
                         : count == 1 ? "a single score has no range"
                                      : "all scores are equal");
    else
        *out = defined(low + share * (high - low));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_metric_confusion(cupel_confusion *out, const double *scores,
                                    const uint8_t *positive, int64_t count, double threshold) {
    *out = (cupel_confusion){0};
    if (count < 0)
        return CUPEL_STATUS_INVALID_ARGUMENT;
    if (isnan(threshold))
        return CUPEL_STATUS_NOT_FINITE;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(scores[i]))
            return CUPEL_STATUS_NOT_FINITE;
        const bool called = scores[i] > threshold, is = positive[i] != 0;
        out->true_positives += called && is;
        out->false_positives += called && !is;
        out->true_negatives += !called && !is;
        out->false_negatives += !called && is;
    }
    return CUPEL_STATUS_OK;
}

static cupel_metric ratio(int64_t part, int64_t whole, const char *reason) {
    return whole > 0 ? defined((double)part / (double)whole) : undefined(reason);
}

cupel_metric cupel_confusion_f1(const cupel_confusion *c) {
    return ratio(2 * c->true_positives,
                 2 * c->true_positives + c->false_positives + c->false_negatives,
                 "nothing is anomalous and nothing was called so");
}

cupel_metric cupel_confusion_precision(const cupel_confusion *c) {
    return ratio(c->true_positives, c->true_positives + c->false_positives,
                 "nothing was called anomalous");
}

cupel_metric cupel_confusion_recall(const cupel_confusion *c) {
    return ratio(c->true_positives, c->true_positives + c->false_negatives, "nothing is anomalous");
}
