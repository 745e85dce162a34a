/* Threads of computation (src/base/parallel.c): how ranges are cut, the floating-point state, and
 * how many processors there are. */
#define _GNU_SOURCE
#include "support/check.h"

#include <fenv.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parallel.h"

enum { MOST = 5000 };

static double processor_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void sleep_ms(long ms) {
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    CHECK_I64(nanosleep(&pause, NULL), 0);
}

/* What 20 pauses of 10 ms, each behind a call, cost beside the pauses themselves. */
static double waiting_seconds(parallel_body body, void *context, bool pause) {
    const double before = processor_seconds();
    for (int i = 0; i < 20; i++) {
        parallel_for(2, 2, 1, body, context);
        if (pause)
            sleep_ms(10);
    }
    return processor_seconds() - before;
}

static void nothing(void *context, int64_t begin, int64_t end, int thread) {
    (void)context;
    (void)begin;
    (void)end;
    (void)thread;
}

/* Whoever has the second piece keeps the other waiting. */
static void sleep_in_second(void *context, int64_t begin, int64_t end, int thread) {
    (void)context;
    (void)begin;
    (void)thread;
    if (end == 2)
        sleep_ms(10);
}

/* Threads that wait for work, and callers that wait for threads, stop looking soon: of 0.2 s they
 * use at most a quarter. Spinning without end would use all, where the processors are there for it.
 * It has to come first: threads that outnumber the processors never spin. */
static void test_spinning_ends(void **state) {
    (void)state;
    if (parallel_processors() < 2)
        print_message("one processor: nobody spins, and nothing is seen here of how long\n");
    CHECK(waiting_seconds(nothing, NULL, true) < 0.05);
    CHECK(waiting_seconds(sleep_in_second, NULL, false) < 0.05);
}

struct cover {
    int64_t n;
    int64_t grain;
    int threads;
    atomic_int touched[MOST];
    atomic_int used[64]; /* how often each thread number came */
    atomic_int wrong;
    atomic_int pieces;
    int before_first; /* pieces that were done when the first one ended */
};

static void cover_body(void *context, int64_t begin, int64_t end, int thread) {
    struct cover *cover = context;
    const int64_t grain = cover->grain < 1 ? 1 : cover->grain;
    if (begin >= end || begin < 0 || end > cover->n || begin % grain != 0 ||
        (end % grain != 0 && end != cover->n) || thread < 0 ||
        thread >= (cover->threads < 1 ? 1 : cover->threads)) {
        atomic_fetch_add(&cover->wrong, 1);
        return;
    }
    atomic_fetch_add(&cover->used[thread], 1);
    atomic_fetch_add(&cover->pieces, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&cover->touched[i], 1);
}

static void test_every_element_once(void **state) {
    (void)state;
    static struct cover cover;
    static const int threads[] = {-1, 0, 1, 2, 3, 4, 7, 16, 64};
    static const int64_t sizes[] = {0, 1, 2, 3, 15, 16, 17, 100, 1023, MOST};
    static const int64_t grains[] = {-1, 0, 1, 4, 16, 1000, MOST + 1, INT64_MAX};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++) {
                memset(&cover, 0, sizeof cover);
                cover.n = sizes[s];
                cover.grain = grains[g];
                cover.threads = threads[t];
                check_context("threads %d, n %" PRId64 ", grain %" PRId64, threads[t], sizes[s],
                              grains[g]);
                parallel_for(threads[t], cover.n, cover.grain, cover_body, &cover);
                CHECK_I64(cover.wrong, 0);
                CHECK(cover.pieces <= (threads[t] < 1 ? 1 : threads[t]));
                for (int i = 0; i < 64; i++)
                    CHECK(cover.used[i] <= 1);
                for (int64_t i = 0; i < MOST; i++)
                    CHECK_I64(cover.touched[i], i < cover.n);
            }
    parallel_for(4, -5, 1, cover_body, &cover);
}

