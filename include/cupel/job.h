/*
 * Job: a training run with its folder. Every file is written whole or not at all, and the folder is
 * locked while the job is alive; a job that was stopped or killed is resumed with the same bits.
 *
 *   1. cupel_job_create() from a recipe, or cupel_job_resume() from a folder
 *   2. cupel_job_run()
 *   3. cupel_job_destroy()
 *
 * The folder: config.yaml (the recipe, resolved), split.json (which images train and judge),
 * plan.json, env.json, metrics.jsonl (a line an epoch), state.safetensors (enough to resume),
 * last.safetensors and best.safetensors (weights that can be scored with), log.txt.
 */
#ifndef CUPEL_JOB_H
#define CUPEL_JOB_H

#include <cupel/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_job cupel_job;

typedef struct cupel_progress {
    cupel_step_result step;
    int64_t epochs;
    double images_per_s;             /* over this epoch, as far as this process ran it */
    double seconds;                  /* of this epoch so far */
    double seconds_left;             /* of the whole job, at this speed */
    const cupel_epoch_result *epoch; /* at the end of an epoch, else NULL */
    const char *epoch_line;          /* what metrics.jsonl says of it, newline included, or NULL */
} cupel_progress;

/* Called after every step and once more after every epoch. Returning false stops the job: it saves
 * its state and cupel_job_run() returns INTERRUPTED. After the last epoch nothing is left to
 * stop. */
typedef bool (*cupel_progress_function)(void *user, const cupel_progress *progress);

/* Right when zeroed. */
typedef struct cupel_job_options {
    const char *data;      /* folder of data sets (protocol.h); resuming: NULL is where they were */
    const char *beside;    /* another place to look for data, e.g. the recipe's folder */
    const char *folder;    /* of the run; NULL: runs/NAME-N with the first N that is free */
    bool force;            /* use a folder that holds a run already, whose files are removed */
    bool dry_run;          /* check everything and compile, and write nothing */
    const char *plan_file; /* a plan.json to follow; NULL: the run's own, if there is one */
    bool replan;    /* go on where the plan does not fit this machine; the bits change there */
    int threads;    /* resuming: 0 is as before */
    int workers;    /* resuming: 0 is as before */
    int64_t epochs; /* resuming: 0 is as before */
    cupel_progress_function progress;
    void *user;
} cupel_job_options;

/* The sentence of a failure is on the context. INVALID_ARGUMENT when the folder holds a run, BUSY
 * when another process has it, IO, BAD_DATA, MISMATCH (plan, or a recipe that the run was not
 * trained with), and what cupel_trainer_create() returns. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_job_create(cupel_job **out, cupel_context *context,
                                                      cupel_recipe *recipe,
                                                      const cupel_job_options *options);
CUPEL_API CUPEL_CHECKED cupel_status cupel_job_resume(cupel_job **out, cupel_context *context,
                                                      const char *folder,
                                                      const cupel_job_options *options);
/* To the end of the last epoch. INTERRUPTED: stopped by the progress function, state saved.
 * NOT_FINITE: diverged, the last good state is kept. IO: a file could not be written. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_job_run(cupel_job *job);
CUPEL_API cupel_status cupel_job_destroy(cupel_job *job);
CUPEL_API const char *cupel_job_error(const cupel_job *job);
CUPEL_API const char *cupel_job_folder(const cupel_job *job);
/* The folder of the data that the run in `folder` was trained on, as its env.json says; false when
 * it says nothing. */
CUPEL_API bool cupel_job_data(const char *folder, char *out, size_t size);
/* Whether the folder holds a run, and whether a path, links followed, is that of one of its files
 * named above: nothing else should be written there. */
CUPEL_API bool cupel_job_holds(const char *folder);
CUPEL_API bool cupel_job_owns(const char *path);
/* Borrowed. */
CUPEL_API const cupel_trainer *cupel_job_trainer(const cupel_job *job);

#ifdef __cplusplus
}
#endif
#endif
