/* The heap and the arena (src/base/memory.c, arena.c): sizes, counters, refusal. */
#include "support/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/memory.h"

static bool all_zero(const void *block, size_t size) {
    const unsigned char *byte = block;
    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

static void test_blocks_are_zeroed_and_counted(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    double *block = cupel_alloc(100, sizeof *block);
    CHECK(block != NULL);
    CHECK_U64((uintptr_t)block % 16, 0);
    CHECK(all_zero(block, 800));
    struct cupel_memory_stats now = cupel_memory_stats();
    CHECK_U64(now.allocations - before.allocations, 1);
    CHECK_U64(now.live_blocks - before.live_blocks, 1);
    CHECK_U64(now.live_bytes - before.live_bytes, 800);
    cupel_free(block);
    cupel_free(NULL);
    now = cupel_memory_stats();
    CHECK_U64(now.live_blocks, before.live_blocks);
    CHECK_U64(now.live_bytes, before.live_bytes);
}

static void test_empty_blocks_differ(void **state) {
    (void)state;
    void *a = cupel_alloc(0, 8);
    void *b = cupel_alloc(8, 0);
    CHECK(a != NULL && b != NULL && a != b);
    cupel_free(a);
    cupel_free(b);
}

static void test_impossible_sizes_are_refused(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    CHECK(cupel_alloc(SIZE_MAX, 2) == NULL);
    CHECK(cupel_alloc(SIZE_MAX / 2 + 2, 2) == NULL); /* the product wraps round to a small number */
    CHECK(cupel_alloc(1, SIZE_MAX) == NULL);
    CHECK(cupel_alloc_aligned(SIZE_MAX - 8) == NULL);
    int *kept = cupel_alloc(2, sizeof *kept);
    kept[1] = 7;
    CHECK(cupel_realloc(kept, SIZE_MAX / 4 + 2, 4) == NULL);
    CHECK_I64(kept[1], 7);
    cupel_free(kept);
    CHECK_U64(cupel_memory_stats().refused - before.refused, 5);
}

static void test_aligned_blocks(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    for (size_t size = 0; size < 300; size += 7) {
        check_context("size %zu", size);
        unsigned char *block = cupel_alloc_aligned(size);
        CHECK(block != NULL);
        CHECK_U64((uintptr_t)block % CUPEL_ALIGNMENT, 0);
        memset(block, 0xAB, size);
        CHECK_U64(cupel_memory_stats().live_bytes - before.live_bytes, size);
        cupel_free(block);
    }
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
}

/* Huge pages are a wish: with them forbidden to the process the blocks are the same. */
static void test_walked_blocks(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, CUPEL_HUGE_PAGE - 1, CUPEL_HUGE_PAGE,
                                   3 * (size_t)CUPEL_HUGE_PAGE + 5};
    const struct cupel_memory_stats before = cupel_memory_stats();
    for (int forbidden = 0; forbidden < 2; forbidden++) {
        if (forbidden)
            (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            check_context("%zu bytes, forbidden %d", sizes[i], forbidden);
            unsigned char *block = cupel_alloc_walked(sizes[i]);
            CHECK(block != NULL);
            CHECK_U64((uintptr_t)block %
                          (sizes[i] < CUPEL_HUGE_PAGE ? CUPEL_ALIGNMENT : CUPEL_HUGE_PAGE),
                      0);
            memset(block, 0xAB, sizes[i]);
            CHECK_U64(cupel_memory_stats().live_bytes - before.live_bytes, sizes[i]);
            cupel_free(block);
        }
    }
    (void)prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    CHECK(cupel_alloc_walked(SIZE_MAX - 8) == NULL);
    cupel_memory_fail_after(0, false);
    CHECK(cupel_alloc_walked(2 * (size_t)CUPEL_HUGE_PAGE) == NULL);
    cupel_memory_fail_never();
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
}

/* Whether the mapping that holds the address is marked for huge pages ("hg" among its VmFlags);
 * -1: this system does not say. */
