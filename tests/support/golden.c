/* Golden states; see the header. */
#include "support/golden.h"

#include <stdlib.h>

#include "base/hash.h"

/* --- files --- */
cupel_tensors *golden_read(const char *file_name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/%s", CUPEL_SOURCE_DIR, file_name);
    cupel_tensors *tensors = NULL;
    CHECK_OK_TEXT(cupel_tensors_read(&tensors, path), cupel_tensors_error(tensors));
    return tensors;
}

static CUPEL_PRINTF(3, 0) const cupel_tensor *find(const cupel_tensors *tensors, bool must,
                                                   const char *format, va_list args) {
    char name[256];
    vsnprintf(name, sizeof name, format, args);
    const cupel_tensor *const tensor = cupel_tensors_find(tensors, name);
    if (tensor == NULL && must)
        check_failed(__FILE__, __LINE__, "no tensor %s in the golden file", name);
    return tensor;
}

const cupel_tensor *golden_find(const cupel_tensors *tensors, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const cupel_tensor *const tensor = find(tensors, false, format, args);
    va_end(args);
    return tensor;
}

const cupel_tensor *golden_get(const cupel_tensors *tensors, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const cupel_tensor *const tensor = find(tensors, true, format, args);
    va_end(args);
    return tensor;
}

size_t golden_count(const cupel_tensor *tensor) {
    return (size_t)cupel_shape_count(tensor->desc.shape);
}

static double number_at(cupel_type type, const void *values, size_t index) {
    switch (type) {
    case CUPEL_TYPE_F64: return ((const double *)values)[index];
    case CUPEL_TYPE_F32: return (double)((const float *)values)[index];
    case CUPEL_TYPE_I64: return (double)((const int64_t *)values)[index];
    case CUPEL_TYPE_U64: return (double)((const uint64_t *)values)[index];
    case CUPEL_TYPE_I32: return (double)((const int32_t *)values)[index];
    case CUPEL_TYPE_U8: return (double)((const uint8_t *)values)[index];
    default: break;
    }
    check_failed(__FILE__, __LINE__, "no numbers of type %s here", cupel_type_name(type));
    return 0;
}

double golden_at(const cupel_tensor *tensor, size_t index) {
    return number_at(tensor->desc.type, tensor->data, index);
}

/* --- formulas --- */
static uint64_t draw(uint64_t name_hash, size_t index) {
    return hash_combine(name_hash, index);
}

static double unit(uint64_t bits) {
    return (double)(float)((double)(bits >> 11) * 0x1p-53);
}

double golden_uniform(const char *name, size_t index) {
    return unit(draw(hash_string(name), index));
}

