/*
 * Metadata of weights files: the recipe, how images become inputs, the classes trained on, and the
 * threshold with the rule it was found by. No times, no paths, no numbers of threads: the same run
 * gives the same bytes. Test: tests/test_score.c
 */
#include "train/weights.h"

#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"

const char weights_format[] = "cupel-1";

cupel_status weights_recipe_text(cupel_recipe *recipe, char **out, struct cupel_error *error) {
    static const char *const neutral[] = {
        "name", "threads", "workers", "plan", "train.checkpoint_minutes", "train.checkpoint_steps"};
    *out = NULL;
    const char *text;
    cupel_status status = cupel_recipe_text(recipe, &text);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_recipe_error(recipe));
    cupel_recipe *copy = NULL;
    CUPEL_TRY_DONE(cupel_recipe_parse(&copy, text, strlen(text), "recipe"));
    for (size_t i = 0; i < sizeof neutral / sizeof neutral[0]; i++)
        CUPEL_TRY_DONE(cupel_recipe_set_value(
            copy, neutral[i], cupel_recipe_key_find(neutral[i])->initial, "neutral"));
    CUPEL_TRY_DONE(cupel_recipe_text(copy, &text));
    *out = cupel_strdup(text);
    if (*out == NULL)
        status = cupel_fail_memory(error, "the recipe's text", strlen(text));
done:
    if (status != CUPEL_STATUS_OK && *out == NULL && error->status != status)
        (void)cupel_fail(error, status, "%s",
                         copy == NULL ? cupel_status_text(status) : cupel_recipe_error(copy));
    cupel_recipe_destroy(copy);
    return status;
}

/* {"channels": 1, "height": 32, ...} */
static bool preprocessing_json(struct json_text *text, const struct network *network) {
    return json_append(text, "{\"channels\": ") && json_append_i64(text, network->channels) &&
           json_append(text, ", \"height\": ") && json_append_i64(text, network->image) &&
           json_append(text, ", \"width\": ") && json_append_i64(text, network->image) &&
           json_append(text, ", \"pad\": ") && json_append_i64(text, network->pad) &&
           json_append(text, ", \"range\": [0, 1]}");
}

/* [{"label": 1, "name": "Trouser"}, ...]: the classes that occur. */
static bool classes_json(struct json_text *text, const cupel_dataset *train) {
    const cupel_dataset_info info = cupel_dataset_get_info(train);
    bool first = true, fine = json_append(text, "[");
    for (int64_t label = 0; fine && label < info.class_count; label++) {
        bool occurs = false;
        for (int64_t i = 0; i < info.count && !occurs; i++)
            occurs = cupel_dataset_label(train, i) == label;
        if (!occurs)
            continue;
        const char *const name = cupel_dataset_class_name(train, label);
        fine = json_append(text, first ? "{\"label\": " : ", {\"label\": ") &&
               json_append_i64(text, label) && json_append(text, ", \"name\": ") &&
               (name == NULL ? json_append(text, "null") : json_append_quoted(text, name)) &&
               json_append(text, "}");
        first = false;
    }
    return fine && json_append(text, "]");
}

static bool rule_text(struct json_text *text, const struct weights_facts *facts,
                      const struct network *network) {
    char number[NUMBER_TEXT_SIZE];
    return json_append(text, "quantile ") &&
           json_append(text, number_format_f64(number, facts->quantile)) &&
           json_append(text, " of the negated ELBO of ") &&
           json_append_i64(text, facts->held_out) &&
           json_append(text, " held-out normal images; noise samples: ") &&
           json_append_i64(text, network->samples);
}

cupel_status weights_describe(cupel_tensors *weights, const char *recipe_text,
                              const struct network *network, const cupel_dataset *train,
                              const struct weights_facts *facts, struct cupel_error *error) {
    struct json_text preprocessing = {0}, classes = {0}, rule = {0}, epoch = {0};
    char number[NUMBER_TEXT_SIZE];
    cupel_status status = CUPEL_STATUS_OUT_OF_MEMORY;
    if (!preprocessing_json(&preprocessing, network) || !classes_json(&classes, train) ||
        !rule_text(&rule, facts, network) || !json_append_i64(&epoch, facts->epoch))
        goto done;
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "format", "pt"));
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.format", weights_format));
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.recipe", recipe_text));
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.preprocessing", preprocessing.bytes));
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.classes", classes.bytes));
    CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.epoch", epoch.bytes));
    if (facts->has_threshold) {
        CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.threshold",
                                                  number_format_f64(number, facts->threshold)));
        CUPEL_TRY_DONE(cupel_tensors_set_metadata(weights, "cupel.threshold_rule", rule.bytes));
    }
done:
    json_text_release(&preprocessing);
    json_text_release(&classes);
    json_text_release(&rule);
    json_text_release(&epoch);
    return status == CUPEL_STATUS_OK ? status
                                     : cupel_fail(error, status, "no memory for the metadata");
}

cupel_status weights_read_recipe(cupel_recipe **out, const cupel_tensors *tensors, const char *path,
                                 struct cupel_error *error) {
    *out = NULL;
    const char *const format = cupel_tensors_metadata(tensors, "cupel.format");
    const char *const text = cupel_tensors_metadata(tensors, "cupel.recipe");
    if (format == NULL || text == NULL)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s: its metadata has no recipe, so the network is unknown: give a file "
                          "that cupel train wrote",
                          path);
    if (strcmp(format, weights_format) != 0)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s: its format is \"%.40s\" and this version reads \"%s\": use the "
                          "version that wrote it",
                          path, format, weights_format);
    const cupel_status status = cupel_recipe_parse(out, text, strlen(text), path);
    if (status == CUPEL_STATUS_OK)
        return status;
    (void)cupel_fail(error, status, "%s",
                     *out == NULL ? cupel_status_text(status) : cupel_recipe_error(*out));
    cupel_recipe_destroy(*out);
    *out = NULL;
    return status;
}

/* Two texts of JSON that differ in spaces at most; no word of ours has one inside. */
static bool same_json(const char *a, const char *b) {
    static const char spaces[] = " \t\r\n";
    for (;; a++, b++) {
        a += strspn(a, spaces);
        b += strspn(b, spaces);
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

cupel_status weights_check_preprocessing(const cupel_tensors *weights, const char *path,
                                         const struct network *network, struct cupel_error *error) {
    const char *const there = cupel_tensors_metadata(weights, "cupel.preprocessing");
    struct json_text wanted = {0};
    cupel_status status = CUPEL_STATUS_OK;
    if (there == NULL)
        return status;
    if (!preprocessing_json(&wanted, network))
        status = cupel_fail_memory(error, "the preprocessing", 0);
    else if (!same_json(there, wanted.bytes))
        status = cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                            "%s: its metadata contradict each other: cupel.preprocessing is "
                            "%.160s, and cupel.recipe asks for %s: use the file as cupel train "
                            "wrote it",
                            path, there, wanted.bytes);
    json_text_release(&wanted);
    return status;
}

cupel_status weights_read_threshold(const cupel_tensors *weights, const char *path, bool *has,
                                    double *threshold, struct cupel_error *error) {
    const char *const text = cupel_tensors_metadata(weights, "cupel.threshold");
    *has = text != NULL;
    *threshold = 0;
    if (text != NULL && !number_parse_f64(text, threshold))
        return cupel_fail(
            error, CUPEL_STATUS_BAD_DATA,
            "%s: the threshold in its metadata, \"%.40s\", is no number: the file was "
            "changed; copy it again, or take the run's other weights",
            path, text);
    return CUPEL_STATUS_OK;
}
