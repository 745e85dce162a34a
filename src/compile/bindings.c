/*
 * Bindings: device memory for a program's inputs and outputs. Writing and reading them is where
 * values cross between host and device, and where indices are checked. Test: tests/test_program.c
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compile/program_internal.h"

cupel_status cupel_bindings_create(cupel_bindings **out, cupel_program *program) {
    *out = NULL;
    struct backend *backend = program->context->backend;
    const struct program_draft *draft = &program->draft;
    cupel_bindings *bindings = cupel_alloc(1, sizeof(*bindings));
    if (!bindings)
        return cupel_fail_memory(&program->context->error, "bindings", sizeof(*bindings));
    bindings->program = program;
    atomic_fetch_add(&program->children, 1);
    bindings->memory = cupel_alloc(draft->n_bindings + 1, sizeof(*bindings->memory));
    bool complete = bindings->memory != NULL;
    for (size_t i = 0; complete && i < draft->n_bindings; i++) {
        bindings->memory[i] =
            backend->allocate(backend, cupel_desc_bytes(&draft->bindings[i].desc));
        complete = bindings->memory[i] != NULL;
    }
    if (!complete) {
        cupel_fail_memory(&program->context->error, "inputs and outputs", draft->n_bindings);
        (void)cupel_bindings_destroy(bindings);
        return CUPEL_STATUS_OUT_OF_MEMORY;
    }
    *out = bindings;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_destroy(cupel_bindings *bindings) {
    if (!bindings)
        return CUPEL_STATUS_OK;
    if (atomic_load(&bindings->running))
        return cupel_fail(&bindings->error, CUPEL_STATUS_BUG, "a run uses these bindings");
    struct backend *backend = bindings->program->context->backend;
    const struct program_draft *draft = &bindings->program->draft;
    for (size_t i = 0; bindings->memory && i < draft->n_bindings; i++)
        if (bindings->memory[i])
            backend->release(backend, bindings->memory[i],
                             cupel_desc_bytes(&draft->bindings[i].desc));
    cupel_free(bindings->memory);
    atomic_fetch_sub(&bindings->program->children, 1);
    cupel_free(bindings);
    return CUPEL_STATUS_OK;
}

const char *cupel_bindings_error(const cupel_bindings *bindings) {
    return bindings->error.text;
}

static const struct binding_slot *find_slot(const cupel_bindings *bindings, const char *name,
                                            size_t *index) {
    const struct program_draft *draft = &bindings->program->draft;
    for (*index = 0; *index < draft->n_bindings; (*index)++)
        if (strcmp(draft->bindings[*index].name, name) == 0)
            return &draft->bindings[*index];
    return NULL;
}

const cupel_desc *cupel_bindings_desc(const cupel_bindings *bindings, const char *name) {
    size_t index;
    const struct binding_slot *slot = find_slot(bindings, name, &index);
    return slot ? &slot->desc : NULL;
}

static cupel_status access_slot(cupel_bindings *bindings, const char *name, bool input,
                                size_t bytes, const struct binding_slot **out, size_t *index) {
    struct cupel_error *error = &bindings->error;
    const char *program = bindings->program->name;
    *out = find_slot(bindings, name, index);
    if (!*out || (input && !(*out)->input))
        return cupel_fail(error, CUPEL_STATUS_NAME, "program %s has no %s named '%s'", program,
                          input ? "input" : "input or output", name);
    if (atomic_load(&bindings->running))
        return cupel_fail(error, CUPEL_STATUS_BUG, "a run uses the bindings of program %s",
                          program);
    const size_t want = cupel_desc_bytes(&(*out)->desc);
    if (bytes != want) {
        char shape[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(error, CUPEL_STATUS_SHAPE,
                          "'%s' of program %s is %s %s, %zu bytes, not "
                          "%zu",
                          name, program, cupel_type_name((*out)->desc.type),
                          cupel_shape_format(shape, (*out)->desc.shape), want, bytes);
    }
    return CUPEL_STATUS_OK;
}

static cupel_status check_indices(cupel_bindings *bindings, const struct binding_slot *slot,
                                  const void *values) {
    const int64_t count = cupel_shape_count(slot->desc.shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t index;
        memcpy(&index, (const char *)values + (size_t)i * sizeof(index), sizeof(index));
        if (index < 0 || index >= slot->index_bound)
            return cupel_fail(&bindings->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "input '%s': index %lld at element %lld is outside 0 to %lld",
                              slot->name, (long long)index, (long long)i,
                              (long long)(slot->index_bound - 1));
    }
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_write(cupel_bindings *bindings, const char *input, const void *values,
                                  size_t bytes) {
    const struct binding_slot *slot;
    size_t index;
    CUPEL_TRY(access_slot(bindings, input, true, bytes, &slot, &index));
    if (slot->index_bound)
        CUPEL_TRY(check_indices(bindings, slot, values));
    struct backend *backend = bindings->program->context->backend;
    backend->write(backend, bindings->memory[index], values, bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_write_scalar(cupel_bindings *bindings, const char *input,
                                         double value) {
    const cupel_desc *desc = cupel_bindings_desc(bindings, input);
    const cupel_type type = desc ? desc->type : CUPEL_TYPE_F64;
    if (type == CUPEL_TYPE_F64)
        return cupel_bindings_write(bindings, input, &value, sizeof(value));
    if (type == CUPEL_TYPE_F32) {
        const float f32 = (float)value;
        return cupel_bindings_write(bindings, input, &f32, sizeof(f32));
    }
    const bool is_unsigned = type == CUPEL_TYPE_U64 || type == CUPEL_TYPE_U8;
    const double limit = type == CUPEL_TYPE_U8 ? 0x1p8 : type == CUPEL_TYPE_I32 ? 0x1p31 : 0x1p63;
    if (!(value >= (is_unsigned ? 0.0 : -limit) && value < limit && value == floor(value)))
        return cupel_fail(&bindings->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "input '%s' is %s; the number given is not one of its values", input,
                          cupel_type_name(type));
    const int64_t i64 = (int64_t)value;
    const int32_t i32 = (int32_t)i64;
    const uint8_t u8 = (uint8_t)i64;
    if (type == CUPEL_TYPE_I32)
        return cupel_bindings_write(bindings, input, &i32, sizeof(i32));
    if (type == CUPEL_TYPE_U8)
        return cupel_bindings_write(bindings, input, &u8, sizeof(u8));
    return cupel_bindings_write(bindings, input, &i64, sizeof(i64));
}

cupel_status cupel_bindings_write_u64(cupel_bindings *bindings, const char *input, uint64_t value) {
    return cupel_bindings_write(bindings, input, &value, sizeof(value));
}

cupel_status cupel_bindings_read(cupel_bindings *bindings, const char *output, void *values,
                                 size_t bytes) {
    const struct binding_slot *slot;
    size_t index;
    CUPEL_TRY(access_slot(bindings, output, false, bytes, &slot, &index));
    struct backend *backend = bindings->program->context->backend;
    backend->read(backend, values, bindings->memory[index], bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_read_scalar(cupel_bindings *bindings, const char *output,
                                        double *value) {
    const cupel_desc *desc = cupel_bindings_desc(bindings, output);
    if (desc && desc->type == CUPEL_TYPE_F32) {
        float f32;
        CUPEL_TRY(cupel_bindings_read(bindings, output, &f32, sizeof(f32)));
        *value = (double)f32;
        return CUPEL_STATUS_OK;
    }
    if (desc && desc->type == CUPEL_TYPE_I64) {
        int64_t i64;
        CUPEL_TRY(cupel_bindings_read(bindings, output, &i64, sizeof(i64)));
        *value = (double)i64;
        return CUPEL_STATUS_OK;
    }
    return cupel_bindings_read(bindings, output, value, sizeof(*value));
}
