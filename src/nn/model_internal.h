/*
 * The two halves of each variational autoencoder, which model_vae.c joins.
 * Test: tests/test_models.c
 */
#ifndef CUPEL_MODEL_INTERNAL_H
#define CUPEL_MODEL_INTERNAL_H

#include "cupel/models.h"
#include "graph/graph_internal.h"

/* Features of the images that mean and log-variance are read from, [N, F]. */
cupel_node model_conv_vae_features(cupel_node images);
/* Latents to pixels in [0, 1]. */
cupel_node model_conv_vae_decode(cupel_node latents, cupel_shape images);

/* Of images as rows of pixels, [N, P]. */
cupel_node model_mlp_vae_features(cupel_node pixels, int64_t hidden);
/* Latents to logits of the pixels, [N, P]: as rows, so that the bias, the loss and its gradient are
 * elementwise nodes of one shape. */
cupel_node model_mlp_vae_decode(cupel_node latents, int64_t hidden, int64_t pixels);

/* Sum over all axes but the first: one value a row. */
cupel_node model_row_sum(cupel_node x);

#endif
