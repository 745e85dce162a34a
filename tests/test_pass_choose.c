/*
 * Pass choose, on a device of its own making: convolutions and what follows them take the channel
 * block where a kernel does, everything else is plain, changes of layout are nodes and are shared;
 * a fused node that no kernel takes falls into its parts; a recorded plan is kept to.
 */
#include "support/passes.h"

#include "cupel/plan.h"
#include "op/op_fused.h"

/* --- a device with blocked kernels that are only ever chosen --- */

static bool with_blocks = true, with_chains = true;

static bool blockable(const cupel_desc *desc) {
    return desc->shape.rank == 4 && desc->shape.dims[1] % 8 == 0;
}

/* src (input 0) and dst in blocks of 8 channels wherever that is possible. */
static bool accept_blocks(const struct kernel_request *request, const char **why) {
    const cupel_desc *const src = &request->view.inputs[0], *const dst = &request->view.outputs[0];
    return KERNEL_REQUIRE(with_blocks, "switched off") &&
           KERNEL_REQUIRE(!blockable(src) || src->layout == CUPEL_LAYOUT_NCHW8C, "src is plain") &&
           KERNEL_REQUIRE(!blockable(dst) || dst->layout == CUPEL_LAYOUT_NCHW8C, "dst is plain");
}

static bool accept_chain(const struct kernel_request *request, const char **why) {
    (void)request;
    return KERNEL_REQUIRE(with_chains, "switched off");
}

static const struct kernel blocks[] = {
    {.op = "conv2d", .name = "test:blocks", .revision = 1, .accept = accept_blocks},
    {.op = "relu", .name = "test:blocks", .revision = 1, .accept = accept_blocks},
    {.op = "reorder", .name = "test:reorder", .revision = 1},
    {.op = "fused", .name = "test:chain", .revision = 1, .accept = accept_chain},
};

static const struct kernel *const *kernels(struct backend *backend, const char *op) {
    static const struct kernel *lists[4][3];
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(blocks[i].op, op) != 0)
            continue;
        lists[i][0] = &blocks[i];
        lists[i][1] = i < 2 ? ref_kernels(backend, op)[0] : NULL;
        return lists[i];
    }
    return ref_kernels(backend, op);
}

static void open_blocks(struct passes *p) {
    with_blocks = with_chains = true;
    passes_open_kernels(p, "blocks", kernels);
}

/* --- */

static cupel_node conv(cupel_node x, const char *name, int64_t channels) {
    const int64_t in = cupel_node_shape(x).dims[1];
    const cupel_node w =
        cupel_parameter(x.graph, name, CUPEL_SHAPE(channels, in, 1, 1), (cupel_init){0});
    return cupel_conv2d(x, w, cupel_none(), NULL);
}

static cupel_node image(struct passes *p, int64_t channels) {
    return cupel_input(p->graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, channels, 4, 4));
}

static const char *kernel_of(const struct passes *p, const char *op, int index) {
    const struct kernel_plan *const plan = p->c.plans[passes_nth(p, op, index)];
    return plan == NULL ? "(none)" : plan->kernel->name;
}

static cupel_layout layout_of(const struct passes *p, const char *op, int index) {
    return p->c.list.nodes[passes_nth(p, op, index)].outputs[0].layout;
}

/* Every node has a kernel but leaves and views; layouts are those its kernel was asked about. */
static void check_choices(const struct passes *p) {
    passes_check_list(p);
    CHECK_U64(p->c.n_plans, p->c.list.count);
    for (uint32_t i = 0; i < p->c.list.count; i++) {
        const struct graph_node *const node = &p->c.list.nodes[i];
        const bool none = node_is_leaf(node) || (node->op->flags & CUPEL_OP_VIEW);
        CHECK((p->c.plans[i] == NULL) == none);
        if (none || strcmp(p->c.plans[i]->kernel->name, "ref") != 0)
            continue;
        for (uint32_t j = 0; j < node->n_inputs; j++)
            CHECK_I64(compile_desc(&p->c, node->inputs[j])->layout, CUPEL_LAYOUT_PLAIN);
    }
    for (size_t i = 0; i < p->c.n_roots; i++)
        CHECK_I64(compile_desc(&p->c, p->c.roots[i].edge)->layout, CUPEL_LAYOUT_PLAIN);
}

