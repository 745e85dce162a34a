/*
 * What may change when a run is resumed: how long it is, how often it is saved, and what no bit
 * depends on. Everything else is the run itself, so that a folder never holds the history of one
 * recipe under the name of another. Test: tests/train.bats
 */
#include "train/resume_check.h"

#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "data/recipe_internal.h"

static bool may_change(const char *key) {
    /* The plan itself is in plan.json, whatever it was made by. */
    static const char *const keys[] = {"name",
                                       "threads",
                                       "workers",
                                       "plan",
                                       "train.epochs",
                                       "train.checkpoint_minutes",
                                       "train.checkpoint_steps"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static cupel_status compare(const cupel_recipe *wanted, const cupel_recipe *done, size_t index,
                            struct cupel_error *error) {
    const char *const key = cupel_recipe_key_at(index)->key;
    struct json_text now = {0}, before = {0};
    cupel_status status = CUPEL_STATUS_OK;
    if (!recipe_append_value(&now, wanted, index) || !recipe_append_value(&before, done, index))
        status = cupel_fail_memory(error, key, 0);
    else if (strcmp(now.bytes, before.bytes) != 0)
        status =
            cupel_fail(error, CUPEL_STATUS_MISMATCH,
                       "%s: %s is %.200s, and the run was trained with %.200s: a run keeps its "
                       "recipe, and only epochs, threads, workers and checkpoints can change; "
                       "put it back, or start a new run",
                       cupel_recipe_origin(wanted, key), key, now.bytes, before.bytes);
    json_text_release(&now);
    json_text_release(&before);
    return status;
}

static cupel_status check_epochs(const cupel_recipe *wanted, const cupel_tensors *state,
                                 struct cupel_error *error) {
    const char *const epoch = cupel_tensors_metadata(state, "cupel.epoch");
    const char *const batch = cupel_tensors_metadata(state, "cupel.batch");
    uint64_t done = 0, begun = 0;
    if (epoch == NULL || batch == NULL || !number_parse_u64(epoch, &done) ||
        !number_parse_u64(batch, &begun))
        return CUPEL_STATUS_OK; /* the trainer says what is wrong with such a state */
    const uint64_t epochs = (uint64_t)recipe_whole(wanted, "train.epochs");
    if (epochs >= done + (begun > 0))
        return CUPEL_STATUS_OK;
    return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                      "%s: train.epochs is %llu, and the run is in epoch %llu: give at least that "
                      "many",
                      cupel_recipe_origin(wanted, "train.epochs"), (unsigned long long)epochs,
                      (unsigned long long)(done + (begun > 0)));
}

cupel_status resume_check(const cupel_recipe *wanted, const cupel_recipe *done,
                          const cupel_tensors *state, struct cupel_error *error) {
    for (size_t i = 0; i < cupel_recipe_key_count(); i++)
        if (!may_change(cupel_recipe_key_at(i)->key))
            CUPEL_TRY(compare(wanted, done, i, error));
    return check_epochs(wanted, state, error);
}
