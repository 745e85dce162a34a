/*
 * Memory of host devices. What a small network walks through at each step is many blocks of less
 * than a huge page, so small blocks share pages: one after the other, each page given back with its
 * last block. Beside fewer misses of the address translation, such a page lies in one piece, so
 * that its lines fill a cache evenly instead of by the luck of where small pages lie. A block that
 * lives long keeps its page; what a program needs is made together and goes together.
 * Test: tests/test_host_memory.c
 */
#include <pthread.h>
#include <string.h>

#include "backend/backend.h"
#include "base/memory.h"

/* An address sanitizer sees writes beyond a block only where it is alone. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALONE
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ALONE
#endif

#if defined(ALONE)
enum { LARGE = 1 };
#else
enum { LARGE = CUPEL_HUGE_PAGE / 4 }; /* bytes, from which a block is alone */
#endif

/* At the page's own beginning. */
struct page {
    size_t used; /* bytes, this included */
    size_t blocks;
};

enum { HEADER = CUPEL_ALIGNMENT };
_Static_assert(sizeof(struct page) <= HEADER, "the header fits before the first block");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *current; /* of which the next block is a part */

static void *take_part(size_t bytes) {
    if (current == NULL || bytes > CUPEL_HUGE_PAGE - current->used) {
        struct page *const fresh = cupel_alloc_walked(CUPEL_HUGE_PAGE);
        if (fresh == NULL)
            return NULL;
        *fresh = (struct page){.used = HEADER};
        current = fresh; /* the one before goes with its last block */
    }
    char *const block = (char *)current + current->used;
    current->used += bytes;
    current->blocks++;
    return block;
}

static void give_part_back(void *block) {
    struct page *const page =
        (struct page *)(void *)((char *)block - (uintptr_t)block % CUPEL_HUGE_PAGE);
    if (--page->blocks > 0)
        return;
    if (page == current)
        current = NULL;
    cupel_free(page);
}

void *backend_host_allocate(struct backend *backend, size_t bytes) {
    (void)backend;
    void *memory;
    if (bytes >= LARGE) {
        memory = cupel_alloc_walked(bytes);
    } else {
        const size_t whole = bytes / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT + CUPEL_ALIGNMENT;
        pthread_mutex_lock(&lock);
        memory = take_part(whole);
        pthread_mutex_unlock(&lock);
    }
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void backend_host_release(struct backend *backend, void *memory, size_t bytes) {
    (void)backend;
    if (bytes >= LARGE) {
        cupel_free(memory);
        return;
    }
    pthread_mutex_lock(&lock);
    give_part_back(memory);
    pthread_mutex_unlock(&lock);
}