static int wants_huge_pages(const void *address) {
    FILE *const maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;
    int found = -1;
    while (maps != NULL && found < 0 && fgets(line, sizeof line, maps) != NULL) {
        char *at; /* "7f0000000000-7f0000600000 rw-p ..." begins a mapping */
        const uintptr_t begin = (uintptr_t)strtoull(line, &at, 16);
        if (at > line && *at == '-')
            inside = (uintptr_t)address >= begin &&
                     (uintptr_t)address < (uintptr_t)strtoull(at + 1, NULL, 16);
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " hg") != NULL;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* All of a large block's whole pages, and nothing of a small one. */
static void test_large_blocks_ask_for_huge_pages(void **state) {
    (void)state;
    enum { PAGES = 3 };
    unsigned char *const block = cupel_alloc_walked(PAGES * (size_t)CUPEL_HUGE_PAGE + 5);
    unsigned char *const small = cupel_alloc_walked(CUPEL_HUGE_PAGE - 1);
    CHECK(block != NULL && small != NULL);
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0 || wants_huge_pages(block) < 0) {
        print_message("no transparent huge pages, or no word of them in /proc/self/smaps: whether "
                      "they are asked for is not seen here\n");
    } else {
        for (size_t i = 0; i < PAGES; i++) {
            check_context("page %zu", i);
            CHECK_I64(wants_huge_pages(block + i * CUPEL_HUGE_PAGE), 1);
            CHECK_I64(wants_huge_pages(block + (i + 1) * CUPEL_HUGE_PAGE - 1), 1);
        }
        check_context("a small block");
        CHECK_I64(wants_huge_pages(small), 0);
    }
    cupel_free(small);
    cupel_free(block);
}

static void test_realloc_keeps_contents(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    for (int aligned = 0; aligned < 2; aligned++) {
        check_context("aligned %d", aligned);
        unsigned char *block = aligned ? cupel_alloc_aligned(40) : cupel_alloc(40, 1);
        for (unsigned char i = 0; i < 40; i++)
            block[i] = i;
        unsigned char *grown = cupel_realloc(block, 1000, 4);
        CHECK(grown != NULL);
        for (unsigned char i = 0; i < 40; i++)
            CHECK_I64(grown[i], i);
        memset(grown + 40, 1, 3960);
        CHECK_U64(cupel_memory_stats().live_bytes - before.live_bytes, 4000);
        unsigned char *shrunk = cupel_realloc(grown, 3, 1);
        CHECK(shrunk != NULL);
        CHECK_I64(shrunk[2], 2);
        CHECK_U64(cupel_memory_stats().live_bytes - before.live_bytes, 3);
        CHECK_U64(cupel_memory_stats().live_blocks - before.live_blocks, 1);
        cupel_free(shrunk);
    }
    void *fresh = cupel_realloc(NULL, 5, 2);
    CHECK(fresh != NULL && all_zero(fresh, 10));
    cupel_free(fresh);
    CHECK_U64(cupel_memory_stats().live_bytes, before.live_bytes);
}

static void test_strings(void **state) {
    (void)state;
    char *copy = cupel_strdup("crucible");
    CHECK_STRING(copy, "crucible");
    cupel_free(copy);
    copy = cupel_strndup("crucible", 4);
    CHECK_STRING(copy, "cruc");
    cupel_free(copy);
    copy = cupel_strndup("ab", SIZE_MAX);
    CHECK_STRING(copy, "ab");
    cupel_free(copy);
    const char unterminated[2] = {'x', 'y'};
    copy = cupel_strndup(unterminated, 2);
    CHECK_STRING(copy, "xy");
    cupel_free(copy);
}

static void test_grow(void **state) {
    (void)state;
    int *array = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK(cupel_grow(&array, &capacity, (size_t)i + 1, sizeof *array));
        CHECK(capacity > (size_t)i);
        array[i] = i;
    }
    CHECK(capacity < 2100);
    for (int i = 0; i < 1000; i++)
        CHECK_I64(array[i], i);
    const size_t held = capacity;
    CHECK(!cupel_grow(&array, &capacity, SIZE_MAX, sizeof *array));
    CHECK_U64(capacity, held);
    CHECK_I64(array[999], 999);
    cupel_memory_fail_after(0, false);
    CHECK(cupel_grow(&array, &capacity, capacity, sizeof *array)); /* large enough: no request */
    CHECK(!cupel_grow(&array, &capacity, capacity + 1, sizeof *array));
    cupel_memory_fail_never();
    CHECK_U64(capacity, held);
    cupel_free(array);
}

static void test_injected_failures(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    cupel_memory_fail_after(2, false);
    for (int i = 0; i < 6; i++) {
        check_context("once, request %d", i);
        void *block = cupel_alloc(1, 8);
        CHECK_I64(block == NULL, i == 2);
        cupel_free(block);
    }
    cupel_memory_fail_after(1, true);
    for (int i = 0; i < 6; i++) {
        check_context("for good, request %d", i);
        void *block = i % 2 ? cupel_alloc_aligned(8) : cupel_realloc(NULL, 1, 8);
        CHECK_I64(block == NULL, i >= 1);
        cupel_free(block);
    }
    cupel_memory_fail_never();
    void *block = cupel_alloc(1, 8);
    CHECK(block != NULL);
    cupel_memory_fail_after(0, true);
    CHECK(cupel_realloc(block, 2, 8) == NULL);
    CHECK(cupel_strdup("x") == NULL);
    cupel_memory_fail_never();
    cupel_free(block);
    CHECK_U64(cupel_memory_stats().refused - before.refused, 1 + 5 + 2);
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
}

