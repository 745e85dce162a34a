/*
 * The convolutional variational autoencoder for small images: unpadded 3x3 convolutions of stride 1
 * and their mirror image. On 32x32 grey images and 16 latents it has 4,425,121 parameters, most of
 * them between the 128 x 26 x 26 features and the latents. Test: tests/test_models.c
 */
#include "nn/model_internal.h"

enum { KERNEL = 3, LAYERS = 3, SHRINKS_BY = LAYERS * (KERNEL - 1) };

static const int64_t widths[LAYERS] = {32, 64, 128};

cupel_node model_conv_vae_features(cupel_node images) {
    const cupel_node first =
        cupel_relu(cupel_layer_conv2d(images, "conv1", widths[0], KERNEL, NULL, NULL));
    const cupel_node second =
        cupel_relu(cupel_layer_conv2d(first, "conv2", widths[1], KERNEL, NULL, NULL));
    const cupel_node third =
        cupel_relu(cupel_layer_conv2d(second, "conv3", widths[2], KERNEL, NULL, NULL));
    return cupel_reshape(third, CUPEL_SHAPE(cupel_node_shape(images).dims[0], -1));
}

cupel_node model_conv_vae_decode(cupel_node latents, cupel_shape images) {
    const int64_t height = images.dims[2] - SHRINKS_BY, width = images.dims[3] - SHRINKS_BY;
    const cupel_node features =
        cupel_relu(cupel_layer_dense(latents, "fc", widths[2] * height * width, NULL));
    const cupel_node maps =
        cupel_reshape(features, CUPEL_SHAPE(images.dims[0], widths[2], height, width));
    const cupel_node first =
        cupel_relu(cupel_layer_conv_transpose2d(maps, "deconv1", widths[1], KERNEL, NULL, NULL));
    const cupel_node second =
        cupel_relu(cupel_layer_conv_transpose2d(first, "deconv2", widths[0], KERNEL, NULL, NULL));
    return cupel_sigmoid(
        cupel_layer_conv_transpose2d(second, "deconv3", images.dims[1], KERNEL, NULL, NULL));
}
