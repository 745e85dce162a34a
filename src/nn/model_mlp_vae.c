/*
 * The dense variational autoencoder: one hidden layer with ReLU on each side, 784-100-5-100-784 on
 * 28x28 images. Test: tests/test_models.c
 */
#include "nn/model_internal.h"

cupel_node model_mlp_vae_features(cupel_node pixels, int64_t hidden) {
    return cupel_relu(cupel_layer_dense(pixels, "fc", hidden, NULL));
}

cupel_node model_mlp_vae_decode(cupel_node latents, int64_t hidden, int64_t pixels) {
    const cupel_node features = cupel_relu(cupel_layer_dense(latents, "fc", hidden, NULL));
    return cupel_layer_dense(features, "out", pixels, NULL);
}
