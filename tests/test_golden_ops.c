/*
 * Every operation against PyTorch: outputs and gradients of the cases in golden/ops.safetensors, in
 * f64 and f32 on every device. One test a builder; the cases, with their attributes, are found in
 * the file, so a new case needs no line here. tools/golden/ops.py says what the arrays of a case
 * are.
 */
#include "support/golden.h"

#include <stdlib.h>

#include "op/op_internal.h"

enum { MOST_OPERANDS = 8 };

/* One case while its graph is built. */
struct golden_case {
    const char *label; /* after "op:" */
    cupel_graph *graph;
    size_t n;
    cupel_node x[MOST_OPERANDS];
    cupel_rng rng; /* of cases whose x0 is [seed, step, rows...] */
    size_t n_p;
    double p[16];
};

static cupel_shape shape_of_p(const struct golden_case *c) {
    int64_t dims[CUPEL_MAX_RANK] = {0};
    for (size_t i = 0; i < c->n_p; i++)
        dims[i] = (int64_t)c->p[i];
    return cupel_shape_make((int)c->n_p, dims);
}

static cupel_node build_leaky_relu(const struct golden_case *c) {
    return cupel_leaky_relu(c->x[0], c->p[0]);
}
static cupel_node build_clamp(const struct golden_case *c) {
    return cupel_clamp(c->x[0], c->p[0], c->p[1]);
}
static cupel_node build_cast(const struct golden_case *c) {
    const cupel_node cast = cupel_cast(c->x[0], (cupel_type)c->p[0]);
    /* to F64 and back, so that the gradient passes through both */
    return (cupel_type)c->p[0] == CUPEL_TYPE_F64 ? cupel_cast(cast, CUPEL_TYPE_REAL) : cast;
}
static cupel_node build_stop_gradient(const struct golden_case *c) {
    return cupel_mul(c->x[0], cupel_stop_gradient(c->x[0]));
}
static cupel_node build_scale(const struct golden_case *c) {
    return cupel_scale(c->x[0], c->p[0]);
}
static cupel_node build_offset(const struct golden_case *c) {
    return cupel_offset(c->x[0], c->p[0]);
}
static cupel_node build_compare(const struct golden_case *c) {
    return cupel_compare((cupel_comparison)c->p[0], c->x[0], c->x[1]);
}
static cupel_node build_select(const struct golden_case *c) {
    return cupel_select(c->x[0], c->x[1], c->x[2]);
}
static cupel_node build_reduce_sum(const struct golden_case *c) {
    return cupel_reduce_sum(c->x[0], (uint32_t)c->p[0], c->p[1] != 0);
}
static cupel_node build_reduce_mean(const struct golden_case *c) {
    return cupel_reduce_mean(c->x[0], (uint32_t)c->p[0], c->p[1] != 0);
}
static cupel_node build_reduce_max(const struct golden_case *c) {
    return cupel_reduce_max(c->x[0], (uint32_t)c->p[0], c->p[1] != 0);
}
static cupel_node build_reduce_min(const struct golden_case *c) {
    return cupel_reduce_min(c->x[0], (uint32_t)c->p[0], c->p[1] != 0);
}
static cupel_node build_logsumexp(const struct golden_case *c) {
    return cupel_logsumexp(c->x[0], (uint32_t)c->p[0], c->p[1] != 0);
}
static cupel_node build_argmax(const struct golden_case *c) {
    return cupel_argmax(c->x[0], (int)c->p[0]);
}
static cupel_node build_softmax(const struct golden_case *c) {
    return cupel_softmax(c->x[0], (int)c->p[0]);
}
static cupel_node build_log_softmax(const struct golden_case *c) {
    return cupel_log_softmax(c->x[0], (int)c->p[0]);
}
static cupel_node build_reshape(const struct golden_case *c) {
    return cupel_reshape(c->x[0], shape_of_p(c));
}
static cupel_node build_transpose(const struct golden_case *c) {
    int permutation[CUPEL_MAX_RANK] = {0};
    for (size_t i = 0; i < c->n_p; i++)
        permutation[i] = (int)c->p[i];
    return cupel_transpose(c->x[0], permutation);
}
static cupel_node build_slice(const struct golden_case *c) {
    return cupel_slice(c->x[0], (int)c->p[0], (int64_t)c->p[1], (int64_t)c->p[2]);
}
static cupel_node build_concat(const struct golden_case *c) {
    return cupel_concat(c->n, c->x, (int)c->p[0]);
}
static cupel_node build_broadcast_to(const struct golden_case *c) {
    return cupel_broadcast_to(c->x[0], shape_of_p(c));
}
static cupel_node build_pad(const struct golden_case *c) {
    return cupel_pad(c->x[0], (int)c->p[0], (int64_t)c->p[1], (int64_t)c->p[2]);
}
static cupel_node build_scatter_update(const struct golden_case *c) {
    return cupel_scatter_update(c->x[0], c->x[1], c->x[2]);
}
static cupel_node build_scatter_add(const struct golden_case *c) {
    return cupel_scatter_add(c->x[0], c->x[1], (int64_t)c->p[0]);
}
static cupel_node build_segment_max(const struct golden_case *c) {
    return cupel_segment_max(c->x[0], c->x[1], (int64_t)c->p[0], c->p[1]);
}
static cupel_node build_one_hot(const struct golden_case *c) {
    return cupel_one_hot(c->x[0], (int64_t)c->p[0]);
}
static cupel_node build_matmul(const struct golden_case *c) {
    return cupel_matmul(c->x[0], c->x[1], c->p[0] != 0, c->p[1] != 0);
}
/* p: stride, padding, dilation, groups, and for a transposed convolution output padding */
static cupel_conv_options conv_options(const struct golden_case *c) {
    cupel_conv_options options = {.groups = (int64_t)c->p[6]};
    for (int i = 0; i < 2; i++) {
        options.stride[i] = (int64_t)c->p[i];
        options.padding[i] = (int64_t)c->p[2 + i];
        options.dilation[i] = (int64_t)c->p[4 + i];
        options.output_padding[i] = c->n_p > 7 ? (int64_t)c->p[7 + i] : 0;
    }
    return options;
}
static cupel_node build_conv2d(const struct golden_case *c) {
    const cupel_conv_options options = conv_options(c);
    return cupel_conv2d(c->x[0], c->x[1], c->n > 2 ? c->x[2] : cupel_none(), &options);
}
static cupel_node build_conv_transpose2d(const struct golden_case *c) {
    const cupel_conv_options options = conv_options(c);
    return cupel_conv_transpose2d(c->x[0], c->x[1], c->n > 2 ? c->x[2] : cupel_none(), &options);
}
/* p: kernel, stride, padding */
static cupel_pool_options pool_options(const struct golden_case *c) {
    cupel_pool_options options = {{0}, {0}, {0}};
    for (int i = 0; i < 2; i++) {
        options.kernel[i] = (int64_t)c->p[i];
        options.stride[i] = (int64_t)c->p[2 + i];
        options.padding[i] = (int64_t)c->p[4 + i];
    }
    return options;
}
static cupel_node build_max_pool2d(const struct golden_case *c) {
    const cupel_pool_options options = pool_options(c);
    return cupel_max_pool2d(c->x[0], &options);
}
static cupel_node build_avg_pool2d(const struct golden_case *c) {
    const cupel_pool_options options = pool_options(c);
    return cupel_avg_pool2d(c->x[0], &options);
}
static cupel_node build_batch_norm_train(const struct golden_case *c) {
    return cupel_batch_norm_train(c->x[0], c->x[1], c->x[2], c->p[0]);
}
static cupel_node build_batch_norm_inference(const struct golden_case *c) {
    return cupel_batch_norm_inference(c->x[0], c->x[1], c->x[2], c->x[3], c->x[4], c->p[0]);
}
static cupel_node build_sample_normal(const struct golden_case *c) {
    return cupel_sample_normal(c->rng, c->label, shape_of_p(c));
}
static cupel_node build_sample_uniform(const struct golden_case *c) {
    return cupel_sample_uniform(c->rng, c->label, shape_of_p(c));
}
static cupel_node build_dropout(const struct golden_case *c) {
    return cupel_dropout(c->rng, c->label, c->x[1], c->p[0]);
}
static cupel_node build_generalized_cross_entropy(const struct golden_case *c) {
    return cupel_generalized_cross_entropy(c->x[0], c->x[1], c->p[0]);
}
static cupel_node build_gaussian_log_density(const struct golden_case *c) {
    return cupel_gaussian_log_density(c->x[0], c->x[1], c->x[2]);
}

