/*
 * Updates merged into sweeps (src/compile/sweep.c), their gradients laid side by side
 * (src/compile/buckets.c), split where no kernel takes them (src/compile/choose.c).
 */
#define _GNU_SOURCE
#include "support/net.h"
#include "support/passes.h"

#include "base/memory.h"
#include "compile/program_internal.h"
#include "op/op_internal.h"
#include "op/op_sweep.h"

enum { KIB = 256 }; /* in floats */

/* Matrices are swept as well, which the cpu would update together with their gradients'
 * products. */
#define WITH_SWEEPS "vec:product-update"
#define WITHOUT_SWEEPS WITH_SWEEPS ",vec:sweep"

static void disable(const char *kernels) {
    CHECK(setenv("CUPEL_DISABLE", kernels, 1) == 0);
}

/* Parameters p0, p1, ... of so many floats each, and an update of each from an input of its own. */
static void build_updates(struct passes *p, const cupel_optimizer *optimizer, size_t n,
                          const int64_t *sizes, bool backwards) {
    cupel_node parameters[16], gradients[16];
    CHECK(n <= 16);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    for (size_t i = 0; i < n; i++) {
        char name[24];
        const size_t at = backwards ? n - 1 - i : i;
        snprintf(name, sizeof name, "p%zu", i);
        parameters[at] = cupel_parameter(p->graph, name, CUPEL_SHAPE(sizes[i]), zeros);
        snprintf(name, sizeof name, "g%zu", i);
        gradients[at] = cupel_input(p->graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(sizes[i]));
    }
    const cupel_node rate = cupel_input(p->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_apply(p->graph, "optimizer", optimizer, rate, n, parameters, gradients);
}

static const struct attrs_sweep *sweep_at(const struct passes *p, int index) {
    return p->c.list.nodes[passes_nth(p, "sweep", index)].attrs;
}

/* The name of the parameter that a part of a sweep updates. */
static const char *parameter_of(const struct passes *p, int sweep, int part) {
    const struct graph_node *node = &p->c.list.nodes[passes_nth(p, "sweep", sweep)];
    const int32_t input = sweep_at(p, sweep)->parts[part].first_input;
    return p->c.list.nodes[node->inputs[input].node].variable->name;
}

/* The numbers of parts of all sweeps, "2 3", and "+1" for single updates. */
static const char *grouping(const struct passes *p) {
    static char text[80];
    text[0] = '\0';
    for (int i = 0; i < passes_count(p, "sweep"); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ",
                 (int)sweep_at(p, i)->n_parts);
    snprintf(text + strlen(text), sizeof text - strlen(text), "+%d",
             passes_count(p, "adam_update") + passes_count(p, "sgd_update"));
    return text;
}

static void test_groups(void **state) {
    (void)state;
    static const struct {
        size_t n;
        int64_t sizes[12];
        const char *expected;
    } rows[] = {
        {1, {5}, "+1"},
        {3, {5, 1, 7}, "3 +0"},
        {10, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "8 2 +0"},
        {9, {1, 2, 3, 4, 5, 6, 7, 8, 9}, "8 +1"},
        {5, {5, 6, 257 * KIB, 7, 8}, "2 2 +1"},
        {3, {100 * KIB, 100 * KIB, 100 * KIB}, "2 +1"},
        {3, {128 * KIB, 128 * KIB, 5}, "2 +1"},
        {2, {256 * KIB, 1}, "+2"},
        {3, {257 * KIB, 300 * KIB, 257 * KIB}, "+3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int kind = CUPEL_SGD; kind <= CUPEL_ADAMW; kind++) {
            check_context("row %zu, kind %d", i, kind);
            const cupel_optimizer optimizer = cupel_optimizer_defaults((cupel_optimizer_kind)kind);
            struct passes p;
            passes_open(&p, "cpu", CUPEL_TYPE_F32);
            build_updates(&p, &optimizer, rows[i].n, rows[i].sizes, false);
            passes_run(&p, "sweep");
            passes_check_list(&p);
            CHECK_STRING(grouping(&p), rows[i].expected);
            CHECK_I64(passes_count(&p, "assign"),
                      1 + (int64_t)rows[i].n * (kind == CUPEL_SGD ? 1 : 3));
            passes_close(&p);
        }
}

static void test_parameter_order(void **state) {
    (void)state;
    const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    build_updates(&p, &optimizer, 3, (const int64_t[]){5, 6, 7}, true);
    passes_run(&p, "sweep");
    passes_check_list(&p);
    CHECK_STRING(grouping(&p), "3 +0");
    const char *const names[] = {"p0", "p1", "p2"};
    for (int part = 0; part < 3; part++)
        CHECK_STRING(parameter_of(&p, 0, part), names[part]);
    const struct attrs_sweep *sweep = sweep_at(&p, 0);
    /* p, m and v of the second update may be written over, its gradient and scalars not. */
    CHECK_I64(sweep->parts[1].first_input, 6);
    CHECK_I64(sweep_in_place(sweep, 3), 1 + 6);
    CHECK_I64(sweep_in_place(sweep, 4), 1 + 8);
    CHECK_I64(sweep_in_place(sweep, 5), 1 + 9);
    CHECK_I64(update_gradient(sweep->op, 6), 1);
    passes_close(&p);
}

/* Momentum's buffer is an operand that plain SGD does without. */
static void test_sgd_operands(void **state) {
    (void)state;
    for (int buffered = 0; buffered <= 1; buffered++) {
        const cupel_optimizer optimizer = {.kind = CUPEL_SGD, .momentum = buffered ? 0.9 : 0.0};
        struct passes p;
        passes_open(&p, "cpu", CUPEL_TYPE_F32);
        build_updates(&p, &optimizer, 2, (const int64_t[]){5, 6}, false);
        passes_run(&p, "sweep");
        CHECK_STRING(grouping(&p), "2 +0");
        const struct graph_node *node = &p.c.list.nodes[passes_nth(&p, "sweep", 0)];
        CHECK_I64(node->n_inputs, buffered ? 8 : 6);
        CHECK_I64(node->n_outputs, 4);
        CHECK_I64(sweep_in_place(node->attrs, 0), 1);
        CHECK_I64(sweep_in_place(node->attrs, 1), buffered ? 1 + 3 : 0);
        CHECK_I64(sweep_in_place(node->attrs, 3), buffered ? 1 + 7 : 0);
        passes_close(&p);
    }
}

/* Not merged: updates of two ops, one whose result is read elsewhere, and tables. */
static void test_what_stays_alone(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    cupel_node parameters[5], gradients[5];
    const cupel_node rate = cupel_input(p.graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    for (int i = 0; i < 5; i++) {
        char name[24];
        snprintf(name, sizeof name, "p%d", i);
        parameters[i] = cupel_parameter(p.graph, name, CUPEL_SHAPE(5), zeros);
        snprintf(name, sizeof name, "g%d", i);
        gradients[i] = cupel_input(p.graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(5));
    }
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    const cupel_optimizer sgd = {.kind = CUPEL_SGD};
    cupel_optimizer_apply(p.graph, "a", &adam, rate, 2, parameters, gradients);
    cupel_optimizer_apply(p.graph, "b", &sgd, rate, 3, parameters + 2, gradients + 2);
    /* The value that parameter 3 will have is an output too. */
    uint32_t watched = 0;
    for (uint32_t i = 0; i < p.graph->list.count; i++)
        if (p.graph->list.nodes[i].op == &op_assign &&
            strcmp(p.graph->list.nodes[i].variable->name, "p3") == 0)
            watched = p.graph->list.nodes[i].inputs[1].node;
    CHECK(watched > 0);
    passes_output(&p, "watched", (cupel_node){.graph = p.graph, .id = watched});
    for (int i = 0; i < 2; i++) {
        char name[24];
        snprintf(name, sizeof name, "table%d", i);
        const cupel_node table =
            cupel_training_state(p.graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(5), zeros);
        snprintf(name, sizeof name, "index%d", i);
        const cupel_node index = cupel_input_index(p.graph, name, CUPEL_SHAPE(5), 5);
        cupel_assign(table, cupel_scatter_update(table, index, gradients[0]));
    }
    passes_run(&p, "sweep");
    passes_check_list(&p);
    CHECK_STRING(grouping(&p), "2 2 +1");
    CHECK_STRING(parameter_of(&p, 0, 1), "p1");
    CHECK_STRING(parameter_of(&p, 1, 0), "p2");
    CHECK_STRING(parameter_of(&p, 1, 1), "p4");
    CHECK_I64(passes_count(&p, "scatter_update"), 2);
    passes_close(&p);
}

/* Neither on a device without such a kernel, nor where it is switched off, nor in the reference. */
static void test_nowhere_else(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        check_context("case %d", i);
        const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
        struct passes p;
        if (i == 0)
            passes_open_splitting(&p, CUPEL_TYPE_F32);
        else
            passes_open(&p, "cpu", CUPEL_TYPE_F32);
        if (i == 1)
            disable(WITHOUT_SWEEPS);
        p.options.reference = i == 2;
        build_updates(&p, &optimizer, 3, (const int64_t[]){5, 6, 7}, false);
        passes_run(&p, "choose");
        CHECK_STRING(grouping(&p), "+3");
        passes_close(&p);
        disable(WITH_SWEEPS);
    }
}

/* ---- a device whose kernel for sweeps takes none ---- */

static bool decline(const struct kernel_request *request, const char **why) {
    (void)request;
    *why = "never";
    return false;
}

static const struct kernel declining = {.op = "sweep", .name = "test:never", .accept = decline};
static const struct kernel *const declining_list[] = {&declining, NULL};

static const struct kernel *const *declining_kernels(struct backend *backend, const char *op) {
    return strcmp(op, "sweep") == 0 ? declining_list : cpu_kernels(backend, op);
}

static struct backend *declining_device(void) {
    struct backend *backend = NULL;
    CHECK_OK(backend_create(&backend, "cpu"));
    backend->kernels = declining_kernels;
    return backend;
}

static void test_split(void **state) {
    (void)state;
    for (int real = 0; real <= 1; real++) {
        check_context("f64 %d", real);
        const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
        struct passes p;
        /* In f64 the processor's own kernel declines too. */
        if (real)
            passes_open(&p, "cpu", CUPEL_TYPE_F64);
        else
            passes_open_backend(&p, declining_device(), CUPEL_TYPE_F32);
        build_updates(&p, &optimizer, 3, (const int64_t[]){5, 6, 7}, false);
        passes_run(&p, "steps");
        passes_check_list(&p);
        CHECK_STRING(grouping(&p), "+3");
        CHECK_I64(passes_count(&p, "assign"), 1 + 3 * 3);
        /* Each under its own name and shape, in place. */
        for (int i = 0; i < 3; i++) {
            const struct graph_node *node = &p.c.list.nodes[passes_nth(&p, "adam_update", i)];
            CHECK_I64(node->outputs[2].shape.dims[0], 5 + i);
            for (int j = 0; j < i; j++)
                CHECK(strcmp(node->name, p.c.list.nodes[passes_nth(&p, "adam_update", j)].name) !=
                      0);
        }
        CHECK_I64(p.draft.n_steps, 3 + 2); /* the count and its assign */
        passes_close(&p);
    }
}

/* ---- whole programs ---- */

enum { BATCH = 1000, IN = 30, HIDDEN = 150, OUT = 10, STEPS = 10, NAMES = 6 };

static const char *const names[NAMES] = {"a.weight", "a.bias",   "b.weight",
                                         "b.bias",   "c.weight", "c.bias"};
/* 4500 + 150 + 22500 + 150 + 1500 + 10 floats: more than one thread's worth. */

static void build_net(struct net *net, const cupel_optimizer *optimizer) {
    const cupel_node x = cupel_input(net->graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, IN));
    const cupel_node t = cupel_input(net->graph, "t", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, OUT));
    const cupel_node rate = cupel_input(net->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node h = cupel_tanh(cupel_layer_dense(x, "a", HIDDEN, NULL));
    h = cupel_tanh(cupel_layer_dense(h, "b", HIDDEN, NULL));
    const cupel_node y = cupel_layer_dense(h, "c", OUT, NULL);
    const cupel_node loss = cupel_reduce_mean(cupel_squared_error(y, t), CUPEL_ALL_AXES, false);
    cupel_optimizer_minimize(net->graph, "optimizer", optimizer, rate, loss, "");
}

static void compile_net(struct net *net, int threads) {
    CHECK_OK_TEXT(cupel_graph_check(net->graph), cupel_graph_error(net->graph));
    const cupel_compile_options options = {.real = net->real, .threads = threads};
    CHECK_OK_TEXT(cupel_program_compile(&net->program, net->graph, &options),
                  cupel_graph_error(net->graph));
    CHECK_OK(cupel_workspace_create(&net->workspace, net->context));
    CHECK_OK(cupel_workspace_reserve(net->workspace, net->program));
    CHECK_OK(cupel_bindings_create(&net->bindings, net->program));
}

static int count_steps(const struct net *net, const char *op) {
    int n = 0;
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++)
        n += strcmp(net->program->draft.steps[t].view.op->name, op) == 0;
    return n;
}

