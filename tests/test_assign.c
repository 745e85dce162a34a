/*
 * Assigned variables: reads see the value from before the run, writes are done in place where all
 * reads come before and are copied otherwise, a guard stops every write, and versions count.
 */
#include "support/forms.h"
#include "support/passes.h"

#include <stdlib.h>

#include "cupel/program.h"

enum { N = 6 };

/* --- where the producer writes --- */

typedef cupel_node (*make_value)(cupel_graph *graph, cupel_node v, cupel_node x);

static cupel_node parameter(cupel_graph *graph, const char *name, cupel_shape shape) {
    return cupel_parameter(graph, name, shape, (cupel_init){.kind = CUPEL_INIT_ONES});
}

static cupel_node row_index(cupel_graph *graph) {
    return cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(2), (const int64_t[]){2, 0});
}

static cupel_node decay(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    return cupel_add(cupel_scale(v, .5), x);
}

static cupel_node new_value(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)v;
    return cupel_matmul(x, x, false, false);
}

static cupel_node rows_from_outside(cupel_graph *graph, cupel_node v, cupel_node x) {
    return cupel_scatter_update(v, row_index(graph), cupel_slice(x, 0, 0, 2));
}

static cupel_node rows_of_itself(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)x;
    const cupel_node swap =
        cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3), (const int64_t[]){1, 2, 0});
    return cupel_scatter_update(v, swap, v);
}

static cupel_node rows_gathered(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)x;
    const cupel_node rows =
        cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(2), (const int64_t[]){1, 1});
    return cupel_scatter_update(v, row_index(graph), cupel_gather(v, rows));
}

static cupel_node turned(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)x;
    return cupel_transpose(v, (const int[]){1, 0});
}

static cupel_node squared(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)x;
    return cupel_matmul(v, v, false, false);
}

static cupel_node input_itself(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)v;
    return x;
}

static cupel_node plus_its_transpose(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)x;
    return cupel_add(v, cupel_transpose(v, (const int[]){1, 0}));
}

static cupel_node plus_its_row(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)x; /* through a view: [3, 3] as [1, 9], of which 3 */
    return cupel_add(
        v, cupel_reshape(cupel_slice(cupel_reshape(v, CUPEL_SHAPE(9)), 0, 3, 6), CUPEL_SHAPE(3)));
}

static cupel_node shuffled(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)x; /* by a gather of single elements, through a view */
    const int64_t from[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};
    const cupel_node index = cupel_constant(graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3, 3), from);
    return cupel_gather(cupel_reshape(v, CUPEL_SHAPE(9)), index);
}

static cupel_node itself(cupel_graph *graph, cupel_node v, cupel_node x) {
    (void)graph;
    (void)x;
    return v;
}

/* v and x are [3, 3]. in_place: whether the value's producer writes into the variable. */
static const struct row {
    const char *name;
    make_value make;
    bool in_place;
} rows[] = {
    {"v / 2 + x", decay, true},
    {"x x", new_value, true},
    {"rows of x", rows_from_outside, true},
    {"rows of v, gathered before", rows_gathered, true},
    {"rows of v", rows_of_itself, false},
    {"v'", turned, false},
    {"v v", squared, false},
    {"x", input_itself, false},
    {"v + v'", plus_its_transpose, true},
    {"v + its row", plus_its_row, true},
    {"v", itself, false},
    {"v, shuffled", shuffled, false},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static bool assign_is_skipped(const struct passes *p, int index) {
    return p->draft.skipped[passes_nth(p, "assign", index)];
}

static void values_are_made_in_place_where_that_is_safe(void **state) {
    (void)state;
    for (int i = 0; i < ROWS; i++)
        for (int reference = 0; reference < 2; reference++) {
            check_context("%s, reference %d", rows[i].name, reference);
            struct passes p;
            passes_open(&p, "reference", CUPEL_TYPE_F64);
            p.options.reference = reference;
            const cupel_node v = parameter(p.graph, "v", CUPEL_SHAPE(3, 3));
            const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 3));
            cupel_assign(v, rows[i].make(p.graph, v, x));
            passes_run(&p, "steps");
            CHECK(assign_is_skipped(&p, 0) == (rows[i].in_place && !reference));
            passes_close(&p);
        }
}

