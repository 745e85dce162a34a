/*
 * Scores (src/method/elbo_score.c, src/train/evaluator.c): what the formula says, the same bits
 * alone, first, last and among others, and weights files that are not what they should be.
 */
#include "support/drill.h"

#include "cupel/models.h"
#include "cupel/program.h"
#include "cupel/score.h"
#include "cupel/trainer.h"
#include "support/trainer.h"

enum { IMAGES = 37 }; /* two full scoring batches and a smaller one */

/* Writes the weights of an untrained network, or one that ran a few steps. */
static void write_weights(const char *path, const char *const *settings, const char *extra,
                          int64_t side, int steps) {
    cupel_context *const context = context_on("cpu");
    cupel_recipe *const recipe = recipe_of(settings);
    if (extra != NULL)
        CHECK_OK(cupel_recipe_set(recipe, extra, "test"));
    cupel_dataset *const train = striped_images(12, side, 0);
    cupel_trainer *trainer;
    cupel_tensors *weights;
    CHECK_OK_TEXT(cupel_trainer_create(&trainer, context, recipe, train, NULL, NULL),
                  cupel_context_error(context));
    for (int i = 0; i < steps; i++) {
        cupel_step_result result;
        CHECK_OK(cupel_trainer_step(trainer, &result));
    }
    CHECK_OK(cupel_tensors_create(&weights));
    CHECK_OK(cupel_trainer_export_weights(trainer, weights, NULL));
    CHECK_OK_TEXT(cupel_tensors_write(weights, path), cupel_tensors_error(weights));
    cupel_tensors_destroy(weights);
    CHECK_OK(cupel_trainer_destroy(trainer));
    cupel_dataset_destroy(train);
    cupel_recipe_destroy(recipe);
    CHECK_OK(cupel_context_destroy(context));
}

static cupel_scorer *open_scorer(cupel_context *context, const char *path, int threads) {
    cupel_scorer *scorer;
    const cupel_scorer_options options = {.threads = threads};
    CHECK_OK_TEXT(cupel_scorer_create(&scorer, context, path, &options),
                  cupel_context_error(context));
    return scorer;
}

static void score(cupel_scorer *scorer, const cupel_dataset *images, cupel_score *scores) {
    CHECK_OK_TEXT(cupel_scorer_run(scorer, images, scores, NULL), cupel_scorer_error(scorer));
}

/* The images in that order. */
static cupel_dataset *taken(const cupel_dataset *images, const int64_t *indices, int64_t count) {
    cupel_dataset *set;
    CHECK_OK(cupel_dataset_take(&set, images, indices, count));
    return set;
}

static void check_bits(const cupel_score *a, const cupel_score *b) {
    CHECK(memcmp(a, b, sizeof *a) == 0);
}

/* Every image alone, and all of them backwards, and each beside a hundred copies of another. */
static void check_company(const char *path, const char *device, int threads, int64_t side,
                          int64_t stride) {
    cupel_context *const context = context_on(device);
    cupel_scorer *const scorer = open_scorer(context, path, threads);
    cupel_dataset *const images = striped_images(IMAGES, side, 3);
    cupel_score among[IMAGES], backwards[IMAGES], alone, crowd[20];
    int64_t order[IMAGES];
    score(scorer, images, among);
    CHECK(among[0].score != among[1].score);
    for (int64_t i = 0; i < IMAGES; i++)
        order[i] = IMAGES - 1 - i;
    cupel_dataset *set = taken(images, order, IMAGES);
    score(scorer, set, backwards);
    cupel_dataset_destroy(set);
    for (int64_t i = 0; i < IMAGES; i++) {
        check_context("%s, %d threads, image %lld", device, threads, (long long)i);
        check_bits(&backwards[IMAGES - 1 - i], &among[i]);
        if (i % stride != 0)
            continue;
        set = taken(images, &i, 1);
        score(scorer, set, &alone);
        cupel_dataset_destroy(set);
        check_bits(&alone, &among[i]);
        for (int64_t k = 0; k < 20; k++)
            order[k] = k == 17 ? i : 5;
        set = taken(images, order, 20);
        score(scorer, set, crowd);
        cupel_dataset_destroy(set);
        check_bits(&crowd[17], &among[i]);
        check_bits(&crowd[0], &among[5]);
    }
    cupel_dataset_destroy(images);
    CHECK_OK(cupel_scorer_destroy(scorer));
    CHECK_OK(cupel_context_destroy(context));
}

