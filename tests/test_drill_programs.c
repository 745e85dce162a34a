/*
 * One parameter set under five programs: training with 8 and with 5 images, evaluation, gradients
 * of the input, and a score with batch norm folded into its convolutions, each wanting other forms
 * of the same weights. 300 runs in random order on one workspace, with a file that the parameters
 * are saved to and reloaded from and single parameters written between them; after each run outputs
 * and parameters are those of a reference program compiled for the occasion. Killed again and again
 * on the way, what is left in the file leads to the same bits. Three training steps, and each other
 * program after each of them, give what PyTorch gives (golden/drills.safetensors). And an image has
 * one score, alone or beside any others.
 */
#include "support/drill.h"
#include "support/forms.h"
#include "support/golden.h"
#include "support/random_graph.h"
#include "support/state.h"

#include <signal.h>

#include "base/hash.h"
#include "graph/context_internal.h"

enum { SIDE = 7, CLASSES = 3, N_PROGRAMS = 5, RUNS = 300, SEED = 53 };
enum { TRAIN_8, TRAIN_5, EVALUATION, ATTACK, SCORE };

static const char *const program_names[] = {"train8", "train5", "evaluation", "attack", "score"};
static const int batches[] = {8, 5, 8, 4, 6};

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

static const char *const output_names[N_PROGRAMS][3] = {{"logits", "loss"},
                                                        {"logits", "loss"},
                                                        {"logits", "loss", "losses"},
                                                        {"logits", "loss", "gradient"},
                                                        {"logits", "score"}};

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

struct programs {
    struct golden_machine machine;
    struct golden_program at[N_PROGRAMS];
};

static void open_machine(struct golden_machine *m, struct golden_way way, uint64_t seed) {
    cupel_context *context = NULL;
    if (strcmp(way.device, "forms") == 0)
        CHECK_OK(context_create_with_backend(&context, forms_create(), NULL));
    else
        CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = way.device}));
    golden_machine_open_on(m, context, way, seed);
}

static struct golden_program compile(const struct golden_machine *m, int which) {
    struct golden_program program;
    cupel_output outputs[3];
    cupel_graph *const graph = golden_graph(m);
    const size_t n_outputs = build(graph, which, outputs);
    golden_compile(&program, m, graph, program_names[which], n_outputs, outputs);
    return program;
}

/* Training reads its parameters first: they are declared where the moments are. */
static void open_programs(struct programs *programs, struct golden_way way, uint64_t seed) {
    open_machine(&programs->machine, way, seed);
    for (int i = 0; i < N_PROGRAMS; i++)
        programs->at[i] = compile(&programs->machine, i);
}

static void close_programs(struct programs *programs) {
    for (int i = 0; i < N_PROGRAMS; i++)
        golden_program_close(&programs->at[i]);
    golden_machine_close(&programs->machine);
}

static struct golden_way way_of(const char *device) {
    return (struct golden_way){device, CUPEL_TYPE_F32, false, 1};
}

/* --- running --- */

/* Images, labels and rows of run `run`. */
static void write_inputs(struct golden_program *program, int which, int run) {
    char name[32];
    snprintf(name, sizeof name, "programs/x%d", run);
    golden_write_uniform(program, "x", name);
    if (which != SCORE)
        golden_write_labels(program, (size_t)run, CLASSES);
    if (which == SCORE || which <= TRAIN_5)
        golden_write_rng(program, SEED, which == SCORE ? 0 : (uint64_t)run, 8 * (uint64_t)run,
                         (size_t)batches[which]);
    if (which <= TRAIN_5)
        golden_write_scalar(program, "rate", 5e-3);
}

/* Within tolerance * (1 + |b|), or the same bits where it is 0. */
static void compare(const char *what, const double *a, const double *b, size_t count,
                    double tolerance) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 &&
            !(fabs(a[i] - b[i]) <= tolerance * (1 + fabs(b[i]))))
            check_failed(__FILE__, __LINE__, "%s, element %zu: %.17g, the reference has %.17g",
                         what, i, a[i], b[i]);
}

static void compare_outputs(struct golden_program *a, struct golden_program *b, int which,
                            double tolerance) {
    for (int k = 0; k < 3 && output_names[which][k] != NULL; k++) {
        size_t count = 0;
        double *const x = golden_output(a, output_names[which][k], &count);
        double *const y = golden_output(b, output_names[which][k], &count);
        compare(output_names[which][k], x, y, count, tolerance);
        free(x);
        free(y);
    }
}