static void what_is_read_elsewhere_too_is_copied(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F64);
    const cupel_node v = parameter(p.graph, "v", CUPEL_SHAPE(3, 3));
    const cupel_node w = parameter(p.graph, "w", CUPEL_SHAPE(3, 3));
    const cupel_node next = cupel_exp(v);
    cupel_assign(v, next);
    passes_output(&p, "next", next); /* the new value is also an output */
    const cupel_node half = cupel_scale(w, .5);
    cupel_assign(w, half);
    /* the old w is read by what depends on the new one */
    passes_output(&p, "both", cupel_matmul(half, w, false, false));
    passes_run(&p, "steps");
    CHECK(!assign_is_skipped(&p, 0));
    CHECK(!assign_is_skipped(&p, 1));
    passes_close(&p);
}

static void a_guarded_value_is_not_made_in_place(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F64);
    const cupel_node v = parameter(p.graph, "v", CUPEL_SHAPE(3, 3));
    const cupel_node next = cupel_log(v);
    cupel_assign(v, next);
    const cupel_node twin = parameter(p.graph, "twin", CUPEL_SHAPE(3, 3));
    cupel_assign(twin, cupel_exp(twin)); /* has nothing to do with the guard */
    cupel_guard(cupel_reduce_sum(next, CUPEL_ALL_AXES, false));
    passes_run(&p, "steps");
    CHECK(!assign_is_skipped(&p, 0));
    CHECK(assign_is_skipped(&p, 1));
    passes_close(&p);
}

/* --- values --- */

struct machine {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
};

static const char *const devices[] = {"reference", "forms", "cpu"};

static struct machine open_machine(const char *device, cupel_type real) {
    struct machine m = {0};
    if (strcmp(device, "forms") == 0)
        CHECK_OK(context_create_with_backend(&m.context, forms_create(), NULL));
    else
        CHECK_OK(cupel_context_create(&m.context, &(cupel_context_options){.device = device}));
    CHECK_OK(cupel_parameters_create(&m.parameters, m.context, real, 1));
    CHECK_OK(cupel_graph_create(&m.graph, m.context, m.parameters));
    return m;
}

static void compile(struct machine *m, bool reference, size_t n, const cupel_output *outputs) {
    const cupel_compile_options options = {.outputs = outputs,
                                           .n_outputs = n,
                                           .real = cupel_parameters_real(m->parameters),
                                           .reference = reference};
    CHECK_OK_TEXT(cupel_program_compile(&m->program, m->graph, &options),
                  cupel_graph_error(m->graph));
    CHECK_OK(cupel_workspace_create(&m->workspace, m->context));
    CHECK_OK(cupel_workspace_reserve(m->workspace, m->program));
    CHECK_OK(cupel_bindings_create(&m->bindings, m->program));
}

static void run(struct machine *m) {
    CHECK_OK_TEXT(cupel_program_run(m->program, m->bindings, m->workspace, NULL),
                  cupel_program_error(m->program));
}

static void close_machine(struct machine *m) {
    CHECK_OK(cupel_bindings_destroy(m->bindings));
    CHECK_OK(cupel_workspace_destroy(m->workspace));
    CHECK_OK(cupel_program_destroy(m->program));
    CHECK_OK(cupel_graph_destroy(m->graph));
    CHECK_OK(cupel_parameters_destroy(m->parameters));
    CHECK_OK(cupel_context_destroy(m->context));
}

static const double start[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const double given[9] = {.5, -1, 0, 2, 1, -2, 1, 3, .25};

/* What v is after one run, by the formulas. */
static void after_one_run(int row, double *out) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double *const y = &out[3 * i + j];
            const double v = start[3 * i + j], x = given[3 * i + j], t = start[3 * j + i];
            double product = 0, own = 0;
            for (int k = 0; k < 3; k++) {
                product += given[3 * i + k] * given[3 * k + j];
                own += start[3 * i + k] * start[3 * k + j];
            }
            static const int from[] = {2, 0, 1}; /* row k went to row from's place */
            switch (row) {
            case 0: *y = .5 * v + x; break;
            case 1: *y = product; break;
            case 2: *y = i == 2 ? given[j] : i == 0 ? given[3 + j] : v; break;
            case 3: *y = i == 1 ? v : start[3 + j]; break;
            case 4: *y = start[3 * from[i] + j]; break;
            case 5: *y = t; break;
            case 6: *y = own; break;
            case 7: *y = x; break;
            case 8: *y = v + t; break;
            case 9: *y = v + start[3 + j]; break;
            case 11: *y = start[8 - 3 * i - j]; break;
            default: *y = v;
            }
        }
}

