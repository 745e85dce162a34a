/*
 * The report of a split: for each kind of anomaly, and for all together, a row a score. What is not
 * defined is "-" in the table and null in JSON, with its reason. Test: tests/eval.bats
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cupel/number.h>

#include "console.h"
#include "eval.h"

/* --- JSON --- */

static void print_value(const char *key, double value) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    printf(", \"%s\": %s", key, isnan(value) ? "null" : cupel_number_format(number, value));
}

/* Reasons are plain sentences of our own, so they need no escapes. */
static void print_metric(const char *key, const cupel_metric *metric, bool interval) {
    char name[64];
    print_value(key, metric->value);
    if (isnan(metric->value))
        printf(", \"%s_reason\": \"%s\"", key, metric->reason);
    if (isnan(metric->value) || !interval)
        return;
    snprintf(name, sizeof name, "%s_low", key);
    print_value(name, metric->low);
    snprintf(name, sizeof name, "%s_high", key);
    print_value(name, metric->high);
}

/* `note` says what the threshold is. */
static void print_called(const char *key, const struct called *called, const char *note) {
    const cupel_confusion *const c = &called->counts;
    if (isnan(called->threshold)) {
        printf(", \"%s\": null, \"%s_reason\": \"%s\"", key, key, called->reason);
        return;
    }
    const cupel_metric f1 = cupel_confusion_f1(c);
    printf(", \"%s\": {\"rule\": \"%s\"", key, note);
    print_value("threshold", called->threshold);
    printf(", \"true_positives\": %lld, \"false_positives\": %lld, \"true_negatives\": %lld, "
           "\"false_negatives\": %lld",
           (long long)c->true_positives, (long long)c->false_positives,
           (long long)c->true_negatives, (long long)c->false_negatives);
    print_metric("f1", &f1, false);
    printf("}");
}

static void print_json_row(const struct scored *scored, const struct judgement *judged) {
    printf("{\"name\": \"%s\", \"left_out\": %lld", scored->name, (long long)judged->left_out);
    print_metric("auroc", &judged->auroc, true);
    print_metric("average_precision", &judged->average_precision, true);
    print_metric("average_precision_at_prevalence", &judged->at_prevalence, true);
    print_metric("fpr_at_95_tpr", &judged->fpr, false);
    print_called("at_threshold", &judged->held_out, scored->rule);
    print_called("at_min_max_0.3", &judged->min_max,
                 "0.3 of the range of the scores judged here (transductive)");
    print_called("at_best_f1", &judged->best_f1, "largest F1 (oracle)");
    printf("}");
}

/* --- the table --- */

static void format_metric(char out[48], const cupel_metric *metric) {
    char value[CUPEL_NUMBER_TEXT_SIZE], low[CUPEL_NUMBER_TEXT_SIZE], high[CUPEL_NUMBER_TEXT_SIZE];
    if (isnan(metric->value))
        snprintf(out, 48, "-");
    else if (isnan(metric->low))
        snprintf(out, 48, "%s", cupel_number_format_fixed(value, metric->value, 3));
    else
        snprintf(out, 48, "%.8s (%.8s to %.8s)", cupel_number_format_fixed(value, metric->value, 3),
                 cupel_number_format_fixed(low, metric->low, 3),
                 cupel_number_format_fixed(high, metric->high, 3));
}

static void format_called(char out[48], const struct called *called) {
    const cupel_confusion *const c = &called->counts;
    char text[CUPEL_NUMBER_TEXT_SIZE];
    if (isnan(called->threshold)) {
        snprintf(out, 48, "-");
        return;
    }
    const cupel_metric f1 = cupel_confusion_f1(c);
    snprintf(out, 48, "%lld / %lld / %.8s", (long long)c->true_positives,
             (long long)c->true_negatives,
             isnan(f1.value) ? "-" : cupel_number_format_fixed(text, f1.value, 3));
}

static void print_metrics_head(double prevalence) {
    char percent[CUPEL_NUMBER_TEXT_SIZE], column[64];
    snprintf(column, sizeof column, "at %s %% anomalies",
             cupel_number_format_fixed(percent, 100 * prevalence, 1));
    printf("%-15s %-23s %-23s %-23s %s\n", "", "AUROC", "average precision", column,
           "FPR at 95 % TPR");
}

