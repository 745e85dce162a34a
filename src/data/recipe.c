/*
 * The values of a recipe: strict conversion from text, with a remedy for each of the ways in which
 * YAML's numbers and booleans surprise people; getting; printing. Test: tests/test_recipe.c
 */

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "data/recipe_internal.h"

/* ---- from text to value ---------------------------------------------------------------------- */

struct place {
    struct cupel_error *error;
    const char *origin;
    const cupel_recipe_key *key;
};

/* "demo.yaml:7: train.epochs: <why>" */
CUPEL_PRINTF(2, 3)
static cupel_status fail_value(const struct place *place, const char *format, ...) {
    struct cupel_error why;
    va_list args;
    va_start(args, format);
    cupel_vfail(&why, CUPEL_STATUS_BAD_DATA, format, args);
    va_end(args);
    return cupel_fail(place->error, CUPEL_STATUS_BAD_DATA, "%s: %s: %s", place->origin,
                      place->key->key, why.text);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_null(const struct recipe_scalar *scalar) {
    const char *const t = scalar->text;
    return !scalar->quoted && (*t == '\0' || strcmp(t, "~") == 0 || strcmp(t, "null") == 0 ||
                               strcmp(t, "Null") == 0 || strcmp(t, "NULL") == 0);
}

/* What is wrong with a number, beyond "it is none". */
static cupel_status explain_number(const struct place *place, const char *text, const char *kind) {
    const char *const digits = text + (*text == '-' || *text == '+');
    double value;
    if (digits[0] == '0' && (is_digit(digits[1]) || digits[1] == '_'))
        return fail_value(place,
                          "%.40s begins with 0, which some YAML readers take as octal; write it "
                          "without",
                          text);
    if (digits[0] == '0' && digits[1] != '\0' && strchr("xXoObB", digits[1]) != NULL)
        return fail_value(place, "%.40s is not decimal; write %s in decimal", text, kind);
    if (strchr(text, '_') != NULL && is_digit(*digits))
        return fail_value(place, "%.40s has separators; write the number without them", text);
    if (strchr(text, ',') != NULL && is_digit(*digits))
        return fail_value(place, "%.40s is no number; the decimal sign is a point", text);
    if (*text == '+' && is_digit(*digits))
        return fail_value(place, "%.40s; write it without the sign", text);
    if (number_parse_f64(text, &value) && place->key->type != CUPEL_RECIPE_FLOAT) {
        int64_t whole = 0;
        if (value > -9e15 && value < 9e15)
            whole = (int64_t)value;
        if ((double)whole == value)
            return fail_value(place, "%.40s is written as a float; write %lld", text,
                              (long long)whole);
        return fail_value(place, "%.40s is not a whole number", text);
    }
    return fail_value(place, "\"%.60s\" is not %s", text, kind);
}

static cupel_status check_range(const struct place *place, double value, const char *text) {
    const cupel_recipe_key *const key = place->key;
    const bool low = key->above ? value <= key->least : value < key->least;
    const bool high = key->below ? value >= key->most : value > key->most;
    if (!low && !high)
        return CUPEL_STATUS_OK;
    char least[NUMBER_TEXT_SIZE], most[NUMBER_TEXT_SIZE];
    return fail_value(place, "%.40s is out of range; it must be %s %s and %s %s", text,
                      key->above ? "above" : "at least", number_format_f64(least, key->least),
                      key->below ? "below" : "at most", number_format_f64(most, key->most));
}

static cupel_status refuse_quotes(const struct place *place, const struct recipe_scalar *scalar,
                                  const char *kind) {
    if (scalar->quoted)
        return fail_value(place,
                          "\"%.60s\" is in quotes, which makes it a string; write %s "
                          "without quotes",
                          scalar->text, kind);
    if (is_null(scalar))
        return fail_value(place, "has no value; write %s or remove the key", kind);
    return CUPEL_STATUS_OK;
}

static cupel_status to_whole(const struct place *place, const struct recipe_scalar *scalar,
                             int64_t *out) {
    static const char kind[] = "a whole number";
    CUPEL_TRY(refuse_quotes(place, scalar, kind));
    if (!number_parse_i64(scalar->text, out))
        return explain_number(place, scalar->text, kind);
    return check_range(place, (double)*out, scalar->text);
}

static cupel_status to_real(const struct place *place, const struct recipe_scalar *scalar,
                            double *out) {
    static const char kind[] = "a number";
    const char *const text = scalar->text;
    const char *const digits = text + (*text == '-');
    CUPEL_TRY(refuse_quotes(place, scalar, kind));
    if (*text == '+' || (digits[0] == '0' && is_digit(digits[1])) || !number_parse_f64(text, out))
        return explain_number(place, text, kind);
    return check_range(place, *out, text);
}

static cupel_status to_truth(const struct place *place, const struct recipe_scalar *scalar,
                             bool *out) {
    static const char kind[] = "true or false";
    CUPEL_TRY(refuse_quotes(place, scalar, kind));
    *out = strcmp(scalar->text, "true") == 0;
    if (!*out && strcmp(scalar->text, "false") != 0)
        return fail_value(place, "%.60s is neither true nor false; write one of them",
                          scalar->text);
    return CUPEL_STATUS_OK;
}

static cupel_status check_string(const struct place *place, const struct recipe_scalar *scalar) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *const text = scalar->text;
    if (is_null(scalar))
        return fail_value(place, "%s",
                          *text == '\0' ? "has no value; write \"\" for an empty text"
                                        : "this word means \"no value\" in YAML; put it in "
                                          "quotes if it is meant as text");
    if (strlen(text) > RECIPE_MAX_STRING)
        return fail_value(place, "the text is longer than %d bytes", RECIPE_MAX_STRING);
    if (place->key->file_name &&
        (*text == '\0' || *text == '.' || *text == '-' || text[strspn(text, allowed)] != '\0'))
        return fail_value(
            place, "\"%.60s\" cannot name a folder; use letters, digits, and . _ - inside", text);
    return CUPEL_STATUS_OK;
}

