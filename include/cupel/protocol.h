/*
 * Protocol: which images a recipe trains on, holds back, and is judged on. All of it is a function
 * of the recipe (data.*, anomaly.*, corruption.*, seed) and the data.
 *
 *   1. cupel_protocol_create()
 *   2. cupel_protocol_train(), _held_out(): what a trainer takes
 *   3. cupel_protocol_get_split() for each part to be judged, cupel_protocol_draw() for draws
 *   4. cupel_protocol_destroy(), after what uses the data sets
 *
 * The normal images of the training split (those of data.normal_classes, all when it is empty) are
 * divided by a permutation drawn by the seed: data.held_out labelled ones, data.representative for
 * each of two representative sets, and the rest, which is trained on without labels (data.limit
 * keeps the first so many of them). The test split is never divided.
 *
 * Anomalies are of three kinds:
 *   classes    images of data.anomaly_classes of the same data set
 *   foreign    images of another data set, anomaly.foreign_set
 *   corrupted  normal images that were never trained on, damaged as corruption.* says, each kind of
 *              damage in turn
 * A representative set has anomaly.mixed_* of each kind, the first two from the training splits,
 * corrupted ones made of labelled images; the two sets share no image. The test split has all of
 * each kind from the official test splits, and one corrupted image for each normal one.
 */
#ifndef CUPEL_PROTOCOL_H
#define CUPEL_PROTOCOL_H

#include <cupel/dataset.h>
#include <cupel/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_protocol cupel_protocol;

typedef enum cupel_protocol_kind {
    CUPEL_KIND_NORMAL = 0,
    CUPEL_KIND_CLASSES = 1,
    CUPEL_KIND_FOREIGN = 2,
    CUPEL_KIND_CORRUPTED = 3
} cupel_protocol_kind;
enum { CUPEL_KIND_COUNT = 4 };

/* Images to be judged, borrowed from the protocol. */
typedef struct cupel_protocol_split {
    const cupel_dataset *images; /* as in their files, not padded: what cupel_scorer_run() takes */
    const uint8_t *kinds;        /* [count]: the cupel_protocol_kind of each image */
    int64_t counts[CUPEL_KIND_COUNT]; /* images of each kind */
} cupel_protocol_split;

/* Looks for the folder data.set: below `folder` (or `folder` itself holds the images); without a
 * folder (NULL) below $CUPEL_DATA, below `beside` (NULL: nowhere), and in the user's cache
 * ($XDG_CACHE_HOME/cupel, ~/.cache/cupel). anomaly.foreign_set is looked for beside it first, then
 * in the same places. IO names the places; BAD_DATA. On failure *out only carries the sentence, or
 * is NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_create(cupel_protocol **out,
                                                           cupel_recipe *recipe, const char *folder,
                                                           const char *beside);
CUPEL_API void cupel_protocol_destroy(cupel_protocol *protocol);
CUPEL_API const char *cupel_protocol_error(const cupel_protocol *protocol);
/* Where the data set was found. */
CUPEL_API const char *cupel_protocol_folder(const cupel_protocol *protocol);

/* Padded as the recipe says; borrowed. held_out, the labelled images, is NULL when data.held_out is
 * 0. */
CUPEL_API const cupel_dataset *cupel_protocol_train(const cupel_protocol *protocol);
CUPEL_API const cupel_dataset *cupel_protocol_held_out(const cupel_protocol *protocol);

/* What images of a kind are called: "normal", anomaly.classes_name, anomaly.foreign_name,
 * "corrupted". */
CUPEL_API const char *cupel_protocol_kind_name(const cupel_protocol *protocol,
                                               cupel_protocol_kind kind);
/* The corruptions in turn, "noise", ...; NULL past the end. Of the corrupted images of a split, in
 * their order, the i-th is damaged by the one of i modulo their number. */
CUPEL_API const char *cupel_protocol_corruption_name(const cupel_protocol *protocol, size_t index);
/* The names of the splits, NULL past the end: test, representative-1, representative-2,
 * labelled. */
CUPEL_API const char *cupel_protocol_split_name(size_t index);
/* One of them. Labels of the foreign set are shifted past the own classes; corrupted images keep
 * the label of what they were. The test split is read at the first call (IO, BAD_DATA).
 * INVALID_ARGUMENT for a name that is none, or a split that the recipe has not. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_get_split(cupel_protocol *protocol,
                                                              const char *name,
                                                              cupel_protocol_split *out);

/* Draws repeat what a representative set is on images that no choice has seen: data.representative
 * normal images of the test split and anomaly.mixed_* of each kind. Draw k (from 0) is a function
 * of the seed and k; different draws may share images.
 *
 * The number of images in a draw; 0 when data.representative is 0: no draws. */
CUPEL_API int64_t cupel_protocol_draw_size(const cupel_protocol *protocol);
/* indices, [draw_size]: into the test split, ascending. BAD_DATA when it has too few of a kind;
 * INVALID_ARGUMENT when there are no draws. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_draw(cupel_protocol *protocol, uint32_t k,
                                                         int64_t *indices);

/* The division as JSON: which image, by its place in its file, is in which part (of corrupted
 * images: what they are made of), and a fingerprint of their pixels and labels. *out is borrowed
 * until the next call or the end of the protocol. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_text(cupel_protocol *protocol,
                                                         const char **out);
/* A hash of that text in 16 hexadecimal digits: the same images, divided in the same way. */
enum { CUPEL_FINGERPRINT_SIZE = 17 };
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_fingerprint(cupel_protocol *protocol,
                                                                char out[CUPEL_FINGERPRINT_SIZE]);
/* Compares that text with a file, the split.json of a run. MISMATCH when it says otherwise; IO. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_protocol_match(cupel_protocol *protocol,
                                                          const char *path);

#ifdef __cplusplus
}
#endif
#endif
