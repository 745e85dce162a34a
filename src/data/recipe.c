/*
 * A recipe: its life, overrides from the command line, its values, and the rules over several of
 * them. Test: tests/test_recipe.c
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/recipe_internal.h"

/* ---- life ------------------------------------------------------------------------------------ */

void cupel_recipe_destroy(cupel_recipe *recipe) {
    if (recipe == NULL)
        return;
    for (size_t i = 0; recipe->values != NULL && i < cupel_recipe_key_count(); i++)
        recipe_value_release(&recipe->values[i]);
    cupel_free(recipe->values);
    cupel_free(recipe->dumped);
    cupel_free(recipe);
}

cupel_status cupel_recipe_create(cupel_recipe **out) {
    *out = NULL;
    cupel_recipe *const recipe = cupel_alloc(1, sizeof *recipe);
    if (recipe == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    recipe->values = cupel_alloc(cupel_recipe_key_count(), sizeof *recipe->values);
    cupel_status status = recipe->values != NULL ? CUPEL_STATUS_OK : CUPEL_STATUS_OUT_OF_MEMORY;
    for (size_t i = 0; i < cupel_recipe_key_count() && status == CUPEL_STATUS_OK; i++) {
        const cupel_recipe_key *const key = cupel_recipe_key_at(i);
        status = cupel_recipe_set_value(recipe, key->key, key->initial, "default");
    }
    if (status != CUPEL_STATUS_OK) {
        cupel_recipe_destroy(recipe);
        return status;
    }
    *out = recipe;
    return CUPEL_STATUS_OK;
}

static bool value_copy(struct recipe_value *out, const struct recipe_value *value) {
    *out = *value;
    out->text = out->origin = NULL;
    out->list = NULL;
    if (value->text != NULL && (out->text = cupel_strdup(value->text)) == NULL)
        return false;
    if (value->origin != NULL && (out->origin = cupel_strdup(value->origin)) == NULL)
        return false;
    if (value->list == NULL)
        return true;
    out->list = cupel_alloc(value->list_count + 1, sizeof *out->list);
    if (out->list != NULL)
        memcpy(out->list, value->list, value->list_count * sizeof *out->list);
    return out->list != NULL;
}

cupel_status recipe_copy(cupel_recipe **out, const cupel_recipe *recipe) {
    *out = NULL;
    cupel_recipe *const copy = cupel_alloc(1, sizeof *copy);
    bool fine = copy != NULL;
    if (fine)
        copy->values = cupel_alloc(cupel_recipe_key_count(), sizeof *copy->values);
    fine = fine && copy->values != NULL;
    for (size_t i = 0; fine && i < cupel_recipe_key_count(); i++)
        fine = value_copy(&copy->values[i], &recipe->values[i]);
    if (!fine) {
        cupel_recipe_destroy(copy);
        return CUPEL_STATUS_OUT_OF_MEMORY;
    }
    *out = copy;
    return CUPEL_STATUS_OK;
}

const char *cupel_recipe_error(const cupel_recipe *recipe) {
    return recipe != NULL ? recipe->error.text : "";
}

/* ---- overrides ------------------------------------------------------------------------------- */

static char *trim(char *text) {
    text += strspn(text, " \t");
    size_t end = strlen(text);
    while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t'))
        end--;
    text[end] = '\0';
    return text;
}

/* "1,5,7" or "[1, 5, 7]", taken apart in place. */
static cupel_status set_list(cupel_recipe *recipe, const char *key, char *text,
                             const char *origin) {
    struct recipe_scalar items[RECIPE_MAX_LIST];
    size_t count = 0;
    char *at = trim(text);
    const size_t length = strlen(at);
    if (length >= 2 && at[0] == '[' && at[length - 1] == ']') {
        at[length - 1] = '\0';
        at = trim(at + 1);
    }
    while (*at != '\0') {
        const size_t item = strcspn(at, ",");
        const bool more = at[item] == ',';
        if (count == RECIPE_MAX_LIST)
            return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                              "%s: %s: the list has more than %d elements", origin, key,
                              RECIPE_MAX_LIST);
        at[item] = '\0';
        items[count++] = (struct recipe_scalar){trim(at), false};
        at += item + more;
        if (more && *at == '\0')
            return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                              "%s: %s: the list ends in a comma", origin, key);
    }
    return recipe_assign(recipe, key, items, count, true, origin);
}

