/*
 * The kernel of one node: the one that the plan has for it, the first of the list that accepts, or
 * the fastest. What was measured once is not measured again. Test: tests/test_pass_choose.c,
 * tests/test_measure.c
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compile/compile_internal.h"
#include "compile/plan_internal.h"
#include "op/op_internal.h"

void drop_kernel_plan(struct kernel_plan *plan) {
    if (!plan)
        return;
    if (plan->kernel && plan->kernel->drop)
        plan->kernel->drop(plan);
    cupel_free(plan);
}

static void trace(struct compile *c, const struct graph_node *node, const struct kernel *kernel,
                  const char *text) {
    if (log_traces("dispatch"))
        log_line(&c->context->log, "trace", "dispatch: %s %s (%s): %s: %s", c->name, node->name,
                 node->op->name, kernel->name, text);
}

/* What is asked of the kernels of one node. */
struct asking {
    struct compile *c;
    const struct graph_node *node;
    struct kernel_request request;
    const struct kernel *const *list;
};

/* More threads only for steps that are worth it. Our own threads take work within a microsecond or
 * two; a library's sleep where they wait, and handing work to them and waiting for its end takes
 * tens of microseconds. */
static int threads_for(const cupel_op_view *view, const struct kernel *kernel, int most) {
    enum { FLOPS_WORTH = 400000, BYTES_WORTH = 96 << 10 };
    enum { LIBRARY_FLOPS_WORTH = 8000000, LIBRARY_BYTES_WORTH = 4 << 20 };
    if (view->op->run) /* who knows what an op from outside costs */
        return most;
    const bool library = (kernel->flags & KERNEL_FIXED_THREADS) != 0;
    return op_view_flops(view) < (library ? LIBRARY_FLOPS_WORTH : FLOPS_WORTH) &&
                   op_view_bytes(view) < (library ? LIBRARY_BYTES_WORTH : BYTES_WORTH)
               ? 1
               : most;
}

static struct kernel_request request_of(const struct asking *a, const struct kernel *kernel) {
    struct kernel_request request = a->request;
    request.threads = threads_for(&request.view, kernel, a->c->threads);
    return request;
}

static uint64_t time_key(const struct asking *a, const struct kernel *kernel) {
    const struct kernel_request request = request_of(a, kernel);
    return measured_key(kernel, &request);
}

/* Whether the program's options allow a kernel. */
static bool allowed(const struct compile *c, const struct kernel *kernel) {
    return !(c->options->no_winograd && (kernel->flags & KERNEL_WINOGRAD));
}

/* Prepares one kernel; OK with *out NULL when it declines. */
static cupel_status try_kernel(const struct asking *a, const struct kernel *kernel,
                               struct kernel_plan **out) {
    struct compile *const c = a->c;
    *out = NULL;
    const struct kernel_request request = request_of(a, kernel);
    const char *why = "declined";
    if (!allowed(c, kernel)) {
        trace(c, a->node, kernel, "Winograd is forbidden");
        return CUPEL_STATUS_OK;
    }
    if (kernel->accept && !kernel->accept(&request, &why)) {
        trace(c, a->node, kernel, why);
        return CUPEL_STATUS_OK;
    }
    struct kernel_plan *plan = cupel_alloc(1, sizeof(*plan));
    if (!plan)
        return cupel_fail_memory(c->error, "a kernel's plan", sizeof(*plan));
    plan->kernel = kernel;
    plan->threads = request.threads;
    struct cupel_error error = {0};
    const cupel_status status =
        kernel->plan ? kernel->plan(plan, &request, &error) : CUPEL_STATUS_OK;
    if (status == CUPEL_STATUS_OK) {
        trace(c, a->node, kernel, "accepted");
        *out = plan;
        return CUPEL_STATUS_OK;
    }
    cupel_free(plan);
    trace(c, a->node, kernel, error.text[0] ? error.text : cupel_status_text(status));
    if (status == CUPEL_STATUS_UNSUPPORTED)
        return CUPEL_STATUS_OK;
    return cupel_fail(c->error, status, "%s (%s): kernel %s: %s", a->node->name, a->node->op->name,
                      kernel->name, error.text[0] ? error.text : cupel_status_text(status));
}

