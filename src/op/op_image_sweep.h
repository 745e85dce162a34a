/*
 * The internal op "image_sweep": several image_updates of one image as one node, as a sweep is
 * several updates, so that a kernel may read the image once for all their gradients. It keeps its
 * parts. The compiler's join_updates pass makes such nodes, which are split again where no kernel
 * takes one; graphs built by users never hold one, so it is not in op_list.inc.
 * Test: tests/test_pass_images.c
 */
#ifndef CUPEL_OP_IMAGE_SWEEP_H
#define CUPEL_OP_IMAGE_SWEEP_H

#include "op/op_product_update.h"

enum {
    IMAGE_SWEEP_MAX_PARTS = 4,
    IMAGE_SWEEP_MAX_PART_INPUTS = SWEEP_MAX_PART_INPUTS + 1, /* the image among them */
    IMAGE_SWEEP_MAX_INPUTS = 1 + IMAGE_SWEEP_MAX_PARTS * (IMAGE_SWEEP_MAX_PART_INPUTS - 1),
    IMAGE_SWEEP_MAX_OUTPUTS = IMAGE_SWEEP_MAX_PARTS * SWEEP_MAX_PART_OUTPUTS
};

/* One image_update. Its operands but the image are inputs [first_input, first_input + n_inputs - 1)
 * of the sweep, its results outputs [first_output, first_output + n_outputs). */
struct image_sweep_part {
    struct attrs_product_update both;
    const char *name; /* of the update's node */
    int32_t n_inputs, n_outputs;
    int32_t first_input, first_output;
};

/* The operands are the image, then those of all parts. */
struct attrs_image_sweep {
    int64_t n_parts;
    struct image_sweep_part parts[IMAGE_SWEEP_MAX_PARTS];
};

extern const cupel_op op_image_sweep;

/* Which operand of an image_update is the image. */
int image_update_image(const struct attrs_product_update *attrs);
/* Appends a part; false when the sweep is full. */
bool image_sweep_append(struct attrs_image_sweep *attrs, const char *name,
                        const struct attrs_product_update *both, int n_inputs, int n_outputs);
/* Where operand i of the part stands among the operands of the sweep. */
int image_sweep_operand(const struct image_sweep_part *part, int i);
/* As a row's in_place: 1 + the input of the sweep whose memory output k may share, 0: none. */
int image_sweep_in_place(const struct attrs_image_sweep *attrs, int k);
/* What the part's own op would see. inputs: room for IMAGE_SWEEP_MAX_PART_INPUTS. */
cupel_op_view image_sweep_part_view(const cupel_op_view *view, int part, cupel_desc *inputs);

#endif
