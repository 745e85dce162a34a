/*
 * What a named file must not replace, and whether it can be written. Files are told apart by device
 * and inode, so a link is no way round; devices, pipes and what is not there yet replace nothing.
 * Test: tests/target.bats
 */
#define _POSIX_C_SOURCE 200809L
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cupel/dataset.h>
#include <cupel/file.h>
#include <cupel/job.h>

#include "console.h"

enum { PATH_SIZE = CUPEL_FILE_PATH_SIZE };

/* Cuts a path without links to its folder; false at the root. */
static bool to_folder(char *path) {
    char *const slash = strrchr(path, '/');
    const bool deeper = slash != NULL && path[1] != '\0';
    if (deeper)
        slash[slash == path ? 1 : 0] = '\0';
    return deeper;
}

/* Devices and pipes are written straight, and keep what they are. */
static bool is_replaced(const struct target *target) {
    struct stat info;
    return target->path != NULL && (stat(target->path, &info) != 0 || S_ISREG(info.st_mode));
}

static bool is_same(const char *path, const struct stat *other) {
    struct stat info;
    return stat(path, &info) == 0 && info.st_dev == other->st_dev && info.st_ino == other->st_ino;
}

bool target_check(const struct target *target) {
    char folder[PATH_SIZE];
    if (!is_replaced(target))
        return true;
    if (cupel_job_owns(target->path)) {
        complain("%s %s is a file of a run: give another name", target->option, target->path);
        return false;
    }
    if (cupel_file_resolve(target->path, folder) && to_folder(folder) &&
        (cupel_dataset_holds(folder, "train") || cupel_dataset_holds(folder, "test"))) {
        complain("%s %s lies in the data set's folder %s: choose a place outside", target->option,
                 target->path, folder);
        return false;
    }
    return true;
}

/* The folder that a new file is made in: behind a link where it leads somewhere. */
static void folder_of(const char *path, bool there, char folder[PATH_SIZE]) {
    if (there && cupel_file_resolve(path, folder) && to_folder(folder))
        return;
    const char *const slash = strrchr(path, '/');
    const int length = slash == NULL ? 0 : (int)(slash - path) + 1;
    snprintf(folder, PATH_SIZE, "%.*s", slash == NULL ? 1 : length, slash == NULL ? "." : path);
}

int target_reach(const struct target *target, bool in_place) {
    const char *const path = target->path;
    char folder[PATH_SIZE];
    struct stat info;
    if (path == NULL)
        return EXIT_FINE;
    const size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/') {
        complain("cannot write %s \"%s\": the path %s; give the name of a file", target->option,
                 path, length == 0 ? "is empty" : "names a folder");
        return EXIT_IO;
    }
    const bool there = stat(path, &info) == 0;
    if (there && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return complain_errno("write", path);
    }
    if (there && (in_place || !S_ISREG(info.st_mode)))
        return access(path, W_OK) == 0 ? EXIT_FINE : complain_errno("write", path);
    if (length >= PATH_SIZE)
        return EXIT_FINE; /* who writes it complains */
    folder_of(path, there, folder);
    return access(folder, W_OK | X_OK) == 0 ? EXIT_FINE : complain_errno("write", path);
}

/* The labels and names that are read with an IDX file of images. */
static bool is_companion(const char *path) {
    const char *const slash = strrchr(path, '/'), *const name = slash == NULL ? path : slash + 1;
    return strstr(name, "idx1-ubyte") != NULL || strcmp(name, "classes.txt") == 0;
}

/* At any depth: nothing of ours is to be found among the images the next time. */
static bool lies_in(const char *folder, const struct stat *info) {
    char at[PATH_SIZE];
    snprintf(at, sizeof at, "%s", folder);
    do
        if (is_same(at, info))
            return true;
    while (to_folder(at));
    return false;
}

static bool spares(const struct target *target, const char *input, const struct stat *info) {
    char folder[PATH_SIZE], beside[PATH_SIZE];
    struct stat there;
    if (is_same(target->path, info)) {
        complain("%s %s is %s, which is read: give another file", target->option, target->path,
                 input);
        return false;
    }
    if (!cupel_file_resolve(target->path, folder) || !to_folder(folder) ||
        !cupel_file_resolve(input, beside) || !to_folder(beside))
        return true;
    if (S_ISDIR(info->st_mode) && lies_in(folder, info)) {
        complain("%s %s lies in %s, whose images are read: choose a place outside", target->option,
                 target->path, input);
        return false;
    }
    if (S_ISREG(info->st_mode) && is_companion(target->path) && strcmp(beside, folder) == 0 &&
        stat(target->path, &there) == 0) {
        complain("%s %s belongs to %s, which is read: give another file", target->option,
                 target->path, input);
        return false;
    }
    return true;
}

bool targets_spare(const struct target *targets, size_t count, const char *input) {
    struct stat info;
    if (input == NULL || stat(input, &info) != 0)
        return true; /* who reads it complains */
    for (size_t i = 0; i < count; i++)
        if (is_replaced(&targets[i]) && !spares(&targets[i], input, &info))
            return false;
    return true;
}

bool target_check_data_folder(const char *folder) {
    if (folder == NULL || !cupel_job_holds(folder))
        return true;
    complain("%s holds a run: choose another folder for the data", folder);
    return false;
}
