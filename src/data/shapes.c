/*
 * Shapes are inside-or-outside tests in coordinates where the shape is about a unit in size,
 * sampled 4 x 4 times a pixel. A defect is drawn over the finished image, and the mask is what it
 * changed: so the mask is true by construction, whatever the defect is. A defect that hardly shows
 * is drawn again from further random numbers. Test: tests/test_synth.c
 */
#include "data/shapes.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { SAMPLES = 4, LEAST_CHANGED = 6, MOST_TRIES = 64 };

/* Uniform numbers one after the other. */
struct dice {
    struct rng_key key;
    uint64_t row;
    uint32_t step, next;
};

static double throw(struct dice * dice, double least, double most) {
    double draws[4];
    rng_uniform4(rng_block_at(dice->key, dice->row, dice->step, dice->next / 4), draws);
    return least + (most - least) * draws[dice->next++ % 4];
}

/* Where the shape lies and how bright things are; lengths in pixels, levels 0 to 255. */
struct scene {
    double x, y, radius, cosine, sine;
    double level, ground, slope; /* of the light across the shape */
    int64_t side;
};

struct defect {
    double x, y, radius;  /* of spots, bites and smudges */
    double dx, dy, width; /* of scratches: direction */
    double level;
};

/* --- shapes --- */

static bool in_disc(double x, double y) {
    return x * x + y * y < 1;
}

static bool in_square(double x, double y) {
    return fabs(x) < 0.85 && fabs(y) < 0.85;
}

static bool in_triangle(double x, double y) {
    return y < 0.6 && y > 2 * fabs(x) * 0.85 - 1.1;
}

static bool in_cross(double x, double y) {
    return (fabs(x) < 0.33 && fabs(y) < 1) || (fabs(y) < 0.33 && fabs(x) < 1);
}

static const struct {
    const char *name;
    bool (*inside)(double x, double y);
} shapes[SHAPE_KINDS] = {
    {"disc", in_disc}, {"square", in_square}, {"triangle", in_triangle}, {"cross", in_cross}};

static struct scene throw_scene(struct dice *dice, int64_t side) {
    const double angle = throw(dice, 0, 6.283185307179586), size = (double)side;
    return (struct scene){
        .x = size * throw(dice, 0.44, 0.56),
        .y = size * throw(dice, 0.44, 0.56),
        .radius = size * throw(dice, 0.28, 0.36),
        .cosine = cos(angle),
        .sine = sin(angle),
        .level = throw(dice, 170, 230),
        .ground = throw(dice, 10, 35),
        .slope = throw(dice, -0.2, 0.2),
        .side = side,
    };
}

static bool inside(const struct scene *scene, int kind, double x, double y) {
    const double dx = (x - scene->x) / scene->radius, dy = (y - scene->y) / scene->radius;
    return shapes[kind].inside(dx * scene->cosine + dy * scene->sine,
                               dy * scene->cosine - dx * scene->sine);
}

/* --- defects --- */

static void throw_scratch(struct dice *dice, const struct scene *scene, struct defect *defect) {
    const double angle = throw(dice, 0, 6.283185307179586);
    defect->dx = cos(angle);
    defect->dy = sin(angle);
    defect->width = scene->radius * throw(dice, 0.06, 0.12);
    defect->radius = scene->radius * throw(dice, 0.5, 1.0); /* half its length */
    defect->level = throw(dice, 0, 60);
}

static void throw_spot(struct dice *dice, const struct scene *scene, struct defect *defect) {
    defect->radius = scene->radius * throw(dice, 0.16, 0.3);
    defect->level = throw(dice, 0, 70);
}

static void throw_bite(struct dice *dice, const struct scene *scene, struct defect *defect) {
    defect->radius = scene->radius * throw(dice, 0.25, 0.45);
    defect->level = scene->ground;
}

static void throw_smudge(struct dice *dice, const struct scene *scene, struct defect *defect) {
    defect->radius = scene->radius * throw(dice, 0.35, 0.6);
    defect->level = throw(dice, 90, 140);
}

/* How much of the defect's level a point takes, 0 to 1. */
static double on_scratch(const struct defect *defect, double x, double y, bool on_shape) {
    const double dx = x - defect->x, dy = y - defect->y;
    const double along = dx * defect->dx + dy * defect->dy;
    const double across = dy * defect->dx - dx * defect->dy;
    return on_shape && fabs(along) < defect->radius && fabs(across) < defect->width ? 1 : 0;
}

static double in_circle(const struct defect *defect, double x, double y, bool on_shape) {
    const double dx = x - defect->x, dy = y - defect->y;
    return on_shape && dx * dx + dy * dy < defect->radius * defect->radius ? 1 : 0;
}