/* Elements of which one takes long: its thread does not keep others from being done. */
static void each_body(void *context, int64_t begin, int64_t end, int thread) {
    struct cover *cover = context;
    if (begin == 0 && cover->n > 1 && cover->threads > 1)
        for (int i = 0; i < 20000 && atomic_load(&cover->pieces) < cover->n - 1; i++)
            usleep(100);
    if (begin == 0)
        cover->before_first = atomic_load(&cover->pieces);
    cover_body(context, begin, end, thread);
}

static void test_each_element_once(void **state) {
    (void)state;
    static struct cover cover;
    static const int threads[] = {-1, 0, 1, 2, 3, 16, 64};
    static const int64_t sizes[] = {-5, 0, 1, 2, 3, 16, 17, 1023};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            memset(&cover, 0, sizeof cover);
            cover.n = sizes[s];
            cover.grain = 1;
            cover.threads = threads[t];
            check_context("threads %d, n %" PRId64, threads[t], sizes[s]);
            parallel_each(threads[t], cover.n, each_body, &cover);
            CHECK_I64(cover.wrong, 0);
            CHECK_I64(cover.pieces, sizes[s] < 0 ? 0 : sizes[s]);
            if (threads[t] > 1 && sizes[s] > 1)
                CHECK_I64(cover.before_first, sizes[s] - 1);
            for (int64_t i = 0; i < MOST; i++)
                CHECK_I64(cover.touched[i], i < cover.n);
        }
}

struct borders {
    int64_t begin[8];
    int64_t end[8];
};

static void borders_body(void *context, int64_t begin, int64_t end, int thread) {
    struct borders *borders = context;
    borders->begin[thread] = begin;
    borders->end[thread] = end;
}

static void test_pieces_are_even(void **state) {
    (void)state;
    struct borders borders = {0};
    parallel_for(4, 103, 10, borders_body, &borders); /* 11 units: 3, 3, 3, 2 */
    static const int64_t expected[5] = {0, 30, 60, 90, 103};
    for (int i = 0; i < 4; i++) {
        CHECK_I64(borders.begin[i], expected[i]);
        CHECK_I64(borders.end[i], expected[i + 1]);
    }
    /* no overflow at the far end of the range */
    parallel_for(2, INT64_MAX, INT64_MAX / 2, borders_body, &borders);
    CHECK_I64(borders.begin[0], 0);
    CHECK_I64(borders.end[0], INT64_MAX / 2 * 2);
    CHECK_I64(borders.begin[1], INT64_MAX / 2 * 2);
    CHECK_I64(borders.end[1], INT64_MAX);
}

struct sums {
    double part[8];
};

static void sum_body(void *context, int64_t begin, int64_t end, int thread) {
    struct sums *sums = context;
    double sum = 0;
    for (int64_t i = begin; i < end; i++)
        sum += (double)i;
    sums->part[thread] = sum;
}

/* The caller sees what the threads wrote, call after call. */
static void test_results_are_visible(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct sums sums = {{0}};
        parallel_for(4, 1000, 1, sum_body, &sums);
        check_context("round %d", round);
        CHECK_F64(sums.part[0] + sums.part[1] + sums.part[2] + sums.part[3], 499500.0);
    }
}

static void inner_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    atomic_fetch_add((atomic_int *)context, (int)(end - begin));
}

static void outer_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        parallel_for(3, 10, 1, inner_body, context);
}

static void test_nested(void **state) {
    (void)state;
    atomic_int count = 0;
    parallel_for(2, 6, 1, outer_body, &count);
    CHECK_I64(count, 60);
}

static void *run_rounds(void *result) {
    for (int round = 0; round < 500; round++) {
        struct sums sums = {{0}};
        parallel_for(3, 999, 1, sum_body, &sums);
        if (sums.part[0] + sums.part[1] + sums.part[2] != 498501.0)
            return NULL;
    }
    return result;
}

