/*
 * The context's and the parameters' inside. Test: tests/test_parameters.c
 */
#ifndef CUPEL_CONTEXT_INTERNAL_H
#define CUPEL_CONTEXT_INTERNAL_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "base/arena.h"
#include "base/log.h"
#include "cupel/context.h"
#include "cupel/parameters.h"

struct cupel_context {
    struct backend *backend;
    struct cupel_log log;
    struct cupel_error error;
    atomic_int children;  /* objects created on it and alive */
    const cupel_op **ops; /* from outside */
    size_t n_ops;
    size_t ops_capacity;
};

/* A context on a device made by the caller, which it then owns. */
cupel_status context_create_with_backend(cupel_context **out, struct backend *backend,
                                         const cupel_context_options *options);

enum variable_kind {
    VARIABLE_TRAINABLE = 0,
    VARIABLE_MODEL_STATE = 1,   /* running statistics */
    VARIABLE_TRAINING_STATE = 2 /* moments, tables, counters */
};

struct cupel_variable {
    const char *name;
    cupel_type type; /* resolved: never REAL */
    bool real;       /* declared REAL */
    cupel_shape shape;
    cupel_init init;
    enum variable_kind kind;
    void *memory; /* on the device; NULL before the seal */
    size_t bytes;
    uint64_t version;
    size_t index; /* in the set */
};

struct cupel_parameters {
    cupel_context *context;
    cupel_type real;
    uint64_t seed;
    bool sealed;
    bool undrawn; /* set by who imports every value: sealing draws none, which takes time */
    struct arena arena;
    struct cupel_variable **list;
    size_t count;
    size_t capacity;
    struct cupel_error error;
    atomic_int children; /* graphs and programs on it */
};

/* Get-or-create. On failure the sentence is in parameters->error. */
cupel_status parameters_declare(cupel_parameters *parameters, const char *name, cupel_type type,
                                cupel_shape shape, cupel_init init, enum variable_kind kind,
                                struct cupel_variable **out);
struct cupel_variable *parameters_lookup(const cupel_parameters *parameters, const char *name);

#endif
