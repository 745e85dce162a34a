/*
 * Memory of host devices (src/backend/host_memory.c): blocks small and large are aligned, zeroed
 * and apart from each other, whatever was there before; nothing stays behind; and each can be
 * refused.
 */
#include <pthread.h>

#include "support/check.h"

#include "backend/backend.h"
#include "base/memory.h"

enum { BLOCKS = 64 };

static const size_t sizes[] = {
    0,      1,      63,      64,      65,     4096,      313600,    524287,        524288,
    524289, 700000, 2097151, 5 << 20, 100000, 250 << 10, 300 << 10, (1 << 19) - 64};
enum { SIZES = sizeof sizes / sizeof *sizes };

struct block {
    unsigned char *memory;
    size_t bytes;
};

static void take(struct block *block, size_t bytes, unsigned char mark) {
    block->bytes = bytes;
    block->memory = backend_host_allocate(NULL, bytes);
    CHECK(block->memory != NULL);
    CHECK_U64((uintptr_t)block->memory % CUPEL_ALIGNMENT, 0);
    for (size_t i = 0; i < bytes; i++)
        if (block->memory[i] != 0)
            CHECK_U64(block->memory[i], 0);
    memset(block->memory, mark, bytes);
}

static void give_back(struct block *block, unsigned char mark) {
    for (size_t i = 0; i < block->bytes; i++)
        if (block->memory[i] != mark)
            CHECK_U64(block->memory[i], mark);
    backend_host_release(NULL, block->memory, block->bytes);
    block->memory = NULL;
}

/* Blocks come and go in a seeded order, each with a mark of its own. */
static void churn(uint64_t seed, int steps) {
    struct block blocks[BLOCKS] = {{0}};
    uint64_t state = seed;
    for (int step = 0; step < steps; step++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const int i = (int)(state >> 58);
        if (blocks[i].memory == NULL)
            take(&blocks[i], sizes[(state >> 40) % SIZES], (unsigned char)(i + 1));
        else
            give_back(&blocks[i], (unsigned char)(i + 1));
    }
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].memory != NULL)
            give_back(&blocks[i], (unsigned char)(i + 1));
}

static void blocks_are_zeroed_and_apart(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    churn(1, 2000);
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
    CHECK_U64(cupel_memory_stats().live_bytes, before.live_bytes);
}

static void *churn_on_thread(void *seed) {
    churn(*(const uint64_t *)seed, 500);
    return NULL;
}

static void several_threads_may_ask(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    pthread_t threads[4];
    uint64_t seeds[4] = {11, 12, 13, 14};
    for (int t = 0; t < 4; t++)
        CHECK_I64(pthread_create(&threads[t], NULL, churn_on_thread, &seeds[t]), 0);
    for (int t = 0; t < 4; t++)
        CHECK_I64(pthread_join(threads[t], NULL), 0);
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
}

/* Blocks that take a page of their own, and the first of a page. */
static void any_may_be_refused(void **state) {
    (void)state;
    for (unsigned i = 0; i < SIZES; i++) {
        cupel_memory_fail_after(0, true);
        CHECK(backend_host_allocate(NULL, sizes[i]) == NULL);
        cupel_memory_fail_never();
        struct block block;
        take(&block, sizes[i], 1); /* and the next is granted */
        give_back(&block, 1);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_zeroed_and_apart),
                                       cmocka_unit_test(several_threads_may_ask),
                                       cmocka_unit_test(any_may_be_refused)};
    return CHECK_MAIN(tests);
}
