/*
 * What our own convolutions make of their results before they are written, as their loops see it;
 * conv_finish.h says for which nodes. Test: tests/test_kernels_winograd.c, tests/test_kernels_few.c
 */
#ifndef CUPEL_VEC_CONV_FINISH_H
#define CUPEL_VEC_CONV_FINISH_H

#include <stdbool.h>

/* What becomes of a block's results: act(x + bias), or x where the mask, an image of the same
 * shape, is not 0. */
enum conv_activation { CONV_NONE, CONV_RELU, CONV_LEAKY_RELU, CONV_SELECT };

struct conv_finish {
    enum conv_activation activation;
    const float *bias; /* NULL: none */
    float slope;       /* of leaky ReLU */
    const float *mask; /* of select, first pixel */
    float otherwise;   /* where the mask is 0 */
    bool past_caches;  /* write where nobody will look soon */
};

#endif
