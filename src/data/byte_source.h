/*
 * A stream of bytes out of memory, which is either plain or gzip; the reader need not know which.
 * Test: tests/test_idx.c
 */
#ifndef CUPEL_DATA_BYTE_SOURCE_H
#define CUPEL_DATA_BYTE_SOURCE_H

#include <stdint.h>

#include "base/error.h"

struct byte_source;

/* `bytes` is borrowed until the close; `name` stands for the path in messages. gzip is recognised
 * by its first two bytes. */
cupel_status byte_source_open(struct byte_source **out, const void *bytes, size_t size,
                              const char *name, struct cupel_error *error);
/* Reads up to `count` bytes; fewer only at the end, where every checksum has been verified. */
cupel_status byte_source_read(struct byte_source *source, void *out, size_t count, size_t *got,
                              struct cupel_error *error);
/* More bytes than this cannot come out of it altogether (deflate expands at most 1032 times). */
uint64_t byte_source_bound(const struct byte_source *source);
void byte_source_close(struct byte_source *source);

#endif
