/*
 * Gates: a rule such as 'anomalies>3' that turns what was found into an exit code, for scripts.
 * Test: tests/score.bats
 */
#ifndef CUPEL_CLI_GATE_H
#define CUPEL_CLI_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct gate {
    bool closed; /* there is a rule */
    int64_t most;
    int64_t images, anomalies; /* seen so far; an image without a score counts as an anomaly */
};

/* rule may be NULL: always open. false: complained. */
bool gate_parse(struct gate *gate, const char *rule);
/* An exit code: EXIT_GATE, with a sentence, when the rule applies. */
int gate_judge(const struct gate *gate);

#endif
