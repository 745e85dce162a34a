/*
 * A device nobody may touch (support/untouchable.h): training with SGD and with Adam under batch
 * norm and dropout, a visitor, a checkpoint, resuming from it in a new process of sorts, a score,
 * an op from outside, and random graphs give the bits of the ordinary reference device, in whatever
 * order the plan lets the steps run.
 */
#include "support/check.h"
#include "support/random_graph.h"
#include "support/untouchable.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cupel/layers.h>
#include <cupel/program.h>

#include "base/memory.h"
#include "compile/program_internal.h"
#include "graph/context_internal.h"

/* What a scenario saw: bytes, each piece with a label. Visits come in any order, so they are
 * summed. */
struct transcript {
    char *bytes;
    size_t count;
    size_t capacity;
    uint64_t visits;
    uint64_t visit_sum;
};

static void note(struct transcript *t, const void *bytes, size_t count) {
    if (t->count + count > t->capacity) {
        t->capacity = 2 * (t->count + count);
        t->bytes = realloc(t->bytes, t->capacity);
        CHECK(t->bytes != NULL);
    }
    memcpy(t->bytes + t->count, bytes, count);
    t->count += count;
}

static void expect_same(const struct transcript *a, const struct transcript *b) {
    CHECK_U64(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        if (a->bytes[i] != b->bytes[i])
            check_failed(__FILE__, __LINE__, "byte %zu of %zu differs", i, a->count);
    CHECK_U64(a->visits, b->visits);
    CHECK_U64(a->visit_sum, b->visit_sum);
}

/* The ordinary reference device, or one nobody may touch. */
static cupel_context *open_device(bool untouchable, uint64_t seed) {
    cupel_context *context = NULL;
    if (untouchable)
        CHECK_OK(context_create_with_backend(&context, untouchable_create(seed), NULL));
    else
        CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = "reference"}));
    return context;
}

/* --- an op from outside: y = x + k, plain memory --- */
static cupel_status shift_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status shift_adjoint(const cupel_adjoint *adjoint) {
    adjoint->diff_inputs[0] = adjoint->diff_outputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status shift_run(const cupel_op_call *call) {
    const double by = *(const double *)call->attrs;
    const int64_t count = cupel_shape_count(call->input_descs[0].shape);
    for (int64_t i = 0; i < count; i++)
        if (call->input_descs[0].type == CUPEL_TYPE_F64)
            ((double *)call->outputs[0])[i] = ((const double *)call->inputs[0])[i] + by;
        else
            ((float *)call->outputs[0])[i] = ((const float *)call->inputs[0])[i] + (float)by;
    return CUPEL_STATUS_OK;
}

static const cupel_op op_shift = {.size = sizeof op_shift,
                                  .version = CUPEL_OP_VERSION,
                                  .name = "shift",
                                  .attr_size = sizeof(double),
                                  .min_inputs = 1,
                                  .max_inputs = 1,
                                  .n_outputs = 1,
                                  .infer = shift_infer,
                                  .adjoint = shift_adjoint,
                                  .run = shift_run};

/* --- a small network --- */
enum { BATCH = 6, PIXELS = 6 * 6, CLASSES = 3 };

static cupel_node network(cupel_graph *graph, bool training) {
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, 1, 6, 6));
    const double by = .125;
    cupel_node h = cupel_apply(graph, &op_shift, &by, 1, &x);
    h = cupel_layer_conv2d(h, "conv", 3, 3, NULL, NULL);
    h = cupel_relu(cupel_layer_batch_norm(h, "bn", training, .1, 1e-5));
    h = cupel_reshape(h, CUPEL_SHAPE(BATCH, -1));
    if (training)
        h = cupel_dropout(cupel_rng_inputs(graph, BATCH), "drop", h, .25);
    return cupel_layer_dense(h, "fc", CLASSES, NULL);
}

struct life {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_workspace *workspace;
    cupel_program *program[3]; /* training, its reference, score */
    cupel_bindings *bindings[3];
};

static void compile(struct life *life, int index, cupel_graph *graph, size_t n,
                    const cupel_output *outputs, bool reference) {
    const cupel_compile_options options = {.outputs = outputs,
                                           .n_outputs = n,
                                           .real = cupel_parameters_real(life->parameters),
                                           .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&life->program[index], graph, &options),
                  cupel_graph_error(graph));
    CHECK_OK_TEXT(cupel_workspace_reserve(life->workspace, life->program[index]),
                  cupel_workspace_error(life->workspace));
    CHECK_OK_TEXT(cupel_bindings_create(&life->bindings[index], life->program[index]),
                  cupel_context_error(life->context));
}

