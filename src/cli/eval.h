/*
 * What cupel eval has computed, and its reports: kind by kind, or over draws.
 * Test: tests/eval.bats
 */
#ifndef CUPEL_CLI_EVAL_H
#define CUPEL_CLI_EVAL_H

#include <cupel/score.h>

#include "judge.h"

struct evaluation {
    cupel_scorer *scorer, *sampler; /* sampler: with more noise samples; NULL: not asked for */
    cupel_protocol *protocol;
    const char *split_name;
    cupel_protocol_split split;
    cupel_dataset *padded;
    int64_t count, draws; /* images; draws of a representative set (0: the split itself) */
    double prevalence;
    int threads;
    struct scored *scored; /* the network first, then the baselines */
    size_t n_scored;
};

/* Print tables or one JSON object on stdout. Both return an exit code. */
int report_kinds(const struct evaluation *evaluation, bool json);
int report_draws(const struct evaluation *evaluation, bool json);

#endif
