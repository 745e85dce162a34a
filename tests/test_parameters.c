/*
 * Parameters: declared by get-or-create, initialised by (seed, name) at the first compile, read,
 * written, saved and loaded by name.
 */
#include "support/check.h"

#include <stdlib.h>

#include <cupel/ops.h>
#include <cupel/program.h>

static cupel_context *context;
static cupel_parameters *set;
static cupel_graph *graph;

static const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};

static int open_set(void **state) {
    check_state()->test = *state;
    CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.device = "reference"}));
    CHECK_OK(cupel_parameters_create(&set, context, CUPEL_TYPE_F32, 7));
    CHECK_OK(cupel_graph_create(&graph, context, set));
    return 0;
}

static int close_set(void **state) {
    (void)state;
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_parameters_destroy(set));
    CHECK_OK(cupel_context_destroy(context));
    return 0;
}

static cupel_node declare(const char *name, cupel_shape shape, cupel_init init) {
    return cupel_parameter(graph, name, shape, init);
}

/* Another graph on the same set. */
static cupel_graph *another(void) {
    cupel_graph *other = NULL;
    CHECK_OK(cupel_graph_create(&other, context, set));
    return other;
}

static void expect_values(const char *name, const float *expected, size_t count) {
    float values[16];
    CHECK(count <= 16);
    CHECK_OK_TEXT(cupel_parameters_read(set, name, values, count * sizeof *values),
                  cupel_parameters_error(set));
    for (size_t i = 0; i < count; i++)
        CHECK_F64(values[i], expected[i]);
}

/* --- declaring --- */

static void asking_again_gives_the_same(void **state) {
    (void)state;
    const cupel_node a = declare("w", CUPEL_SHAPE(2, 3), zeros);
    CHECK_U64(declare("w", CUPEL_SHAPE(2, 3), zeros).id, a.id); /* one node a graph */
    CHECK_U64(cupel_variable(graph, "w").id, a.id);
    cupel_graph *const other = another();
    CHECK(!cupel_is_poisoned(cupel_parameter(other, "w", CUPEL_SHAPE(2, 3), zeros)));
    CHECK_OK(cupel_graph_destroy(other));
    CHECK_U64(cupel_parameters_count(set), 1);
    CHECK_U64(cupel_parameters_find(set, "w"), 0);
    CHECK_U64(cupel_parameters_find(set, "nobody"), SIZE_MAX);
    const cupel_parameter_info info = cupel_parameters_info(set, 0);
    CHECK_STRING(info.name, "w");
    CHECK_I64(info.type, CUPEL_TYPE_F32);
    CHECK(info.trainable && cupel_shape_equal(info.shape, CUPEL_SHAPE(2, 3)));
    CHECK(cupel_parameters_info(set, 1).name == NULL);
}

static void a_clash_poisons(void **state) {
    (void)state;
    declare("w", CUPEL_SHAPE(2, 3), zeros);
    CHECK(cupel_is_poisoned(declare("w", CUPEL_SHAPE(3, 2), zeros)));
    CHECK_STATUS(cupel_graph_check(graph), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_graph_error(graph),
                   "'w' was declared as f32 [2, 3] and is asked for as f32 [3, 2]");
    cupel_graph *const other = another(); /* which has no error yet */
    cupel_state(other, "w", CUPEL_TYPE_I64, CUPEL_SHAPE(2, 3), zeros);
    CHECK_STATUS(cupel_graph_check(other), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_graph_error(other), "asked for as i64 [2, 3]");
    CHECK_OK(cupel_graph_destroy(other));
}

static void scopes_keep_networks_apart(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        cupel_graph_enter(graph, i ? "debiased" : "biased");
        declare("conv.weight", CUPEL_SHAPE(1 + i), zeros);
        cupel_graph_leave(graph);
    }
    cupel_state(graph, "biased.mean", CUPEL_TYPE_REAL, CUPEL_SHAPE(4), zeros);
    CHECK_U64(cupel_parameters_find(set, "biased.conv.weight"), 0);
    CHECK_U64(cupel_parameters_find(set, "debiased.conv.weight"), 1);
    cupel_node nodes[3];
    CHECK_U64(cupel_graph_trainable(graph, "", 3, nodes), 2);
    CHECK_STRING(cupel_node_name(nodes[1]), "debiased.conv.weight");
    CHECK_U64(cupel_graph_trainable(graph, "biased.", 3, nodes), 1);
    CHECK_STRING(cupel_node_name(nodes[0]), "biased.conv.weight");
    CHECK_U64(cupel_graph_trainable(graph, "nobody.", 3, nodes), 0);
    CHECK_U64(cupel_graph_trainable(graph, "", 0, NULL), 2);
    cupel_graph *const other = another(); /* reads nothing, so it trains nothing */
    CHECK_U64(cupel_graph_trainable(other, "", 3, nodes), 0);
    CHECK_OK(cupel_graph_destroy(other));
}

