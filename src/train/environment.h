/*
 * env.json: where and with what a run was trained; and the one thing in it that is read back, the
 * folder of the data. Nothing else depends on it. Test: tests/train.bats
 */
#ifndef CUPEL_TRAIN_ENVIRONMENT_H
#define CUPEL_TRAIN_ENVIRONMENT_H

#include "base/json.h"
#include "cupel/context.h"
#include "train/run_folder.h"

cupel_status environment_text(struct json_text *out, cupel_context *context, int threads,
                              const char *data, struct cupel_error *error);
/* NULL in *out (to be freed with cupel_free) where there is no env.json. */
cupel_status environment_read_data(char **out, const char *folder, struct cupel_error *error);

#endif
