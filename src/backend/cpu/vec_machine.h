/*
 * Loops that do nothing but what the machine is measured by. Test: tests/test_machine.c
 */
#ifndef CUPEL_VEC_MACHINE_H
#define CUPEL_VEC_MACHINE_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

struct vec_machine_table {
    /* Multiply-adds in registers, `rounds` of each; returns their number of operations and leaves
     * their sum in *sum, so that they are not left out. */
    double (*multiply_add)(int64_t rounds, float *sum);
    /* a[i] = b[i] + s c[i] */
    void (*triad)(float *a, const float *b, const float *c, float s, int64_t n);
};

CPU_VEC_DECLARE(struct vec_machine_table, vec_machine)

#endif
