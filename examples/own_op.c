/*
 * An operation from outside the library: y = x / sqrt(1 + x^2): its shape rule, its
 * gradient built of other ops, and its arithmetic.
 *
 *   cc own_op.c $(pkg-config --cflags --libs cupel) -lm && ./a.out
 */
#include <math.h>
#include <stdio.h>

#include <cupel/cupel.h>

static cupel_status same_shape(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

/* dL/dx = dL/dy (1 + x^2)^(-3/2) */
static cupel_status adjoint(const cupel_adjoint *a) {
    const cupel_node base = cupel_offset(cupel_square(a->inputs[0]), 1.0);
    a->diff_inputs[0] =
        cupel_mul(a->diff_outputs[0], cupel_pow(base, cupel_scalar(a->graph, -1.5)));
    return CUPEL_STATUS_OK;
}

static cupel_status run(const cupel_op_call *call) {
    const float *const x = call->inputs[0];
    float *const y = call->outputs[0];
    if (call->input_descs[0].type != CUPEL_TYPE_F32)
        return CUPEL_STATUS_UNSUPPORTED;
    for (int64_t i = 0; i < cupel_shape_count(call->input_descs[0].shape); i++)
        y[i] = x[i] / sqrtf(1.0f + x[i] * x[i]);
    return CUPEL_STATUS_OK;
}

static const cupel_op soft_clip = {.size = sizeof(cupel_op),
                                   .version = CUPEL_OP_VERSION,
                                   .name = "soft_clip",
                                   .min_inputs = 1,
                                   .max_inputs = 1,
                                   .n_outputs = 1,
                                   .infer = same_shape,
                                   .adjoint = adjoint,
                                   .run = run,
                                   .flags = CUPEL_OP_ADJOINT_SRC};

int main(void) {
    const float x = 1.0f;
    float y, slope;
    cupel_context *context = NULL;
    cupel_graph *graph = NULL;
    cupel_program *program = NULL;
    cupel_workspace *workspace = NULL;
    cupel_bindings *bindings = NULL;
    cupel_output outputs[2] = {{.name = "y"}, {.name = "slope"}};
    const cupel_compile_options options = {.outputs = outputs, .n_outputs = 2};
    if (cupel_context_create(&context, NULL) || cupel_context_register_op(context, &soft_clip) ||
        cupel_graph_create(&graph, context, NULL))
        return 1;
    const cupel_node input = cupel_input(graph, "x", CUPEL_TYPE_REAL, cupel_shape_scalar());
    outputs[0].node = cupel_apply(graph, &soft_clip, NULL, 1, &input);
    bool fine = !cupel_graph_add_gradients(graph, outputs[0].node, 1, &input, &outputs[1].node) &&
                !cupel_program_compile(&program, graph, &options);
    fine = fine && !cupel_workspace_create(&workspace, context) &&
           !cupel_workspace_reserve(workspace, program) &&
           !cupel_bindings_create(&bindings, program) &&
           !cupel_bindings_write(bindings, "x", &x, sizeof x) &&
           !cupel_program_run(program, bindings, workspace, NULL) &&
           !cupel_bindings_read(bindings, "y", &y, sizeof y) &&
           !cupel_bindings_read(bindings, "slope", &slope, sizeof slope);
    if (fine)
        printf("x = %g: y = %.5f, slope %.5f\n", x, y, slope);
    fine = fine && fabs(slope - pow(2.0, -1.5)) < 1e-6;
    cupel_bindings_destroy(bindings);
    cupel_workspace_destroy(workspace);
    cupel_program_destroy(program);
    cupel_graph_destroy(graph);
    cupel_context_destroy(context);
    return fine ? 0 : 1;
}
