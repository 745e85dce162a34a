/*
 * For the vector sources: the halves of an exchange between two rows of a tile. LOWd(a, b) and
 * HIGHd(a, b) are rows i and i + d after the d-th bit of the row number and of the column number
 * were exchanged, where a and b are these rows before. Tests: tests/test_kernels_reorder.c,
 * tests/test_kernels_few.c
 */
#ifndef CUPEL_VEC_SHUFFLE_H
#define CUPEL_VEC_SHUFFLE_H

#include <stdint.h>

typedef float vector4 __attribute__((vector_size(16)));
typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));
typedef int32_t index4 __attribute__((vector_size(16)));
typedef int32_t index8 __attribute__((vector_size(32)));
typedef int32_t index16 __attribute__((vector_size(64)));

#if defined(__clang__)
#define SHUFFLE4(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE8(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE16(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE4(a, b, ...) __builtin_shuffle(a, b, (index4){__VA_ARGS__})
#define SHUFFLE8(a, b, ...) __builtin_shuffle(a, b, (index8){__VA_ARGS__})
#define SHUFFLE16(a, b, ...) __builtin_shuffle(a, b, (index16){__VA_ARGS__})
#endif

#define LOW1(a, b) SHUFFLE16(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH1(a, b) SHUFFLE16(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define LOW2(a, b) SHUFFLE16(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(a, b) SHUFFLE16(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW4(a, b) SHUFFLE16(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH4(a, b) SHUFFLE16(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW8(a, b) SHUFFLE16(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH8(a, b) SHUFFLE16(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)

#define HALF_LOW1(a, b) SHUFFLE8(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HALF_HIGH1(a, b) SHUFFLE8(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define HALF_LOW2(a, b) SHUFFLE8(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HALF_HIGH2(a, b) SHUFFLE8(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALF_LOW4(a, b) SHUFFLE8(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALF_HIGH4(a, b) SHUFFLE8(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

#define QUARTER_LOW1(a, b) SHUFFLE4(a, b, 0, 4, 2, 6)
#define QUARTER_HIGH1(a, b) SHUFFLE4(a, b, 1, 5, 3, 7)
#define QUARTER_LOW2(a, b) SHUFFLE4(a, b, 0, 1, 4, 5)
#define QUARTER_HIGH2(a, b) SHUFFLE4(a, b, 2, 3, 6, 7)

#endif
