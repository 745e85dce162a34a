/*
 * What a process of training leaves behind: every variable of a parameter set, moments and tables
 * too, compared bit for bit, written to a file and read by another process after the first was
 * killed.
 *
 * Failures go through check.h and end the test.
 */
#ifndef CUPEL_TESTS_STATE_H
#define CUPEL_TESTS_STATE_H

#include "support/check.h"

#include <cupel/parameters.h>
#include <cupel/tensor.h>

/* Destroy what is returned. */
cupel_tensors *state_export(cupel_parameters *parameters);
void state_import(cupel_parameters *parameters, const cupel_tensors *tensors);
void state_check_same_bits(const cupel_tensors *a, const cupel_tensors *b);

/* A file that is enough to go on from: the variables, and how many steps they have behind them. */
void state_write(cupel_parameters *parameters, const char *path, int steps);
/* Returns the number of steps. */
int state_read(cupel_parameters *parameters, const char *path);

/* Runs `body` in a process of its own, which must end by SIGKILL; nothing of it is left but its
 * files. To be used first: a process that has compute threads does not fork well. */
void state_killed(void (*body)(void *user), void *user);

#endif
