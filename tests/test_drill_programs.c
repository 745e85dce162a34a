/*
 * One parameter set under five programs: training with 8 and with 5 images, evaluation, gradients
 * of the input, and a score with batch norm folded into its convolutions, each wanting other forms
 * of the same weights. 300 runs in random order on one workspace, with checkpoints saved and
 * reloaded and single parameters written between them; after each run outputs and parameters are
 * those of a reference program compiled for the occasion. And an image has one score, alone or
 * beside any others.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/check.h"
#include "support/forms.h"
#include "support/random_graph.h"

#include <stdlib.h>

#include <cupel/layers.h>
#include <cupel/program.h>

#include "graph/context_internal.h"

enum { SIDE = 7, CLASSES = 3, MOST = 8, N_PROGRAMS = 5, RUNS = 300 };
enum { TRAIN_8, TRAIN_5, EVALUATION, ATTACK, SCORE };

static const char *const program_names[] = {"train8", "train5", "evaluation", "attack", "score"};
static const int batches[] = {8, 5, 8, 4, 6};
static int compile_threads = 1;

/* --- the network --- */

static cupel_node block(cupel_node x, const char *name, int64_t channels, bool training) {
    cupel_graph *const graph = x.graph;
    const cupel_conv_options padded = {.padding = {1, 1}};
    cupel_graph_enter(graph, name);
    cupel_node h = cupel_layer_conv2d(x, "conv", channels, 3, &padded,
                                      &(cupel_layer_options){.no_bias = true});
    h = cupel_layer_batch_norm(h, "bn", training, .1, 1e-3);
    cupel_graph_leave(graph);
    return cupel_relu(h);
}

static cupel_node network(cupel_graph *graph, cupel_node x, bool training) {
    const int64_t n = cupel_node_shape(x).dims[0];
    cupel_node h = block(x, "a", 8, training);
    h = cupel_max_pool2d(h, &(cupel_pool_options){.kernel = {2, 2}});
    h = block(h, "b", 16, training);
    h = cupel_reshape(h, CUPEL_SHAPE(n, -1));
    if (training)
        h = cupel_dropout(cupel_rng_inputs(graph, n), "drop", h, .2);
    return cupel_layer_dense(h, "fc", CLASSES, NULL);
}

/* The graph of one program and its outputs; returns how many. */
static size_t build(cupel_graph *graph, int which, cupel_output *outputs) {
    const int64_t n = batches[which];
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(n, 1, SIDE, SIDE));
    const cupel_node logits = network(graph, x, which == TRAIN_8 || which == TRAIN_5);
    outputs[0] = (cupel_output){"logits", logits};
    if (which == SCORE) { /* with a draw that is keyed by the image */
        const cupel_node noise =
            cupel_sample_normal(cupel_rng_inputs(graph, n), "noise", CUPEL_SHAPE(n, CLASSES));
        const cupel_node noisy = cupel_add(logits, cupel_scale(noise, .1));
        outputs[1] = (cupel_output){"score", cupel_logsumexp(noisy, CUPEL_AXIS(1), false)};
        return 2;
    }
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(n), CLASSES);
    const cupel_node losses = cupel_cross_entropy(logits, labels);
    const cupel_node loss = cupel_reduce_mean(losses, CUPEL_ALL_AXES, false);
    outputs[1] = (cupel_output){"loss", loss};
    if (which == EVALUATION)
        outputs[2] = (cupel_output){"losses", losses};
    if (which == ATTACK &&
        cupel_graph_add_gradients(graph, loss, 1, &x, &outputs[2].node) == CUPEL_STATUS_OK)
        outputs[2].name = "gradient";
    if (which <= TRAIN_5) {
        /* An epsilon of this size keeps Adam from making much of gradients that are rounding. */
        cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
        adam.epsilon = 1e-2;
        const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
        cupel_optimizer_minimize(graph, "adam", &adam, rate, loss, "");
    }
    return which <= TRAIN_5 ? 2 : 3;
}

/* --- a device with its parameters, workspace and programs --- */

struct machine {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_workspace *workspace;
};

struct runnable {
    cupel_program *program;
    cupel_bindings *bindings;
    size_t n_outputs;
    const char *outputs[3];
};

static struct machine open_machine(const char *device) {
    struct machine m = {0};
    if (strcmp(device, "forms") == 0)
        CHECK_OK(context_create_with_backend(&m.context, forms_create(), NULL));
    else
        CHECK_OK(cupel_context_create(&m.context, &(cupel_context_options){.device = device}));
    CHECK_OK(cupel_parameters_create(&m.parameters, m.context, CUPEL_TYPE_F32, 23));
    CHECK_OK(cupel_workspace_create(&m.workspace, m.context));
    return m;
}

