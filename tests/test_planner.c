/*
 * The planner: on random sets of life spans and on random graphs no two buffers that live at the
 * same time share memory, and the arena is at most 1.05 times the largest sum of live bytes.
 */
#include <cupel/layers.h>

#include "support/passes.h"

#include <stdlib.h>

#include "support/random_graph.h"

enum { ALIGN = 64 };

static size_t aligned(size_t bytes) {
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* The largest sum over all steps, by counting. */
static size_t peak_of(size_t n, const struct interval *intervals, uint32_t steps) {
    size_t peak = 0;
    for (uint32_t t = 0; t < steps; t++) {
        size_t live = 0;
        for (size_t i = 0; i < n; i++)
            if (intervals[i].first <= t && t <= intervals[i].last)
                live += aligned(intervals[i].bytes);
        peak = live > peak ? live : peak;
    }
    return peak;
}

static void check_places(size_t n, const struct interval *intervals, const size_t *offsets,
                         size_t total) {
    for (size_t i = 0; i < n; i++) {
        CHECK_U64(offsets[i] % ALIGN, 0);
        CHECK(offsets[i] + intervals[i].bytes <= total);
        for (size_t j = 0; j < i; j++) {
            const bool together =
                intervals[i].first <= intervals[j].last && intervals[j].first <= intervals[i].last;
            const bool overlap = offsets[i] < offsets[j] + intervals[j].bytes &&
                                 offsets[j] < offsets[i] + intervals[i].bytes;
            if (together && overlap)
                check_failed(__FILE__, __LINE__, "buffers %zu and %zu live at once and overlap", i,
                             j);
        }
    }
}

/* How spans look in programs: one buffer or two a step, some to the next few steps, some over the
 * whole backward pass, a few scratch buffers of one step. */
static size_t make_intervals(uint64_t seed, struct interval *intervals, uint32_t *steps) {
    uint64_t state = seed;
    const size_t n = 1 + random_below(&state, 120);
    *steps = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const uint32_t first = (uint32_t)(i * 3 / 4);
        const uint64_t kind = random_below(&state, 4);
        const uint64_t life = kind == 0   ? 0
                              : kind == 1 ? random_below(&state, 3)
                              : kind == 2 ? random_below(&state, n)
                                          : n - 1 - first - random_below(&state, n - first);
        uint32_t last = first + (uint32_t)life;
        last = last < *steps ? last : *steps - 1;
        const uint64_t size = random_below(&state, 5);
        const size_t bytes = size == 0   ? 4
                             : size == 1 ? 1 + random_below(&state, 100)
                                         : (size_t)(1 + random_below(&state, 64)) << 10;
        intervals[i] = (struct interval){bytes, first, last < first ? first : last};
    }
    return n;
}

static void random_spans_fit(void **state) {
    (void)state;
    struct interval intervals[128];
    size_t offsets[128];
    int over = 0;
    double worst = 1;
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint32_t steps;
        size_t total = 1, peak = 1;
        const size_t n = make_intervals(seed, intervals, &steps);
        check_context("seed %" PRIu64 ", %zu buffers", seed, n);
        CHECK_OK(plan_offsets(n, intervals, offsets, &total, &peak));
        CHECK_U64(peak, peak_of(n, intervals, steps));
        CHECK(total >= peak);
        check_places(n, intervals, offsets, total);
        const double ratio = (double)total / (double)peak;
        worst = ratio > worst ? ratio : worst;
        over += ratio > 1.05;
    }
    print_message("arena over peak: at worst %.3f, above 1.05 in %d of 300\n", worst, over);
    CHECK_I64(over, 0);
}

