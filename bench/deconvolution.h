/*
 * oneDNN's deconvolution primitives as contenders of bench/winograd.c: a transposed convolution is
 * the mirror of a convolution, and its three directions are those of the convolution in another
 * order, so each of these kernels names the convolution's op whose operands it takes.
 */
#ifndef CUPEL_BENCH_DECONVOLUTION_H
#define CUPEL_BENCH_DECONVOLUTION_H

#include "backend/backend.h"

/* Ends with op NULL. */
extern const struct kernel deconvolution_kernels[];

#endif
