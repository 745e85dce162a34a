/*
 * What comes later, in small: four little programs of kinds that the engine must carry without a
 * special case, three steps each, against PyTorch (golden/drills.safetensors;
 * tools/golden/drills.py says what each computes) and killed and resumed.
 *
 *   dbnn      weights generated per example and sampled, a mixture prior, batched products
 *   pair      two networks and two optimisers, loss tables, images attacked by a program of their
 *             own
 *   gradcam   gradients at an inner node, in a program beside the training one
 *   tail      a last batch of 5 after two of 8, under batch norm and dropout
 *
 * Between the nodes the host computes nothing: it writes batches and counters, and runs programs.
 * On the reference device every program is compiled twice: with its chains fused, its updates
 * merged with each other and with the products that make their gradients, and without; both must
 * reach the same bits ("*_same_bits_unfused", "dbnn_fused_updates").
 */
#include "support/drill.h"
#include "support/golden.h"
#include "support/state.h"

#include <signal.h>

#include "compile/program_internal.h"

enum { SEED = 53, STEPS = 3, MOST_PROGRAMS = 3 };

/* One process of training, as far as memory goes. */
struct life {
    struct golden_machine machine;
    bool unfolded; /* programs in evaluation keep convolution and batch norm apart */
    size_t n_programs;
    struct golden_program programs[MOST_PROGRAMS];
};

struct drill {
    const char *name;
    void (*open)(struct life *life);
    /* Runs a step; compares what it gives when golden is not NULL. */
    void (*step)(struct life *life, int step, const cupel_tensors *golden, double tolerance);
    /* After the last step; may be NULL. */
    void (*finish)(struct life *life, const cupel_tensors *golden, double tolerance);
};

static void compile(struct life *life, cupel_graph *graph, const char *name, size_t n_outputs,
                    const cupel_output *outputs) {
    CHECK(life->n_programs < MOST_PROGRAMS);
    golden_compile(&life->programs[life->n_programs++], &life->machine, graph, name, n_outputs,
                   outputs);
}

/* For programs in evaluation, where batch norm is folded into convolutions and rounds elsewhere. */
static void compile_evaluation(struct life *life, cupel_graph *graph, const char *name,
                               size_t n_outputs, const cupel_output *outputs) {
    const struct golden_way way = life->machine.way;
    life->machine.way.reference = way.reference || life->unfolded;
    compile(life, graph, name, n_outputs, outputs);
    life->machine.way = way;
}

/* --- small things the drills share --- */
static cupel_node real_input(cupel_graph *graph, const char *name, cupel_shape shape) {
    return cupel_input(graph, name, CUPEL_TYPE_REAL, shape);
}

static cupel_node scalar_input(cupel_graph *graph, const char *name) {
    return real_input(graph, name, cupel_shape_scalar());
}

static cupel_node mean_all(cupel_node x) {
    return cupel_reduce_mean(x, CUPEL_ALL_AXES, false);
}

static cupel_node dense_no_bias(cupel_node x, const char *name, int64_t out) {
    return cupel_layer_dense(x, name, out, &(cupel_layer_options){.no_bias = true});
}

static cupel_node norm(cupel_node x, const char *name, bool training) {
    return cupel_layer_batch_norm(x, name, training, 0.1, 1e-5);
}

static cupel_node conv(cupel_node x, const char *name, int64_t out, int64_t kernel,
                       int64_t stride) {
    const int64_t padding = kernel / 2;
    const cupel_conv_options options = {.stride = {stride, stride}, .padding = {padding, padding}};
    return cupel_layer_conv2d(x, name, out, kernel, &options,
                              &(cupel_layer_options){.no_bias = true});
}

/* A residual network of one block, up to its feature maps. */
static cupel_node small_features(cupel_graph *graph, cupel_node x, bool training) {
    const cupel_node stem = cupel_relu(norm(conv(x, "conv1", 4, 3, 1), "bn1", training));
    cupel_graph_enter(graph, "layer1.0");
    cupel_node h = cupel_relu(norm(conv(stem, "conv1", 6, 3, 2), "bn1", training));
    h = norm(conv(h, "conv2", 6, 3, 1), "bn2", training);
    const cupel_node shortcut = norm(conv(stem, "downsample.0", 6, 1, 2), "downsample.1", training);
    cupel_graph_leave(graph);
    return cupel_relu(cupel_add(h, shortcut));
}