static void values_are_right_on_every_device(void **state) {
    (void)state;
    for (int d = 0; d < 3; d++)
        for (int way = 0; way < 4; way++)
            for (int i = 0; i < ROWS; i++) {
                const cupel_type real = way / 2 ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32;
                check_context("%s, %s, reference %d: %s", devices[d], cupel_type_name(real),
                              way % 2, rows[i].name);
                struct machine m = open_machine(devices[d], real);
                const cupel_node v = parameter(m.graph, "v", CUPEL_SHAPE(3, 3));
                const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 3));
                cupel_assign(v, rows[i].make(m.graph, v, x));
                const cupel_output old = {"old", v};
                compile(&m, way % 2, 1, &old);
                float f32[9], f32_given[9], f32_old[9];
                double f64[9], f64_old[9], expected[9];
                for (int k = 0; k < 9; k++) {
                    f32[k] = (float)start[k];
                    f32_given[k] = (float)given[k];
                }
                const bool wide = real == CUPEL_TYPE_F64;
                const size_t bytes = wide ? sizeof f64 : sizeof f32;
                CHECK_OK(cupel_parameters_write(
                    m.parameters, "v", wide ? (const void *)start : (const void *)f32, bytes));
                if (cupel_bindings_desc(m.bindings, "x") != NULL)
                    CHECK_OK(cupel_bindings_write(
                        m.bindings, "x", wide ? (const void *)given : (const void *)f32_given,
                        bytes));
                run(&m);
                CHECK_OK(cupel_parameters_read(m.parameters, "v", wide ? (void *)f64 : (void *)f32,
                                               bytes));
                CHECK_OK(cupel_bindings_read(m.bindings, "old",
                                             wide ? (void *)f64_old : (void *)f32_old, bytes));
                after_one_run(i, expected);
                for (int k = 0; k < 9; k++) {
                    CHECK_NEAR(wide ? f64[k] : (double)f32[k], expected[k], 1e-6);
                    CHECK_F64(wide ? f64_old[k] : (double)f32_old[k], start[k]);
                }
                close_machine(&m);
            }
}

/* Three variables that pass their values round, one of them through a view, beside two that are
 * computed from each other: three runs bring the first three back. */
static void variables_pass_values_round(void **state) {
    (void)state;
    for (int d = 0; d < 3; d++)
        for (int reference = 0; reference < 2; reference++) {
            check_context("%s, reference %d", devices[d], reference);
            struct machine m = open_machine(devices[d], CUPEL_TYPE_F64);
            const cupel_node a = parameter(m.graph, "a", CUPEL_SHAPE(2, 3));
            const cupel_node b = parameter(m.graph, "b", CUPEL_SHAPE(3, 2));
            const cupel_node c = parameter(m.graph, "c", CUPEL_SHAPE(2, 3));
            const cupel_node p = parameter(m.graph, "p", CUPEL_SHAPE(2));
            const cupel_node q = parameter(m.graph, "q", CUPEL_SHAPE(2));
            cupel_assign(a, cupel_reshape(b, CUPEL_SHAPE(2, 3)));
            cupel_assign(b, cupel_reshape(c, CUPEL_SHAPE(3, 2)));
            cupel_assign(c, a);
            cupel_assign(p, cupel_scale(q, 2));
            cupel_assign(q, cupel_offset(p, 1));
            cupel_guard(cupel_reduce_sum(p, CUPEL_ALL_AXES, false));
            compile(&m, reference, 0, NULL);
            double values[3][N], read[N];
            static const char *const names[] = {"a", "b", "c"};
            for (int i = 0; i < 3; i++)
                for (int k = 0; k < N; k++)
                    values[i][k] = 10 * i + k;
            for (int i = 0; i < 3; i++)
                CHECK_OK(
                    cupel_parameters_write(m.parameters, names[i], values[i], sizeof values[i]));
            double pv = 1, qv = 1;
            for (int turn = 1; turn <= 6; turn++) {
                run(&m);
                for (int i = 0; i < 3; i++) {
                    CHECK_OK(cupel_parameters_read(m.parameters, names[i], read, sizeof read));
                    for (int k = 0; k < N; k++)
                        CHECK_F64(read[k], values[(i + turn) % 3][k]);
                }
                const double p_next = 2 * qv, q_next = pv + 1;
                pv = p_next;
                qv = q_next;
                CHECK_OK(cupel_parameters_read(m.parameters, "p", read, 2 * sizeof *read));
                CHECK_F64(read[1], pv);
                CHECK_OK(cupel_parameters_read(m.parameters, "q", read, 2 * sizeof *read));
                CHECK_F64(read[1], qv);
            }
            close_machine(&m);
        }
}

