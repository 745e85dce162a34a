/*
 * Seeded random expression graphs. See random_graph.h.
 */
#include "support/random_graph.h"

#include <stdlib.h>

#include "support/check.h"

/* splitmix64 */
uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t n) {
    return random_next(state) % n;
}

double random_between(uint64_t *state, double low, double high) {
    return low + (high - low) * (double)(random_next(state) >> 11) * 0x1p-53;
}

struct making {
    struct random_graph *r;
    cupel_graph *graph;
    struct random_graph_options options;
    bool used[RANDOM_GRAPH_NODES]; /* read by a later node */
};

static uint64_t below(struct making *m, uint64_t n) {
    return random_below(&m->r->state, n);
}

static cupel_node keep(struct making *m, cupel_node node) {
    CHECK(m->r->count < RANDOM_GRAPH_NODES);
    if (cupel_is_poisoned(node))
        check_failed(__FILE__, __LINE__, "random graph, seed %" PRIu64 ": %s", m->options.seed,
                     cupel_graph_error(m->graph));
    m->r->nodes[m->r->count++] = node;
    return node;
}

/* Any node so far, the later ones more often. */
static cupel_node pick(struct making *m) {
    const uint64_t n = (uint64_t)m->r->count;
    const uint64_t a = below(m, n), b = below(m, n);
    const uint64_t i = a > b ? a : b;
    m->used[i] = true;
    return m->r->nodes[i];
}

static int64_t extent(cupel_node x, int axis) {
    return cupel_node_shape(x).dims[axis];
}

static cupel_shape shape2(int64_t a, int64_t b) {
    return cupel_shape_make(2, (const int64_t[]){a, b});
}

/* Another node that broadcasts with x; x itself in the end. */
static cupel_node partner(struct making *m, cupel_node x) {
    for (int attempt = 0; attempt < 6; attempt++) {
        const uint64_t i = below(m, (uint64_t)m->r->count);
        cupel_shape shape;
        if (cupel_shape_broadcast(cupel_node_shape(x), cupel_node_shape(m->r->nodes[i]), &shape)) {
            m->used[i] = true;
            return m->r->nodes[i];
        }
    }
    return x;
}

/* Keeps values moderate after products and sums. */
static cupel_node calm(cupel_node x) {
    return cupel_tanh(cupel_scale(x, .7));
}

static cupel_node unary(struct making *m, cupel_node x) {
    switch (below(m, m->options.smooth ? 9 : 16)) {
    case 0: return cupel_neg(x);
    case 1: return cupel_exp(cupel_tanh(x));
    case 2: return cupel_log(cupel_offset(cupel_square(x), 1.5));
    case 3: return cupel_sqrt(cupel_offset(cupel_square(x), .5));
    case 4: return cupel_reciprocal(cupel_offset(cupel_exp(calm(x)), 1));
    case 5: return cupel_sigmoid(x);
    case 6: return cupel_tanh(x);
    case 7: return cupel_softplus(x);
    case 8: return cupel_offset(cupel_scale(x, .5), .25);
    case 9: return cupel_relu(x);
    case 10: return cupel_leaky_relu(x, .1);
    case 11: return cupel_abs(x);
    case 12: return cupel_clamp(x, -.5, .75);
    case 13: return cupel_sign(x);
    case 14: return cupel_stop_gradient(x);
    default: return cupel_scale(x, 1); /* an identity */
    }
}

static cupel_node binary(struct making *m, cupel_node a, cupel_node b) {
    switch (below(m, m->options.smooth ? 4 : 7)) {
    case 0: return calm(cupel_add(a, b));
    case 1: return cupel_sub(a, cupel_scale(b, .5));
    case 2: return calm(cupel_mul(a, b));
    case 3: return cupel_div(a, cupel_offset(cupel_square(b), 1));
    case 4: return cupel_maximum(a, b);
    case 5: return cupel_minimum(a, b);
    default: return cupel_select(cupel_compare(CUPEL_LESS, a, b), b, cupel_neg(a));
    }
}

static cupel_node move(struct making *m, cupel_node x) {
    const int64_t rows = extent(x, 0), columns = extent(x, 1);
    const int axis = (int)below(m, 2);
    const int64_t n = extent(x, axis);
    switch (below(m, 7)) {
    case 0: return cupel_transpose(x, (const int[]){1, 0});
    case 1: return cupel_reshape(x, shape2(columns, rows));
    case 2: {
        const int64_t begin = (int64_t)below(m, (uint64_t)n);
        return cupel_slice(x, axis, begin, begin + 1 + (int64_t)below(m, (uint64_t)(n - begin)));
    }
    case 3: return n > 12 ? x : cupel_pad(x, axis, 1, (int64_t)below(m, 2));
    case 4: return n > 12 ? x : cupel_concat(2, (const cupel_node[]){x, cupel_neg(x)}, axis);
    case 5:
        return cupel_gather(x, cupel_constant(m->graph, CUPEL_TYPE_I64, CUPEL_SHAPE(3),
                                              (const int64_t[]){rows - 1, 0, rows / 2}));
    default:
        return rows == 1 ? cupel_broadcast_to(x, shape2(1 + (int64_t)below(m, 4), columns)) : x;
    }
}

