/*
 * Pass simplify: what is equal is merged, what changes nothing vanishes, and nothing else. Random
 * nodes and effects never merge. Whole programs with and without the pass give the same bits
 * (test_program.c, on random graphs).
 */
#include "support/passes.h"

static struct passes p;

static cupel_node input(const char *name, cupel_shape shape) {
    return cupel_input(p.graph, name, CUPEL_TYPE_REAL, shape);
}

static int open_passes(void **state) {
    check_state()->test = *state;
    passes_open(&p, "cpu", CUPEL_TYPE_F32);
    return 0;
}

static int close_passes(void **state) {
    (void)state;
    passes_close(&p);
    return 0;
}

static void equal_nodes_merge(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    const cupel_node a = cupel_exp(cupel_neg(x)), b = cupel_exp(cupel_neg(x));
    passes_output(&p, "y", cupel_mul(a, cupel_tanh(b)));
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "neg"), 1);
    CHECK_I64(passes_count(&p, "exp"), 1);
    passes_check_list(&p);
}

static void other_attributes_or_outputs_do_not_merge(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(4, 3));
    const cupel_node ones = cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), 1);
    const cupel_node norm = cupel_batch_norm_train(x, ones, ones, 1e-5);
    passes_output(&p, "a", cupel_leaky_relu(x, .1));
    passes_output(&p, "b", cupel_leaky_relu(x, .2));
    passes_output(&p, "c", cupel_exp(cupel_node_output(norm, 1)));
    passes_output(&p, "d", cupel_exp(cupel_node_output(norm, 2)));
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "leaky_relu"), 2);
    CHECK_I64(passes_count(&p, "exp"), 2);
}

static void constants_merge_by_value_and_shape(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    cupel_node y = cupel_offset(x, 2);
    y = cupel_mul(y, cupel_scalar(p.graph, 2));
    y = cupel_mul(y, cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), 2));
    y = cupel_mul(y, cupel_scalar(p.graph, 3));
    passes_output(&p, "y", y);
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "constant"), 3); /* 2, [2, 2, 2], 3 */
}

static void random_nodes_and_effects_never_merge(void **state) {
    (void)state;
    const cupel_rng rng = cupel_rng_inputs(p.graph, 2);
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    cupel_node y = cupel_add(cupel_sample_normal(rng, "a", CUPEL_SHAPE(2, 3)),
                             cupel_sample_normal(rng, "b", CUPEL_SHAPE(2, 3)));
    y = cupel_add(y, cupel_add(cupel_dropout(rng, "c", x, .5), cupel_dropout(rng, "d", x, .5)));
    const cupel_node sum = cupel_reduce_sum(y, CUPEL_ALL_AXES, false);
    const cupel_node u =
        cupel_state(p.graph, "u", CUPEL_TYPE_REAL, cupel_shape_scalar(), (cupel_init){0});
    const cupel_node v =
        cupel_state(p.graph, "v", CUPEL_TYPE_REAL, cupel_shape_scalar(), (cupel_init){0});
    cupel_guard(sum);
    cupel_guard(sum);
    cupel_assign(u, sum);
    cupel_assign(v, sum);
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "sample_normal"), 2);
    CHECK_I64(passes_count(&p, "dropout"), 2);
    CHECK_I64(passes_count(&p, "guard"), 2);
    CHECK_I64(passes_count(&p, "assign"), 2);
}

static void identities_vanish(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    cupel_node y = cupel_stop_gradient(x);
    y = cupel_reshape(y, CUPEL_SHAPE(2, 3));
    y = cupel_transpose(y, (const int[]){0, 1});
    y = cupel_broadcast_to(y, CUPEL_SHAPE(2, 3));
    y = cupel_cast(y, CUPEL_TYPE_REAL);
    y = cupel_scale(y, 1);
    y = cupel_mul(cupel_scalar(p.graph, 1), y);
    y = cupel_div(y, cupel_scalar(p.graph, 1));
    passes_output(&p, "y", y);
    passes_run(&p, "simplify");
    CHECK_STRING(passes_root_op(&p, 0), "input");
    CHECK_U64(p.c.list.count, 1);
}

static void what_changes_something_stays(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(3, 3));
    const cupel_node row = input("row", CUPEL_SHAPE(3));
    /* 1 * row would have the shape [3, 3], so the product has to stay; so has the transpose. */
    const cupel_node ones = cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 3), 1);
    passes_output(&p, "a", cupel_mul(row, ones));
    passes_output(&p, "b", cupel_transpose(x, (const int[]){1, 0}));
    passes_output(&p, "c", cupel_div(cupel_scalar(p.graph, 1), x));
    passes_output(&p, "d", cupel_cast(x, CUPEL_TYPE_F64));
    passes_output(&p, "e", cupel_reshape(x, CUPEL_SHAPE(9)));
    passes_run(&p, "simplify");
    CHECK_STRING(passes_root_op(&p, 0), "mul");
    CHECK_STRING(passes_root_op(&p, 1), "transpose");
    CHECK_STRING(passes_root_op(&p, 2), "div");
    CHECK_STRING(passes_root_op(&p, 3), "cast");
    CHECK_STRING(passes_root_op(&p, 4), "reshape");
}

