/*
 * Arena: bump allocation out of blocks that double in size up to a limit; an object too large for a
 * block gets one of its own, and the current block stays in use. Test: tests/test_memory.c
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { ARENA_ALIGNMENT = 16, ARENA_FIRST_BLOCK = 4096, ARENA_LARGEST_BLOCK = 1 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* bytes after the header */
    size_t used;
};

enum {
    BLOCK_HEADER =
        (sizeof(struct arena_block) + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT
};

static struct arena_block *block_create(size_t size) {
    struct arena_block *block = cupel_alloc(1, BLOCK_HEADER + size);
    if (block != NULL)
        block->size = size;
    return block;
}

static void *block_take(struct arena_block *block, size_t size) {
    void *object = (char *)block + BLOCK_HEADER + block->used;
    block->used += size;
    return object;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size) {
    if (size != 0 && count > (size_t)(PTRDIFF_MAX / 2) / size)
        return NULL;
    const size_t asked = count * size == 0 ? 1 : count * size;
    const size_t total = (asked + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;

    struct arena_block *head = arena->blocks;
    if (head == NULL || head->size - head->used < total) {
        size_t wanted = head == NULL ? ARENA_FIRST_BLOCK : head->size * 2;
        if (wanted > ARENA_LARGEST_BLOCK)
            wanted = ARENA_LARGEST_BLOCK;
        const bool of_its_own = total > wanted / 4;
        struct arena_block *block = block_create(of_its_own ? total : wanted);
        if (block == NULL)
            return NULL;
        if (of_its_own && head != NULL) { /* behind the head: the head still has room */
            block->next = head->next;
            head->next = block;
        } else {
            block->next = head;
            arena->blocks = block;
        }
        head = block;
    }
    arena->used += total;
    return block_take(head, total);
}

void *arena_copy(struct arena *arena, const void *bytes, size_t size) {
    void *copy = arena_alloc(arena, size, 1);
    if (copy != NULL && size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text) {
    return arena_copy(arena, text, strlen(text) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    char *text = arena_alloc(arena, (size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void arena_release(struct arena *arena) {
    for (struct arena_block *block = arena->blocks; block != NULL;) {
        struct arena_block *next = block->next;
        cupel_free(block);
        block = next;
    }
    *arena = (struct arena){0};
}
