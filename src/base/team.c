/*
 * Threads that wait for work: a bounded spin first, then sleep on a condition. A step of a small
 * network hands out work twenty times within a fifth of a millisecond, and waking a thread takes a
 * fifth of that; but a thread that spins while others want its processor slows everything down, so
 * nobody spins for longer than SPIN_SECONDS, and not at all where there are more threads than
 * processors.
 *
 * A call has a number, one more than the last, and each piece a ticket that is open for one number.
 * Who turns a ticket to taken runs that piece; only then are the call's fields read, which cannot
 * change before the piece is done. A thread that comes late finds tickets taken, or of another
 * number, and touches nothing. Sleepers are counted before they look for work a last time, and work
 * is published before they are counted (both sequentially consistent), so no wake-up is lost.
 * Test: tests/test_parallel.c
 */
#define _POSIX_C_SOURCE 200809L
#include "base/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/parallel.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

static const double SPIN_SECONDS = 50e-6;
enum { LOOKS = 32, LINE = 64 }; /* looks between two glances at the clock; bytes of a cache line */

struct team {
    /* What the caller writes; what threads watch. */
    _Alignas(LINE) atomic_uint number; /* of the latest call */
    atomic_int pieces;
    team_body body;
    void *context;
    /* What threads write. */
    _Alignas(LINE) atomic_int pending; /* pieces that are not done */
    _Alignas(LINE) atomic_ullong tickets[TEAM_MOST];
    /* Rarely written. */
    _Alignas(LINE) atomic_int sleepers;
    atomic_bool caller_sleeps;
    atomic_uint rests; /* how often team_rest() was called */
    atomic_bool busy;
    int threads; /* beside the caller; changed by who holds `busy` */
    atomic_bool spins;
};

static struct team team;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint64_t open_ticket(unsigned number) {
    return (uint64_t)number << 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void finish_piece(void) {
    if (atomic_fetch_sub(&team.pending, 1) != 1 || !atomic_load(&team.caller_sleeps))
        return;
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&done);
    pthread_mutex_unlock(&lock);
}

static void try_piece(unsigned number, int piece) {
    unsigned long long ticket = open_ticket(number);
    if (atomic_load_explicit(&team.tickets[piece], memory_order_relaxed) != ticket ||
        !atomic_compare_exchange_strong(&team.tickets[piece], &ticket, ticket + 1))
        return;
    team.body(team.context, piece);
    finish_piece();
}

/* The own piece first, then what is left. */
static void take_pieces(unsigned number, int own) {
    const int pieces = atomic_load_explicit(&team.pieces, memory_order_relaxed);
    if (own < pieces)
        try_piece(number, own);
    for (int piece = 0; piece < pieces; piece++)
        try_piece(number, piece);
}

/* --- waiting --- */

static bool spun_enough(double *until, unsigned rests) {
    if (!atomic_load_explicit(&team.spins, memory_order_relaxed) ||
        atomic_load_explicit(&team.rests, memory_order_relaxed) != rests)
        return true;
    for (int i = 0; i < LOOKS / 4; i++)
        PAUSE();
    const double time = now();
    if (*until == 0)
        *until = time + SPIN_SECONDS;
    return time > *until;
}

/* Until there is a call that was not seen; its number. */
static unsigned next_call(unsigned seen) {
    const unsigned rests = atomic_load(&team.rests);
    double until = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            const unsigned number = atomic_load_explicit(&team.number, memory_order_acquire);
            if (number != seen)
                return number;
            PAUSE();
        }
    } while (!spun_enough(&until, rests));
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&team.sleepers, 1);
    unsigned number;
    while ((number = atomic_load(&team.number)) == seen)
        pthread_cond_wait(&work, &lock);
    atomic_fetch_sub(&team.sleepers, 1);
    pthread_mutex_unlock(&lock);
    return number;
}

static void await_end(void) {
    double until = 0;
    const unsigned rests = atomic_load(&team.rests);
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(&team.pending, memory_order_acquire) == 0)
                return;
            PAUSE();
        }
    } while (!spun_enough(&until, rests));
    pthread_mutex_lock(&lock);
    atomic_store(&team.caller_sleeps, true);
    while (atomic_load(&team.pending) != 0)
        pthread_cond_wait(&done, &lock);
    atomic_store(&team.caller_sleeps, false);
    pthread_mutex_unlock(&lock);
}

static void wake_sleepers(int wanted) {
    if (atomic_load(&team.sleepers) == 0)
        return;
    pthread_mutex_lock(&lock);
    if (wanted == 1 && team.threads == 1)
        pthread_cond_signal(&work);
    else
        pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
}

/* --- threads --- */

static void *thread_main(void *argument) {
    const int own = (int)(intptr_t)argument;
    unsigned seen = 0;
    for (;;) {
        seen = next_call(seen);
        take_pieces(seen, own);
    }
    return NULL;
}

/* In a forked child there is one thread, and nothing to wait for. */
static void forget(void) {
    static const pthread_mutex_t free_lock = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t free_condition = PTHREAD_COND_INITIALIZER;
    lock = free_lock;
    work = done = free_condition;
    team.threads = 0;
    atomic_store(&team.sleepers, 0);
    atomic_store(&team.busy, false);
}

static void prepare(void) {
    (void)pthread_atfork(NULL, NULL, forget);
}

/* Signals are for the program's own threads. What cannot be started is done without. */
static void add_threads(int wanted) {
    pthread_once(&once, prepare);
    sigset_t all, before;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t id;
    while (team.threads < wanted &&
           pthread_create(&id, &attributes, thread_main, (void *)(intptr_t)(team.threads + 1)) == 0)
        team.threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    atomic_store(&team.spins, team.threads < parallel_processors());
}

/* A call that is seen by nobody else: nothing is published. */
static void run_alone(int pieces, team_body body, void *context) {
    for (int piece = 0; piece < pieces; piece++)
        body(context, piece);
}

void team_run(int pieces, team_body body, void *context) {
    if (pieces <= 1 || atomic_exchange(&team.busy, true)) {
        run_alone(pieces, body, context);
        return;
    }
    if (team.threads < pieces - 1)
        add_threads(pieces - 1);
    const unsigned number = atomic_load_explicit(&team.number, memory_order_relaxed) + 1;
    team.body = body;
    team.context = context;
    atomic_store_explicit(&team.pieces, pieces, memory_order_relaxed);
    atomic_store_explicit(&team.pending, pieces, memory_order_relaxed);
    for (int piece = 0; piece < pieces; piece++)
        atomic_store_explicit(&team.tickets[piece], open_ticket(number), memory_order_release);
    atomic_store(&team.number, number);
    wake_sleepers(pieces - 1);
    take_pieces(number, 0);
    await_end();
    atomic_store(&team.busy, false);
}

void team_wake(int pieces) {
    if (pieces <= 1 || atomic_load(&team.sleepers) == 0 || atomic_exchange(&team.busy, true))
        return;
    const unsigned number = atomic_load_explicit(&team.number, memory_order_relaxed) + 1;
    atomic_store_explicit(&team.pieces, 0, memory_order_relaxed);
    atomic_store(&team.number, number);
    wake_sleepers(pieces - 1);
    atomic_store(&team.busy, false);
}

void team_rest(void) {
    atomic_fetch_add_explicit(&team.rests, 1, memory_order_relaxed);
}
