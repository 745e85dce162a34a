/*
 * The loops of 3x3 convolutions with few channels on one side, as conv_few.c has them: a block of
 * channels is a vector, the few channels lie apart. Test: tests/test_kernels_few.c
 */
#ifndef CUPEL_VEC_FEW_H
#define CUPEL_VEC_FEW_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

enum { FEW_TAPS = 9 };

/* A row of one of the few channels: out[x] = start + the sum over blocks, taps (ky, kx) and
 * channels of image(block, y + ky, left + x + kx) weights[block][ky][kx], where pixels outside the
 * image count 0. */
struct few_narrow {
    const float *image; /* [block][height][width], vectors */
    int64_t blocks, height, width;
    const float *weights;
    int64_t y, left;
    float start;
    float *out;
    int64_t n;
};

/* A row of one block: out[x] (vectors) = start + the sum over the few channels and taps of
 * planes(channel, ky, x + kx) weights[channel][ky][kx]. */
struct few_wide {
    const float *planes; /* the first row; rows are `width` apart, channels `plane` */
    int64_t channels, plane, width;
    const float *weights;
    int64_t next;       /* from the filters of one channel to the next one's */
    const float *start; /* NULL: 0 */
    float *out;
    int64_t n;
};

struct vec_few_table {
    int block; /* floats of a vector: the channels of a block */
    void (*narrow)(const struct few_narrow *row);
    void (*wide)(const struct few_wide *row);
    /* wide() writes past the caches; this makes its pixels visible to other threads. */
    void (*drain)(void);
    /* sums[tap] (vectors) += over the pixels of `image` (vectors), in order, the pixel times
     * plane(y + ky, x + kx); sum (may be NULL) += the pixels. */
    void (*gradient)(int64_t height, int64_t width, const float *image, const float *plane,
                     int64_t plane_width, float *sums, float *sum);
};

CPU_VEC_DECLARE(struct vec_few_table, vec_few)

#endif
