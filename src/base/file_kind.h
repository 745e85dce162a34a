/*
 * What bytes look like, for messages about a file that is not the one it should be.
 * Test: tests/test_file.c
 */
#ifndef CUPEL_BASE_FILE_KIND_H
#define CUPEL_BASE_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

/* "a PNG image", "a safetensors file", ...; NULL for what is not known, as text is. */
const char *file_kind(const void *bytes, size_t size);
/* What servers answer when they have an error or want a log-in. */
bool looks_like_web_page(const void *bytes, size_t size);

#endif