static cupel_node small_head(cupel_node features) {
    const cupel_node pooled = cupel_reduce_mean(features, CUPEL_AXIS(2) | CUPEL_AXIS(3), false);
    return cupel_layer_dense(pooled, "fc", 3, NULL);
}

static cupel_node small_network(cupel_graph *graph, const char *scope, cupel_node x,
                                bool training) {
    cupel_graph_enter(graph, scope);
    const cupel_node logits = small_head(small_features(graph, x, training));
    cupel_graph_leave(graph);
    return logits;
}

/* --- a: weights generated per example --------------------------------------------------------- */
enum { DBNN_BATCH = 6, DBNN_IN = 12, DBNN_OUT = 8, DBNN_WEIGHTS = DBNN_IN * DBNN_OUT };

static void dbnn_open_with(struct life *life, const cupel_optimizer *optimizer) {
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_node x = real_input(graph, "x", CUPEL_SHAPE(DBNN_BATCH, DBNN_IN));
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(DBNN_BATCH), DBNN_OUT);
    const cupel_node kl_weight = scalar_input(graph, "kl_weight");
    const cupel_rng rng = cupel_rng_inputs(graph, DBNN_BATCH);

    const cupel_node mean = norm(dense_no_bias(x, "mean", DBNN_WEIGHTS), "bn_mean", true);
    const cupel_node rho = norm(dense_no_bias(x, "rho", DBNN_WEIGHTS), "bn_rho", true);
    const cupel_node deviation = cupel_softplus(rho);
    const cupel_node noise =
        cupel_sample_normal(rng, "weights", CUPEL_SHAPE(DBNN_BATCH, DBNN_WEIGHTS));
    const cupel_node w = cupel_add(mean, cupel_mul(deviation, noise));
    const cupel_node product =
        cupel_matmul(cupel_reshape(w, CUPEL_SHAPE(DBNN_BATCH, DBNN_OUT, DBNN_IN)),
                     cupel_reshape(x, CUPEL_SHAPE(DBNN_BATCH, DBNN_IN, 1)), false, false);
    const cupel_node logits = cupel_reshape(product, CUPEL_SHAPE(DBNN_BATCH, DBNN_OUT));

    /* KL of the posterior from the prior 1/2 N(0, 1) + 1/2 N(0, e^-12), from the one sample */
    const cupel_node zero = cupel_scalar(graph, 0.0), narrow = cupel_scalar(graph, -12.0);
    const cupel_node posterior =
        cupel_gaussian_log_density(w, mean, cupel_scale(cupel_log(deviation), 2.0));
    const cupel_shape column = CUPEL_SHAPE(DBNN_BATCH, DBNN_WEIGHTS, 1);
    const double log_half = -0.69314718055994530942;
    const cupel_node parts[] = {
        cupel_reshape(cupel_offset(cupel_gaussian_log_density(w, zero, zero), log_half), column),
        cupel_reshape(cupel_offset(cupel_gaussian_log_density(w, zero, narrow), log_half), column)};
    const cupel_node prior = cupel_logsumexp(cupel_concat(2, parts, 2), CUPEL_AXIS(2), false);
    const cupel_node kl =
        mean_all(cupel_reduce_sum(cupel_sub(posterior, prior), CUPEL_AXIS(1), false));
    const cupel_node loss =
        cupel_add(mean_all(cupel_cross_entropy(logits, labels)), cupel_mul(kl_weight, kl));
    cupel_guard(loss);
    cupel_optimizer_minimize(graph, "optimizer", optimizer, scalar_input(graph, "rate"), loss, "");
    const cupel_output outputs[] = {{"logits", logits}, {"kl", kl}, {"loss", loss}};
    compile(life, graph, "train", 3, outputs);
}

static void dbnn_open(struct life *life) {
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    dbnn_open_with(life, &adam);
}

static void dbnn_open_sgd(struct life *life) {
    const cupel_optimizer sgd = {.kind = CUPEL_SGD};
    dbnn_open_with(life, &sgd);
}

static void dbnn_open_momentum(struct life *life) {
    const cupel_optimizer momentum = {
        .kind = CUPEL_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3};
    dbnn_open_with(life, &momentum);
}

