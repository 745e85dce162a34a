/*
 * Pass precision: casts stand where the op rows say, masters, statistics and losses stay at f32,
 * and a small network in bf16 is close to the same in f32.
 */
#include "support/passes.h"

#include <stdlib.h>

#include "cupel/layers.h"
#include "cupel/program.h"

static const struct graph_node *nth(const struct passes *p, const char *op, int index) {
    return &p->c.list.nodes[passes_nth(p, op, index)];
}

static cupel_type operand_type(const struct passes *p, const struct graph_node *node, uint32_t i) {
    return compile_desc(&p->c, node->inputs[i])->type;
}

/* A training step with convolution, batch norm, dense layer, weighted loss and Adam. */
static void build_step(cupel_graph *graph, cupel_node *loss, cupel_node *logits) {
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(8, 1, 6, 6));
    const cupel_node labels = cupel_input_index(graph, "labels", CUPEL_SHAPE(8), 3);
    const cupel_node weight = cupel_input(graph, "weight", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node h = cupel_layer_conv2d(cupel_offset(x, -.5), "conv", 4, 3, NULL, NULL);
    h = cupel_relu(cupel_layer_batch_norm(h, "bn", true, .1, 1e-5));
    *logits = cupel_layer_dense(cupel_reshape(h, CUPEL_SHAPE(8, -1)), "fc", 3, NULL);
    const cupel_node error = cupel_reduce_mean(cupel_cross_entropy(*logits, labels), 1, false);
    const cupel_node size = cupel_reduce_mean(cupel_square(*logits), CUPEL_ALL_AXES, false);
    *loss = cupel_named(cupel_add(error, cupel_mul(weight, size)), "loss");
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(graph, "adam", &adam, rate, *loss, "");
}

static void open_step(struct passes *p, cupel_type real) {
    passes_open(p, "reference", real == CUPEL_TYPE_BF16 ? CUPEL_TYPE_F32 : real);
    p->options.real = real;
    cupel_node loss, logits;
    build_step(p->graph, &loss, &logits);
    passes_output(p, "loss", loss);
    passes_output(p, "logits", logits);
}

/* The rows, checked on every node of the compiled list. */
static void check_rows(const struct passes *p) {
    const cupel_type real = p->c.real;
    for (uint32_t id = 0; id < p->c.list.count; id++) {
        const struct graph_node *const node = &p->c.list.nodes[id];
        const cupel_op *const op = node->op;
        check_context("node %u, %s", id, node->name);
        for (uint32_t k = 0; k < node->n_outputs; k++)
            CHECK(node->outputs[k].type != CUPEL_TYPE_REAL);
        if (node_is_leaf(node) || strcmp(op->name, "cast") == 0)
            continue;
        const bool elementwise = op->flags & CUPEL_OP_ELEMENTWISE;
        for (uint32_t i = 0; i < node->n_inputs; i++) {
            const cupel_type type = operand_type(p, node, i);
            if (!cupel_type_is_real(type) || type == CUPEL_TYPE_F64)
                continue; /* labels and the F64 counter of updates are as they were typed */
            if (op->precision == CUPEL_PRECISION_WIDE)
                CHECK_I64(type, CUPEL_TYPE_F32);
            else if (op->precision == CUPEL_PRECISION_FOLLOW && !elementwise)
                CHECK_I64(type, real);
            else
                CHECK_I64(type, operand_type(p, node, 0));
        }
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (op->precision == CUPEL_PRECISION_WIDE)
                CHECK(node->outputs[k].type != CUPEL_TYPE_BF16);
    }
    check_context("%s", "");
}

static void f32_and_f64_programs_have_no_casts(void **state) {
    (void)state;
    struct passes p;
    open_step(&p, CUPEL_TYPE_F32);
    passes_run(&p, "precision");
    CHECK_I64(passes_count(&p, "cast"), 0);
    CHECK_I64(nth(&p, "conv2d", 0)->outputs[0].type, CUPEL_TYPE_F32);
    check_rows(&p);
    passes_close(&p);
    open_step(&p, CUPEL_TYPE_F64);
    passes_run(&p, "precision");
    CHECK_I64(passes_count(&p, "cast"), 0);
    CHECK_I64(nth(&p, "conv2d", 0)->outputs[0].type, CUPEL_TYPE_F64);
    passes_close(&p);
}

