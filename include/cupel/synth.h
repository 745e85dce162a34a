/*
 * Synthetic data: a labelled set of grey shapes, some with a defect, and for every image the mask
 * of the pixels that its defect changed. A function of the seed; for trying things out where no
 * real data may be used, and for tests that need to know where the defect is.
 *
 * Classes 0 to 3 are whole shapes (disc, square, triangle, cross), classes 4 to 7 shapes of any
 * kind with a defect (scratch, spot, bite, smudge). The folder holds IDX files under the names that
 * cupel_dataset_open() knows, {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte, masks of the
 * same shape as the images, {train,t10k}-masks-idx3-ubyte (255: changed), and classes.txt. One
 * training image in five and every second test image has a defect.
 */
#ifndef CUPEL_SYNTH_H
#define CUPEL_SYNTH_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_SYNTH_SENTENCE_SIZE = 768 };

/* Right when zeroed. */
typedef struct cupel_synth_options {
    uint64_t seed;
    int64_t images; /* for training, 20 to 100,000; a quarter as many for tests; 0: 4,000 */
    int64_t side;   /* height and width, 16 to 128; 0: 28 */
    /* Also as PNG files in the layout of inspection data sets: train/good/000000.png,
     * test/good/, test/scratch/, ..., ground_truth/scratch/000000_mask.png. */
    bool pictures;
} cupel_synth_options;

/* Makes the folder, which must not hold such files yet. INVALID_ARGUMENT, IO, OUT_OF_MEMORY:
 * `sentence` says why, and what was written is removed again. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_synth_make(const char *folder,
                                                      const cupel_synth_options *options,
                                                      char sentence[CUPEL_SYNTH_SENTENCE_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
