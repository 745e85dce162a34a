/*
 * Files: a reader of whole files and a writer whose target changes at once or not at all. The
 * temporary file lies beside the target (a rename works only within one file system) and is named
 * .NAME.tmp-N and locked, so that what a killed process left is known and removed by who writes the
 * same file next. Devices and pipes (/dev/stdout) cannot be renamed over: they are written
 * directly. Test: tests/test_file.c
 */
#define _GNU_SOURCE /* flock, O_NOFOLLOW */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* Fault injection counts file_writer_write calls and the sync of each commit. */
enum { FAIL_NEVER, FAIL_ONCE, FAIL_FOR_GOOD };
static atomic_int fail_mode = FAIL_NEVER;
static atomic_int_least64_t fail_countdown;

void file_fail_after(uint64_t successes, bool for_good) {
    const uint64_t most = INT64_MAX;
    atomic_store(&fail_mode, FAIL_NEVER);
    atomic_store(&fail_countdown, (int64_t)(successes < most ? successes : most));
    atomic_store(&fail_mode, for_good ? FAIL_FOR_GOOD : FAIL_ONCE);
}

void file_fail_never(void) {
    atomic_store(&fail_mode, FAIL_NEVER);
}

static bool injected_failure(void) {
    const int mode = atomic_load(&fail_mode);
    if (mode == FAIL_NEVER)
        return false;
    const int64_t left = atomic_fetch_sub(&fail_countdown, 1);
    return mode == FAIL_FOR_GOOD ? left <= 0 : left == 0;
}

const char *file_advice(int number) {
    switch (number) {
    case ENOSPC:
    case EDQUOT: return "; free space or choose another folder";
    case EFBIG: return "; raise the limit on file sizes (ulimit -f) or choose another file system";
    case EACCES:
    case EPERM:
    case EROFS: return "; check the permissions or choose another folder";
    case EMFILE:
    case ENFILE: return "; raise the limit on open files (ulimit -n)";
    case ENAMETOOLONG: return "; choose a shorter name";
    case ENOENT:
    case ENOTDIR: return "; check the path";
    case EISDIR: return "; give the name of a file";
    case EIO: return "; the medium may be failing";
    default: return "";
    }
}

cupel_status file_fail(struct cupel_error *error, const char *verb, const char *path, int number) {
    char buffer[128];
    return cupel_fail(error, CUPEL_STATUS_IO, "cannot %s %s: %s%s", verb, path,
                      strerror_r(number, buffer, sizeof buffer), file_advice(number));
}

static int open_file(const char *path, int flags, mode_t mode) {
    for (;;) {
        const int descriptor = open(path, flags | O_CLOEXEC, mode);
        if (descriptor >= 0 || errno != EINTR)
            return descriptor;
    }
}

static cupel_status fail_too_large(struct cupel_error *error, const char *path, uint64_t limit) {
    return cupel_fail(
        error, CUPEL_STATUS_BAD_DATA,
        "cannot read %s: it is larger than the %llu bytes allowed here; check that it "
        "is the right file",
        path, (unsigned long long)limit);
}

/* Reads until the end of the file; one byte more than `limit` shows that it is too large. */
static cupel_status read_all(int descriptor, const char *path, uint64_t limit, size_t expected,
                             uint8_t **out, size_t *out_size, struct cupel_error *error) {
    size_t capacity = expected + 2;
    size_t size = 0;
    cupel_status status = CUPEL_STATUS_OK;
    uint8_t *bytes = cupel_alloc_walked(capacity);
    if (bytes == NULL) {
        status = cupel_fail_memory(error, path, expected + 2);
        goto done;
    }
    for (;;) {
        /* One byte stays free for the final 0. */
        if (size + 1 >= capacity && !cupel_grow(&bytes, &capacity, capacity + 1, 1)) {
            status = cupel_fail_memory(error, path, capacity * 2);
            goto done;
        }
        const size_t room = capacity - size - 1;
        const ssize_t got = read(descriptor, bytes + size, room < SSIZE_MAX ? room : SSIZE_MAX);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = file_fail(error, "read", path, errno);
            goto done;
        }
        if (got == 0)
            break;
        size += (size_t)got;
        if (size > limit) {
            status = fail_too_large(error, path, limit);
            goto done;
        }
    }
    bytes[size] = 0;
    *out = bytes;
    *out_size = size;
    bytes = NULL;
done:
    cupel_free(bytes);
    return status;
}

