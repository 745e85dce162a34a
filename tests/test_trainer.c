/*
 * The trainer (src/train): the sums inside the program, the last smaller batch, state that goes on
 * with the same bits, the loss guard; and the job: its folder, failing writes, resuming.
 */
#include "support/drill.h"

#include <sys/stat.h>

#include "compile/plan_internal.h"
#include "cupel/job.h"
#include "cupel/trainer.h"
#include "support/trainer.h"

enum { IMAGES = 22, HELD_OUT = 7 }; /* three batches of 6 and one of 4 */

struct setup {
    cupel_context *context;
    cupel_recipe *recipe;
    cupel_dataset *train, *held_out;
    cupel_plan *plan;
    cupel_trainer *trainer;
};

static struct setup make(const char *const *settings, const char *extra, bool held_out) {
    struct setup s = {.context = context_on(NULL), .recipe = recipe_of(settings)};
    if (extra != NULL)
        CHECK_OK(cupel_recipe_set(s.recipe, extra, "test"));
    s.train = striped_images(IMAGES, SIDE, 0);
    s.held_out = held_out ? striped_images(HELD_OUT, SIDE, 100) : NULL;
    CHECK_OK(cupel_plan_create(&s.plan, s.context, 1));
    CHECK_OK_TEXT(
        cupel_trainer_create(&s.trainer, s.context, s.recipe, s.train, s.held_out, s.plan),
        cupel_context_error(s.context));
    return s;
}

static void unmake(struct setup *s) {
    CHECK_OK(cupel_trainer_destroy(s->trainer));
    cupel_plan_destroy(s->plan);
    cupel_dataset_destroy(s->train);
    cupel_dataset_destroy(s->held_out);
    cupel_recipe_destroy(s->recipe);
    CHECK_OK(cupel_context_destroy(s->context));
}

static cupel_step_result step(struct setup *s) {
    cupel_step_result result;
    CHECK_OK_TEXT(cupel_trainer_step(s->trainer, &result), cupel_trainer_error(s->trainer));
    return result;
}

static cupel_epoch_result end_epoch(struct setup *s) {
    cupel_epoch_result result;
    CHECK_OK_TEXT(cupel_trainer_end_epoch(s->trainer, &result), cupel_trainer_error(s->trainer));
    return result;
}

static void run_steps(struct setup *s, int steps) {
    for (int i = 0; i < steps; i++)
        if (step(s).epoch_over)
            (void)end_epoch(s);
}

static cupel_tensors *state_of(struct setup *s) {
    cupel_tensors *state;
    CHECK_OK(cupel_tensors_create(&state));
    CHECK_OK_TEXT(cupel_trainer_export(s->trainer, state), cupel_trainer_error(s->trainer));
    return state;
}

static void check_same(const cupel_tensors *a, const cupel_tensors *b) {
    CHECK_I64((int64_t)cupel_tensors_count(a), (int64_t)cupel_tensors_count(b));
    for (size_t i = 0; i < cupel_tensors_count(a); i++) {
        const cupel_tensor *const x = cupel_tensors_at(a, i);
        const cupel_tensor *const y = cupel_tensors_find(b, x->name);
        CHECK(y != NULL && cupel_desc_equal(&x->desc, &y->desc));
        if (memcmp(x->data, y->data, cupel_desc_bytes(&x->desc)) != 0)
            fail_msg("tensor %s differs", x->name);
    }
    for (size_t i = 0; cupel_tensors_metadata_key(a, i) != NULL; i++) {
        const char *const key = cupel_tensors_metadata_key(a, i);
        CHECK_STRING(cupel_tensors_metadata(b, key), cupel_tensors_metadata(a, key));
    }
}

/* --- the sums --- */

/* The mean over an epoch is the mean over the steps, weighted by their images; with a KL weight the
 * loss is what the two terms make. */
