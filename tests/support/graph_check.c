/*
 * The inside of graph_check.h: one session object that holds everything a run needs, so that finite
 * differences only rewrite an input and run again. Seeded numbers are floats, so that an f32 run
 * starts from the same values as an f64 one.
 */
#define _GNU_SOURCE
#include "support/graph_check.h"

#include <stdlib.h>

/* --- seeded numbers (splitmix64; independent of the library's own generator) --- */

static uint64_t next_u64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static double next_uniform(uint64_t *state) {
    return (double)(next_u64(state) >> 11) * 0x1p-53;
}

void graph_fill_uniform(double *values, size_t count, uint64_t seed, double low, double high) {
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < count; i++)
        values[i] = low + (high - low) * next_uniform(&state);
}

void graph_fill_normal(double *values, size_t count, uint64_t seed) {
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < count; i++) {
        const double radius = sqrt(-2.0 * log(1.0 - next_uniform(&state)));
        values[i] = radius * cos(6.283185307179586 * next_uniform(&state));
    }
}

static void *must_alloc(size_t count, size_t size) {
    void *block = calloc(count ? count : 1, size ? size : 1);
    CHECK(block != NULL);
    return block;
}

static void fill_default(const struct graph_input *input, double *values, size_t count,
                         uint64_t seed) {
    const bool real = cupel_type_is_real(input->type);
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++) {
        const double u = next_uniform(&state);
        if (real)
            values[i] = (float)(u < 0.5 ? -2.0 + 1.9 * (2.0 * u) : 0.1 + 1.9 * (2.0 * u - 1.0));
        else
            values[i] = input->bound > 0 ? floor(u * (double)input->bound) : 0.0;
    }
}

/* --- elements of any type from and to double --- */

static float bf16_to_float(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static void store(cupel_type type, void *to, size_t i, double value) {
    switch (type) {
    case CUPEL_TYPE_F32: ((float *)to)[i] = (float)value; break;
    case CUPEL_TYPE_F64: ((double *)to)[i] = value; break;
    case CUPEL_TYPE_I32: ((int32_t *)to)[i] = (int32_t)value; break;
    case CUPEL_TYPE_I64: ((int64_t *)to)[i] = (int64_t)value; break;
    case CUPEL_TYPE_U8: ((uint8_t *)to)[i] = (uint8_t)value; break;
    case CUPEL_TYPE_U64: ((uint64_t *)to)[i] = (uint64_t)value; break;
    default: check_failed(__FILE__, __LINE__, "inputs are not bound as %s", cupel_type_name(type));
    }
}

static double load(cupel_type type, const void *from, size_t i) {
    switch (type) {
    case CUPEL_TYPE_F32: return (double)((const float *)from)[i];
    case CUPEL_TYPE_F64: return ((const double *)from)[i];
    case CUPEL_TYPE_BF16: return (double)bf16_to_float(((const uint16_t *)from)[i]);
    case CUPEL_TYPE_I32: return (double)((const int32_t *)from)[i];
    case CUPEL_TYPE_I64: return (double)((const int64_t *)from)[i];
    case CUPEL_TYPE_U8: return (double)((const uint8_t *)from)[i];
    case CUPEL_TYPE_U64: return (double)((const uint64_t *)from)[i];
    case CUPEL_TYPE_REAL: break;
    }
    check_failed(__FILE__, __LINE__, "an output has type %s", cupel_type_name(type));
    return 0.0;
}

/* --- one case, built and compiled one way --- */

struct session {
    const struct graph_case *c;
    struct graph_how how;
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
    cupel_node inputs[GRAPH_CASE_INPUTS];
    cupel_node outputs[GRAPH_CASE_OUTPUTS];
    bool wanted[GRAPH_CASE_INPUTS];
    cupel_node gradients[GRAPH_CASE_INPUTS];
    cupel_node loss;
    double *values[GRAPH_CASE_INPUTS]; /* of the inputs, as doubles */
    size_t counts[GRAPH_CASE_INPUTS];
};

/* Weights of the loss: fixed, between 0.5 and 1.5 in magnitude, of both signs. */
static void fill_weights(double *weights, size_t count, uint64_t seed) {
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++) {
        const double u = next_uniform(&state);
        weights[i] = (float)(u < 0.5 ? -1.5 + 2.0 * u : 0.5 + 2.0 * (u - 0.5));
    }
}

