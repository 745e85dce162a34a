/*
 * Models: builders of whole networks over layers.h. Each declares its parameters in the current
 * scope and returns the nodes that training, scoring and explaining ask for.
 */
#ifndef CUPEL_MODELS_H
#define CUPEL_MODELS_H

#include <cupel/layers.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- variational autoencoders (Kingma and Welling 2014) --- */
typedef enum cupel_vae_kind {
    /* [N, C, H, W] with H, W >= 7, pixels in [0, 1]. Encoder: 3x3 unpadded convolutions to 32, 64
     * and 128 channels with ReLU, then mean and log-variance by a dense layer each. Decoder: dense
     * with ReLU, transposed convolutions to 64, 32 and C channels, sigmoid. Reconstruction error:
     * squared error summed over pixels, which is -log p of a Gaussian of variance 1/2 up to a
     * constant. */
    CUPEL_VAE_CONV = 0,
    /* [N, ...], pixels in [0, 1], flattened: one hidden layer with ReLU on each side.
     * Reconstruction error: Bernoulli cross-entropy from logits, summed over pixels. */
    CUPEL_VAE_MLP = 1
} cupel_vae_kind;

/* Right when zeroed. */
typedef struct cupel_vae_options {
    cupel_vae_kind kind;
    int64_t latents;  /* 0: 16 for the convolutional, 5 for the dense one */
    int64_t hidden;   /* dense one only; 0: 100 */
    bool mean_latent; /* latent = mean, no sample is drawn (rng is not used) */
} cupel_vae_options;

typedef struct cupel_vae {
    cupel_node mean;           /* [N, latents] */
    cupel_node log_variance;   /* [N, latents] */
    cupel_node latent;         /* [N, latents]: mean + exp(log_variance / 2) * standard normal */
    cupel_node reconstruction; /* as the images, in [0, 1] */
    cupel_node error;          /* [N]: reconstruction error of each image */
    cupel_node kl;             /* [N]: KL(q(latent | image) || N(0, 1)) in nats */
} cupel_vae;

/* Declares encoder.* and decoder.* in the current scope; the nodes are poisoned on an error. The
 * sample is the random node "encoder.noise". rng: cupel_rng_inputs(), or zeroed with
 * mean_latent. */
CUPEL_API cupel_vae cupel_vae_build(cupel_node images, const cupel_vae_options *options,
                                    cupel_rng rng);
/* The decoder alone, on the same parameters: latents [N, latents] to images of that shape, whose
 * first extent is N. */
CUPEL_API cupel_node cupel_vae_decode(cupel_node latents, const cupel_vae_options *options,
                                      cupel_shape images);
/* Mean over the batch of error + kl_weight * kl: the negated ELBO where kl_weight, a REAL scalar
 * node (an input), is 1. Papers that sum over the batch have N times this, which Adam does not
 * notice. */
CUPEL_API cupel_node cupel_vae_loss(const cupel_vae *vae, cupel_node kl_weight);

#ifndef CUPEL_LIBRARY
#define cupel_vae_build(...) (cupel_here(__FILE__, __LINE__), (cupel_vae_build)(__VA_ARGS__))
#define cupel_vae_decode(...) (cupel_here(__FILE__, __LINE__), (cupel_vae_decode)(__VA_ARGS__))
#define cupel_vae_loss(...) (cupel_here(__FILE__, __LINE__), (cupel_vae_loss)(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
