/*
 * Parameters: every tensor of a model that outlives a run: trainable weights, running statistics,
 * optimiser moments, per-sample tables, counters. Master values are plain and contiguous in
 * PyTorch's order; every other form is a pack inside a program.
 *
 *   1. cupel_parameters_create()
 *   2. build graphs on it: cupel_parameter() and cupel_state() declare variables by get-or-create
 *   3. the first compile seals it: values are initialised by (seed, name); later graphs only look
 *      up
 *   4. cupel_parameters_read/_write for single values, _export/_import for all
 *   5. cupel_parameters_destroy() after the graphs and programs that use it
 */
#ifndef CUPEL_PARAMETERS_H
#define CUPEL_PARAMETERS_H

#include <cupel/context.h>
#include <cupel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_parameters cupel_parameters;

typedef enum cupel_init_kind {
    CUPEL_INIT_ZEROS = 0,
    CUPEL_INIT_ONES = 1,
    CUPEL_INIT_CONSTANT = 2,      /* a */
    CUPEL_INIT_UNIFORM = 3,       /* U(a, b) */
    CUPEL_INIT_NORMAL = 4,        /* N(mean a, standard deviation b) */
    CUPEL_INIT_TORCH = 5,         /* U(+-1 / sqrt(fan_in)): PyTorch's conv and linear default */
    CUPEL_INIT_HE_NORMAL = 6,     /* N(0, sqrt(2 / fan_in)); He et al. 2015 */
    CUPEL_INIT_HE_UNIFORM = 7,    /* U(+-sqrt(6 / fan_in)) */
    CUPEL_INIT_GLOROT_NORMAL = 8, /* N(0, sqrt(2 / (fan_in + fan_out))); Glorot and Bengio 2010 */
    CUPEL_INIT_GLOROT_UNIFORM = 9 /* U(+-sqrt(6 / (fan_in + fan_out))) */
} cupel_init_kind;

/* fan 0: taken from the shape, which is [out, in, kernel...]. A bias passes its layer's fan_in. */
typedef struct cupel_init {
    cupel_init_kind kind;
    double a, b;
    int64_t fan_in, fan_out;
} cupel_init;

/* real is F32 or F64: the type of all floating-point masters. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_create(cupel_parameters **out,
                                                             cupel_context *context,
                                                             cupel_type real, uint64_t seed);
/* BUG while graphs or programs on it are alive. */
CUPEL_API cupel_status cupel_parameters_destroy(cupel_parameters *parameters);
CUPEL_API const char *cupel_parameters_error(const cupel_parameters *parameters);
CUPEL_API cupel_type cupel_parameters_real(const cupel_parameters *parameters);

/* Initialises all values declared so far and forbids new names; done by the first compile. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_seal(cupel_parameters *parameters);

CUPEL_API size_t cupel_parameters_count(const cupel_parameters *parameters);

typedef struct cupel_parameter_info {
    const char *name; /* scoped, e.g. "encoder.conv1.weight"; borrowed */
    cupel_type type;  /* F32/F64 resolved */
    cupel_shape shape;
    bool trainable;
    uint64_t version; /* grows with every change of the value */
} cupel_parameter_info;

CUPEL_API cupel_parameter_info cupel_parameters_info(const cupel_parameters *parameters,
                                                     size_t index);
/* The index of a name, or SIZE_MAX. */
CUPEL_API size_t cupel_parameters_find(const cupel_parameters *parameters, const char *name);

/* Whole values, plain, in the variable's own type; bytes must be exact. NAME, SHAPE, or BUG before
 * the seal. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_read(cupel_parameters *parameters,
                                                           const char *name, void *values,
                                                           size_t bytes);
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_write(cupel_parameters *parameters,
                                                            const char *name, const void *values,
                                                            size_t bytes);

/* Adds every variable (or only the trainable ones and the state that layers declared, without
 * optimiser moments, when model_only) to a collection, each under prefix + name. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_export(cupel_parameters *parameters,
                                                             cupel_tensors *tensors,
                                                             const char *prefix, bool model_only);
/* Whether _import() would take them: NAME or SHAPE, naming the tensor and both shapes. It needs no
 * values, so it can be asked before the seal, when a model that does not fit has cost nothing. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_match(cupel_parameters *parameters,
                                                            const cupel_tensors *tensors,
                                                            const char *prefix, bool model_only);
/* Reads every variable back; a missing tensor or another shape (both are named) changes nothing. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_import(cupel_parameters *parameters,
                                                             const cupel_tensors *tensors,
                                                             const char *prefix, bool model_only);
/* NOT_FINITE names the first variable that holds a NaN or an infinity. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_parameters_check_finite(cupel_parameters *parameters);

#ifdef __cplusplus
}
#endif
#endif
