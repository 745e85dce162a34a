/*
 * The inside of a cupel_job, shared by its files (job_files.c), starting and running (job.c) and
 * resuming (job_resume.c). Test: tests/test_trainer.c
 */
#ifndef CUPEL_TRAIN_JOB_INTERNAL_H
#define CUPEL_TRAIN_JOB_INTERNAL_H

#include "cupel/job.h"
#include "cupel/protocol.h"
#include "train/run_folder.h"

struct cupel_job {
    cupel_context *context;
    cupel_recipe *recipe; /* owned; resolved */
    cupel_protocol *protocol;
    char split[CUPEL_FINGERPRINT_SIZE]; /* of the images, for the weights */
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

/* Seconds of a clock that never goes back. */
double job_now(void);
/* A line for log.txt and the context's log; a failure to write it is not the job's. */
void job_say(cupel_job *job, const char *level, const char *sentence);
void job_note(cupel_job *job, const char *sentence);
/* Passes a failure on with the sentence of the object it happened to. */
cupel_status job_passed(cupel_job *job, cupel_status status, const char *sentence);
/* The path of a file of the run, in fresh memory. */
cupel_status job_file_path(cupel_job *job, const char *name, char **out);
/* Of all values of a state, which keeps it as cupel.values: damage to them is told. */
void job_values_hash(const cupel_tensors *state, char out[17]);
/* Each writes one file of the run, whole or not at all; weights are last and, if so, best. */
cupel_status job_save_state(cupel_job *job);
cupel_status job_save_weights(cupel_job *job, const cupel_epoch_result *epoch);
cupel_status job_write_plan(cupel_job *job);
cupel_status job_write_split(cupel_job *job);
cupel_status job_write_config(cupel_job *job);
cupel_status job_write_environment(cupel_job *job);

/* A job with its options and nothing else. */
cupel_status job_begin(cupel_job **out, cupel_context *context, const cupel_job_options *options);
/* Data, plan and trainer of job->recipe; with `resume` the run's own plan goes first. */
cupel_status job_make_trainer(cupel_job *job, const cupel_job_options *options, const char *data,
                              bool resume);
/* Hands a failed job's sentence to the context, and destroys it. */
cupel_status job_give_up(cupel_job **job, cupel_context *context, cupel_status status);

#endif
