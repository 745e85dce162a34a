/*
 * A recipe as YAML that any reader takes as it was meant: words in quotes where they could be
 * something else, floats with a point. Test: tests/test_recipe.c
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "data/recipe_internal.h"

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
