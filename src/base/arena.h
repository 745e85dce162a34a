/*
 * Arena: many small objects with one life. Blocks come from base/memory; nothing is freed alone.
 * Test: tests/test_memory.c
 */
#ifndef CUPEL_BASE_ARENA_H
#define CUPEL_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes handed out, for reports */
};

/* Zeroed, 16-byte aligned; NULL when refused. A zeroed struct arena is ready for use. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void *arena_copy(struct arena *arena, const void *bytes, size_t size);
void arena_release(struct arena *arena);

#endif
