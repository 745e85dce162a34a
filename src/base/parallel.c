/*
 * Loops over the threads of the team, and what libraries want to know that compute on OpenMP's
 * pool. The range is cut into as many pieces as there are threads before any thread starts, so a
 * piece depends on the arguments alone; parallel_each() lets threads help others with theirs.
 * Under ThreadSanitizer, which cannot see the barriers of libgomp, OpenMP's threads are left alone.
 * Test: tests/test_parallel.c
 */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/team.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define PLAIN_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PLAIN_THREADS 1
#endif
#endif

unsigned parallel_fp_begin(void) {
#if defined(__SSE2__)
    const unsigned flush_to_zero = 0x8000U;
    const unsigned denormals_are_zero = 0x0040U;
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | flush_to_zero | denormals_are_zero);
    return saved;
#elif defined(__aarch64__)
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | (UINT64_C(1) << 24)));
    return (unsigned)saved;
#else
    return 0;
#endif
}

void parallel_fp_end(unsigned saved) {
#if defined(__SSE2__)
    _mm_setcsr(saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)saved));
#else
    (void)saved;
#endif
}

struct job {
    parallel_body body;
    void *context;
    int64_t n;
    int64_t grain;
    int pieces;
};

/* Units (runs of `grain` elements) before a piece: the first pieces hold one more than the last. */
static int64_t piece_border(const struct job *job, int piece) {
    const int64_t units = job->n / job->grain + (job->n % job->grain != 0);
    const int64_t each = units / job->pieces;
    const int64_t larger = units % job->pieces;
    const int64_t before = each * piece + (piece < larger ? piece : larger);
    return before >= units ? job->n : before * job->grain;
}

static void run_piece(void *context, int piece) {
    const struct job *job = context;
    const int64_t begin = piece_border(job, piece);
    const int64_t end = piece_border(job, piece + 1);
    const unsigned saved = parallel_fp_begin();
    job->body(job->context, begin, end, piece);
    parallel_fp_end(saved);
}

void parallel_for(int threads, int64_t n, int64_t grain, parallel_body body, void *context) {
    if (n <= 0)
        return;
    struct job job = {.body = body, .context = context, .n = n, .grain = grain < 1 ? 1 : grain};
    const int64_t units = n / job.grain + (n % job.grain != 0);
    job.pieces = threads < 1 ? 1 : threads > TEAM_MOST ? TEAM_MOST : threads;
    if (units < job.pieces)
        job.pieces = (int)units;
    team_run(job.pieces, run_piece, &job);
}

struct each {
    parallel_body body;
    void *context;
    int64_t n;
    int threads;
    atomic_llong taken[TEAM_MOST]; /* of each thread's own */
};

static void take_each(void *context, int64_t begin, int64_t end, int thread) {
    (void)begin;
    (void)end;
    struct each *each = context;
    for (int i = 0; i < each->threads; i++) {
        const int whose = (thread + i) % each->threads;
        const int64_t first = each->n * whose / each->threads;
        const int64_t count = each->n * (whose + 1) / each->threads - first;
        int64_t taken;
        while ((taken = atomic_fetch_add_explicit(&each->taken[whose], 1, memory_order_relaxed)) <
               count)
            each->body(each->context, first + taken, first + taken + 1, thread);
    }
}

void parallel_each(int threads, int64_t n, parallel_body body, void *context) {
    struct each each = {.body = body, .context = context, .n = n};
    const int64_t most = n < TEAM_MOST ? n : TEAM_MOST;
    each.threads = threads < 1 ? 1 : threads < most ? threads : (int)most;
    if (n > 0)
        parallel_for(each.threads, each.threads, 1, take_each, &each);
}

/* Runs may nest: the outermost begin saves, the outermost end restores. */
static _Thread_local unsigned pool_saved, pool_depth;

static void thread_fp_begin(void) {
    if (pool_depth++ == 0)
        pool_saved = parallel_fp_begin();
}

static void thread_fp_end(void) {
    if (pool_depth > 0 && --pool_depth == 0)
        parallel_fp_end(pool_saved);
}

#if defined(PLAIN_THREADS)

void parallel_pool_fp_begin(int threads) {
    (void)threads;
    thread_fp_begin();
}

void parallel_pool_fp_end(int threads) {
    (void)threads;
    thread_fp_end();
}

#else

/* The caller outside of the region: LLVM's runtime gives the caller's state to the threads of each
 * region and takes back what a region did to the caller's. */
void parallel_pool_fp_begin(int threads) {
    thread_fp_begin();
#pragma omp parallel num_threads(threads < 1 ? 1 : threads)
    if (omp_get_thread_num() != 0)
        thread_fp_begin();
}

