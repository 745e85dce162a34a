/*
 * The internal op "product_update": an optimiser's update together with the matrix product that
 * makes its gradient, as one node, so that a kernel may use up the gradient piece by piece and
 * never lay it down as a whole; and "image_update", the same with a product of a flattened image,
 * or with the image's sum over the batch, in the parameter's shape. They keep their two parts. The
 * compiler's fuse_update pass makes such nodes, which are split again where no kernel takes one;
 * graphs built by users never hold one, so they are not in op_list.inc.
 * Tests: tests/test_pass_fuse_update.c, tests/test_pass_images.c
 */
#ifndef CUPEL_OP_PRODUCT_UPDATE_H
#define CUPEL_OP_PRODUCT_UPDATE_H

#include "cupel/op.h"
#include "op/op_attrs.h"
#include "op/op_image_matmul.h"
#include "op/op_sweep.h"

/* The operands are the product's two, or the image that is summed, then the update's without its
 * gradient; the results are the update's. */
struct attrs_product_update {
    const char *product_name; /* of the product's node, as the node has the update's */
    struct attrs_matmul product;
    struct attrs_image_matmul image; /* the same of an image_update's product */
    int64_t summed;                  /* an image_update of the sum over the batch, no product */
    const cupel_op *update;
    uint8_t update_attrs[SWEEP_ATTR_SIZE]; /* the rest zero */
    int64_t gradient;                      /* which operand of the update the product is */
};

extern const cupel_op op_product_update;
extern const cupel_op op_image_update;

bool is_product_update(const cupel_op *op);

/* Where operand i of the update, not the gradient, stands among the operands of the node. */
int product_update_operand(const struct attrs_product_update *attrs, int i);
/* As a row's in_place: 1 + the operand whose memory output k may share, 0: none. */
int product_update_in_place(const struct attrs_product_update *attrs, int n_inputs, int k);
/* What the product, or sum, alone would see; *gradient becomes its result. */
cupel_status product_update_product(const cupel_op_view *view, cupel_desc *gradient,
                                    cupel_op_view *product);
/* What the update alone would see. operands: room for SWEEP_MAX_PART_INPUTS. */
cupel_op_view product_update_update(const cupel_op_view *view, const cupel_desc *gradient,
                                    cupel_desc *operands);

#endif
