/*
 * Fetching a published data set. A file grows under the name .FILE.part, which the next fetch goes
 * on with; it gets its own name when it is the published one, byte for byte. The folder is locked
 * meanwhile, so that two processes do not write one part. Test: tests/test_download.c
 */
#define _DEFAULT_SOURCE /* flock */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/memory.h"
#include "data/download_internal.h"
#include "data/url_fetch.h"

struct cupel_download {
    char *folder;
    size_t there; /* the part of the folder's path that was there before */
    int lock;     /* descriptor of the folder, or -1 */
    int fetched;
    const cupel_download_options *options; /* while it runs */
    struct cupel_error error;
};

const char *cupel_download_name(size_t index) {
    const struct published_set *const set = published_at(index);
    return set == NULL ? NULL : set->name;
}

/* --- the folder --- */

static cupel_status make_folder(cupel_download *download, const char *set) {
    const char *const common = getenv("CUPEL_DATA");
    const char *base = download->options->to;
    char *cache = NULL;
    if (base == NULL && common != NULL && common[0] != '\0')
        base = common;
    if (base == NULL) {
        CUPEL_TRY(data_cache_folder(&cache, &download->error));
        base = cache;
    }
    if (base == NULL)
        return cupel_fail(&download->error, CUPEL_STATUS_IO,
                          "there is no folder to keep %s in, because neither $CUPEL_DATA nor "
                          "$XDG_CACHE_HOME nor $HOME is set: give one with --to",
                          set);
    download->folder = file_join(base, set);
    cupel_free(cache);
    if (download->folder == NULL)
        return cupel_fail_memory(&download->error, "a folder's name", 0);
    return file_make_folder(download->folder, &download->there, &download->error);
}