static void close_machine(struct machine *m) {
    CHECK_OK(cupel_workspace_destroy(m->workspace));
    CHECK_OK(cupel_parameters_destroy(m->parameters));
    CHECK_OK(cupel_context_destroy(m->context));
}

static struct runnable compile(struct machine *m, int which, bool reference) {
    struct runnable r = {0};
    cupel_graph *graph = NULL;
    cupel_output outputs[3];
    CHECK_OK(cupel_graph_create(&graph, m->context, m->parameters));
    r.n_outputs = build(graph, which, outputs);
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    const cupel_compile_options options = {.name = program_names[which],
                                           .outputs = outputs,
                                           .n_outputs = r.n_outputs,
                                           .reference = reference,
                                           .threads = compile_threads};
    CHECK_OK_TEXT(cupel_program_compile(&r.program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_workspace_reserve(m->workspace, r.program));
    CHECK_OK(cupel_bindings_create(&r.bindings, r.program));
    for (size_t i = 0; i < r.n_outputs; i++)
        r.outputs[i] = outputs[i].name;
    return r;
}

static void drop(struct runnable *r) {
    CHECK_OK(cupel_bindings_destroy(r->bindings));
    CHECK_OK(cupel_program_destroy(r->program));
}

/* Training reads its parameters first: they are declared where the moments are. */
static void open_programs(struct machine *m, struct runnable *programs) {
    for (int i = 0; i < N_PROGRAMS; i++)
        programs[i] = compile(m, i, false);
}

/* --- running --- */

static void write_inputs(struct runnable *r, int which, uint64_t batch) {
    const int n = batches[which];
    float x[MOST * SIDE * SIDE];
    int64_t labels[MOST];
    uint64_t rows[MOST], random = batch * 31 + 5;
    for (int i = 0; i < n * SIDE * SIDE; i++)
        x[i] = (float)random_between(&random, 0, 1);
    for (int i = 0; i < n; i++) {
        labels[i] = (int64_t)random_below(&random, CLASSES);
        rows[i] = random_next(&random);
    }
    CHECK_OK(cupel_bindings_write(r->bindings, "x", x, sizeof *x * (size_t)(n * SIDE * SIDE)));
    if (which != SCORE)
        CHECK_OK(cupel_bindings_write(r->bindings, "labels", labels, sizeof *labels * (size_t)n));
    if (which == SCORE || which <= TRAIN_5) {
        CHECK_OK(cupel_bindings_write(r->bindings, "rows", rows, sizeof *rows * (size_t)n));
        CHECK_OK(cupel_bindings_write_u64(r->bindings, "seed", 9));
        CHECK_OK(cupel_bindings_write_u64(r->bindings, "step", which == SCORE ? 0 : batch));
    }
    if (which <= TRAIN_5)
        CHECK_OK(cupel_bindings_write_scalar(r->bindings, "rate", 5e-3));
}

static void run(struct machine *m, struct runnable *r) {
    CHECK_OK_TEXT(cupel_program_run(r->program, r->bindings, m->workspace, NULL),
                  cupel_program_error(r->program));
}

static cupel_tensors *save(struct machine *m) {
    cupel_tensors *tensors = NULL;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK_TEXT(cupel_parameters_export(m->parameters, tensors, "", false),
                  cupel_parameters_error(m->parameters));
    return tensors;
}

static void load(struct machine *m, const cupel_tensors *tensors) {
    CHECK_OK_TEXT(cupel_parameters_import(m->parameters, tensors, "", false),
                  cupel_parameters_error(m->parameters));
}

/* Floats within tolerance * (1 + |b|), or the same bits where it is 0. */
static void compare(const char *what, const float *a, const float *b, size_t count,
                    double tolerance) {
    for (size_t i = 0; i < count; i++) {
        const double x = (double)a[i], y = (double)b[i];
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(fabs(x - y) <= tolerance * (1 + fabs(y))))
            check_failed(__FILE__, __LINE__, "%s, element %zu: %.9g, the reference has %.9g", what,
                         i, x, y);
    }
}

static void compare_outputs(struct runnable *a, struct runnable *b, double tolerance) {
    for (size_t k = 0; k < a->n_outputs; k++) {
        float x[MOST * SIDE * SIDE], y[MOST * SIDE * SIDE];
        const size_t bytes = cupel_desc_bytes(cupel_bindings_desc(a->bindings, a->outputs[k]));
        CHECK(bytes <= sizeof x);
        CHECK_OK(cupel_bindings_read(a->bindings, a->outputs[k], x, bytes));
        CHECK_OK(cupel_bindings_read(b->bindings, b->outputs[k], y, bytes));
        compare(a->outputs[k], x, y, bytes / sizeof *x, tolerance);
    }
}