static cupel_status check_choice(const struct place *place, const struct recipe_scalar *scalar) {
    const size_t length = strlen(scalar->text);
    for (const char *at = place->key->choices; *at != '\0';) {
        const size_t word = strcspn(at, "|");
        if (word == length && memcmp(at, scalar->text, word) == 0)
            return CUPEL_STATUS_OK;
        at += word + (at[word] == '|');
    }
    return fail_value(place, "\"%.60s\" is not one of %s", scalar->text, place->key->choices);
}

static cupel_status to_list(const struct place *place, const struct recipe_scalar *scalars,
                            size_t count, struct recipe_value *out) {
    if (count > RECIPE_MAX_LIST)
        return fail_value(place, "the list has %zu elements, more than %d", count, RECIPE_MAX_LIST);
    out->list = cupel_alloc(count + 1, sizeof *out->list);
    if (out->list == NULL)
        return cupel_fail_memory(place->error, place->key->key, count * sizeof *out->list);
    out->list_count = count;
    for (size_t i = 0; i < count; i++) {
        CUPEL_TRY(to_whole(place, &scalars[i], &out->list[i]));
        for (size_t j = 0; j < i && place->key->distinct; j++)
            if (out->list[i] == out->list[j])
                return fail_value(place, "%lld occurs twice", (long long)out->list[i]);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status convert(const struct place *place, const struct recipe_scalar *scalars,
                            size_t count, bool is_list, struct recipe_value *out) {
    if (place->key->type == CUPEL_RECIPE_INTS) {
        if (!is_list)
            return fail_value(place, "is a list; write [%.60s]", scalars[0].text);
        return to_list(place, scalars, count, out);
    }
    if (is_list)
        return fail_value(place, "is a single value, not a list");
    switch (place->key->type) {
    case CUPEL_RECIPE_BOOL: return to_truth(place, &scalars[0], &out->truth);
    case CUPEL_RECIPE_INT: return to_whole(place, &scalars[0], &out->whole);
    case CUPEL_RECIPE_FLOAT: return to_real(place, &scalars[0], &out->real);
    case CUPEL_RECIPE_CHOICE: CUPEL_TRY(check_choice(place, &scalars[0])); break;
    case CUPEL_RECIPE_STRING:
    case CUPEL_RECIPE_INTS: CUPEL_TRY(check_string(place, &scalars[0])); break;
    }
    out->text = cupel_strdup(scalars[0].text);
    return out->text != NULL
               ? CUPEL_STATUS_OK
               : cupel_fail_memory(place->error, place->key->key, strlen(scalars[0].text) + 1);
}

static void value_release(struct recipe_value *value) {
    cupel_free(value->text);
    cupel_free(value->list);
    cupel_free(value->origin);
    *value = (struct recipe_value){0};
}

static cupel_status fail_unknown(cupel_recipe *recipe, const char *key, const char *place) {
    const cupel_recipe_key *const first = recipe_section(key);
    if (first != NULL)
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: %.100s is a section and takes no value of its own; it holds keys "
                          "such as %s",
                          place, key, first->key);
    return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                      "%s: there is no key %.100s; did you mean %s?", place, key,
                      recipe_nearest_key(key));
}

/* Each model has a reconstruction term that it is trained with: the default is that one. */
static cupel_status follow_model(cupel_recipe *recipe, const char *model) {
    static const char key[] = "loss.reconstruction", origin[] = "default";
    const struct recipe_value *const value =
        &recipe->values[cupel_recipe_key_find(key) - cupel_recipe_key_at(0)];
    const struct recipe_scalar term = {
        strcmp(model, "mlp-vae") == 0 ? "bernoulli" : "squared-error", false};
    if (value->origin == NULL || strcmp(value->origin, origin) != 0 ||
        strcmp(value->text, term.text) == 0)
        return CUPEL_STATUS_OK;
    return recipe_assign(recipe, key, &term, 1, false, origin);
}

