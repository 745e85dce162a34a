/*
 * Passes order and steps: the prologue first, the forward pass as built, updates as soon as their
 * gradient is there, packs just before their reader, writes to variables after all guards and,
 * where that can be, after all reads. The lists of what a step must follow hold on random graphs.
 */
#include "support/forms.h"
#include "support/passes.h"
#include "support/random_graph.h"

#include <stdlib.h>

#include "cupel/layers.h"

static uint32_t at(const struct passes *p, const char *op, int index) {
    return passes_nth(p, op, index);
}

static cupel_node parameter(struct passes *p, const char *name, cupel_shape shape) {
    return cupel_parameter(p->graph, name, shape, (cupel_init){.kind = CUPEL_INIT_ONES});
}

static void updates_come_as_early_as_they_can(void **state) {
    (void)state;
    struct passes p;
    passes_open_splitting(&p, CUPEL_TYPE_F32);
    cupel_node h = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        h = cupel_tanh(cupel_matmul(h, parameter(&p, name, CUPEL_SHAPE(3, 3)), false, false));
    }
    const cupel_node loss = cupel_reduce_sum(cupel_square(h), CUPEL_ALL_AXES, false);
    const cupel_optimizer sgd = cupel_optimizer_defaults(CUPEL_SGD);
    cupel_optimizer_minimize(p.graph, "sgd", &sgd, cupel_scalar(p.graph, .1), loss, "");
    passes_run(&p, "order");
    passes_check_list(&p);
    /* Three products forward, then guard, then gradients: of the last layer first. */
    CHECK(at(&p, "matmul", 2) < at(&p, "guard", 0));
    CHECK(at(&p, "guard", 0) < at(&p, "matmul", 3));
    for (int i = 0; i < 3; i++) {
        const uint32_t update = at(&p, "sgd_update", i);
        CHECK(at(&p, "guard", 0) < update);
        /* the first update runs before the last gradient is computed */
        if (i < 2)
            CHECK(update < at(&p, "matmul", passes_count(&p, "matmul") - 1));
    }
    passes_close(&p);
}

static void writes_wait_for_guards_and_reads(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3));
    const cupel_node v = parameter(&p, "v", CUPEL_SHAPE(3));
    cupel_assign(v, cupel_add(v, x)); /* built first, reads and guards come later */
    const cupel_node late = cupel_exp(cupel_reshape(v, CUPEL_SHAPE(3, 1)));
    cupel_guard(cupel_reduce_sum(cupel_sqrt(x), CUPEL_ALL_AXES, false));
    passes_output(&p, "late", late);
    passes_run(&p, "order");
    CHECK(at(&p, "guard", 0) < at(&p, "add", 0));
    CHECK(at(&p, "exp", 0) < at(&p, "add", 0)); /* reads v through a view */
    CHECK(at(&p, "add", 0) < at(&p, "assign", 0));
    passes_close(&p);
}

static void assigns_come_last_in_reference_mode(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    p.options.reference = true;
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3));
    const cupel_node v = parameter(&p, "v", CUPEL_SHAPE(3));
    cupel_assign(v, x);
    passes_output(&p, "late", cupel_exp(cupel_log(x)));
    passes_run(&p, "order");
    CHECK_U64(at(&p, "assign", 0), p.c.list.count - 1);
    passes_close(&p);
}