static void compare_tensors(const cupel_tensors *a, const cupel_tensors *b, double tolerance) {
    CHECK_U64(cupel_tensors_count(a), cupel_tensors_count(b));
    for (size_t i = 0; i < cupel_tensors_count(a); i++) {
        const cupel_tensor *const x = cupel_tensors_at(a, i);
        const cupel_tensor *const y = cupel_tensors_find(b, x->name);
        CHECK(y != NULL && cupel_desc_equal(&x->desc, &y->desc));
        const size_t bytes = cupel_desc_bytes(&x->desc);
        if (x->desc.type == CUPEL_TYPE_F32)
            compare(x->name, x->data, y->data, bytes / sizeof(float), tolerance);
        else
            CHECK(memcmp(x->data, y->data, bytes) == 0); /* the count of updates */
    }
}

/* Something happens to the parameters between two runs. */
static void disturb(struct machine *m, cupel_tensors **checkpoint, uint64_t *random) {
    const uint64_t what = random_below(random, 10);
    if (what == 0) {
        cupel_tensors_destroy(*checkpoint);
        *checkpoint = save(m);
    } else if (what == 1) {
        load(m, *checkpoint);
    } else if (what == 2) { /* one weight alone is written */
        static const char *const names[] = {"a.conv.weight", "b.conv.weight", "b.bn.running_var",
                                            "fc.weight"};
        const char *const name = names[random_below(random, 4)];
        const cupel_tensor *const tensor = cupel_tensors_find(*checkpoint, name);
        CHECK(tensor != NULL);
        CHECK_OK(cupel_parameters_write(m->parameters, name, tensor->data,
                                        cupel_desc_bytes(&tensor->desc)));
    }
}

/* How far a program's outputs and parameters may be from the reference's: nothing where the device
 * computes as the reference does, but for batch norm that was folded (all but training). */
static double tolerance_of(const char *device, int which) {
    if (strcmp(device, "cpu") == 0)
        return 2e-5;
    return which <= TRAIN_5 ? 0 : 2e-6;
}

static void drill(const char *device) {
    struct machine m = open_machine(device), shadow = open_machine("reference");
    struct runnable programs[N_PROGRAMS], first[N_PROGRAMS];
    open_programs(&m, programs);
    open_programs(&shadow, first); /* declares the same parameters */
    for (int i = 0; i < N_PROGRAMS; i++)
        drop(&first[i]);
    cupel_tensors *checkpoint = save(&m);
    uint64_t random = 77;
    int runs[N_PROGRAMS] = {0};
    for (int i = 0; i < RUNS; i++) {
        const int which = (int)random_below(&random, N_PROGRAMS);
        check_context("device %s, run %d: %s", device, i, program_names[which]);
        disturb(&m, &checkpoint, &random);
        cupel_tensors *before = save(&m);
        load(&shadow, before);
        struct runnable reference = compile(&shadow, which, true);
        write_inputs(&programs[which], which, (uint64_t)i);
        write_inputs(&reference, which, (uint64_t)i);
        run(&m, &programs[which]);
        run(&shadow, &reference);
        const double tolerance = tolerance_of(device, which);
        compare_outputs(&programs[which], &reference, tolerance);
        cupel_tensors *after = save(&m), *expected = save(&shadow);
        compare_tensors(after, expected, which <= TRAIN_5 ? tolerance : 0);
        cupel_tensors_destroy(before);
        cupel_tensors_destroy(after);
        cupel_tensors_destroy(expected);
        drop(&reference);
        runs[which]++;
    }
    for (int i = 0; i < N_PROGRAMS; i++) {
        CHECK(runs[i] > 30);
        drop(&programs[i]);
    }
    cupel_tensors_destroy(checkpoint);
    close_machine(&m);
    close_machine(&shadow);
}

static void five_programs_on_the_reference(void **state) {
    (void)state;
    drill("reference");
}

static void five_programs_that_want_other_forms(void **state) {
    (void)state;
    const uint64_t packs = forms_packs(), unpacks = forms_unpacks();
    drill("forms");
    print_message("%" PRIu64 " packs, %" PRIu64 " unpacks\n", forms_packs() - packs,
                  forms_unpacks() - unpacks);
    CHECK(forms_packs() - packs > RUNS && forms_unpacks() - unpacks > 100);
}

static void five_programs_on_the_cpu(void **state) {
    (void)state;
    drill("cpu");
}

/* The programs that share weights do want them in different forms, keep them while nothing moves,
 * and make them again when something did. */
