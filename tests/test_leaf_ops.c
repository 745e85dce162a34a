/*
 * The ops without arithmetic, whose expected values are plain to see: input, constant, variable,
 * assign and guard, on every device and type.
 */
#include "support/golden.h"

#include <stdlib.h>

/* Runs `test` on every way. */
static void everywhere(void (*test)(struct golden_machine *)) {
    for (int way = 0; way < GOLDEN_WAYS; way++) {
        check_context("%s", golden_way_text(golden_ways[way]));
        struct golden_machine machine;
        golden_machine_open(&machine, golden_ways[way], 1);
        test(&machine);
        golden_machine_close(&machine);
    }
}

static void expect(struct golden_program *program, const char *output, const double *expected,
                   size_t count) {
    size_t n = 0;
    double *const values = golden_output(program, output, &n);
    CHECK_U64(n, count);
    for (size_t i = 0; i < n; i++)
        CHECK_F64(values[i], expected[i]);
    free(values);
}

/* An output that is an input gives back what was written, whatever the number. */
static void input_passes_through(struct golden_machine *machine) {
    cupel_graph *const graph = golden_graph(machine);
    const cupel_output outputs[] = {
        {"real", cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 3))},
        {"index", cupel_input_index(graph, "i", CUPEL_SHAPE(2), 7)},
        {"scalar", cupel_input(graph, "s", CUPEL_TYPE_REAL, cupel_shape_scalar())},
    };
    struct golden_program program;
    golden_compile(&program, machine, graph, "input", 3, outputs);
    const double x[] = {0.0, -1.5, INFINITY, NAN, 0x1p-20, 3.0}, i[] = {6, 0}, s[] = {-7};
    golden_write(&program, "x", x, 6);
    golden_write(&program, "i", i, 2);
    golden_write_scalar(&program, "s", s[0]);
    golden_run(&program);
    expect(&program, "real", x, 6);
    expect(&program, "index", i, 2);
    expect(&program, "scalar", s, 1);
    golden_program_close(&program);
}
static void test_input_passes_through(void **state) {
    (void)state;
    everywhere(input_passes_through);
}

