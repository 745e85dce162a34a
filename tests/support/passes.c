/*
 * Passes one by one. See passes.h.
 */
#include "support/passes.h"

#include "base/memory.h"

static void open_on(struct passes *p, cupel_type real) {
    CHECK_OK_TEXT(cupel_parameters_create(&p->parameters, p->context, real, 5),
                  cupel_context_error(p->context));
    CHECK_OK_TEXT(cupel_graph_create(&p->graph, p->context, p->parameters),
                  cupel_context_error(p->context));
}

void passes_open(struct passes *p, const char *device, cupel_type real) {
    *p = (struct passes){0};
    CHECK_OK(cupel_context_create(&p->context, &(cupel_context_options){.device = device}));
    open_on(p, real);
    p->options.real = real;
}

void passes_open_backend(struct passes *p, struct backend *backend, cupel_type real) {
    *p = (struct passes){0};
    CHECK_OK(context_create_with_backend(&p->context, backend, NULL));
    open_on(p, real);
    p->options.real = real;
}

void passes_open_kernels(struct passes *p, const char *name, host_backend_kernels kernels) {
    struct backend *const backend = host_backend_create(name, kernels, 8);
    CHECK(backend != NULL);
    passes_open_backend(p, backend, CUPEL_TYPE_F32);
}

void passes_open_splitting(struct passes *p, cupel_type real) {
    struct backend *backend = NULL;
    CHECK_OK(backend_create(&backend, "reference"));
    backend->kernels = ref_kernels;
    passes_open_backend(p, backend, real);
}

void passes_output(struct passes *p, const char *name, cupel_node node) {
    CHECK(p->options.n_outputs < PASSES_OUTPUTS);
    p->outputs[p->options.n_outputs++] = (cupel_output){name, node};
}

cupel_status passes_try_begin(struct passes *p) {
    p->options.outputs = p->outputs;
    const cupel_type real = p->options.real == CUPEL_TYPE_REAL ? CUPEL_TYPE_F32 : p->options.real;
    p->c = (struct compile){.context = p->context,
                            .parameters = p->parameters,
                            .backend = p->context->backend,
                            .options = &p->options,
                            .name = "passes",
                            .real = real,
                            .wide = real == CUPEL_TYPE_BF16 ? CUPEL_TYPE_F32 : real,
                            .reference = p->options.reference,
                            .threads = 1,
                            .measured = p->measured,
                            .measure = p->measure,
                            .measure_user = p->measure_user,
                            .error = &p->error};
    return pass_validate(&p->c, p->graph);
}

void passes_begin(struct passes *p) {
    CHECK_OK_TEXT(cupel_graph_check(p->graph), cupel_graph_error(p->graph));
    CHECK_OK_TEXT(passes_try_begin(p), p->error.text);
}

static cupel_status memory(struct passes *p) {
    return pass_plan_memory(&p->c, &p->draft);
}

static cupel_status steps(struct passes *p) {
    return pass_steps(&p->c, &p->draft);
}

void passes_run(struct passes *p, const char *last) {
    static const struct {
        const char *name;
        cupel_status (*pass)(struct compile *c);
        cupel_status (*late)(struct passes *p);
        bool fast_only;
    } passes[] = {
        {"prune", pass_prune, NULL, false},
        {"precision", pass_precision, NULL, false},
        {"simplify", pass_simplify, NULL, true},
        {"fold", pass_fold_batch_norm, NULL, true},
        {"prune2", pass_prune, NULL, true},
        {"move_reshapes", pass_move_reshapes, NULL, true},
        {"fuse_image", pass_fuse_image, NULL, true},
        {"join_images", pass_join_images, NULL, true},
        {"fuse", pass_fuse, NULL, true},
        {"fuse_conv", pass_fuse_conv, NULL, true},
        {"fuse_update", pass_fuse_update, NULL, true},
        {"join_updates", pass_join_updates, NULL, true},
        {"sweep", pass_sweep, NULL, true},
        {"swaps", pass_swaps, NULL, false},
        {"choose", pass_choose, NULL, false},
        {"pack", pass_pack, NULL, false},
        {"roots", pass_roots, NULL, false},
        {"order", pass_order, NULL, false},
        {"memory", NULL, memory, false},
        {"steps", NULL, steps, false},
    };
    passes_begin(p);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        if (!p->options.reference || !passes[i].fast_only) {
            const cupel_status status =
                passes[i].pass != NULL ? passes[i].pass(&p->c) : passes[i].late(p);
            CHECK_OK_TEXT(status, p->error.text);
        }
        if (strcmp(passes[i].name, last) == 0)
            return;
    }
    check_failed(__FILE__, __LINE__, "there is no pass '%s'", last);
}

void passes_close(struct passes *p) {
    for (size_t i = 0; i < p->c.n_plans; i++)
        drop_kernel_plan(p->c.plans[i]);
    cupel_free(p->c.plans);
    cupel_free(p->c.list.nodes);
    arena_release(&p->c.arena);
    CHECK_OK(cupel_graph_destroy(p->graph));
    CHECK_OK(cupel_parameters_destroy(p->parameters));
    CHECK_OK(cupel_context_destroy(p->context));
    *p = (struct passes){0};
}

int passes_count(const struct passes *p, const char *op) {
    int n = 0;
    for (size_t i = 0; i < p->c.list.count; i++)
        n += strcmp(p->c.list.nodes[i].op->name, op) == 0;
    return n;
}

uint32_t passes_nth(const struct passes *p, const char *op, int index) {
    for (uint32_t i = 0; i < p->c.list.count; i++)
        if (strcmp(p->c.list.nodes[i].op->name, op) == 0 && index-- == 0)
            return i;
    check_failed(__FILE__, __LINE__, "the list has too few nodes of op %s", op);
    return 0;
}

const char *passes_root_op(const struct passes *p, size_t root) {
    CHECK(root < p->c.n_roots);
    return p->c.list.nodes[p->c.roots[root].edge.node].op->name;
}

void passes_check_list(const struct passes *p) {
    const struct node_list *list = &p->c.list;
    for (uint32_t i = 0; i < list->count; i++)
        for (uint32_t j = 0; j < list->nodes[i].n_inputs; j++) {
            const struct edge edge = list->nodes[i].inputs[j];
            if (edge.node >= i || edge.output >= list->nodes[edge.node].n_outputs)
                check_failed(__FILE__, __LINE__, "node %u (%s): operand %u is output %u of node %u",
                             i, list->nodes[i].op->name, j, edge.output, edge.node);
        }
    for (size_t i = 0; i < p->c.n_roots; i++) {
        const struct edge edge = p->c.roots[i].edge;
        CHECK(edge.node < list->count && edge.output < list->nodes[edge.node].n_outputs);
    }
}