cupel_status file_read(const char *path, uint64_t limit, uint8_t **out, size_t *out_size,
                       struct cupel_error *error) {
    const uint64_t one_gib = UINT64_C(1) << 30;
    if (limit == 0)
        limit = one_gib;
    const int descriptor = open_file(path, O_RDONLY, 0);
    if (descriptor < 0)
        return file_fail(error, "open", path, errno);

    struct stat info;
    cupel_status status = CUPEL_STATUS_OK;
    if (fstat(descriptor, &info) != 0) {
        status = file_fail(error, "read", path, errno);
    } else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit) {
        status = fail_too_large(error, path, limit);
    } else {
        const size_t expected = S_ISREG(info.st_mode) ? (size_t)info.st_size : 4096;
        status = read_all(descriptor, path, limit, expected, out, out_size, error);
    }
    close(descriptor);
    return status;
}

/* Where the rename shall land: behind a symbolic link, so that the link itself survives. */
static char *resolve_target(const char *path) {
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        char real[PATH_MAX];
        if (realpath(path, real) != NULL)
            return cupel_strdup(real);
    }
    return cupel_strdup(path);
}

static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

static char *temporary_name(const char *path, unsigned number) {
    const size_t folder = folder_length(path);
    const size_t size = strlen(path) + 32;
    char *name = cupel_alloc(size, 1);
    if (name != NULL)
        snprintf(name, size, "%.*s.%s.tmp-%u", (int)folder, path, path + folder, number);
    return name;
}

enum hold { HELD, TAKEN, NO_LOCKS };

/* Locks an open file; it is ours only while it still has this name. */
static enum hold hold_by_name(int descriptor, const char *name) {
    struct stat opened, named;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK || errno == EINTR ? TAKEN : NO_LOCKS;
    const bool same = fstat(descriptor, &opened) == 0 && lstat(name, &named) == 0 &&
                      opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
    return same ? HELD : TAKEN;
}

