/*
 * Run folders: choosing a name, locking, clearing, and appending. The lock is on the folder itself
 * and goes with the process, so nothing stale can be left. Test: tests/test_trainer.c
 */
#define _DEFAULT_SOURCE /* flock */
#define _POSIX_C_SOURCE 200809L
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static const char *const run_files[] = {RUN_CONFIG,      RUN_PLAN,    RUN_SPLIT,
                                        RUN_ENVIRONMENT, RUN_METRICS, RUN_STATE,
                                        RUN_LAST,        RUN_BEST,    RUN_LOG};
enum { RUN_FILES = sizeof run_files / sizeof run_files[0] };

/* errno says why. */
static cupel_status fail_file(struct cupel_error *error, const char *verb,
                              const struct run_folder *folder, const char *name) {
    const int number = errno;
    char *const path = file_join(folder->path, name);
    const cupel_status status = file_fail(error, verb, path == NULL ? name : path, number);
    cupel_free(path);
    return status;
}

cupel_status run_folder_choose(char **out, const char *wanted, const char *name,
                               struct cupel_error *error) {
    const size_t size = strlen(wanted != NULL ? wanted : name) + 32;
    *out = cupel_alloc(size, 1);
    if (*out == NULL)
        return cupel_fail_memory(error, "a folder's name", size);
    if (wanted != NULL)
        snprintf(*out, size, "%s", wanted);
    int number = 0;
    while (wanted == NULL && (number == 0 || file_exists(*out)))
        snprintf(*out, size, "runs/%s-%d", name, ++number);
    return CUPEL_STATUS_OK;
}

/* Temporary files of base/file.c: ".NAME.tmp-N". With the lock held they belong to nobody. */
static void remove_leftovers(const struct run_folder *folder) {
    DIR *const listing = opendir(folder->path);
    const struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        for (int i = 0; i < RUN_FILES; i++) {
            const size_t length = strlen(run_files[i]);
            if (entry->d_name[0] == '.' && strncmp(entry->d_name + 1, run_files[i], length) == 0 &&
                strncmp(entry->d_name + 1 + length, ".tmp-", 5) == 0)
                (void)unlinkat(folder->lock, entry->d_name, 0);
        }
    if (listing != NULL)
        closedir(listing);
}

cupel_status run_folder_open(struct run_folder *folder, const char *path, enum run_folder_use use,
                             struct cupel_error *error) {
    *folder = (struct run_folder){.lock = -1, .there = strlen(path)};
    const cupel_status made =
        use == RUN_FOLDER_MAKE ? file_make_folder(path, &folder->there, error) : CUPEL_STATUS_OK;
    if (made != CUPEL_STATUS_OK) {
        file_unmake_folder(path, folder->there);
        return made;
    }
    folder->path = cupel_strdup(path);
    if (folder->path == NULL)
        return cupel_fail_memory(error, "a folder's name", strlen(path));
    folder->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->lock < 0)
        return file_fail(error, "open the run folder", path, errno);
    if (flock(folder->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return cupel_fail(error, CUPEL_STATUS_BUSY,
                              "%s is in use by another process: wait for it, or choose another "
                              "folder with --out",
                              path);
        return file_fail(error, "lock", path, errno);
    }
    if (use != RUN_FOLDER_LOOK)
        remove_leftovers(folder);
    return CUPEL_STATUS_OK;
}

void run_folder_close(struct run_folder *folder) {
    if (folder->path != NULL && folder->lock >= 0)
        close(folder->lock);
    cupel_free(folder->path);
    *folder = (struct run_folder){.lock = -1};
}

void run_folder_unmake(struct run_folder *folder) {
    struct cupel_error ignored = {0};
    if (folder->path == NULL || folder->lock < 0)
        return;
    (void)run_folder_clear(folder, &ignored);
    file_unmake_folder(folder->path, folder->there);
    run_folder_close(folder);
}

static bool holds_file(const char *path, const char *name) {
    char *const file = file_join(path, name);
    const bool found = file != NULL && file_exists(file);
    cupel_free(file);
    return found;
}