static void compare_variables(const struct golden_machine *a, const struct golden_machine *b,
                              double tolerance) {
    CHECK_U64(cupel_parameters_count(a->parameters), cupel_parameters_count(b->parameters));
    for (size_t i = 0; i < cupel_parameters_count(a->parameters); i++) {
        const char *const name = cupel_parameters_info(a->parameters, i).name;
        size_t n = 0, m = 0;
        double *const x = golden_variable(a->parameters, name, &n);
        double *const y = golden_variable(b->parameters, name, &m);
        CHECK_U64(n, m);
        compare(name, x, y, n, tolerance);
        free(x);
        free(y);
    }
}

/* Which program run `run` is of: both this and what happens before it follow from its number. */
static int program_of(int run, uint64_t *random) {
    *random = hash_combine(77, (uint64_t)run);
    return (int)random_below(random, N_PROGRAMS);
}

/* Something happens to the parameters between two runs. */
static void disturb(cupel_parameters *parameters, const char *path, int run, uint64_t *random) {
    const uint64_t what = random_below(random, 10);
    if (what == 0) {
        state_write(parameters, path, run);
    } else if (what == 1) {
        state_read(parameters, path);
    } else if (what == 2) { /* one weight alone is written */
        static const char *const names[] = {"a.conv.weight", "b.conv.weight", "b.bn.running_var",
                                            "fc.weight"};
        const char *const name = names[random_below(random, 4)];
        cupel_tensors *file = NULL;
        CHECK_OK(cupel_tensors_read(&file, path));
        const cupel_tensor *const tensor = golden_get(file, "%s", name);
        CHECK_OK(cupel_parameters_write(parameters, name, tensor->data,
                                        cupel_desc_bytes(&tensor->desc)));
        cupel_tensors_destroy(file);
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
    struct golden_way reference_way = way_of("reference");
    reference_way.reference = true;
    struct programs programs, shadow; /* which declares the same parameters */
    open_programs(&programs, way_of(device), 23);
    open_programs(&shadow, reference_way, 1);
    char *const folder = drill_folder(), path[128];
    snprintf(path, sizeof path, "%s/state.safetensors", folder);
    state_write(programs.machine.parameters, path, 0);
    int runs[N_PROGRAMS] = {0};
    for (int i = 0; i < RUNS; i++) {
        uint64_t random;
        const int which = program_of(i, &random);
        check_context("device %s, run %d: %s", device, i, program_names[which]);
        disturb(programs.machine.parameters, path, i, &random);
        cupel_tensors *const before = state_export(programs.machine.parameters);
        state_import(shadow.machine.parameters, before);
        cupel_tensors_destroy(before);
        struct golden_program reference = compile(&shadow.machine, which);
        write_inputs(&programs.at[which], which, i);
        write_inputs(&reference, which, i);
        golden_run(&programs.at[which]);
        golden_run(&reference);
        const double tolerance = tolerance_of(device, which);
        compare_outputs(&programs.at[which], &reference, which, tolerance);
        compare_variables(&programs.machine, &shadow.machine, which <= TRAIN_5 ? tolerance : 0);
        golden_program_close(&reference);
        runs[which]++;
    }
    for (int i = 0; i < N_PROGRAMS; i++)
        CHECK(runs[i] > 30);
    drill_folder_remove(folder);
    close_programs(&programs);
    close_programs(&shadow);
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
    struct programs programs;
    open_programs(&programs, way_of("forms"), 23);
    for (int i = 0; i < N_PROGRAMS; i++) {
        check_context("%s", program_names[i]);
        CHECK(cupel_program_get_info(programs.at[i].program).packed_bytes > 0);
    }
    write_inputs(&programs.at[EVALUATION], EVALUATION, 1);
    write_inputs(&programs.at[SCORE], SCORE, 1);
    write_inputs(&programs.at[TRAIN_8], TRAIN_8, 1);
    golden_run(&programs.at[EVALUATION]);
    golden_run(&programs.at[SCORE]);
    const uint64_t before = forms_packs();
    golden_run(&programs.at[EVALUATION]);
    golden_run(&programs.at[SCORE]);
    CHECK_U64(forms_packs(), before);
    golden_run(&programs.at[TRAIN_8]);
    const uint64_t trained = forms_packs();
    golden_run(&programs.at[EVALUATION]);
    CHECK_U64(forms_packs(), trained + 3); /* two convolutions, one dense layer */
    golden_run(&programs.at[SCORE]);
    CHECK_U64(forms_packs(), trained + 6);
    close_programs(&programs);
}

/* --- killed on the way --- */

struct doomed {
    struct golden_way way;
    const char *path;
    int end;          /* how many runs it comes to */
    int begin;        /* the first run of this life */
    uint64_t *hashes; /* of each run's outputs, or NULL */
};

static uint64_t hash_outputs(struct golden_program *program, int which) {
    uint64_t hash = 0;
    for (int k = 0; k < 3 && output_names[which][k] != NULL; k++) {
        size_t count = 0;
        double *const values = golden_output(program, output_names[which][k], &count);
        for (size_t i = 0; i < count; i++) {
            uint64_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            hash = hash_combine(hash, bits);
        }
        free(values);
    }
    return hash;
}

/* From what the file says, or from the beginning where there is none, through run `end` - 1. Every
 * life starts with other numbers in its parameters; returns them as they are in the end. */
static cupel_tensors *live(struct doomed *life) {
    struct programs programs;
    cupel_parameters *const *const parameters = &programs.machine.parameters;
    open_programs(&programs, life->way, 100 + (uint64_t)life->end);
    if (access(life->path, F_OK) == 0) {
        life->begin = state_read(*parameters, life->path);
    } else {
        life->begin = 0;
        golden_fill_parameters(*parameters, "programs");
        state_write(*parameters, life->path, 0);
    }
    for (int i = life->begin; i < life->end; i++) {
        uint64_t random;
        const int which = program_of(i, &random);
        disturb(*parameters, life->path, i, &random);
        write_inputs(&programs.at[which], which, i);
        golden_run(&programs.at[which]);
        if (life->hashes != NULL)
            life->hashes[i] = hash_outputs(&programs.at[which], which);
    }
    cupel_tensors *const end = state_export(*parameters);
    close_programs(&programs);
    return end;
}

static void live_and_die(void *user) {
    cupel_tensors_destroy(live(user));
    raise(SIGKILL);
}

/* Three processes one after the other go on from the file and are killed; the fourth ends as one
 * that was left alone. */
static void killed_in_the_middle(void **state) {
    (void)state;
    static const char *const devices[] = {"reference", "forms", "cpu"};
    static const int kills[] = {70, 150, 230};
    enum { KILLS = sizeof kills / sizeof kills[0] };
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        char *const folder = drill_folder(), path[128], path_whole[128];
        uint64_t hashes[RUNS] = {0}, hashes_whole[RUNS] = {0};
        snprintf(path, sizeof path, "%s/state.safetensors", folder);
        snprintf(path_whole, sizeof path_whole, "%s/whole.safetensors", folder);
        for (int k = 0; k < KILLS; k++) {
            check_context("device %s, killed after %d runs", devices[d], kills[k]);
            state_killed(live_and_die,
                         &(struct doomed){way_of(devices[d]), path, kills[k], 0, NULL});
        }
        check_context("device %s, after %d kills", devices[d], KILLS);
        struct doomed last = {way_of(devices[d]), path, RUNS, 0, hashes};
        struct doomed left_alone = {way_of(devices[d]), path_whole, RUNS, 0, hashes_whole};
        cupel_tensors *const end = live(&last), *const whole = live(&left_alone);
        CHECK_I64(left_alone.begin, 0);
        CHECK(last.begin > kills[KILLS - 2] && last.begin < kills[KILLS - 1]); /* some were lost */
        state_check_same_bits(whole, end);
        for (int i = last.begin; i < RUNS; i++)
            CHECK_U64(hashes[i], hashes_whole[i]);
        cupel_tensors_destroy(end);
        cupel_tensors_destroy(whole);
        drill_folder_remove(folder);
    }
}

