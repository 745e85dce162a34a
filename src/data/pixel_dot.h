/*
 * Inner products of 8-bit pixels, held as 16-bit integers: exact whatever the order, the vector
 * width or the number of threads. Test: tests/test_baselines.c
 */
#ifndef CUPEL_DATA_PIXEL_DOT_H
#define CUPEL_DATA_PIXEL_DOT_H

#include <stdint.h>

enum { PIXEL_DOT_ROWS = 4 };

/* All products of four rows with four others: out[4 * i + j] = sum over k < count of
 * a[i * stride + k] * b[j * stride + k]; values lie in 0..255. */
typedef void (*pixel_dot4x4)(const int16_t *a, const int16_t *b, int64_t stride, int64_t count,
                             int64_t out[16]);
/* The fastest version for this processor. */
pixel_dot4x4 pixel_dot4x4_select(void);

#endif