static void dbnn_step(struct life *life, int step, const cupel_tensors *golden, double tolerance) {
    struct golden_program *const train = &life->programs[0];
    char name[32];
    snprintf(name, sizeof name, "dbnn/x%d", step);
    golden_write_uniform(train, "x", name);
    golden_write_labels(train, 3 * (size_t)step, DBNN_OUT);
    golden_write_rng(train, SEED, (uint64_t)step, (uint64_t)step * DBNN_BATCH, DBNN_BATCH);
    golden_write_scalar(train, "kl_weight", 0.01 * (step + 1));
    golden_write_scalar(train, "rate", 1e-3);
    golden_run(train);
    if (golden == NULL)
        return;
    golden_compare_step(train, "logits", golden_get(golden, "dbnn/logits"), step, tolerance);
    golden_compare_step(train, "kl", golden_get(golden, "dbnn/kl"), step, tolerance);
    golden_compare_step(train, "loss", golden_get(golden, "dbnn/losses"), step, tolerance);
}

/* --- b: two networks, loss tables, attacked images -------------------------------------------- */
enum { PAIR_BATCH = 4, PAIR_SAMPLES = 12, PAIR_CLASSES = 3, PAIR_IMAGE = 3 * 6 * 6 };
enum { PAIR_TRAIN, PAIR_ATTACK };
static const int pair_batches[STEPS][PAIR_BATCH] = {{0, 1, 2, 3}, {2, 3, 4, 5}, {4, 0, 6, 7}};

static cupel_node pair_adversarial(cupel_graph *graph) {
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    return cupel_training_state(graph, "adversarial", CUPEL_TYPE_REAL,
                                CUPEL_SHAPE(PAIR_BATCH, 3, 6, 6), zeros);
}

/* Root of the sum of squares of each image, kept as [N, 1, 1, 1]. */
static cupel_node pair_length(cupel_node x) {
    const uint32_t image = CUPEL_AXIS(1) | CUPEL_AXIS(2) | CUPEL_AXIS(3);
    return cupel_offset(cupel_sqrt(cupel_reduce_sum(cupel_square(x), image, true)), 1e-12);
}

/* One step of projected gradient ascent in the L2 ball around x. */
static cupel_graph *pair_attack(struct life *life) {
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_node x = real_input(graph, "x", CUPEL_SHAPE(PAIR_BATCH, 3, 6, 6));
    const cupel_node labels =
        cupel_input_index(graph, "labels", CUPEL_SHAPE(PAIR_BATCH), PAIR_CLASSES);
    const cupel_node adversarial = pair_adversarial(graph);
    const cupel_node at = cupel_select(scalar_input(graph, "restart"), x, adversarial);
    const cupel_node biased =
        cupel_cross_entropy(small_network(graph, "biased", at, false), labels);
    const cupel_node debiased =
        cupel_cross_entropy(small_network(graph, "debiased", at, false), labels);
    const cupel_node objective =
        cupel_reduce_sum(cupel_sub(biased, cupel_mul(scalar_input(graph, "lambda"), debiased)),
                         CUPEL_ALL_AXES, false);
    cupel_node g;
    CHECK_OK_TEXT(cupel_graph_add_gradients(graph, objective, 1, &at, &g),
                  cupel_graph_error(graph));
    const cupel_node direction = cupel_div(g, pair_length(g));
    const cupel_node moved = cupel_add(at, cupel_mul(scalar_input(graph, "step_size"), direction));
    const cupel_node delta = cupel_sub(moved, x);
    const cupel_node shrink = cupel_minimum(
        cupel_div(scalar_input(graph, "radius"), pair_length(delta)), cupel_scalar(graph, 1.0));
    cupel_assign(adversarial, cupel_add(x, cupel_mul(delta, shrink)));
    return graph;
}

/* The moving average of each sample's loss, divided by the largest of its class. */
static cupel_node pair_relative(cupel_graph *graph, const char *name, cupel_node losses,
                                cupel_node index, cupel_node labels, cupel_node seen,
                                cupel_node classes) {
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node table =
        cupel_training_state(graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(PAIR_SAMPLES), zeros);
    const cupel_node value = cupel_stop_gradient(losses);
    const cupel_node average =
        cupel_add(cupel_scale(cupel_gather(table, index), 0.7), cupel_scale(value, 1.0 - 0.7));
    const cupel_node updated = cupel_select(cupel_gather(seen, index), average, value);
    const cupel_node next = cupel_scatter_update(table, index, updated);
    cupel_assign(table, next);
    const cupel_node largest = cupel_segment_max(next, classes, PAIR_CLASSES, 0.0);
    return cupel_div(updated, cupel_gather(largest, labels));
}

