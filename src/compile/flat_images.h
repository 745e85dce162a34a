/*
 * Images that stand for matrices: what the passes move_reshapes and fuse_image share.
 * Test: tests/test_pass_images.c
 */
#ifndef CUPEL_FLAT_IMAGES_H
#define CUPEL_FLAT_IMAGES_H

#include "compile/compile_internal.h"

/* Whether an image [N, C, H, W] holds the elements of that matrix [N, C H W] and may have the
 * device's blocked layout. */
bool image_stands_for(const struct compile *c, cupel_shape image, cupel_shape matrix);

#endif
