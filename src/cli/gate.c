/*
 * One rule, 'anomalies>N'. What could not be judged is not called normal: it counts.
 * Test: tests/score.bats
 */
#include "gate.h"

#include <string.h>

#include <cupel/number.h>

#include "console.h"

bool gate_parse(struct gate *gate, const char *rule) {
    static const char start[] = "anomalies>";
    *gate = (struct gate){.closed = rule != NULL};
    if (rule == NULL ||
        (strncmp(rule, start, sizeof start - 1) == 0 &&
         cupel_number_parse_whole(rule + sizeof start - 1, &gate->most) && gate->most >= 0))
        return true;
    complain("--fail-if %s: give 'anomalies>N' with a whole number N, in quotes", rule);
    return false;
}

int gate_judge(const struct gate *gate) {
    if (!gate->closed || gate->anomalies <= gate->most)
        return EXIT_FINE;
    complain("gate: %lld of %lld images are anomalous, more than %lld", (long long)gate->anomalies,
             (long long)gate->images, (long long)gate->most);
    return EXIT_GATE;
}