static void pair_open(struct life *life) {
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node x = real_input(graph, "x", CUPEL_SHAPE(PAIR_BATCH, 3, 6, 6));
    const cupel_node labels =
        cupel_input_index(graph, "labels", CUPEL_SHAPE(PAIR_BATCH), PAIR_CLASSES);
    const cupel_node index =
        cupel_input_index(graph, "index", CUPEL_SHAPE(PAIR_BATCH), PAIR_SAMPLES);
    const cupel_node rate = scalar_input(graph, "rate"), beta = scalar_input(graph, "beta");
    int64_t class_of[PAIR_SAMPLES];
    for (int i = 0; i < PAIR_SAMPLES; i++)
        class_of[i] = i % PAIR_CLASSES;
    const cupel_node classes =
        cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(PAIR_SAMPLES), class_of);

    const cupel_node logits = small_network(graph, "biased", x, true);
    const cupel_node loss_biased = mean_all(cupel_generalized_cross_entropy(logits, labels, 0.7));
    /* clean and attacked images in one batch, so that the running statistics are assigned once */
    const cupel_node images[] = {x, cupel_stop_gradient(pair_adversarial(graph))};
    const cupel_node both = small_network(graph, "debiased", cupel_concat(2, images, 0), true);
    const cupel_node ce = cupel_cross_entropy(cupel_slice(both, 0, 0, PAIR_BATCH), labels);
    const cupel_node ce_attacked =
        cupel_cross_entropy(cupel_slice(both, 0, PAIR_BATCH, 2 * PAIR_BATCH), labels);

    const cupel_node seen =
        cupel_training_state(graph, "seen", CUPEL_TYPE_REAL, CUPEL_SHAPE(PAIR_SAMPLES), zeros);
    const cupel_node b = pair_relative(graph, "table_biased", cupel_cross_entropy(logits, labels),
                                       index, labels, seen, classes);
    const cupel_node d = pair_relative(graph, "table_debiased", ce, index, labels, seen, classes);
    cupel_assign(
        seen, cupel_scatter_update(
                  seen, index, cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(PAIR_BATCH), 1.0)));
    const cupel_node weight = cupel_div(b, cupel_offset(cupel_add(b, d), 1e-8));
    const cupel_node rest = cupel_mul(beta, cupel_offset(cupel_neg(weight), 1.0));
    const cupel_node loss_debiased =
        cupel_add(mean_all(cupel_mul(weight, ce)), mean_all(cupel_mul(rest, ce_attacked)));
    cupel_guard(cupel_add(loss_biased, loss_debiased));
    cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(graph, "adam_biased", &adam, rate, loss_biased, "biased.");
    adam.weight_decay = 1e-4;
    cupel_optimizer_minimize(graph, "adam_debiased", &adam, rate, loss_debiased, "debiased.");
    const cupel_output outputs[] = {
        {"loss_biased", loss_biased}, {"loss_debiased", loss_debiased}, {"weight", weight}};
    cupel_graph *const attack = pair_attack(life); /* declares before the first compile seals */
    compile(life, graph, "train", 3, outputs);
    compile_evaluation(life, attack, "attack", 0, NULL);
}

static void pair_step(struct life *life, int step, const cupel_tensors *golden, double tolerance) {
    double all[PAIR_SAMPLES * PAIR_IMAGE], x[PAIR_BATCH * PAIR_IMAGE];
    double index[PAIR_BATCH], labels[PAIR_BATCH];
    golden_uniform_fill("pair/x", all, PAIR_SAMPLES * PAIR_IMAGE);
    for (int i = 0; i < PAIR_BATCH; i++) {
        const int row = pair_batches[step][i];
        memcpy(x + i * PAIR_IMAGE, all + row * PAIR_IMAGE, PAIR_IMAGE * sizeof x[0]);
        index[i] = row;
        labels[i] = row % PAIR_CLASSES;
    }
    for (int p = 0; p < 2; p++) {
        golden_write(&life->programs[p], "x", x, PAIR_BATCH * PAIR_IMAGE);
        golden_write(&life->programs[p], "labels", labels, PAIR_BATCH);
    }
    struct golden_program *const attack = &life->programs[PAIR_ATTACK];
    struct golden_program *const train = &life->programs[PAIR_TRAIN];
    golden_write_scalar(attack, "lambda", 2.0);
    golden_write_scalar(attack, "step_size", 0.3);
    golden_write_scalar(attack, "radius", 0.5);
    for (int run = 0; run < 3; run++) {
        golden_write_scalar(attack, "restart", run == 0);
        golden_run(attack);
    }
    golden_write(train, "index", index, PAIR_BATCH);
    golden_write_scalar(train, "rate", 1e-3);
    golden_write_scalar(train, "beta", 0.8);
    golden_run(train);
    if (golden == NULL)
        return;
    double *const adversarial = golden_variable(life->machine.parameters, "adversarial", NULL);
    golden_compare("adversarial", adversarial, PAIR_BATCH * PAIR_IMAGE,
                   golden_get(golden, "pair/adversarial"), (size_t)(step * PAIR_BATCH * PAIR_IMAGE),
                   tolerance);
    free(adversarial);
    const cupel_tensor *const losses = golden_get(golden, "pair/losses");
    golden_compare_step(train, "loss_biased", losses, 2 * step, tolerance);
    golden_compare_step(train, "loss_debiased", losses, 2 * step + 1, tolerance);
    golden_compare_step(train, "weight", golden_get(golden, "pair/weights"), step, tolerance);
}