static void test_epoch_is_the_mean_of_its_steps(void **state) {
    (void)state;
    struct setup s = make(dense_settings, "loss.kl_weight=0.5", false);
    for (int epoch = 0; epoch < 2; epoch++) {
        double sum = 0;
        for (int batch = 0; batch < 4; batch++) {
            const cupel_step_result result = step(&s);
            CHECK_I64(result.epoch, epoch);
            CHECK_I64(result.batch, batch);
            CHECK_I64(result.images, batch == 3 ? 4 : 6);
            CHECK_U64(result.step, epoch * 4 + batch + 1);
            CHECK(result.epoch_over == (batch == 3));
            sum += (double)result.images * result.loss;
        }
        const cupel_epoch_result result = end_epoch(&s);
        CHECK_NEAR(result.loss, sum / IMAGES, 1e-6 * fabs(result.loss));
        CHECK_NEAR(result.loss, result.train.reconstruction + 0.5 * result.train.kl, 1e-4);
        CHECK_NEAR(result.train.elbo, result.train.reconstruction + result.train.kl, 1e-12);
        CHECK(!result.has_held_out && isnan(result.threshold));
    }
    unmake(&s);
}

/* Parameters after some steps of plain gradient descent with a warm-up. */
static cupel_tensors *descend(const char *rate, const char *warmup, int steps) {
    const char *const settings[] = {"train.optimizer=sgd", "train.momentum=0", rate, warmup};
    struct setup s = make(dense_settings, NULL, false);
    CHECK_OK(cupel_trainer_destroy(s.trainer));
    cupel_plan_destroy(s.plan);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        CHECK_OK(cupel_recipe_set(s.recipe, settings[i], "test"));
    CHECK_OK(cupel_plan_create(&s.plan, s.context, 1));
    CHECK_OK(cupel_trainer_create(&s.trainer, s.context, s.recipe, s.train, s.held_out, s.plan));
    run_steps(&s, steps);
    cupel_tensors *const state = state_of(&s);
    unmake(&s);
    return state;
}

/* Whether two descents end in the same parameters. Releases both. */
static bool end_alike(cupel_tensors *a, cupel_tensors *b) {
    bool same = true;
    for (size_t i = 0; i < cupel_tensors_count(a); i++) {
        const cupel_tensor *const x = cupel_tensors_at(a, i);
        const cupel_tensor *const y = cupel_tensors_find(b, x->name);
        CHECK(y != NULL);
        same &= memcmp(x->data, y->data, cupel_desc_bytes(&x->desc)) == 0;
    }
    cupel_tensors_destroy(a);
    cupel_tensors_destroy(b);
    return same;
}

/* Step k of W has k / W of the learning rate; after W steps it is whole. */
static void test_warmup(void **state) {
    (void)state;
    const char *const whole = "train.learning_rate=0.0001", *const half =
                                                                "train.learning_rate=5e-5";
    CHECK(end_alike(descend(whole, "train.warmup_steps=2", 1),
                    descend(half, "train.warmup_steps=0", 1)));
    CHECK(!end_alike(descend(whole, "train.warmup_steps=2", 2),
                     descend(half, "train.warmup_steps=0", 2)));
    CHECK(end_alike(descend(whole, "train.warmup_steps=1", 3),
                    descend(whole, "train.warmup_steps=0", 3)));
}

/* Five kinds of stripes are soon learnt: the held-out loss falls well below its start. */
static void test_it_learns(void **state) {
    (void)state;
    struct setup s = make(dense_settings, "train.learning_rate=0.01", true);
    CHECK_OK(cupel_trainer_destroy(s.trainer));
    cupel_plan_destroy(s.plan);
    CHECK_OK(cupel_recipe_set(s.recipe, "train.epochs=60", "test"));
    CHECK_OK(cupel_plan_create(&s.plan, s.context, 1));
    CHECK_OK(cupel_trainer_create(&s.trainer, s.context, s.recipe, s.train, s.held_out, s.plan));
    CHECK_I64(cupel_trainer_get_info(s.trainer).held_out, HELD_OUT);
    double first = 0;
    cupel_epoch_result result = {0};
    for (int epoch = 0; epoch < 60; epoch++) {
        run_steps(&s, 3);
        (void)step(&s);
        result = end_epoch(&s);
        first = epoch == 0 ? result.held_out.elbo : first;
    }
    CHECK(result.has_held_out);
    CHECK(result.held_out.elbo < 0.9 * first);
    CHECK(result.threshold >=
          result.held_out.elbo); /* .99 quantile of 7 scores: near the highest */
    unmake(&s);
}

