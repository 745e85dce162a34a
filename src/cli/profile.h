/*
 * Where the time of a training step goes: the times of its nodes beside the least they could take,
 * as a table, as JSON, and as a trace for chrome://tracing. Test: tests/command_line.bats
 */
#ifndef CUPEL_CLI_PROFILE_H
#define CUPEL_CLI_PROFILE_H

#include <stdio.h>

#include <cupel/machine.h>
#include <cupel/trainer.h>

struct profile {
    const cupel_program *program; /* borrowed */
    cupel_machine machine;
    size_t nodes, memory; /* steps of the program; bytes that it walks through */
    size_t capacity, runs;
    cupel_step_time *times; /* runs x nodes */
    double *began;          /* of each run, in seconds since the first */
};

/* For at most `runs` runs of the trainer's step. An exit code; release it in any case. */
int profile_init(struct profile *profile, const cupel_trainer *trainer, size_t runs);
void profile_release(struct profile *profile);
/* Where the next run's times go; it has been run with profile_add(). */
cupel_step_time *profile_next(struct profile *profile);
void profile_add(struct profile *profile, double began);

/* The machine is measured by the first of these two. */
int profile_print(struct profile *profile, int threads, bool json);
int profile_trace(const struct profile *profile, const char *path);

#endif
