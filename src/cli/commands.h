/*
 * The commands: each takes its parsed arguments and returns the exit code.
 */
#ifndef CUPEL_CLI_COMMANDS_H
#define CUPEL_CLI_COMMANDS_H

#include <cupel/recipe.h>

#include "console.h"
#include "options.h"

int command_train(const struct arguments *arguments);
int command_score(const struct arguments *arguments);
int command_eval(const struct arguments *arguments);
int command_inspect(const struct arguments *arguments);
int command_data(const struct arguments *arguments);
int command_bench(const struct arguments *arguments);

/* Overrides the recipe's keys by the options that have one, then by --set. Returns an exit code;
 * a complaint has been printed when it is not 0. */
int apply_overrides(cupel_recipe *recipe, const struct arguments *arguments);
/* Reads a recipe and applies the overrides. */
int read_recipe(cupel_recipe **out, const char *path, const struct arguments *arguments);

/* The weights file and the plan (NULL: none) of a run folder, or the file itself; allocated. */
struct weights_paths {
    char *weights, *plan;
};
int find_weights(struct weights_paths *out, const char *path, const struct arguments *arguments);
void release_weights_paths(struct weights_paths *paths);

#endif