static void special_sets(void **state) {
    (void)state;
    size_t total = 7, peak = 7, offsets[4];
    CHECK_OK(plan_offsets(0, NULL, NULL, &total, &peak));
    CHECK_U64(total, 0);
    CHECK_U64(peak, 0);
    /* In at a step where the other goes out: the step touches both. */
    const struct interval touching[] = {{64, 0, 3}, {64, 3, 5}};
    CHECK_OK(plan_offsets(2, touching, offsets, &total, &peak));
    CHECK_U64(total, 128);
    const struct interval after[] = {{64, 0, 2}, {64, 3, 5}};
    CHECK_OK(plan_offsets(2, after, offsets, &total, &peak));
    CHECK_U64(total, 64);
    /* Twice the same answer. */
    struct interval intervals[128];
    size_t first[128], second[128];
    uint32_t steps;
    const size_t n = make_intervals(3, intervals, &steps);
    CHECK_OK(plan_offsets(n, intervals, first, &total, &peak));
    CHECK_OK(plan_offsets(n, intervals, second, &total, &peak));
    CHECK(memcmp(first, second, n * sizeof *first) == 0);
}

/* --- random graphs --- */

/* From the steps alone: the first and last step that touch each arena buffer. */
static void check_draft(const struct program_draft *draft) {
    struct interval *const spans = calloc(draft->n_buffers + 1, sizeof *spans);
    bool *const touched = calloc(draft->n_buffers + 1, sizeof *touched);
    size_t *const offsets = calloc(draft->n_buffers + 1, sizeof *offsets);
    CHECK(spans != NULL && touched != NULL && offsets != NULL);
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (uint32_t i = 0; i < draft->steps[t].n_buffers; i++) {
            const uint32_t b = draft->steps[t].buffers[i];
            CHECK(b < draft->n_buffers);
            if (!touched[b])
                spans[b].first = t;
            spans[b].last = t;
            touched[b] = true;
        }
    size_t n = 0;
    for (uint32_t b = 0; b < draft->n_buffers; b++)
        if (touched[b] && draft->buffers[b].space == SPACE_ARENA) {
            spans[n] = (struct interval){draft->buffers[b].bytes, spans[b].first, spans[b].last};
            offsets[n++] = draft->buffers[b].offset;
        }
    check_places(n, spans, offsets, draft->arena_bytes);
    /* The figure the program tells is the truth, counted from its steps, and the arena holds to
     * it. */
    const size_t peak = peak_of(n, spans, draft->n_steps);
    CHECK_U64(draft->live_bytes, peak);
    if (draft->arena_bytes > peak + peak / 20)
        check_failed(__FILE__, __LINE__, "the arena has %zu bytes, at most %zu are live",
                     draft->arena_bytes, peak);
    free(spans);
    free(touched);
    free(offsets);
}

static void random_graphs_fit(void **state) {
    (void)state;
    size_t arena = 0, live = 0, naive = 0;
    double worst = 1;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct passes p;
        passes_open(&p, seed % 3 ? "cpu" : "reference", CUPEL_TYPE_F32);
        struct random_graph r;
        const struct random_graph_options options = {.seed = seed,
                                                     .nodes = 10 + (int)(seed % 80),
                                                     .variables = true,
                                                     .assigns = true,
                                                     .randomness = seed % 2,
                                                     .scale = seed % 2 ? 1 : 11};
        random_graph_build(&r, p.graph, options);
        check_context("seed %" PRIu64 ", %zu nodes", seed, p.graph->list.count);
        for (int i = 0; i < r.n_outputs; i++)
            passes_output(&p, r.outputs[i].name, r.outputs[i].node);
        passes_run(&p, "steps");
        check_draft(&p.draft);
        const double ratio =
            p.draft.live_bytes ? (double)p.draft.arena_bytes / (double)p.draft.live_bytes : 1;
        worst = ratio > worst ? ratio : worst;
        if (ratio > 1.05)
            check_failed(__FILE__, __LINE__, "the arena has %zu bytes, at most %zu are live",
                         p.draft.arena_bytes, p.draft.live_bytes);
        CHECK(p.draft.naive_bytes >= p.draft.arena_bytes);
        arena += p.draft.arena_bytes;
        live += p.draft.live_bytes;
        naive += p.draft.naive_bytes;
        passes_close(&p);
    }
    print_message("random graphs: arena %zu, live %zu, without reuse %zu bytes; worst ratio %.3f\n",
                  arena, live, naive, worst);
    CHECK(arena < naive / 2);
}