/* The first that accepts among those of a name (NULL: of any). */
static cupel_status first_kernel(const struct asking *a, const char *name, bool reference_too,
                                 struct kernel_plan **out) {
    *out = NULL;
    for (const struct kernel *const *at = a->list; at && *at && !*out; at++) {
        if (((*at)->flags & KERNEL_REFERENCE) && !reference_too)
            continue;
        if (name == NULL || strcmp(name, (*at)->name) == 0)
            CUPEL_TRY(try_kernel(a, *at, out));
    }
    return CUPEL_STATUS_OK;
}

/* --- competing --- */

enum { MOST_CANDIDATES = 16 };

struct candidate {
    const struct kernel *kernel;
    struct kernel_plan *plan; /* NULL: was measured before, and not prepared */
    double seconds;           /* below 0: not measured yet */
};

static void drop_candidates(struct candidate *candidates, int n) {
    for (int i = 0; i < n; i++)
        drop_kernel_plan(candidates[i].plan);
}

static cupel_status gather(const struct asking *a, struct candidate *candidates, int *n) {
    *n = 0;
    for (const struct kernel *const *at = a->list; at && *at && *n < MOST_CANDIDATES; at++) {
        struct candidate *const one = &candidates[*n];
        *one = (struct candidate){.kernel = *at, .seconds = -1};
        if (((*at)->flags & KERNEL_REFERENCE) || !allowed(a->c, *at))
            continue;
        if (!measured_find(a->c->measured, time_key(a, *at), &one->seconds))
            CUPEL_TRY(try_kernel(a, *at, &one->plan));
        *n += one->plan != NULL || (one->seconds >= 0 && one->seconds < INFINITY);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status time_candidate(const struct asking *a, struct candidate *one, double rival) {
    struct compile *const c = a->c;
    struct cupel_error error = {0};
    double seconds = 0;
    cupel_status status =
        c->measure(c->measure_user, one->plan, &a->request.view, rival, &seconds, &error);
    if (status == CUPEL_STATUS_OUT_OF_MEMORY)
        return cupel_fail(c->error, status, "%s", error.text);
    if (status != CUPEL_STATUS_OK) /* one that cannot run is not chosen */
        seconds = INFINITY;
    if (one->seconds < 0 || seconds < one->seconds)
        one->seconds = seconds;
    c->measured->runs++;
    if (log_traces("dispatch"))
        log_line(&c->context->log, "trace", "dispatch: %s %s (%s): %s: %lld ns", c->name,
                 a->node->name, a->node->op->name, one->kernel->name,
                 (long long)(seconds < 1e6 ? 1e9 * seconds : -1));
    return CUPEL_STATUS_OK;
}

static double least_seconds(const struct candidate *candidates, int n) {
    double least = INFINITY;
    for (int i = 0; i < n; i++)
        if (candidates[i].seconds >= 0 && candidates[i].seconds < least)
            least = candidates[i].seconds;
    return least;
}

/* Another look at those that are nearly as fast as the fastest, where there are several: each of
 * them the same number of times, so that none has more chances of an undisturbed moment. */
static cupel_status look_again(const struct asking *a, struct candidate *candidates, int n) {
    static const double near = 1.3;
    const double least = least_seconds(candidates, n);
    bool again[MOST_CANDIDATES];
    int close = 0;
    for (int i = 0; i < n; i++) {
        again[i] = candidates[i].plan != NULL && candidates[i].seconds < near * least;
        close += again[i];
    }
    for (int i = 0; i < n && close > 1; i++)
        if (again[i])
            CUPEL_TRY(time_candidate(a, &candidates[i], INFINITY));
    return CUPEL_STATUS_OK;
}

/* Times those that were not, and finds the fastest. */
static cupel_status compete(const struct asking *a, struct candidate *candidates, int n,
                            int *fastest) {
    struct compile *const c = a->c;
    const double limit = c->effort == EFFORT_TIMED ? c->limit : INFINITY;
    for (int i = 0; i < n; i++)
        if (candidates[i].seconds < 0)
            CUPEL_TRY(time_candidate(a, &candidates[i], fmin(limit, least_seconds(candidates, n))));
    CUPEL_TRY(look_again(a, candidates, n));
    for (int i = 0; i < n; i++)
        if (candidates[i].plan != NULL &&
            !measured_add(c->measured, time_key(a, candidates[i].kernel), candidates[i].seconds))
            return cupel_fail_memory(c->error, "times of kernels", c->measured->count);
    const double least = least_seconds(candidates, n);
    *fastest = 0;
    /* The list's order is a preference. */
    while (*fastest < n - 1 && candidates[*fastest].seconds * MEASURED_MARGIN > least)
        ++*fastest;
    return CUPEL_STATUS_OK;
}

/* Reference kernels are not worth a clock; they must lose against anything. */
static double reference_seconds(const cupel_op_view *view) {
    return 1e-8 * op_view_flops(view) + 1e-9 * (double)op_view_bytes(view);
}

static cupel_status fastest_kernel(const struct asking *a, bool reference_too,
                                   struct kernel_plan **out) {
    struct candidate candidates[MOST_CANDIDATES];
    int n = 0, fastest = 0;
    cupel_status status = gather(a, candidates, &n);
    if (status == CUPEL_STATUS_OK && (n > 1 || (n == 1 && a->c->effort == EFFORT_TIMED)))
        status = compete(a, candidates, n, &fastest);
    if (status == CUPEL_STATUS_OK && n > 0 && candidates[fastest].plan == NULL)
        status = try_kernel(a, candidates[fastest].kernel, &candidates[fastest].plan);
    if (status == CUPEL_STATUS_OK && n > 0) {
        *out = candidates[fastest].plan;
        (*out)->cost = candidates[fastest].seconds > 0 ? candidates[fastest].seconds : 0;
        candidates[fastest].plan = NULL;
    }
    drop_candidates(candidates, n);
    if (status != CUPEL_STATUS_OK || n > 0 || !reference_too)
        return status;
    CUPEL_TRY(first_kernel(a, NULL, true, out));
    if (*out)
        (*out)->cost = reference_seconds(&a->request.view);
    return CUPEL_STATUS_OK;
}

/* --- */

static const struct kernel *const *kernels_of(struct compile *c, const cupel_op *op) {
    /* An op from outside has the wrapper of the reference list. */
    return op->run || c->reference ? ref_kernels(c->backend, op->name)
                                   : c->backend->kernels(c->backend, op->name);
}

/* Whether the options forbid what a plan has chosen. */
static bool is_forbidden(const struct asking *a, const char *name) {
    for (const struct kernel *const *at = a->list; at && *at; at++)
        if (strcmp(name, (*at)->name) == 0)
            return !allowed(a->c, *at);
    return false;
}

cupel_status choose_kernel(struct compile *c, const struct graph_node *node, bool reference_too,
                           struct kernel_plan **out) {
    struct asking a = {.c = c, .node = node, .list = kernels_of(c, node->op)};
    const cupel_plan *const plan = c->reference ? NULL : c->options->plan;
    *out = NULL;
    CUPEL_TRY(node_view(c, node, &a.request.view));
    if (plan != NULL) {
        const struct plan_choice *const own =
            plan_lookup(plan, plan_key(c->name, node, &a.request.view));
        const struct plan_choice *const choice = own != NULL ? own : plan_like(plan, node);
        const bool forbidden = choice != NULL && is_forbidden(&a, choice->kernel);
        if (choice != NULL && !forbidden)
            CUPEL_TRY(first_kernel(&a, choice->kernel, reference_too, out));
        if (*out != NULL || (own != NULL && !forbidden))
            return CUPEL_STATUS_OK;
    }
    if (c->effort == EFFORT_FIRST || c->reference || node->op->run != NULL)
        return first_kernel(&a, NULL, reference_too, out);
    return fastest_kernel(&a, reference_too, out);
}

cupel_status record_kernel(struct compile *c, const struct graph_node *node,
                           const struct kernel_plan *plan) {
    if (c->options->plan == NULL || c->reference)
        return CUPEL_STATUS_OK;
    cupel_op_view view;
    CUPEL_TRY(node_view(c, node, &view));
    const uint64_t key = plan_key(c->name, node, &view);
    struct plan_choice *const own = plan_lookup(c->options->plan, key);
    if (own != NULL && strcmp(own->kernel, plan->kernel->name) == 0) {
        own->used = true;
        return CUPEL_STATUS_OK;
    }
    return plan_record(c->options->plan, key, c->name, &view, plan->kernel, c->error);
}