static void pair_finish(struct life *life, const cupel_tensors *golden, double tolerance) {
    static const char *const tables[] = {"table_biased", "table_debiased"};
    for (int i = 0; i < 2; i++) {
        double *const table = golden_variable(life->machine.parameters, tables[i], NULL);
        golden_compare(tables[i], table, PAIR_SAMPLES, golden_get(golden, "pair/%s", tables[i]), 0,
                       tolerance);
        free(table);
    }
}

/* --- c: activation maps at an inner node ------------------------------------------------------ */
enum { CAM_BATCH = 5, CAM_EXTENT = 8 };
enum { CAM_TRAIN, CAM_EXPLAIN };

static void gradcam_open(struct life *life) {
    const cupel_shape shape = CUPEL_SHAPE(CAM_BATCH, 3, CAM_EXTENT, CAM_EXTENT);
    cupel_graph *const train = golden_graph(&life->machine);
    const cupel_node logits =
        small_head(small_features(train, real_input(train, "x", shape), true));
    const cupel_node loss = mean_all(
        cupel_cross_entropy(logits, cupel_input_index(train, "labels", CUPEL_SHAPE(CAM_BATCH), 3)));
    cupel_optimizer sgd = cupel_optimizer_defaults(CUPEL_SGD);
    sgd.momentum = 0.9;
    cupel_optimizer_minimize(train, "optimizer", &sgd, scalar_input(train, "rate"), loss, "");
    const cupel_output losses[] = {{"loss", loss}};
    compile(life, train, "train", 1, losses);

    cupel_graph *const explain = golden_graph(&life->machine);
    const cupel_node labels = cupel_input_index(explain, "labels", CUPEL_SHAPE(CAM_BATCH), 3);
    const cupel_node scores = small_head(
        cupel_named(small_features(explain, real_input(explain, "x", shape), false), "features"));
    const cupel_node score =
        cupel_reduce_sum(cupel_mul(scores, cupel_one_hot(labels, 3)), CUPEL_ALL_AXES, false);
    /* whoever explains knows the node's name alone */
    const cupel_node features = cupel_graph_find(explain, "features");
    cupel_node g;
    CHECK_OK_TEXT(cupel_graph_add_gradients(explain, score, 1, &features, &g),
                  cupel_graph_error(explain));
    const cupel_node weights = cupel_reduce_mean(g, CUPEL_AXIS(2) | CUPEL_AXIS(3), true);
    const cupel_node map =
        cupel_relu(cupel_reduce_sum(cupel_mul(weights, features), CUPEL_AXIS(1), false));
    const cupel_output maps[] = {{"map", map}};
    compile_evaluation(life, explain, "explain", 1, maps);
}

static void gradcam_step(struct life *life, int step, const cupel_tensors *golden,
                         double tolerance) {
    char name[32];
    snprintf(name, sizeof name, "gradcam/x%d", step);
    for (int p = 0; p < 2; p++) {
        golden_write_uniform(&life->programs[p], "x", name);
        golden_write_labels(&life->programs[p], (size_t)step, 3);
    }
    golden_write_scalar(&life->programs[CAM_TRAIN], "rate", 0.05);
    golden_run(&life->programs[CAM_TRAIN]);
    golden_run(&life->programs[CAM_EXPLAIN]);
    if (golden == NULL)
        return;
    golden_compare_step(&life->programs[CAM_TRAIN], "loss", golden_get(golden, "gradcam/losses"),
                        step, tolerance);
    golden_compare_step(&life->programs[CAM_EXPLAIN], "map", golden_get(golden, "gradcam/maps"),
                        step, tolerance);
}