/* The steps of the compiler's own making are among those that nobody may touch. */
static void expect_fused(const cupel_program *program, cupel_type real) {
    int fused = 0, sweep = 0, product_update = 0;
    for (uint32_t t = 0; t < program->draft.n_steps; t++) {
        const char *const op = program->draft.steps[t].view.op->name;
        fused += strcmp(op, "fused") == 0;
        sweep += strcmp(op, "sweep") == 0;
        product_update += strcmp(op, "product_update") == 0;
    }
    CHECK_I64(product_update, 1); /* of fc.weight */
    CHECK_I64(sweep, 1);
    CHECK(real == CUPEL_TYPE_F64 || fused > 0);
}

static struct life live(cupel_context *context, cupel_type real, cupel_optimizer_kind kind) {
    struct life life = {.context = context};
    CHECK_OK(cupel_parameters_create(&life.parameters, context, real, 17));
    CHECK_OK(cupel_workspace_create(&life.workspace, context));
    cupel_graph *graph = NULL;
    CHECK_OK(cupel_graph_create(&graph, context, life.parameters));
    const cupel_node logits = network(graph, true);
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(BATCH), CLASSES);
    const cupel_node loss =
        cupel_reduce_mean(cupel_cross_entropy(logits, labels), CUPEL_ALL_AXES, false);
    cupel_optimizer optimizer = cupel_optimizer_defaults(kind);
    optimizer.momentum = .9;
    optimizer.weight_decay = 1e-3;
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_minimize(graph, "opt", &optimizer, rate, loss, "");
    const cupel_output outputs[] = {{"loss", loss}, {"logits", logits}, {"again", logits}};
    compile(&life, 0, graph, 3, outputs, false);
    compile(&life, 1, graph, 3, outputs, true);
    expect_fused(life.program[0], real);
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_graph_create(&graph, context, life.parameters));
    const cupel_output score = {"logits", network(graph, false)};
    compile(&life, 2, graph, 1, &score, false);
    CHECK_OK(cupel_graph_destroy(graph));
    return life;
}

static void die(struct life *life) {
    for (int i = 0; i < 3; i++) {
        CHECK_OK(cupel_bindings_destroy(life->bindings[i]));
        CHECK_OK(cupel_program_destroy(life->program[i]));
    }
    CHECK_OK(cupel_workspace_destroy(life->workspace));
    CHECK_OK(cupel_parameters_destroy(life->parameters));
}

static void write_real(struct life *life, cupel_bindings *bindings, const char *name,
                       const double *values, size_t count) {
    float narrow[BATCH * PIXELS];
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)values[i];
    if (cupel_parameters_real(life->parameters) == CUPEL_TYPE_F64)
        CHECK_OK(cupel_bindings_write(bindings, name, values, count * sizeof *values));
    else
        CHECK_OK(cupel_bindings_write(bindings, name, narrow, count * sizeof *narrow));
}

static void write_batch(struct life *life, cupel_bindings *bindings, uint64_t step, bool training) {
    double x[BATCH * PIXELS];
    int64_t labels[BATCH];
    uint64_t rows[BATCH], random = step * 7 + 1;
    for (int i = 0; i < BATCH * PIXELS; i++)
        x[i] = random_between(&random, 0, 1);
    for (int i = 0; i < BATCH; i++) {
        labels[i] = (int64_t)random_below(&random, CLASSES);
        rows[i] = step * BATCH + (uint64_t)i;
    }
    write_real(life, bindings, "x", x, BATCH * PIXELS);
    if (!training)
        return;
    const double rate = .05;
    write_real(life, bindings, "rate", &rate, 1);
    CHECK_OK(cupel_bindings_write(bindings, "labels", labels, sizeof labels));
    CHECK_OK(cupel_bindings_write(bindings, "rows", rows, sizeof rows));
    CHECK_OK(cupel_bindings_write_u64(bindings, "seed", 3));
    CHECK_OK(cupel_bindings_write_u64(bindings, "step", step));
}

static void note_output(struct transcript *t, cupel_bindings *bindings, const char *name) {
    char bytes[1024];
    const size_t count = cupel_desc_bytes(cupel_bindings_desc(bindings, name));
    CHECK(count <= sizeof bytes);
    CHECK_OK(cupel_bindings_read(bindings, name, bytes, count));
    note(t, bytes, count);
}