static void bf16_goes_where_the_rows_say(void **state) {
    (void)state;
    struct passes p;
    open_step(&p, CUPEL_TYPE_BF16);
    passes_run(&p, "precision");
    passes_check_list(&p);
    check_rows(&p);
    CHECK_I64(nth(&p, "conv2d", 0)->outputs[0].type, CUPEL_TYPE_BF16);
    CHECK_I64(nth(&p, "matmul", 0)->outputs[0].type, CUPEL_TYPE_BF16);
    CHECK_I64(nth(&p, "batch_norm_train", 0)->outputs[0].type, CUPEL_TYPE_F32);
    CHECK_I64(nth(&p, "adam_update", 0)->outputs[0].type, CUPEL_TYPE_F32);
    for (size_t i = 0; i < p.c.n_roots; i++) /* what the host reads */
        CHECK_I64(compile_desc(&p.c, p.c.roots[i].edge)->type, CUPEL_TYPE_F32);
    CHECK_STRING(passes_root_op(&p, 1), "cast"); /* the logits */
    passes_close(&p);
}

static void masters_inputs_constants_and_losses_stay_wide(void **state) {
    (void)state;
    struct passes p;
    open_step(&p, CUPEL_TYPE_BF16);
    passes_run(&p, "precision");
    for (uint32_t i = 0; i < p.c.list.count; i++) {
        const struct graph_node *const node = &p.c.list.nodes[i];
        if (node_is_leaf(node))
            CHECK(node->outputs[0].type != CUPEL_TYPE_BF16);
        /* running statistics: every value on the way to an assign */
        if (strcmp(node->op->name, "assign") == 0)
            CHECK(strcmp(p.c.list.nodes[node->inputs[1].node].op->name, "cast") != 0);
    }
    /* error + weight * size */
    const struct graph_node *const sum = &p.c.list.nodes[p.c.roots[0].edge.node];
    CHECK_STRING(sum->name, "loss");
    CHECK_I64(sum->outputs[0].type, CUPEL_TYPE_F32);
    CHECK_I64(operand_type(&p, sum, 0), CUPEL_TYPE_F32);
    passes_close(&p);
}

static void a_constant_is_rounded_where_it_is_used(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    p.options.real = CUPEL_TYPE_BF16;
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 2));
    const cupel_node third = cupel_scalar(p.graph, 1. / 3);
    passes_output(&p, "low", cupel_mul(cupel_matmul(x, x, false, false), third));
    passes_output(&p, "wide", cupel_mul(cupel_softmax(x, 1), third));
    passes_run(&p, "precision");
    const struct graph_node *const low = nth(&p, "mul", 0), *const wide = nth(&p, "mul", 1);
    CHECK_I64(operand_type(&p, low, 1), CUPEL_TYPE_BF16);
    CHECK_STRING(p.c.list.nodes[low->inputs[1].node].op->name, "cast");
    CHECK_I64(operand_type(&p, wide, 1), CUPEL_TYPE_F32);
    CHECK_STRING(p.c.list.nodes[wide->inputs[1].node].op->name, "constant");
    passes_close(&p);
}

static void moves_keep_the_type_of_what_they_move(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    p.options.real = CUPEL_TYPE_BF16;
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 2));
    const cupel_node index = cupel_input_index(p.graph, "i", CUPEL_SHAPE(3), 2);
    const cupel_node low = cupel_matmul(x, x, false, false);
    passes_output(&p, "a", cupel_gather(x, index));
    passes_output(&p, "b", cupel_gather(low, index));
    passes_output(&p, "c", cupel_concat(2, (const cupel_node[]){low, x}, 0));
    passes_run(&p, "precision");
    CHECK_I64(nth(&p, "gather", 0)->outputs[0].type, CUPEL_TYPE_F32);
    CHECK_I64(nth(&p, "gather", 1)->outputs[0].type, CUPEL_TYPE_BF16);
    CHECK_I64(nth(&p, "concat", 0)->outputs[0].type, CUPEL_TYPE_BF16);
    CHECK_I64(operand_type(&p, nth(&p, "concat", 0), 1), CUPEL_TYPE_BF16);
    passes_close(&p);
}