static cupel_status lock_folder(cupel_download *download) {
    download->lock = open(download->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (download->lock < 0)
        return cupel_fail(&download->error, CUPEL_STATUS_IO, "cannot open %s: %s", download->folder,
                          strerror(errno));
    if (flock(download->lock, LOCK_EX | LOCK_NB) == 0)
        return CUPEL_STATUS_OK;
    if (errno == EWOULDBLOCK)
        return cupel_fail(&download->error, CUPEL_STATUS_BUSY,
                          "another process is fetching into %s: wait for it, or choose another "
                          "folder with --to",
                          download->folder);
    return cupel_fail(&download->error, CUPEL_STATUS_IO, "cannot lock %s: %s", download->folder,
                      strerror(errno));
}

/* --- one file from an address --- */

struct watch {
    const cupel_download_options *options;
    const struct published_file *file;
};

static bool watch_bytes(void *user, uint64_t got) {
    const struct watch *const watch = user;
    return watch->options->progress == NULL ||
           watch->options->progress(watch->options->user, watch->file->name, got,
                                    watch->file->size);
}

/* Whether the part is the published file; what is too short is left to be gone on with. */
static cupel_status check_part(cupel_download *download, const struct published_file *file,
                               const struct file_writer *part, const char *url, bool *is_short) {
    uint8_t *bytes;
    size_t size;
    CUPEL_TRY(file_read(part->temporary, file->size + 1, &bytes, &size, &download->error));
    *is_short = size < file->size && !looks_like_web_page(bytes, size);
    const cupel_status status =
        *is_short ? cupel_fail(&download->error, CUPEL_STATUS_IO,
                               "%s ended after %llu of %llu bytes: run the command again to go "
                               "on, or get the files elsewhere with --from",
                               url, (unsigned long long)size, (unsigned long long)file->size)
                  : published_check(file, bytes, size, url, &download->error);
    cupel_free(bytes);
    return status;
}

/* What has been fetched is for the next time; without a byte there is nothing to keep. */
static void keep_part(struct file_writer *part) {
    if (part->written > 0)
        file_writer_leave(part);
}

/* A part that was gone on with and turned out wrong was perhaps begun by another server: the file
 * is fetched once more from its start. */
static cupel_status fetch_part(cupel_download *download, const struct published_file *file,
                               const char *url, struct file_writer *part) {
    struct watch watch = {download->options, file};
    const struct url_fetch fetch = {url, file->size, watch_bytes, &watch};
    for (;;) {
        const bool resumed = part->written > 0;
        bool is_short = false;
        if (part->written < file->size) {
            const cupel_status status = url_fetch(&fetch, part, &download->error);
            if (status != CUPEL_STATUS_OK) {
                keep_part(part);
                return status;
            }
        }
        const cupel_status status = check_part(download, file, part, url, &is_short);
        if (status == CUPEL_STATUS_OK)
            return status;
        if (is_short)
            keep_part(part);
        if (is_short || status != CUPEL_STATUS_BAD_DATA || !resumed)
            return status;
        CUPEL_TRY(file_writer_restart(part, &download->error));
    }
}

static cupel_status fetch_from_url(cupel_download *download, const struct published_file *file,
                                   const char *base, const char *target) {
    struct file_writer part;
    char *const url = file_join(base, file->name);
    if (url == NULL)
        return cupel_fail_memory(&download->error, "an address", strlen(base));
    cupel_status status = file_writer_resume(&part, target, &download->error);
    if (status == CUPEL_STATUS_OK) {
        status = fetch_part(download, file, url, &part);
        if (status == CUPEL_STATUS_OK)
            status = file_writer_commit(&part, &download->error);
        file_writer_cancel(&part);
    }
    cupel_free(url);
    return status;
}

/* --- one file from a folder --- */

/* FROM/SET/FILE or FROM/FILE; *out is NULL when neither is there. */
static cupel_status find_source(cupel_download *download, const char *set, const char *name,
                                char **out) {
    const char *const from = download->options->from;
    char *const inner = file_join(from, set);
    char *const first = inner == NULL ? NULL : file_join(inner, name);
    char *const second = file_join(from, name);
    cupel_free(inner);
    *out = NULL;
    if (first == NULL || second == NULL) {
        cupel_free(first);
        cupel_free(second);
        return cupel_fail_memory(&download->error, "a file's name", 0);
    }
    const bool is_first = file_exists(first), found = is_first || file_exists(second);
    if (found)
        *out = is_first ? first : second;
    cupel_free(is_first ? second : first);
    if (!found)
        cupel_free(second);
    return CUPEL_STATUS_OK;
}

static cupel_status copy_file(cupel_download *download, const char *set,
                              const struct published_file *file, const char *target) {
    char *source;
    uint8_t *bytes = NULL;
    size_t size = 0;
    CUPEL_TRY(find_source(download, set, file->name, &source));
    if (source == NULL)
        return cupel_fail(&download->error, CUPEL_STATUS_IO,
                          "%s holds neither %s/%s nor %s: give the folder that has the published "
                          "files with --from",
                          download->options->from, set, file->name, file->name);
    cupel_status status = file_read(source, 0, &bytes, &size, &download->error);
    if (status == CUPEL_STATUS_OK)
        status = published_check(file, bytes, size, source, &download->error);
    if (status == CUPEL_STATUS_OK)
        status = file_write(target, bytes, size, &download->error);
    cupel_free(bytes);
    cupel_free(source);
    return status;
}

/* --- all files --- */

static bool is_address(const char *from) {
    return from != NULL && strstr(from, "://") != NULL;
}

/* From each address in turn, until one has it. */
static cupel_status fetch_from_addresses(cupel_download *download, const struct published_set *set,
                                         const struct published_file *file, const char *target) {
    const char *const from = download->options->from;
    if (from != NULL)
        return fetch_from_url(download, file, from, target);
    cupel_status status = CUPEL_STATUS_IO;
    for (int i = 0; i < PUBLISHED_ADDRESSES && set->addresses[i] != NULL; i++) {
        status = fetch_from_url(download, file, set->addresses[i], target);
        if (status != CUPEL_STATUS_IO && status != CUPEL_STATUS_BAD_DATA)
            break;
    }
    return status;
}

/* *there: the published file is under its name already. */
static cupel_status is_there(cupel_download *download, const struct published_file *file,
                             const char *target, bool *there) {
    struct cupel_error ignored = {0};
    uint8_t *bytes;
    size_t size;
    *there = false;
    if (!file_exists(target))
        return CUPEL_STATUS_OK;
    const cupel_status status = file_read(target, file->size + 1, &bytes, &size, &download->error);
    if (status == CUPEL_STATUS_BAD_DATA) /* too large: another file */
        return CUPEL_STATUS_OK;
    CUPEL_TRY(status);
    *there = published_check(file, bytes, size, target, &ignored) == CUPEL_STATUS_OK;
    cupel_free(bytes);
    return CUPEL_STATUS_OK;
}

static cupel_status fetch_file(cupel_download *download, const struct published_set *set,
                               const struct published_file *file) {
    bool there;
    char *const target = file_join(download->folder, file->name);
    if (target == NULL)
        return cupel_fail_memory(&download->error, "a file's name", 0);
    cupel_status status = is_there(download, file, target, &there);
    if (status == CUPEL_STATUS_OK && !there) {
        status = download->options->from == NULL || is_address(download->options->from)
                     ? fetch_from_addresses(download, set, file, target)
                     : copy_file(download, set->name, file, target);
        download->fetched += status == CUPEL_STATUS_OK;
    }
    cupel_free(target);
    return status;
}

static cupel_status fetch_set(cupel_download *download, const struct published_set *set) {
    CUPEL_TRY(make_folder(download, set->name));
    CUPEL_TRY(lock_folder(download));
    for (int i = 0; i < PUBLISHED_FILES && set->files[i].name != NULL; i++)
        CUPEL_TRY(fetch_file(download, set, &set->files[i]));
    return CUPEL_STATUS_OK;
}

cupel_status download_fetch_set(cupel_download **out, const struct published_set *set,
                                const char *name, const cupel_download_options *options) {
    static const cupel_download_options none = {0};
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    cupel_download *const download = *out;
    download->lock = -1;
    download->options = options == NULL ? &none : options;
    cupel_status status;
    if (set == NULL)
        status = cupel_fail(&download->error, CUPEL_STATUS_INVALID_ARGUMENT,
                            "no data set \"%.60s\" is known: it is fashion-mnist or mnist", name);
    else
        status = fetch_set(download, set);
    if (status != CUPEL_STATUS_OK && download->folder != NULL) /* while it is locked */
        file_unmake_folder(download->folder, download->there);
    if (download->lock >= 0)
        close(download->lock);
    download->lock = -1;
    download->options = NULL;
    return status;
}

cupel_status cupel_download_fetch(cupel_download **out, const char *set,
                                  const cupel_download_options *options) {
    return download_fetch_set(out, published_find(set), set, options);
}

void cupel_download_destroy(cupel_download *download) {
    if (download == NULL)
        return;
    cupel_free(download->folder);
    cupel_free(download);
}

const char *cupel_download_error(const cupel_download *download) {
    return download != NULL ? download->error.text : "";
}

const char *cupel_download_folder(const cupel_download *download) {
    return download->folder == NULL ? "" : download->folder;
}

int cupel_download_fetched(const cupel_download *download) {
    return download->fetched;
}
