/*
 * What files and folders hold. Each file is read by the reader that training would use, so what is
 * said to be whole can be trained on; the walk goes on after damage, so all of it is told at once.
 * Test: tests/test_check.c
 */
#define _POSIX_C_SOURCE 200809L
#include "cupel/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/memory.h"
#include "cupel/dataset.h"
#include "cupel/image.h"
#include "data/idx.h"
#include "data/published.h"

enum { MOST_LEVELS = 4, LINE_SIZE = 1024, HEAD_SIZE = 1024 };
static const uint64_t most_bytes = UINT64_C(1) << 32; /* of a file, as the reader of IDX allows */

struct check {
    cupel_check_line line;
    void *user;
    int64_t images, damages;
    struct cupel_error error;
};

CUPEL_PRINTF(3, 4)
static void tell(struct check *check, bool damage, const char *format, ...) {
    char text[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->damages += damage;
    if (check->line != NULL)
        check->line(check->user, damage, text);
}

/* Damage is told and passed over; what keeps us from looking further is a failure. */
static cupel_status told(struct check *check, cupel_status status, const char *sentence) {
    if (status == CUPEL_STATUS_OK)
        return status;
    if (status == CUPEL_STATUS_OUT_OF_MEMORY)
        return cupel_fail_memory(&check->error, "a check", 0);
    tell(check, true, "%s", sentence);
    return CUPEL_STATUS_OK;
}

/* --- files --- */

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_idx_name(const char *name) {
    return ends_with(name, "-ubyte") || ends_with(name, "-ubyte.gz") || ends_with(name, ".idx") ||
           ends_with(name, ".idx.gz");
}

static bool is_png_name(const char *name) {
    return ends_with(name, ".png") || ends_with(name, ".PNG");
}

static cupel_status check_idx(struct check *check, const char *path) {
    struct idx_array array = {0};
    struct cupel_error error = {0};
    const cupel_status status = idx_read(&array, path, &error);
    CUPEL_TRY(told(check, status, error.text));
    if (status != CUPEL_STATUS_OK)
        return CUPEL_STATUS_OK;
    if (array.rank == 3) {
        tell(check, false, "%s: %lld images of %lld x %lld", path, (long long)array.dims[0],
             (long long)array.dims[1], (long long)array.dims[2]);
        check->images += array.dims[0];
    } else if (array.rank == 1) {
        tell(check, false, "%s: %lld labels", path, (long long)array.dims[0]);
    } else {
        tell(check, false, "%s: an array of %d axes, neither images nor labels", path, array.rank);
    }
    idx_release(&array);
    return CUPEL_STATUS_OK;
}

/* Pictures are counted by the folder, not told one by one. */
static cupel_status check_png(struct check *check, const char *path, int64_t *pictures) {
    cupel_image *image = NULL;
    const cupel_status status = cupel_image_read(&image, path);
    const cupel_status outcome = told(check, status, image == NULL ? "" : cupel_image_error(image));
    *pictures += status == CUPEL_STATUS_OK;
    check->images += status == CUPEL_STATUS_OK;
    cupel_image_destroy(image);
    return outcome;
}

/* The first bytes of a file; 0, told, where they cannot be read. */
static size_t read_head(struct check *check, const char *path, char head[HEAD_SIZE]) {
    FILE *const stream = fopen(path, "rb");
    const size_t size = stream == NULL ? 0 : fread(head, 1, HEAD_SIZE, stream);
    if (stream == NULL || ferror(stream))
        tell(check, true, "%s: cannot be read: %s%s", path, strerror(errno), file_advice(errno));
    if (stream != NULL)
        fclose(stream);
    return size;
}

/* What stands beside data without being read: said, and no damage. */
static void tell_passed_over(struct check *check, const char *path, const char *kind) {
    tell(check, false, "%s: %s, which is passed over%s", path, kind,
         strstr(kind, "image") != NULL     ? ": save it as PNG"
         : strstr(kind, "archive") != NULL ? ": unpack it"
                                           : "");
}

/* Any file of a folder, by its name and its first bytes: what pretends to be data is data. Texts
 * and files of unknown kinds are nobody's business. */
static cupel_status check_any(struct check *check, const char *path, int64_t *pictures) {
    char head[HEAD_SIZE];
    const int64_t damages = check->damages;
    const size_t size = read_head(check, path, head);
    const char *const kind = size == 0 ? NULL : file_kind(head, size);
    if (check->damages > damages)
        return CUPEL_STATUS_OK;
    const bool page = kind != NULL && strcmp(kind, "a web page") == 0;
    if (is_png_name(path) || (kind != NULL && strcmp(kind, "a PNG image") == 0))
        return check_png(check, path, pictures);
    if (page && !ends_with(path, ".html") && !ends_with(path, ".htm"))
        tell(check, true, "%s: is a web page and not data: get it again with cupel data get", path);
    else if (ends_with(path, ".tar.gz"))
        tell_passed_over(check, path, "a tar archive");
    else if (is_idx_name(path) || ends_with(path, ".gz") ||
             (kind != NULL &&
              (strcmp(kind, "an IDX file") == 0 || strcmp(kind, "a gzip file") == 0)))
        return check_idx(check, path);
    else if (kind != NULL)
        tell_passed_over(check, path, kind);
    return CUPEL_STATUS_OK;
}

/* The one file that was asked for, whatever its name. */
static cupel_status check_file(struct check *check, const char *path) {
    char head[HEAD_SIZE];
    int64_t pictures = 0;
    const int64_t damages = check->damages;
    const size_t size = read_head(check, path, head);
    const char *const kind = size == 0 ? NULL : file_kind(head, size);
    if (check->damages > damages)
        return CUPEL_STATUS_OK;
    if (kind != NULL && strcmp(kind, "a web page") == 0) {
        tell(check, true, "%s: is a web page and not data: get it again with cupel data get", path);
        return CUPEL_STATUS_OK;
    }
    if (!is_png_name(path) && (kind == NULL || strcmp(kind, "a PNG image") != 0))
        return check_idx(check, path);
    CUPEL_TRY(check_png(check, path, &pictures));
    if (pictures > 0)
        tell(check, false, "%s: a PNG image", path);
    return CUPEL_STATUS_OK;
}

/* --- data sets --- */

struct names {
    char **list; /* paths, in order */
    size_t count, capacity;
};

/* Whether one of them is a file of images of that split. */
static bool holds_split(const struct names *names, const char *split) {
    static const char *const starts[2][2] = {{"train-images", "train-images"},
                                             {"t10k-images", "test-images"}};
    const char *const *const start = starts[strcmp(split, "train") != 0];
    bool found = false;
    for (size_t i = 0; i < names->count && !found; i++) {
        const char *const slash = strrchr(names->list[i], '/');
        const char *const name = slash == NULL ? names->list[i] : slash + 1;
        found = is_idx_name(name) && (strncmp(name, start[0], strlen(start[0])) == 0 ||
                                      strncmp(name, start[1], strlen(start[1])) == 0);
    }
    return found;
}

/* "train: 60000 images of 28 x 28, 6000 of T-shirt/top, ..." */
static void tell_split(struct check *check, const char *path, const char *split,
                       const cupel_dataset *set) {
    const cupel_dataset_info info = cupel_dataset_get_info(set);
    char text[LINE_SIZE];
    int length = snprintf(text, sizeof text, "%s: %s: %lld images of %lld x %lld", path, split,
                          (long long)info.count, (long long)info.height, (long long)info.width);
    for (int64_t label = 0; label < info.class_count; label++) {
        const char *const name = cupel_dataset_class_name(set, label);
        char number[32];
        int64_t count = 0;
        for (int64_t i = 0; i < info.count; i++)
            count += cupel_dataset_label(set, i) == label;
        if (count == 0 || length < 0 || (size_t)length >= sizeof text)
            continue;
        snprintf(number, sizeof number, "class %lld", (long long)label);
        length += snprintf(text + length, sizeof text - (size_t)length, ", %lld of %.40s",
                           (long long)count, name == NULL ? number : name);
    }
    tell(check, false, "%s", text);
}

/* Images and labels together; that each is whole has been looked at already. */
static cupel_status check_split(struct check *check, const char *path, const char *split,
                                const struct names *names) {
    cupel_dataset *set = NULL;
    if (!holds_split(names, split))
        return CUPEL_STATUS_OK;
    const cupel_status status = cupel_dataset_open(&set, path, split);
    const cupel_status outcome = told(check, status, set == NULL ? "" : cupel_dataset_error(set));
    if (status == CUPEL_STATUS_OK)
        tell_split(check, path, split, set);
    cupel_dataset_destroy(set);
    return outcome;
}

/* *same: the file is there and the published one. One that differs may be whole: no damage. */
static cupel_status compare_file(struct check *check, const struct published_file *published,
                                 const char *path, bool *same) {
    struct cupel_error error = {0};
    uint8_t *bytes;
    size_t size;
    *same = false;
    if (!file_exists(path))
        return CUPEL_STATUS_OK;
    CUPEL_TRY(file_read(path, most_bytes, &bytes, &size, &check->error));
    const cupel_status status = published_check(published, bytes, size, path, &error);
    cupel_free(bytes);
    *same = status == CUPEL_STATUS_OK;
    if (!*same)
        tell(check, false, "%s", error.text);
    return CUPEL_STATUS_OK;
}

/* Against the files that were published, where the folder has the name of a set. */
static cupel_status check_published(struct check *check, const char *path) {
    const char *const slash = strrchr(path, '/');
    const struct published_set *const set = published_find(slash == NULL ? path : slash + 1);
    int matches = 0;
    for (int i = 0; set != NULL && i < PUBLISHED_FILES; i++) {
        bool same;
        char *const file = file_join(path, set->files[i].name);
        if (file == NULL)
            return cupel_fail_memory(&check->error, "a file's name", 0);
        const cupel_status status = compare_file(check, &set->files[i], file, &same);
        cupel_free(file);
        CUPEL_TRY(status);
        matches += same;
    }
    if (matches == PUBLISHED_FILES)
        tell(check, false, "%s: every file is as published", path);
    return CUPEL_STATUS_OK;
}

/* --- folders --- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_release(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        cupel_free(names->list[i]);
    cupel_free(names->list);
}

/* What does not begin with a dot, as paths in order. */
static cupel_status list_folder(struct check *check, const char *path, struct names *out) {
    DIR *const listing = opendir(path);
    const struct dirent *entry;
    cupel_status status = CUPEL_STATUS_OK;
    if (listing == NULL)
        return cupel_fail(&check->error, CUPEL_STATUS_IO, "cannot read the folder %s: %s", path,
                          strerror(errno));
    while (status == CUPEL_STATUS_OK && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char *const file = file_join(path, entry->d_name);
        if (file != NULL &&
            cupel_grow(&out->list, &out->capacity, out->count + 1, sizeof *out->list)) {
            out->list[out->count++] = file;
        } else {
            cupel_free(file);
            status = cupel_fail_memory(&check->error, "a folder's listing", 0);
        }
    }
    closedir(listing);
    if (out->count > 0)
        qsort(out->list, out->count, sizeof *out->list, by_name);
    return status;
}

static cupel_status check_folder(struct check *check, const char *path, int level);

static cupel_status check_entry(struct check *check, const char *path, int level,
                                int64_t *pictures) {
    struct stat info;
    if (stat(path, &info) != 0) {
        tell(check, true, "%s: cannot be read: %s", path, strerror(errno));
        return CUPEL_STATUS_OK;
    }
    if (S_ISDIR(info.st_mode))
        return level < MOST_LEVELS ? check_folder(check, path, level + 1) : CUPEL_STATUS_OK;
    if (S_ISREG(info.st_mode))
        return check_any(check, path, pictures);
    tell(check, false, "%s: is no regular file, and is passed over", path);
    return CUPEL_STATUS_OK;
}

static cupel_status check_folder(struct check *check, const char *path, int level) {
    struct names names = {0};
    int64_t pictures = 0;
    const int64_t damages = check->damages;
    cupel_status status = list_folder(check, path, &names);
    for (size_t i = 0; i < names.count && status == CUPEL_STATUS_OK; i++)
        status = check_entry(check, names.list[i], level, &pictures);
    if (status == CUPEL_STATUS_OK && pictures > 0)
        tell(check, false, "%s: %lld PNG images", path, (long long)pictures);
    const bool whole = check->damages == damages;
    if (status == CUPEL_STATUS_OK && whole)
        status = check_split(check, path, "train", &names);
    if (status == CUPEL_STATUS_OK && whole)
        status = check_split(check, path, "test", &names);
    names_release(&names);
    return status == CUPEL_STATUS_OK ? check_published(check, path) : status;
}

/* --- all of it --- */

static cupel_status check_path(struct check *check, char *path) {
    struct stat info;
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
        path[end - 1] = '\0';
    if (stat(path, &info) != 0)
        return cupel_fail(&check->error, CUPEL_STATUS_IO,
                          "cannot look at %s: %s: give a file, or a folder that holds data sets",
                          path, strerror(errno));
    CUPEL_TRY(S_ISDIR(info.st_mode) ? check_folder(check, path, 1) : check_file(check, path));
    if (check->images == 0 && check->damages == 0)
        tell(check, true, "%s: holds neither IDX files nor PNG images", path);
    return check->damages == 0
               ? CUPEL_STATUS_OK
               : cupel_fail(&check->error, CUPEL_STATUS_BAD_DATA, "%s: %lld %s", path,
                            (long long)check->damages,
                            check->damages == 1 ? "thing is wrong" : "things are wrong");
}

cupel_status cupel_check(const char *path, cupel_check_line line, void *user,
                         char sentence[CUPEL_CHECK_SENTENCE_SIZE]) {
    struct check check = {.line = line, .user = user};
    char *const own = cupel_strdup(path);
    const cupel_status status =
        own == NULL ? cupel_fail_memory(&check.error, "a path", 0) : check_path(&check, own);
    cupel_free(own);
    snprintf(sentence, CUPEL_CHECK_SENTENCE_SIZE, "%s", check.error.text);
    return status;
}
