/*
 * Trainer: a recipe's network in training, in memory. One step is one program: forward, backward,
 * update, loss guard, and the sums of the epoch; a smaller last batch is a program of its own.
 * Batches are prepared by worker threads while a step runs. Files are the business of job.h.
 *
 *   1. cupel_trainer_create() on data sets, which must outlive it
 *   2. cupel_trainer_import() a state, to go on where it was exported
 *   3. cupel_trainer_step() until it says that the epoch is over, then cupel_trainer_end_epoch()
 *   4. cupel_trainer_export() the state or the weights, at any time
 *   5. cupel_trainer_destroy()
 *
 * Same recipe, data, threads and processor kind: same bits, whatever the number of workers and
 * wherever it was exported and imported between.
 */
#ifndef CUPEL_TRAINER_H
#define CUPEL_TRAINER_H

#include <stdio.h>

#include <cupel/dataset.h>
#include <cupel/plan.h>
#include <cupel/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_trainer cupel_trainer;

/* Nats per image; lower is better. */
typedef struct cupel_elbo {
    double elbo; /* negated: reconstruction + kl */
    double reconstruction;
    double kl;
} cupel_elbo;

typedef struct cupel_step_result {
    int64_t epoch, batch; /* the batch that ran, both from 0 */
    int64_t batches;      /* of an epoch */
    int64_t images;       /* in the batch */
    uint64_t step;        /* steps since the beginning, this one included */
    double loss;          /* mean over the batch, before the update */
    bool epoch_over;
} cupel_step_result;

typedef struct cupel_epoch_result {
    int64_t epoch; /* from 0 */
    uint64_t step;
    double loss;      /* mean over the images, KL weight included */
    cupel_elbo train; /* means over the epoch, taken while the weights moved */
    bool has_held_out;
    cupel_elbo held_out;
    double threshold; /* the recipe's quantile of the held-out scores; NaN without such images */
    bool best;        /* lowest held-out ELBO so far; without held-out images: lowest loss */
} cupel_epoch_result;

/* The sentence of a failure is on the context. recipe is read once; train and held_out (may be
 * NULL) have the size that the network sees. plan (may be NULL) is read and extended; it must
 * outlive the trainer. SHAPE, UNSUPPORTED, OUT_OF_MEMORY, ... */
CUPEL_API CUPEL_CHECKED cupel_status
cupel_trainer_create(cupel_trainer **out, cupel_context *context, cupel_recipe *recipe,
                     const cupel_dataset *train, const cupel_dataset *held_out, cupel_plan *plan);
CUPEL_API cupel_status cupel_trainer_destroy(cupel_trainer *trainer);
CUPEL_API const char *cupel_trainer_error(const cupel_trainer *trainer);

/* Runs the next batch of the epoch. NOT_FINITE: the loss is not finite, nothing changed, and the
 * sentence names the node, found by running the step again on reference kernels. BUG after the last
 * batch of an epoch until cupel_trainer_end_epoch(). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_step(cupel_trainer *trainer,
                                                        cupel_step_result *out);
/* The same, and when each step of cupel_trainer_program() began and ended: `times` has as many. A
 * smaller last batch is another program, and leaves zeros. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_step_timed(cupel_trainer *trainer,
                                                              cupel_step_result *out,
                                                              cupel_step_time *times);
/* Reads the sums of the epoch, scores the held-out images, and moves on to the next epoch. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_end_epoch(cupel_trainer *trainer,
                                                             cupel_epoch_result *out);
/* Judges the present weights on the held-out images and changes nothing: what an epoch that ended
 * here would say of them, without its training figures. best: none so far was better. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_judge(cupel_trainer *trainer,
                                                         cupel_epoch_result *out);

typedef struct cupel_trainer_info {
    int64_t images, held_out, batches, epochs;
    int64_t epoch, batch; /* the next one to run, both from 0 */
    uint64_t step;        /* steps so far */
    int threads;
    size_t parameters; /* trainable numbers */
    cupel_program_info step_program;
} cupel_trainer_info;

CUPEL_API cupel_trainer_info cupel_trainer_get_info(const cupel_trainer *trainer);
/* The training step of a full batch, to look at; borrowed. */
CUPEL_API const cupel_program *cupel_trainer_program(const cupel_trainer *trainer);
/* cupel_program_print() of the training step. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_print(const cupel_trainer *trainer,
                                                         FILE *stream);

/* The whole state: weights, moments, counters, sums, position. NOT_FINITE when one of them is
 * not. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_export(cupel_trainer *trainer,
                                                          cupel_tensors *state);
/* Goes on from an exported state. NAME, SHAPE, BAD_DATA when it belongs to another network or to
 * other data; MISMATCH when other kernels were chosen. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_import(cupel_trainer *trainer,
                                                          const cupel_tensors *state);
/* The weights alone with all that scoring needs in their metadata: recipe, preprocessing, classes,
 * threshold and its rule. epoch may be NULL: no threshold. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_trainer_export_weights(cupel_trainer *trainer,
                                                                  cupel_tensors *weights,
                                                                  const cupel_epoch_result *epoch);

#ifdef __cplusplus
}
#endif
#endif
