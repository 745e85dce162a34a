/*
 * Images of shapes, whole or with a defect, and the mask of what the defect changed.
 * Test: tests/test_synth.c
 */
#ifndef CUPEL_DATA_SHAPES_H
#define CUPEL_DATA_SHAPES_H

#include "base/rng.h"

enum { SHAPE_KINDS = 4, DEFECT_KINDS = 4, SHAPE_CLASSES = SHAPE_KINDS + DEFECT_KINDS };

/* "disc", ..., then "scratch", ...: of class 0 to SHAPE_CLASSES - 1. */
const char *shape_class_name(int label);

/* Draws image `row` of a class: pixels and mask, u8 [side, side], side at least 16. All that is
 * random in it is a function of key and row. A defect changes at least six pixels by
 * SHAPE_VISIBLE levels or more, and those are 255 in the mask; the mask of a whole shape is 0. */
enum { SHAPE_VISIBLE = 24 };
void shape_draw(struct rng_key key, uint64_t row, int label, int64_t side, uint8_t *pixels,
                uint8_t *mask);

#endif
