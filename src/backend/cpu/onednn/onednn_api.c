/*
 * oneDNN's C API 2.x behind the calls of onednn_api.h. Version 3 removed the operation descriptors
 * and made memory descriptors opaque: a second set of the functions between the two marks below
 * would serve it. Test: tests/test_kernels_conv.c
 */
#define _POSIX_C_SOURCE 200809L
#include "backend/cpu/onednn/onednn_api.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/onednn/onednn.h"
#include "base/memory.h"
#include "base/parallel.h"

static dnnl_engine_t the_engine;
static char the_version[32];
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

/* The library looks at the processor once, so CUPEL_ISA must be handed on before the first
 * engine. */
static void create_engine(void) {
#if DNNL_VERSION_MAJOR == 2 && (defined(__x86_64__) || defined(__i386__))
    if (cpu_isa() == CPU_ISA_BASELINE)
        (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
    else if (cpu_isa() == CPU_ISA_AVX2)
        (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
#endif
    const dnnl_version_t *version = dnnl_version();
    snprintf(the_version, sizeof the_version, "%d.%d.%d", version->major, version->minor,
             version->patch);
    if (dnnl_engine_create(&the_engine, dnnl_cpu, 0) != dnnl_success)
        the_engine = NULL;
}

dnnl_engine_t onednn_engine(void) {
    pthread_once(&engine_once, create_engine);
    return the_engine;
}

const char *onednn_version(void) {
    pthread_once(&engine_once, create_engine);
    return the_version;
}

cupel_status onednn_fail(struct cupel_error *error, dnnl_status_t status, const char *what) {
    switch (status) {
    case dnnl_success: return CUPEL_STATUS_OK;
    case dnnl_out_of_memory:
        return cupel_fail(error, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for oneDNN's %s", what);
    case dnnl_unimplemented:
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "oneDNN has no %s for these operands",
                          what);
    case dnnl_invalid_arguments:
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "oneDNN refuses the operands of %s",
                          what);
    default:
        return cupel_fail(error, CUPEL_STATUS_BUG, "oneDNN failed in %s (status %d)", what,
                          (int)status);
    }
}

/* ---- what differs between versions of the library ---- */
#if DNNL_VERSION_MAJOR != 2
#error "src/backend/cpu/onednn supports oneDNN 2.x: implement onednn_api.h for this version"
#endif

static bool format_tag(const cupel_desc *desc, dnnl_format_tag_t *out) {
    static const dnnl_format_tag_t plain[] = {dnnl_a,    dnnl_a,     dnnl_ab,    dnnl_abc,
                                              dnnl_abcd, dnnl_abcde, dnnl_abcdef};
    if (desc->layout == CUPEL_LAYOUT_PLAIN) {
        *out = plain[desc->shape.rank];
        return true;
    }
    if (desc->shape.rank != 4)
        return false;
    switch (desc->layout) {
    case CUPEL_LAYOUT_NHWC: *out = dnnl_nhwc; return true;
    case CUPEL_LAYOUT_NCHW8C: *out = dnnl_nChw8c; return desc->shape.dims[1] % 8 == 0;
    case CUPEL_LAYOUT_NCHW16C: *out = dnnl_nChw16c; return desc->shape.dims[1] % 16 == 0;
    default: return false;
    }
}

static bool data_type(cupel_type type, dnnl_data_type_t *out) {
    *out = type == CUPEL_TYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    return type == CUPEL_TYPE_F32 || type == CUPEL_TYPE_BF16;
}

bool onednn_desc_tensor(struct onednn_desc *out, const cupel_desc *desc) {
    dnnl_format_tag_t tag;
    dnnl_data_type_t type;
    if (!data_type(desc->type, &type) || !format_tag(desc, &tag))
        return false;
    dnnl_dims_t dims = {1};
    const int rank = desc->shape.rank == 0 ? 1 : desc->shape.rank;
    for (int axis = 0; axis < desc->shape.rank; axis++)
        dims[axis] = desc->shape.dims[axis];
    return dnnl_memory_desc_init_by_tag(&out->md, rank, dims, type, tag) == dnnl_success;
}

bool onednn_desc_strided(struct onednn_desc *out, int rank, const int64_t *dims,
                         const int64_t *strides) {
    dnnl_dims_t d = {0}, s = {0};
    for (int axis = 0; axis < rank; axis++) {
        d[axis] = dims[axis];
        s[axis] = strides[axis];
    }
    return dnnl_memory_desc_init_by_strides(&out->md, rank, d, dnnl_f32, s) == dnnl_success;
}

bool onednn_desc_weights(struct onednn_desc *out, cupel_shape shape, int64_t groups, bool any) {
    if (groups == 1) {
        const dnnl_dims_t dims = {shape.dims[0], shape.dims[1], shape.dims[2], shape.dims[3]};
        return dnnl_memory_desc_init_by_tag(&out->md, 4, dims, dnnl_f32,
                                            any ? dnnl_format_tag_any : dnnl_oihw) == dnnl_success;
    }
    const dnnl_dims_t dims = {groups, shape.dims[0] / groups, shape.dims[1], shape.dims[2],
                              shape.dims[3]};
    return dnnl_memory_desc_init_by_tag(&out->md, 5, dims, dnnl_f32,
                                        any ? dnnl_format_tag_any : dnnl_goihw) == dnnl_success;
}

bool onednn_desc_equal(const struct onednn_desc *a, const struct onednn_desc *b) {
    return dnnl_memory_desc_equal(&a->md, &b->md) != 0;
}

size_t onednn_desc_bytes(const struct onednn_desc *desc) {
    return dnnl_memory_desc_get_size(&desc->md);
}

static dnnl_status_t create_with_user_scratch(dnnl_primitive_desc_t *out, const void *op_desc) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(out, op_desc, attr, onednn_engine(), NULL);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

dnnl_status_t onednn_conv_create(dnnl_primitive_desc_t *out, const struct onednn_conv *conv) {
    dnnl_convolution_desc_t desc;
    const dnnl_alg_kind_t algorithm =
        conv->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
    const dnnl_memory_desc_t *bias = conv->with_bias ? &conv->bias.md : NULL;
    dnnl_status_t status = dnnl_invalid_arguments;
    switch (conv->direction) {
    case ONEDNN_FORWARD:
        status = dnnl_dilated_convolution_forward_desc_init(
            &desc, dnnl_forward_training, algorithm, &conv->src.md, &conv->weights.md, bias,
            &conv->dst.md, conv->stride, conv->dilation, conv->padding, conv->padding);
        break;
    case ONEDNN_BACKWARD_DATA:
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &desc, algorithm, &conv->src.md, &conv->weights.md, &conv->dst.md, conv->stride,
            conv->dilation, conv->padding, conv->padding);
        break;
    case ONEDNN_BACKWARD_WEIGHTS:
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &desc, algorithm, &conv->src.md, &conv->weights.md, bias, &conv->dst.md, conv->stride,
            conv->dilation, conv->padding, conv->padding);
        break;
    }
    return status == dnnl_success ? create_with_user_scratch(out, &desc) : status;
}

