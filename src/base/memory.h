/*
 * Heap memory: the only file that calls malloc and free. Every request can fail, and a test can
 * make the n-th one fail (once, or that one and all after it) through cupel_memory_fail_after().
 * Test: tests/test_memory.c
 */
#ifndef CUPEL_BASE_MEMORY_H
#define CUPEL_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Vector width, cache line and DMA friendly; all numeric buffers start on it. */
enum { CUPEL_ALIGNMENT = 64 };
/* x86-64's, and aarch64's with pages of 4 KiB. */
enum { CUPEL_HUGE_PAGE = 2 << 20 };

/* Zeroed memory for count objects of size bytes; NULL when refused or the product overflows. */
void *cupel_alloc(size_t count, size_t size);
/* As realloc for arrays: on NULL the old block stays valid. New bytes are not zeroed. */
void *cupel_realloc(void *block, size_t count, size_t size);
/* CUPEL_ALIGNMENT-aligned, NOT zeroed; freed with cupel_free as well. */
void *cupel_alloc_aligned(size_t size);
/* The same for what is walked from end to end again and again (arenas, weights): blocks of
 * CUPEL_HUGE_PAGE and more start on one, and the system is asked for huge pages, which cost fewer
 * misses of the address translation. Where it grants none the memory is as good, only slower. */
void *cupel_alloc_walked(size_t size);
void cupel_free(void *block);
/* A copy of a string (of at most length bytes). */
char *cupel_strdup(const char *text);
char *cupel_strndup(const char *text, size_t length);

/* Doubles *capacity (elements) until it holds `needed`; false when memory is refused. */
bool cupel_grow(void *array_pointer, size_t *capacity, size_t needed, size_t element_size);

/* Counters since the start of the process (for tests and benches). */
struct cupel_memory_stats {
    uint64_t allocations; /* successful requests so far */
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t refused;
};
struct cupel_memory_stats cupel_memory_stats(void);

/* Fault injection: let `successes` more requests through, then refuse one (or all that follow). */
void cupel_memory_fail_after(uint64_t successes, bool for_good);
void cupel_memory_fail_never(void);

#endif
