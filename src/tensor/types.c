/*
 * Element types, shapes and descriptors: plain values with the few rules every other file relies
 * on. A shape that breaks a rule stays representable (so that it can be printed) but is never
 * valid. Test: tests/test_types.c
 */
#include "cupel/types.h"

#include <stdio.h>
#include <string.h>

const char *cupel_type_name(cupel_type type) {
    switch (type) {
#define TYPE_NAME(symbol, value, name, bytes) \
    case CUPEL_TYPE_##symbol: return name;
        CUPEL_TYPE_MAP(TYPE_NAME)
#undef TYPE_NAME
    }
    return "unknown";
}

size_t cupel_type_size(cupel_type type) {
    switch (type) {
#define TYPE_SIZE(symbol, value, name, bytes) \
    case CUPEL_TYPE_##symbol: return bytes;
        CUPEL_TYPE_MAP(TYPE_SIZE)
#undef TYPE_SIZE
    }
    return 0;
}

bool cupel_type_is_real(cupel_type type) {
    return type == CUPEL_TYPE_REAL || type == CUPEL_TYPE_F32 || type == CUPEL_TYPE_F64 ||
           type == CUPEL_TYPE_BF16;
}

const char *cupel_layout_name(cupel_layout layout) {
    switch (layout) {
    case CUPEL_LAYOUT_PLAIN: return "plain";
    case CUPEL_LAYOUT_NHWC: return "nhwc";
    case CUPEL_LAYOUT_NCHW8C: return "nChw8c";
    case CUPEL_LAYOUT_NCHW16C: return "nChw16c";
    case CUPEL_LAYOUT_PACKED: return "packed";
    }
    return "unknown";
}

cupel_shape cupel_shape_make(int rank, const int64_t *dims) {
    cupel_shape shape = {.rank = rank};
    for (int axis = 0; axis < rank && axis < CUPEL_MAX_RANK; axis++)
        shape.dims[axis] = dims[axis];
    return shape;
}

cupel_shape cupel_shape_scalar(void) {
    return (cupel_shape){.rank = 0};
}

/* The product of the extents, or 0 when a rule is broken. */
static int64_t checked_count(cupel_shape shape) {
    const int64_t limit = INT64_C(1) << 59; /* times 8 bytes is 2^62 */
    if (shape.rank < 0 || shape.rank > CUPEL_MAX_RANK)
        return 0;
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++) {
        const int64_t extent = shape.dims[axis];
        if (extent < 1 || extent > limit / count)
            return 0;
        count *= extent;
    }
    return count;
}

int64_t cupel_shape_count(cupel_shape shape) {
    return checked_count(shape);
}

bool cupel_shape_valid(cupel_shape shape) {
    return checked_count(shape) > 0;
}

bool cupel_shape_equal(cupel_shape a, cupel_shape b) {
    if (a.rank != b.rank)
        return false;
    for (int axis = 0; axis < a.rank && axis < CUPEL_MAX_RANK; axis++)
        if (a.dims[axis] != b.dims[axis])
            return false;
    return true;
}

bool cupel_shape_broadcast(cupel_shape a, cupel_shape b, cupel_shape *out) {
    if (!cupel_shape_valid(a) || !cupel_shape_valid(b))
        return false;
    cupel_shape result = {.rank = a.rank > b.rank ? a.rank : b.rank};
    for (int back = 1; back <= result.rank; back++) {
        const int64_t x = back <= a.rank ? a.dims[a.rank - back] : 1;
        const int64_t y = back <= b.rank ? b.dims[b.rank - back] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        result.dims[result.rank - back] = x > y ? x : y;
    }
    if (!cupel_shape_valid(result))
        return false;
    *out = result;
    return true;
}

char *cupel_shape_format(char buffer[CUPEL_SHAPE_TEXT_SIZE], cupel_shape shape) {
    if (shape.rank < 0 || shape.rank > CUPEL_MAX_RANK) {
        snprintf(buffer, CUPEL_SHAPE_TEXT_SIZE, "[rank %d]", shape.rank);
        return buffer;
    }
    size_t used = 0;
    buffer[used++] = '[';
    for (int axis = 0; axis < shape.rank; axis++) {
        const size_t left = CUPEL_SHAPE_TEXT_SIZE - used - 1; /* one for the bracket */
        const int wrote =
            snprintf(buffer + used, left, "%s%lld", axis ? ", " : "", (long long)shape.dims[axis]);
        if (wrote < 0 || (size_t)wrote >= left) { /* absurd extents: cut, still well formed */
            used = CUPEL_SHAPE_TEXT_SIZE - 2;
            break;
        }
        used += (size_t)wrote;
    }
    buffer[used++] = ']';
    buffer[used] = '\0';
    return buffer;
}

cupel_desc cupel_desc_plain(cupel_type type, cupel_shape shape) {
    return (cupel_desc){.type = type, .layout = CUPEL_LAYOUT_PLAIN, .shape = shape};
}

bool cupel_desc_equal(const cupel_desc *a, const cupel_desc *b) {
    return a->type == b->type && a->layout == b->layout && cupel_shape_equal(a->shape, b->shape) &&
           (a->layout != CUPEL_LAYOUT_PACKED || a->packed_bytes == b->packed_bytes);
}

size_t cupel_desc_bytes(const cupel_desc *desc) {
    if (desc->layout == CUPEL_LAYOUT_PACKED)
        return desc->packed_bytes;
    return (size_t)checked_count(desc->shape) * cupel_type_size(desc->type);
}
