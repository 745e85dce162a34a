/*
 * Ten steps of every optimiser against torch.optim: parameters and losses after each step of a
 * small regression with a changing learning rate (golden/optimizers.safetensors;
 * tools/golden/optimizers.py has the problem).
 */
#include "support/golden.h"

#include <stdlib.h>

enum { STEPS = 10, SAMPLES = 5, INPUTS = 3, OUTPUTS = 4 };

static const char *const cases[] = {
    "sgd_update:plain",      "sgd_update:decay",
    "sgd_update:momentum",   "sgd_update:momentum_decay",
    "sgd_update:nesterov",   "adam_update:plain",
    "adam_update:decay",     "adam_update:betas",
    "adam_update:decoupled", "adam_update:decoupled_betas",
};
enum { CASES = sizeof cases / sizeof cases[0] };

static cupel_optimizer optimizer_of(const cupel_tensor *p) {
    cupel_optimizer optimizer = cupel_optimizer_defaults((cupel_optimizer_kind)golden_at(p, 0));
    optimizer.momentum = golden_at(p, 1);
    optimizer.nesterov = golden_at(p, 2) != 0;
    optimizer.beta1 = golden_at(p, 3);
    optimizer.beta2 = golden_at(p, 4);
    optimizer.epsilon = golden_at(p, 5);
    optimizer.weight_decay = golden_at(p, 6);
    return optimizer;
}

/* The sum of r^2 + 0.1 r^4 with r = x w + b - t, and its update. */
static cupel_node build(cupel_graph *graph, const cupel_optimizer *optimizer) {
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(SAMPLES, INPUTS));
    const cupel_node t = cupel_input(graph, "t", CUPEL_TYPE_REAL, CUPEL_SHAPE(SAMPLES, OUTPUTS));
    const cupel_node w = cupel_parameter(graph, "w", CUPEL_SHAPE(INPUTS, OUTPUTS), zeros);
    const cupel_node b = cupel_parameter(graph, "b", CUPEL_SHAPE(OUTPUTS), zeros);
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node r = cupel_sub(cupel_add(cupel_matmul(x, w, false, false), b), t);
    const cupel_node square = cupel_square(r);
    const cupel_node terms = cupel_add(square, cupel_scale(cupel_square(square), 0.1));
    const cupel_node loss = cupel_reduce_sum(terms, CUPEL_ALL_AXES, false);
    cupel_optimizer_minimize(graph, "optimizer", optimizer, rate, loss, "");
    return loss;
}

static void fill(cupel_parameters *parameters, const char *variable, const char *name, int rank,
                 size_t count) {
    double values[INPUTS * OUTPUTS];
    float narrow[INPUTS * OUTPUTS];
    golden_uniform_fill(name, values, count);
    const double scale = rank >= 2 ? 1.5 / sqrt((double)OUTPUTS) : 0.1;
    for (size_t i = 0; i < count; i++) {
        narrow[i] = (float)((2.0 * values[i] - 1.0) * scale);
        values[i] = (double)narrow[i];
    }
    if (cupel_parameters_real(parameters) == CUPEL_TYPE_F64)
        CHECK_OK(cupel_parameters_write(parameters, variable, values, count * sizeof values[0]));
    else
        CHECK_OK(cupel_parameters_write(parameters, variable, narrow, count * sizeof narrow[0]));
}

static void run_case(const cupel_tensors *golden, const char *name, struct golden_way way) {
    check_context("%s, %s", name, golden_way_text(way));
    /* Ten updates in f32 add a few roundings of 6e-8 each, relative to parameters of about 1;
     * Adam's division by the root of the second moment doubles them where gradients are small. */
    const double tolerance = way.real == CUPEL_TYPE_F64 ? 1e-12 : 1e-5;
    struct golden_machine machine;
    golden_machine_open(&machine, way, 1);
    cupel_graph *const graph = golden_graph(&machine);
    const cupel_optimizer optimizer = optimizer_of(golden_get(golden, "%s/p", name));
    const cupel_output outputs[] = {{"loss", build(graph, &optimizer)}};
    struct golden_program program;
    golden_compile(&program, &machine, graph, "train", 1, outputs);
    char w_name[64], b_name[64];
    snprintf(w_name, sizeof w_name, "%s.w", name);
    snprintf(b_name, sizeof b_name, "%s.b", name);
    fill(machine.parameters, "w", w_name, 2, INPUTS * OUTPUTS);
    fill(machine.parameters, "b", b_name, 1, OUTPUTS);
    double x[SAMPLES * INPUTS], t[SAMPLES * OUTPUTS];
    golden_uniform_fill("optimizers.x", x, SAMPLES * INPUTS);
    golden_uniform_fill("optimizers.t", t, SAMPLES * OUTPUTS);
    golden_write(&program, "x", x, SAMPLES * INPUTS);
    golden_write(&program, "t", t, SAMPLES * OUTPUTS);
    for (size_t step = 0; step < STEPS; step++) {
        golden_write_scalar(&program, "rate",
                            golden_at(golden_get(golden, "%s/rates", name), step));
        golden_run(&program);
        golden_compare_number("loss", golden_output_scalar(&program, "loss"),
                              golden_at(golden_get(golden, "%s/losses", name), step), tolerance);
        double *const w = golden_variable(machine.parameters, "w", NULL);
        double *const b = golden_variable(machine.parameters, "b", NULL);
        golden_compare("w", w, INPUTS * OUTPUTS, golden_get(golden, "%s/w", name),
                       step * INPUTS * OUTPUTS, tolerance);
        golden_compare("b", b, OUTPUTS, golden_get(golden, "%s/b", name), step * OUTPUTS,
                       tolerance);
        free(w);
        free(b);
    }
    golden_program_close(&program);
    golden_machine_close(&machine);
}

static void test_case(void **state) {
    cupel_tensors *const golden = golden_read("optimizers.safetensors");
    for (int way = 0; way < GOLDEN_WAYS; way++)
        run_case(golden, *state, golden_ways[way]);
    cupel_tensors_destroy(golden);
}

/* No case in the file is left out. */
static void test_every_case_is_run(void **state) {
    (void)state;
    cupel_tensors *const golden = golden_read("optimizers.safetensors");
    size_t found = 0;
    for (size_t i = 0; i < cupel_tensors_count(golden); i++)
        found += strstr(cupel_tensors_at(golden, i)->name, "/losses") != NULL;
    CHECK_U64(found, CASES);
    cupel_tensors_destroy(golden);
}

int main(int argc, char **argv) {
    struct CMUnitTest tests[CASES + 1];
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){.name = cases[i], .test_func = test_case};
    tests[CASES] = (struct CMUnitTest)cmocka_unit_test(test_every_case_is_run);
    return CHECK_MAIN(tests);
}
