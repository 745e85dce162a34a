/*
 * The report over draws: each is what a representative set is, made of test images that no choice
 * has seen, so its spread is what one such set can say. Test: tests/eval.bats
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cupel/number.h>

#include "console.h"
#include "eval.h"

enum { AUROC = 0, PRECISION, FOUND, KEPT, FIGURES };
static const char *const keys[FIGURES] = {"auroc", "average_precision", "found", "kept"};
static const int decimals[FIGURES] = {3, 3, 1, 1};

/* A figure over the draws that define it. */
struct spread {
    double mean, low, high; /* low and high: quantiles .025 and .975; NaN: no draw defines it */
    int64_t draws;
};

static int spread_of(struct spread *out, const double *values, int64_t count, double *scratch) {
    cupel_metric low, high;
    double sum = 0;
    *out = (struct spread){.mean = NAN};
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            scratch[out->draws++] = values[i];
        }
    cupel_status status = cupel_metric_quantile(&low, scratch, out->draws, 0.025);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_quantile(&high, scratch, out->draws, 0.975);
    if (status != CUPEL_STATUS_OK)
        return fail_with(status, NULL);
    out->mean = out->draws > 0 ? sum / (double)out->draws : NAN;
    out->low = low.value;
    out->high = high.value;
    return EXIT_FINE;
}

/* values: [FIGURES, draws] */
static void keep_figures(const struct judgement *judged, double *values, int64_t draws,
                         int64_t draw) {
    const bool called = !isnan(judged->min_max.threshold);
    values[AUROC * draws + draw] = judged->auroc.value;
    values[PRECISION * draws + draw] = judged->average_precision.value;
    values[FOUND * draws + draw] = called ? (double)judged->min_max.counts.true_positives : NAN;
    values[KEPT * draws + draw] = called ? (double)judged->min_max.counts.true_negatives : NAN;
}

static void print_json_row(const char *name, const struct spread *spreads, bool first) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    printf("%s{\"name\": \"%s\"", first ? "" : ", ", name);
    for (int figure = 0; figure < FIGURES; figure++) {
        const struct spread *const s = &spreads[figure];
        if (s->draws == 0) {
            printf(", \"%s\": null, \"%s_reason\": \"no draw defines it\"", keys[figure],
                   keys[figure]);
            continue;
        }
        printf(", \"%s\": %s", keys[figure], cupel_number_format(number, s->mean));
        printf(", \"%s_low\": %s", keys[figure], cupel_number_format(number, s->low));
        printf(", \"%s_high\": %s", keys[figure], cupel_number_format(number, s->high));
    }
    printf("}");
}

static void print_table_row(const char *name, const struct spread *spreads) {
    printf("%-15s", name);
    for (int figure = 0; figure < FIGURES; figure++) {
        const struct spread *const s = &spreads[figure];
        char mean[CUPEL_NUMBER_TEXT_SIZE], low[CUPEL_NUMBER_TEXT_SIZE],
            high[CUPEL_NUMBER_TEXT_SIZE], text[64];
        if (s->draws == 0)
            snprintf(text, sizeof text, "-");
        else
            snprintf(text, sizeof text, "%.10s (%.10s to %.10s)",
                     cupel_number_format_fixed(mean, s->mean, decimals[figure]),
                     cupel_number_format_fixed(low, s->low, decimals[figure]),
                     cupel_number_format_fixed(high, s->high, decimals[figure]));
        printf(figure == FIGURES - 1 ? " %s\n" : " %-24s", text);
    }
}

/* indices: [draws, size]; values and scratch: [FIGURES, draws] and [draws] */
static int report_scored(const struct evaluation *evaluation, const struct scored *scored,
                         const int64_t *indices, int64_t size, double *values, double *scratch,
                         struct spread *spreads) {
    const int64_t draws = evaluation->draws;
    int code = EXIT_FINE;
    for (int64_t draw = 0; draw < draws && code == EXIT_FINE; draw++) {
        struct judgement judged;
        const struct images_judged images = {.kinds = evaluation->split.kinds,
                                             .count = size,
                                             .indices = indices + draw * size,
                                             .prevalence = evaluation->prevalence};
        code = judge(&judged, scored, &images);
        keep_figures(&judged, values, draws, draw);
    }
    for (int figure = 0; figure < FIGURES && code == EXIT_FINE; figure++)
        code = spread_of(&spreads[figure], values + figure * draws, draws, scratch);
    return code;
}

static int report_all(const struct evaluation *evaluation, const int64_t *indices, int64_t size,
                      double *values, double *scratch, bool json) {
    int64_t normal = 0;
    int code = EXIT_FINE;
    for (int64_t i = 0; i < size; i++) /* the first draw: all have as many of each kind */
        normal += evaluation->split.kinds[indices[i]] == CUPEL_KIND_NORMAL;
    if (json)
        printf("{\"draws\": %lld, \"normal\": %lld, \"anomalies\": %lld, \"scorers\": [",
               (long long)evaluation->draws, (long long)normal, (long long)(size - normal));
    else
        printf("%lld draws of %lld normal images and %lld anomalies (positive class) from the test "
               "split:\nmean (2.5 %% to 97.5 %%); found and kept at .3 of min to max of each "
               "draw's scores\n\n%-15s %-24s %-24s %-24s %s\n",
               (long long)evaluation->draws, (long long)normal, (long long)(size - normal), "",
               "AUROC", "average precision", "anomalies found", "normal images kept");
    for (size_t i = 0; i < evaluation->n_scored && code == EXIT_FINE; i++) {
        struct spread spreads[FIGURES];
        code = report_scored(evaluation, &evaluation->scored[i], indices, size, values, scratch,
                             spreads);
        if (code == EXIT_FINE && json)
            print_json_row(evaluation->scored[i].name, spreads, i == 0);
        else if (code == EXIT_FINE)
            print_table_row(evaluation->scored[i].name, spreads);
    }
    if (code == EXIT_FINE && json)
        printf("]}\n");
    return code;
}

int report_draws(const struct evaluation *evaluation, bool json) {
    const int64_t size = cupel_protocol_draw_size(evaluation->protocol);
    const size_t draws = (size_t)evaluation->draws;
    if (size == 0) {
        complain("the recipe has no representative sets to draw: set data.representative and "
                 "anomaly.mixed_*");
        return EXIT_DATA;
    }
    int64_t *const indices = calloc(draws * (size_t)size, sizeof *indices);
    double *const values = calloc(draws * FIGURES, sizeof *values);
    double *const scratch = calloc(draws, sizeof *scratch);
    int code = EXIT_FINE;
    if (indices == NULL || values == NULL || scratch == NULL)
        code = fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    for (size_t draw = 0; draw < draws && code == EXIT_FINE; draw++)
        code = fail_with(cupel_protocol_draw(evaluation->protocol, (uint32_t)draw,
                                             indices + draw * (size_t)size),
                         cupel_protocol_error(evaluation->protocol));
    if (code == EXIT_FINE)
        code = report_all(evaluation, indices, size, values, scratch, json);
    free(indices);
    free(values);
    free(scratch);
    return code;
}