static void a_reshape_reads_through_reshapes(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    passes_output(&p, "y", cupel_reshape(cupel_reshape(x, CUPEL_SHAPE(6)), CUPEL_SHAPE(3, 2)));
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "reshape"), 1);
    const struct graph_node *node = &p.c.list.nodes[passes_nth(&p, "reshape", 0)];
    CHECK_STRING(p.c.list.nodes[node->inputs[0].node].op->name, "input");
}

static void broadcasts_are_left_to_elementwise_ops(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3)), row = input("row", CUPEL_SHAPE(3));
    const cupel_node wide = cupel_broadcast_to(row, CUPEL_SHAPE(2, 3));
    passes_output(&p, "a", cupel_add(x, wide));
    /* Here the broadcast is what gives the result its shape. */
    const cupel_node tall = cupel_broadcast_to(row, CUPEL_SHAPE(4, 3));
    passes_output(&p, "b", cupel_mul(tall, row));
    /* Not elementwise: it needs the bytes. */
    passes_output(&p, "c", cupel_matmul(wide, x, false, true));
    passes_run(&p, "simplify");
    const struct graph_node *add = &p.c.list.nodes[passes_nth(&p, "add", 0)];
    CHECK_STRING(p.c.list.nodes[add->inputs[1].node].op->name, "input");
    const struct graph_node *mul = &p.c.list.nodes[passes_nth(&p, "mul", 0)];
    CHECK_STRING(p.c.list.nodes[mul->inputs[0].node].op->name, "broadcast_to");
    CHECK_I64(passes_count(&p, "broadcast_to"), 2);
    passes_check_list(&p);
}

/* Of one operand: it is done once, before it is repeated, and what follows reads it there. */
static void ops_come_before_broadcasts(void **state) {
    (void)state;
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3)), row = input("row", CUPEL_SHAPE(3));
    const cupel_node wide = cupel_broadcast_to(row, CUPEL_SHAPE(2, 3));
    passes_output(&p, "a", cupel_mul(x, cupel_neg(cupel_exp(wide))));
    passes_output(&p, "b", cupel_abs(wide));
    passes_run(&p, "simplify");
    static const char *const narrow[] = {"exp", "neg", "abs"};
    for (int i = 0; i < 3; i++) {
        const struct graph_node *node = &p.c.list.nodes[passes_nth(&p, narrow[i], 0)];
        CHECK_I64(node->outputs[0].shape.rank, 1);
        CHECK_I64(node->outputs[0].shape.dims[0], 3);
    }
    const struct graph_node *mul = &p.c.list.nodes[passes_nth(&p, "mul", 0)];
    CHECK_STRING(p.c.list.nodes[mul->inputs[1].node].op->name, "neg");
    CHECK_I64(passes_count(&p, "broadcast_to"), 1); /* of b's result */
    passes_check_list(&p);
}

/* Ops from outside see the operands they were built with. */
static cupel_status twice_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static cupel_status twice_run(const cupel_op_call *call) {
    (void)call;
    return CUPEL_STATUS_OK;
}

/* Two draws of an op that is random are two, though nothing tells them apart. */
static void random_ops_from_outside_never_merge(void **state) {
    (void)state;
    static const cupel_op op = {.size = sizeof op,
                                .version = CUPEL_OP_VERSION,
                                .name = "outside_draw",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .n_outputs = 1,
                                .flags = CUPEL_OP_RANDOM,
                                .infer = twice_infer,
                                .run = twice_run};
    CHECK_OK(cupel_context_register_op(p.context, &op));
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3));
    passes_output(&p, "a", cupel_apply(p.graph, &op, NULL, 1, &x));
    passes_output(&p, "b", cupel_apply(p.graph, &op, NULL, 1, &x));
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "outside_draw"), 2);
}

static void ops_from_outside_keep_their_operands(void **state) {
    (void)state;
    static const cupel_op op = {.size = sizeof op,
                                .version = CUPEL_OP_VERSION,
                                .name = "outside_sum",
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .n_outputs = 1,
                                .flags = CUPEL_OP_ELEMENTWISE,
                                .infer = twice_infer,
                                .run = twice_run};
    CHECK_OK(cupel_context_register_op(p.context, &op));
    const cupel_node x = input("x", CUPEL_SHAPE(2, 3)), row = input("row", CUPEL_SHAPE(3));
    const cupel_node inputs[] = {x, cupel_broadcast_to(row, CUPEL_SHAPE(2, 3))};
    passes_output(&p, "y", cupel_apply(p.graph, &op, NULL, 2, inputs));
    passes_run(&p, "simplify");
    CHECK_I64(passes_count(&p, "broadcast_to"), 1);
}

#define TEST(name) \
    cmocka_unit_test_prestate_setup_teardown(name, open_passes, close_passes, \
                                             (void *)(uintptr_t) #name)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(equal_nodes_merge),
        TEST(other_attributes_or_outputs_do_not_merge),
        TEST(constants_merge_by_value_and_shape),
        TEST(random_nodes_and_effects_never_merge),
        TEST(identities_vanish),
        TEST(what_changes_something_stays),
        TEST(a_reshape_reads_through_reshapes),
        TEST(broadcasts_are_left_to_elementwise_ops),
        TEST(ops_come_before_broadcasts),
        TEST(ops_from_outside_keep_their_operands),
        TEST(random_ops_from_outside_never_merge),
    };
    return CHECK_MAIN(tests);
}
