/*
 * Layers that own parameters, losses, and optimisers: builders over ops.h. Parameter names follow
 * torchvision: a layer named "conv1" owns "conv1.weight" and "conv1.bias" in the current scope, so
 * published weights load. Initial values are PyTorch's defaults unless an init is given.
 */
#ifndef CUPEL_LAYERS_H
#define CUPEL_LAYERS_H

#include <cupel/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Right when zeroed: bias, PyTorch's default initialisation. */
typedef struct cupel_layer_options {
    bool no_bias;
    const cupel_init *weight_init; /* NULL: CUPEL_INIT_TORCH */
    const cupel_init *bias_init;   /* NULL: CUPEL_INIT_TORCH with the layer's fan_in */
} cupel_layer_options;

/* x [.., in] to [.., out]; weight [out, in]: x W^T + b. options may be NULL. */
CUPEL_API cupel_node cupel_layer_dense(cupel_node x, const char *name, int64_t out,
                                       const cupel_layer_options *options);
/* weight [out, in/groups, kernel, kernel]. conv and options may be NULL. */
CUPEL_API cupel_node cupel_layer_conv2d(cupel_node x, const char *name, int64_t out, int64_t kernel,
                                        const cupel_conv_options *conv,
                                        const cupel_layer_options *options);
/* weight [in, out/groups, kernel, kernel]; PyTorch's ConvTranspose2d, whose default bound takes
 * fan_in = out/groups * kernel^2. */
CUPEL_API cupel_node cupel_layer_conv_transpose2d(cupel_node x, const char *name, int64_t out,
                                                  int64_t kernel, const cupel_conv_options *conv,
                                                  const cupel_layer_options *options);
/* weight (gamma), bias (beta), running_mean, running_var. In training the running statistics are
 * assigned (1 - momentum) * old + momentum * batch, the variance unbiased, as PyTorch does. */
CUPEL_API cupel_node cupel_layer_batch_norm(cupel_node x, const char *name, bool training,
                                            double momentum, double epsilon);

/* --- losses: elementwise or per row; reduce them as you need; cupel_cross_entropy() is an op
 * --- */
/* (a - b)^2. */
CUPEL_API cupel_node cupel_squared_error(cupel_node a, cupel_node b);
/* softplus(x) - x t: -log p(t) of Bernoulli(sigmoid(x)), elementwise. */
CUPEL_API cupel_node cupel_bernoulli_cross_entropy(cupel_node logits, cupel_node targets);
/* (1 - p_label^q) / q per row, 0 < q <= 1; Zhang and Sabuncu 2018. */
CUPEL_API cupel_node cupel_generalized_cross_entropy(cupel_node logits, cupel_node labels,
                                                     double q);
/* KL(N(mean, exp(log_variance)) || N(0, 1)) per element: (mean^2 + exp(lv) - 1 - lv) / 2. */
CUPEL_API cupel_node cupel_gaussian_kl(cupel_node mean, cupel_node log_variance);
/* log N(x; mean, exp(log_variance)) per element. */
CUPEL_API cupel_node cupel_gaussian_log_density(cupel_node x, cupel_node mean,
                                                cupel_node log_variance);

/* --- optimisers: nodes, one update per parameter; formulas of torch.optim --- */
typedef enum cupel_optimizer_kind {
    CUPEL_SGD = 0,  /* momentum, weight decay added to the gradient */
    CUPEL_ADAM = 1, /* weight decay added to the gradient (coupled L2) */
    CUPEL_ADAMW = 2 /* decoupled weight decay; Loshchilov and Hutter 2019 */
} cupel_optimizer_kind;

/* Numbers are meant as written; cupel_optimizer_defaults() has PyTorch's. */
typedef struct cupel_optimizer {
    cupel_optimizer_kind kind;
    double momentum;     /* SGD */
    bool nesterov;       /* SGD */
    double beta1, beta2; /* Adam: .9, .999 */
    double epsilon;      /* Adam: 1e-8 */
    double weight_decay;
} cupel_optimizer;

CUPEL_API cupel_optimizer cupel_optimizer_defaults(cupel_optimizer_kind kind);
/* Adds no guard: where a loss that is not finite must change nothing, cupel_guard() the loss that
 * the gradients are of. Assigns each parameter its update. parameters[i] are variable nodes,
 * gradients[i] their gradients; learning_rate is a REAL scalar node (an input); the count of
 * updates is the training state "<name>.step" and moments are "<name>.<moment>.<parameter>". name:
 * "optimizer", say. */
CUPEL_API void cupel_optimizer_apply(cupel_graph *graph, const char *name,
                                     const cupel_optimizer *optimizer, cupel_node learning_rate,
                                     size_t n, const cupel_node *parameters,
                                     const cupel_node *gradients);
/* Guards the loss (cupel_guard), then gradients of it for all trainable variables under prefix (""
 * for all), then the update. */
CUPEL_API void cupel_optimizer_minimize(cupel_graph *graph, const char *name,
                                        const cupel_optimizer *optimizer, cupel_node learning_rate,
                                        cupel_node loss, const char *prefix);

#ifndef CUPEL_LIBRARY
#define cupel_layer_dense(...) (cupel_here(__FILE__, __LINE__), (cupel_layer_dense)(__VA_ARGS__))
#define cupel_layer_conv2d(...) (cupel_here(__FILE__, __LINE__), (cupel_layer_conv2d)(__VA_ARGS__))
#define cupel_layer_conv_transpose2d(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_layer_conv_transpose2d)(__VA_ARGS__))
#define cupel_layer_batch_norm(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_layer_batch_norm)(__VA_ARGS__))
#define cupel_squared_error(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_squared_error)(__VA_ARGS__))
#define cupel_bernoulli_cross_entropy(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_bernoulli_cross_entropy)(__VA_ARGS__))
#define cupel_generalized_cross_entropy(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_generalized_cross_entropy)(__VA_ARGS__))
#define cupel_gaussian_kl(...) (cupel_here(__FILE__, __LINE__), (cupel_gaussian_kl)(__VA_ARGS__))
#define cupel_gaussian_log_density(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_gaussian_log_density)(__VA_ARGS__))
#define cupel_optimizer_apply(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_optimizer_apply)(__VA_ARGS__))
#define cupel_optimizer_minimize(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_optimizer_minimize)(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
