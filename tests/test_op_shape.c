/* Shape ops (src/op/op_reshape.c, op_transpose.c, op_slice.c, op_concat.c, op_broadcast_to.c,
 * op_pad.c; src/backend/ref/ref_shape.c): elements end up where the rule says, of any type, with
 * every bit; adjoint identity, finite differences, messages. */
#define _GNU_SOURCE
#include "support/graph_check.h"

enum { MOST = 512 };

/* What a case does; -1 in an extent of `to` is for the builder. */
enum move { RESHAPE, TRANSPOSE, SLICE, PAD, BROADCAST, CONCAT };

struct spec {
    enum move move;
    cupel_shape to;
    int permutation[CUPEL_MAX_RANK];
    int axis;
    int64_t first, second; /* begin and end, before and after */
    size_t n;              /* concat */
};

static void build_move(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)graph;
    const struct spec *spec = user;
    switch (spec->move) {
    case RESHAPE: out[0] = cupel_reshape(in[0], spec->to); break;
    case TRANSPOSE: out[0] = cupel_transpose(in[0], spec->permutation); break;
    case SLICE: out[0] = cupel_slice(in[0], spec->axis, spec->first, spec->second); break;
    case PAD: out[0] = cupel_pad(in[0], spec->axis, spec->first, spec->second); break;
    case BROADCAST: out[0] = cupel_broadcast_to(in[0], spec->to); break;
    case CONCAT: out[0] = cupel_concat(spec->n, in, spec->axis); break;
    }
}

static struct graph_case move_case(const struct spec *spec, cupel_shape shape, cupel_type type,
                                   const double *values) {
    return (struct graph_case){.build = build_move,
                               .user = spec,
                               .n_inputs = 1,
                               .inputs = {{.shape = shape, .type = type, .values = values}},
                               .n_outputs = 1};
}

static void split(size_t i, cupel_shape shape, int64_t index[CUPEL_MAX_RANK]) {
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        index[axis] = (int64_t)(i % (size_t)shape.dims[axis]);
        i /= (size_t)shape.dims[axis];
    }
}

static size_t join(const int64_t *index, cupel_shape shape) {
    size_t i = 0;
    for (int axis = 0; axis < shape.rank; axis++)
        i = i * (size_t)shape.dims[axis] + (size_t)index[axis];
    return i;
}

/* The element of x that lands at `index` of the result; SIZE_MAX where the result is 0. */
static size_t source(const struct spec *spec, cupel_shape from, const int64_t *index,
                     cupel_shape to) {
    int64_t at[CUPEL_MAX_RANK] = {0};
    switch (spec->move) {
    case RESHAPE: return join(index, to);
    case TRANSPOSE:
        for (int axis = 0; axis < to.rank; axis++)
            at[spec->permutation[axis]] = index[axis];
        return join(at, from);
    case SLICE:
    case PAD:
        memcpy(at, index, sizeof at);
        at[spec->axis] += spec->move == SLICE ? spec->first : -spec->first;
        if (at[spec->axis] < 0 || at[spec->axis] >= from.dims[spec->axis])
            return SIZE_MAX;
        return join(at, from);
    default:
        for (int axis = 0; axis < from.rank; axis++) {
            const int64_t place = index[axis + to.rank - from.rank];
            at[axis] = from.dims[axis] == 1 ? 0 : place;
        }
        return join(at, from);
    }
}

static void check_move(const struct spec *spec, cupel_shape from, cupel_shape to) {
    const cupel_type types[] = {CUPEL_TYPE_REAL, CUPEL_TYPE_I64, CUPEL_TYPE_U8, CUPEL_TYPE_I32,
                                CUPEL_TYPE_F64};
    char saved[128];
    snprintf(saved, sizeof saved, "%.127s", check_state()->context);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        check_context("%s, type %s", saved, cupel_type_name(types[t]));
        double x[MOST], expected[MOST];
        const size_t count = (size_t)cupel_shape_count(from);
        for (size_t i = 0; i < count; i++)
            x[i] = (double)(i % 251 + 1);
        if (types[t] == CUPEL_TYPE_REAL)
            x[0] = NAN; /* moved */
        const size_t n_out = (size_t)cupel_shape_count(to);
        for (size_t i = 0; i < n_out; i++) {
            int64_t index[CUPEL_MAX_RANK] = {0};
            split(i, to, index);
            const size_t element = source(spec, from, index, to);
            expected[i] = element == SIZE_MAX ? 0.0 : x[element];
        }
        struct graph_case c = move_case(spec, from, types[t], x);
        graph_check_shape(&c, 0, types[t], to);
        graph_check_values(&c, 0, expected, n_out, 0.0);
    }
    check_context("%s", saved);
    const struct graph_case smooth = move_case(spec, from, CUPEL_TYPE_REAL, NULL);
    graph_check_adjoint(&smooth, 0);
    graph_check(&smooth, 1e-6);
}

