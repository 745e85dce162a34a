/*
 * Recipes: everything that defines a run, as YAML with a fixed list of typed keys. Every key has a
 * default, so an empty recipe is a run; a key that is not in the list, a value of another type or
 * out of its range is an error with file, line and remedy. What cupel_recipe_write() writes repeats
 * the run.
 *
 *   1. cupel_recipe_create() (all defaults) or cupel_recipe_read()
 *   2. cupel_recipe_set() for each override, then cupel_recipe_check()
 *   3. cupel_recipe_get_...()
 *   4. cupel_recipe_write() the resolved recipe
 *   5. cupel_recipe_destroy()
 */
#ifndef CUPEL_RECIPE_H
#define CUPEL_RECIPE_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_recipe cupel_recipe;

typedef enum cupel_recipe_type {
    CUPEL_RECIPE_BOOL = 0,
    CUPEL_RECIPE_INT = 1,
    CUPEL_RECIPE_FLOAT = 2,
    CUPEL_RECIPE_STRING = 3,
    CUPEL_RECIPE_CHOICE = 4, /* one word of a list */
    CUPEL_RECIPE_INTS = 5    /* a list of whole numbers */
} cupel_recipe_type;

/* One row of the schema; the same rows make help texts and documentation. */
typedef struct cupel_recipe_key {
    const char *key; /* dotted: "train.epochs" */
    cupel_recipe_type type;
    const char *initial; /* the default, as it would be written */
    double least, most;  /* INT, FLOAT and the elements of INTS */
    bool above, below;   /* FLOAT: the bound itself is excluded */
    bool distinct;       /* INTS: no element twice */
    bool file_name;      /* STRING: letters, digits and ._- alone */
    const char *choices; /* CHOICE: "adam|adamw|sgd" */
    const char *help;    /* one line */
} cupel_recipe_key;

CUPEL_API size_t cupel_recipe_key_count(void);
/* NULL past the end. */
CUPEL_API const cupel_recipe_key *cupel_recipe_key_at(size_t index);
/* NULL when there is none of that name. */
CUPEL_API const cupel_recipe_key *cupel_recipe_key_find(const char *key);

/* OUT_OF_MEMORY, with *out NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_create(cupel_recipe **out);
/* Reads a recipe: IO, BAD_DATA ("file:line: what, why, what to do"). On failure *out is a recipe of
 * defaults that carries the sentence (destroy it), or NULL when memory for that was refused. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_read(cupel_recipe **out, const char *path);
/* The same from memory; `name` stands for the path in messages. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_parse(cupel_recipe **out, const void *bytes,
                                                        size_t size, const char *name);
CUPEL_API void cupel_recipe_destroy(cupel_recipe *recipe);
CUPEL_API const char *cupel_recipe_error(const cupel_recipe *recipe);

/* Overrides one key: assignment is "key=value", lists are "1,5,7" or "[1, 5, 7]"; origin ("--set")
 * stands for the place in messages. BAD_DATA, and the old value stays. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_set(cupel_recipe *recipe, const char *assignment,
                                                      const char *origin);
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_set_value(cupel_recipe *recipe, const char *key,
                                                            const char *value, const char *origin);
/* The rules that concern several keys at once. BAD_DATA. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_check(cupel_recipe *recipe);

/* NAME for an unknown key, TYPE for one of another type, and 0, "" or an empty list in *out.
 * Strings and lists are borrowed until the key is set again. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_get_bool(cupel_recipe *recipe, const char *key,
                                                           bool *out);
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_get_int(cupel_recipe *recipe, const char *key,
                                                          int64_t *out);
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_get_float(cupel_recipe *recipe, const char *key,
                                                            double *out);
/* STRING and CHOICE. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_get_string(cupel_recipe *recipe, const char *key,
                                                             const char **out);
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_get_ints(cupel_recipe *recipe, const char *key,
                                                           const int64_t **out, size_t *count);
/* Where the value came from: "default", "demo.yaml:7", "--set"; "" for an unknown key. */
CUPEL_API const char *cupel_recipe_origin(const cupel_recipe *recipe, const char *key);

/* The whole recipe as canonical YAML: every key, in the order of the schema. *out is borrowed until
 * the next call or the end of the recipe. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_text(cupel_recipe *recipe, const char **out);
/* Writes that text, whole or not at all. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_recipe_write(cupel_recipe *recipe, const char *path);

#ifdef __cplusplus
}
#endif
#endif
