/*
 * All that cupel's kernels use of oneDNN, behind a few calls of our own: memory descriptors with
 * our layouts, primitive descriptors, and a primitive bound to fixed memory objects that runs
 * without allocating anything of ours. What differs between oneDNN's C APIs (2.x is implemented) is
 * in onednn_api.c alone. Test: tests/test_kernels_conv.c
 */
#ifndef CUPEL_ONEDNN_API_H
#define CUPEL_ONEDNN_API_H

#include <oneapi/dnnl/dnnl.h>

#include "backend/backend.h"

enum { ONEDNN_MAX_ARGS = 6 };

/* Where an argument's memory comes from at each run. */
enum onednn_source { ONEDNN_INPUT, ONEDNN_OUTPUT, ONEDNN_SCRATCH };

/* A primitive with its memory objects. Runs one at a time. */
struct onednn_primitive {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    int threads;
    int n_args;
    dnnl_exec_arg_t args[ONEDNN_MAX_ARGS];
    enum onednn_source sources[ONEDNN_MAX_ARGS];
    int indices[ONEDNN_MAX_ARGS]; /* of the input or output */
    size_t scratch_bytes;
};

/* A memory descriptor; "any" leaves the format to the primitive. */
struct onednn_desc {
    dnnl_memory_desc_t md;
};

/* The engine of the process; NULL when the library refuses. */
dnnl_engine_t onednn_engine(void);
/* "2.6.3" */
const char *onednn_version(void);

/* A tensor in one of our layouts; false for a layout or rank that has no tag. */
bool onednn_desc_tensor(struct onednn_desc *out, const cupel_desc *desc);
bool onednn_desc_strided(struct onednn_desc *out, int rank, const int64_t *dims,
                         const int64_t *strides);
/* Convolution weights [O, I/groups, KH, KW]: plain, or left to the primitive. */
bool onednn_desc_weights(struct onednn_desc *out, cupel_shape shape, int64_t groups, bool any);
bool onednn_desc_equal(const struct onednn_desc *a, const struct onednn_desc *b);
size_t onednn_desc_bytes(const struct onednn_desc *desc);

enum onednn_direction { ONEDNN_FORWARD, ONEDNN_BACKWARD_DATA, ONEDNN_BACKWARD_WEIGHTS };

/* Geometry and operands of one convolution: src and dst stand for diff_src and diff_dst too. */
struct onednn_conv {
    enum onednn_direction direction;
    bool winograd;
    struct onednn_desc src, weights, bias, dst; /* bias: used when with_bias */
    bool with_bias;
    dnnl_dims_t stride, dilation, padding; /* dilation 0: dense */
};

/* Primitive descriptors with user-managed scratch memory; dnnl_unimplemented where there is none.
 */
dnnl_status_t onednn_conv_create(dnnl_primitive_desc_t *out, const struct onednn_conv *conv);
dnnl_status_t onednn_matmul_create(dnnl_primitive_desc_t *out, const struct onednn_desc *a,
                                   const struct onednn_desc *b, const struct onednn_desc *c);
dnnl_status_t onednn_reorder_create(dnnl_primitive_desc_t *out, const struct onednn_desc *from,
                                    const struct onednn_desc *to);
/* "jit:avx512_core", "gemm:jit", "ref:any", ... */
const char *onednn_implementation(dnnl_primitive_desc_t desc);
/* The chosen format of the weights (or diff_weights). */
void onednn_chosen_weights(dnnl_primitive_desc_t desc, enum onednn_direction direction,
                           struct onednn_desc *out);

/* Makes the primitive; arguments follow by onednn_bind(), then onednn_bind_scratch(). */
cupel_status onednn_primitive_make(struct onednn_primitive *out, dnnl_primitive_desc_t desc,
                                   int threads, struct cupel_error *error);
cupel_status onednn_bind(struct onednn_primitive *primitive, int argument,
                         const struct onednn_desc *desc, enum onednn_source source, int index,
                         struct cupel_error *error);
cupel_status onednn_bind_scratch(struct onednn_primitive *primitive, dnnl_primitive_desc_t desc,
                                 struct cupel_error *error);
cupel_status onednn_primitive_run(const struct onednn_primitive *primitive,
                                  const void *const *inputs, void *const *outputs, void *scratch);
void onednn_primitive_drop(struct onednn_primitive *primitive);

/* CUPEL_STATUS_* of a oneDNN status; records the sentence. */
cupel_status onednn_fail(struct cupel_error *error, dnnl_status_t status, const char *what);

#endif