static void integers_and_counters_are_assigned(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F32);
    const cupel_init init = {0};
    const cupel_node last = cupel_state(m.graph, "last", CUPEL_TYPE_I64, CUPEL_SHAPE(2), init);
    const cupel_node count =
        cupel_training_state(m.graph, "count", CUPEL_TYPE_F64, cupel_shape_scalar(), init);
    cupel_assign(last, cupel_input_index(m.graph, "i", CUPEL_SHAPE(2), 9));
    cupel_assign(count,
                 cupel_add(count, cupel_full(m.graph, CUPEL_TYPE_F64, cupel_shape_scalar(), 1)));
    compile(&m, false, 0, NULL);
    const int64_t given_index[] = {8, 3};
    int64_t read[2];
    double times = 0;
    CHECK_OK(cupel_bindings_write(m.bindings, "i", given_index, sizeof given_index));
    run(&m);
    run(&m);
    CHECK_OK(cupel_parameters_read(m.parameters, "last", read, sizeof read));
    CHECK(memcmp(read, given_index, sizeof read) == 0);
    CHECK_OK(cupel_parameters_read(m.parameters, "count", &times, sizeof times));
    CHECK_F64(times, 2);
    close_machine(&m);
}

/* --- versions --- */

static uint64_t version(const struct machine *m, const char *name) {
    return cupel_parameters_info(m->parameters, cupel_parameters_find(m->parameters, name)).version;
}

static void versions_count_the_changes(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F64);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node v = parameter(m.graph, "v", cupel_shape_scalar());
    const cupel_node fixed = parameter(m.graph, "fixed", cupel_shape_scalar());
    cupel_guard(x);
    cupel_assign(v, cupel_mul(cupel_add(v, x), fixed));
    compile(&m, false, 0, NULL);
    CHECK_U64(version(&m, "v"), 1);
    CHECK_OK(cupel_bindings_write_scalar(m.bindings, "x", 1));
    run(&m);
    CHECK_U64(version(&m, "v"), 2);
    CHECK_U64(version(&m, "fixed"), 1);
    CHECK_OK(cupel_bindings_write_scalar(m.bindings, "x", NAN));
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, NULL),
                 CUPEL_STATUS_NOT_FINITE);
    CHECK_U64(version(&m, "v"), 2);
    double value;
    CHECK_OK(cupel_parameters_read(m.parameters, "v", &value, sizeof value));
    CHECK_F64(value, 2);
    close_machine(&m);
}

static cupel_status stop_at_assign(void *user, const char *node, const char *op, uint32_t output,
                                   const cupel_desc *desc, const void *values) {
    (void)user, (void)node, (void)output, (void)desc, (void)values;
    return strcmp(op, "assign") == 0 ? CUPEL_STATUS_INTERRUPTED : CUPEL_STATUS_OK;
}

/* A run that was stopped between two assigns has changed something: whoever packed the variable
 * has to look again. */
static void a_run_that_was_stopped_counts_as_a_change(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F64);
    const cupel_node v = parameter(m.graph, "v", cupel_shape_scalar());
    cupel_assign(v, cupel_scale(v, 2));
    compile(&m, true, 0, NULL);
    const cupel_run_options options = {.visitor = stop_at_assign};
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, &options),
                 CUPEL_STATUS_INTERRUPTED);
    CHECK_U64(version(&m, "v"), 2);
    close_machine(&m);
}

/* A replay that stops at the first value that is not finite has changed nothing, even where other
 * updates were ready to be made. */
static void a_replay_changes_nothing(void **state) {
    (void)state;
    struct machine m = open_machine("reference", CUPEL_TYPE_F64);
    const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node a = parameter(m.graph, "a", cupel_shape_scalar());
    const cupel_node b = parameter(m.graph, "b", cupel_shape_scalar());
    cupel_assign(a, cupel_scale(a, 2));
    cupel_assign(b, cupel_mul(b, cupel_named(cupel_log(x), "culprit")));
    compile(&m, true, 0, NULL);
    CHECK_OK(cupel_bindings_write_scalar(m.bindings, "x", -1));
    const cupel_run_options options = {.stop_at_non_finite = true};
    CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, &options),
                 CUPEL_STATUS_NOT_FINITE);
    CHECK_CONTAINS(cupel_program_error(m.program), "node 'culprit' (log)");
    double values[2];
    CHECK_OK(cupel_parameters_read(m.parameters, "a", &values[0], sizeof values[0]));
    CHECK_OK(cupel_parameters_read(m.parameters, "b", &values[1], sizeof values[1]));
    CHECK_F64(values[0], 1);
    CHECK_F64(values[1], 1);
    close_machine(&m);
}