static void masters_are_f32_or_f64(void **state) {
    (void)state;
    cupel_parameters *other = NULL;
    CHECK_STATUS(cupel_parameters_create(&other, context, CUPEL_TYPE_BF16, 1), CUPEL_STATUS_TYPE);
    CHECK(other == NULL);
    CHECK_CONTAINS(cupel_context_error(context), "not bf16");
    CHECK_I64(cupel_parameters_real(set), CUPEL_TYPE_F32);
}

/* --- sealing --- */

static cupel_status compile(cupel_graph *of, const char *output_name, cupel_node y) {
    cupel_program *program = NULL;
    const cupel_output output = {output_name, y};
    const cupel_compile_options options = {.outputs = &output, .n_outputs = 1};
    const cupel_status status = cupel_program_compile(&program, of, &options);
    CHECK_OK(cupel_program_destroy(program));
    return status;
}

static void the_first_compile_seals(void **state) {
    (void)state;
    const cupel_node w = declare("w", CUPEL_SHAPE(2), (cupel_init){.kind = CUPEL_INIT_ONES});
    float values[2];
    CHECK_STATUS(cupel_parameters_read(set, "w", values, sizeof values), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_parameters_error(set), "before the set is sealed");
    CHECK_U64(cupel_parameters_info(set, 0).version, 0);
    CHECK_OK(compile(graph, "y", cupel_exp(w)));
    expect_values("w", (const float[]){1, 1}, 2);
    CHECK_U64(cupel_parameters_info(set, 0).version, 1);
    CHECK(cupel_is_poisoned(declare("v", CUPEL_SHAPE(2), zeros)));
    CHECK_STATUS(cupel_graph_check(graph), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_graph_error(graph), "no parameter 'v'");
    CHECK_U64(cupel_parameters_count(set), 1);
    cupel_graph *const other = another();
    CHECK(!cupel_is_poisoned(cupel_parameter(other, "w", CUPEL_SHAPE(2), zeros)));
    CHECK(cupel_is_poisoned(cupel_variable(other, "u")));
    CHECK_OK(cupel_graph_destroy(other));
    CHECK_OK(cupel_parameters_seal(set)); /* again is nothing */
    expect_values("w", (const float[]){1, 1}, 2);
}

static void a_refused_graph_leaves_the_set_open(void **state) {
    (void)state;
    const cupel_node w = declare("w", CUPEL_SHAPE(2), zeros);
    CHECK_STATUS(compile(graph, "", cupel_exp(w)), CUPEL_STATUS_NAME);
    CHECK(!cupel_is_poisoned(declare("v", CUPEL_SHAPE(2), zeros)));
    CHECK_OK(compile(graph, "y", cupel_exp(w)));
}

/* --- initial values --- */

enum { MANY = 4096 };

static void statistics(const char *name, double *mean, double *deviation, double *largest) {
    static float values[MANY];
    CHECK_OK(cupel_parameters_read(set, name, values, sizeof values));
    double sum = 0, squares = 0;
    *largest = 0;
    for (int i = 0; i < MANY; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        *largest = fabs((double)values[i]) > *largest ? fabs((double)values[i]) : *largest;
    }
    *mean = sum / MANY;
    *deviation = sqrt(squares / MANY - *mean * *mean);
}

/* [out 64, in 16, 2, 2]: fan in 64, fan out 256. Means and deviations of 4096 draws are within five
 * standard errors, and no uniform draw beyond its bound. */
