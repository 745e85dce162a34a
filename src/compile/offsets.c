/*
 * Placing buffers in the arena: buffers that live at the same time must not overlap, the arena
 * should be as small as the largest sum of live bytes. Greedy best fit in several orders (by size,
 * by size times life, by first use), then seeded perturbations of the best one while it is above
 * the bound. Test: tests/test_planner.c (random graphs)
 */
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"

enum { ORDERS = 4, PERTURBATIONS = 400, ALIGN = 64 };

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

/* Places all in rank order, each in the smallest gap it fits into; returns the total. */
static size_t place_all(struct placing *p) {
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

static double order_key(const struct interval *interval, int order) {
    const double bytes = (double)interval->bytes;
    const double life = (double)(interval->last - interval->first + 1);
    switch (order) {
    case 0: return bytes;
    case 1: return bytes * life;
    case 2: return life;
    default: return -(double)interval->first;
    }
}

static size_t live_bound(size_t n, const struct interval *intervals) {
    size_t peak = 0;
    for (size_t i = 0; i < n; i++) { /* the peak is reached at some first step */
        size_t live = 0;
        for (size_t j = 0; j < n; j++)
            if (intervals[j].first <= intervals[i].first && intervals[i].first <= intervals[j].last)
                live += aligned(intervals[j].bytes);
        peak = live > peak ? live : peak;
    }
    return peak;
}

cupel_status plan_offsets(size_t n, const struct interval *intervals, size_t *offsets,
                          size_t *total, size_t *live_peak) {
    *total = 0;
    *live_peak = live_bound(n, intervals);
    if (n == 0)
        return CUPEL_STATUS_OK;
    struct placing p = {.n = n, .intervals = intervals};
    uint32_t *best_rank = cupel_alloc(n, sizeof(*best_rank));
    uint32_t *scratch = cupel_alloc(n, sizeof(*scratch));
    p.rank = cupel_alloc(n, sizeof(*p.rank));
    p.placed = cupel_alloc(n, sizeof(*p.placed));
    p.offsets = cupel_alloc(n, sizeof(*p.offsets));
    p.key = cupel_alloc(n, sizeof(*p.key));
    cupel_status status = CUPEL_STATUS_OK;
    if (!best_rank || !scratch || !p.rank || !p.placed || !p.offsets || !p.key) {
        status = CUPEL_STATUS_OUT_OF_MEMORY;
        goto done;
    }
    size_t best = SIZE_MAX;
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (int attempt = 0; attempt < ORDERS + PERTURBATIONS && best > *live_peak; attempt++) {
        if (attempt >= ORDERS && (best - *live_peak) * 50 <= *live_peak && n > 64)
            break; /* within 2 %: good enough for a large program */
        if (attempt < ORDERS) {
            for (size_t i = 0; i < n; i++) {
                p.rank[i] = (uint32_t)i;
                p.key[i] = order_key(&intervals[i], attempt);
            }
            sort_by_key(p.rank, scratch, p.key, n);
        } else { /* move one buffer of the best order to an earlier place */
            memcpy(p.rank, best_rank, n * sizeof(*p.rank));
            state = state * 6364136223846793005u + 1442695040888963407u;
            const size_t from = (size_t)(state >> 33) % n;
            state = state * 6364136223846793005u + 1442695040888963407u;
            const size_t to = (size_t)(state >> 33) % (from + 1);
            const uint32_t moved = p.rank[from];
            memmove(&p.rank[to + 1], &p.rank[to], (from - to) * sizeof(*p.rank));
            p.rank[to] = moved;
        }
        const size_t bytes = place_all(&p);
        if (bytes < best || (bytes == best && attempt >= ORDERS)) {
            memcpy(best_rank, p.rank, n * sizeof(*p.rank));
            if (bytes < best)
                memcpy(offsets, p.offsets, n * sizeof(*offsets));
            best = bytes;
        }
    }
    *total = best;
done:
    cupel_free(best_rank);
    cupel_free(scratch);
    cupel_free(p.rank);
    cupel_free(p.placed);
    cupel_free(p.offsets);
    cupel_free(p.key);
    return status;
}
