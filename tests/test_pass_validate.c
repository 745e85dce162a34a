/*
 * Pass validate: what cannot be compiled is refused with the user's own names; the copy it makes no
 * longer needs the graph.
 */
#include "support/passes.h"

#include "cupel/program.h"

static struct passes opened(void) {
    struct passes p;
    passes_open(&p, "reference", CUPEL_TYPE_F32);
    return p;
}

static cupel_node input(struct passes *p, const char *name) {
    return cupel_input(p->graph, name, CUPEL_TYPE_REAL, CUPEL_SHAPE(3));
}

static void refused(struct passes *p, cupel_status status, const char *part) {
    CHECK_STATUS_TEXT(passes_try_begin(p), status, p->error.text);
    CHECK_CONTAINS(p->error.text, part);
    passes_close(p);
}

static void outputs_need_names(void **state) {
    (void)state;
    struct passes p = opened();
    passes_output(&p, "", cupel_neg(input(&p, "x")));
    refused(&p, CUPEL_STATUS_NAME, "output 0 has no name");
    p = opened();
    passes_output(&p, NULL, cupel_neg(input(&p, "x")));
    refused(&p, CUPEL_STATUS_NAME, "output 0 has no name");
}

static void outputs_have_different_names(void **state) {
    (void)state;
    struct passes p = opened();
    const cupel_node x = input(&p, "x");
    passes_output(&p, "y", cupel_neg(x));
    passes_output(&p, "y", cupel_exp(x));
    refused(&p, CUPEL_STATUS_NAME, "two outputs are named 'y'");
}

static void an_output_cannot_have_an_inputs_name(void **state) {
    (void)state;
    struct passes p = opened();
    passes_output(&p, "x", cupel_neg(input(&p, "x")));
    refused(&p, CUPEL_STATUS_NAME, "'x' names an input and an output");
}

static void outputs_belong_to_the_graph(void **state) {
    (void)state;
    struct passes p = opened();
    input(&p, "x");
    passes_output(&p, "y", cupel_none());
    refused(&p, CUPEL_STATUS_INVALID_ARGUMENT,
            "output 'y' is no node (none): its builder was given none");

    p = opened();
    passes_output(&p, "y", (cupel_node){.graph = p.graph, .id = 77});
    refused(&p, CUPEL_STATUS_INVALID_ARGUMENT, "output 'y' is no node of this graph");

    p = opened();
    cupel_node y = cupel_neg(input(&p, "x"));
    y.output = 1;
    passes_output(&p, "y", y);
    refused(&p, CUPEL_STATUS_INVALID_ARGUMENT, "output 'y' is no node of this graph");

    p = opened();
    cupel_graph *other = NULL;
    CHECK_OK(cupel_graph_create(&other, p.context, NULL));
    passes_output(&p, "y", cupel_scalar(other, 1));
    CHECK_STATUS(passes_try_begin(&p), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_OK(cupel_graph_destroy(other));
    passes_close(&p);
}

static void there_must_be_something_to_compute(void **state) {
    (void)state;
    struct passes p = opened();
    cupel_neg(input(&p, "x"));
    refused(&p, CUPEL_STATUS_INVALID_ARGUMENT, "nothing to compute");
}

static void a_graph_in_error_is_refused_with_its_first_sentence(void **state) {
    (void)state;
    struct passes p = opened();
    const cupel_node bad =
        cupel_add(input(&p, "x"), cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(4), 1));
    CHECK(cupel_is_poisoned(bad));
    passes_output(&p, "y", bad);
    refused(&p, CUPEL_STATUS_SHAPE, "[3]");
}

static void the_copy_stands_alone(void **state) {
    (void)state;
    struct passes p = opened();
    const double values[] = {1, 2, 3};
    const cupel_node table = cupel_constant(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(3), values);
    const cupel_node y = cupel_named(cupel_leaky_relu(cupel_add(input(&p, "x"), table), .25), "y!");
    passes_output(&p, "y", y);
    passes_begin(&p);
    CHECK_U64(p.c.list.count, p.graph->list.count);
    for (size_t i = 0; i < p.c.list.count; i++) {
        const struct graph_node *const copy = &p.c.list.nodes[i], *from = &p.graph->list.nodes[i];
        CHECK(copy->op == from->op);
        CHECK(copy->name != from->name);
        CHECK_STRING(copy->name, from->name);
        CHECK(copy->inputs != from->inputs && copy->outputs != from->outputs);
        CHECK(from->data == NULL || copy->data != from->data);
        CHECK(from->op->attr_size == 0 || copy->attrs != from->attrs);
        CHECK(copy->file == NULL); /* a plugin that built the graph may be gone */
    }
    passes_check_list(&p);
    CHECK_U64(p.c.n_roots, 1);
    CHECK_U64(p.c.roots[0].edge.node, y.id);
    passes_close(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_need_names),
        cmocka_unit_test(outputs_have_different_names),
        cmocka_unit_test(an_output_cannot_have_an_inputs_name),
        cmocka_unit_test(outputs_belong_to_the_graph),
        cmocka_unit_test(there_must_be_something_to_compute),
        cmocka_unit_test(a_graph_in_error_is_refused_with_its_first_sentence),
        cmocka_unit_test(the_copy_stands_alone),
    };
    return CHECK_MAIN(tests);
}