static void initialisers_have_their_distributions(void **state) {
    (void)state;
    static const struct {
        const char *name;
        cupel_init init;
        double mean, deviation, bound; /* bound 0: normal */
    } rows[] = {
        {"uniform", {.kind = CUPEL_INIT_UNIFORM, .a = -1, .b = 3}, 1, 1.1547005, 3},
        {"normal", {.kind = CUPEL_INIT_NORMAL, .a = 2, .b = .5}, 2, .5, 0},
        {"torch", {.kind = CUPEL_INIT_TORCH}, 0, .125 / 1.7320508, .125},
        {"torch_bias", {.kind = CUPEL_INIT_TORCH, .fan_in = 16}, 0, .25 / 1.7320508, .25},
        {"he_normal", {.kind = CUPEL_INIT_HE_NORMAL}, 0, .17677670, 0},
        {"he_uniform", {.kind = CUPEL_INIT_HE_UNIFORM}, 0, .17677670, .30618622},
        {"glorot_normal", {.kind = CUPEL_INIT_GLOROT_NORMAL}, 0, .07905694, 0},
        {"glorot_uniform", {.kind = CUPEL_INIT_GLOROT_UNIFORM}, 0, .07905694, .13693064},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    for (int i = 0; i < ROWS; i++)
        declare(rows[i].name, CUPEL_SHAPE(64, 16, 2, 2), rows[i].init);
    CHECK_OK(cupel_parameters_seal(set));
    for (int i = 0; i < ROWS; i++) {
        check_context("%s", rows[i].name);
        double mean, deviation, largest;
        statistics(rows[i].name, &mean, &deviation, &largest);
        CHECK_NEAR(mean, rows[i].mean, 5 * rows[i].deviation / 64);
        CHECK_NEAR(deviation, rows[i].deviation, 5 * rows[i].deviation / 90);
        if (rows[i].bound > 0) {
            CHECK(largest <= rows[i].bound * 1.0000001);
            CHECK(largest >= rows[i].bound * .99);
        }
    }
}

static void constants_are_exact_in_every_type(void **state) {
    (void)state;
    static const struct {
        const char *name;
        cupel_type type;
    } rows[] = {{"f64", CUPEL_TYPE_F64}, {"i32", CUPEL_TYPE_I32}, {"i64", CUPEL_TYPE_I64},
                {"u8", CUPEL_TYPE_U8},   {"u64", CUPEL_TYPE_U64}, {"real", CUPEL_TYPE_REAL}};
    const cupel_init five = {.kind = CUPEL_INIT_CONSTANT, .a = 5};
    for (size_t i = 0; i < 6; i++)
        cupel_state(graph, rows[i].name, rows[i].type, CUPEL_SHAPE(2), five);
    CHECK_OK(cupel_parameters_seal(set));
    const double f64[] = {5, 5};
    const float f32[] = {5, 5};
    const int32_t i32[] = {5, 5};
    const int64_t i64[] = {5, 5};
    const uint8_t u8[] = {5, 5};
    const uint64_t u64[] = {5, 5};
    const void *const expected[] = {f64, i32, i64, u8, u64, f32};
    const size_t sizes[] = {16, 8, 16, 2, 16, 8};
    for (size_t i = 0; i < 6; i++) {
        char values[16];
        check_context("%s", rows[i].name);
        CHECK_OK(cupel_parameters_read(set, rows[i].name, values, sizes[i]));
        CHECK(memcmp(values, expected[i], sizes[i]) == 0);
        CHECK(!cupel_parameters_info(set, i).trainable);
    }
}

/* Values are a function of seed and name: not of the order of declaration, nor of the type. */
static void values_depend_on_seed_and_name_alone(void **state) {
    (void)state;
    const cupel_init normal = {.kind = CUPEL_INIT_NORMAL, .b = 1};
    double first[6] = {0};
    for (int way = 0; way < 5; way++) { /* as it is; reversed; f64; another seed; another name */
        cupel_parameters *other = NULL;
        cupel_graph *g = NULL;
        const cupel_type real = way == 2 ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32;
        CHECK_OK(cupel_parameters_create(&other, context, real, way == 3 ? 8 : 7));
        CHECK_OK(cupel_graph_create(&g, context, other));
        if (way == 1)
            cupel_parameter(g, "before", CUPEL_SHAPE(9), normal);
        const char *const name = way == 4 ? "w.bias" : "w.weight";
        cupel_parameter(g, name, CUPEL_SHAPE(6), normal);
        CHECK_OK(cupel_parameters_seal(other));
        float f32[6];
        double f64[6];
        if (real == CUPEL_TYPE_F64)
            CHECK_OK(cupel_parameters_read(other, name, f64, sizeof f64));
        else
            CHECK_OK(cupel_parameters_read(other, name, f32, sizeof f32));
        for (int i = 0; i < 6; i++) {
            const double value = real == CUPEL_TYPE_F64 ? (double)(float)f64[i] : (double)f32[i];
            if (way == 0)
                first[i] = value;
            else if (way <= 2)
                CHECK_F64(value, first[i]);
            else
                CHECK(value != first[i]);
        }
        CHECK_OK(cupel_graph_destroy(g));
        CHECK_OK(cupel_parameters_destroy(other));
    }
}

/* --- reading and writing --- */

static void sizes_and_names_are_exact(void **state) {
    (void)state;
    declare("w", CUPEL_SHAPE(2), zeros);
    CHECK_OK(cupel_parameters_seal(set));
    float values[3] = {1, 2, 3};
    CHECK_STATUS(cupel_parameters_write(set, "w", values, 12), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_parameters_error(set), "'w' has 8 bytes, not 12");
    CHECK_STATUS(cupel_parameters_read(set, "w", values, 4), CUPEL_STATUS_SHAPE);
    CHECK_STATUS(cupel_parameters_read(set, "v", values, 8), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_parameters_error(set), "no parameter 'v'");
    CHECK_U64(cupel_parameters_info(set, 0).version, 1);
    CHECK_OK(cupel_parameters_write(set, "w", values, 8));
    CHECK_U64(cupel_parameters_info(set, 0).version, 2);
    expect_values("w", values, 2);
}

static void the_first_value_that_is_not_finite_is_named(void **state) {
    (void)state;
    declare("a", CUPEL_SHAPE(2), zeros);
    declare("b", CUPEL_SHAPE(3), zeros);
    cupel_state(graph, "c", CUPEL_TYPE_F64, CUPEL_SHAPE(1), zeros);
    CHECK_OK(cupel_parameters_check_finite(set)); /* before there are values */
    CHECK_OK(cupel_parameters_seal(set));
    CHECK_OK(cupel_parameters_check_finite(set));
    const double infinite = -INFINITY;
    CHECK_OK(cupel_parameters_write(set, "c", &infinite, sizeof infinite));
    CHECK_STATUS(cupel_parameters_check_finite(set), CUPEL_STATUS_NOT_FINITE);
    CHECK_CONTAINS(cupel_parameters_error(set), "'c' is not finite at element 0");
    const float values[3] = {0, 1, NAN};
    CHECK_OK(cupel_parameters_write(set, "b", values, sizeof values));
    CHECK_STATUS(cupel_parameters_check_finite(set), CUPEL_STATUS_NOT_FINITE);
    CHECK_CONTAINS(cupel_parameters_error(set), "'b' is not finite at element 2");
}

/* --- saving and loading --- */

static void declare_three(void) {
    declare("w", CUPEL_SHAPE(2), zeros);
    cupel_state(graph, "mean", CUPEL_TYPE_REAL, CUPEL_SHAPE(1), zeros);
    cupel_training_state(graph, "adam.step", CUPEL_TYPE_F64, cupel_shape_scalar(), zeros);
    CHECK_OK(cupel_parameters_seal(set));
}

static void a_checkpoint_brings_everything_back(void **state) {
    (void)state;
    declare_three();
    const float w[] = {1, -2}, mean = 3, other[] = {9, 9};
    const double count = 4;
    CHECK_OK(cupel_parameters_write(set, "w", w, sizeof w));
    CHECK_OK(cupel_parameters_write(set, "mean", &mean, sizeof mean));
    CHECK_OK(cupel_parameters_write(set, "adam.step", &count, sizeof count));
    cupel_tensors *all = NULL, *model = NULL;
    CHECK_OK(cupel_tensors_create(&all));
    CHECK_OK(cupel_tensors_create(&model));
    CHECK_OK(cupel_parameters_export(set, all, "state.", false));
    CHECK_OK(cupel_parameters_export(set, model, "", true));
    CHECK_U64(cupel_tensors_count(all), 3);
    CHECK_U64(cupel_tensors_count(model), 2); /* without the optimiser's */
    CHECK(cupel_tensors_find(model, "adam.step") == NULL);
    CHECK(cupel_tensors_find(all, "state.mean") != NULL);
    CHECK_OK(cupel_parameters_write(set, "w", other, sizeof other));
    const uint64_t version = cupel_parameters_info(set, 0).version;
    CHECK_OK(cupel_parameters_import(set, all, "state.", false));
    CHECK_U64(cupel_parameters_info(set, 0).version, version + 1);
    expect_values("w", w, 2);
    expect_values("mean", &mean, 1);
    double read = 0;
    CHECK_OK(cupel_parameters_read(set, "adam.step", &read, sizeof read));
    CHECK_F64(read, 4);
    CHECK_OK(cupel_parameters_import(set, model, "", true));
    CHECK_STATUS(cupel_parameters_export(set, all, "state.", false), CUPEL_STATUS_NAME);
    cupel_tensors_destroy(all);
    cupel_tensors_destroy(model);
}

static void an_import_changes_all_or_nothing(void **state) {
    (void)state;
    declare_three();
    const float values[] = {1, 2, 3};
    const float before[] = {0, 0};
    for (int way = 0; way < 3; way++) { /* missing; another shape; another type */
        cupel_tensors *tensors = NULL;
        CHECK_OK(cupel_tensors_create(&tensors));
        CHECK_OK(cupel_tensors_add(tensors, "w", CUPEL_TYPE_F32, CUPEL_SHAPE(2), values, NULL));
        CHECK_OK(cupel_tensors_add(tensors, "mean", CUPEL_TYPE_F32, CUPEL_SHAPE(1), values, NULL));
        if (way == 1)
            CHECK_OK(cupel_tensors_add(tensors, "adam.step", CUPEL_TYPE_F64, CUPEL_SHAPE(2), NULL,
                                       NULL));
        if (way == 2)
            CHECK_OK(cupel_tensors_add(tensors, "adam.step", CUPEL_TYPE_F32, cupel_shape_scalar(),
                                       NULL, NULL));
        CHECK_STATUS(cupel_parameters_import(set, tensors, "", false),
                     way == 0 ? CUPEL_STATUS_NAME : CUPEL_STATUS_SHAPE);
        CHECK_CONTAINS(cupel_parameters_error(set), "'adam.step'");
        expect_values("w", before, 2);
        CHECK_U64(cupel_parameters_info(set, 0).version, 1);
        CHECK_OK(cupel_parameters_import(set, tensors, "", true)); /* the model alone fits */
        expect_values("w", values, 2);
        cupel_tensors_destroy(tensors);
        /* a fresh set for the next way */
        CHECK_OK(cupel_graph_destroy(graph));
        CHECK_OK(cupel_parameters_destroy(set));
        CHECK_OK(cupel_parameters_create(&set, context, CUPEL_TYPE_F32, 7));
        CHECK_OK(cupel_graph_create(&graph, context, set));
        declare_three();
    }
}

#define TEST(name) \
    cmocka_unit_test_prestate_setup_teardown(name, open_set, close_set, (void *)(uintptr_t) #name)

/* A network far too large for memory is found not to fit before it has any. */
static void a_match_takes_no_memory(void **state) {
    (void)state;
    cupel_tensors *tensors;
    const float one[] = {1};
    const cupel_shape huge = CUPEL_SHAPE(1 << 20, 1 << 20);
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK(cupel_tensors_add(tensors, "p.a", CUPEL_TYPE_F32, CUPEL_SHAPE(1), one, NULL));
    declare("a", CUPEL_SHAPE(1), zeros);
    CHECK_OK(cupel_parameters_match(set, tensors, "p.", true));
    CHECK_STATUS(cupel_parameters_match(set, tensors, "", true), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_parameters_error(set), "'a'");
    declare("w", huge, zeros);
    CHECK_STATUS(cupel_parameters_match(set, tensors, "p.", true), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_parameters_error(set), "'p.w'");
    CHECK_OK(cupel_tensors_add(tensors, "p.w", CUPEL_TYPE_F32, CUPEL_SHAPE(1), one, NULL));
    CHECK_STATUS(cupel_parameters_match(set, tensors, "p.", true), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_parameters_error(set), "'p.w' is f32 [1] in the file and f32 "
                                                "[1048576, 1048576] in the model");
    CHECK_STATUS(cupel_parameters_import(set, tensors, "p.", true), CUPEL_STATUS_SHAPE);
    declare("late", CUPEL_SHAPE(1), zeros); /* nothing was sealed */
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    cupel_tensors_destroy(tensors);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(asking_again_gives_the_same),
        TEST(a_clash_poisons),
        TEST(scopes_keep_networks_apart),
        TEST(masters_are_f32_or_f64),
        TEST(the_first_compile_seals),
        TEST(a_refused_graph_leaves_the_set_open),
        TEST(initialisers_have_their_distributions),
        TEST(constants_are_exact_in_every_type),
        TEST(values_depend_on_seed_and_name_alone),
        TEST(sizes_and_names_are_exact),
        TEST(the_first_value_that_is_not_finite_is_named),
        TEST(a_checkpoint_brings_everything_back),
        TEST(an_import_changes_all_or_nothing),
        TEST(a_match_takes_no_memory),
    };
    return CHECK_MAIN(tests);
}
