/*
 * The loops of 3x3 convolutions with few channels on one side, as conv_few.c has them: channels of
 * the other side lie in blocks, the few channels apart. What is done to results before they are
 * written is what Winograd's kernels do. Test: tests/test_kernels_few.c
 */
#ifndef CUPEL_VEC_FEW_H
#define CUPEL_VEC_FEW_H

#include <stdint.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/vec_conv_finish.h"

enum { FEW_TAPS = 9 };

/* A row of one of the few channels: out[x] = start + the sum over blocks, taps (ky, kx) and
 * channels of image(block, y + ky, left + x + kx) weights[block][ky][kx], where pixels outside the
 * image count 0. */
struct few_narrow {
    const float *image; /* [block][height][width] of channels */
    int64_t blocks, height, width;
    const float *weights;
    int64_t y, left;
    float start;
    float *out;
    int64_t n;
};

/* A row of one block: out[x] = the finished sum over the few channels and taps of
 * planes(channel, ky, x + kx) weights[channel][ky][kx]. */
struct few_wide {
    const float *planes; /* the first row; rows are `width` apart, channels `plane` */
    int64_t channels, plane, width;
    const float *weights;
    int64_t next;                     /* from the filters of one channel to the next one's */
    const struct conv_finish *finish; /* its mask begins at the row's */
    float *out;
    float *sum; /* += the sum of out; NULL: not wanted */
    int64_t n;
};

struct vec_few_table {
    int block; /* channels of a block */
    void (*narrow)(const struct few_narrow *row);
    void (*wide)(const struct few_wide *row);
    /* wide() writes past the caches; this makes its pixels visible to other threads. */
    void (*drain)(void);
    /* sums[tap] += over the pixels of `image`, in order, the pixel's block times
     * plane(y + ky, x + kx); sum (may be NULL) += the blocks. */
    void (*gradient)(int64_t height, int64_t width, const float *image, const float *plane,
                     int64_t plane_width, float *sums, float *sum);
};

CPU_VEC_DECLARE(struct vec_few_table, vec_few)

#endif