static void test_order_of_calls(void **state) {
    (void)state;
    struct setup s = make(dense_settings, "train.epochs=1", false);
    cupel_epoch_result epoch;
    cupel_step_result result;
    CHECK_STATUS(cupel_trainer_end_epoch(s.trainer, &epoch), CUPEL_STATUS_BUG);
    for (int i = 0; i < 4; i++)
        (void)step(&s);
    CHECK_STATUS(cupel_trainer_step(s.trainer, &result), CUPEL_STATUS_BUG);
    (void)end_epoch(&s);
    CHECK_STATUS(cupel_trainer_step(s.trainer, &result), CUPEL_STATUS_BUG);
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "all 1 epochs are done");
    unmake(&s);
}

/* --- state --- */

/* Exported after every number of steps and taken up by a fresh trainer, with other workers. */
static void check_resuming(const char *const *settings, int total) {
    struct setup whole = make(settings, NULL, true);
    run_steps(&whole, total);
    cupel_tensors *const expected = state_of(&whole);
    for (int at = 0; at <= total; at++) {
        check_context("exported after %d steps", at);
        struct setup first = make(settings, NULL, true);
        run_steps(&first, at);
        cupel_tensors *const middle = state_of(&first);
        unmake(&first);
        struct setup second = make(settings, "workers=3", true);
        CHECK_OK_TEXT(cupel_trainer_import(second.trainer, middle),
                      cupel_trainer_error(second.trainer));
        CHECK_U64(cupel_trainer_get_info(second.trainer).step, at);
        run_steps(&second, total - at);
        cupel_tensors *const got = state_of(&second);
        check_same(got, expected);
        cupel_tensors_destroy(got);
        cupel_tensors_destroy(middle);
        unmake(&second);
    }
    cupel_tensors_destroy(expected);
    unmake(&whole);
}

static void test_resuming_anywhere(void **state) {
    (void)state;
    check_resuming(dense_settings, 9);
}

static void test_resuming_convolutional(void **state) {
    (void)state;
    check_resuming(conv_settings, 3);
}

static void test_foreign_states_are_refused(void **state) {
    (void)state;
    struct setup s = make(dense_settings, NULL, false);
    struct setup other = make(dense_settings, "model.latent=4", false);
    cupel_tensors *tensors = state_of(&other);
    /* Another network chose kernels for other shapes. */
    CHECK_STATUS(cupel_trainer_import(s.trainer, tensors), CUPEL_STATUS_MISMATCH);
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "cupel.plan");
    cupel_tensors_destroy(tensors);
    unmake(&other);

    tensors = state_of(&s);
    CHECK_OK(cupel_tensors_set_metadata(tensors, "cupel.data", "0123456789abcdef"));
    CHECK_STATUS(cupel_trainer_import(s.trainer, tensors), CUPEL_STATUS_MISMATCH);
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "other training images");
    cupel_tensors_destroy(tensors);

    tensors = state_of(&s);
    CHECK_OK(cupel_tensors_set_metadata(tensors, "cupel.batch", "5"));
    CHECK_STATUS(cupel_trainer_import(s.trainer, tensors), CUPEL_STATUS_BAD_DATA);
    CHECK_OK(cupel_tensors_set_metadata(tensors, "cupel.batch", "-1"));
    CHECK_STATUS(cupel_trainer_import(s.trainer, tensors), CUPEL_STATUS_BAD_DATA);
    cupel_tensors_destroy(tensors);

    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_STATUS(cupel_trainer_import(s.trainer, tensors), CUPEL_STATUS_BAD_DATA);
    cupel_tensors_destroy(tensors);
    run_steps(&s, 2); /* it still works */
    unmake(&s);
}

/* --- the plan --- */

static const struct plan_choice *choice_of(const cupel_plan *plan, const char *program,
                                           const struct plan_choice *like) {
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->choices[i].program, program) == 0 &&
            strcmp(plan->choices[i].node, like->node) == 0)
            return &plan->choices[i];
    return NULL;
}

/* The scoring program's convolutions are the training step's, though it has other shapes: they run
 * as measured there. */
