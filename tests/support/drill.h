/*
 * Fault drills: runs a body again and again with the first, second, third... allocation (or write)
 * refused, once and for good, until it runs through untouched. Each time the body must fail with a
 * status, or succeed without the refused piece, and leave nothing behind. Also a scratch folder.
 */
#ifndef CUPEL_TEST_DRILL_H
#define CUPEL_TEST_DRILL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mkdtemp; include this header first */
#endif
#include "support/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

typedef cupel_status (*drill_body)(void *user);

/* Which allocation comes after the n-th: each of the first ones, then some, since what comes late
 * in a long body does the same again and again. */
static inline uint64_t drill_next(uint64_t n) {
    return n < 100 ? n + 1 : n + 23;
}

/* A refused allocation must surface as a failing status. Returns the number of drills. */
static inline uint64_t drill_memory(drill_body body, void *user) {
    uint64_t drills = 0;
    for (int for_good = 0; for_good <= 1; for_good++) {
        for (uint64_t n = 0;; n = drill_next(n)) {
            const struct cupel_memory_stats before = cupel_memory_stats();
            cupel_memory_fail_after(n, for_good);
            const cupel_status status = body(user);
            cupel_memory_fail_never();
            const struct cupel_memory_stats after = cupel_memory_stats();
            if (after.live_blocks != before.live_blocks)
                fail_msg("allocation %llu refused (%s): %lld blocks leaked", (unsigned long long)n,
                         for_good ? "for good" : "once",
                         (long long)after.live_blocks - (long long)before.live_blocks);
            if (after.refused == before.refused) {
                CHECK_OK(status);
                break;
            }
            if (status == CUPEL_STATUS_OK)
                fail_msg("allocation %llu refused (%s): no failure was reported",
                         (unsigned long long)n, for_good ? "for good" : "once");
            drills++;
        }
    }
    return drills;
}

/* Every failing write must surface as IO. `path` is the target: it must never exist afterwards, nor
 * anything beside it in its folder. */
static inline uint64_t drill_writes(drill_body body, void *user, const char *folder) {
    uint64_t drills = 0;
    for (int for_good = 0; for_good <= 1; for_good++) {
        for (uint64_t n = 0;; n++) {
            const struct cupel_memory_stats before = cupel_memory_stats();
            file_fail_after(n, for_good);
            const cupel_status status = body(user);
            file_fail_never();
            CHECK_I64(cupel_memory_stats().live_blocks, before.live_blocks);
            if (status == CUPEL_STATUS_OK)
                break;
            CHECK_I64(status, CUPEL_STATUS_IO);
            DIR *const entries = opendir(folder);
            CHECK(NULL != entries);
            for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                    fail_msg("write %llu failed: %s was left behind", (unsigned long long)n,
                             entry->d_name);
            closedir(entries);
            drills++;
        }
    }
    CHECK(drills > 0);
    return drills;
}

/* A fresh folder below the system's temporary one; drill_folder_remove() deletes it with its files.
 */
static inline char *drill_folder(void) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/cupel-test-XXXXXX");
    CHECK(NULL != mkdtemp(path));
    return path;
}

static inline void drill_folder_remove(const char *folder) {
    DIR *const entries = opendir(folder);
    CHECK(NULL != entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            CHECK_I64(unlink(path), 0);
    }
    closedir(entries);
    CHECK_I64(rmdir(folder), 0);
}

#endif
