/*
 * The line of an epoch. Numbers are null where they are not known or not finite, which JSON cannot
 * say otherwise. Test: tests/train.bats
 */
#include "train/epoch_line.h"

#include <math.h>
#include <stdio.h>

#include "base/number.h"

static bool append_number(struct json_text *text, const char *key, double value) {
    char number[NUMBER_TEXT_SIZE];
    return json_append(text, ", \"") && json_append(text, key) && json_append(text, "\": ") &&
           json_append(text, isfinite(value) ? number_format_f64(number, value) : "null");
}

static bool append_elbo(struct json_text *text, const char *prefix, bool has,
                        const cupel_elbo *elbo) {
    const char *const names[] = {"negated_elbo", "reconstruction", "kl"};
    const double values[] = {elbo->elbo, elbo->reconstruction, elbo->kl};
    bool fine = true;
    for (int i = 0; fine && i < 3; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s_%s", prefix, names[i]);
        fine = append_number(text, key, has ? values[i] : NAN);
    }
    return fine;
}

/* With a width that does not depend on the value: the state records how long the file is, and two
 * runs that differ in nothing but their speed have the same state. */
static bool append_clock(struct json_text *text, const char *key, double value) {
    char number[NUMBER_TEXT_SIZE], padded[NUMBER_TEXT_SIZE];
    const double most = 999999999.0;
    number_format_fixed(number, !(value > 0) ? 0 : value < most ? value : most, 3);
    snprintf(padded, sizeof padded, "%13s", number);
    return json_append(text, ", \"") && json_append(text, key) && json_append(text, "\": ") &&
           json_append(text, padded);
}

bool epoch_line(struct json_text *text, const cupel_epoch_result *epoch,
                const cupel_progress *progress) {
    return json_append(text, "{\"epoch\": ") && json_append_i64(text, epoch->epoch + 1) &&
           json_append(text, ", \"step\": ") && json_append_i64(text, (int64_t)epoch->step) &&
           append_number(text, "train_loss", epoch->loss) &&
           append_elbo(text, "train", true, &epoch->train) &&
           append_elbo(text, "held_out", epoch->has_held_out, &epoch->held_out) &&
           append_number(text, "threshold", epoch->threshold) &&
           json_append(text, ", \"best\": ") && json_append(text, epoch->best ? "true" : "false") &&
           append_clock(text, "seconds", progress->seconds) &&
           append_clock(text, "images_per_s", progress->images_per_s) && json_append(text, "}\n");
}
