/*
 * What the fuzz targets share: the entry function's prototype, and the end of a run whose result is
 * wrong although nothing crashed. The fuzzer saves the input; the replay names the file.
 */
#ifndef CUPEL_FUZZ_TARGET_H
#define CUPEL_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes are allowed; always 0. The buffer is exactly as long as it says. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* For what must hold whatever the input was. */
#define FUZZ_REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

#endif
