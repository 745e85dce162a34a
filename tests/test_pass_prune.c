/*
 * Pass prune: outputs, assigns and guards keep what they need; nothing else stays.
 */
#include "support/passes.h"

static cupel_node input(struct passes *p, const char *name) {
    return cupel_input(p->graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(3));
}

static void what_no_root_needs_is_dropped(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    const cupel_node x = input(&p, "x");
    const cupel_node unused = cupel_exp(input(&p, "unused"));
    cupel_neg(unused);
    passes_output(&p, "y", cupel_relu(x));
    cupel_tanh(x);
    passes_run(&p, "prune");
    CHECK_U64(p.c.list.count, 2);
    CHECK_I64(passes_count(&p, "input"), 1);
    CHECK_I64(passes_count(&p, "relu"), 1);
    CHECK_STRING(passes_root_op(&p, 0), "relu");
    passes_check_list(&p);
    passes_close(&p);
}

static void effects_are_roots(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    const cupel_node x = input(&p, "x");
    const cupel_node total =
        cupel_state(p.graph, "total", CUPEL_TYPE_REAL, CUPEL_SHAPE(3), (cupel_init){0});
    cupel_assign(total, cupel_add(total, x));
    cupel_guard(cupel_reduce_sum(cupel_sqrt(x), CUPEL_ALL_AXES, false));
    passes_run(&p, "prune"); /* without any output */
    CHECK_I64(passes_count(&p, "assign"), 1);
    CHECK_I64(passes_count(&p, "guard"), 1);
    CHECK_I64(passes_count(&p, "add"), 1);
    CHECK_I64(passes_count(&p, "sqrt"), 1);
    passes_check_list(&p);
    passes_close(&p);
}

static void a_root_may_be_a_leaf_or_a_later_output(void **state) {
    (void)state;
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(4, 3));
    const cupel_node ones = cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), 1);
    const cupel_node norm = cupel_batch_norm_train(x, ones, ones, 1e-5);
    passes_output(&p, "variance", cupel_node_output(norm, 2));
    passes_output(&p, "same", x);
    passes_run(&p, "prune");
    CHECK_U64(p.c.list.count, 3);
    CHECK_STRING(passes_root_op(&p, 0), "batch_norm_train");
    CHECK_U64(p.c.roots[0].edge.output, 2);
    CHECK_STRING(passes_root_op(&p, 1), "input");
    passes_close(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_root_needs_is_dropped),
        cmocka_unit_test(effects_are_roots),
        cmocka_unit_test(a_root_may_be_a_leaf_or_a_later_output),
    };
    return CHECK_MAIN(tests);
}