/* Dense nets whose gradients are swept: in buckets where those fit, each on its own elsewhere. */
static void trained_nets_fit(void **state) {
    (void)state;
    for (int64_t width = 20; width <= 140; width += 20)
        for (int64_t batch = 2; batch <= 128; batch *= 4) {
            struct passes p;
            passes_open(&p, "cpu", CUPEL_TYPE_F32);
            check_context("width %" PRId64 ", batch %" PRId64, width, batch);
            cupel_node h = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(batch, width));
            static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
            for (int i = 0; i < 6; i++)
                h = cupel_tanh(cupel_layer_dense(h, names[i], width, NULL));
            const cupel_node loss = cupel_reduce_mean(cupel_square(h), CUPEL_ALL_AXES, false);
            const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
            cupel_optimizer_minimize(p.graph, "adam", &adam, cupel_scalar(p.graph, 1e-3), loss, "");
            passes_output(&p, "loss", loss);
            passes_run(&p, "steps");
            check_draft(&p.draft);
            passes_close(&p);
        }
}

/* Rows of a table put into the same table: written over it, they would be read too late. */
static void an_operand_that_is_read_elsewhere_is_not_written_over(void **state) {
    (void)state;
    for (int same = 0; same < 2; same++) {
        struct passes p;
        passes_open(&p, "reference", CUPEL_TYPE_F64);
        const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        const cupel_node index =
            cupel_constant(p.graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), (const int64_t[]){1, 2, 0});
        const cupel_node table = cupel_exp(x), rows = same ? table : cupel_neg(x);
        /* the sum keeps the result in the arena */
        passes_output(&p, "y",
                      cupel_reduce_sum(cupel_scatter_update(table, index, rows), 1, false));
        passes_run(&p, "steps");
        const uint32_t id = passes_nth(&p, "scatter_update", 0);
        const struct graph_node *const node = &p.c.list.nodes[id];
        const uint32_t operand = p.draft.node_buffers[node->inputs[0].node][0];
        CHECK((p.draft.node_buffers[id][0] == operand) == !same);
        passes_close(&p);
    }
}

/* Ops from outside are told that their results never overlap their operands. */
static cupel_status same_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status no_run(const cupel_op_call *call) {
    (void)call;
    return CUPEL_STATUS_OK;
}

static void ops_from_outside_get_memory_of_their_own(void **state) {
    (void)state;
    for (int in_place = 0; in_place < 2; in_place++) {
        const cupel_op op = {.size = sizeof op,
                             .version = CUPEL_OP_VERSION,
                             .name = "outside",
                             .min_inputs = 1,
                             .max_inputs = 1,
                             .n_outputs = 1,
                             .flags = CUPEL_OP_ELEMENTWISE,
                             .in_place = {(uint8_t)in_place},
                             .infer = same_infer,
                             .run = no_run};
        struct passes p;
        passes_open(&p, "reference", CUPEL_TYPE_F64);
        CHECK_OK(cupel_context_register_op(p.context, &op));
        const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        const cupel_node h = cupel_exp(x);
        passes_output(&p, "y", cupel_reduce_sum(cupel_apply(p.graph, &op, NULL, 1, &h), 1, false));
        passes_run(&p, "steps");
        const uint32_t id = passes_nth(&p, "outside", 0);
        const uint32_t operand = p.draft.node_buffers[passes_nth(&p, "exp", 0)][0];
        CHECK((p.draft.node_buffers[id][0] == operand) == in_place);
        passes_close(&p);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_spans_fit),
        cmocka_unit_test(special_sets),
        cmocka_unit_test(random_graphs_fit),
        cmocka_unit_test(trained_nets_fit),
        cmocka_unit_test(an_operand_that_is_read_elsewhere_is_not_written_over),
        cmocka_unit_test(ops_from_outside_get_memory_of_their_own),
    };
    return CHECK_MAIN(tests);
}
