/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 * Test: tests/test_json.c, tests/test_tensors.c
 */
#ifndef CUPEL_BASE_UTF8_H
#define CUPEL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The number of bytes of the character that begins at `at` < `end`, 0 when it is malformed. */
size_t utf8_length(const char *at, const char *end);
bool utf8_valid(const char *text);

#endif
