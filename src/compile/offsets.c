/*
 * Placing buffers in the arena: buffers that live at the same time must not overlap, the arena
 * should be as small as the largest sum of live bytes. Greedy best fit in several orders (by size,
 * by size times life, by first use, by pressure); while it is above that bound, a seeded walk
 * through orders, one buffer moved at a time, that is allowed ever smaller steps up.
 * Test: tests/test_planner.c
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"

enum { ORDERS = 5, FEWEST_TRIES = 400, MOST_TRIES = 20000, ALIGN = 64 };

/* Buffers looked at, all tries together: 0.2 s or so. */
#define EFFORT ((size_t)400 * 1000 * 1000)

static size_t aligned(size_t bytes) {
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

struct placing {
    size_t n;
    const struct interval *intervals;
    uint32_t *rank;   /* the order of placing */
    uint32_t *placed; /* placed so far, by offset */
    size_t *offsets;
    double *key;
};

static bool overlap(const struct interval *a, const struct interval *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* Places all in rank order, each in the smallest gap it fits into or in the first; returns the
 * total. */
static size_t place_all(struct placing *p, bool first_fit) {
    size_t total = 0, n_placed = 0;
    for (size_t r = 0; r < p->n; r++) {
        const uint32_t id = p->rank[r];
        const struct interval *self = &p->intervals[id];
        const size_t bytes = aligned(self->bytes);
        size_t end = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
        for (size_t i = 0; i < n_placed && best_gap != bytes; i++) {
            const uint32_t other = p->placed[i];
            if (!overlap(self, &p->intervals[other]))
                continue;
            const size_t start = p->offsets[other];
            if (start >= end + bytes && start - end < best_gap) {
                best = end;
                best_gap = start - end;
                if (first_fit)
                    break;
            }
            const size_t other_end = start + aligned(p->intervals[other].bytes);
            end = other_end > end ? other_end : end;
        }
        const size_t offset = best != SIZE_MAX ? best : end;
        p->offsets[id] = offset;
        if (offset + bytes > total)
            total = offset + bytes;
        size_t at = n_placed++;
        for (; at > 0 && p->offsets[p->placed[at - 1]] > offset; at--)
            p->placed[at] = p->placed[at - 1];
        p->placed[at] = id;
    }
    return total;
}

/* Larger keys first, ties by id. */
static void sort_by_key(uint32_t *rank, uint32_t *scratch, const double *key, size_t n) {
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            const size_t middle = from + width < n ? from + width : n;
            const size_t end = from + 2 * width < n ? from + 2 * width : n;
            size_t a = from, b = middle;
            for (size_t k = from; k < end; k++) {
                const bool left =
                    a < middle && (b >= end || key[rank[a]] > key[rank[b]] ||
                                   (key[rank[a]] == key[rank[b]] && rank[a] < rank[b]));
                scratch[k] = left ? rank[a++] : rank[b++];
            }
        }
        memcpy(rank, scratch, n * sizeof(*rank));
    }
}

/* The sum of live bytes at the step where a buffer comes to life; the largest sum is one of
 * these. */
static size_t live_at_start(size_t n, const struct interval *intervals, size_t id) {
    const uint32_t step = intervals[id].first;
    size_t live = 0;
    for (size_t j = 0; j < n; j++)
        if (intervals[j].first <= step && step <= intervals[j].last)
            live += aligned(intervals[j].bytes);
    return live;
}

static size_t live_bound(size_t n, const struct interval *intervals) {
    size_t peak = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t live = live_at_start(n, intervals, i);
        peak = live > peak ? live : peak;
    }
    return peak;
}