static void test_company_does_not_matter(void **state) {
    (void)state;
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, dense_settings, NULL, SIDE, 2);
    check_company(path, "cpu", 1, SIDE, 1);
    check_company(path, "cpu", 2, SIDE, 1);
    check_company(path, "reference", 1, SIDE, 1);
    write_weights(path, conv_settings, NULL, SIDE, 2);
    check_company(path, "cpu", 1, SIDE, 1);
    check_company(path, "cpu", 2, SIDE, 1);
    check_company(path, "reference", 1, SIDE, 6);
    CHECK_I64(setenv("CUPEL_DISABLE", "onednn", 1), 0);
    check_company(path, "cpu", 2, SIDE, 6);
    CHECK_I64(unsetenv("CUPEL_DISABLE"), 0);
    drill_folder_remove(folder);
}

/* The network of the demonstration at its own size, where the blocked kernels work. */
static void test_company_does_not_matter_at_full_size(void **state) {
    (void)state;
    static const char *const full[] = {"train.batch=6", "threads=1", "data.held_out=0", NULL};
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, full, NULL, 32, 1);
    check_company(path, "cpu", 1, 32, 12);
    check_company(path, "cpu", 2, 32, 12);
    drill_folder_remove(folder);
}

/* --- the formula --- */

/* One image through a reference program of batch 1, with the noise of (seed, 0, its pixels). */
static cupel_score by_formula(const char *path, const cupel_dataset *images, int64_t index) {
    cupel_context *const context = context_on("reference");
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_program *program;
    cupel_bindings *bindings;
    cupel_workspace *workspace;
    cupel_tensors *weights;
    CHECK_OK(cupel_parameters_create(&parameters, context, CUPEL_TYPE_F32, 0));
    CHECK_OK(cupel_graph_create(&graph, context, parameters));
    const cupel_node x =
        cupel_input(graph, "images", CUPEL_TYPE_REAL, CUPEL_SHAPE(1, 1, SIDE, SIDE));
    const cupel_vae_options options = {.kind = CUPEL_VAE_CONV, .latents = 3};
    const cupel_vae vae = cupel_vae_build(x, &options, cupel_rng_inputs(graph, 1));
    const cupel_output outputs[] = {{"error", vae.error}, {"kl", vae.kl}};
    const cupel_compile_options compile = {.outputs = outputs, .n_outputs = 2, .reference = true};
    CHECK_OK_TEXT(cupel_program_compile(&program, graph, &compile), cupel_graph_error(graph));
    CHECK_OK(cupel_tensors_read(&weights, path));
    CHECK_OK(cupel_parameters_import(parameters, weights, "", true));
    CHECK_OK(cupel_bindings_create(&bindings, program));
    CHECK_OK(cupel_workspace_create(&workspace, context));
    CHECK_OK(cupel_workspace_reserve(workspace, program));
    float pixels[SIDE * SIDE], error, kl;
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (float)cupel_dataset_pixels(images, index)[i] / 255.0f;
    const uint64_t row = cupel_dataset_row_id(images, index);
    CHECK_OK(cupel_bindings_write(bindings, "images", pixels, sizeof pixels));
    CHECK_OK(cupel_bindings_write(bindings, "rows", &row, sizeof row));
    CHECK_OK(cupel_bindings_write_u64(bindings, "seed", 5));
    CHECK_OK(cupel_bindings_write_u64(bindings, "step", 0));
    CHECK_OK(cupel_program_run(program, bindings, workspace, NULL));
    CHECK_OK(cupel_bindings_read(bindings, "error", &error, sizeof error));
    CHECK_OK(cupel_bindings_read(bindings, "kl", &kl, sizeof kl));
    cupel_tensors_destroy(weights);
    CHECK_OK(cupel_bindings_destroy(bindings));
    CHECK_OK(cupel_workspace_destroy(workspace));
    CHECK_OK(cupel_program_destroy(program));
    CHECK_OK(cupel_graph_destroy(graph));
    CHECK_OK(cupel_parameters_destroy(parameters));
    CHECK_OK(cupel_context_destroy(context));
    return (cupel_score){(double)error + (double)kl, (double)error, (double)kl};
}