static void note_parameters(struct transcript *t, cupel_parameters *parameters) {
    cupel_tensors *tensors = NULL;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK(cupel_parameters_export(parameters, tensors, "", false));
    for (size_t i = 0; i < cupel_tensors_count(tensors); i++) {
        const cupel_tensor *const tensor = cupel_tensors_at(tensors, i);
        note(t, tensor->data, cupel_desc_bytes(&tensor->desc));
    }
    cupel_tensors_destroy(tensors);
}

static cupel_status visit(void *user, const char *node, const char *op, uint32_t output,
                          const cupel_desc *desc, const void *values) {
    struct transcript *const t = user;
    (void)op;
    uint64_t hash = output * 31 + 7;
    for (const char *c = node; *c != '\0'; c++)
        hash = hash * 1099511628211u + (unsigned char)*c;
    for (size_t i = 0; i < cupel_desc_bytes(desc); i++)
        hash = hash * 1099511628211u + ((const unsigned char *)values)[i];
    t->visits++;
    t->visit_sum += hash;
    return CUPEL_STATUS_OK;
}

static void step(struct life *life, int index, uint64_t number, struct transcript *t) {
    const cupel_run_options options = {
        .visitor = index == 1 ? visit : NULL, .visitor_user = t, .stop_at_non_finite = index == 1};
    write_batch(life, life->bindings[index], number, index < 2);
    CHECK_OK_TEXT(
        cupel_program_run(life->program[index], life->bindings[index], life->workspace, &options),
        cupel_program_error(life->program[index]));
    note_output(t, life->bindings[index], "logits");
    if (index == 2)
        return;
    note_output(t, life->bindings[index], "loss");
    note_output(t, life->bindings[index], "again");
    note_parameters(t, life->parameters);
}

/* A step whose loss is NaN is refused and has changed nothing, wherever it had got to. */
static void step_into_nan(struct life *life, uint64_t number) {
    struct transcript before = {0}, after = {0};
    const double nan = NAN;
    note_parameters(&before, life->parameters);
    write_batch(life, life->bindings[0], number, true);
    double x[BATCH * PIXELS] = {1, 2, nan};
    write_real(life, life->bindings[0], "x", x, BATCH * PIXELS);
    CHECK_STATUS(cupel_program_run(life->program[0], life->bindings[0], life->workspace, NULL),
                 CUPEL_STATUS_NOT_FINITE);
    note_parameters(&after, life->parameters);
    expect_same(&before, &after);
    free(before.bytes);
    free(after.bytes);
}

/* Trains, looks, scores, saves; then goes on from what was saved, in a set of its own. */
static struct transcript scenario(cupel_context *context, cupel_type real,
                                  cupel_optimizer_kind kind) {
    struct transcript t = {0};
    struct life life = live(context, real, kind);
    for (uint64_t s = 0; s < 3; s++)
        step(&life, 0, s, &t);
    step_into_nan(&life, 8);
    step(&life, 2, 90, &t);
    step(&life, 1, 3, &t); /* in the reference program, visited */
    step(&life, 2, 90, &t);
    cupel_tensors *saved = NULL;
    CHECK_OK(cupel_tensors_create(&saved));
    CHECK_OK(cupel_parameters_export(life.parameters, saved, "at.", false));
    step(&life, 0, 4, &t);
    const size_t before = t.count;
    die(&life);

    life = live(context, real, kind);
    CHECK_OK_TEXT(cupel_parameters_import(life.parameters, saved, "at.", false),
                  cupel_parameters_error(life.parameters));
    cupel_tensors_destroy(saved);
    struct transcript resumed = {0};
    step(&life, 0, 4, &resumed);
    CHECK(memcmp(t.bytes + before - resumed.count, resumed.bytes, resumed.count) == 0);
    free(resumed.bytes);
    step(&life, 2, 90, &t);
    CHECK_OK(cupel_parameters_check_finite(life.parameters));
    die(&life);
    return t;
}

