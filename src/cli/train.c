/*
 * cupel train: runs a job, shows its progress, and turns signals into a request to stop.
 * Test: tests/train.bats
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cupel/job.h>
#include <cupel/number.h>

#include "commands.h"

static const double COLLAPSED = 0.005; /* nats: a KL divergence that is shown as 0.00 */

static volatile sig_atomic_t stop_signal, prepared;

/* Before the first step there is nothing to save, and a file may be a pipe that nobody fills. */
static void on_signal(int number) {
    stop_signal = number;
    if (!prepared)
        (void)raise(number); /* the default again: ends the program when this returns */
}

static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND; /* a second one kills at once */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old; /* what nohup or a shell has switched off stays off */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
    }
}

/* --- progress --- */

struct display {
    bool json;
    double last; /* when something was shown, in seconds of the epoch */
};

static const char *elbo_text(char buffer[128], const cupel_elbo *elbo) {
    char a[CUPEL_NUMBER_TEXT_SIZE], b[CUPEL_NUMBER_TEXT_SIZE], c[CUPEL_NUMBER_TEXT_SIZE];
    snprintf(buffer, 128, "%s (reconstruction %s, KL %s)",
             cupel_number_format_fixed(a, elbo->elbo, 2),
             cupel_number_format_fixed(b, elbo->reconstruction, 2),
             cupel_number_format_fixed(c, elbo->kl, 2));
    return buffer;
}

static void show_epoch(const cupel_progress *progress) {
    const cupel_epoch_result *const epoch = progress->epoch;
    char train[128], held_out[128] = "", speed[32], left[32];
    elbo_text(train, &epoch->train);
    if (epoch->has_held_out)
        elbo_text(held_out, &epoch->held_out);
    tell("epoch %lld/%lld: train %s%s%s%s, %s images/s, %s left", (long long)epoch->epoch + 1,
         (long long)progress->epochs, train, epoch->has_held_out ? "; held out " : "", held_out,
         epoch->best ? ", best" : "", format_count(speed, progress->images_per_s),
         format_time(left, progress->seconds_left));
    if (epoch->train.kl < COLLAPSED)
        tell("the posterior has collapsed: the latents tell nothing of the image (KL 0.00). Try "
             "train.warmup_steps, a lower learning rate or another seed");
}

static void show_step(struct display *display, const cupel_progress *progress) {
    const cupel_step_result *const step = &progress->step;
    const double share = (double)(step->batch + 1) / (double)step->batches;
    const bool bar = console_is_terminal();
    char text[160], loss[CUPEL_NUMBER_TEXT_SIZE], speed[32], left[32];
    if (progress->seconds - display->last < (bar ? 0.1 : 10.0))
        return;
    display->last = progress->seconds;
    snprintf(text, sizeof text, "epoch %lld/%lld, loss %s, %s images/s, %s left",
             (long long)step->epoch + 1, (long long)progress->epochs,
             cupel_number_format_fixed(loss, step->loss, 2),
             format_count(speed, progress->images_per_s),
             format_time(left, progress->seconds_left));
    if (bar)
        console_bar(share, text);
    else
        tell("%s (batch %lld of %lld)", text, (long long)step->batch + 1, (long long)step->batches);
}

static bool on_progress(void *user, const cupel_progress *progress) {
    struct display *const display = user;
    if (progress->epoch == NULL) {
        show_step(display, progress);
    } else {
        show_epoch(progress);
        if (display->json) {
            fputs(progress->epoch_line, stdout);
            fflush(stdout);
        }
        display->last = 0;
    }
    return stop_signal == 0;
}

/* --- the command --- */

/* Reads what only resuming takes from the command line. */
static int resume_options(cupel_job_options *options, const struct arguments *arguments) {
    static const enum option fixed[] = {OPTION_OUT, OPTION_SEED, OPTION_BATCH, OPTION_LR,
                                        OPTION_SET, OPTION_PLAN, OPTION_FORCE};
    int64_t threads, workers;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (arguments_has(arguments, fixed[i])) {
            complain(
                "--%s cannot change when resuming; --epochs, --workers, --threads and --data can",
                option_name(fixed[i]));
            return EXIT_USAGE;
        }
    if (arguments->n_operands > 0) {
        complain("--resume takes its recipe from the run: leave out %s", arguments->operands[0]);
        return EXIT_USAGE;
    }
    if (!arguments_whole(arguments, OPTION_THREADS, 1, 256, 0, &threads) ||
        !arguments_whole(arguments, OPTION_WORKERS, 1, 16, 0, &workers) ||
        !arguments_whole(arguments, OPTION_EPOCHS, 1, 1000000, 0, &options->epochs))
        return EXIT_USAGE;
    options->threads = (int)threads;
    options->workers = (int)workers;
    return EXIT_FINE;
}