static cupel_node weighted_sum(cupel_graph *graph, cupel_node output, uint64_t seed) {
    const cupel_shape shape = cupel_node_shape(output);
    const size_t count = (size_t)cupel_shape_count(shape);
    double *weights = must_alloc(count, sizeof *weights);
    fill_weights(weights, count, seed);
    const cupel_node w = cupel_constant(graph, CUPEL_TYPE_REAL, shape, weights);
    free(weights);
    return cupel_reduce_sum(cupel_mul(output, w), CUPEL_ALL_AXES, false);
}

static bool is_real_node(cupel_node node) {
    const cupel_desc *desc = cupel_node_desc(node);
    return desc != NULL && cupel_type_is_real(desc->type);
}

/* Everything up to the compile; the graph may hold an error afterwards. */
static void session_build(struct session *s, const struct graph_case *c, struct graph_how how) {
    *s = (struct session){.c = c, .how = how};
    if (s->how.real == CUPEL_TYPE_REAL)
        s->how.real = CUPEL_TYPE_F32;
    if (s->how.threads == 0)
        s->how.threads = 1;
    CHECK(c->n_inputs <= GRAPH_CASE_INPUTS && c->n_outputs <= GRAPH_CASE_OUTPUTS);
    const cupel_context_options options = {.device = how.device};
    CHECK_OK(cupel_context_create(&s->context, &options));
    const cupel_type masters = s->how.real == CUPEL_TYPE_F64 ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32;
    CHECK_OK_TEXT(cupel_parameters_create(&s->parameters, s->context, masters, 1),
                  cupel_context_error(s->context));
    CHECK_OK_TEXT(cupel_graph_create(&s->graph, s->context, s->parameters),
                  cupel_context_error(s->context));
    for (int i = 0; i < c->n_inputs; i++) {
        const struct graph_input *input = &c->inputs[i];
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        s->inputs[i] = input->bound > 0
                           ? cupel_input_index(s->graph, name, input->shape, input->bound)
                           : cupel_input(s->graph, name, input->type, input->shape);
        s->counts[i] = (size_t)cupel_shape_count(input->shape);
        s->values[i] = must_alloc(s->counts[i], sizeof(double));
        if (input->values != NULL)
            memcpy(s->values[i], input->values, s->counts[i] * sizeof(double));
        else
            fill_default(input, s->values[i], s->counts[i], c->seed * 64 + 1000 + (uint64_t)i);
    }
    c->build(s->graph, s->inputs, s->outputs, c->user);
    if (!how.gradients || cupel_graph_check(s->graph) != CUPEL_STATUS_OK)
        return;
    s->loss = cupel_none();
    for (int k = 0; k < c->n_outputs; k++) {
        if (!is_real_node(s->outputs[k]))
            continue;
        const cupel_node term =
            weighted_sum(s->graph, s->outputs[k], c->seed * 64 + 2000 + (uint64_t)k);
        s->loss = cupel_is_none(s->loss) ? term : cupel_add(s->loss, term);
    }
    cupel_node wrt[GRAPH_CASE_INPUTS];
    cupel_node diff[GRAPH_CASE_INPUTS];
    size_t n = 0;
    for (int i = 0; i < c->n_inputs; i++) {
        s->wanted[i] = !c->inputs[i].fixed && is_real_node(s->inputs[i]);
        if (s->wanted[i])
            wrt[n++] = s->inputs[i];
    }
    (void)!cupel_graph_add_gradients(s->graph, s->loss, n, wrt, diff);
    for (int i = c->n_inputs - 1; i >= 0; i--)
        if (s->wanted[i])
            s->gradients[i] = diff[--n];
}