struct row {
    const char *op;
    cupel_node (*unary)(cupel_node);
    cupel_node (*binary)(cupel_node, cupel_node);
    cupel_node (*build)(const struct golden_case *);
};

static const struct row rows[] = {
    {"neg", .unary = cupel_neg},
    {"abs", .unary = cupel_abs},
    {"exp", .unary = cupel_exp},
    {"log", .unary = cupel_log},
    {"sqrt", .unary = cupel_sqrt},
    {"square", .unary = cupel_square},
    {"reciprocal", .unary = cupel_reciprocal},
    {"sign", .unary = cupel_sign},
    {"relu", .unary = cupel_relu},
    {"leaky_relu", .build = build_leaky_relu},
    {"sigmoid", .unary = cupel_sigmoid},
    {"tanh", .unary = cupel_tanh},
    {"softplus", .unary = cupel_softplus},
    {"clamp", .build = build_clamp},
    {"cast", .build = build_cast},
    {"stop_gradient", .build = build_stop_gradient},
    {"add", .binary = cupel_add},
    {"sub", .binary = cupel_sub},
    {"mul", .binary = cupel_mul},
    {"div", .binary = cupel_div},
    {"maximum", .binary = cupel_maximum},
    {"minimum", .binary = cupel_minimum},
    {"pow", .binary = cupel_pow},
    {"scale", .build = build_scale},
    {"offset", .build = build_offset},
    {"compare", .build = build_compare},
    {"select", .build = build_select},
    {"reduce_sum", .build = build_reduce_sum},
    {"reduce_mean", .build = build_reduce_mean},
    {"reduce_max", .build = build_reduce_max},
    {"reduce_min", .build = build_reduce_min},
    {"logsumexp", .build = build_logsumexp},
    {"argmax", .build = build_argmax},
    {"softmax", .build = build_softmax},
    {"log_softmax", .build = build_log_softmax},
    {"reshape", .build = build_reshape},
    {"transpose", .build = build_transpose},
    {"slice", .build = build_slice},
    {"concat", .build = build_concat},
    {"broadcast_to", .build = build_broadcast_to},
    {"pad", .build = build_pad},
    {"gather", .binary = cupel_gather},
    {"scatter_update", .build = build_scatter_update},
    {"scatter_add", .build = build_scatter_add},
    {"segment_max", .build = build_segment_max},
    {"one_hot", .build = build_one_hot},
    {"matmul", .build = build_matmul},
    {"conv2d", .build = build_conv2d},
    {"conv2d_backward_data", .build = build_conv_transpose2d},
    {"conv2d_backward_weights", .build = build_conv2d},
    {"max_pool2d", .build = build_max_pool2d},
    {"max_pool2d_backward", .build = build_max_pool2d},
    {"avg_pool2d", .build = build_avg_pool2d},
    {"avg_pool2d_backward", .build = build_avg_pool2d},
    {"batch_norm_train", .build = build_batch_norm_train},
    {"batch_norm_backward", .build = build_batch_norm_train},
    {"batch_norm_inference", .build = build_batch_norm_inference},
    {"sample_normal", .build = build_sample_normal},
    {"sample_uniform", .build = build_sample_uniform},
    {"dropout", .build = build_dropout},
    {"squared_error", .binary = cupel_squared_error},
    {"bernoulli_cross_entropy", .binary = cupel_bernoulli_cross_entropy},
    {"cross_entropy", .binary = cupel_cross_entropy},
    {"generalized_cross_entropy", .build = build_generalized_cross_entropy},
    {"gaussian_kl", .binary = cupel_gaussian_kl},
    {"gaussian_log_density", .build = build_gaussian_log_density},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* The largest error relative to the largest element of the tensor. In f64 both sides round at 1e-16
 * and sum at most a few hundred terms. In f32 a result is off by a few times 6e-8, more where a row
 * says so. */
static double tolerance(const char *op, cupel_type real) {
    static const struct {
        const char *op;
        double tolerance;
    } wider[] = {
        {"cross_entropy",
         5e-6},           /* the loss of a confident right answer is a difference of logits */
        {"conv2d", 5e-6}, /* sums of up to 147 products, in any order */
    };
    if (real == CUPEL_TYPE_F64)
        return 1e-12;
    for (size_t i = 0; i < sizeof wider / sizeof wider[0]; i++)
        if (strcmp(wider[i].op, op) == 0)
            return wider[i].tolerance;
    return 2e-6;
}

static cupel_tensors *golden;

static int open_golden(void **state) {
    (void)state;
    if (golden == NULL)
        golden = golden_read("ops.safetensors");
    return 0;
}

/* An index input may hold anything below the largest index that the case uses; others are free. */
static cupel_node index_input(cupel_graph *graph, const char *name, const cupel_tensor *tensor) {
    double largest = 0, smallest = 0;
    for (size_t i = 0; i < golden_count(tensor); i++) {
        largest = fmax(largest, golden_at(tensor, i));
        smallest = fmin(smallest, golden_at(tensor, i));
    }
    if (smallest < 0)
        return cupel_input(graph, name, CUPEL_TYPE_I64, tensor->desc.shape);
    return cupel_input_index(graph, name, tensor->desc.shape, (int64_t)largest + 1);
}

static bool graph_has_op(cupel_graph *graph, const char *op) {
    for (uint32_t id = 0; id < graph->list.count; id++)
        if (strcmp(graph_node_at(graph, id)->op->name, op) == 0)
            return true;
    return false;
}

static void write_rng(struct golden_program *program, const cupel_tensor *key) {
    const uint64_t *const values = key->data;
    const size_t bytes = (golden_count(key) - 2) * sizeof *values;
    CHECK_OK(cupel_bindings_write_u64(program->bindings, "seed", values[0]));
    CHECK_OK(cupel_bindings_write_u64(program->bindings, "step", values[1]));
    CHECK_OK(cupel_bindings_write(program->bindings, "rows", values + 2, bytes));
}

enum { MOST_OUTPUTS = 2 * MOST_OPERANDS };

/* Builds, runs and compares the case of that name on one way. */
static void run_case(const struct row *row, const char *name, struct golden_way way) {
    check_context("%s, %s", name, golden_way_text(way));
    struct golden_machine machine;
    golden_machine_open(&machine, way, 1);
    cupel_graph *const graph = golden_graph(&machine);
    struct golden_case c = {.label = strchr(name, ':') + 1, .graph = graph};
    const cupel_tensor *inputs[MOST_OPERANDS];
    char names[4][MOST_OPERANDS][8];
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < MOST_OPERANDS; i++)
            snprintf(names[kind][i], sizeof names[kind][i], "%c%d", "xycg"[kind], i);
    for (; (inputs[c.n] = golden_find(golden, "%s/x%zu", name, c.n)) != NULL; c.n++) {
        const cupel_desc *const desc = &inputs[c.n]->desc;
        if (desc->type == CUPEL_TYPE_U64)
            c.rng = cupel_rng_inputs(graph, desc->shape.dims[0] - 2);
        else if (desc->type == CUPEL_TYPE_I64)
            c.x[c.n] = index_input(graph, names[0][c.n], inputs[c.n]);
        else
            c.x[c.n] = cupel_input(graph, names[0][c.n], CUPEL_TYPE_REAL, desc->shape);
    }
    const cupel_tensor *const p = golden_find(golden, "%s/p", name);
    for (; p != NULL && c.n_p < golden_count(p); c.n_p++)
        c.p[c.n_p] = golden_at(p, c.n_p);

    const cupel_node y = row->unary != NULL    ? row->unary(c.x[0])
                         : row->binary != NULL ? row->binary(c.x[0], c.x[1])
                                               : row->build(&c);
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    cupel_output outputs[MOST_OUTPUTS];
    const cupel_tensor *expected[MOST_OUTPUTS];
    size_t n_outputs = 0;
    cupel_node loss = cupel_none();
    for (uint32_t k = 0; (expected[n_outputs] = golden_find(golden, "%s/y%u", name, k)) != NULL;
         k++) {
        const cupel_node output = cupel_node_output(y, k);
        const cupel_tensor *const cotangent = golden_find(golden, "%s/c%u", name, k);
        if (cotangent != NULL) {
            const cupel_node weights =
                cupel_input(graph, names[2][k], CUPEL_TYPE_REAL, cupel_node_shape(output));
            const cupel_node term =
                cupel_reduce_sum(cupel_mul(output, weights), CUPEL_ALL_AXES, false);
            loss = cupel_is_none(loss) ? term : cupel_add(loss, term);
        }
        outputs[n_outputs++] = (cupel_output){names[1][k], output};
    }
    CHECK(n_outputs > 0);
    if (!cupel_is_none(loss)) {
        cupel_node wrt[MOST_OPERANDS], gradients[MOST_OPERANDS];
        size_t n_wrt = 0;
        for (size_t i = 0; i < c.n; i++) {
            const cupel_tensor *const gradient = golden_find(golden, "%s/g%zu", name, i);
            if (gradient == NULL)
                continue;
            expected[n_outputs + n_wrt] = gradient;
            outputs[n_outputs + n_wrt].name = names[3][i];
            wrt[n_wrt++] = c.x[i];
        }
        CHECK_OK_TEXT(cupel_graph_add_gradients(graph, loss, n_wrt, wrt, gradients),
                      cupel_graph_error(graph));
        for (size_t i = 0; i < n_wrt; i++)
            outputs[n_outputs++].node = gradients[i];
    }
    if (op_find(row->op) != NULL && !graph_has_op(graph, row->op))
        check_failed(__FILE__, __LINE__, "the case does not contain the op %s", row->op);

    struct golden_program program;
    golden_compile(&program, &machine, graph, name, n_outputs, outputs);
    for (size_t i = 0; i < c.n; i++)
        if (inputs[i]->desc.type == CUPEL_TYPE_U64)
            write_rng(&program, inputs[i]);
        else
            golden_write_tensor(&program, names[0][i], inputs[i]);
    for (int k = 0; k < MOST_OPERANDS; k++) {
        const cupel_tensor *const cotangent = golden_find(golden, "%s/c%d", name, k);
        if (cotangent != NULL)
            golden_write_tensor(&program, names[2][k], cotangent);
    }
    golden_run(&program);
    for (size_t i = 0; i < n_outputs; i++)
        golden_compare_output(&program, outputs[i].name, expected[i], tolerance(row->op, way.real));
    golden_program_close(&program);
    golden_machine_close(&machine);
}

