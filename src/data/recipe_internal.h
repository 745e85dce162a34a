/*
 * The inside of a cupel_recipe, shared by recipe.c, its values (recipe_value.c), its schema
 * (recipe_schema.c), its YAML reader (recipe_yaml.c) and its text (recipe_text.c).
 * Test: tests/test_recipe.c
 */
#ifndef CUPEL_DATA_RECIPE_INTERNAL_H
#define CUPEL_DATA_RECIPE_INTERNAL_H

#include "base/error.h"
#include "base/json.h"
#include "cupel/recipe.h"

enum { RECIPE_MAX_LIST = 1024, RECIPE_MAX_STRING = 4096 };

struct recipe_value {
    bool truth;
    int64_t whole;
    double real;
    char *text;
    int64_t *list;
    size_t list_count;
    char *origin;
};

struct cupel_recipe {
    struct cupel_error error;
    struct recipe_value *values; /* one for each row of the schema */
    char *dumped;                /* what cupel_recipe_text() handed out */
};

/* A scalar as it was found: quoted ones are strings whatever they look like. */
struct recipe_scalar {
    const char *text;
    bool quoted;
};

/* Sets a value from scalars; `is_list` tells "5" from "[5]". `place` begins the message of a
 * failure and is remembered as the origin. The old value stays when it fails. */
cupel_status recipe_assign(cupel_recipe *recipe, const char *key,
                           const struct recipe_scalar *scalars, size_t count, bool is_list,
                           const char *place);
/* Frees what a value holds. */
void recipe_value_release(struct recipe_value *value);
/* A copy that remembers where each value came from. OUT_OF_MEMORY, with *out NULL. */
cupel_status recipe_copy(cupel_recipe **out, const cupel_recipe *recipe);
/* The value of the key at `index` of the schema, as it would be written. false: no memory. */
bool recipe_append_value(struct json_text *out, const cupel_recipe *recipe, size_t index);
/* The value of a key that is known to be INT. */
int64_t recipe_whole(const cupel_recipe *recipe, const char *key);
/* The value of a key that is known to be STRING or CHOICE. */
const char *recipe_word(const cupel_recipe *recipe, const char *key);
/* The value of a key that is known to be INT or FLOAT. */
double recipe_number(const cupel_recipe *recipe, const char *key);
/* The known key that is spelt most like this. */
const char *recipe_nearest_key(const char *key);
/* The first key of a section; NULL when there is no such section. */
const cupel_recipe_key *recipe_section(const char *name);
enum { RECIPE_SECTION_SIZE = 32 };
/* The name of the section that is spelt most like this. */
const char *recipe_nearest_section(const char *name, char out[RECIPE_SECTION_SIZE]);

#endif