static void test_scores_are_planned_like_training(void **state) {
    (void)state;
    struct setup s = make(conv_settings, "plan=measure", true);
    int64_t convolutions = 0;
    for (size_t i = 0; i < s.plan->count; i++) {
        const struct plan_choice *const score = &s.plan->choices[i];
        const bool convolution =
            strncmp(score->op, "conv2d", 6) == 0 || strcmp(score->op, "fused_conv") == 0;
        if (strcmp(score->program, "score") != 0 || !convolution)
            continue;
        const struct plan_choice *const train = choice_of(s.plan, "train", score);
        check_context("%s", score->node);
        CHECK(train != NULL);
        CHECK_STRING(score->kernel, train->kernel);
        CHECK(score->layout == train->layout);
        convolutions++;
    }
    CHECK_I64(convolutions, 6);
    unmake(&s);
}

/* --- what goes wrong --- */

static void test_guard_names_the_node_and_changes_nothing(void **state) {
    (void)state;
    struct setup s = make(dense_settings, "train.learning_rate=10", false);
    CHECK_OK(cupel_trainer_destroy(s.trainer));
    CHECK_OK(cupel_recipe_set(s.recipe, "train.optimizer=sgd", "test"));
    CHECK_OK(cupel_recipe_set(s.recipe, "train.epochs=50", "test"));
    cupel_plan_destroy(s.plan);
    CHECK_OK(cupel_plan_create(&s.plan, s.context, 1));
    CHECK_OK(cupel_trainer_create(&s.trainer, s.context, s.recipe, s.train, NULL, s.plan));
    cupel_status status = CUPEL_STATUS_OK;
    cupel_tensors *before = NULL, *after;
    for (int i = 0; i < 200 && status == CUPEL_STATUS_OK; i++) {
        cupel_step_result result;
        cupel_epoch_result epoch;
        cupel_tensors_destroy(before);
        before = state_of(&s);
        status = cupel_trainer_step(s.trainer, &result);
        if (status == CUPEL_STATUS_OK && result.epoch_over)
            CHECK_OK(cupel_trainer_end_epoch(s.trainer, &epoch));
    }
    CHECK_STATUS(status, CUPEL_STATUS_NOT_FINITE);
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "the loss is not finite at step");
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "node '");
    after = state_of(&s);
    check_same(before, after);
    cupel_tensors_destroy(before);
    cupel_tensors_destroy(after);
    unmake(&s);
}

/* A sum in float overflows where the reference's, in double, does not: the replay runs through to
 * the guard and must not update anything either. */
static void test_overflow_in_a_fast_kernel_changes_nothing(void **state) {
    (void)state;
    struct setup s = make(dense_settings, NULL, false);
    cupel_tensors *const before = state_of(&s);
    const cupel_tensor *const hidden = cupel_tensors_find(before, "encoder.fc.weight");
    const cupel_tensor *const hidden_bias = cupel_tensors_find(before, "encoder.fc.bias");
    const cupel_tensor *const mean = cupel_tensors_find(before, "encoder.mu.weight");
    const int64_t width = hidden_bias->desc.shape.dims[0];
    memset(hidden->data, 0, cupel_desc_bytes(&hidden->desc));
    for (int64_t i = 0; i < width; i++)
        ((float *)hidden_bias->data)[i] = 1;
    for (int64_t i = 0; i < cupel_shape_count(mean->desc.shape); i++)
        ((float *)mean->data)[i] = i % width < 2 ? 2e38f : i % width < 4 ? -2e38f : 0;
    CHECK_OK_TEXT(cupel_trainer_import(s.trainer, before), cupel_trainer_error(s.trainer));
    cupel_step_result result;
    CHECK_STATUS(cupel_trainer_step(s.trainer, &result), CUPEL_STATUS_NOT_FINITE);
    CHECK_CONTAINS(cupel_trainer_error(s.trainer), "the reference kernels stay finite");
    cupel_tensors *const after = state_of(&s);
    check_same(before, after);
    cupel_tensors_destroy(before);
    cupel_tensors_destroy(after);
    unmake(&s);
}