/* Only one of two calls at a time has the team; neither waits for the other. */
static void test_two_callers(void **state) {
    (void)state;
    int fine = 0;
    void *result = NULL;
    pthread_t other;
    CHECK_I64(pthread_create(&other, NULL, run_rounds, &fine), 0);
    CHECK(run_rounds(&fine) == &fine);
    CHECK_I64(pthread_join(other, &result), 0);
    CHECK(result == &fine);
}

#if !defined(__SANITIZE_THREAD__) /* which does not let such a child start threads */
/* A child has none of its parent's threads. */
static void test_after_fork(void **state) {
    (void)state;
    int fine = 0, status = 0;
    CHECK(run_rounds(&fine) == &fine);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(run_rounds(&fine) == &fine ? 7 : 1);
    CHECK_I64(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
#endif

/* Nor do threads that outnumber the processors: 40 ms later they have used at most a tenth of
 * them. */
static void test_waiting_threads_sleep(void **state) {
    (void)state;
    int fine = 0;
    CHECK(run_rounds(&fine) == &fine);
    const double before = processor_seconds();
    sleep_ms(40);
    CHECK(processor_seconds() - before < 4e-3);
}

static float half_of_smallest(void) {
    volatile float smallest = 0x1p-126F;
    return smallest * 0.5F;
}

static float denormal_times(float factor) {
    volatile float denormal = 0x1p-130F;
    return denormal * factor;
}

static void flush_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    atomic_int *flushed = context;
    for (int64_t i = begin; i < end; i++)
        if (half_of_smallest() == 0.0F && denormal_times(0x1p100F) == 0.0F)
            atomic_fetch_add(flushed, 1);
}

static void test_denormals_are_zero_inside_only(void **state) {
    (void)state;
#if defined(__SSE2__)
    for (int threads = 1; threads <= 4; threads++) {
        check_context("threads %d", threads);
        atomic_int flushed = 0;
        CHECK(half_of_smallest() == 0x1p-127F);
        parallel_for(threads, 8, 1, flush_body, &flushed);
        CHECK_I64(flushed, 8);
        CHECK(half_of_smallest() == 0x1p-127F);
        CHECK(denormal_times(0x1p100F) == 0x1p-30F);
    }
    const unsigned saved = parallel_fp_begin();
    CHECK(half_of_smallest() == 0.0F);
    const unsigned inner = parallel_fp_begin();
    parallel_fp_end(inner);
    CHECK(half_of_smallest() == 0.0F);
    parallel_fp_end(saved);
    CHECK(half_of_smallest() == 0x1p-127F);
#endif
}

/* Threads of the pool that libraries use keep the state between begin and end. */
static void test_pool_flushes(void **state) {
    (void)state;
#if defined(__SSE2__)
    for (int threads = 1; threads <= 3; threads++) {
        parallel_pool_fp_begin(threads);
        parallel_pool_fp_begin(threads); /* a run within a run */
        CHECK(half_of_smallest() == 0.0F);
        parallel_pool_fp_end(threads);
        CHECK(half_of_smallest() == 0.0F);
        atomic_int flushed = 0, kept = 0;
#if !defined(__SANITIZE_THREAD__)
#pragma omp parallel num_threads(threads)
        if (half_of_smallest() == 0.0F)
            atomic_fetch_add(&flushed, 1);
        CHECK_I64(flushed, threads);
#endif
        parallel_pool_fp_end(threads);
#pragma omp parallel num_threads(threads)
        if (half_of_smallest() == 0x1p-127F)
            atomic_fetch_add(&kept, 1);
        CHECK_I64(kept, threads);
    }
#endif
}

static void test_rounding_of_the_caller_survives(void **state) {
    (void)state;
    atomic_int flushed = 0;
    CHECK_I64(fesetround(FE_UPWARD), 0);
    parallel_for(2, 8, 1, flush_body, &flushed);
    CHECK_I64(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
}

static void test_library_threads(void **state) {
    (void)state;
    const int before = parallel_library_threads(3);
    CHECK(before >= 1);
    CHECK_I64(parallel_library_threads(0), 3);
    CHECK_I64(parallel_library_threads(before), 1);
}

static void test_processors_follow_affinity(void **state) {
    (void)state;
    const int all = parallel_processors();
    CHECK(all >= 1);
    cpu_set_t old;
    CHECK_I64(sched_getaffinity(0, sizeof old, &old), 0);
    CHECK(all <= CPU_COUNT(&old));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_I64(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_I64(parallel_processors(), 1);
    CHECK_I64(sched_setaffinity(0, sizeof old, &old), 0);
    CHECK_I64(parallel_processors(), all);
}

static void put(const char *root, const char *folder, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, folder);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void test_cgroup_limits(void **state) {
    (void)state;
    char root[] = "/tmp/cupel-cgroup-XXXXXX";
    CHECK(mkdtemp(root) != NULL);
    put(root, "/a", "cpu.max", "max 100000\n");
    put(root, "/a/b", "cpu.max", "250000 100000\n");
    put(root, "/a/b/c", "cpu.max", "800000 100000\n");
    put(root, "/d", "cpu.max", "50000 100000\n");
    put(root, "/odd", "cpu.max", "oops\n");
    put(root, "/zero", "cpu.max", "100000 0\n");
    put(root, "/cpu", "cpu.cfs_period_us", "100000\n");
    put(root, "/cpu", "cpu.cfs_quota_us", "-1\n");
    put(root, "/cpu/g", "cpu.cfs_period_us", "50000\n");
    put(root, "/cpu/g", "cpu.cfs_quota_us", "200000\n");
    put(root, "/cpu,cpuacct", "cpu.cfs_period_us", "100000\n");
    put(root, "/cpu,cpuacct", "cpu.cfs_quota_us", "300000\n");

    static const struct {
        const char *membership;
        int expected;
    } cases[] = {
        {"0::/a\n", INT_MAX},
        {"0::/a/b\n", 3},             /* 2.5, rounded up */
        {"0::/a/b/c\n", 3},           /* the parent's is smaller */
        {"0::/a/b/c/gone/away\n", 3}, /* groups that are not seen here */
        {"0::/d", 1},                 /* half a processor, no final newline */
        {"0::/\n", INT_MAX},          /* the root */
        {"0::/odd\n", INT_MAX},       /* nonsense limits nothing */
        {"0::/zero\n", INT_MAX},
        {"2:cpu:/g\n1:name=systemd:/x\n", 3}, /* 4 in its group, 3 by the other mount's root */
        {"2:cpuset,cpu:/none\n", 3},
        {"2:cpuset:/g\n3:cpuacct:/g\n", INT_MAX}, /* other controllers */
        {"2:cpu:/g\n0::/d\n", 1},
        {"", INT_MAX},
        {"nonsense\n:\n::\n", INT_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_context("case %zu", i);
        CHECK_I64(parallel_cgroup_processors(root, cases[i].membership), cases[i].expected);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_I64(system(command), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spinning_ends), /* first */
        cmocka_unit_test(test_every_element_once),
        cmocka_unit_test(test_each_element_once),
        cmocka_unit_test(test_pieces_are_even),
        cmocka_unit_test(test_results_are_visible),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_two_callers),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(test_after_fork),
#endif
        cmocka_unit_test(test_waiting_threads_sleep),
        cmocka_unit_test(test_denormals_are_zero_inside_only),
        cmocka_unit_test(test_pool_flushes),
        cmocka_unit_test(test_rounding_of_the_caller_survives),
        cmocka_unit_test(test_library_threads),
        cmocka_unit_test(test_processors_follow_affinity),
        cmocka_unit_test(test_cgroup_limits),
    };
    return CHECK_MAIN(tests);
}
