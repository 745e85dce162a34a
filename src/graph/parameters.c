/*
 * Parameters: declared by get-or-create, sealed once, then read and written by name. Values live in
 * device memory and move through the backend alone. Initial values are a function of (seed, name).
 * Test: tests/test_parameters.c
 */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "graph/context_internal.h"

cupel_status cupel_parameters_create(cupel_parameters **out, cupel_context *context,
                                     cupel_type real, uint64_t seed) {
    *out = NULL;
    if (real != CUPEL_TYPE_F32 && real != CUPEL_TYPE_F64)
        return cupel_fail(&context->error, CUPEL_STATUS_TYPE,
                          "parameters hold f32 or f64 masters, not %s", cupel_type_name(real));
    cupel_parameters *parameters = cupel_alloc(1, sizeof(*parameters));
    if (!parameters)
        return cupel_fail_memory(&context->error, "parameters", sizeof(*parameters));
    parameters->context = context;
    parameters->real = real;
    parameters->seed = seed;
    atomic_fetch_add(&context->children, 1);
    *out = parameters;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_parameters_destroy(cupel_parameters *parameters) {
    if (!parameters)
        return CUPEL_STATUS_OK;
    const int children = atomic_load(&parameters->children);
    if (children > 0)
        return cupel_fail(&parameters->error, CUPEL_STATUS_BUG,
                          "the parameters are still used by %d graphs or programs: destroy those "
                          "first",
                          children);
    struct backend *backend = parameters->context->backend;
    for (size_t i = 0; i < parameters->count; i++)
        if (parameters->list[i]->memory)
            backend->release(backend, parameters->list[i]->memory, parameters->list[i]->bytes);
    arena_release(&parameters->arena);
    cupel_free(parameters->list);
    atomic_fetch_sub(&parameters->context->children, 1);
    cupel_free(parameters);
    return CUPEL_STATUS_OK;
}

const char *cupel_parameters_error(const cupel_parameters *parameters) {
    return parameters->error.text;
}

cupel_type cupel_parameters_real(const cupel_parameters *parameters) {
    return parameters->real;
}

struct cupel_variable *parameters_lookup(const cupel_parameters *parameters, const char *name) {
    for (size_t i = 0; i < parameters->count; i++)
        if (strcmp(parameters->list[i]->name, name) == 0)
            return parameters->list[i];
    return NULL;
}

cupel_status parameters_declare(cupel_parameters *parameters, const char *name, cupel_type type,
                                cupel_shape shape, cupel_init init, enum variable_kind kind,
                                struct cupel_variable **out) {
    static const char *const kinds[] = {[VARIABLE_TRAINABLE] = "a trainable parameter",
                                        [VARIABLE_MODEL_STATE] = "a state of the model",
                                        [VARIABLE_TRAINING_STATE] = "a state of the training"};
    struct cupel_error *error = &parameters->error;
    const bool real = type == CUPEL_TYPE_REAL;
    const cupel_type resolved = real ? parameters->real : type;
    *out = parameters_lookup(parameters, name);
    if (*out) {
        char a[CUPEL_SHAPE_TEXT_SIZE], b[CUPEL_SHAPE_TEXT_SIZE];
        if (!cupel_shape_equal((*out)->shape, shape) || (*out)->type != resolved)
            return cupel_fail(error, CUPEL_STATUS_SHAPE,
                              "parameter '%s' was declared as %s %s and is asked for as %s %s",
                              name, cupel_type_name((*out)->type),
                              cupel_shape_format(a, (*out)->shape), cupel_type_name(resolved),
                              cupel_shape_format(b, shape));
        if ((*out)->kind != kind)
            return cupel_fail(error, CUPEL_STATUS_NAME,
                              "'%s' was declared as %s and is asked for as %s", name,
                              kinds[(*out)->kind], kinds[kind]);
        return CUPEL_STATUS_OK;
    }
    if (resolved != CUPEL_TYPE_REAL && cupel_type_size(resolved) == 0)
        return cupel_fail(error, CUPEL_STATUS_TYPE, "parameter '%s': there is no type %d", name,
                          (int)resolved);
    if (name[0] == '\0' || !utf8_valid(name) || strcmp(name, "__metadata__") == 0)
        return cupel_fail(error, CUPEL_STATUS_NAME,
                          "a parameter's name must be UTF-8, not empty and not __metadata__: no "
                          "checkpoint could hold it");
    if (parameters->sealed)
        return cupel_fail(error, CUPEL_STATUS_NAME,
                          "there is no parameter '%s': the set was sealed by its first compile, so "
                          "later graphs can only use what is there",
                          name);
    if (!cupel_shape_valid(shape))
        return cupel_fail(error, CUPEL_STATUS_SHAPE, "parameter '%s' has an impossible shape",
                          name);
    if (!cupel_grow(&parameters->list, &parameters->capacity, parameters->count + 1,
                    sizeof(*parameters->list)))
        return cupel_fail_memory(error, "the list of parameters", parameters->capacity);
    struct cupel_variable *variable = arena_alloc(&parameters->arena, 1, sizeof(*variable));
    char *copy = arena_strdup(&parameters->arena, name);
    if (!variable || !copy)
        return cupel_fail_memory(error, name, sizeof(*variable));
    const cupel_desc desc = cupel_desc_plain(resolved, shape);
    *variable = (struct cupel_variable){.name = copy,
                                        .type = resolved,
                                        .real = real,
                                        .shape = shape,
                                        .init = init,
                                        .kind = kind,
                                        .bytes = cupel_desc_bytes(&desc),
                                        .index = parameters->count};
    parameters->list[parameters->count++] = variable;
    *out = variable;
    return CUPEL_STATUS_OK;
}

/* Fans as in torch.nn.init: [out, in, kernel...]. */
static void fans(const struct cupel_variable *variable, double *fan_in, double *fan_out) {
    const cupel_shape shape = variable->shape;
    double receptive = 1;
    for (int i = 2; i < shape.rank; i++)
        receptive *= (double)shape.dims[i];
    const double first = shape.rank > 0 ? (double)shape.dims[0] : 1;
    const double second = shape.rank > 1 ? (double)shape.dims[1] : first;
    *fan_in = variable->init.fan_in ? (double)variable->init.fan_in : second * receptive;
    *fan_out = variable->init.fan_out ? (double)variable->init.fan_out : first * receptive;
}

/* The distribution as U(a, b) or N(a, b); false for constants, whose value is *a. */
static bool distribution(const struct cupel_variable *variable, bool *normal, double *a,
                         double *b) {
    double fan_in, fan_out, bound = 0;
    fans(variable, &fan_in, &fan_out);
    *normal = false;
    *a = variable->init.a;
    *b = variable->init.b;
    switch (variable->init.kind) {
    case CUPEL_INIT_ZEROS: *a = 0; return false;
    case CUPEL_INIT_ONES: *a = 1; return false;
    case CUPEL_INIT_CONSTANT: return false;
    case CUPEL_INIT_UNIFORM: return true;
    case CUPEL_INIT_NORMAL: *normal = true; return true;
    case CUPEL_INIT_TORCH: bound = 1 / sqrt(fan_in); break;
    case CUPEL_INIT_HE_UNIFORM: bound = sqrt(6 / fan_in); break;
    case CUPEL_INIT_GLOROT_UNIFORM: bound = sqrt(6 / (fan_in + fan_out)); break;
    case CUPEL_INIT_HE_NORMAL:
        *normal = true;
        bound = sqrt(2 / fan_in);
        break;
    case CUPEL_INIT_GLOROT_NORMAL:
        *normal = true;
        bound = sqrt(2 / (fan_in + fan_out));
        break;
    }
    *a = *normal ? 0 : -bound;
    *b = bound;
    return true;
}

static void store(cupel_type type, void *values, int64_t index, double value) {
    switch (type) {
    case CUPEL_TYPE_F32: ((float *)values)[index] = (float)value; break;
    case CUPEL_TYPE_F64: ((double *)values)[index] = value; break;
    case CUPEL_TYPE_I32: ((int32_t *)values)[index] = (int32_t)value; break;
    case CUPEL_TYPE_I64: ((int64_t *)values)[index] = (int64_t)value; break;
    case CUPEL_TYPE_U8: ((uint8_t *)values)[index] = (uint8_t)value; break;
    case CUPEL_TYPE_U64: ((uint64_t *)values)[index] = (uint64_t)value; break;
    default: break;
    }
}

static void initialise(const struct cupel_variable *variable, uint64_t seed, void *values) {
    const int64_t count = cupel_shape_count(variable->shape);
    bool normal;
    double a, b;
    if (!distribution(variable, &normal, &a, &b)) {
        for (int64_t i = 0; i < count; i++)
            store(variable->type, values, i, a);
        return;
    }
    const struct rng_key key = rng_key_make(seed, hash_string(variable->name));
    for (int64_t i = 0; i < count; i += 4) {
        double draws[4];
        const struct rng_block block =
            rng_block_at(key, (uint64_t)i >> 32, 0, (uint32_t)((uint64_t)i / 4));
        if (normal)
            rng_normal4(block, draws);
        else
            rng_uniform4(block, draws);
        for (int64_t j = 0; j < 4 && i + j < count; j++)
            store(variable->type, values, i + j,
                  normal ? a + b * draws[j] : a + (b - a) * draws[j]);
    }
}

static cupel_status give_memory(cupel_parameters *parameters, struct cupel_variable *variable) {
    struct backend *const backend = parameters->context->backend;
    const bool undrawn = parameters->undrawn && variable->kind != VARIABLE_TRAINING_STATE;
    void *const host = undrawn ? NULL : cupel_alloc_aligned(variable->bytes);
    if (host != NULL || undrawn)
        variable->memory = backend->allocate(backend, variable->bytes);
    if (variable->memory == NULL) {
        cupel_free(host);
        return cupel_fail_memory(&parameters->error, variable->name, variable->bytes);
    }
    if (host != NULL) {
        initialise(variable, parameters->seed, host);
        backend->write(backend, variable->memory, host, variable->bytes);
    }
    cupel_free(host);
    variable->version = 1;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_parameters_seal(cupel_parameters *parameters) {
    if (parameters->sealed)
        return CUPEL_STATUS_OK;
    for (size_t i = 0; i < parameters->count; i++)
        if (parameters->list[i]->memory == NULL)
            CUPEL_TRY(give_memory(parameters, parameters->list[i]));
    parameters->sealed = true;
    return CUPEL_STATUS_OK;
}

size_t cupel_parameters_count(const cupel_parameters *parameters) {
    return parameters->count;
}

cupel_parameter_info cupel_parameters_info(const cupel_parameters *parameters, size_t index) {
    if (index >= parameters->count)
        return (cupel_parameter_info){0};
    const struct cupel_variable *variable = parameters->list[index];
    return (cupel_parameter_info){.name = variable->name,
                                  .type = variable->type,
                                  .shape = variable->shape,
                                  .trainable = variable->kind == VARIABLE_TRAINABLE,
                                  .version = variable->version};
}

size_t cupel_parameters_find(const cupel_parameters *parameters, const char *name) {
    const struct cupel_variable *variable = parameters_lookup(parameters, name);
    return variable ? variable->index : SIZE_MAX;
}

static cupel_status access_variable(cupel_parameters *parameters, const char *name, size_t bytes,
                                    struct cupel_variable **out) {
    *out = parameters_lookup(parameters, name);
    if (!*out)
        return cupel_fail(&parameters->error, CUPEL_STATUS_NAME, "there is no parameter '%s'",
                          name);
    if (!(*out)->memory)
        return cupel_fail(&parameters->error, CUPEL_STATUS_BUG,
                          "parameter '%s' has no value before the set is sealed: compile a program "
                          "or call cupel_parameters_seal()",
                          name);
    if (bytes != (*out)->bytes)
        return cupel_fail(&parameters->error, CUPEL_STATUS_SHAPE,
                          "parameter '%s' has %zu bytes, not %zu", name, (*out)->bytes, bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_parameters_read(cupel_parameters *parameters, const char *name, void *values,
                                   size_t bytes) {
    struct cupel_variable *variable;
    CUPEL_TRY(access_variable(parameters, name, bytes, &variable));
    struct backend *backend = parameters->context->backend;
    backend->read(backend, values, variable->memory, bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_parameters_write(cupel_parameters *parameters, const char *name,
                                    const void *values, size_t bytes) {
    struct cupel_variable *variable;
    CUPEL_TRY(access_variable(parameters, name, bytes, &variable));
    struct backend *backend = parameters->context->backend;
    backend->write(backend, variable->memory, values, bytes);
    variable->version++;
    return CUPEL_STATUS_OK;
}

static bool in_model(const struct cupel_variable *variable, bool model_only) {
    return !model_only || variable->kind != VARIABLE_TRAINING_STATE;
}

/* prefix + name in fresh memory. */
static char *prefixed(const char *prefix, const char *name) {
    const size_t a = strlen(prefix), b = strlen(name);
    char *text = cupel_alloc(a + b + 1, 1);
    if (text) {
        memcpy(text, prefix, a);
        memcpy(text + a, name, b);
    }
    return text;
}

cupel_status cupel_parameters_export(cupel_parameters *parameters, cupel_tensors *tensors,
                                     const char *prefix, bool model_only) {
    struct backend *backend = parameters->context->backend;
    CUPEL_TRY(cupel_parameters_seal(parameters));
    for (size_t i = 0; i < parameters->count; i++) {
        const struct cupel_variable *variable = parameters->list[i];
        if (!in_model(variable, model_only))
            continue;
        char *name = prefixed(prefix, variable->name);
        if (!name)
            return cupel_fail_memory(&parameters->error, variable->name, 0);
        const cupel_tensor *tensor = NULL;
        const cupel_status status =
            cupel_tensors_add(tensors, name, variable->type, variable->shape, NULL, &tensor);
        cupel_free(name);
        if (status != CUPEL_STATUS_OK)
            return cupel_fail(&parameters->error, status, "%s", cupel_tensors_error(tensors));
        backend->read(backend, tensor->data, variable->memory, variable->bytes);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status match_tensor(cupel_parameters *parameters, const cupel_tensors *tensors,
                                 const struct cupel_variable *variable, const char *prefix,
                                 const cupel_tensor **out) {
    char *name = prefixed(prefix, variable->name);
    if (!name)
        return cupel_fail_memory(&parameters->error, variable->name, 0);
    *out = cupel_tensors_find(tensors, name);
    cupel_free(name);
    if (!*out)
        return cupel_fail(&parameters->error, CUPEL_STATUS_NAME,
                          "the file has no tensor '%s%s', which this model needs: it belongs to "
                          "another model or recipe",
                          prefix, variable->name);
    const cupel_desc *desc = &(*out)->desc;
    if (desc->type != variable->type || !cupel_shape_equal(desc->shape, variable->shape)) {
        char a[CUPEL_SHAPE_TEXT_SIZE], b[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(&parameters->error, CUPEL_STATUS_SHAPE,
                          "tensor '%s%s' is %s %s in the file and %s %s in the model: recipe and "
                          "weights do not fit; give the weights of this recipe, or the recipe that "
                          "they were trained by",
                          prefix, variable->name, cupel_type_name(desc->type),
                          cupel_shape_format(a, desc->shape), cupel_type_name(variable->type),
                          cupel_shape_format(b, variable->shape));
    }
    return CUPEL_STATUS_OK;
}

/* found, [count]: the tensor of each variable, NULL for one that is not asked for. */
static cupel_status match_all(cupel_parameters *parameters, const cupel_tensors *tensors,
                              const char *prefix, bool model_only, const cupel_tensor **found) {
    cupel_status status = CUPEL_STATUS_OK;
    for (size_t i = 0; i < parameters->count && status == CUPEL_STATUS_OK; i++) {
        found[i] = NULL;
        if (in_model(parameters->list[i], model_only))
            status = match_tensor(parameters, tensors, parameters->list[i], prefix, &found[i]);
    }
    return status;
}

cupel_status cupel_parameters_match(cupel_parameters *parameters, const cupel_tensors *tensors,
                                    const char *prefix, bool model_only) {
    const cupel_tensor **found = cupel_alloc(parameters->count + 1, sizeof(*found));
    if (!found)
        return cupel_fail_memory(&parameters->error, "an import", parameters->count);
    const cupel_status status = match_all(parameters, tensors, prefix, model_only, found);
    cupel_free(found);
    return status;
}

cupel_status cupel_parameters_import(cupel_parameters *parameters, const cupel_tensors *tensors,
                                     const char *prefix, bool model_only) {
    struct backend *backend = parameters->context->backend;
    const cupel_tensor **found = cupel_alloc(parameters->count + 1, sizeof(*found));
    if (!found)
        return cupel_fail_memory(&parameters->error, "an import", parameters->count);
    cupel_status status = match_all(parameters, tensors, prefix, model_only, found);
    if (status == CUPEL_STATUS_OK)
        status = cupel_parameters_seal(parameters);
    /* Nothing below can fail: all values change or none. */
    for (size_t i = 0; i < parameters->count && status == CUPEL_STATUS_OK; i++) {
        struct cupel_variable *variable = parameters->list[i];
        if (!found[i])
            continue;
        backend->write(backend, variable->memory, found[i]->data, variable->bytes);
        variable->version++;
    }
    cupel_free(found);
    return status;
}

cupel_status cupel_parameters_check_finite(cupel_parameters *parameters) {
    struct backend *backend = parameters->context->backend;
    for (size_t i = 0; i < parameters->count; i++) {
        const struct cupel_variable *variable = parameters->list[i];
        if (!cupel_type_is_real(variable->type) || !variable->memory)
            continue;
        void *host = cupel_alloc_aligned(variable->bytes);
        if (!host)
            return cupel_fail_memory(&parameters->error, variable->name, variable->bytes);
        backend->read(backend, host, variable->memory, variable->bytes);
        const int64_t count = cupel_shape_count(variable->shape);
        int64_t bad = -1;
        for (int64_t j = 0; j < count && bad < 0; j++) {
            const double value =
                variable->type == CUPEL_TYPE_F32 ? (double)((float *)host)[j] : ((double *)host)[j];
            if (!isfinite(value))
                bad = j;
        }
        cupel_free(host);
        if (bad >= 0)
            return cupel_fail(
                &parameters->error, CUPEL_STATUS_NOT_FINITE,
                "parameter '%s' is not finite at element %lld: the training diverged; "
                "lower the learning rate",
                variable->name, (long long)bad);
    }
    return CUPEL_STATUS_OK;
}