/* --- d: a smaller last batch ------------------------------------------------------------------ */
enum { TAIL_IN = 10, TAIL_EVALUATION = 3 };
enum { TAIL_FULL, TAIL_LAST, TAIL_EVALUATE };
static const int tail_batches[STEPS] = {8, 8, 5};

static cupel_node tail_network(cupel_graph *graph, int64_t batch, bool training) {
    const cupel_node x = real_input(graph, "x", CUPEL_SHAPE(batch, TAIL_IN));
    cupel_node h = cupel_relu(norm(dense_no_bias(x, "hidden", 16), "bn", training));
    if (training)
        h = cupel_dropout(cupel_rng_inputs(graph, batch), "drop", h, 0.3);
    return cupel_layer_dense(h, "out", 4, NULL);
}

static void tail_train(struct life *life, const char *name, int64_t batch) {
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(batch), 4);
    const cupel_node loss = mean_all(cupel_cross_entropy(tail_network(graph, batch, true), labels));
    cupel_optimizer adamw = cupel_optimizer_defaults(CUPEL_ADAMW);
    adamw.weight_decay = 0.05;
    cupel_optimizer_minimize(graph, "optimizer", &adamw, scalar_input(graph, "rate"), loss, "");
    const cupel_output outputs[] = {{"loss", loss}};
    compile(life, graph, name, 1, outputs);
}

static void tail_open(struct life *life) {
    tail_train(life, "train", 8);
    tail_train(life, "train_last", 5);
    cupel_graph *const graph = golden_graph(&life->machine);
    const cupel_output outputs[] = {{"logits", tail_network(graph, TAIL_EVALUATION, false)}};
    compile_evaluation(life, graph, "evaluate", 1, outputs);
}

static void tail_step(struct life *life, int step, const cupel_tensors *golden, double tolerance) {
    const size_t batch = (size_t)tail_batches[step];
    struct golden_program *const train = &life->programs[batch == 8 ? TAIL_FULL : TAIL_LAST];
    char name[32];
    snprintf(name, sizeof name, "tail/x%d", step);
    golden_write_uniform(train, "x", name);
    golden_write_labels(train, (size_t)step, 4);
    golden_write_rng(train, SEED, (uint64_t)step, 8 * (uint64_t)step, batch);
    golden_write_scalar(train, "rate", 1e-2);
    golden_run(train);
    if (golden != NULL)
        golden_compare_step(train, "loss", golden_get(golden, "tail/losses"), step, tolerance);
}

static void tail_finish(struct life *life, const cupel_tensors *golden, double tolerance) {
    struct golden_program *const evaluate = &life->programs[TAIL_EVALUATE];
    golden_write_uniform(evaluate, "x", "tail/evaluation");
    golden_run(evaluate);
    golden_compare_output(evaluate, "logits", golden_get(golden, "tail/evaluation"), tolerance);
}

/* --- lives ------------------------------------------------------------------------------------ */
static const struct drill drills[] = {
    {"dbnn", dbnn_open, dbnn_step, NULL},
    {"pair", pair_open, pair_step, pair_finish},
    {"gradcam", gradcam_open, gradcam_step, NULL},
    {"tail", tail_open, tail_step, tail_finish},
};
enum { DRILLS = sizeof drills / sizeof drills[0] };

static void life_open(struct life *life, const struct drill *drill, struct golden_way way,
                      bool unfolded, uint64_t seed) {
    *life = (struct life){.unfolded = unfolded};
    golden_machine_open(&life->machine, way, seed);
    drill->open(life);
}

static void life_close(struct life *life) {
    for (size_t i = 0; i < life->n_programs; i++)
        golden_program_close(&life->programs[i]);
    golden_machine_close(&life->machine);
}

/* The steps of the compiler's own making, and products, in all programs of a life. */
struct made {
    int fused, sweep, product_update, matmul;
};