/* --- ops from outside, whose run may fail --- */

static cupel_status like_its_operand(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

/* Writes first, then fails. */
static cupel_status fails(const cupel_op_call *call) {
    memset(call->outputs[0], 0, cupel_desc_bytes(&call->output_descs[0]));
    return CUPEL_STATUS_UNSUPPORTED;
}

static const cupel_op failing_op = {.size = sizeof(cupel_op),
                                    .version = CUPEL_OP_VERSION,
                                    .name = "failing",
                                    .min_inputs = 1,
                                    .max_inputs = 1,
                                    .n_outputs = 1,
                                    .in_place = {1},
                                    .infer = like_its_operand,
                                    .run = fails};

/* Beside an update, after one, and as one: the run ends and no variable has changed. */
static void an_op_that_fails_changes_nothing(void **state) {
    (void)state;
    for (int way = 0; way < 6; way++) {
        check_context("way %d", way);
        struct machine m = open_machine(way % 2 ? "cpu" : "reference", CUPEL_TYPE_F32);
        const cupel_node v = parameter(m.graph, "v", CUPEL_SHAPE(N));
        const cupel_node w = parameter(m.graph, "w", CUPEL_SHAPE(N));
        const cupel_node twice = cupel_scale(v, 2);
        const cupel_node operand = way / 2 == 0 ? w : way / 2 == 1 ? twice : v;
        CHECK_OK(cupel_context_register_op(m.context, &failing_op));
        const cupel_node failed = cupel_apply(m.graph, &failing_op, NULL, 1, &operand);
        cupel_assign(v, way / 2 == 2 ? failed : twice);
        const cupel_output output = {"y", cupel_neg(failed)};
        compile(&m, false, 1, &output);
        CHECK_STATUS(cupel_program_run(m.program, m.bindings, m.workspace, NULL),
                     CUPEL_STATUS_UNSUPPORTED);
        float values[N];
        CHECK_OK(cupel_parameters_read(m.parameters, "v", values, sizeof values));
        for (int i = 0; i < N; i++)
            CHECK_F64((double)values[i], 1);
        close_machine(&m);
    }
}

/* --- what is refused --- */

static void refusals(void **state) {
    (void)state;
    for (int way = 0; way < 6; way++) {
        struct machine m = open_machine("reference", CUPEL_TYPE_F32);
        const cupel_node v = parameter(m.graph, "v", CUPEL_SHAPE(2));
        const cupel_node x = cupel_input(m.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2));
        const cupel_node i = cupel_input_index(m.graph, "i", CUPEL_SHAPE(2), 2);
        const char *part = "";
        cupel_status status = CUPEL_STATUS_INVALID_ARGUMENT;
        switch (way) {
        case 0: cupel_assign(x, v), part = "'x' is not a variable"; break;
        case 1: cupel_assign(v, cupel_none()), part = "missing"; break;
        case 2:
            cupel_assign(v, cupel_full(m.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), 0));
            status = CUPEL_STATUS_SHAPE, part = "the variable is [2], the value [3]";
            break;
        case 3:
            cupel_assign(v, i);
            status = CUPEL_STATUS_TYPE, part = "the variable is real, the value i64";
            break;
        case 4:
            cupel_assign(v, x);
            cupel_assign(cupel_variable(m.graph, "v"), v);
            status = CUPEL_STATUS_NAME, part = "'v' is assigned twice";
            break;
        default: cupel_guard(v); status = CUPEL_STATUS_SHAPE, part = "it must be a scalar";
        }
        check_context("way %d", way);
        CHECK_STATUS(cupel_graph_check(m.graph), status);
        CHECK_CONTAINS(cupel_graph_error(m.graph), part);
        CHECK_CONTAINS(cupel_graph_error(m.graph), "test_assign.c:");
        close_machine(&m);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_made_in_place_where_that_is_safe),
        cmocka_unit_test(what_is_read_elsewhere_too_is_copied),
        cmocka_unit_test(a_guarded_value_is_not_made_in_place),
        cmocka_unit_test(values_are_right_on_every_device),
        cmocka_unit_test(variables_pass_values_round),
        cmocka_unit_test(integers_and_counters_are_assigned),
        cmocka_unit_test(versions_count_the_changes),
        cmocka_unit_test(a_run_that_was_stopped_counts_as_a_change),
        cmocka_unit_test(a_replay_changes_nothing),
        cmocka_unit_test(an_op_that_fails_changes_nothing),
        cmocka_unit_test(refusals),
    };
    return CHECK_MAIN(tests);
}
