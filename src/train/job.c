/*
 * A training run and its folder. The order of writes makes every moment a good one to be killed at:
 * before the first step env.json, split.json, plan.json and, last, config.yaml, so that it never
 * lacks its data and kernels; at the end of an epoch the line of metrics, best, last, and then the
 * state, which says how long metrics.jsonl was. What a kill leaves beyond the last state is cut or
 * written again with the same bytes. Test: tests/test_trainer.c, tests/train.bats, tests/kill.bats
 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/recipe_internal.h"
#include "graph/context_internal.h"
#include "train/environment.h"
#include "train/epoch_line.h"
#include "train/job_internal.h"
#include "train/network.h"
#include "train/protocol_internal.h"

static cupel_status own_recipe(cupel_job *job, cupel_recipe *recipe) {
    CUPEL_TRY(job_passed(job, cupel_recipe_check(recipe), cupel_recipe_error(recipe)));
    return job_passed(job, recipe_copy(&job->recipe, recipe), NULL);
}

/* Follows a plan that was written earlier. */
static cupel_status read_plan(cupel_job *job, const char *path, bool replan, bool resume) {
    uint8_t *text;
    size_t size;
    CUPEL_TRY(file_read(path, 0, &text, &size, &job->error));
    const cupel_status status = cupel_plan_parse(job->plan, (const char *)text, size, replan);
    cupel_free(text);
    if (status == CUPEL_STATUS_OK)
        return status;
    return cupel_fail(&job->error, status, "%s: %s%s", path, cupel_plan_error(job->plan),
                      status == CUPEL_STATUS_MISMATCH
                          ? resume ? " (with --replan)" : " (without --plan-file)"
                      : status == CUPEL_STATUS_BAD_DATA ? "; without it kernels are chosen anew"
                                                        : "");
}

static cupel_status make_plan(cupel_job *job, const cupel_job_options *options, bool resume) {
    struct network network;
    CUPEL_TRY(network_from_recipe(&network, job->recipe, &job->error));
    CUPEL_TRY(job_passed(job, cupel_plan_create(&job->plan, job->context, network.threads),
                         cupel_context_error(job->context)));
    char *own = NULL;
    if (resume) {
        CUPEL_TRY(job_file_path(job, RUN_PLAN, &own));
        if (!file_exists(own)) {
            cupel_free(own);
            own = NULL;
        }
    }
    const char *const path = own != NULL ? own : options->plan_file;
    const cupel_status status =
        path == NULL ? CUPEL_STATUS_OK : read_plan(job, path, options->replan, own != NULL);
    cupel_free(own);
    return status;
}

cupel_status job_make_trainer(cupel_job *job, const cupel_job_options *options, const char *data,
                              bool resume) {
    double minutes = 0;
    if (data != NULL)
        CUPEL_TRY(file_check_folder(data, &job->error));
    CUPEL_TRY(job_passed(job,
                         cupel_recipe_get_float(job->recipe, "train.checkpoint_minutes", &minutes),
                         cupel_recipe_error(job->recipe)));
    CUPEL_TRY(job_passed(
        job, cupel_recipe_get_int(job->recipe, "train.checkpoint_steps", &job->checkpoint_steps),
        cupel_recipe_error(job->recipe)));
    job->checkpoint_seconds = 60.0 * minutes;
    const cupel_status status =
        protocol_create(&job->protocol, job->recipe, data, options->beside, !resume);
    CUPEL_TRY(job_passed(job, status,
                         job->protocol == NULL ? NULL : cupel_protocol_error(job->protocol)));
    CUPEL_TRY(job_passed(job, cupel_protocol_fingerprint(job->protocol, job->split),
                         cupel_protocol_error(job->protocol)));
    CUPEL_TRY(make_plan(job, options, resume));
    return job_passed(job,
                      cupel_trainer_create(&job->trainer, job->context, job->recipe,
                                           cupel_protocol_train(job->protocol),
                                           cupel_protocol_held_out(job->protocol), job->plan),
                      cupel_context_error(job->context));
}

static cupel_status choose(cupel_job *job, const cupel_job_options *options) {
    const char *name = "run";
    CUPEL_TRY(job_passed(job, cupel_recipe_get_string(job->recipe, "name", &name),
                         cupel_recipe_error(job->recipe)));
    cupel_free(job->path);
    return run_folder_choose(&job->path, options->folder, name, &job->error);
}

static cupel_status refuse_other(cupel_job *job, bool force) {
    if (!force && run_folder_is_run(job->path))
        return cupel_fail(&job->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "%s holds a run already: go on with it by --resume %s, replace it by "
                          "--force, or choose another folder by --out",
                          job->path, job->path);
    return CUPEL_STATUS_OK;
}