static cupel_node reduction(struct making *m, cupel_node x) {
    const int axis = (int)below(m, 2);
    const uint32_t axes = CUPEL_AXIS(axis);
    switch (below(m, m->options.smooth ? 5 : 7)) {
    case 0: return calm(cupel_reduce_sum(x, axes, true));
    case 1: return cupel_reduce_mean(x, axes, true);
    case 2: return cupel_logsumexp(x, axes, true);
    case 3: return cupel_softmax(x, axis);
    case 4: return cupel_log_softmax(x, axis);
    case 5: return cupel_reduce_max(x, axes, true);
    default: return cupel_reduce_min(x, axes, true);
    }
}

static cupel_node product(struct making *m, cupel_node x) {
    const cupel_node y = pick(m);
    if (extent(x, 1) == extent(y, 0))
        return calm(cupel_matmul(x, y, false, false));
    if (extent(x, 1) == extent(y, 1))
        return calm(cupel_matmul(x, y, false, true));
    if (extent(x, 0) == extent(y, 0))
        return calm(cupel_matmul(x, y, true, false));
    return cupel_add(calm(cupel_matmul(x, x, true, false)),
                     cupel_reduce_mean(y, CUPEL_AXIS(0) | CUPEL_AXIS(1), true));
}

static cupel_node normalised(struct making *m, cupel_node x) {
    if (extent(x, 0) < 3)
        return cupel_tanh(x);
    const cupel_shape channels = cupel_shape_make(1, (const int64_t[]){extent(x, 1)});
    const cupel_node gamma = cupel_full(m->graph, CUPEL_TYPE_REAL, channels, .8);
    const cupel_node beta = cupel_full(m->graph, CUPEL_TYPE_REAL, channels, .1);
    const cupel_node y = cupel_batch_norm_train(x, gamma, beta, .1);
    if (!m->options.smooth && below(m, 2)) /* the mean is a value of its own, without gradient */
        keep(m, cupel_reshape(cupel_node_output(y, 1), shape2(1, extent(x, 1))));
    return y;
}

static cupel_node random_draw(struct making *m, cupel_node x) {
    char name[32];
    snprintf(name, sizeof name, "draw%d", m->r->count);
    if (below(m, 2) == 0 || extent(x, 0) != 4)
        return cupel_sample_normal(cupel_rng_inputs(m->graph, 4), name, shape2(4, 2));
    return cupel_dropout(cupel_rng_inputs(m->graph, 4), name, x, .3);
}

static void add_node(struct making *m) {
    const cupel_node x = pick(m);
    const uint64_t kind = below(m, m->options.randomness ? 21 : 20);
    if (kind < 5)
        keep(m, unary(m, x));
    else if (kind < 10)
        keep(m, binary(m, x, partner(m, x)));
    else if (kind < 14)
        keep(m, move(m, x));
    else if (kind < 17)
        keep(m, reduction(m, x));
    else if (kind < 19)
        keep(m, product(m, x));
    else if (kind < 20)
        keep(m, normalised(m, x));
    else
        keep(m, random_draw(m, x));
}

static cupel_shape random_shape(struct making *m) {
    const int64_t scale = m->options.scale > 0 ? m->options.scale : 1;
    const int64_t rows = 1 + (int64_t)below(m, 6), columns = 1 + (int64_t)below(m, 6);
    return shape2(rows * scale, columns * scale);
}

static void add_leaves(struct making *m) {
    struct random_graph *const r = m->r;
    r->n_inputs = 2 + (int)below(m, 3);
    for (int i = 0; i < r->n_inputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        r->inputs[i] = keep(m, cupel_input(m->graph, name, CUPEL_TYPE_REAL, random_shape(m)));
    }
    r->n_variables = m->options.variables ? 2 + (int)below(m, 3) : 0;
    const cupel_shape twins = random_shape(m); /* two of one shape, which may swap */
    for (int i = 0; i < r->n_variables; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        const cupel_init init = {.kind = CUPEL_INIT_NORMAL, .b = .8};
        r->variables[i] =
            keep(m, cupel_parameter(m->graph, name, i < 2 ? twins : random_shape(m), init));
    }
}

