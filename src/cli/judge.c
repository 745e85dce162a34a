/*
 * Gathers the scores that count and asks the metrics. Test: tests/eval.bats
 */
#include "judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "console.h"

static const double published_share = 0.3; /* of the study's min-max normalised threshold */

/* The finite scores of the images that count, with their labels, and how many there are. */
struct gathered {
    double *scores;
    uint8_t *positive;
    int64_t count;
};

static bool gather(struct gathered *out, struct judgement *judgement, const struct scored *scored,
                   const struct images_judged *images) {
    const size_t most = images->count > 0 ? (size_t)images->count : 1;
    *out = (struct gathered){.scores = calloc(most, sizeof *out->scores),
                             .positive = calloc(most, sizeof *out->positive)};
    if (out->scores == NULL || out->positive == NULL)
        return false;
    for (int64_t i = 0; i < images->count; i++) {
        const int64_t image = images->indices == NULL ? i : images->indices[i];
        const int kind = images->kinds[image];
        const bool positive = kind != CUPEL_KIND_NORMAL;
        if (positive && images->kind != CUPEL_KIND_NORMAL && kind != images->kind)
            continue;
        judgement->anomalies += positive;
        judgement->normal += !positive;
        if (!isfinite(scored->scores[image])) {
            judgement->left_out++;
            continue;
        }
        out->scores[out->count] = scored->scores[image];
        out->positive[out->count++] = positive;
    }
    return true;
}

static cupel_status call(struct called *out, double threshold, const char *reason,
                         const struct gathered *of) {
    *out = (struct called){.threshold = threshold};
    if (isnan(threshold)) {
        snprintf(out->reason, sizeof out->reason, "%s", reason);
        return CUPEL_STATUS_OK;
    }
    return cupel_metric_confusion(&out->counts, of->scores, of->positive, of->count, threshold);
}

static cupel_status judge_gathered(struct judgement *out, const struct gathered *of,
                                   const struct scored *scored, double prevalence) {
    const double *const scores = of->scores;
    const uint8_t *const positive = of->positive;
    const int64_t count = of->count;
    cupel_metric range, f1;
    double best = NAN;
    cupel_status status = cupel_metric_auroc(&out->auroc, scores, positive, count);
    if (status == CUPEL_STATUS_OK)
        status =
            cupel_metric_average_precision(&out->average_precision, scores, positive, count, 0.0);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_average_precision(&out->at_prevalence, scores, positive, count,
                                                prevalence);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_fpr_at_tpr(&out->fpr, scores, positive, count, 0.95);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_min_max_threshold(&range, scores, count, published_share);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_best_f1(&f1, &best, scores, positive, count);
    if (status == CUPEL_STATUS_OK)
        status = call(&out->held_out, scored->threshold, "there are no held-out normal images", of);
    if (status == CUPEL_STATUS_OK)
        status = call(&out->min_max, range.value, range.reason, of);
    if (status == CUPEL_STATUS_OK)
        status = call(&out->best_f1, best, f1.reason, of);
    return status;
}

int judge(struct judgement *out, const struct scored *scored, const struct images_judged *images) {
    struct gathered of;
    *out = (struct judgement){0};
    cupel_status status = CUPEL_STATUS_OUT_OF_MEMORY;
    if (gather(&of, out, scored, images))
        status = judge_gathered(out, &of, scored, images->prevalence);
    free(of.scores);
    free(of.positive);
    return fail_with(status, NULL);
}
