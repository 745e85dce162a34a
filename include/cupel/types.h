/*
 * Element types, shapes, layouts and tensor descriptors. Axes are row-major, outermost first;
 * images are N C H W. Plain values: copy them freely.
 */
#ifndef CUPEL_TYPES_H
#define CUPEL_TYPES_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_MAX_RANK = 6 };

/* REAL stands for the floating-point type chosen when a program is compiled (f32, f64 or bf16). */
/* X(symbol, value, name, bytes) */
#define CUPEL_TYPE_MAP(X) \
    X(REAL, 0, "real", 0) \
    X(F32, 1, "f32", 4) \
    X(F64, 2, "f64", 8) \
    X(BF16, 3, "bf16", 2) \
    X(I32, 4, "i32", 4) \
    X(I64, 5, "i64", 8) \
    X(U8, 6, "u8", 1) \
    X(U64, 7, "u64", 8)

typedef enum cupel_type {
#define CUPEL_TYPE_ENUM(symbol, value, name, bytes) CUPEL_TYPE_##symbol = value,
    CUPEL_TYPE_MAP(CUPEL_TYPE_ENUM)
#undef CUPEL_TYPE_ENUM
} cupel_type;

CUPEL_API const char *cupel_type_name(cupel_type type);
/* Bytes of one element; 0 for REAL, which has no size yet. */
CUPEL_API size_t cupel_type_size(cupel_type type);
/* REAL, F32, F64 or BF16. */
CUPEL_API bool cupel_type_is_real(cupel_type type);

/* How the elements of a 4-D tensor lie in memory. The list is closed. PLAIN is row-major N C H W;
 * NHWC has channels last; NCHW8C and NCHW16C hold channels in blocks ([N][C/16][H][W][16]) and are
 * used only where C is a multiple of the block. PACKED is private to the kernel that consumes
 * it. */
typedef enum cupel_layout {
    CUPEL_LAYOUT_PLAIN = 0,
    CUPEL_LAYOUT_NHWC = 1,
    CUPEL_LAYOUT_NCHW8C = 2,
    CUPEL_LAYOUT_NCHW16C = 3,
    CUPEL_LAYOUT_PACKED = 4
} cupel_layout;

CUPEL_API const char *cupel_layout_name(cupel_layout layout);

/* rank 0 is a scalar with one element. Every extent is at least 1. */
typedef struct cupel_shape {
    int rank;
    int64_t dims[CUPEL_MAX_RANK];
} cupel_shape;

CUPEL_API cupel_shape cupel_shape_make(int rank, const int64_t *dims);
CUPEL_API cupel_shape cupel_shape_scalar(void);

/* CUPEL_SHAPE(100, 1, 32, 32); the scalar is cupel_shape_scalar(). */
#ifdef __cplusplus
extern "C++" {
template <typename... Extents> inline cupel_shape cupel_shape_of(Extents... extents) {
    const int64_t dims[] = {static_cast<int64_t>(extents)...};
    return cupel_shape_make(static_cast<int>(sizeof...(extents)), dims);
}
}
#define CUPEL_SHAPE(...) (cupel_shape_of(__VA_ARGS__))
#else
#define CUPEL_SHAPE(...) \
    (cupel_shape_make((int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
                      (const int64_t[]){__VA_ARGS__}))
#endif

CUPEL_API int64_t cupel_shape_count(cupel_shape shape);
CUPEL_API bool cupel_shape_equal(cupel_shape a, cupel_shape b);
/* Rank within 0..CUPEL_MAX_RANK, extents positive, and the count times 8 bytes fits in 2^62. */
CUPEL_API bool cupel_shape_valid(cupel_shape shape);
/* The shape of a op b under broadcasting (aligned at the last axis, extents equal or 1). */
CUPEL_API bool cupel_shape_broadcast(cupel_shape a, cupel_shape b, cupel_shape *out);

enum { CUPEL_SHAPE_TEXT_SIZE = 128 };
/* "[100, 1, 32, 32]"; returns buffer. */
CUPEL_API char *cupel_shape_format(char buffer[CUPEL_SHAPE_TEXT_SIZE], cupel_shape shape);

typedef struct cupel_desc {
    cupel_type type;
    cupel_layout layout;
    cupel_shape shape;
    size_t packed_bytes; /* for PACKED only */
} cupel_desc;

CUPEL_API cupel_desc cupel_desc_plain(cupel_type type, cupel_shape shape);
CUPEL_API bool cupel_desc_equal(const cupel_desc *a, const cupel_desc *b);
/* Bytes of the tensor; 0 when the type is REAL. */
CUPEL_API size_t cupel_desc_bytes(const cupel_desc *desc);

#ifdef __cplusplus
}
#endif
#endif