static void the_device_bites(void **state) {
    (void)state;
    cupel_context *const context = open_device(true, 1);
    struct backend *const backend = context->backend;
    float *const memory = backend->allocate(backend, 100);
    CHECK((uintptr_t)memory % 64 == 0);
    const float value = 3;
    float back = 0;
    backend->write(backend, memory, &value, sizeof value);
    backend->read(backend, &back, memory, sizeof back);
    CHECK_F64(back, 3);
    for (int way = 0; way < 2; way++) { /* reads and writes from outside */
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            if (way == 0)
                *(volatile float *)memory = 1;
            else
                _exit(*(volatile float *)memory == 3 ? 0 : 0);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
    backend->release(backend, memory, 100);
    CHECK_OK(cupel_context_destroy(context));
}

static void a_network_gives_the_bits_of_the_reference(void **state) {
    (void)state;
    static const cupel_optimizer_kind kinds[] = {CUPEL_SGD, CUPEL_ADAM};
    uint64_t disorder = 0, poisoned = 0;
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < 2; r++) {
            const cupel_type real = r ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32;
            cupel_context *context = open_device(false, 0);
            const struct transcript expected = scenario(context, real, kinds[k]);
            CHECK_OK(cupel_context_destroy(context));
            for (uint64_t seed = 0; seed < 6; seed++) {
                check_context("%s, %s, order %" PRIu64, k ? "Adam" : "SGD", cupel_type_name(real),
                              seed);
                context = open_device(true, seed);
                struct transcript t = scenario(context, real, kinds[k]);
                expect_same(&t, &expected);
                const struct untouchable_stats stats = untouchable_stats(context->backend);
                CHECK_U64(stats.refused, 0);
                CHECK_U64(stats.heap, 0);
                CHECK_U64(stats.live, 0);
                CHECK(stats.poisoned > 100);
                CHECK(seed > 0 ? stats.out_of_order > 20 : stats.out_of_order == 0);
                disorder += stats.out_of_order;
                poisoned += stats.poisoned;
                CHECK_OK(cupel_context_destroy(context));
                free(t.bytes);
            }
            free(expected.bytes);
        }
    print_message("%" PRIu64 " steps ran out of the planned order, %" PRIu64 " lives ended\n",
                  disorder, poisoned);
}

/* --- random graphs, with variables that are assigned, swapped and drawn at random --- */
static struct transcript run_graph(cupel_context *context, uint64_t seed, bool reference) {
    struct transcript t = {0};
    cupel_parameters *parameters = NULL;
    cupel_graph *graph = NULL;
    cupel_program *program = NULL;
    cupel_bindings *bindings = NULL;
    cupel_workspace *workspace = NULL;
    struct random_graph r;
    CHECK_OK(cupel_parameters_create(&parameters, context, CUPEL_TYPE_F64, seed));
    CHECK_OK(cupel_graph_create(&graph, context, parameters));
    random_graph_build(&r, graph,
                       (struct random_graph_options){.seed = seed,
                                                     .nodes = 5 + (int)(seed * 7 % 60),
                                                     .variables = true,
                                                     .assigns = true,
                                                     .randomness = seed % 2});
    const cupel_compile_options options = {.outputs = r.outputs,
                                           .n_outputs = (size_t)r.n_outputs,
                                           .real = CUPEL_TYPE_F64,
                                           .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_workspace_create(&workspace, context));
    CHECK_OK(cupel_workspace_reserve(workspace, program));
    CHECK_OK(cupel_bindings_create(&bindings, program));
    for (uint64_t run = 0; run < 3; run++) {
        random_graph_write(&r, bindings, run);
        CHECK_OK_TEXT(cupel_program_run(program, bindings, workspace, NULL),
                      cupel_program_error(program));
        for (int i = 0; i < r.n_outputs; i++) {
            const cupel_desc *desc = cupel_bindings_desc(bindings, r.outputs[i].name);
            void *const values = calloc(1, cupel_desc_bytes(desc));
            CHECK(values != NULL);
            CHECK_OK(
                cupel_bindings_read(bindings, r.outputs[i].name, values, cupel_desc_bytes(desc)));
            note(&t, values, cupel_desc_bytes(desc));
            free(values);
        }
        note_parameters(&t, parameters);
    }
    CHECK_OK(cupel_bindings_destroy(bindings));
    CHECK_OK(cupel_workspace_destroy(workspace));
    CHECK_OK(cupel_program_destroy(program));
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_parameters_destroy(parameters));
    return t;
}

static void random_graphs_give_the_bits_of_the_reference(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        cupel_context *context = open_device(false, 0);
        struct transcript expected = run_graph(context, seed, true);
        CHECK_OK(cupel_context_destroy(context));
        for (int way = 0; way < 3; way++) {
            check_context("seed %" PRIu64 ", way %d", seed, way);
            context = way == 0 ? open_device(false, 0) : open_device(true, seed + 1000);
            struct transcript t = run_graph(context, seed, way == 2);
            expect_same(&t, &expected);
            free(t.bytes);
            CHECK_OK(cupel_context_destroy(context));
        }
        free(expected.bytes);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_bites),
        cmocka_unit_test(a_network_gives_the_bits_of_the_reference),
        cmocka_unit_test(random_graphs_give_the_bits_of_the_reference),
    };
    return CHECK_MAIN(tests);
}