static struct made count_made(const struct life *life) {
    struct made made = {0};
    for (size_t p = 0; p < life->n_programs; p++) {
        const struct program_draft *const draft = &life->programs[p].program->draft;
        for (uint32_t t = 0; t < draft->n_steps; t++) {
            const char *const op = draft->steps[t].view.op->name;
            made.fused += strcmp(op, "fused") == 0;
            made.sweep += strcmp(op, "sweep") == 0;
            made.product_update += strcmp(op, "product_update") == 0;
            made.matmul += strcmp(op, "matmul") == 0;
        }
    }
    return made;
}

/* From the golden parameters through all steps, comparing if golden is not NULL; the variables at
 * the end, and what the programs were made of if made is not NULL. */
static cupel_tensors *run_whole(const struct drill *drill, struct golden_way way, bool unfolded,
                                const cupel_tensors *golden, struct made *made) {
    /* Three steps with batch norm of as few as five numbers; in f32 some ten times what was
     * seen. */
    const double tolerance = way.real == CUPEL_TYPE_F64 ? 1e-12 : 2e-5;
    struct life life;
    life_open(&life, drill, way, unfolded, 1);
    golden_fill_parameters(life.machine.parameters, drill->name);
    for (int step = 0; step < STEPS; step++)
        drill->step(&life, step, golden, tolerance);
    cupel_tensors *const end = state_export(life.machine.parameters);
    if (made != NULL)
        *made = count_made(&life);
    if (golden != NULL) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "%s/final", drill->name);
        golden_compare_variables(life.machine.parameters, golden, prefix, tolerance);
        if (drill->finish != NULL)
            drill->finish(&life, golden, tolerance);
    }
    life_close(&life);
    return end;
}

static const struct drill *drill_of(const char *test) {
    for (size_t i = 0; i < DRILLS; i++)
        if (strncmp(test, drills[i].name, strlen(drills[i].name)) == 0)
            return &drills[i];
    return NULL;
}

static void test_golden(void **state) {
    const struct drill *const drill = drill_of(*state);
    cupel_tensors *const golden = golden_read("drills.safetensors");
    for (int way = 0; way < GOLDEN_WAYS; way++) {
        check_context("%s, %s", drill->name, golden_way_text(golden_ways[way]));
        cupel_tensors_destroy(run_whole(drill, golden_ways[way], false, golden, NULL));
    }
    cupel_tensors_destroy(golden);
}

/* Everything is destroyed after step k and rebuilt from what was exported: the same bits at the
 * end. */
static void test_resumed(void **state) {
    const struct drill *const drill = drill_of(*state);
    for (int way = 0; way < GOLDEN_WAYS; way++) {
        cupel_tensors *const whole = run_whole(drill, golden_ways[way], false, NULL, NULL);
        for (int kill = 0; kill < STEPS; kill++) {
            check_context("%s, %s, killed after %d steps", drill->name,
                          golden_way_text(golden_ways[way]), kill);
            struct life first, second;
            life_open(&first, drill, golden_ways[way], false, 1);
            golden_fill_parameters(first.machine.parameters, drill->name);
            for (int step = 0; step < kill; step++)
                drill->step(&first, step, NULL, 0);
            cupel_tensors *const checkpoint = state_export(first.machine.parameters);
            life_close(&first);
            life_open(&second, drill, golden_ways[way], false, 99); /* other initial values */
            state_import(second.machine.parameters, checkpoint);
            for (int step = kill; step < STEPS; step++)
                drill->step(&second, step, NULL, 0);
            cupel_tensors *const end = state_export(second.machine.parameters);
            life_close(&second);
            state_check_same_bits(whole, end);
            cupel_tensors_destroy(end);
            cupel_tensors_destroy(checkpoint);
        }
        cupel_tensors_destroy(whole);
    }
}

struct doomed {
    const struct drill *drill;
    struct golden_way way;
    int saved;
    const char *path;
};

/* Trains, writes its state after `saved` steps, goes on for one more and is killed. */
static void train_and_die(void *user) {
    const struct doomed *const doomed = user;
    struct life life;
    life_open(&life, doomed->drill, doomed->way, false, 1);
    golden_fill_parameters(life.machine.parameters, doomed->drill->name);
    for (int step = 0; step < doomed->saved; step++)
        doomed->drill->step(&life, step, NULL, 0);
    state_write(life.machine.parameters, doomed->path, doomed->saved);
    doomed->drill->step(&life, doomed->saved, NULL, 0); /* lost */
    raise(SIGKILL);
}

