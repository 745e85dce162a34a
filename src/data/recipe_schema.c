/*
 * The schema of recipes: one table, from which reading, checking, help and documentation all take
 * what they know. A new key is a new row (keys of one section stand together).
 * Test: tests/test_recipe.c
 */
#define _POSIX_C_SOURCE 200809L /* strnlen */
#include <string.h>

#include "data/recipe_internal.h"

#define LARGEST 9007199254740991.0 /* 2^53 - 1: exact in every reader of JSON and YAML */

/* clang-format off */
static const cupel_recipe_key keys[] = {
    {.key = "name", .type = CUPEL_RECIPE_STRING, .initial = "run", .file_name = true,
     .help = "names the run's folder: runs/NAME-N"},
    {.key = "seed", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0, .most = LARGEST,
     .help = "of everything random: weights, data order, splits, noise"},
    {.key = "threads", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0, .most = 256,
     .help = "threads of computation; 0: one for each processor"},
    {.key = "workers", .type = CUPEL_RECIPE_INT, .initial = "1", .least = 1, .most = 16,
     .help = "threads that prepare batches ahead"},
    {.key = "precision", .type = CUPEL_RECIPE_CHOICE, .initial = "fp32", .choices = "fp32|bf16",
     .help = "of the arithmetic; weights, statistics and losses are always kept in fp32"},
    {.key = "plan", .type = CUPEL_RECIPE_CHOICE, .initial = "estimate",
     .choices = "estimate|measure",
     .help = "how kernels are chosen where no plan says it: by rule, or by time on this machine"},
    {.key = "winograd", .type = CUPEL_RECIPE_CHOICE, .initial = "allow",
     .choices = "allow|forbid",
     .help = "convolutions by transformed tiles, which round a little more: forbid takes the plain "
             "sums, at half the speed or less, whatever a plan says"},

    {.key = "model.name", .type = CUPEL_RECIPE_CHOICE, .initial = "conv-vae",
     .choices = "conv-vae|mlp-vae", .help = "the network"},
    {.key = "model.image", .type = CUPEL_RECIPE_INT, .initial = "32", .least = 4, .most = 1024,
     .help = "height and width of the images it sees, after padding"},
    {.key = "model.channels", .type = CUPEL_RECIPE_INT, .initial = "1", .least = 1, .most = 4,
     .help = "channels of the images"},
    {.key = "model.latent", .type = CUPEL_RECIPE_INT, .initial = "16", .least = 1, .most = 4096,
     .help = "latent dimensions"},
    {.key = "model.filters", .type = CUPEL_RECIPE_INTS, .initial = "[32, 64, 128]", .least = 1,
     .most = 4096, .help = "filters of the encoder's convolutions; the decoder mirrors them"},
    {.key = "model.hidden", .type = CUPEL_RECIPE_INTS, .initial = "[100]", .least = 1,
     .most = 65536, .help = "units of the encoder's hidden layers (mlp-vae)"},

    {.key = "loss.reconstruction", .type = CUPEL_RECIPE_CHOICE, .initial = "squared-error",
     .choices = "squared-error|bernoulli",
     .help = "the reconstruction term, summed over pixels; mlp-vae: bernoulli by default"},
    {.key = "loss.kl_weight", .type = CUPEL_RECIPE_FLOAT, .initial = "1.0", .least = 0,
     .most = 1e6, .help = "factor of the KL divergence; 1 makes the loss the negated ELBO"},

    {.key = "data.set", .type = CUPEL_RECIPE_STRING, .initial = "fashion-mnist",
     .help = "folder of the data set, below the data folder"},
    {.key = "data.normal_classes", .type = CUPEL_RECIPE_INTS, .initial = "[]", .least = 0,
     .most = 65535, .distinct = true, .help = "classes to train on; empty: all"},
    {.key = "data.anomaly_classes", .type = CUPEL_RECIPE_INTS, .initial = "[]", .least = 0,
     .most = 65535, .distinct = true,
     .help = "classes to be found; empty: all that are not normal"},
    {.key = "data.pad", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0, .most = 64,
     .help = "black pixels added on each side"},
    {.key = "data.limit", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0, .most = LARGEST,
     .help = "only the first N training images; 0: all"},
    {.key = "data.held_out", .type = CUPEL_RECIPE_INT, .initial = "500", .least = 0,
     .most = LARGEST,
     .help = "training images kept back to choose the best weights and the threshold"},
    {.key = "data.representative", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST,
     .help = "normal images in each of two representative sets, kept back too; 0: no such sets"},

    {.key = "anomaly.classes_name", .type = CUPEL_RECIPE_STRING, .initial = "other-classes",
     .file_name = true, .help = "what the images of data.anomaly_classes are called"},
    {.key = "anomaly.foreign_set", .type = CUPEL_RECIPE_STRING, .initial = "",
     .help = "another data set, below the data folder, whose images are anomalies; \"\": none"},
    {.key = "anomaly.foreign_classes", .type = CUPEL_RECIPE_INTS, .initial = "[]", .least = 0,
     .most = 65535, .distinct = true, .help = "its classes to be found; empty: all"},
    {.key = "anomaly.foreign_name", .type = CUPEL_RECIPE_STRING, .initial = "foreign",
     .file_name = true, .help = "what its images are called"},
    {.key = "anomaly.mixed_classes", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST, .help = "images of the anomaly classes in a representative set or a draw"},
    {.key = "anomaly.mixed_foreign", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST, .help = "images of the other data set in a representative set or a draw"},
    {.key = "anomaly.mixed_corrupted", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST, .help = "corrupted images in a representative set or a draw"},

    {.key = "corruption.noise", .type = CUPEL_RECIPE_FLOAT, .initial = "0.0", .least = 0,
     .most = 1, .help = "normal noise of this standard deviation (white is 1); 0: not used"},
    {.key = "corruption.impulse", .type = CUPEL_RECIPE_FLOAT, .initial = "0.0", .least = 0,
     .most = 1, .help = "this share of the pixels turned black or white; 0: not used"},
    {.key = "corruption.blur", .type = CUPEL_RECIPE_FLOAT, .initial = "0.0", .least = 0,
     .most = 64, .help = "blurred by a Gaussian of this many pixels; 0: not used"},
    {.key = "corruption.pixelate", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = 1024, .help = "averaged over squares of this side in pixels; 0: not used"},
    {.key = "corruption.occlude", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = 1024,
     .help = "a black square of this side in pixels over a part of the object; 0: not used"},

    {.key = "train.epochs", .type = CUPEL_RECIPE_INT, .initial = "10", .least = 1, .most = 1000000,
     .help = "passes over the training images"},
    {.key = "train.batch", .type = CUPEL_RECIPE_INT, .initial = "100", .least = 1, .most = 65536,
     .help = "images a step"},
    {.key = "train.learning_rate", .type = CUPEL_RECIPE_FLOAT, .initial = "0.001", .least = 0,
     .above = true, .most = 10, .help = "step size of the optimiser"},
    {.key = "train.warmup_steps", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST, .help = "the learning rate grows linearly over so many first steps"},
    {.key = "train.optimizer", .type = CUPEL_RECIPE_CHOICE, .initial = "adam",
     .choices = "adam|adamw|sgd", .help = "the optimiser, with PyTorch's formulas"},
    {.key = "train.momentum", .type = CUPEL_RECIPE_FLOAT, .initial = "0.9", .least = 0, .most = 1,
     .below = true, .help = "of sgd"},
    {.key = "train.weight_decay", .type = CUPEL_RECIPE_FLOAT, .initial = "0.0", .least = 0,
     .most = 1, .help = "coupled L2 for adam and sgd, decoupled for adamw"},
    {.key = "train.checkpoint_minutes", .type = CUPEL_RECIPE_FLOAT, .initial = "10.0", .least = 0,
     .most = 100000, .help = "also save within an epoch after so many minutes; 0: never"},
    {.key = "train.checkpoint_steps", .type = CUPEL_RECIPE_INT, .initial = "0", .least = 0,
     .most = LARGEST, .help = "also save every so many steps; 0: never"},

    {.key = "score.samples", .type = CUPEL_RECIPE_INT, .initial = "1", .least = 1, .most = 1000,
     .help = "noise samples a score is the mean of"},
    {.key = "score.threshold_quantile", .type = CUPEL_RECIPE_FLOAT, .initial = "0.99", .least = 0,
     .above = true, .most = 1, .below = true,
     .help = "the threshold is this quantile of the held-back normal images' scores"},

    {.key = "eval.neighbours", .type = CUPEL_RECIPE_INT, .initial = "5", .least = 1, .most = 64,
     .help = "neighbours of the nearest-neighbour baseline"},
    {.key = "eval.components", .type = CUPEL_RECIPE_INTS, .initial = "[16, 32]", .least = 1,
     .most = 1024, .distinct = true, .help = "components of the PCA baselines"},
    {.key = "eval.prevalence", .type = CUPEL_RECIPE_FLOAT, .initial = "0.049", .least = 0,
     .above = true, .most = 1, .below = true,
     .help = "share of anomalies that average precision is also re-weighted to"},
};
/* clang-format on */
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