void parallel_pool_fp_end(int threads) {
#pragma omp parallel num_threads(threads < 1 ? 1 : threads)
    if (omp_get_thread_num() != 0)
        thread_fp_end();
    thread_fp_end();
}

#endif

void parallel_wake(int threads) {
    team_wake(threads < TEAM_MOST ? threads : TEAM_MOST);
}

int parallel_library_threads(int threads) {
    if (threads > 1)
        team_rest();
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads < 1 ? 1 : threads);
    return before;
}

/* Reads a short text file; false when it cannot be read. */
static bool read_small(const char *path, char *text, size_t size) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    size_t length = 0;
    while (length < size - 1) {
        const ssize_t got = read(descriptor, text + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(descriptor);
    text[length] = '\0';
    return length > 0;
}

/* Processors that a quota of `quota` in `period` allows, rounded up; INT_MAX for no limit. */
static int quota_processors(const char *quota, const char *period) {
    char *end;
    const long long q = strtoll(quota, &end, 10);
    if (end == quota || q <= 0) /* "max", or -1 in cgroup v1 */
        return INT_MAX;
    const long long p = strtoll(period, &end, 10);
    if (end == period || p <= 0)
        return INT_MAX;
    const long long processors = q / p + (q % p != 0);
    return processors < INT_MAX ? (int)processors : INT_MAX;
}

static int folder_limit(const char *folder, bool version_2) {
    char path[PATH_MAX];
    char quota[128];
    char period[64];
    if (version_2) {
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        if (!read_small(path, quota, sizeof quota))
            return INT_MAX;
        const char *space = strchr(quota, ' ');
        return space == NULL ? INT_MAX : quota_processors(quota, space + 1);
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_small(path, quota, sizeof quota))
        return INT_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return read_small(path, period, sizeof period) ? quota_processors(quota, period) : INT_MAX;
}

/* The smallest limit of a group and of all its ancestors. */
static int group_limit(const char *mount, const char *controller, const char *group,
                       size_t group_length, bool version_2) {
    char folder[PATH_MAX / 2];
    int limit = INT_MAX;
    const int root = snprintf(folder, sizeof folder, "%s%s", mount, controller);
    if (root < 0 || (size_t)root + group_length >= sizeof folder)
        return limit;
    memcpy(folder + root, group, group_length);
    folder[(size_t)root + group_length] = '\0';
    for (;;) {
        const int here = folder_limit(folder, version_2);
        if (here < limit)
            limit = here;
        char *slash = strrchr(folder + root, '/');
        if (slash == NULL)
            return limit;
        *slash = '\0';
    }
}

/* Whether a comma-separated list of controllers names "cpu". */
static bool names_cpu(const char *list, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && list[end] != ',')
            end++;
        if (end - at == 3 && memcmp(list + at, "cpu", 3) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

int parallel_cgroup_processors(const char *mount, const char *membership) {
    int limit = INT_MAX;
    /* Lines are "number:controllers:/group"; version 2 has number 0 and no controllers. */
    for (const char *line = membership; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        const char *first = memchr(line, ':', length);
        const char *second =
            first == NULL ? NULL : memchr(first + 1, ':', length - (size_t)(first + 1 - line));
        if (second != NULL) {
            const char *group = second + 1;
            const size_t group_length = length - (size_t)(group - line);
            const size_t list_length = (size_t)(second - (first + 1));
            int here = INT_MAX;
            if (list_length == 0) {
                here = group_limit(mount, "", group, group_length, true);
            } else if (names_cpu(first + 1, list_length)) {
                here = group_limit(mount, "/cpu", group, group_length, false);
                const int both = group_limit(mount, "/cpu,cpuacct", group, group_length, false);
                here = both < here ? both : here;
            }
            limit = here < limit ? here : limit;
        }
        line += length + (line[length] == '\n');
    }
    return limit;
}

static int affinity_processors(void) {
    for (int most = 1024; most <= 1 << 18; most *= 4) {
        cpu_set_t *set = CPU_ALLOC(most);
        if (set == NULL)
            break;
        const size_t size = CPU_ALLOC_SIZE(most);
        const bool known = sched_getaffinity(0, size, set) == 0;
        const int count = known ? CPU_COUNT_S(size, set) : 0;
        const bool too_small = !known && errno == EINVAL;
        CPU_FREE(set);
        if (known)
            return count;
        if (!too_small)
            break;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > INT_MAX ? INT_MAX : (int)online;
}

int parallel_processors(void) {
    int count = affinity_processors();
    char membership[8192];
    if (read_small("/proc/self/cgroup", membership, sizeof membership)) {
        const int limit = parallel_cgroup_processors("/sys/fs/cgroup", membership);
        count = limit < count ? limit : count;
    }
    return count < 1 ? 1 : count;
}