static void *churn(void *unused) {
    for (int i = 0; i < 2000; i++) {
        void *a = cupel_alloc(3, (size_t)i);
        void *b = cupel_alloc_aligned((size_t)i);
        cupel_free(a);
        cupel_free(b);
    }
    return unused;
}

static void test_counters_hold_under_threads(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_I64(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    const struct cupel_memory_stats now = cupel_memory_stats();
    CHECK_U64(now.allocations - before.allocations, 4 * 2000 * 2);
    CHECK_U64(now.live_blocks, before.live_blocks);
    CHECK_U64(now.live_bytes, before.live_bytes);
}

static void test_arena_objects(void **state) {
    (void)state;
    const struct cupel_memory_stats before = cupel_memory_stats();
    struct arena arena = {0};
    unsigned char *objects[500];
    for (size_t i = 0; i < 500; i++) {
        check_context("object %zu", i);
        const size_t size = i * 37 % 5000; /* some larger than a quarter of a block */
        objects[i] = arena_alloc(&arena, size, 1);
        CHECK(objects[i] != NULL);
        CHECK_U64((uintptr_t)objects[i] % 16, 0);
        CHECK(all_zero(objects[i], size));
        memset(objects[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k < i * 37 % 5000; k++)
            CHECK_I64(objects[i][k], (int)(i % 255) + 1);
    CHECK(arena.used >= 500 * 16);
    arena_release(&arena);
    CHECK_U64(arena.used, 0);
    CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
    CHECK(arena_alloc(&arena, 1, 1) != NULL); /* usable again */
    arena_release(&arena);
    arena_release(&arena);
}

static void test_arena_text(void **state) {
    (void)state;
    struct arena arena = {0};
    char *text = arena_strdup(&arena, "layer1");
    CHECK_STRING(text, "layer1");
    char *joined = arena_printf(&arena, "%s.%d.weight", text, 12);
    CHECK_STRING(joined, "layer1.12.weight");
    const int numbers[3] = {4, 5, 6};
    const int *copy = arena_copy(&arena, numbers, sizeof numbers);
    CHECK_I64(copy[2], 6);
    CHECK(arena_copy(&arena, NULL, 0) != NULL);
    char *longer = arena_printf(&arena, "%05000d", 1);
    CHECK_U64(strlen(longer), 5000);
    arena_release(&arena);
}

static void test_arena_refusal(void **state) {
    (void)state;
    struct arena arena = {0};
    CHECK(arena_alloc(&arena, SIZE_MAX / 2, 3) == NULL);
    cupel_memory_fail_after(0, true);
    CHECK(arena_alloc(&arena, 1, 1) == NULL);
    CHECK(arena_strdup(&arena, "x") == NULL);
    CHECK(arena_printf(&arena, "%d", 1) == NULL);
    CHECK(arena_copy(&arena, "x", 1) == NULL);
    CHECK_U64(arena.used, 0);
    cupel_memory_fail_never();
    char *text = arena_strdup(&arena, "kept");
    cupel_memory_fail_after(0, true);
    CHECK(arena_alloc(&arena, 1 << 20, 1) == NULL);
    CHECK_STRING(arena_strdup(&arena, "fits"), "fits"); /* room is left: no request */
    cupel_memory_fail_never();
    CHECK_STRING(text, "kept");
    arena_release(&arena);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_zeroed_and_counted),
        cmocka_unit_test(test_empty_blocks_differ),
        cmocka_unit_test(test_impossible_sizes_are_refused),
        cmocka_unit_test(test_aligned_blocks),
        cmocka_unit_test(test_walked_blocks),
        cmocka_unit_test(test_large_blocks_ask_for_huge_pages),
        cmocka_unit_test(test_realloc_keeps_contents),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_injected_failures),
        cmocka_unit_test(test_counters_hold_under_threads),
        cmocka_unit_test(test_arena_objects),
        cmocka_unit_test(test_arena_text),
        cmocka_unit_test(test_arena_refusal),
    };
    return CHECK_MAIN(tests);
}
