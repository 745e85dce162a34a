/*
 * Trains a small classifier from arrays: on which of two spirals is a point? Shows the life of a
 * program: parameters, graph, gradients and update, compile, run.
 *
 *   cc train_classifier.c $(pkg-config --cflags --libs cupel) -lm && ./a.out
 */
#include <math.h>
#include <stdio.h>

#include <cupel/cupel.h>

enum { POINTS = 200, STEPS = 1500 };

static void draw_spirals(float points[POINTS][2], int64_t labels[POINTS]) {
    for (int i = 0; i < POINTS; i++) {
        const double turn = 0.5 + 2.0 * i / POINTS, angle = (turn + i % 2) * 3.1416;
        points[i][0] = (float)(turn * cos(angle));
        points[i][1] = (float)(turn * sin(angle));
        labels[i] = i % 2;
    }
}

int main(void) {
    static float points[POINTS][2];
    static int64_t labels[POINTS], guesses[POINTS];
    draw_spirals(points, labels);

    cupel_context *context = NULL;
    cupel_parameters *parameters = NULL;
    cupel_graph *graph = NULL;
    if (cupel_context_create(&context, NULL) ||
        cupel_parameters_create(&parameters, context, CUPEL_TYPE_F32, 1) ||
        cupel_graph_create(&graph, context, parameters))
        return 1;

    /* Model code has no checks between its lines: the graph keeps the first error. */
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(POINTS, 2));
    const cupel_node y = cupel_input_index(graph, "y", CUPEL_SHAPE(POINTS), 2);
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_node hidden = cupel_tanh(cupel_layer_dense(x, "fc1", 32, NULL));
    const cupel_node more = cupel_tanh(cupel_layer_dense(hidden, "fc2", 32, NULL));
    const cupel_node logits = cupel_layer_dense(more, "fc3", 2, NULL);
    const cupel_node loss = cupel_reduce_mean(cupel_cross_entropy(logits, y), CUPEL_AXIS(0), false);
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    cupel_optimizer_minimize(graph, "adam", &adam, rate, loss, "");

    cupel_program *program = NULL;
    cupel_workspace *workspace = NULL;
    cupel_bindings *bindings = NULL;
    const cupel_output outputs[] = {{"loss", loss}, {"guess", cupel_argmax(logits, 1)}};
    const cupel_compile_options options = {.name = "spirals", .outputs = outputs, .n_outputs = 2};
    cupel_status status = cupel_program_compile(&program, graph, &options);
    if (status != CUPEL_STATUS_OK || cupel_workspace_create(&workspace, context) ||
        cupel_workspace_reserve(workspace, program) || cupel_bindings_create(&bindings, program) ||
        cupel_bindings_write(bindings, "x", points, sizeof points) ||
        cupel_bindings_write(bindings, "y", labels, sizeof labels) ||
        cupel_bindings_write_scalar(bindings, "rate", 0.01)) {
        fprintf(stderr, "%s\n", status ? cupel_graph_error(graph) : cupel_context_error(context));
        return 1;
    }
    double value = 0;
    for (int step = 0; step < STEPS && status == CUPEL_STATUS_OK; step++)
        status = cupel_program_run(program, bindings, workspace, NULL);
    if (status || cupel_bindings_read_scalar(bindings, "loss", &value) ||
        cupel_bindings_read(bindings, "guess", guesses, sizeof guesses))
        fprintf(stderr, "%s\n", cupel_program_error(program));
    int right = 0;
    for (int i = 0; i < POINTS; i++)
        right += guesses[i] == labels[i];
    printf("loss %.4f, %d of %d right\n", value, right, POINTS);

    cupel_bindings_destroy(bindings);
    cupel_workspace_destroy(workspace);
    cupel_program_destroy(program);
    cupel_graph_destroy(graph);
    cupel_parameters_destroy(parameters);
    cupel_context_destroy(context);
    return right >= POINTS * 95 / 100 ? 0 : 1;
}
