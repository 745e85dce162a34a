/*
 * The public face of file.h, for programs outside that write files as cupel does.
 * Test: tests/test_file.c
 */
#include <stdio.h>

#include "base/file.h"
#include "cupel/file.h"

const char *cupel_file_advice(int number) {
    return file_advice(number);
}

cupel_status cupel_file_write(const char *path, const void *bytes, size_t size,
                              char sentence[CUPEL_FILE_SENTENCE_SIZE]) {
    struct cupel_error error = {0};
    const cupel_status status = file_write(path, bytes, size, &error);
    snprintf(sentence, CUPEL_FILE_SENTENCE_SIZE, "%s", error.text);
    return status;
}

_Static_assert((int)CUPEL_FILE_PATH_SIZE == (int)FILE_PATH_SIZE, "one size");

bool cupel_file_resolve(const char *path, char out[CUPEL_FILE_PATH_SIZE]) {
    return file_resolve(path, out);
}
