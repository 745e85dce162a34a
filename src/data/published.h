/*
 * Data sets that others publish: addresses, sizes and SHA-256 of their files, and the folder they
 * are kept in. Test: tests/test_download.c
 */
#ifndef CUPEL_DATA_PUBLISHED_H
#define CUPEL_DATA_PUBLISHED_H

#include <stdint.h>

#include "base/error.h"

enum { PUBLISHED_FILES = 4, PUBLISHED_ADDRESSES = 2, SHA256_TEXT_SIZE = 65 };

struct published_file {
    const char *name;
    uint64_t size;
    const char *sha256; /* 64 hexadecimal digits */
};

struct published_set {
    const char *name;
    const char
        *addresses[PUBLISHED_ADDRESSES]; /* of the folder, ending in a slash; tried in turn */
    struct published_file files[PUBLISHED_FILES];
};

/* NULL past the end. */
const struct published_set *published_at(size_t index);
/* NULL: none of that name. */
const struct published_set *published_find(const char *name);
/* Of the bytes, in hexadecimal. */
void sha256_text(char out[SHA256_TEXT_SIZE], const void *bytes, size_t size);
/* BAD_DATA, with what is wrong, unless the bytes are the published file's; `where` stands for the
 * file in the message. */
cupel_status published_check(const struct published_file *file, const void *bytes, size_t size,
                             const char *where, struct cupel_error *error);

/* $XDG_CACHE_HOME/cupel or ~/.cache/cupel; *out is NULL when neither variable is set. */
cupel_status data_cache_folder(char **out, struct cupel_error *error);

#endif