static void refuse(const char *setting, const char *second, cupel_status expected,
                   const char *part) {
    check_context("%s", setting);
    cupel_context *const context = context_on(NULL);
    cupel_recipe *const recipe = recipe_of(conv_settings);
    cupel_dataset *const images = striped_images(IMAGES, SIDE, 0);
    cupel_trainer *trainer;
    CHECK_OK(cupel_recipe_set(recipe, setting, "test"));
    if (second != NULL)
        CHECK_OK(cupel_recipe_set(recipe, second, "test"));
    CHECK_STATUS(cupel_trainer_create(&trainer, context, recipe, images, NULL, NULL), expected);
    CHECK(trainer == NULL);
    CHECK_CONTAINS(cupel_context_error(context), part);
    cupel_dataset_destroy(images);
    cupel_recipe_destroy(recipe);
    CHECK_OK(cupel_context_destroy(context));
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    refuse("train.batch=23", NULL, CUPEL_STATUS_BAD_DATA, "only 22 training images");
    refuse("model.image=16", NULL, CUPEL_STATUS_SHAPE, "8 x 8");
    refuse("model.filters=[8]", NULL, CUPEL_STATUS_UNSUPPORTED, "model.filters");
    refuse("loss.reconstruction=bernoulli", NULL, CUPEL_STATUS_UNSUPPORTED, "bernoulli");
    refuse("model.name=mlp-vae", "model.hidden=[3, 4]", CUPEL_STATUS_UNSUPPORTED, "one hidden");
}

/* Making, one step, and taking apart, with every allocation refused in turn. */
static cupel_status one_step(void *user) {
    struct setup *const s = user;
    cupel_trainer *trainer = NULL;
    cupel_step_result result;
    cupel_status status =
        cupel_trainer_create(&trainer, s->context, s->recipe, s->train, s->held_out, NULL);
    if (status == CUPEL_STATUS_OK)
        status = cupel_trainer_step(trainer, &result);
    (void)cupel_trainer_destroy(trainer);
    return status;
}

static void refuse_each_allocation(const char *const *settings) {
    struct setup s = make(settings, NULL, true);
    CHECK_OK(one_step(&s)); /* what is kept for good is there */
    CHECK(drill_memory(one_step, &s) > 100);
    unmake(&s);
}

static void test_memory_refused(void **state) {
    (void)state;
    refuse_each_allocation(dense_settings);
}

static void test_memory_refused_convolutional(void **state) {
    (void)state;
    refuse_each_allocation(conv_settings);
}

/* --- jobs --- */

struct job_setup {
    cupel_context *context;
    cupel_recipe *recipe;
    char data[128], out[128];
};

static struct job_setup job_make(const char *folder) {
    struct job_setup s = {.context = context_on(NULL), .recipe = recipe_of(dense_settings)};
    snprintf(s.data, sizeof s.data, "%s-data", folder);
    snprintf(s.out, sizeof s.out, "%s", folder);
    CHECK_I64(mkdir(s.data, 0700), 0);
    write_striped_idx(s.data, "train", 30, 0, SIDE);
    CHECK_OK(cupel_recipe_set(s.recipe, "data.held_out=8", "test"));
    CHECK_OK(cupel_recipe_set(s.recipe, "train.checkpoint_steps=3", "test"));
    CHECK_OK(cupel_recipe_set(s.recipe, "train.epochs=2", "test"));
    return s;
}

static void job_unmake(struct job_setup *s) {
    drill_folder_remove(s->data);
    cupel_recipe_destroy(s->recipe);
    CHECK_OK(cupel_context_destroy(s->context));
}

/* Resumes where there is something to resume. */
static cupel_status run_job(struct job_setup *s, const char *folder) {
    cupel_job *job = NULL;
    char config[256];
    const cupel_job_options options = {.data = s->data, .folder = folder, .force = true};
    snprintf(config, sizeof config, "%s/config.yaml", folder);
    cupel_status status = access(config, F_OK) == 0
                              ? cupel_job_resume(&job, s->context, folder, &options)
                              : cupel_job_create(&job, s->context, s->recipe, &options);
    if (status == CUPEL_STATUS_OK)
        status = cupel_job_run(job);
    (void)cupel_job_destroy(job);
    return status;
}

static uint8_t *file_of(const char *folder, const char *name, size_t *size) {
    char path[256];
    uint8_t *bytes;
    struct cupel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK_TEXT(file_read(path, 0, &bytes, size, &error), error.text);
    return bytes;
}

