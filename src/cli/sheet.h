/*
 * The two ends of a ranking: keeps the lowest and the highest scores while images pass by, and
 * draws them with their reconstructions. Test: tests/score.bats
 */
#ifndef CUPEL_CLI_SHEET_H
#define CUPEL_CLI_SHEET_H

#include <cupel/score.h>

struct kept {
    double score;
    uint8_t *pixels;
    char caption[32];
};

struct ends {
    size_t most;                     /* at each end */
    int64_t channels, height, width; /* of the images, before padding */
    struct kept *low, *high;         /* sorted: the most extreme first */
    size_t n_low, n_high;
};

/* Both return an exit code. */
int ends_add(struct ends *ends, const cupel_dataset *images, const cupel_score *scores);
int ends_draw(struct ends *ends, cupel_scorer *scorer, const char *path);
void ends_release(struct ends *ends);

#endif