size_t cupel_recipe_key_count(void) {
    return KEY_COUNT;
}

const cupel_recipe_key *cupel_recipe_key_at(size_t index) {
    return index < KEY_COUNT ? &keys[index] : NULL;
}

const cupel_recipe_key *cupel_recipe_key_find(const char *key) {
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].key, key) == 0)
            return &keys[i];
    return NULL;
}

const cupel_recipe_key *recipe_section(const char *name) {
    const size_t length = strlen(name);
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strncmp(keys[i].key, name, length) == 0 && keys[i].key[length] == '.')
            return &keys[i];
    return NULL;
}

/* Levenshtein's distance of two short strings. */
static int distance(const char *a, const char *b) {
    enum { MOST = 64 };
    int row[MOST + 1];
    const int width = (int)strnlen(b, MOST);
    for (int j = 0; j <= width; j++)
        row[j] = j;
    for (int i = 0; a[i] != '\0' && i < MOST; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < width; j++) {
            int best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j + 1] = best;
        }
    }
    return row[width];
}

/* A key without its section ("epochs") is compared with the last parts as well. */
const char *recipe_nearest_key(const char *key) {
    const char *nearest = keys[0].key;
    int least = 1 << 20;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *const dot = strchr(keys[i].key, '.');
        int far = distance(key, keys[i].key);
        if (dot != NULL && distance(key, dot + 1) < far)
            far = distance(key, dot + 1);
        if (far < least) {
            least = far;
            nearest = keys[i].key;
        }
    }
    return nearest;
}

/* Sections have one name, without a dot. */
const char *recipe_nearest_section(const char *name, char out[RECIPE_SECTION_SIZE]) {
    int least = 1 << 20;
    out[0] = '\0';
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char section[RECIPE_SECTION_SIZE];
        const size_t length = strcspn(keys[i].key, ".");
        if (keys[i].key[length] == '\0' || length >= sizeof section)
            continue;
        memcpy(section, keys[i].key, length);
        section[length] = '\0';
        const int far = distance(name, section);
        if (far < least) {
            least = far;
            memcpy(out, section, length + 1);
        }
    }
    return out;
}