/* Each variable takes a node of its shape, often another variable or its own update. */
static void add_assigns(struct making *m) {
    struct random_graph *const r = m->r;
    for (int i = 0; i < r->n_variables; i++) {
        const cupel_node v = r->variables[i];
        const uint64_t way = below(m, 5);
        if (way == 0)
            continue;
        cupel_node value = cupel_scale(cupel_add(v, calm(v)), .9);
        if (way == 1 && i < 2)
            value = r->variables[1 - i];
        for (int k = r->count - 1; k >= 0 && way >= 2; k--)
            if (below(m, 2) &&
                cupel_shape_equal(cupel_node_shape(r->nodes[k]), cupel_node_shape(v))) {
                value = way == 2 ? r->nodes[k] : cupel_add(cupel_scale(v, .5), r->nodes[k]);
                break;
            }
        cupel_assign(v, value);
    }
}

/* Wants outputs of every kind: computed, leaves, twins, views. */
static void choose_outputs(struct making *m) {
    static const char *const names[RANDOM_GRAPH_OUTPUTS] = {"y0", "y1", "y2", "y3", "y4", "y5"};
    struct random_graph *const r = m->r;
    cupel_node nodes[RANDOM_GRAPH_OUTPUTS];
    nodes[0] = r->loss;
    nodes[1] = r->nodes[r->count - 1];
    nodes[2] = pick(m);
    nodes[3] = below(m, 2) ? nodes[2] : r->inputs[0];
    nodes[4] = cupel_reshape(nodes[1], shape2(1, cupel_shape_count(cupel_node_shape(nodes[1]))));
    nodes[5] = r->n_variables ? r->variables[0] : pick(m);
    r->n_outputs = RANDOM_GRAPH_OUTPUTS;
    for (int i = 0; i < r->n_outputs; i++)
        r->outputs[i] = (cupel_output){names[i], nodes[i]};
}

void random_graph_build(struct random_graph *r, cupel_graph *graph,
                        struct random_graph_options options) {
    *r = (struct random_graph){.state = options.seed * 0x9e3779b97f4a7c15u + 1};
    struct making *const m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    *m = (struct making){.r = r, .graph = graph, .options = options};
    add_leaves(m);
    for (int i = 0; i < options.nodes; i++)
        add_node(m);
    cupel_node sum = cupel_none();
    for (int i = 0; i < r->count; i++) {
        if (m->used[i])
            continue;
        const cupel_node mean = cupel_reduce_mean(cupel_square(r->nodes[i]), CUPEL_ALL_AXES, false);
        sum = cupel_is_none(sum) ? mean : cupel_add(sum, mean);
    }
    r->loss = sum;
    if (options.assigns) {
        cupel_guard(r->loss);
        add_assigns(m);
    }
    choose_outputs(m);
    if (cupel_graph_check(graph) != CUPEL_STATUS_OK)
        check_failed(__FILE__, __LINE__, "random graph, seed %" PRIu64 ": %s", options.seed,
                     cupel_graph_error(graph));
    free(m);
}

void random_graph_write(const struct random_graph *r, cupel_bindings *bindings, uint64_t seed) {
    uint64_t state = seed + 99;
    for (int i = 0; i < r->n_inputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        const int64_t count = cupel_shape_count(cupel_node_shape(r->inputs[i]));
        double *const f64 = calloc((size_t)count, sizeof *f64);
        float *const f32 = calloc((size_t)count, sizeof *f32);
        CHECK(f64 != NULL && f32 != NULL);
        for (int64_t k = 0; k < count; k++)
            f32[k] = (float)(f64[k] = random_between(&state, -1.5, 1.5));
        const cupel_desc *const desc = cupel_bindings_desc(bindings, name);
        if (desc != NULL && desc->type == CUPEL_TYPE_F64)
            CHECK_OK(cupel_bindings_write(bindings, name, f64, (size_t)count * sizeof *f64));
        else if (desc != NULL)
            CHECK_OK(cupel_bindings_write(bindings, name, f32, (size_t)count * sizeof *f32));
        free(f64);
        free(f32);
    }
    const uint64_t rows[] = {seed, 1, 2, 3};
    if (cupel_bindings_desc(bindings, "seed") != NULL) {
        CHECK_OK(cupel_bindings_write_u64(bindings, "seed", 11));
        CHECK_OK(cupel_bindings_write_u64(bindings, "step", seed));
        CHECK_OK(cupel_bindings_write(bindings, "rows", rows, sizeof rows));
    }
}