static void test_killed(void **state) {
    const struct drill *const drill = drill_of(*state);
    static const struct golden_way ways[] = {{"reference", CUPEL_TYPE_F32, false, 1},
                                             {"cpu", CUPEL_TYPE_F32, false, 1}};
    char *const folder = drill_folder(), path[128];
    snprintf(path, sizeof path, "%s/state.safetensors", folder);
    int kills = 0;
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
        for (int saved = 0; saved < STEPS; saved++, kills++) {
            check_context("%s, %s, killed after %d steps were saved", drill->name,
                          golden_way_text(ways[way]), saved);
            struct doomed doomed = {drill, ways[way], saved, path};
            state_killed(train_and_die, &doomed);
            struct life life;
            life_open(&life, drill, ways[way], false, 99); /* other initial values */
            CHECK_I64(state_read(life.machine.parameters, path), saved);
            for (int step = saved; step < STEPS; step++)
                drill->step(&life, step, NULL, 0);
            cupel_tensors *const end = state_export(life.machine.parameters);
            life_close(&life);
            cupel_tensors *const whole = run_whole(drill, ways[way], false, NULL, NULL);
            state_check_same_bits(whole, end);
            cupel_tensors_destroy(whole);
            cupel_tensors_destroy(end);
            CHECK(unlink(path) == 0);
        }
    CHECK_I64(kills, 2 * STEPS);
    CHECK(rmdir(folder) == 0); /* no half-written file was left */
}

/* On the reference device the same graph with everything fused and, in reference mode, with nothing
 * fused, nothing in place and nothing moved: not a bit differs. */
static struct made fused_and_unfused(const struct drill *drill, cupel_type type) {
    struct made fused, plain;
    check_context("%s %s", drill->name, cupel_type_name(type));
    cupel_tensors *const a =
        run_whole(drill, (struct golden_way){"reference", type, false, 1}, true, NULL, &fused);
    cupel_tensors *const b =
        run_whole(drill, (struct golden_way){"reference", type, true, 1}, true, NULL, &plain);
    state_check_same_bits(a, b);
    cupel_tensors_destroy(a);
    cupel_tensors_destroy(b);
    CHECK_I64(plain.fused + plain.sweep + plain.product_update, 0);
    CHECK(type == CUPEL_TYPE_F32 ? fused.fused > 0 : fused.fused == 0); /* chains are of f32 */
    CHECK(fused.sweep > 0);
    CHECK(fused.product_update > 0);
    CHECK_I64(plain.matmul - fused.matmul, fused.product_update);
    return fused;
}

static void test_same_bits_unfused(void **state) {
    const struct drill *const drill = drill_of(*state);
    fused_and_unfused(drill, CUPEL_TYPE_F64);
    fused_and_unfused(drill, CUPEL_TYPE_F32);
}

/* The two projections that generate means and deviations, each weight updated with its product, by
 * Adam and by SGD without and with momentum. */
static void test_fused_updates(void **state) {
    (void)state;
    static const struct drill optimizers[] = {{"dbnn", dbnn_open, dbnn_step, NULL},
                                              {"dbnn", dbnn_open_sgd, dbnn_step, NULL},
                                              {"dbnn", dbnn_open_momentum, dbnn_step, NULL}};
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++)
        for (int real = 0; real < 2; real++)
            CHECK_I64(fused_and_unfused(&optimizers[i], real ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32)
                          .product_update,
                      2);
}

int main(int argc, char **argv) {
    enum { KINDS = 4 };
    /* Killed first: a process that has compute threads does not fork well. */
    static const struct {
        const char *suffix;
        CMUnitTestFunction run;
    } kinds[KINDS] = {{"killed", test_killed},
                      {"golden", test_golden},
                      {"resumed", test_resumed},
                      {"same_bits_unfused", test_same_bits_unfused}};
    static char names[DRILLS * KINDS][64];
    struct CMUnitTest tests[DRILLS * KINDS + 1];
    for (size_t i = 0; i < DRILLS * KINDS; i++) {
        const size_t kind = i / DRILLS, drill = i % DRILLS;
        snprintf(names[i], sizeof names[i], "%s_%s", drills[drill].name, kinds[kind].suffix);
        tests[i] = (struct CMUnitTest){.name = names[i], .test_func = kinds[kind].run};
    }
    tests[DRILLS * KINDS] =
        (struct CMUnitTest){.name = "dbnn_fused_updates", .test_func = test_fused_updates};
    return CHECK_MAIN(tests);
}
