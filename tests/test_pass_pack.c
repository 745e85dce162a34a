/*
 * Passes pack and roots: private forms are nodes, what depends on variables that stay is the
 * prologue, and every output has memory of its own.
 */
#include "support/forms.h"
#include "support/passes.h"

static void open_forms(struct passes *p) {
    passes_open_backend(p, forms_create(), CUPEL_TYPE_F32);
}

static cupel_node input(struct passes *p, cupel_shape shape) {
    return cupel_input(p->graph, "x", CUPEL_TYPE_REAL, shape);
}

static cupel_node parameter(struct passes *p, const char *name, cupel_shape shape) {
    return cupel_parameter(p->graph, name, shape, (cupel_init){.kind = CUPEL_INIT_ONES});
}

static bool in_prologue(const struct passes *p, const char *op, int index) {
    return p->c.prologue[passes_nth(p, op, index)];
}

static void weights_are_packed_before_their_reader(void **state) {
    (void)state;
    struct passes p;
    open_forms(&p);
    const cupel_node w = parameter(&p, "w", CUPEL_SHAPE(3, 2));
    passes_output(&p, "y", cupel_matmul(input(&p, CUPEL_SHAPE(4, 3)), w, false, false));
    passes_run(&p, "pack");
    passes_check_list(&p);
    CHECK_I64(passes_count(&p, "pack"), 1);
    const struct graph_node *const pack = &p.c.list.nodes[passes_nth(&p, "pack", 0)];
    const struct graph_node *const product = &p.c.list.nodes[passes_nth(&p, "matmul", 0)];
    CHECK_STRING(p.c.list.nodes[pack->inputs[0].node].op->name, "variable");
    CHECK_U64(product->inputs[1].node, passes_nth(&p, "pack", 0));
    CHECK_I64(pack->outputs[0].layout, CUPEL_LAYOUT_PACKED);
    CHECK(cupel_desc_bytes(&pack->outputs[0]) >= 24);
    CHECK(in_prologue(&p, "pack", 0));
    CHECK(!in_prologue(&p, "matmul", 0));
    passes_close(&p);
}

static void results_in_a_private_form_are_unpacked(void **state) {
    (void)state;
    struct passes p;
    open_forms(&p);
    const cupel_node x = input(&p, CUPEL_SHAPE(2, 1, 4, 4));
    const cupel_node w = parameter(&p, "w", CUPEL_SHAPE(2, 1, 3, 3));
    const cupel_node loss =
        cupel_reduce_sum(cupel_conv2d(x, w, cupel_none(), NULL), CUPEL_ALL_AXES, false);
    cupel_node gradient;
    CHECK_OK(cupel_graph_add_gradients(p.graph, loss, 1, &w, &gradient));
    passes_output(&p, "dw", gradient);
    passes_run(&p, "pack");
    passes_check_list(&p);
    const uint32_t conv = passes_nth(&p, "conv2d_backward_weights", 0);
    CHECK_I64(p.c.list.nodes[conv].outputs[0].layout, CUPEL_LAYOUT_PACKED);
    CHECK_STRING(passes_root_op(&p, 0), "pack");
    const struct graph_node *const unpack = &p.c.list.nodes[p.c.roots[0].edge.node];
    CHECK_U64(unpack->inputs[0].node, conv);
    CHECK_I64(unpack->outputs[0].layout, CUPEL_LAYOUT_PLAIN);
    CHECK(cupel_shape_equal(unpack->outputs[0].shape, CUPEL_SHAPE(2, 1, 3, 3)));
    CHECK(!p.c.prologue[p.c.roots[0].edge.node]);
    passes_close(&p);
}

/* What is computed from variables and constants alone runs when one of them moved, not each time;
 * unless this program assigns one of them. Packs of an assigned variable itself may stay. */
static void the_prologue_is_what_depends_on_fixed_variables(void **state) {
    (void)state;
    struct passes p;
    open_forms(&p);
    const cupel_node x = input(&p, CUPEL_SHAPE(4, 3));
    const cupel_node fixed = parameter(&p, "fixed", CUPEL_SHAPE(3, 3));
    const cupel_node moving = parameter(&p, "moving", CUPEL_SHAPE(3, 3));
    const cupel_node h = cupel_matmul(x, cupel_exp(cupel_scale(fixed, 2)), false, false);
    const cupel_node g = cupel_matmul(h, moving, false, false);
    const cupel_node k = cupel_matmul(g, cupel_tanh(moving), false, false);
    cupel_assign(moving, cupel_scale(moving, .5));
    passes_output(&p, "k", k);
    passes_run(&p, "pack");
    CHECK(in_prologue(&p, "exp", 0));
    CHECK(in_prologue(&p, "mul", 0));  /* 2 fixed */
    CHECK(!in_prologue(&p, "mul", 1)); /* moving / 2 */
    CHECK(!in_prologue(&p, "tanh", 0));
    CHECK_I64(passes_count(&p, "pack"), 3);
    CHECK(in_prologue(&p, "pack", 0));  /* of exp(2 fixed) */
    CHECK(in_prologue(&p, "pack", 1));  /* of moving as it was */
    CHECK(!in_prologue(&p, "pack", 2)); /* of tanh(moving) */
    CHECK(!in_prologue(&p, "assign", 0));
    for (int i = 0; i < 3; i++)
        CHECK(!in_prologue(&p, "matmul", i));
    passes_close(&p);
}