static void masters_must_have_the_programs_wide_type(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    p.options.real = CUPEL_TYPE_F64;
    passes_output(&p, "y", cupel_parameter(p.graph, "w", CUPEL_SHAPE(2), (cupel_init){0}));
    passes_begin(&p);
    CHECK_STATUS(pass_precision(&p.c), CUPEL_STATUS_TYPE);
    CHECK_CONTAINS(p.error.text, "f64 needs parameters of type f64; these are f32");
    passes_close(&p);
}

/* --- a network in bf16 --- */

static void run_step(cupel_type real, bool reference, const char *device, int steps, double *losses,
                     double *logits) {
    struct passes p;
    passes_open(&p, device, CUPEL_TYPE_F32);
    cupel_node loss, out;
    build_step(p.graph, &loss, &out);
    const cupel_output outputs[] = {{"L", loss}, {"logits", out}};
    const cupel_compile_options options = {
        .outputs = outputs, .n_outputs = 2, .real = real, .reference = reference};
    cupel_program *program = NULL;
    cupel_workspace *workspace = NULL;
    cupel_bindings *bindings = NULL;
    CHECK_OK_TEXT(cupel_program_compile(&program, p.graph, &options), cupel_graph_error(p.graph));
    CHECK_OK(cupel_workspace_create(&workspace, p.context));
    CHECK_OK(cupel_workspace_reserve(workspace, program));
    CHECK_OK(cupel_bindings_create(&bindings, program));
    float x[8 * 36];
    int64_t labels[8];
    for (int i = 0; i < 8 * 36; i++)
        x[i] = (float)((i * 37 + i / 36 * 11) % 97) / 97.0f;
    for (int i = 0; i < 8; i++)
        labels[i] = i % 3;
    CHECK_OK(cupel_bindings_write(bindings, "x", x, sizeof x));
    CHECK_OK(cupel_bindings_write(bindings, "labels", labels, sizeof labels));
    CHECK_OK(cupel_bindings_write_scalar(bindings, "weight", .01));
    CHECK_OK(cupel_bindings_write_scalar(bindings, "rate", 1e-2));
    for (int s = 0; s < steps; s++) {
        CHECK_OK_TEXT(cupel_program_run(program, bindings, workspace, NULL),
                      cupel_program_error(program));
        CHECK_OK(cupel_bindings_read_scalar(bindings, "L", &losses[s]));
    }
    float values[24];
    CHECK_OK(cupel_bindings_read(bindings, "logits", values, sizeof values));
    for (int i = 0; i < 24; i++)
        logits[i] = (double)values[i];
    CHECK_OK(cupel_bindings_destroy(bindings));
    CHECK_OK(cupel_workspace_destroy(workspace));
    CHECK_OK(cupel_program_destroy(program));
    passes_close(&p);
}

/* bf16 keeps 8 bits of a number: 0.4 % at each rounding, a few of which meet in a logit. */
static void a_network_in_bf16_is_close_to_f32(void **state) {
    (void)state;
    enum { STEPS = 6 };
    static const char *const devices[] = {"reference", "cpu"};
    double losses[STEPS], logits[24];
    run_step(CUPEL_TYPE_F32, true, "reference", STEPS, losses, logits);
    CHECK(losses[STEPS - 1] < losses[0] - .1); /* it learns */
    for (int d = 0; d < 2; d++)
        for (int reference = 0; reference < 2; reference++) {
            double low_losses[STEPS], low_logits[24];
            check_context("device %s, reference %d", devices[d], reference);
            run_step(CUPEL_TYPE_BF16, reference, devices[d], STEPS, low_losses, low_logits);
            bool differs = false;
            for (int s = 0; s < STEPS; s++)
                CHECK_NEAR(low_losses[s], losses[s], .02 * losses[0]);
            for (int i = 0; i < 24; i++) {
                CHECK_NEAR(low_logits[i], logits[i], .06);
                differs = differs || low_logits[i] != logits[i];
            }
            CHECK(differs); /* it did compute in bf16 */
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_and_f64_programs_have_no_casts),
        cmocka_unit_test(bf16_goes_where_the_rows_say),
        cmocka_unit_test(masters_inputs_constants_and_losses_stay_wide),
        cmocka_unit_test(a_constant_is_rounded_where_it_is_used),
        cmocka_unit_test(moves_keep_the_type_of_what_they_move),
        cmocka_unit_test(masters_must_have_the_programs_wide_type),
        cmocka_unit_test(a_network_in_bf16_is_close_to_f32),
    };
    return CHECK_MAIN(tests);
}
