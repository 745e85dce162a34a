/*
 * What the variational autoencoders share: the latent distribution, its sample, the two terms of
 * the bound, and the loss. The networks are in model_conv_vae.c and model_mlp_vae.c.
 * Test: tests/test_models.c
 */
#include "nn/model_internal.h"

cupel_node model_row_sum(cupel_node x) {
    const int rank = cupel_node_shape(x).rank;
    return rank < 2 ? x : cupel_reduce_sum(x, ((1u << rank) - 1u) & ~CUPEL_AXIS(0), false);
}

/* The options with their zeros filled in. */
static cupel_vae_options settled(const cupel_vae_options *options) {
    cupel_vae_options all = {.kind = CUPEL_VAE_CONV};
    if (options != NULL)
        all = *options;
    if (all.latents == 0)
        all.latents = all.kind == CUPEL_VAE_CONV ? 16 : 5;
    if (all.hidden == 0)
        all.hidden = 100;
    return all;
}

static bool shape_fits(cupel_graph *graph, const cupel_vae_options *options, cupel_shape images) {
    char text[CUPEL_SHAPE_TEXT_SIZE];
    cupel_shape_format(text, images);
    if (options->kind != CUPEL_VAE_CONV && options->kind != CUPEL_VAE_MLP)
        (void)graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT, "vae: its kind %d is unknown",
                         (int)options->kind);
    else if (options->kind == CUPEL_VAE_CONV &&
             (images.rank != 4 || images.dims[2] < 7 || images.dims[3] < 7))
        (void)graph_fail(graph, CUPEL_STATUS_SHAPE,
                         "vae: images %s must be [N, C, H, W] of at least 7 x 7 pixels for the "
                         "convolutional network",
                         text);
    else if (images.rank < 2)
        (void)graph_fail(graph, CUPEL_STATUS_SHAPE, "vae: images %s must have at least 2 axes",
                         text);
    else
        return true;
    return false;
}

/* Images as rows of pixels. */
static cupel_node rows_of(cupel_node images) {
    return cupel_reshape(images, CUPEL_SHAPE(cupel_node_shape(images).dims[0], -1));
}

/* The decoder's last values: pixels of the convolutional network, rows of logits of the dense one.
 */
static cupel_node decode(cupel_node latents, const cupel_vae_options *options, cupel_shape images) {
    cupel_graph_enter(latents.graph, "decoder");
    const cupel_node values =
        options->kind == CUPEL_VAE_CONV
            ? model_conv_vae_decode(latents, images)
            : model_mlp_vae_decode(latents, options->hidden,
                                   cupel_shape_count(images) / images.dims[0]);
    cupel_graph_leave(latents.graph);
    return values;
}

/* Enters "encoder" and fills mean, log_variance and latent. */
static void encode(cupel_vae *vae, cupel_node images, const cupel_vae_options *options,
                   cupel_rng rng) {
    cupel_graph_enter(images.graph, "encoder");
    const cupel_node features = options->kind == CUPEL_VAE_CONV
                                    ? model_conv_vae_features(images)
                                    : model_mlp_vae_features(rows_of(images), options->hidden);
    vae->mean = cupel_layer_dense(features, "mu", options->latents, NULL);
    vae->log_variance = cupel_layer_dense(features, "log_var", options->latents, NULL);
    vae->latent = vae->mean;
    if (!options->mean_latent) {
        const cupel_node noise = cupel_sample_normal(rng, "noise", cupel_node_shape(vae->mean));
        const cupel_node deviation = cupel_exp(cupel_scale(vae->log_variance, 0.5));
        vae->latent = cupel_add(vae->mean, cupel_mul(deviation, noise));
    }
    cupel_graph_leave(images.graph);
}

cupel_vae cupel_vae_build(cupel_node images, const cupel_vae_options *options, cupel_rng rng) {
    cupel_vae vae = {.mean = images};
    if (cupel_is_none(images))
        return vae;
    cupel_graph *const graph = images.graph;
    const cupel_vae_options all = settled(options);
    const cupel_node poisoned = graph_poisoned(graph);
    vae = (cupel_vae){poisoned, poisoned, poisoned, poisoned, poisoned, poisoned};
    if (cupel_is_poisoned(images))
        return vae;
    const cupel_shape shape = cupel_node_shape(images);
    if (!shape_fits(graph, &all, shape))
        return vae;
    if (!all.mean_latent && cupel_is_none(rng.seed)) {
        (void)graph_fail(graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "vae: drawing latents needs cupel_rng_inputs(); set mean_latent to draw "
                         "none");
        return vae;
    }
    encode(&vae, images, &all, rng);
    const cupel_node decoded = decode(vae.latent, &all, shape);
    const bool logits = all.kind == CUPEL_VAE_MLP;
    vae.reconstruction = logits ? cupel_reshape(cupel_sigmoid(decoded), shape) : decoded;
    vae.error = model_row_sum(logits ? cupel_bernoulli_cross_entropy(decoded, rows_of(images))
                                     : cupel_squared_error(decoded, images));
    vae.kl = model_row_sum(cupel_gaussian_kl(vae.mean, vae.log_variance));
    return vae;
}

cupel_node cupel_vae_decode(cupel_node latents, const cupel_vae_options *options,
                            cupel_shape images) {
    if (cupel_is_none(latents) || cupel_is_poisoned(latents))
        return latents;
    const cupel_vae_options all = settled(options);
    if (!shape_fits(latents.graph, &all, images))
        return graph_poisoned(latents.graph);
    const cupel_node decoded = decode(latents, &all, images);
    return all.kind == CUPEL_VAE_MLP ? cupel_reshape(cupel_sigmoid(decoded), images) : decoded;
}

cupel_node cupel_vae_loss(const cupel_vae *vae, cupel_node kl_weight) {
    return cupel_reduce_mean(cupel_add(vae->error, cupel_mul(kl_weight, vae->kl)), CUPEL_AXIS(0),
                             false);
}