static void a_reference_program_has_no_prologue(void **state) {
    (void)state;
    struct passes p;
    open_forms(&p);
    p.options.reference = true;
    const cupel_node w = cupel_exp(parameter(&p, "w", CUPEL_SHAPE(3, 2)));
    passes_output(&p, "y", cupel_matmul(input(&p, CUPEL_SHAPE(4, 3)), w, false, false));
    passes_run(&p, "pack");
    CHECK_I64(passes_count(&p, "pack"), 0);
    for (uint32_t i = 0; i < p.c.list.count; i++)
        CHECK(!p.c.prologue[i]);
    passes_close(&p);
}

/* --- outputs --- */

static void outputs_get_memory_of_their_own(void **state) {
    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        struct passes p;
        open_forms(&p);
        p.options.reference = reference;
        const cupel_node x = input(&p, CUPEL_SHAPE(2, 3));
        const cupel_node w = parameter(&p, "w", CUPEL_SHAPE(2, 3));
        const cupel_node y = cupel_tanh(x);
        passes_output(&p, "an_input", x);
        passes_output(&p, "a_variable", w);
        passes_output(&p, "a_constant", cupel_full(p.graph, CUPEL_TYPE_REAL, CUPEL_SHAPE(2), 3));
        passes_output(&p, "computed", y);
        passes_output(&p, "twin", y);
        passes_output(&p, "view", cupel_reshape(y, CUPEL_SHAPE(6)));
        passes_output(&p, "view_of_input", cupel_reshape(x, CUPEL_SHAPE(3, 2)));
        passes_output(&p, "of_the_prologue", cupel_exp(w));
        passes_run(&p, "steps");
        /* Eight bindings beside the input, all different; each written by a step. */
        CHECK_U64(p.draft.n_bindings, 9);
        bool written[9] = {false};
        for (uint32_t t = 0; t < p.draft.n_steps; t++) {
            const struct exec_step *const step = &p.draft.steps[t];
            for (uint32_t i = (uint32_t)step->view.n_inputs; i < step->n_buffers; i++) {
                const struct exec_buffer *const buffer = &p.draft.buffers[step->buffers[i]];
                if (buffer->space == SPACE_BINDING)
                    written[buffer->slot] = true;
            }
        }
        for (uint32_t b = 0; b < p.draft.n_buffers; b++)
            for (uint32_t other = 0; other < b; other++)
                CHECK(p.draft.buffers[b].space != SPACE_BINDING ||
                      p.draft.buffers[other].space != SPACE_BINDING ||
                      p.draft.buffers[b].slot != p.draft.buffers[other].slot);
        int inputs = 0;
        for (int i = 0; i < 9; i++) {
            inputs += p.draft.bindings[i].input;
            CHECK(written[i] == !p.draft.bindings[i].input);
        }
        CHECK_I64(inputs, 1);
        passes_close(&p);
    }
}

static void what_has_memory_of_its_own_is_not_copied(void **state) {
    (void)state;
    struct passes p;
    open_forms(&p);
    const cupel_node x = input(&p, CUPEL_SHAPE(2, 3));
    passes_output(&p, "y", cupel_tanh(x));
    passes_output(&p, "view", cupel_reshape(cupel_exp(x), CUPEL_SHAPE(6)));
    passes_run(&p, "roots");
    CHECK_I64(passes_count(&p, "broadcast_to"), 0);
    CHECK_STRING(passes_root_op(&p, 0), "tanh");
    CHECK_STRING(passes_root_op(&p, 1), "reshape");
    passes_close(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_packed_before_their_reader),
        cmocka_unit_test(results_in_a_private_form_are_unpacked),
        cmocka_unit_test(the_prologue_is_what_depends_on_fixed_variables),
        cmocka_unit_test(a_reference_program_has_no_prologue),
        cmocka_unit_test(outputs_get_memory_of_their_own),
        cmocka_unit_test(what_has_memory_of_its_own_is_not_copied),
    };
    return CHECK_MAIN(tests);
}
