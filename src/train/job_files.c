/*
 * The files of a training run, each written whole or not at all, and its log.
 * Test: tests/test_trainer.c, tests/train.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/recipe_internal.h"
#include "graph/context_internal.h"
#include "train/environment.h"
#include "train/job_internal.h"
#include "train/weights.h"

double job_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A line for log.txt and the context's log; a failure to write it is not the job's. */
void job_say(cupel_job *job, const char *level, const char *sentence) {
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

void job_note(cupel_job *job, const char *sentence) {
    job_say(job, "info", sentence);
}

/* Passes a failure on with the sentence of the object it happened to. */
cupel_status job_passed(cupel_job *job, cupel_status status, const char *sentence) {
    if (status == CUPEL_STATUS_OK)
        return status;
    return cupel_fail(&job->error, status, "%s",
                      sentence == NULL || sentence[0] == '\0' ? cupel_status_text(status)
                                                              : sentence);
}

cupel_status job_file_path(cupel_job *job, const char *name, char **out) {
    *out = run_folder_file(&job->folder, name);
    return *out != NULL ? CUPEL_STATUS_OK : cupel_fail_memory(&job->error, "a file name", 0);
}

static cupel_status write_text(cupel_job *job, const char *name, const char *text) {
    char *path;
    CUPEL_TRY(job_file_path(job, name, &path));
    const cupel_status status = file_write(path, text, strlen(text), &job->error);
    cupel_free(path);
    return status;
}

static cupel_status write_tensors(cupel_job *job, const char *name, cupel_tensors *tensors) {
    char *path;
    CUPEL_TRY(job_file_path(job, name, &path));
    const cupel_status status = cupel_tensors_write(tensors, path);
    cupel_free(path);
    return job_passed(job, status, cupel_tensors_error(tensors));
}

static uint64_t hash_values(uint64_t hash, const void *values, size_t size) {
    const unsigned char *at = values;
    for (; size >= sizeof hash; size -= sizeof hash, at += sizeof hash) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = hash_combine(hash, word);
    }
    return hash_combine(hash, hash_bytes(at, size));
}

void job_values_hash(const cupel_tensors *state, char out[17]) {
    uint64_t hash = 0;
    for (size_t i = 0; i < cupel_tensors_count(state); i++) {
        const cupel_tensor *const tensor = cupel_tensors_at(state, i);
        hash = hash_values(hash, tensor->data, cupel_desc_bytes(&tensor->desc));
    }
    snprintf(out, 17, "%016llx", (unsigned long long)hash);
}

cupel_status job_save_state(cupel_job *job) {
    char bytes[32], values[17];
    cupel_tensors *state;
    cupel_status status = cupel_tensors_create(&state);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail_memory(&job->error, "the state", 0);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)job->metrics_bytes);
    status = job_passed(job, cupel_trainer_export(job->trainer, state),
                        cupel_trainer_error(job->trainer));
    if (status == CUPEL_STATUS_OK)
        status = job_passed(job, cupel_tensors_set_metadata(state, "cupel.metrics_bytes", bytes),
                            cupel_tensors_error(state));
    if (status == CUPEL_STATUS_OK) {
        job_values_hash(state, values);
        status = job_passed(job, cupel_tensors_set_metadata(state, "cupel.values", values),
                            cupel_tensors_error(state));
    }
    if (status == CUPEL_STATUS_OK)
        status = write_tensors(job, RUN_STATE, state);
    cupel_tensors_destroy(state);
    job->saved_at = job_now();
    return status;
}

cupel_status job_save_weights(cupel_job *job, const cupel_epoch_result *epoch) {
    cupel_tensors *weights;
    cupel_status status = cupel_tensors_create(&weights);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail_memory(&job->error, "the weights", 0);
    status = job_passed(job, cupel_trainer_export_weights(job->trainer, weights, epoch),
                        cupel_trainer_error(job->trainer));
    if (status == CUPEL_STATUS_OK)
        status = job_passed(job, cupel_tensors_set_metadata(weights, WEIGHTS_SPLIT, job->split),
                            cupel_tensors_error(weights));
    if (status == CUPEL_STATUS_OK && epoch->best)
        status = write_tensors(job, RUN_BEST, weights);
    if (status == CUPEL_STATUS_OK)
        status = write_tensors(job, RUN_LAST, weights);
    cupel_tensors_destroy(weights);
    return status;
}

cupel_status job_write_plan(cupel_job *job) {
    char *text;
    CUPEL_TRY(job_passed(job, cupel_plan_format(job->plan, &text), cupel_plan_error(job->plan)));
    const cupel_status status = write_text(job, RUN_PLAN, text);
    cupel_plan_text_free(text);
    return status;
}

cupel_status job_write_split(cupel_job *job) {
    const char *text;
    CUPEL_TRY(job_passed(job, cupel_protocol_text(job->protocol, &text),
                         cupel_protocol_error(job->protocol)));
    return write_text(job, RUN_SPLIT, text);
}

cupel_status job_write_config(cupel_job *job) {
    char *path;
    CUPEL_TRY(job_file_path(job, RUN_CONFIG, &path));
    const cupel_status status = cupel_recipe_write(job->recipe, path);
    cupel_free(path);
    return job_passed(job, status, cupel_recipe_error(job->recipe));
}

cupel_status job_write_environment(cupel_job *job) {
    const cupel_trainer_info info = cupel_trainer_get_info(job->trainer);
    struct json_text text = {0};
    cupel_status status = environment_text(&text, job->context, info.threads,
                                           cupel_protocol_folder(job->protocol), &job->error);
    if (status == CUPEL_STATUS_OK)
        status = write_text(job, RUN_ENVIRONMENT, text.bytes);
    json_text_release(&text);
    return status;
}