static void train(struct net *net) {
    double x[BATCH * IN], t[BATCH * OUT];
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BATCH * IN; i++)
            x[i] = sin(0.7 * i + 1.3 * step);
        for (int i = 0; i < BATCH * OUT; i++)
            t[i] = cos(0.9 * i + 0.4 * step);
        net_write(net, "x", x, BATCH * IN);
        net_write(net, "t", t, BATCH * OUT);
        net_scalar(net, "rate", 0.01 / (1 + step));
        net_run(net);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    cupel_optimizer optimizers[] = {
        cupel_optimizer_defaults(CUPEL_ADAM),
        cupel_optimizer_defaults(CUPEL_ADAMW),
        {.kind = CUPEL_SGD},
        {.kind = CUPEL_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3},
    };
    optimizers[0].weight_decay = 1e-3;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++)
        for (int threads = 1; threads <= 2; threads++) {
            check_context("optimizer %zu, %d threads", i, threads);
            struct net merged = net_open(CUPEL_TYPE_F32, 11, NULL);
            struct net apart = net_open(CUPEL_TYPE_F32, 11, NULL);
            build_net(&merged, &optimizers[i]);
            build_net(&apart, &optimizers[i]);
            compile_net(&merged, threads);
            disable(WITHOUT_SWEEPS);
            compile_net(&apart, threads);
            disable(WITH_SWEEPS);
            CHECK_I64(count_steps(&merged, "sweep"), 1);
            CHECK_I64(count_steps(&apart, "sweep"), 0);
            CHECK_I64(count_steps(&merged, "assign"), count_steps(&apart, "assign"));
            double before[OUT], after[OUT];
            net_get(&merged, "c.bias", before, OUT);
            train(&merged);
            train(&apart);
            net_get(&merged, "c.bias", after, OUT);
            CHECK(memcmp(before, after, sizeof before) != 0); /* something was learnt */
            net_check_same(&merged, &apart);
            net_close(&merged);
            net_close(&apart);
        }
}