static void session_write(struct session *s, int i) {
    char name[16];
    snprintf(name, sizeof name, "in%d", i);
    const cupel_desc *desc = cupel_bindings_desc(s->bindings, name);
    if (desc == NULL)
        return; /* not used by the program */
    CHECK(cupel_shape_equal(desc->shape, s->c->inputs[i].shape));
    const size_t bytes = cupel_desc_bytes(desc);
    void *typed = must_alloc(bytes, 1);
    for (size_t e = 0; e < s->counts[i]; e++)
        store(desc->type, typed, e, s->values[i][e]);
    CHECK_OK_TEXT(cupel_bindings_write(s->bindings, name, typed, bytes),
                  cupel_bindings_error(s->bindings));
    free(typed);
}

static void write_random(struct session *s) {
    if (cupel_bindings_desc(s->bindings, "seed") != NULL)
        CHECK_OK_TEXT(cupel_bindings_write_u64(s->bindings, "seed", 7),
                      cupel_bindings_error(s->bindings));
    if (cupel_bindings_desc(s->bindings, "step") != NULL)
        CHECK_OK_TEXT(cupel_bindings_write_u64(s->bindings, "step", 3),
                      cupel_bindings_error(s->bindings));
    const cupel_desc *rows = cupel_bindings_desc(s->bindings, "rows");
    if (rows == NULL)
        return;
    const size_t count = (size_t)cupel_shape_count(rows->shape);
    uint64_t *ids = must_alloc(count, sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = i;
    CHECK_OK_TEXT(cupel_bindings_write(s->bindings, "rows", ids, count * sizeof *ids),
                  cupel_bindings_error(s->bindings));
    free(ids);
}

static void session_open(struct session *s, const struct graph_case *c, struct graph_how how) {
    session_build(s, c, how);
    CHECK_OK_TEXT(cupel_graph_check(s->graph), cupel_graph_error(s->graph));
    enum { MOST = GRAPH_CASE_INPUTS + GRAPH_CASE_OUTPUTS + 1 };
    char names[MOST][16];
    cupel_output roots[MOST];
    size_t n = 0;
    for (int k = 0; k < c->n_outputs; k++, n++) {
        snprintf(names[n], sizeof names[n], "out%d", k);
        roots[n] = (cupel_output){.name = names[n], .node = s->outputs[k]};
    }
    if (how.gradients) {
        snprintf(names[n], sizeof names[n], "loss");
        roots[n] = (cupel_output){.name = names[n], .node = s->loss};
        n++;
        for (int i = 0; i < c->n_inputs; i++) {
            if (!s->wanted[i])
                continue;
            snprintf(names[n], sizeof names[n], "diff%d", i);
            roots[n] = (cupel_output){.name = names[n], .node = s->gradients[i]};
            n++;
        }
    }
    const cupel_compile_options options = {.name = "check",
                                           .outputs = roots,
                                           .n_outputs = n,
                                           .real = s->how.real,
                                           .reference = how.reference,
                                           .threads = s->how.threads};
    CHECK_OK_TEXT(cupel_program_compile(&s->program, s->graph, &options),
                  cupel_graph_error(s->graph));
    CHECK_OK_TEXT(cupel_workspace_create(&s->workspace, s->context),
                  cupel_context_error(s->context));
    CHECK_OK_TEXT(cupel_workspace_reserve(s->workspace, s->program),
                  cupel_workspace_error(s->workspace));
    CHECK_OK_TEXT(cupel_bindings_create(&s->bindings, s->program), cupel_program_error(s->program));
    for (int i = 0; i < c->n_inputs; i++)
        session_write(s, i);
    write_random(s);
}

static void session_run(struct session *s) {
    const cupel_run_options options = {.threads = s->how.threads};
    CHECK_OK_TEXT(cupel_program_run(s->program, s->bindings, s->workspace, &options),
                  cupel_program_error(s->program));
}

static void session_close(struct session *s) {
    if (s->bindings != NULL)
        CHECK_OK(cupel_bindings_destroy(s->bindings));
    if (s->workspace != NULL)
        CHECK_OK(cupel_workspace_destroy(s->workspace));
    if (s->program != NULL)
        CHECK_OK(cupel_program_destroy(s->program));
    CHECK_OK(cupel_graph_destroy(s->graph));
    CHECK_OK(cupel_parameters_destroy(s->parameters));
    CHECK_OK(cupel_context_destroy(s->context));
    for (int i = 0; i < s->c->n_inputs; i++)
        free(s->values[i]);
}

static double *read_output(struct session *s, const char *name, cupel_desc *out_desc) {
    const cupel_desc *desc = cupel_bindings_desc(s->bindings, name);
    if (desc == NULL)
        check_failed(__FILE__, __LINE__, "the program has no output %s", name);
    const size_t count = (size_t)cupel_shape_count(desc->shape);
    void *typed = must_alloc(cupel_desc_bytes(desc), 1);
    CHECK_OK_TEXT(cupel_bindings_read(s->bindings, name, typed, cupel_desc_bytes(desc)),
                  cupel_bindings_error(s->bindings));
    double *values = must_alloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = load(desc->type, typed, i);
    free(typed);
    if (out_desc != NULL)
        *out_desc = *desc;
    return values;
}

static void session_read(struct session *s, struct graph_result *out) {
    *out = (struct graph_result){.n_outputs = s->c->n_outputs};
    char name[16];
    for (int k = 0; k < s->c->n_outputs; k++) {
        snprintf(name, sizeof name, "out%d", k);
        out->values[k] = read_output(s, name, &out->descs[k]);
    }
    if (!s->how.gradients)
        return;
    double *loss = read_output(s, "loss", NULL);
    out->loss = loss[0];
    free(loss);
    for (int i = 0; i < s->c->n_inputs; i++) {
        snprintf(name, sizeof name, "diff%d", i);
        cupel_desc desc;
        if (!s->wanted[i])
            continue;
        out->gradients[i] = read_output(s, name, &desc);
        CHECK(cupel_shape_equal(desc.shape, s->c->inputs[i].shape));
    }
}

void graph_run(const struct graph_case *c, struct graph_how how, struct graph_result *out) {
    struct session s;
    session_open(&s, c, how);
    session_run(&s);
    session_read(&s, out);
    session_close(&s);
}

void graph_result_release(struct graph_result *result) {
    for (int k = 0; k < GRAPH_CASE_OUTPUTS; k++)
        free(result->values[k]);
    for (int i = 0; i < GRAPH_CASE_INPUTS; i++)
        free(result->gradients[i]);
    *result = (struct graph_result){0};
}

/* --- values --- */

static const char *how_text(struct graph_how how) {
    static char text[64];
    snprintf(text, sizeof text, "%s, %s, %d threads", cupel_type_name(how.real),
             how.reference ? "reference" : "fast", how.threads);
    return text;
}

static void check_near_all(const double *actual, const double *expected, size_t count,
                           double absolute, double relative, const char *what,
                           struct graph_how how) {
    for (size_t i = 0; i < count; i++) {
        const double a = actual[i];
        const double e = expected[i];
        if (a == e || (a != a && e != e))
            continue;
        const double limit = absolute + relative * fabs(e);
        if (!isfinite(e) || !(fabs(a - e) <= limit))
            check_failed(__FILE__, __LINE__,
                         "%s (%s): element %zu = %.17g, expected %.17g within %.3g (off by %.3g)",
                         what, how_text(how), i, a, e, limit, a - e);
    }
}

void graph_check_values_f64(const struct graph_case *c, int output, const double *expected,
                            size_t count, double tolerance_f64, double tolerance_f32) {
    const struct graph_how ways[] = {
        {.real = CUPEL_TYPE_F64, .reference = true, .threads = 1},
        {.real = CUPEL_TYPE_F32, .reference = true, .threads = 1},
        {.real = CUPEL_TYPE_F32, .threads = 1},
        {.real = CUPEL_TYPE_F32, .threads = 2},
    };
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct graph_result result;
        graph_run(c, ways[w], &result);
        CHECK_I64(cupel_shape_count(result.descs[output].shape), (int64_t)count);
        const double tolerance = ways[w].real == CUPEL_TYPE_F64 ? tolerance_f64 : tolerance_f32;
        char what[32];
        snprintf(what, sizeof what, "output %d", output);
        check_near_all(result.values[output], expected, count, tolerance, tolerance, what, ways[w]);
        graph_result_release(&result);
    }
}

