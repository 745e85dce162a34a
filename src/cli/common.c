/*
 * What several commands do: reading a recipe with its overrides, and finding weights.
 * Test: tests/command_line.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"

/* A value on the command line is usage, not data. */
static int usage(cupel_recipe *recipe) {
    complain("%s", cupel_recipe_error(recipe));
    return EXIT_USAGE;
}

int apply_overrides(cupel_recipe *recipe, const struct arguments *arguments) {
    for (int i = 0; i < OPTION_COUNT; i++) {
        const char *const key = option_key((enum option)i), *const value = arguments->values[i];
        char origin[40];
        if (key == NULL || value == NULL)
            continue;
        snprintf(origin, sizeof origin, "--%s", option_name((enum option)i));
        if (cupel_recipe_set_value(recipe, key, value, origin) != CUPEL_STATUS_OK)
            return usage(recipe);
    }
    for (size_t i = 0; i < arguments->n_sets; i++)
        if (cupel_recipe_set(recipe, arguments->sets[i], "--set") != CUPEL_STATUS_OK)
            return usage(recipe);
    return EXIT_FINE;
}

int read_recipe(cupel_recipe **out, const char *path, const struct arguments *arguments) {
    const cupel_status status = cupel_recipe_read(out, path);
    int code = fail_with(status, *out == NULL ? NULL : cupel_recipe_error(*out));
    if (code == EXIT_FINE)
        code = apply_overrides(*out, arguments);
    if (code == EXIT_FINE)
        code = fail_with(cupel_recipe_check(*out), cupel_recipe_error(*out));
    if (code != EXIT_FINE) {
        cupel_recipe_destroy(*out);
        *out = NULL;
    }
    return code;
}

static char *join(const char *folder, const char *name) {
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *const path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *path) {
    struct stat info;
    return path != NULL && stat(path, &info) == 0;
}

static bool holds(const char *folder, const char *name) {
    char *const path = join(folder, name);
    const bool found = exists(path);
    free(path);
    return found;
}

/* Why there are no weights of that name, and where there are some. */
static int complain_no_weights(const char *run, const char *weights, bool last) {
    if (errno != ENOENT && errno != ENOTDIR)
        return complain_errno("look at", weights);
    if (holds(run, last ? "best.safetensors" : "last.safetensors"))
        complain("%s is not there, and the run's %s weights are: take them with --weights %s",
                 weights, last ? "best" : "last", last ? "best" : "last");
    else if (holds(run, "config.yaml") || holds(run, "state.safetensors"))
        complain("%s has no weights yet (%s): they are written at the end of the first epoch; go "
                 "on with cupel train --resume %s",
                 run, weights, run);
    else
        complain("%s holds no run: give the folder that cupel train printed, or a weights file",
                 run);
    return EXIT_IO;
}

static int find_in_run(struct weights_paths *out, const char *run,
                       const struct arguments *arguments) {
    const char *const which = arguments->values[OPTION_WEIGHTS];
    if (which != NULL && strcmp(which, "best") != 0 && strcmp(which, "last") != 0) {
        complain("--weights %s: give best or last", which);
        return EXIT_USAGE;
    }
    const bool last = which != NULL && strcmp(which, "last") == 0;
    out->weights = join(run, last ? "last.safetensors" : "best.safetensors");
    out->plan = join(run, "plan.json");
    if (out->weights == NULL || out->plan == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    if (!exists(out->weights))
        return complain_no_weights(run, out->weights, last);
    if (!exists(out->plan)) {
        free(out->plan);
        out->plan = NULL;
    }
    return EXIT_FINE;
}

int find_weights(struct weights_paths *out, const char *path, const struct arguments *arguments) {
    *out = (struct weights_paths){0};
    struct stat info;
    int code = EXIT_FINE;
    if (stat(path, &info) != 0) {
        if (errno != ENOENT)
            return complain_errno("look at", path);
        complain("%s is not there: give the folder of a run, or a weights file", path);
        return EXIT_IO;
    }
    if (S_ISDIR(info.st_mode)) {
        code = find_in_run(out, path, arguments);
    } else if (arguments_has(arguments, OPTION_WEIGHTS)) {
        complain("--weights chooses among the weights of a run, and %s is a weights file: leave "
                 "one out",
                 path);
        code = EXIT_USAGE;
    } else {
        out->weights = malloc(strlen(path) + 1);
        if (out->weights == NULL)
            code = fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
        else
            memcpy(out->weights, path, strlen(path) + 1);
    }
    if (code != EXIT_FINE)
        release_weights_paths(out);
    return code;
}

void release_weights_paths(struct weights_paths *paths) {
    free(paths->weights);
    free(paths->plan);
    *paths = (struct weights_paths){0};
}