static void test_the_formula(void **state) {
    (void)state;
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, conv_settings, "seed=5", SIDE, 2);
    cupel_context *const context = context_on("cpu");
    cupel_scorer *const scorer = open_scorer(context, path, 1);
    cupel_dataset *const images = striped_images(IMAGES, SIDE, 0);
    cupel_score scores[IMAGES];
    score(scorer, images, scores);
    for (int64_t i = 0; i < IMAGES; i += 9) {
        const cupel_score expected = by_formula(path, images, i);
        /* f32 sums of 64 squares, and Winograd's or FMA's other roundings before them. */
        CHECK_NEAR(scores[i].reconstruction, expected.reconstruction,
                   1e-4 * expected.reconstruction);
        CHECK_NEAR(scores[i].kl, expected.kl, 1e-4 * (1.0 + expected.kl));
        CHECK_F64(scores[i].score, scores[i].reconstruction + scores[i].kl);
    }
    cupel_dataset_destroy(images);
    CHECK_OK(cupel_scorer_destroy(scorer));
    CHECK_OK(cupel_context_destroy(context));
    drill_folder_remove(folder);
}

static void test_samples_padding_and_reconstructions(void **state) {
    (void)state;
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, conv_settings, "data.pad=1", SIDE, 2);
    cupel_context *const context = context_on("cpu");
    cupel_scorer *const one = open_scorer(context, path, 1);
    cupel_scorer *many;
    const cupel_scorer_options options = {.threads = 1, .samples = 200};
    CHECK_OK(cupel_scorer_create(&many, context, path, &options));
    cupel_dataset *const images = striped_images(3, SIDE - 2, 0);
    cupel_score scores[3], means[3];
    float drawn[3 * SIDE * SIDE];
    CHECK_OK(cupel_scorer_run(one, images, scores, drawn));
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        CHECK(drawn[i] >= 0.0f && drawn[i] <= 1.0f);
    score(many, images, means);
    for (int i = 0; i < 3; i++) {
        CHECK(means[i].reconstruction != scores[i].reconstruction);
        CHECK_NEAR(means[i].kl, scores[i].kl, 1e-9 * scores[i].kl); /* the KL draws nothing */
    }
    CHECK_I64(cupel_scorer_get_info(many).samples, 200);
    CHECK_I64(cupel_scorer_get_info(one).pad, 1);
    CHECK(!cupel_scorer_get_info(one).has_threshold);
    cupel_dataset_destroy(images);
    cupel_dataset *const large = striped_images(3, SIDE, 0);
    CHECK_STATUS(cupel_scorer_run(one, large, scores, NULL), CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_scorer_error(one), "10 x 10");
    cupel_dataset_destroy(large);
    CHECK_OK(cupel_scorer_destroy(one));
    CHECK_OK(cupel_scorer_destroy(many));
    CHECK_OK(cupel_context_destroy(context));
    drill_folder_remove(folder);
}

/* --- weights that are none --- */

static void refuse(const char *path, cupel_status expected, const char *part) {
    cupel_context *const context = context_on("cpu");
    cupel_scorer *scorer;
    CHECK_STATUS_TEXT(cupel_scorer_create(&scorer, context, path, NULL), expected,
                      cupel_context_error(context));
    CHECK(scorer == NULL);
    CHECK_CONTAINS(cupel_context_error(context), part);
    CHECK_OK(cupel_context_destroy(context));
}