/* The first and the last step that touch a buffer. */
static bool life_of(const struct program_draft *draft, uint32_t buffer, uint32_t *first,
                    uint32_t *last) {
    bool touched = false;
    for (uint32_t t = 0; t < draft->n_steps; t++)
        for (uint32_t i = 0; i < draft->steps[t].n_buffers; i++)
            if (draft->steps[t].buffers[i] == buffer) {
                *first = touched ? *first : t;
                *last = t;
                touched = true;
            }
    return touched;
}

static void check_no_overlap(const struct program_draft *draft) {
    for (uint32_t a = 0; a < draft->n_buffers; a++)
        for (uint32_t b = 0; b < a; b++) {
            const struct exec_buffer *x = &draft->buffers[a], *y = &draft->buffers[b];
            uint32_t x_first = 0, x_last = 0, y_first = 0, y_last = 0;
            if (x->space != SPACE_ARENA || y->space != SPACE_ARENA ||
                x->offset >= y->offset + y->bytes || y->offset >= x->offset + x->bytes ||
                !life_of(draft, a, &x_first, &x_last) || !life_of(draft, b, &y_first, &y_last))
                continue;
            if (x_first <= y_last && y_first <= x_last)
                check_failed(__FILE__, __LINE__, "buffers %u and %u lie on each other", a, b);
        }
}