/* env.json comes first, config.yaml last of what a run begins with. */
bool run_folder_is_stub(const char *path) {
    bool more = false;
    for (int i = 0; i < RUN_FILES && !more; i++)
        more = strcmp(run_files[i], RUN_ENVIRONMENT) != 0 && strcmp(run_files[i], RUN_SPLIT) != 0 &&
               strcmp(run_files[i], RUN_PLAN) != 0 && holds_file(path, run_files[i]);
    return !more && holds_file(path, RUN_ENVIRONMENT);
}

bool run_folder_is_run(const char *path) {
    bool found = false;
    for (int i = 0; i < RUN_FILES && !found; i++)
        found = holds_file(path, run_files[i]);
    return found && !run_folder_is_stub(path);
}

/* One file of such a name may be anybody's. */
bool run_folder_holds(const char *path) {
    int found = 0;
    for (int i = 0; i < RUN_FILES; i++)
        found += holds_file(path, run_files[i]);
    return found > 1;
}

bool run_folder_owns(const char *path) {
    char place[FILE_PATH_SIZE];
    if (!file_resolve(path, place))
        return false;
    char *const slash = strrchr(place, '/');
    bool named = false;
    for (int i = 0; i < RUN_FILES && !named; i++)
        named = strcmp(slash + 1, run_files[i]) == 0;
    slash[slash == place ? 1 : 0] = '\0';
    return named && run_folder_holds(place);
}

cupel_status run_folder_clear(const struct run_folder *folder, struct cupel_error *error) {
    for (int i = 0; i < RUN_FILES; i++)
        if (unlinkat(folder->lock, run_files[i], 0) != 0 && errno != ENOENT)
            return fail_file(error, "remove", folder, run_files[i]);
    return CUPEL_STATUS_OK;
}

char *run_folder_file(const struct run_folder *folder, const char *name) {
    return file_join(folder->path, name);
}

static cupel_status write_all(const struct run_folder *folder, int descriptor, const char *text,
                              const char *name, struct cupel_error *error) {
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t put = write(descriptor, text, left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_file(error, "append to", folder, name);
        text += put;
        left -= (size_t)put;
    }
    if (fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP)
        return fail_file(error, "sync", folder, name);
    return CUPEL_STATUS_OK;
}

cupel_status run_folder_append(const struct run_folder *folder, const char *name, const char *text,
                               uint64_t *size, struct cupel_error *error) {
    const int descriptor =
        openat(folder->lock, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return fail_file(error, "open", folder, name);
    cupel_status status = write_all(folder, descriptor, text, name, error);
    struct stat info;
    if (status == CUPEL_STATUS_OK && size != NULL) {
        if (fstat(descriptor, &info) == 0)
            *size = (uint64_t)info.st_size;
        else
            status = fail_file(error, "look at", folder, name);
    }
    close(descriptor);
    return status;
}

cupel_status run_folder_size(const struct run_folder *folder, const char *name, uint64_t *size,
                             struct cupel_error *error) {
    struct stat info;
    *size = 0;
    if (fstatat(folder->lock, name, &info, 0) != 0)
        return errno == ENOENT ? CUPEL_STATUS_OK : fail_file(error, "look at", folder, name);
    *size = (uint64_t)info.st_size;
    return CUPEL_STATUS_OK;
}

cupel_status run_folder_cut(const struct run_folder *folder, const char *name, uint64_t size,
                            struct cupel_error *error) {
    const int descriptor = openat(folder->lock, name, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return errno == ENOENT ? CUPEL_STATUS_OK : fail_file(error, "open", folder, name);
    struct stat info;
    cupel_status status = CUPEL_STATUS_OK;
    if (fstat(descriptor, &info) != 0)
        status = fail_file(error, "look at", folder, name);
    else if ((uint64_t)info.st_size > size && ftruncate(descriptor, (off_t)size) != 0)
        status = fail_file(error, "cut", folder, name);
    close(descriptor);
    return status;
}