void golden_uniform_fill(const char *name, double *values, size_t count) {
    const uint64_t hash = hash_string(name);
    for (size_t i = 0; i < count; i++)
        values[i] = unit(draw(hash, i));
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

void golden_fill_parameters(cupel_parameters *parameters, const char *net) {
    for (size_t i = 0; i < cupel_parameters_count(parameters); i++) {
        const cupel_parameter_info info = cupel_parameters_info(parameters, i);
        if (!info.trainable)
            continue;
        char name[256];
        snprintf(name, sizeof name, "%s/%s", net, info.name);
        const uint64_t hash = hash_string(name);
        const size_t count = (size_t)cupel_shape_count(info.shape);
        const size_t size = cupel_type_size(info.type);
        double scale = 0.1, base = 0.0;
        if (info.shape.rank >= 2) {
            scale = 1.5 / sqrt((double)count / (double)info.shape.dims[0]);
        } else if (ends_with(info.name, ".weight")) {
            scale = 0.2;
            base = 1.0;
        }
        void *const values = malloc(count * size);
        CHECK(values != NULL);
        for (size_t k = 0; k < count; k++) {
            const float value = (float)(base + (2.0 * unit(draw(hash, k)) - 1.0) * scale);
            if (info.type == CUPEL_TYPE_F64)
                ((double *)values)[k] = (double)value;
            else
                ((float *)values)[k] = value;
        }
        CHECK_OK_TEXT(cupel_parameters_write(parameters, info.name, values, count * size),
                      cupel_parameters_error(parameters));
        free(values);
    }
}

size_t golden_sample_index(const char *name, size_t k, size_t count) {
    return (size_t)(draw(hash_string(name), k) % count);
}

/* --- running --- */
const struct golden_way golden_ways[GOLDEN_WAYS] = {
    {"reference", CUPEL_TYPE_F64, false, 1}, {"reference", CUPEL_TYPE_F32, false, 1},
    {"cpu", CUPEL_TYPE_F64, false, 1},       {"cpu", CUPEL_TYPE_F32, false, 1},
    {"cpu", CUPEL_TYPE_F32, false, 2},       {"cpu", CUPEL_TYPE_F32, true, 1},
};

const char *golden_way_text(struct golden_way way) {
    static char text[64];
    snprintf(text, sizeof text, "%s %s %d thread%s%s", way.device, cupel_type_name(way.real),
             way.threads, way.threads == 1 ? "" : "s", way.reference ? " unfused" : "");
    return text;
}

void golden_machine_open(struct golden_machine *machine, struct golden_way way, uint64_t seed) {
    const cupel_context_options options = {.device = way.device};
    cupel_context *context = NULL;
    CHECK_OK(cupel_context_create(&context, &options));
    golden_machine_open_on(machine, context, way, seed);
}

void golden_machine_open_on(struct golden_machine *machine, cupel_context *context,
                            struct golden_way way, uint64_t seed) {
    *machine = (struct golden_machine){.way = way, .context = context};
    CHECK_OK_TEXT(cupel_parameters_create(&machine->parameters, machine->context, way.real, seed),
                  cupel_context_error(machine->context));
    CHECK_OK_TEXT(cupel_workspace_create(&machine->workspace, machine->context),
                  cupel_context_error(machine->context));
}

void golden_machine_close(struct golden_machine *machine) {
    CHECK_OK(cupel_workspace_destroy(machine->workspace));
    CHECK_OK(cupel_parameters_destroy(machine->parameters));
    CHECK_OK(cupel_context_destroy(machine->context));
}

cupel_graph *golden_graph(const struct golden_machine *machine) {
    cupel_graph *graph = NULL;
    CHECK_OK_TEXT(cupel_graph_create(&graph, machine->context, machine->parameters),
                  cupel_context_error(machine->context));
    return graph;
}

void golden_compile(struct golden_program *out, const struct golden_machine *machine,
                    cupel_graph *graph, const char *name, size_t n_outputs,
                    const cupel_output *outputs) {
    const cupel_compile_options options = {.name = name,
                                           .outputs = outputs,
                                           .n_outputs = n_outputs,
                                           .real = machine->way.real,
                                           .reference = machine->way.reference,
                                           .threads = machine->way.threads};
    *out = (struct golden_program){.workspace = machine->workspace};
    CHECK_OK_TEXT(cupel_graph_check(graph), cupel_graph_error(graph));
    CHECK_OK_TEXT(cupel_program_compile(&out->program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK_TEXT(cupel_workspace_reserve(machine->workspace, out->program),
                  cupel_workspace_error(machine->workspace));
    CHECK_OK_TEXT(cupel_bindings_create(&out->bindings, out->program),
                  cupel_program_error(out->program));
}

void golden_program_close(struct golden_program *program) {
    CHECK_OK(cupel_bindings_destroy(program->bindings));
    CHECK_OK(cupel_program_destroy(program->program));
}

static const cupel_desc *binding(const struct golden_program *program, const char *name) {
    const cupel_desc *const desc = cupel_bindings_desc(program->bindings, name);
    if (desc == NULL)
        check_failed(__FILE__, __LINE__, "the program has no input or output %s", name);
    return desc;
}

void golden_write(struct golden_program *program, const char *input, const double *values,
                  size_t count) {
    const cupel_desc *const desc = binding(program, input);
    CHECK_I64(cupel_shape_count(desc->shape), (int64_t)count);
    const size_t bytes = cupel_desc_bytes(desc);
    void *const converted = malloc(bytes);
    CHECK(converted != NULL);
    for (size_t i = 0; i < count; i++) {
        switch (desc->type) {
        case CUPEL_TYPE_F64: ((double *)converted)[i] = values[i]; break;
        case CUPEL_TYPE_F32: ((float *)converted)[i] = (float)values[i]; break;
        case CUPEL_TYPE_I64: ((int64_t *)converted)[i] = (int64_t)values[i]; break;
        case CUPEL_TYPE_I32: ((int32_t *)converted)[i] = (int32_t)values[i]; break;
        case CUPEL_TYPE_U8: ((uint8_t *)converted)[i] = (uint8_t)values[i]; break;
        default: check_failed(__FILE__, __LINE__, "input %s has another type", input);
        }
    }
    CHECK_OK_TEXT(cupel_bindings_write(program->bindings, input, converted, bytes),
                  cupel_bindings_error(program->bindings));
    free(converted);
}

void golden_write_scalar(struct golden_program *program, const char *input, double value) {
    CHECK_OK_TEXT(cupel_bindings_write_scalar(program->bindings, input, value),
                  cupel_bindings_error(program->bindings));
}

void golden_write_uniform(struct golden_program *program, const char *input, const char *name) {
    const size_t count = (size_t)cupel_shape_count(binding(program, input)->shape);
    double *const values = malloc(count * sizeof *values);
    CHECK(values != NULL);
    golden_uniform_fill(name, values, count);
    golden_write(program, input, values, count);
    free(values);
}

void golden_write_labels(struct golden_program *program, size_t shift, size_t classes) {
    double labels[16];
    const size_t count = (size_t)cupel_shape_count(binding(program, "labels")->shape);
    CHECK(count <= sizeof labels / sizeof labels[0]);
    for (size_t i = 0; i < count; i++)
        labels[i] = (double)((i + shift) % classes);
    golden_write(program, "labels", labels, count);
}

void golden_write_tensor(struct golden_program *program, const char *input,
                         const cupel_tensor *tensor) {
    const size_t count = golden_count(tensor);
    double *const values = malloc(count * sizeof *values);
    CHECK(values != NULL);
    for (size_t i = 0; i < count; i++)
        values[i] = golden_at(tensor, i);
    golden_write(program, input, values, count);
    free(values);
}

void golden_write_rng(struct golden_program *program, uint64_t seed, uint64_t step, uint64_t first,
                      size_t rows) {
    uint64_t ids[256];
    CHECK(rows <= sizeof ids / sizeof ids[0]);
    for (size_t i = 0; i < rows; i++)
        ids[i] = first + i;
    CHECK_OK_TEXT(cupel_bindings_write_u64(program->bindings, "seed", seed),
                  cupel_bindings_error(program->bindings));
    CHECK_OK_TEXT(cupel_bindings_write_u64(program->bindings, "step", step),
                  cupel_bindings_error(program->bindings));
    CHECK_OK_TEXT(cupel_bindings_write(program->bindings, "rows", ids, rows * sizeof ids[0]),
                  cupel_bindings_error(program->bindings));
}

void golden_run(struct golden_program *program) {
    CHECK_OK_TEXT(cupel_program_run(program->program, program->bindings, program->workspace, NULL),
                  cupel_program_error(program->program));
}

static double *as_doubles(cupel_type type, const void *values, size_t count) {
    double *const out = malloc(count * sizeof *out);
    CHECK(out != NULL);
    for (size_t i = 0; i < count; i++)
        out[i] = number_at(type, values, i);
    return out;
}

double *golden_output(struct golden_program *program, const char *output, size_t *count) {
    const cupel_desc *const desc = binding(program, output);
    const size_t bytes = cupel_desc_bytes(desc);
    const size_t n = (size_t)cupel_shape_count(desc->shape);
    void *const values = malloc(bytes);
    CHECK(values != NULL);
    CHECK_OK_TEXT(cupel_bindings_read(program->bindings, output, values, bytes),
                  cupel_bindings_error(program->bindings));
    double *const out = as_doubles(desc->type, values, n);
    free(values);
    if (count != NULL)
        *count = n;
    return out;
}

double golden_output_scalar(struct golden_program *program, const char *output) {
    double value = 0;
    CHECK_OK_TEXT(cupel_bindings_read_scalar(program->bindings, output, &value),
                  cupel_bindings_error(program->bindings));
    return value;
}

double *golden_variable(cupel_parameters *parameters, const char *name, size_t *count) {
    const size_t index = cupel_parameters_find(parameters, name);
    if (index == SIZE_MAX)
        check_failed(__FILE__, __LINE__, "there is no variable %s", name);
    const cupel_parameter_info info = cupel_parameters_info(parameters, index);
    const size_t n = (size_t)cupel_shape_count(info.shape);
    const size_t bytes = n * cupel_type_size(info.type);
    void *const values = malloc(bytes);
    CHECK(values != NULL);
    CHECK_OK_TEXT(cupel_parameters_read(parameters, name, values, bytes),
                  cupel_parameters_error(parameters));
    double *const out = as_doubles(info.type, values, n);
    free(values);
    if (count != NULL)
        *count = n;
    return out;
}

/* --- comparing --- */
static const double smallest_scale = 1e-3;

static void compare_at(const char *what, size_t index, double actual, double expected, double scale,
                       double tolerance) {
    const bool same = actual == expected || (isnan(actual) && isnan(expected));
    const double off = fabs(actual - expected);
    if (!same && !(off <= tolerance * scale))
        check_failed(__FILE__, __LINE__,
                     "%s[%zu] = %.17g, expected %.17g: off by %.3g of %.3g, %.3g is allowed", what,
                     index, actual, expected, off / scale, scale, tolerance);
}

static double scale_of(const cupel_tensor *expected, size_t first, size_t count) {
    double scale = smallest_scale;
    for (size_t i = first; i < first + count; i++)
        scale = fmax(scale, fabs(golden_at(expected, i)));
    return scale;
}

void golden_compare(const char *what, const double *actual, size_t count,
                    const cupel_tensor *expected, size_t first, double tolerance) {
    CHECK(first + count <= golden_count(expected));
    const double scale = scale_of(expected, first, count);
    for (size_t i = 0; i < count; i++)
        compare_at(what, i, actual[i], golden_at(expected, first + i), scale, tolerance);
}

void golden_compare_number(const char *what, double actual, double expected, double tolerance) {
    compare_at(what, 0, actual, expected, fmax(smallest_scale, fabs(expected)), tolerance);
}

void golden_compare_output(struct golden_program *program, const char *output,
                           const cupel_tensor *expected, double tolerance) {
    size_t count = 0;
    double *const actual = golden_output(program, output, &count);
    CHECK_U64(count, golden_count(expected));
    golden_compare(output, actual, count, expected, 0, tolerance);
    free(actual);
}

void golden_compare_step(struct golden_program *program, const char *output,
                         const cupel_tensor *expected, int step, double tolerance) {
    size_t count = 0;
    double *const values = golden_output(program, output, &count);
    CHECK_U64(golden_count(expected) % count, 0);
    golden_compare(output, values, count, expected, (size_t)step * count, tolerance);
    free(values);
}

void golden_compare_summary(const char *what, const double *actual, size_t count,
                            const cupel_tensors *tensors, const char *name, double tolerance) {
    const cupel_tensor *const sums = golden_get(tensors, "%s/sums", name);
    const cupel_tensor *const samples = golden_get(tensors, "%s/samples", name);
    double sum = 0, absolute = 0;
    for (size_t i = 0; i < count; i++) {
        sum += actual[i];
        absolute += fabs(actual[i]);
    }
    const double scale = fmax(smallest_scale, golden_at(sums, 1));
    compare_at(what, 0, sum, golden_at(sums, 0), scale, tolerance);
    compare_at(what, 1, absolute, golden_at(sums, 1), scale, tolerance);
    CHECK_U64(golden_count(samples), GOLDEN_SAMPLES);
    const double largest = scale_of(samples, 0, GOLDEN_SAMPLES);
    for (size_t k = 0; k < GOLDEN_SAMPLES; k++) {
        const size_t index = golden_sample_index(name, k, count);
        compare_at(what, index, actual[index], golden_at(samples, k), largest, tolerance);
    }
}

void golden_compare_variables(cupel_parameters *parameters, const cupel_tensors *tensors,
                              const char *prefix, double tolerance) {
    const size_t length = strlen(prefix);
    size_t compared = 0;
    for (size_t i = 0; i < cupel_tensors_count(tensors); i++) {
        const cupel_tensor *const tensor = cupel_tensors_at(tensors, i);
        if (strncmp(tensor->name, prefix, length) != 0 || tensor->name[length] != '/')
            continue;
        size_t count = 0;
        double *const values = golden_variable(parameters, tensor->name + length + 1, &count);
        CHECK_U64(count, golden_count(tensor));
        golden_compare(tensor->name, values, count, tensor, 0, tolerance);
        free(values);
        compared++;
    }
    CHECK(compared > 0);
}