void graph_check_values(const struct graph_case *c, int output, const double *expected,
                        size_t count, double tolerance) {
    graph_check_values_f64(c, output, expected, count, tolerance < 1e-12 ? tolerance : 1e-12,
                           tolerance);
}

void graph_check_shape(const struct graph_case *c, int output, cupel_type type, cupel_shape shape) {
    struct session s;
    session_build(&s, c, (struct graph_how){0});
    CHECK_OK_TEXT(cupel_graph_check(s.graph), cupel_graph_error(s.graph));
    char actual[CUPEL_SHAPE_TEXT_SIZE];
    char wanted[CUPEL_SHAPE_TEXT_SIZE];
    CHECK_STRING(cupel_shape_format(actual, cupel_node_shape(s.outputs[output])),
                 cupel_shape_format(wanted, shape));
    CHECK_STRING(cupel_type_name(cupel_node_desc(s.outputs[output])->type), cupel_type_name(type));
    session_close(&s);
}

/* --- gradients --- */

static double run_loss(struct session *s) {
    session_run(s);
    double *loss = read_output(s, "loss", NULL);
    const double value = loss[0];
    free(loss);
    return value;
}

/* (loss(x + h d) - loss(x - h d)) / 2h along direction d of input i. */
static double slope_along(struct session *s, int i, const double *direction, double h) {
    double *kept = must_alloc(s->counts[i], sizeof *kept);
    memcpy(kept, s->values[i], s->counts[i] * sizeof *kept);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        const double step = side == 0 ? h : -h;
        for (size_t e = 0; e < s->counts[i]; e++)
            s->values[i][e] = kept[e] + step * direction[e];
        session_write(s, i);
        loss[side] = run_loss(s);
    }
    memcpy(s->values[i], kept, s->counts[i] * sizeof *kept);
    free(kept);
    session_write(s, i);
    return (loss[0] - loss[1]) / (2.0 * h);
}

