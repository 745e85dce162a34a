/*
 * exp, log, sine and cosine as our own polynomials, so that results do not depend on the C library
 * nor on the width of the vectors: each formula is written once for a scalar and compilers
 * vectorise it. Float versions within 2 ulp of the true value over their range; NaN in gives NaN
 * out, infinities as in IEEE 754. Written with explicit fmaf so that every instruction set gives
 * the same bits where it has FMA. Test: tests/test_real_math.c
 */
#ifndef CUPEL_BASE_REAL_MATH_H
#define CUPEL_BASE_REAL_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/real_math_inline.h"

#endif
