/*
 * A training run and its folder. The order of writes makes every moment a good one to be killed at:
 * before the first step env.json, split.json, plan.json and, last, config.yaml, so that it never
 * lacks its data and kernels; at the end of an epoch the line of metrics, best, last, and then the
 * state, which says how long metrics.jsonl was. What a kill leaves beyond the last state is cut or
 * written again with the same bytes. Test: tests/test_trainer.c, tests/train.bats, tests/kill.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "cupel/job.h"
#include "cupel/protocol.h"
#include "data/recipe_internal.h"
#include "graph/context_internal.h"
#include "train/environment.h"
#include "train/epoch_line.h"
#include "train/network.h"
#include "train/resume_check.h"
#include "train/run_folder.h"
#include "train/weights.h"

struct cupel_job {
    cupel_context *context;
    cupel_recipe *recipe; /* owned; resolved */
    cupel_protocol *protocol;
    cupel_plan *plan;
    cupel_trainer *trainer;
    struct run_folder folder;
    char *path; /* of the folder, also in a dry run */
    bool dry_run;
    bool replanned; /* the state is of other kernels */
    cupel_progress_function progress;
    void *user;
    int64_t checkpoint_steps;
    double checkpoint_seconds; /* 0: never */
    double saved_at;           /* when the state was last written */
    uint64_t metrics_bytes;
    double epoch_began;
    int64_t epoch_images; /* run by this process in this epoch */
    struct cupel_error error;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A line for log.txt and the context's log; a failure to write it is not the job's. */
static void say(cupel_job *job, const char *level, const char *sentence) {
    char line[1024], when[32] = "";
    const time_t seconds = time(NULL);
    struct tm utc;
    struct cupel_error ignored = {0};
    log_line(&job->context->log, level, "%s", sentence);
    if (job->dry_run || job->folder.path == NULL || gmtime_r(&seconds, &utc) == NULL)
        return;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(line, sizeof line, "%s %s\n", when, sentence);
    (void)run_folder_append(&job->folder, RUN_LOG, line, NULL, &ignored);
}

static void note(cupel_job *job, const char *sentence) {
    say(job, "info", sentence);
}

/* Passes a failure on with the sentence of the object it happened to. */
static cupel_status passed(cupel_job *job, cupel_status status, const char *sentence) {
    if (status == CUPEL_STATUS_OK)
        return status;
    return cupel_fail(&job->error, status, "%s",
                      sentence == NULL || sentence[0] == '\0' ? cupel_status_text(status)
                                                              : sentence);
}

static cupel_status file_path(cupel_job *job, const char *name, char **out) {
    *out = run_folder_file(&job->folder, name);
    return *out != NULL ? CUPEL_STATUS_OK : cupel_fail_memory(&job->error, "a file name", 0);
}

/* --- files --- */

static cupel_status write_text(cupel_job *job, const char *name, const char *text) {
    char *path;
    CUPEL_TRY(file_path(job, name, &path));
    const cupel_status status = file_write(path, text, strlen(text), &job->error);
    cupel_free(path);
    return status;
}

static cupel_status write_tensors(cupel_job *job, const char *name, cupel_tensors *tensors) {
    char *path;
    CUPEL_TRY(file_path(job, name, &path));
    const cupel_status status = cupel_tensors_write(tensors, path);
    cupel_free(path);
    return passed(job, status, cupel_tensors_error(tensors));
}

static cupel_status save_state(cupel_job *job) {
    char bytes[32];
    cupel_tensors *state;
    cupel_status status = cupel_tensors_create(&state);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail_memory(&job->error, "the state", 0);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)job->metrics_bytes);
    status =
        passed(job, cupel_trainer_export(job->trainer, state), cupel_trainer_error(job->trainer));
    if (status == CUPEL_STATUS_OK)
        status = passed(job, cupel_tensors_set_metadata(state, "cupel.metrics_bytes", bytes),
                        cupel_tensors_error(state));
    if (status == CUPEL_STATUS_OK)
        status = write_tensors(job, RUN_STATE, state);
    cupel_tensors_destroy(state);
    job->saved_at = now();
    return status;
}