static void check_slope(double actual, double slope, double scale, double tolerance, int input,
                        const char *where) {
    const double limit = tolerance * (1.0 + fabs(slope) + scale);
    if (!(fabs(actual - slope) <= limit))
        check_failed(__FILE__, __LINE__,
                     "gradient of input %d, %s: %.17g, finite difference %.17g (off by %.3g, "
                     "allowed %.3g)",
                     input, where, actual, slope, actual - slope, limit);
}

void graph_check_gradient_within(const struct graph_case *c, double step, double tolerance) {
    const struct graph_how how = {
        .real = CUPEL_TYPE_F64, .reference = true, .threads = 1, .gradients = true};
    struct session s;
    session_open(&s, c, how);
    session_run(&s);
    struct graph_result result;
    session_read(&s, &result);
    for (int i = 0; i < c->n_inputs; i++) {
        if (!s.wanted[i])
            continue;
        double *direction = must_alloc(s.counts[i], sizeof *direction);
        const double scale = fabs(result.loss) * 1e-3;
        char where[48];
        for (size_t e = 0; e < s.counts[i] && s.counts[i] <= 64; e++) {
            direction[e] = 1.0;
            snprintf(where, sizeof where, "element %zu", e);
            check_slope(result.gradients[i][e], slope_along(&s, i, direction, step), scale,
                        tolerance, i, where);
            direction[e] = 0.0;
        }
        for (int d = 0; d < 3; d++) {
            graph_fill_uniform(direction, s.counts[i], (uint64_t)(d + 17), -1.0, 1.0);
            double sum = 0.0;
            for (size_t e = 0; e < s.counts[i]; e++)
                sum += direction[e] * result.gradients[i][e];
            snprintf(where, sizeof where, "direction %d", d);
            check_slope(sum, slope_along(&s, i, direction, step), scale, tolerance, i, where);
        }
        free(direction);
    }
    graph_result_release(&result);
    session_close(&s);
}