/* The buffers of a sweep's gradients. */
static int gradients_of(const struct program_draft *draft, const struct exec_step *step,
                        const struct exec_buffer **out) {
    const struct attrs_sweep *attrs = step->view.attrs;
    for (int p = 0; p < (int)attrs->n_parts; p++)
        out[p] = &draft->buffers[step->buffers[attrs->parts[p].first_input + 1]];
    return (int)attrs->n_parts;
}

static const struct exec_step *sweep_step(const struct net *net) {
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++)
        if (net->program->draft.steps[t].view.op == &op_sweep)
            return &net->program->draft.steps[t];
    check_failed(__FILE__, __LINE__, "there is no sweep");
    return NULL;
}

static size_t aligned(size_t bytes) {
    return (bytes + CUPEL_ALIGNMENT - 1) / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT;
}

static void test_gradients_side_by_side(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
    const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
    build_net(&net, &optimizer);
    compile_net(&net, 2);
    const struct program_draft *draft = &net.program->draft;
    const struct exec_step *step = sweep_step(&net);
    const struct exec_buffer *gradients[SWEEP_MAX_PARTS];
    CHECK_I64(gradients_of(draft, step, gradients), NAMES);
    for (int p = 0; p < NAMES; p++) {
        const size_t index = cupel_parameters_find(net.parameters, names[p]);
        const cupel_parameter_info info = cupel_parameters_info(net.parameters, index);
        CHECK_I64(gradients[p]->space, SPACE_ARENA);
        CHECK_U64(gradients[p]->bytes, (uint64_t)cupel_shape_count(info.shape) * sizeof(float));
        CHECK_U64(gradients[p]->offset % CUPEL_ALIGNMENT, 0);
        if (p > 0)
            CHECK_U64(gradients[p]->offset,
                      gradients[p - 1]->offset + aligned(gradients[p - 1]->bytes));
    }
    check_no_overlap(draft);
    CHECK(draft->live_bytes <= draft->arena_bytes);
    CHECK((double)draft->arena_bytes <= 1.05 * (double)draft->live_bytes);
    /* The step writes the parameters and moments where they are. */
    for (int k = 0; k < step->view.n_outputs; k++)
        CHECK_I64(draft->buffers[step->buffers[step->view.n_inputs + k]].space, SPACE_VARIABLE);
    FILE *const text = tmpfile(); /* more results than an op from outside may have */
    CHECK(text != NULL);
    CHECK_OK(cupel_program_print(net.program, text));
    fclose(text);
    net_close(&net);
}