static void print_metrics_row(const struct scored *scored, const struct judgement *judged) {
    char auroc[48], precision[48], prevalence[48], fpr[48];
    format_metric(auroc, &judged->auroc);
    format_metric(precision, &judged->average_precision);
    format_metric(prevalence, &judged->at_prevalence);
    format_metric(fpr, &judged->fpr);
    printf("%-15s %-23s %-23s %-23s %s\n", scored->name, auroc, precision, prevalence, fpr);
    if (isnan(judged->auroc.value))
        printf("  undefined: %s\n", judged->auroc.reason);
}

static void print_called_row(const struct scored *scored, const struct judgement *judged) {
    char held_out[48], min_max[48], best[48];
    format_called(held_out, &judged->held_out);
    format_called(min_max, &judged->min_max);
    format_called(best, &judged->best_f1);
    printf("%-15s %-23s %-23s %s\n", scored->name, held_out, min_max, best);
}

/* --- both --- */

static const char *title(const struct evaluation *evaluation, int kind) {
    return kind == CUPEL_KIND_NORMAL
               ? "all anomalies"
               : cupel_protocol_kind_name(evaluation->protocol, (cupel_protocol_kind)kind);
}

static void print_table(const struct evaluation *evaluation, const struct judgement *judged,
                        int kind) {
    const long long anomalies = (long long)judged[0].anomalies;
    printf("\n%s: positive class: anomaly, %lld of %lld images; intervals are 95 %%\n",
           title(evaluation, kind), anomalies, anomalies + (long long)judged[0].normal);
    print_metrics_head(evaluation->prevalence);
    for (size_t i = 0; i < evaluation->n_scored; i++)
        print_metrics_row(&evaluation->scored[i], &judged[i]);
    printf("anomalies found / normal images kept / F1\n%-15s %-23s %-23s %s\n", "",
           "at the threshold", "at .3 of min to max", "at the best F1 (oracle)");
    for (size_t i = 0; i < evaluation->n_scored; i++)
        print_called_row(&evaluation->scored[i], &judged[i]);
}

static void print_json(const struct evaluation *evaluation, const struct judgement *judged,
                       int kind) {
    printf("{\"kind\": \"%s\", \"anomalies\": %lld, \"normal\": %lld, \"scorers\": [",
           title(evaluation, kind), (long long)judged[0].anomalies, (long long)judged[0].normal);
    for (size_t i = 0; i < evaluation->n_scored; i++) {
        printf("%s", i == 0 ? "" : ", ");
        print_json_row(&evaluation->scored[i], &judged[i]);
    }
    printf("]}");
}

static int report_kind(const struct evaluation *evaluation, int kind, bool json) {
    struct judgement *const judged = calloc(evaluation->n_scored, sizeof *judged);
    const struct images_judged images = {.kinds = evaluation->split.kinds,
                                         .count = evaluation->count,
                                         .kind = kind,
                                         .prevalence = evaluation->prevalence};
    int code = judged == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL) : EXIT_FINE;
    for (size_t i = 0; i < evaluation->n_scored && code == EXIT_FINE; i++)
        code = judge(&judged[i], &evaluation->scored[i], &images);
    for (size_t i = 0; i < evaluation->n_scored && code == EXIT_FINE; i++)
        if (judged[i].left_out > 0)
            complain("%s: %lld of %lld images have no finite score and are left out of its metrics",
                     evaluation->scored[i].name, (long long)judged[i].left_out,
                     (long long)(judged[i].anomalies + judged[i].normal));
    if (code == EXIT_FINE && json)
        print_json(evaluation, judged, kind);
    else if (code == EXIT_FINE)
        print_table(evaluation, judged, kind);
    free(judged);
    return code;
}

/* --- corruption by corruption --- */

/* indices: of the normal images and of those damaged by the corruption `which` of `number`. */
static int64_t choose_corrupted(const struct evaluation *evaluation, size_t which, size_t number,
                                int64_t *indices) {
    size_t corrupted = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < evaluation->count; i++) {
        const int kind = evaluation->split.kinds[i];
        if (kind == CUPEL_KIND_NORMAL ||
            (kind == CUPEL_KIND_CORRUPTED && corrupted++ % number == which))
            indices[count++] = i;
    }
    return count;
}

/* judged: [n_scored, number] */
static int judge_corruptions(const struct evaluation *evaluation, size_t number,
                             struct judgement *judged) {
    int64_t *const indices = calloc((size_t)evaluation->count, sizeof *indices);
    int code = indices == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL) : EXIT_FINE;
    for (size_t which = 0; which < number && code == EXIT_FINE; which++) {
        const struct images_judged images = {
            .kinds = evaluation->split.kinds,
            .count = choose_corrupted(evaluation, which, number, indices),
            .indices = indices,
            .kind = CUPEL_KIND_CORRUPTED,
            .prevalence = evaluation->prevalence};
        for (size_t i = 0; i < evaluation->n_scored && code == EXIT_FINE; i++)
            code = judge(&judged[i * number + which], &evaluation->scored[i], &images);
    }
    free(indices);
    return code;
}