void graph_check_gradient(const struct graph_case *c) {
    graph_check_gradient_within(c, 1e-5, 2e-8);
}

void graph_check_adjoint(const struct graph_case *c, int input) {
    const struct graph_how how = {
        .real = CUPEL_TYPE_F64, .reference = true, .threads = 1, .gradients = true};
    struct session s;
    session_open(&s, c, how);
    session_run(&s);
    struct graph_result result;
    session_read(&s, &result);
    CHECK(s.wanted[input]);
    double right = 0.0;
    double magnitude = 0.0;
    for (size_t e = 0; e < s.counts[input]; e++) {
        right += s.values[input][e] * result.gradients[input][e];
        magnitude += fabs(s.values[input][e] * result.gradients[input][e]);
    }
    CHECK_NEAR(result.loss, right, 1e-11 * (1.0 + magnitude));
    graph_result_release(&result);
    session_close(&s);
}

static double largest(const double *values, size_t count) {
    double most = 0.0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]) && fabs(values[i]) > most)
            most = fabs(values[i]);
    return most;
}

void graph_check_fast(const struct graph_case *c, double tolerance) {
    bool differentiable = false;
    for (int i = 0; i < c->n_inputs; i++)
        differentiable |= !c->inputs[i].fixed && cupel_type_is_real(c->inputs[i].type);
    struct graph_result truth;
    graph_run(
        c,
        (struct graph_how){
            .real = CUPEL_TYPE_F64, .reference = true, .threads = 1, .gradients = differentiable},
        &truth);
    const struct graph_how ways[] = {
        {.real = CUPEL_TYPE_F32, .reference = true, .threads = 1, .gradients = differentiable},
        {.real = CUPEL_TYPE_F32, .threads = 1, .gradients = differentiable},
        {.real = CUPEL_TYPE_F32, .threads = 2, .gradients = differentiable},
    };
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct graph_result result;
        graph_run(c, ways[w], &result);
        char what[32];
        for (int k = 0; k < c->n_outputs; k++) {
            const size_t count = (size_t)cupel_shape_count(truth.descs[k].shape);
            snprintf(what, sizeof what, "output %d", k);
            check_near_all(result.values[k], truth.values[k], count,
                           tolerance * largest(truth.values[k], count), 0.0, what, ways[w]);
        }
        for (int i = 0; i < c->n_inputs; i++) {
            if (truth.gradients[i] == NULL)
                continue;
            const size_t count = (size_t)cupel_shape_count(c->inputs[i].shape);
            snprintf(what, sizeof what, "gradient of input %d", i);
            check_near_all(result.gradients[i], truth.gradients[i], count,
                           tolerance * largest(truth.gradients[i], count), 0.0, what, ways[w]);
        }
        graph_result_release(&result);
    }
    graph_result_release(&truth);
}

void graph_check(const struct graph_case *c, double tolerance) {
    graph_check_gradient(c);
    graph_check_fast(c, tolerance);
}

void graph_check_fails(const struct graph_case *c, bool gradients, cupel_status status,
                       const char *part) {
    struct session s;
    session_build(&s, c, (struct graph_how){.gradients = gradients});
    CHECK_STATUS_TEXT(cupel_graph_check(s.graph), status, cupel_graph_error(s.graph));
    CHECK_CONTAINS(cupel_graph_error(s.graph), part);
    session_close(&s);
}