/* Networks of any widths: an arena not much larger than it must be, and every bucket in one piece
 * where that allows it. */
static void test_random_networks(void **state) {
    (void)state;
    enum { NETWORKS = 30 };
    const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
    uint64_t random = 1;
    int in_buckets = 0;
    for (int n = 0; n < NETWORKS; n++) {
        const int64_t batch = n % 2 ? 8 : 400;
        check_context("network %d", n);
        struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
        cupel_node h = cupel_input(net.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(batch, 20));
        const int layers = 2 + n % 7;
        for (int i = 0; i < layers; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            char name[24];
            snprintf(name, sizeof name, "layer%d", i);
            h = cupel_tanh(cupel_layer_dense(h, name, 1 + (int64_t)(random >> 33) % 300, NULL));
        }
        const cupel_node rate =
            cupel_input(net.graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
        const cupel_node loss = cupel_reduce_mean(cupel_square(h), CUPEL_ALL_AXES, false);
        cupel_optimizer_minimize(net.graph, "optimizer", &optimizer, rate, loss, "");
        compile_net(&net, 1);
        const struct program_draft *draft = &net.program->draft;
        check_no_overlap(draft);
        CHECK((double)draft->arena_bytes <= 1.05 * (double)draft->live_bytes);
        int parts = count_steps(&net, "adam_update");
        for (uint32_t t = 0; t < draft->n_steps; t++) {
            if (draft->steps[t].view.op != &op_sweep)
                continue;
            const struct exec_buffer *gradients[SWEEP_MAX_PARTS];
            const int in_bucket = gradients_of(draft, &draft->steps[t], gradients);
            for (int p = 1; draft->buckets && p < in_bucket; p++)
                CHECK_U64(gradients[p]->offset,
                          gradients[p - 1]->offset + aligned(gradients[p - 1]->bytes));
            parts += in_bucket;
        }
        CHECK_I64(parts, 2 * layers);
        in_buckets += draft->buckets;
        net_close(&net);
    }
    print_message("gradients side by side in %d of %d networks\n", in_buckets, NETWORKS);
    CHECK(in_buckets > NETWORKS / 4 && in_buckets < NETWORKS);
}

/* A gradient that is an output lies in the binding, one that serves two parameters lies once, one
 * that is an input stays there, one that is read after the sweep lives on: the others close
 * ranks. */
static void test_gradients_elsewhere(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node x = cupel_input(net.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 20));
    const cupel_node rate = cupel_input(net.graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node parameters[6], gradients[6];
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        parameters[i] = cupel_parameter(net.graph, name, CUPEL_SHAPE(20), zeros);
    }
    gradients[0] = cupel_reduce_sum(x, 1u << 0, false);
    gradients[1] = cupel_reduce_max(x, 1u << 0, false); /* an output */
    gradients[2] = cupel_input(net.graph, "g", CUPEL_TYPE_REAL, CUPEL_SHAPE(20));
    gradients[3] = gradients[0];
    gradients[4] = cupel_reduce_min(x, 1u << 0, false);
    gradients[5] = cupel_reduce_mean(x, 1u << 0, false); /* read later */
    const cupel_node late = gradients[5];
    cupel_node large = late; /* would take the bucket's place */
    for (int i = 0; i < 5; i++)
        large = cupel_concat(2, (const cupel_node[]){large, large}, 0);
    const cupel_node tail = cupel_concat(2, (const cupel_node[]){large, late}, 0);
    const cupel_optimizer sgd = {.kind = CUPEL_SGD};
    cupel_optimizer_apply(net.graph, "optimizer", &sgd, rate, 6, parameters, gradients);
    const cupel_output outputs[] = {{"maximum", gradients[1]}, {"tail", tail}};
    net_compile(&net, false, 2, outputs);
    const struct program_draft *draft = &net.program->draft;
    const struct exec_buffer *lie[SWEEP_MAX_PARTS];
    CHECK_I64(gradients_of(draft, sweep_step(&net), lie), 6);
    CHECK_I64(lie[0]->space, SPACE_ARENA);
    CHECK_I64(lie[1]->space, SPACE_BINDING);
    CHECK_I64(lie[2]->space, SPACE_BINDING);
    CHECK(lie[3] == lie[0]);
    CHECK_I64(lie[4]->space, SPACE_ARENA);
    CHECK_U64(lie[4]->offset, lie[0]->offset + aligned(20 * sizeof(float)));
    CHECK_I64(lie[5]->space, SPACE_ARENA);
    check_no_overlap(draft);
    double values[60], g[20];
    for (int i = 0; i < 60; i++)
        values[i] = (i % 20) * (1 - i / 20); /* j, 0, -j: sum 0, largest j, least -j */
    for (int j = 0; j < 20; j++)
        g[j] = 7;
    net_write(&net, "x", values, 60);
    net_write(&net, "g", g, 20);
    net_scalar(&net, "rate", 1.0);
    net_run(&net);
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        net_get(&net, name, g, 20);
        for (int j = 0; j < 20; j++)
            CHECK_F64(g[j], i == 1 ? -j : i == 2 ? -7 : i == 4 ? j : 0);
    }
    net_close(&net);
}

