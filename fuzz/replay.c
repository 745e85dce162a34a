/*
 * Feeds the files of a folder to a fuzz target, without the fuzzer: the corpus as a regression test
 * for any compiler. Each file is fed whole and cut short at many lengths, each time as a block of
 * exactly that size, so that a sanitizer sees one byte too many.
 *
 *   fuzz_NAME FOLDER|FILE...
 */
#define _POSIX_C_SOURCE 200809L
#include "fuzz_target.h"

#include <dirent.h>
#include <stdbool.h>

static void feed(const uint8_t *bytes, size_t size) {
    uint8_t *const exact = malloc(size + !size);
    FUZZ_REQUIRE(exact != NULL);
    if (size > 0)
        memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static bool feed_file(const char *path) {
    enum { MOST = 1 << 20, CUTS = 100 };
    static uint8_t bytes[MOST];
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        return false;
    }
    const size_t size = fread(bytes, 1, MOST, file);
    const bool whole = size < MOST && !ferror(file);
    fclose(file);
    if (!whole) {
        fprintf(stderr, "%s: cannot be read, or has %d bytes or more\n", path, MOST);
        return false;
    }
    printf("%s (%zu bytes)\n", path, size);
    fflush(stdout); /* the last name printed is the one that failed */
    feed(bytes, size);
    for (size_t cut = 0; cut < size; cut += 1 + size / CUTS)
        feed(bytes, cut);
    return true;
}

/* The number of files fed, -1 after a failure. */
static int feed_path(const char *path) {
    DIR *const folder = opendir(path);
    if (folder == NULL)
        return feed_file(path) ? 1 : -1;
    int count = 0;
    const struct dirent *entry;
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char inside[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        count = feed_file(inside) ? count + 1 : -1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        const int count = feed_path(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    if (total == 0) {
        fprintf(stderr, "usage: %s FOLDER|FILE...: there was nothing to feed\n", argv[0]);
        return 2;
    }
    printf("%d files\n", total);
    return 0;
}