static void forms_are_kept_until_a_variable_moves(void **state) {
    (void)state;
    struct machine m = open_machine("forms");
    struct runnable programs[N_PROGRAMS];
    open_programs(&m, programs);
    for (int i = 0; i < N_PROGRAMS; i++) {
        check_context("%s", program_names[i]);
        CHECK(cupel_program_get_info(programs[i].program).packed_bytes > 0);
    }
    write_inputs(&programs[EVALUATION], EVALUATION, 1);
    write_inputs(&programs[SCORE], SCORE, 1);
    write_inputs(&programs[TRAIN_8], TRAIN_8, 1);
    run(&m, &programs[EVALUATION]);
    run(&m, &programs[SCORE]);
    const uint64_t before = forms_packs();
    run(&m, &programs[EVALUATION]);
    run(&m, &programs[SCORE]);
    CHECK_U64(forms_packs(), before);
    run(&m, &programs[TRAIN_8]);
    const uint64_t trained = forms_packs();
    run(&m, &programs[EVALUATION]);
    CHECK_U64(forms_packs(), trained + 3); /* two convolutions, one dense layer */
    run(&m, &programs[SCORE]);
    CHECK_U64(forms_packs(), trained + 6);
    for (int i = 0; i < N_PROGRAMS; i++)
        drop(&programs[i]);
    close_machine(&m);
}

/* --- a score has no neighbours --- */

enum { BATCH = 6, IMAGE = SIDE * SIDE };

static void make_image(uint64_t id, float *pixels) {
    for (int i = 0; i < IMAGE; i++)
        pixels[i] = (float)random_between(&id, 0, 1);
}

/* Scores a batch of images, 0 standing for padding, and returns the row at `place`. */
static void score_at(struct machine *m, struct runnable *r, const uint64_t *ids, int place,
                     float *row) {
    float x[BATCH * IMAGE] = {0}, logits[BATCH * CLASSES], scores[BATCH];
    for (int i = 0; i < BATCH; i++)
        if (ids[i] != 0)
            make_image(ids[i], x + i * IMAGE);
    CHECK_OK(cupel_bindings_write(r->bindings, "x", x, sizeof x));
    CHECK_OK(cupel_bindings_write(r->bindings, "rows", ids, BATCH * sizeof *ids));
    CHECK_OK(cupel_bindings_write_u64(r->bindings, "seed", 9));
    CHECK_OK(cupel_bindings_write_u64(r->bindings, "step", 0));
    run(m, r);
    CHECK_OK(cupel_bindings_read(r->bindings, "logits", logits, sizeof logits));
    CHECK_OK(cupel_bindings_read(r->bindings, "score", scores, sizeof scores));
    memcpy(row, logits + place * CLASSES, CLASSES * sizeof *row);
    row[CLASSES] = scores[place];
}

/* Images at every place, among strangers, padding, and alone. */
static void check_neighbours(struct machine *m, struct runnable *r, const char *way) {
    uint64_t random = 4;
    for (uint64_t image = 1; image <= 5; image++) {
        float alone[CLASSES + 1], row[CLASSES + 1];
        score_at(m, r, (const uint64_t[BATCH]){image}, 0, alone);
        CHECK(isfinite(alone[CLASSES]));
        for (int trial = 0; trial < 12; trial++) {
            const int place = trial < BATCH ? trial : (int)random_below(&random, BATCH);
            uint64_t ids[BATCH];
            for (int i = 0; i < BATCH; i++)
                ids[i] = trial % 3 == 2 ? 0 : 100 + random_below(&random, 1000);
            ids[place] = image;
            check_context("%s, image %d at place %d", way, (int)image, place);
            score_at(m, r, ids, place, row);
            compare("score", row, alone, CLASSES + 1, 0);
        }
    }
}

static void a_score_does_not_see_its_neighbours(void **state) {
    (void)state;
    static const struct {
        const char *name, *device, *disabled;
        int threads;
    } ways[] = {
        {"reference", "reference", "", 1},
        {"forms", "forms", "", 1},
        {"cpu", "cpu", "", 1},
        {"cpu, 2 threads", "cpu", "", 2},
        {"own kernels", "cpu", "onednn", 1},
        {"own kernels, 2 threads", "cpu", "onednn", 2},
    };
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        CHECK_I64(setenv("CUPEL_DISABLE", ways[w].disabled, 1), 0);
        compile_threads = ways[w].threads;
        struct machine m = open_machine(ways[w].device);
        struct runnable r = compile(&m, SCORE, false);
        check_neighbours(&m, &r, ways[w].name);
        drop(&r);
        close_machine(&m);
    }
    compile_threads = 1;
    CHECK_I64(unsetenv("CUPEL_DISABLE"), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_programs_on_the_reference),
        cmocka_unit_test(five_programs_that_want_other_forms),
        cmocka_unit_test(five_programs_on_the_cpu),
        cmocka_unit_test(forms_are_kept_until_a_variable_moves),
        cmocka_unit_test(a_score_does_not_see_its_neighbours),
    };
    return CHECK_MAIN(tests);
}