static void a_chain_of_convolutions_stays_in_blocks(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    passes_output(&p, "y", conv(cupel_relu(conv(image(&p, 8), "w1", 16)), "w2", 8));
    passes_run(&p, "choose");
    check_choices(&p);
    CHECK_I64(passes_count(&p, "reorder"), 2); /* in and out */
    CHECK_STRING(kernel_of(&p, "conv2d", 0), "test:blocks");
    CHECK_STRING(kernel_of(&p, "relu", 0), "test:blocks");
    CHECK_I64(layout_of(&p, "conv2d", 0), CUPEL_LAYOUT_NCHW8C);
    CHECK_I64(layout_of(&p, "relu", 0), CUPEL_LAYOUT_NCHW8C);
    CHECK_STRING(passes_root_op(&p, 0), "reorder");
    passes_close(&p);
}

static void channels_that_do_not_divide_stay_plain(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    passes_output(&p, "y", conv(conv(image(&p, 3), "w1", 16), "w2", 5));
    passes_run(&p, "choose");
    check_choices(&p);
    CHECK_I64(passes_count(&p, "reorder"), 0);
    CHECK_I64(layout_of(&p, "conv2d", 0), CUPEL_LAYOUT_NCHW8C); /* 16 channels, in between */
    CHECK_I64(layout_of(&p, "conv2d", 1), CUPEL_LAYOUT_PLAIN);
    passes_close(&p);
}

static void plain_values_are_not_blocked_for_elementwise_ops(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    passes_output(&p, "y", cupel_relu(image(&p, 8)));
    passes_run(&p, "choose");
    check_choices(&p);
    CHECK_I64(passes_count(&p, "reorder"), 0);
    CHECK_STRING(kernel_of(&p, "relu", 0), "ref");
    passes_close(&p);
}

static void where_no_kernel_takes_blocks_the_value_is_plain_again(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    const cupel_node h = conv(image(&p, 8), "w1", 8);
    passes_output(&p, "a", cupel_tanh(h)); /* no kernel for blocks */
    passes_output(&p, "b", cupel_reshape(h, CUPEL_SHAPE(2, -1)));
    passes_output(&p, "c", h);
    passes_run(&p, "choose");
    check_choices(&p);
    CHECK_I64(passes_count(&p, "reorder"), 2); /* in; out, once for all three */
    passes_close(&p);
}

static void one_value_is_reordered_once(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    const cupel_node x = image(&p, 8);
    passes_output(&p, "y", cupel_add(cupel_relu(conv(x, "w1", 8)), cupel_relu(conv(x, "w2", 8))));
    passes_run(&p, "choose");
    check_choices(&p);
    CHECK_I64(passes_count(&p, "fused"), 1);
    CHECK_I64(passes_count(&p, "reorder"), 2); /* x, for both; the sum */
    passes_close(&p);
}

static void a_reference_compile_knows_neither_blocks_nor_chains(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    p.options.reference = true;
    passes_output(&p, "y", cupel_tanh(cupel_relu(conv(image(&p, 8), "w1", 8))));
    passes_output(&p, "z", cupel_reshape(p.outputs[0].node, CUPEL_SHAPE(2, -1)));
    passes_run(&p, "choose");
    CHECK_I64(passes_count(&p, "reorder") + passes_count(&p, "fused"), 0);
    CHECK_STRING(kernel_of(&p, "conv2d", 0), "ref");
    CHECK_STRING(kernel_of(&p, "reshape", 0), "ref"); /* a copy of its own */
    passes_close(&p);
}

static void a_fused_node_that_nobody_takes_is_split(void **state) {
    (void)state;
    for (int chains = 0; chains < 2; chains++) {
        struct passes p;
        open_blocks(&p);
        with_chains = chains;
        const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        const cupel_node a = cupel_exp(x), b = cupel_mul(a, x);
        passes_output(&p, "a", a);
        passes_output(&p, "b", cupel_leaky_relu(b, .5));
        passes_run(&p, "choose");
        check_choices(&p);
        CHECK_I64(passes_count(&p, "fused"), chains);
        CHECK_I64(passes_count(&p, "exp"), !chains);
        CHECK_I64(passes_count(&p, "leaky_relu"), !chains);
        if (!chains) {
            CHECK_STRING(passes_root_op(&p, 0), "exp");
            CHECK_STRING(passes_root_op(&p, 1), "leaky_relu");
            const struct graph_node *mul = &p.c.list.nodes[passes_nth(&p, "mul", 0)];
            CHECK_U64(mul->inputs[0].node, passes_nth(&p, "exp", 0));
            CHECK_U64(mul->inputs[1].node, passes_nth(&p, "input", 0));
        }
        passes_close(&p);
    }
}

