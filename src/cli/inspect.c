/*
 * cupel inspect: prints the compiled training step of a recipe. No data are needed, only shapes.
 * Test: tests/command_line.bats
 */
#include <cupel/trainer.h>

#include "commands.h"

/* As many black images as one full batch takes. */
static cupel_status black_images(cupel_dataset **out, cupel_recipe *recipe) {
    int64_t batch = 0, channels = 0, image = 0;
    if (cupel_recipe_get_int(recipe, "train.batch", &batch) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.channels", &channels) != CUPEL_STATUS_OK ||
        cupel_recipe_get_int(recipe, "model.image", &image) != CUPEL_STATUS_OK)
        return CUPEL_STATUS_BUG;
    return cupel_dataset_create(out, batch, channels, image, image, NULL, NULL);
}

static int print_step(cupel_context *context, cupel_recipe *recipe) {
    cupel_dataset *images = NULL;
    const cupel_status status = black_images(&images, recipe);
    int code = fail_with(status, images == NULL ? NULL : cupel_dataset_error(images));
    cupel_trainer *trainer = NULL;
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_create(&trainer, context, recipe, images, NULL, NULL),
                         cupel_context_error(context));
    if (code == EXIT_FINE)
        code = fail_with(cupel_trainer_print(trainer, stdout), NULL);
    (void)cupel_trainer_destroy(trainer);
    cupel_dataset_destroy(images);
    return code;
}

int command_inspect(const struct arguments *arguments) {
    int code;
    cupel_recipe *recipe;
    cupel_context *const context = make_context(&code);
    if (context == NULL)
        return code;
    code = read_recipe(&recipe, arguments->operands[0], arguments);
    if (code == EXIT_FINE) {
        code = print_step(context, recipe);
        cupel_recipe_destroy(recipe);
    }
    (void)cupel_context_destroy(context);
    return code;
}
