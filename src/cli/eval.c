/*
 * cupel eval: the run's score on the recipe's test images, in one table with the plain baselines
 * fitted on the same training images. Test: tests/eval.bats
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cupel/baselines.h>
#include <cupel/job.h>
#include <cupel/metrics.h>
#include <cupel/number.h>
#include <cupel/protocol.h>

#include "commands.h"

struct judged {
    char name[40];
    cupel_metric auroc, average_precision, fpr;
    int64_t left_out; /* images whose score is not finite */
};

struct evaluation {
    cupel_scorer *scorer;
    cupel_protocol *protocol;
    cupel_protocol_split split;
    cupel_dataset *padded; /* as the baselines saw the training images */
    double *scores;
    uint8_t *positive, *kept; /* of all images; of those with a finite score */
    int64_t count, positives;
    int threads;
    struct judged *rows; /* the network, the neighbours, the mean, and every PCA */
    size_t n_rows;
    bool has_confusion;
    cupel_confusion confusion;
};

/* Moves the finite scores to the front, with their labels in `kept`; returns how many they are. */
static int64_t keep_finite(struct evaluation *evaluation) {
    int64_t count = 0;
    for (int64_t i = 0; i < evaluation->count; i++)
        if (isfinite(evaluation->scores[i])) {
            evaluation->scores[count] = evaluation->scores[i];
            evaluation->kept[count++] = evaluation->positive[i];
        }
    return count;
}

static int judge(struct evaluation *evaluation, const char *name) {
    struct judged *const row = &evaluation->rows[evaluation->n_rows++];
    const double *const scores = evaluation->scores;
    const uint8_t *const positive = evaluation->kept;
    const int64_t count = keep_finite(evaluation);
    snprintf(row->name, sizeof row->name, "%s", name);
    row->left_out = evaluation->count - count;
    if (row->left_out > 0)
        complain("%s: %lld of %lld images have no finite score and are left out of its metrics",
                 name, (long long)row->left_out, (long long)evaluation->count);
    cupel_status status = cupel_metric_auroc(&row->auroc, scores, positive, count);
    if (status == CUPEL_STATUS_OK)
        status =
            cupel_metric_average_precision(&row->average_precision, scores, positive, count, 0.0);
    if (status == CUPEL_STATUS_OK)
        status = cupel_metric_fpr_at_tpr(&row->fpr, scores, positive, count, 0.95);
    return fail_with(status, NULL);
}