/* What orders 0 to 4 sort by, the largest first. */
static void set_keys(struct placing *p, size_t order) {
    for (size_t i = 0; i < p->n; i++) {
        const struct interval *interval = &p->intervals[i];
        const double bytes = (double)interval->bytes;
        const double life = (double)(interval->last - interval->first + 1);
        const double keys[] = {bytes, bytes * life, life, -(double)interval->first, 0};
        p->key[i] = keys[order];
    }
    if (order < 4)
        return;
    /* By the tightest moment of each life, then by life: what lives long at the peak goes to the
     * bottom together. */
    for (size_t j = 0; j < p->n; j++) {
        const double live = (double)live_at_start(p->n, p->intervals, j);
        for (size_t i = 0; i < p->n; i++)
            if (p->intervals[i].first <= p->intervals[j].first &&
                p->intervals[j].first <= p->intervals[i].last && live > p->key[i])
                p->key[i] = live;
    }
    for (size_t i = 0; i < p->n; i++)
        p->key[i] += (double)(p->intervals[i].last - p->intervals[i].first) / 4294967296.0;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Where the walk stands. */
struct walk {
    uint32_t *rank;
    size_t *offsets;
    size_t total;
    uint64_t random;
};

/* A buffer that reaches the top of the arena, by its place in the order: to get lower, it or one
 * below it has to be placed earlier. */
static size_t at_the_top(const struct placing *p, struct walk *walk) {
    const size_t start = (size_t)next_random(&walk->random) % p->n;
    for (size_t i = 0; i < p->n; i++) {
        const uint32_t id = walk->rank[(start + i) % p->n];
        if (walk->offsets[id] + aligned(p->intervals[id].bytes) == walk->total)
            return (start + i) % p->n;
    }
    return start;
}

/* The first orders by key, then the walk's order with one buffer moved to another place. */
static void choose_order(struct placing *p, size_t attempt, struct walk *walk, uint32_t *scratch) {
    const size_t n = p->n;
    if (attempt < ORDERS) {
        for (size_t i = 0; i < n; i++)
            p->rank[i] = (uint32_t)i;
        set_keys(p, attempt);
        sort_by_key(p->rank, scratch, p->key, n);
        return;
    }
    memcpy(p->rank, walk->rank, n * sizeof(*p->rank));
    const bool top = next_random(&walk->random) % 2;
    const size_t from = top ? at_the_top(p, walk) : (size_t)next_random(&walk->random) % n;
    const size_t to = (size_t)next_random(&walk->random) % (top ? from + 1 : n);
    const uint32_t moved = p->rank[from];
    if (to < from)
        memmove(&p->rank[to + 1], &p->rank[to], (from - to) * sizeof(*p->rank));
    else
        memmove(&p->rank[from], &p->rank[from + 1], (to - from) * sizeof(*p->rank));
    p->rank[to] = moved;
}

/* The search; leaves the best offsets and returns their total. */
static size_t search(struct placing *p, struct walk *walk, uint32_t *scratch, size_t bound,
                     size_t *offsets) {
    size_t tries = EFFORT / (p->n * p->n);
    tries = tries < FEWEST_TRIES ? FEWEST_TRIES : tries > MOST_TRIES ? MOST_TRIES : tries;
    size_t best = SIZE_MAX;
    for (size_t attempt = 0; attempt < ORDERS + tries && best > bound; attempt++) {
        if (attempt >= ORDERS + FEWEST_TRIES && (best - bound) * 50 <= bound)
            break; /* within 2 %: good enough after some trying */
        choose_order(p, attempt, walk, scratch);
        const size_t bytes = place_all(p, attempt >= ORDERS && attempt % 2);
        const size_t step_up =
            attempt < ORDERS ? 0 : bound / 256 * (ORDERS + tries - attempt) / tries;
        if (bytes < best)
            memcpy(offsets, p->offsets, p->n * sizeof(*offsets));
        if (bytes < best || (attempt >= ORDERS && bytes <= best + step_up) || bytes < walk->total) {
            memcpy(walk->rank, p->rank, p->n * sizeof(*p->rank));
            memcpy(walk->offsets, p->offsets, p->n * sizeof(*p->offsets));
            walk->total = bytes;
        }
        best = bytes < best ? bytes : best;
    }
    return best;
}

cupel_status plan_offsets(size_t n, const struct interval *intervals, size_t *offsets,
                          size_t *total, size_t *live_peak) {
    *total = 0;
    *live_peak = live_bound(n, intervals);
    if (n == 0)
        return CUPEL_STATUS_OK;
    struct placing p = {.n = n, .intervals = intervals};
    struct walk walk = {.total = SIZE_MAX, .random = 0x9e3779b97f4a7c15u};
    uint32_t *scratch = cupel_alloc(n, sizeof(*scratch));
    walk.rank = cupel_alloc(n, sizeof(*walk.rank));
    walk.offsets = cupel_alloc(n, sizeof(*walk.offsets));
    p.rank = cupel_alloc(n, sizeof(*p.rank));
    p.placed = cupel_alloc(n, sizeof(*p.placed));
    p.offsets = cupel_alloc(n, sizeof(*p.offsets));
    p.key = cupel_alloc(n, sizeof(*p.key));
    cupel_status status = CUPEL_STATUS_OUT_OF_MEMORY;
    if (walk.rank && walk.offsets && scratch && p.rank && p.placed && p.offsets && p.key) {
        *total = search(&p, &walk, scratch, *live_peak, offsets);
        status = CUPEL_STATUS_OK;
    }
    cupel_free(walk.rank);
    cupel_free(walk.offsets);
    cupel_free(scratch);
    cupel_free(p.rank);
    cupel_free(p.placed);
    cupel_free(p.offsets);
    cupel_free(p.key);
    return status;
}
