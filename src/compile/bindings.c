/*
 * Bindings: device memory for a program's inputs and outputs. Writing and reading them is where
 * values cross between host and device, and where indices are checked. What a device can read in
 * the host's memory may be lent instead of written. Test: tests/test_program.c
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
    bindings->lent = cupel_alloc(draft->n_bindings + 1, sizeof(*bindings->lent));
    bool complete = bindings->memory != NULL && bindings->lent != NULL;
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
    cupel_free(bindings->lent);
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

static cupel_status take_values(cupel_bindings *bindings, const char *input, const void *values,
                                size_t bytes, bool lent) {
    const struct binding_slot *slot;
    size_t index;
    CUPEL_TRY(access_slot(bindings, input, true, bytes, &slot, &index));
    if (slot->index_bound)
        CUPEL_TRY(check_indices(bindings, slot, values));
    struct backend *backend = bindings->program->context->backend;
    const bool aligned = (uintptr_t)values % CUPEL_ALIGNMENT == 0;
    bindings->lent[index] = lent && aligned && backend->reads_host ? values : NULL;
    if (bindings->lent[index] == NULL)
        backend->write(backend, bindings->memory[index], values, bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_write(cupel_bindings *bindings, const char *input, const void *values,
                                  size_t bytes) {
    return take_values(bindings, input, values, bytes, false);
}

cupel_status cupel_bindings_lend(cupel_bindings *bindings, const char *input, const void *values,
                                 size_t bytes) {
    return take_values(bindings, input, values, bytes, true);
}

/* The slot of one element (any rank) behind a name. */
static cupel_status scalar_slot(cupel_bindings *bindings, const char *name, bool input,
                                const cupel_desc **out) {
    *out = cupel_bindings_desc(bindings, name);
    if (!*out || cupel_shape_count((*out)->shape) == 1)
        return CUPEL_STATUS_OK; /* an unknown name is told by the access */
    char shape[CUPEL_SHAPE_TEXT_SIZE];
    return cupel_fail(&bindings->error, CUPEL_STATUS_SHAPE,
                      "%s '%s' of program %s is %s, not a scalar: %s it as a whole with %s",
                      input ? "input" : "output", name, bindings->program->name,
                      cupel_shape_format(shape, (*out)->shape), input ? "write" : "read",
                      input ? "cupel_bindings_write()" : "cupel_bindings_read()");
}

static cupel_status not_a_value(cupel_bindings *bindings, const char *input, cupel_type type) {
    return cupel_fail(&bindings->error, CUPEL_STATUS_INVALID_ARGUMENT,
                      "input '%s' is %s; the number given is not one of its values", input,
                      cupel_type_name(type));
}

cupel_status cupel_bindings_write_scalar(cupel_bindings *bindings, const char *input,
                                         double value) {
    const cupel_desc *desc;
    CUPEL_TRY(scalar_slot(bindings, input, true, &desc));
    const cupel_type type = desc ? desc->type : CUPEL_TYPE_F64;
    if (type == CUPEL_TYPE_F64)
        return cupel_bindings_write(bindings, input, &value, sizeof(value));
    if (type == CUPEL_TYPE_F32) {
        const float f32 = (float)value;
        return cupel_bindings_write(bindings, input, &f32, sizeof(f32));
    }
    const bool is_unsigned = type == CUPEL_TYPE_U64 || type == CUPEL_TYPE_U8;
    const double limit = type == CUPEL_TYPE_U8    ? 0x1p8
                         : type == CUPEL_TYPE_I32 ? 0x1p31
                         : type == CUPEL_TYPE_I64 ? 0x1p63
                                                  : 0x1p64;
    if (!(value >= (is_unsigned ? 0.0 : -limit) && value < limit && value == floor(value)))
        return not_a_value(bindings, input, type);
    if (is_unsigned)
        return cupel_bindings_write_u64(bindings, input, (uint64_t)value);
    const int64_t i64 = (int64_t)value;
    const int32_t i32 = (int32_t)i64;
    if (type == CUPEL_TYPE_I32)
        return cupel_bindings_write(bindings, input, &i32, sizeof(i32));
    return cupel_bindings_write(bindings, input, &i64, sizeof(i64));
}

cupel_status cupel_bindings_write_u64(cupel_bindings *bindings, const char *input, uint64_t value) {
    const cupel_desc *desc;
    CUPEL_TRY(scalar_slot(bindings, input, true, &desc));
    const cupel_type type = desc ? desc->type : CUPEL_TYPE_U64;
    if (cupel_type_is_real(type))
        return cupel_fail(&bindings->error, CUPEL_STATUS_TYPE,
                          "input '%s' of program %s is %s, not an integer: write it with "
                          "cupel_bindings_write_scalar()",
                          input, bindings->program->name, cupel_type_name(type));
    const uint64_t most = type == CUPEL_TYPE_U8    ? UINT8_MAX
                          : type == CUPEL_TYPE_I32 ? INT32_MAX
                          : type == CUPEL_TYPE_I64 ? INT64_MAX
                                                   : UINT64_MAX;
    if (value > most)
        return not_a_value(bindings, input, type);
    const uint8_t u8 = (uint8_t)value;
    const int32_t i32 = (int32_t)value;
    if (type == CUPEL_TYPE_U8)
        return cupel_bindings_write(bindings, input, &u8, sizeof(u8));
    if (type == CUPEL_TYPE_I32)
        return cupel_bindings_write(bindings, input, &i32, sizeof(i32));
    return cupel_bindings_write(bindings, input, &value, sizeof(value)); /* i64: the same bits */
}

cupel_status cupel_bindings_read(cupel_bindings *bindings, const char *output, void *values,
                                 size_t bytes) {
    const struct binding_slot *slot;
    size_t index;
    CUPEL_TRY(access_slot(bindings, output, false, bytes, &slot, &index));
    struct backend *backend = bindings->program->context->backend;
    const void *const lent = bindings->lent[index];
    backend->read(backend, values, lent != NULL ? lent : bindings->memory[index], bytes);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_bindings_read_scalar(cupel_bindings *bindings, const char *output,
                                        double *value) {
    union {
        double f64;
        float f32;
        int64_t i64;
        uint64_t u64;
        int32_t i32;
        uint8_t u8;
    } element = {0};
    const cupel_desc *desc;
    CUPEL_TRY(scalar_slot(bindings, output, false, &desc));
    const cupel_type type = desc ? desc->type : CUPEL_TYPE_F64;
    if (type == CUPEL_TYPE_BF16)
        return cupel_fail(&bindings->error, CUPEL_STATUS_TYPE,
                          "output '%s' of program %s is bf16: read its two bytes with "
                          "cupel_bindings_read()",
                          output, bindings->program->name);
    CUPEL_TRY(cupel_bindings_read(bindings, output, &element, cupel_type_size(type)));
    switch (type) {
    case CUPEL_TYPE_F32: *value = (double)element.f32; break;
    case CUPEL_TYPE_I64: *value = (double)element.i64; break;
    case CUPEL_TYPE_U64: *value = (double)element.u64; break;
    case CUPEL_TYPE_I32: *value = (double)element.i32; break;
    case CUPEL_TYPE_U8: *value = (double)element.u8; break;
    default: *value = element.f64; break;
    }
    return CUPEL_STATUS_OK;
}