static int judge_network(struct evaluation *evaluation) {
    cupel_score *const scores = calloc((size_t)evaluation->count, sizeof *scores);
    if (scores == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    int code =
        fail_with(cupel_scorer_run(evaluation->scorer, evaluation->split.images, scores, NULL),
                  cupel_scorer_error(evaluation->scorer));
    for (int64_t i = 0; i < evaluation->count; i++)
        evaluation->scores[i] = scores[i].score;
    free(scores);
    if (code == EXIT_FINE)
        code = judge(evaluation, "negated ELBO");
    const cupel_scorer_info info = cupel_scorer_get_info(evaluation->scorer);
    if (code == EXIT_FINE && info.has_threshold)
        evaluation->has_confusion =
            cupel_metric_confusion(&evaluation->confusion, evaluation->scores, evaluation->kept,
                                   evaluation->count - evaluation->rows[0].left_out,
                                   info.threshold) == CUPEL_STATUS_OK;
    return code;
}

static int judge_baseline(struct evaluation *evaluation, cupel_baseline_kind kind, int64_t k) {
    cupel_baseline *baseline;
    cupel_status status = cupel_baseline_create(
        &baseline, kind, k, cupel_protocol_train(evaluation->protocol), evaluation->threads);
    if (status == CUPEL_STATUS_OK)
        status = cupel_baseline_score(baseline, evaluation->padded, evaluation->scores,
                                      evaluation->threads);
    int code = EXIT_FINE;
    if (status == CUPEL_STATUS_OK)
        code = judge(evaluation, cupel_baseline_name(baseline));
    else if (status == CUPEL_STATUS_INVALID_ARGUMENT || status == CUPEL_STATUS_UNSUPPORTED)
        tell("a baseline is left out: %s", cupel_baseline_error(baseline)); /* too few images */
    else
        code = fail_with(status, baseline == NULL ? NULL : cupel_baseline_error(baseline));
    cupel_baseline_destroy(baseline);
    return code;
}

static int judge_all(struct evaluation *evaluation) {
    cupel_recipe *const recipe = cupel_scorer_recipe(evaluation->scorer);
    int64_t neighbours = 5;
    const int64_t *components;
    size_t n = 0;
    if (cupel_recipe_get_int(recipe, "eval.neighbours", &neighbours) != CUPEL_STATUS_OK ||
        cupel_recipe_get_ints(recipe, "eval.components", &components, &n) != CUPEL_STATUS_OK)
        return fail_with(CUPEL_STATUS_BUG, cupel_recipe_error(recipe));
    evaluation->rows = calloc(n + 3, sizeof *evaluation->rows);
    if (evaluation->rows == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    int code = judge_network(evaluation);
    if (code == EXIT_FINE)
        code = judge_baseline(evaluation, CUPEL_BASELINE_NEIGHBOURS, neighbours);
    for (size_t i = 0; i < n && code == EXIT_FINE; i++)
        code = judge_baseline(evaluation, CUPEL_BASELINE_PCA, components[i]);
    if (code == EXIT_FINE)
        code = judge_baseline(evaluation, CUPEL_BASELINE_MEAN, 1);
    return code;
}

/* --- printing --- */

static void print_json_metric(const char *key, const cupel_metric *metric, bool interval) {
    char number[CUPEL_NUMBER_TEXT_SIZE];
    if (isnan(metric->value)) { /* reasons are plain sentences of our own */
        printf(", \"%s\": null, \"%s_reason\": \"%s\"", key, key, metric->reason);
        return;
    }
    printf(", \"%s\": %s", key, cupel_number_format(number, metric->value));
    if (!interval)
        return;
    printf(", \"%s_low\": %s", key,
           isnan(metric->low) ? "null" : cupel_number_format(number, metric->low));
    printf(", \"%s_high\": %s", key,
           isnan(metric->high) ? "null" : cupel_number_format(number, metric->high));
}

static void print_json(const struct evaluation *evaluation) {
    const cupel_scorer_info info = cupel_scorer_get_info(evaluation->scorer);
    char number[CUPEL_NUMBER_TEXT_SIZE];
    printf("{\"positive\": \"anomaly\", \"images\": %lld, \"anomalies\": %lld, \"threshold\": %s",
           (long long)evaluation->count, (long long)evaluation->positives,
           info.has_threshold ? cupel_number_format(number, info.threshold) : "null");
    if (evaluation->has_confusion) {
        const cupel_confusion *const c = &evaluation->confusion;
        printf(", \"confusion\": {\"true_positives\": %lld, \"false_positives\": %lld, "
               "\"true_negatives\": %lld, \"false_negatives\": %lld}",
               (long long)c->true_positives, (long long)c->false_positives,
               (long long)c->true_negatives, (long long)c->false_negatives);
    }
    printf(", \"scorers\": [");
    for (size_t i = 0; i < evaluation->n_rows; i++) {
        const struct judged *const row = &evaluation->rows[i];
        printf("%s{\"name\": \"%s\", \"left_out\": %lld", i == 0 ? "" : ", ", row->name,
               (long long)row->left_out);
        print_json_metric("auroc", &row->auroc, true);
        print_json_metric("average_precision", &row->average_precision, true);
        print_json_metric("fpr_at_95_tpr", &row->fpr, false);
        printf("}");
    }
    printf("]}\n");
}

static void format_metric(char out[64], const cupel_metric *metric) {
    char value[CUPEL_NUMBER_TEXT_SIZE], low[CUPEL_NUMBER_TEXT_SIZE], high[CUPEL_NUMBER_TEXT_SIZE];
    if (isnan(metric->value))
        snprintf(out, 64, "-");
    else if (isnan(metric->low))
        snprintf(out, 64, "%s", cupel_number_format_fixed(value, metric->value, 3));
    else
        snprintf(out, 64, "%s (%s to %s)", cupel_number_format_fixed(value, metric->value, 3),
                 cupel_number_format_fixed(low, metric->low, 3),
                 cupel_number_format_fixed(high, metric->high, 3));
}

static void print_table(const struct evaluation *evaluation) {
    const cupel_scorer_info info = cupel_scorer_get_info(evaluation->scorer);
    printf("positive class: anomaly, %lld of %lld test images; intervals are 95 %%\n\n",
           (long long)evaluation->positives, (long long)evaluation->count);
    printf("%-16s %-24s %-24s %s\n", "score", "AUROC", "average precision", "FPR at 95 % TPR");
    for (size_t i = 0; i < evaluation->n_rows; i++) {
        const struct judged *const row = &evaluation->rows[i];
        char auroc[64], precision[64], fpr[64];
        format_metric(auroc, &row->auroc);
        format_metric(precision, &row->average_precision);
        format_metric(fpr, &row->fpr);
        printf("%-16s %-24s %-24s %s\n", row->name, auroc, precision, fpr);
        if (isnan(row->auroc.value) && i == 0)
            printf("  undefined: %s\n", row->auroc.reason);
    }
    if (evaluation->has_confusion) {
        const cupel_confusion *const c = &evaluation->confusion;
        char number[CUPEL_NUMBER_TEXT_SIZE];
        printf(
            "\nat the threshold %s (%s): %lld of %lld anomalies found, %lld of %lld normal images "
            "called anomalous\n",
            cupel_number_format_fixed(number, info.threshold, 2), info.threshold_rule,
            (long long)c->true_positives, (long long)(c->true_positives + c->false_negatives),
            (long long)c->false_positives, (long long)(c->false_positives + c->true_negatives));
    }
}

/* --- the command --- */

/* Finds the data: --data, or where the run was trained. */
static int open_protocol(struct evaluation *evaluation, const struct arguments *arguments) {
    const char *const run = arguments->operands[0];
    const char *folder = arguments->values[OPTION_DATA];
    char recorded[4096];
    struct stat info;
    if (folder == NULL && stat(run, &info) == 0 && S_ISDIR(info.st_mode) &&
        cupel_job_data(run, recorded, sizeof recorded))
        folder = recorded;
    const cupel_status status = cupel_protocol_create(
        &evaluation->protocol, cupel_scorer_recipe(evaluation->scorer), folder, NULL);
    int code = fail_with(
        status, evaluation->protocol == NULL ? NULL : cupel_protocol_error(evaluation->protocol));
    if (code == EXIT_FINE)
        code = fail_with(cupel_protocol_get_split(evaluation->protocol, "test", &evaluation->split),
                         cupel_protocol_error(evaluation->protocol));
    return code;
}

static int prepare(struct evaluation *evaluation) {
    const int64_t pad = cupel_scorer_get_info(evaluation->scorer).pad;
    const cupel_status status =
        cupel_dataset_pad(&evaluation->padded, evaluation->split.images, pad);
    evaluation->threads = cupel_scorer_get_info(evaluation->scorer).threads;
    evaluation->count = cupel_dataset_get_info(evaluation->split.images).count;
    evaluation->scores = calloc((size_t)evaluation->count, sizeof *evaluation->scores);
    evaluation->positive = calloc((size_t)evaluation->count, sizeof *evaluation->positive);
    evaluation->kept = calloc((size_t)evaluation->count, sizeof *evaluation->kept);
    if (evaluation->scores == NULL || evaluation->positive == NULL || evaluation->kept == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    for (int64_t i = 0; i < evaluation->count; i++) {
        evaluation->positive[i] = evaluation->split.kinds[i] != CUPEL_KIND_NORMAL;
        evaluation->positives += evaluation->positive[i];
    }
    return fail_with(status,
                     evaluation->padded == NULL ? NULL : cupel_dataset_error(evaluation->padded));
}

static int evaluate(struct evaluation *evaluation, const struct arguments *arguments) {
    int code = open_protocol(evaluation, arguments);
    if (code == EXIT_FINE)
        code = prepare(evaluation);
    if (code == EXIT_FINE)
        code = judge_all(evaluation);
    if (code == EXIT_FINE && arguments_has(arguments, OPTION_JSON))
        print_json(evaluation);
    else if (code == EXIT_FINE)
        print_table(evaluation);
    return code;
}

int command_eval(const struct arguments *arguments) {
    int code;
    int64_t threads, samples;
    struct weights_paths paths;
    struct evaluation evaluation = {0};
    if (!arguments_whole(arguments, OPTION_THREADS, 0, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_SAMPLES, 1, 1000, 0, &samples))
        return EXIT_USAGE;
    code = find_weights(&paths, arguments->operands[0], arguments);
    if (code != EXIT_FINE)
        return code;
    const cupel_scorer_options options = {
        .threads = (int)threads, .samples = samples, .plan_file = paths.plan};
    cupel_context *const context = make_context(&code);
    if (context != NULL)
        code = fail_with(cupel_scorer_create(&evaluation.scorer, context, paths.weights, &options),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = evaluate(&evaluation, arguments);
    cupel_dataset_destroy(evaluation.padded);
    free(evaluation.scores);
    free(evaluation.positive);
    free(evaluation.kept);
    free(evaluation.rows);
    cupel_protocol_destroy(evaluation.protocol);
    (void)cupel_scorer_destroy(evaluation.scorer);
    (void)cupel_context_destroy(context);
    release_weights_paths(&paths);
    return code;
}