static cupel_status save_weights(cupel_job *job, const cupel_epoch_result *epoch) {
    cupel_tensors *weights;
    cupel_status status = cupel_tensors_create(&weights);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail_memory(&job->error, "the weights", 0);
    status = passed(job, cupel_trainer_export_weights(job->trainer, weights, epoch),
                    cupel_trainer_error(job->trainer));
    if (status == CUPEL_STATUS_OK && epoch->best)
        status = write_tensors(job, RUN_BEST, weights);
    if (status == CUPEL_STATUS_OK)
        status = write_tensors(job, RUN_LAST, weights);
    cupel_tensors_destroy(weights);
    return status;
}

static cupel_status write_plan(cupel_job *job) {
    char *text;
    CUPEL_TRY(passed(job, cupel_plan_format(job->plan, &text), cupel_plan_error(job->plan)));
    const cupel_status status = write_text(job, RUN_PLAN, text);
    cupel_plan_text_free(text);
    return status;
}

static cupel_status write_split(cupel_job *job) {
    const char *text;
    CUPEL_TRY(passed(job, cupel_protocol_text(job->protocol, &text),
                     cupel_protocol_error(job->protocol)));
    return write_text(job, RUN_SPLIT, text);
}

static cupel_status write_config(cupel_job *job) {
    char *path;
    CUPEL_TRY(file_path(job, RUN_CONFIG, &path));
    const cupel_status status = cupel_recipe_write(job->recipe, path);
    cupel_free(path);
    return passed(job, status, cupel_recipe_error(job->recipe));
}

static cupel_status write_environment(cupel_job *job) {
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    struct json_text text = {0};
    cupel_status status = environment_text(&text, job->context, info.threads,
                                           cupel_protocol_folder(job->protocol), &job->error);
    if (status == CUPEL_STATUS_OK)
        status = write_text(job, RUN_ENVIRONMENT, text.bytes);
    json_text_release(&text);
    return status;
}

/* --- making --- */

static cupel_status own_recipe(cupel_job *job, cupel_recipe *recipe) {
    CUPEL_TRY(passed(job, cupel_recipe_check(recipe), cupel_recipe_error(recipe)));
    return passed(job, recipe_copy(&job->recipe, recipe), NULL);
}

/* Follows a plan that was written earlier. */
static cupel_status read_plan(cupel_job *job, const char *path, bool replan) {
    uint8_t *text;
    size_t size;
    CUPEL_TRY(file_read(path, 0, &text, &size, &job->error));
    const cupel_status status = cupel_plan_parse(job->plan, (const char *)text, size, replan);
    cupel_free(text);
    if (status == CUPEL_STATUS_OK)
        return status;
    return cupel_fail(&job->error, status, "%s: %s%s", path, cupel_plan_error(job->plan),
                      status == CUPEL_STATUS_MISMATCH   ? " (with --replan)"
                      : status == CUPEL_STATUS_BAD_DATA ? "; without it kernels are chosen anew"
                                                        : "");
}

static cupel_status make_plan(cupel_job *job, const cupel_job_options *options, bool resume) {
    struct network network;
    CUPEL_TRY(network_from_recipe(&network, job->recipe, &job->error));
    CUPEL_TRY(passed(job, cupel_plan_create(&job->plan, job->context, network.threads),
                     cupel_context_error(job->context)));
    char *own = NULL;
    if (resume) {
        CUPEL_TRY(file_path(job, RUN_PLAN, &own));
        if (!file_exists(own)) {
            cupel_free(own);
            own = NULL;
        }
    }
    const char *const path = own != NULL ? own : options->plan_file;
    const cupel_status status =
        path == NULL ? CUPEL_STATUS_OK : read_plan(job, path, options->replan);
    cupel_free(own);
    return status;
}