/* Removes a temporary file that no process holds. */
static bool remove_leftover(const char *name) {
    const int descriptor = open_file(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    const bool removed =
        descriptor >= 0 && hold_by_name(descriptor, name) == HELD && unlink(name) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return removed;
}

/* EEXIST: the name is another's, or another took the new file for a leftover. Where files cannot
 * be locked leftovers stay. */
static bool create_temporary(struct file_writer *writer, mode_t mode) {
    writer->descriptor = open_file(writer->temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (writer->descriptor < 0)
        return false;
    if (hold_by_name(writer->descriptor, writer->temporary) != TAKEN)
        return true;
    close(writer->descriptor);
    writer->descriptor = -1;
    errno = EEXIST;
    return false;
}

static cupel_status open_temporary(struct file_writer *writer, mode_t mode,
                                   struct cupel_error *error) {
    for (unsigned number = 0;;) {
        writer->temporary = temporary_name(writer->path, number);
        if (writer->temporary == NULL)
            return cupel_fail_memory(error, "a file name", strlen(writer->path) + 32);
        if (create_temporary(writer, mode))
            return CUPEL_STATUS_OK;
        const int why = errno;
        if (why == EEXIST && !remove_leftover(writer->temporary))
            number++;
        cupel_free(writer->temporary);
        writer->temporary = NULL;
        if (why != EEXIST)
            return file_fail(error, "create", writer->path, why);
    }
}

cupel_status file_writer_open(struct file_writer *writer, const char *path,
                              struct cupel_error *error) {
    *writer = (struct file_writer){.descriptor = -1};
    if (path[folder_length(path)] == '\0')
        return cupel_fail(error, CUPEL_STATUS_IO,
                          "cannot write \"%s\": the path names a folder; give the name of a file",
                          path);
    writer->path = resolve_target(path);
    if (writer->path == NULL)
        return cupel_fail_memory(error, "a file name", strlen(path) + 1);

    cupel_status status = CUPEL_STATUS_OK;
    struct stat info;
    const bool exists = stat(writer->path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        status = cupel_fail(error, CUPEL_STATUS_IO,
                            "cannot write %s: it is a folder; give the name of a file", path);
    } else if (exists && !S_ISREG(info.st_mode)) {
        writer->descriptor = open_file(writer->path, O_WRONLY, 0);
        if (writer->descriptor < 0)
            status = file_fail(error, "open", path, errno);
    } else {
        status = open_temporary(writer, 0666, error);
        /* A file that is written again keeps its permissions, where the system lets us. */
        if (status == CUPEL_STATUS_OK && exists)
            (void)!fchmod(writer->descriptor, info.st_mode & 07777);
    }
    if (status != CUPEL_STATUS_OK)
        file_writer_cancel(writer);
    return status;
}

static cupel_status open_part(struct file_writer *writer, struct cupel_error *error) {
    const size_t folder = folder_length(writer->path), size = strlen(writer->path) + 16;
    struct stat info;
    writer->temporary = cupel_alloc(size, 1);
    if (writer->temporary == NULL)
        return cupel_fail_memory(error, "a file name", size);
    snprintf(writer->temporary, size, "%.*s.%s.part", (int)folder, writer->path,
             writer->path + folder);
    writer->descriptor = open_file(writer->temporary, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (writer->descriptor < 0 || fstat(writer->descriptor, &info) != 0)
        return file_fail(error, "create", writer->temporary, errno);
    writer->written = (uint64_t)info.st_size;
    return CUPEL_STATUS_OK;
}

cupel_status file_writer_resume(struct file_writer *writer, const char *path,
                                struct cupel_error *error) {
    *writer = (struct file_writer){.descriptor = -1};
    writer->path = resolve_target(path);
    if (writer->path == NULL)
        return cupel_fail_memory(error, "a file name", strlen(path) + 1);
    const cupel_status status = open_part(writer, error);
    if (status != CUPEL_STATUS_OK)
        file_writer_leave(writer);
    return status;
}

cupel_status file_writer_restart(struct file_writer *writer, struct cupel_error *error) {
    if (ftruncate(writer->descriptor, 0) != 0)
        return file_fail(error, "empty", writer->path, errno);
    writer->written = 0;
    return CUPEL_STATUS_OK;
}

void file_writer_leave(struct file_writer *writer) {
    cupel_free(writer->temporary);
    writer->temporary = NULL;
    file_writer_cancel(writer);
}

cupel_status file_writer_write(struct file_writer *writer, const void *bytes, size_t size,
                               struct cupel_error *error) {
    if (writer->path == NULL)
        return cupel_fail(error, CUPEL_STATUS_BUG, "a file that is not open is written to");
    if (injected_failure())
        return file_fail(error, "write", writer->path, ENOSPC);
    const char *next = bytes;
    while (size > 0) {
        const ssize_t put = write(writer->descriptor, next, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_fail(error, "write", writer->path, errno);
        next += put;
        size -= (size_t)put;
        writer->written += (uint64_t)put;
    }
    return CUPEL_STATUS_OK;
}

/* Some file systems and devices cannot sync; that is no failure of ours. */
static bool sync_descriptor(int descriptor) {
    while (fsync(descriptor) != 0) {
        if (errno != EINTR)
            return errno == EINVAL || errno == ENOTSUP || errno == EROFS;
    }
    return true;
}

/* Makes the rename itself durable. */
static bool sync_folder(const char *path) {
    const size_t length = folder_length(path);
    char *folder = length == 0 ? cupel_strdup(".") : cupel_strndup(path, length);
    if (folder == NULL) {
        errno = ENOMEM;
        return false;
    }
    const int descriptor = open_file(folder, O_RDONLY | O_DIRECTORY, 0);
    cupel_free(folder);
    if (descriptor < 0)
        return errno == EACCES; /* a folder one may write but not read cannot be synced */
    const bool synced = sync_descriptor(descriptor);
    const int number = errno;
    close(descriptor);
    errno = number;
    return synced;
}

cupel_status file_writer_commit(struct file_writer *writer, struct cupel_error *error) {
    if (writer->path == NULL)
        return cupel_fail(error, CUPEL_STATUS_BUG, "a file that is not open is committed");
    cupel_status status = CUPEL_STATUS_OK;
    if (injected_failure())
        status = file_fail(error, "write", writer->path, ENOSPC);
    else if (!sync_descriptor(writer->descriptor))
        status = file_fail(error, "sync", writer->path, errno);

    /* Closing a copy tells what a file system that cannot sync has to say; the lock is kept. */
    const int copy = dup(writer->descriptor);
    if (copy >= 0 && close(copy) != 0 && errno != EINTR && status == CUPEL_STATUS_OK)
        status = file_fail(error, "write", writer->path, errno);

    if (status == CUPEL_STATUS_OK && writer->temporary != NULL) {
        if (rename(writer->temporary, writer->path) != 0) {
            status = file_fail(error, "replace", writer->path, errno);
        } else {
            cupel_free(writer->temporary); /* it has become the target: nothing left to remove */
            writer->temporary = NULL;
            if (!sync_folder(writer->path))
                status = errno == ENOMEM
                             ? cupel_fail_memory(error, "a folder name", strlen(writer->path))
                             : file_fail(error, "sync the folder of", writer->path, errno);
        }
    }
    file_writer_cancel(writer);
    return status;
}

void file_writer_cancel(struct file_writer *writer) {
    if (writer->path != NULL && writer->descriptor >= 0)
        close(writer->descriptor);
    if (writer->temporary != NULL)
        unlink(writer->temporary);
    cupel_free(writer->temporary);
    cupel_free(writer->path);
    const uint64_t written = writer->written;
    *writer = (struct file_writer){.descriptor = -1, .written = written};
}

cupel_status file_write(const char *path, const void *bytes, size_t size,
                        struct cupel_error *error) {
    struct file_writer writer;
    CUPEL_TRY(file_writer_open(&writer, path, error));
    cupel_status status = file_writer_write(&writer, bytes, size, error);
    if (status == CUPEL_STATUS_OK)
        status = file_writer_commit(&writer, error);
    file_writer_cancel(&writer);
    return status;
}

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* Creates one folder of the chain; an existing one is fine. */
static cupel_status make_one(const char *path, struct cupel_error *error) {
    if (mkdir(path, 0777) == 0)
        return CUPEL_STATUS_OK;
    const int number = errno;
    struct stat info;
    if (stat(path, &info) != 0)
        return file_fail(error, "create the folder", path, number);
    if (!S_ISDIR(info.st_mode))
        return cupel_fail(error, CUPEL_STATUS_IO,
                          "cannot create the folder %s: a file of that name is in the way; move it "
                          "or choose another name",
                          path);
    return CUPEL_STATUS_OK;
}

cupel_status file_make_folder(const char *path, size_t *there, struct cupel_error *error) {
    size_t before = 0;
    bool made = false;
    if (there == NULL)
        there = &before;
    *there = 0;
    if (path[0] == '\0')
        return cupel_fail(error, CUPEL_STATUS_IO, "cannot create a folder without a name");
    char *partial = cupel_strdup(path);
    if (partial == NULL)
        return cupel_fail_memory(error, "a folder name", strlen(path) + 1);
    cupel_status status = CUPEL_STATUS_OK;
    for (char *at = partial + 1; status == CUPEL_STATUS_OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        const char end = *at;
        *at = '\0';
        made = made || !file_exists(partial);
        if (!made)
            *there = (size_t)(at - partial);
        status = make_one(partial, error);
        *at = end;
        if (end == '\0')
            break;
    }
    cupel_free(partial);
    return status;
}

void file_unmake_folder(const char *path, size_t there) {
    char *partial = cupel_strdup(path);
    if (partial == NULL)
        return;
    for (size_t length = strlen(partial); length > there; length--)
        if (partial[length] == '\0' || partial[length] == '/') {
            partial[length] = '\0';
            if (rmdir(partial) != 0)
                break;
        }
    cupel_free(partial);
}

cupel_status file_check_folder(const char *path, struct cupel_error *error) {
    const int descriptor = open_file(path, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0)
        return file_fail(error, "open the folder", path, errno);
    close(descriptor);
    return CUPEL_STATUS_OK;
}

bool file_resolve(const char *path, char out[FILE_PATH_SIZE]) {
    char next[PATH_MAX];
    _Static_assert(FILE_PATH_SIZE >= PATH_MAX, "realpath() needs that much");
    if (realpath(path[0] == '/' ? "/" : ".", out) == NULL)
        return false;
    for (size_t length; *path != '\0'; path += length) {
        path += strspn(path, "/");
        length = strcspn(path, "/");
        if (length == 0 || (length == 1 && path[0] == '.'))
            continue;
        const size_t folder = strlen(out);
        if (length == 2 && path[0] == '.' && path[1] == '.') { /* out has no link left */
            char *const slash = strrchr(out, '/');
            slash[slash == out ? 1 : 0] = '\0';
        } else if (folder + length + 2 > sizeof next) {
            return false;
        } else {
            snprintf(next, sizeof next, "%s%s%.*s", out, folder > 1 ? "/" : "", (int)length, path);
            if (realpath(next, out) == NULL) /* not there: made as a folder */
                memcpy(out, next, strlen(next) + 1);
        }
    }
    return true;
}

bool file_lies_in(const char *path, const char *folder) {
    char place[FILE_PATH_SIZE], around[FILE_PATH_SIZE];
    if (!file_resolve(path, place) || realpath(folder, around) == NULL)
        return false;
    const size_t length = strlen(around);
    return strncmp(place, around, length) == 0 &&
           (place[length] == '\0' || place[length] == '/' || around[length - 1] == '/');
}

char *file_join(const char *folder, const char *name) {
    const size_t length = strlen(folder);
    const bool slash = length > 0 && folder[length - 1] != '/';
    const size_t size = length + strlen(name) + 2;
    char *path = cupel_alloc(size, 1);
    if (path != NULL)
        snprintf(path, size, "%s%s%s", folder, slash ? "/" : "", name);
    return path;
}