/* --- against PyTorch --- */

static void three_steps(struct golden_way way, const cupel_tensors *golden) {
    static const int order[] = {TRAIN_8, EVALUATION, ATTACK,  SCORE,      TRAIN_5, EVALUATION,
                                ATTACK,  SCORE,      TRAIN_8, EVALUATION, ATTACK,  SCORE};
    /* In f32 some ten times what was seen. */
    const double tolerance = way.real == CUPEL_TYPE_F64 ? 1e-13 : 5e-6;
    struct programs programs;
    open_programs(&programs, way, 1);
    golden_fill_parameters(programs.machine.parameters, "programs");
    for (int run = 0; run < (int)(sizeof order / sizeof order[0]); run++) {
        const int which = order[run];
        struct golden_program *const program = &programs.at[which];
        check_context("%s, run %d: %s", golden_way_text(way), run, program_names[which]);
        write_inputs(program, which, run);
        golden_run(program);
        for (int k = 0; k < 3 && output_names[which][k] != NULL; k++)
            golden_compare_output(
                program, output_names[which][k],
                golden_get(golden, "programs/run%d/%s", run, output_names[which][k]), tolerance);
    }
    golden_compare_variables(programs.machine.parameters, golden, "programs/final", tolerance);
    close_programs(&programs);
}