static void an_op_without_a_kernel_is_named(void **state) {
    (void)state;
    static const cupel_op op = {.size = sizeof op, .name = "nobody", .n_outputs = 1};
    struct passes p;
    open_blocks(&p);
    passes_output(&p, "y", cupel_neg(image(&p, 8)));
    passes_begin(&p);
    p.c.list.nodes[passes_nth(&p, "neg", 0)].op = &op;
    CHECK_OK(pass_precision(&p.c));
    CHECK_STATUS(pass_choose(&p.c), CUPEL_STATUS_UNSUPPORTED);
    CHECK_CONTAINS(p.error.text, "device blocks has no kernel for op nobody");
    passes_close(&p);
}

/* --- plans --- */

static uint64_t hash_with(struct passes *p, cupel_node y, cupel_plan *plan) {
    cupel_program *program = NULL;
    const cupel_output output = {"y", y};
    const cupel_compile_options options = {.outputs = &output, .n_outputs = 1, .plan = plan};
    CHECK_OK_TEXT(cupel_program_compile(&program, p->graph, &options), cupel_graph_error(p->graph));
    const uint64_t hash = cupel_program_hash(program);
    CHECK_OK(cupel_program_destroy(program));
    return hash;
}

static void a_recorded_plan_is_kept_to(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    cupel_plan *plain = NULL, *blocked = NULL;
    CHECK_OK(cupel_plan_create(&plain, p.context, 1));
    CHECK_OK(cupel_plan_create(&blocked, p.context, 1));
    const cupel_node y = conv(cupel_relu(conv(image(&p, 8), "w1", 16)), "w2", 8);
    const uint64_t hash_blocked = hash_with(&p, y, blocked);
    with_blocks = false;
    const uint64_t hash_plain = hash_with(&p, y, plain);
    CHECK(hash_plain != hash_blocked);
    CHECK(cupel_plan_hash(plain) != cupel_plan_hash(blocked));
    const uint64_t record = cupel_plan_hash(plain);
    with_blocks = true; /* better kernels came by, but the run has its plan */
    CHECK_U64(hash_with(&p, y, plain), hash_plain);
    CHECK_U64(cupel_plan_hash(plain), record);
    CHECK_U64(hash_with(&p, y, blocked), hash_blocked);
    CHECK_U64(hash_with(&p, y, NULL), hash_blocked);
    cupel_plan_destroy(plain);
    cupel_plan_destroy(blocked);
    passes_close(&p);
}

static void a_plan_whose_kernel_is_gone_is_refused(void **state) {
    (void)state;
    struct passes p;
    open_blocks(&p);
    cupel_plan *plan = NULL;
    CHECK_OK(cupel_plan_create(&plan, p.context, 1));
    const cupel_node y = conv(image(&p, 3), "w1", 5); /* plain in any case */
    (void)hash_with(&p, y, plan);
    with_blocks = false;
    cupel_program *program = NULL;
    const cupel_output output = {"y", y};
    const cupel_compile_options options = {.outputs = &output, .n_outputs = 1, .plan = plan};
    CHECK_STATUS(cupel_program_compile(&program, p.graph, &options), CUPEL_STATUS_UNSUPPORTED);
    CHECK(program == NULL);
    CHECK_CONTAINS(cupel_graph_error(p.graph), "the plan's recorded choice");
    cupel_plan_destroy(plan);
    passes_close(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_of_convolutions_stays_in_blocks),
        cmocka_unit_test(channels_that_do_not_divide_stay_plain),
        cmocka_unit_test(plain_values_are_not_blocked_for_elementwise_ops),
        cmocka_unit_test(where_no_kernel_takes_blocks_the_value_is_plain_again),
        cmocka_unit_test(one_value_is_reordered_once),
        cmocka_unit_test(a_reference_compile_knows_neither_blocks_nor_chains),
        cmocka_unit_test(a_fused_node_that_nobody_takes_is_split),
        cmocka_unit_test(an_op_without_a_kernel_is_named),
        cmocka_unit_test(a_recorded_plan_is_kept_to),
        cmocka_unit_test(a_plan_whose_kernel_is_gone_is_refused),
    };
    return CHECK_MAIN(tests);
}