/* A scalar input of any type takes a number that the type has, and refuses one that it has not. */
static void scalars_of_every_type(struct golden_machine *machine) {
    static const struct {
        const char *name, *output;
        cupel_type type;
        double fits, too_small, too_large;
    } scalars[] = {
        {"i32", "i32_read", CUPEL_TYPE_I32, -0x1p31, -0x1p31 - 1, 0x1p31},
        {"i64", "i64_read", CUPEL_TYPE_I64, -0x1p63, -0x1p64, 0x1p63},
        {"u8", "u8_read", CUPEL_TYPE_U8, 255, -1, 256},
        {"u64", "u64_read", CUPEL_TYPE_U64, 0x1p63, -1, 0x1p64},
    };
    enum { N = sizeof scalars / sizeof *scalars };
    cupel_graph *const graph = golden_graph(machine);
    cupel_output outputs[N];
    for (int i = 0; i < N; i++)
        outputs[i] =
            (cupel_output){scalars[i].output, cupel_input(graph, scalars[i].name, scalars[i].type,
                                                          cupel_shape_scalar())};
    struct golden_program program;
    golden_compile(&program, machine, graph, "scalars", N, outputs);
    for (int i = 0; i < N; i++) {
        const double wrong[] = {scalars[i].too_small, scalars[i].too_large, 0.5, NAN, INFINITY};
        golden_write_scalar(&program, scalars[i].name, scalars[i].fits);
        for (int k = 0; k < 5; k++)
            CHECK_STATUS(cupel_bindings_write_scalar(program.bindings, scalars[i].name, wrong[k]),
                         CUPEL_STATUS_INVALID_ARGUMENT);
    }
    golden_run(&program);
    for (int i = 0; i < N; i++) {
        double read = 0;
        expect(&program, scalars[i].output, &scalars[i].fits, 1);
        CHECK_OK(cupel_bindings_read_scalar(program.bindings, scalars[i].output, &read));
        CHECK_F64(read, scalars[i].fits);
    }
    golden_program_close(&program);
}
/* Whole numbers go to integer inputs of one element, by value and never by their bytes. */
static void whole_numbers(struct golden_machine *machine) {
    static const struct {
        const char *name, *output;
        cupel_type type;
        uint64_t fits, too_large;
    } rows[] = {
        {"i32", "i32_read", CUPEL_TYPE_I32, INT32_MAX, (uint64_t)INT32_MAX + 1},
        {"i64", "i64_read", CUPEL_TYPE_I64, UINT64_C(1) << 40, UINT64_C(1) << 63},
        {"u8", "u8_read", CUPEL_TYPE_U8, 255, 256},
        {"u64", "u64_read", CUPEL_TYPE_U64, UINT64_C(1) << 63, 0},
    };
    enum { N = sizeof rows / sizeof *rows };
    cupel_graph *const graph = golden_graph(machine);
    cupel_output outputs[N + 2];
    for (int i = 0; i < N; i++)
        outputs[i] = (cupel_output){
            rows[i].output, cupel_input(graph, rows[i].name, rows[i].type, cupel_shape_scalar())};
    outputs[N] =
        (cupel_output){"eight_read", cupel_input(graph, "eight", CUPEL_TYPE_U8, CUPEL_SHAPE(8))};
    outputs[N + 1] =
        (cupel_output){"pair_read", cupel_input(graph, "pair", CUPEL_TYPE_F32, CUPEL_SHAPE(2))};
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_F64, cupel_shape_scalar());
    cupel_guard(rate);
    struct golden_program program;
    golden_compile(&program, machine, graph, "whole", N + 2, outputs);
    cupel_bindings *const bindings = program.bindings;
    for (int i = 0; i < N; i++) {
        CHECK_OK(cupel_bindings_write_u64(bindings, rows[i].name, rows[i].fits));
        if (rows[i].too_large)
            CHECK_STATUS(cupel_bindings_write_u64(bindings, rows[i].name, rows[i].too_large),
                         CUPEL_STATUS_INVALID_ARGUMENT);
    }
    CHECK_STATUS(cupel_bindings_write_u64(bindings, "rate", 3), CUPEL_STATUS_TYPE);
    CHECK_CONTAINS(cupel_bindings_error(bindings), "'rate' of program whole is f64");
    CHECK_STATUS(cupel_bindings_write_u64(bindings, "eight", 3), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_bindings_error(bindings), "'eight' of program whole is [8]");
    CHECK_STATUS(cupel_bindings_write_scalar(bindings, "pair", 3), CUPEL_STATUS_SHAPE);
    CHECK_STATUS(cupel_bindings_write_u64(bindings, "nobody", 3), CUPEL_STATUS_NAME);
    golden_write_scalar(&program, "rate", 1);
    golden_run(&program);
    double read = 0;
    for (int i = 0; i < N; i++) {
        CHECK_OK(cupel_bindings_read_scalar(bindings, rows[i].output, &read));
        CHECK_F64(read, (double)rows[i].fits);
    }
    CHECK_STATUS(cupel_bindings_read_scalar(bindings, "eight_read", &read), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_bindings_error(bindings), "'eight_read' of program whole is [8]");
    CHECK_STATUS(cupel_bindings_read_scalar(bindings, "pair_read", &read), CUPEL_STATUS_SHAPE);
    CHECK_STATUS(cupel_bindings_read_scalar(bindings, "nobody", &read), CUPEL_STATUS_NAME);
    golden_program_close(&program);
}
static void test_whole_numbers(void **state) {
    (void)state;
    everywhere(whole_numbers);
}

static void test_scalars_of_every_type(void **state) {
    (void)state;
    everywhere(scalars_of_every_type);
}

static void constant_holds_its_data(struct golden_machine *machine) {
    cupel_graph *const graph = golden_graph(machine);
    const double reals[] = {0.5, -2.0, 1e30, -0.0, 3.0, 0x1p-30}, full[] = {1.25, 1.25, 1.25};
    const int64_t indices[] = {4, -1, INT64_C(1) << 40};
    const double indices_read[] = {4, -1, 0x1p40}, scalar[] = {-0.75};
    const cupel_output outputs[] = {
        {"reals", cupel_constant(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2), reals)},
        {"indices", cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), indices)},
        {"full", cupel_full(graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), full[0])},
        {"scalar", cupel_scalar(graph, scalar[0])},
    };
    struct golden_program program;
    golden_compile(&program, machine, graph, "constant", 4, outputs);
    golden_run(&program);
    const double reals_read[] = {
        0.5, -2.0, machine->way.real == CUPEL_TYPE_F64 ? 1e30 : (double)1e30f, 0.0, 3.0, 0x1p-30};
    expect(&program, "reals", reals_read, 6);
    expect(&program, "indices", indices_read, 3);
    expect(&program, "full", full, 3);
    expect(&program, "scalar", scalar, 1);
    golden_program_close(&program);
}
/* What a constant cannot hold is refused, not wrapped. */
static void test_constants_refused(void **state) {
    (void)state;
    const struct {
        cupel_type type;
        double value;
    } rows[] = {{CUPEL_TYPE_U8, 300},   {CUPEL_TYPE_U8, -1},    {CUPEL_TYPE_I32, 1e12},
                {CUPEL_TYPE_I64, 1e30}, {CUPEL_TYPE_I64, NAN},  {CUPEL_TYPE_U64, -1},
                {CUPEL_TYPE_U8, 255},   {CUPEL_TYPE_F32, 1e30}, {CUPEL_TYPE_I32, -0x1p31}};
    cupel_context *context;
    CHECK_OK(cupel_context_create(&context, NULL));
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        cupel_graph *graph;
        CHECK_OK(cupel_graph_create(&graph, context, NULL));
        if (i == sizeof rows / sizeof *rows)
            cupel_constant(graph, CUPEL_TYPE_F32, CUPEL_SHAPE(2), NULL);
        else
            cupel_full(graph, rows[i].type, cupel_shape_scalar(), rows[i].value);
        const bool fits = i >= 6 && i < 9;
        CHECK_STATUS(cupel_graph_check(graph),
                     fits ? CUPEL_STATUS_OK : CUPEL_STATUS_INVALID_ARGUMENT);
        CHECK_OK(cupel_graph_destroy(graph));
    }
    CHECK_OK(cupel_context_destroy(context));
}