/* The folder that a path lies in; allocated. */
static char *folder_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *const folder = calloc(length + 1, 1);
    if (folder != NULL)
        memcpy(folder, slash == NULL ? "." : path, length);
    return folder;
}

static int make_job(cupel_job **job, cupel_context *context, const struct arguments *arguments,
                    cupel_job_options *options) {
    cupel_status status;
    if (arguments_has(arguments, OPTION_RESUME)) {
        const int code = resume_options(options, arguments);
        if (code != EXIT_FINE)
            return code;
        status = cupel_job_resume(job, context, arguments->values[OPTION_RESUME], options);
        return fail_with(status, cupel_context_error(context));
    }
    cupel_recipe *recipe;
    const int code = read_recipe(&recipe, arguments->operands[0], arguments);
    if (code != EXIT_FINE)
        return code;
    char *const beside = folder_of(arguments->operands[0]);
    options->beside = beside;
    status = cupel_job_create(job, context, recipe, options);
    options->beside = NULL;
    free(beside);
    cupel_recipe_destroy(recipe);
    return fail_with(status, cupel_context_error(context));
}

static void introduce(const cupel_job *job) {
    const cupel_trainer_info info = cupel_trainer_get_info(cupel_job_trainer(job));
    char images[32], parameters[32];
    tell(
        "training %s parameters on %s images, %lld held out; %lld epochs of %lld steps, %d threads",
        format_count(parameters, (double)info.parameters),
        format_count(images, (double)info.images), (long long)info.held_out, (long long)info.epochs,
        (long long)info.batches, info.threads);
    if (info.epoch >= info.epochs)
        tell("already finished: epoch %lld of %lld is done; train on with --epochs N",
             (long long)info.epoch, (long long)info.epochs);
    else if (info.step > 0)
        tell("resuming at step %llu (epoch %lld, batch %lld)", (unsigned long long)info.step,
             (long long)info.epoch + 1, (long long)info.batch + 1);
}

static int run_job(cupel_job *job) {
    const cupel_status status = cupel_job_run(job);
    console_clear_bar();
    if (status == CUPEL_STATUS_INTERRUPTED) {
        complain("%s", cupel_job_error(job));
        return 128 + (int)stop_signal;
    }
    const int code = fail_with(status, cupel_job_error(job));
    if (status == CUPEL_STATUS_NOT_FINITE)
        tell("what was saved before is kept in %s", cupel_job_folder(job));
    if (status == CUPEL_STATUS_IO)
        tell("once that is mended, go on with: cupel train --resume %s", cupel_job_folder(job));
    return code;
}

int command_train(const struct arguments *arguments) {
    int code;
    struct display display = {.json = arguments_has(arguments, OPTION_JSON)};
    cupel_job_options options = {.data = arguments->values[OPTION_DATA],
                                 .folder = arguments->values[OPTION_OUT],
                                 .force = arguments_has(arguments, OPTION_FORCE),
                                 .dry_run = arguments_has(arguments, OPTION_DRY_RUN),
                                 .plan_file = arguments->values[OPTION_PLAN_FILE],
                                 .replan = arguments_has(arguments, OPTION_REPLAN),
                                 .progress = on_progress,
                                 .user = &display};
    cupel_context *const context = make_context(&code);
    if (context == NULL)
        return code;
    catch_signals();
    cupel_job *job = NULL;
    code = make_job(&job, context, arguments, &options);
    if (code == EXIT_FINE) {
        prepared = 1;
        introduce(job);
        if (options.dry_run)
            tell("recipe, data and plan are fine; nothing was trained or written (--dry-run)");
        else
            code = run_job(job);
        if (code == EXIT_FINE && !display.json && !options.dry_run)
            printf("%s\n", cupel_job_folder(job));
    }
    (void)cupel_job_destroy(job);
    (void)cupel_context_destroy(context);
    return code;
}