static cupel_status make_trainer(cupel_job *job, const cupel_job_options *options, const char *data,
                                 bool resume) {
    double minutes = 0;
    if (data != NULL)
        CUPEL_TRY(file_check_folder(data, &job->error));
    CUPEL_TRY(passed(job, cupel_recipe_get_float(job->recipe, "train.checkpoint_minutes", &minutes),
                     cupel_recipe_error(job->recipe)));
    CUPEL_TRY(passed(
        job, cupel_recipe_get_int(job->recipe, "train.checkpoint_steps", &job->checkpoint_steps),
        cupel_recipe_error(job->recipe)));
    job->checkpoint_seconds = 60.0 * minutes;
    const cupel_status status =
        cupel_protocol_create(&job->protocol, job->recipe, data, options->beside);
    CUPEL_TRY(
        passed(job, status, job->protocol == NULL ? NULL : cupel_protocol_error(job->protocol)));
    CUPEL_TRY(make_plan(job, options, resume));
    return passed(job,
                  cupel_trainer_create(&job->trainer, job->context, job->recipe,
                                       cupel_protocol_train(job->protocol),
                                       cupel_protocol_held_out(job->protocol), job->plan),
                  cupel_context_error(job->context));
}

static cupel_status choose(cupel_job *job, const cupel_job_options *options) {
    const char *name = "run";
    CUPEL_TRY(passed(job, cupel_recipe_get_string(job->recipe, "name", &name),
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

/* Who reads the data set's folder again would find the run's files among the data. */
static cupel_status refuse_inside_data(cupel_job *job) {
    const char *const data = cupel_protocol_folder(job->protocol);
    if (!file_lies_in(job->path, data))
        return CUPEL_STATUS_OK;
    return cupel_fail(&job->error, CUPEL_STATUS_INVALID_ARGUMENT,
                      "%s lies inside the data set's folder %s: choose another folder for the run "
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

static cupel_status start(cupel_job *job, cupel_recipe *recipe, const cupel_job_options *options) {
    CUPEL_TRY(own_recipe(job, recipe));
    CUPEL_TRY(choose(job, options));
    CUPEL_TRY(refuse_other(job, options->force));
    CUPEL_TRY(make_trainer(job, options, options->data, false));
    CUPEL_TRY(refuse_inside_data(job));
    if (job->dry_run)
        return CUPEL_STATUS_OK;
    /* Everything that could be wrong with the recipe and the data has been found by now. */
    CUPEL_TRY(claim(job, options));
    CUPEL_TRY(write_environment(job));
    CUPEL_TRY(write_split(job));
    CUPEL_TRY(write_plan(job));
    CUPEL_TRY(write_config(job));
    note(job, "started");
    return CUPEL_STATUS_OK;
}

static cupel_status create(cupel_job **out, cupel_context *context,
                           const cupel_job_options *options) {
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
static cupel_status give_up(cupel_job **job, cupel_context *context, cupel_status status) {
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
    CUPEL_TRY(create(out, context, options));
    const cupel_status status = start(*out, recipe, options);
    return status == CUPEL_STATUS_OK ? status : give_up(out, context, status);
}

/* --- resuming --- */

static cupel_status set_whole(cupel_job *job, const char *key, int64_t value, const char *origin) {
    char text[32];
    if (value == 0)
        return CUPEL_STATUS_OK;
    snprintf(text, sizeof text, "%lld", (long long)value);
    return passed(job, cupel_recipe_set_value(job->recipe, key, text, origin),
                  cupel_recipe_error(job->recipe));
}

/* What is wrong with a state, and what can be done. */
static cupel_status refuse_state(cupel_job *job, cupel_status status, const char *sentence) {
    char why[sizeof job->error.text];
    if (status != CUPEL_STATUS_BAD_DATA)
        return passed(job, status, sentence);
    snprintf(why, sizeof why, "%s", sentence);
    return cupel_fail(&job->error, status,
                      "%s/%s cannot be gone on with: %s; put a good copy back, or "
                      "start again with --force",
                      job->path, RUN_STATE, why);
}

/* A run that was killed before its first state has none: *out is NULL. */
static cupel_status read_state(cupel_job *job, cupel_tensors **out) {
    char *path;
    *out = NULL;
    CUPEL_TRY(file_path(job, RUN_STATE, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = cupel_tensors_read(out, path);
    cupel_free(path);
    return refuse_state(job, status, *out == NULL ? "" : cupel_tensors_error(*out));
}

/* The recipe that the state carries; it has the threads where bits depend on them. */
static cupel_status recipe_of_state(cupel_job *job, const cupel_tensors *state,
                                    cupel_recipe **out) {
    char *path;
    CUPEL_TRY(file_path(job, RUN_STATE, &path));
    cupel_status status = weights_read_recipe(out, state, path, &job->error);
    const char *const threads = cupel_tensors_metadata(state, "cupel.threads");
    if (status == CUPEL_STATUS_OK && threads != NULL)
        status = passed(job, cupel_recipe_set_value(*out, "threads", threads, path),
                        cupel_recipe_error(*out));
    cupel_free(path);
    return status;
}

/* config.yaml, or without it the recipe of the state (may be NULL). */
static cupel_status read_config(cupel_job *job, const cupel_job_options *options,
                                const cupel_tensors *state) {
    char *path;
    cupel_recipe *done = NULL;
    CUPEL_TRY(file_path(job, RUN_CONFIG, &path));
    cupel_status status = CUPEL_STATUS_OK;
    const bool own = file_exists(path);
    if (own) {
        status = cupel_recipe_read(&job->recipe, path);
        status = passed(job, status, job->recipe == NULL ? NULL : cupel_recipe_error(job->recipe));
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
    note(job, sentence);
    job->replanned = true;
    return passed(job, cupel_tensors_set_metadata(state, "cupel.plan", hash),
                  cupel_tensors_error(state));
}

/* What a kill left beyond the state is cut; what is missing stays missing. */
static cupel_status adopt_metrics(cupel_job *job, uint64_t bytes) {
    uint64_t there;
    CUPEL_TRY(run_folder_size(&job->folder, RUN_METRICS, &there, &job->error));
    if (there < bytes)
        say(job, "warning",
            there == 0 ? "metrics.jsonl is missing: it begins anew with the next epoch"
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
    const char *wanted;
    uint8_t *there = NULL;
    size_t size = 0;
    CUPEL_TRY(passed(job, cupel_protocol_text(job->protocol, &wanted),
                     cupel_protocol_error(job->protocol)));
    CUPEL_TRY(file_path(job, RUN_SPLIT, &path));
    cupel_status status = CUPEL_STATUS_OK;
    if (file_exists(path))
        status = file_read(path, 0, &there, &size, &job->error);
    if (there != NULL && (size != strlen(wanted) || memcmp(there, wanted, size) != 0))
        status = cupel_fail(&job->error, CUPEL_STATUS_MISMATCH,
                            "%s: the images in %s are divided otherwise, or are others: give the "
                            "data that the run was trained on with --data, or start a new run",
                            path, cupel_protocol_folder(job->protocol));
    cupel_free(there);
    cupel_free(path);
    return status;
}

static cupel_status load(cupel_job *job, const cupel_job_options *options, cupel_tensors *state) {
    CUPEL_TRY(read_config(job, options, state));
    char *data = NULL;
    if (options->data == NULL)
        CUPEL_TRY(environment_read_data(&data, job->path, &job->error));
    const cupel_status status =
        make_trainer(job, options, options->data != NULL ? options->data : data, true);
    if (status == CUPEL_STATUS_IO && data != NULL && !file_exists(data))
        (void)cupel_fail(&job->error, status,
                         "%s, where the run's data was, is not there: give its present folder with "
                         "--data",
                         data);
    cupel_free(data);
    CUPEL_TRY(status);
    CUPEL_TRY(check_split(job));
    return adopt_state(job, state, options->replan);
}

/* A new plan is accepted with the state that says so, which comes last. */
static cupel_status write_resumed(cupel_job *job) {
    CUPEL_TRY(write_config(job));
    CUPEL_TRY(write_environment(job));
    CUPEL_TRY(write_split(job));
    CUPEL_TRY(write_plan(job));
    if (job->replanned)
        CUPEL_TRY(save_state(job));
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    char sentence[128];
    snprintf(sentence, sizeof sentence, "resumed at step %llu (epoch %lld, batch %lld)",
             (unsigned long long)info.step, (long long)info.epoch + 1, (long long)info.batch + 1);
    note(job, sentence);
    return CUPEL_STATUS_OK;
}

static cupel_status go_on(cupel_job *job, const char *folder, const cupel_job_options *options) {
    CUPEL_TRY(run_folder_choose(&job->path, folder, "", &job->error));
    if (!run_folder_is_run(folder))
        return cupel_fail(&job->error, CUPEL_STATUS_IO,
                          "%s holds no run: give the folder that cupel train printed", folder);
    CUPEL_TRY(run_folder_open(&job->folder, folder,
                              job->dry_run ? RUN_FOLDER_LOOK : RUN_FOLDER_GO_ON, &job->error));
    cupel_tensors *state;
    cupel_status status = read_state(job, &state);
    if (status == CUPEL_STATUS_OK)
        status = load(job, options, state);
    cupel_tensors_destroy(state);
    CUPEL_TRY(status);
    return job->dry_run ? CUPEL_STATUS_OK : write_resumed(job);
}

cupel_status cupel_job_resume(cupel_job **out, cupel_context *context, const char *folder,
                              const cupel_job_options *options) {
    static const cupel_job_options none = {0};
    options = options == NULL ? &none : options;
    CUPEL_TRY(create(out, context, options));
    const cupel_status status = go_on(*out, folder, options);
    return status == CUPEL_STATUS_OK ? status : give_up(out, context, status);
}

/* --- running --- */

static void time_it(cupel_job *job, cupel_progress *progress) {
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    const double seconds = now() - job->epoch_began;
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
    CUPEL_TRY(save_state(job));
    note(job, "stopped on request, state saved");
    return cupel_fail(&job->error, CUPEL_STATUS_INTERRUPTED,
                      "stopped after step %llu of epoch %lld; go on with: cupel train --resume %s",
                      (unsigned long long)progress->step.step, (long long)progress->step.epoch + 1,
                      job->path);
}

static cupel_status save_epoch(cupel_job *job, const cupel_progress *progress) {
    CUPEL_TRY(run_folder_append(&job->folder, RUN_METRICS, progress->epoch_line,
                                &job->metrics_bytes, &job->error));
    CUPEL_TRY(save_weights(job, progress->epoch));
    CUPEL_TRY(save_state(job));
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
    CUPEL_TRY(passed(job, cupel_trainer_end_epoch(job->trainer, &epoch),
                     cupel_trainer_error(job->trainer)));
    const bool fine = epoch_line(&line, &epoch, progress);
    progress->epoch = &epoch;
    progress->epoch_line = line.bytes;
    const cupel_status status =
        fine ? save_epoch(job, progress) : cupel_fail_memory(&job->error, "a line of metrics", 0);
    json_text_release(&line);
    progress->epoch = NULL;
    progress->epoch_line = NULL;
    job->epoch_began = now();
    job->epoch_images = 0;
    return status;
}

static bool checkpoint_is_due(const cupel_job *job, const cupel_step_result *step) {
    if (job->checkpoint_steps > 0 && step->step % (uint64_t)job->checkpoint_steps == 0)
        return true;
    return job->checkpoint_seconds > 0 && now() - job->saved_at >= job->checkpoint_seconds;
}

/* A finished run whose state came alone: its weights are derived from it once more. */
static cupel_status restore_weights(cupel_job *job) {
    char *path;
    CUPEL_TRY(file_path(job, RUN_LAST, &path));
    const bool there = file_exists(path);
    cupel_free(path);
    if (there)
        return CUPEL_STATUS_OK;
    cupel_epoch_result judged;
    CUPEL_TRY(
        passed(job, cupel_trainer_judge(job->trainer, &judged), cupel_trainer_error(job->trainer)));
    return save_weights(job, &judged);
}

static cupel_status run_all(cupel_job *job) {
    job->saved_at = job->epoch_began = now();
    for (;;) {
        const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
        cupel_progress progress = {0};
        if (info.epoch >= info.epochs)
            return restore_weights(job);
        if (info.batch < info.batches) {
            CUPEL_TRY(passed(job, cupel_trainer_step(job->trainer, &progress.step),
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
            CUPEL_TRY(save_state(job));
    }
}

cupel_status cupel_job_run(cupel_job *job) {
    if (job->dry_run)
        return cupel_fail(&job->error, CUPEL_STATUS_BUG, "a dry run has no folder to train in");
    const cupel_status status = run_all(job);
    if (status != CUPEL_STATUS_INTERRUPTED)
        note(job, status == CUPEL_STATUS_OK ? "finished" : job->error.text);
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
