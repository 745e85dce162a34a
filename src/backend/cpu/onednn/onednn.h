/*
 * oneDNN's kernels as the cpu backend sees them: convolution and matrix product. Nothing of the
 * library's own headers shows here. Test: tests/test_kernels_conv.c, tests/test_kernels_matmul.c
 */
#ifndef CUPEL_ONEDNN_H
#define CUPEL_ONEDNN_H

#include "backend/backend.h"

/* Tables, ended by a NULL op; all of one op stand in order of preference. */
extern const struct kernel onednn_conv_kernels[];
extern const struct kernel onednn_matmul_kernels[];

/* "2.6.3" */
const char *onednn_version(void);

#endif