/* Who reads the data again would find the run's files among them. `given`: by --data, or NULL. */
static cupel_status refuse_inside_data(cupel_job *job, const char *given) {
    const char *data = protocol_folder_around(job->protocol, job->path);
    if (data == NULL && given != NULL && file_lies_in(job->path, given))
        data = given;
    if (data == NULL)
        return CUPEL_STATUS_OK;
    return cupel_fail(&job->error, CUPEL_STATUS_INVALID_ARGUMENT,
                      "%s lies inside the data folder %s: choose another folder for the run "
                      "with --out",
                      job->path, data);
}

/* Takes the folder. Under the lock it is looked at again: since it was chosen, another process may
 * have begun a run there, or finished one. A name that nobody asked for gives way to the next. */
static cupel_status claim(cupel_job *job, const cupel_job_options *options) {
    const bool named = options->folder != NULL;
    for (;;) {
        cupel_status status =
            run_folder_open(&job->folder, job->path, RUN_FOLDER_MAKE, &job->error);
        if (status == CUPEL_STATUS_OK)
            status = refuse_other(job, named && options->force);
        if (status == CUPEL_STATUS_OK)
            return run_folder_clear(&job->folder, &job->error);
        if (named || (status != CUPEL_STATUS_BUSY && status != CUPEL_STATUS_INVALID_ARGUMENT))
            return status;
        run_folder_close(&job->folder);
        cupel_error_clear(&job->error);
        CUPEL_TRY(choose(job, options));
    }
}

/* What a run has before its first step. */
static cupel_status write_first(cupel_job *job) {
    CUPEL_TRY(job_write_environment(job));
    CUPEL_TRY(job_write_split(job));
    CUPEL_TRY(job_write_plan(job));
    return job_write_config(job);
}

static cupel_status start(cupel_job *job, cupel_recipe *recipe, const cupel_job_options *options) {
    CUPEL_TRY(own_recipe(job, recipe));
    CUPEL_TRY(choose(job, options));
    CUPEL_TRY(refuse_other(job, options->force));
    CUPEL_TRY(job_make_trainer(job, options, options->data, false));
    cupel_plan_drop_unused(job->plan); /* of a plan file, what is of no node here */
    CUPEL_TRY(refuse_inside_data(job, options->data));
    if (job->dry_run)
        return CUPEL_STATUS_OK;
    /* Everything that could be wrong with the recipe and the data has been found by now. */
    CUPEL_TRY(claim(job, options));
    const cupel_status status = write_first(job);
    if (status == CUPEL_STATUS_OK)
        job_note(job, "started");
    else
        run_folder_unmake(&job->folder);
    return status;
}

cupel_status job_begin(cupel_job **out, cupel_context *context, const cupel_job_options *options) {
    *out = cupel_alloc(1, sizeof **out);
    if (*out == NULL)
        return cupel_fail_memory(&context->error, "a job", sizeof **out);
    cupel_job *const job = *out;
    job->context = context;
    job->folder.lock = -1;
    job->dry_run = options->dry_run;
    job->progress = options->progress;
    job->user = options->user;
    return CUPEL_STATUS_OK;
}

/* Hands a failed job's sentence to the context. */
cupel_status job_give_up(cupel_job **job, cupel_context *context, cupel_status status) {
    const struct cupel_error error = (*job)->error;
    (void)cupel_job_destroy(*job);
    *job = NULL;
    return cupel_fail(&context->error, status, "%s",
                      error.text[0] == '\0' ? cupel_status_text(status) : error.text);
}

cupel_status cupel_job_create(cupel_job **out, cupel_context *context, cupel_recipe *recipe,
                              const cupel_job_options *options) {
    static const cupel_job_options none = {0};
    options = options == NULL ? &none : options;
    CUPEL_TRY(job_begin(out, context, options));
    const cupel_status status = start(*out, recipe, options);
    return status == CUPEL_STATUS_OK ? status : job_give_up(out, context, status);
}

/* --- running --- */

static void time_it(cupel_job *job, cupel_progress *progress) {
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    const double seconds = job_now() - job->epoch_began;
    const int64_t batch = progress->step.batch + 1;
    const double images = (double)job->epoch_images;
    progress->epochs = info.epochs;
    progress->seconds = seconds;
    progress->images_per_s = seconds > 0 ? images / seconds : 0;
    const double left = (double)(info.epochs - progress->step.epoch) * (double)info.images -
                        (double)info.images * (double)batch / (double)info.batches;
    progress->seconds_left = images > 0 ? left * seconds / images : 0;
}

/* Saves and reports INTERRUPTED when the progress function says so. */
static cupel_status report(cupel_job *job, const cupel_progress *progress) {
    if (job->progress == NULL || job->progress(job->user, progress))
        return CUPEL_STATUS_OK;
    CUPEL_TRY(job_save_state(job));
    job_note(job, "stopped on request, state saved");
    return cupel_fail(&job->error, CUPEL_STATUS_INTERRUPTED,
                      "stopped after step %llu of epoch %lld; go on with: cupel train --resume %s",
                      (unsigned long long)progress->step.step, (long long)progress->step.epoch + 1,
                      job->path);
}