static void check_same_file(const char *a, const char *b, const char *name) {
    size_t size_a, size_b;
    uint8_t *const x = file_of(a, name, &size_a), *const y = file_of(b, name, &size_b);
    if (size_a != size_b || memcmp(x, y, size_a) != 0)
        fail_msg("%s differs", name);
    cupel_free(x);
    cupel_free(y);
}

/* Each write fails in turn: the job fails with IO, and resuming gives the same bytes as a run that
 * nothing happened to. */
static void test_failing_writes(void **state) {
    (void)state;
    char whole[64], broken[64];
    snprintf(whole, sizeof whole, "%s", drill_folder());
    struct job_setup s = job_make(whole);
    CHECK_OK_TEXT(run_job(&s, whole), cupel_context_error(s.context));
    for (uint64_t n = 0;; n++) {
        check_context("write %llu fails", (unsigned long long)n);
        snprintf(broken, sizeof broken, "%s", drill_folder());
        file_fail_after(n, false);
        const cupel_status status = run_job(&s, broken);
        file_fail_never();
        if (status != CUPEL_STATUS_OK) {
            CHECK_STATUS(status, CUPEL_STATUS_IO);
            CHECK_OK_TEXT(run_job(&s, broken), cupel_context_error(s.context));
        }
        check_same_file(whole, broken, "state.safetensors");
        check_same_file(whole, broken, "best.safetensors");
        check_same_file(whole, broken, "last.safetensors");
        check_same_file(whole, broken, "split.json");
        drill_folder_remove(broken);
        if (status == CUPEL_STATUS_OK) {
            CHECK(n > 20);
            break;
        }
    }
    drill_folder_remove(whole);
    job_unmake(&s);
}

/* Memory is refused at one place after another: the job fails with a sentence or does without, and
 * what it left is gone on with to the same bytes. One place in 23 of all: each of them in making a
 * trainer, and in each reader and writer alone, has tests of its own. */
static void test_job_memory_refused(void **state) {
    (void)state;
    char whole[64], broken[64];
    snprintf(whole, sizeof whole, "%s", drill_folder());
    struct job_setup s = job_make(whole);
    CHECK_OK_TEXT(run_job(&s, whole), cupel_context_error(s.context));
    uint64_t failures = 0;
    for (uint64_t n = 0, refused = 1; refused > 0; n = drill_next(n)) {
        check_context("allocation %llu is refused", (unsigned long long)n);
        snprintf(broken, sizeof broken, "%s", drill_folder());
        const struct cupel_memory_stats before = cupel_memory_stats();
        cupel_memory_fail_after(n, false);
        const cupel_status status = run_job(&s, broken);
        cupel_memory_fail_never();
        const struct cupel_memory_stats after = cupel_memory_stats();
        CHECK_I64(after.live_blocks, before.live_blocks);
        refused = after.refused - before.refused;
        if (status != CUPEL_STATUS_OK) {
            CHECK_STATUS(status, CUPEL_STATUS_OUT_OF_MEMORY);
            CHECK_OK_TEXT(run_job(&s, broken), cupel_context_error(s.context));
            failures++;
        }
        check_same_file(whole, broken, "state.safetensors");
        check_same_file(whole, broken, "best.safetensors");
        check_same_file(whole, broken, "last.safetensors");
        drill_folder_remove(broken);
    }
    CHECK(failures > 50);
    drill_folder_remove(whole);
    job_unmake(&s);
}

static bool stop_after(void *user, const cupel_progress *progress) {
    return progress->step.step < *(const uint64_t *)user;
}

/* Stopped by the progress function at every step, in the end of an epoch too. */
static void test_stopping_on_request(void **state) {
    (void)state;
    char whole[64], stopped[64];
    snprintf(whole, sizeof whole, "%s", drill_folder());
    struct job_setup s = job_make(whole);
    CHECK_OK(run_job(&s, whole));
    for (uint64_t at = 1; at <= 8; at++) {
        check_context("stopped after step %llu", (unsigned long long)at);
        snprintf(stopped, sizeof stopped, "%s", drill_folder());
        cupel_job *job;
        const cupel_job_options options = {
            .data = s.data, .folder = stopped, .progress = stop_after, .user = &at};
        CHECK_OK(cupel_job_create(&job, s.context, s.recipe, &options));
        CHECK_STATUS(cupel_job_run(job), CUPEL_STATUS_INTERRUPTED);
        CHECK_CONTAINS(cupel_job_error(job), "--resume");
        /* Locked while it is alive. */
        CHECK_STATUS(run_job(&s, stopped), CUPEL_STATUS_BUSY);
        CHECK_OK(cupel_job_destroy(job));
        CHECK_OK_TEXT(run_job(&s, stopped), cupel_context_error(s.context));
        check_same_file(whole, stopped, "state.safetensors");
        check_same_file(whole, stopped, "last.safetensors");
        drill_folder_remove(stopped);
    }
    drill_folder_remove(whole);
    job_unmake(&s);
}

