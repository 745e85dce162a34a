/*
 * The dense variational autoencoder: one hidden layer with ReLU on each side, 784-100-5-100-784 on
 * 28x28 images. Test: tests/test_models.c
 */
#include "nn/model_internal.h"

cupel_node model_mlp_vae_features(cupel_node images, int64_t hidden) {
    const cupel_node pixels =
        cupel_reshape(images, CUPEL_SHAPE(cupel_node_shape(images).dims[0], -1));
    return cupel_relu(cupel_layer_dense(pixels, "fc", hidden, NULL));
}

cupel_node model_mlp_vae_decode(cupel_node latents, int64_t hidden, cupel_shape images) {
    const int64_t pixels = cupel_shape_count(images) / images.dims[0];
    const cupel_node features = cupel_relu(cupel_layer_dense(latents, "fc", hidden, NULL));
    return cupel_reshape(cupel_layer_dense(features, "out", pixels, NULL), images);
}
