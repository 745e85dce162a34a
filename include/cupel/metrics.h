/*
 * Metrics of scores against labels. A higher score means more anomalous; the positive class is the
 * anomalous one; an image is called anomalous when its score is strictly above the threshold.
 *
 * A metric that the data leave undefined (one class only, no image, a score that is not a number)
 * is not a failure and never 0: its value is NaN and its reason says why. The functions fail with
 * INVALID_ARGUMENT for a count below 0 or a parameter out of its range, and with OUT_OF_MEMORY.
 */
#ifndef CUPEL_METRICS_H
#define CUPEL_METRICS_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a scorer (score.h) says of one image, in nats, summed over its pixels and latents. Weights
 * so large that the arithmetic overflows give scores that are not finite: they say nothing, neither
 * "normal" nor "anomalous". */
typedef struct cupel_score {
    double score;          /* reconstruction + kl */
    double reconstruction; /* reconstruction error */
    double kl;
} cupel_score;

typedef struct cupel_metric {
    double value;     /* NaN when undefined */
    double low, high; /* 95 % interval where the metric has one, else NaN */
    char reason[96];  /* "" when defined */
} cupel_metric;

typedef struct cupel_confusion {
    int64_t true_positives, false_positives, true_negatives, false_negatives;
} cupel_confusion;

/* In all of them: scores[count], positive[count] (0 or not). */

/* Area under the ROC curve: the probability that a positive outranks a negative, ties counting one
 * half. The interval has DeLong's variance (DeLong et al. 1988; Sun and Xu 2014) on the scale of
 * the logit, which keeps it within 0 and 1 (Qin and Hotilovac 2008). Where that variance is 0, as
 * all scores are equal or the classes are fully separated, it is method 5 of Newcombe 2006, which
 * inverts Hanley and McNeil's variance and has a width at every area. With a single image of a
 * class it is 0 to 1. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_auroc(cupel_metric *out, const double *scores,
                                                        const uint8_t *positive, int64_t count);
/* Average precision: the sum over thresholds of (change of recall) x precision, as scikit-learn
 * defines it (no interpolation). With a prevalence in (0, 1) the negatives are re-weighted so that
 * positives have that share; 0 leaves them as they are. The interval is the logit one of Boyd et
 * al. 2013, which takes it for a share of the positives; at 1, where that has no width, the exact
 * one of such a share (Clopper and Pearson 1934): .025^(1/positives) to 1. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_average_precision(cupel_metric *out,
                                                                    const double *scores,
                                                                    const uint8_t *positive,
                                                                    int64_t count,
                                                                    double prevalence);
/* The smallest false positive rate of any threshold whose true positive rate is at least `rate`, in
 * (0, 1]; .95 is the usual one. No interval. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_fpr_at_tpr(cupel_metric *out,
                                                             const double *scores,
                                                             const uint8_t *positive, int64_t count,
                                                             double rate);
/* The largest F1 of any threshold, and the highest threshold (may be NULL) that reaches it. An
 * oracle: it is chosen with the labels in sight. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_best_f1(cupel_metric *out, double *threshold,
                                                          const double *scores,
                                                          const uint8_t *positive, int64_t count);
/* The quantile q in [0, 1], interpolated between neighbours as NumPy does by default. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_quantile(cupel_metric *out, const double *values,
                                                           int64_t count, double q);
/* The threshold that lies at `share` of the range of the scores, from the lowest (0) to the highest
 * (1). Transductive: it depends on all images of the set, and one outlier moves it, so it is no
 * property of a model. Undefined for fewer than two scores and for equal ones. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_min_max_threshold(cupel_metric *out,
                                                                    const double *scores,
                                                                    int64_t count, double share);
/* Counts at a threshold. NOT_FINITE when a score or the threshold is not a number. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_metric_confusion(cupel_confusion *out,
                                                            const double *scores,
                                                            const uint8_t *positive, int64_t count,
                                                            double threshold);
/* 2 TP / (2 TP + FP + FN); undefined when all three are 0. */
CUPEL_API cupel_metric cupel_confusion_f1(const cupel_confusion *confusion);
/* TP / (TP + FP) and TP / (TP + FN). */
CUPEL_API cupel_metric cupel_confusion_precision(const cupel_confusion *confusion);
CUPEL_API cupel_metric cupel_confusion_recall(const cupel_confusion *confusion);

#ifdef __cplusplus
}
#endif
#endif