/* The case's name when tensor is its output 0. */
static bool case_name(const char *tensor, char name[128]) {
    const size_t length = strlen(tensor);
    if (length < 4 || length >= 128 || strcmp(tensor + length - 3, "/y0") != 0)
        return false;
    memcpy(name, tensor, length - 3);
    name[length - 3] = '\0';
    return strchr(name, ':') != NULL;
}

static const struct row *row_of(const char *name) {
    for (size_t i = 0; i < ROWS; i++) {
        const size_t length = strlen(rows[i].op);
        if (strncmp(name, rows[i].op, length) == 0 && (name[length] == ':' || name[length] == '\0'))
            return &rows[i];
    }
    return NULL;
}

static void test_op(void **state) {
    open_golden(state);
    const struct row *const row = row_of(*state);
    CHECK(row != NULL);
    int cases = 0;
    for (size_t i = 0; i < cupel_tensors_count(golden); i++) {
        char name[128];
        if (!case_name(cupel_tensors_at(golden, i)->name, name) || row_of(name) != row)
            continue;
        for (int way = 0; way < GOLDEN_WAYS; way++)
            run_case(row, name, golden_ways[way]);
        cases++;
    }
    CHECK(cases > 0);
}

/* No case in the file is left out. */
static void test_every_case_has_a_row(void **state) {
    open_golden(state);
    for (size_t i = 0; i < cupel_tensors_count(golden); i++) {
        char name[128];
        if (case_name(cupel_tensors_at(golden, i)->name, name) && row_of(name) == NULL)
            check_failed(__FILE__, __LINE__, "no row for the case %s", name);
    }
}

static void test_close(void **state) {
    (void)state;
    cupel_tensors_destroy(golden);
    golden = NULL;
}

int main(int argc, char **argv) {
    struct CMUnitTest tests[ROWS + 2];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].op, .test_func = test_op};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_every_case_has_a_row);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_close);
    return CHECK_MAIN(tests);
}
