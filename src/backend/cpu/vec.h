/*
 * For the vector sources: a loop whose iterations do not depend on each other, which arrays may be
 * the same and never overlap otherwise. Test: tests/test_kernels_chain.c
 */
#ifndef CUPEL_VEC_H
#define CUPEL_VEC_H

#include "backend/cpu/cpu.h"

#if defined(__clang__)
#define VEC_LOOP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define VEC_LOOP _Pragma("GCC ivdep")
#else
#define VEC_LOOP
#endif

#endif