static void test_foreign_weights_are_refused(void **state) {
    (void)state;
    char folder[64], path[128], other[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    snprintf(other, sizeof other, "%s/other.safetensors", folder);
    refuse(path, CUPEL_STATUS_IO, "weights.safetensors");
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK(cupel_tensors_write(tensors, path));
    cupel_tensors_destroy(tensors);
    refuse(path, CUPEL_STATUS_BAD_DATA, "no recipe");

    /* The recipe of one network with the weights of another: both shapes are named. */
    write_weights(path, conv_settings, NULL, SIDE, 0);
    write_weights(other, conv_settings, "model.latent=4", SIDE, 0);
    cupel_tensors *foreign;
    CHECK_OK(cupel_tensors_read(&tensors, path));
    CHECK_OK(cupel_tensors_read(&foreign, other));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "cupel.recipe",
                                        cupel_tensors_metadata(foreign, "cupel.recipe")));
    CHECK_OK(cupel_tensors_write(tensors, path));
    refuse(path, CUPEL_STATUS_SHAPE, "[3, ");
    refuse(path, CUPEL_STATUS_SHAPE, "[4, ");
    CHECK_OK(cupel_tensors_set_metadata(tensors, "cupel.recipe", "train:\n  epocs: 3\n"));
    CHECK_OK(cupel_tensors_write(tensors, path));
    refuse(path, CUPEL_STATUS_BAD_DATA, "train.epochs");
    CHECK_OK(cupel_tensors_set_metadata(foreign, "cupel.threshold", "high"));
    CHECK_OK(cupel_tensors_write(foreign, path));
    refuse(path, CUPEL_STATUS_BAD_DATA, "threshold");
    CHECK_OK(cupel_tensors_set_metadata(foreign, "cupel.format", "cupel-2"));
    CHECK_OK(cupel_tensors_write(foreign, path));
    refuse(path, CUPEL_STATUS_BAD_DATA, "cupel-2");
    cupel_tensors_destroy(tensors);
    cupel_tensors_destroy(foreign);
    drill_folder_remove(folder);
}

/* The last value of the file becomes NaN. */
static void test_weights_that_are_not_finite_are_refused(void **state) {
    (void)state;
    static const unsigned char nan_bytes[] = {0, 0, 0xc0, 0x7f};
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, conv_settings, NULL, SIDE, 0);
    FILE *const file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, -4, SEEK_END) == 0);
    CHECK(fwrite(nan_bytes, 4, 1, file) == 1 && fclose(file) == 0);
    refuse(path, CUPEL_STATUS_NOT_FINITE, "weights.safetensors");
    refuse(path, CUPEL_STATUS_NOT_FINITE, "coder.");
    drill_folder_remove(folder);
}

struct scoring {
    cupel_context *context;
    const char *path;
    cupel_dataset *images;
};

static cupel_status open_and_score(void *user) {
    const struct scoring *const s = user;
    cupel_scorer *scorer = NULL;
    cupel_score scores[3];
    const cupel_scorer_options options = {.threads = 1};
    cupel_status status = cupel_scorer_create(&scorer, s->context, s->path, &options);
    if (status == CUPEL_STATUS_OK)
        status = cupel_scorer_run(scorer, s->images, scores, NULL);
    (void)cupel_scorer_destroy(scorer);
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    write_weights(path, dense_settings, NULL, SIDE, 0);
    struct scoring s = {context_on("cpu"), path, striped_images(3, SIDE, 0)};
    CHECK_OK(open_and_score(&s));
    CHECK(drill_memory(open_and_score, &s) > 50);
    cupel_dataset_destroy(s.images);
    CHECK_OK(cupel_context_destroy(s.context));
    drill_folder_remove(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company_does_not_matter),
        cmocka_unit_test(test_company_does_not_matter_at_full_size),
        cmocka_unit_test(test_the_formula),
        cmocka_unit_test(test_samples_padding_and_reconstructions),
        cmocka_unit_test(test_foreign_weights_are_refused),
        cmocka_unit_test(test_weights_that_are_not_finite_are_refused),
        cmocka_unit_test(test_memory_refused),
    };
    return CHECK_MAIN(tests);
}