static void test_constant_holds_its_data(void **state) {
    (void)state;
    everywhere(constant_holds_its_data);
}

/* Two variables swapped, and one counted up and read after its assign was written down: every read
 * sees the value from before the run. */
static void variables_read_before_assign(struct golden_machine *machine) {
    cupel_graph *const graph = golden_graph(machine);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node a = cupel_parameter(graph, "a", CUPEL_SHAPE(3), zeros);
    const cupel_node b = cupel_state(graph, "b", CUPEL_TYPE_REAL, CUPEL_SHAPE(3), zeros);
    const cupel_node n =
        cupel_training_state(graph, "n", CUPEL_TYPE_REAL, cupel_shape_scalar(), zeros);
    cupel_assign(a, b);
    cupel_assign(b, a);
    const cupel_node next = cupel_offset(n, 1.0);
    cupel_assign(n, next);
    const cupel_output outputs[] = {{"a", a}, {"b", b}, {"n", n}, {"next", next}};
    struct golden_program program;
    golden_compile(&program, machine, graph, "variable", 4, outputs);
    const double ones[] = {1, 2, 3}, zero[] = {0, 0, 0};
    const float narrow[] = {1, 2, 3};
    const bool wide = machine->way.real == CUPEL_TYPE_F64;
    CHECK_OK(cupel_parameters_write(machine->parameters, "a",
                                    wide ? (const void *)ones : (const void *)narrow,
                                    wide ? sizeof ones : sizeof narrow));
    for (int run = 0; run < 4; run++) {
        golden_run(&program);
        expect(&program, "a", run % 2 == 0 ? ones : zero, 3);
        expect(&program, "b", run % 2 == 0 ? zero : ones, 3);
        CHECK_F64(golden_output_scalar(&program, "n"), run);
        CHECK_F64(golden_output_scalar(&program, "next"), run + 1);
    }
    double *const count = golden_variable(machine->parameters, "n", NULL);
    CHECK_F64(*count, 4);
    free(count);
    golden_program_close(&program);
}
static void test_variables_read_before_assign(void **state) {
    (void)state;
    everywhere(variables_read_before_assign);
}

/* A guard lets finite numbers pass; NaN and infinities stop the run, which changes no variable. */
static void guard_stops(struct golden_machine *machine) {
    cupel_graph *const graph = golden_graph(machine);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node n = cupel_state(graph, "n", CUPEL_TYPE_REAL, cupel_shape_scalar(), zeros);
    cupel_guard(cupel_scale(x, 2.0));
    cupel_assign(n, cupel_offset(n, 1.0));
    struct golden_program program;
    golden_compile(&program, machine, graph, "guard", 0, NULL);
    const double values[] = {1.0, NAN, -3.0, INFINITY, -INFINITY, 0.0};
    const double counts[] = {1, 1, 2, 2, 2, 3};
    for (int i = 0; i < 6; i++) {
        golden_write_scalar(&program, "x", values[i]);
        CHECK_STATUS(cupel_program_run(program.program, program.bindings, program.workspace, NULL),
                     isfinite(values[i]) ? CUPEL_STATUS_OK : CUPEL_STATUS_NOT_FINITE);
        if (!isfinite(values[i]))
            CHECK_CONTAINS(cupel_program_error(program.program), "not finite");
        double *const count = golden_variable(machine->parameters, "n", NULL);
        CHECK_F64(*count, counts[i]);
        free(count);
    }
    golden_program_close(&program);
}
static void test_guard_stops(void **state) {
    (void)state;
    everywhere(guard_stops);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_passes_through),
        cmocka_unit_test(test_scalars_of_every_type),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_constant_holds_its_data),
        cmocka_unit_test(test_constants_refused),
        cmocka_unit_test(test_variables_read_before_assign),
        cmocka_unit_test(test_guard_stops),
    };
    return CHECK_MAIN(tests);
}