cupel_status cupel_recipe_set_value(cupel_recipe *recipe, const char *key, const char *value,
                                    const char *origin) {
    const cupel_recipe_key *const row = cupel_recipe_key_find(key);
    if (row != NULL && row->type == CUPEL_RECIPE_INTS) {
        char *const copy = cupel_strdup(value);
        if (copy == NULL)
            return cupel_fail_memory(&recipe->error, key, strlen(value) + 1);
        const cupel_status status = set_list(recipe, key, copy, origin);
        cupel_free(copy);
        return status;
    }
    /* The command line quotes nothing: for a text, any text is meant. */
    const bool text = row != NULL && row->type == CUPEL_RECIPE_STRING;
    const struct recipe_scalar scalar = {value, text};
    return recipe_assign(recipe, key, &scalar, 1, false, origin);
}

cupel_status cupel_recipe_set(cupel_recipe *recipe, const char *assignment, const char *origin) {
    const char *const equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment)
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: \"%.100s\" is not of the form key=value", origin, assignment);
    char *const key = cupel_strndup(assignment, (size_t)(equals - assignment));
    if (key == NULL)
        return cupel_fail_memory(&recipe->error, "a key", strlen(assignment));
    const cupel_status status = cupel_recipe_set_value(recipe, trim(key), equals + 1, origin);
    cupel_free(key);
    return status;
}

/* ---- getting --------------------------------------------------------------------------------- */

/* NULL after a failure, whose status is the recipe's. */
static const struct recipe_value *find(cupel_recipe *recipe, const char *key,
                                       cupel_recipe_type type) {
    const cupel_recipe_key *const row = cupel_recipe_key_find(key);
    if (row == NULL) {
        (void)cupel_fail(&recipe->error, CUPEL_STATUS_NAME, "no recipe key is called %s", key);
        return NULL;
    }
    const bool word = type == CUPEL_RECIPE_STRING && row->type == CUPEL_RECIPE_CHOICE;
    if (row->type != type && !word) {
        (void)cupel_fail(&recipe->error, CUPEL_STATUS_TYPE,
                         "the recipe key %s was asked for as another type", key);
        return NULL;
    }
    return &recipe->values[row - cupel_recipe_key_at(0)];
}

