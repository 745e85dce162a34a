/*
 * From a scalar of YAML to a checked value: strict conversion, with a remedy for each of the ways
 * in which YAML's numbers and booleans surprise people. Test: tests/test_recipe.c
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "data/recipe_internal.h"

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

static cupel_status fail_range(const struct place *place, const char *text) {
    const cupel_recipe_key *const key = place->key;
    char least[NUMBER_TEXT_SIZE], most[NUMBER_TEXT_SIZE];
    return fail_value(place, "%.40s is out of range; it must be %s %s and %s %s", text,
                      key->above ? "above" : "at least", number_format_f64(least, key->least),
                      key->below ? "below" : "at most", number_format_f64(most, key->most));
}

/* Digits alone, so that only their number is too large. */
static bool is_long_whole(const char *text) {
    text += *text == '-';
    return *text > '0' && *text <= '9' && text[strspn(text, "0123456789")] == '\0';
}

static cupel_status check_range(const struct place *place, double value, const char *text) {
    const cupel_recipe_key *const key = place->key;
    const bool low = key->above ? value <= key->least : value < key->least;
    const bool high = key->below ? value >= key->most : value > key->most;
    return low || high ? fail_range(place, text) : CUPEL_STATUS_OK;
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
        return is_long_whole(scalar->text) ? fail_range(place, scalar->text)
                                           : explain_number(place, scalar->text, kind);
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

void recipe_value_release(struct recipe_value *value) {
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
        recipe_value_release(&fresh);
        return status;
    }
    struct recipe_value *const value = &recipe->values[row - cupel_recipe_key_at(0)];
    recipe_value_release(value);
    *value = fresh;
    return strcmp(key, "model.name") == 0 ? follow_model(recipe, value->text) : CUPEL_STATUS_OK;
}
