/*
 * Scores one image with a trained run: how anomalous is it?
 *
 *   cc score_image.c $(pkg-config --cflags --libs cupel) && ./a.out RUN/best.safetensors photo.png
 */
#include <stdio.h>
#include <stdlib.h>

#include <cupel/cupel.h>

/* A grey PNG as a data set of one image. */
static cupel_dataset *open_image(const char *path) {
    cupel_image *image;
    cupel_dataset *set = NULL;
    if (cupel_image_read(&image, path) != CUPEL_STATUS_OK)
        fprintf(stderr, "%s\n", image == NULL ? "out of memory" : cupel_image_error(image));
    else if (cupel_image_channels(image) != 1)
        fprintf(stderr, "%s is not grey\n", path);
    else if (cupel_dataset_create(&set, 1, 1, cupel_image_height(image), cupel_image_width(image),
                                  cupel_image_pixels(image), NULL) != CUPEL_STATUS_OK)
        fprintf(stderr, "%s\n", set == NULL ? "out of memory" : cupel_dataset_error(set));
    cupel_image_destroy(image);
    return set;
}

static int print_score(cupel_scorer *scorer, const cupel_dataset *image) {
    const cupel_scorer_info info = cupel_scorer_get_info(scorer);
    cupel_score score;
    if (cupel_scorer_run(scorer, image, &score, NULL) != CUPEL_STATUS_OK) {
        fprintf(stderr, "%s\n", cupel_scorer_error(scorer));
        return 1;
    }
    char total[CUPEL_NUMBER_TEXT_SIZE], error[CUPEL_NUMBER_TEXT_SIZE], kl[CUPEL_NUMBER_TEXT_SIZE];
    printf("score %s (reconstruction %s, KL %s)%s\n", cupel_number_format(total, score.score),
           cupel_number_format(error, score.reconstruction), cupel_number_format(kl, score.kl),
           !info.has_threshold            ? ""
           : score.score > info.threshold ? ": anomalous"
                                          : ": normal");
    return 0;
}

int main(int argc, char **argv) {
    cupel_context *context;
    cupel_scorer *scorer;
    if (argc != 3) {
        fprintf(stderr, "usage: score_image WEIGHTS.safetensors IMAGE.png\n");
        return 2;
    }
    if (cupel_context_create(&context, NULL) != CUPEL_STATUS_OK)
        return 1;
    int code = 1;
    if (cupel_scorer_create(&scorer, context, argv[1], NULL) != CUPEL_STATUS_OK) {
        fprintf(stderr, "%s\n", cupel_context_error(context));
    } else {
        cupel_dataset *const image = open_image(argv[2]);
        code = image == NULL ? 1 : print_score(scorer, image);
        cupel_dataset_destroy(image);
        cupel_scorer_destroy(scorer);
    }
    cupel_context_destroy(context);
    return code;
}
