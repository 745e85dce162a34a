// A C++ program outside the tree: shapes, builders and a run as C++17 without a warning.
#include <cupel/cupel.h>

#include <cmath>
#include <cstdint>
#include <iostream>

int main() {
    cupel_context *context = nullptr;
    cupel_graph *graph = nullptr;
    if (cupel_context_create(&context, nullptr) != CUPEL_STATUS_OK ||
        cupel_graph_create(&graph, context, nullptr) != CUPEL_STATUS_OK)
        return 1;
    const std::int64_t rows = 2;
    const unsigned columns = 3;
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(rows, columns));
    const cupel_node flat = cupel_reshape(x, CUPEL_SHAPE(6));
    const cupel_output output = {
        "norm", cupel_sqrt(cupel_reduce_sum(cupel_square(flat), CUPEL_AXIS(0), false))};
    cupel_compile_options options = {};
    options.outputs = &output;
    options.n_outputs = 1;
    cupel_program *program = nullptr;
    cupel_workspace *workspace = nullptr;
    cupel_bindings *bindings = nullptr;
    const float values[] = {1, 2, 3, 4, 5, 6};
    float norm = 0;
    if (cupel_program_compile(&program, graph, &options) != CUPEL_STATUS_OK ||
        cupel_workspace_create(&workspace, context) != CUPEL_STATUS_OK ||
        cupel_workspace_reserve(workspace, program) != CUPEL_STATUS_OK ||
        cupel_bindings_create(&bindings, program) != CUPEL_STATUS_OK ||
        cupel_bindings_write(bindings, "x", values, sizeof values) != CUPEL_STATUS_OK ||
        cupel_program_run(program, bindings, workspace, nullptr) != CUPEL_STATUS_OK ||
        cupel_bindings_read(bindings, "norm", &norm, sizeof norm) != CUPEL_STATUS_OK) {
        std::cerr << cupel_context_error(context) << '\n';
        return 1;
    }
    std::cout << "outside program in C++: the norm of 1 to 6 is " << norm << '\n';
    cupel_bindings_destroy(bindings);
    cupel_workspace_destroy(workspace);
    cupel_program_destroy(program);
    cupel_graph_destroy(graph);
    if (cupel_context_destroy(context) != CUPEL_STATUS_OK)
        return 1;
    return std::abs(norm - std::sqrt(91.0F)) < 1e-5F ? 0 : 1;
}
