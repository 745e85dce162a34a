/*
 * Layouts of images: which operands are images, which layouts of the closed list (plain, nhwc,
 * nChw8c, nChw16c) a tensor can have, and which nodes have to agree on one.
 * Test: tests/test_pass_choose.c
 */
#ifndef CUPEL_LAYOUTS_H
#define CUPEL_LAYOUTS_H

#include "compile/compile_internal.h"

enum { LAYOUTS = CUPEL_LAYOUT_PACKED }; /* of the closed list */

bool is_convolution(const struct graph_node *node);
/* Whether it is a product whose result is an image: its layout need not follow an operand's. */
bool makes_image(const struct graph_node *node);
/* Whether operand i (inputs, then outputs) is an image, which may have a layout. */
bool is_image(const struct compile *c, const struct graph_node *node, uint32_t i);
/* Whether a tensor can have that layout, and it is another one than plain. */
bool takes_layout(const cupel_desc *desc, cupel_layout layout);
/* The channel block that the device prefers. */
cupel_layout device_layout(const struct compile *c);

/* Regions: convolutions and what lies between them, connected by images that are not outputs of
 * views or leaves. Such nodes pay for a reorder wherever their layouts differ. region[i] is node
 * i's or -1, in the arena. */
cupel_status find_regions(struct compile *c, int32_t **region, uint32_t *count);

#endif