static bool stop_at_last_epoch(void *user, const cupel_progress *progress) {
    (void)user;
    return progress->epoch == NULL || progress->epoch->epoch < 1;
}

/* After the last epoch there is nothing to stop. */
static void test_stopping_too_late(void **state) {
    (void)state;
    char folder[64];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    struct job_setup s = job_make(folder);
    cupel_job *job;
    const cupel_job_options options = {
        .data = s.data, .folder = folder, .progress = stop_at_last_epoch};
    CHECK_OK(cupel_job_create(&job, s.context, s.recipe, &options));
    CHECK_OK_TEXT(cupel_job_run(job), cupel_job_error(job));
    CHECK_OK(cupel_job_destroy(job));
    drill_folder_remove(folder);
    job_unmake(&s);
}

static void test_data_folder_is_remembered(void **state) {
    (void)state;
    char folder[64], data[512];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    struct job_setup s = job_make(folder);
    CHECK(!cupel_job_data(folder, data, sizeof data));
    CHECK_OK(run_job(&s, folder));
    CHECK(cupel_job_data(folder, data, sizeof data));
    CHECK_STRING(data, s.data);
    cupel_job *job;
    const cupel_job_options more = {.epochs = 3};
    CHECK_OK_TEXT(cupel_job_resume(&job, s.context, folder, &more), cupel_context_error(s.context));
    CHECK_I64(cupel_trainer_get_info(cupel_job_trainer(job)).epoch, 2);
    CHECK_OK(cupel_job_run(job));
    CHECK_OK(cupel_job_destroy(job));
    drill_folder_remove(folder);
    CHECK_STATUS(cupel_job_resume(&job, s.context, folder, NULL), CUPEL_STATUS_IO);
    job_unmake(&s);
}

/* The same recipe on other images, or on the same divided otherwise, is another run. */
static void test_other_images_are_refused(void **state) {
    (void)state;
    char folder[64];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    struct job_setup s = job_make(folder);
    cupel_job *job;
    const cupel_job_options more = {.data = s.data, .epochs = 3};
    CHECK_OK_TEXT(run_job(&s, folder), cupel_context_error(s.context));
    write_striped_idx(s.data, "train", 30, 1, SIDE);
    CHECK_STATUS(cupel_job_resume(&job, s.context, folder, &more), CUPEL_STATUS_MISMATCH);
    CHECK_CONTAINS(cupel_context_error(s.context), "split.json: the images in ");
    write_striped_idx(s.data, "train", 30, 0, SIDE);
    CHECK_OK_TEXT(cupel_job_resume(&job, s.context, folder, &more), cupel_context_error(s.context));
    CHECK_OK(cupel_job_destroy(job));
    drill_folder_remove(folder);
    job_unmake(&s);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epoch_is_the_mean_of_its_steps),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_it_learns),
        cmocka_unit_test(test_order_of_calls),
        cmocka_unit_test(test_resuming_anywhere),
        cmocka_unit_test(test_resuming_convolutional),
        cmocka_unit_test(test_foreign_states_are_refused),
        cmocka_unit_test(test_scores_are_planned_like_training),
        cmocka_unit_test(test_guard_names_the_node_and_changes_nothing),
        cmocka_unit_test(test_overflow_in_a_fast_kernel_changes_nothing),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_memory_refused_convolutional),
        cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_job_memory_refused),
        cmocka_unit_test(test_stopping_on_request),
        cmocka_unit_test(test_stopping_too_late),
        cmocka_unit_test(test_data_folder_is_remembered),
        cmocka_unit_test(test_other_images_are_refused),
    };
    return CHECK_MAIN(tests);
}