static void test_reshape(void **state) {
    (void)state;
    struct spec spec = {.move = RESHAPE, .to = CUPEL_SHAPE(6)};
    check_move(&spec, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(6));
    spec.to = CUPEL_SHAPE(4, -1, 3);
    check_move(&spec, CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(4, 2, 3));
    spec.to = CUPEL_SHAPE(-1);
    check_move(&spec, cupel_shape_scalar(), CUPEL_SHAPE(1));
    spec.to = cupel_shape_scalar();
    check_move(&spec, CUPEL_SHAPE(1, 1), cupel_shape_scalar());
    spec.to = CUPEL_SHAPE(2, 3);
    check_move(&spec, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(2, 3));
}

static void test_transpose(void **state) {
    (void)state;
    struct spec spec = {.move = TRANSPOSE, .permutation = {1, 0}};
    check_move(&spec, CUPEL_SHAPE(5, 7), CUPEL_SHAPE(7, 5));
    check_move(&spec, CUPEL_SHAPE(33, 3), CUPEL_SHAPE(3, 33));
    spec.permutation[0] = 0;
    check_move(&spec, CUPEL_SHAPE(4), CUPEL_SHAPE(4));
    const cupel_shape from = CUPEL_SHAPE(2, 3, 4, 5);
    for (int code = 0; code < 256; code++) { /* all permutations of four axes */
        int used = 0;
        cupel_shape to = {.rank = 4};
        for (int i = 0; i < 4; i++) {
            spec.permutation[i] = code >> (2 * i) & 3;
            used |= 1 << spec.permutation[i];
            to.dims[i] = from.dims[spec.permutation[i]];
        }
        if (used != 15 || (code % 3 != 0 && code % 5 != 0)) /* some two thirds of the 24 */
            continue;
        check_context("permutation %d %d %d %d", spec.permutation[0], spec.permutation[1],
                      spec.permutation[2], spec.permutation[3]);
        double x[120], expected[120];
        for (size_t i = 0; i < 120; i++)
            x[i] = (double)i;
        for (size_t i = 0; i < 120; i++) {
            int64_t index[CUPEL_MAX_RANK] = {0};
            split(i, to, index);
            expected[i] = x[source(&spec, from, index, to)];
        }
        const struct graph_case c = move_case(&spec, from, CUPEL_TYPE_REAL, x);
        graph_check_values(&c, 0, expected, 120, 0.0);
        graph_check_adjoint(&c, 0);
    }
    const struct spec six = {.move = TRANSPOSE, .permutation = {5, 0, 4, 1, 3, 2}};
    check_move(&six, CUPEL_SHAPE(2, 1, 3, 2, 1, 3), CUPEL_SHAPE(3, 2, 1, 1, 2, 3));
}

static void test_slice(void **state) {
    (void)state;
    struct spec spec = {.move = SLICE, .axis = 0, .first = 1, .second = 3};
    check_move(&spec, CUPEL_SHAPE(4), CUPEL_SHAPE(2));
    spec = (struct spec){.move = SLICE, .axis = 1, .first = 2, .second = 3};
    check_move(&spec, CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(2, 1, 4));
    spec = (struct spec){.move = SLICE, .axis = 2, .first = 0, .second = 4};
    check_move(&spec, CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(2, 3, 4));
    spec = (struct spec){.move = SLICE, .axis = 3, .first = 1, .second = 5};
    check_move(&spec, CUPEL_SHAPE(2, 3, 2, 7), CUPEL_SHAPE(2, 3, 2, 4));
}

