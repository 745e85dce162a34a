/*
 * Memory during runs: after its second run a program allocates nothing of ours, on any device, and
 * the heap does not grow over 100 runs. What libraries underneath (oneDNN) allocate is counted by
 * standing in for malloc, and printed.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cupel/models.h>
#include <cupel/program.h>

#include "base/memory.h"

/* --- every call of malloc and its kin, whoever makes it --- */

static atomic_ullong heap_calls;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif
#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTS_HEAP true
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    *out = __libc_memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}
#else
#define COUNTS_HEAP false
#endif

/* --- a training step of a model that users have --- */

enum { BATCH = 4, SIDE = 14, WARM = 2, RUNS = 100 };

struct step {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
};

static struct step open_step(const char *device, cupel_vae_kind kind, int threads, bool score) {
    struct step s = {0};
    cupel_graph *graph = NULL;
    CHECK_OK(cupel_context_create(&s.context, &(cupel_context_options){.device = device}));
    CHECK_OK(cupel_parameters_create(&s.parameters, s.context, CUPEL_TYPE_F32, 1));
    CHECK_OK(cupel_graph_create(&graph, s.context, s.parameters));
    const cupel_node x =
        cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, 1, SIDE, SIDE));
    const cupel_vae vae = cupel_vae_build(x, &(cupel_vae_options){.kind = kind, .latents = 4},
                                          cupel_rng_inputs(graph, BATCH));
    const cupel_node loss = cupel_vae_loss(&vae, cupel_scalar(graph, 1));
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    if (!score)
        cupel_optimizer_minimize(graph, "adam", &adam, cupel_scalar(graph, 1e-3), loss, "");
    const cupel_output outputs[] = {{"loss", loss}, {"error", vae.error}};
    const cupel_compile_options options = {
        .outputs = outputs, .n_outputs = 2, .threads = threads, .real = CUPEL_TYPE_F32};
    CHECK_OK_TEXT(cupel_program_compile(&s.program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_workspace_create(&s.workspace, s.context));
    CHECK_OK(cupel_workspace_reserve(s.workspace, s.program));
    CHECK_OK(cupel_bindings_create(&s.bindings, s.program));
    return s;
}

static void close_step(struct step *s) {
    CHECK_OK(cupel_bindings_destroy(s->bindings));
    CHECK_OK(cupel_workspace_destroy(s->workspace));
    CHECK_OK(cupel_program_destroy(s->program));
    CHECK_OK(cupel_parameters_destroy(s->parameters));
    CHECK_OK(cupel_context_destroy(s->context));
}

/* As a trainer does: fresh input, run, read the loss. */
static void run_once(struct step *s, uint64_t number) {
    static float x[BATCH * SIDE * SIDE];
    uint64_t rows[BATCH];
    double loss = 0;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)((i * 7 + number) % 31) / 31.0f;
    for (uint64_t i = 0; i < BATCH; i++)
        rows[i] = number * BATCH + i;
    CHECK_OK(cupel_bindings_write(s->bindings, "x", x, sizeof x));
    CHECK_OK(cupel_bindings_write(s->bindings, "rows", rows, sizeof rows));
    CHECK_OK(cupel_bindings_write_u64(s->bindings, "seed", 1));
    CHECK_OK(cupel_bindings_write_u64(s->bindings, "step", number));
    CHECK_OK_TEXT(cupel_program_run(s->program, s->bindings, s->workspace, NULL),
                  cupel_program_error(s->program));
    CHECK_OK(cupel_bindings_read_scalar(s->bindings, "loss", &loss));
    CHECK(isfinite(loss));
}

static void measure(const char *device, cupel_vae_kind kind, int threads, bool score, int runs) {
    struct step s = open_step(device, kind, threads, score);
    uint64_t number = 0;
    for (int i = 0; i < WARM; i++)
        run_once(&s, number++);
    const struct cupel_memory_stats ours = cupel_memory_stats();
    const struct mallinfo2 heap = mallinfo2();
    const unsigned long long calls = atomic_load(&heap_calls);
    for (int i = 0; i < runs; i++)
        run_once(&s, number++);
    const unsigned long long theirs = atomic_load(&heap_calls) - calls;
    const struct mallinfo2 heap_after = mallinfo2();
    const struct cupel_memory_stats ours_after = cupel_memory_stats();
    check_context("%s, %s, %d threads", device, kind == CUPEL_VAE_CONV ? "conv" : "mlp", threads);
    print_message("%s, %s VAE %s, %d threads, %d runs: ours %" PRIu64 ", libraries' ", device,
                  kind == CUPEL_VAE_CONV ? "conv" : "mlp", score ? "score" : "step", threads, runs,
                  ours_after.allocations - ours.allocations);
    if (COUNTS_HEAP)
        print_message("%llu allocations, ", theirs);
    print_message("heap in use %+lld bytes\n",
                  (long long)heap_after.uordblks - (long long)heap.uordblks);
    CHECK_U64(ours_after.allocations, ours.allocations);
    CHECK_U64(ours_after.live_bytes, ours.live_bytes);
    CHECK(heap_after.uordblks <= heap.uordblks);
    close_step(&s);
}

static void steps_on_the_cpu(void **state) {
    (void)state;
    measure("cpu", CUPEL_VAE_CONV, 1, false, RUNS);
    measure("cpu", CUPEL_VAE_CONV, 2, false, RUNS);
    measure("cpu", CUPEL_VAE_MLP, 1, false, RUNS);
    measure("cpu", CUPEL_VAE_CONV, 1, true, RUNS);
}

static void steps_on_the_reference(void **state) {
    (void)state;
    measure("reference", CUPEL_VAE_MLP, 1, false, 3);
    measure("reference", CUPEL_VAE_MLP, 1, true, 3);
}

int main(int argc, char **argv) {
    /* Blocks that a thread keeps for itself count as in use: without such caches the figures are
     * exact. The setting is read when a process starts. */
    static const char tunables[] = "GLIBC_TUNABLES";
    if (getenv(tunables) == NULL && setenv(tunables, "glibc.malloc.tcache_count=0", 1) == 0)
        execv("/proc/self/exe", argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_on_the_cpu),
        cmocka_unit_test(steps_on_the_reference),
    };
    return CHECK_MAIN(tests);
}
