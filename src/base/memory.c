/*
 * The heap. Each block carries a small header just before the address handed out: its size, so that
 * live bytes are known, and its distance from the start of the underlying block, so that plain and
 * aligned blocks are freed by one function. Counters are relaxed atomics: exact once threads rest.
 * Test: tests/test_memory.c
 */
#define _DEFAULT_SOURCE
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct header {
    size_t size;   /* bytes the caller may use */
    size_t offset; /* from the start of the underlying block to the caller's first byte */
};

enum { PLAIN_OFFSET = 16 };
_Static_assert(sizeof(struct header) <= PLAIN_OFFSET, "the header fits before a plain block");
_Static_assert(PLAIN_OFFSET % _Alignof(max_align_t) == 0, "plain blocks suit every type");
_Static_assert((int)CUPEL_ALIGNMENT >= (int)PLAIN_OFFSET,
               "the header fits before an aligned block");

static atomic_uint_least64_t allocation_count, live_block_count, live_byte_count, refused_count;

enum { FAIL_NEVER, FAIL_ONCE, FAIL_FOR_GOOD };
static atomic_int fail_mode = FAIL_NEVER;
static atomic_int_least64_t fail_countdown;

void cupel_memory_fail_after(uint64_t successes, bool for_good) {
    const uint64_t most = INT64_MAX;
    atomic_store(&fail_mode, FAIL_NEVER);
    atomic_store(&fail_countdown, (int64_t)(successes < most ? successes : most));
    atomic_store(&fail_mode, for_good ? FAIL_FOR_GOOD : FAIL_ONCE);
}

void cupel_memory_fail_never(void) {
    atomic_store(&fail_mode, FAIL_NEVER);
}

static bool injected_failure(void) {
    const int mode = atomic_load_explicit(&fail_mode, memory_order_relaxed);
    if (mode == FAIL_NEVER)
        return false;
    const int64_t left = atomic_fetch_sub(&fail_countdown, 1);
    return mode == FAIL_FOR_GOOD ? left <= 0 : left == 0;
}

static void *refuse(void) {
    atomic_fetch_add_explicit(&refused_count, 1, memory_order_relaxed);
    return NULL;
}

static struct header *header_of(void *block) {
    return (struct header *)(void *)((char *)block - sizeof(struct header));
}

static void *hand_out(char *base, size_t offset, size_t size) {
    char *block = base + offset;
    *header_of(block) = (struct header){.size = size, .offset = offset};
    atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_block_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_byte_count, size, memory_order_relaxed);
    return block;
}

static void take_back(size_t size) {
    atomic_fetch_sub_explicit(&live_block_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_byte_count, size, memory_order_relaxed);
}

/* False when the product, or the product with a header, is not the size of any object. */
static bool product(size_t count, size_t size, size_t *out) {
    const size_t most = (size_t)PTRDIFF_MAX - (size_t)4 * CUPEL_HUGE_PAGE;
    if (size != 0 && count > most / size)
        return false;
    *out = count * size;
    return true;
}

void *cupel_alloc(size_t count, size_t size) {
    size_t total = 0;
    if (!product(count, size, &total) || injected_failure())
        return refuse();
    char *base = calloc(1, PLAIN_OFFSET + total);
    return base == NULL ? refuse() : hand_out(base, PLAIN_OFFSET, total);
}

/* The header takes as much as the alignment, of which a page is touched at most. */
static void *alloc_at(size_t size, size_t alignment) {
    size_t total = 0;
    if (!product(1, size, &total) || injected_failure())
        return refuse();
    /* aligned_alloc wants a multiple of the alignment */
    const size_t rounded = (total + alignment - 1) / alignment * alignment + alignment;
    char *base = aligned_alloc(alignment, rounded);
    return base == NULL ? refuse() : hand_out(base, alignment, total);
}

void *cupel_alloc_aligned(size_t size) {
    return alloc_at(size, CUPEL_ALIGNMENT);
}

void *cupel_alloc_walked(size_t size) {
    if (size < CUPEL_HUGE_PAGE)
        return cupel_alloc_aligned(size);
    void *block = alloc_at(size, CUPEL_HUGE_PAGE);
#if defined(MADV_HUGEPAGE)
    if (block != NULL) /* whole pages only; a refusal is no failure */
        (void)madvise(block, size / CUPEL_HUGE_PAGE * CUPEL_HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return block;
}

void *cupel_realloc(void *block, size_t count, size_t size) {
    if (block == NULL)
        return cupel_alloc(count, size);
    size_t total = 0;
    if (!product(count, size, &total) || injected_failure())
        return refuse();
    const struct header old = *header_of(block);
    char *const old_base = (char *)block - old.offset;
    char *base;
    if (old.offset == PLAIN_OFFSET) {
        base = realloc(old_base, PLAIN_OFFSET + total);
        if (base == NULL)
            return refuse();
    } else { /* an aligned block: realloc would lose the alignment of its contents */
        base = malloc(PLAIN_OFFSET + total);
        if (base == NULL)
            return refuse();
        memcpy(base + PLAIN_OFFSET, block, old.size < total ? old.size : total);
        free(old_base);
    }
    take_back(old.size);
    return hand_out(base, PLAIN_OFFSET, total);
}

void cupel_free(void *block) {
    if (block == NULL)
        return;
    const struct header header = *header_of(block);
    take_back(header.size);
    free((char *)block - header.offset);
}

char *cupel_strndup(const char *text, size_t length) {
    const char *end = memchr(text, '\0', length);
    const size_t size = end != NULL ? (size_t)(end - text) : length;
    if (size == SIZE_MAX)
        return refuse();
    char *copy = cupel_alloc(size + 1, 1);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

char *cupel_strdup(const char *text) {
    return cupel_strndup(text, strlen(text));
}

bool cupel_grow(void *array_pointer, size_t *capacity, size_t needed, size_t element_size) {
    if (needed <= *capacity)
        return true;
    size_t wanted = *capacity < 8 ? 8 : *capacity;
    while (wanted < needed)
        wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
    void *old;
    memcpy(&old, array_pointer, sizeof old); /* whatever the array's type, without aliasing it */
    void *grown = cupel_realloc(old, wanted, element_size);
    if (grown == NULL)
        return false;
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

struct cupel_memory_stats cupel_memory_stats(void) {
    return (struct cupel_memory_stats){
        .allocations = atomic_load_explicit(&allocation_count, memory_order_relaxed),
        .live_blocks = atomic_load_explicit(&live_block_count, memory_order_relaxed),
        .live_bytes = atomic_load_explicit(&live_byte_count, memory_order_relaxed),
        .refused = atomic_load_explicit(&refused_count, memory_order_relaxed),
    };
}
