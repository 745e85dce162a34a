/*
 * Going on with a run: its state, or where a kill came before the first one its config.yaml; what
 * may have changed meanwhile; what lies beyond the state. Test: tests/test_trainer.c,
 * tests/train.bats, tests/kill.bats
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "data/recipe_internal.h"
#include "train/environment.h"
#include "train/job_internal.h"
#include "train/network.h"
#include "train/resume_check.h"
#include "train/weights.h"

static cupel_status set_whole(cupel_job *job, const char *key, int64_t value, const char *origin) {
    char text[32];
    if (value == 0)
        return CUPEL_STATUS_OK;
    snprintf(text, sizeof text, "%lld", (long long)value);
    return job_passed(job, cupel_recipe_set_value(job->recipe, key, text, origin),
                      cupel_recipe_error(job->recipe));
}

/* What is wrong with a state, and what can be done. */
static cupel_status refuse_state(cupel_job *job, cupel_status status, const char *sentence) {
    char why[sizeof job->error.text];
    if (status != CUPEL_STATUS_BAD_DATA && status != CUPEL_STATUS_NAME &&
        status != CUPEL_STATUS_SHAPE)
        return job_passed(job, status, sentence);
    snprintf(why, sizeof why, "%s", sentence);
    return cupel_fail(&job->error, status,
                      "%s/%s cannot be gone on with: %s; put a good copy back, or "
                      "start again with --force",
                      job->path, RUN_STATE, why);
}

