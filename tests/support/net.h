/*
 * One parameter set, one graph and its program, for tests of layers, models and optimisers: open,
 * build, compile, write inputs, run, read. Everything uses the public interface and fails through
 * check.h.
 */
#ifndef CUPEL_TESTS_NET_H
#define CUPEL_TESTS_NET_H

#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include <cupel/models.h>
#include <cupel/program.h>

struct net {
    cupel_context *context;
    cupel_parameters *parameters;
    bool owns; /* context and parameters are this net's own */
    cupel_type real;
    cupel_graph *graph;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
};

/* A context, parameters and an empty graph; or, with `shared`, another graph on its parameters. */
static inline struct net net_open(cupel_type real, uint64_t seed, const struct net *shared) {
    struct net net = {.real = real, .owns = shared == NULL};
    if (shared != NULL) {
        net.context = shared->context;
        net.parameters = shared->parameters;
    } else {
        CHECK_OK(cupel_context_create(&net.context, NULL));
        CHECK_OK_TEXT(cupel_parameters_create(&net.parameters, net.context, real, seed),
                      cupel_context_error(net.context));
    }
    CHECK_OK_TEXT(cupel_graph_create(&net.graph, net.context, net.parameters),
                  cupel_context_error(net.context));
    return net;
}

static inline void net_compile(struct net *net, bool reference, size_t n,
                               const cupel_output *outputs) {
    CHECK_OK_TEXT(cupel_graph_check(net->graph), cupel_graph_error(net->graph));
    const cupel_compile_options options = {.outputs = outputs,
                                           .n_outputs = n,
                                           .real = net->real,
                                           .reference = reference,
                                           .threads = 1};
    CHECK_OK_TEXT(cupel_program_compile(&net->program, net->graph, &options),
                  cupel_graph_error(net->graph));
    CHECK_OK_TEXT(cupel_workspace_create(&net->workspace, net->context),
                  cupel_context_error(net->context));
    CHECK_OK_TEXT(cupel_workspace_reserve(net->workspace, net->program),
                  cupel_workspace_error(net->workspace));
    CHECK_OK_TEXT(cupel_bindings_create(&net->bindings, net->program),
                  cupel_program_error(net->program));
}

static inline void net_run(struct net *net) {
    CHECK_OK_TEXT(cupel_program_run(net->program, net->bindings, net->workspace, NULL),
                  cupel_program_error(net->program));
}

static inline void net_close(struct net *net) {
    if (net->bindings != NULL)
        CHECK_OK(cupel_bindings_destroy(net->bindings));
    if (net->workspace != NULL)
        CHECK_OK(cupel_workspace_destroy(net->workspace));
    if (net->program != NULL)
        CHECK_OK(cupel_program_destroy(net->program));
    CHECK_OK(cupel_graph_destroy(net->graph));
    if (net->owns) {
        CHECK_OK(cupel_parameters_destroy(net->parameters));
        CHECK_OK(cupel_context_destroy(net->context));
    }
}

/* Doubles to and from buffers of a real type. */
static inline void *net_pack(cupel_type type, const double *values, size_t count, size_t *bytes) {
    *bytes = count * cupel_type_size(type);
    void *const packed = calloc(count, cupel_type_size(type));
    CHECK(packed != NULL);
    for (size_t i = 0; i < count; i++)
        if (type == CUPEL_TYPE_F64)
            ((double *)packed)[i] = values[i];
        else
            ((float *)packed)[i] = (float)values[i];
    return packed;
}

static inline void net_unpack(cupel_type type, const void *packed, double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = type == CUPEL_TYPE_F64 ? ((const double *)packed)[i]
                                           : (double)((const float *)packed)[i];
}

/* A REAL input, or a REAL output, as doubles. */
static inline void net_write(struct net *net, const char *input, const double *values,
                             size_t count) {
    size_t bytes;
    void *const packed = net_pack(net->real, values, count, &bytes);
    CHECK_OK_TEXT(cupel_bindings_write(net->bindings, input, packed, bytes),
                  cupel_bindings_error(net->bindings));
    free(packed);
}

static inline void net_read(struct net *net, const char *output, double *values, size_t count) {
    const cupel_desc *const desc = cupel_bindings_desc(net->bindings, output);
    CHECK(desc != NULL);
    void *const packed = calloc(count, cupel_type_size(desc->type));
    CHECK(packed != NULL);
    CHECK_OK_TEXT(
        cupel_bindings_read(net->bindings, output, packed, count * cupel_type_size(desc->type)),
        cupel_bindings_error(net->bindings));
    net_unpack(desc->type, packed, values, count);
    free(packed);
}

/* A parameter or state of a real type as doubles. */
static inline void net_get(struct net *net, const char *name, double *values, size_t count) {
    const size_t index = cupel_parameters_find(net->parameters, name);
    if (index == SIZE_MAX)
        check_failed(__FILE__, __LINE__, "there is no parameter %s", name);
    const cupel_type type = cupel_parameters_info(net->parameters, index).type;
    void *const packed = calloc(count, cupel_type_size(type));
    CHECK(packed != NULL);
    CHECK_OK_TEXT(
        cupel_parameters_read(net->parameters, name, packed, count * cupel_type_size(type)),
        cupel_parameters_error(net->parameters));
    net_unpack(type, packed, values, count);
    free(packed);
}

static inline void net_set(struct net *net, const char *name, const double *values, size_t count) {
    size_t bytes;
    void *const packed = net_pack(net->real, values, count, &bytes);
    CHECK_OK_TEXT(cupel_parameters_write(net->parameters, name, packed, bytes),
                  cupel_parameters_error(net->parameters));
    free(packed);
}

/* All variables of both sets have the same bytes. */
static inline void net_check_same(const struct net *a, const struct net *b) {
    const size_t n = cupel_parameters_count(a->parameters);
    CHECK_U64(n, cupel_parameters_count(b->parameters));
    for (size_t i = 0; i < n; i++) {
        const cupel_parameter_info info = cupel_parameters_info(a->parameters, i);
        const size_t bytes = (size_t)cupel_shape_count(info.shape) * cupel_type_size(info.type);
        char *const values = calloc(2, bytes);
        CHECK(values != NULL);
        CHECK_OK(cupel_parameters_read(a->parameters, info.name, values, bytes));
        CHECK_OK(cupel_parameters_read(b->parameters, info.name, values + bytes, bytes));
        if (memcmp(values, values + bytes, bytes) != 0)
            check_failed(__FILE__, __LINE__, "%s differs", info.name);
        free(values);
    }
}

static inline void net_write_rng(struct net *net, uint64_t seed, uint64_t step,
                                 const uint64_t *rows, size_t n) {
    CHECK_OK(cupel_bindings_write_u64(net->bindings, "seed", seed));
    CHECK_OK(cupel_bindings_write_u64(net->bindings, "step", step));
    CHECK_OK(cupel_bindings_write(net->bindings, "rows", rows, n * sizeof *rows));
}

static inline void net_scalar(struct net *net, const char *input, double value) {
    CHECK_OK_TEXT(cupel_bindings_write_scalar(net->bindings, input, value),
                  cupel_bindings_error(net->bindings));
}

#endif