cupel_status recipe_assign(cupel_recipe *recipe, const char *key,
                           const struct recipe_scalar *scalars, size_t count, bool is_list,
                           const char *origin) {
    const cupel_recipe_key *const row = cupel_recipe_key_find(key);
    if (row == NULL)
        return fail_unknown(recipe, key, origin);
    const struct place place = {&recipe->error, origin, row};
    struct recipe_value fresh = {0};
    cupel_status status = convert(&place, scalars, count, is_list, &fresh);
    if (status == CUPEL_STATUS_OK && (fresh.origin = cupel_strdup(origin)) == NULL)
        status = cupel_fail_memory(&recipe->error, key, strlen(origin) + 1);
    if (status != CUPEL_STATUS_OK) {
        value_release(&fresh);
        return status;
    }
    struct recipe_value *const value = &recipe->values[row - cupel_recipe_key_at(0)];
    value_release(value);
    *value = fresh;
    return strcmp(key, "model.name") == 0 ? follow_model(recipe, value->text) : CUPEL_STATUS_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

void cupel_recipe_destroy(cupel_recipe *recipe) {
    if (recipe == NULL)
        return;
    for (size_t i = 0; recipe->values != NULL && i < cupel_recipe_key_count(); i++)
        value_release(&recipe->values[i]);
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

/* ---- printing -------------------------------------------------------------------------------- */

/* Words that every YAML reader takes as text need no quotes. */
static bool is_plain_word(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char inside[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";
    static const char *const special[] = {"y",   "n",    "yes",   "no",  "on",
                                          "off", "true", "false", "null"};
    if (*text == '\0' || strchr(letters, *text) == NULL || text[strspn(text, inside)] != '\0')
        return false;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        size_t at = 0; /* compared without regard to case */
        while (text[at] != '\0' && (text[at] | 0x20) == special[i][at])
            at++;
        if (text[at] == '\0' && special[i][at] == '\0')
            return false;
    }
    return true;
}

/* A float is always recognisable as one: with a point, also before an exponent (YAML 1.1). */
static bool append_real(struct json_text *out, double value) {
    char text[NUMBER_TEXT_SIZE];
    number_format_f64(text, value);
    if (strchr(text, '.') != NULL)
        return json_append(out, text);
    char *const exponent = strchr(text, 'e');
    char tail[NUMBER_TEXT_SIZE] = "";
    if (exponent != NULL) {
        snprintf(tail, sizeof tail, "%s", exponent);
        *exponent = '\0';
    }
    return json_append(out, text) && json_append(out, ".0") && json_append(out, tail);
}

static bool append_value(struct json_text *out, const cupel_recipe_key *key,
                         const struct recipe_value *value) {
    bool fine;
    switch (key->type) {
    case CUPEL_RECIPE_BOOL: return json_append(out, value->truth ? "true" : "false");
    case CUPEL_RECIPE_INT: return json_append_i64(out, value->whole);
    case CUPEL_RECIPE_FLOAT: return append_real(out, value->real);
    case CUPEL_RECIPE_STRING:
    case CUPEL_RECIPE_CHOICE:
        return is_plain_word(value->text) ? json_append(out, value->text)
                                          : json_append_quoted(out, value->text);
    case CUPEL_RECIPE_INTS: break;
    }
    fine = json_append(out, "[");
    for (size_t i = 0; fine && i < value->list_count; i++)
        fine = (i == 0 || json_append(out, ", ")) && json_append_i64(out, value->list[i]);
    return fine && json_append(out, "]");
}

bool recipe_append_value(struct json_text *out, const cupel_recipe *recipe, size_t index) {
    return append_value(out, cupel_recipe_key_at(index), &recipe->values[index]);
}

static bool append_all(struct json_text *out, const cupel_recipe *recipe) {
    const char *section = "";
    size_t section_length = 0;
    bool fine = true;
    for (size_t i = 0; fine && i < cupel_recipe_key_count(); i++) {
        const cupel_recipe_key *const key = cupel_recipe_key_at(i);
        const char *const dot = strchr(key->key, '.');
        const size_t length = dot != NULL ? (size_t)(dot - key->key) : 0;
        if (length != section_length || strncmp(section, key->key, length) != 0) {
            char line[80];
            section = key->key;
            section_length = length;
            snprintf(line, sizeof line, "%.*s:\n", (int)length, section);
            fine = json_append(out, line);
        }
        fine = fine && (dot == NULL || json_append(out, "  ")) &&
               json_append(out, dot != NULL ? dot + 1 : key->key) && json_append(out, ": ") &&
               recipe_append_value(out, recipe, i) && json_append(out, "\n");
    }
    return fine;
}

cupel_status cupel_recipe_text(cupel_recipe *recipe, const char **out) {
    struct json_text text = {0};
    *out = NULL;
    if (!append_all(&text, recipe)) {
        json_text_release(&text);
        return cupel_fail_memory(&recipe->error, "the text of a recipe", text.length);
    }
    cupel_free(recipe->dumped);
    *out = recipe->dumped = text.bytes;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_recipe_write(cupel_recipe *recipe, const char *path) {
    const char *text;
    CUPEL_TRY(cupel_recipe_text(recipe, &text));
    return file_write(path, text, strlen(text), &recipe->error);
}
