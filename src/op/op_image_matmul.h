/*
 * The internal op "image_matmul": a matrix product of which one operand, or the result, is an image
 * [N, C, H, W] that stands for the matrix [N, C H W]. An image may have a layout, which a reshape
 * would end. A product that makes an image may be the sum of two, take a bias, and end with a ReLU
 * or with a ReLU's gradient; two products of one image may stand side by side, so that it is read
 * once. The compiler's passes fuse_image and join_images make such nodes, which are split again
 * where no kernel takes one; graphs built by users never hold one, so it is not in op_list.inc.
 * Test: tests/test_pass_images.c
 */
#ifndef CUPEL_OP_IMAGE_MATMUL_H
#define CUPEL_OP_IMAGE_MATMUL_H

#include "cupel/op.h"
#include "op/op_attrs.h"

/* What the image is. */
enum image_role {
    IMAGE_A = 0, /* matmul's first operand */
    IMAGE_B,     /* its second */
    IMAGE_RESULT
};

/* What becomes of an element of a resulting image at last. */
enum image_finish {
    IMAGE_AS_IT_IS = 0,
    IMAGE_RELU,  /* as relu */
    IMAGE_SELECT /* 0 where the mask is 0: as select, and so ReLU's gradient */
};

/* The operands are a and b, of a sum of two products another a and b, then a bias [C H W] and a
 * mask (an image, and the 0 that a select moves), where there are these. Where a is the image,
 * another b may follow, whose product's columns stand behind the first one's. All products of a
 * node are transposed alike. */
struct attrs_image_matmul {
    int64_t role; /* enum image_role */
    int64_t transpose_a, transpose_b;
    int64_t image[3]; /* C, H, W; of a result */
    int64_t products; /* 1 or 2; of gradients 1 */
    /* Of a result; otherwise 0. */
    int64_t with_bias;
    int64_t finish; /* enum image_finish */
};

extern const cupel_op op_image_matmul;

/* What one of the products alone would see, matrices all; operands[0], [1] and *result are filled,
 * *matmul is for the view's attributes. */
cupel_status image_matmul_product(const cupel_op_view *view, int index, cupel_desc *operands,
                                  cupel_desc *result, struct attrs_matmul *matmul,
                                  cupel_op_view *product);
/* Where operand i (0: a, 1: b) of one of the products stands among the operands. */
int image_matmul_operand(const struct attrs_image_matmul *attrs, int index, int i);
/* Where the bias stands among the operands, and the mask; -1: nowhere. */
int image_matmul_bias(const struct attrs_image_matmul *attrs);
int image_matmul_mask(const struct attrs_image_matmul *attrs);

#endif
