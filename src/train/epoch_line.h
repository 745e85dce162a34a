/*
 * An epoch as a line of JSON, for metrics.jsonl and for programs that read along.
 * Test: tests/train.bats
 */
#ifndef CUPEL_TRAIN_EPOCH_LINE_H
#define CUPEL_TRAIN_EPOCH_LINE_H

#include "base/json.h"
#include "cupel/job.h"

/* With a newline. The last two keys, and no others, depend on the clock. false: no memory. */
bool epoch_line(struct json_text *text, const cupel_epoch_result *epoch,
                const cupel_progress *progress);

#endif