/* The gradient of a b is the other parameter, read where a sweep would write it. */
static void test_gradient_is_a_parameter(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node a = cupel_parameter(net.graph, "a", CUPEL_SHAPE(2), zeros);
    const cupel_node b = cupel_parameter(net.graph, "b", CUPEL_SHAPE(2), zeros);
    const cupel_node rate = cupel_input(net.graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_optimizer sgd = {.kind = CUPEL_SGD};
    cupel_optimizer_apply(net.graph, "optimizer", &sgd, rate, 2, (const cupel_node[]){a, b},
                          (const cupel_node[]){b, a});
    net_compile(&net, false, 0, NULL);
    CHECK_I64(count_steps(&net, "sweep"), 1);
    net_set(&net, "a", (const double[]){1, 2}, 2);
    net_set(&net, "b", (const double[]){3, 5}, 2);
    net_scalar(&net, "rate", 0.5);
    net_run(&net);
    double values[2];
    net_get(&net, "a", values, 2); /* 1 - 3/2, 2 - 5/2 */
    CHECK_F64(values[0], -0.5);
    CHECK_F64(values[1], -0.5);
    net_get(&net, "b", values, 2); /* 3 - 1/2, 5 - 2/2 */
    CHECK_F64(values[0], 2.5);
    CHECK_F64(values[1], 4.0);
    net_close(&net);
}

/* A guard stops the run before a sweep writes anything. */
static void test_guard_comes_first(void **state) {
    (void)state;
    struct net net = net_open(CUPEL_TYPE_F32, 3, NULL);
    const cupel_optimizer optimizer = cupel_optimizer_defaults(CUPEL_ADAM);
    build_net(&net, &optimizer);
    compile_net(&net, 1);
    CHECK_I64(count_steps(&net, "sweep"), 1);
    double x[BATCH * IN], t[BATCH * OUT] = {0}, before[OUT], after[OUT];
    for (int i = 0; i < BATCH * IN; i++)
        x[i] = i == 7 ? (double)NAN : 1.0;
    net_get(&net, "c.bias", before, OUT);
    net_write(&net, "x", x, BATCH * IN);
    net_write(&net, "t", t, BATCH * OUT);
    net_scalar(&net, "rate", 0.1);
    CHECK_STATUS(cupel_program_run(net.program, net.bindings, net.workspace, NULL),
                 CUPEL_STATUS_NOT_FINITE);
    net_get(&net, "c.bias", after, OUT);
    for (int i = 0; i < OUT; i++)
        CHECK_F64(after[i], before[i]);
    net_close(&net);
}

int main(int argc, char **argv) {
    disable(WITH_SWEEPS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_parameter_order),
        cmocka_unit_test(test_sgd_operands),
        cmocka_unit_test(test_what_stays_alone),
        cmocka_unit_test(test_nowhere_else),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_gradients_side_by_side),
        cmocka_unit_test(test_random_networks),
        cmocka_unit_test(test_gradients_elsewhere),
        cmocka_unit_test(test_gradient_is_a_parameter),
        cmocka_unit_test(test_guard_comes_first),
    };
    return CHECK_MAIN(tests);
}