static cupel_status save_epoch(cupel_job *job, const cupel_progress *progress) {
    CUPEL_TRY(run_folder_append(&job->folder, RUN_METRICS, progress->epoch_line,
                                &job->metrics_bytes, &job->error));
    CUPEL_TRY(job_save_weights(job, progress->epoch));
    CUPEL_TRY(job_save_state(job));
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    if (info.epoch < info.epochs)
        return report(job, progress);
    if (job->progress != NULL) /* nothing is left to stop */
        (void)job->progress(job->user, progress);
    return CUPEL_STATUS_OK;
}

static cupel_status end_epoch(cupel_job *job, cupel_progress *progress) {
    cupel_epoch_result epoch;
    struct json_text line = {0};
    CUPEL_TRY(job_passed(job, cupel_trainer_end_epoch(job->trainer, &epoch),
                         cupel_trainer_error(job->trainer)));
    const bool fine = epoch_line(&line, &epoch, progress);
    progress->epoch = &epoch;
    progress->epoch_line = line.bytes;
    const cupel_status status =
        fine ? save_epoch(job, progress) : cupel_fail_memory(&job->error, "a line of metrics", 0);
    json_text_release(&line);
    progress->epoch = NULL;
    progress->epoch_line = NULL;
    job->epoch_began = job_now();
    job->epoch_images = 0;
    return status;
}

static bool checkpoint_is_due(const cupel_job *job, const cupel_step_result *step) {
    if (job->checkpoint_steps > 0 && step->step % (uint64_t)job->checkpoint_steps == 0)
        return true;
    return job->checkpoint_seconds > 0 && job_now() - job->saved_at >= job->checkpoint_seconds;
}

/* A finished run whose state came alone: its weights are derived from it once more. */
static cupel_status restore_weights(cupel_job *job) {
    char *path;
    CUPEL_TRY(job_file_path(job, RUN_LAST, &path));
    const bool there = file_exists(path);
    cupel_free(path);
    if (there)
        return CUPEL_STATUS_OK;
    cupel_epoch_result judged;
    CUPEL_TRY(job_passed(job, cupel_trainer_judge(job->trainer, &judged),
                         cupel_trainer_error(job->trainer)));
    return job_save_weights(job, &judged);
}

static cupel_status run_all(cupel_job *job) {
    job->saved_at = job->epoch_began = job_now();
    for (;;) {
        const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
        cupel_progress progress = {0};
        if (info.epoch >= info.epochs)
            return restore_weights(job);
        if (info.batch < info.batches) {
            CUPEL_TRY(job_passed(job, cupel_trainer_step(job->trainer, &progress.step),
                                 cupel_trainer_error(job->trainer)));
            job->epoch_images += progress.step.images;
            time_it(job, &progress);
            CUPEL_TRY(report(job, &progress));
        } else { /* saved between the last batch and the end of the epoch */
            progress.step = (cupel_step_result){.epoch = info.epoch,
                                                .batch = info.batches - 1,
                                                .batches = info.batches,
                                                .step = info.step,
                                                .epoch_over = true};
            time_it(job, &progress);
        }
        if (progress.step.epoch_over)
            CUPEL_TRY(end_epoch(job, &progress));
        else if (checkpoint_is_due(job, &progress.step))
            CUPEL_TRY(job_save_state(job));
    }
}

cupel_status cupel_job_run(cupel_job *job) {
    if (job->dry_run)
        return cupel_fail(&job->error, CUPEL_STATUS_BUG, "a dry run has no folder to train in");
    const cupel_status status = run_all(job);
    if (status != CUPEL_STATUS_INTERRUPTED)
        job_note(job, status == CUPEL_STATUS_OK ? "finished" : job->error.text);
    return status;
}

cupel_status cupel_job_destroy(cupel_job *job) {
    if (job == NULL)
        return CUPEL_STATUS_OK;
    (void)cupel_trainer_destroy(job->trainer);
    cupel_plan_destroy(job->plan);
    cupel_protocol_destroy(job->protocol);
    cupel_recipe_destroy(job->recipe);
    run_folder_close(&job->folder);
    cupel_free(job->path);
    cupel_free(job);
    return CUPEL_STATUS_OK;
}

const char *cupel_job_error(const cupel_job *job) {
    return job->error.text;
}

const char *cupel_job_folder(const cupel_job *job) {
    return job->path;
}

const cupel_trainer *cupel_job_trainer(const cupel_job *job) {
    return job->trainer;
}

bool cupel_job_data(const char *folder, char *out, size_t size) {
    char *data = NULL;
    struct cupel_error ignored = {0};
    const bool found = environment_read_data(&data, folder, &ignored) == CUPEL_STATUS_OK &&
                       data != NULL && strlen(data) < size;
    if (found)
        snprintf(out, size, "%s", data);
    cupel_free(data);
    return found;
}

bool cupel_job_holds(const char *folder) {
    return run_folder_holds(folder);
}

bool cupel_job_owns(const char *path) {
    return run_folder_owns(path);
}
