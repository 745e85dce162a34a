/*
 * Pass fuse: chains and diamonds of elementwise ops become one node that holds its parts, never one
 * that would have to run before and after another node, never beyond the limits. On random graphs
 * no part is lost or doubled.
 */
#include "support/passes.h"

#include "op/op_fused.h"
#include "support/random_graph.h"

static const cupel_shape wide = {2, {4, 5}};

static void open_f32(struct passes *p) {
    passes_open(p, "cpu", CUPEL_TYPE_F32);
}

static cupel_node input(struct passes *p, const char *name, cupel_shape shape) {
    return cupel_input(p->graph, name, CUPEL_TYPE_REAL, shape);
}

static const struct attrs_fused *fused(const struct passes *p, int index) {
    return p->c.list.nodes[passes_nth(p, "fused", index)].attrs;
}

static void a_chain_becomes_one_node(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    const cupel_node x = input(&p, "x", wide), row = input(&p, "row", CUPEL_SHAPE(5));
    const cupel_node y = cupel_named(cupel_leaky_relu(cupel_add(cupel_tanh(x), row), .25), "last");
    passes_output(&p, "y", y);
    passes_run(&p, "fuse");
    CHECK_I64(passes_count(&p, "fused"), 1);
    CHECK_U64(p.c.list.count, 3); /* x, row, fused */
    const struct attrs_fused *attrs = fused(&p, 0);
    CHECK_I64(attrs->n_parts, 3);
    CHECK_STRING(attrs->parts[0].op->name, "tanh");
    CHECK_STRING(attrs->parts[1].op->name, "add");
    CHECK_STRING(attrs->parts[2].op->name, "leaky_relu");
    CHECK_I64(attrs->parts[1].inputs[0], fused_earlier(0));
    CHECK_I64(attrs->parts[1].inputs[1], fused_input(1));
    double slope;
    memcpy(&slope, attrs->parts[2].attrs, sizeof slope);
    CHECK_F64(slope, .25);
    CHECK_I64(attrs->n_outputs, 1);
    CHECK_I64(attrs->outputs[0], 2);
    CHECK_STRING(p.c.list.nodes[passes_nth(&p, "fused", 0)].name, "last");
    passes_close(&p);
}

static void what_others_read_becomes_an_output(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    const cupel_node x = input(&p, "x", wide);
    const cupel_node a = cupel_exp(x), b = cupel_neg(a), c = cupel_square(b);
    passes_output(&p, "a", a);
    passes_output(&p, "c", c);
    passes_output(&p, "sum", cupel_reduce_sum(b, CUPEL_ALL_AXES, false));
    passes_run(&p, "fuse");
    CHECK_I64(passes_count(&p, "fused"), 1);
    CHECK_I64(fused(&p, 0)->n_outputs, 3);
    const uint32_t id = passes_nth(&p, "fused", 0);
    CHECK_I64(p.c.list.nodes[id].n_outputs, 3);
    CHECK_U64(p.c.roots[0].edge.node, id);
    CHECK_U64(p.c.roots[1].edge.node, id);
    CHECK(p.c.roots[0].edge.output != p.c.roots[1].edge.output);
    passes_close(&p);
}

/* neg reads exp directly, and through a product that cannot be fused: together they would have to
 * run before and after it. */
static void no_node_runs_before_and_after_another(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    const cupel_node x = input(&p, "x", CUPEL_SHAPE(4, 4));
    const cupel_node a = cupel_exp(x), b = cupel_tanh(a);
    const cupel_node product = cupel_matmul(a, a, false, false);
    passes_output(&p, "y", cupel_neg(cupel_mul(b, product)));
    passes_run(&p, "fuse");
    passes_check_list(&p);
    CHECK_I64(passes_count(&p, "fused"), 2); /* exp and tanh; mul and neg */
    CHECK_I64(fused(&p, 0)->n_parts, 2);
    CHECK_I64(fused(&p, 1)->n_parts, 2);
    passes_close(&p);
}

/* Two groups, each of which could take in the other's end, but not both: a path through a third. */
static void no_cycle_through_a_third_group(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    const cupel_node x = input(&p, "x", CUPEL_SHAPE(4, 4)), z = input(&p, "z", CUPEL_SHAPE(4, 4));
    const cupel_node a = cupel_exp(x), b = cupel_exp(z);
    const cupel_node p1 = cupel_matmul(a, a, false, false), p2 = cupel_matmul(b, b, false, false);
    /* c joins b and reads a's product; d joins a and reads b's product */
    const cupel_node c = cupel_mul(b, p1), d = cupel_mul(a, p2);
    passes_output(&p, "y", cupel_add(c, d));
    passes_run(&p, "fuse");
    passes_check_list(&p);
    int parts = 0;
    for (int i = 0; i < passes_count(&p, "fused"); i++)
        parts += (int)fused(&p, i)->n_parts;
    CHECK_I64(parts + passes_count(&p, "exp") + passes_count(&p, "mul") + passes_count(&p, "add"),
              5);
    passes_close(&p);
}

static void only_f32_of_one_shape_is_fused(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    const cupel_node labels = cupel_input_index(p.graph, "labels", CUPEL_SHAPE(4), 3);
    const cupel_node whole = cupel_input(p.graph, "whole", CUPEL_TYPE_F64, wide);
    const cupel_node row = input(&p, "row", CUPEL_SHAPE(5)), x = input(&p, "x", wide);
    passes_output(&p, "a", cupel_one_hot(labels, 3));
    passes_output(&p, "b", cupel_neg(cupel_exp(whole)));
    passes_output(&p, "c", cupel_add(x, cupel_exp(row))); /* [4, 5] and [5] */
    passes_run(&p, "fuse");
    CHECK_I64(passes_count(&p, "fused"), 0);
    passes_close(&p);
}