/* The epochs that lie in a weights file; 0 where there is none. */
static cupel_status epochs_in_weights(cupel_job *job, const char *name, uint64_t *epochs) {
    char *path;
    cupel_tensors *weights = NULL;
    *epochs = 0;
    CUPEL_TRY(job_file_path(job, name, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = job_passed(job, cupel_tensors_read(&weights, path),
                            weights == NULL ? NULL : cupel_tensors_error(weights));
    if (status == CUPEL_STATUS_OK && weights != NULL) {
        const char *const text = cupel_tensors_metadata(weights, "cupel.epoch");
        if (text == NULL || !number_parse_u64(text, epochs))
            *epochs = UINT64_MAX; /* no file of a first epoch */
    }
    cupel_tensors_destroy(weights);
    cupel_free(path);
    return status;
}

static cupel_status epochs_in_metrics(cupel_job *job, uint64_t *epochs) {
    char *path;
    uint8_t *text = NULL;
    size_t size = 0;
    *epochs = 0;
    CUPEL_TRY(job_file_path(job, RUN_METRICS, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = file_read(path, 0, &text, &size, &job->error);
    for (size_t i = 0; i < size; i++)
        *epochs += text[i] == '\n';
    cupel_free(text);
    cupel_free(path);
    return status;
}

/* Without a state a run starts again. A kill in the first epoch leaves at most that epoch's line
 * and weights, which come again with the same bytes; whoever has more has lost the state. */
static cupel_status check_beginning(cupel_job *job) {
    uint64_t lines, last, best;
    CUPEL_TRY(epochs_in_metrics(job, &lines));
    CUPEL_TRY(epochs_in_weights(job, RUN_LAST, &last));
    CUPEL_TRY(epochs_in_weights(job, RUN_BEST, &best));
    if (lines <= 1 && last <= 1 && best <= 1)
        return CUPEL_STATUS_OK;
    return cupel_fail(&job->error, CUPEL_STATUS_IO,
                      "%s has the %s of more than one epoch and no %s, so it cannot be gone on "
                      "with: put the state back from a copy, score with the weights as they are, "
                      "or start again with --out %s --force, which removes them",
                      job->path, lines > 1 ? "metrics" : "weights", RUN_STATE, job->path);
}

/* A run that was killed before its first state has none: *out is NULL. */
static cupel_status read_state(cupel_job *job, cupel_tensors **out) {
    char *path;
    *out = NULL;
    CUPEL_TRY(job_file_path(job, RUN_STATE, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = cupel_tensors_read(out, path);
    cupel_free(path);
    CUPEL_TRY(refuse_state(job, status, *out == NULL ? "" : cupel_tensors_error(*out)));
    const char *const written = *out == NULL ? NULL : cupel_tensors_metadata(*out, "cupel.values");
    char values[17];
    if (written == NULL)
        return CUPEL_STATUS_OK;
    job_values_hash(*out, values);
    return strcmp(values, written) == 0
               ? CUPEL_STATUS_OK
               : refuse_state(job, CUPEL_STATUS_BAD_DATA,
                              "its values are not those that were written: it is damaged");
}

/* The recipe that the state carries; it has the threads where bits depend on them. */
static cupel_status recipe_of_state(cupel_job *job, const cupel_tensors *state,
                                    cupel_recipe **out) {
    char *path;
    CUPEL_TRY(job_file_path(job, RUN_STATE, &path));
    cupel_status status = weights_read_recipe(out, state, path, &job->error);
    const char *const threads = cupel_tensors_metadata(state, "cupel.threads");
    if (status == CUPEL_STATUS_OK && threads != NULL)
        status = job_passed(job, cupel_recipe_set_value(*out, "threads", threads, path),
                            cupel_recipe_error(*out));
    cupel_free(path);
    return status;
}

/* config.yaml, or without it the recipe of the state (may be NULL). */
static cupel_status read_config(cupel_job *job, const cupel_job_options *options,
                                const cupel_tensors *state) {
    char *path;
    cupel_recipe *done = NULL;
    CUPEL_TRY(job_file_path(job, RUN_CONFIG, &path));
    cupel_status status = CUPEL_STATUS_OK;
    const bool own = file_exists(path);
    if (own) {
        status = cupel_recipe_read(&job->recipe, path);
        status =
            job_passed(job, status, job->recipe == NULL ? NULL : cupel_recipe_error(job->recipe));
    } else if (state == NULL) {
        status = cupel_fail(&job->error, CUPEL_STATUS_IO,
                            "%s has neither %s nor %s, so there is nothing to resume: start again "
                            "with --force",
                            job->path, RUN_CONFIG, RUN_STATE);
    } else {
        status = recipe_of_state(job, state, &job->recipe);
    }
    cupel_free(path);
    CUPEL_TRY(status);
    CUPEL_TRY(set_whole(job, "threads", options->threads, "--threads"));
    CUPEL_TRY(set_whole(job, "workers", options->workers, "--workers"));
    CUPEL_TRY(set_whole(job, "train.epochs", options->epochs, "--epochs"));
    if (state == NULL)
        return CUPEL_STATUS_OK;
    status = recipe_of_state(job, state, &done);
    if (status == CUPEL_STATUS_OK)
        status = resume_check(job->recipe, done, state, &job->error);
    cupel_recipe_destroy(done);
    return status;
}

/* The kernels of the state differ where the plan was made anew: say so, and go on. */
static cupel_status accept_replan(cupel_job *job, cupel_tensors *state) {
    char hash[32], sentence[160];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)cupel_plan_hash(job->plan));
    const char *const there = cupel_tensors_metadata(state, "cupel.plan");
    if (there == NULL || strcmp(there, hash) == 0)
        return CUPEL_STATUS_OK;
    const char *const step = cupel_tensors_metadata(state, "cupel.step");
    snprintf(sentence, sizeof sentence,
             "planned anew after step %.24s: from here the bits differ from an uninterrupted run",
             step == NULL ? "?" : step);
    job_note(job, sentence);
    job->replanned = true;
    return job_passed(job, cupel_tensors_set_metadata(state, "cupel.plan", hash),
                      cupel_tensors_error(state));
}

/* What a kill left beyond the state is cut; what is missing stays missing. */
static cupel_status adopt_metrics(cupel_job *job, uint64_t bytes) {
    uint64_t there;
    CUPEL_TRY(run_folder_size(&job->folder, RUN_METRICS, &there, &job->error));
    if (there < bytes)
        job_say(job, "warning",
                there == 0
                    ? "metrics.jsonl is missing: it begins anew with the next epoch"
                    : "metrics.jsonl is shorter than the state says: epochs are missing in it");
    job->metrics_bytes = there < bytes ? there : bytes;
    return job->dry_run ? CUPEL_STATUS_OK
                        : run_folder_cut(&job->folder, RUN_METRICS, bytes, &job->error);
}

static cupel_status adopt_state(cupel_job *job, cupel_tensors *state, bool replan) {
    uint64_t bytes = 0;
    if (state == NULL)
        return adopt_metrics(job, 0);
    const char *const text = cupel_tensors_metadata(state, "cupel.metrics_bytes");
    if (text == NULL || !number_parse_u64(text, &bytes))
        return refuse_state(job, CUPEL_STATUS_BAD_DATA,
                            "its metadata has no length of metrics.jsonl, so cupel train did not "
                            "write it");
    if (replan)
        CUPEL_TRY(accept_replan(job, state));
    const cupel_status status = cupel_trainer_import(job->trainer, state);
    CUPEL_TRY(refuse_state(job, status, cupel_trainer_error(job->trainer)));
    return adopt_metrics(job, bytes);
}

/* A run keeps its images. One that was begun before its split was written gets it now. */
static cupel_status check_split(cupel_job *job) {
    char *path;
    CUPEL_TRY(job_file_path(job, RUN_SPLIT, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = job_passed(job, cupel_protocol_match(job->protocol, path),
                            cupel_protocol_error(job->protocol));
    cupel_free(path);
    if (status != CUPEL_STATUS_MISMATCH)
        return status;
    return cupel_fail(
        &job->error, status,
        "%s: give the data that the run was trained on with --data, or start a new run",
        job->error.text);
}

/* Before the trainer takes memory for the network that the recipe asks for. */
static cupel_status check_tensors(cupel_job *job, const cupel_tensors *state) {
    struct network network;
    if (state == NULL)
        return CUPEL_STATUS_OK;
    CUPEL_TRY(network_from_recipe(&network, job->recipe, &job->error));
    return refuse_state(job,
                        network_check_tensors(&network, job->context, state, true, &job->error),
                        job->error.text);
}

static cupel_status load(cupel_job *job, const cupel_job_options *options, cupel_tensors *state) {
    CUPEL_TRY(read_config(job, options, state));
    CUPEL_TRY(check_tensors(job, state));
    char *data = NULL;
    if (options->data == NULL)
        CUPEL_TRY(environment_read_data(&data, job->path, &job->error));
    const cupel_status status =
        job_make_trainer(job, options, options->data != NULL ? options->data : data, true);
    if (status == CUPEL_STATUS_IO && data != NULL && !file_exists(data))
        (void)cupel_fail(&job->error, status,
                         "%s, where the run's data was, is not there: give its present folder with "
                         "--data",
                         data);
    else if (status == CUPEL_STATUS_IO && data == NULL && options->data == NULL)
        (void)cupel_fail(&job->error, status,
                         "%s has no %s, which says where the data was: give its folder with --data",
                         job->path, RUN_ENVIRONMENT);
    cupel_free(data);
    CUPEL_TRY(status);
    CUPEL_TRY(check_split(job));
    return adopt_state(job, state, options->replan);
}

/* A new plan is accepted with the state that says so, which comes last. */
static cupel_status write_resumed(cupel_job *job) {
    CUPEL_TRY(job_write_config(job));
    CUPEL_TRY(job_write_environment(job));
    CUPEL_TRY(job_write_split(job));
    CUPEL_TRY(job_write_plan(job));
    if (job->replanned)
        CUPEL_TRY(job_save_state(job));
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    char sentence[128];
    if (info.epoch >= info.epochs)
        snprintf(sentence, sizeof sentence, "resumed; all %lld epochs were done",
                 (long long)info.epochs);
    else
        snprintf(sentence, sizeof sentence, "resumed at step %llu (epoch %lld, batch %lld)",
                 (unsigned long long)info.step, (long long)info.epoch + 1,
                 (long long)info.batch + 1);
    job_note(job, sentence);
    return CUPEL_STATUS_OK;
}

static cupel_status go_on(cupel_job *job, const char *folder, const cupel_job_options *options) {
    CUPEL_TRY(run_folder_choose(&job->path, folder, "", &job->error));
    if (run_folder_is_stub(folder))
        return cupel_fail(&job->error, CUPEL_STATUS_IO,
                          "%s holds a run that was killed as it began, before its settings were "
                          "written: start it again as it was started",
                          folder);
    if (!run_folder_is_run(folder))
        return cupel_fail(&job->error, CUPEL_STATUS_IO,
                          "%s holds no run: give the folder that cupel train printed", folder);
    CUPEL_TRY(run_folder_open(&job->folder, folder,
                              job->dry_run ? RUN_FOLDER_LOOK : RUN_FOLDER_GO_ON, &job->error));
    cupel_tensors *state;
    cupel_status status = read_state(job, &state);
    if (status == CUPEL_STATUS_OK && state == NULL)
        status = check_beginning(job);
    if (status == CUPEL_STATUS_OK)
        status = load(job, options, state);
    if (status == CUPEL_STATUS_OK && state == NULL)
        job_say(job, "warning", "no state was saved: starting again at step 0");
    cupel_tensors_destroy(state);
    CUPEL_TRY(status);
    return job->dry_run ? CUPEL_STATUS_OK : write_resumed(job);
}

cupel_status cupel_job_resume(cupel_job **out, cupel_context *context, const char *folder,
                              const cupel_job_options *options) {
    static const cupel_job_options none = {0};
    options = options == NULL ? &none : options;
    CUPEL_TRY(job_begin(out, context, options));
    const cupel_status status = go_on(*out, folder, options);
    return status == CUPEL_STATUS_OK ? status : job_give_up(out, context, status);
}
