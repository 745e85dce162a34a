/*
 * What tests do to the program from within, by LD_PRELOAD: this library stands before libc's system
 * calls, and nothing of it is in the program.
 *
 *   CUPEL_KILL_AT=NAME:STAGE:COUNT  SIGKILL at a stage of the COUNT-th writing of the file NAME
 *   CUPEL_FULL_AFTER=BYTES          regular files take so many bytes, then the disk is full
 *   CUPEL_READ_ONLY=1 nothing can be opened for writing or made: a medium that can only be read
 *   CUPEL_LOCALE=1 switches the environment's locale on, as programs that embed the library may
 *
 * Stages of a file that is written whole: created (the temporary file is there, empty), half (of a
 * write is in it), written (before its fsync), synced (before its rename), renamed (before the
 * fsync of its folder). Of a file that grows: created (opened), half, written.
 * Test: tests/kill.bats, tests/bad_days.bats
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 256, NAME_SIZE = 64 };

static char target[NAME_SIZE], target_stage[NAME_SIZE];
static int target_count, count;      /* writings of the target so far */
static char names[FILES][NAME_SIZE]; /* the file that an open descriptor writes */
static bool read_only;
static atomic_llong room = -1; /* bytes until the disk is full; below 0: never */

/* NAME:STAGE:COUNT */
static bool parse(const char *at) {
    const size_t name = strcspn(at, ":");
    const char *const stage = at + name + (at[name] == ':');
    const size_t length = strcspn(stage, ":");
    if (name >= NAME_SIZE || length >= NAME_SIZE || stage[length] != ':')
        return false;
    memcpy(target, at, name);
    memcpy(target_stage, stage, length);
    target_count = (int)strtoll(stage + length + 1, NULL, 10);
    return target_count > 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *const at = getenv("CUPEL_KILL_AT"), *const full = getenv("CUPEL_FULL_AFTER");
    if (at != NULL && !parse(at))
        _exit(99);
    if (full != NULL)
        atomic_store(&room, strtoll(full, NULL, 10));
    read_only = getenv("CUPEL_READ_ONLY") != NULL;
    if (getenv("CUPEL_LOCALE") != NULL && setlocale(LC_ALL, "") == NULL)
        _exit(99);
}

/* The call that would be made without this library. */
#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

static void reach(const char *name, const char *stage) {
    if (target[0] != '\0' && count == target_count && strcmp(name, target) == 0 &&
        strcmp(stage, target_stage) == 0)
        (void)raise(SIGKILL);
}

/* ".NAME.tmp-N" becomes NAME. */
static void opened(int descriptor, const char *path) {
    const char *const slash = strrchr(path, '/'), *const last = slash == NULL ? path : slash + 1;
    const char *const tail = strstr(last, ".tmp-");
    if (descriptor < 0 || descriptor >= FILES)
        return;
    char *const name = names[descriptor];
    if (last[0] == '.' && tail != NULL)
        snprintf(name, NAME_SIZE, "%.*s", (int)(tail - last - 1), last + 1);
    else
        snprintf(name, NAME_SIZE, "%s", last);
    count += strcmp(name, target) == 0;
    reach(name, "created");
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

static bool refused(int flags) {
    if (!read_only || (flags & O_ACCMODE) == O_RDONLY)
        return false;
    errno = EROFS;
    return true;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    if (refused(flags))
        return -1;
    va_start(arguments, flags);
    const int descriptor = REAL(open)(path, flags, mode_of(flags, arguments));
    va_end(arguments);
    if ((flags & O_ACCMODE) != O_RDONLY)
        opened(descriptor, path);
    return descriptor;
}

int openat(int folder, const char *path, int flags, ...) {
    va_list arguments;
    if (refused(flags))
        return -1;
    va_start(arguments, flags);
    const int descriptor = REAL(openat)(folder, path, flags, mode_of(flags, arguments));
    va_end(arguments);
    if ((flags & O_APPEND) != 0)
        opened(descriptor, path);
    return descriptor;
}

static const char *name_of(int descriptor) {
    return descriptor >= 0 && descriptor < FILES ? names[descriptor] : "";
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    struct stat info;
    if (count == target_count && strcmp(name_of(descriptor), target) == 0 && size >= 16 &&
        strcmp(target_stage, "half") == 0) {
        (void)!REAL(write)(descriptor, bytes, size / 2);
        reach(target, "half");
    }
    const long long left = atomic_load(&room);
    if (left >= 0 && fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
        if (left == 0) {
            errno = ENOSPC;
            return -1;
        }
        size = size < (size_t)left ? size : (size_t)left;
        atomic_store(&room, left - (long long)size);
    }
    return REAL(write)(descriptor, bytes, size);
}

int fsync(int descriptor) {
    reach(name_of(descriptor), "written");
    return REAL(fsync)(descriptor);
}

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < FILES)
        names[descriptor][0] = '\0';
    return REAL(close)(descriptor);
}

int mkdir(const char *path, mode_t mode) {
    return refused(O_WRONLY) ? -1 : REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
    const char *const slash = strrchr(to, '/'), *const name = slash == NULL ? to : slash + 1;
    reach(name, "synced");
    const int result = REAL(rename)(from, to);
    reach(name, "renamed");
    return result;
}