static void print_corruptions(const struct evaluation *evaluation, size_t number,
                              const struct judgement *judged) {
    printf("AUROC by corruption\n%-15s", "");
    for (size_t which = 0; which < number; which++)
        printf(" %-23s", cupel_protocol_corruption_name(evaluation->protocol, which));
    for (size_t i = 0; i < evaluation->n_scored; i++) {
        printf("\n%-15s", evaluation->scored[i].name);
        for (size_t which = 0; which < number; which++) {
            char auroc[48];
            format_metric(auroc, &judged[i * number + which].auroc);
            printf(" %-23s", auroc);
        }
    }
    printf("\n");
}

static void print_json_corruptions(const struct evaluation *evaluation, size_t number,
                                   const struct judgement *judged) {
    printf(", \"corruptions\": [");
    for (size_t which = 0; which < number; which++) {
        printf("%s{\"corruption\": \"%s\", \"anomalies\": %lld, \"scorers\": [",
               which == 0 ? "" : ", ", cupel_protocol_corruption_name(evaluation->protocol, which),
               (long long)judged[which].anomalies);
        for (size_t i = 0; i < evaluation->n_scored; i++) {
            printf("%s", i == 0 ? "" : ", ");
            print_json_row(&evaluation->scored[i], &judged[i * number + which]);
        }
        printf("]}");
    }
    printf("]");
}

/* A column a corruption where there are several; in JSON all that a kind has. */
static int report_corruptions(const struct evaluation *evaluation, bool json) {
    size_t number = 0;
    while (cupel_protocol_corruption_name(evaluation->protocol, number) != NULL)
        number++;
    if (evaluation->split.counts[CUPEL_KIND_CORRUPTED] == 0 || number < 2)
        return EXIT_FINE;
    struct judgement *const judged = calloc(evaluation->n_scored * number, sizeof *judged);
    int code = judged == NULL ? fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL)
                              : judge_corruptions(evaluation, number, judged);
    if (code == EXIT_FINE && json)
        print_json_corruptions(evaluation, number, judged);
    else if (code == EXIT_FINE)
        print_corruptions(evaluation, number, judged);
    free(judged);
    return code;
}

int report_kinds(const struct evaluation *evaluation, bool json) {
    const cupel_protocol_split *const split = &evaluation->split;
    const struct scored *const network = &evaluation->scored[0];
    char number[CUPEL_NUMBER_TEXT_SIZE];
    int kinds = 0, code = EXIT_FINE;
    const int64_t anomalies = evaluation->count - split->counts[CUPEL_KIND_NORMAL];
    if (json)
        printf("{\"split\": \"%s\", \"positive\": \"anomaly\", \"images\": %lld, \"anomalies\": "
               "%lld, \"prevalence\": %s, \"kinds\": [",
               evaluation->split_name, (long long)evaluation->count, (long long)anomalies,
               cupel_number_format(number, evaluation->prevalence));
    else
        printf("split %s: %lld normal images, %lld anomalies\n", evaluation->split_name,
               (long long)split->counts[CUPEL_KIND_NORMAL], (long long)anomalies);
    for (int kind = 1; kind < CUPEL_KIND_COUNT && code == EXIT_FINE; kind++)
        if (split->counts[kind] > 0) {
            printf("%s", json && kinds > 0 ? ", " : "");
            code = report_kind(evaluation, kind, json);
            if (code == EXIT_FINE && kind == CUPEL_KIND_CORRUPTED && !json)
                code = report_corruptions(evaluation, json);
            kinds++;
        }
    if (code == EXIT_FINE && kinds != 1) { /* several together; or none, and the reasons why */
        printf("%s", json && kinds > 0 ? ", " : "");
        code = report_kind(evaluation, CUPEL_KIND_NORMAL, json);
    }
    if (code == EXIT_FINE && json) {
        printf("]");
        code = report_corruptions(evaluation, json);
        printf("}\n");
    } else if (code == EXIT_FINE && network->rule[0] != '\0') {
        printf("\nthe network's threshold is %s: %s\n",
               cupel_number_format_fixed(number, network->threshold, 2), network->rule);
    }
    return code;
}
