/*
 * Images that stand for matrices: what the passes move_reshapes, fuse_image and join_images share.
 * Test: tests/test_pass_images.c
 */
#ifndef CUPEL_FLAT_IMAGES_H
#define CUPEL_FLAT_IMAGES_H

#include "compile/compile_internal.h"

/* Columns of a product of an image: more are limited by arithmetic, and libraries are good at
 * that. */
enum { IMAGE_MOST_OUTS = 64 };

/* Whether an image [N, C, H, W] holds the elements of that matrix [N, C H W] and may have the
 * device's blocked layout. */
bool image_stands_for(const struct compile *c, cupel_shape image, cupel_shape matrix);

#endif