static void five_programs_against_pytorch(void **state) {
    (void)state;
    cupel_tensors *const golden = golden_read("drills.safetensors");
    for (int way = 0; way < GOLDEN_WAYS; way++)
        three_steps(golden_ways[way], golden);
    three_steps((struct golden_way){"forms", CUPEL_TYPE_F64, false, 1}, golden);
    three_steps((struct golden_way){"forms", CUPEL_TYPE_F32, false, 1}, golden);
    cupel_tensors_destroy(golden);
}

/* --- a score has no neighbours --- */

enum { BATCH = 6, IMAGE = SIDE * SIDE };

static void make_image(uint64_t id, float *pixels) {
    for (int i = 0; i < IMAGE; i++)
        pixels[i] = (float)random_between(&id, 0, 1);
}

/* Scores a batch of images, 0 standing for padding, and returns the row at `place`. */
static void score_at(struct golden_program *r, const uint64_t *ids, int place, float *row) {
    float x[BATCH * IMAGE] = {0}, logits[BATCH * CLASSES], scores[BATCH];
    for (int i = 0; i < BATCH; i++)
        if (ids[i] != 0)
            make_image(ids[i], x + i * IMAGE);
    CHECK_OK(cupel_bindings_write(r->bindings, "x", x, sizeof x));
    CHECK_OK(cupel_bindings_write(r->bindings, "rows", ids, BATCH * sizeof *ids));
    CHECK_OK(cupel_bindings_write_u64(r->bindings, "seed", 9));
    CHECK_OK(cupel_bindings_write_u64(r->bindings, "step", 0));
    golden_run(r);
    CHECK_OK(cupel_bindings_read(r->bindings, "logits", logits, sizeof logits));
    CHECK_OK(cupel_bindings_read(r->bindings, "score", scores, sizeof scores));
    memcpy(row, logits + place * CLASSES, CLASSES * sizeof *row);
    row[CLASSES] = scores[place];
}

/* Images at every place, among strangers, padding, and alone. */
static void check_neighbours(struct golden_program *r, const char *way) {
    uint64_t random = 4;
    for (uint64_t image = 1; image <= 5; image++) {
        float alone[CLASSES + 1], row[CLASSES + 1];
        score_at(r, (const uint64_t[BATCH]){image}, 0, alone);
        CHECK(isfinite(alone[CLASSES]));
        for (int trial = 0; trial < 12; trial++) {
            const int place = trial < BATCH ? trial : (int)random_below(&random, BATCH);
            uint64_t ids[BATCH];
            for (int i = 0; i < BATCH; i++)
                ids[i] = trial % 3 == 2 ? 0 : 100 + random_below(&random, 1000);
            ids[place] = image;
            check_context("%s, image %d at place %d", way, (int)image, place);
            score_at(r, ids, place, row);
            CHECK(memcmp(row, alone, sizeof row) == 0);
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
        struct golden_way way = way_of(ways[w].device);
        way.threads = ways[w].threads;
        struct golden_machine m;
        open_machine(&m, way, 23);
        struct golden_program r = compile(&m, SCORE);
        check_neighbours(&r, ways[w].name);
        golden_program_close(&r);
        golden_machine_close(&m);
    }
    CHECK_I64(unsetenv("CUPEL_DISABLE"), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_in_the_middle), /* first: see support/state.h */
        cmocka_unit_test(five_programs_against_pytorch),
        cmocka_unit_test(five_programs_on_the_reference),
        cmocka_unit_test(five_programs_that_want_other_forms),
        cmocka_unit_test(five_programs_on_the_cpu),
        cmocka_unit_test(forms_are_kept_until_a_variable_moves),
        cmocka_unit_test(a_score_does_not_see_its_neighbours),
    };
    return CHECK_MAIN(tests);
}