dnnl_status_t onednn_matmul_create(dnnl_primitive_desc_t *out, const struct onednn_desc *a,
                                   const struct onednn_desc *b, const struct onednn_desc *c) {
    dnnl_matmul_desc_t desc;
    const dnnl_status_t status = dnnl_matmul_desc_init(&desc, &a->md, &b->md, NULL, &c->md);
    return status == dnnl_success ? create_with_user_scratch(out, &desc) : status;
}

dnnl_status_t onednn_reorder_create(dnnl_primitive_desc_t *out, const struct onednn_desc *from,
                                    const struct onednn_desc *to) {
    dnnl_engine_t engine = onednn_engine();
    return dnnl_reorder_primitive_desc_create(out, &from->md, engine, &to->md, engine, NULL);
}

const char *onednn_implementation(dnnl_primitive_desc_t desc) {
    const char *name = NULL;
    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) != dnnl_success)
        return "?";
    return name;
}

void onednn_chosen_weights(dnnl_primitive_desc_t desc, enum onednn_direction direction,
                           struct onednn_desc *out) {
    const dnnl_query_t what =
        direction == ONEDNN_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    out->md = *dnnl_primitive_desc_query_md(desc, what, 0);
}

cupel_status onednn_bind_scratch(struct onednn_primitive *primitive, dnnl_primitive_desc_t desc,
                                 struct cupel_error *error) {
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    const struct onednn_desc scratch = {.md = *md};
    primitive->scratch_bytes = onednn_desc_bytes(&scratch);
    if (primitive->scratch_bytes == 0)
        return CUPEL_STATUS_OK;
    return onednn_bind(primitive, DNNL_ARG_SCRATCHPAD, &scratch, ONEDNN_SCRATCH, 0, error);
}
/* ---- the same in all versions ---- */