static void test_pad(void **state) {
    (void)state;
    struct spec spec = {.move = PAD, .axis = 0, .first = 1, .second = 3};
    check_move(&spec, CUPEL_SHAPE(4), CUPEL_SHAPE(8));
    spec = (struct spec){.move = PAD, .axis = 1, .first = 0, .second = 2};
    check_move(&spec, CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(2, 5, 4));
    spec = (struct spec){.move = PAD, .axis = 2, .first = 3, .second = 0};
    check_move(&spec, CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(2, 3, 7));
    spec = (struct spec){.move = PAD, .axis = 1};
    check_move(&spec, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(2, 3));
}

static void test_broadcast_to(void **state) {
    (void)state;
    struct spec spec = {.move = BROADCAST, .to = CUPEL_SHAPE(2, 3)};
    check_move(&spec, CUPEL_SHAPE(3), CUPEL_SHAPE(2, 3));
    check_move(&spec, CUPEL_SHAPE(2, 1), CUPEL_SHAPE(2, 3));
    check_move(&spec, cupel_shape_scalar(), CUPEL_SHAPE(2, 3));
    check_move(&spec, CUPEL_SHAPE(2, 3), CUPEL_SHAPE(2, 3));
    spec.to = CUPEL_SHAPE(2, 4, 3, 5);
    check_move(&spec, CUPEL_SHAPE(4, 1, 5), CUPEL_SHAPE(2, 4, 3, 5));
}

static void check_concat(int axis, size_t n, const cupel_shape *from, cupel_shape to) {
    const struct spec spec = {.move = CONCAT, .axis = axis, .n = n};
    struct graph_case c = {.build = build_move, .user = &spec, .n_inputs = (int)n, .n_outputs = 1};
    double x[3][MOST], expected[MOST];
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < MOST; i++)
            x[k][i] = (double)(1000 * k + i);
        c.inputs[k] = (struct graph_input){.shape = from[k], .values = x[k]};
    }
    const size_t count = (size_t)cupel_shape_count(to);
    for (size_t i = 0; i < count; i++) {
        int64_t index[CUPEL_MAX_RANK] = {0};
        split(i, to, index);
        size_t k = 0;
        for (; index[axis] >= from[k].dims[axis]; k++)
            index[axis] -= from[k].dims[axis];
        expected[i] = x[k][join(index, from[k])];
    }
    graph_check_shape(&c, 0, CUPEL_TYPE_REAL, to);
    graph_check_values(&c, 0, expected, count, 0.0);
    for (size_t k = 0; k < n; k++)
        c.inputs[k].type = CUPEL_TYPE_I64;
    graph_check_values(&c, 0, expected, count, 0.0);
    for (size_t k = 0; k < n; k++)
        c.inputs[k] = (struct graph_input){.shape = from[k]};
    graph_check(&c, 1e-6);
}

static void test_concat(void **state) {
    (void)state;
    const cupel_shape vectors[] = {CUPEL_SHAPE(2), CUPEL_SHAPE(1), CUPEL_SHAPE(5)};
    check_concat(0, 3, vectors, CUPEL_SHAPE(8));
    check_concat(0, 1, vectors, CUPEL_SHAPE(2));
    const cupel_shape blocks[] = {CUPEL_SHAPE(2, 3, 4), CUPEL_SHAPE(2, 1, 4), CUPEL_SHAPE(2, 2, 4)};
    check_concat(1, 3, blocks, CUPEL_SHAPE(2, 6, 4));
    const cupel_shape images[] = {CUPEL_SHAPE(2, 3, 2, 5), CUPEL_SHAPE(2, 3, 2, 1)};
    check_concat(3, 2, images, CUPEL_SHAPE(2, 3, 2, 6));
}

/* The same tensor twice: both contributions count. */
static void build_twice(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                        const void *user) {
    (void)graph;
    (void)user;
    const cupel_node both[] = {in[0], in[0]};
    const cupel_node wide = cupel_concat(2, both, 1);
    out[0] =
        cupel_mul(cupel_reshape(wide, CUPEL_SHAPE(3, -1)),
                  cupel_reshape(cupel_transpose(wide, (const int[]){1, 0}), CUPEL_SHAPE(3, 4)));
}

static void test_twice(void **state) {
    (void)state;
    const struct graph_case c = {.build = build_twice,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(2, 3)}},
                                 .n_outputs = 1};
    graph_check(&c, 1e-6);
}

