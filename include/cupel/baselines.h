/*
 * Baselines: plain anomaly scores that need no network. A study that does not beat them has found
 * nothing. A higher score means more anomalous.
 *
 *   1. cupel_baseline_create() fits one on normal images
 *   2. cupel_baseline_score()
 *   3. cupel_baseline_destroy()
 */
#ifndef CUPEL_BASELINES_H
#define CUPEL_BASELINES_H

#include <cupel/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_baseline cupel_baseline;

typedef enum cupel_baseline_kind {
    /* Mean of the pixels. Not a detector but a probe for a shortcut: an AUROC far from .5 on either
     * side says that brightness alone gives the classes away. */
    CUPEL_BASELINE_MEAN = 0,
    /* Squared distance of the image from the plane of the k leading principal components. */
    CUPEL_BASELINE_PCA = 1,
    /* Mean Euclidean distance to the k nearest training images. */
    CUPEL_BASELINE_NEIGHBOURS = 2
} cupel_baseline_kind;

/* Fits on all images of `normal` (labels are not looked at), which may be destroyed afterwards.
 * Pixels count as value / 255. k is 1 to 64 neighbours or 1 to 1024 components, and not more than
 * the images or pixels allow; ignored for MEAN. The result does not depend on the number of
 * threads. INVALID_ARGUMENT, UNSUPPORTED (PCA of images with more than 8192 values). On failure
 * *out only carries the sentence, or is NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_baseline_create(cupel_baseline **out,
                                                           cupel_baseline_kind kind, int64_t k,
                                                           const cupel_dataset *normal,
                                                           int threads);
CUPEL_API void cupel_baseline_destroy(cupel_baseline *baseline);
CUPEL_API const char *cupel_baseline_error(const cupel_baseline *baseline);
/* "mean intensity", "PCA-32", "5-NN" */
CUPEL_API const char *cupel_baseline_name(const cupel_baseline *baseline);
/* scores[count of images]. SHAPE when the images have another size than those it was fitted on. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_baseline_score(cupel_baseline *baseline,
                                                          const cupel_dataset *images,
                                                          double *scores, int threads);

#ifdef __cplusplus
}
#endif
#endif