cupel_status onednn_primitive_make(struct onednn_primitive *out, dnnl_primitive_desc_t desc,
                                   int threads, struct cupel_error *error) {
    *out = (struct onednn_primitive){.threads = threads};
    CUPEL_TRY(onednn_fail(error, dnnl_stream_create(&out->stream, onednn_engine(), 0), "stream"));
    return onednn_fail(error, dnnl_primitive_create(&out->primitive, desc), "primitive");
}

cupel_status onednn_bind(struct onednn_primitive *primitive, int argument,
                         const struct onednn_desc *desc, enum onednn_source source, int index,
                         struct cupel_error *error) {
    const int at = primitive->n_args;
    if (at == ONEDNN_MAX_ARGS)
        return cupel_fail(error, CUPEL_STATUS_BUG, "too many arguments for a oneDNN primitive");
    dnnl_memory_t memory = NULL;
    CUPEL_TRY(onednn_fail(error,
                          dnnl_memory_create(&memory, &desc->md, onednn_engine(), DNNL_MEMORY_NONE),
                          "memory object"));
    primitive->args[at] = (dnnl_exec_arg_t){.arg = argument, .memory = memory};
    primitive->sources[at] = source;
    primitive->indices[at] = index;
    primitive->n_args = at + 1;
    return CUPEL_STATUS_OK;
}

/* oneDNN wants writable handles for everything; it does not write to its inputs. */
static void *handle_of(const struct onednn_primitive *primitive, int i, const void *const *inputs,
                       void *const *outputs, void *scratch) {
    switch (primitive->sources[i]) {
    case ONEDNN_INPUT: {
        void *handle;
        memcpy(&handle, &inputs[primitive->indices[i]], sizeof handle);
        return handle;
    }
    case ONEDNN_OUTPUT: return outputs[primitive->indices[i]];
    default: return scratch;
    }
}

cupel_status onednn_primitive_run(const struct onednn_primitive *primitive,
                                  const void *const *inputs, void *const *outputs, void *scratch) {
    const int before = parallel_library_threads(primitive->threads);
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < primitive->n_args && status == dnnl_success; i++)
        status = dnnl_memory_set_data_handle_v2(primitive->args[i].memory,
                                                handle_of(primitive, i, inputs, outputs, scratch),
                                                primitive->stream);
    if (status == dnnl_success)
        status = dnnl_primitive_execute(primitive->primitive, primitive->stream, primitive->n_args,
                                        primitive->args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(primitive->stream);
    parallel_library_threads(before);
    return onednn_fail(NULL, status, "run");
}

void onednn_primitive_drop(struct onednn_primitive *primitive) {
    for (int i = 0; i < primitive->n_args; i++)
        dnnl_memory_destroy(primitive->args[i].memory);
    if (primitive->primitive != NULL)
        dnnl_primitive_destroy(primitive->primitive);
    if (primitive->stream != NULL)
        dnnl_stream_destroy(primitive->stream);
    *primitive = (struct onednn_primitive){0};
}