static void packs_wait_and_the_prologue_is_first(void **state) {
    (void)state;
    struct passes p;
    passes_open_backend(&p, forms_create(), CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
    const cupel_node made = cupel_exp(cupel_matmul(x, x, true, false)); /* weights of a kind */
    const cupel_node early = cupel_matmul(x, made, false, false);
    cupel_node other = x;
    for (int i = 0; i < 4; i++)
        other = cupel_tanh(other);
    const cupel_node scaled = cupel_scale(parameter(&p, "w", CUPEL_SHAPE(3, 3)), 3);
    passes_output(&p, "a", early);
    passes_output(&p, "b", cupel_matmul(other, scaled, false, false));
    passes_run(&p, "order");
    passes_check_list(&p);
    uint32_t first_late = 0;
    while (node_is_leaf(&p.c.list.nodes[first_late]) || p.c.prologue[first_late])
        first_late++;
    for (uint32_t i = first_late; i < p.c.list.count; i++)
        CHECK(!p.c.prologue[i]);
    CHECK(p.c.prologue[at(&p, "mul", 0)]);
    for (uint32_t i = first_late; i < p.c.list.count; i++)
        if (strcmp(p.c.list.nodes[i].op->name, "pack") == 0) {
            CHECK(i + 1 < p.c.list.count);
            CHECK_STRING(p.c.list.nodes[i + 1].op->name, "matmul");
            CHECK_U64(p.c.list.nodes[i + 1].inputs[1].node, i);
        }
    passes_close(&p);
}

/* --- what a step must follow --- */

/* Whether a is ordered before b: reached[b * n + a]. */
static bool *closure(const struct program_draft *draft) {
    const uint32_t n = draft->n_steps;
    bool *const reached = calloc((size_t)n * n + 1, sizeof *reached);
    CHECK(reached != NULL);
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t i = 0; i < draft->steps[t].n_after; i++) {
            const uint32_t before = draft->steps[t].after[i];
            CHECK(before < t); /* the planned order is one of those allowed */
            reached[(size_t)t * n + before] = true;
            for (uint32_t k = 0; k < n; k++)
                if (reached[(size_t)before * n + k])
                    reached[(size_t)t * n + k] = true;
        }
    return reached;
}

static bool overlap(const struct exec_buffer *a, const struct exec_buffer *b) {
    if (a->space != b->space)
        return false;
    if (a->space == SPACE_BINDING || a->space == SPACE_VARIABLE)
        return a->slot == b->slot;
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static bool clash(const struct program_draft *draft, uint32_t s, uint32_t t) {
    const struct exec_step *const x = &draft->steps[s], *const y = &draft->steps[t];
    for (uint32_t i = 0; i < x->n_buffers; i++)
        for (uint32_t j = 0; j < y->n_buffers; j++)
            if ((i >= (uint32_t)x->view.n_inputs || j >= (uint32_t)y->view.n_inputs) &&
                overlap(&draft->buffers[x->buffers[i]], &draft->buffers[y->buffers[j]]))
                return true;
    return false;
}

static void steps_that_share_memory_are_ordered(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct passes p;
        if (seed % 2)
            passes_open(&p, "cpu", CUPEL_TYPE_F32);
        else
            passes_open_backend(&p, forms_create(), CUPEL_TYPE_F32);
        struct random_graph r;
        const struct random_graph_options options = {.seed = seed,
                                                     .nodes = 8 + (int)(seed % 25),
                                                     .variables = true,
                                                     .assigns = true,
                                                     .randomness = true};
        random_graph_build(&r, p.graph, options);
        check_context("seed %" PRIu64, seed);
        for (int i = 0; i < r.n_outputs; i++)
            passes_output(&p, r.outputs[i].name, r.outputs[i].node);
        passes_run(&p, "steps");
        const struct program_draft *const draft = &p.draft;
        bool *const before = closure(draft);
        const uint32_t n = draft->n_steps;
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t s = 0; s < t; s++)
                if (clash(draft, s, t) && !before[(size_t)t * n + s])
                    check_failed(__FILE__, __LINE__, "steps %u and %u share memory, unordered", s,
                                 t);
        /* Writes to variables follow every guard. */
        for (uint32_t g = 0; g < n; g++)
            for (uint32_t t = 0; t < n && strcmp(draft->steps[g].view.op->name, "guard") == 0; t++)
                for (uint32_t i = (uint32_t)draft->steps[t].view.n_inputs;
                     i < draft->steps[t].n_buffers; i++)
                    if (draft->buffers[draft->steps[t].buffers[i]].space == SPACE_VARIABLE)
                        CHECK(before[(size_t)t * n + g]);
        /* Each life ends once, with a step that touches the buffer. */
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t i = 0; i < draft->steps[t].n_ends; i++) {
                const uint32_t b = draft->steps[t].ends[i];
                for (uint32_t later = t + 1; later < n; later++)
                    for (uint32_t k = 0; k < draft->steps[later].n_buffers; k++)
                        CHECK(draft->steps[later].buffers[k] != b);
            }
        free(before);
        passes_close(&p);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_come_as_early_as_they_can),
        cmocka_unit_test(writes_wait_for_guards_and_reads),
        cmocka_unit_test(assigns_come_last_in_reference_mode),
        cmocka_unit_test(packs_wait_and_the_prologue_is_first),
        cmocka_unit_test(steps_that_share_memory_are_ordered),
    };
    return CHECK_MAIN(tests);
}