/* More operands than one node takes: 300 times the same row, each a little larger. */
static void build_long(cupel_graph *graph, const cupel_node *in, cupel_node *out,
                       const void *user) {
    (void)graph;
    (void)user;
    enum { MANY = 300 };
    cupel_node rows[MANY];
    for (int i = 0; i < MANY; i++)
        rows[i] = cupel_offset(in[0], i);
    out[0] = cupel_concat(MANY, rows, 0);
}

static void test_long(void **state) {
    (void)state;
    const double x[2] = {1, 2};
    double expected[600];
    for (int i = 0; i < 600; i++)
        expected[i] = x[i % 2] + i / 2;
    const struct graph_case c = {.build = build_long,
                                 .n_inputs = 1,
                                 .inputs = {{.shape = CUPEL_SHAPE(1, 2), .values = x}},
                                 .n_outputs = 1};
    graph_check_values(&c, 0, expected, 600, 1e-7);
}

/* --- messages --- */

static void check_refused(const struct spec *spec, cupel_shape shape, cupel_status status,
                          const char *part) {
    const struct graph_case c = move_case(spec, shape, CUPEL_TYPE_REAL, NULL);
    graph_check_fails(&c, false, status, part);
}

static void test_messages(void **state) {
    (void)state;
    const cupel_shape shape = CUPEL_SHAPE(4, 6);
    struct spec spec = {.move = RESHAPE, .to = CUPEL_SHAPE(5, 5)};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[4, 6] has 24 elements");
    spec.to = CUPEL_SHAPE(-1, 5);
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[-1, 5]");
    spec.to = CUPEL_SHAPE(-1, -1);
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[-1, -1]");
    spec.to = CUPEL_SHAPE(0, -1);
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[0, -1]");
    spec = (struct spec){.move = TRANSPOSE, .permutation = {1, 1}};
    check_refused(&spec, shape, CUPEL_STATUS_INVALID_ARGUMENT, "entry 1 of the permutation is 1");
    spec = (struct spec){.move = TRANSPOSE, .permutation = {0, 2}};
    check_refused(&spec, shape, CUPEL_STATUS_INVALID_ARGUMENT, "is 2");
    spec = (struct spec){.move = SLICE, .axis = 1, .first = 2, .second = 7};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[2, 7) is not inside axis 1 of [4, 6]");
    spec = (struct spec){.move = SLICE, .axis = 1, .first = 3, .second = 3};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[3, 3)");
    spec = (struct spec){.move = SLICE, .axis = 2, .first = 0, .second = 1};
    check_refused(&spec, shape, CUPEL_STATUS_INVALID_ARGUMENT, "no axis 2 in [4, 6]");
    spec = (struct spec){.move = PAD, .axis = 0, .first = -1};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "-1 before and 0 after axis 0 of [4, 6]");
    spec = (struct spec){.move = PAD, .axis = 0, .first = INT64_MAX / 2, .second = INT64_MAX / 2};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "too large");
    spec = (struct spec){.move = BROADCAST, .to = CUPEL_SHAPE(4, 3)};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "[4, 6] cannot be repeated to [4, 3]");
    spec = (struct spec){.move = BROADCAST, .to = CUPEL_SHAPE(6)};
    check_refused(&spec, shape, CUPEL_STATUS_SHAPE, "to [6]");
    spec = (struct spec){.move = CONCAT, .axis = 0, .n = 2};
    struct graph_case c = move_case(&spec, shape, CUPEL_TYPE_REAL, NULL);
    c.n_inputs = 2;
    c.inputs[1].shape = CUPEL_SHAPE(4, 5);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "input 1 is [4, 5], but input 0 is [4, 6]");
    c.inputs[1].shape = CUPEL_SHAPE(4);
    graph_check_fails(&c, false, CUPEL_STATUS_SHAPE, "input 1 is [4]");
    c.inputs[1] = (struct graph_input){.shape = shape, .type = CUPEL_TYPE_I64};
    graph_check_fails(&c, false, CUPEL_STATUS_TYPE, "input 1 is i64");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reshape),      cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_slice),        cmocka_unit_test(test_pad),
        cmocka_unit_test(test_concat),       cmocka_unit_test(test_long),
        cmocka_unit_test(test_broadcast_to), cmocka_unit_test(test_twice),
        cmocka_unit_test(test_messages),
    };
    return CHECK_MAIN(tests);
}