static void nothing_is_fused_where_no_kernel_could_run_it(void **state) {
    (void)state;
    struct passes p;
    passes_open_splitting(&p, CUPEL_TYPE_F32);
    passes_output(&p, "y", cupel_neg(cupel_exp(input(&p, "x", wide))));
    passes_run(&p, "choose");
    CHECK_I64(passes_count(&p, "fused"), 0);
    CHECK_I64(passes_count(&p, "neg"), 1);
    passes_close(&p);
}

static void limits_split_long_chains(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    cupel_node y = input(&p, "x", wide);
    enum { LONG = 60 };
    for (int i = 0; i < LONG; i++)
        y = i % 2 ? cupel_tanh(y) : cupel_exp(y);
    passes_output(&p, "y", y);
    passes_run(&p, "fuse");
    int64_t parts = 0;
    for (int i = 0; i < passes_count(&p, "fused"); i++) {
        CHECK(fused(&p, i)->n_parts <= FUSED_MAX_PARTS);
        parts += fused(&p, i)->n_parts;
    }
    CHECK_I64(parts, LONG);
    CHECK(passes_count(&p, "fused") <= 4);
    passes_close(&p);
}

static void limits_hold_for_operands_and_outputs(void **state) {
    (void)state;
    struct passes p;
    open_f32(&p);
    cupel_node sum = input(&p, "x", wide);
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        sum = cupel_add(sum, input(&p, name, wide));
    }
    passes_output(&p, "sum", sum);
    /* Ten results of one group that products read. */
    cupel_node y = cupel_exp(sum), out = cupel_none();
    for (int i = 0; i < 10; i++) {
        y = cupel_tanh(y);
        const cupel_node m = cupel_matmul(y, y, false, true);
        out = cupel_is_none(out) ? m : cupel_add(out, m);
    }
    passes_output(&p, "out", out);
    passes_run(&p, "fuse");
    passes_check_list(&p);
    for (uint32_t i = 0; i < p.c.list.count; i++)
        if (p.c.list.nodes[i].op == &op_fused) {
            CHECK(p.c.list.nodes[i].n_inputs <= FUSED_MAX_INPUTS);
            CHECK(p.c.list.nodes[i].n_outputs <= FUSED_MAX_OUTPUTS);
        }
    passes_close(&p);
}

/* Parts and single elementwise nodes, of all ops. */
static int elementwise_nodes(const struct passes *p) {
    int n = 0;
    for (uint32_t i = 0; i < p->c.list.count; i++) {
        const struct graph_node *const node = &p->c.list.nodes[i];
        if (node->op == &op_fused)
            n += (int)((const struct attrs_fused *)node->attrs)->n_parts;
        else
            n += (node->op->flags & CUPEL_OP_ELEMENTWISE) != 0;
    }
    return n;
}

static void random_graphs_keep_every_part_once(void **state) {
    (void)state;
    int groups = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        check_context("seed %" PRIu64, seed);
        struct passes p;
        open_f32(&p);
        struct random_graph r;
        random_graph_build(&r, p.graph,
                           (struct random_graph_options){
                               .seed = seed, .nodes = 5 + (int)(seed % 60), .variables = true});
        for (int i = 0; i < r.n_outputs; i++)
            passes_output(&p, r.outputs[i].name, r.outputs[i].node);
        passes_begin(&p);
        CHECK_OK(pass_prune(&p.c));
        CHECK_OK(pass_precision(&p.c));
        CHECK_OK(pass_simplify(&p.c));
        const int before = elementwise_nodes(&p);
        CHECK_OK_TEXT(pass_fuse(&p.c), p.error.text);
        CHECK_I64(elementwise_nodes(&p), before);
        passes_check_list(&p);
        for (uint32_t i = 0; i < p.c.list.count; i++) {
            const struct graph_node *const node = &p.c.list.nodes[i];
            if (node->op != &op_fused)
                continue;
            groups++;
            const struct attrs_fused *const attrs = node->attrs;
            CHECK(attrs->n_parts >= 2 && attrs->n_outputs == (int64_t)node->n_outputs);
            cupel_op_view view;
            cupel_desc descs[FUSED_MAX_PARTS];
            CHECK_OK(node_view(&p.c, node, &view));
            CHECK_OK_TEXT(fused_part_descs(&view, descs), p.error.text);
            for (uint32_t k = 0; k < node->n_outputs; k++)
                CHECK(cupel_desc_equal(&descs[attrs->outputs[k]], &node->outputs[k]));
        }
        passes_close(&p);
    }
    CHECK(groups > 500);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_becomes_one_node),
        cmocka_unit_test(what_others_read_becomes_an_output),
        cmocka_unit_test(no_node_runs_before_and_after_another),
        cmocka_unit_test(no_cycle_through_a_third_group),
        cmocka_unit_test(only_f32_of_one_shape_is_fused),
        cmocka_unit_test(nothing_is_fused_where_no_kernel_could_run_it),
        cmocka_unit_test(limits_split_long_chains),
        cmocka_unit_test(limits_hold_for_operands_and_outputs),
        cmocka_unit_test(random_graphs_keep_every_part_once),
    };
    return CHECK_MAIN(tests);
}