/* Soft, and over the background too. */
static double on_smudge(const struct defect *defect, double x, double y, bool on_shape) {
    const double dx = x - defect->x, dy = y - defect->y;
    const double far = (dx * dx + dy * dy) / (defect->radius * defect->radius);
    (void)on_shape;
    return far < 1 ? 0.9 * (1 - far) * (1 - far) : 0;
}

static const struct {
    const char *name;
    double nearest, farthest; /* of its middle from the shape's, in radii */
    void (*throw_it)(struct dice *, const struct scene *, struct defect *);
    double (*share)(const struct defect *, double x, double y, bool on_shape);
} defects[DEFECT_KINDS] = {
    {"scratch", 0, 0.4, throw_scratch, on_scratch},
    {"spot", 0, 0.6, throw_spot, in_circle},
    {"bite", 0.6, 1.1, throw_bite, in_circle},
    {"smudge", 0, 0.9, throw_smudge, on_smudge},
};

const char *shape_class_name(int label) {
    return label < SHAPE_KINDS ? shapes[label].name : defects[label - SHAPE_KINDS].name;
}

static struct defect throw_defect(struct dice *dice, const struct scene *scene, int kind) {
    struct defect defect = {0};
    const double angle = throw(dice, 0, 6.283185307179586);
    const double far = scene->radius * throw(dice, defects[kind].nearest, defects[kind].farthest);
    defect.x = scene->x + far * cos(angle);
    defect.y = scene->y + far * sin(angle);
    defects[kind].throw_it(dice, scene, &defect);
    return defect;
}

/* --- drawing --- */

/* The mean level of a pixel; defect: NULL, or of `kind`. */
static double level_at(const struct scene *scene, int shape, int64_t column, int64_t row,
                       const struct defect *defect, int kind) {
    double sum = 0;
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        const double x = (double)column + (i % SAMPLES + 0.5) / SAMPLES;
        const double y = (double)row + ((double)(i / SAMPLES) + 0.5) / SAMPLES;
        const bool on_shape = inside(scene, shape, x, y);
        const double light = 1 + scene->slope * (x - scene->x) / scene->radius;
        double level = on_shape ? scene->level * light : scene->ground;
        if (defect != NULL)
            level += defects[kind].share(defect, x, y, on_shape) * (defect->level - level);
        sum += level;
    }
    return sum / (SAMPLES * SAMPLES);
}

/* Grain is the same with and without the defect. */
static void draw(const struct scene *scene, int shape, const struct defect *defect, int kind,
                 struct rng_key key, uint64_t image, uint8_t *pixels) {
    const double deviation = 4;
    for (int64_t row = 0; row < scene->side; row++)
        for (int64_t column = 0; column < scene->side; column++) {
            const int64_t at = row * scene->side + column;
            double draws[4];
            rng_normal4(rng_block_at(key, image, UINT32_MAX, (uint32_t)at), draws);
            const double level =
                level_at(scene, shape, column, row, defect, kind) + deviation * draws[0];
            pixels[at] = (uint8_t)(level <= 0 ? 0 : level >= 255 ? 255 : level + 0.5);
        }
}

/* Marks what differs visibly in the mask, and counts it. `mask` holds the image without defect. */
static int64_t mark_changes(const uint8_t *pixels, uint8_t *mask, int64_t count) {
    int64_t changed = 0;
    for (int64_t i = 0; i < count; i++) {
        const int far = pixels[i] - mask[i];
        mask[i] = far >= SHAPE_VISIBLE || far <= -SHAPE_VISIBLE ? 255 : 0;
        changed += mask[i] != 0;
    }
    return changed;
}

void shape_draw(struct rng_key key, uint64_t row, int label, int64_t side, uint8_t *pixels,
                uint8_t *mask) {
    struct dice dice = {.key = key, .row = row};
    const struct scene scene = throw_scene(&dice, side);
    const size_t count = (size_t)(side * side);
    if (label < SHAPE_KINDS) {
        draw(&scene, label, NULL, 0, key, row, pixels);
        memset(mask, 0, count);
        return;
    }
    const int shape = (int) throw(&dice, 0, SHAPE_KINDS), kind = label - SHAPE_KINDS;
    int64_t changed = 0;
    for (uint32_t attempt = 1; attempt <= MOST_TRIES && changed < LEAST_CHANGED; attempt++) {
        dice.step = attempt;
        dice.next = 0;
        const struct defect defect = throw_defect(&dice, &scene, kind);
        draw(&scene, shape, NULL, 0, key, row, mask);
        draw(&scene, shape, &defect, kind, key, row, pixels);
        changed = mark_changes(pixels, mask, (int64_t)count);
    }
}
