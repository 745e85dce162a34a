/*
 * A device nobody may touch (support/untouchable.h): training with SGD and with Adam under batch
 * norm and dropout, a visitor, a checkpoint, resuming from it, a score, an op from outside, and
 * random graphs give the bits of the ordinary reference device, in whatever order the plan lets the
 * steps run. Three steps give what PyTorch gives (golden/drills.safetensors); killed in the middle
 * of a step, another process on another such device ends with the same bits.
 */
#include "support/drill.h"
#include "support/golden.h"
#include "support/random_graph.h"
#include "support/state.h"
#include "support/untouchable.h"

#include <signal.h>
#include <sys/wait.h>

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

/* The call of the op in which the process is to be killed; 0: never. */
static int shift_kills_in;

static cupel_status shift_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status shift_adjoint(const cupel_adjoint *adjoint) {
    adjoint->diff_inputs[0] = adjoint->diff_outputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status shift_run(const cupel_op_call *call) {
    if (shift_kills_in > 0 && --shift_kills_in == 0)
        raise(SIGKILL);
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
enum { BATCH = 6, CLASSES = 3, STEPS = 3, SEED = 53 };
enum { TRAIN, REFERENCE, SCORE, N_PROGRAMS };

static cupel_node network(cupel_graph *graph, bool training) {
    cupel_context *const context = cupel_graph_context(graph);
    if (cupel_context_find_op(context, "shift") == NULL)
        CHECK_OK(cupel_context_register_op(context, &op_shift));
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

/* A device, and what those that were opened for it have seen. */
struct device {
    bool untouchable;
    uint64_t seed;
    struct untouchable_stats stats;
};

struct life {
    struct device *device;
    struct golden_machine machine;
    struct golden_program programs[N_PROGRAMS];
};

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

static void compile_training(struct life *life, int index, cupel_optimizer_kind kind) {
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_node logits = network(graph, true);
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(BATCH), CLASSES);
    const cupel_node loss =
        cupel_reduce_mean(cupel_cross_entropy(logits, labels), CUPEL_ALL_AXES, false);
    cupel_optimizer optimizer = cupel_optimizer_defaults(kind);
    optimizer.momentum = .9;
    optimizer.weight_decay = 1e-3;
    optimizer.epsilon = 1e-2; /* the gradient of a bias before batch norm is rounding alone */
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_minimize(graph, "opt", &optimizer, rate, loss, "");
    const cupel_output outputs[] = {{"loss", loss}, {"logits", logits}, {"again", logits}};
    life->machine.way.reference = index == REFERENCE;
    golden_compile(&life->programs[index], &life->machine, graph, "train", 3, outputs);
    life->machine.way.reference = false;
}

static struct life live(struct device *device, cupel_type real, cupel_optimizer_kind kind) {
    struct life life = {.device = device};
    const struct golden_way way = {device->untouchable ? "untouchable" : "reference", real, false,
                                   1};
    golden_machine_open_on(&life.machine, open_device(device->untouchable, device->seed), way, 17);
    compile_training(&life, TRAIN, kind);
    compile_training(&life, REFERENCE, kind);
    expect_fused(life.programs[TRAIN].program, real);
    cupel_graph *const graph = golden_graph(&life.machine);
    const cupel_output score = {"logits", network(graph, false)};
    golden_compile(&life.programs[SCORE], &life.machine, graph, "score", 1, &score);
    return life;
}

static void die(struct life *life) {
    struct untouchable_stats *const sum = &life->device->stats;
    for (int i = 0; i < N_PROGRAMS; i++)
        golden_program_close(&life->programs[i]);
    if (life->device->untouchable) {
        const struct untouchable_stats stats = untouchable_stats(life->machine.context->backend);
        sum->refused += stats.refused;
        sum->heap += stats.heap;
        sum->poisoned += stats.poisoned;
        sum->out_of_order += stats.out_of_order;
    }
    golden_machine_close(&life->machine);
}

static void write_batch(struct life *life, int index, int step) {
    struct golden_program *const program = &life->programs[index];
    char name[32];
    snprintf(name, sizeof name, "untouchable/x%d", step);
    golden_write_uniform(program, "x", name);
    if (index == SCORE)
        return;
    golden_write_scalar(program, "rate", .05);
    golden_write_labels(program, (size_t)step, CLASSES);
    golden_write_rng(program, SEED, (uint64_t)step, (uint64_t)step * BATCH, BATCH);
}

static void note_output(struct transcript *t, cupel_bindings *bindings, const char *name) {
    char bytes[1024];
    const size_t count = cupel_desc_bytes(cupel_bindings_desc(bindings, name));
    CHECK(count <= sizeof bytes);
    CHECK_OK(cupel_bindings_read(bindings, name, bytes, count));
    note(t, bytes, count);
}

static void note_parameters(struct transcript *t, cupel_parameters *parameters) {
    cupel_tensors *const tensors = state_export(parameters);
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

static void step(struct life *life, int index, int number, struct transcript *t) {
    struct golden_program *const program = &life->programs[index];
    const bool visited = index == REFERENCE;
    const cupel_run_options options = {
        .visitor = visited ? visit : NULL, .visitor_user = t, .stop_at_non_finite = visited};
    write_batch(life, index, number);
    CHECK_OK_TEXT(
        cupel_program_run(program->program, program->bindings, program->workspace, &options),
        cupel_program_error(program->program));
    note_output(t, program->bindings, "logits");
    if (index == SCORE)
        return;
    note_output(t, program->bindings, "loss");
    note_output(t, program->bindings, "again");
    note_parameters(t, life->machine.parameters);
}

/* A step whose loss is NaN is refused and has changed nothing, wherever it had got to. */
static void step_into_nan(struct life *life, int number) {
    struct golden_program *const program = &life->programs[TRAIN];
    struct transcript before = {0}, after = {0};
    note_parameters(&before, life->machine.parameters);
    write_batch(life, TRAIN, number);
    double x[BATCH * 6 * 6] = {1, 2, (double)NAN};
    golden_write(program, "x", x, BATCH * 6 * 6);
    CHECK_STATUS(cupel_program_run(program->program, program->bindings, program->workspace, NULL),
                 CUPEL_STATUS_NOT_FINITE);
    note_parameters(&after, life->machine.parameters);
    expect_same(&before, &after);
    free(before.bytes);
    free(after.bytes);
}

static void expect_end(const struct transcript *whole, const struct transcript *end) {
    CHECK(end->count > 0 && end->count <= whole->count);
    CHECK(memcmp(whole->bytes + whole->count - end->count, end->bytes, end->count) == 0);
}

/* Trains, looks, scores, saves; then goes on from what was saved, in a set of its own. */
static struct transcript scenario(struct device *device, cupel_type real,
                                  cupel_optimizer_kind kind) {
    struct transcript t = {0}, resumed = {0};
    struct life life = live(device, real, kind);
    for (int s = 0; s < STEPS; s++)
        step(&life, TRAIN, s, &t);
    step_into_nan(&life, 8);
    step(&life, SCORE, 90, &t);
    step(&life, REFERENCE, 3, &t);
    step(&life, SCORE, 90, &t);
    cupel_tensors *const saved = state_export(life.machine.parameters);
    step(&life, TRAIN, 4, &t);
    die(&life);

    life = live(device, real, kind);
    state_import(life.machine.parameters, saved);
    cupel_tensors_destroy(saved);
    step(&life, TRAIN, 4, &resumed);
    expect_end(&t, &resumed);
    free(resumed.bytes);
    step(&life, SCORE, 90, &t);
    CHECK_OK(cupel_parameters_check_finite(life.machine.parameters));
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

static const char *const kind_names[] = {"sgd", "adam"};
static const cupel_optimizer_kind kinds[] = {CUPEL_SGD, CUPEL_ADAM};
static const cupel_type reals[] = {CUPEL_TYPE_F32, CUPEL_TYPE_F64};

static void a_network_gives_the_bits_of_the_reference(void **state) {
    (void)state;
    uint64_t disorder = 0, poisoned = 0;
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < 2; r++) {
            struct device ordinary = {0};
            const struct transcript expected = scenario(&ordinary, reals[r], kinds[k]);
            for (uint64_t seed = 0; seed < 6; seed++) {
                check_context("%s, %s, order %" PRIu64, kind_names[k], cupel_type_name(reals[r]),
                              seed);
                struct device device = {.untouchable = true, .seed = seed};
                struct transcript t = scenario(&device, reals[r], kinds[k]);
                expect_same(&t, &expected);
                CHECK_U64(device.stats.refused, 0);
                CHECK_U64(device.stats.heap, 0);
                CHECK(device.stats.poisoned > 100);
                CHECK(seed > 0 ? device.stats.out_of_order > 20 : device.stats.out_of_order == 0);
                disorder += device.stats.out_of_order;
                poisoned += device.stats.poisoned;
                free(t.bytes);
            }
            free(expected.bytes);
        }
    print_message("%" PRIu64 " steps ran out of the planned order, %" PRIu64 " lives ended\n",
                  disorder, poisoned);
}

/* --- against PyTorch --- */

static void three_steps(struct device *device, cupel_type real, int kind,
                        const cupel_tensors *golden) {
    /* Three times and more what was seen, at the bias before batch norm. */
    const double tolerance = real == CUPEL_TYPE_F64 ? 1e-12 : 2e-5;
    const char *const name = kind_names[kind];
    struct life life = live(device, real, kinds[kind]);
    golden_fill_parameters(life.machine.parameters, "untouchable");
    for (int s = 0; s < STEPS; s++) {
        struct golden_program *const train = &life.programs[TRAIN];
        write_batch(&life, TRAIN, s);
        golden_run(train);
        golden_compare_step(train, "logits", golden_get(golden, "untouchable/%s/logits", name), s,
                            tolerance);
        golden_compare_step(train, "loss", golden_get(golden, "untouchable/%s/losses", name), s,
                            tolerance);
    }
    char prefix[64];
    snprintf(prefix, sizeof prefix, "untouchable/%s/final", name);
    golden_compare_variables(life.machine.parameters, golden, prefix, tolerance);
    write_batch(&life, SCORE, 90);
    golden_run(&life.programs[SCORE]);
    golden_compare_output(&life.programs[SCORE], "logits",
                          golden_get(golden, "untouchable/%s/score", name), tolerance);
    die(&life);
}

static void training_against_pytorch(void **state) {
    (void)state;
    cupel_tensors *const golden = golden_read("drills.safetensors");
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < 2; r++)
            for (uint64_t seed = 0; seed < 4; seed++) {
                check_context("%s, %s, order %" PRIu64, kind_names[k], cupel_type_name(reals[r]),
                              seed);
                three_steps(&(struct device){.untouchable = true, .seed = seed}, reals[r], k,
                            golden);
            }
    cupel_tensors_destroy(golden);
}

/* --- killed in the middle of a step --- */

struct doomed {
    cupel_type real;
    cupel_optimizer_kind kind;
    int saved;
    const char *path;
};

/* Trains, writes its state after `saved` steps, and is killed while the device runs the next. */
static void train_and_die(void *user) {
    const struct doomed *const doomed = user;
    struct transcript t = {0};
    struct device device = {.untouchable = true, .seed = 5};
    struct life life = live(&device, doomed->real, doomed->kind);
    for (int s = 0; s < doomed->saved; s++)
        step(&life, TRAIN, s, &t);
    state_write(life.machine.parameters, doomed->path, doomed->saved);
    shift_kills_in = 1;
    step(&life, TRAIN, doomed->saved, &t);
}

/* From step `first` to the end, and a score. */
static void train_on(struct life *life, int first, struct transcript *t) {
    for (int s = first; s < STEPS; s++)
        step(life, TRAIN, s, t);
    step(life, SCORE, 90, t);
    die(life);
}

static void killed_in_the_middle_of_a_step(void **state) {
    (void)state;
    char *const folder = drill_folder(), path[128];
    snprintf(path, sizeof path, "%s/state.safetensors", folder);
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < 2; r++) {
            struct transcript whole = {0};
            struct device ordinary = {0};
            struct life life = live(&ordinary, reals[r], kinds[k]);
            train_on(&life, 0, &whole);
            for (int saved = 0; saved < STEPS; saved++) {
                check_context("%s, %s, killed after %d steps were saved", kind_names[k],
                              cupel_type_name(reals[r]), saved);
                state_killed(train_and_die, &(struct doomed){reals[r], kinds[k], saved, path});
                struct transcript resumed = {0};
                struct device device = {.untouchable = true, .seed = 6};
                life = live(&device, reals[r], kinds[k]);
                /* other numbers than those that the dead one began with */
                golden_fill_parameters(life.machine.parameters, "untouchable");
                CHECK_I64(state_read(life.machine.parameters, path), saved);
                train_on(&life, saved, &resumed);
                expect_end(&whole, &resumed);
                free(resumed.bytes);
                CHECK_I64(unlink(path), 0);
            }
            free(whole.bytes);
        }
    CHECK_I64(rmdir(folder), 0); /* no half-written file was left */
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
        cmocka_unit_test(killed_in_the_middle_of_a_step), /* first: see support/state.h */
        cmocka_unit_test(training_against_pytorch),
        cmocka_unit_test(the_device_bites),
        cmocka_unit_test(a_network_gives_the_bits_of_the_reference),
        cmocka_unit_test(random_graphs_give_the_bits_of_the_reference),
    };
    return CHECK_MAIN(tests);
}