cupel_status cupel_recipe_get_bool(cupel_recipe *recipe, const char *key, bool *out) {
    *out = false;
    const struct recipe_value *const value = find(recipe, key, CUPEL_RECIPE_BOOL);
    if (value == NULL)
        return recipe->error.status;
    *out = value->truth;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_recipe_get_int(cupel_recipe *recipe, const char *key, int64_t *out) {
    *out = 0;
    const struct recipe_value *const value = find(recipe, key, CUPEL_RECIPE_INT);
    if (value == NULL)
        return recipe->error.status;
    *out = value->whole;
    return CUPEL_STATUS_OK;
}

int64_t recipe_whole(const cupel_recipe *recipe, const char *key) {
    return recipe->values[cupel_recipe_key_find(key) - cupel_recipe_key_at(0)].whole;
}

const char *recipe_word(const cupel_recipe *recipe, const char *key) {
    return recipe->values[cupel_recipe_key_find(key) - cupel_recipe_key_at(0)].text;
}

double recipe_number(const cupel_recipe *recipe, const char *key) {
    const cupel_recipe_key *const row = cupel_recipe_key_find(key);
    const struct recipe_value *const value = &recipe->values[row - cupel_recipe_key_at(0)];
    return row->type == CUPEL_RECIPE_INT ? (double)value->whole : value->real;
}

cupel_status cupel_recipe_get_float(cupel_recipe *recipe, const char *key, double *out) {
    *out = 0;
    const struct recipe_value *const value = find(recipe, key, CUPEL_RECIPE_FLOAT);
    if (value == NULL)
        return recipe->error.status;
    *out = value->real;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_recipe_get_string(cupel_recipe *recipe, const char *key, const char **out) {
    *out = "";
    const struct recipe_value *const value = find(recipe, key, CUPEL_RECIPE_STRING);
    if (value == NULL)
        return recipe->error.status;
    *out = value->text;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_recipe_get_ints(cupel_recipe *recipe, const char *key, const int64_t **out,
                                   size_t *count) {
    *out = NULL;
    *count = 0;
    const struct recipe_value *const value = find(recipe, key, CUPEL_RECIPE_INTS);
    if (value == NULL)
        return recipe->error.status;
    *out = value->list;
    *count = value->list_count;
    return CUPEL_STATUS_OK;
}

const char *cupel_recipe_origin(const cupel_recipe *recipe, const char *key) {
    const cupel_recipe_key *const row = cupel_recipe_key_find(key);
    return row != NULL ? recipe->values[row - cupel_recipe_key_at(0)].origin : "";
}

/* ---- rules over several keys ------------------------------------------------------------------
 */

/* A kind of anomaly has a name of its own. */
static cupel_status check_kind_name(cupel_recipe *recipe, const char *key, const char *other) {
    const char *const name = recipe_word(recipe, key);
    const char *const taken = other == NULL ? "normal" : recipe_word(recipe, other);
    if (strcmp(name, "normal") != 0 && strcmp(name, "corrupted") != 0 && strcmp(name, taken) != 0)
        return CUPEL_STATUS_OK;
    return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                      "%s: %s: \"%s\" is the name of other images already; choose another",
                      cupel_recipe_origin(recipe, key), key, name);
}

/* Whether any corruption.* has a strength. */
static bool corrupts(const cupel_recipe *recipe) {
    bool any = false;
    for (size_t i = 0; i < cupel_recipe_key_count(); i++) {
        const char *const key = cupel_recipe_key_at(i)->key;
        any = any || (strncmp(key, "corruption.", 11) == 0 && recipe_number(recipe, key) > 0);
    }
    return any;
}

/* What representative sets and draws are mixed of must exist. */
static cupel_status check_mixture(cupel_recipe *recipe) {
    CUPEL_TRY(check_kind_name(recipe, "anomaly.classes_name", NULL));
    CUPEL_TRY(check_kind_name(recipe, "anomaly.foreign_name", "anomaly.classes_name"));
    if (recipe_whole(recipe, "anomaly.mixed_foreign") > 0 &&
        recipe_word(recipe, "anomaly.foreign_set")[0] == '\0')
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: anomaly.mixed_foreign: there is no other data set to take images "
                          "from; name it by anomaly.foreign_set",
                          cupel_recipe_origin(recipe, "anomaly.mixed_foreign"));
    if (recipe_whole(recipe, "anomaly.mixed_corrupted") > 0 && !corrupts(recipe))
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: anomaly.mixed_corrupted: no corruption has a strength; set one, "
                          "such as corruption.noise",
                          cupel_recipe_origin(recipe, "anomaly.mixed_corrupted"));
    return CUPEL_STATUS_OK;
}

cupel_status cupel_recipe_check(cupel_recipe *recipe) {
    const int64_t *normal, *anomalous;
    size_t normal_count, anomalous_count;
    int64_t image, pad;
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.normal_classes", &normal, &normal_count));
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "data.anomaly_classes", &anomalous, &anomalous_count));
    for (size_t i = 0; i < normal_count; i++)
        for (size_t j = 0; j < anomalous_count; j++)
            if (normal[i] == anomalous[j])
                return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                                  "%s: data.anomaly_classes: class %lld is normal as well (%s); "
                                  "remove it from one of the lists",
                                  cupel_recipe_origin(recipe, "data.anomaly_classes"),
                                  (long long)normal[i],
                                  cupel_recipe_origin(recipe, "data.normal_classes"));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "model.image", &image));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "data.pad", &pad));
    if (image <= 2 * pad)
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: data.pad: two margins of %lld leave nothing of an image of %lld "
                          "(model.image)",
                          cupel_recipe_origin(recipe, "data.pad"), (long long)pad,
                          (long long)image);
    return check_mixture(recipe);
}
